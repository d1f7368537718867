"""A round on real servers: the whole shop in one kernel, played by threads while the notebook goes on."""

import threading
import time
from contextlib import ExitStack

import requests
from flask import Flask

from servicelab.clients.amqp import Consumer, connect
from servicelab.clients.load import open_loop
from servicelab.clients.session import attempt, traced
from servicelab.faults import Down, FaultProxy, Latency
from servicelab.gameday.cards import Kit
from servicelab.gameday.incidents import GRACE, TRIPS, Fate
from servicelab.gameday.ledger import Ledger
from servicelab.gameday.services import Services
from servicelab.lifecycle import Component, ServerError
from servicelab.policies.drive import call
from servicelab.policies.status import Status
from servicelab.servers import serve
from servicelab.servers.amqp import start_broker
from servicelab.trace import Trace

#: Threads of each service: enough for all orders that wait for a slow payment.
WORKERS = 64
#: Seconds by which a customer may start late. Beyond that the machine stood still, and the round is not scored.
STOOD_STILL = 0.8


class Round(Component):
    """Customers, gateway, orders, inventory, payment, shipping and a broker, in threads; ``start()`` returns at once.

    The round ends by itself when all is done, and everything is gone then; ``stop()``, the next round, and the end of
    the kernel end it before. ``fate.pull(lever)`` acts while it runs. ``ledger`` has the books, ``trace`` the calls,
    ``stood_still`` by how many seconds the machine was late. ``script`` is (order, lever) for levers that are pulled by
    themselves.
    """

    def __init__(self, plan, cards, script=(), name="game day"):
        super().__init__(name)
        self.plan, self.cards, self.trace, self.stood_still = plan, cards, Trace(), 0.0
        self.ledger, self.fate, self.kit = Ledger(), Fate(plan, cards, script), Kit(cards)
        self.services = Services(self.fate, self.kit, self.ledger, time.monotonic)
        self._numbers, self._working, self._posted, self._distance = iter(range(plan.orders)), set(), 0, 0.0
        self._over, self._ended = threading.Event(), threading.Event()
        self._turn, self._desk = threading.Lock(), threading.Lock()
        self._stack, self._sessions = ExitStack(), {}

    @property
    def is_scored(self) -> bool:
        """Was the round played to its end, on a machine that did not stand still?"""
        return self._ended.is_set() and self.fate.sent == self.plan.orders - 1 and self.stood_still < STOOD_STILL

    def wait(self, limit: float = 150.0) -> "Round":
        """Until the round is over, for ``limit`` seconds at the most; an interrupt ends it."""
        try:
            end = time.monotonic() + limit
            while not self._ended.wait(0.1) and time.monotonic() < end:
                pass
        finally:
            self.stop()
        return self

    def _open(self):
        use, services = self._stack.enter_context, self.services
        for who in ("client", "gateway", "orders"):
            self._sessions[who] = use(traced(requests.Session(), self.trace, who))
        broker = use(start_broker(f"{self.name} broker", lane="broker"))
        self._channel = use(connect(broker, "orders", self.trace)).channel()
        self._desks = []
        for queue, lane in (("parcels", "shipping"), ("stock", "inventory")):
            self._channel.queue_declare(queue)
            name = f"{self.name} {queue} desk"
            self._desks.append(use(Consumer(broker, queue, self._handle, name=name, lane=lane, trace=self.trace)))
        stock = self._serve("inventory", "/reserve/<int:n>", lambda n: self._work(services.stock(n)))
        charge = "/charge/<int:n>/<int:number>"
        payment = self._serve("payment", charge, lambda **of: self._work(services.payment(**of)))
        self._links = [use(FaultProxy(server, name=f"{self.name} link {number}"))
                       for number, server in enumerate((stock, payment, payment))]  # fmt: skip
        self._links[2].add(Down())  # the instance of payment that is gone
        self._orders = self._serve("orders", "/orders/<int:n>", self._order)
        self._gateway = self._serve("gateway", "/buy/<int:n>", self._buy)
        threading.Thread(target=self._play, name="servicelab game day", daemon=True).start()

    def _serve(self, lane, path, handler):
        app = Flask(lane)
        app.add_url_rule(path, lane, handler, methods=["POST"])
        server = serve(app, f"{self.name} {lane}", lane=lane, workers=WORKERS, trace=self.trace)
        return self._stack.enter_context(server)

    def _close(self):
        self._over.set()
        if self.fate.sent >= 0:
            self._ended.wait(2.0)  # the customers go first; when they end the round themselves, they have gone
        self._stack.close()

    def _play(self):
        try:
            samples = open_loop(self._customer, self.plan.due, clients=2 * WORKERS, limit=GRACE)
            self.stood_still = max((one.start - one.due for one in samples if one.start is not None), default=0.0)
            end = samples.began + samples[-1].due + GRACE
            while time.monotonic() < end and (self._working or sum(d.handled for d in self._desks) < self._posted):
                time.sleep(0.02)
        except (_Over, ServerError):  # stopped, and perhaps in the middle of a call
            pass
        finally:
            self._ended.set()
            self.stop()

    # -- who does what ------------------------------------------------------------------------

    def _customer(self):
        if self._over.is_set():
            raise _Over
        with self._turn:
            n = next(self._numbers)
            self.fate.send(n)
            self._shape_links(n)
        began = time.monotonic()
        status, _ = self._post("client", self._gateway, f"/buy/{n}")
        self.ledger.answers.append((n, status == Status.OK, time.monotonic() - began))

    def _buy(self, n):
        if not self.services.lets_in(n):
            return "refused", 503
        return "", 200 if self._post("gateway", self._orders, f"/orders/{n}")[0] == Status.OK else 503

    def _order(self, n):
        stock, payment = self._links[0], self._links[1 + self.services.knows_the_gone(n)]
        if "queue" in self.cards:
            self._send("stock", n)
        else:
            self._post("orders", stock, f"/reserve/{n}")
        pay = lambda timeout, number: self._post("orders", payment, f"/charge/{n}/{number}", timeout, number)  # noqa: E731
        sent, accepted = self.services.settle(n, call(self.services.policy(n), pay).status == Status.OK)
        if sent:
            self._send("parcels", n)
        return "", 201 if accepted else 503

    def _post(self, who, server, path, timeout=20.0, number=1):
        return attempt(self._sessions[who], "POST", server.url + path)(timeout, number)

    def _work(self, steps):
        self._working.add(steps)
        try:
            while not self._over.wait(next(steps)):
                pass
            return "the shop is closed", 503
        except StopIteration as end:
            return "", end.value
        finally:
            self._working.discard(steps)

    def _send(self, queue, n):
        with self._desk:  # one connection, one thread at a time
            self._posted += 1
            self._channel.basic_publish("", queue, str(n))

    def _handle(self, channel, method, properties, body):
        if method.routing_key == "parcels":
            self.ledger.shipped.append(int(body))
        channel.basic_ack(method.delivery_tag)

    def _shape_links(self, n):
        """Let the network be as order ``n`` finds it."""
        before, self._distance = self._distance, self.fate.distance(n)
        for link, trips in zip(self._links if self._distance != before else (), (TRIPS, 1)):
            for direction in ("upstream", "downstream"):
                link.add(Latency(self._distance / 2 * trips, name=direction, direction=direction))


class _Over(Exception):
    """The round was stopped."""
