"""Exercise 1, repair: what a sidecar may send again. The wire is simulated and seeded."""

from collections import namedtuple
from itertools import cycle, product
from random import Random

from servicelab.checks.learner_traceback import shown
from servicelab.checks.scenario import Stage, scenario, words

COUNT, KEY = "x-envoy-attempt-count", "Idempotency-Key"
WIRE = {"connect-failure": 0.02, "reset": 0.01, 503: 0.01}  # shares of the tries

WORDS = words("""
double-charge: what perhaps was done, and must not be done twice, is not sent again
    A reset, or a 503 of the application: had the work been done? Which methods may be repeated, and what else helps?
not-sent: nothing was sent: it is sent again, whatever it is
    What can have happened at payment, when there was no connection?
idempotent: perhaps it was done: GET, HEAD, OPTIONS, PUT and DELETE are sent again
    Which methods leave the same behind, once or twice? The list is in the task.
keyed: perhaps it was done: with an idempotency key it is sent again, however the header's name is written
    How do you look the key up? What is the value of a header that says nothing?
final: any other status is an answer, and no reason to send again
    Which five outcomes leave it open whether the work was done? Everything else is an answer.
tries: with `tries` tries allowed, so many are made, and no more
    The first try is a try. Which number has the one that has just ended?
storm, thrifty: retries are as many as `least` and the share of the requests pay for, and no more
    What fills your budget, and what takes out of it? Does a request count that succeeded, and is a no paid for, too?
layers: a request that somebody above sends again is not sent again here
    What does the request say of the try that it is? Three tries here, for each of three there, are nine.
counted: each try says its number, in one header; a repetition from above keeps its own
    Which name, which number, which type? And how may the name be written in what came?
changed: everything else in the headers goes as it came, and the request that you were given stays as it is
    Whose dict do you write to?
""")


Request = namedtuple("Request", "method path headers")  # headers: a dict of texts, with names in any case


def order(key=None, method="POST", name=KEY, **more):
    return Request(method, "/charge", {**more, **({} if key is None else {name: key})})


def day(policy, seed, shares, requests=2000):
    """So many requests through a sidecar with this policy; ``shares`` of the tries end with these outcomes. Returns the
    share of the requests that succeed, and for each that was sent again (charges, "method, tries, outcome")."""
    dice, good, again = Random(seed), 0, []
    outcomes, weights = [*shares, 200], [*shares.values(), 1 - sum(shares.values())]
    for number in range(requests):
        request = (order(), order(f"k{number}"), order(method="GET"))[number % 3]
        tries, outcome, charges = 0, 0, 0
        while tries < 12 and outcome != 200 and (not tries or policy.again(request, tries, outcome)):
            tries += 1
            policy.headers(request, tries)
            (outcome,) = dice.choices(outcomes, weights)
            is_charged = outcome != "connect-failure" and request.method == "POST" and not (request.headers and charges)
            charges += is_charged  # payment serves a key once
        good += outcome == 200
        if tries > 1:
            again.append((charges, f"{request.method}, {tries} tries: {outcome}"))
    return good / requests, again


class Sidecar(Stage):
    def begin(self, tries=3, share=0.25, least=100):
        self.draw("orders", "sidecar", f"tries={tries}, share={share}, least={least}")
        self.policy = self.make(self.yours, tries, share, least, methods=("again", "headers"))
        return self

    def first(self, request, number):
        came = "".join(f", came as {text}" for name, text in request.headers.items() if name.lower() == COUNT)
        self.draw("sidecar", "upstream", f"{request.method}, try {number}{came}")
        return self.call(self.policy.headers, request, number, returns=dict)

    def tries(self, request, outcome):
        """How many tries are made when all end like this, 12 at most. After a 200 nobody asks."""
        for number in range(1, 13):
            self.first(request, number)
            self.draw("upstream", "sidecar", f"try {number}: {outcome}")
            if outcome == 200 or not self.call(self.policy.again, request, number, outcome, returns=bool):
                break
        return number

    def case(self, code, wanted, request, outcome):
        is_again = self.begin().tries(request, outcome) > 1
        told = f"{request.method} with {request.headers or 'no headers'}, {outcome!r}: sent again? {is_again}"
        return code, is_again == wanted, told


