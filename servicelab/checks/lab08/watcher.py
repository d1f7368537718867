"""Exercise 3, build: a watcher on blocking queries that is not fooled by returns without news, by an index that goes
back or is missing, by a registry that is ill, dead or silent, nor by its own end."""

import random
import re
import statistics
import threading
import time

from flask import Flask, Response, json, request

from servicelab.checks.lab08.registry_stage import RegistryStage, urls, wait_until
from servicelab.checks.learner_traceback import shown
from servicelab.checks.scenario import scenario, words
from servicelab.leases import CRITICAL
from servicelab.servers import serve

GET = "GET /v1/health"
LONG, SHORT = 10.0, 0.2  # seconds that a question may be kept waiting
WATCHED = 0.5  # seconds
FEW = 8  # questions in WATCHED; with a pause of 0.1 s there are five, without one hundreds
PAUSED = 0.05  # seconds after an answer without an index in which every watcher makes its pause
OUTAGE = 1.4  # seconds in which a pause that doubles has grown to half a second
SOON = 0.6  # seconds in which somebody has asked at least twice whose pauses begin short
GROWN = 1.6  # times as long as the first pause are the last ones, at least; a right answer's are two to twenty times
BACK = 2.0  # seconds in which somebody asks again whose pauses are 1 s at most
LATE = 0.5  # seconds after the wait of a question in which nobody gives it up
GIVEN_UP = 3.0  # seconds after which a question of SHORT seconds is given up

WORDS = words("""
first-news: the first answer is news: act is called with the list of addresses
    What does the first question look like, and whom do you tell of its answer?
first-nobody: … also when it says that nobody is there
    What do you take for known before anything was heard, and is that the same as 'nobody'?
index-not-sent: the next question waits at the registry
    A question waits when it says which index you have seen.
wait-not-sent: … for as long as the watcher was told, and a fraction of a second counts
    What does the registry do with a question that does not say how long it may wait, or says it without a unit?
news-missed: one comes and one leaves, until nobody is left: act is told each time
    What do you compare an answer with, and is 'nobody' no answer for you?
acts-on-nothing: answers come whose addresses are the same: act is not called
    A return is no news. What is?
busy-on-spurious: … and the next question waits again
    Which index do you send after an answer without news?
deaf-after-spurious: … until there is real news
    What does your loop do after an answer without news?
order-is-news: two answers differ in nothing but the order of the addresses: act is not called
    A registry promises no order. How do you compare?
index-not-reset: the index of an answer is smaller than the last one: the next question goes without an index
    Which index is in the question that follows, and what is it the index of?
backwards-is-deaf: … and what such an answer says, and what comes after it, is news as ever
    What becomes of the addresses in an answer whose index went back, and of what you knew?
busy-without-index: the index is missing, or 0: nothing waits, and the watcher makes pauses of its own
    What bounds the number of questions in a second when each is answered at once?
died-without-index: … and still hears the news
    What does your code do with a header that is not there?
acts-on-error: the registry answers 500, or is dead: act is not called
    No answer is not the answer 'nobody', and a 500 says nothing about who is there.
hammers: … and it is asked with pauses
    What waits between a failure and the next question?
pause-does-not-grow: … that begin short and grow
    How long is your first pause, and how long is the sixth?
no-jitter: … and are drawn from rng
    All watchers of a dead registry come back together, unless chance spreads them.
died-of-error: … and when it is well again, its news are heard within a second or two
    Which exceptions leave your loop, and how long can a pause become?
never-begins-anew: the next trouble begins with a short pause again
    When does the growth of the pause end?
hasty: a question is not given up before its wait is over, and a second more
    How late may an answer be that was worth waiting for?
hangs: a registry that accepts a question and never answers it is asked again
    For how long does your session wait for an answer?
stop-waits: stop() returns at once, although a question waits
    Whom does your stop wait for, and for how long may that one wait?
acts-after-stop: … after that act is never called, even if the answer comes
    What do you look at between the answer and the act?
asks-after-stop: … and nothing is asked any more
    What ends your loop?
""")


class Dice(random.Random):
    """Counts how often something was drawn, and draws near ``around``, so that a pause tells of its law."""

    drawn, around = 0, 0.5

    def random(self):
        self.drawn += 1
        return self.around - 0.05 + 0.1 * super().random()


class Watching(RegistryStage):
    """The learner's watcher. ``acts`` are the lists of addresses that it was told of."""

    marked = (GET,)
    yours_now = None

    def __init__(self, ask, Watcher):
        super().__init__(ask, Watcher)
        self.acts, self.dice, self.wait = [], Dice(8), LONG
        self.at_end(self.end)

    def watch(self, url=None, patience=2.0):
        """Start it, and wait for its first news."""
        args = (self.session("gateway"), url or self.url, "orders", self.act)
        self.yours_now = self.make(self.yours, *args, self.dice, self.wait, methods=("start", "stop"), keep=True)
        self.call(self.yours_now.start, limit=1.0, keep=True)
        return wait_until(lambda: self.acts, patience)

    def act(self, found):
        self.acts.append(sorted(found) if isinstance(found, list) else found)

    def end(self):
        if self.registry.is_running:
            self.registry.kill()  # first, so that nobody has to wait for an answer
        if self.yours_now is not None:
            self.stop()

    def stop(self):
        return self.ask.run(self.yours_now.stop, limit=2.0, keep=True)

    @property
    def questions(self):
        return len(self.asked(GET))

    def waits(self, limit=1.0):
        return wait_until(lambda: self.registry.waiting > 0, limit)

    def hears(self, *numbers, limit=2.5):
        return wait_until(lambda: self.acts and self.acts[-1] == urls(*numbers), limit)

    @property
    def told(self):
        return f"act was called with {shown(self.acts)}, after {self.questions} questions{self.died}"


