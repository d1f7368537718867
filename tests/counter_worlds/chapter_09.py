"""The counter-worlds of chapter 09."""

from tests.counter_worlds import Change

COUNTER = {
    "C19": [
        # The one provider is in the same rack, too: nothing is independent.
        Change("l-over-dice", '"stock-a", "stock-b")', '"stock-b")}\nup |= {"stock-a": up["orders"]', "fails"),
        # The copy is a copy of everything that fails: it changes nothing.
        Change(
            "l-over-dice",
            'up["stock-c"] = up["orders"]',
            'up["stock-c"] = up["stock-b"] = up["stock-a"]',
            "holds",
        ),
    ],
    "C26": [
        # A proxy that begins anew for each call.
        Change(
            "l-where-build",
            "    status, answer, number = inside.call()",
            "    inside.balancer._next = 0\n    status, answer, number = inside.call()",
            "holds if each client makes many calls",
        ),
        # Clients that begin at different places.
        Change(
            "l-where-clients",
            "lambda number: RoundRobin()):",
            "lambda number: __import__('types').SimpleNamespace(pick=lambda o, t=count(number): next(t) % len(o))):",
            "holds",
        ),
    ],
    "C52": [
        # Instances that never go out: a long queue is not a failed check.
        Change(
            "l-cascade-sim",
            "if wait > 0.5:",
            "if False:",
            "holds if somebody notices; if the rest have room; if the rest are nearly full",
        ),
        # Nobody notices any more.
        Change(
            "l-cascade-real",
            "failures=1, max_share=0.5), 1)",
            "failures=10**6, max_share=0.5), 1)",
            "holds if the rest have room",
        ),
    ],
    "C53": [
        # The router sees more than the sender's address: it takes connections in turn.
        Change(
            "l-layer-run",
            ", choose=by_address)",
            ")",
            "holds if calls are dealt out (application); if callers have addresses of their own (network); if "
            "each call opens a connection (transport); if",
        ),
        # The client's policy is the default.
        Change(
            "l-layer-turn", '"round_robin"', '"pick_first"', "holds if callers have addresses of their own (network)"
        ),
        # A router that hashes less than an address: the network that all share.
        Change(
            "l-layer-http",
            "return place(peer[0]) % 3",
            'return place(peer[0].rpartition(".")[0]) % 3',
            "holds if calls are dealt out (application); if each call opens a connection (transport)",
        ),
    ],
}

TURNS = {
    "l-hole-turn": ("max_share = 1.0", "max_share = 0.5"),
    "l-old-turn": ("looks = 100", "looks = 2"),
    "l-ring-turn": ("points = 1 ", "points = 200 "),
    "l-layer-turn": ("target, options = stocks[0].target, []", "target, options = LISTED, IN_TURN"),
    "l-cascade-turn": ("n, shed = 4, False", "n, shed = 5, False"),
    "l-where-turn": ('WAYS["lots"]', 'WAYS["subset"]'),
}
