"""Exercise 2, build: a resolver with a memory. A real registry is asked; the resolver's clock is the check's, so that
no second is waited for and every number is a count."""

from collections import Counter

from flask import Flask

from servicelab.checks.exercise import exercise
from servicelab.checks.lab08.registry_stage import Stand, stand
from servicelab.checks.learner_traceback import shown
from servicelab.leases import CRITICAL
from servicelab.servers import serve

TTL, NEGATIVE, RETRY, MOST = 5.0, 2.0, 1.0, 3  # seconds, and names
LIMIT = 6.0  # seconds for one call of the learner's: a question may wait for its timeout
SLOW = 3.0  # seconds in which a lookup must have given up

_HINTS = {
    "asks-every-call": "Keep the answer with the time at which it came, and look there first.",
    "asks-while-down": "Note when you may ask again: now + retry_after. Until then serve from memory, at once.",
}


@exercise("08", 2, "A resolver that remembers", limit=40.0)
def check_resolver(ask, lookup, Resolver):
    """``lookup(web, url, service)`` against a real registry, and ``Resolver(lookup, ttl, …, clock)`` on top of it."""
    ask.need(
        "swapped",
        "check_resolver(lookup, Resolver): the function first, and then the class",
        not (isinstance(lookup, type) and not isinstance(Resolver, type)),
        f"first came {shown(lookup)}, and then {shown(Resolver)}",
        "Swap the two.",
    )
    with stand(ask, Asking) as asking:
        _lookup(asking, lookup)
    with stand(ask, Asking) as asking:
        _no_answer(asking, lookup)
    for examine in (_fresh, _nobody, _names, _never_heard, _down):
        with stand(ask, Asking) as asking:
            examine(asking.begin(Resolver))


class Asking(Stand):
    """The learner's resolver at a registry of its own, on a clock that stands still until it is moved."""

    now = 1000.0

    def begin(self, kind):
        self.web = self.session("gateway")
        self.questions: Counter[str] = Counter()
        ask = self.ask
        outcome = ask.run(kind, self._ask, TTL, NEGATIVE, RETRY, MOST, lambda: self.now)
        if not outcome.returned:
            what = "Resolver(lookup, ttl, negative_ttl, retry_after, most, clock) makes a resolver"
            ask.need(outcome.how, what, False, str(outcome), "It is called with these six, in this order.")
        self.yours = outcome.value
        if not callable(getattr(self.yours, "instances", None)):
            what, hint = "a Resolver has the method instances(service)", "Keep the names that the task gives."
            ask.need("wrong-type", what, False, f"it is {shown(self.yours)}", hint)
        return self

    def _ask(self, service):
        """What the learner's resolver is given to ask with: a right lookup."""
        self.questions[service] += 1
        answer = self.web.get(f"{self.url}/v1/health/service/{service}?passing=1", timeout=1)
        answer.raise_for_status()
        return [f"http://{one['Service']['Address']}:{one['Service']['Port']}" for one in answer.json()]

    def get(self, service="orders", calls=1):
        """``(value, error)`` of so many calls of the learner's ``instances``, the last one's."""
        for _ in range(calls):
            outcome = self.ask.run(self.yours.instances, service, limit=LIMIT)
            if outcome.returned and not isinstance(outcome.value, list | tuple | set):
                self.need(
                    "wrong-type",
                    "instances(service) returns a list of addresses",
                    False,
                    str(outcome),
                    "Does every path end with return, or with raise LookupError(…)?",
                )
            if not outcome.returned and outcome.how != "exception":
                self.need(outcome.how, "instances(service) returns or raises", False, str(outcome), "What ends it?")
        if outcome.returned:
            return sorted(outcome.value), str(outcome)
        return outcome.error, str(outcome)

    def expect(self, code, what, passed, happened, hint):
        return self.ask.expect(code, what, passed, happened, hint, self.mark("GET"))

    def need(self, code, what, passed, happened, hint):
        self.ask.need(code, what, passed, happened, hint, self.mark("GET"))


def url(*numbers):
    return [f"http://127.0.0.1:{8000 + number}" for number in numbers]


