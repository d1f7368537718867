"""Functions that a learner might hand in for anything, and that a check has to survive."""

import sys


def never_returns(*args, **kwargs):
    while True:
        pass


def raises(*args, **kwargs):
    return {}["no such key"]


def leaves(*args, **kwargs):
    sys.exit(3)


def says_nothing(*args, **kwargs):
    pass
