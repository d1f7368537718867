"""Exercise 3, build: a watcher on blocking queries that is not fooled by returns without news, by an index that goes
back or is missing, by a registry that is ill, dead or silent, nor by its own end."""

import random
import statistics
import threading
import time

from flask import Flask, request

from servicelab.checks.lab08.registry_stage import ThreadStage, urls
from servicelab.checks.learner_traceback import shown
from servicelab.checks.scenario import scenario, words
from servicelab.lifecycle import wait_until
from servicelab.servers import serve
from servicelab.servers.registry.values import seconds
from servicelab.servers.threads import hold

LONG, SHORT = 10.0, 0.2  # seconds that a question may be kept waiting
WATCHED, FEW = 0.4, 7  # seconds, and questions in them; with a pause of 0.1 s there are four, without one hundreds
FAILURES, OUTAGE = 5, 2.5  # questions to the ill, or seconds, in which a pause that doubles has grown enough to be seen
GROWN, TOGETHER = 1.6, 0.15  # by this the last pauses are longer than the first, and seconds of them all, at least
SOON, BACK = 0.5, 2.0  # seconds in which somebody asks again, after one failure, or after many
WAIT, LATE, GIVEN_UP = 1.3, 0.6, 2.4  # seconds of a wait, then those in which nobody, and all, give a question up

WORDS = words("""
news-missed: act is called with the list of addresses: at first, and whenever some come or go; 'nobody' is an answer
    What do you take for known before anything was heard, and is that the same as 'nobody'? What do you compare with?
index-not-sent: the next question carries the answer's index, news or no news
    Which index do you send after an answer without news? What does your loop do then?
wait-not-sent: … and may wait as long as the watcher was told, where a fraction of a second counts
    What does the registry do with a question that does not say how long it may wait, or says it without a unit?
acts-on-nothing: the addresses are the same, perhaps in another order: act is not called
    A return is no news. What is? And what do you still know after an error?
index-not-reset: the index of an answer is smaller than the last one, or missing: the next question goes without one
    Which index is in the question that follows, and what is it the index of?
backwards-is-deaf: … and what such an answer says is news as ever
    What becomes of the addresses in an answer whose index went back, and of what you knew?
busy-without-index, died-without-index: no index, or 0: the watcher makes pauses of its own, and hears the news
    What bounds the number of questions in a second? What does your code do with a header that is not there?
acts-on-error: the registry answers 500, or is dead: act is not called
    No answer is not the answer 'nobody', and a 500 says nothing about who is there.
pause-does-not-grow, never-begins-anew: … it is asked with pauses that grow, and that begin short each time
    How long is your first pause, and how long is the sixth? When does the growth end?
no-jitter: … and are drawn from rng
    All watchers of a dead registry come back together, unless chance spreads them.
died-of-error: … and when it is well again, its news are heard within a second or two
    Which exceptions leave your loop, and how long can a pause become?
hasty, hangs: a question is given up when its wait has been over for a second, and no sooner
    For how long does your session wait for an answer?
stop-waits: stop() returns at once, although a question waits
    Whom does your stop wait for, and for how long may that one wait?
acts-after-stop, asks-after-stop: … and then act is not called, though an answer comes, and nothing is asked
    What do you look at between the answer and the act, and what ends your loop?
""")


class Dice(random.Random):
    """Counts how often something was drawn, and draws near ``around``, so that a pause tells of its law."""

    drawn, around = 0, 0.3

    def random(self):
        self.drawn += 1
        return self.around - 0.05 + 0.1 * super().random()


def _seconds(wait):
    try:
        return seconds(wait)
    except ValueError:
        return 300.0


