"""Exercise 1, repair: an inventory service that keeps its word. A fresh one for every question, on a real socket."""

import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from urllib.parse import urljoin

import requests
from flask import Flask

from servicelab.checks.exercise import exercise
from servicelab.checks.section import section
from servicelab.clients import traced
from servicelab.servers import serve
from servicelab.trace import from_traceparent

CLIENTS = 20
PATIENCE = 3.0  # seconds for one answer: hundreds of times what any right answer needs
MUG, CUP, POT = (
    {"sku": s, "name": n, "count": c} for s, n, c in [("M1", "mug", 3), ("C1", "cup", 8), ("P1", "pot", 2)]
)


@exercise("01", 1, "An inventory that keeps its word", limit=60.0)
def check_stock(ask, make_stock):
    """Ask the service of ``make_stock()`` what clients really ask: in order, out of order, and twenty at a time."""
    for examine in (_everyday, _ids, _validation, _languages, _nobody, _duplicates, _delete, _takes, _race):
        with section(ask), _service(ask, make_stock) as web:
            examine(ask, web)


class _Client:
    """A traced client of one service. ``said(answer)`` puts into words what came back, ``added`` is the last
    call of ``add``."""

    def __init__(self, ask, server, session):
        self.ask, self.server, self.session = ask, server, session
        self.added = None

    def __call__(self, method, path, body=None, **options):
        if body is not None:
            options["json"] = body
        try:
            return self.session.request(method, urljoin(self.server.url, path), timeout=PATIENCE, **options)
        except requests.RequestException as error:
            self.ask.need(
                "no-answer",
                f"{method} {path} is answered within {PATIENCE:g} s",
                False,
                f"{type(error).__name__}; {self.errors() or 'the service said nothing'}",
                "Does that handler return? A lock that is taken twice waits for itself.",
                self.ask.trace.calls[-1].id,
            )

    def errors(self):
        lines = "\n".join(self.server.errors).strip().splitlines()
        return f"its traceback ends with\n  {lines[-1]}" if lines else ""

    def said(self, answer):
        request = answer.request
        words = f"{request.method} {request.path_url} was answered {answer.status_code}"
        if answer.status_code >= 500 and self.errors():
            return f"{words}, and {self.errors()}"
        return f"{words}: {' '.join(answer.text.split())[:100] or '(no body)'}"

    def expect(self, code, what, answer, statuses, hint):
        """The answer has one of these statuses."""
        return self.ask.expect(code, what, answer.status_code in statuses, self.said(answer), hint, _call(answer))

    def add(self, item):
        """Add an item that nothing is wrong with, and return its row. The check ends when that cannot be done."""
        answer = self("POST", "/items", item)
        row = _json(answer)
        self.added = _call(answer)
        good = answer.ok and isinstance(row, dict) and isinstance(row.get("id"), int)
        if not good:
            what = "POST /items answers with the new item, as JSON and with its id"
            hint = "A good item must be accepted before anything else can be tried."
            self.ask.need("add-answer", what, False, self.said(answer), hint, self.added)
        return row


@contextmanager
def _service(ask, make_stock):
    app = ask.call(make_stock, returns=Flask)
    with serve(app, "inventory", trace=ask.trace, workers=CLIENTS) as server, requests.Session() as session:
        yield _Client(ask, server, traced(session, ask.trace, "client"))


def _everyday(ask, web):
    answer = web("POST", "/items", MUG)
    web.expect(
        "add-status",
        "POST /items says 201 Created",
        answer,
        {201},
        "200 says 'done'; 201 says 'there is something new'. The status goes after the body: return body, 201.",
    )
    row = _json(answer)
    place = answer.headers.get("Location")
    found = web("GET", place) if place else None
    ask.expect(
        "add-location",
        "Location says where the new item is",
        found is not None and _json(found) == row,
        f"Location: {place}" + (f"; {web.said(found)}" if found is not None else ""),
        "A third part of the return value is a dict of headers: return body, 201, {'Location': …}.",
        _call(answer),
    )
    row = web.add(CUP)
    ask.need(
        "add-changed",
        "the item comes back as it was sent, with an id",
        CUP.items() <= row.items(),
        f"sent {CUP}, got {row}",
        "Keep each of the three fields as it was sent.",
        web.added,
    )
    listing = web("GET", "/items")
    listed = _json(listing)
    ask.expect(
        "list",
        "GET /items lists every item",
        isinstance(listed, list) and len(listed) == 2 and row in listed,
        f"two were added, and the list was {listed}",
        "A list of rows, jsonified.",
        _call(listing),
    )
    changed = web("PUT", f"/items/{row['id']}", {**CUP, "count": 9})
    after = _json(web("GET", f"/items/{row['id']}"))
    ask.expect(
        "put",
        "PUT changes an item",
        changed.ok and after == {**row, "count": 9},
        f"{web.said(changed)}; then the item was {after}",
        "A row is a copy: write it back. The sku may stay what it was: that is no duplicate.",
        _call(changed),
    )


