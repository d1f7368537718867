"""Exercise 2, build: payments with idempotency keys. The bank takes its time, and the process may die in between."""

import threading
import time

from servicelab.checks.crashing import World
from servicelab.checks.scenario import Aside, scenario, words

KEEP = 100.0  # seconds
REFUSED = {200_000: (402, "declined"), 300_000: (503, "try later")}  # cents, and what the bank answers
ALIKE = [(("a", f"b{sep}c"), (f"a{sep}b", "c")) for sep in ("", *":-/|_ ,.#;\0")]

WORDS = words("""
wrong-answer: a new key: the bank is asked once to charge that amount, and its answer is the answer
    What does bank.charge get, and what does it return?
not-replayed, in-memory: the same request again, also to the next process: the same answer, and nothing is charged
    What do you look at before you charge? What is left of it when the process ends? Which answers do you save?
no-key, other-amount: no key, or an empty one: 400; a known key with another amount: 422; and nothing is charged
    What do you look at first? What must you keep of a request, besides its key?
customers: the same key of another customer is another key, whatever customers and keys look like
    What is the whole name of a key? Can two of them be spelled alike when you put them together?
references: each payment has a reference of its own at the bank
    When do two payments share what your reference is made of?
race: two at once with the same key, 25 times: 25 charges, and each answer is the bank's, or 409
    The second one looked before the first had written. What makes the two one step, and what does the loser hear?
outstanding, blocks-others: while the bank is at work, the same key gets 409 at once, and another one is charged at once
    What do you hold while you wait for the bank: a lock, a transaction that has written? Who waits for that?
after-crash, race-after-crash: it dies after any step, the next process gets it: one charge, the bank's answer
    Who can be asked whether it was charged, and under which name? Who is at work on it when a process has just started?
too-soon, kept-on, not-deleted: a key is kept for `keep` seconds from its first request; then a payment deletes it
    From which moment do you count? What do you delete, and when? Which reference has the new payment?
""")


class Bank:
    """Charges as often as it is asked to. ``hold`` is called while it charges, and a look takes ``slow`` seconds."""

    def __init__(self, world):
        self.world, self.charges, self.hold, self.slow = world, [], lambda: time.sleep(0.005), 0.0

    def charge(self, reference, cents):
        self.world.process.alive()
        self.world.say("payment", "bank", f"charge {reference}"[:30])
        answer = REFUSED.get(cents) or (200, f"receipt {len(self.charges) + 1}")
        self.charges.append((reference, cents, answer))
        self.world.process.step("charge")
        self.hold()
        return answer

    def find(self, reference):
        self.world.process.alive()
        self.world.say("payment", "bank", f"find {reference}"[:30])
        found = [answer for mine, _, answer in self.charges if mine == reference]
        time.sleep(self.slow)
        return found[0] if found else None


class Till(World):
    methods, lane = ("pay",), "payment"

    def fresh(self):
        super().fresh()
        self.bank = Bank(self)

    def given(self):
        return self.connect, self.bank, KEEP

    def pay(self, customer="ada", key="k-1", cents=500, now=1000.0):
        self.say("client", "payment", f"{customer} {key}")
        return self.live(self.mine.pay, customer, key, cents, now, returns=(tuple,))

    def pair(self, key, cents=500, now=1000.0):
        """What two at once were answered that is not 409, or the errors that they raised."""
        self.ask.trace.clear()
        self.say("client", "payment", f"ada {key}, twice")
        both = self.at_once(*[lambda: self.mine.pay("ada", key, cents, now)] * 2)
        answers = [one.error or one.answer for one in both]
        return [one for one in answers if not isinstance(one, tuple) or one[:1] != (409,)]

    def rows(self):
        tables = self.db.read("select name from sqlite_master where type = 'table' and name not like 'sqlite_%'")
        return sum(self.db.read(f'select count(*) from "{name}"')[0][0] for (name,) in tables)


check_key_store = scenario("11", 2, "The key store", WORDS, Payments=Till)
part = check_key_store.part


@part
def one_after_another(t):
    t.start()
    first, charges = t.pay(), t.bank.charges
    fits = first == (200, "receipt 1") and [cents for _, cents, _ in charges] == [500]
    yield "wrong-answer", fits, f"the answer was {first}, and the bank had {charges}"
    for code in ("not-replayed", "in-memory"):
        again = t.pay()
        yield code, again == first and len(charges) == 1, f"first {first}, then {again}; {len(charges)} times charged"
        t.start()
    for code, status, *request in (("no-key", 400, None), ("no-key", 400, ""), ("other-amount", 422, "k-1", 501),
                                   ("other-amount", 422, "k-1", 5)):  # fmt: skip
        answer = t.pay("ada", *request)
        yield code, answer[:1] == (status,) and len(charges) == 1, f"{request}: {answer}, {len(charges)} times charged"
    for cents, no in REFUSED.items():
        before, answers = len(charges), [t.pay("eve", f"k-{cents}", cents) for _ in range(2)]
        told = f"the bank says {no}; the answers were {answers}, and it was asked {len(charges) - before} times"
        yield "not-replayed", answers == [no] * 2 and len(charges) == before + 1, told
    others = [("bob", "k-1"), ("ada", "k-2"), ("ada", "k-1 "), ("Ada", "k-1"), ("ada", "K-1"), ("ada", " ")]
    for names in (others, *ALIKE):
        t.start()
        before, answers = len(charges), [t.pay(*name) for name in names]
        fine = len(charges) == before + len(names) and answers == [answer for *_, answer in charges[before:]]
        yield "customers", fine, f"customers and keys {names}: the answers were {answers}"
    yield "references", len({one for one, *_ in charges}) == len(charges), f"the bank has charged {charges}"


