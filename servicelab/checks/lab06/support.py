"""Exercise 1, repair: support chats in rooms. Who hears what, and who must not.

Customers speak to the learner's Socket.IO server. That somebody did *not* hear something is certain after a question
of the check's own: her connection keeps order, and the answer comes after all that was sent to her before.
"""

from contextlib import ExitStack

from flask_socketio import SocketIO

from servicelab.checks.exercise import exercise
from servicelab.checks.lab06.customer import PATIENCE, Customer
from servicelab.checks.learner_traceback import shown
from servicelab.checks.section import section
from servicelab.servers.socketio import SocketIOServer

_ASK = "are you there"  # an event of the check's own

_HINTS = {
    "not-joined": "A room is a list of who is in it. Emitting to it adds nobody: join_room(chat).",
    "no-people": 'emit("people", […], to=chat), after join_room.',
    "not-said": 'emit("said", {"name": name, "text": text}, to=chat).',
    "strangers": "to=chat. Without `to` only the sender hears it, with broadcast=True the whole shop.",
    "whisper": "Each connection is alone in a room that bears its own id, and what a chat is called comes from the "
    'client. Give the room a name that no connection has: f"chat {chat}".',
    "not-herself": "A room is everybody in it, the sender too, unless include_self=False.",
    "everybody": 'emit("status", …) and no more: a plain emit in a handler goes to the sender alone.',
    "no-status": 'emit("status", {"order": order, "state": "packed"}).',
    "still-in-room": "leave_room(chat). Deleting her name from a dict of yours does not touch the room.",
    "not-told-left": "After she has left: the list of names again, to the room.",
    "two-rooms": "Entering is leaving first: who is in a chat leaves it before she enters the next.",
    "not-gone": '@socketio.on("disconnect"): nobody says "leave" whose battery is empty. Socket.IO empties its rooms '
    "by itself, but not your dict.",
    "outsider": "Who is in no chat has nobody to talk to: look first, with .get(request.sid).",
    "name-lost": "Keep names for each connection (request.sid): two customers may be called Ann.",
}


@exercise("06", 1, "A chat for each order", limit=40.0)
def check_support(ask, make_support):
    """Let customers talk over the SocketIO object that ``make_support()`` returns."""
    for examine in (_one_chat, _two_chats, _whisper, _questions, _leaving, _moving, _gone, _outsiders, _namesakes):
        with section(ask), Shop(ask, make_support) as shop:
            examine(shop)
        if any(one.code in ("not-joined", "no-answer") and not one.passed for one in ask.expectations):
            return  # what else is missing comes from that


class Shop:
    """The learner's server, and its customers."""

    def __init__(self, ask, make_support):
        self.ask, self.here, self.came = ask, [], []
        socketio = ask.call(make_support, limit=4.0)
        if not isinstance(socketio, SocketIO):
            ask.need(
                "wrong-type",
                "make_support returns the SocketIO object",
                False,
                f"it returned {shown(socketio)}",
                "The last line of the function: return socketio.",
            )
        socketio.on(_ASK)(lambda: None)
        self.server = SocketIOServer(socketio, "support of the check", trace=ask.trace, lane="support")
        self._stack = ExitStack()

    def __enter__(self):
        self._stack.enter_context(self.server)
        return self

    def __exit__(self, *error):
        self._stack.close()
        asides = set().union(*(one.asides for one in self.came))
        story = [event for event in self.ask.trace.events if event.id not in asides]
        self.ask.trace.clear()
        self.ask.trace.extend(story)

    def customer(self, name) -> Customer:
        new = Customer(self.server, self.ask.trace, name)
        self._stack.callback(new.close)
        self.here.append(new)
        self.came.append(new)
        return new

    def inside(self, name, chat, called=None) -> Customer:
        new = self.customer(name)
        self.call(new, "enter", {"chat": chat, "name": called or name})
        return new

    def call(self, who, event, *data):
        """``who`` emits; everybody has heard what it caused when this returns. What was heard before is forgotten."""
        self.quiet()
        before = len(self.server.errors)
        answered = who.call(event, *data)
        if answered:
            for one in self.here:
                one.answers(_ASK)
            return
        errors = self.server.errors[before:]
        why = errors[-1].strip().splitlines()[-1] if errors else f"nothing came back within {PATIENCE} s"
        self.ask.need(
            "no-answer",
            f"the handler of {event!r} returns",
            False,
            why,
            "Does every handler end? What one raises ends only this event, and nobody hears of it.",
            who.last,
        )

    def quiet(self):
        for one in self.here:
            one.answers(_ASK)
            one.forget()

    def expect(self, code, what, passed, happened, mark):
        return self.ask.expect(code, what, passed, happened, _HINTS[code], mark)

    def hears(self, code, what, who, event, data, mark):
        """``who`` has heard ``event`` once, with ``data``."""
        found = [one for one in who.heard if one.event == event]
        told = ", ".join(shown(one.data, 60) for one in found) or "nothing"
        return self.expect(code, what, [one.data for one in found] == [data], f"{who.name} heard {event}: {told}", mark)

    def deaf(self, code, what, who, event):
        """``who`` has not heard ``event``."""
        found = [one for one in who.heard if one.event == event]
        told = f"{who.name} heard {event}: {shown(found[0].data, 60)}" if found else ""
        return self.expect(code, what, not found, told, found[0].id if found else who.last)


