"""Exercise 4, build: a control plane, which answers sidecars that poll. Plain data, seeded."""

from copy import deepcopy
from random import Random

from servicelab.checks.learner_traceback import shown
from servicelab.checks.scenario import Stage, scenario, words

WORDS = words("""
wrong-type: a push is None, ("clusters", {…}) or ("routes", {…})
    Compare with the list in the task. One push an answer: what is still to do is done at the next poll.
no-cluster: no push of routes names a cluster that the sidecar does not have: each request would be a 503
    What does the sidecar have at this moment? What you have sent is not yet what it has.
still-used: no push of clusters leaves out one that the sidecar's routes name: each request would be a 503
    Which routes does the sidecar have at this moment? Perhaps it has refused the new ones.
mistake: of a wanted state with a route to a cluster that it does not have, nothing is sent
    Who wrote this route? What is the last moment to see that it leads nowhere?
refused-again: what a sidecar has refused is not sent to it again, and nothing in its place
    It will refuse it as often as you send it. What does `refused` tell you, and may
    another step come instead?
chatter: when there is nothing new, the answer is None
    What does the sidecar have, and what would your push change?
touched: what it is given, it leaves as it is
    Whose dict do you write to? The others read it, too.
not-done, addresses, left-over: three polls after a change it has what is wanted: routes, addresses, no other clusters
    What keeps the next step back? A new sidecar has nothing at all, one that refused something may be asked for
    something else later, and a known name may have other addresses. When may a cluster go?
""")


def named(routes):
    return {cluster for weights in routes.values() for cluster in weights}


def state(routes, **clusters):
    """A wanted state. The addresses of the clusters are given by their last numbers."""
    clusters = {name: [f"10.0.0.{one}:80" for one in found] for name, found in clusters.items()}
    return {"clusters": clusters, "routes": routes}


V1, V2, UNKNOWN = {"/": {"v1": 100}}, {"/": {"v2": 100}}, state({"/": {"v1": 100}, "/regex": {"v1": 100}}, v1=[1])
#: Twenty changes: a canary, a swap, addresses, paths that come and go, two mistakes, a word that is not known.
WANTED = (
    state(V1, v1=[1]), state(V1, v1=[1, 2]), state({"/": {"v1": 100, "v2": 0}}, v1=[1, 2], v2=[3]),
    state({"/": {"v1": 50, "v2": 50}}, v1=[1, 2], v2=[3, 4]), state(V2, v2=[3, 4]),
    state({**V2, "/pay": {"pay": 100}}, v2=[3, 4], pay=[7]),
    state({"/": {"v3": 100}, "/pay": {"pay": 100}}, v3=[5], pay=[6]),
    state({"/": {"v3": 100}, "/pay": {"pay": 100}}, v3=[5]),
    state({"/": {"v3": 100}, "/pay": {"pay-2": 100}}, v3=[5], **{"pay-2": [8]}), state({"/": {"v3": 100}}, v3=[6]),
    state({"/": {"v1": 100, "v3": 0}}, v1=[1], v3=[6]),
    UNKNOWN, state(V1, v1=[3], v2=[3]), state({**V1, "/new": {"regex": 100}}, v1=[1], regex=[9]), UNKNOWN,
    state({"/": {"v1": 100, "v5": 0}}, v1=[1]), state({"/": {"v5": 100}, "/pay": {"pay": 100}}, v5=[3], pay=[2]),
    state({"/": {"pay": 100}, "/pay": {"v5": 100}}, v5=[3], pay=[2]), state({"/": {"pay": 100}}, v5=[2], pay=[3]),
    state(V1, v1=[1, 9]),
)  # fmt: skip


def is_mistaken(wanted):
    return bool(named(wanted["routes"]) - set(wanted["clusters"]))


def is_push(push):
    if not isinstance(push, tuple):
        return push is None
    kind, content = push if len(push) == 2 else (None, None)
    of = list if kind == "clusters" else dict
    fits = kind in ("clusters", "routes") and isinstance(content, dict)
    return fits and all(isinstance(one, of) for one in content.values())


