"""Exercise 1: a right keeper in small parts, one written otherwise, and mistakes as changes to the first."""

import threading
import time
from contextlib import suppress

import consul
import requests

NO_ANSWER = (requests.RequestException, consul.ConsulException)


class Keeper:
    """A right answer. A mistake is a subclass that overrides one part."""

    status, share = "passing", 3.3

    def __init__(self, client, id, server, ttl):
        self.client, self.id, self.server, self.ttl = client, id, server, ttl
        self.period = ttl / self.share
        self.gone = threading.Event()
        self.patience()

    def patience(self):
        self.client.http.connections_timeout = self.ttl / 3

    def start(self):
        self.register()
        self.thread = threading.Thread(target=self.keep, daemon=True)
        self.thread.start()

    def register(self):
        check = {"TTL": f"{self.ttl * 1000:.0f}ms", "Status": self.status}
        self.client.agent.service.register("orders", self.id, address="127.0.0.1", port=self.server.port, check=check)

    def keep(self):
        while not self.gone.wait(self.period):
            with suppress(*NO_ANSWER):
                self.beat()

    def beat(self):
        if not self.client.agent.check.ttl_pass("service:" + self.id):
            self.register()

    def halt(self):
        self.gone.set()
        self.thread.join()

    def goodbye(self):
        with suppress(*NO_ANSWER):
            self.client.agent.service.deregister(self.id)

    def stop(self, drain):
        self.halt()
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


class AlwaysRegisters(Keeper):
    """To register again keeps a check that is critical as it is, here as in Consul."""

    def beat(self):
        self.register()


class OneLostKills(Keeper):
    share = 1.5


class PeriodOfTheChapter(Keeper):
    def __init__(self, *args):
        super().__init__(*args)
        self.period = 0.3


class NeverQuickAgain(Keeper):
    """The pause grows with each failure, and a success changes nothing."""

    def keep(self):
        while not self.gone.wait(self.period):
            try:
                self.beat()
            except NO_ANSWER:
                self.period *= 1.5


class ADozen(Keeper):
    share = 12


class NoPauseAfterAnError(Keeper):
    def keep(self):
        while not self.gone.is_set():
            try:
                self.beat()
                self.gone.wait(self.period)
            except NO_ANSWER:
                pass


class NoPauseAfterA500(Keeper):
    def beat(self):
        while not self.gone.is_set():
            with suppress(consul.ConsulException):
                return super().beat()


class RegistersAgainOnce(Keeper):
    has_again = False

    def beat(self):
        if not self.client.agent.check.ttl_pass("service:" + self.id) and not self.has_again:
            self.register()
            self.has_again = True


class RegistersUnprotected(Keeper):
    """The heartbeat may fail, and what follows a 404 may not."""

    def keep(self):
        while not self.gone.wait(self.period):
            known = True
            with suppress(*NO_ANSWER):
                known = self.client.agent.check.ttl_pass("service:" + self.id)
            if not known:
                self.register()


class NoPortTheSecondTime(Keeper):
    """What it registers again says nothing of where it is."""

    def beat(self):
        if not self.client.agent.check.ttl_pass("service:" + self.id):
            check = {"TTL": f"{self.ttl * 1000:.0f}ms", "Status": "passing"}
            self.client.agent.service.register("orders", self.id, check=check)


class NoCheckTheSecondTime(Keeper):
    """What it registers again has no lease, and passes for ever."""

    def beat(self):
        if not self.client.agent.check.ttl_pass("service:" + self.id):
            self.client.agent.service.register("orders", self.id, address="127.0.0.1", port=self.server.port)


class DiesOf500(Keeper):
    """Silence is expected, and an error is not."""

    def keep(self):
        while not self.gone.wait(self.period):
            with suppress(requests.RequestException):
                self.beat()


class DiesOfSilence(Keeper):
    def keep(self):
        while not self.gone.wait(self.period):
            with suppress(consul.ConsulException):
                self.beat()


class PatientWithALease(Keeper):
    """A timeout that is longer than the lease."""

    def patience(self):
        self.client.http.connections_timeout = 2 * self.ttl


class ImpatientInTheLoopOnly(Keeper):
    def goodbye(self):
        self.client.http.connections_timeout = 30
        super().goodbye()


class WaitsForNotFound(Keeper):
    """Expects an exception where py-consul returns False."""

    def beat(self):
        try:
            self.client.agent.check.ttl_pass("service:" + self.id)
        except consul.NotFound:
            self.register()


class CriticalAtFirst(Keeper):
    """Says nothing of the status, and waits for the first heartbeat."""

    status = "critical"