@part
def twenty_five_pairs(t):
    t.start(pause=0.002)
    for number in range(1, 26):
        answers, charges = t.pair(f"k-{number}"), t.bank.charges
        fine = len(charges) == number and all(one == charges[-1][2] for one in answers)
        yield "race", fine, f"{number} pairs: {len(charges)} charges; the last answers, except for 409: {answers}"


@part
def while_the_bank_is_at_work(t):
    t.start()
    free, begun = threading.Event(), threading.Event()
    t.bank.hold = lambda: len(t.bank.charges) > 1 or begun.set() or free.wait(4.0)
    first = Aside(lambda: t.mine.pay("ada", "k-1", 500, 1000.0)).start()
    begun.wait(4.0)
    try:
        for code, key, cents, *fine in (
            ("outstanding", "k-1", 500, (409,)), ("other-amount", "k-1", 501, (409,), (422,)),
            ("blocks-others", "k-2", 500, (200,)),
        ):  # fmt: skip
            t.say("client", "payment", f"ada {key}")
            outcome = t.ask.run(t.mine.pay, "ada", key, cents, 1000.0, limit=1.5)
            told = f"while the bank was at work for k-1 and 500 cents, {key} and {cents} cents: {outcome}"
            yield code, isinstance(outcome.value, tuple) and outcome.value[:1] in fine, told
    finally:
        free.set()
        first.wait(4.0)
    answers = first.error or first.answer, t.pay()
    yield "not-replayed", answers == ((200, "receipt 1"),) * 2, f"the first one, and again: {answers}"


@part
def dies_after_each_step(t):
    t.start()
    t.pay("bob")
    alone, again = t.rows(), {"cents": 200_000, "now": 1040.0}
    for at in t.each_death():
        for then in (1, 2, 3, "again", "twice", "bob"):
            t.fresh()
            t.start(at)
            t.pay(cents=200_000)
            charges, was_charged, twice = t.bank.charges, len(t.bank.charges), then == "twice"
            if then in (1, 2, 3):
                t.start(then)
                t.pay(**again)
            t.start(pause=0.002 if twice else 0.0)
            t.bank.slow = 0.1 if twice else 0.0
            if then == "bob":
                t.pay("bob", now=1400.0)
                yield "not-deleted", t.rows() <= alone, f"{t.died}400 s later bob pays; rows: {t.rows()}"
                continue
            if was_charged:
                answer = t.pay(cents=501, now=1040.0)
                yield "other-amount", answer[:1] == (422,) and len(charges) == 1, f"{t.died}another amount: {answer}"
            answers = t.pair("k-1", **again) if twice else [t.pay(**again) for _ in range(2)]
            told = f"{t.died}then the answers{', except for 409,' * twice} were {answers}; {len(charges)} times charged"
            fine = len(charges) == 1 and all(one == charges[0][2] for one in answers)
            yield "race-after-crash" if twice else "after-crash", fine, told
            if was_charged:
                t.pay(cents=200_000, now=1105.0)
                yield "kept-on", len(charges) == 2, f"{told} up to second 1040, and at 1105 no more; begun at 1000"


@part
def after_their_time(t):
    t.start()
    rows = []
    for code, customer, now, receipt in (
        ("wrong-answer", "ada", 1000, 1), ("too-soon", "ada", 1060, 1), ("wrong-answer", "bob", 1080, 2),
        ("too-soon", "ada", 1095, 1), ("kept-on", "ada", 1105, 3), ("too-soon", "bob", 1150, 2),
        *[("wrong-answer", f"cat {number}", 1160, number) for number in range(4, 24)], ("kept-on", "bob", 1400, 24),
    ):  # fmt: skip
        answer = t.pay(customer, now=now)
        told = f"keys of second 1000 (ada), 1080 (bob), … kept for {KEEP:.0f} s; {customer} in second {now}: {answer}"
        yield code, answer == (200, f"receipt {receipt}"), told
        rows.append(t.rows())
    yield "not-deleted", rows[-1] <= rows[0], f"{rows[-1]} rows are left of 24 keys; one alone had {rows[0]}"
    yield "references", len({one for one, *_ in t.bank.charges}) == 24, f"24 payments; charged were {t.bank.charges}"
