"""Exercise 1: one right service in small parts, a second one written otherwise, and mistakes made in the first."""

import itertools
import threading

from flask import Flask, abort, jsonify, request
from werkzeug.exceptions import HTTPException

from servicelab.checks.lab01 import Shelves
from tests.learners import never_returns

FIELDS = ("sku", "name", "count")


class Service:
    """A right answer. A mistake is a subclass that overrides one part."""

    def __init__(self):
        self.rows, self.lock, self.numbers = Shelves(), threading.Lock(), itertools.count(1)

    @classmethod
    def make(cls):
        return cls().app()

    def next_id(self):
        return next(self.numbers)

    def fields(self):
        return request.get_json()

    def complaints(self, fields):
        if not isinstance(fields, dict):
            return {"body": "must be an object"}
        wrong = {f: "must be text" for f in FIELDS[:2] if not isinstance(fields.get(f), str)}
        if type(fields.get("count")) is not int or fields["count"] < 0:
            wrong["count"] = "must be a number, 0 or more"
        return wrong

    def refuse(self, wrong):
        return jsonify(fields=wrong), 422

    def taken(self, sku, number=None):
        return any(row["sku"] == sku and row["id"] != number for row in self.rows.values())

    def row(self, number, fields):
        return {"id": number, **{f: fields[f] for f in FIELDS}}

    def add(self, fields):
        with self.lock:
            if self.taken(fields["sku"]):
                return None
            row = self.row(self.next_id(), fields)
            self.rows[row["id"]] = row
            return row

    def created(self, row):
        return jsonify(row), 201, {"Location": f"/items/{row['id']}"}

    def replace(self, number, fields):
        with self.lock:
            self.rows[number]
            if self.taken(fields["sku"], number):
                return None
            self.rows[number] = row = self.row(number, fields)
            return row

    def take(self, number):
        with self.lock:
            row = self.rows[number]
            if row["count"] < 1:
                return None
            row["count"] -= 1
            self.rows[number] = row
            return row

    def remove(self, number):
        with self.lock:
            del self.rows[number]

    def deleted(self):
        return "", 204

    def shown(self, row):
        return jsonify(row)

    def unknown(self, app):
        app.register_error_handler(KeyError, lambda error: (jsonify(error="no such item"), 404))

    def app(self):
        app = Flask("inventory")
        self.unknown(app)

        def add():
            fields = self.fields()
            if wrong := self.complaints(fields):
                return self.refuse(wrong)
            row = self.add(fields)
            return self.created(row) if row else (jsonify(error="taken"), 409)

        def put(number):
            fields = self.fields()
            if wrong := self.complaints(fields):
                return self.refuse(wrong)
            row = self.replace(number, fields)
            return self.shown(row) if row else (jsonify(error="taken"), 409)

        def delete(number):
            self.remove(number)
            return self.deleted()

        def take(number):
            row = self.take(number)
            return self.shown(row) if row else (jsonify(error="none left"), 409)

        app.get("/items")(lambda: jsonify(list(self.rows.values())))
        app.post("/items")(add)
        app.add_url_rule("/items/<int:number>", "one", lambda number: jsonify(self.rows[number]))
        app.put("/items/<int:number>")(put)
        app.delete("/items/<int:number>")(delete)
        app.post("/items/<int:number>/take")(take)
        return app


