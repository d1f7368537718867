"""Exercise 2, build: full jitter, a budget that all retries share, and a client that repeats only what is safe."""

import random
import socket
from itertools import accumulate, islice
from math import inf
from numbers import Real

import requests
from flask import Flask, request

from servicelab.checks.lab10.four_tier_shop import lost_reply
from servicelab.checks.learner_traceback import shown
from servicelab.checks.scenario import Stage, scenario, words
from servicelab.checks.slow_number import SlowNumber
from servicelab.clients import traced
from servicelab.servers import serve

BASE, CAP = 0.05, 1.0
WIDE, STEPS = (0.1, 2.5), (0.1, 0.2, 0.4, 0.8, 1.6, 2.5)  # another base and cap, and the steps that follow
DRAWS = 400  # of each delay; the mean of so many lies within 6% of the step from its own
DOWN = "GET 500 502 503 504"

WORDS = words("""
wrong-type: delays returns an iterator of seconds without end, withdraw True or False, request a response
    Does every path end with what the task asks for? Whose business is it how often to try?
chance: the delays are drawn, and from `rng` alone: another seed, other delays; the same seed, the same
    Whoever failed together must not come back together. Which generator do you draw from, and who else has the same?
steps: the n-th delay lies anywhere from 0 to its step; the steps are base, 2 base, 4 base, … up to the cap
    How long may the first delay be at the most? From where to where does full jitter reach? What do you bound by the
    cap, the step or what was drawn?
reserve: two budgets are full at the beginning, and pay for as many retries as they hold whole tokens
    How much is in each, and how much does each withdraw take? What do two budgets have in common?
ratio: of three deposits of 0.75 the first pays for none, the second and the third for one retry each
    What does deposit put in, from how much on does withdraw pay, and what is left when it says no?
brim: a hundred deposits later it holds 5 again, no more and no less: they pay for five, and one more for none
    What was saved in a good hour would feed a storm. What becomes of a deposit of which only a part fits in?
race: threads at once take no more than there is, and no deposit is lost
    What can another thread do between looking and taking? Is adding one step, or does it read first and write later?
no-retry: GET, PUT and DELETE are tried again after a 5xx, whichever it is, and after a reply that was lost
    Which statuses are a 5xx? How does requests tell you that there was no answer? Whose failure do you look at after
    the second attempt?
tries: a call that fails, or that nobody picks up, has four attempts; what the last one brought is returned or raised
    Does your count include the first attempt? Do you catch all that requests raises? What is left of earlier ones?
final: a 4xx is an answer: one attempt
    Whose mistake is a 4xx, and will it be another the second time?
unsafe: without a key no POST or PATCH is repeated, be it lost or a 503
    Can you know whether it was done? Does a 503 say how far it had come? Which methods does the task call safe?
key: a POST or PATCH with a key is repeated; the key goes along at each attempt, and without one there is no such header
    How would the server know the second one for the first? And what does it think of two orders with the same key?
sleeps: before each retry one sleep, and no other: not after the last attempt, nor after the budget's no
    Which function were you given to sleep with? In which order do you look, ask and sleep?
tokens: one deposit for each call, one withdraw for each retry, into and from the budget it was given, whose no is final
    Which calls pass by your deposit, or come by twice? In which order do you ask your questions?
pauses: each call begins with a short delay, and goes on to longer ones: its third is up to 0.2 s
    Where do you make the delays: for the client, for the call, or for the attempt?
""")
#: Calls, by what they are for: the method, and the key if there is one; then all the replies that should be needed, of
#: which the last is what comes of it. With ``no-tokens`` the budget pays for no more; payment would say 200 next.
CALLS = {
    "no-retry": (*(f"GET {status} 200" for status in (503, 500, 502, 504, 507)), "GET lost 200", "PUT 503 lost 200")
    + ("DELETE 503 lost 200",),
    "tries": (DOWN, "GET 503 lost lost lost", "GET refused refused refused refused"),
    "final": ("PUT 404", "PUT 408", "PUT 409", "PUT 429"),
    "unsafe": ("POST lost", "POST 503", "PATCH 503"),
    "key": ("POST:order-1 lost 200", "PATCH:order-2 503 200", "GET:order-3 lost 200", "POST 200"),
    "tokens": ("GET 200", "GET 503 503 no-tokens", "PUT lost no-tokens"),
}


