"""The counter-worlds of chapter 04."""

from tests.counter_worlds import Change

# What only draws, or shares a name with what a claim compares.
WITHOUT = ("e-wrong-reveal", "e-weak-run", "e-weak-reveal", "e-join-figure", "e-pairs-reveal", "e-topic-reveal")

COUNTER = {
    "C21": [
        # A publisher that waits for nobody.
        Change("e-again-run", 'print("orders is told:", orders.recv())', 'print("orders asks nobody")', "fails"),
        # Letter boxes that hold all.
        Change(
            "e-mark-go",
            "asleep(mark) for mark",
            "asleep(mark * 30) for mark",
            "holds if the publisher has heard of it; if it is asleep for long",
        ),
    ],
    "C23": [
        # Nobody tries what does not belong together.
        Change(
            "e-pairs-run",
            '"REQ REP", "PUSH SUB", "PUB PULL", "REQ PULL"]',
            '"REQ REP", "PAIR PAIR"]',
            "holds if any two are paired",
        ),
        # A subscriber that has subscribed after all.
        Change("e-pairs-go", "subscribe=False", "subscribe=True", "holds if the pair is right"),
    ],
    "C40": [
        # Listeners that leave their work to a thread, and the list knows of no error.
        Change(
            "e-slow-run",
            "crowd = [lambda order: time.sleep(work) for",
            "pool = ThreadPoolExecutor(20)\n    crowd = [lambda order: pool.submit(time.sleep, work) for",
            "holds if all live in one process, and one raises",
        ),
        # A bus that calls its listeners itself.
        Change(
            "e-bus-run",
            "waits = [took(orders.publish) for _ in range(9)]",
            "waits = [took(time.sleep, work * listeners) for _ in range(9)]",
            "holds if all live in one process, and ten are slow; if all live in one process, and one raises; if "
            "there is a bus between them, and ten are slow",
        ),
        # A bus that waits for what its listeners made of it.
        Change(
            "e-bus-raise",
            "            work.exception(10)",
            "            work.result(10)",
            "holds if all live in one process, and ten are slow; if all live in one process, and one raises; if "
            "there is a bus between them, and one raises",
        ),
    ],
}

TURNS = {
    "e-weak-turn": ("said.append(order))", "said.append(order), weak=False)"),
    "e-share-turn": ("zmq.PUB, zmq.SUB", "zmq.PUSH, zmq.PULL"),
    "e-ask-turn": ("time.sleep(0.05)", "orders.recv()"),
    "e-lost-turn": ("return 0", "return numbers[-1] - numbers[0] + 1 - len(numbers)"),
    "e-unheard-turn": ("arguments = {}", 'arguments = {"alternate-exchange": broker.own("unheard")}'),
    "e-fat-turn": ('{"order": number}', '{"order": number, "address": BOOKS[number]}'),
}