def in_one_function():
    """Another hand: abort(), one shape of error, 400 in place of 422, its own dict, one handler for three methods."""
    app, rows, lock, last = Flask("inventory"), {}, threading.RLock(), [0]

    @app.errorhandler(HTTPException)
    def problem(error):
        return (
            jsonify(title=error.name, detail=error.description),
            error.code,
            {"Content-Type": "application/problem+json"},
        )

    @app.before_request
    def gate():
        if request.method in ("POST", "PUT") and request.endpoint != "take" and not request.is_json:
            abort(415)

    def read(number=None):
        fields = request.get_json()
        if not isinstance(fields, dict):
            abort(400, "an object with sku, name and count, please")
        kinds = {"sku": str, "name": str, "count": int}
        bad = [f for f, kind in kinds.items() if type(fields.get(f)) is not kind]
        if not bad and fields["count"] < 0:
            bad = ["count"]
        if bad:
            abort(400, f"please mend: {', '.join(bad)}")
        if any(row["sku"] == fields["sku"] for id, row in rows.items() if id != number):
            abort(409)
        return {f: fields[f] for f in kinds}

    @app.route("/items", methods=["GET", "POST"])
    def items():
        with lock:
            if request.method == "GET":
                return list(rows.values())
            fields = read()
            last[0] += 1
            rows[last[0]] = {"id": last[0], **fields}
            return rows[last[0]], 201, {"Location": f"{request.url}/{last[0]}"}

    @app.route("/items/<int:number>", methods=["GET", "PUT", "DELETE"])
    def item(number):
        with lock:
            if number not in rows:
                abort(404)
            if request.method == "DELETE":
                del rows[number]
                return "", 204
            if request.method == "PUT":
                rows[number] = {"id": number, **read(number)}
            return rows[number]

    @app.post("/items/<int:number>/take")
    def take(number):
        with lock:
            if number not in rows:
                abort(404)
            if not rows[number]["count"]:
                abort(409)
            rows[number]["count"] -= 1
            return rows[number]

    return app


class Lines:
    """A third hand: a class whose methods are the routes, a lock for each id beside one for the whole, a strict rule
    for texts (not empty), and rows that are kept as tuples."""

    def __init__(self):
        self.table, self.whole, self.drawn = {}, threading.Lock(), 100

    def app(self):
        app = Flask(__name__)
        for rule, method, view in (
            ("/items", "GET", self.everything),
            ("/items", "POST", self.add),
            ("/items/<int:id>", "GET", self.one),
            ("/items/<int:id>", "PUT", self.put),
            ("/items/<int:id>", "DELETE", self.remove),
            ("/items/<int:id>/take", "POST", self.take),
        ):
            app.add_url_rule(rule, f"{method} {rule}", view, methods=[method])
        return app

    def row(self, id):
        if id not in self.table:
            abort(404)
        return {"id": id, **dict(zip(FIELDS, self.table[id]))}

    def read(self, id=None):
        match request.json:
            case {"sku": str(sku), "name": str(name), "count": int(count)} if (
                sku and name and count >= 0 and count is not True and count is not False
            ):
                return sku, name, count
            case dict(got):
                bad = [f for f in ("sku", "name") if not isinstance(got.get(f), str) or not got[f]]
                count = got.get("count")
                bad += ["count"] * (not isinstance(count, int) or isinstance(count, bool) or count < 0)
                abort(422, f"look at {' and '.join(bad)}")
        abort(422)

    def place(self, id, fields):
        if fields[0] in {kept[0] for other, kept in self.table.items() if other != id}:
            abort(409)
        self.table[id] = fields
        return self.row(id)

    def everything(self):
        return [self.row(id) for id in list(self.table)]

    def add(self):
        fields = self.read()
        with self.whole:
            row = self.place(self.drawn + 1, fields)
            self.drawn += 1
        return row, 201, {"Location": f"items/{row['id']}"}

    def one(self, id):
        return self.row(id)

    def put(self, id):
        fields = self.read()
        with self.whole:
            self.row(id)
            return self.place(id, fields)

    def remove(self, id):
        with self.whole:
            self.row(id)
            del self.table[id]
        return "", 204

    def take(self, id):
        with self.whole:
            row = self.row(id)
            if row["count"] == 0:
                abort(409)
            self.table[id] = (row["sku"], row["name"], row["count"] - 1)
            return self.row(id)


class NextIsLength(Service):
    def next_id(self):
        return len(self.rows) + 1


class NextIsHighest(Service):
    def next_id(self):
        return max(self.rows, default=0) + 1


