"""Exercise 1, repair: an inventory service that keeps its word. A fresh one for every part, on a real socket."""

import time
from urllib.parse import urljoin

import requests
from flask import Flask

from servicelab.checks.scenario import Aside, Stage, scenario, words
from servicelab.clients import traced
from servicelab.servers import serve
from servicelab.trace import from_traceparent

CLIENTS, TAKERS = 20, 4
PATIENCE = 3.0  # seconds for one answer: hundreds of times what any right answer needs
RACES = 4  # a busy machine may keep ten clients apart once, not every time
TRIALS = 8  # of a millisecond each: half of a taking lies between its reading and its writing
MUG, CUP, POT = (
    {"sku": s, "name": n, "count": c} for s, n, c in [("M1", "mug", 3), ("C1", "cup", 8), ("P1", "pot", 0)]
)

WORDS = words("""
no-answer: every request is answered within 3 s
    Does that handler return? A lock that is taken twice waits for itself.
add-answer: POST /items answers with the new item: the three fields as they were sent, and an id
    What has the client in its hands after this answer?
add-status: POST /items says 201 Created
    200 says 'done'; 201 says 'there is something new'. Where does Flask take the status from?
add-location: Location says where the new item is
    A client follows the header. Can a handler return headers, too?
list: GET /items lists every item
    How many are on the shelves, and how many are in the list?
put: PUT changes the item, and GET finds it changed
    A row is a copy. And whose sku is it that the item has already?
put-answer: PUT answers 200 with the item as it is now
    The client wants to see what it did. What did it get to see?
id-taken: a new item never gets the id of an item that is there (rule 6)
    What does the number of items tell about which ids are taken?
id-reused: the id of a deleted item is not given out again, not even the last one's (rule 6)
    Who still has a link to the old item now gets the new one. What do the shelves no longer know?
field-missing: an item without one of its fields is refused with 422 or 400 (rule 1)
    What becomes of a field that is not there?
name-wrong: sku and name must be text (rule 1)
    Which types may come out of JSON where text is wanted?
count-wrong: count must be a whole number, 0 or more (rule 1)
    Which numbers are no count? Some values that pass for an int are none.
no-object: a body that is JSON, but no object, is refused with 422 or 400 (rule 1)
    JSON may be a list, a number, null. What does your code do with it?
unnamed: the refusal names each field that is missing or wrong (rule 1)
    Who mends one field at a time needs three round trips. What does the client learn from this answer?
put-unchecked: PUT is as strict as POST (rule 1)
    Which of the two handlers looks at the fields?
put-part: PUT without one of the three fields is refused, and changes nothing (rule 1)
    PUT replaces the whole. What should it put in the place of a field that it was not told?
malformed: a body that is no JSON: 400 (rule 2)
    Flask answers this by itself. What keeps it from doing so?
form: a form instead of JSON: 415 (rule 2)
    Flask answers this by itself. What keeps it from doing so?
method: a method that nobody offers: 405 (rule 4)
    Flask does this by itself. Which of your routes took it?
unknown: an id that nobody has: 404 (rule 3)
    The client asked for the wrong thing; did anything break? What does this error mean outside?
put-creates: PUT to an id that nobody has creates nothing: 404 (rule 3)
    Here the service gives out the ids. Where would this one come from?
duplicate: a second item with the same sku: 409 (rule 5)
    The item is fine by itself. What is against it?
put-duplicate: PUT cannot take another item's sku either: 409 (rule 5)
    Which items does your PUT compare with?
delete-status: DELETE says 204 No Content, and sends no body
    Nothing is left to send back. Which status says so?
deleted: a deleted item is gone: GET and a second DELETE say 404 (rule 3)
    Is it really off the shelf, and what does the handler say about an id that is not there?
sku-kept: … and somebody else may have its sku (rule 5)
    Who keeps your list of the skus that are taken, and what happens to it after a DELETE?
take: take, without a body, leaves one less on the shelf
    What does your handler demand? And is the changed row back in its place?
take-answer: take answers 200 with the item, one less
    The client wants to know what is left. What did it get to see?
take-empty: take with nothing left: 409, and it stays at 0
    The request is fine. What is against it?
lost-update: twenty clients take one of fifty each, at once: none is forgotten (rule 7)
    Read, decide, write. What can another client do in between?
oversold: twenty clients, ten cups: ten get one, the others 409 (rule 7)
    Where does your code look at the count, and where does it write it? What can happen between the two?
ids-in-a-race: ten clients add an item at once: ten items, ten ids (rule 7)
    Who else sees the same 'next' number?
duplicates-in-a-race: ten clients add the same sku at once: one is first, nine get 409 (rule 7)
    Looking whether the sku is there, and putting it there: can another client come in between?
put-in-a-race: ten items are to get the same sku at once: one is first, nine get 409 (rule 7)
    Is a change guarded as well as an addition?
put-undone: what PUT wrote is not overwritten by somebody who took one meanwhile (rule 7)
    Somebody read the row before, and wrote it back afterwards. What keeps PUT from coming in between?
delete-undone: an item whose DELETE was answered 204 does not come back, even if others take or PUT meanwhile (rule 7)
    Somebody read the row before, and wrote it back afterwards. What keeps DELETE from coming in between?
""")

