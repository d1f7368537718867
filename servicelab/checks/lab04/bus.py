"""Exercise 1, repair: a bus in one process, on which all listeners hear, whatever one of them does."""

import gc
from functools import partial

from servicelab.checks.learner_traceback import shown
from servicelab.checks.scenario import Stage, scenario, words

WORDS = words("""
not-heard: each listener hears each event, in the order in which they subscribed
    Publish one event to two listeners by hand. Who is called, and with what?
rest-skipped: two listeners raise: all others hear the event all the same, and all hear the next one
    Where does the loop go on when a call in it has raised? And who is still there afterwards?
source-told: … and the source hears no exception, but goes on
    publish is called by somebody who sells things. What should he do about a broken newsletter?
not-reported: publish returns a list of (listener, error), one for each that raised, in order; [] when nobody did
    Who could find the broken listener if this is all that is known of it? Two may be broken.
interrupt-eaten: what is no Exception, such as an interrupt, passes
    What does a plain `except:` catch, besides errors?
own-leaving: a listener leaves while it is called: those after it hear the event, and it does not hear the next
    You walk through a list from which somebody takes an entry. Which one comes next?
still-called: a listener sends away another one before its turn: that one is not called any more
    Who was there when the event came, and who is there when it is his turn?
too-early: a listener that is subscribed during an event hears the next event first
    When does the walk through your listeners end, if each call may add one?
heard-twice: who is subscribed twice hears an event once
    What does subscribe look at before it remembers somebody?
moved: … and keeps its place; it is not subscribed anew
    What should subscribe do about somebody who is there already? Is there anything to do?
still-hears: who is unsubscribed once hears nothing any more, until it is subscribed again
    How often is it in your collection? And is the method that you are given now the same object as the one before?
unknown: to unsubscribe somebody who is not there, or no longer, is no error
    What does your collection do when asked to remove what is not in it?
lambda-gone: a lambda, a function, an object that can be called: it hears, also when nobody else holds it
    Who keeps it alive? The bus is the only one that could.
method-gone: a method of an object that is still there hears
    Each time that you write thing.method, a new object is made. How long does that one live?
kept-alive: the bus does not keep alive an object whose method listens, also after it has raised
    Who holds the object when its owner has let go of it? The standard library's weakref has a class for methods. And \
what does an error hold, if you keep it?
ghost: … and when it is gone, nobody is called
    What does a weak reference say when its object has gone?
""")


class Heard(Stage):
    """A bus, and listeners that write down what they hear: ``names``, of the last event."""

    def __init__(self, ask, Bus):
        super().__init__(ask, Bus)
        self.bus, self.kept = self.make(Bus, methods=("subscribe", "unsubscribe", "publish")), []

    def note(self, name, event):
        self.names.append(name)
        self.ask.trace.receive(self.ask.trace.send("bus", name, event, kind="message"), name)

    def subscribe(self, *names, **acts):
        """Subscribe listeners of these names; one of ``acts`` does so, too, and then acts."""
        made = [self.listener(name, acts.get(name)) for name in [*acts, *names]]
        for one in made:
            self.call(self.bus.subscribe, one)
        return made

    def listener(self, name, act=None):
        def observe(event):
            self.note(name, event)
            if act:
                act()

        observe.__qualname__ = name
        self.kept.append(observe)
        return observe

    def publish(self, event):
        """What publish returned; ``raised`` is what it raised, ``said`` all of it in words."""
        self.last = self.ask.trace.send("source", "bus", event)
        self.names, self.raised = [], None

        def publish():
            try:
                return self.bus.publish(event)
            except (Exception, *INTERRUPTS) as error:
                self.raised = error

        answer = self.call(publish)
        self.ask.trace.receive(self.last, "bus")
        raised = f" raised {shown(self.raised)}" if self.raised else f" returned {shown(answer)}"
        self.said = f"{event} was heard by {', '.join(self.names) or 'nobody'}; publish{raised}"
        return answer


class Broken(Exception):
    """Nobody knows it, and two of them are two."""


INTERRUPTS = (KeyboardInterrupt, SystemExit, GeneratorExit)  # none of them leaves Heard.publish


class Meter:
    """An object with a method that listens; its owner may let go of it."""

    def __init__(self, stage, name, act=None):
        self.stage, self.name, self.act = stage, name, act

    def hear(self, event):
        self.stage.note(self.name, event)
        if self.act:
            self.act()


def failing(error):
    def fail():
        raise error

    return fail


def broken_anew():
    raise Broken  # an error that somebody keeps holds this call, and whoever called


def at_first(act):
    """Acts when it is called for the first time."""
    left = [act]
    return lambda: left and left.pop()()


