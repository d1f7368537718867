"""Exercise 1, repair: a bus in one process, on which all listeners hear, whatever one of them does."""

import gc
from functools import partial

from servicelab.checks.scenario import Stage, scenario, words

WORDS = words("""
not-heard: each listener hears each event, in the order in which they subscribed
    Publish one event to two listeners by hand. Who is called, and with what?
rest-skipped: two listeners raise: all hear this event and the next one, and the source no exception
    Where does the loop go on when a call in it has raised, and who is still there? What does the source hear of it?
not-reported: publish returns a list of (listener, error), one for each that raised, in order; [] when nobody did
    Who could find the broken listener if this is all that is known of it? Two may be broken.
interrupt-eaten: what is no Exception, such as an interrupt, passes
    What does a plain `except:` catch, besides errors?
own-leaving: who is unsubscribed while an event goes round is not called any more, and all others are
    You walk through a list from which somebody takes an entry: which one comes next? Who is there at his turn?
too-early: a listener that is subscribed during an event hears all events from the next one on, and not this one
    When does the walk through your listeners end, if each call may add one?
heard-twice: who is subscribed twice hears an event once, and keeps its place; it is not subscribed anew
    What should subscribe do about somebody who is there already? Is a method that comes again the same object?
still-hears: who is unsubscribed once hears nothing until it is subscribed again; a stranger is no error
    How often is it in your collection? Is the method that you are given now the same object? And if it is not there?
lambda-gone: a lambda, a function, an object that can be called, a method of an object that is there hears
    Who keeps it alive? Each time that you write thing.method, a new object is made: how long does that one live?
kept-alive: an object whose method listens is not kept alive, also after it raised; once it is gone, it is not called
    weakref has a class for methods: what does it say when the object has gone? What does an error hold, if you keep it?
""")


def fail(error):
    raise error


class Meter:
    """An object with a method that listens; its owner may let go of it."""

    def __init__(self, listener):
        self.listener = listener

    def hear(self, event):
        self.listener(event)


class Heard(Stage):
    """A bus, and listeners that write down what they hear: ``names``, of the last event."""

    def __init__(self, ask, Bus):
        super().__init__(ask, Bus)
        self.bus, self.kept = self.make(Bus, methods=("subscribe", "unsubscribe", "publish")), []
        self.published = 0

    def listener(self, name, act=lambda: None):
        def observe(event):
            self.names.append(name)
            self.say("bus", name, event)
            act()

        observe.__qualname__ = name
        self.kept.append(observe)
        return observe

    def subscribe(self, *names, **acts):
        """Subscribe listeners that act, and then those of these names."""
        made = [self.listener(*one) for one in [*acts.items(), *((name,) for name in names)]]
        for one in made:
            self.call(self.bus.subscribe, one)
        return made

    def publish(self, before=""):
        """Publish the next event. ``answer`` is what publish returned, ``raised`` what it raised, ``told`` says it."""
        self.published += 1
        event, self.names = f"paid {self.published}", []
        self.say("source", "bus", event)
        mark = self.last
        outcome = self.ask.run(self.bus.publish, event, limit=2.0)
        self.last, self.answer, self.raised = mark, outcome.value, outcome.error
        self.told = f"{before}{event} was heard by {', '.join(self.names) or 'nobody'}; publish: {outcome}"

    def hears(self, code, names, before=""):
        """The next event is heard by just these, in this order, and publish raises nothing."""
        self.publish(before)
        return code, self.names == names.split() and not self.raised, self.told


check_bus = scenario("04", 1, "A bus that lives", WORDS, Bus=Heard)
part = check_bus.part


@part
def some_of_them_raise(at):
    at.subscribe("mail", "stock")
    yield at.hears("not-heard", "mail stock")
    errors = Exception("no such template"), Exception("shelf 7")
    *broken, _ = at.subscribe("parcels", audit=partial(fail, errors[0]), vans=partial(fail, errors[1]))
    for _ in range(2):
        yield at.hears("rest-skipped", "mail stock audit vans parcels")
        yield "not-reported", at.answer == [*zip(broken, errors)], f"audit and vans raised; {at.told}"
    for one in broken:
        at.call(at.bus.unsubscribe, one)
    yield at.hears("still-hears", "mail stock parcels", "audit and vans were unsubscribed; ")
    yield "not-reported", at.answer == [], f"nobody raised; {at.told}"
    for kind in (KeyboardInterrupt, SystemExit, GeneratorExit):
        (stop,) = at.subscribe(stop=partial(fail, kind("stop")))
        at.publish(f"stop raises a {kind.__name__}; ")
        yield "interrupt-eaten", isinstance(at.raised, kind), at.told
        at.call(at.bus.unsubscribe, stop)


@part
def leaving_and_coming_meanwhile(at):
    once, *_ = at.subscribe("second", "third", once=lambda: at.bus.unsubscribe(once))
    yield at.hears("own-leaving", "once second third", "once unsubscribes itself; ")
    yield at.hears("own-leaving", "second third", "once had unsubscribed itself; ")
    early, late = at.subscribe("late", early=lambda: at.bus.unsubscribe(late))
    yield at.hears("own-leaving", "second third early", "early unsubscribes late; ")
    at.call(at.bus.unsubscribe, early)
    new = [at.listener("new")]
    at.subscribe(host=lambda: new and at.bus.subscribe(new.pop()))
    yield at.hears("too-early", "second third host", "host subscribes new meanwhile; ")
    yield at.hears("too-early", "second third host new", "host had subscribed new an event ago; ")


@part
def twice_there_and_once_gone(at):
    meter, (mail,) = Meter(at.listener("meter")), at.subscribe("mail")
    for one in (meter.hear, meter.hear, mail):
        at.call(at.bus.subscribe, one)
    at.publish("mail, meter, meter and mail were subscribed; ")
    yield "heard-twice", at.names[:1] == ["mail"] and len({*at.names}) == len(at.names), at.told
    for one in (mail, meter.hear):
        at.call(at.bus.unsubscribe, one)
    yield at.hears("still-hears", "", "both were unsubscribed once; ")
    at.call(at.bus.subscribe, mail)
    yield at.hears("still-hears", "mail", "mail was subscribed again; ")
    for who, one in (("somebody who had left", meter.hear), ("a stranger", at.listener("stranger"))):
        outcome = at.ask.run(at.bus.unsubscribe, one, limit=2.0)
        yield "still-hears", outcome.returned, f"{who} was unsubscribed: {outcome}"


@part
def who_holds_whom(at):
    hear = at.listener("lambda")
    at.call(at.bus.subscribe, lambda event: hear(event))
    at.call(at.bus.subscribe, partial(at.listener("object")))
    at.subscribe("function")
    at.kept.clear()
    gc.collect()
    yield at.hears("lambda-gone", "lambda object function", "nobody else holds them; ")
    meter = Meter(at.listener("meter", partial(fail, Exception)))  # anew each time: an error holds whom it went through
    at.call(at.bus.subscribe, meter.hear)
    at.subscribe("last")
    at.publish()
    yield "lambda-gone", "meter" in at.names, at.told
    yield "not-heard", at.names == ["lambda", "object", "function", "meter", "last"], at.told
    meter = at.answer = None
    gc.collect()
    yield at.hears("kept-alive", "lambda object function last", "its owner had let go of meter; ")
    yield "kept-alive", at.answer == [], at.told
