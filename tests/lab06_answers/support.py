"""Exercise 1: rooms that work, and who hears too much, too little, or for too long."""

import threading

from flask import Flask, request
from flask_socketio import SocketIO, close_room, emit, join_room, leave_room, rooms


class Support:
    """A right answer in small parts; each mistake replaces one."""

    def __init__(self):
        self.socketio = SocketIO(Flask("support"), async_mode="threading")
        self.people = {}  # connection -> (chat, name)
        for event in ("enter", "say", "ask", "leave"):
            self.socketio.on(event)(getattr(self, event))
        self.socketio.on("disconnect")(self.disconnect)

    @classmethod
    def make(cls):
        return cls().socketio

    def tell(self, chat):
        names = [name for where, name in self.people.values() if where == chat]
        emit("people", names, to=self.room(chat))

    def room(self, chat):
        return f"chat {chat!r}"

    def enter(self, data):
        self.leave()
        self.people[self.key(data)] = data["chat"], data["name"]
        join_room(self.room(data["chat"]))
        self.tell(data["chat"])

    def key(self, data=None):
        return request.sid

    def say(self, text):
        if self.key() in self.people:
            chat, name = self.people[self.key()]
            self.speak(chat, {"name": name, "text": text})

    def speak(self, chat, said):
        emit("said", said, to=self.room(chat))

    def ask(self, order):
        emit("status", {"order": order, "state": "packed"})

    def leave(self):
        if request.sid in self.people:
            chat, _ = self.people.pop(request.sid)
            self.go(chat)
            self.tell(chat)

    def go(self, chat):
        leave_room(self.room(chat))

    def disconnect(self, reason):
        self.leave()


def with_sessions():
    """Written with functions, a lock, a table of chats, and socketio.emit with explicit addressees."""
    app = Flask("support")
    socketio = SocketIO(app, async_mode="threading")
    chats, lock = {}, threading.Lock()

    def out(sid):
        with lock:
            for chat, inside in chats.items():  # noqa: B007
                if inside.pop(sid, None) is not None:
                    names = list(inside.values())
                    break
            else:
                return
        leave_room(f"chat {chat!r}", sid=sid)
        socketio.emit("people", names, room=f"chat {chat!r}")

    @socketio.on("enter")
    def on_enter(data):
        out(request.sid)
        with lock:
            inside = chats.setdefault(data["chat"], {})
            inside[request.sid] = data["name"]
            names = list(inside.values())
        join_room(f"chat {data['chat']!r}")
        socketio.emit("people", names, room=f"chat {data['chat']!r}")
        return "welcome"

    @socketio.on("say")
    def on_say(text):
        for chat, inside in list(chats.items()):
            if request.sid in inside:
                socketio.emit("said", {"text": text, "name": inside[request.sid]}, room=f"chat {chat!r}")

    @socketio.on("ask")
    def on_ask(order):
        socketio.emit("status", {"order": order, "state": "packed"}, to=request.sid)

    @socketio.on("leave")
    def on_leave():
        out(request.sid)

    @socketio.on("disconnect")
    def on_disconnect():
        out(request.sid)

    return socketio


def to_each():
    """Without any room: each connection is told by itself."""
    socketio = SocketIO(Flask("support"), async_mode="threading")
    people = {}

    def tell(event, chat, data):
        for sid, (where, _) in list(people.items()):
            if where == chat:
                emit(event, data, to=sid)

    def out(*why):
        chat, _ = people.pop(request.sid, (None, None))
        tell("people", chat, [name for where, name in people.values() if where == chat])

    @socketio.on("enter")
    def enter(data):
        out()
        people[request.sid] = data["chat"], data["name"]
        tell("people", data["chat"], [name for where, name in people.values() if where == data["chat"]])

    @socketio.on("say")
    def say(text):
        if request.sid in people:
            chat, name = people[request.sid]
            tell("said", chat, {"name": name, "text": text})

    socketio.on("ask")(lambda order: emit("status", {"order": order, "state": "packed"}))
    socketio.on("leave")(out)
    socketio.on("disconnect")(out)
    return socketio


class NumberedRooms(Support):
    """Each chat gets a room number of the shop's own."""

    def __init__(self):
        super().__init__()
        self.numbers = {}

    def room(self, chat):
        return f"room {self.numbers.setdefault((type(chat), chat), len(self.numbers))}"