check_bus = scenario("04", 1, "A bus that lives", WORDS, Bus=Heard)
part = check_bus.part


@part
def some_of_them_raise(at):
    at.subscribe("mail", "stock")
    for event in ("paid 1", "paid 2"):
        at.publish(event)
        yield "not-heard", at.names == ["mail", "stock"], at.said
    errors = Broken("no such template"), Broken("shelf 7")
    broken = at.subscribe(audit=failing(errors[0]), vans=failing(errors[1])) + at.subscribe("parcels")
    for event in ("paid 3", "paid 4"):
        answer = at.publish(event)
        yield "rest-skipped", at.names == ["mail", "stock", "audit", "vans", "parcels"], at.said
        yield "source-told", at.raised is None, at.said
        pairs = [tuple(one) for one in answer if isinstance(one, list | tuple)] if isinstance(answer, list) else None
        yield "not-reported", pairs == [*zip(broken, errors)], f"{at.said}; audit and vans had raised"
    for one in broken:
        at.call(at.bus.unsubscribe, one)
    yield "not-reported", at.publish("paid 5") == [], f"nobody raised; {at.said}"
    for kind in INTERRUPTS:
        (stop,) = at.subscribe(stop=failing(kind("stop")))
        at.publish("paid 6")
        yield "interrupt-eaten", isinstance(at.raised, kind), f"stop raised a {kind.__name__}; {at.said}"
        at.call(at.bus.unsubscribe, stop)


@part
def leaving_and_coming_meanwhile(at):
    mine = []
    mine += at.subscribe("second", "third", once=lambda: at.bus.unsubscribe(mine[0]))
    at.publish("paid 1")
    told, right = at.said, at.names == ["once", "second", "third"]
    at.publish("paid 2")
    yield "own-leaving", right and at.names == ["second", "third"], f"{told}; {at.said}"
    late = at.listener("late")
    at.subscribe(early=at_first(lambda: at.bus.unsubscribe(late)))
    at.call(at.bus.subscribe, late)
    at.publish("paid 3")
    yield "still-called", at.names == ["second", "third", "early"], at.said
    new, there = at.listener("new"), ["second", "third", "early", "host"]
    at.subscribe(host=at_first(lambda: at.bus.subscribe(new)))
    at.publish("paid 4")
    yield "too-early", at.names == there, f"host had subscribed new meanwhile; {at.said}"
    at.publish("paid 5")
    yield "too-early", at.names == [*there, "new"], f"host had subscribed new an event ago; {at.said}"


@part
def twice_there_and_once_gone(at):
    meter = Meter(at, "meter")
    (mail,) = at.subscribe("mail")
    for one in (meter.hear, meter.hear, mail):
        at.call(at.bus.subscribe, one)
    at.publish("paid 1")
    yield "heard-twice", len(at.names) == len(set(at.names)), at.said
    yield "moved", at.names[:1] == ["mail"], f"mail, meter, meter and mail were subscribed; {at.said}"
    at.call(at.bus.unsubscribe, mail)
    at.call(at.bus.unsubscribe, meter.hear)
    at.publish("paid 2")
    yield "still-hears", at.names == [], f"both were unsubscribed once; {at.said}"
    at.call(at.bus.subscribe, mail)
    at.publish("paid 3")
    yield "still-hears", at.names == ["mail"], f"mail was subscribed again; {at.said}"
    for who, one in (("somebody who had left", meter.hear), ("a stranger", at.listener("stranger"))):
        outcome = at.ask.run(at.bus.unsubscribe, one, limit=2.0)
        yield "unknown", outcome.returned, f"{who} was unsubscribed: {outcome}"


@part
def who_holds_whom(at):
    at.call(at.bus.subscribe, lambda event: at.note("lambda", event))
    at.call(at.bus.subscribe, partial(at.note, "object"))
    at.subscribe("function")
    at.kept.clear()
    gc.collect()
    at.publish("paid 1")
    there = ["lambda", "object", "function"]
    yield "lambda-gone", at.names == there, at.said
    meters = [Meter(at, "other meter"), Meter(at, "meter", broken_anew)]
    for meter in meters:
        at.call(at.bus.subscribe, meter.hear)
    at.subscribe("last")
    del meter
    gc.collect()
    at.publish("paid 2")
    yield "method-gone", {"other meter", "meter"} <= {*at.names}, at.said
    yield "not-heard", at.names == [*there, "other meter", "meter", "last"], at.said
    del meters[-1]
    gc.collect()
    answer = at.publish("paid 3")
    yield "kept-alive", "meter" not in at.names, f"its owner had let go of meter; {at.said}"
    yield "ghost", at.raised is None and answer == [], f"its owner had let go of meter; {at.said}"