def _lookup(asking, lookup):
    """What the registry says, read rightly."""
    ask, web = asking.ask, asking.session("gateway")
    asking.enter(1, 2)
    asking.enter(3, status=CRITICAL)
    found = ask.call(lookup, web, asking.url, "orders", returns=(list, tuple, set), limit=LIMIT)
    asking.need(
        "critical-too" if sorted(found) == url(1, 2, 3) else "wrong-addresses",
        "lookup finds the addresses of the two that pass, and not of the third, which is critical",
        sorted(found) == url(1, 2),
        f"it returned {shown(found)}",
        "Ask for /v1/health/service/orders?passing=1; f'http://{address}:{port}' from each entry's Service.",
    )
    found = ask.call(lookup, web, asking.url, "odrers", returns=(list, tuple, set), limit=LIMIT)
    asking.expect(
        "nobody-raises",
        "nobody of that name: an empty list",
        not found,
        f"it returned {shown(found)}",
        "An empty answer is an answer.",
    )


def _no_answer(asking, lookup):
    """A registry that has lost its leader, and one that hangs."""
    ask, web = asking.ask, asking.session("gateway")
    app = Flask("registry")
    app.add_url_rule("/<path:path>", "all", lambda path: ("No cluster leader", 500))
    with serve(app, "leaderless registry of the check", trace=asking.trace, lane="registry") as ill:
        outcome = ask.run(lookup, web, ill.url, "orders", limit=LIMIT)
    asking.expect(
        "error-is-nobody",
        "a registry that answers 500 has not answered: lookup raises",
        outcome.how == "exception",
        str(outcome),
        "answer.raise_for_status(): 'I cannot tell' must not become 'nobody is there'.",
    )
    asking.registry.pause()
    outcome = ask.run(lookup, web, asking.url, "orders", limit=SLOW)
    asking.expect(
        "no-timeout" if outcome.how == "time-limit" else "silence-is-nobody",
        f"a registry that hangs: within {SLOW:g} s lookup raises",
        outcome.how == "exception",
        str(outcome),
        "web.get(…, timeout=1): without it requests waits for ever."
        if outcome.how == "time-limit"
        else "Let the exception of requests through: the resolver has to know.",
    )


def _fresh(asking):
    """Ask, remember, and ask again in time."""
    asking.enter(1, 2)
    first, told = asking.get()
    asking.need("first-answer", "the first call asks, and gives what it heard", first == url(1, 2), told, "Ask first.")
    asking.get(calls=20)
    many = asking.questions["orders"]
    asking.need(
        "asks-every-call",
        "twenty more calls within the TTL: the registry is not asked",
        many == 1,
        f"it was asked {many} times for 21 calls",
        _HINTS["asks-every-call"],
    )
    given = asking.ask.call(asking.yours.instances, "orders", limit=LIMIT)
    if isinstance(given, list):
        given.clear()
        asking.expect(
            "not-a-copy",
            "a caller who empties his list does not empty the memory",
            asking.get()[0] == url(1, 2),
            "after that nobody was there any more",
            "Keep a tuple, or hand out list(…).",
        )
    asking.remove(1)
    asking.now += TTL * 1.1
    later, told = asking.get()
    asking.expect(
        "ignores-ttl",
        f"after {TTL:g} s it asks again: orders-1 has left",
        later == url(2),
        told,
        "An answer is fresh while clock() < the time it came + ttl.",
    )
    asking.now += TTL * 0.9
    before = asking.questions["orders"]
    asking.get(calls=3)
    asking.expect(
        "not-renewed",
        "… and the new answer is fresh for as long",
        asking.questions["orders"] == before,
        f"within its TTL it was asked {asking.questions['orders'] - before} times",
        "With each answer, note the time anew.",
    )


