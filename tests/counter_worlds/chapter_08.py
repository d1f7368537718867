"""The counter-worlds of chapter 08."""

from tests.counter_worlds import Change

# Cells that only share a name with what a claim or a turn needs, and take seconds.
WITHOUT = ("d-registry-register", "d-registry-expired", "d-leave-run", "d-block-run", "d-dns-ask")

COUNTER = {
    "C27": [
        # A lease that ends long after it should.
        Change("d-keeper", "ttl=1.0", "ttl=40.0", "fails"),
        # A client that never asks again.
        Change(
            "d-ways",
            'Poll(InstanceCache(), "orders", PERIOD, rng)',
            'Poll(InstanceCache(), "orders", 99.0, rng)',
            "fails",
        ),
    ],
    "C51": [
        # A book that forgets nobody.
        Change(
            "d-lease-bare", "if now < end", "if end", "holds if one has died and a tool that speaks Consul is asked"
        ),
        # The leases of the registry that speaks Consul outlast the measurement.
        Change("d-keeper", "ttl=1.0", "ttl=40.0", "holds if one has died and a book with leases is asked; if all"),
    ],
}

TURNS = {
    "d-leave-turn": (
        "    stop(instance)\n    time.sleep(0.4)\n    sign_off(instance)",
        "    sign_off(instance)\n    time.sleep(0.4)\n    stop(instance)",
    ),
    "d-budget-turn": ("1.0, 0.3, 0.5", "0.4, 0.13, 0.45"),
    "d-health-turn": ("return 200", "return 200 if is_warm else 503"),
    "d-cut-turn": ("tries = 1 ", "tries = 2 "),
    "d-herd-turn": ("    yield 0.0", "    yield rng.uniform(0, 0.4)"),
}
