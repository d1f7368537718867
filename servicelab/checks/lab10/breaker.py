"""Exercise 1, build: a circuit breaker from its specification, in simulated time, for time is an argument."""

from itertools import groupby

from servicelab.checks.scenario import Stage, scenario, words
from servicelab.checks.slow_number import SlowNumber

SETTINGS = {"size": 10, "failure_rate": 0.5, "minimum_calls": 4, "wait_open": 30.0, "probes": 3}
BEGIN, OPENED = 98.0, 100.0  # seconds: the calls that open it begin, and have failed

WORDS = words("""
wrong-type: allow returns a ticket, or None
    What does the task say a call that is turned away gets?
lock-held: while one call is under way, a second client is not kept waiting
    From when to when do you hold the lock? The call itself lies between allow and record.
closed-rejects: closed, and less than half of the results are failures: each call is made
    What does your allow return while it is closed? Not the number of failures decides but their share.
minimum-ignored: fewer than four results do not open it, however bad: minimum_calls is 4
    How many results does the window hold when you divide?
never-opens: four results, and a share of failures of 0.5 or more, wherever they stand: it opens
    Read rule 1 again: "after each result", "at least", "the share", "or more".
last-ten: forty good calls, four bad ones: 4 of the last 10, it stays closed; a fifth bad one: it opens
    How many results does your window hold, and what leaves it when it is full?
wait: for 30 s by `now` calls are turned away, then one is made: the first probe; after bad probes for another 30 s
    From when does this wait count? No timer and no clock of your own is needed: who can notice that it is over?
rejections: a call that is turned away changes nothing: not how long it is open, nor what the probes decide
    What does turning a call away change in your breaker?
not-three: half-open: of ten calls exactly three are made, the probes, and the second time, too
    When do you count a probe: as it begins, or as its answer comes? How many permits does each half-open have?
too-early: nothing is decided until the results of all probes are there, however long they take
    Rule 3: what ends half-open? Which of the settings is for the window, which for half-open?
share: the share of failures among the probes decides: below 0.5 it closes, else it opens
    By which rule do the probes decide? What happens when the last of their results has come? Do you keep them all?
window-kept: it has closed with an empty window: three failures do not open it
    What is in your window at the moment when it closes?
settings: another breaker keeps to its own: to 4 or 6 probes; to a window of 6, a minimum of 2, a rate of 0.3, and 7 s
    Which numbers stand in your code?
late-reply: replies to calls from before the opening change nothing: not while it is open, nor later
    In which period was this call allowed, and how does record know? Is closed now the period of the closed of then?
race: 12 clients at once, half-open: three probes
    What can another thread do between your look at the state and your change of it?
""")
#: Parts, and what happens to the breaker, step by step: ``vx`` calls one after another, a good one and a bad one;
#: ``code:2/3`` of three calls at once two are made, and stay under way; ``+vx`` the last calls under way have ended so,
#: ``late+vx`` the first; ``open`` four calls fail at 100 s; ``@130`` the time is 130 s.
SCENES = {
    "closed": "vvvvv closed-rejects:1/1",
    "opening": "x minimum-ignored:1/1 xx minimum-ignored:1/1 x never-opens:0/1",
    "share": f"{6 * 'xvvv'} closed-rejects:1/1",
    "threshold": "vxvx never-opens:0/1",
    "threshold, failures first": "xxvv never-opens:0/1",
    "window": f"{40 * 'v'}xxxx last-ten:1/1 x last-ten:0/1",
    "waiting": "open @130 wait:1/1",
    "asked meanwhile": "open @101 wait:0/1 @115 wait:0/1 @129.9 wait:0/1 @130 rejections:1/1",
    "half-open": "open @130 not-three:3/10",
    "good probes": "open @130 not-three:3/3 @131 +vv too-early:0/1 +v share:5/5 xxx window-kept:1/1",
    "one bad probe": "open @130 not-three:3/3 +xvv share:4/4",
    "bad probes": "open @130 not-three:3/3 @140 +xxx @141 wait:0/1 @169.9 wait:0/1 @170 not-three:3/4",
    "two bad probes of four": "open @130 settings:4/5 +xxvv share:0/1",
    "more probes than the window holds": "open @130 settings:6/7 +vvvvxx share:4/4",
    "other settings": "vvvvvvxx settings:0/1 @106.5 settings:3/5 +vv too-early:0/1 +x settings:0/1",
    "slow probes": "open @130 not-three:3/3 @161 too-early:0/6 +vvv rejections:4/4 xxxx never-opens:0/1",
    "late replies": "closed-rejects:14/14 open @120 late+vx late-reply:0/1 @130 late-reply:3/3 late+vvvv late-reply:0/1"
    " late+xxxx +vvv late-reply:1/1 late+xxxx late-reply:1/1",
}
CHANGED = {
    "two bad probes of four": {"probes": 4},
    "more probes than the window holds": {"size": 4, "probes": 6},
    "other settings": {"size": 6, "failure_rate": 0.3, "minimum_calls": 2, "wait_open": 7.0},
}


