"""The catalogue of lab 01: mistakes that people make, and right answers written in different ways.

In each module ``RIGHT`` maps a name to an answer that must be accepted, and ``WRONG`` maps the name of a mistake to the
answer and the codes of the expectations that must refuse it, these and no others.
"""

#: The modules, in the order of the exercises, and what a learner hands in.
EXERCISES = {
    "stock": "make_stock",
    "deadline": "get_within",
    "cache": "CachingClient",
    "bottleneck": ("find_bottleneck", "time_inside", "admit"),
    "compression": "should_compress",
}
#: Where a function that raises, exits or returns nothing is refused with another code than most.
REFUSALS = {
    ("deadline", "exception"): "error",  # there an exception may be what is wanted
    ("deadline", "wrong-type"): "body",
    ("cache", "wrong-type"): "no-methods",
}
