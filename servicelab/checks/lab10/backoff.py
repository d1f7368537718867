"""Exercise 2, build: full jitter, a budget that all retries share, and a client that repeats only what is safe."""

import itertools
import random
import socket
from numbers import Real

import requests
from flask import Flask, request

from servicelab.checks.lab10.lost import lost_reply
from servicelab.checks.learner_traceback import shown
from servicelab.checks.scenario import Stage, scenario, words
from servicelab.checks.slow_number import SlowNumber
from servicelab.clients import traced
from servicelab.servers import serve
from servicelab.trace import from_traceparent, reply_id

BASE, CAP, TRIES = 0.05, 1.0, 4
STEPS = [min(CAP, BASE * 2**n) for n in range(3)]  # of the client's sleeps
WIDE, WIDE_STEPS = (0.1, 2.5), (0.1, 0.2, 0.4, 0.8, 1.6, 2.5)  # another base and cap
DRAWS = 400  # of each delay; the mean of so many lies within 6 % of the step from its own

WORDS = words("""
wrong-type: delays returns an iterator, withdraw True or False, request a response
    Does every path end with what the task asks for?
delays-end: delays never ends, and yields seconds
    Whose business is it how often to try?
no-jitter: the delays are drawn
    Whoever failed together must not come back together. Where is the chance?
equal-seeds, other-rng: the chance comes from `rng` alone: another seed, other delays; the same seed, the same
    Which generator do you draw from, and who else has the same?
overflow: the 1200th delay can still be computed
    How large is your step by then, before it is cut to the cap?
no-cap: no delay is longer than the cap
    What bounds the step?
not-full: full jitter: the delays begin near 0
    From where to where does full jitter reach?
wrong-steps: the steps are base, 2 base, 4 base, … up to the cap
    How long may the first delay be at the most? And each compared with the one before?
reserve: a full budget of 5 pays for five retries in a row, and not for a sixth
    How much is in it at the beginning, and how much does each withdraw take?
ratio: of three deposits of 0.75 the first pays for none, the second and the third for one retry each
    What does deposit put in, from how much on does withdraw pay, and what is left when it says no?
no-brim: a hundred deposits later it holds 5 again, no more and no less: they pay for five, and one more for none
    What was saved in a good hour would feed a storm. What becomes of a deposit of which only a part fits in?
another-budget: another budget, of 2.5, holds what it held: it pays for two, and after a deposit of 0.75 for one more
    What do two budgets have in common? And is anything whole about a reserve?
budget-race: sixteen threads at once get five tokens out of it
    What can another thread do between looking and taking?
deposit-race: eight tokens, sixteen deposits of 0.25 and eight withdraws, all at once: exactly four tokens are left
    Is adding one step, or does it read first and write later? And who else writes meanwhile?
no-retry: a GET that ends in a 5xx is tried again
    A 5xx is the server's trouble, and it may be over.
no-sleep: … after a sleep
    Which function were you given to sleep with?
lost-not-retried, refused-not-retried: a GET whose reply is lost is tried again, and one that nobody picks up
    How does requests tell you that there was no answer? Do you catch all that it raises?
put-not-retried: PUT and DELETE are repeated, too, until they go well
    Done twice, is it more than done once?
tries: four attempts at the most, and the last response is returned
    Does your count include the first attempt?
sleeps, sleeps-unpaid: before each retry one sleep, and no other: not after the last attempt, nor after the budget's no
    In which order do you look, ask and sleep?
error-hidden: when the last attempt ends in an exception, that is what is raised
    What do you still hold from an earlier attempt?
retries-4xx: a 4xx is an answer: one attempt
    Whose mistake is a 4xx, and will it be another the second time?
post-repeated, post-repeated-503, patch-repeated: without a key no POST or PATCH is repeated, be it lost or a 503
    Can you know whether it was done? Does a 503 say how far it had come? Which methods does the task call safe?
deposits, tokens-wasted: one deposit for each call, one withdraw for each retry, into and from the budget it was given
    Which calls pass by your deposit, or come by twice? In which order do you ask your questions?
key-not-used: a POST or a PATCH with an idempotency key is repeated
    What does the key change for the server?
key-changed: … with the same Idempotency-Key at each attempt, and so has a GET that was given one
    How would the server know the second one for the first?
key-invented: a POST without a key has no Idempotency-Key at all
    What does the server think of two orders that have the same key?
clients-alike: two clients that fail together come back at different times
    Which generator does your client hand to delays?
steps-go-on, steps-stay-short: each call begins with a short delay, and goes on to longer ones: its third is up to 0.2 s
    Where do you make the delays: for the client, for the call, or for the attempt?
refilled-by-retries, not-shared: payment is down: 40 calls bring about 5 + 0.5 × 40 retries
    Once for each call a deposit, once for each retry a withdraw, and all of it from the budget that the client was
    given. Count yours.
""")