class NoLock(Service):
    def __init__(self):
        super().__init__()
        self.lock = threading.Semaphore(1000)  # lets everybody in


class LooksOutsideTheLock(Service):
    def take(self, number):
        if self.rows[number]["count"] < 1:
            return None
        with self.lock:
            row = self.rows[number]
            row["count"] -= 1
            self.rows[number] = row
            return row


class LocksOnlyTheWriting(Service):
    def take(self, number):
        row = self.rows[number]
        if row["count"] < 1:
            return None
        row["count"] -= 1
        with self.lock:
            self.rows[number] = row
        return row


class ForgetsThatARowIsACopy(Service):
    def take(self, number):
        with self.lock:
            row = self.rows[number]
            if row["count"] < 1:
                return None
            self.rows[number]["count"] -= 1
            return {**row, "count": row["count"] - 1}


class LooksForTheSkuOutsideTheLock(Service):
    def add(self, fields):
        if self.taken(fields["sku"]):
            return None
        with self.lock:
            row = self.row(self.next_id(), fields)
            self.rows[row["id"]] = row
            return row


class FailsOnANumber(Service):
    def complaints(self, fields):
        if isinstance(fields, dict) and "name" in fields and not fields["name"].strip():
            return {"name": "is empty"}
        return super().complaints(fields)


class NumbersAreSkus(Service):
    def complaints(self, fields):
        wrong = super().complaints(fields)
        if "sku" in wrong and isinstance(fields.get("sku"), int):
            del wrong["sku"]
        return wrong


class ZeroIsNothing(Service):
    def complaints(self, fields):
        return super().complaints(fields) or ({} if fields["count"] else {"count": "none"})


class RemembersSkus(Service):
    """Every sku that there ever was is taken."""

    def taken(self, sku, number=None):
        self.ever = getattr(self, "ever", {})
        return self.ever.setdefault(sku, number) != number or super().taken(sku, number)

    def row(self, number, fields):
        self.ever[fields["sku"]] = number
        return super().row(number, fields)


class TrueIsANumber(Service):
    def complaints(self, fields):
        wrong = super().complaints(fields)
        if "count" in wrong and isinstance(fields.get("count"), int) and fields["count"] >= 0:
            del wrong["count"]
        return wrong


class NamesNothing(Service):
    def refuse(self, wrong):
        return jsonify(error="bad request"), 400


class NamesTheFirstOnly(Service):
    def refuse(self, wrong):
        return jsonify(fields=dict([next(iter(wrong.items()))])), 422


class ReadsAnything(Service):
    def fields(self):
        return request.get_json(force=True)


class HearsNoError(Service):
    def fields(self):
        return request.get_json(silent=True)


class PutCreates(Service):
    """… at ids that it never gave out; what was deleted stays away, in a race, too."""

    given = 0

    def next_id(self):
        self.given = super().next_id()
        return self.given

    def replace(self, number, fields):
        if number <= self.given:
            return super().replace(number, fields)
        with self.lock:
            if self.taken(fields["sku"], number):
                return None
            self.rows[number] = row = self.row(number, fields)
            return row


class PutMeetsItself(Service):
    def replace(self, number, fields):
        with self.lock:
            self.rows[number]
            if self.taken(fields["sku"]):
                return None
            self.rows[number] = row = self.row(number, fields)
            return row


class SaysOkForEverything(Service):
    def created(self, row):
        return jsonify(row)

    def deleted(self):
        return jsonify(deleted=True)


class NoLocation(Service):
    def created(self, row):
        return jsonify(row), 201


class UnknownIsAFault(Service):
    def unknown(self, app):
        pass


class WantsABodyForTake(Service):
    def app(self):
        app = super().app()
        app.before_request(lambda: abort(415) if request.method == "POST" and not request.is_json else None)
        return app


class BelowZero(Service):
    def take(self, number):
        with self.lock:
            row = self.rows[number]
            row["count"] -= 1
            self.rows[number] = row
            return row


