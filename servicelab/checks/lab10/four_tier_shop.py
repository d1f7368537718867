"""The shop of exercise 5: gateway → orders → payment → bank on real sockets, with a policy at each of the callers."""

import itertools
import threading
import time
from contextlib import ExitStack

import requests
from flask import Flask, request

from servicelab.checks.lab10.lost import lost_reply
from servicelab.clients import attempt, closed_loop, traced
from servicelab.policies import Retry, Timeout, call
from servicelab.servers import serve
from servicelab.trace import Trace

LAYERS = ("gateway", "orders", "payment")
CHAIN = (*LAYERS, "bank")
CLIENTS = 4


class TowerShop:
    """A running shop, four services deep. ``policies`` says how each layer calls the next one.

    ``layers`` are gateway, orders and payment; below payment is the bank. ``customers(count)`` sends so many orders, a
    few at a time, and returns the samples. ``outage()`` takes the bank down. ``trace`` records everything. Use it in a
    ``with`` block: at its end the servers stop.
    """

    def __init__(self, policies, trace: Trace | None = None):
        self.layers, self.policies = LAYERS, policies
        self.trace = Trace() if trace is None else trace
        self._down, self._lose, self._lock = False, None, threading.Lock()
        self._orders = itertools.count(1)

    def __repr__(self):
        return f"<a shop: client → {' → '.join(CHAIN)}>"

    def __enter__(self):
        with ExitStack() as stack:
            self._urls, below = {}, None
            for name in reversed(CHAIN):
                web = stack.enter_context(traced(requests.Session(), self.trace, name))
                server = stack.enter_context(serve(self._app(name, below, web), name, trace=self.trace))
                self._urls[name] = below = server.url + "/charges"
            self._web = stack.enter_context(traced(requests.Session(), self.trace, "client"))
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *error):
        self._stack.close()

    def customers(self, count: int, clients: int = CLIENTS):
        """Send ``count`` orders, ``clients`` at a time; returns the samples. A customer tries once."""
        return closed_loop(self._order, clients=min(clients, count), count=count)

    def outage(self) -> None:
        """From now on every call of the bank ends in 503."""
        self._down = True

    def lose_reply(self, name: str) -> None:
        """The next reply of this service is lost: the work is done, and nobody hears of it."""
        self._lose = name

    def _order(self):
        key = {"Idempotency-Key": f"order-{next(self._orders)}"}
        return self._web.post(self._urls["gateway"], headers=key, timeout=20)

    def _app(self, name, below, web):
        app = Flask(name)

        @app.post("/charges")
        def charge():
            if below is None:
                time.sleep(0.001)
                answer = ("out of order", 503) if self._down else ("paid", 200)
            else:
                key = {"Idempotency-Key": request.headers.get("Idempotency-Key", "")}
                result = call(self.policies[name], attempt(web, "POST", below, headers=key))
                answer = ("paid", 200) if result.status == "ok" else (f"{name}: {result.status}", 503)
            return lost_reply() if self._is_to_lose(name) else answer

        return app

    def _is_to_lose(self, name):
        with self._lock:
            if self._lose != name:
                return False
            self._lose = None
            return True


def tower_shop(tries, trace: Trace | None = None) -> TowerShop:
    """A shop whose layers try so many times: a dict from layer to tries."""
    return TowerShop({layer: Retry(Timeout(5.0), tries=tries.get(layer, 1)) for layer in LAYERS}, trace)


def stormy_shop() -> TowerShop:
    """A shop to measure: the bank is down, and somewhere calls are multiplied."""
    shop = tower_shop({"gateway": 3, "payment": 4})
    shop.outage()
    return shop