class Drawn(Stage):
    """The delays by themselves, and drawn: four clients that failed together, and when they come back."""

    def __init__(self, ask, delays):
        super().__init__(ask, delays)
        for number in range(1, 5):
            name, at = f"client {number}", 0.0
            for retry, delay in enumerate([0.0, *self.first(3, number)]):
                at += min(max(delay, 0.0), 60.0)
                id = ask.trace.send(name, "payment", f"retry {retry}" if retry else "call", at=at)
                ask.trace.receive(id, "payment", at=at + 0.01) if retry else ask.trace.lose(id, "no answer", at=at)
                self.last = self.last or id

    def first(self, count, seed=1, rng=None):
        """The first ``count`` delays."""
        stream = self.call(self.yours, BASE, CAP, rng or random.Random(seed))
        if not hasattr(stream, "__next__"):
            self.refuse("wrong-type", f"delays returned {shown(stream)}")
        found = self.call(lambda: list(itertools.islice(stream, count)), limit=4.0)
        if len(found) < count or not all(isinstance(one, Real) for one in found):
            self.refuse("delays-end", f"it yielded {len(found)} values, the last of them {shown(found[-1:])}")
        return found


class Till(Stage):
    """A budget by itself, and what was put in and taken out."""

    def budget(self, ratio, reserve):
        return self.make(self.yours, ratio, reserve, methods=("deposit", "withdraw"))

    def deposit(self, budget, times):
        for _ in range(times):
            self.call(budget.deposit)
        self._note(f"deposit × {times}", "")

    def withdraw(self, budget, times=20):
        """How many of so many retries it pays for."""
        paid = [self.call(budget.withdraw, returns=bool) for _ in range(times)]
        self._note(f"withdraw × {times}", f"{sum(map(bool, paid))} × yes")
        return sum(map(bool, paid))

    def by_turns(self, budget, *deposits):
        return [self.deposit(budget, times) or self.withdraw(budget, 80) for times in deposits]

    def _note(self, said, answered):
        at = float(len(self.ask.trace))
        self.last = self.ask.trace.send("clients", "budget", said, at=at)
        self.ask.trace.receive(self.last, at=at + 0.5)
        id = self.ask.trace.send("budget", "clients", answered, id=reply_id(self.last), kind="reply", at=at + 1)
        self.ask.trace.receive(id, at=at + 1.5)


class Purse:
    """A budget that always pays, and counts both."""

    taken = put = 0

    def deposit(self):
        self.put += 1

    def withdraw(self) -> bool:
        self.taken += 1
        return True


class Desk(Stage):
    """A real payment that does as it is told, and clients of the learner's. Nobody really sleeps."""

    def __init__(self, ask, client, budget=None):
        super().__init__(ask, client)
        methods = ("deposit", "withdraw")
        self.budget = self.make(budget, 0.5, 5, methods=methods) if budget else Purse()
        self.todo, self.always, self.seen, self.slept, self.charged = [], "ok", [], [], []
        app = Flask("payment")
        app.add_url_rule("/charges", "charge", self._handle, methods=["GET", "PUT", "POST", "DELETE", "PATCH"])
        self.server = self.use(serve(app, "payment", trace=ask.trace))
        self.web = self.use(traced(requests.Session(), ask.trace, "orders"))
        self.client = self.another(1)

    def _handle(self):
        id = (from_traceparent(request.headers.get("traceparent")) or (None, None))[1]
        key = request.headers.get("Idempotency-Key")
        self.seen.append(key)
        self.last = id or self.last
        what = self.todo.pop(0) if self.todo else self.always
        if what in ("ok", "lost") and (key is None or key not in self.charged):
            self.charged.append(key)
        if what == "ok":
            return "paid"
        return lost_reply() if what == "lost" else (f"this is a {what}", int(what))

    def another(self, seed):
        """A further client with the same budget."""
        rng = random.Random(seed)
        return self.make(self.yours, self.web, self.budget, rng, self.slept.append, methods=("request",))

    def send(self, method, *todo, key=None, client=None, always="ok", url=None):
        """One call: ``(status code or None, how it went in words)``. ``seen`` and ``slept`` are of this call alone."""
        self.todo, self.always, self.seen, self.charged = list(todo), always, [], []
        self.slept.clear()
        outcome = self.ask.run(
            (client or self.client).request, method, url or self.server.url + "/charges", key, limit=4.0
        )
        lost = isinstance(outcome.error, requests.RequestException)
        status = None if lost else getattr(outcome.value, "status_code", None)
        if not lost and status is None:
            code = "wrong-type" if outcome.returned else outcome.how
            hint = "Read the last line first: it is where your code stood."
            what = "request returns the response, or raises what requests raised"
            self.ask.need(code, what, False, str(outcome), hint, self.last)
        return status, f"{len(self.seen)} attempts; it {'raised' if lost else f'returned {status}'}"