class StopsFirst(Keeper):
    def stop(self, drain):
        self.halt()
        self.server.stop()
        self.goodbye()
        time.sleep(drain)


class NoGoodbye(Keeper):
    def goodbye(self):
        pass


class NoDrain(Keeper):
    def stop(self, drain):
        super().stop(0)


class DrainsFirst(Keeper):
    def stop(self, drain):
        self.halt()
        time.sleep(drain)
        self.goodbye()
        self.server.stop()


class ComesBack(Keeper):
    """The heartbeat goes on while it drains, gets a 404, and registers again."""

    def stop(self, drain):
        self.goodbye()
        time.sleep(drain)
        self.halt()
        self.server.stop()


class EventWithoutJoin(Keeper):
    """The event comes first, but a heartbeat may have begun."""

    def halt(self):
        self.gone.set()


class LooksBeforeItRegisters(EventWithoutJoin):
    """… but the registration may have begun, too."""

    def beat(self):
        if not self.client.agent.check.ttl_pass("service:" + self.id) and not self.gone.is_set():
            self.register()


class NeverStops(Keeper):
    def stop(self, drain):
        self.halt()
        self.goodbye()
        time.sleep(drain)


class GoodbyeFails(Keeper):
    def goodbye(self):
        self.client.agent.service.deregister(self.id)


class GoodbyeFailsAt500(Keeper):
    def goodbye(self):
        with suppress(requests.RequestException):
            self.client.agent.service.deregister(self.id)


class RegistersLater(Keeper):
    def start(self):
        self.thread = threading.Thread(target=self.begin, daemon=True)
        self.thread.start()

    def begin(self):
        time.sleep(0.05)
        self.register()
        self.keep()


class KeepsOn(Keeper):
    """Its thread falls silent, and never ends."""

    lock = threading.Lock()

    def keep(self):
        with suppress(SystemExit):  # with which the check ends it, so that pytest need not tell of it
            while True:
                time.sleep(self.period)
                with self.lock, suppress(*NO_ANSWER):
                    if not self.gone.is_set():
                        self.beat()

    def halt(self):
        with self.lock:
            self.gone.set()


class NotRegistered(Keeper):
    def register(self):
        pass


class NothingToStop:
    def __init__(self, client, id, server, ttl):
        pass

    def start(self):
        pass


RIGHT = {"in small parts": Keeper, "timers and requests": Timers, "one thread for all": OneState}
WRONG = {
    "registers in place of a heartbeat": (AlwaysRegisters, {"stays-critical"}),
    "the period of the chapter": (PeriodOfTheChapter, {"stays-slow"}),
    "never quick again": (NeverQuickAgain, {"stays-slow"}),
    "no pause after a 500": (NoPauseAfterA500, {"no-pause"}),
    "registers again once": (RegistersAgainOnce, {"not-registered-again"}),
    "registers unprotected": (RegistersUnprotected, {"not-registered-again"}),
    "looks before it registers": (LooksBeforeItRegisters, {"races-its-goodbye"}),
    "the goodbye fails at a 500": (GoodbyeFailsAt500, {"goodbye-fails"}),
    "registers later": (RegistersLater, {"not-registered"}),
    "one lost kills": (OneLostKills, {"one-lost-kills"}),
    "a dozen in a lease": (ADozen, {"hammers"}),
    "dies of a 500": (DiesOf500, {"dies-of-500"}),
    "dies of silence": (DiesOfSilence, {"thread-died"}),
    "no pause after an error": (NoPauseAfterAnError, {"no-pause"}),
    "no port the second time": (NoPortTheSecondTime, {"registered-otherwise"}),
    "no check the second time": (NoCheckTheSecondTime, {"registered-otherwise"}),
    "patient with a lease": (PatientWithALease, {"hangs"}),
    "impatient in the loop only": (ImpatientInTheLoopOnly, {"stop-hangs"}),
    "waits for an exception": (WaitsForNotFound, {"not-registered-again"}),
    "critical at first": (CriticalAtFirst, {"not-passing"}),
    "stops first": (StopsFirst, {"stops-first"}),
    "no goodbye": (NoGoodbye, {"no-goodbye"}),
    "no drain": (NoDrain, {"no-drain"}),
    "drains first": (DrainsFirst, {"no-drain"}),
    "comes back": (ComesBack, {"comes-back"}),
    "an event without join": (EventWithoutJoin, {"races-its-goodbye"}),
    "never stops": (NeverStops, {"not-stopped"}),
    "the goodbye fails": (GoodbyeFails, {"goodbye-fails"}),
    "keeps on": (KeepsOn, {"left-running"}),
    "not registered": (NotRegistered, {"not-registered"}),
    "nothing to stop": (NothingToStop, {"no-methods"}),
}
