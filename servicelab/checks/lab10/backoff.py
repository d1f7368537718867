"""Exercise 2, build: full jitter, a budget that all retries share, and a client that repeats only what is safe."""

import itertools
import random
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from numbers import Real

import requests
from flask import Flask, request

from servicelab.checks.exercise import exercise
from servicelab.checks.lab10.lost import lost_reply
from servicelab.checks.learner_traceback import shown
from servicelab.checks.section import section
from servicelab.checks.slow_number import SlowNumber
from servicelab.clients import traced
from servicelab.servers import serve
from servicelab.trace import from_traceparent

BASE, CAP, TRIES = 0.05, 1.0, 4
DRAWS = 400  # of each delay; the mean of so many lies within 6 % of the step from its own
PATIENCE = 4.0  # seconds for one call of the learner's


@exercise("10", 2, "Backoff, jitter, budget", limit=60.0)
def check_backoff(ask, delays, budget, client):
    """``Client`` against a real payment, ``delays(base, cap, rng)`` and ``Budget(ratio, reserve)`` alone, and then all
    of them together."""
    _first(ask, delays, 3, random.Random(1))
    for examine in (_repeats, _not_for_ever, _answers, _posts, _keys):
        with section(ask), closing(Bench(ask, client, Purse())) as bench:
            examine(bench)
    with section(ask):
        _law(ask, delays)
    _tokens(ask, budget)
    with section(ask), closing(Bench(ask, client, Purse())) as bench:
        _spread(bench)
    with section(ask), closing(Bench(ask, client, ask.call(budget, 0.5, 5, limit=PATIENCE))) as bench:
        _one_pot(bench)


class Purse:
    """A budget that always pays: for the parts of the check that are not about budgets."""

    def deposit(self):
        """Nothing to do."""

    def withdraw(self) -> bool:
        return True


class Bench:
    """A real payment that does as it is told, and clients of the learner's. Nobody really sleeps."""

    def __init__(self, ask, client, budget):
        self.ask, self.make_client, self.budget = ask, client, budget
        self.todo, self.always, self.seen, self.slept, self.charged = [], "ok", [], [], []
        app = Flask("payment")
        for method in ("GET", "PUT", "POST"):
            app.add_url_rule("/charges", method, self._handle, methods=[method])
        self.server = serve(app, "payment", trace=ask.trace)
        self.web = traced(requests.Session(), ask.trace, "orders")
        self.last = None
        self.client = self.another(1)

    def close(self):
        self.web.close()
        self.server.stop()

    def _handle(self):
        id = (from_traceparent(request.headers.get("traceparent")) or (None, None))[1]
        key = request.headers.get("Idempotency-Key")
        self.seen.append((request.method, key))
        self.last = id or self.last
        what = self.todo.pop(0) if self.todo else self.always
        if what in ("ok", "lost") and (key is None or key not in self.charged):
            self.charged.append(key)
        if what == "ok":
            return "paid"
        return lost_reply() if what == "lost" else (f"this is a {what}", int(what))

    def another(self, seed):
        """A further client with the same budget."""
        client = self.ask.call(
            self.make_client, self.web, self.budget, random.Random(seed), self.slept.append, limit=PATIENCE
        )
        if not callable(getattr(client, "request", None)):
            self.need(
                "no-request",
                "a Client has the method request",
                False,
                f"it is {shown(client)}",
                "def request(self, method, url, key=None).",
            )
        return client

    def send(self, method, *todo, key=None, client=None):
        """One call through the learner's client: ``(status code or None, how it went in words)``. ``seen`` and
        ``slept`` are of this call alone."""
        self.todo[:], self.seen, self.charged = todo, [], []
        self.slept.clear()
        outcome = self.ask.run(
            (client or self.client).request, method, self.server.url + "/charges", key, limit=PATIENCE
        )
        lost = isinstance(outcome.error, requests.RequestException)
        if not outcome.returned and not lost:
            self.ask.need(
                outcome.how,
                "request returns a response, or raises what requests raised",
                False,
                str(outcome),
                "Read the last line first: it is where your code stood.",
                self.last,
            )
        status = None if lost else getattr(outcome.value, "status_code", None)
        if not lost and status is None:
            self.ask.need(
                "wrong-type",
                "request returns the response",
                False,
                str(outcome),
                "After the last attempt: return its response, or raise its exception.",
                self.last,
            )
        return status, f"{len(self.seen)} attempts; it {'raised' if lost else f'returned {status}'}"

    def expect(self, code, what, passed, happened, hint):
        return self.ask.expect(code, what, passed, happened, hint, self.last)

    def need(self, code, what, passed, happened, hint):
        self.ask.need(code, what, passed, happened, hint, self.last)


