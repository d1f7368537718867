"""Exercise 1: rooms that work, and who hears too much, too little, or for too long."""

import threading

from flask import Flask, request
from flask_socketio import SocketIO, close_room, emit, join_room, leave_room, rooms  # noqa: F401  for the changes

from tests.lab11_answers import but


def in_small_parts():
    socketio = SocketIO(Flask("support"), async_mode="threading")
    people = {}  # connection -> (chat, name)

    def room(chat):
        return f"chat {chat!r}"

    def me():
        return request.sid

    def tell(chat):
        names = [name for where, name in people.values() if where == chat]
        emit("people", names, to=room(chat))

    @socketio.on("enter")
    def enter(data):
        go_out()
        people[me()] = data["chat"], data["name"]
        join_room(room(data["chat"]))
        tell(data["chat"])

    @socketio.on("say")
    def say(text):
        if me() in people:
            chat, name = people[me()]
            emit("said", {"name": name, "text": text}, to=room(chat))

    @socketio.on("ask")
    def ask(order):
        emit("status", {"order": order, "state": "packed"})

    def go_out():
        if me() in people:
            chat, _ = people.pop(me())
            leave_room(room(chat))
            tell(chat)

    @socketio.on("leave")
    def leave():
        go_out()

    @socketio.on("disconnect")
    def disconnect(reason):
        go_out()

    return socketio


def with_sessions():
    """A lock, a table of chats, and socketio.emit with explicit addressees."""
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


ROOM, TEXT = 'f"chat {chat!r}"', "chat if isinstance(chat, str) else repr((chat,))"
NOTE, JOIN = 'people[me()] = data["chat"], data["name"]', 'join_room(room(data["chat"]))'
FIRST, GO = "go_out()\n        people", "leave_room(room(chat))"
SAY, TELL_IT = "            chat, name = people[me()]", 'tell(data["chat"])'
SPEAKS, TO = f"if me() in people:\n{SAY}", 'to=room(chat))\n\n    @socketio.on("ask'
STATUS = 'emit("status", {"order": order, "state": "packed"}'
NAMES = "[name for where, name in people.values() if where == chat]"
LOST = "people = {} => people, was = {}, {}"
RIGHT = {
    "in small parts": in_small_parts,
    "a table of chats": with_sessions,
    "to each by itself": to_each,
    "numbered rooms": but(in_small_parts, "people = {} => people, numbers = {}, {}",
                          f"{ROOM} => f'room {{numbers.setdefault((type(chat), chat), len(numbers))}}'"),
    "joins before it notes": but(in_small_parts, f"{ROOM} => {TEXT}", f"{JOIN} => pass", f"{NOTE} => {JOIN}; {NOTE}"),
}  # fmt: skip
WRONG = {
    "the room is never joined": ([f"{JOIN} => pass"], "no-people"),
    "told before she is in": ([f"{TELL_IT} => pass", f"{JOIN} => {TELL_IT}; {JOIN}"], "no-people"),
    "told by nobody": ([f"{TELL_IT} => emit('people', [data['name']])"], "no-people"),
    "in alphabetical order": ([f"{NAMES} => sorted{NAMES.replace('[', '(').replace(']', ')')}"], "no-people"),
    "a handler fails": ([f"{JOIN} => join_room(room(data['order']))"], "no-answer"),
    "one list for all": ([f"{NAMES} => [name for _, name in people.values()]"], "strangers"),
    "lists by text": (["if where == chat => if str(where) == str(chat)"], "other-chat"),
    "rooms with a prefix": (["{chat!r} => {chat}"], "other-chat"),
    "no chat 0": ([f"{SPEAKS} => if me() in people and people[me()][0]:\n{SAY}"], "other-chat"),
    "texts as they are": ([f"{ROOM} => {TEXT}"], "whisper"),
    "broadcast in place of a reply": ([f"{STATUS} => {STATUS}, broadcast=True"], "status"),
    "the reply goes to the room": ([f"{STATUS} => {STATUS}, to=room(people[me()][0])"], "status"),
    "always order 17": (['"order": order => "order": 17'], "status"),
    "answers in chats only": ([f"{STATUS} => if me() in people: {STATUS}"], "status"),
    "said to the whole shop": ([f"{TO} => {TO.replace('to=room(chat)', 'broadcast=True')}"], "strangers"),
    "said to herself only": ([f"{TO} => {TO.replace('to=room(chat)', '')}"], "not-said"),
    "not to herself": ([f"{TO} => {TO.replace('room(chat)', 'room(chat), include_self=False')}"], "not-said"),
    "the name is deleted, the room is not left": ([f"{GO} => pass"], "left"),
    "the list to her who leaves": ([f"{GO}\n            tell(chat) => tell(chat)\n            {GO}"], "left"),
    "one leaves, all are out": ([f"{GO} => close_room(room(chat))"], "left"),
    "leaves in silence": ([f"{GO}\n            tell(chat) => {GO}"], "left"),
    "leaves every room": ([f"{GO} => [leave_room(one) for one in list(rooms())]"], "left"),
    "in two chats at once": ([f"{FIRST} => people"], "two-rooms"),
    "moves in silence": ([f"{FIRST} => for chat, _ in [people.pop(me(), (0, 0))]: {GO}\n        people"], "two-rooms"),
    "open after a disconnect": (["reason):\n => reason):\n        return\n"], "not-gone"),
    "fails for who is in no chat": ([f"{SPEAKS} => if True:\n{SAY}"], "outsider"),
    "fails when a stranger goes": (["reason):\n => reason):\n        people[me()]\n"], "outsider"),
    "heard after she left": ([LOST, f"{NOTE} => was[me()] = {NOTE}", f"{SPEAKS} => if me() in was:\n"
                              f"{SAY.replace('people[', 'was[')}"], "outsider"),
    "hears herself": ([f"{SPEAKS} => if me() not in people:\n            emit('said', {{}})\n"
                       f"        else:\n{SAY}"], "outsider"),
    "people by their names": ([LOST, "return request.sid => return was.get(request.sid, 0)",
                               f"{NOTE} => was[request.sid] = data['name']; {NOTE}"], "name-lost"),
    "each name once": ([f"{NAMES} => list(dict.fromkeys({NAMES[1:-1]}))"], "name-lost"),
    "returns nothing": (["    return socketio => "], "wrong-type"),
}  # fmt: skip
WRONG = {name: (but(in_small_parts, *changes), {code}) for name, (changes, code) in WRONG.items()}
