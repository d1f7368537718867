"""The catalogue of lab 02: mistakes that people make, and right answers written in different ways.

In each module ``RIGHT`` maps a name to an answer that must be accepted (a tuple: what the check is called with), and
``WRONG`` maps the name of a mistake to the answer and the codes of the expectations that must refuse it, these and no
others.
"""

#: The modules, in the order of the exercises, and what a learner hands in.
EXERCISES = {
    "decode": ("fields", "signed", "zigzag"),
    "contract": "ORDER_V2",
    "upload": ("upload", "Photos"),
    "keepalive": "settings",
    "formats": "choose",
}
#: What does not come to a call has sent nothing.
REFUSALS = {("upload", how): "arrives" for how in ("exception", "exit", "wrong-type", "not-callable")}
REFUSALS |= {("contract", "not-callable"): "names"}  # it is a text
#: Wrong answers, and different messages, an exercise.
LEAST_WRONG = 5
