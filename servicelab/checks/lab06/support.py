"""Exercise 1, repair: support chats in rooms. Who hears what, and who must not.

Customers speak to the learner's Socket.IO server. That somebody did *not* hear something is certain after a question
of the check's own: her connection keeps order, and the answer comes after all that was sent to her before.
"""

from contextlib import ExitStack

from flask_socketio import SocketIO

from servicelab.checks.lab06.customer import PATIENCE, Customer
from servicelab.checks.learner_traceback import shown
from servicelab.checks.scenario import Stage, scenario, words
from servicelab.servers.socketio import SocketIOServer

_ASK = "are you there"  # an event of the check's own

WORDS = words("""
no-answer: every handler returns
    What one raises ends only this event, and nobody hears of it. Which line of it can fail, or never end?
not-joined: who enters a chat hears what is sent to it
    A room is a list of who is in it, and emitting to it adds nobody.
no-people: bob is in the chat, and ann enters it: both get the list of names, in the order in which they came
    To whom does the list go, when, and from where does its order come?
not-said: what is said in a chat is heard by the others in it
    To whom does the event go?
not-herself: … and by the one who says it
    Is she in the room, and who is left out?
strangers: nobody hears anything of a chat that he is not in
    Who hears an emit to a room, one without an addressee, and a broadcast?
whisper: … also when somebody calls her chat like the id of a connection
    Each connection is alone in a room that has its id for a name. Which names can the rooms of yours have?
other-chat: … also when 0 and "0" are two chats, each heard by those in it
    When are two chats the same for your list, and when have they the same room? What is 0 in a condition?
no-status: who asks gets the status of the order that she asked for, in a chat or not
    What is in the answer, and does it need a chat?
everybody: … and nobody else does
    To whom does an emit in a handler go when you say nothing more?
still-in-room: who leaves hears nothing of the chat any more
    There are two lists of who is in a chat. Which of them decides who hears?
not-told-left: … and those who stay get the list without her, and still hear each other
    Who has to know that she left, and what is undone for whom?
two-rooms: who enters another chat has left the first one, as if she had said so
    In how many chats is she afterwards, and who has to know?
not-gone: her connection breaks: those who stay get the list without her
    Nobody says 'leave' whose battery is empty. What does Socket.IO tell you, and what does it do by itself?
outsider: who is in no chat may speak, leave and go: nobody hears it, and no handler fails
    What does each handler find when she is nowhere in your list?
name-lost: two are called ann: the list has both, and when one leaves, the other is where she was, and is heard
    By what do you know a connection?
""")


class Shop(Stage):
    """The learner's server, and its customers."""

    def __init__(self, ask, make_support):
        super().__init__(ask, make_support)
        self.here, self.asides = [], set()
        socketio = self.call(make_support, returns=SocketIO, limit=4.0)
        socketio.on(_ASK)(lambda: None)
        self._ends = ExitStack()
        self._ends.callback(self._forget_asides)
        self.server = self._ends.enter_context(
            SocketIOServer(socketio, "support of the check", trace=ask.trace, lane="support")
        )
        self.use(self._ends)

    def _forget_asides(self):
        story = [event for event in self.ask.trace.events if event.id not in self.asides]
        self.ask.trace.clear()
        self.ask.trace.extend(story)

    def customer(self, name) -> Customer:
        new = Customer(self.server, self.ask.trace, name, self.asides)
        self._ends.callback(new.close)
        self.here.append(new)
        self.last = new.last
        return new

    def inside(self, *chats):
        """A new customer in each of these ``(name, chat)``; those of before have heard it."""
        return [
            self.call(self.customer(name), "enter", {"chat": chat, "name": name.split()[0]}) for name, chat in chats
        ]

    def call(self, who, *event, **options):
        """``who`` emits; everybody has heard what it caused when this returns. What was heard before is forgotten."""
        if not isinstance(who, Customer):
            return super().call(who, *event, **options)
        for one in self.here:
            one.forget()
        before, self.last = len(self.server.errors), None
        answered, self.last = who.call(*event), who.last
        if not answered:
            errors = self.server.errors[before:]
            why = errors[-1].strip().splitlines()[-1] if errors else f"nothing came back within {PATIENCE} s"
            self.refuse("no-answer", f"the handler of {event[0]!r}: {why}")
        for one in self.here:
            one.answers(_ASK)
        return who

    def quiet(self):
        """Everybody has heard all that was sent so far, and forgets it."""
        for one in self.here:
            one.answers(_ASK)
            one.forget()

    def hear(self, code, event, data, *who):
        """Each of them has heard ``event`` once, with ``data``."""
        for one in who:
            found = [heard.data for heard in one.heard if heard.event == event]
            told = ", ".join(shown(data, 60) for data in found) or "nothing"
            yield code, found == [data], f"{one.name} heard {event}: {told}"

    def deaf(self, code, *who):
        """None of them has heard anything."""
        for one in who:
            for heard in one.heard[:1]:
                self.last = heard.id
                yield code, False, f"{one.name} heard {heard.event}: {shown(heard.data, 60)}"
            yield code, True, ""


def said(name, text):
    return {"name": name, "text": text}


check_support = scenario("06", 1, "A chat for each order", WORDS, make_support=Shop)
part = check_support.part


