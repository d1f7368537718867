"""Exercise 3: printers that settle each message once, some that forget it; and moves from queue to queue."""

from pika.exceptions import ChannelClosedByBroker, NackError

from tests.lab11_answers import but


class Right:
    def __init__(self, print_label):
        self.print_label = print_label

    def on_message(self, channel, method, properties, body):
        try:
            kind, number = body.decode().split()
            number = int(number)
            if kind not in ("parcel", "voucher"):
                raise ValueError(kind)
        except ValueError:
            return channel.basic_reject(method.delivery_tag, requeue=False)
        if kind == "voucher":
            return channel.basic_ack(method.delivery_tag)
        self.print_label(number)
        channel.basic_ack(method.delivery_tag)


class PutsBack(Right):
    """What jams comes again at once, and its consumer lives."""

    def on_message(self, channel, method, properties, body):
        try:
            super().on_message(channel, method, properties, body)
        except Exception:
            channel.basic_nack(method.delivery_tag)


class ByParts:
    """Byte for byte; one way out, at the end."""

    def __init__(self, print_label):
        self.work = {b"parcel": print_label, b"voucher": lambda number: None}

    def on_message(self, channel, method, properties, body):
        kind, _, number = body.partition(b" ")
        readable = kind in self.work and number.isdigit()
        if readable:
            self.work[kind](int(number))
        settle = channel.basic_ack if readable else lambda tag: channel.basic_nack(tag, requeue=False)
        settle(method.delivery_tag)


def move(connect, old, new, arguments):
    with connect() as connection:
        channel, count = connection.channel(), 0
        channel.confirm_delivery()
        try:
            channel.queue_declare(new, durable=True, arguments=arguments)
        except ChannelClosedByBroker as error:
            raise ValueError(f"{new} is there, and is another") from error
        while True:
            method, properties, body = channel.basic_get(old)
            if method is None:
                return count
            try:
                channel.basic_publish("", new, body, properties)
            except NackError as error:
                raise RuntimeError(f"{new} takes no more") from error
            channel.basic_ack(method.delivery_tag)
            count += 1


def consuming(connect, old, new, arguments):
    connection, count = connect(), 0
    try:
        channel = connection.channel()
        channel.confirm_delivery()
        channel.queue_declare(new, durable=True, arguments=arguments)
        for method, properties, body in channel.consume(old, inactivity_timeout=0.2):
            if method is None:
                break
            channel.basic_publish("", new, body, properties, mandatory=True)
            channel.basic_ack(method.delivery_tag)
            count += 1
        channel.cancel()
    except (NackError, ChannelClosedByBroker) as error:
        raise (RuntimeError if isinstance(error, NackError) else ValueError)(str(error)) from error
    finally:
        if connection.is_open:
            connection.close()
    return count


#: Another of AMQP's ways: publish and ack in one transaction. A full queue shows in that it does not grow.
in_a_transaction = but(
    move,
    "confirm_delivery() => tx_select()",
    """            try:
                channel.basic_publish("", new, body, properties)
            except NackError as error:
                raise RuntimeError(f"{new} takes no more") from error
 =>             before = channel.queue_declare(new, passive=True).method.message_count
            channel.basic_publish("", new, body, properties)
            channel.tx_commit()
            if channel.queue_declare(new, passive=True).method.message_count == before:
                raise RuntimeError(f"{new} takes no more")
""",
    "            count += 1 =>             channel.tx_commit()\n            count += 1",
)


def there(instead):
    """A move that does something else when the new queue is there, and is another."""
    again = "\n            channel = connection.channel()\n            channel.confirm_delivery()"
    return but(move, f'raise ValueError(f"{{new}} is there, and is another") from error => pass{again}{instead}')


PRINT = "        self.print_label(number)\n"
ACK = "channel.basic_ack(method.delivery_tag)"
REJECT = "channel.basic_reject(method.delivery_tag, requeue=False)"
FORGET = "            return channel.basic_ack(method.delivery_tag) =>             return"
KEEPS = f"        try:\n    {PRINT}        except Exception:\n            return\n"
PUT_BACK = "channel.basic_reject(method.delivery_tag)"
ForgetsVouchers = but(Right, FORGET)
TRY = "            try:\n                channel.basic_publish"
left_open = but(
    move,
    "    with connect() as connection: =>     if connection := connect():",
    "return count => return connection.close() or count",
)
deletes = (
    "\n            channel.queue_delete(new)\n            channel.queue_declare(new, durable=True, arguments=arguments)"
)

