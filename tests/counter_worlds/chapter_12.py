"""The counter-worlds of chapter 12."""

from tests.counter_worlds import Change

WITH_CONTEXT = "pool.submit(copy_context().run, "

COUNTER = {
    "C29": [
        # The worker of the pool is given the context.
        Change(
            "v-trace-tears",
            "pool.submit(",
            WITH_CONTEXT,
            "holds if every hop hands the context on; if a pool works without the context",
        ),
        # Nobody hands the ids to the queue.
        Change("v-trace-orders", "prepare(channel, ", "(lambda *_: None)(channel, ", "fails"),
    ],
    "C33": [
        # Shards that are never slow.
        Change("v-wrong-leaves", "return SLOW if", "return QUICK if", "fails"),
        # The copy is slow whenever the original is: there is nothing to gain by asking it.
        Change("v-fan-hedge", '"copy " + question', "question", "holds"),
    ],
    "C62": [
        # The pool keeps the context, so that the tree reaches down to the fault.
        Change(
            "v-hunt-shop",
            "pool.submit(",
            WITH_CONTEXT,
            "holds if logs have the trace's id; if metrics have a series for each instance; if traces are whole"
            "; if a pool lost",
        ),
        # Each line of the log has an id of its own: the slowest one finds no other.
        Change(
            "v-hunt-logs",
            "{trace_id:032x}",
            "{record.created:f}",
            "holds if metrics have a series for each instance; if",
        ),
        # All of inventory is one series.
        Change(
            "v-hunt-traffic",
            "label=lambda name, article: name)",
            'label=lambda name, article: name.partition("-")[0])',
            "holds if logs have the trace's id; if traces are whole",
        ),
    ],
}

TURNS = {
    "v-fan-turn": ("delay = 0.05 ", "delay = 0.01 "),
    "v-trace-turn": ("pool.submit(", WITH_CONTEXT),
    "v-hunt-turn": ('name.partition("-")[0]', "name"),
    "v-lie-turn": ("[0.0, 5.0, 10.0, 25.0, 50.0, 75.0, 100.0, 250.0]", "[0.1, 0.2, 0.25, 0.5, 1.0, 2.0, 2.5, 5.0]"),
    "v-keep-turn": ("least = 1 ", "least = 3 "),
}
