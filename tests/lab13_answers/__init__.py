"""The catalogue of lab 13: mistakes that people make, and right answers written in different ways.

In each module ``RIGHT`` maps a name to an answer that must be accepted, and ``WRONG`` maps the name of a mistake to the
answer and the codes of the expectations that must refuse it, these and no others. Most mistakes are a right answer with
a line or two changed.
"""

#: The modules, in the order of the exercises, and what a learner hands in.
EXERCISES = {
    "service": "make_app",
    "verifier": "verify",
    "signing": ("sign", "Door"),
    "client": "Caller",
    "lives": "decide",
}
#: A class that makes nothing lacks its methods; to raise, or to return nothing, has a meaning in these tasks.
REFUSALS = {("client", "wrong-type"): "no-methods"}
REFUSALS |= {("lives", "wrong-type"): "gives-up", ("verifier", "wrong-type"): "good"}
#: Wrong answers, and different messages, an exercise.
LEAST_WRONG = 6