class JoinsBeforeItNotes(Support):
    """The library refuses to let her into the room of a connection, and so she is in no chat."""

    def room(self, chat):
        return chat if isinstance(chat, str) else repr((chat,))

    def enter(self, data):
        self.leave()
        join_room(self.room(data["chat"]))
        self.people[request.sid] = data["chat"], data["name"]
        self.tell(data["chat"])


class NeverJoins(Support):
    def enter(self, data):
        self.people[request.sid] = data["chat"], data["name"]
        self.tell(data["chat"])


class Broadcasts(Support):
    def ask(self, order):
        emit("status", {"order": order, "state": "packed"}, broadcast=True)


class RepliesToTheRoom(Support):
    def ask(self, order):
        emit("status", {"order": order, "state": "packed"}, to=self.room(self.people[request.sid][0]))


class SaysToAll(Support):
    def speak(self, chat, said):
        emit("said", said, broadcast=True)


class SaysToHerselfOnly(Support):
    def speak(self, chat, said):
        emit("said", said)


class NotHerself(Support):
    def speak(self, chat, said):
        emit("said", said, to=self.room(chat), include_self=False)


class ForgetsTheRoom(Support):
    """Her name is deleted, and she hears everything."""

    def go(self, chat):
        pass


class ClosesTheRoom(Support):
    """One leaves, and all are put out."""

    def go(self, chat):
        close_room(self.room(chat))


class LeavesInSilence(Support):
    def leave(self):
        if request.sid in self.people:
            chat, _ = self.people.pop(request.sid)
            leave_room(self.room(chat))


class TwoAtOnce(Support):
    def enter(self, data):
        self.people[request.sid] = data["chat"], data["name"]
        join_room(self.room(data["chat"]))
        self.tell(data["chat"])


class NoDisconnect(Support):
    def disconnect(self, reason):
        pass


class FailsForStrangers(Support):
    def say(self, text):
        chat, name = self.people[request.sid]
        self.speak(chat, {"name": name, "text": text})


class ByName(Support):
    """Keeps people by their names."""

    def __init__(self):
        super().__init__()
        self.names = {}

    def key(self, data=None):
        if data is not None:
            self.names[request.sid] = data["name"]
        return self.names.get(request.sid)

    def leave(self):
        if self.key() in self.people:
            chat, _ = self.people.pop(self.key())
            leave_room(self.room(chat))
            self.tell(chat)


class NamesOnce(Support):
    def tell(self, chat):
        names = dict.fromkeys(name for where, name in self.people.values() if where == chat)
        emit("people", list(names), to=self.room(chat))


class HearsHerself(Support):
    """Who is in no chat speaks to herself."""

    def say(self, text):
        if request.sid not in self.people:
            emit("said", {"name": "", "text": text})
        super().say(text)


class NoChat0(Support):
    """0 is false."""

    def speak(self, chat, said):
        if chat:
            super().speak(chat, said)


class LeavesEveryRoom(Support):
    """Her own room, too: nothing reaches her any more."""

    def go(self, chat):
        for room in list(rooms()):
            leave_room(room)


class NothingReturned(Support):
    @classmethod
    def make(cls):
        super().make()


class RoomsWithAPrefix(Support):
    """A number and a text may look alike."""

    def room(self, chat):
        return f"chat {chat}"


class TextsAsTheyAre(Support):
    """The ids of connections are texts, too."""

    def room(self, chat):
        return chat if isinstance(chat, str) else repr((chat,))


class OneList(Support):
    """The list goes to the room, and has everybody in it."""

    def tell(self, chat):
        emit("people", [name for _, name in self.people.values()], to=self.room(chat))


class ListsByText(Support):
    """The rooms differ, the lists do not."""

    def tell(self, chat):
        names = [name for where, name in self.people.values() if str(where) == str(chat)]
        emit("people", names, to=self.room(chat))


class TellsBeforeSheIsIn(Support):
    def enter(self, data):
        self.leave()
        self.people[request.sid] = data["chat"], data["name"]
        self.tell(data["chat"])
        join_room(self.room(data["chat"]))


class Alphabetical(Support):
    def tell(self, chat):
        emit("people", sorted(name for where, name in self.people.values() if where == chat), to=self.room(chat))


