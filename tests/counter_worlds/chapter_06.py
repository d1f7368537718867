"""The counter-worlds of chapter 06."""

from tests.counter_worlds import Change

# What only draws, and binds no name that a claim compares.
WITHOUT = ("w-poll-reveal", "w-poll-figure")

COUNTER = {
    "C03": [
        # Somebody who asks all the time is as early as a stream.
        Change(
            "w-far-run",
            "0.02, 0.03, 0.25",
            "0.02, 0.03, 0.005",
            (  # where the machine is busy, threads that wake up hide what a long poll waits for
                "holds if its threads are compared with polling; if its delay is compared with long",
                "holds if its threads are compared with polling; if its rate",
            ),
        ),
    ],
    "C07": [
        Change("w-emit-handlers", "        sio.emit(", "        flask_socketio.emit(", "holds"),
        Change("w-emit-handlers", 'van")\n\n\ndef context', 'van", to="nobody")\n\n\ndef context', "fails"),
    ],
    "C41": [
        Change("w-room-handlers", "        join_room(room)", "        pass", "holds if the room is its own id"),
        Change("w-room-handlers", ', room=data["room"])', ")", "holds if nobody has joined"),
    ],
}

TURNS = {
    "w-wait-turn": ("    answers += 1", "    answers += 1\n    last = news[-1][0] if news else last"),
    "w-room-turn": ('if room == "":', "if room not in set(flask_socketio.rooms()) - {flask.request.sid}:"),
    "w-mend-turn": ("BoundedBuffer(None)", 'BoundedBuffer(20, "drop oldest")'),
    "w-beat-turn": ("interval, timeout = 0.1, 1.5", "interval, timeout = 0.5, 0.8"),
    "w-storm-turn": ("FullJitter(0.25, 8,", "FullJitter(1, 30,"),
    "w-again-turn": ("opens(None)", "opens(last)"),
}