check_backoff = scenario("10", 2, "Backoff, jitter, budget", WORDS, delays=Drawn, Budget=Till, Client=Desk)
drawn, till, desk = (check_backoff.part(name) for name in check_backoff.stages)


@drawn
def chance(d):
    yield "no-jitter", len(set(d.first(200))) > 100, "it yielded the same values again and again"
    yield "equal-seeds", d.first(9, 1) != d.first(9, 2), "two generators from different `rng`s yielded the same values"
    yield "other-rng", d.first(9, 1) == d.first(9, 1), "the same seed gave different delays"


@drawn
def bounds(d):
    stream = d.call(d.yours, BASE, CAP, random.Random(3))
    many = d.ask.run(lambda: list(itertools.islice(stream, 1200)), limit=4.0)
    yield "overflow", many.returned, str(many)
    rng = random.Random(5)
    for cap, found in ((CAP, many.value), (0.3, [next(d.yours(2.0, 0.3, rng)) for _ in range(20)])):
        yield "no-cap", max(found) <= cap, f"with a cap of {cap:g} s one was {max(found):.3g} s"
    rows = list(zip(*(itertools.islice(d.yours(*WIDE, rng), 6) for _ in range(DRAWS))))
    least = max(min(row) / step for row, step in zip(rows, WIDE_STEPS))
    told = f"of {DRAWS} draws the shortest was {least:.0%} of the step"
    yield "not-full", least < 0.1 and min(map(min, rows)) >= 0, told
    means = [sum(row) / DRAWS for row in rows]
    told = "the mean delays were {} ms; with a base of 100 ms and a cap of 2500 ms they should be {} ms".format(
        *(", ".join(f"{one * 1e3:.0f}" for one in ones) for ones in (means, [step / 2 for step in WIDE_STEPS]))
    )
    yield "wrong-steps", all(0.85 < 2 * mean / step < 1.15 for mean, step in zip(means, WIDE_STEPS)), told


@till
def tokens(t):
    other, full = t.budget(0.75, 2.5), t.budget(0.75, 5)
    paid = t.withdraw(full)
    yield "reserve", paid == 5, f"it paid for {paid} of 20"
    paid = t.by_turns(full, 1, 1, 1)
    yield "ratio", paid == [0, 1, 1], f"they paid for {paid}"
    paid = t.by_turns(full, 100, 1)
    yield "no-brim", paid == [5, 0], f"they paid for {paid[0]} and {paid[1]}"
    paid = [t.withdraw(other), *t.by_turns(other, 1)]
    yield "another-budget", paid == [2, 1], f"it paid for {paid[0]} and {paid[1]}"


@till
def threads(t):
    raced = t.budget(SlowNumber(0.25), SlowNumber(5))
    paid = sum(bool(one.answer) for one in t.at_once(*[raced.withdraw] * 16))
    yield "budget-race", paid == 5, f"they got {paid}"
    raced = t.budget(SlowNumber(0.25), SlowNumber(12))
    t.withdraw(raced, 4)
    t.at_once(*[raced.deposit, raced.withdraw, raced.deposit] * 8)
    paid = [t.withdraw(raced), *t.by_turns(raced, 3)]
    yield "deposit-race", paid == [4, 0], f"it paid for {paid[0]}, and after three deposits for {paid[1]}"