class Watching(ThreadStage):
    """The learner's watcher, which tells ``acts``, and the check's registry: a question that has seen its ``index``
    waits until it says something. ``seen`` are the questions' indexes (None: none), ``waits`` what they may wait."""

    marked = "GET /v1/health"
    numbers, index, status, hangs, words = [1], 1, 200, False, 0

    def __init__(self, ask, Watcher):
        super().__init__(ask, Watcher)
        self.acts, self.dice, self.seen, self.waits, self.said = [], Dice(8), [], [], threading.Condition()
        self.server = self.serve()

    def serve(self, port=0):
        app = Flask("registry")
        app.add_url_rule("/v1/health/service/orders", "orders", self.answer)
        return self.use(serve(app, "registry of the check", trace=self.ask.trace, lane="registry", port=port))

    def watch(self, wait=LONG):
        args = (self.session("gateway"), self.server.url, "orders", self.act, self.dice, wait)
        self.watcher = self.make(self.yours, *args, methods=("start", "stop"), keep=True)
        self.at_end(self.end)
        self.call(self.watcher.start, limit=1.0, keep=True)

    def act(self, found):
        self.acts.append(sorted(found) if isinstance(found, list) else found)

    def stop(self):
        return self.ask.run(self.watcher.stop, limit=2.0, keep=True)

    def end(self):
        self.says(status=500)  # so that nobody has to wait for an answer
        self.stop()

    def says(self, **changed):
        """Answer all questions that wait, with the next index if no other is given."""
        with self.said:
            vars(self).update({"index": (self.index or 0) + 1, "hangs": False, "words": self.words + 1} | changed)
            self.said.notify_all()

    def answer(self):
        seen, wait = request.args.get("index", type=int), _seconds(request.args.get("wait", ""))
        with self.said:
            self.seen.append(seen)
            self.waits += [wait] if seen else []
            words, is_known = self.words, self.status == 200 and seen and self.index and seen >= self.index
            if self.hangs or is_known:
                self.said.wait_for(lambda: self.words > words, 5.0 if self.hangs else min(wait, 5.0))
            listed = [(one, "passing") for one in self.numbers] + [(9, "critical")] * ("passing" not in request.args)
            found = [
                {"Service": {"Address": "127.0.0.1", "Port": 8000 + one}, "Checks": [{"Status": status}]}
                for one, status in listed
            ]
            headers = {} if self.index is None else {"X-Consul-Index": f"{self.index}"}
            return found if self.status == 200 else [], self.status, headers

    def hears(self, numbers, limit=2.5):
        return wait_until(lambda: self.acts and self.acts[-1] == urls(*numbers), limit)

    def has_heard(self, questions):
        """Wait until so many have come."""
        return wait_until(lambda: len(self.seen) >= questions, 2.5)

    def is_seen(self, limit=1.5):
        """Wait until a question has seen its index, and waits."""
        return wait_until(lambda: self.seen[-1:] == [self.index], limit)

    @property
    def told(self):
        return f"act was called with {shown(self.acts)}, after {len(self.seen)} questions{self.died}"


check_watcher = scenario("08", 3, "A watcher that is not fooled", WORDS, Watcher=Watching)
part = check_watcher.part


@part
def news_and_no_news(w):
    w.numbers = []
    w.watch(SHORT)
    yield "news-missed", wait_until(lambda: w.acts, 2.0) and w.acts == [[]], w.told
    w.has_heard(3)
    waits = {round(one, 6) for one in w.waits}
    yield "wait-not-sent", waits <= {SHORT}, f"it was to be {SHORT} s, and they may wait for {shown(sorted(waits))} s"
    told = f"the index was 1; {len(w.seen)} questions came, of {SHORT} s each, and they said {w.seen[:4]}{w.died}"
    yield "index-not-sent", set(w.seen[1:]) <= {1} and len(w.seen) > 2, told
    for numbers in ([1], [1, 2], [2], [1], [], [1, 2]):
        w.says(numbers=numbers)
        yield "news-missed", w.hears(numbers), w.told
    for numbers in ([1, 2], [2, 1], [1, 2]):
        acts, before = len(w.acts), len(w.seen)
        w.says(numbers=numbers)
        is_seen, asked = w.is_seen(), len(w.seen) - before
        told = f"after an answer without news {asked} questions came, none with its index, {w.index}{w.died}"
        yield "index-not-sent", is_seen, told
        yield "acts-on-nothing", len(w.acts) == acts, w.told


@part
def backwards(w):
    w.index = 40
    w.watch()
    yield "news-missed", w.hears([1]), w.told
    for numbers, index, is_news in (([1, 2], 5, True), ([1, 2], 3, False), ([2], 2, True)):
        w.is_seen()
        count, last, acts = len(w.seen), w.index, len(w.acts)
        w.says(numbers=numbers, index=index)
        w.has_heard(count + 1)
        sent = w.seen[count] if len(w.seen) > count else last
        happened = f"it went from {last} back to {index}, and the next question said {sent}"
        yield "index-not-reset", not sent, happened
        yield "backwards-is-deaf", w.hears(numbers), w.told
        yield "index-not-sent", w.is_seen(), f"{happened}; later ones said {shown(w.seen[-3:])}"
        yield "acts-on-nothing", len(w.acts) == acts + is_news, w.told