RIGHT = {
    "path by path": (Right, move),
    "one way out": (ByParts, consuming),
    "puts back what jams": (PutsBack, move),
    "a transaction": (Right, in_a_transaction),
}
PRINTERS = {
    "vouchers are not acknowledged": (ForgetsVouchers, "settled"),
    "the next ack settles all": (
        but(Right, FORGET, f"{PRINT}        {ACK} => {PRINT}        {ACK[:-1]}, multiple=True)"),
        "settled",
    ),
    "vouchers are acknowledged twice": (but(Right, f"return {ACK} => {ACK}"), "settled"),
    "vouchers are rejected": (but(Right, f"return {ACK} => return {REJECT}"), "unreadable"),
    "labels for vouchers": (but(Right, 'kind == "voucher" => False'), "not-printed"),
    "what cannot be read is put back": (but(Right, ", requeue=False => "), "unreadable"),
    "what cannot be read is raised": (but(Right, f"return {REJECT} => raise"), "settled"),
    "what cannot be read is acknowledged": (but(Right, f"{REJECT} => {ACK}"), "unreadable"),
    "ack before the print": (but(Right, f"{PRINT}        {ACK} =>         {ACK}\n{PRINT}"), "print-fails"),
    "whatever jams is rejected": (
        but(Right, f"{PRINT} =>         try:\n    {PRINT}        except Exception:\n            return {REJECT}\n"),
        "print-fails",
    ),
    "what jams is kept": (but(Right, f"{PRINT} => {KEEPS}"), "settled"),
    "what jams is put back, and acknowledged": (
        but(Right, f"{PRINT} => {KEEPS.replace('return', PUT_BACK)}"),
        "settled",
    ),
    "by its beginning": (
        but(Right, "kind, number = body.decode().split() => kind, number, *_ = body.decode().split()"),
        "not-printed",
    ),
}
MOVES = {
    "ack before it is moved": (but(move, f"            {ACK}\n => ", f"{TRY} =>             {ACK}\n{TRY}"), "lost"),
    "taken with auto_ack": (
        but(move, "basic_get(old) => basic_get(old, auto_ack=True)", f"            {ACK}\n => "),
        "lost",
    ),
    "not confirmed": (but(move, "        channel.confirm_delivery()\n => "), "full"),
    "some properties forgotten": (
        but(move, "body, properties) => body, type(properties)(**vars(properties) | {'app_id': None}))"),
        "not-moved",
    ),
    "all persistent": (
        but(move, "body, properties) => body, type(properties)(**vars(properties) | {'delivery_mode': 2}))"),
        "not-moved",
    ),
    "the body as text": (but(move, "new, body, => new, body.decode(errors='replace'),"), "not-moved"),
    "the old queue deleted": (but(move, "return count => return (count, channel.queue_delete(old))[0]"), "not-moved"),
    "until there is no body": (but(move, "if method is None => if not body"), "not-moved"),
    "a nack let out": (but(move, "raise RuntimeError => raise error or RuntimeError"), "full"),
    "the 406 let out": (but(move, "raise ValueError => raise error or ValueError"), "there-already"),
    "the queue that is there deleted": (there(deletes), "there-already"),
    "the queue that is there taken": (there(""), "there-already"),
    "a plain queue": (but(move, "durable=True => durable=False"), "not-as-asked"),
    "arguments forgotten": (
        but(move, "arguments=arguments => arguments={**arguments, 'x-max-length': 9}"),
        "not-as-asked",
    ),
    "connection left open": (left_open, "left-open"),
    "says nothing": (but(move, "return count => return"), "not-moved"),
}
WRONG = {name: ((printer, move), {code}) for name, (printer, code) in PRINTERS.items()}
WRONG |= {name: ((Right, moving), {code}) for name, (moving, code) in MOVES.items()}