def _first(ask, delays, count, rng):
    """The first values of the learner's generator."""
    stream = ask.call(delays, BASE, CAP, rng, limit=PATIENCE)
    if not hasattr(stream, "__next__"):
        what, hint = "delays(base, cap, rng) is a generator", "`while True:` with a `yield` in it."
        ask.need("wrong-type", what, False, f"it returned {shown(stream)}", hint)
    found = ask.call(lambda: list(itertools.islice(stream, count)), limit=PATIENCE)
    if len(found) < count or not all(isinstance(one, Real) for one in found):
        ask.need(
            "delays-end",
            "delays never ends, and yields seconds",
            False,
            f"it yielded {len(found)} values, the last of them {shown(found[-1:])}",
            "How often to try is the client's business: `while True:`.",
        )
    return found


def _draw(ask, first):
    """The same delays as a diagram: four clients that failed together, and when they come back. The id of a retry."""
    mark = None
    for number in range(1, 5):
        name, at = f"client {number}", 0.0
        for retry, delay in enumerate([0.0, *first(3, number)]):
            at += min(max(delay, 0.0), 60.0)
            id = ask.trace.send(name, "payment", f"retry {retry}" if retry else "call", at=at)
            if retry:
                ask.trace.receive(id, "payment", at=at + 0.01)
                mark = mark or id
            else:
                ask.trace.lose(id, "no answer", at=at + 0.01)
    return mark


def _law(ask, delays):
    """The delays by themselves: their bounds, their mean, and where the chance comes from."""

    def first(count, seed=1, rng=None):
        return _first(ask, delays, count, rng or random.Random(seed))

    mark = _draw(ask, first)

    def expect(code, what, passed, happened, hint):
        ask.need(code, what, passed, happened, hint, mark)

    expect(
        "no-jitter",
        "the delays are drawn",
        len(set(first(200))) > 100,
        "it yielded the same values again and again",
        "rng.uniform(0, step): whoever failed together must not come back together.",
    )
    expect(
        "equal-seeds",
        "another client has other delays",
        first(9, 1) != first(9, 2),
        "two generators from different `rng`s yielded the same values",
        "A seed of your own makes all clients alike. Draw from the rng that you are given.",
    )
    expect(
        "other-rng",
        "the chance comes from `rng` alone",
        first(9, 1) == first(9, 1),
        "the same seed gave different delays",
        "rng.uniform, not random.uniform: runs must repeat.",
    )
    stream = delays(BASE, CAP, random.Random(3))
    many = ask.run(lambda: list(itertools.islice(stream, 1200)), limit=PATIENCE)
    expect(
        "overflow",
        "the 1200th delay can still be computed",
        many.returned,
        str(many),
        "0.05 * 2 ** 1100 is no float. Double a step and stop at the cap.",
    )
    worst = max(many.value)
    expect(
        "no-cap",
        f"no delay is longer than the cap, {CAP:g} s",
        worst <= CAP,
        f"one was {worst:.3g} s",
        "The step is min(cap, base * 2**n).",
    )
    rng = random.Random(5)
    rows = list(zip(*(first(6, rng=rng) for _ in range(DRAWS))))
    steps = [min(CAP, BASE * 2**n) for n in range(6)]
    least = max(min(row) / step for row, step in zip(rows, steps))
    expect(
        "not-full",
        "full jitter: the delays begin near 0",
        least < 0.1 and min(map(min, rows)) >= 0,
        f"of {DRAWS} draws the shortest was {least:.0%} of the step",
        "Full jitter is uniform(0, step).",
    )
    means = [sum(row) / DRAWS / (step / 2) for row, step in zip(rows, steps)]
    expect(
        "wrong-steps",
        "the steps are base, 2 base, 4 base, … up to the cap",
        all(0.85 < m < 1.15 for m in means),
        "the mean delays were " + ", ".join(f"{m * s / 2 * 1e3:.0f}" for m, s in zip(means, steps)) + " ms; with "
        f"base {BASE * 1e3:.0f} ms they should be " + ", ".join(f"{s / 2 * 1e3:.0f}" for s in steps) + " ms",
        "The first step is base itself, each is twice the one before.",
    )