@part
def without_an_index(w):
    w.watch()
    yield "news-missed", w.hears([1]), w.told
    for index, numbers in ((None, [1, 2]), (0, [1])):
        w.says(index=index, numbers=numbers)
        before = len(w.seen)
        time.sleep(WATCHED)
        asked = len(w.seen) - before
        sent = {one for one in w.seen[before + 1 :] if one}  # one may have been on its way
        yield "index-not-reset", not sent, f"an answer had the index {index}, and later questions said {shown(sent)}"
        yield "busy-without-index", asked <= FEW, f"{asked} questions in {WATCHED} s, with the index {index}"
        yield "died-without-index", w.hears(numbers), w.told
    w.has_heard(len(w.seen) + 1)
    yield from it_is_over(w)


def it_is_over(w):
    time.sleep(0.03)  # after an answer, every watcher makes its pause then
    outcome, over, acts = w.stop(), w.ask.trace.clock(), len(w.acts)
    yield "stop-waits", outcome.returned and outcome.seconds < 1.0, f"{outcome}, after {outcome.seconds:.1f} s"
    w.says(numbers=[7])
    time.sleep(WATCHED / 2)
    yield "acts-after-stop", len(w.acts) == acts, w.told
    more = w.asked(w.marked, since=over)
    yield "asks-after-stop", not more, f"{len(more)} more questions"


@part
def its_end(w):
    w.watch()
    w.is_seen()
    yield from it_is_over(w)


@part
def ill_and_dead(w):
    w.watch()
    w.is_seen()
    w.dice.drawn, before, begin = 0, len(w.seen), w.ask.trace.clock()
    w.says(status=500)
    wait_until(lambda: len(w.asked(w.marked, since=begin)) >= FAILURES, OUTAGE)
    stamps = [begin, *(one.sent for one in w.asked(w.marked, since=begin)[:FAILURES])]
    pauses = [b - a for a, b in zip(stamps, stamps[1:])]
    yield "acts-on-error", len(w.acts) == 1, w.told
    grown = len(pauses) > 2 and statistics.median(pauses[-2:]) > GROWN * pauses[0] and sum(pauses) > TOGETHER
    told = f"the pauses were {', '.join(f'{one:.2f}' for one in pauses) or f'more than {OUTAGE}'} s"
    w.dice.around = 0.9
    w.has_heard(before + FAILURES + 1)  # whose pause is a long one
    w.says(status=200)
    yield "died-of-error", w.is_seen(BACK), f"{BACK:g} s after it was well again, nobody waits{w.died}"
    yield "pause-does-not-grow", grown, told
    yield "no-jitter", w.dice.drawn, "nothing was drawn"
    yield "acts-on-nothing", len(w.acts) == 1, w.told
    begin, port = w.ask.trace.clock(), w.server.port
    w.says(status=500)
    w.server.stop()
    dead = w.ask.trace.clock()
    with hold(port):
        wait_until(lambda: len(w.asked(w.marked, since=dead)) > 1, OUTAGE)
    pause = min([one.sent for one in w.asked(w.marked, since=begin)], default=begin + OUTAGE) - begin
    yield "never-begins-anew", pause < SOON, f"in the second outage it asked again after {pause:.1f} s{w.died}"
    w.server = w.serve(port)
    yield "acts-on-error", len(w.acts) == 1, w.told
    w.says(status=200, numbers=[2])
    yield "died-of-error", w.hears([2], BACK), w.told


@part
def silence(w):
    w.hangs = True
    w.watch(WAIT)  # start() does not wait for the first answer
    w.says()
    yield "news-missed", w.hears([1]), w.told
    w.hangs = True
    w.has_heard(len(w.seen) + 1)
    count = len(w.seen)
    time.sleep(WAIT + LATE)
    asked = len(w.seen) - count
    yield "hasty", not asked, f"{asked} more in the first {WAIT + LATE:g} s of one that may wait for {WAIT:g} s"
    again = wait_until(lambda: len(w.seen) > count, GIVEN_UP)
    yield "hangs", again, f"{GIVEN_UP:g} s later the last of {count} questions still waits"
