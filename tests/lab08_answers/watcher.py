"""Exercise 3: three right watchers, written differently, and mistakes as changes to the first."""

import itertools
import queue
import threading
from contextlib import suppress

import requests

from tests.lab11_answers import but


class Watcher:
    def __init__(self, web, url, service, act, rng, wait):
        self.web, self.act, self.rng, self.wait = web, act, rng, wait
        self.url = f"{url}/v1/health/service/{service}?passing=1"
        self.gone, self.index, self.known, self.step = threading.Event(), 0, None, 0.05

    def start(self):
        self.thread = threading.Thread(target=self.watch, daemon=True)
        self.thread.start()

    def stop(self):
        self.gone.set()

    def watch(self):
        while not self.gone.is_set():
            try:
                found, new = self.question()
            except requests.RequestException:
                self.index = 0
                self.gone.wait(self.rng.uniform(0, self.step))
                self.step = min(2 * self.step, 1.0)
            else:
                self.heard(found, new)
                self.gone.wait(0 if self.index else 0.1)

    def question(self):
        more = f"&index={self.index}&wait={self.wait * 1000:.0f}ms" if self.index else ""
        answer = self.web.get(self.url + more, timeout=self.wait * 17 / 16 + 1)
        answer.raise_for_status()
        found = [f"http://{one['Service']['Address']}:{one['Service']['Port']}" for one in answer.json()]
        return found, int(answer.headers.get("X-Consul-Index", 0))

    def heard(self, found, new):
        self.index = new if new >= self.index else 0
        self.step = 0.05
        if set(found) != self.known and not self.gone.is_set():
            self.known = set(found)
            self.act(found)


class Generator:
    """Another hand: a generator yields answers, two loops consume them; keeps the index after an error."""

    def __init__(self, web, url, service, act, rng, wait):
        self.ask = lambda **more: web.get(
            f"{url}/v1/health/service/{service}", params={"passing": "true", **more}, timeout=1.2 * wait + 0.8
        )
        self.tell, self.rng, self.wait, self.over = act, rng, f"{wait}s", threading.Event()

    def delays(self):
        return (self.rng.random() * min(1.0, 0.1 * 2**n) for n in itertools.count())

    def answers(self):
        index, delays = None, self.delays()
        while not self.over.wait(0.1):
            try:
                reply = self.ask(**({"index": index, "wait": self.wait} if index else {}))
                if reply.status_code != 200:
                    raise OSError(reply.text)
                yield frozenset((one["Service"]["Address"], one["Service"]["Port"]) for one in reply.json())
            except (OSError, ValueError):
                self.over.wait(min(1.0, next(delays, 1.0)))
                continue
            delays = self.delays()
            last, index = index, int(reply.headers.get("X-Consul-Index") or "0") or None
            if last and index and index < last:
                index = None

    def loop(self):
        before = None
        for now in self.answers():
            if self.over.is_set():
                return
            if now != before:
                self.tell([f"http://{host}:{port}" for host, port in sorted(now)])
            before = now

    def start(self):
        threading.Thread(target=self.loop).start()

    def stop(self):
        self.over.set()


class Queue:
    """A third hand: one thread asks, another tells, and a queue lies between them."""

    def __init__(self, web, url, service, act, rng, wait):
        self.web, self.act, self.rng, self.ms = web, act, rng, round(1000 * wait)
        self.place, self.open, self.news = f"{url}/v1/health/service/{service}?passing", True, queue.SimpleQueue()
        self.told, self.failures, self.nap = None, 0, threading.Event()

    def ask(self, index):
        query = f"&index={index}&wait={self.ms}ms" if index else ""
        with self.web.get(self.place + query, timeout=(1, self.ms / 900 + 0.9)) as answer:
            answer.raise_for_status()
            known = answer.headers.get("X-Consul-Index")
            return [one["Service"] for one in answer.json()], int(known) if known else 0

    def asks(self):
        index = 0
        while self.open:
            try:
                services, new = self.ask(index)
            except Exception:
                self.failures += 1
                self.nap.wait(min(1.0, self.rng.betavariate(2, 2) * 0.05 * 2 ** min(self.failures, 5)))
                continue
            self.failures, index = 0, 0 if new < index else new
            self.news.put(sorted(f"http://{one['Address']}:{one['Port']}" for one in services))
            self.nap.wait(0.12)
        self.news.put(None)

    def tells(self):
        for found in iter(self.news.get, None):
            if found != self.told and self.open:
                self.told = found
                self.act(list(found))

    def start(self):
        for work in (self.asks, self.tells):
            threading.Thread(target=work, daemon=True).start()

    def stop(self):
        self.open = False
        self.nap.set()


class AsksAfterStop(but(Watcher, "while not self.gone.is_set(): => while True:")):
    def watch(self):
        with suppress(SystemExit):  # with which the check ends it, so that pytest need not tell of it
            super().watch()


