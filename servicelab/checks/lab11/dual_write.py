"""Exercise 1, repair: an order that is saved and never sent, and a message that counts twice."""

from itertools import count

from servicelab.checks.crashing import DIED, World
from servicelab.checks.scenario import scenario, words

WORDS = words("""
not-saved: when place has returned, the order is a row of `orders`, on the disk
    Who commits?
not-sent: when relay has returned, each order has been published, just as it was placed
    What does relay look for, and where? Compare the arguments of publish with those of place.
again, again-later: what was published and did not raise is not published again, by this process or the next
    Where do you note that a message is out, and when? What does a process that was just started know of it?
needs-broker: the broker is down: place returns all the same, and the order is saved; relay ends, or raises
    Who calls publish, and what becomes of the row if it raises? When do you try again?
lost-when-down: the broker is up again: relay publishes what could not be published before
    What was noted while nobody confirmed? Which of the rows does relay look at?
ghost, lost, lost-in-relay: the process dies after any step: the next one publishes what is saved, and nothing else
    What was on the disk when it was published? What says that it is still to go, and when is that taken back?
pieces: shipping dies after any step, and each message comes again and again: each order takes one piece
    What tells two orders of a mug apart? What was noted when it died, and what was done?
""")
PLACED = [("o-1", "mug"), ("o-2", "mug"), ("o-3", "potter's lamp")]


class Sender(World):
    """Orders, and the broker."""

    schema = "create table orders (id text primary key, item text)"
    methods, lane = ("place", "relay"), "orders"

    def given(self):
        return self.connect(), self.publish

    def place(self, *order):
        self.say("client", "orders", order[0])
        return self.live(self.mine.place, *order)

    def saved(self):
        return self.db.read("select id, item from orders order by rowid")


class Receiver(World):
    """Shipping, and its shelf."""

    schema = "create table stock (item, left); insert into stock values ('mug', 9), ('potter''s lamp', 9)"
    methods, lane = ("on_message",), "shipping"

    def deliver(self):
        for order in PLACED:
            self.say("broker", "shipping", order[0])
            self.live(self.mine.on_message, *order)


check_dual_write = scenario("11", 1, "The dual write", WORDS, Orders=Sender, Shipping=Receiver)


@check_dual_write.part("Orders")
def a_calm_day(s):
    s.start()
    for order in PLACED:
        s.place(*order)
    yield "not-saved", s.saved() == PLACED, f"orders has the rows {s.saved()}"
    for code in ("again", "again-later"):
        s.live(s.mine.relay)
        yield "not-sent", set(s.published) == set(PLACED), f"placed were {PLACED}, published {s.published}"
        s.live(s.mine.relay)
        yield code, len(s.published) == 3, f"three orders, and published were {s.published}"
        s.start()


@check_dual_write.part("Orders")
def orders_dies_after_each_step(s):
    for at in s.each_death():
        s.start(at)
        for order in PLACED:
            code = "lost"
            if s.place(*order) is DIED:
                break
            yield "not-saved", order in s.saved(), f"orders has the rows {s.saved()}"
            code = "lost-in-relay"
            if order[0] != "o-1" and s.live(s.mine.relay) is DIED:
                break
        s.start()
        s.live(s.mine.relay)
        told = f"{s.died}saved are {s.saved()}, and when the next one had relayed, published were {s.published}"
        yield "ghost", set(s.published) <= set(s.saved()), told
        yield code, set(s.saved()) <= set(s.published), told


@check_dual_write.part("Orders")
def the_broker_is_down(s):
    s.start()
    s.refuses = lambda *message: True
    for order in [(f"o-{number}", "mug") for number in range(30)]:
        outcome, last = s.ask.run(s.mine.place, *order, limit=2.0), s.saved()[-1:]
        yield "needs-broker", outcome.returned and last == [order], f"place: {outcome}; the last row is {last}"
    for refused in (count(1, 0), count()):  # all of them, and then each seventh
        s.refuses = lambda *message, refused=refused: next(refused) % 7 in (1, 5)
        outcome = s.ask.run(s.mine.relay, limit=2.0)
        yield "needs-broker", outcome.how in ("returned", "exception"), f"relay: {outcome}"
    s.refuses = lambda *message: False
    s.live(s.mine.relay)
    lost = [order for order in s.saved() if order not in s.published]
    yield "lost-when-down", not lost, f"saved and not published: {lost}"
    told = f"30 orders; the broker was down, then now and then, then never; it had {len(s.published)} messages"
    yield "again", len(s.published) == 30, told


@check_dual_write.part("Shipping")
def shipping_dies_after_each_step(r):
    for at in r.each_death():
        r.start(at)
        r.deliver()
        r.start()
        for times in ("again", "once more"):
            r.deliver()
            taken = [9 - left for (left,) in r.db.read("select left from stock order by item")]
            told = f"{r.died}all messages came {times}: two mugs and a lamp were ordered, and {taken} were taken"
            yield "pieces", taken == [2, 1], told
