"""The counter-worlds of chapter 00."""

from tests.counter_worlds import Change

COUNTER = {
    "C64": [
        # What does not crash takes nobody along.
        Change("s-own-crash", "os._exit(1)", '"no crash"', "holds if both share a process and one crashes"),
        # Processes of their own that are none.
        Change("s-own-kinds", 'their own": True', 'their own": False', "holds if each has its own and one crashes"),
    ],
}

TURNS = {
    "s-tour-turn": ("Latency(0.050)", "ResetPeer()"),
    "s-own-turn": ("own = False", "own = True"),
}