class Double:
    """Stands where a registry stood. A question waits when it has seen ``index`` or more, until the registry says
    something (:meth:`says`). ``seen`` are the indexes in the questions (None: none), ``waits`` what they said of it."""

    def __init__(self, watching):
        self.numbers, self.index, self.status, self.hangs = [1], 7, 200, False
        self.seen, self.waits, self.words, self._said = [], [], 0, threading.Condition()
        app = Flask("registry")
        app.add_url_rule("/v1/health/service/orders", "orders", self._answer)
        self.url = watching.use(serve(app, "double of the check", trace=watching.ask.trace, lane="registry")).url
        watching.at_end(lambda: self.says(status=500))

    def says(self, *numbers, **changed):
        """Answer all questions that wait, with these instances."""
        with self._said:
            self.numbers = list(numbers) or self.numbers
            self.hangs = False
            vars(self).update(changed)
            self.words += 1
            self._said.notify_all()

    def has_heard(self, questions):
        """Wait until so many have come."""
        return wait_until(lambda: len(self.seen) >= questions, 2.5)

    def is_seen(self):
        """Wait until a question has seen its index, and waits."""
        return wait_until(lambda: self.seen[-1:] == [self.index], 1.5)

    def _answer(self):
        seen = request.args.get("index", type=int)
        wait = re.fullmatch(r"([0-9.]+)(ms|s|m)", request.args.get("wait", ""))
        seconds = float(wait[1]) * {"ms": 0.001, "s": 1, "m": 60}[wait[2]] if wait else 300.0
        with self._said:
            self.seen.append(seen)
            self.waits.append(seconds if seen else None)
            words, end = self.words, time.monotonic() + min(seconds, 5.0)
            while self.words == words and (
                self.hangs or (self.status == 200 and seen and self.index and seen >= self.index)
            ):
                if not self._said.wait(5.0 if self.hangs else max(0.0, end - time.monotonic())):
                    break
            if self.status != 200:
                return Response("[]", self.status)
            found = [
                {"Service": {"Address": "127.0.0.1", "Port": 8000 + n}, "Node": {}, "Checks": []} for n in self.numbers
            ]
            headers = {} if self.index is None else {"X-Consul-Index": f"{self.index}"}
            return Response(json.dumps(found), headers=headers, mimetype="application/json")


check_watcher = scenario("08", 3, "A watcher that is not fooled", WORDS, Watcher=Watching)
part = check_watcher.part


@part
def changes(w):
    w.enter(1)
    w.enter(9, status=CRITICAL)
    yield "first-news", w.watch() and w.acts[0] == urls(1), w.told
    waits, last = w.waits(), w.ask.trace.calls[-1].status
    yield "index-not-sent", waits, f"{w.questions} questions were asked, and each answered at once, the last: {last}"
    w.enter(2)
    came = w.hears(1, 2)
    w.remove(2)
    came = came and w.hears(1)
    w.remove(1)
    yield "news-missed", came and w.hears(), w.told


@part
def nobody_at_first(w):
    yield "first-nobody", w.watch() and w.acts == [[]], w.told


@part
def no_news(w):
    w.enter(1)
    w.watch()
    w.waits()
    before = w.questions
    for tag in ("v2", "v3", "v4"):
        w.enter(1, tag=tag)
        time.sleep(WATCHED / 3)
    waits, asked = w.waits(), w.questions - before
    yield "acts-on-nothing", len(w.acts) == 1, f"it was called {len(w.acts) - 1} times with what it knew"
    is_busy = asked > FEW or (asked > 1 and not waits)
    last = "the last one waits" if waits else "none of them waits"
    yield "busy-on-spurious", not is_busy, f"{asked} questions were asked, and {last}"
    w.enter(2)
    yield "deaf-after-spurious", w.hears(1, 2), w.told


@part
def waiting(w):
    w.wait, double = SHORT, Double(w)
    w.watch(double.url)
    double.has_heard(4)
    sent, waits = double.seen[1:4], {wait for wait in double.waits if wait is not None}
    yield "wait-not-sent", waits == {SHORT}, f"it was to be {SHORT} s, and the questions said {shown(sorted(waits))} s"
    yield "index-not-sent", sent == [7, 7, 7], f"the index was 7, and the questions after the first said {sent}"
    double.says(1, 2, index=8)
    w.hears(1, 2)
    for numbers in ([2, 1], [1, 2]):
        count = len(double.seen)
        double.says(*numbers, index=double.index + 1)
        double.has_heard(count + 2)
    yield "order-is-news", len(w.acts) == 2, f"it was called {len(w.acts) - 2} times, with the same two addresses"