def _said(name, text):
    return {"name": name, "text": text}


def _one_chat(shop):
    ann = shop.inside("ann", 17)
    bob = shop.inside("bob", 17)
    met = not any(one.heard for one in (ann, bob))
    if met:
        told = "neither ann nor bob, who both entered chat 17, heard anything"
        shop.ask.need("not-joined", "who enters a chat is in its room", False, told, _HINTS["not-joined"], bob.last)
    for one in (ann, bob):
        what = f"bob enters ann's chat: {one.name} gets the list of names"
        shop.hears("no-people", what, one, "people", ["ann", "bob"], bob.last)
    shop.call(ann, "say", "my mug is broken")
    shop.hears("not-said", "ann says something: bob hears it", bob, "said", _said("ann", "my mug is broken"), ann.last)
    what = "… and so does ann herself"
    shop.hears("not-herself", what, ann, "said", _said("ann", "my mug is broken"), ann.last)


def _two_chats(shop):
    ann, eve = shop.inside("ann", 17), shop.inside("eve", 18)
    shop.deaf("strangers", "eve enters chat 18: ann in chat 17 gets no list", ann, "people")
    shop.call(ann, "say", "my card number is 4711")
    shop.deaf("strangers", "ann speaks in chat 17: eve in chat 18 hears nothing", eve, "said")


def _whisper(shop):
    """Eve calls her chat by the id of Ann's connection. Not said where everybody hears everything anyway."""
    if any(one.code == "strangers" and not one.passed for one in shop.ask.expectations):
        return
    ann, eve = shop.inside("ann", 17), shop.customer("eve")
    shop.quiet()
    eve.call("enter", {"chat": ann.sid, "name": "the shop"})  # the library may refuse to let her into that room
    eve.call("say", "your card number, please?")
    ann.answers(_ASK)
    found = next((one for one in ann.heard if one.event in ("people", "said")), None)
    shop.expect(
        "whisper",
        "eve enters a chat that is called like the id of ann's connection: ann in chat 17 hears nothing of it",
        found is None,
        f"ann heard {found.event}: {shown(found.data, 60)}" if found else "",
        found.id if found else eve.last,
    )


def _questions(shop):
    ann, bob, eve = shop.inside("ann", 17), shop.inside("bob", 17), shop.inside("eve", 18)
    shop.call(ann, "ask", 17)
    status = {"order": 17, "state": "packed"}
    shop.hears("no-status", "ann asks for her order: she gets its status", ann, "status", status, ann.last)
    for one, where in ((bob, "in her chat"), (eve, "in another chat")):
        shop.deaf("everybody", f"… and {one.name}, {where}, does not", one, "status")


def _leaving(shop):
    ann, bob = shop.inside("ann", 17), shop.inside("bob", 17)
    shop.call(ann, "leave")
    what = "ann leaves: bob gets the list without her"
    shop.hears("not-told-left", what, bob, "people", ["bob"], ann.last)
    shop.call(bob, "say", "she was rude")
    shop.deaf("still-in-room", "… and ann does not hear what he says then", ann, "said")


def _moving(shop):
    ann, bob = shop.inside("ann", 17), shop.inside("bob", 17)
    shop.call(ann, "enter", {"chat": 18, "name": "ann"})
    what = "ann enters chat 18: bob in chat 17 gets the list without her"
    shop.hears("two-rooms", what, bob, "people", ["bob"], ann.last)
    shop.call(bob, "say", "has she gone?")
    shop.deaf("two-rooms", "… and ann does not hear chat 17 any more", ann, "said")


def _gone(shop):
    ann, bob = shop.inside("ann", 17), shop.inside("bob", 17)
    shop.quiet()
    ann.close()
    shop.here.remove(ann)
    bob.wait_for("people", PATIENCE / 2)
    what = "ann's connection breaks: bob gets the list without her"
    shop.hears("not-gone", what, bob, "people", ["bob"], bob.last)


def _outsiders(shop):
    ann, eve = shop.inside("ann", 17), shop.customer("eve")
    eve.call("say", "buy cheap mugs")
    eve.call("leave")
    ann.answers(_ASK)
    found = [one for one in ann.heard if one.event == "said"]
    error = shop.server.errors[-1].strip().splitlines()[-1] if shop.server.errors else ""
    shop.expect(
        "outsider",
        "eve, who is in no chat, speaks and leaves: nobody hears it, and nothing fails",
        not found and not error,
        f"ann heard {shown(found[0].data, 60)}" if found else f"a handler raised {error}",
        found[0].id if found else eve.last,
    )


def _namesakes(shop):
    one, other, bob = shop.inside("ann 1", 17, "ann"), shop.inside("ann 2", 17, "ann"), shop.inside("bob", 17)
    shop.call(other, "leave")
    what = "two are called ann, and one of them leaves: the other one is still there"
    shop.hears("name-lost", what, bob, "people", ["ann", "bob"], other.last)
    shop.call(one, "say", "hello")
    shop.hears("name-lost", "… and is heard", bob, "said", _said("ann", "hello"), one.last)