def _tokens(ask, make):
    """The budget by itself."""

    def budget(ratio, reserve):
        made = ask.call(make, ratio, reserve, limit=PATIENCE)
        if not all(callable(getattr(made, name, None)) for name in ("deposit", "withdraw")):
            what, hint = "a Budget has the methods deposit and withdraw", "def deposit(self) and def withdraw(self)."
            ask.need("no-methods", what, False, f"it is {shown(made)}", hint)
        return made

    full = budget(0.5, 5)
    taken = sum(bool(ask.call(full.withdraw, limit=PATIENCE)) for _ in range(20))
    ask.need(
        "reserve",
        "a full budget of 5 pays for five retries in a row",
        taken == 5,
        f"it paid for {taken}",
        "It begins full. withdraw takes a whole token and says True, or takes nothing and says False.",
    )
    for _ in range(3):
        ask.call(full.deposit, limit=PATIENCE)
    taken = sum(bool(ask.call(full.withdraw, limit=PATIENCE)) for _ in range(20))
    ask.need(
        "ratio",
        "three first attempts at ratio 0.5 pay for one more",
        taken == 1,
        f"they paid for {taken}",
        "deposit adds `ratio`, and less than one token is none.",
    )
    for _ in range(100):
        ask.call(full.deposit, limit=PATIENCE)
    taken = sum(bool(ask.call(full.withdraw, limit=PATIENCE)) for _ in range(80))
    ask.need(
        "no-brim",
        "a hundred good calls later it holds 5 again, not 50",
        taken == 5,
        f"it paid for {taken}",
        "min(reserve, …): what was saved in a good hour would feed a storm.",
    )
    raced = ask.call(make, SlowNumber(0.5), SlowNumber(5), limit=PATIENCE)
    with ThreadPoolExecutor(16, thread_name_prefix="servicelab check") as crowd:
        taken = sum(bool(one.result()) for one in [crowd.submit(raced.withdraw) for _ in range(16)])
    ask.need(
        "budget-race",
        "sixteen threads at once get five tokens out of it",
        taken == 5,
        f"they got {taken}",
        "Looking and taking are one step: put a lock around both.",
    )


def _repeats(bench):
    status, told = bench.send("GET", "503")
    bench.need(
        "no-retry",
        "a GET that ends in 503 is tried again",
        status == 200,
        told,
        "A 5xx is the server's trouble, and it may be over.",
    )
    bench.need(
        "no-sleep",
        "… after a sleep",
        len(bench.slept) == 1,
        f"it slept {len(bench.slept)} times",
        "self.sleep(seconds), with the next of the delays.",
    )
    status, told = bench.send("GET", "lost")
    bench.need(
        "lost-not-retried",
        "a GET whose reply is lost is tried again",
        status == 200,
        told,
        "That is an exception: a requests.ConnectionError, a Timeout, a ChunkedEncodingError. All of them are "
        "a requests.RequestException.",
    )
    status, told = bench.send("PUT", "503", "lost")
    bench.expect(
        "put-not-retried",
        "a PUT, too, until it goes well",
        status == 200 and len(bench.seen) == 3,
        told,
        "PUT twice is PUT once.",
    )


