"""The catalogue of lab 04: mistakes that people make, and right answers written in different ways.

In each module ``RIGHT`` maps a name to an answer that must be accepted (a tuple: what the check is called with), and
``WRONG`` maps the name of a mistake to the answer and the codes of the expectations that must refuse it, these and no
others.
"""

#: The modules, in the order of the exercises, and what a learner hands in.
EXERCISES = {
    "bus": "Bus",
    "join": ("Publisher", "Subscriber"),
    "patterns": "choose",
    "parcels": ("event", "Shipping"),
    "reader": "Reader",
}
#: A learner's class that makes nothing lacks its methods.
REFUSALS = {(name, "wrong-type"): "no-methods" for name in ("bus", "join", "reader")}
#: Wrong answers, and different messages, an exercise.
LEAST_WRONG = 4
