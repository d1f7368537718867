"""Exercise 4, decide: where two regions write, copy and read each table. Judged on simulated failovers."""

from bisect import bisect_right
from functools import cache
from itertools import product
from numbers import Integral
from random import Random
from typing import NamedTuple

from servicelab.checks.learner_traceback import shown
from servicelab.checks.scenario import Stage, scenario, words
from servicelab.table import Table as Shown

HOMES, COPIES, READS = ("east", "west", "both"), ("sync", "async"), ("home", "here")
COMMIT, FULL, FAILOVERS = 0.002, 0.7, 300  # seconds; share of the time that a row may be locked; simulated
NEARLY = 1.1  # what may be put down to chance

WORDS = words("""
not-a-place: place returns a dict from each table to None, or to (home, copy, reads, parts)
    Compare what you return with the names in the task. parts is a whole number of at least 1.
possible: None is for tables for which no placement meets the needs
    Which need did you think cannot be met? Go through all the placements.
conflict: two regions commit to the same rows without asking each other only where such writes can be merged
    Who wins, when both have sold the last mug?
loses-money: a table of which nothing may be lost loses nothing at a failover
    What has the other region, when a write is answered?
loses-too-many: at a failover no more writes are lost than may be, on average
    How many writes are on their way to the other region at any moment?
slow-writes: every writer has the answer in time
    How many round trips does a write take: to its home, and between the regions?
locked: each part of the hottest row is locked for 70 % of the time at most
    For how long is a row locked by one write? How many such writes are there in a second?
too-many-parts: the hottest row has as few parts as that allows
    Who reads the row has to add all parts up. How many are needed?
slow-reads: every reader has the answer in time
    Which readers are not where you let them read?
stale: where it has to be fresh, a read sees all writes that were answered before it
    When a write has been answered, which region does not have it yet?
""")


class Table(NamedTuple):
    """A table, and what is needed of it; the task says what each number is."""

    east: float
    west: float
    hot: float
    lost: float
    within: float
    readers: tuple[str, ...]
    read_within: float
    fresh: bool = False
    merged: bool = False


class Lived(NamedTuple):
    """What came of a placement: seconds, writes, share of the time, seconds, share of the reads."""

    write: float
    lost: float
    locked: float
    read: float
    stale: float


@cache
def lived(table: Table, home: str, copy: str, reads: str, rtt: float, seed: int = 1) -> Lived:
    """Forty seconds of writes, with failovers and reads at moments of their own; one part."""
    dice, slowest, log = Random(seed), 0.0, []
    for region in ("east", "west"):
        rate, at = getattr(table, region), 0.0
        way = 0.0 if home in ("both", region) else rtt / 2
        while rate and (at := at + dice.expovariate(rate)) < 40:
            commit = at + way + (2 * rtt if copy == "sync" else 0) + COMMIT
            seen = commit + (0 if copy == "sync" else rtt / 2)  # in the other region
            log.append((region if home == "both" else home, commit, commit + way, seen))
            slowest = max(slowest, commit + way - at)
    moments = [dice.uniform(1, 39) for _ in range(FAILOVERS)]
    flying = [[one[1::2] for one in log if one[0] == region] for region in ("east", "west")]
    lost, stale, far = max(sum(under_way(some, moments)) for some in flying), 0, 0.0
    for reader in table.readers:
        place = reader if reads == "here" or home == "both" else home
        far = max(far, rtt if place != reader else 0.0)
        behind = [one[2:] for one in log if one[0] != place and one[3] - one[2] > 1e-9]
        stale += sum(map(bool, under_way(behind, moments)))
    locks = [(2 * rtt if copy == "sync" else 0) + COMMIT for _ in range(4000)]
    locked = sum(locks) / sum(dice.expovariate(table.hot) for _ in locks)
    return Lived(slowest, lost / FAILOVERS, locked, COMMIT + far, stale / FAILOVERS)


def under_way(some, moments) -> list[int]:
    """At each moment, how many of the pairs (from, to) have begun and not ended."""
    begun, ended = (sorted(each) for each in (zip(*some, strict=True) if some else ((), ())))
    return [bisect_right(begun, now) - bisect_right(ended, now) for now in moments]


def unmet(table, home, copy, reads, rtt) -> tuple[str, str]:
    """The code of the first need that this placement does not meet, whatever its parts, or "", and what happened."""
    came = lived(table, home, copy, reads, rtt)
    loss = "loses-too-many" if table.lost else "loses-money"
    met = {
        "conflict": (home, copy) != ("both", "async") or table.merged,
        loss: came.lost <= table.lost * NEARLY,
        "slow-writes": came.write <= table.within,
        "slow-reads": came.read <= table.read_within,
        "stale": not (table.fresh and came.stale),
    }
    told = f"a failover loses {came.lost:.3g} writes, a write takes {came.write:.3g} s at most, a read {came.read:.3g} s"
    told += f", and {100 * came.stale:.3g} % of the reads are stale"
    return next((code for code, is_met in met.items() if not is_met), ""), told