def _not_for_ever(bench):
    bench.always = "503"
    status, told = bench.send("GET")
    bench.expect(
        "tries",
        "four attempts at the most, and the last response is returned",
        status == 503 and len(bench.seen) == TRIES,
        told,
        "tries counts the first attempt, too.",
    )
    bench.expect(
        "sleeps",
        "between four attempts there are three sleeps",
        len(bench.slept) == len(bench.seen) - 1,
        f"{len(bench.seen)} attempts, {len(bench.slept)} sleeps",
        "After the last attempt nobody gains from a sleep.",
    )
    bench.always = "lost"
    status, told = bench.send("GET")
    bench.expect(
        "error-hidden",
        "four lost replies end in the exception of the last",
        status is None,
        told,
        "A plain `raise` in the except block of the last attempt.",
    )


def _answers(bench):
    for code in ("404", "409"):
        bench.always = code
        status, told = bench.send("PUT")
        bench.expect(
            "retries-4xx",
            f"a {code} is an answer: one attempt",
            status == int(code) and len(bench.seen) == 1,
            told,
            "4xx: you have made a mistake, and repeating it is the next. Only 5xx may be over.",
        )


def _posts(bench):
    bench.send("POST", "lost")
    bench.expect(
        "post-repeated",
        "a POST without a key is never repeated: its reply was lost, its charge was not",
        len(bench.seen) == 1,
        f"{len(bench.seen)} attempts, and the customer was charged {len(bench.charged)} times",
        "You cannot know whether it was done. Pass the exception on.",
    )
    bench.send("POST", "503")
    bench.expect(
        "post-repeated-503",
        "… nor after a 503",
        len(bench.seen) == 1,
        f"{len(bench.seen)} attempts",
        "A 503 from a gateway does not say how far the call had come.",
    )


def _keys(bench):
    status, told = bench.send("POST", "lost", key="order-17")
    keys = [key for _, key in bench.seen]
    bench.expect(
        "key-not-used",
        "a POST with an idempotency key is repeated",
        status == 200 and len(keys) == 2,
        told,
        "With a key the server knows the second one for the first.",
    )
    bench.expect(
        "key-changed",
        "… with the same Idempotency-Key at each attempt",
        set(keys) == {"order-17"},
        f"the keys were {keys}",
        'headers={"Idempotency-Key": key}, at each attempt.',
    )


def _spread(bench):
    bench.always = "503"
    slept = []
    for seed in (1, 2):
        bench.send("GET", client=bench.another(seed))
        slept.append(list(bench.slept))
    bench.expect(
        "clients-alike",
        "two clients that fail together come back at different times",
        slept[0] != slept[1],
        "both slept " + ", ".join(f"{s * 1e3:.0f}" for s in slept[0]) + " ms",
        "Hand delays the rng that the client was given.",
    )
    bench.send("GET")
    worst = [s for s, n in zip(bench.slept, range(9)) if s > BASE * 2**n]
    bench.send("GET")
    worst += [s for s, n in zip(bench.slept, range(9)) if s > BASE * 2**n]
    bench.expect(
        "steps-go-on",
        "each call begins with short delays again",
        not worst,
        f"a sleep was {(worst or [0])[0] * 1e3:.0f} ms",
        "delays(…) anew for each call.",
    )


def _one_pot(bench):
    """Forty calls to a payment that is down. Right: about 5 + 0.5 × 40 retries."""
    other, bench.always, attempts = bench.another(2), "503", 0
    for number in range(40):
        bench.send("GET", client=other if number % 2 else bench.client)
        attempts += len(bench.seen)
    retries = attempts - 40
    code = "budget-too-tight" if retries < 19 else "refilled-by-retries" if retries < 90 else "not-shared"
    hint = {
        "budget-too-tight": "deposit at the first attempt of each call, withdraw before each retry.",
        "refilled-by-retries": "deposit belongs to a call, not to an attempt: retries that pay for retries never end.",
        "not-shared": "Before each retry: if not self.budget.withdraw(), give up. It must be the budget that the "
        "client was given: one of its own for each call bounds nothing.",
    }[code]
    bench.expect(
        code,
        "payment is down: 40 calls of two clients, at most 5 + 0.5 × 40 retries",
        19 <= retries <= 26,
        f"there were {retries} retries: {attempts / 40:.1f} attempts per call",
        hint,
    )
