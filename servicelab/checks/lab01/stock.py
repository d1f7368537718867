"""Exercise 1, repair: an inventory service that keeps its word. A fresh one for every part, on a real socket."""

import time
from collections import namedtuple
from urllib.parse import urljoin

import requests
from flask import Flask

from servicelab.checks.scenario import Aside, Stage, scenario, words
from servicelab.clients import traced
from servicelab.servers import serve
from servicelab.trace import from_traceparent

CLIENTS, TAKERS = 20, 3
PATIENCE = 3.0  # seconds for one answer: hundreds of times what any right answer needs
RACES, SKUS = 2, 6  # in each two want each of the skus: a busy machine may keep a pair apart, not all
TRIALS = 8  # of a millisecond each: half of a taking lies between its reading and its writing
MUG, CUP, POT = (
    {"sku": s, "name": n, "count": c} for s, n, c in [("M1", "mug", 3), ("C1", "cup", 8), ("P1", "pot", 0)]
)

WORDS = words("""
no-answer: every request is answered within 3 s
    Does that handler return? A lock that is taken twice waits for itself.
add: POST /items says 201, with the item as it was sent, its id, and in Location where it is
    200 says 'done'; 201 says 'there is something new'. What has the client in its hands after this answer? Can a
    handler return headers, too?
list: GET /items lists every item
    How many are on the shelves, and how many are in the list?
put: PUT changes the item, answers 200 with the item as it is now, and GET finds it so
    A row is a copy. Whose sku is it that the item has already, and what does the client want to see?
delete: DELETE says 204 No Content, and sends no body
    Nothing is left to send back. Which status says so?
take: take, without a body, says 200 with the item, one less; 409 when none is left, and it stays at 0
    What does your handler demand, and what does the client get to see? Is the changed row back in its place?
field: a field that is missing or wrong, and JSON that is no object, are refused with 422 or 400 (rule 1)
    What becomes of a field that is not there? Which types may come out of JSON where a text, a whole number or an
    object is wanted, and which numbers are no count?
unnamed: the refusal names each field that is missing or wrong (rule 1)
    Who mends one field at a time needs three round trips. What does the client learn from this answer?
put-strict: PUT is as strict as POST, and what it refuses changes nothing, a part of an item neither (rule 1)
    Which of the two handlers looks at the fields? What should PUT put in the place of one that it was not told?
body: a body that is no JSON: 400; a form instead of JSON: 415 (rule 2)
    Flask answers both by itself. What keeps it from doing so?
unknown: an id that nobody has, or nobody has any more: 404, whatever the method; PUT creates nothing (rule 3)
    The client asked for the wrong thing; did anything break? What does this error mean outside? And who gives out the
    ids?
method: a method that nobody offers: 405 (rule 4)
    Flask does this by itself. Which of your routes took it?
duplicate: a sku that another item has: 409, for POST and PUT; when that item is gone the sku is free (rule 5)
    The item is fine by itself. With which items does your code compare it, and what becomes of the list after a DELETE?
id-again: no id is given out twice, not even that of an item which was deleted (rule 6)
    What does the number of items, or their highest id, tell about the ids that were given out? Who still has a link to
    the old item now gets the new one.
take-race: twenty clients take one at once: nobody is forgotten, and nobody gets what is not there (rule 7)
    Read, decide, write: what can another client do in between? Where does your code look at the count?
id-race: clients add items at once: each is kept, with an id of its own (rule 7)
    Who else sees the same 'next' number?
sku-race: several want the same sku at once, by POST or by PUT: one is first, the others get 409 (rule 7)
    Looking whether the sku is there, and putting it there: can another client come in between?
undone: what PUT wrote counts, and what DELETE deleted stays deleted, though others take or PUT meanwhile (rule 7)
    Somebody read the row before, and wrote it back afterwards. What keeps PUT and DELETE from coming in between?
""")

#: What is wrong: the body, and the fields that the answer must name.
MISTAKES = [
    ({"sku": "X", "count": 1}, ["name"]),
    ({"name": "mug"}, ["sku", "count"]),
    *[({**MUG, "sku": "X", field: bad}, [field]) for field in ("name", "sku") for bad in (7, None)],
    *[({**MUG, "sku": "X", "count": bad}, ["count"]) for bad in ("3", -1, 2.5, True)],
    ([MUG], []),
    (7, []),
]