@desk
def retries(d):
    status, told = d.send("GET", "503")
    yield "no-retry", status == 200, told
    yield "no-sleep", len(d.slept) == 1, f"it slept {len(d.slept)} times"
    for code in ("500", "502", "504", "507"):
        status, told = d.send("GET", code)
        yield "no-retry", status == 200, f"{code}: {told}"
    status, told = d.send("GET", "lost")
    yield "lost-not-retried", status == 200, told
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))  # and does not listen
        d.send("GET", url=f"http://127.0.0.1:{nobody.getsockname()[1]}/")
    yield "refused-not-retried", bool(d.slept), "nobody listened, and there was no second attempt"
    for method in ("PUT", "DELETE"):
        status, told = d.send(method, "503", "lost")
        yield "put-not-retried", status == 200 and len(d.seen) == 3, f"{method}: {told}"


@desk
def not_for_ever(d):
    status, told = d.send("GET", always="503")
    yield "tries", status == 503 and len(d.seen) == TRIES, told
    yield "sleeps", len(d.slept) == TRIES - 1, f"{len(d.seen)} attempts, {len(d.slept)} sleeps"
    status, told = d.send("GET", "503", always="lost")
    yield "error-hidden", status is None, f"a 503, then three lost replies: {told}"


@desk
def answers(d):
    for code in ("404", "408", "409", "429"):
        status, told = d.send("PUT", always=code)
        yield "retries-4xx", status == int(code) and len(d.seen) == 1, told


@desk
def not_safe(d):
    _, told = d.send("POST", "lost")
    yield "post-repeated", len(d.seen) == 1, f"{told}; the customer was charged {len(d.charged)} times"
    yield "key-invented", d.seen == [None], f"it had the key {d.seen[0]!r}"
    _, told = d.send("POST", "503")
    yield "post-repeated-503", len(d.seen) == 1, told
    _, told = d.send("PATCH", "503")
    yield "patch-repeated", len(d.seen) == 1, told


@desk
def with_a_key(d):
    for method in ("POST", "PATCH", "GET"):
        status, told = d.send(method, "lost", key="order-17")
        yield "key-not-used", status == 200 and len(d.seen) == 2, f"{method}: {told}"
        yield "key-changed", set(d.seen) == {"order-17"}, f"{method}: the keys were {d.seen}"
    d.send("POST")
    yield "key-invented", d.seen == [None], f"the next POST, without a key, had the key {d.seen[0]!r}"


@desk
def what_is_paid_for(d):
    for method, always in (("POST", "503"), ("GET", "404"), ("GET", "ok"), ("GET", "503"), ("GET", "lost")):
        d.send(method, always=always)
    told = "a POST without a key, a 404 and a 200 need no retry, two calls need 3 each:"
    told += f" for {d.budget.taken} it paid, and there were {d.budget.put} deposits for five calls"
    yield "tokens-wasted", d.budget.taken <= 2 * (TRIES - 1), told
    yield "deposits", d.budget.put == 5, told


@desk
def sleeps(d):
    slept = []
    for client in (d.client, d.another(2), *[d.client] * 14):
        d.send("GET", always="503", client=client)
        slept.append(list(d.slept))
    told = "both slept " + ", ".join(f"{one * 1e3:.0f}" for one in slept[0]) + " ms"
    yield "clients-alike", slept[0] != slept[1], told
    late = [one for some in slept for one, step in zip(some, STEPS) if one > step]
    yield "steps-go-on", not late, f"a sleep was {(late or [0])[0] * 1e3:.0f} ms"
    longest = max(some[-1] for some in slept)  # of 16: once in 60 000 it is by chance below half of what it may be
    yield "steps-stay-short", longest > STEPS[2] / 2, f"of {len(slept)} third ones the longest was {longest:.3g} s"


@check_backoff.part("Client", "Budget")
def one_budget_for_all(d):
    other, attempts, sleeps = d.another(2), 0, 0
    for number in range(40):
        d.send("GET", client=other if number % 2 else d.client, always=("503", "lost")[number // 2 % 2])
        attempts, sleeps = attempts + len(d.seen), sleeps + len(d.slept)
    retries = attempts - 40  # 5 + 0.5 × 40 = 25 are paid for
    code = "refilled-by-retries" if retries < 90 else "not-shared"
    yield code, 19 <= retries <= 26, f"there were {retries} retries: {attempts / 40:.1f} attempts per call"
    yield "sleeps-unpaid", sleeps == retries, f"there were {retries} retries and {sleeps} sleeps"