class Drawn(Stage):
    """The delays by themselves, and drawn: four clients that failed together, and when they come back."""

    def __init__(self, ask, delays):
        super().__init__(ask, delays)
        for seed in range(1, 5):
            waits = [0.0, *(min(max(delay, 0.0), 60.0) for delay in self.first(3, seed))]
            for number, at in enumerate(accumulate(waits), 1):
                self.draw(f"client {seed}", "payment", f"attempt {number}", at)

    def first(self, count, seed=1, base=BASE, cap=CAP):
        """The first ``count`` delays."""
        stream = self.call(self.yours, base, cap, random.Random(seed))

        def next_of_delays():
            return list(islice(stream, count))

        found = self.call(next_of_delays, limit=4.0) if hasattr(stream, "__next__") else []
        if len(found) < count or not all(isinstance(one, Real) for one in found):
            self.refuse("wrong-type", f"delays returned {shown(stream)}, which yielded {shown(found)}")
        return found


class Till(Stage):
    """A budget by itself, and what was put in and taken out."""

    def budget(self, ratio, reserve):
        return self.make(self.yours, ratio, reserve, methods=("deposit", "withdraw"))

    def paid(self, budget, deposits=0, times=20):
        """How many of so many retries it pays for, after so many deposits."""
        for _ in range(deposits):
            self.call(budget.deposit)
        paid = sum(bool(self.call(budget.withdraw, returns=bool)) for _ in range(times))
        self.draw("clients", "budget", f"deposit × {deposits}, withdraw × {times}")
        self.draw("budget", "clients", f"{paid} × yes")
        return paid


class Web(requests.Session):
    """``raised`` is what its last request raised."""

    raised = "nothing yet"

    def request(self, *args, **options):
        try:
            return super().request(*args, **options)
        except requests.RequestException as error:
            self.raised = error
            raise


class Desk(Stage):
    """A real payment that does as it is told, and clients of the learner's. Their budget is this desk: it counts, and
    says no after ``most`` retries. Nobody really sleeps."""

    def __init__(self, ask, Client):
        super().__init__(ask, Client)
        app = Flask("payment")
        app.add_url_rule("/charges", "charge", self.reply, methods=["GET", "PUT", "POST", "DELETE", "PATCH"])
        closed = self.use(socket.socket())
        closed.bind(("127.0.0.1", 0))  # and does not listen
        self.nobody = f"http://127.0.0.1:{closed.getsockname()[1]}"
        self.url = self.use(serve(app, "payment", trace=ask.trace)).url + "/charges"
        self.web = self.use(traced(Web(), ask.trace, "orders"))
        self.client = self.another(1)

    def another(self, seed):
        """A further client with the same budget."""
        return self.make(self.yours, self.web, self, random.Random(seed), self.sleep, methods=("request",))

    def reply(self):
        self.keys.add(request.headers.get("Idempotency-Key"))
        reply = next(self.replies, "200")
        return lost_reply() if reply == "lost" else (f"this is a {reply}", int(reply))

    def deposit(self):
        self.put += 1

    def withdraw(self) -> bool:
        self.asked += 1
        return self.asked <= self.most

    def sleep(self, seconds):
        self.slept.append(float(seconds))

    def send(self, code, line, client=None):
        """One call, as in ``CALLS``."""
        what, *replies = line.removesuffix(" no-tokens").split()
        method, _, key = what.partition(":")
        retries, is_broke, before = len(replies) - 1, line.endswith("no-tokens"), len(self.ask.trace)
        self.replies, self.keys, self.slept = iter(replies), set(), []
        self.put, self.asked, self.most = 0, 0, retries if is_broke else inf

        def request():
            try:
                url = self.nobody if "refused" in replies else self.url
                return (client or self.client).request(method, url, key or None)
            except requests.RequestException as error:
                return error

        found = self.call(request, limit=4.0)
        ended = str(getattr(found, "status_code", "what an earlier attempt had raised"))
        if found is self.web.raised:
            ended = replies[-1]
        elif not ended.isdigit() and not isinstance(found, requests.RequestException):
            self.refuse("wrong-type", f"request returned {shown(found)}")
        calls = self.ask.trace.since(before).calls
        self.last = calls[-1].id if calls else self.last
        told = f"{line.replace(' ', ', replies ', 1)}: attempts: {len(calls)}, sleeps: {len(self.slept)}, deposits: "
        told += f"{self.put}, withdraws: {self.asked}; Idempotency-Key: {self.keys}; it ended with {ended}"
        yield code, ended == replies[-1] and len(calls) == len(replies), told
        yield "key", self.keys <= {key or None}, told
        yield "sleeps", len(self.slept) == retries, told
        yield "tokens", self.put == 1 and self.asked == retries + is_broke, told


