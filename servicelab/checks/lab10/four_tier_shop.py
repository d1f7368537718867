"""The shop of exercise 5: gateway → orders → payment → two banks on real sockets, with a policy at each caller."""

import itertools
import math
import time
from contextlib import ExitStack

import requests
from flask import Flask, Response, request

from servicelab.clients import attempt, closed_loop, traced
from servicelab.policies import Retry, RetryBudget, Timeout, call
from servicelab.servers import serve
from servicelab.trace import Trace

LAYERS = ("gateway", "orders", "payment")
BANKS = ("bank", "other bank")


def lost_reply() -> Response:
    """A reply that is lost: the work is done, the headers leave, and then the line breaks."""

    def body():
        yield b"pai"
        raise ConnectionError("the line broke here, on purpose")

    return Response(body(), headers={"Content-Length": "100"})


class TowerShop:
    """A running shop, four services deep. ``policies`` says how each layer calls the next one.

    ``layers`` are gateway, orders and payment; below payment are the bank and the other bank, and each customer belongs
    to one of them: the policy of payment may be a dict with one for each. ``customers(count)`` sends so many orders of
    the bank's customers, a few at a time, and returns the samples. ``outage()`` takes the bank down, ``repair()`` ends
    that. ``trace`` records everything. Use it in a ``with`` block: at its end the servers stop.
    """

    def __init__(self, policies, trace: Trace | None = None):
        self.layers, self.policies = LAYERS, policies
        self.trace = Trace() if trace is None else trace
        self._down, self._lose, self._orders, self._urls = False, None, itertools.count(1), {}

    def __repr__(self):
        return f"<a shop: client → {' → '.join(LAYERS)} → {' or '.join(BANKS)}>"

    def __enter__(self):
        with ExitStack() as stack:
            for name in (*BANKS, *reversed(LAYERS)):
                web = stack.enter_context(traced(requests.Session(), self.trace, name))
                self._urls[name] = stack.enter_context(serve(self._app(name, web), name, trace=self.trace)).url
            self._web = stack.enter_context(traced(requests.Session(), self.trace, "client"))
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *error):
        self._stack.close()

    def customers(self, count: int, clients: int = 4, bank: str = "bank"):
        """Send ``count`` orders, ``clients`` at a time; returns the samples. A customer tries once."""

        def order():
            key = {"Idempotency-Key": f"order-{next(self._orders)}"}
            return self._web.post(f"{self._urls['gateway']}/{bank}", headers=key, timeout=20)

        return closed_loop(order, clients=min(clients, count), count=count)

    def outage(self) -> None:
        """From now on every call of the bank ends in 503. The other bank is well."""
        self._down = True

    def repair(self) -> None:
        """From now on the bank is well again."""
        self._down = False

    def lose_reply(self, name: str) -> None:
        """The next reply of this service is lost: the work is done, and nobody hears of it."""
        self._lose = name

    def _app(self, name, web):
        app = Flask(name)

        @app.post("/<bank>")
        def charge(bank):
            if name in BANKS:
                time.sleep(0.001)
                answer = ("out of order", 503) if self._down and name == "bank" else ("paid", 200)
            else:
                policy = self.policies[name]
                below = bank if name == "payment" else LAYERS[LAYERS.index(name) + 1]
                key = {"Idempotency-Key": request.headers.get("Idempotency-Key", "")}
                result = call(
                    policy[bank] if isinstance(policy, dict) else policy,
                    attempt(web, "POST", f"{self._urls[below]}/{bank}", headers=key),
                )
                answer = ("paid", 200) if result.status == "ok" else (f"{name}: {result.status}", 503)
            if name == self._lose:
                self._lose = None
                return lost_reply()
            return answer

        return app


def tower_shop(tries, trace: Trace | None = None) -> TowerShop:
    """A shop whose layers make so many calls of each failed one: a dict from layer to a number. Of 1.5, every other
    call gets a retry."""

    def policy(tries):
        budget = None if tries == int(tries) else RetryBudget(ratio=tries - 1, min_per_second=0, reserve=1)
        return Retry(Timeout(5.0), tries=math.ceil(tries), budget=budget)

    return TowerShop({layer: policy(tries.get(layer, 1)) for layer in LAYERS}, trace)


def stormy_shop() -> TowerShop:
    """A shop to measure: the bank is down, and somewhere calls are multiplied."""
    shop = tower_shop({"gateway": 3, "payment": 4})
    shop.outage()
    return shop
