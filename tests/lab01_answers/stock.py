"""Exercise 1: one right service in small parts, a second one written otherwise, and mistakes made in the first."""

import itertools
import threading

from flask import Flask, abort, jsonify, request
from werkzeug.exceptions import HTTPException

from servicelab.checks.lab01 import Shelves

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
        wrong = {f: "must be text" for f in FIELDS[:2] if not isinstance(fields.get(f), str) or not fields[f]}
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

    def deleted(self):
        return "", 204

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
            return jsonify(row) if row else (jsonify(error="taken"), 409)

        def delete(number):
            with self.lock:
                del self.rows[number]
            return self.deleted()

        def take(number):
            row = self.take(number)
            return jsonify(row) if row else (jsonify(error="none left"), 409)

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
        bad = [f for f, kind in kinds.items() if type(fields.get(f)) is not kind or fields[f] == ""]
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
    def replace(self, number, fields):
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


RIGHT = {"in small parts": Service.make, "in one function": in_one_function}
WRONG = {
    "id from the length": (NextIsLength.make, {"id-taken", "id-reused"}),
    "id from the highest": (NextIsHighest.make, {"id-reused"}),
    "no lock": (NoLock.make, {"lost-update", "oversold", "duplicates-in-a-race"}),
    "check outside the lock": (LooksOutsideTheLock.make, {"oversold"}),
    "lock around the write only": (LocksOnlyTheWriting.make, {"lost-update", "oversold"}),
    "changes a copy": (ForgetsThatARowIsACopy.make, {"take", "take-empty", "lost-update", "oversold"}),
    "sku outside the lock": (LooksForTheSkuOutsideTheLock.make, {"duplicates-in-a-race"}),
    "500 on a number": (FailsOnANumber.make, {"name-number"}),
    "true is a number": (TrueIsANumber.make, {"count-true"}),
    "400 that names nothing": (
        NamesNothing.make,
        {
            f"{case}-unnamed"
            for case in (
                "field-missing",
                "all-at-once",
                "name-number",
                "name-empty",
                "count-text",
                "count-negative",
                "count-true",
            )
        },
    ),
    "names the first only": (NamesTheFirstOnly.make, {"all-at-once-unnamed"}),
    "force=True": (ReadsAnything.make, {"form"}),
    "silent=True": (HearsNoError.make, {"malformed", "form"}),
    "PUT creates": (PutCreates.make, {"put-creates"}),
    "PUT is its own duplicate": (PutMeetsItself.make, {"put"}),
    "200 for everything": (SaysOkForEverything.make, {"add-status", "add-location", "delete-status"}),
    "no Location": (NoLocation.make, {"add-location"}),
    "500 for an unknown id": (UnknownIsAFault.make, {"unknown", "put-creates", "delete-twice", "deleted"}),
    "take needs a body": (WantsABodyForTake.make, {"unknown", "take", "take-empty", "lost-update", "oversold"}),
    "below zero": (BelowZero.make, {"take-empty", "oversold"}),
}