check_backoff = scenario("10", 2, "Backoff, jitter, budget", WORDS, delays=Drawn, Budget=Till, Client=Desk)
drawn, till, desk = (check_backoff.part(name) for name in check_backoff.stages)


@drawn
def the_delays(d):
    yield "chance", d.first(9, 1) != d.first(9, 2), "two generators from different `rng`s yielded the same values"
    yield "chance", d.first(9, 1) == d.first(9, 1), "the same seed gave different delays"
    many = d.first(1200)  # by then the step is too large for a float, unless it is bounded
    yield "steps", many.count(CAP) < 120, f"of 1200 delays {many.count(CAP)} are just as long as the cap"
    yield "chance", len(set(many)) > 600, "it yielded the same values again and again"
    for cap, found in (CAP, many), (0.3, [d.first(1, seed, base=2.0, cap=0.3)[0] for seed in range(20)]):
        yield "steps", max(found) <= cap, f"with a cap of {cap:g} s one was {max(found):.3g} s"
    rng = random.Random(5)
    for step, row in zip(STEPS, zip(*(islice(d.yours(*WIDE, rng), 6) for _ in range(DRAWS)))):
        mean, told = sum(row) / DRAWS, f"with a base of 0.1 s and a cap of 2.5 s, {DRAWS} draws of the one that may be"
        told += f" {step} s long: from {min(row):.3g} to {max(row):.3g} s, on average {mean:.3g} s"
        yield "steps", 0 <= min(row) < 0.1 * step and 0.85 < 2 * mean / step < 1.15, told


@till
def tokens(t):
    five, two = t.budget(0.75, 5), t.budget(0.75, 2.5)
    scenes = [(five, "reserve", 0, 5), *((five, "ratio", 1, due) for due in (0, 1, 1)), (two, "reserve", 0, 2)]
    scenes += [(two, "ratio", 1, 1), (five, "brim", 100, 5), (five, "brim", 1, 0)]
    for budget, code, deposits, due in scenes:
        paid = t.paid(budget, deposits)
        yield code, paid == due, f"after {deposits} deposits it paid for {paid} of 20 retries; due were {due}"


@till
def threads(t):
    raced = t.budget(SlowNumber(0.25), SlowNumber(5))
    paid = sum(bool(one.answer) for one in t.at_once(*[raced.withdraw] * 16))
    yield "race", paid == 5, f"sixteen threads got {paid} of five tokens"
    raced = t.budget(SlowNumber(0.25), SlowNumber(12))
    t.paid(raced, times=4)
    t.at_once(*[raced.deposit, raced.withdraw, raced.deposit] * 8)
    paid = t.paid(raced), t.paid(raced, 3)
    told = "eight tokens, sixteen deposits of 0.25 and eight withdraws, all at once: then it paid for"
    yield "race", paid == (4, 0), f"{told} {paid[0]}, and after three deposits for {paid[1]}; due were 4 and 0"


def calls(d, code, lines):
    for line in lines:
        yield from d.send(code, line)


check_backoff.parts({f"calls: {code}": (code, lines) for code, lines in CALLS.items()}, calls, "Client")


@desk
def pauses(d):
    slept = []
    for client in (d.another(1), d.another(2), d.another(1), *[d.client] * 14):
        yield from d.send("tries", DOWN, client)
        slept.append(d.slept)
    yield "chance", slept[0] != slept[1], f"two clients slept {slept[0]}"
    yield "chance", slept[0] == slept[2], f"two clients with the same seed slept {slept[0]} and {slept[2]}"
    for number, most in enumerate((0.05, 0.1, 0.2)):
        longest = max(some[number] for some in slept)  # of 17; once in 60 000 it is by chance below half of its most
        told = f"of {len(slept)} calls, before retry {number + 1}, the longest sleep was {longest:.3g} s"
        yield "pauses", most / 2 < longest <= most, told
