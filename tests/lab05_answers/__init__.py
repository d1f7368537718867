"""The catalogue of lab 05: mistakes that people make, and right answers written in different ways.

In each module ``RIGHT`` maps a name to an answer that must be accepted (a tuple: what the check is called with), and
``WRONG`` maps the name of a mistake to the answer and the codes of the expectations that must refuse it, these and no
others.
"""

#: The modules, in the order of the exercises, and what a learner hands in.
EXERCISES = {
    "partitioner": "partition_for",
    "reader": "run",
    "view": ("rebuild", "compact"),
    "retention": "size",
    "jobs": ("export", "listen"),
}
#: A reader, or an export, that does nothing at all.
REFUSALS = {("reader", "wrong-type"): "gives-up", ("jobs", "wrong-type"): "lost"}
#: Wrong answers, and different messages, an exercise.
LEAST_WRONG = 5