@part
def backwards(w):
    double = Double(w)
    double.index = 40
    w.watch(double.url)
    for numbers, index, why in (([1, 2], 5, "with news"), ([1, 2], 3, "without news"), ([2], 2, "with news")):
        double.is_seen()
        count, last, acts = len(double.seen), double.index, len(w.acts)
        double.says(*numbers, index=index)
        double.has_heard(count + 1)
        sent = double.seen[count] if len(double.seen) > count else last
        happened = f"it went from {last} back to {index} {why}, and the next question said {sent}"
        yield "index-not-reset", not sent, happened
        yield "backwards-is-deaf", w.hears(*numbers), w.told
        yield "index-not-sent", double.is_seen(), f"{happened}; later ones said {shown(double.seen[-3:])}"
        yield "acts-on-nothing", len(w.acts) == acts + (why == "with news"), w.told
    double.says(3, index=9)
    yield "backwards-is-deaf", w.hears(3), w.told


@part
def without_an_index(w):
    double = Double(w)
    w.watch(double.url)
    for index in (None, 0):
        double.says(index=index)
        before = len(double.seen)
        time.sleep(WATCHED)
        asked = len(double.seen) - before
        yield "busy-without-index", asked <= FEW, f"{asked} questions in {WATCHED} s, with the index {index}"
    double.says(1, 2, index=None)
    yield "died-without-index", w.hears(1, 2), w.told
    double.has_heard(len(double.seen) + 1)
    time.sleep(PAUSED)
    w.stop()
    before = w.questions
    time.sleep(4 * PAUSED)
    yield "asks-after-stop", w.questions == before, "it was stopped in its pause, and asked after that"


@part
def ill(w):
    double = Double(w)
    w.watch(double.url)
    double.is_seen()
    w.dice.drawn, begin = 0, w.ask.trace.clock()
    double.says(status=500)
    time.sleep(OUTAGE)
    stamps = [begin, *(one.sent for one in w.asked(GET, since=begin))]
    pauses = [b - a for a, b in zip(stamps, stamps[1:])]
    yield "acts-on-error", len(w.acts) == 1, w.told
    yield "hammers", len(stamps) <= 5 * FEW, f"{len(stamps)} questions in {OUTAGE} s"
    first, last = (pauses[0], statistics.median(pauses[-2:])) if len(pauses) > 2 else (0.0, 0.0)
    told = f"{len(stamps)} questions in {OUTAGE} s" + (f"; pauses from {first:.2f} s to {last:.2f} s" if last else "")
    w.dice.around, before = 0.9, w.dice.drawn
    wait_until(lambda: w.dice.drawn > before, 1.5)  # a long pause begins
    double.says(2, status=200, index=8)
    yield "died-of-error", w.hears(2, limit=BACK), w.told
    yield "pause-does-not-grow", last > GROWN * first, told
    yield "no-jitter", w.dice.drawn, "nothing was drawn"
    double.is_seen()
    begin = w.ask.trace.clock()
    double.says(status=500)
    time.sleep(SOON)
    again = len(w.asked(GET, since=begin))
    yield "never-begins-anew", again >= 2, f"{again} questions in the first {SOON} s of it"
    double.says(status=200, index=9)
    double.is_seen()
    yield "acts-on-nothing", len(w.acts) == 2, w.told


@part
def dead(w):
    w.enter(1)
    w.watch()
    w.waits()
    w.registry.kill()
    time.sleep(WATCHED)
    acts = len(w.acts)
    w.registry.restart(keep=True)
    yield "acts-on-error", acts == 1, w.told
    yield "died-of-error", w.waits(BACK), f"{BACK:g} s later nobody asks{w.died}"
    w.enter(2)
    yield "died-of-error", w.hears(1, 2), w.told


@part
def silence(w):
    w.wait, double = SHORT, Double(w)
    double.hangs = True
    w.watch(double.url, 0.0)  # start() does not wait for the first answer
    double.says(1)
    yield "first-news", w.hears(1), w.told
    double.hangs = True
    double.has_heard(len(double.seen) + 1)
    count = len(double.seen)
    time.sleep(SHORT + LATE)
    asked = len(double.seen) - count
    yield "hasty", not asked, f"{asked} more in the first {SHORT + LATE:g} s of one that may wait for {SHORT:g} s"
    again = wait_until(lambda: len(double.seen) > count, GIVEN_UP)
    yield "hangs", again, f"{GIVEN_UP:g} s later the last of {count} questions still waits"


@part
def its_end(w):
    w.enter(1)
    w.watch()
    w.waits()
    outcome = w.stop()
    quick = outcome.returned and outcome.seconds < 1.0
    yield "stop-waits", quick, f"{outcome}, after {outcome.seconds:.1f} s"
    before = w.questions
    w.enter(2)
    time.sleep(WATCHED / 2)
    yield "acts-after-stop", len(w.acts) == 1, w.told
    yield "asks-after-stop", w.questions == before, f"{w.questions - before} more questions"