RIGHT = {"a thread": Watcher, "a generator": Generator, "a queue between two threads": Queue}
_BACK = "self.index = new => self.known = {} if new < self.index else self.known\n        self.index = new"
_INDEX = "self.index = new if new >= self.index else 0 => self.index = "
_NEWS = "if set(found) != self.known and => "
_PAUSE = "self.rng.uniform(0, self.step) => "
_CHANGES = {
    "index not sent": ("index-not-sent", 'if self.index else "" => if 0 else ""'),
    "begins anew after each wait": ("index-not-sent", "new >= self.index => new > self.index"),
    "counts from the highest": (
        "index-not-sent",
        "self.index = new => self.top = max(vars(self).get('top', 0), new)\n        self.index = new",
        "new >= self.index => new == self.top",
    ),
    "resets only after errors": ("index-not-reset", _INDEX + "max(self.index, new)"),
    "keeps the old one for none": ("index-not-reset", '"X-Consul-Index", 0 => "X-Consul-Index", self.index'),
    "takes the smaller index": ("index-not-reset", _INDEX + "new"),
    "drops the answer": ("backwards-is-deaf", _BACK.format("set(found)")),
    "forgets what it knew": ("acts-on-nothing", _BACK.format("None")),
    "forgets what it knew after an error": ("acts-on-nothing", "self.index = 0 => self.index, self.known = 0, None"),
    "acts on nothing": ("acts-on-nothing", _NEWS + "if"),
    "no wait": ("wait-not-sent", "&wait={self.wait * 1000:.0f}ms => "),
    "whole seconds": ("wait-not-sent", "{self.wait * 1000:.0f}ms => {int(self.wait) or 1}s"),
    "a new index only with news": (
        "index-not-sent",
        _INDEX + "new if set(found) != self.known else self.index",
    ),
    "stops at no news": (
        "index-not-sent",
        _NEWS + "if set(found) == self.known:\n            self.stop()\n        elif",
    ),
    "nobody is no news": ("news-missed", _NEWS + "if set(found) != (self.known or set()) and"),
    "a set": ("news-missed", "self.act(found) => self.act(set(found))"),
    "does not know that it is a list": ("news-missed", "self.act(found) => self.act(*found)"),
    "waits for somebody": ("news-missed", _NEWS + "if (found or self.known is None) and set(found) != self.known and"),
    "told before": (
        "news-missed",
        "0, None, 0.05 => 0, [], 0.05",
        "!= self.known => not in self.known",
        "self.known = set(found) => self.known.append(set(found))",
    ),
    "compares lists": ("acts-on-nothing", "set(found) => found"),
    "no pause": ("busy-without-index", "0 if self.index else 0.1 => 0"),
    "needs the index": ("died-without-index", '.get("X-Consul-Index", 0) => ["X-Consul-Index"]'),
    "no backoff": ("pause-does-not-grow", _PAUSE + "0"),
    "no jitter": ("no-jitter", _PAUSE + "self.step"),
    "a pause of one length": ("pause-does-not-grow", _PAUSE + "self.rng.uniform(0.08, 0.1)"),
    "long pauses at once": ("pause-does-not-grow", _PAUSE + "self.rng.uniform(0.6, 1.0)"),
    "never begins anew": ("never-begins-anew", "self.step = 0.05 => pass"),
    "no cap": ("died-of-error", "min(2 * self.step, 1.0) => 2 * self.step"),
    "dies of an error": ("died-of-error", "requests.RequestException => ZeroDivisionError"),
    "dies of silence": ("died-of-error", "requests.RequestException => requests.HTTPError"),
    "does not look at the status": ("acts-on-error", "answer.raise_for_status() => "),
    "no timeout": ("hangs", "timeout=self.wait * 17 / 16 + 1 => timeout=None"),
    "a second in all": ("hasty", "timeout=self.wait * 17 / 16 + 1 => timeout=1"),
    "patient for its wait only": ("hasty", "17 / 16 + 1 => 17 / 16 + 0.3"),
    "start waits": ("time-limit", "self.thread.start() => self.heard(*self.question())\n        self.thread.start()"),
    "in the foreground": ("time-limit", "self.thread.start() => self.thread.run()"),
    "stop waits": ("stop-waits", "self.gone.set() => self.gone.set()\n        self.thread.join()"),
    "acts after stop": ("acts-after-stop", " and not self.gone.is_set() => "),
    "nothing to stop": ("no-methods", "def stop(self) => def halt(self)"),
}
WRONG = {name: (but(Watcher, *changes), {code}) for name, (code, *changes) in _CHANGES.items()}
WRONG["asks after stop"] = AsksAfterStop, {"asks-after-stop", "left-running"}