def _ids(ask, web):
    first, second = web.add(MUG), web.add(CUP)
    web("DELETE", f"/items/{first['id']}")
    third = web.add(POT)
    ask.expect(
        "id-taken",
        "a new item never gets the id of an item that is there",
        third["id"] != second["id"],
        f"delete item {first['id']}, add one: its id was {third['id']}, which is {second['name']!r}",
        "How many there are tells nothing about which numbers are taken.",
        web.added,
    )
    web("DELETE", f"/items/{third['id']}")
    fourth = web.add({**POT, "sku": "P2"})
    ask.expect(
        "id-reused",
        "the id of a deleted item is not given out again, not even the last one's",
        fourth["id"] not in (first["id"], second["id"], third["id"]),
        f"delete item {third['id']}, add another: its id was {fourth['id']} again. Who still has a link to "
        f"the old item now gets the new one",
        "The highest id so far can be deleted, too. Count forward, in a counter that nothing ever takes back.",
        web.added,
    )


#: What is wrong: the item, the fields that the answer must name.
_WRONG = {
    "field-missing": ("the name is missing", {"sku": "X", "count": 1}, ["name"]),
    "all-at-once": ("sku and count are missing", {"name": "mug"}, ["sku", "count"]),
    "name-number": ("the name is a number", {**MUG, "name": 7}, ["name"]),
    "name-empty": ("the name is empty", {**MUG, "name": ""}, ["name"]),
    "count-text": ("the count is the text '3'", {**MUG, "count": "3"}, ["count"]),
    "count-negative": ("the count is -1", {**MUG, "count": -1}, ["count"]),
    "count-true": ("the count is true", {**MUG, "count": True}, ["count"]),
    "no-object": ("the body is a list", [MUG], []),
}
_WHY = {
    "all-at-once": "Collect every complaint before you answer: who mends one field at a time needs three round trips.",
    "count-true": "In Python True is an int: isinstance(True, int). Ask for type(…) is int.",
    "no-object": "JSON may be a list, a number, null. Look before you look into it.",
}


def _validation(ask, web):
    for number, (code, (what, item, fields)) in enumerate(_WRONG.items()):
        if isinstance(item, dict) and "sku" in item:
            item = {**item, "sku": f"X{number}"}  # so that one which gets in is in nobody's way
        answer = web("POST", "/items", item)
        hint = _WHY.get(code, "Look at each field before you use it, and answer 422 with what is wrong.")
        if not web.expect(code, f"POST, {what}: 400 or 422", answer, {400, 422}, hint):
            continue
        missed = [field for field in fields if field not in answer.text]
        if fields:
            ask.expect(
                f"{code}-unnamed",
                f"… and the answer names {' and '.join(fields)}",
                not missed,
                f"{web.said(answer)}\nIt does not say {', '.join(missed)}.",
                "A client must learn which field to mend. Say it by name, in the body.",
                _call(answer),
            )
    row = web.add(MUG)
    answer = web("PUT", f"/items/{row['id']}", {**MUG, "count": "many"})
    web.expect(
        "put-unchecked",
        "PUT is as strict as POST",
        answer,
        {400, 422},
        "Two doors lead to the same shelf. Use one function for both.",
    )


def _languages(ask, web):
    json = {"Content-Type": "application/json"}
    web.expect(
        "malformed",
        "a body that is no JSON: 400",
        web("POST", "/items", data="{name", headers=json),
        {400},
        "request.get_json() answers 400 by itself when you let it; an `except` around it may hide that.",
    )
    web.expect(
        "form",
        "a form instead of JSON: 415",
        web("POST", "/items", data=MUG),
        {415},
        "request.get_json() answers 415 by itself, unless force=True or silent=True tell it not to.",
    )
    web.expect(
        "method",
        "PATCH, which nobody offers: 405",
        web("PATCH", "/items", MUG),
        {405},
        "Flask does this by itself for a route that names its methods.",
    )


def _nobody(ask, web):
    asked = [("GET", "/items/99"), ("DELETE", "/items/99"), ("POST", "/items/99/take")]
    for method, path in asked:
        web.expect(
            "unknown",
            f"{method} {path}, which is not there: 404",
            web(method, path),
            {404},
            "A KeyError inside is a 404 outside: the client asked for the wrong thing, nothing broke.",
        )
    answer = web("PUT", "/items/99", MUG)
    after = web("GET", "/items/99").status_code
    ask.expect(
        "put-creates",
        "PUT /items/99 creates nothing: 404",
        answer.status_code == 404 and after == 404,
        f"{web.said(answer)}; GET /items/99 then said {after}",
        "Here the service gives out the ids. A client that makes one up has made a mistake; tell it.",
        _call(answer),
    )


def _duplicates(ask, web):
    web.add(MUG)
    web.expect(
        "duplicate",
        "a second item with the same sku: 409",
        web("POST", "/items", {**MUG, "name": "jar"}),
        {409},
        "The item is fine by itself, it just cannot be there twice: a conflict, 409.",
    )
    cup = web.add(CUP)
    answer = web("PUT", f"/items/{cup['id']}", {**CUP, "sku": MUG["sku"]})
    web.expect(
        "put-duplicate",
        "PUT cannot take another item's sku either: 409",
        answer,
        {409},
        "Compare with every item except the one that is being changed.",
    )