#: What is wrong with an item: the code, in words, the item, the fields that the answer must name.
MISTAKES = [
    ("field-missing", "the name is missing", {"sku": "X", "count": 1}, ["name"]),
    ("field-missing", "sku and count are missing", {"name": "mug"}, ["sku", "count"]),
    ("name-wrong", "the name is a number", {**MUG, "name": 7}, ["name"]),
    ("name-wrong", "the sku is null", {**MUG, "sku": None}, ["sku"]),
    ("name-wrong", "the name is null", {**MUG, "name": None}, ["name"]),
    ("name-wrong", "the sku is a number", {**MUG, "sku": 7}, ["sku"]),
    ("count-wrong", "the count is the text '3'", {**MUG, "count": "3"}, ["count"]),
    ("count-wrong", "the count is -1", {**MUG, "count": -1}, ["count"]),
    ("count-wrong", "the count is 2.5", {**MUG, "count": 2.5}, ["count"]),
    ("count-wrong", "the count is true", {**MUG, "count": True}, ["count"]),
    ("no-object", "the body is a list", [MUG], []),
    ("no-object", "the body is a number", 7, []),
]


class Inventory(Stage):
    """A service of the learner's that nobody has asked yet, and a client."""

    def __init__(self, ask, make_stock):
        super().__init__(ask, make_stock)
        app = self.call(make_stock, returns=Flask)
        self.server = self.use(serve(app, "inventory", trace=ask.trace, workers=CLIENTS))
        self.session = self.use(traced(requests.Session(), ask.trace, "client"))

    def send(self, method, path, body=None, **options):
        """The answer to a request. Ends the check when there is none."""
        if body is not None:
            options["json"] = body
        try:
            answer = self.session.request(method, urljoin(self.server.url, path), timeout=PATIENCE, **options)
        except requests.RequestException as error:
            what, hint = WORDS["no-answer"]
            told = f"{method} {path}: {type(error).__name__}; {self._fault() or 'the service said nothing'}"
            self.ask.need("no-answer", what, False, told, hint, self.ask.trace.calls[-1].id)
        self.last = from_traceparent(answer.request.headers["traceparent"])[1]
        return answer

    def _fault(self):
        lines = "\n".join(self.server.errors).strip().splitlines()
        return f"its traceback ends with\n  {lines[-1]}" if lines else ""

    def said(self, answer):
        """The answer in words."""
        told = f"{answer.request.method} {answer.request.path_url} was answered {answer.status_code}"
        if answer.status_code >= 500 and self._fault():
            return f"{told}, and {self._fault()}"
        return f"{told}: {' '.join(answer.text.split())[:100] or '(no body)'}"

    def add(self, item):
        """Add an item that nothing is wrong with, and return its row. The check ends when that cannot be done."""
        answer = self.send("POST", "/items", item)
        row = _json(answer)
        good = answer.ok and isinstance(row, dict) and isinstance(row.get("id"), int) and item.items() <= row.items()
        what, hint = WORDS["add-answer"]
        self.ask.need("add-answer", what, good, f"sent {item}; {self.said(answer)}", hint, self.last)
        return row

    def count(self, path):
        row = _json(self.send("GET", path))
        return row.get("count") if isinstance(row, dict) else None

    def crowd(self, *requests):
        """The statuses of requests that are sent at once; None where no answer came. The first is marked."""
        before = len(self.ask.trace)
        asked = self.at_once(*[lambda r=r: self.send(*r).status_code for r in requests], limit=PATIENCE)
        self.last = self.ask.trace.since(before).calls[0].id
        return [one.answer for one in asked]

    def amid_takers(self, path, phase, *request, theirs=None):
        """The answer to a request that comes while others take from the item, one after the other, or do ``theirs``."""
        theirs = theirs or ("POST", f"{path}/take")
        takers = [Aside(lambda: self.send(*theirs)).start() for _ in range(TAKERS)]
        time.sleep(0.001 * (3 + phase))
        answer = self.send(*request)
        for one in takers:
            one.wait(PATIENCE)
        self.last = from_traceparent(answer.request.headers["traceparent"])[1]
        return answer


