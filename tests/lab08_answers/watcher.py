"""Exercise 3: a right watcher in small parts, a generator of answers, and mistakes as changes to the first."""

import itertools
import queue
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
        answer = self.web.get(self.url, params=self.asks(), timeout=self.patience())
        answer.raise_for_status()
        found = [f"http://{one['Service']['Address']}:{one['Service']['Port']}" for one in answer.json()]
        self.heard(self.new_index(answer), found)

    def patience(self):
        return self.wait * 17 / 16 + 1

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


class IndexNotSent(Watcher):
    def asks(self):
        return {"passing": "1"}


class ResetsOnlyAfterErrors(Watcher):
    """Trusts that an index goes back only where the registry was away for a moment."""

    def heard(self, new, found):
        self.index = max(self.index, new)
        self.news(found)


class TakesTheSmallerIndex(Watcher):
    """Goes on with the index that went back."""

    def heard(self, new, found):
        self.index = new
        self.news(found)


class DropsTheAnswer(Watcher):
    """Begins anew, and takes what it heard for old news."""

    def heard(self, new, found):
        if new < self.index:
            self.index, self.known = 0, set(found)
        else:
            super().heard(new, found)


class ForgetsWhatItKnew(Watcher):
    """Begins anew with everything: the same addresses are news."""

    def heard(self, new, found):
        if new < self.index:
            self.known = None
        super().heard(new, found)


class TakesTheLaterForSmaller(Watcher):
    """Begins anew when the index is the old one, too: after each wait without a change."""

    def heard(self, new, found):
        self.index = new if new > self.index else 0
        self.news(found)


class NoWait(Watcher):
    def asks(self):
        return {key: value for key, value in super().asks().items() if key != "wait"}


class WholeSeconds(Watcher):
    def asks(self):
        asked = super().asks()
        return asked | ({"wait": f"{int(self.wait) or 1}s"} if "wait" in asked else {})


class NobodyIsNoNews(Watcher):
    """What is known is empty before anything was heard."""

    def is_new(self, found):
        return set(found) != (self.known or set())


class WaitsForSomebody(Watcher):
    """An empty list is taken for a mistake."""

    def news(self, found):
        if found or self.known is None:
            super().news(found)


class NeverBeginsAnew(Watcher):
    def watch(self):
        self.grown = 0.05
        super().watch()

    def failed(self):
        self.index = 0
        self.rest(self.rng.uniform(self.grown / 2, self.grown))
        self.grown = min(2 * self.grown, 1.0)


class NoCap(Watcher):
    """Doubles, and no end of it."""

    def failed(self):
        self.index = 0
        self.rest(self.rng.uniform(self.step / 2, self.step))
        self.step *= 2


class ForgetsWhatItKnewAfterAnError(Watcher):
    def failed(self):
        self.known = None
        super().failed()


class CountsFromTheHighest(Watcher):
    """Compares with the highest index that was ever seen, and not with the one before."""

    top = 0

    def heard(self, new, found):
        self.top = max(self.top, new)
        self.index = new if new == self.top else 0
        self.news(found)


class ToldBefore(Watcher):
    """Whoever was told once is no news again."""

    def is_new(self, found):
        told = vars(self).setdefault("told", [])
        return set(found) not in told and not told.append(set(found))


class ASet(Watcher):
    def news(self, found):
        super().news(set(found))


class PatientForItsWaitOnly(Watcher):
    def patience(self):
        return self.wait * 17 / 16


class StartWaits(Watcher):
    """It begins when the first answer is there."""

    def start(self):
        with suppress(requests.RequestException):
            self.question()
        super().start()


class NoTimeout(Watcher):
    def patience(self):
        return None


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
        self.rest(self.rng.uniform(0.08, 0.1))


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


class DoesNotLookAtTheStatus(Watcher):
    """A 500 is no JSON, and that is no RequestException here."""

    def question(self):
        answer = self.web.get(self.url, params=self.asks(), timeout=self.patience())
        found = answer.json() if answer.ok else []
        self.heard(
            self.new_index(answer), [f"http://{one['Service']['Address']}:{one['Service']['Port']}" for one in found]
        )


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
                else:
                    self.step = 0.05
                time.sleep(0.1)


class InTheForeground(Watcher):
    def start(self):
        self.watch()


class NothingToStop:
    def __init__(self, web, url, service, act, rng, wait):
        pass


RIGHT = {"in small parts": Watcher, "a generator": Generator, "a queue between two threads": Queue}
WRONG = {
    "index not sent": (IndexNotSent, {"index-not-sent"}),
    "resets only after errors": (ResetsOnlyAfterErrors, {"index-not-reset"}),
    "takes the smaller index": (TakesTheSmallerIndex, {"index-not-reset"}),
    "drops the answer": (DropsTheAnswer, {"backwards-is-deaf"}),
    "forgets what it knew": (ForgetsWhatItKnew, {"acts-on-nothing"}),
    "begins anew after each wait": (TakesTheLaterForSmaller, {"index-not-sent"}),
    "no wait": (NoWait, {"wait-not-sent"}),
    "whole seconds": (WholeSeconds, {"wait-not-sent"}),
    "a new index only with news": (NewIndexOnlyWithNews, {"busy-on-spurious"}),
    "acts on nothing": (ActsOnNothing, {"acts-on-nothing"}),
    "stops at no news": (StopsAtNoNews, {"deaf-after-spurious"}),
    "nobody is no news": (NobodyIsNoNews, {"first-nobody"}),
    "waits for somebody": (WaitsForSomebody, {"news-missed"}),
    "no pause": (NoPause, {"busy-without-index"}),
    "needs the index": (NeedsTheIndex, {"died-without-index"}),
    "no backoff": (NoBackoff, {"hammers"}),
    "no jitter": (NoJitter, {"no-jitter"}),
    "a pause of one length": (PauseOfOneLength, {"pause-does-not-grow"}),
    "long pauses at once": (AskedTooSeldom, {"pause-does-not-grow"}),
    "never begins anew": (NeverBeginsAnew, {"never-begins-anew"}),
    "compares lists": (ComparesLists, {"order-is-news"}),
    "dies of an error": (DiesOfAnError, {"died-of-error"}),
    "does not look at the status": (DoesNotLookAtTheStatus, {"acts-on-error"}),
    "no cap": (NoCap, {"died-of-error"}),
    "forgets what it knew after an error": (ForgetsWhatItKnewAfterAnError, {"acts-on-nothing"}),
    "no timeout": (NoTimeout, {"hangs"}),
    "counts from the highest": (CountsFromTheHighest, {"index-not-sent"}),
    "told before": (ToldBefore, {"news-missed"}),
    "a set": (ASet, {"first-news"}),
    "patient for its wait only": (PatientForItsWaitOnly, {"hasty"}),
    "start waits": (StartWaits, {"time-limit"}),
    "stop waits": (StopWaits, {"stop-waits"}),
    "acts after stop": (ActsAfterStop, {"acts-after-stop"}),
    "asks after stop": (AsksAfterStop, {"asks-after-stop", "left-running"}),
    "in the foreground": (InTheForeground, {"time-limit"}),
    "nothing to stop": (NothingToStop, {"no-methods"}),
}
