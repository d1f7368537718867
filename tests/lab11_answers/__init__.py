"""The catalogue of lab 11: mistakes that people make, and right answers written in different ways.

In each module ``RIGHT`` maps a name to an answer that must be accepted, and ``WRONG`` maps the name of a mistake to the
answer and the codes of the expectations that must refuse it, these and no others. Most mistakes are a right answer with
a line or two changed.
"""

import functools
import inspect
import sys

#: The modules, in the order of the exercises, and what a learner hands in.
EXERCISES = {
    "dual_write": ("Orders", "Shipping"),
    "key_store": "Payments",
    "relay": "Relay",
    "saga": "Saga",
    "windows": "decide",
}
#: A learner's class that makes nothing lacks its methods.
REFUSALS = {(name, "wrong-type"): "no-methods" for name in ("dual_write", "key_store", "relay", "saga")}
#: Wrong answers, and different messages, an exercise.
LEAST_WRONG = 8


#: Looked up once for each right answer: there are a thousand changes, and every worker makes them all.
source_of = functools.cache(inspect.getsource)


def but(right, *changes: str):
    """A right answer in which one text of its source is another: changes are written ``before => after``."""
    source, module = source_of(right), sys.modules[right.__module__]
    for change in changes:
        before, after = change.split(" => ")
        assert before in source, f"{before!r} is not in {right.__name__}"
        source = source.replace(before, after)
    space = dict(vars(module))
    exec(compile(source, module.__file__, "exec"), space)
    return space[right.__name__]