def _json(answer):
    try:
        return answer.json()
    except ValueError:
        return None


check_stock = scenario("01", 1, "An inventory that keeps its word", WORDS, go_on=True, make_stock=Inventory)


@check_stock.part
def every_day(s):
    answer = s.send("POST", "/items", MUG)
    yield "add-status", answer.status_code == 201, s.said(answer)
    place = answer.headers.get("Location")
    found = _json(s.send("GET", place)) if place else None
    yield "add-location", place and found == _json(answer), f"Location: {place}; there was {found}"
    row = s.add(CUP)
    listing = s.send("GET", "/items")
    listed = _json(listing)
    yield "list", isinstance(listed, list) and len(listed) == 2 and row in listed, s.said(listing)
    path, after = f"/items/{row['id']}", {**row, "name": "beaker", "count": 9}
    changed = s.send("PUT", path, {**CUP, "name": "beaker", "count": 9})
    found = _json(s.send("GET", path))
    yield "put", changed.ok and found == after, f"{s.said(changed)}; then the item was {found}"
    yield "put-answer", changed.status_code == 200 and _json(changed) == after, s.said(changed)


@check_stock.part
def ids(s):
    first, second = s.add(MUG), s.add(CUP)
    s.send("DELETE", f"/items/{first['id']}")
    third = s.add(POT)
    told = f"delete item {first['id']}, add one: its id was {third['id']}"
    yield "id-taken", third["id"] != second["id"], f"{told}, which is {second['name']!r}"
    s.send("DELETE", f"/items/{third['id']}")
    fourth = s.add({**POT, "sku": "P2"})
    told = f"delete item {third['id']}, add another: its id was {fourth['id']}"
    yield "id-reused", fourth["id"] not in (first["id"], second["id"], third["id"]), told


@check_stock.part
def mistakes(s):
    for number, (code, what, item, fields) in enumerate(MISTAKES):
        if isinstance(item, dict) and isinstance(item.get("sku"), str):
            item = {**item, "sku": f"X{number}"}  # so that one which gets in is in nobody's way
        answer = s.send("POST", "/items", item)
        yield code, answer.status_code in (400, 422), f"{what}: {s.said(answer)}"
        missed = [field for field in fields if field not in answer.text]
        yield "unnamed", not missed, f"{what}: {s.said(answer)}\nIt does not say {', '.join(missed)}."


@check_stock.part
def mistakes_in_a_change(s):
    row = s.add(MUG)
    path = f"/items/{row['id']}"
    for code, item in (("put-unchecked", {**MUG, "count": "many"}), ("put-part", {"sku": "M1", "count": 5})):
        answer = s.send("PUT", path, item)
        after = _json(s.send("GET", path))
        refused = answer.status_code in (400, 422) and after == row
        yield code, refused, f"{item}: {s.said(answer)}; then the item was {after}"


@check_stock.part
def other_languages(s):
    path = f"/items/{s.add(CUP)['id']}"
    for method, place in (("POST", "/items"), ("PUT", path)):
        answer = s.send(method, place, data="{name", headers={"Content-Type": "application/json"})
        yield "malformed", answer.status_code == 400, s.said(answer)
        answer = s.send(method, place, data=MUG)
        yield "form", answer.status_code == 415, s.said(answer)
    answer = s.send("PATCH", path, MUG)
    yield "method", answer.status_code == 405, s.said(answer)


@check_stock.part
def nobody_has_this_id(s):
    for method, path in (("GET", "/items/99"), ("DELETE", "/items/99"), ("POST", "/items/99/take")):
        answer = s.send(method, path)
        yield "unknown", answer.status_code == 404, s.said(answer)
    answer = s.send("PUT", "/items/99", MUG)
    after = s.send("GET", "/items/99").status_code
    yield "put-creates", answer.status_code == after == 404, f"{s.said(answer)}; GET then said {after}"