class Said(namedtuple("Said", "status value text place told id")):
    """An answer. ``value`` is its JSON, or None; ``place`` the header Location; ``told`` the answer in words."""

    @property
    def is_ok(self):
        return self.status in (200, 201, 204)


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
            self.last = self.ask.trace.calls[-1].id
            self.refuse("no-answer", f"{method} {path}: {type(error).__name__}; {self._fault() or 'it said nothing'}")
        told = f"{method} {path}{f' {body}' if body else ''} was answered {answer.status_code}: "
        told += answer.status_code >= 500 and self._fault() or " ".join(answer.text.split())[:100] or "(no body)"
        try:
            value = answer.json()
        except ValueError:
            value = None
        self.last = from_traceparent(answer.request.headers["traceparent"])[1]
        return Said(answer.status_code, value, answer.text, answer.headers.get("Location"), told, self.last)

    def _fault(self):
        lines = "\n".join(self.server.errors).strip().splitlines()
        return f"its traceback ends with\n  {lines[-1]}" if lines else ""

    def case(self, code, status, *request, **options):
        """A request is answered with this status."""
        said = self.send(*request, **options)
        return code, said.status == status, said.told

    def add(self, item):
        """Add an item that nothing is wrong with, and return its row. The check ends when that cannot be done."""
        said = self.send("POST", "/items", item)
        row = said.value
        if not (isinstance(row, dict) and isinstance(row.get("id"), int) and item.items() <= row.items()):
            self.refuse("add", said.told)
        return row

    def path(self, item):
        """Where an item is that was added for this."""
        return f"/items/{self.add(item)['id']}"

    def everything(self):
        said = self.send("GET", "/items")
        return said.value if said.status == 200 and isinstance(said.value, list) else [said.told]

    def count(self, path):
        row = self.send("GET", path).value
        return row.get("count") if isinstance(row, dict) else None

    def crowd(self, *requests):
        """What is said to requests that are sent at once. The first is marked."""
        before = len(self.ask.trace)
        asked = self.at_once(*[lambda r=r: self.send(*r) for r in requests], limit=PATIENCE)
        self.last = self.ask.trace.since(before).calls[0].id
        return [one.answer or Said(None, None, "", None, "no answer", self.last) for one in asked]

    def amid(self, phase, theirs, *request):
        """What is said to a request that comes while others ask for ``theirs``, one after the other, and then the item
        there."""
        others = [Aside(lambda: self.send(*theirs)).start() for _ in range(TAKERS)]
        time.sleep(0.001 * (3 + phase))
        said = self.send(*request)
        for one in others:
            one.wait(PATIENCE)
        after = self.send("GET", request[1])
        self.last = said.id
        return said, after


check_stock = scenario("01", 1, "An inventory that keeps its word", WORDS, go_on=True, make_stock=Inventory)
part = check_stock.part


@part
def every_day(s):
    made = s.send("POST", "/items", MUG)
    there = s.send("GET", made.place).value if made.place else None
    good = made.status == 201 and made.place and there == made.value
    yield "add", good, f"{made.told}; Location: {made.place}; there was {there}"
    row = s.add(CUP)
    rows = s.everything()
    yield "list", len(rows) == 2 and row in rows and made.value in rows, f"it lists {rows}"
    path, changed = f"/items/{row['id']}", {**row, "name": "beaker", "count": 9}
    said, after = s.send("PUT", path, {**CUP, "name": "beaker", "count": 9}), s.send("GET", path).value
    yield "put", said.status == 200 and said.value == after == changed, f"{said.told}; then the item was {after}"


@part
def ids(s):
    given = [s.add(MUG)["id"], s.add(CUP)["id"]]
    for gone in (0, 2):  # the first, and then the newest
        s.send("DELETE", f"/items/{given[gone]}")
        given.append(s.add({**POT, "sku": f"P{gone}"})["id"])
        told = f"item {given[gone]} was deleted, and the next one got {given[-1]}; before there were {given[:-1]}"
        yield "id-again", given[-1] not in given[:-1], told


@part
def mistakes(s):
    for item, names in MISTAKES:
        said = s.send("POST", "/items", item)
        yield "field", said.status in (400, 422), said.told
        missed = [field for field in names if field not in said.text]
        yield "unnamed", not missed, f"{said.told}\nIt does not say {', '.join(missed)}."


