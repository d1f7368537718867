"""Exercise 1, repair: an order that is saved and never sent, and a message that counts twice."""

from math import inf

from servicelab.checks.crashing import DIED, World
from servicelab.checks.scenario import scenario, words

WORDS = words("""
not-saved: when place has returned, the order is a row of `orders`, on the disk
    Who commits?
not-sent: when relay has returned, each order has been published, just as it was placed
    What does relay look for, and where? Compare the arguments of publish with those of place.
again, again-later: what was published and did not raise is not published again, by this process or the next
    Where do you note that a message is out, and when? What does a process that was just started know of it?
needs-broker: the broker is down: place returns all the same, and the order is saved
    Who calls publish, and what becomes of the row if it raises?
lost-when-down: the broker is up again: relay publishes what could not be published before
    What was noted while nobody confirmed?
ghost: the process dies after any step: what was published is a row of `orders`
    What was on the disk when it was published?
lost, lost-in-relay: the process dies after any step: the next one publishes what is saved
    What tells the next process that a message is still to go? When is it written, and when is it taken back?
not-taken: two orders of a mug, one of a lamp: two mugs and one lamp are taken off the shelf
    What tells one order from another one of the same thing?
no-memory, in-memory: a message comes again, to this process or the next: its item is taken once
    What tells you that it was dealt with? What is left of that when the process ends?
noted-first, noted-apart: shipping dies after any step, the message comes again: its item is taken once
    What was on the disk at that moment, and what was not?
""")
PLACED = [("o-1", "mug"), ("o-2", "mug"), ("o-3", "lamp")]


class Sender(World):
    """Orders, and a broker that is down when it has no ``room``."""

    schema, methods = "create table orders (id text primary key, item text)", ("place", "relay")

    def fresh(self):
        super().fresh()
        self.published, self.room = [], inf

    def given(self):
        return self.connect(), self.publish

    def publish(self, order, item):
        self.process.alive()
        self.say("orders", "broker", f"{order}"[:20], self.room > 0)
        if self.room <= 0:
            raise ConnectionError("the broker does not answer")
        self.room -= 1
        self.published.append((order, item))
        self.process.step("publish")

    def saved(self):
        return self.db.read("select id, item from orders order by rowid")


class Receiver(World):
    """Shipping, and its shelf."""

    schema = (
        "create table stock (item text primary key, left integer); insert into stock values ('mug', 9), ('lamp', 9)"
    )

    def deliver(self, *order):
        self.say("broker", "shipping", order[0])
        self.live(self.mine.on_message, *order)

    def taken(self):
        left = dict(self.db.read("select item, left from stock"))
        return [9 - left.get(item, 0) for item in ("mug", "lamp")]


check_dual_write = scenario("11", 1, "The dual write", WORDS, Orders=Sender, Shipping=Receiver)


@check_dual_write.part("Orders")
def no_process_dies(s):
    s.start()
    for order in PLACED:
        s.live(s.mine.place, *order)
    yield "not-saved", s.saved() == PLACED, f"orders has the rows {s.saved()}"
    for code in ("again", "again-later"):
        s.live(s.mine.relay)
        yield "not-sent", set(s.published) == set(PLACED), f"placed were {PLACED}, published {s.published}"
        s.live(s.mine.relay)
        yield code, len(s.published) == 3, f"three orders, and published were {s.published}"
        s.start()
    s.room = 0
    for number in range(4, 34):
        outcome = s.ask.run(s.mine.place, f"o-{number}", "mug", limit=2.0)
        saved = s.saved()[-1:]
        yield (
            "needs-broker",
            outcome.returned and saved == [(f"o-{number}", "mug")],
            f"place: {outcome}; saved: {saved}",
        )
    for s.room in (0, 5, inf):
        s.ask.run(s.mine.relay, limit=2.0)
    s.live(s.mine.relay)
    lost = [order for order in s.saved() if order not in s.published]
    yield "lost-when-down", not lost, f"saved and not published: {lost}"
    told = f"33 orders; the broker took five and was down, then took the others; it had {len(s.published)} messages"
    yield "again", len(s.published) == 33, told


@check_dual_write.part("Orders")
def orders_dies_after_each_step(s):
    for at in s.each_death():
        s.start(at)
        for order in PLACED:
            code = "lost"
            if s.live(s.mine.place, *order) is DIED:
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


@check_dual_write.part("Shipping")
def no_shipping_dies(r):
    r.start()
    for code in ("not-taken", "no-memory", "in-memory"):
        for order in PLACED:
            r.deliver(*order)
        yield code, r.taken() == [2, 1], f"mugs and lamps taken: {r.taken()}"
        if code == "no-memory":
            r.start()


@check_dual_write.part("Shipping")
def shipping_dies_after_each_step(r):
    for at in r.each_death():
        r.start(at)
        r.deliver(*PLACED[0])
        r.start()
        r.deliver(*PLACED[0])
        mugs = r.taken()[0]
        told = f"{r.died}when the message had come again, {mugs} mugs were taken"
        yield "noted-apart" if mugs > 1 else "noted-first", mugs == 1, told
