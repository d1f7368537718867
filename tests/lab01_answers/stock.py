"""Exercise 1: services written in three ways, and mistakes made in the first."""

import itertools
import threading

from flask import Flask, abort, jsonify, request
from werkzeug.exceptions import HTTPException

from servicelab.checks.lab01 import Shelves
from tests.lab11_answers import but
from tests.learners import never_returns  # noqa: F401  # for an answer that is made of another

FIELDS = ("sku", "name", "count")


class Service:
    """A class beside the routes, and one lock."""

    def __init__(self):
        self.rows, self.lock, self.numbers = Shelves(), threading.Lock(), itertools.count(1)

    def complaints(self, fields):
        if not isinstance(fields, dict):
            return {"body": "must be an object"}
        wrong = {f: "must be text" for f in FIELDS[:2] if not isinstance(fields.get(f), str)}
        count = fields.get("count")
        if type(count) is not int or count < 0:
            wrong["count"] = "must be a number, 0 or more"
        return wrong

    def taken(self, sku, number=None):
        return any(row["sku"] == sku and row["id"] != number for row in self.rows.values())

    def write(self, number, fields):
        self.rows[number] = row = {"id": number, **{f: fields[f] for f in FIELDS}}
        return row

    def add(self, fields):
        with self.lock:
            if self.taken(fields["sku"]):
                return None
            number = next(self.numbers)
            return self.write(number, fields)

    def replace(self, number, fields):
        with self.lock:
            old = self.rows[number]
            if self.taken(fields["sku"], old["id"]):
                return None
            return self.write(old["id"], fields)

    def take(self, number):
        with self.lock:
            row = self.rows[number]
            if row["count"] < 1:
                return None
            row["count"] -= 1
            self.rows[row["id"]] = row
            return row

    def remove(self, number):
        with self.lock:
            del self.rows[number]

    @classmethod
    def make(cls):
        app, stock = Flask("inventory"), cls()
        app.register_error_handler(KeyError, lambda error: (jsonify(error="no such item"), 404))
        app.get("/items")(lambda: jsonify(list(stock.rows.values())))
        app.add_url_rule("/items/<int:number>", "one", lambda number: jsonify(stock.rows[number]))

        @app.post("/items")
        def add():
            fields = request.get_json()
            if wrong := stock.complaints(fields):
                return jsonify(fields=wrong), 422
            row = stock.add(fields)
            return (jsonify(row), 201, {"Location": f"/items/{row['id']}"}) if row else (jsonify(error="taken"), 409)

        @app.put("/items/<int:number>")
        def put(number):
            asked = request.get_json()
            if bad := stock.complaints(asked):
                return jsonify(fields=bad), 422
            row = stock.replace(number, asked)
            return jsonify(row) if row else (jsonify(error="taken"), 409)

        @app.delete("/items/<int:number>")
        def delete(number):
            stock.remove(number)
            return "", 204

        @app.post("/items/<int:number>/take")
        def take(number):
            row = stock.take(number)
            return jsonify(row) if row else (jsonify(error="none left"), 409)

        return app