check_retries = scenario("14", 1, "What may be sent again", WORDS, Retries=Sidecar)
part = check_retries.part


@part
def a_day(s):
    _, again = s.call(day, s.begin().policy, 3, WIRE, limit=8.0)
    for _, told in sorted(again, reverse=True)[:3]:
        s.draw("sidecar", "upstream", told)
    twice = sum(charges > 1 for charges, _ in again)
    yield "double-charge", not twice, f"{twice} of 1334 orders were charged more than once"
    share, _ = s.call(day, s.begin().policy, 4, {"connect-failure": 0.02}, limit=8.0)
    yield "not-sent", share >= 0.995, f"2% of the connections fail, and {share:.1%} of the requests succeed"


@part
def each_outcome(s):
    for method in ("POST", "GET", "PATCH", "DELETE"):
        yield s.case("not-sent", True, order(method=method), "connect-failure")
    for outcome in ("reset", "timeout", 502, 503, 504):  # perhaps something was done
        for one in (order(), order(method="PATCH"), order("a", name="X-Idempotency-Key", **{"x-request-id": "r-7"})):
            yield s.case("double-charge", False, one, outcome)
        for method in ("GET", "HEAD", "OPTIONS", "PUT", "DELETE"):
            yield s.case("idempotent", True, order(method=method), outcome)
        for one in (order("7", name=KEY.lower()), order("7", name=KEY.upper()), order("0", "PATCH")):
            yield s.case("keyed", True, one, outcome)
        yield s.case("keyed", False, order(""), outcome)
    for outcome in (500, 501, 505, 429, 409, 404, 400, 302):
        for one in (order(method="GET"), order("7")):
            yield s.case("final", False, one, outcome)
    for name, count in ((COUNT, "2"), (COUNT.title(), "3"), (COUNT, "12"), (COUNT, "1")):
        for outcome in (503, "connect-failure"):
            yield s.case("layers", count == "1", order(method="GET", **{name: count}), outcome)


@part
def what_each_try_says(s):
    came_with = {"x-request-id": "r-7", "Accept": "text/html", KEY.lower(): "k", "X-Note": "", "X-Cart": " 2 mugs "}
    cases = [(COUNT, "2", 1), (COUNT.upper(), "4", 1)]
    cases += [(name, "1", number) for name in (None, COUNT, COUNT.title()) for number in (1, 2, 3)]
    for (name, came, number), more in product(cases, ({}, came_with)):
        headers = {**more, **({name: came} if name else {})}
        request = Request("PUT", "/charge", dict(headers))
        found = s.begin().first(request, number)
        says = [value for key, value in found.items() if str(key).lower() == COUNT]
        told = f"try {number} of what came with {shown(headers, 100)} goes with {shown(found, 100)}"
        yield "counted", says == [came if came > "1" else str(number)], told
        rest = {key: value for key, value in found.items() if str(key).lower() != COUNT}
        yield "changed", rest == more and request.headers == headers, told


@part
def how_many_tries_and_retries(s):
    for tries in (3, 1, 2, 5):
        for request, outcome in ((order(method="GET"), 503), (order("7"), "reset"), (order(), "connect-failure")):
            found = s.begin(tries).tries(request, outcome)
            told = f"{request.method}, {outcome!r} each time: {found} tries, with tries={tries}"
            yield "tries", found == tries, told
    for share, least in ((0.25, 10), (0.5, 0), (0.0, 7)):
        s.begin(3, share, least)
        made, others = 0, cycle(((order(), 503), (order(method="GET", **{COUNT: "2"}), 503), (order(), 200)))
        for number, other in zip(range(2, 121, 2), others):
            s.tries(*other)  # one try, which fills the budget, and costs nothing
            found = s.tries(*((order(method="GET"), 503), (order(), "connect-failure"))[number // 2 % 2]) - 1
            wanted, made = min(made + 2, int(least + share * number)), made + found
            told = f"share={share}, least={least}, after {number} requests: {made} retries (right: {wanted})"
            yield "storm" if made > wanted else "thrifty", made == wanted, told
