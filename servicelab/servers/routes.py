"""Routes of web apps that several threads build at the same time.

For each route werkzeug parses and compiles a little Python. Up to Python 3.11.7 and 3.12.1 two threads that parse at
once may get "SystemError: AST constructor recursion depth mismatch" (github.com/python/cpython/issues/106905). There
they take turns, as soon as this module is imported.
"""

import functools
import sys
import threading

from werkzeug.routing import Rule

_turn = threading.RLock()


def is_affected(version: tuple) -> bool:
    """Is ``version`` a Python with that fault?"""
    return version < (3, 11, 8) or (3, 12) <= version < (3, 12, 2)


def one_at_a_time(function):
    """``function``, which only one thread runs at a time."""

    @functools.wraps(function)
    def alone(*args, **kwargs):
        with _turn:
            return function(*args, **kwargs)

    return alone


if is_affected(sys.version_info):
    Rule.compile = one_at_a_time(Rule.compile)