class Bench(Stage):
    """A breaker of the learner's, calls through it in simulated time, and their record."""

    def __init__(self, ask, Breaker):
        super().__init__(ask, Breaker)
        self.breaker = self.make(self.yours, **SETTINGS, methods=("allow", "record"))
        self.now, self.state, self.drawn, self.under_way, self.story = BEGIN, None, 0.0, [], []

    def begin(self, count=1, allow=None):
        """Ask for so many calls; returns the ids of those that are made."""
        made = []
        for _ in range(count):
            ticket = allow() if allow else self.call(self.breaker.allow, self.now)
            at = self._at()
            self.last = self.ask.trace.send("orders", "payment", "charge", at=at)
            if ticket is False:
                self.refuse("wrong-type", "it returned False")
            if ticket is None:
                self.ask.trace.lose(self.last, "turned away", at=at)
            else:
                self.ask.trace.receive(self.last, at=at + 0.01)
                self.under_way.append(ticket)
                made.append(self.last)
        return made

    def end(self, which, results):
        """These of the calls under way have ended, well "v" or badly "x": tell the breaker."""
        tickets, self.under_way[which] = self.under_way[which], []
        for ticket, result in zip(tickets, results):
            self.draw("payment", "orders", "paid" if result == "v" else "500", at=self._at())
            self.call(self.breaker.record, ticket, result == "v", self.now)
        self._at()

    def scene(self, script, changed):
        """Act as a script says, and tell what came of it."""
        self.breaker = self.make(self.yours, **SETTINGS | changed, methods=("allow", "record"))
        for step in script.split():
            late, plus, results = step.partition("+")
            if ":" in step:
                yield self._asked(*step.replace("/", ":").split(":"))
            elif step.startswith("@"):
                self.now = float(step[1:])
                self.story.append(f"at {self.now:g} s")
            elif step == "open":
                self.begin(4)
                self.now = OPENED
                self.end(slice(-4, None), "xxxx")
                self.story.append("4 bad by 100 s")
            elif plus:
                self.end(slice(len(results)) if late else slice(-len(results), None), results)
                self.story.append(f"{late} replies: {_counted(results)}".strip())
            else:
                for result in step:
                    if self.begin():
                        self.end(slice(-1, None), result)
                    self.now += 0.2
                self.story.append(_counted(step))

    def _asked(self, code, due, count):
        made = self.begin(int(count))
        if len(made) > int(due):
            self.last = made[int(due)]  # the first that should have been turned away
        self.story.append(f"{count} asked for, {len(made)} made")
        return code, len(made) == int(due), f"{'; '.join(self.story)} (it should be {due})"

    def _at(self):
        """Where in the diagram: what happens at the same moment is drawn a little apart. Notes the state."""
        self.drawn, state = max(self.now, self.drawn + 0.04), getattr(self.breaker, "state", None)
        if isinstance(state, str) and state != self.state:
            self.state = state
            self.ask.trace.state("orders", state, at=self.drawn)
        return self.drawn


def _counted(results):
    return ", ".join(f"{len(list(some))} {'good' if result == 'v' else 'bad'}" for result, some in groupby(results))


check_breaker = scenario("10", 1, "A circuit breaker", WORDS, Breaker=Bench)


@check_breaker.part
def lock(b):
    b.begin()
    (other,) = b.at_once(lambda: b.breaker.allow(b.now), limit=1.0)
    held = not other.is_back
    b.end(slice(None), "v")
    other.wait(1.0)
    yield "lock-held", not held, "allow did not return to a second client until record was called for the first"


check_breaker.parts({title: (script, CHANGED.get(title, {})) for title, script in SCENES.items()}, Bench.scene)


@check_breaker.part
def many_clients(b):
    yield from b.scene("open @131", {})
    asked = iter(b.at_once(*[lambda: b.breaker.allow(SlowNumber(b.now))] * 12))
    made = len(b.begin(12, lambda: next(asked).answer))
    yield "race", made == 3, f"{made} calls were made"
