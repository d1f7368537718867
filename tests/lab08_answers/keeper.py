"""Exercise 1: three right keepers, written differently, and mistakes as changes to the first."""

import threading
import time
from contextlib import suppress

import consul
import requests

from tests.lab11_answers import but

NO_ANSWER = (requests.RequestException, consul.ConsulException)


class Keeper:
    def __init__(self, client, id, server, ttl):
        self.client, self.id, self.server, self.ttl = client, id, server, ttl
        self.gone, self.period = threading.Event(), ttl / 3.3
        self.client.http.connections_timeout = ttl / 3

    def start(self):
        self.register()
        self.thread = threading.Thread(target=self.keep, daemon=True)
        self.thread.start()

    def register(self):
        check = {"TTL": f"{self.ttl * 1000:.0f}ms", "Status": "passing"}
        self.client.agent.service.register("orders", self.id, address="127.0.0.1", port=self.server.port, check=check)

    def keep(self):
        while not self.gone.wait(self.period):
            try:
                self.beat()
            except NO_ANSWER:
                continue

    def beat(self):
        return self.client.agent.check.ttl_pass("service:" + self.id) or self.register()

    def goodbye(self):
        with suppress(*NO_ANSWER):
            self.client.agent.service.deregister(self.id)

    def stop(self, drain):
        self.gone.set()
        self.thread.join()
        self.goodbye()
        time.sleep(drain)
        self.server.stop()


class Timers:
    """Another hand: a chain of timers, plain requests, and a re-registration in place of each lost heartbeat."""

    def __init__(self, client, id, server, ttl):
        self.web, self.base = client.http.session, client.http.base_uri + "/v1/agent/"
        self.body = {
            "Name": "orders", "ID": id, "Address": "127.0.0.1", "Port": server.port,
            "Check": {"TTL": f"{int(ttl * 1000)}ms", "Status": "passing"},
        }  # fmt: skip
        self.id, self.server, self.period, self.lock, self.timer = id, server, ttl / 4, threading.RLock(), None

    def put(self, path, **more):
        try:
            return self.web.put(self.base + path, timeout=self.period, **more).status_code
        except requests.RequestException:
            return None

    def start(self):
        self.put("service/register", json=self.body)
        self.wind()

    def wind(self):
        self.timer = threading.Timer(self.period, self.beat)
        self.timer.daemon = True
        self.timer.start()

    def beat(self):
        with self.lock:
            if self.timer is None:
                return
            if self.put(f"check/pass/service:{self.id}") == 404:
                self.put("service/register", json=self.body)
            self.wind()

    def stop(self, drain):
        with self.lock:
            self.timer.cancel()
            self.timer = None
        self.put(f"service/deregister/{self.id}")
        time.sleep(drain)
        self.server.stop()


class OneState:
    """A third hand: one thread that does everything in turn, the goodbye too; whatever fails is tried again later."""

    def __init__(self, client, id, server, ttl):
        client.http.connections_timeout = ttl / 4
        self.agent, self.id, self.server, self.ttl = client.agent, id, server, ttl
        self.is_known, self.leaving = False, threading.Event()

    def tell(self):
        check = {"CheckID": f"service:{self.id}", "TTL": f"{self.ttl}s", "Status": "passing"}
        if not self.is_known:
            self.agent.service.register(
                "orders", service_id=self.id, address="127.0.0.1", port=self.server.port, check=check
            )
            self.is_known = True
        self.is_known = self.agent.check.ttl_pass(check["CheckID"])

    def work(self):
        while not self.leaving.wait(self.ttl / 5 if self.is_known else 0.05):
            try:
                self.tell()
            except Exception:
                continue
        with suppress(Exception):
            self.agent.service.deregister(self.id)

    def start(self):
        self.tell()
        self.worker = threading.Thread(target=self.work)
        self.worker.start()

    def stop(self, drain):
        self.leaving.set()
        self.worker.join()
        threading.Event().wait(drain)
        self.server.stop()


class KeepsOn(Keeper):
    """Its thread falls silent, and never ends."""

    lock = threading.Lock()

    def keep(self):
        with suppress(SystemExit):  # with which the check ends it, so that pytest need not tell of it
            while True:
                time.sleep(self.period)
                with self.lock, suppress(*NO_ANSWER):
                    self.gone.is_set() or self.beat()

    def stop(self, drain):
        with self.lock:
            self.gone.set()
        self.thread = threading.Timer(0, print)
        self.thread.start()
        super().stop(drain)


