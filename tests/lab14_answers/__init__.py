"""The catalogue of lab 14: mistakes that people make, and right answers written in different ways.

In each module ``RIGHT`` maps a name to an answer that must be accepted, and ``WRONG`` maps the name of a mistake to the
answer and the codes of the expectations that must refuse it, these and no others.
"""

#: The modules, in the order of the exercises, and what a learner hands in.
EXERCISES = {
    "retries": "Retries",
    "canary": "Canary",
    "outliers": "SETTINGS",
    "control": "answer",
    "choice": "decide",
}
#: A class that makes nothing lacks its methods; what is no dict has no settings; and None is an answer of a plane.
REFUSALS = {(name, "wrong-type"): "no-methods" for name in ("retries", "canary")}
REFUSALS |= {("outliers", kind): "not-settings" for kind in ("exception", "exit", "wrong-type", "not-callable")}
REFUSALS |= {("control", "wrong-type"): "not-done"}
#: Wrong answers, and different messages, an exercise.
LEAST_WRONG = 7
