"""Exercise 1, repair: an inventory service that keeps its word. A fresh one for every part, on a real socket."""

import time
from typing import NamedTuple
from urllib.parse import urljoin

import requests
from flask import Flask

from servicelab.checks.exercise import Stop
from servicelab.checks.scenario import Stage, scenario, words
from servicelab.clients import traced
from servicelab.servers import serve

CLIENTS, TAKERS = 20, 5
PATIENCE = 5.0  # seconds for one answer: ten times what any right answer needs in a crowd on a busy machine
RACES, SKUS = 2, 6  # in each two want each of the skus: a busy machine may keep a pair apart, not all
TRIALS = 12  # half of a taking lies between its reading and its writing, so each trial shows every second mistake
MUG, CUP, POT = (
    {"sku": s, "name": n, "count": c} for s, n, c in [("M1", "mug", 3), ("C1", "cup", 8), ("P1", "pot", 0)]
)

WORDS = words("""
no-answer: every request is answered within 5 s
    Does that handler return? A lock that is taken twice waits for itself.
add: POST /items says 201, with the item as it was sent, its id, and in Location where it is; GET /items lists it
    200 says 'done'; 201 says 'there is something new'. What has the client in its hands after this answer, and what
    does it find in the list? Can a handler return headers, too?
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
by-flask: a body that is no JSON: 400; a form instead of JSON: 415; a method that nobody offers: 405 (rules 2 and 4)
    Flask answers so by itself. What keeps it from doing so? Which of your routes took it?
unknown: an id that nobody has, or nobody has any more: 404, whatever the method; PUT creates nothing (rule 3)
    The client asked for the wrong thing; did anything break? What does this error mean outside? And who gives out the
    ids?
duplicate: a sku that another item has: 409, for POST and PUT; once nobody has it any more it is free (rule 5)
    The item is fine by itself. With which items does your code compare it, and what do DELETE and PUT change there?
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


class Said(NamedTuple):
    """An answer. ``value`` is its JSON, or None; ``place`` the header Location; ``told`` the answer in words."""

    status: int
    value: object
    text: str
    place: str | None
    told: str

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
        url = urljoin(self.server.url, path)
        try:
            answer, silence = self.session.request(method, url, json=body, timeout=PATIENCE, **options), ""
        except requests.RequestException as error:
            silence = type(error).__name__
        self.last = self.ask.trace.calls[-1].id
        lines = "\n".join(self.server.errors).strip().splitlines()
        fault = f"its traceback ends with\n  {lines[-1]}" if lines else ""
        if silence:
            self.refuse("no-answer", f"{method} {path}: {silence}; {fault or 'it said nothing'}")
        told = f"{method} {path}{f' {body}' if body else ''} was answered {answer.status_code}: "
        told += answer.status_code >= 500 and fault or " ".join(answer.text.split())[:100] or "(no body)"
        try:
            value = answer.json()
        except ValueError:
            value = None
        return Said(answer.status_code, value, answer.text, answer.headers.get("Location"), told)

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

    def crowd(self, *requests, pause=0.0):
        """What is said to requests that are sent at once, the last one so many seconds after the others."""
        waits = [0.0] * (len(requests) - 1) + [pause]
        calls = [
            lambda wait=wait, request=request: time.sleep(wait) or self.send(*request)
            for wait, request in zip(waits, requests)
        ]
        asked = self.at_once(*calls, limit=2 * PATIENCE)
        if not all(one.answer for one in asked):
            raise Stop  # that one got none is said already
        return [one.answer for one in asked]


check_stock = scenario("01", 1, "An inventory that keeps its word", WORDS, go_on="many at once", make_stock=Inventory)
part = check_stock.part


@part
def every_day(s):
    made = s.send("POST", "/items", MUG)
    there = s.send("GET", made.place).value if made.place else None
    good = made.status == 201 and made.place and there == made.value
    yield "add", good, f"{made.told}; Location: {made.place}; there was {there}"
    row = s.add(CUP)
    rows = s.everything()
    yield "add", len(rows) == 2 and row in rows and made.value in rows, f"two were added; it lists {rows}"
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
        yield s.case("by-flask", 400, *request, data="{name", headers={"Content-Type": "application/json"})
        yield s.case("by-flask", 415, *request, data=MUG)
    for method, where in (("PATCH", path), ("GET", f"{path}/take"), ("DELETE", "/items")):
        yield s.case("by-flask", 405, method, where)


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
    path = s.path(CUP)
    yield s.case("duplicate", 409, "PUT", path, {**CUP, "sku": MUG["sku"]})
    said, again = s.send("PUT", path, {**CUP, "sku": "C2"}), s.send("POST", "/items", CUP)
    yield "duplicate", again.is_ok, f"{said.told}; {again.told}"


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
    path = s.path({**MUG, "count": CLIENTS // 2})
    passed, told = one_each(s.crowd(*[("POST", f"{path}/take")] * CLIENTS), CLIENTS // 2, "a mug for every second one")
    left = s.count(path)
    yield "take-race", passed and left == 0, f"{told}; then the count was {left}"
    for race in range(RACES):
        told = s.crowd(*[("POST", "/items", {**POT, "sku": f"{race} {n % SKUS}"}) for n in range(2 * SKUS)])
        made, listed = [one.value for one in told if one.is_ok], s.everything()
        ids = {row["id"] for row in made if row in listed}
        yield "id-race", len(ids) == len(made), f"{len(made)} were added, and {len(ids)} ids are in the list"
        yield "sku-race", *one_each(told, SKUS, "each sku twice")
        told = s.crowd(*[("PUT", f"/items/{id}", {**POT, "sku": f"{race} for all"}) for id in ids])
        yield "sku-race", *one_each(told, 1, "one sku for all")
    for trial in range(TRIALS):
        item, pause = {**CUP, "sku": f"C{trial}"}, 0.001 * (3 + trial % 8)
        path = s.path(item)
        take, put = ("POST", f"{path}/take"), ("PUT", path, {**item, "count": 100})
        said, left = s.crowd(*[take] * TAKERS, put, pause=pause)[-1], s.count(path)
        told = f"{said.told}; {TAKERS} clients took one meanwhile, and the count was {left}"
        yield "undone", not said.is_ok or left in range(100 - TAKERS, 101), told
        said = s.crowd(*[put if trial % 2 else take] * TAKERS, ("DELETE", path), pause=pause)[-1]
        after = s.send("GET", path)
        yield "undone", not (said.is_ok and after.is_ok), f"{said.told}; then {after.told}"
    path = s.path(POT)
    for trial in range(TRIALS):  # each has a lock, but is it the same one?
        wanted = {**POT, "sku": f"T{trial}"}
        told = s.crowd(("PUT", path, wanted), ("POST", "/items", wanted), pause=0.001 * trial)
        yield "sku-race", *one_each(told, 1, "one sku for a PUT and a POST")


def one_each(told, right, what):
    """Whether so many requests had their way and all others heard 409; and in words."""
    good, taken = sum(one.is_ok for one in told), sum(one.status == 409 for one in told)
    return (good, taken) == (right, len(told) - right), f"{what}: of {len(told)} {good} had it, and {taken} heard 409"
