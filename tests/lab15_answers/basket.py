"""Exercise 1: the page in two trips, written in four ways, and mistakes."""

import threading
from concurrent.futures import ThreadPoolExecutor
from itertools import starmap


def batched(ids, size):
    ids = list(ids)
    return [ids[at : at + size] for at in range(0, len(ids), size)]


def asked(get, kind, ids, size=25, threads=None, each=dict.fromkeys):
    """All of one kind, by id."""
    lots = batched(each(ids), size)

    def ask(lot):
        answer = get(f"/{kind}", params={"id": lot})
        answer.raise_for_status()
        return answer.json()

    with ThreadPoolExecutor(threads or max(1, len(lots))) as pool:
        return {one["id"]: one for some in pool.map(ask, lots) for one in some}


def row_of(id, articles, makers):
    if id not in articles:
        return id, None, None, None
    one = articles[id]
    return id, one["name"], one["price"], makers.get(one["maker"], {}).get("name")


def in_lots(basket, get, ask=asked):
    articles = ask(get, "articles", basket)
    makers = ask(get, "makers", [one["maker"] for one in articles.values()])
    return [row_of(id, articles, makers) for id in basket]


def by_hand(basket, get):
    """Threads, slices, sets, and the ids in the address."""

    def gather(kind, ids):
        ids, found, failed = sorted(ids), {}, []

        def fetch(some):
            try:
                answer = get(f"/{kind}?" + "&".join("id=" + id for id in some))
                answer.raise_for_status()
                found.update((one.pop("id"), one) for one in answer.json())
            except Exception as error:
                failed.append(error)

        threads = [threading.Thread(target=fetch, args=(ids[at : at + 25],)) for at in range(0, len(ids), 25)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if failed:
            raise failed[0]
        return found

    articles = gather("articles", set(basket))
    makers = gather("makers", {one["maker"] for one in articles.values()})
    rows = []
    for id in basket:
        one = articles.get(id)
        maker = makers.get(one["maker"]) if one else None
        rows.append([id, one and one["name"], one and one["price"], maker and maker["name"]])
    return rows


class Loader:
    """Even lots, submitted; rows by starmap."""

    def __init__(self, get):
        self.get = get

    def load(self, kind, ids):
        ids = list(dict.fromkeys(ids))
        count = -(-len(ids) // 25)
        if not count:
            return []
        with ThreadPoolExecutor(count) as pool:
            answers = [pool.submit(self.get, f"/{kind}", {"id": ids[at::count]}) for at in range(count)]
        found = []
        for answer in answers:
            answer.result().raise_for_status()
            found += answer.result().json()
        return found

    def page(self, basket):
        articles = {one["id"]: one for one in self.load("articles", basket)}
        makers = {one["id"]: one["name"] for one in self.load("makers", (a["maker"] for a in articles.values()))}
        none = {"name": None, "price": None, "maker": None}
        lines = ((id, articles.get(id, none)) for id in basket)
        return list(starmap(lambda id, one: (id, one["name"], one["price"], makers.get(one["maker"])), lines))


def no_name(basket, get):
    return [(*row[:3], row[3] and row[3].removeprefix("maker ")) for row in in_lots(basket, get)]


def as_they_come(basket, get):
    rows = {row[0]: row for row in in_lots(basket, get)}
    return [rows[id] for id in sorted(basket, reverse=True)]


def each_once(basket, get):
    return in_lots(list(dict.fromkeys(basket)), get)


def without_the_unknown(basket, get):
    return [row for row in in_lots(basket, get) if row[1] is not None]


def no_such_maker(basket, get):
    known = {one[0]: one for one in in_lots(basket, get)}
    if any(one[1] and not one[3] for one in known.values()):
        raise KeyError("maker")
    return [known[id] for id in basket]


def asks(**how):
    return lambda basket, get: in_lots(basket, get, lambda *given: asked(*given, **how))


def makers_of_each_lot(basket, get):
    """Two calls, one after the other, for each lot of different articles."""
    lots, rows = batched(dict.fromkeys(basket), 25), {}
    with ThreadPoolExecutor(max(1, len(lots))) as pool:
        for some in pool.map(lambda lot: in_lots(lot, get), lots):
            rows |= {row[0]: row for row in some}
    return [rows[id] for id in basket]


def asks_again(basket, get):
    def patient(path, params):
        answers = (get(path, params) for _ in range(3))
        return next((answer for answer in answers if answer.ok), None) or get(path, params)

    return in_lots(basket, patient)


def always_asks(basket, get):
    def ask(get, kind, ids):
        return asked(get, kind, ids) or {one["id"]: one for one in get(f"/{kind}", {"id": []}).json()}

    return in_lots(basket, get, ask)


def quietly(get, kind, ids):
    try:
        return asked(get, kind, ids)
    except OSError:
        return {}


def looks_at_the_first(basket, get):
    """Where the first lot is well, the others are, too."""

    def ask(get, kind, ids):
        first, *others = batched(dict.fromkeys(ids), 25) or [[]]
        with ThreadPoolExecutor(10) as pool:
            found = [pool.submit(asked, get, kind, first), *(pool.submit(quietly, get, kind, lot) for lot in others)]
        return {id: one for some in found for id, one in some.result().items()}

    return in_lots(basket, get, ask)


def another_error(basket, get):
    try:
        return in_lots(basket, get)
    except OSError as error:
        raise RuntimeError("the catalogue is ill") from error


def makers_may_fail(basket, get):
    return in_lots(basket, get, lambda get, kind, ids: (asked if kind == "articles" else quietly)(get, kind, ids))


remembered = {}


def remembers(what):
    """It asks only for those that it has not seen yet, on whatever page."""

    def ask(get, kind, ids):
        seen = remembered.setdefault(kind, {}) if what == kind else {}
        seen |= asked(get, kind, [id for id in ids if id not in seen])
        return {id: seen[id] for id in ids if id in seen}

    return lambda basket, get: in_lots(basket, get, ask)


RIGHT = {"in lots": in_lots, "by hand": by_hand, "a loader": lambda basket, get: Loader(get).page(basket)}
WRONG = {
    "one by one": (asks(size=1, threads=1), {"many-trips"}),
    "five threads": (asks(threads=5), {"many-trips"}),
    "all at once": (asks(size=1), {"too-many-calls"}),
    "lots of all lines": (asks(each=list), {"too-many-calls"}),
    "lots of 24": (asks(size=24), {"too-many-calls"}),
    "makers of each lot": (makers_of_each_lot, {"too-many-calls"}),
    "asks again": (asks_again, {"too-many-calls"}),
    "one large lot": (asks(size=1000), {"too-many-ids"}),
    "another name": (no_name, {"other-rows"}),
    "as they come": (as_they_come, {"other-order"}),
    "each once": (each_once, {"twice"}),
    "without the unknown": (without_the_unknown, {"missing"}),
    "no such maker": (no_such_maker, {"missing"}),
    "always asks": (always_asks, {"nothing-to-ask"}),
    "looks at the first": (looks_at_the_first, {"error-hidden"}),
    "makers may fail": (makers_may_fail, {"error-hidden"}),
    "another error": (another_error, {"error-hidden"}),
    "remembers articles": (remembers("articles"), {"old"}),
    "remembers makers": (remembers("makers"), {"old"}),
}
