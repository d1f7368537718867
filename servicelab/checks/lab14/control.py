"""Exercise 4, build: a control plane, which answers sidecars that poll. Plain data, seeded."""

from copy import deepcopy
from random import Random

from servicelab.checks.lab14.drawn import Drawn
from servicelab.checks.learner_traceback import shown
from servicelab.checks.scenario import scenario, words

T = 1.0  # a poll comes after U[T, 2T] seconds

WORDS = words("""
wrong-type: a push is None, ("clusters", {…}) or ("routes", {…})
    Compare with the list in the task. One push an answer: what is still to do is done at the next poll.
no-cluster: no push of routes names a cluster that the sidecar does not have: each request would be a 503
    What does the sidecar have at this moment? What you have sent is not yet what it has.
still-used: no push of clusters leaves out one that the sidecar's routes name: each request would be a 503
    Which routes does the sidecar have at this moment? Perhaps it has refused the new ones.
mistake: of a wanted state with a route to a cluster that it does not have, nothing is sent
    Who wrote this route? What is the last moment to see that it leads nowhere?
refused-again: what a sidecar has refused is not sent to it again
    It will refuse it as often as you send it. What does `refused` tell you?
chatter: when there is nothing new, the answer is None
    What does the sidecar have, and what would your push change?
touched: what it is given, it leaves as it is
    Whose dict do you write to? The others read it, too.
not-done: three polls after a change, the sidecar has the wanted routes
    Which of your conditions keeps them back? A new sidecar has nothing at all, and one that has refused something may
    be asked for something else later.
addresses: three polls after a change, each wanted cluster has its new addresses
    A cluster with a known name may have other addresses.
left-over: three polls after a change, the sidecar has no clusters but the wanted ones
    When may a cluster go? What has to be acknowledged before that?
""")


def named(routes):
    return {cluster for weights in routes.values() for cluster in weights}


def state(routes, **addresses):
    """A wanted state: its clusters with their addresses, and its routes."""
    return {
        "clusters": {name: [f"10.0.0.{one}:80" for one in found] for name, found in addresses.items()},
        "routes": routes,
    }


V1, V2, BOTH = {"/": {"v1": 100}}, {"/": {"v2": 100}}, {"/": {"v1": 90, "v2": 10}}
#: Twenty changes: a canary, a swap, an instance that moves, a path that goes, two mistakes, a word that is not known.
WANTED = (
    state(V1, v1=[1]),
    state(V1, v1=[1, 2]),
    state(BOTH, v1=[1, 2], v2=[3]),
    state({"/": {"v1": 50, "v2": 50}}, v1=[1, 2], v2=[3, 4]),
    state(V2, v2=[3, 4]),
    state({**V2, "/pay": {"pay": 100}}, v2=[3, 4], pay=[7]),
    state({"/": {"v3": 100}, "/pay": {"pay": 100}}, v3=[5], pay=[7]),
    state({"/": {"v3": 100}, "/pay": {"pay": 100}}, v3=[5]),
    state({"/": {"v3": 100}, "/pay": {"pay-2": 100}}, v3=[5], **{"pay-2": [8]}),
    state({"/": {"v3": 100}}, v3=[6]),
    state({"/": {"v1": 100, "v3": 0}}, v1=[1], v3=[6]),
    state({"/": {"v1": 100}, "/new": {"regex": 100}}, v1=[1], regex=[9]),
    state({"/": {"v2": 100}}, v2=[3]),
    state({"/": {"v1": 100}, "/regex": {"v1": 100}}, v1=[1]),
    state({"/": {"v4": 100}}, v4=[2]),
    state({"/": {"v4": 100, "v5": 0}}, v4=[2]),
    state({"/": {"v5": 100}, "/pay": {"pay": 100}}, v5=[3], pay=[2]),
    state({"/": {"pay": 100}, "/pay": {"v5": 100}}, v5=[3], pay=[2]),
    state({"/": {"pay": 100}}, v5=[2], pay=[3]),
    state(V1, v1=[1, 9]),
)


def is_mistaken(wanted):
    return bool(named(wanted["routes"]) - set(wanted["clusters"]))


def is_push(push):
    if push is None:
        return True
    fits = (
        isinstance(push, tuple) and len(push) == 2 and push[0] in ("clusters", "routes") and isinstance(push[1], dict)
    )
    return fits and all(isinstance(one, list if push[0] == "clusters" else dict) for one in push[1].values())


