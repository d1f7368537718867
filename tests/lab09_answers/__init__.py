"""The catalogue of lab 09: mistakes that people make, and right answers written in different ways.

In each module ``RIGHT`` maps a name to an answer that must be accepted, and ``WRONG`` maps the name of a mistake to the
answer and the codes of the expectations that must refuse it, these and no others.
"""

#: The modules, in the order of the exercises, and what a learner hands in.
EXERCISES = {
    "balancer": "Balancer",
    "ring": "Ring",
    "subsets": "subset",
    "ejector": "Ejector",
    "headroom": "plan",
}
#: A learner's class that makes nothing lacks its methods.
REFUSALS = {(name, "wrong-type"): "no-methods" for name in ("balancer", "ring", "ejector")}
#: Wrong answers, and different messages, an exercise.
LEAST_WRONG = 7