def _nobody(asking):
    """A live registry says: nobody."""
    asking.enter(1)
    asking.get()
    asking.remove(1)
    asking.now += TTL * 1.1
    found, told = asking.get()
    asking.need(
        "nobody-not-believed",
        "all have left, and the registry says so: an empty list",
        found == [],
        told,
        "`if not found` takes 'nobody' for a failure. The registry has answered; last known good is for silence.",
    )
    before = asking.questions["orders"]
    asking.get(calls=20)
    more = asking.questions["orders"] - before
    asking.expect(
        "nobody-not-kept",
        f"'nobody' is remembered, too, for {NEGATIVE:g} s",
        more == 0,
        f"twenty calls asked {more} times",
        "`if known:` is false for an empty list. Look at the time, not at the list.",
    )
    asking.enter(2)
    asking.now += NEGATIVE * 1.1
    found, told = asking.get()
    asking.expect(
        "nobody-kept-too-long",
        "… and no longer: then somebody has come back",
        found == url(2),
        told,
        "fresh for = ttl if found else negative_ttl.",
    )


def _down(asking):
    """The registry dies: the last known good serves, and the corpse is left alone."""
    asking.enter(1, 2)
    asking.get()
    asking.registry.kill()
    asking.now += TTL * 1.1
    found, told = asking.get()
    kept = asking.expect(
        "last-known-good-lost",
        "the registry is dead, and the answer no longer fresh: the last known good is given out",
        found == url(1, 2),
        told,
        "try: the question; except Exception: what you knew is still the best there is. Do not clear it before you "
        "have something better.",
    )
    before = asking.questions["orders"]
    asking.get(calls=20)
    more = asking.questions["orders"] - before
    asking.expect(
        "asks-while-down",
        f"after a failure it leaves the registry alone for {RETRY:g} s",
        more == 0,
        f"twenty calls asked {more} times; each would have waited for one more timeout",
        _HINTS["asks-while-down"],
    )
    for _ in range(30):
        asking.now += 600.0
        found, told = asking.get()
    if kept:
        asking.expect(
            "gives-up",
            "five hours later it still serves",
            found == url(1, 2),
            told,
            "As long as nobody says otherwise, the last answer is the best guess.",
        )
    before = asking.questions["orders"]
    asking.registry.restart(keep=False)
    asking.enter(3)
    asking.now += RETRY * 1.1
    found, told = asking.get()
    asking.expect(
        "never-back",
        "the registry is back: it is asked, and believed",
        found == url(3),
        f"{told}; it asked {asking.questions['orders'] - before} times",
        "retry_after is short. Do not treat a failure like a fresh answer with the whole ttl.",
    )


def _never_heard(asking):
    """Nothing is known, and nobody answers."""
    asking.registry.kill()
    found, told = asking.get()
    asking.expect(
        "silence-is-nobody",
        "nothing was ever heard, and the registry is dead: LookupError",
        isinstance(found, LookupError),
        told,
        "An empty list would say that nobody is there. Nobody has said so: raise LookupError(service).",
    )
    asking.get(calls=20)
    many = asking.questions["orders"]
    asking.expect(
        "asks-while-unknown",
        f"… and here, too, it asks once in {RETRY:g} s",
        many == 1,
        f"it asked {many} times for 21 calls",
        "A failure has to be remembered for a name that has no answer yet.",
    )


def _names(asking):
    """Many names, most of them misspelt."""
    asking.enter(1)
    asking.get("orders")
    found, told = asking.get("odrers")
    asking.need(
        "names-mixed",
        "another name has an answer of its own",
        found == [],
        told,
        "Remember by name: a dict from service to answer.",
    )
    for number in range(40):
        asking.get(f"name-{number}")
        asking.get("orders")  # which is used all the time
    many = asking.questions["orders"]
    asking.expect(
        "forgets-the-used",
        f"room for {MOST} names: the one that is used all the time stays",
        many == 1,
        f"it was asked for {many} times within its TTL",
        "Throw out the one that was *used* longest ago. An OrderedDict has move_to_end and popitem(last=False).",
    )
    asking.questions.clear()
    for number in range(40):
        asking.get(f"name-{number}")
    again = len(asking.questions)
    asking.expect(
        "unbounded",
        f"… and of 40 others at most {MOST} are remembered",
        again >= 40 - MOST,
        f"{40 - again} of 40 names were still there",
        "Names come from outside: links, typing errors, attackers. A memory without a bound is a leak.",
    )
