"""Exercise 3, build: a watcher on blocking queries that is not fooled by returns without news, by an index that goes
back or is missing, by a registry that is ill or dead, nor by its own end."""

import statistics
import time

from servicelab.checks.exercise import exercise
from servicelab.checks.lab08.registry_stage import Deaths, stand, wait_until
from servicelab.checks.lab08.watching import GET, SHORT, Double, Loaded, Watching
from servicelab.checks.learner_traceback import shown

MANY = 15  # questions where about five are enough, and a loop without a pause asks hundreds
WATCHED = 0.5  # seconds
OUTAGE = 2.0  # seconds in which a pause that doubles has grown to half a second
GROWN = 2  # times as long as the first pause are the last ones, at least; a right answer's are three to twenty times


@exercise("08", 3, "A watcher that is not fooled", limit=60.0)
def check_watcher(ask, Watcher):
    """Let ``Watcher(web, url, service, act, rng, wait)`` watch registries of every kind."""
    deaths = ask.use(Deaths())
    for examine in (_changes, _spurious, _order, _dead, _backs_off, _ill, _without_index, _backwards, _stops):
        with stand(ask, Watching) as watching:
            watching.deaths = deaths
            examine(watching, Watcher)


def _changes(watching, kind):
    """Somebody comes, somebody goes."""
    watching.enter(1)
    watching.begin(kind)
    waits = wait_until(watching.is_waiting, 1.0)
    watching.need(
        "index-not-sent",
        "the next question waits at the registry",
        waits,
        f"{watching.questions} questions were asked in a second, and each was answered at once: the indexes sent were "
        f"{sorted({one.sent or 0 for one in watching.answers})}",
        "Send back the X-Consul-Index of the last answer: ?passing=1&index=…&wait=10s.",
    )
    watching.enter(2)
    came = watching.hears(1, 2)
    watching.remove(1)
    left = watching.hears(2)
    watching.need(
        "news-missed",
        "orders-2 comes and orders-1 leaves: act is told of both",
        came and left,
        f"act was called with {shown(watching.acts)}{watching.deaths}",
        "When an answer comes, act on it if the addresses are others than before, and ask again.",
    )


def _spurious(watching, kind):
    """The registry answers because something has changed, but not the addresses."""
    watching.enter(1)
    watching.begin(kind)
    wait_until(watching.is_waiting, 1.0)
    before = watching.questions
    for tag in ("v2", "v3", "v4"):
        watching.enter(1, tag=tag)
        time.sleep(WATCHED / 3)
    waits = wait_until(watching.is_waiting, 1.0)
    asked, acts = watching.questions - before, len(watching.acts)
    watching.expect(
        "acts-on-nothing",
        "three answers come, and the addresses in them are the same: act is not called",
        acts == 1,
        f"it was called {acts - 1} times with what it knew",
        "A return is no news. Compare with the addresses of last time, as a set: the order means nothing.",
    )
    watching.expect(
        "busy-on-spurious",
        "… and the next question waits again",
        asked <= MANY and (waits or asked < 2),
        f"{asked} questions were asked, and {'the last one waits' if waits else 'none of them waits'}",
        "The new index must be kept even when the addresses are the old ones: with the old index every question is "
        "answered at once.",
    )
    watching.enter(2)
    watching.need(
        "deaf-after-spurious",
        "… until there is real news",
        watching.hears(1, 2),
        f"act was last called with {shown(watching.acts[-1:])}{watching.deaths}",
        "After an answer without news the loop goes on.",
    )


