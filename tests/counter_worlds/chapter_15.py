"""The counter-worlds of chapter 15."""

from tests.counter_worlds import Change

NEAR = (
    "holds if two calls in turn travel 1 ms;",
    # Where the machine is slow, an order takes long at home, and one trip is not much beside it.
    "holds if two calls in turn travel 1 ms; if two calls at once travel 150 ms;",
)

COUNTER = {
    "C63": [
        # The other continent is next door, and next door is so far that no load of the machine counts beside it.
        Change(
            "c-wrong-far",
            "rtt / 2",
            "0.02 + rtt / 200",
            "holds if two calls in turn travel 1 ms; if two calls in turn travel 150 ms",
        ),
        # orders does itself what it left to the consumers.
        Change(
            "c-far-ways",
            'publish(b"an order")',
            "in_turn()",
            tuple(f"{one} if either cloud is enough and they share nothing." for one in NEAR),
        ),
        # The two clouds fail together.
        Change(
            "c-region-needs-both",
            "(0,): ONE_CLOUD, (1,): ONE_CLOUD",
            "(0, 1): 2 * ONE_CLOUD",
            tuple(f"{one} if nobody waits for the far calls." for one in NEAR),
        ),
    ],
    "C09": [
        # What is called a call is a queue: nobody knows the outcome.
        Change("c-case-run", "STYLES[name]", 'STYLES[name.replace("call", "queue")]', "holds if many want to hear it"),
        # What is called a broadcast keeps everything.
        Change(
            "c-case-run",
            "STYLES[name]",
            'STYLES[name.replace("broadcast", "log")]',
            "holds if a page needs the outcome; if many want to hear it live; if a listener was away",
        ),
    ],
    # Both brokers are logs: one may choose blindly.
    "C46": Change("c-case-run", "STYLES[name]", 'STYLES[name.replace("queue", "log")]', "holds"),
    # There is no log: nobody reads the past.
    "C65": Change(
        "c-case-run",
        "STYLES[name]",
        'STYLES[name.replace("log", "queue")]',
        "holds if the business is e-commerce.",
    ),
}

TURNS = {
    "c-far-turn": (
        '[["customer"], ["stock"], ["price"], ["charge"]]',
        '[["customer", "stock"], ["price"], ["charge"]]',
    ),
    "c-hold-turn": ("workers = 16", "workers = 38"),
    "c-region-turn": ("send(order) ", "send(order).result() "),
    "c-case-turn": ("unmet = {", "choice = {need: meeting(**wanted)[0] for need, wanted in NEEDS.items()}\nunmet = {"),
    "c-game-turn": ('"traces", "alert", "certificates"', '"alert", "canary", "certificates", "keys", "region"'),
}
