"""Exercise 1: the page in two trips, written in four ways, and mistakes."""

import threading
from concurrent.futures import ThreadPoolExecutor
from itertools import starmap


def batched(ids, size):
    ids = list(ids)
    return [ids[at : at + size] for at in range(0, len(ids), size)]


def asked(get, kind, ids, size=25, at_once=True):
    """All of one kind, by id."""
    lots = batched(dict.fromkeys(ids), size)

    def ask(lot):
        answer = get(f"/{kind}", params={"id": lot})
        answer.raise_for_status()
        return answer.json()

    with ThreadPoolExecutor(max(1, len(lots)) if at_once else 1) as pool:
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


def one_by_one(basket, get):
    """As it was handed out."""
    return in_lots(basket, get, lambda get, kind, ids: asked(get, kind, ids, size=1, at_once=False))


def all_at_once(basket, get):
    return in_lots(basket, get, lambda get, kind, ids: asked(get, kind, ids, size=1))


def lots_in_a_row(basket, get):
    return in_lots(basket, get, lambda get, kind, ids: asked(get, kind, ids, at_once=False))


def one_large(basket, get):
    return in_lots(basket, get, lambda get, kind, ids: asked(get, kind, ids, size=1000))


def lots_of_all_lines(basket, get):
    """A lot of the lines and not of the ids."""

    def ask(get, kind, ids):
        found = {}
        with ThreadPoolExecutor(5) as pool:
            for some in pool.map(lambda lot: asked(get, kind, lot), batched(ids, 25)):
                found |= some
        return found

    return in_lots(basket, get, ask)


def always_asks(basket, get):
    def ask(get, kind, ids):
        return asked(get, kind, ids) or {one["id"]: one for one in get(f"/{kind}", {"id": []}).json()}

    return in_lots(basket, get, ask)


def quietly(get, kind, ids):
    try:
        return asked(get, kind, ids)
    except OSError:
        return {}


def a_hole_for_an_error(basket, get):
    return in_lots(basket, get, quietly)


def another_error(basket, get):
    try:
        return in_lots(basket, get)
    except OSError as error:
        raise RuntimeError("the catalogue is ill") from error


def makers_may_fail(basket, get):
    return in_lots(basket, get, lambda get, kind, ids: (asked if kind == "articles" else quietly)(get, kind, ids))


remembered = {}


def remembers(basket, get):
    key = id(get.__self__), tuple(basket)
    if key not in remembered:
        remembered[key] = in_lots(basket, get)
    return remembered[key]


RIGHT = {"in lots": in_lots, "by hand": by_hand, "a loader": lambda basket, get: Loader(get).page(basket)}
WRONG = {
    "one by one": (one_by_one, {"many-trips"}),
    "lots in a row": (lots_in_a_row, {"many-trips"}),
    "all at once": (all_at_once, {"too-many-calls"}),
    "lots of all lines": (lots_of_all_lines, {"too-many-calls"}),
    "one large lot": (one_large, {"too-many-ids"}),
    "another name": (no_name, {"other-rows"}),
    "as they come": (as_they_come, {"other-order"}),
    "each once": (each_once, {"twice"}),
    "without the unknown": (without_the_unknown, {"missing"}),
    "no such maker": (no_such_maker, {"missing"}),
    "always asks": (always_asks, {"nothing-to-ask"}),
    "a hole for an error": (a_hole_for_an_error, {"error-hidden"}),
    "makers may fail": (makers_may_fail, {"error-hidden"}),
    "another error": (another_error, {"error-hidden"}),
    "remembers": (remembers, {"old"}),
}
