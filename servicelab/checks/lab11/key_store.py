"""Exercise 2, build: payments with idempotency keys. The bank takes its time, and the process may die in between."""

import threading
import time

from servicelab.checks.crashing import World
from servicelab.checks.scenario import Aside, scenario, words

KEEP = 100.0  # seconds
ALIKE = [(("a", f"b{sep}c"), (f"a{sep}b", "c")) for sep in ("", *":-/|_ ,.#;")]

WORDS = words("""
wrong-answer: a new key: the bank is asked once to charge that amount, and its answer is the answer
    What does bank.charge get, and what does it return?
not-replayed, in-memory: the same request again, also to the next process: the same answer, and nothing is charged
    What do you look at before you charge? What is left of it when the process ends?
declined-again: an answer of the bank that is no 200 is saved, too
    Which answers do you take for final?
no-key: without a key, or with an empty one: 400, and nothing is charged
    What do you look at first?
other-amount: the same key with another amount: 422, and nothing is charged
    What must you keep of a request, besides its key?
customers: the same key of another customer is another key, whatever customers and keys look like
    What is the whole name of a key? Can two of them be spelled alike when you put them together?
references: each payment has a reference of its own at the bank
    When do two payments share what your reference is made of?
race, pair-answer: two at once with the same key, 25 times: 25 charges, and each answer is the bank's, or 409
    The second one looked before the first had written. What makes the two one step, and what does the loser hear?
outstanding: while the bank is at work, the same key is answered with 409, at once
    What does the second one find, or wait for?
blocks-others: while the bank is at work, another key is charged, at once
    What do you hold while you wait for the bank: a lock, a transaction that has written?
charged-twice, race-after-crash: the process dies after any step, and the next one gets it, or two at once: one charge
    Nobody knows whether it was charged, but somebody can be asked. Under which name? Who takes over what was left?
stuck: the process dies after any step, and the next one gets it: the answer is the bank's
    Who is still working on it when a process has just been started?
too-soon, kept-on: a key is kept for `keep` seconds from its first request on, and then it is a new one
    From which moment do you count? What does a repetition change?
not-deleted: what is older than `keep` seconds is deleted when the next payment comes
    Who deletes? How many rows has your table after a year?
""")


class Bank:
    """Charges as often as it is asked to. ``hold`` is called while it charges, and a look takes ``slow`` seconds."""

    def __init__(self, world):
        self.world, self.charges, self.hold, self.slow = world, [], lambda: time.sleep(0.005), 0.0

    def charge(self, reference, cents):
        self.world.process.alive()
        self.world.say("payment", "bank", f"charge {reference}"[:30])
        answer = (402, "declined") if cents > 100_000 else (200, f"receipt {len(self.charges) + 1}")
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

    def pair(self, key):
        """What two at once were answered, or the errors that they raised."""
        self.ask.trace.clear()
        self.say("client", "payment", f"ada {key}, twice")
        both = self.at_once(*[lambda: self.mine.pay("ada", key, 500, 1000.0)] * 2)
        return [one.error or one.answer for one in both]

    def fits(self, answer):
        """Is this the bank's last answer, or 409?"""
        return answer == self.bank.charges[-1][2] or isinstance(answer, tuple) and answer[0] == 409

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
    answers = [t.pay("eve", "k-2", 200_000) for _ in range(2)]
    told = f"the bank declined; the answers were {answers}, and the bank was asked {len(charges) - 1} times"
    yield "declined-again", answers == [(402, "declined")] * 2 and len(charges) == 2, told
    for names in ((("bob", "k-1"), ("ada", "k-2"), ("ada", "k-1 "), ("Ada", "k-1")), *ALIKE):
        t.start()
        before, answers = len(charges), [t.pay(*name) for name in names]
        fine = len(charges) == before + len(names) and answers == [answer for *_, answer in charges[before:]]
        yield "customers", fine, f"customers and keys {names}: the answers were {answers}"
    references = [reference for reference, *_ in charges]
    yield "references", len(set(references)) == len(charges), f"the references were {references}"


@part
def twenty_five_pairs(t):
    t.start(pause=0.002)
    for number in range(1, 26):
        answers, charges = t.pair(f"k-{number}"), t.bank.charges
        yield "race", len(charges) <= number, f"after {number} pairs the bank has charged {len(charges)} times"
        fine = len(charges) == number and all(t.fits(one) for one in answers)
        yield "pair-answer", fine, f"the answers were {answers}"


@part
def while_the_bank_is_at_work(t):
    t.start()
    free, begun = threading.Event(), threading.Event()
    t.bank.hold = lambda: len(t.bank.charges) > 1 or begun.set() or free.wait(4.0)
    first = Aside(lambda: t.mine.pay("ada", "k-1", 500, 1000.0)).start()
    begun.wait(4.0)
    try:
        for code, key, status in (("outstanding", "k-1", 409), ("blocks-others", "k-2", 200)):
            t.say("client", "payment", f"ada {key}")
            outcome = t.ask.run(t.mine.pay, "ada", key, 500, 1000.0, limit=1.5)
            fine = isinstance(outcome.value, tuple) and outcome.value[:1] == (status,)
            yield code, fine, f"while k-1 was outstanding, key {key}: {outcome}"
    finally:
        free.set()
        first.wait(4.0)
    answers = first.error or first.answer, t.pay()
    yield "pair-answer", answers == ((200, "receipt 1"),) * 2, f"the first one, and again: {answers}"


@part
def dies_after_each_step(t):
    for at in t.each_death():
        for second, twice in ((1, False), (2, False), (3, False), (None, True), (None, False)):
            t.fresh()
            t.start(at)
            t.pay()
            if second:
                t.start(second)
                t.pay()
            t.start(pause=0.002 if twice else 0.0)
            t.bank.slow = 0.1 if twice else 0.0
            answers, charges = t.pair("k-1") if twice else [t.pay(), t.pay()], t.bank.charges
            told = f"{t.died}then the answers were {answers}, and the bank has charged {len(charges)} times"
            yield "race-after-crash" if twice else "charged-twice", len(charges) < 2, told
            fine = charges and all(one == charges[0][2] or twice and t.fits(one) for one in answers)
            yield "stuck", fine, told


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
    references = [reference for reference, *_ in t.bank.charges]
    yield "references", len(set(references)) == 24, f"the references of 24 payments were {references}"