class Sidecar:
    """What a sidecar has. It refuses a push that holds a word that it does not know."""

    def __init__(self, name, unknown="?"):
        self.name, self.unknown, self.has, self.refused = name, unknown, {"clusters": {}, "routes": {}}, []
        self.kept_from = 0  # the change of which it refused something

    def take(self, push, change):
        if self.unknown in repr(push):
            self.refused.append(push)
            self.kept_from = change
        else:
            self.has = {**self.has, push[0]: push[1]}

    def why_not(self, push, wanted, change):
        """The code of a push that it must not be sent now, or ""."""
        kind, content = push
        now = {**self.has, kind: content}
        if is_mistaken(wanted) or is_mistaken(now):
            return "mistake" if is_mistaken(wanted) else {"routes": "no-cluster", "clusters": "still-used"}[kind]
        if push in self.refused or self.kept_from == change:
            return "refused-again"
        return "chatter" if self.has in (now, wanted) else ""

    def lacks(self, wanted):
        """The code of what it has not as it is wanted, or ""."""
        if self.has == wanted or is_mistaken(wanted) or self.unknown in repr(wanted):
            return ""
        old = [name for name, found in wanted["clusters"].items() if self.has["clusters"].get(name) != found]
        return "not-done" if self.has["routes"] != wanted["routes"] else "addresses" if old else "left-over"


class Plane(Stage):
    def want(self, one):
        self.wanted, self.change = deepcopy(one), self.change + 1

    def poll(self, sidecar, now):
        """A sidecar polls: the answer is judged, and taken. Nobody does when something was wrong."""
        if self.wrong:
            return
        given = self.wanted, sidecar.has, sidecar.refused
        before = deepcopy(given)
        push = self.yours(*given)
        code, label = "" if is_push(push) else "wrong-type", shown(push, 30)
        if push and not code:
            code, label = sidecar.why_not(push, self.wanted, self.change), " ".join(map(str, (f"{push[0]}:", *push[1])))
        code = "touched" if given != before else code
        if push or code:
            self.draw("control", sidecar.name, label, now / 10)
        no = f", had refused {shown(before[2], 160)}" if before[2] else ""
        self.say(code, f"{sidecar.name} had {shown(before[1], 160)}{no}, and gets {shown(push, 160)}")
        if push and not code:
            sidecar.take(deepcopy(push), self.change)

    def say(self, code, told):
        if code and not self.wrong:
            self.wrong = code, f"wanted is number {self.change}, {shown(self.wanted, 200)}; {told}"

    def compare(self, sidecar):
        self.say(sidecar.lacks(self.wanted), f"{sidecar.name} has {shown(sidecar.has, 200)}")

    def one_after_another(self):
        """After each change all poll three times, and once more, when there is nothing left to do."""
        for wanted in WANTED:
            self.want(wanted)
            for sidecar in self.sidecars:
                for number in range(3):
                    self.poll(sidecar, self.change + number / 5)
                self.compare(sidecar)
                self.poll(sidecar, self.change + 0.7)

    def meanwhile(self, seed):
        """The changes come while they poll, after U[1, 2], and some before the one before is done."""
        dice, events, end = Random(seed), [], 0.0
        for one in WANTED:
            events.append((end, one, None))
            end += dice.uniform(0.3, 5)
        for sidecar in self.sidecars:
            now = dice.uniform(0, 1)
            while now < end + 10:
                now += dice.uniform(1, 2)
                events.append((now, None, sidecar))
        for now, one, sidecar in sorted(events, key=lambda event: event[0]):
            self.want(one) if one else self.poll(sidecar, now)
        for sidecar in self.sidecars:
            self.compare(sidecar)

    def judge(self, code, function, *args):
        self.wanted, self.change, self.wrong = None, 0, None
        self.sidecars = [Sidecar("orders", "regex"), Sidecar("users"), Sidecar("gateway")]
        self.call(function, *args, limit=6.0)
        code, told = self.wrong or (code, "")
        return code, not self.wrong, told


check_control = scenario("14", 4, "A control plane", WORDS, answer=Plane)


@check_control.part
def nothing_is_wanted(p):
    p.draw("control", "orders", "nothing is wanted")
    found = p.call(p.yours, {"clusters": {}, "routes": {}}, {"clusters": {}, "routes": {}}, [])
    yield "chatter", found is None, f"nothing is wanted, and it has nothing: it gets {shown(found)}"


@check_control.part
def one_change_after_another(p):
    yield p.judge("not-done", p.one_after_another)


@check_control.part
def twenty_changes_while_they_poll(p):
    for seed in (1, 2, 3):
        yield p.judge("no-cluster", p.meanwhile, seed)
