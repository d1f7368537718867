"""Exercise 1, repair: support chats in rooms. Who hears what, and who must not.

Customers speak to the learner's Socket.IO server. That somebody did *not* hear something is certain when her
connection, which keeps order, has brought what the server sent after it.
"""

import json
from contextlib import closing

from flask_socketio import SocketIO

from servicelab.checks.lab06.customer import PATIENCE, Customer
from servicelab.checks.learner_traceback import shown
from servicelab.checks.scenario import Stage, scenario, words
from servicelab.servers.socketio import SocketIOServer

WORDS = words("""
no-answer: every handler returns
    What one raises ends only this event, and nobody hears of it. Which line of it can fail, or never end?
no-people: who enters a chat gets the list of names, in the order in which they came, and so do all the others in it
    To whom does the list go, when, and from where does its order come? A room is a list of who is in it, and emitting
    to it adds nobody.
not-said: what is said in a chat is heard by all in it, also by the one who says it
    To whom does the event go? Is she in the room, and who is left out?
strangers: nobody hears anything of a chat that he is not in
    Who hears an emit to a room, one without an addressee, and a broadcast?
whisper: … also when somebody calls her chat like the id of a connection
    Each connection is alone in a room that has its id for a name. Which names can the rooms of yours have?
other-chat: … also when 0 and "0" are two chats, each heard by those in it
    When are two chats the same for your list, and when have they the same room? What is 0 in a condition?
status: who asks, in a chat or not, gets the status of the order that she asked for, and nobody else does
    What is in the answer, does it need a chat, and to whom does an emit in a handler go when you say nothing more?
left: who leaves hears nothing of the chat any more; those who stay get the list without her, and hear each other
    There are two lists of who is in a chat. Which of them decides who hears? Who has to know that she left, and what is
    undone for whom?
two-rooms: who enters another chat has left the first one, as if she had said so
    In how many chats is she afterwards, and who has to know?
not-gone: her connection breaks: those who stay get the list without her
    Nobody says 'leave' whose battery is empty. What does Socket.IO tell you, and what does it do by itself?
outsider: who is in no chat may speak, leave and go: nobody hears it, and no handler fails
    What does each handler find when she is nowhere in your list?
name-lost: two are called ann: the list has both, and when one leaves, the other is where she was, and is heard
    By what do you know a connection?
""")
EVENTS = {"people", "said", "status"}  # and who does something may be told otherwise that she is in no chat
#: A code, and what happens. A chat is written as in JSON; "go" is a connection that breaks; ann2 is called ann, too.
STORIES = {
    "one chat": ("not-said", "bob enter 17", "ann enter 17", "ann say my mug is broken"),
    "two chats": ("strangers", "ann enter 17", "eve enter 18", "ann say my card number is 4711"),
    "questions": ("status", "ann enter 17", "bob enter 17", "eve enter 18", "ann ask 4711", "dan ask 12"),
    "leaving": ("left", "bob enter 17", "ann enter 17", "dan enter 17", "ann leave", "bob say rude!", "ann ask 4711"),
    "a number and a text": ("other-chat", "bob enter 0", "ann enter 0", 'eve enter "0"', "ann say Zero!", "ann leave"),
    "moving": ("two-rooms", "bob enter 17", "ann enter 17", "eve enter 18", "ann enter 18", "bob say ?", "ann say !"),
    "a broken connection": ("not-gone", "bob enter 17", "ann enter 17", "ann go"),
    "outsiders": ("outsider", "ann enter 17", "dan leave", "dan go", "eve say Buy mugs!", "eve leave",
                  "eve enter 17", "eve leave", "eve say And cups!", "eve leave"),
    "namesakes": ("name-lost", "ann enter 17", "bob enter 17", "ann2 enter 17", "ann2 leave", "ann say hello"),
}  # fmt: skip


class Shop(Stage):
    """The learner's server, its ``customers`` by name, and who should be ``inside`` which chat, in order."""

    def __init__(self, ask, make_support):
        super().__init__(ask, make_support)
        socketio = self.call(make_support, returns=SocketIO, limit=4.0)
        self.server = self.use(SocketIOServer(socketio, "support of the check", trace=ask.trace, lane="support"))
        self.customers, self.inside = {}, {}

    def customer(self, name) -> Customer:
        if name not in self.customers:
            self.customers[name] = self.use(closing(Customer(self.server, self.ask.trace, name)))
        return self.customers[name]

    def due(self, who, event, data):
        """Who has to hear what: ``{name: (event, data)}``."""
        before = self.inside.get(who)
        if event in ("enter", "leave", "go"):
            self.inside.pop(who, None)
        if event == "enter":
            self.inside[who] = (data["chat"],)
        due = {}
        for chat in {before, self.inside.get(who)} - {None}:
            inside = [name for name in self.inside if self.inside[name] == chat]
            names, said = [name.rstrip("2") for name in inside], {"name": who.rstrip("2"), "text": data}
            due |= dict.fromkeys(inside, ("said", said) if event == "say" else ("people", names))
        return {who: ("status", {"order": data, "state": "packed"})} if event == "ask" else due

    def play(self, code, *steps):
        for step in steps:
            yield from self.step(code, *step.split(" ", 2))

    def step(self, code, who, event, data=None):
        me, answered, fails = self.customer(who), True, code if code == "outsider" else "no-answer"
        code = "no-people" if code == "not-said" and event == "enter" else code
        if event == "enter":
            data = {"chat": json.loads(data), "name": who.rstrip("2")}
        data = int(data) if event == "ask" else data
        due = self.due(who, event, data)
        for one in self.customers.values():
            one.heard.clear()
        if event == "go":
            self.customers.pop(who).close()
            for name in due:
                self.customers[name].wait_for("people")
        else:
            answered = me.call(event, *[] if data is None else [data])
        for one in self.customers.values():
            one.catch_up()
        self.last, why = me.last, "".join(self.server.errors).strip() or f"no answer in {PATIENCE} s, or no connection"
        happened = f"{who}: {event}; a handler did not end: {why.splitlines()[-1]}"
        yield fails, answered and not self.server.errors, happened
        for name, one in self.customers.items():
            wanted, data = due.get(name, ("", None))
            known = {wanted} if wanted else EVENTS if name == who else {heard.event for heard in one.heard}
            found = [heard for heard in one.heard if heard.event in known]
            told = ", ".join(f"{heard.event} {shown(heard.data, 60)}" for heard in found) or f"no {wanted}"
            self.last = found[0].id if found and not wanted else self.last
            yield code, [heard.data for heard in found] == [data] * bool(wanted), f"{who}: {event}; {name} heard {told}"


check_support = scenario("06", 1, "A chat for each order", WORDS, make_support=Shop)
check_support.parts(STORIES, Shop.play)


@check_support.part
def a_chat_named_like_a_connection(shop):
    ann, eve = shop.customer("ann"), shop.customer("eve")
    yield from shop.step("no-people", "ann", "enter", "17")
    ann.heard.clear()
    eve.call("enter", {"chat": ann.sid, "name": "the shop"})  # the library may refuse to let her into that room
    eve.call("say", "your card number, please?")
    ann.catch_up()
    shop.last = ann.heard[0].id if ann.heard else eve.last
    yield "whisper", not ann.heard, f"ann heard {shown([heard.data for heard in ann.heard], 100)}"
