"""Exercise 2, build: full jitter, a budget that all retries share, and a client that repeats only what is safe."""

import itertools
import random
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
STEPS = [min(CAP, BASE * 2**n) for n in range(6)]
DRAWS = 400  # of each delay; the mean of so many lies within 6 % of the step from its own

WORDS = words(f"""
wrong-type: delays returns an iterator, request a response
    Does every path end with what the task asks for?
delays-end: delays never ends, and yields seconds
    Whose business is it how often to try?
no-jitter: the delays are drawn
    Whoever failed together must not come back together. Where is the chance?
equal-seeds: another client has other delays
    Which generator do you draw from, and who else has the same?
other-rng: the chance comes from `rng` alone: the same seed, the same delays
    Which generator do you draw from?
overflow: the 1200th delay can still be computed
    How large is your step by then, before it is cut to the cap?
no-cap: no delay is longer than the cap, {CAP:g} s
    What bounds the step?
not-full: full jitter: the delays begin near 0
    From where to where does full jitter reach?
wrong-steps: the steps are base, 2 base, 4 base, … up to the cap
    How long may the first delay be at the most? And each compared with the one before?
reserve: a full budget of 5 pays for five retries in a row, and not for a sixth
    How much is in it at the beginning, and how much does each withdraw take?
ratio: three deposits of 0.5 pay for one retry
    What does deposit put in, and from how much on does withdraw pay?
no-brim: a hundred deposits later it holds 5 again, not 50
    What was saved in a good hour would feed a storm.
budget-race: sixteen threads at once get five tokens out of it
    What can another thread do between looking and taking?
deposit-race: sixteen deposits of 0.25 at once pay for four retries
    Is adding one step, or does it read first and write later?
no-retry: a GET that ends in a 5xx is tried again
    A 5xx is the server's trouble, and it may be over.
no-sleep: … after a sleep
    Which function were you given to sleep with?
lost-not-retried: a GET whose reply is lost is tried again
    How does requests tell you that there was no answer?
put-not-retried: PUT and DELETE are repeated, too, until they go well
    Done twice, is it more than done once?
tries: four attempts at the most, and the last response is returned
    Does your count include the first attempt?
sleeps: between four attempts there are three sleeps
    Who gains from a sleep after the last attempt?
error-hidden: when the last attempt ends in an exception, that is what is raised
    What do you still hold from an earlier attempt?
retries-4xx: a 404 or 409 is an answer: one attempt
    Whose mistake is a 4xx, and will it be another the second time?
post-repeated: a POST without a key is never repeated: its reply was lost, its charge was not
    Can you know whether it was done?
post-repeated-503: … nor after a 503
    Does a 503 say how far the call had come?
patch-repeated: a PATCH without a key is not repeated
    Which methods does the task call safe?
tokens-wasted: a token is taken for a retry, and for nothing else
    In which order do you ask your questions? Asking the budget takes a token.
key-not-used: a POST with an idempotency key is repeated
    What does the key change for the server?
key-changed: … with the same Idempotency-Key at each attempt
    How would the server know the second one for the first?
key-invented: a POST without a key has no Idempotency-Key at all
    What does the server think of two orders that have the same key?
clients-alike: two clients that fail together come back at different times
    Which generator does your client hand to delays?
steps-go-on: each call begins with short delays again
    Where do you make the delays: for the client, or for the call?
budget-too-tight, refilled-by-retries, not-shared: payment is down: 40 calls bring about 5 + 0.5 × 40 retries
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
        paid = [self.call(budget.withdraw) for _ in range(times)]
        self._note(f"withdraw × {times}", f"{sum(map(bool, paid))} × yes")
        return sum(map(bool, paid))

    def _note(self, said, answered):
        at = float(len(self.ask.trace))
        self.last = self.ask.trace.send("clients", "budget", said, at=at)
        self.ask.trace.receive(self.last, at=at + 0.5)
        id = self.ask.trace.send("budget", "clients", answered, id=reply_id(self.last), kind="reply", at=at + 1)
        self.ask.trace.receive(id, at=at + 1.5)


class Purse:
    """A budget that always pays, and counts."""

    taken = 0

    def deposit(self):
        """Nothing to do."""

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

    def send(self, method, *todo, key=None, client=None, always="ok"):
        """One call: ``(status code or None, how it went in words)``. ``seen`` and ``slept`` are of this call alone."""
        self.todo, self.always, self.seen, self.charged = list(todo), always, [], []
        self.slept.clear()
        outcome = self.ask.run((client or self.client).request, method, self.server.url + "/charges", key, limit=4.0)
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
    worst = max(many.value)
    yield "no-cap", worst <= CAP, f"one was {worst:.3g} s"
    rng = random.Random(5)
    rows = list(zip(*(itertools.islice(d.yours(BASE, CAP, rng), 6) for _ in range(DRAWS))))
    least = max(min(row) / step for row, step in zip(rows, STEPS))
    told = f"of {DRAWS} draws the shortest was {least:.0%} of the step"
    yield "not-full", least < 0.1 and min(map(min, rows)) >= 0, told
    means = [sum(row) / DRAWS for row in rows]
    told = "the mean delays were {} ms; with a base of 50 ms they should be {} ms".format(
        *(", ".join(f"{one * 1e3:.0f}" for one in ones) for ones in (means, [step / 2 for step in STEPS]))
    )
    yield "wrong-steps", all(0.85 < 2 * mean / step < 1.15 for mean, step in zip(means, STEPS)), told


@till
def tokens(t):
    full = t.budget(0.5, 5)
    paid = t.withdraw(full)
    yield "reserve", paid == 5, f"it paid for {paid} of 20"
    t.deposit(full, 3)
    paid = t.withdraw(full)
    yield "ratio", paid == 1, f"they paid for {paid}"
    t.deposit(full, 100)
    paid = t.withdraw(full, 80)
    yield "no-brim", paid == 5, f"it paid for {paid}"


@till
def threads(t):
    raced = t.budget(SlowNumber(0.25), SlowNumber(5))
    paid = sum(bool(one.answer) for one in t.at_once(*[raced.withdraw] * 16))
    t.withdraw(raced)  # what is left, for the diagram
    yield "budget-race", paid == 5, f"they got {paid}"
    t.at_once(*[raced.deposit] * 16)
    paid = t.withdraw(raced)
    yield "deposit-race", paid == 4, f"they paid for {paid}"


@desk
def retries(d):
    status, told = d.send("GET", "503")
    yield "no-retry", status == 200, told
    yield "no-sleep", len(d.slept) == 1, f"it slept {len(d.slept)} times"
    status, told = d.send("GET", "500", "502", "504")
    yield "no-retry", status == 200, f"500, 502, 504: {told}"
    status, told = d.send("GET", "lost")
    yield "lost-not-retried", status == 200, told
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
    for code in ("404", "409"):
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
    status, told = d.send("POST", "lost", key="order-17")
    yield "key-not-used", status == 200 and len(d.seen) == 2, told
    yield "key-changed", set(d.seen) == {"order-17"}, f"the keys were {d.seen}"


@desk
def what_is_paid_for(d):
    for method, todo in (("POST", "503"), ("GET", "404"), ("GET", "ok")):
        d.send(method, todo)
    d.send("GET", always="503")
    told = (
        f"a POST without a key, a 404 and a 200 need no retry, the last call needed 3; {d.budget.taken} were paid for"
    )
    yield "tokens-wasted", d.budget.taken <= TRIES - 1, told


@desk
def sleeps(d):
    slept = []
    for client in (d.client, d.another(2), d.client, d.client):
        d.send("GET", always="503", client=client)
        slept.append(list(d.slept))
    told = "both slept " + ", ".join(f"{one * 1e3:.0f}" for one in slept[0]) + " ms"
    yield "clients-alike", slept[0] != slept[1], told
    late = [one for some in slept for one, step in zip(some, STEPS) if one > step]
    yield "steps-go-on", not late, f"a sleep was {(late or [0])[0] * 1e3:.0f} ms"


@check_backoff.part("Client", "Budget")
def one_budget_for_all(d):
    other, attempts = d.another(2), 0
    for number in range(40):
        d.send("GET", client=other if number % 2 else d.client, always=("503", "lost")[number // 2 % 2])
        attempts += len(d.seen)
    retries = attempts - 40  # 5 + 0.5 × 40 = 25 are paid for
    code = "budget-too-tight" if retries < 19 else "refilled-by-retries" if retries < 90 else "not-shared"
    yield code, 19 <= retries <= 26, f"there were {retries} retries: {attempts / 40:.1f} attempts per call"
