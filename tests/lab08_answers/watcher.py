"""Exercise 3: a right watcher in small parts, a generator of answers, and mistakes as changes to the first."""

import itertools
import threading
import time
from contextlib import suppress

import requests


class Watcher:
    """A right answer. A mistake is a subclass that overrides one part."""

    pause = 0.1

    def __init__(self, web, url, service, act, rng, wait):
        self.web, self.act, self.rng, self.wait = web, act, rng, wait
        self.url = f"{url}/v1/health/service/{service}"
        self.gone = threading.Event()
        self.index, self.known, self.step = 0, None, 0.05

    def start(self):
        self.thread = threading.Thread(target=self.watch, daemon=True)
        self.thread.start()

    def stop(self):
        self.gone.set()

    def watch(self):
        while not self.gone.is_set():
            begin = time.monotonic()
            try:
                self.question()
            except requests.RequestException:
                self.failed()
            else:
                self.step = 0.05
                self.rest(begin + self.pause - time.monotonic())

    def rest(self, seconds):
        self.gone.wait(max(0.0, seconds))

    def failed(self):
        self.index = 0
        self.rest(self.rng.uniform(self.step / 2, self.step))
        self.step = min(2 * self.step, 1.0)

    def asks(self):
        params = {"passing": "1"}
        if self.index:
            params |= {"index": self.index, "wait": f"{self.wait * 1000:.0f}ms"}
        return params

    def question(self):
        answer = self.web.get(self.url, params=self.asks(), timeout=self.wait * 17 / 16 + 2)
        answer.raise_for_status()
        found = [f"http://{one['Service']['Address']}:{one['Service']['Port']}" for one in answer.json()]
        self.heard(self.new_index(answer), found)

    def new_index(self, answer):
        return int(answer.headers.get("X-Consul-Index", 0))

    def heard(self, new, found):
        self.index = new if new >= self.index else 0
        self.news(found)

    def news(self, found):
        if self.wanted() and self.is_new(found):
            self.known = set(found)
            self.act(found)

    def wanted(self):
        return not self.gone.is_set()

    def is_new(self, found):
        return set(found) != self.known


class Generator:
    """Another hand: a generator yields answers, two loops consume them; keeps the index after an error."""

    def __init__(self, web, url, service, act, rng, wait):
        self.ask = lambda **more: web.get(
            f"{url}/v1/health/service/{service}", params={"passing": "true", **more}, timeout=wait + 5
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


class IndexNotSent(Watcher):
    def asks(self):
        return {"passing": "1"}


class IndexAlwaysTheFirst(Watcher):
    """Takes the index of the first answer for good."""

    def heard(self, new, found):
        self.index = self.index or new
        self.news(found)


class NeverReset(Watcher):
    def heard(self, new, found):
        self.index = max(self.index, new)
        self.news(found)

    def failed(self):
        index = self.index
        super().failed()
        self.index = index


class NewIndexOnlyWithNews(Watcher):
    pause = 0.0

    def heard(self, new, found):
        if self.is_new(found):
            self.index = new
        self.news(found)


class ActsOnNothing(Watcher):
    def is_new(self, found):
        return True


class StopsAtNoNews(Watcher):
    def heard(self, new, found):
        if not self.is_new(found):
            self.gone.set()
        super().heard(new, found)


class NoPause(Watcher):
    pause = 0.0


class NeedsTheIndex(Watcher):
    def new_index(self, answer):
        return int(answer.headers["X-Consul-Index"])


class NoBackoff(Watcher):
    def failed(self):
        self.index = 0


class NoJitter(Watcher):
    def failed(self):
        self.index = 0
        self.rest(self.step)
        self.step = min(2 * self.step, 1.0)


class PauseOfOneLength(Watcher):
    """Jitter, and no growth."""

    def failed(self):
        self.index = 0
        self.rest(self.rng.uniform(0.03, 0.05))


class AskedTooSeldom(Watcher):
    """A long pause from the first failure on."""

    def failed(self):
        self.index = 0
        self.rest(self.rng.uniform(0.6, 1.0))


class ComparesLists(Watcher):
    """Takes another order for news."""

    def news(self, found):
        if self.wanted() and found != self.known:
            self.known = found
            self.act(found)


class DiesOfAnError(Watcher):
    def watch(self):
        while not self.gone.is_set():
            self.question()
            self.rest(self.pause)


class NobodyAfterAnError(Watcher):
    def failed(self):
        super().failed()
        self.news([])


class DoesNotLookAtTheStatus(Watcher):
    """A 500 is no JSON, and that is no RequestException here."""

    def question(self):
        answer = self.web.get(self.url, params=self.asks(), timeout=self.wait * 17 / 16 + 2)
        found = answer.json() if answer.ok else []
        self.heard(
            self.new_index(answer), [f"http://{one['Service']['Address']}:{one['Service']['Port']}" for one in found]
        )


class BacksOffForEver(Watcher):
    """The first pause is ten seconds."""

    def failed(self):
        self.index = 0
        self.rest(self.rng.uniform(8, 10))


class StopWaits(Watcher):
    def stop(self):
        self.gone.set()
        self.thread.join()


class ActsAfterStop(Watcher):
    def wanted(self):
        return True


class AsksAfterStop(Watcher):
    """Only act is stopped."""

    def watch(self):
        with suppress(SystemExit):  # with which the check ends it, so that pytest need not tell of it
            while True:
                try:
                    self.question()
                except requests.RequestException:
                    self.failed()
                time.sleep(0.1)


class InTheForeground(Watcher):
    def start(self):
        self.watch()


class NeverActs(Watcher):
    def news(self, found):
        self.known = set(found)


class NothingToStop:
    def __init__(self, web, url, service, act, rng, wait):
        pass


RIGHT = {"in small parts": Watcher, "a generator": Generator}
WRONG = {
    "index not sent": (IndexNotSent, {"index-not-sent"}),
    "the first index for good": (IndexAlwaysTheFirst, {"busy-on-spurious"}),
    "never reset": (NeverReset, {"index-not-reset"}),
    "a new index only with news": (NewIndexOnlyWithNews, {"busy-on-spurious", "busy-without-index"}),
    "acts on nothing": (ActsOnNothing, {"acts-on-nothing"}),
    "stops at no news": (StopsAtNoNews, {"deaf-after-spurious"}),
    "no pause": (NoPause, {"busy-without-index"}),
    "needs the index": (NeedsTheIndex, {"died-without-index"}),
    "no backoff": (NoBackoff, {"hammers-the-ill", "hammers-the-dead", "no-jitter"}),
    "no jitter": (NoJitter, {"no-jitter"}),
    "a pause of one length": (PauseOfOneLength, {"pause-does-not-grow"}),
    "long pauses at once": (AskedTooSeldom, {"pause-does-not-grow"}),
    "compares lists": (ComparesLists, {"order-is-news"}),
    "dies of an error": (DiesOfAnError, {"died-of-silence"}),
    "nobody after an error": (NobodyAfterAnError, {"acts-on-error", "acts-on-silence"}),
    "does not look at the status": (DoesNotLookAtTheStatus, {"acts-on-error"}),
    "backs off for ever": (BacksOffForEver, {"died-of-silence"}),
    "stop waits": (StopWaits, {"stop-waits"}),
    "acts after stop": (ActsAfterStop, {"acts-after-stop"}),
    "asks after stop": (AsksAfterStop, {"asks-after-stop", "left-running"}),
    "in the foreground": (InTheForeground, {"start-waits"}),
    "never acts": (NeverActs, {"first-news"}),
    "nothing to stop": (NothingToStop, {"wrong-type"}),
}