class Sidecar:
    """What a sidecar has. It refuses a push that holds a word that it does not know."""

    def __init__(self, name, unknown="?"):
        self.name, self.unknown, self.has, self.refused = name, unknown, {"clusters": {}, "routes": {}}, []

    def take(self, push):
        kind, content = push
        if self.unknown in repr(content):
            self.refused.append(push)
        else:
            self.has = {**self.has, kind: content}

    def why_not(self, push, wanted):
        """The code of a push that it must not be sent now, or ""."""
        kind, content = push
        if is_mistaken(wanted):
            return "mistake"
        if kind == "routes" and named(content) - set(self.has["clusters"]):
            return "no-cluster"
        if kind == "clusters" and named(self.has["routes"]) - set(content):
            return "still-used"
        if push in self.refused:
            return "refused-again"
        return "chatter" if content == self.has[kind] or self.has == wanted else ""

    def lacks(self, wanted):
        """The code of what it has not as it is wanted, or ""."""
        if self.has == wanted or is_mistaken(wanted) or self.unknown in repr(wanted):
            return ""
        old = [name for name, found in wanted["clusters"].items() if self.has["clusters"].get(name) != found]
        return "not-done" if self.has["routes"] != wanted["routes"] else "addresses" if old else "left-over"


class Plane(Drawn):
    """Sidecars that poll. ``wrong`` is what was wrong first: (code, text)."""

    def begin(self):
        self.ask.trace.clear()
        self.wanted, self.change, self.wrong = None, 0, None
        self.sidecars = [Sidecar("orders", "regex"), Sidecar("users"), Sidecar("gateway")]

    def want(self, one):
        self.wanted, self.change = deepcopy(one), self.change + 1

    def poll(self, sidecar, now):
        """A sidecar polls: the answer is judged, and taken."""
        given = self.wanted, sidecar.has, sidecar.refused
        before = deepcopy(given)
        push = self.yours(*given)
        code = "touched" if given != before else "" if is_push(push) else "wrong-type"
        code = code or (push and sidecar.why_not(push, self.wanted))
        if push or code:
            self.draw("control", sidecar.name, shown(push, 30), now / 10)
        self.say(code, sidecar, f"{sidecar.name} had {shown(before[1], 160)}, and gets {shown(push, 160)}")
        if push and not code:
            sidecar.take(deepcopy(push))

    def say(self, code, sidecar, told=""):
        told = told or f"{sidecar.name} has {shown(sidecar.has, 200)}"
        if code and not self.wrong:
            self.wrong = code, f"wanted is number {self.change}, {shown(self.wanted, 200)}; {told}"

    def one_after_another(self):
        """After each change all poll three times, and once more, when there is nothing left to do."""
        self.begin()
        for wanted in WANTED:
            self.want(wanted)
            for sidecar in self.sidecars:
                for number in range(4):
                    self.poll(sidecar, self.change + number / 5)
                    self.say(sidecar.lacks(wanted) if number == 2 else "", sidecar)
            if self.wrong:
                break

    def meanwhile(self, seed):
        """The changes come while they poll, at gaps U[T, 2T], and some before the one before is done."""
        self.begin()
        dice, events, end = Random(seed), [], 0.0
        for one in WANTED:
            events.append((end, -1, one))
            end += dice.uniform(0.3, 5) * T
        for number in range(len(self.sidecars)):
            now = 0.0
            while now < end + 10 * T:
                now += dice.uniform(T, 2 * T)
                events.append((now, number, None))
        for now, number, one in sorted(events, key=lambda event: event[:2]):
            if number < 0:
                self.want(one)
            elif not self.wrong:
                self.poll(self.sidecars[number], now)
        for sidecar in self.sidecars:
            self.say(sidecar.lacks(self.wanted), sidecar)


check_control = scenario("14", 4, "A control plane", WORDS, answer=Plane)


@check_control.part
def one_change_after_another(p):
    p.call(p.one_after_another, limit=6.0)
    code, told = p.wrong or ("not-done", "")
    yield code, not p.wrong, told


@check_control.part
def twenty_changes_while_they_poll(p):
    for seed in (1, 2, 3):
        p.call(p.meanwhile, seed, limit=6.0)
        code, told = p.wrong or ("no-cluster", "")
        yield code, not p.wrong, told