class AlwaysOrder17(Support):
    def ask(self, order):
        super().ask(17)


class OnlyCustomersInAChat(Support):
    def ask(self, order):
        if request.sid in self.people:
            super().ask(order)


class SaysGoodbye(Support):
    """The list first, and then she is put out."""

    def leave(self):
        if request.sid in self.people:
            chat, _ = self.people.pop(request.sid)
            self.tell(chat)
            self.go(chat)


class MovesInSilence(Support):
    def enter(self, data):
        if request.sid in self.people:
            self.go(self.people.pop(request.sid)[0])
        super().enter(data)


class FailsWhenAStrangerGoes(Support):
    def disconnect(self, reason):
        chat, _ = self.people.pop(request.sid)
        self.tell(chat)


class RemembersTheLastChat(Support):
    """She has left, and is still heard there."""

    def __init__(self):
        super().__init__()
        self.was = {}

    def enter(self, data):
        super().enter(data)
        self.was[request.sid] = data["chat"], data["name"]

    def say(self, text):
        if request.sid in self.was:
            chat, name = self.was[request.sid]
            emit("said", {"name": name, "text": text}, to=self.room(chat))


class EnterFails(Support):
    def enter(self, data):
        join_room(self.room(data["order"]))


class ToldByNobody(Support):
    """Joins, and says nothing of it."""

    def enter(self, data):
        self.leave()
        self.people[request.sid] = data["chat"], data["name"]
        join_room(self.room(data["chat"]))
        emit("people", [data["name"]])


RIGHT = {"in small parts": Support.make, "a table of chats": with_sessions, "to each by itself": to_each}
RIGHT["joins before it notes"] = JoinsBeforeItNotes.make
RIGHT["numbered rooms"] = NumberedRooms.make
WRONG = {
    "the room is never joined": (NeverJoins, {"not-joined"}),
    "a handler fails": (EnterFails, {"no-answer"}),
    "one list for all": (OneList, {"strangers"}),
    "lists by text": (ListsByText, {"other-chat"}),
    "told before she is in": (TellsBeforeSheIsIn, {"no-people"}),
    "told by nobody": (ToldByNobody, {"no-people"}),
    "in alphabetical order": (Alphabetical, {"no-people"}),
    "broadcast in place of a reply": (Broadcasts, {"everybody"}),
    "the reply goes to the room": (RepliesToTheRoom, {"everybody"}),
    "always order 17": (AlwaysOrder17, {"no-status"}),
    "answers in chats only": (OnlyCustomersInAChat, {"no-status"}),
    "said to the whole shop": (SaysToAll, {"strangers"}),
    "said to herself only": (SaysToHerselfOnly, {"not-said"}),
    "not to herself": (NotHerself, {"not-herself"}),
    "the name is deleted, the room is not left": (ForgetsTheRoom, {"still-in-room"}),
    "the list to her who leaves": (SaysGoodbye, {"still-in-room"}),
    "one leaves, all are out": (ClosesTheRoom, {"not-told-left"}),
    "leaves in silence": (LeavesInSilence, {"not-told-left"}),
    "in two chats at once": (TwoAtOnce, {"two-rooms"}),
    "moves in silence": (MovesInSilence, {"two-rooms"}),
    "open after a disconnect": (NoDisconnect, {"not-gone"}),
    "fails for who is in no chat": (FailsForStrangers, {"outsider"}),
    "fails when a stranger goes": (FailsWhenAStrangerGoes, {"outsider"}),
    "heard after she left": (RemembersTheLastChat, {"outsider"}),
    "texts as they are": (TextsAsTheyAre, {"whisper"}),
    "rooms with a prefix": (RoomsWithAPrefix, {"other-chat"}),
    "people by their names": (ByName, {"name-lost"}),
    "each name once": (NamesOnce, {"name-lost"}),
    "hears herself": (HearsHerself, {"outsider"}),
    "no chat 0": (NoChat0, {"other-chat"}),
    "leaves every room": (LeavesEveryRoom, {"no-status"}),
    "returns nothing": (NothingReturned, {"wrong-type"}),
}
WRONG = {name: (answer.make, codes) for name, (answer, codes) in WRONG.items()}
