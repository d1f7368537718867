"""Exercise 4: plans written in three ways, and mistakes."""

from bisect import bisect_left
from collections import deque
from functools import partial
from math import ceil, inf

from cachetools import LRUCache


def replay(day, size=inf, ttl=inf, flaw=""):
    """Answered calls; a dict in the order of use."""
    copies, found = {}, 0
    for now, page in day.calls:
        born = copies.get(page) if flaw == "first in, first out" else copies.pop(page, None)
        born = None if flaw == "second 0" and not born else born
        is_hit = born is not None and (now - born < ttl or (flaw == "at the end" and now - born == ttl))
        found += is_hit
        if flaw == "too old is gone":
            copies = {name: at for name, at in copies.items() if now - at < ttl}
        copies[page] = born if is_hit and flaw != "use renews" else now
        while len(copies) > size:
            del copies[next(iter(copies))]
    return found


def by_trying(day, flaw="", play=None):
    play = play or partial(replay, flaw=flaw)
    calls, pages = len(day.calls), len({page for _, page in day.calls})
    goal = day.goal * calls

    def least(numbers, name, **settings):
        for number in numbers:
            if play(day, **{name: number}, **settings) >= goal + (flaw == "more than the goal"):
                return number
        return pages if flaw == "all pages" else None

    def costs(size):
        return size * day.place + (calls - play(day, size=size)) * day.work

    longest = ceil(day.calls[-1][0] - day.calls[0][0]) + 1
    sizes = range(1, pages + (flaw != "not the last"))
    rooms = range(flaw == "from one on", pages + (flaw != "not all"))
    found = {
        "ceiling": (calls - pages) / calls if flaw != "no ceiling" else 1.0,
        "size": least(sizes, "size"),
        "ttl": least(range(1, 61 if flaw == "a minute at most" else longest), "ttl"),
        "both": least(range(1, pages + 1), "size", ttl=day.fresh),
        "cheapest": min(rooms[::-1] if flaw == "the larger" else rooms, key=costs),
    }
    if flaw == "both is size":
        found["both"] = found["size"]
    if flaw == "texts":
        found = {case: str(number) for case, number in found.items()}
    return found


class Shelf(LRUCache):
    """cachetools, and how long ago."""

    def ask(self, page, now, ttl):
        born = self.get(page, -inf)
        if now < born + ttl:
            return 1
        self[page] = now
        return 0


def on_shelves(day, size=inf, ttl=inf):
    shelf = Shelf(size)
    return sum(shelf.ask(page, now, ttl) for now, page in day.calls) if size else 0


def with_shelves(day):
    return by_trying(day, play=on_shelves)


def by_distance(day):
    """One pass: how many other pages were asked for since the last time? With room for more than that, it is a hit."""
    stack, distances = deque(), []
    for _, page in day.calls:
        distances.append(stack.index(page) + 1 if page in stack else inf)
        if page in stack:
            stack.remove(page)
        stack.appendleft(page)
    ranked, calls, pages = sorted(distances), len(day.calls), len(stack)
    wanted = ceil(day.goal * calls - 1e-9)
    size = ranked[wanted - 1] if ranked[wanted - 1] < inf else None
    saved = [bisect_left(ranked, room + 0.5) * day.work - room * day.place for room in range(pages + 1)]
    slow = by_trying(day)
    return {
        "ceiling": sum(one < inf for one in distances) / calls,
        "size": size,
        "ttl": slow["ttl"],
        "both": slow["both"],
        "cheapest": saved.index(max(saved)),
    }


def flawed(flaw):
    return partial(by_trying, flaw=flaw)


RIGHT = {"by trying": by_trying, "with cachetools": with_shelves, "by distance": by_distance}
WRONG = {
    "texts": (flawed("texts"), {"wrong-type"}),
    "no ceiling": (flawed("no ceiling"), {"ceiling"}),
    "first in, first out": (flawed("first in, first out"), {"size"}),
    "more than the goal": (flawed("more than the goal"), {"size"}),
    "use renews": (flawed("use renews"), {"ttl"}),
    "at the end": (flawed("at the end"), {"ttl"}),
    "a minute at most": (flawed("a minute at most"), {"no-number"}),
    "all pages": (flawed("all pages"), {"no-number"}),
    "both is size": (flawed("both is size"), {"both"}),
    "not the last": (flawed("not the last"), {"no-number"}),
    "second 0": (flawed("second 0"), {"size"}),
    "the larger": (flawed("the larger"), {"cheapest"}),
    "not all": (flawed("not all"), {"cheapest"}),
    "from one on": (flawed("from one on"), {"cheapest"}),
}
