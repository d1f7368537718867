"""The shop of exercise 5: gateway → orders → payment → two banks on real sockets, with a policy at each caller."""

import itertools
import threading
import time
from contextlib import ExitStack

import requests
from flask import Flask, request

from servicelab.checks.lab10.lost import lost_reply
from servicelab.clients import attempt, closed_loop, traced
from servicelab.policies import Retry, RetryBudget, Timeout, call
from servicelab.servers import serve
from servicelab.trace import Trace

LAYERS = ("gateway", "orders", "payment")
BANKS = ("bank", "other bank")
CLIENTS = 4


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
        self._down, self._lose, self._lock = False, None, threading.Lock()
        self._orders, self._urls = itertools.count(1), {}

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

    def customers(self, count: int, clients: int = CLIENTS, bank: str = "bank"):
        """Send ``count`` orders, ``clients`` at a time; returns the samples. A customer tries once."""
        return closed_loop(lambda: self._order(bank), clients=min(clients, count), count=count)

    def outage(self) -> None:
        """From now on every call of the bank ends in 503. The other bank is well."""
        self._down = True

    def repair(self) -> None:
        """From now on the bank is well again."""
        self._down = False

    def lose_reply(self, name: str) -> None:
        """The next reply of this service is lost: the work is done, and nobody hears of it."""
        self._lose = name

    def _order(self, bank):
        key = {"Idempotency-Key": f"order-{next(self._orders)}"}
        return self._web.post(f"{self._urls['gateway']}/{bank}", headers=key, timeout=20)

    def _app(self, name, web):
        app = Flask(name)

        @app.post("/<bank>")
        def charge(bank):
            if name in BANKS:
                time.sleep(0.001)
                answer = ("out of order", 503) if self._down and name == "bank" else ("paid", 200)
            else:
                key = {"Idempotency-Key": request.headers.get("Idempotency-Key", "")}
                url = f"{self._urls[self._below(name, bank)]}/{bank}"
                result = call(self._policy(name, bank), attempt(web, "POST", url, headers=key))
                answer = ("paid", 200) if result.status == "ok" else (f"{name}: {result.status}", 503)
            return lost_reply() if self._is_to_lose(name) else answer

        return app

    def _below(self, name, bank):
        return bank if name == LAYERS[-1] else LAYERS[LAYERS.index(name) + 1]

    def _policy(self, name, bank):
        policy = self.policies[name]
        return policy[bank] if isinstance(policy, dict) else policy

    def _is_to_lose(self, name):
        with self._lock:
            if self._lose != name:
                return False
            self._lose = None
            return True


def tower_shop(tries, trace: Trace | None = None) -> TowerShop:
    """A shop whose layers make so many calls of each failed one: a dict from layer to a number. Of 1.5, every other
    call gets a retry."""
    return TowerShop({layer: _retry(tries.get(layer, 1)) for layer in LAYERS}, trace)


def _retry(tries):
    if tries == int(tries):
        return Retry(Timeout(5.0), tries=int(tries))
    return Retry(Timeout(5.0), tries=2, budget=RetryBudget(ratio=tries - 1, min_per_second=0, reserve=1))


def stormy_shop() -> TowerShop:
    """A shop to measure: the bank is down, and somewhere calls are multiplied."""
    shop = tower_shop({"gateway": 3, "payment": 4})
    shop.outage()
    return shop