class DrawsOutsideTheLock(Service):
    last = 0

    def add(self, fields):
        number = self.last + 1
        with self.lock:
            if self.taken(fields["sku"]):
                return None
            self.rows[number] = row = self.row(number, fields)
            self.last = number
            return row


class PutLooksOutsideTheLock(Service):
    def replace(self, number, fields):
        self.rows[number]
        if self.taken(fields["sku"], number):
            return None
        with self.lock:
            self.rows[number] = row = self.row(number, fields)
            return row


class PutWithoutTheLock(Service):
    """With a lock of its own, so that two changes are kept apart, and a change and a taking are not."""

    def __init__(self):
        super().__init__()
        self.changes = threading.Lock()

    def replace(self, number, fields):
        with self.changes:
            self.rows[number]
            if self.taken(fields["sku"], number):
                return None
            self.rows[number] = row = self.row(number, fields)
            return row


class DeleteWithoutTheLock(Service):
    def remove(self, number):
        del self.rows[number]


class HalvesAreNumbers(Service):
    def complaints(self, fields):
        wrong = super().complaints(fields)
        if "count" in wrong and isinstance(fields.get("count"), float) and fields["count"] >= 0:
            del wrong["count"]
        return wrong


class TextsAreNumbers(Service):
    def complaints(self, fields):
        if isinstance(fields, dict) and str(fields.get("count")).isdigit():
            fields["count"] = int(fields["count"])
        return super().complaints(fields)


class NullIsText(Service):
    def complaints(self, fields):
        wrong = super().complaints(fields)
        return {f: why for f, why in wrong.items() if fields.get(f, "") is not None} if "body" not in wrong else wrong


class FillsIn(Service):
    def complaints(self, fields):
        if isinstance(fields, dict):
            for field, empty in zip(FIELDS, ("", "", 0)):
                fields.setdefault(field, empty)
        return super().complaints(fields)


class LooksIntoAnything(Service):
    def complaints(self, fields):
        missing = {f: "is missing" for f in FIELDS if f not in fields}
        return missing or super().complaints(fields)


class Put(Service):
    """A mistake in PUT alone."""

    def complaints(self, fields):
        return super().complaints(fields) if request.method == "POST" else self.in_a_change(fields)


class PutIsUnchecked(Put):
    def in_a_change(self, fields):
        return {f: "is missing" for f in FIELDS if f not in fields}


class PutMerges(Put):
    def in_a_change(self, fields):
        for f, value in self.rows[request.view_args["number"]].items():
            fields.setdefault(f, value)
        return super(Put, self).complaints(fields)


class PutForgetsTheOthers(Service):
    def replace(self, number, fields):
        with self.lock:
            self.rows[number]
            self.rows[number] = row = self.row(number, fields)
            return row


class PutKeepsTheName(Service):
    def replace(self, number, fields):
        with self.lock:
            old = self.rows[number]
            if self.taken(fields["sku"], number):
                return None
            self.rows[number] = row = {**old, "count": fields["count"]}
            return row


class ShowsNothing(Service):
    def shown(self, row):
        return jsonify(done=True)


class AddsAnything(Service):
    def add(self, fields):
        with self.lock:
            row = self.row(self.next_id(), fields)
            self.rows[row["id"]] = row
            return row


class ListsTheLast(Service):
    def app(self):
        app = super().app()
        app.view_functions["<lambda>"] = lambda: jsonify(list(self.rows.values())[-1:])
        return app


class PatchIsPut(Service):
    def app(self):
        app = super().app()
        app.add_url_rule("/items/<int:number>", "patch", lambda number: jsonify(self.rows[number]), methods=["PATCH"])
        return app


class DeletesNothing(Service):
    def remove(self, number):
        self.rows[number]


class DeleteSaysOk(Service):
    def deleted(self):
        return jsonify(deleted=True)


class NeverReturns(Service):
    def take(self, number):
        return never_returns()