def _order(watching, kind):
    """The same two addresses, in another order."""
    double = Double(watching)
    double.numbers = [1]
    watching.begin(kind, url=watching.server.url)
    double.numbers = [1, 2]
    if "acts-on-nothing" in watching.refused or not watching.hears(1, 2):
        return  # said elsewhere
    acts = len(watching.acts)
    for numbers in ([2, 1], [1, 2]):
        double.numbers = numbers
        enough = len(watching.answers) + 2  # the last but one has been dealt with
        wait_until(lambda enough=enough: len(watching.answers) >= enough, 2.0)
    more = len(watching.acts) - acts
    watching.expect(
        "order-is-news",
        "two answers differ in nothing but the order of the addresses: act is not called",
        more == 0,
        f"it was called {more} times, with the same two addresses each time",
        "A registry promises no order. Compare sets: set(found) != known.",
    )


def _backwards(watching, kind):
    """The registry comes back empty, and counts from 1 again."""
    for number in range(30):
        watching.enter(1, tag=f"v{number}")
    watching.begin(kind, wait=SHORT)
    wait_until(watching.is_waiting, 1.0)
    watching.registry.kill()
    mark = len(watching.answers)
    watching.registry.restart(keep=False)
    watching.enter(2)
    heard = watching.hears(2, limit=3.0)
    if heard:
        wait_until(lambda: len(watching.answers) >= mark + 4, 3.0)
    after = watching.answers[mark:]
    stuck = next(((a.got, b.sent) for a, b in zip(after, after[1:]) if a.got and b.sent and b.sent > a.got), None)
    watching.expect(
        "index-not-reset" if heard else "deaf-after-restart",
        "the registry has lost its memory, and its index has gone back: the watcher begins anew",
        heard and stuck is None,
        f"the answer had index {stuck[0]}, and the next question asked for more than {stuck[1]}"
        if stuck
        else f"act was last called with {shown(watching.acts[-1:])}{watching.deaths}",
        "if new < index: index = 0, and the next question goes without one. Who asks for more than 40 at a registry "
        "that has come to 5 hears nothing until it has caught up.",
    )


def _without_index(watching, kind):
    """A gateway in between has dropped the header; another one says 0."""
    double = Double(watching)
    watching.begin(kind, url=watching.server.url)
    double.headers = {}
    before = watching.questions
    time.sleep(WATCHED / 2)
    double.headers = {"X-Consul-Index": "0"}
    time.sleep(WATCHED / 2)
    asked = watching.questions - before
    watching.expect(
        "busy-without-index",
        "the index is missing, or 0: nothing waits, and the watcher makes pauses of its own",
        asked <= MANY,
        f"{asked} questions in {WATCHED} s",
        "At least 0.1 s between the beginnings of two questions, whatever came back.",
    )
    double.headers, double.numbers = {}, [1, 2]
    watching.expect(
        "died-without-index",
        "… and still hears the news",
        watching.hears(1, 2),
        f"act was called with {shown(watching.acts)}, and {asked} questions were asked{watching.deaths}",
        'headers.get("X-Consul-Index", 0): what may be missing will be.',
    )


def _ill(watching, kind):
    """A registry that has lost its leader: 500."""
    double = Double(watching)
    watching.begin(kind, url=watching.server.url)
    double.status = 500
    wait_until(lambda: watching.answers and watching.answers[-1].got is None, 2.0)
    before = watching.questions
    time.sleep(WATCHED)
    asked, acts = watching.questions - before, list(watching.acts)
    watching.expect(
        "acts-on-error",
        "the registry answers 500: act is not called",
        len(acts) == 1,
        f"it was called with {shown(acts[1:])}",
        "An error says nothing about who is there: response.raise_for_status(), and no act in the except.",
    )
    double.status, double.numbers = 200, [2]
    heard = watching.hears(2)
    watching.need(
        "died-of-error",
        "… and when it is well again, its news are heard",
        heard,
        f"act was last called with {shown(watching.acts[-1:])}{watching.deaths}",
        "Catch it inside the loop: a 500 has no JSON and no index.",
    )
    watching.expect(
        "hammers-the-ill",
        "… with pauses in between",
        asked <= MANY,
        f"{asked} questions in {WATCHED} s",
        "A 500 is a failure like any other: back off before the next question.",
    )


