"""The counter-worlds of chapter 00."""

from tests.counter_worlds import Change

COUNTER = {
    "C64": [
        # What does not crash takes nobody along.
        Change("s-own-crash", "os._exit(1)", '"no crash"', "holds if both share a process and one crashes"),
        # Not here: processes of their own that are none. Where other work takes both cores, the race of two processes
        # looks like that of two threads in the world as it is, too.
    ],
}

TURNS = {
    "s-tour-turn": ("Latency(0.050)", "ResetPeer()"),
    "s-own-turn": ("own = False", "own = True"),
}
