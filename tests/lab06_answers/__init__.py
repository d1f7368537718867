"""The catalogue of lab 06: mistakes that people make, and right answers written in different ways.

In each module ``RIGHT`` maps a name to an answer that must be accepted, and ``WRONG`` maps the name of a mistake to the
answer and the codes of the expectations that must refuse it, these and no others. Most mistakes are a right answer with
a line or two changed.
"""

#: The modules, in the order of the exercises, and what a learner hands in.
EXERCISES = {
    "support": "make_support",
    "follow": "follow",
    "buffer": "Buffer",
    "heartbeat": "Pulse",
    "styles": "choose",
}
#: A learner's class that makes nothing lacks its methods; a function that does nothing handles nothing.
REFUSALS = {(name, "wrong-type"): "no-methods" for name in ("buffer", "heartbeat")} | {
    ("follow", "wrong-type"): "plain"
}
#: Wrong answers, and different messages, an exercise.
LEAST_WRONG = 7
