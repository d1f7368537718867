"""The counter-worlds of chapter 14."""

from tests.counter_worlds import Change

MESH_DOES_ALL = """"not charge twice": True,
    "leave out an instance that fails": True,
    "one trace for a purchase": True,
"""

COUNTER = {
    "C32": [
        # Payment answers 200: there is nothing to be repeated.
        Change("m-wrong-payment", 'paper", 503', 'paper", 200', "holds"),
        # The sidecar does not retry where there was no connection.
        Change(
            "m-beside-run",
            '"connect-failure"',
            '"refused-stream"',
            "holds if payment moves; if there are three instances.",
        ),
        # Two of the instances are known to it.
        Change(
            "m-beside-run",
            '{"servers": shelves}',
            '{"servers": shelves[:2]}',
            "holds if payment moves; if one of them goes.",
        ),
        # The brain is not told where payment is now.
        Change(
            "m-brain-moved",
            "[moved.address]",
            "[old.address]",
            "holds if there are three instances; if one of them goes.",
        ),
    ],
}

TURNS = {
    "m-who-turn": ('"connect-failure,retriable-status-codes"', '"connect-failure"'),
    "m-bite-turn": ('{"max_ejection_percent": 10}', '{"max_ejection_percent": 34}'),
    "m-shift-turn": ("watched, alarm = 76, 3 ", "watched, alarm = 132, 4 "),
    "m-brain-turn": ("return True  # change this", 'return action["cluster"] in KNOWN'),
    "m-only-turn": (MESH_DOES_ALL, MESH_DOES_ALL.replace("True", "False").replace('fails": False', 'fails": True')),
}
