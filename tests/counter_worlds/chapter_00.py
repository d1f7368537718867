"""The counter-worlds of chapter 00."""

from tests.counter_worlds import Change

COUNTER = {
    "C64": [
        # What does not crash takes nobody along; processes that are none.
        Change("s-own-crash", "os._exit(1)", '"no crash"', "holds if each has a process of its own and if each has its own and one crashes and if both share a process and one"),
        Change("s-own-run", '"processes of their own": True', '"processes of their own": False', "holds if each has its own"),
    ],
}  # fmt: skip

TURNS = {
    "s-tour-turn": ("Latency(0.050)", "ResetPeer()"),
    "s-own-turn": ("own = False", "own = True"),
}
