"""The check of chapter 00: one small function, so that a learner meets a report before the first lab."""

import requests
from flask import Flask, jsonify, request

from servicelab.checks.exercise import exercise
from servicelab.clients import traced
from servicelab.servers import serve

STOCK = 5
#: What customers want, one after another, and whether they can have it.
CUSTOMERS = [(3, True), (3, False), (2, True), (1, False)]


@exercise("00", 1, "May this order be accepted?", limit=20.0)
def check_may_accept(ask, may_accept):
    """Put ``may_accept(left, wanted) -> bool`` behind a real route and send four orders to a shop with five mugs."""
    ask.call(may_accept, STOCK, 1, returns=bool, limit=2.0)
    server = ask.use(serve(_shop(may_accept), "orders", trace=ask.trace))
    left = STOCK
    with traced(requests.Session(), ask.trace, "client") as web:
        for wanted, possible in CUSTOMERS:
            answer = web.post(server.url + "/orders", json={"wanted": wanted}, timeout=3.0)
            call = ask.trace.calls[-1].id
            what = f"with {left} left, an order for {wanted} is {'accepted' if possible else 'refused'}"
            if answer.status_code not in (201, 409):
                ask.need(
                    "handler-failed",
                    what,
                    False,
                    f"the server answered {answer.status_code}\n" + "\n".join(server.errors)[-400:],
                    "Your function raised an exception with these numbers.",
                    call,
                )
            accepted = answer.status_code == 201
            code, happened, hint = _words(left, wanted, accepted)
            ask.need(code, what, accepted == possible, happened, hint, call)
            left = answer.json()["left"]


def _words(left, wanted, accepted):
    if accepted:
        return (
            "oversold",
            f"it was accepted, and {left - wanted} mugs were left",
            "It is not enough that something is left. What must be true of left and wanted together?",
        )
    return (
        "refused-in-vain",
        f"it was refused, with {left} on the shelf",
        "Is an order for exactly what is left treated as it should be?",
    )


def _shop(may_accept):
    app, shelf = Flask("orders"), {"mugs": STOCK}

    @app.post("/orders")
    def order():
        wanted = request.get_json()["wanted"]
        if not may_accept(shelf["mugs"], wanted):
            return jsonify(left=shelf["mugs"]), 409
        shelf["mugs"] -= wanted
        return jsonify(left=shelf["mugs"]), 201

    return app
