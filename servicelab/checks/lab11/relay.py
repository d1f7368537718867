"""Exercise 3, repair: a relay that skips what was written late. Two writers take ids, and commit when they like."""

from contextlib import suppress
from sqlite3 import OperationalError

from servicelab.checks.crashing import World
from servicelab.checks.scenario import scenario, words

WORDS = words("""
not-sent: when poll has returned, each row that was committed before has been published, just as it is
    Compare the rows of the outbox with the arguments of publish.
again, again-later: what was published and did not raise is not published again, by this process or the next
    Where do you note that it is out? What is left of it when the process ends?
waits: a smaller id is missing: what is committed is published by the next poll all the same
    Somebody has rolled back, and this id never comes. How long do you wait for it?
skipped, skipped-late: a smaller id is committed after larger ones, sooner or later: the next poll publishes it
    What do you know of a row when you know the largest id that you have seen? How far do you look back?
order, overtakes: the rows of one customer are published in the order of their ids, also when publish raises for one
    In which order do you get the rows, and publish them? When the first is still to go, what becomes of the second?
poll-raises, holds-up: publish raises for one customer: poll does not, and publishes what the others have
    Which message has failed, and who waits behind it? What becomes of the rest of the rows?
marked-first, lost: publish has raised, or the process has died: the next poll publishes what is left, in order
    What had you noted at that moment, and where? What was with the broker?
""")
MANY = """insert into outbox (id, customer, text)
    with recursive n(i) as (select 5 union all select i + 1 from n where i < 304) select i, 'ada', '' from n"""


class Outbox(World):
    """An outbox, its writers, and a broker that may refuse to confirm."""

    schema = (
        "create table outbox (id integer primary key, customer text not null, text text not null, "
        "sent integer not null default 0)"
    )
    methods, lane = ("poll",), "relay"

    def given(self):
        return self.connect(), self.publish

    def write(self, *rows):
        for row in rows:
            self.say("writer", "outbox", f"commit {row[0]}")
            self.db.write("insert into outbox (id, customer, text) values (?, ?, ?)", *row)
        return rows

    def poll(self):
        """The ids that one poll published."""
        before = len(self.published)
        self.live(self.mine.poll)
        return self.ids()[before:]

    def ids(self, *customers):
        return [id for id, customer, _ in self.published if not customers or customer in customers]


check_relay = scenario("11", 3, "A relay that skips", WORDS, Relay=Outbox)
part = check_relay.part


@part
def one_after_another(o):
    o.start()
    rows = o.write((1, "cat", " z\n"), (2, "ada", ""), (4, "ada", "a"), (3, "ada", ""), (6, "ada", ""), (5, "bob", "a"))
    for code in ("again", "again-later"):
        o.poll()
        yield "not-sent", set(o.published) == set(rows), f"rows {rows}, published {o.published}"
        yield "order", o.ids("ada")[:4] == [2, 3, 4, 6], f"ada's rows were published in the order {o.ids('ada')}"
        yield code, not o.poll() and len(o.published) == 6, f"six rows, and published {o.published}"
        o.start()


@part
def committed_late(o):
    o.start()
    o.write((1, "bob", ""), (3, "ada", ""))
    late = [(2, "bob", "")]

    def meanwhile(id, *more):
        with suppress(OperationalError):  # it may have to wait for the relay's transaction
            if id == 3 and late and o.write(*late):
                late.clear()

    o.refuses = meanwhile
    got = o.poll()
    yield "waits", {1, 3} <= set(got), f"1 and 3 are committed, 2 is not yet: a poll published {got}"
    o.write(*late)
    got += o.poll()
    yield "skipped", sorted(got) == [1, 2, 3], f"2 was committed when 3 was on its way; two polls published {got}"
    o.db.write(MANY)
    got = len(o.poll())
    yield "not-sent", got == 300, f"300 rows were committed, and 4 was not: a poll published {got} rows"
    o.ask.trace.clear()
    o.start()
    o.write((4, "bob", ""))
    got = o.poll()
    yield "skipped-late", got == [4], f"300 were out, then 4 was committed: a poll published {got}"


@part
def one_is_refused(o):
    o.start()
    o.write(*[(id, customer, "") for id, customer in enumerate(("ada", "bob", "ada", "bob", "cat", "ada"), 1)])
    left = []
    o.refuses = lambda id, *more: id in left and not left.remove(id)
    for poll in range(1, 5):
        left[:] = 1, 2
        outcome = o.ask.run(o.mine.poll, limit=2.0)
        yield "poll-raises", not isinstance(outcome.error, ConnectionError), str(outcome)
        told = f"publish raised for ada's 1 and bob's 2; poll {poll}, and published were {o.ids()}"
        yield "overtakes", not {3, 4, 6} & set(o.ids()), told
        yield "holds-up", o.ids("cat") == [5], told
    o.poll()
    fine = (o.ids("ada"), o.ids("bob")) == ([1, 3, 6], [2, 4])
    yield "marked-first", fine, f"{told}; after one more, in which nothing raised, {o.ids()}"
    yield "again", not o.poll() and len(o.published) == 6, f"six rows, and published {o.ids()}"


@part
def dies_after_each_step(o):
    for at in o.each_death():
        o.start(at)
        o.write((1, "ada", ""), (2, "bob", ""), (3, "ada", ""))
        o.poll()
        o.start()
        o.poll()
        yield "lost", set(o.ids()) == {1, 2, 3}, f"{o.died}the next one polled, and published were {o.ids()}"
