"""The catalogue of lab 15: mistakes that people make, and right answers written in different ways.

In each module ``RIGHT`` maps a name to an answer that must be accepted, and ``WRONG`` maps the name of a mistake to the
answer and the codes of the expectations that must refuse it, these and no others.
"""

#: The modules, in the order of the exercises, and what a learner hands in.
EXERCISES = {"basket": "page", "flow": "order", "business": "decide", "review": "review"}
#: A page that does not come to its end shows no rows, and None is no answer to a customer.
REFUSALS = {("basket", kind): "other-rows" for kind in ("exception", "exit", "wrong-type", "not-callable")}
REFUSALS |= {("flow", "wrong-type"): "other-answer"}
#: Wrong answers, and different messages, an exercise.
LEAST_WRONG = 6
