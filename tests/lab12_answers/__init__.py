"""The catalogue of lab 12: mistakes that people make, and right answers written in different ways.

In each module ``RIGHT`` maps a name to an answer that must be accepted, and ``WRONG`` maps the name of a mistake to the
answer and the codes of the expectations that must refuse it, these and no others.
"""

#: The modules, in the order of the exercises, and what a learner hands in.
EXERCISES = {
    "page": "Page",
    "histogram": ("histogram_quantile", "BOUNDS"),
    "sampler": "Sampler",
    "dashboard": "Dashboard",
    "rules": "RULES",
}
#: A class that makes nothing lacks its methods, and what is no list has no rules in it.
REFUSALS = {(name, "wrong-type"): "no-methods" for name in ("page", "sampler", "dashboard")}
REFUSALS |= {("rules", kind): "not-rules" for kind in ("exception", "exit", "wrong-type", "not-callable")}
#: Wrong answers, and different messages, an exercise.
LEAST_WRONG = 8
