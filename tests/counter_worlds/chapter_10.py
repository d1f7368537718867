"""The counter-worlds of chapter 10."""

from tests.counter_worlds import Change

# Whole days that only leave the bank as slow as it is set again before each turn.
WITHOUT = ("b-wrong-run", "b-remedy-run", "b-again-run")

COUNTER = {
    "C54": [
        # A breaker that takes no failure for one never opens.
        Change(
            "b-same-world",
            "minimum_calls=10",
            'minimum_calls=10, ignored={"error", "timeout"}',
            "holds if payment has been well for a second",
        ),
        # A half-open breaker that lets a crowd through.
        Change("b-same-world", "permitted_half_open=3", "permitted_half_open=10", "holds if payment fails"),
        # A breaker that stays open for longer than the story lasts.
        Change("b-same-world", "wait_open=0.4", "wait_open=40", "holds if payment fails"),
    ],
}

TURNS = {
    "b-remedy-turn": ("places = 6", "places = 3"),
    "b-tower-turn": ("[three, three, three, three, three]", "[once, once, once, once, three]"),
    "b-cure-turn": ('cure = "stop retrying"', 'cure = "drop expired"'),
    "b-breaker-turn": (
        "            return is_over",
        "            if is_over: self.opened = now\n            return is_over",
    ),
    "b-shard-turn": ("[sensitive()] * 4", "[sensitive() for _ in range(4)]"),
}