class CountsNothing(Service):
    def created(self, row):
        return "created", 201, {"Location": f"/items/{row['id']}"}


RIGHT = {
    "in small parts": Service.make,
    "in one function": in_one_function,
    "in a class": lambda: Lines().app(),
}
WRONG = {
    "id from the length": (NextIsLength.make, {"id-taken"}),
    "id from the highest": (NextIsHighest.make, {"id-reused"}),
    "number drawn outside the lock": (DrawsOutsideTheLock.make, {"ids-in-a-race"}),
    "no lock": (NoLock.make, {"lost-update"}),
    "check outside the lock": (LooksOutsideTheLock.make, {"oversold"}),
    "lock around the write only": (LocksOnlyTheWriting.make, {"lost-update"}),
    "changes a copy": (ForgetsThatARowIsACopy.make, {"take", "lost-update"}),
    "sku outside the lock": (LooksForTheSkuOutsideTheLock.make, {"duplicates-in-a-race"}),
    "PUT looks outside the lock": (PutLooksOutsideTheLock.make, {"put-in-a-race"}),
    "PUT without the lock": (PutWithoutTheLock.make, {"put-undone"}),
    "DELETE without the lock": (DeleteWithoutTheLock.make, {"delete-undone"}),
    "500 on a number": (FailsOnANumber.make, {"name-wrong"}),
    "null is text": (NullIsText.make, {"name-wrong"}),
    "a number is a sku": (NumbersAreSkus.make, {"name-wrong"}),
    "zero is nothing": (ZeroIsNothing.make, {"add-answer"}),
    "a sku is taken for ever": (RemembersSkus.make, {"sku-kept"}),
    "true is a number": (TrueIsANumber.make, {"count-wrong"}),
    "2.5 is a number": (HalvesAreNumbers.make, {"count-wrong"}),
    "'3' is a number": (TextsAreNumbers.make, {"count-wrong"}),
    "fills in what is missing": (FillsIn.make, {"field-missing", "put-part"}),
    "looks into anything": (LooksIntoAnything.make, {"no-object"}),
    "400 that names nothing": (NamesNothing.make, {"unnamed"}),
    "names the first only": (NamesTheFirstOnly.make, {"unnamed"}),
    "force=True": (ReadsAnything.make, {"form"}),
    "silent=True": (HearsNoError.make, {"malformed"}),
    "PATCH is a PUT": (PatchIsPut.make, {"method"}),
    "PUT creates": (PutCreates.make, {"put-creates"}),
    "PUT is its own duplicate": (PutMeetsItself.make, {"put"}),
    "PUT changes the count only": (PutKeepsTheName.make, {"put", "put-in-a-race"}),
    "PUT is unchecked": (PutIsUnchecked.make, {"put-unchecked"}),
    "PUT merges a part": (PutMerges.make, {"put-part"}),
    "PUT takes any sku": (PutForgetsTheOthers.make, {"put-duplicate", "put-in-a-race"}),
    "POST takes any sku": (AddsAnything.make, {"duplicate", "duplicates-in-a-race"}),
    "shows nothing": (ShowsNothing.make, {"put-answer", "take-answer"}),
    "200 for everything": (SaysOkForEverything.make, {"add-status", "delete-status"}),
    "200 for DELETE": (DeleteSaysOk.make, {"delete-status"}),
    "no Location": (NoLocation.make, {"add-location"}),
    "no item in the answer": (CountsNothing.make, {"add-location", "add-answer"}),
    "lists the last": (ListsTheLast.make, {"list", "ids-in-a-race"}),
    "deletes nothing": (DeletesNothing.make, {"deleted", "delete-undone"}),
    "500 for an unknown id": (UnknownIsAFault.make, {"unknown", "deleted", "delete-undone"}),
    "take needs a body": (WantsABodyForTake.make, {"unknown", "take", "lost-update"}),
    "below zero": (BelowZero.make, {"take-empty", "oversold"}),
    "take never returns": (NeverReturns.make, {"no-answer"}),
}