@part
def one_chat(shop):
    bob, ann = shop.inside(("bob", 17), ("ann", 17))
    yield "not-joined", bob.heard or ann.heard, "neither bob nor ann, who both entered chat 17, heard anything"
    yield from shop.hear("no-people", "people", ["bob", "ann"], bob, ann)
    shop.call(ann, "say", "my mug is broken")
    yield from shop.hear("not-said", "said", said("ann", "my mug is broken"), bob)
    yield from shop.hear("not-herself", "said", said("ann", "my mug is broken"), ann)


@part
def two_chats(shop):
    ann, eve = shop.inside(("ann", 17), ("eve", 18))
    yield from shop.hear("strangers", "people", ["eve"], eve)
    yield from shop.deaf("strangers", ann)
    shop.call(ann, "say", "my card number is 4711")
    yield from shop.deaf("strangers", eve)


@part
def a_chat_named_like_a_connection(shop):
    (ann,) = shop.inside(("ann", 17))
    eve = shop.customer("eve")
    shop.quiet()
    eve.call("enter", {"chat": ann.sid, "name": "the shop"})  # the library may refuse to let her into that room
    eve.call("say", "your card number, please?")
    ann.answers(_ASK)
    yield from shop.deaf("whisper", ann)


@part
def a_number_and_a_text(shop):
    bob, ann, eve = shop.inside(("bob", 0), ("ann", 0), ("eve", "0"))
    yield from shop.hear("other-chat", "people", ["eve"], eve)
    yield from shop.deaf("other-chat", ann)
    shop.call(ann, "say", "I am in 0")
    yield from shop.hear("other-chat", "said", said("ann", "I am in 0"), bob)
    yield from shop.deaf("other-chat", eve)
    shop.call(ann, "leave")
    yield from shop.deaf("other-chat", eve)


@part
def questions(shop):
    ann, bob, eve = shop.inside(("ann", 17), ("bob", 17), ("eve", 18))
    dan = shop.customer("dan")
    for one, order in ((ann, 4711), (dan, 12)):
        shop.call(one, "ask", order)
        yield from shop.hear("no-status", "status", {"order": order, "state": "packed"}, one)
        yield from shop.deaf("everybody", *{ann, bob, eve, dan} - {one})


@part
def leaving(shop):
    bob, ann, dan = shop.inside(("bob", 17), ("ann", 17), ("dan", 17))
    shop.call(ann, "leave")
    yield from shop.hear("not-told-left", "people", ["bob", "dan"], bob, dan)
    yield from shop.deaf("still-in-room", ann)
    shop.call(bob, "say", "she was rude")
    yield from shop.deaf("still-in-room", ann)
    yield from shop.hear("not-told-left", "said", said("bob", "she was rude"), dan)
    shop.call(ann, "ask", 4711)
    yield from shop.hear("no-status", "status", {"order": 4711, "state": "packed"}, ann)


@part
def moving(shop):
    bob, ann, eve = shop.inside(("bob", 17), ("ann", 17), ("eve", 18))
    shop.call(ann, "enter", {"chat": 18, "name": "ann"})
    yield from shop.hear("two-rooms", "people", ["bob"], bob)
    yield from shop.hear("two-rooms", "people", ["eve", "ann"], eve, ann)
    shop.call(bob, "say", "has she gone?")
    yield from shop.deaf("two-rooms", ann, eve)
    shop.call(ann, "say", "here I am")
    yield from shop.deaf("two-rooms", bob)


@part
def a_broken_connection(shop):
    bob, ann = shop.inside(("bob", 17), ("ann", 17))
    shop.quiet()
    ann.close()
    shop.here.remove(ann)
    bob.wait_for("people", PATIENCE / 2)
    shop.last = bob.last
    yield from shop.hear("not-gone", "people", ["bob"], bob)


@part
def outsiders(shop):
    (ann,) = shop.inside(("ann", 17))
    eve, dan = shop.customer("eve"), shop.customer("dan")
    shop.quiet()
    dan.close()
    shop.here.remove(dan)
    ways = [(("say", "buy cheap mugs"), ("leave",)), (("say", "and cheap cups"), ("leave",))]
    for turn, events in enumerate(ways):
        answered = all(eve.call(*event) for event in events)
        ann.answers(_ASK)
        shop.last, why = eve.last, "".join(shop.server.errors[-1:]).strip().splitlines()[-1:]
        yield "outsider", answered and not why, f"a handler did not return: {''.join(why)}"
        yield from shop.deaf("outsider", ann)
        echoed = "said" in [heard.event for heard in eve.heard]
        yield "outsider", not echoed, "eve, who was in no chat, heard what she said herself"
        if turn == 0:  # and again, after she has been there
            shop.call(eve, "enter", {"chat": 17, "name": "eve"})
            shop.call(eve, "leave")
            shop.quiet()


@part
def namesakes(shop):
    one, bob, other = shop.inside(("ann 1", 17), ("bob", 17), ("ann 2", 17))
    yield from shop.hear("name-lost", "people", ["ann", "bob", "ann"], bob)
    shop.call(other, "leave")
    yield from shop.hear("name-lost", "people", ["ann", "bob"], bob)
    shop.call(one, "say", "hello")
    yield from shop.hear("name-lost", "said", said("ann", "hello"), bob)