RIGHT = {"one thread": Keeper, "timers and requests": Timers, "one thread for all": OneState}
_START = "        self.register() => "
_AGAIN = "or self.register() => or "
_REGISTERS = "self.client.agent.service.register('orders', self.id, "
_CHANGES = {
    "not registered": ("not-passing", _START),
    "registers later": (
        "not-passing", _START, "        while not =>         time.sleep(0.05); self.register()\n        while not"
    ),
    "critical at first": ("not-passing", '"passing" => "critical"'),
    "no port the second time": ("registered-otherwise", _AGAIN + _REGISTERS + "check={'TTL': '750ms'})"),
    "no check the second time": (
        "registered-otherwise", _AGAIN + _REGISTERS + "address='127.0.0.1', port=self.server.port)"
    ),
    "one lost kills": ("one-lost-kills", "ttl / 3.3 => ttl / 1.5"),
    "forty in a lease": ("hammers", "ttl / 3.3 => ttl / 40"),
    "ten in a lease": ("hammers", "ttl / 3.3 => ttl / 10"),
    "the period of the chapter": ("stays-slow", "ttl / 3.3 => 0.3"),
    "never quick again": ("stays-slow", "continue => self.period *= 1.5"),
    "dies of a 500": ("thread-died", "NO_ANSWER: => requests.RequestException:"),
    "dies of silence": ("thread-died", "NO_ANSWER: => consul.ConsulException:"),
    "no pause after an error": (
        "no-pause", "gone.wait(self.period) => gone.is_set()", "self.beat() => self.beat(); self.gone.wait(self.period)"
    ),
    "no pause after a 500": (
        "no-pause",
        "gone.wait(self.period) => gone.is_set()",
        "self.beat() => self.beat(); self.gone.wait(self.period)",
        "NO_ANSWER:\n                continue => consul.ConsulException:\n                continue\n"
        "            except requests.RequestException:\n                self.gone.wait(self.period)",
    ),
    "registers in place of a heartbeat": (
        "stays-critical", 'self.client.agent.check.ttl_pass("service:" + self.id) or => '
    ),
    "registers again once": (
        "not-registered-again", _AGAIN + "hasattr(self, 'again') or setattr(self, 'again', 1) or self.register()"
    ),
    "registers unprotected": (
        "not-registered-again",
        _AGAIN + "False",
        "self.beat() => known = self.beat()",
        "continue => continue\n            known or self.register()",
    ),
    "waits for an exception": ("not-registered-again", _AGAIN + "None"),
    "never stops": ("not-stopped", "self.server.stop() => pass"),
    "no goodbye": ("no-goodbye", "self.goodbye() => pass"),
    "stops first": ("no-drain", "self.goodbye() => self.server.stop(); self.goodbye()"),
    "no drain": ("no-drain", "time.sleep(drain) => pass"),
    "drains first": ("no-drain", "time.sleep(drain) => pass", "self.goodbye() => time.sleep(drain); self.goodbye()"),
    "comes back": (
        "comes-back", "self.goodbye() => pass", "self.gone.set() => self.goodbye(); time.sleep(drain); self.gone.set()"
    ),
    "an event without join": ("comes-back", "self.thread.join() => pass"),
    "looks before it registers": (
        "comes-back", "self.thread.join() => pass", _AGAIN + "self.gone.is_set() or self.register()"
    ),
    "the goodbye fails": ("goodbye-fails", "suppress(*NO_ANSWER) => suppress()"),
    "the goodbye fails at a 500": ("goodbye-fails", "suppress(*NO_ANSWER) => suppress(requests.RequestException)"),
    "patient with a lease": ("hangs", "timeout = ttl / 3 => timeout = 2 * ttl"),
    "patient for most of a lease": ("waits-long", "ttl / 3.3 => ttl / 4", "timeout = ttl / 3 => timeout = 0.65 * ttl"),
    "impatient in the loop only": (
        "stop-hangs", "self.goodbye() => self.client.http.connections_timeout = 30; self.goodbye()"
    ),
    "nothing to stop": ("no-methods", "def stop => def halt"),
}  # fmt: skip
WRONG = {name: (but(Keeper, *changes), {code}) for name, (code, *changes) in _CHANGES.items()}
WRONG["keeps on"] = KeepsOn, {"left-running"}