@check_stock.part
def duplicates(s):
    s.add(MUG)
    answer = s.send("POST", "/items", {**MUG, "name": "jar"})
    yield "duplicate", answer.status_code == 409, s.said(answer)
    answer = s.send("PUT", f"/items/{s.add(CUP)['id']}", {**CUP, "sku": MUG["sku"]})
    yield "put-duplicate", answer.status_code == 409, s.said(answer)


@check_stock.part
def taking_and_deleting(s):
    path = f"/items/{s.add({**MUG, 'count': 1})['id']}"
    answer = s.send("POST", path + "/take")
    left = s.count(path)
    yield "take", answer.ok and left == 0, f"{s.said(answer)}; the count went from 1 to {left}"
    row = _json(answer)
    yield "take-answer", answer.status_code == 200 and isinstance(row, dict) and row.get("count") == 0, s.said(answer)
    answer = s.send("POST", path + "/take")
    left = s.count(path)
    yield "take-empty", answer.status_code == 409 and left == 0, f"{s.said(answer)}; the count was {left}"
    answer = s.send("DELETE", path)
    yield "delete-status", answer.status_code == 204 and not answer.content, s.said(answer)
    for method in ("GET", "DELETE"):
        answer = s.send(method, path)
        yield "deleted", answer.status_code == 404, s.said(answer)
    answer = s.send("POST", "/items", MUG)
    yield "sku-kept", answer.status_code == 201, s.said(answer)


@check_stock.part
def many_at_once(s):
    plenty, few = (f"/items/{s.add(item)['id']}" for item in ({**MUG, "count": 50}, {**CUP, "count": CLIENTS // 2}))
    taken, left = s.crowd(*[("POST", f"{plenty}/take")] * CLIENTS).count(200), s.count(plenty)
    told = f"{taken} were told 200, and the count went from 50 to {left}"
    yield "lost-update", taken == CLIENTS and left == 50 - taken, told
    told = s.crowd(*[("POST", f"{few}/take")] * CLIENTS)
    half, left = CLIENTS // 2, s.count(few)
    right = told.count(200) == told.count(409) == half and left == 0
    yield "oversold", right, f"{told.count(200)} were told 200, {told.count(409)} 409, and the count ended at {left}"

    s.crowd(*[("POST", "/items", {**POT, "sku": f"R{n}"}) for n in range(10)])
    rows = [row for row in _json(s.send("GET", "/items")) or [] if str(row.get("sku", "")).startswith("R")]
    ids = {row["id"] for row in rows}
    yield "ids-in-a-race", len(rows) == len(ids) == 10, f"{len(rows)} items were kept, with {len(ids)} different ids"
    for race in range(RACES):
        told = s.crowd(*[("POST", "/items", {**MUG, "sku": f"same {race}"})] * 10)
        yield "duplicates-in-a-race", _one_of_ten(told), f"they were told {told}"
    for race in range(RACES):
        told = s.crowd(*[("PUT", f"/items/{id}", {**POT, "sku": f"one for all {race}"}) for id in ids])
        yield "put-in-a-race", _one_of_ten(told), f"they were told {told}"
    told = next(filter(None, (put_amid_takers(s, plenty, trial) for trial in range(TRIALS))), "")
    yield "put-undone", not told, told
    told = next(filter(None, (delete_amid_takers(s, trial) for trial in range(TRIALS))), "")
    yield "delete-undone", not told, told


def _one_of_ten(statuses):
    return sum(status in (200, 201) for status in statuses) == 1 and statuses.count(409) == 9


def put_amid_takers(s, path, trial):
    """What went wrong, in words."""
    wanted = 100 * (trial + 1)
    answer, left = s.amid_takers(path, trial, "PUT", path, {**MUG, "count": wanted}), s.count(path)
    if answer.ok and not wanted - TAKERS <= (left or 0) <= wanted:
        return f"PUT set the count to {wanted}, {TAKERS} clients took one, and it was {left}"


def delete_amid_takers(s, trial):
    """What went wrong, in words."""
    item = {**CUP, "sku": f"D{trial}"}
    path = f"/items/{s.add(item)['id']}"
    theirs = ("PUT", path, item) if trial % 2 else None
    answer, after = s.amid_takers(path, trial, "DELETE", path, theirs=theirs), s.send("GET", path).status_code
    if answer.ok and after != 404:
        return f"{s.said(answer)}; GET then said {after}"