def in_one_function():
    """abort(), one shape of error, 400 in place of 422, its own dict, one handler for three methods."""
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
    """A class whose methods are the routes, a lock for each id beside one for the whole, a strict rule
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


# -- mistakes ------------------------------------------------------------------------------------------


class RemembersSkus(Service):
    """Every sku that there ever was is taken."""

    def __init__(self):
        super().__init__()
        self.ever = {}

    def taken(self, sku, number=None):
        return self.ever.setdefault(sku, number) != number or super().taken(sku, number)

    def write(self, number, fields):
        self.ever[fields["sku"]] = number
        return super().write(number, fields)


class ForgetsOnDelete(RemembersSkus):
    """A sku is free again after a DELETE, but not when a PUT gave its item another."""

    def remove(self, number):
        with self.lock:
            del self.ever[self.rows.pop(number)["sku"]]


def service(*changes):
    return but(Service, *changes).make


NONE = "\n                return None"
LOOK = f'            if self.taken(fields["sku"]):{NONE}'
OLD = f'            old = self.rows[number]\n            if self.taken(fields["sku"], old["id"]):{NONE}'
ROW, FOUND, COUNT = "row = stock.take(number)", 'if row["count"] < 1:', 'count = fields.get("count")'
TEXT, PUT, NUMBER = "isinstance(fields.get(f), str)", '@app.put("/items/<int:number>")', "type(count) is not int"
DELETED = 'return "", 204 => return jsonify(deleted=True)'
RIGHT = {
    "beside the routes": Service.make,
    "in one function": in_one_function,
    "in a class": lambda: Lines().app(),
}
WRONG = {
    "id from the length": (service("next(self.numbers) => len(self.rows) + 1"), {"id-again"}),
    "id from the highest": (service("next(self.numbers) => max(self.rows, default=0) + 1"), {"id-again"}),
    "number drawn outside the lock": (
        service(
            "def add(self, fields): => last = 0\n\n    def add(self, fields):\n        drawn = self.last + 1",
            "number = next(self.numbers) => self.last = number = drawn",
        ),
        {"id-race"},
    ),
    "no lock": (service("threading.Lock() => threading.Semaphore(1000)"), {"take-race"}),
    "check outside the lock": (
        service(
            "def take(self, number): => def take(self, number):\n"
            '        if self.rows[number]["count"] < 1:\n            return None',
            f"            {FOUND} =>             if False:",
        ),
        {"take-race"},
    ),
    "lock around the write only": (
        service(
            "def take(self, number):\n        with self.lock: => def take(self, number):\n        if True:",
            '            self.rows[row["id"]] =>             with self.lock:\n                self.rows[row["id"]]',
        ),
        {"take-race"},
    ),
    "changes a copy": (service('self.rows[row["id"]] = row => pass'), {"take"}),
    "sku outside the lock": (
        service(
            f"def add(self, fields):\n        with self.lock:\n{LOOK} => "
            f"def add(self, fields):\n        if True:\n{LOOK}\n        with self.lock:"
        ),
        {"sku-race"},
    ),
    "PUT looks outside the lock": (
        service(
            f"def replace(self, number, fields):\n        with self.lock:\n{OLD} => "
            f"def replace(self, number, fields):\n        if True:\n{OLD}\n        with self.lock:"
        ),
        {"sku-race"},
    ),
    "PUT without the lock": (  # it has one of its own
        service(
            "def replace(self, number, fields):\n        with self.lock: => "
            "own = threading.Lock()\n\n    def replace(self, number, fields):\n        with self.own:"
        ),
        {"undone"},
    ),
    "POST with a lock of its own": (
        service(
            "def add(self, fields):\n        with self.lock: => "
            "own = threading.Lock()\n\n    def add(self, fields):\n        with self.own:"
        ),
        {"sku-race"},
    ),
    "DELETE without the lock": (
        service("def remove(self, number):\n        with self.lock: => def remove(self, number):\n        if True:"),
        {"undone"},
    ),
    "deletes nothing": (service("del self.rows[number] => self.rows[number]"), {"unknown"}),
    "500 on a number": (service(f'{COUNT} => {COUNT}\n        fields.get("name", "").strip()'), {"field"}),
    "null is text": (service(f"{TEXT} => isinstance(fields.get(f, 0), str | None)"), {"field"}),
    "a number is a sku": (
        service(f'{TEXT} => isinstance(fields.get(f), str if f == "name" else str | int)'),
        {"field"},
    ),
    "zero is nothing": (service("count < 0 => count < 1"), {"add"}),
    "true is a number": (service(f"{NUMBER} => not isinstance(count, int)"), {"field"}),
    "2.5 is a number": (service(f"{NUMBER} => type(count) not in (int, float)"), {"field"}),
    "'3' is a number": (
        service(f'{COUNT} => {COUNT}\n        fields["count"] = count = int(count) if str(count).isdigit() else count'),
        {"field"},
    ),
    "fills in what is missing": (
        service('wrong = {f: => [fields.setdefault(*both) for both in zip(FIELDS, ("", "", 0))]\n        wrong = {f:'),
        {"field", "put-strict"},
    ),
    "looks into anything": (service("not isinstance(fields, dict) => False"), {"field"}),
    "400 that names nothing": (service('jsonify(fields=wrong), 422 => jsonify(error="bad request"), 400'), {"unnamed"}),
    "names the first only": (service("jsonify(fields=wrong) => jsonify(fields=min(wrong))"), {"unnamed"}),
    "force=True": (service("fields = request.get_json() => fields = request.get_json(force=True)"), {"by-flask"}),
    "silent=True": (service("fields = request.get_json() => fields = request.get_json(silent=True)"), {"by-flask"}),
    "PATCH is a PUT": (service(f'{PUT} => {PUT}\n        @app.patch("/items/<int:number>")'), {"by-flask"}),
    "GET takes, too": (
        service(
            '@app.post("/items/<int:number>/take") => @app.route("/items/<int:number>/take", methods=["GET", "POST"])'
        ),
        {"by-flask"},
    ),
    "DELETE of them all": (
        service(f'{PUT} => app.add_url_rule("/items", "all", lambda: ("", 204), methods=["DELETE"])\n\n        {PUT}'),
        {"by-flask"},
    ),
    "PUT creates": (service("old = self.rows[number] => old = self.rows.get(number, {'id': number})"), {"unknown"}),
    "PUT is its own duplicate": (service('self.taken(fields["sku"], old["id"]) => self.taken(fields["sku"])'), {"put"}),
    "PUT changes the count only": (
        service(
            'return self.write(old["id"], fields) => return self.write(old["id"], old | {"count": fields["count"]})'
        ),
        {"put", "duplicate"},
    ),
    "PUT is unchecked": (
        service('bad := stock.complaints(asked) => bad := {f: "is missing" for f in FIELDS if f not in asked}'),
        {"put-strict"},
    ),
    "PUT merges a part": (service("asked = => asked = stock.rows[number] |"), {"put-strict"}),
    "PUT takes any sku": (service('self.taken(fields["sku"], old["id"]) => False'), {"duplicate"}),
    "POST takes any sku": (service('self.taken(fields["sku"]) => False'), {"duplicate"}),
    "a sku is taken for ever": (RemembersSkus.make, {"duplicate"}),
    "a sku is taken until a DELETE": (ForgetsOnDelete.make, {"duplicate"}),
    "shows nothing": (service("return jsonify(row) if => return jsonify(done=True) if"), {"put", "take"}),
    "200 for everything": (service("jsonify(row), 201 => jsonify(row), 200", DELETED), {"add", "delete"}),
    "200 for DELETE": (service(DELETED), {"delete"}),
    "no Location": (service('"Location" => "X-Place"'), {"add"}),
    "no item in the answer": (service('jsonify(row), 201 => "created", 201'), {"add"}),
    "lists the last": (service("list(stock.rows.values()) => list(stock.rows.values())[-1:]"), {"add"}),
    "500 for an unknown id": (service("handler(KeyError => handler(ZeroDivisionError"), {"unknown"}),
    "take needs a body": (service(f"{ROW} => request.get_json()\n            {ROW}"), {"unknown", "take"}),
    "below zero": (service(f"{FOUND} => if False:"), {"take"}),
    "take never returns": (service(f"{ROW} => row = never_returns()"), {"no-answer"}),
}