def _delete(ask, web):
    path = f"/items/{web.add(MUG)['id']}"
    web.expect(
        "delete-status",
        "DELETE says 204 No Content",
        web("DELETE", path),
        {204},
        'Nothing is left to send back: return "", 204.',
    )
    web.expect(
        "delete-twice",
        "a second DELETE: 404",
        web("DELETE", path),
        {404},
        "It is not there any more: the same answer as for any id that nobody has.",
    )
    web.expect("deleted", "GET of a deleted item: 404", web("GET", path), {404}, "Is it really off the shelf?")


def _takes(ask, web):
    row = web.add({**MUG, "count": 1})
    path = f"/items/{row['id']}"
    answer = web("POST", path + "/take")
    left = _count(web, path)
    ask.expect(
        "take",
        "POST …/take takes one away: 200, and one less",
        answer.status_code == 200 and left == 0,
        f"{web.said(answer)}; the count went from 1 to {left}",
        "It has no body, so demand none. And a row is a copy: write it back.",
        _call(answer),
    )
    answer = web("POST", path + "/take")
    ask.expect(
        "take-empty",
        "POST …/take with nothing left: 409",
        answer.status_code == 409 and _count(web, path) == 0,
        f"{web.said(answer)}; the count was {_count(web, path)}",
        "The request is fine; the state of the item is against it. That is a conflict: 409.",
        _call(answer),
    )


def _race(ask, web):
    plenty, few = web.add({**MUG, "count": 50}), web.add({**CUP, "count": CLIENTS // 2})
    statuses, mark = _together(ask, web, lambda n: ("POST", f"/items/{plenty['id']}/take", None))
    taken, left = statuses.count(200), _count(web, f"/items/{plenty['id']}")
    ask.expect(
        "lost-update",
        f"{CLIENTS} clients take one of 50 each, at once: none is forgotten",
        taken == CLIENTS and left == 50 - taken,
        f"{taken} were told 200, and the count went from 50 to {left}: "
        f"{'several clients read the same number before any of them wrote' if taken else 'nobody got one'}",
        "Read, decide, write: three steps that must be one. Put a lock around all three.",
        mark,
    )
    statuses, mark = _together(ask, web, lambda n: ("POST", f"/items/{few['id']}/take", None))
    taken, left = statuses.count(200), _count(web, f"/items/{few['id']}")
    right = taken == CLIENTS // 2 and statuses.count(409) == CLIENTS // 2 and left == 0
    ask.expect(
        "oversold",
        f"{CLIENTS} clients, {CLIENTS // 2} cups: exactly {CLIENTS // 2} get one, the others 409",
        right,
        f"{taken} were told 200, {statuses.count(409)} were told 409, and the count ended at {left}",
        "The look at the count and the write must be inside one and the same `with lock:`.",
        mark,
    )
    pots = [{"sku": f"R{n}", "name": "pot", "count": n} for n in range(10)]
    _, mark = _together(ask, web, lambda n: ("POST", "/items", pots[n]), 10)
    ids = [row["id"] for row in _json(web("GET", "/items")) or [] if str(row.get("sku", "")).startswith("R")]
    ask.expect(
        "ids-in-a-race",
        "10 clients add an item at once: 10 items, 10 ids",
        len(set(ids)) == 10,
        f"{len(ids)} items were kept, with {len(set(ids))} different ids",
        "Two adds at once may both see the same 'next' number. Draw the number inside the lock.",
        mark,
    )
    statuses, mark = _together(ask, web, lambda n: ("POST", "/items", {**MUG, "sku": "same"}), 10)
    ask.expect(
        "duplicates-in-a-race",
        "10 clients add the same sku at once: one is first, nine get 409",
        (statuses.count(201) or statuses.count(200)) == 1 and statuses.count(409) == 9,
        f"they were told {sorted(statuses)}",
        "Looking whether the sku is there, and putting it there: one step, inside the lock.",
        mark,
    )


def _together(ask, web, request, clients=CLIENTS):
    """The statuses of ``clients`` requests sent at once, and the id of the first call among them."""
    before, line = len(ask.trace), threading.Barrier(clients, timeout=5)

    def client(number):
        line.wait()
        return web(*request(number)).status_code

    with ThreadPoolExecutor(clients, thread_name_prefix="servicelab check") as crowd:
        statuses = list(crowd.map(client, range(clients)))
    return statuses, ask.trace.since(before).calls[0].id


def _call(answer):
    """The id of the call that got this answer, which the diagram is to mark."""
    return from_traceparent(answer.request.headers["traceparent"])[1]


def _count(web, path):
    row = _json(web("GET", path))
    return row.get("count") if isinstance(row, dict) else None


def _json(answer):
    try:
        return answer.json()
    except ValueError:
        return None