@part
def mistakes_in_a_change(s):
    row = s.add(MUG)
    path = f"/items/{row['id']}"
    strict = "put-strict"
    for code, item in ((strict, {**MUG, "count": "many"}), (strict, {"sku": "M1", "count": 5}), ("field", [MUG])):
        said, after = s.send("PUT", path, item), s.send("GET", path).value
        yield code, said.status in (400, 422) and after == row, f"{said.told}; then the item was {after}"


@part
def other_languages(s):
    path = s.path(CUP)
    for request in (("POST", "/items"), ("PUT", path)):
        yield s.case("body", 400, *request, data="{name", headers={"Content-Type": "application/json"})
        yield s.case("body", 415, *request, data=MUG)
    yield s.case("method", 405, "PATCH", path, MUG)


@part
def nobody_has_this_id(s):
    path = s.path(MUG)
    said = s.send("DELETE", path)
    yield "delete", said.status == 204 and not said.text, said.told
    for gone in ("/items/99", path):
        for request in (("DELETE", gone), ("POST", f"{gone}/take"), ("PUT", gone, MUG), ("GET", gone)):
            yield s.case("unknown", 404, *request)
    again = s.send("POST", "/items", MUG)
    yield "duplicate", again.is_ok, f"item M1 was deleted; {again.told}"


@part
def duplicates(s):
    s.add(MUG)
    yield s.case("duplicate", 409, "POST", "/items", {**MUG, "name": "jar"})
    yield s.case("duplicate", 409, "PUT", s.path(CUP), {**CUP, "sku": MUG["sku"]})


@part
def taking(s):
    path = s.path({**MUG, "count": 1})
    for status, was in ((200, 1), (409, 0)):
        said, left = s.send("POST", f"{path}/take"), s.count(path)
        shows = was == 0 or isinstance(said.value, dict) and said.value.get("count") == 0
        told = f"{said.told}; the count went from {was} to {left}"
        yield "take", said.status == status and shows and left == 0, told


@part
def many_at_once(s):
    for item, count in ((MUG, 50), (CUP, CLIENTS // 2)):
        path = s.path({**item, "count": count})
        passed, told = one_each(s.crowd(*[("POST", f"{path}/take")] * CLIENTS), min(count, CLIENTS), f"{count} to take")
        left = s.count(path)
        yield "take-race", passed and left == max(0, count - CLIENTS), f"{told}; then the count was {left}"
    for race in range(RACES):
        told = s.crowd(*[("POST", "/items", {**POT, "sku": f"{race} {n % SKUS}"}) for n in range(2 * SKUS)])
        made, listed = [one.value for one in told if one.is_ok], s.everything()
        ids = {row["id"] for row in made if row in listed}
        yield "id-race", len(ids) == len(made), f"{len(made)} were added, and {len(ids)} ids are in the list"
        yield "sku-race", *one_each(told, SKUS, "each sku twice")
        told = s.crowd(*[("PUT", f"/items/{id}", {**POT, "sku": f"{race} for all"}) for id in ids])
        yield "sku-race", *one_each(told, 1, "one sku for all")
    path = s.path({**MUG, "sku": "M2"})
    for trial in range(TRIALS):
        wanted = 100 * (trial + 1)
        said, after = s.amid(trial, ("POST", f"{path}/take"), "PUT", path, {**MUG, "sku": "M2", "count": wanted})
        left = after.value.get("count", 0) if isinstance(after.value, dict) else 0
        told = f"{said.told}; {TAKERS} clients took one meanwhile, and the count was {left}"
        yield "undone", not said.is_ok or wanted - TAKERS <= left <= wanted, told
    creates = s.send("PUT", "/items/999", CUP).is_ok  # a late PUT then puts back what is deleted: rule 3's matter
    for trial in range(TRIALS):
        item = {**CUP, "sku": f"D{trial}"}
        path = s.path(item)
        theirs = ("PUT", path, item) if trial % 2 and not creates else ("POST", f"{path}/take")
        said, after = s.amid(trial, theirs, "DELETE", path)
        yield "undone", not (said.is_ok and after.is_ok), f"{said.told}; then {after.told}"


def one_each(told, right, what):
    """Whether so many requests had their way and all others heard 409; and in words."""
    good, taken = sum(one.is_ok for one in told), sum(one.status == 409 for one in told)
    return (good, taken) == (right, len(told) - right), f"{what}: of {len(told)} {good} had it, and {taken} heard 409"
