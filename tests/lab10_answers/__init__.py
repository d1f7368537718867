"""The catalogue of lab 10: mistakes that people make, and right answers written in different ways.

In each module ``RIGHT`` maps a name to an answer that must be accepted (a tuple: what the check is called with), and
``WRONG`` maps the name of a mistake to the answer and the codes of the expectations that must refuse it, these and no
others.
"""

#: The modules, in the order of the exercises, and what a learner hands in.
EXERCISES = {
    "breaker": "Breaker",
    "backoff": ("delays", "Budget", "Client"),
    "deadline": "make_hop",
    "sizes": "size_bulkheads",
    "storm": ("amplification", "ends_by_itself", "policies"),
}
#: Where a function that raises, exits or returns nothing is refused with another code than most.
REFUSALS = {("breaker", "wrong-type"): "no-methods"}
