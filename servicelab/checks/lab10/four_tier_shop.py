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
PACE = 0.01  # seconds from one customer to the next


def lost_reply() -> Response:
    """A reply that is lost: the work is done, the headers leave, and then the line breaks."""

    def body():
        yield b"pai"
        raise ConnectionError("the line broke here, on purpose")

    return Response(body(), headers={"Content-Length": "100"})


class TowerShop:
    """A running shop, four services deep. ``policies`` says how each layer calls the next one.

    Each customer belongs to one of two banks: the policy of payment may be a dict with one for each. While ``is_down``,
    every call of ``bank`` ends in 503; the other bank is well. The next reply of the service ``loses`` is lost.
    ``trace`` records everything. Use it in a ``with`` block: at its end the servers stop.

    The policies' clock is ``now``: it goes on by PACE with each customer, and by what somebody sleeps, however busy
    the machine is.
    """

    def __init__(self, policies, trace: Trace | None = None):
        self.policies, self.trace = policies, Trace() if trace is None else trace
        self.is_down, self.loses, self.now, self._orders, self._urls = False, None, 0.0, itertools.count(1), {}

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
            self.sleep(PACE)
            key = {"Idempotency-Key": f"order-{next(self._orders)}"}
            return self._web.post(f"{self._urls['gateway']}/{bank}", headers=key, timeout=20)

        return closed_loop(order, clients=min(clients, count), count=count)

    def sleep(self, seconds: float) -> None:
        """Let time pass for the policies."""
        self.now += seconds

    def _app(self, name, web):
        app = Flask(name)

        @app.post("/<bank>")
        def charge(bank):
            if name in BANKS:
                time.sleep(0.001)
                answer = ("out of order", 503) if self.is_down and name == "bank" else ("paid", 200)
            else:
                below = bank if name == "payment" else LAYERS[LAYERS.index(name) + 1]
                policy = self.policies[name]
                policy = policy[bank] if isinstance(policy, dict) else policy
                key = {"Idempotency-Key": request.headers.get("Idempotency-Key", "")}
                send = attempt(web, "POST", f"{self._urls[below]}/{bank}", headers=key)
                result = call(policy, send, lambda: self.now, self.sleep)
                answer = ("paid", 200) if result.status == "ok" else (f"{name}: {result.status}", 503)
            if name == self.loses:
                self.loses = None
                return lost_reply()
            return answer

        return app


def stormy_shop(trace: Trace | None = None, gateway=3, orders=1, payment=4) -> TowerShop:
    """A shop to measure: the bank is down, and each layer makes so many calls of one that fails. Of 1.5, every other
    call gets a retry."""

    def policy(tries):
        budget = None if tries == int(tries) else RetryBudget(ratio=tries - 1, min_per_second=0, reserve=1)
        return Retry(Timeout(5.0), tries=math.ceil(tries), budget=budget)

    shop = TowerShop(dict(zip(LAYERS, map(policy, (gateway, orders, payment)))), trace)
    shop.is_down = True
    return shop
