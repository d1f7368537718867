"""Exercise 1, repair: a bus in one process, on which all observers hear, whatever one of them does."""

import gc

from servicelab.checks.learner_traceback import shown
from servicelab.checks.scenario import Stage, scenario, words

WORDS = words("""
not-heard: each observer hears each event, in the order in which they subscribed
    Publish one event to two observers by hand. Who is called, and with what?
rest-skipped: two observers raise: the others hear the event all the same
    Where does the loop go on when a call in it has raised?
source-told: … and the source hears no exception, but goes on
    publish is called by somebody who sells things. What should he do about a broken newsletter?
not-reported: publish returns a list of (observer, error), one for each that raised, in order; [] when nobody did
    Who could find the broken observer if this is all that is known of it? Two may be broken.
interrupt-eaten: what is no Exception, such as an interrupt, passes
    What does a plain `except:` catch, besides errors?
own-leaving: an observer leaves while it is called: those after it hear the event, and it does not hear the next
    You walk through a list from which somebody takes an entry. Which one comes next?
still-called: an observer sends away another one before its turn: that one is not called any more
    Who was there when the event came, and who is there when it is his turn?
too-early: an observer that is subscribed during an event hears the next event first
    When does the walk through your observers end, if each call may add one?
heard-twice: who is subscribed twice hears an event once
    What does subscribe look at before it remembers somebody?
still-hears: who is unsubscribed once hears nothing any more, however often he was subscribed
    How often is he in your collection? And is the method that you are given now the same object as the one before?
unknown: to unsubscribe somebody who is not there, or no longer, is no error
    What does your collection do when asked to remove what is not in it?
lambda-gone: a lambda that nobody else holds hears
    Who keeps it alive? The bus is the only one that could.
method-gone: a method of an object that is still there hears
    Each time that you write thing.method, a new object is made. How long does that one live?
kept-alive, ghost: the bus does not keep alive an object whose method observes: when it is gone, nobody is called
    Who holds the object when its owner has let go of it? The standard library's weakref has a class for methods.
""")


class Heard(Stage):
    """A bus, and observers that write down what they hear: ``names``, of the last event."""

    def __init__(self, ask, Bus):
        super().__init__(ask, Bus)
        self.bus, self.kept = self.make(Bus, methods=("subscribe", "unsubscribe", "publish")), []

    def note(self, name, event):
        self.names.append(name)
        self.ask.trace.receive(self.ask.trace.send("bus", name, event, kind="message"), name)

    def subscribe(self, *names, **acts):
        """Subscribe observers of these names; one of ``acts`` does so, too, and then acts."""
        made = [self.observer(name, acts.get(name)) for name in [*acts, *names]]
        for one in made:
            self.call(self.bus.subscribe, one)
        return made

    def observer(self, name, act=None):
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
            except (Exception, Interrupt) as error:
                self.raised = error

        answer = self.call(publish)
        self.ask.trace.receive(self.last, "bus")
        raised = f" raised {shown(self.raised)}" if self.raised else f" returned {shown(answer)}"
        self.said = f"{event} was heard by {', '.join(self.names) or 'nobody'}; publish{raised}"
        return answer


class Interrupt(BaseException):
    """As KeyboardInterrupt, which the check must not raise: it would be the learner's own."""


class Meter:
    """An observer that is an object; its owner may let go of it."""

    def __init__(self, stage, name):
        self.stage, self.name = stage, name

    def observe(self, event):
        self.stage.note(self.name, event)


def failing(error):
    def fail():
        raise error

    return fail


check_bus = scenario("04", 1, "A bus that lives", WORDS, Bus=Heard)
part = check_bus.part


@part
def some_of_them_raise(at):
    at.subscribe("mail", "stock")
    for event in ("paid 1", "paid 2"):
        at.publish(event)
        yield "not-heard", at.names == ["mail", "stock"], at.said
    errors = ValueError("no such template"), KeyError("shelf 7")
    broken = at.subscribe(audit=failing(errors[0]), vans=failing(errors[1])) + at.subscribe("parcels")
    answer = at.publish("paid 3")
    yield "rest-skipped", at.names == ["mail", "stock", "audit", "vans", "parcels"], at.said
    yield "source-told", at.raised is None, at.said
    right = isinstance(answer, list) and [tuple(one) for one in answer if isinstance(one, list | tuple)] == [
        *zip(broken, errors)
    ]
    yield "not-reported", right, f"{at.said}; audit and vans had raised"
    for one in broken:
        at.call(at.bus.unsubscribe, one)
    yield "not-reported", at.publish("paid 4") == [], f"nobody raised; {at.said}"
    at.subscribe(stop=failing(Interrupt("stop")))
    at.publish("paid 5")
    yield "interrupt-eaten", isinstance(at.raised, Interrupt), f"stop raised a BaseException; {at.said}"


@part
def leaving_and_coming_meanwhile(at):
    mine = []
    mine += at.subscribe("second", "third", once=lambda: at.bus.unsubscribe(mine[0]))
    at.publish("paid 1")
    told, right = at.said, at.names == ["once", "second", "third"]
    at.publish("paid 2")
    yield "own-leaving", right and at.names == ["second", "third"], f"{told}; {at.said}"
    late = at.observer("late")
    at.subscribe(early=lambda: at.bus.unsubscribe(late))
    at.call(at.bus.subscribe, late)
    at.publish("paid 3")
    yield "still-called", at.names == ["second", "third", "early"], at.said
    new, there = at.observer("new"), ["second", "third", "early", "host"]
    at.subscribe(host=lambda: at.bus.subscribe(new))
    at.publish("paid 4")
    yield "too-early", at.names == there, f"host had subscribed new meanwhile; {at.said}"
    at.publish("paid 5")
    yield "too-early", at.names == [*there, "new"], f"host had subscribed new an event ago; {at.said}"


@part
def twice_there_and_once_gone(at):
    meter = Meter(at, "meter")
    (mail,) = at.subscribe("mail")
    for one in (mail, meter.observe, meter.observe):
        at.call(at.bus.subscribe, one)
    at.publish("paid 1")
    yield "heard-twice", len(at.names) == len(set(at.names)), at.said
    at.call(at.bus.unsubscribe, mail)
    at.call(at.bus.unsubscribe, meter.observe)
    at.publish("paid 2")
    yield "still-hears", at.names == [], f"both were unsubscribed once; {at.said}"
    for who, one in (("somebody who had left", mail), ("a stranger", at.observer("stranger"))):
        outcome = at.ask.run(at.bus.unsubscribe, one, limit=2.0)
        yield "unknown", outcome.returned, f"{who} was unsubscribed: {outcome}"


@part
def who_holds_whom(at):
    at.call(at.bus.subscribe, lambda event: at.note("lambda", event))
    gc.collect()
    at.publish("paid 1")
    yield "lambda-gone", at.names == ["lambda"], at.said
    meters = [Meter(at, "meter"), Meter(at, "other meter")]
    for meter in meters:
        at.call(at.bus.subscribe, meter.observe)
    del meter
    gc.collect()
    at.publish("paid 2")
    yield "method-gone", at.names == ["lambda", "meter", "other meter"], at.said
    del meters[0]
    gc.collect()
    answer = at.publish("paid 3")
    yield "kept-alive", "meter" not in at.names, f"its owner had let go of meter; {at.said}"
    yield "ghost", at.raised is None and answer == [], f"its owner had let go of meter; {at.said}"