def _dead(watching, kind):
    """The registry is dead for a while."""
    watching.enter(1)
    watching.begin(kind)
    wait_until(watching.is_waiting, 1.0)
    before, watching.dice.drawn = watching.questions, 0
    watching.registry.kill()
    time.sleep(WATCHED)
    tried, drawn, acts = watching.questions - before, watching.dice.drawn, list(watching.acts)
    watching.registry.restart(keep=True)
    watching.enter(2)
    heard = watching.hears(1, 2, limit=3.0)
    watching.need(
        "died-of-silence",
        "the registry is dead for a moment, and back: its news are heard",
        heard,
        f"act was last called with {shown(watching.acts[-1:])}{watching.deaths}",
        "Catch requests.RequestException inside the loop, and let no pause be longer than a second.",
    )
    watching.expect(
        "hammers-the-dead",
        "… meanwhile it is asked with pauses",
        tried <= MANY,
        f"{tried} questions in {WATCHED} s",
        "Back off: 0.05, 0.1, 0.2 … up to 1 s, and begin anew after a success.",
    )
    watching.expect(
        "no-jitter",
        "… and the pauses are drawn from rng",
        drawn > 0,
        "nothing was drawn: all watchers of a dead registry would come back together",
        "rng.uniform(0, step).",
    )
    watching.expect(
        "acts-on-silence",
        "… and act is not called",
        len(acts) == 1,
        f"it was called with {shown(acts[1:])}",
        "No answer is not the answer 'nobody'.",
    )


def _backs_off(watching, kind):
    """The registry is dead for longer: the pauses grow."""
    if "hammers-the-dead" in watching.refused:
        return
    watching.enter(1)
    watching.begin(kind, dice=Loaded)
    wait_until(watching.is_waiting, 1.0)
    watching.registry.kill()
    killed = watching.trace.clock()
    time.sleep(OUTAGE)
    stamps = [one.sent for one in watching.asked(GET, since=killed)]
    pauses = [b - a for a, b in zip(stamps, stamps[1:])]
    first, last = (min(pauses[:2]), statistics.median(pauses[-3:])) if len(pauses) > 2 else (0.0, 0.0)
    watching.expect(
        "pause-does-not-grow",
        f"the registry is dead for {OUTAGE:g} s: it is asked after pauses that begin short and grow",
        last > GROWN * first,
        f"{len(stamps)} questions came"
        + (f"; the first pause was {first:.2f} s, and the last ones were {last:.2f} s" if len(pauses) > 2 else ""),
        "Double the step after each failure: 0.05, 0.1, 0.2 … up to 1 s.",
    )


def _stops(watching, kind):
    """stop() while a question waits, and then there is news."""
    watching.enter(1)
    watching.begin(kind)
    wait_until(watching.is_waiting, 1.0)
    watching.over = True
    outcome = watching.ask.run(watching.yours.stop, limit=2.5, keep=True)
    watching.expect(
        "stop-waits" if outcome.how in ("returned", "time-limit") else outcome.how,
        "stop() returns at once, although a question waits",
        outcome.returned and outcome.seconds < 1.5,
        f"it took {outcome.seconds:.1f} s" if outcome.returned else str(outcome),
        "Set an event and return: the thread looks at it when its answer comes. join() would wait for the answer.",
    )
    before = watching.questions
    watching.enter(2)
    time.sleep(WATCHED / 2)
    watching.expect(
        "acts-after-stop",
        "… after that act is never called, even if the answer comes",
        len(watching.acts) == 1,
        f"it was called with {shown(watching.acts[1:])}",
        "Between the answer and the act: is it still wanted?",
    )
    watching.expect(
        "asks-after-stop",
        "… and nothing is asked any more",
        watching.questions == before,
        f"{watching.questions - before} more questions",
        "while not self.gone.is_set():",
    )