def possible(table, rtt):
    return [one for one in product(HOMES, COPIES, READS) if not unmet(table, *one, rtt)[0]]


BOTH = ("east", "west")
PRACTICE = 0.1, {
    "invoices": Table(10, 5, 4, 0, 0.5, BOTH, 0.2, fresh=True),
    "visits": Table(150, 90, 60, 10, 0.05, BOTH, 0.05, merged=True),
    "cart": Table(30, 30, 0.5, 0, 0.1, BOTH, 0.05),
}
#: Hidden: how far the regions are apart, and the tables.
SHOPS = (
    (0.15, {
        "payments": Table(20, 10, 6, 0, 0.7, BOTH, 0.4, fresh=True),
        "views": Table(100, 80, 50, 10, 0.05, BOTH, 0.05, merged=True),
        "catalogue": Table(0, 2, 0.1, 1, 0.1, BOTH, 0.05),
        "stock": Table(20, 20, 6, 5, 0.2, BOTH, 0.2, fresh=True),
        "logins": Table(5, 5, 0.2, 0, 0.1, BOTH, 0.4),
    }),
    (0.03, {
        "payments": Table(20, 30, 5, 0, 0.07, BOTH, 0.05, fresh=True),
        "merchant": Table(0, 60, 50, 0, 0.11, BOTH, 0.1),
        "balance": Table(10, 20, 2, 0, 0.12, BOTH, 0.02, fresh=True),
        "seats": Table(10, 20, 2, 3, 0.05, BOTH, 0.02, fresh=True),
        "reports": Table(1, 0, 0.1, 1, 0.05, ("east",), 0.02, fresh=True),
    }),
    (0.08, {
        "journal": Table(0, 400, 2, 10, 0.2, ("west",), 0.2),
        "likes": Table(180, 150, 90, 10, 0.05, BOTH, 0.02, merged=True),
        "votes": Table(180, 150, 2, 10, 0.2, BOTH, 0.2, fresh=True),
        "profiles": Table(3, 0, 0.1, 1, 0.05, BOTH, 0.1, fresh=True),
    }),
)  # fmt: skip


def parts_of(table, copy, rtt):
    return next(n for n in range(1, 1000) if table.hot * (COMMIT + 2 * rtt * (copy == "sync")) <= FULL * n)


def placed(place) -> Shown:
    """What comes of it in a shop to try things on; the check has others."""
    (rtt, tables), rows = PRACTICE, []
    found = place(dict(tables), rtt)
    for name, table in tables.items():
        if found[name] is None:
            rows.append((name, "None", "not said: try each placement"))
            continue
        *where, parts = found[name]
        code, told = unmet(table, *where, rtt)
        rows.append((name, shown(found[name]), f"{told}{', not met: ' * bool(code)}{WORDS[code][0] if code else ''}"))
    return Shown(("table", "placement", "what happened"), rows, f"simulated, the regions {1e3 * rtt:.0f} ms apart")


class Placed(Stage):
    def place(self, rtt, tables):
        found = self.call(self.yours, dict(tables), rtt, returns=dict, limit=5.0)
        for at, (name, table) in enumerate(tables.items()):
            where = found.get(name, "nothing")
            self.last = self.ask.trace.send("shop", name, shown(where, 40), at=at / 100)
            self.ask.trace.receive(self.last, at=at / 100 + 0.005)
            yield name, table, where


def is_place(where):
    if not isinstance(where, tuple | list) or len(where) != 4:
        return False
    home, copy, reads, parts = where
    is_whole = isinstance(parts, Integral) and not isinstance(parts, bool) and parts >= 1
    return is_whole and home in HOMES and copy in COPIES and reads in READS


check_regions = scenario("15", 4, "Two regions", WORDS, place=Placed)


@check_regions.part
def three_shops(p):
    for rtt, tables in SHOPS:
        for name, table, where in p.place(rtt, tables):
            told = f"{1e3 * rtt:.0f} ms apart, {name}: {shown(where)}; "
            yield "not-a-place", where is None or is_place(where), told
            if where is None:
                yield "possible", not possible(table, rtt), f"{told}there is a placement that meets {table}"
                continue
            home, copy, reads, parts = where
            code, happened = unmet(table, home, copy, reads, rtt)
            yield code or "conflict", not code, f"{told}{happened}; needed is {table}"
            locked = lived(table, home, copy, reads, rtt).locked / parts
            told += f"each of the {parts} parts is locked for {100 * locked:.3g} % of the time"
            yield "locked", locked <= FULL * NEARLY, told
            yield "too-many-parts", parts <= parts_of(table, copy, rtt), told
