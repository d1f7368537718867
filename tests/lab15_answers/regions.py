"""Exercise 4: placed in three ways, and mistakes, most of which forget one need."""

from itertools import product
from math import ceil


def is_far(region, home):
    return home not in ("both", region)


def needs(table, home, copy, reads, rtt, trips=2):
    writes = {"east": table.east, "west": table.west}
    writers = [region for region, rate in writes.items() if rate]
    lost = rtt / 2 * (max(writes.values()) if home == "both" else sum(writes.values())) * (copy == "async")
    slowest = rtt * any(is_far(region, home) for region in writers) + trips * rtt * (copy == "sync")
    far = [region for region in table.readers if is_far(region, home)]
    apart = [region for region in table.readers if home == "both" and {region} != set(writers)]
    return {
        "merged": table.merged or (home, copy) != ("both", "async"),
        "lost": lost <= table.lost,
        "within": slowest + 0.002 <= table.within,
        "read_within": reads == "here" or not far or rtt + 0.002 <= table.read_within,
        "fresh": copy == "sync" or not table.fresh or not (apart or (far and reads == "here")),
    }


def parts_of(table, copy, rtt, trips=2, most=0.7):
    return max(1, ceil(table.hot * (0.002 + trips * rtt * (copy == "sync")) / most))


def tried(tables, rtt, without=(), order=slice(None), needs=needs, parts_of=parts_of):
    """The first one that meets all needs."""
    found = {}
    for name, table in tables.items():
        found[name] = None
        for one in list(product(("east", "west", "both"), ("sync", "async"), ("home", "here")))[order]:
            if all(met for need, met in needs(table, *one, rtt).items() if need not in without):
                found[name] = (*one, parts_of(table, one[1], rtt))
                break
    return found


def from_behind(tables, rtt):
    return tried(tables, rtt, order=slice(None, None, -1))


def by_rules(tables, rtt):
    return {name: by_rule(table, rtt) for name, table in tables.items()}


def by_rule(table, rtt):
    """Asynchronously, if that will do: at home where most writes are, or at both."""
    home = "east" if table.east >= table.west else "west"
    slow = rtt + 0.002 if min(table.east, table.west) else 0.002
    parts = max(1, ceil(table.hot * 0.002 / 0.7))
    if (table.east + table.west) * rtt / 2 <= table.lost and slow <= table.within:
        if not table.fresh:
            return home, "async", "here", parts
        if rtt + 0.002 <= table.read_within or table.readers == (home,):
            return [home, "async", "home", parts]
    if table.merged and not table.fresh and max(table.east, table.west) * rtt / 2 <= table.lost:
        return "both", "async", "here", parts
    locked = 2 * rtt + 0.002
    return ("both", "sync", "here", max(1, ceil(table.hot * locked / 0.7))) if locked <= table.within else None


class Planner:
    """Costs in trips; parts counted up."""

    def __init__(self, rtt):
        self.rtt = rtt

    def plan(self, table):
        for home in ("west", "both", "east"):
            for copy, lock in (("async", 0.002), ("sync", 0.002 + 2 * self.rtt)):
                for reads in ("here", "home"):
                    if all(needs(table, home, copy, reads, self.rtt).values()):
                        parts = 1
                        while table.hot * lock > 0.7 * parts:
                            parts += 1
                        return home, copy, reads, parts


def forgets(need, back=False):
    return lambda tables, rtt: tried(tables, rtt, (need,), slice(None, None, -1 if back else 1))


def all_of_them(home, copy, reads):
    return lambda tables, rtt: {name: (home, copy, reads, parts_of(one, copy, rtt)) for name, one in tables.items()}


def one_trip(table, home, copy, reads, rtt):
    return needs(table, home, copy, reads, rtt, trips=1)


def nothing_to_fear(table, home, copy, reads, rtt):
    """Ten lost ones are as good as none."""
    met = needs(table, home, copy, reads, rtt)
    return met | {"lost": met["lost"] or (table.east + table.west) * rtt / 2 <= 10}


def only_one_writes(table, home, copy, reads, rtt):
    """Both regions lose what both have written."""
    met = needs(table, home, copy, reads, rtt)
    return met | {"lost": copy == "sync" or rtt * (table.east + table.west) / 2 <= table.lost}


def as_if_safe(table, home, copy, reads, rtt):
    return needs(table, home, copy, reads, rtt) | {"lost": table.lost > 0 or copy == "sync"}


def parts(**how):
    return lambda tables, rtt: tried(tables, rtt, parts_of=lambda *given: parts_of(*given, **how))


RIGHT = {
    "all are tried": tried,
    "from behind": from_behind,
    "by rules": by_rules,
    "a planner": lambda tables, rtt: {name: Planner(rtt).plan(table) for name, table in tables.items()},
}
WRONG = {
    "only the first": (lambda tables, rtt: dict([next(iter(tried(tables, rtt).items()))]), {"not-a-place"}),
    "half a part": (
        lambda tables, rtt: {name: one and (*one[:3], one[3] + 0.5) for name, one in tried(tables, rtt).items()},
        {"not-a-place"}),
    "nothing is possible": (lambda tables, rtt: dict.fromkeys(tables), {"possible"}),
    "both lose": (lambda tables, rtt: tried(tables, rtt, needs=only_one_writes), {"possible"}),
    "forgets to merge": (forgets("merged", back=True), {"conflict"}),
    "async will do": (lambda tables, rtt: tried(tables, rtt, needs=nothing_to_fear, order=slice(None, None, -1)), {"loses-money"}),
    "some are lost": (lambda tables, rtt: tried(tables, rtt, needs=as_if_safe), {"loses-too-many"}),
    "two copies of everything": (all_of_them("both", "sync", "here"), {"slow-writes"}),
    "forgets the writers": (forgets("within"), {"slow-writes"}),
    "a commit is one trip": (lambda tables, rtt: tried(tables, rtt, needs=one_trip), {"slow-writes"}),
    "locked for one trip": (parts(trips=1), {"locked"}),
    "never in parts": (parts(most=1e9), {"locked"}),
    "locked all the time": (parts(most=1), {"locked"}),
    "many parts": (parts(most=0.1), {"too-many-parts"}),
    "forgets the readers": (forgets("read_within"), {"slow-reads"}),
    "forgets what is fresh": (forgets("fresh", back=True), {"stale"}),
}  # fmt: skip
