"""Was an answer changed? A fingerprint of the learner's code: of what was handed in, and of what that code calls."""

import hashlib
from functools import partial
from types import CellType, CodeType, FunctionType, MethodType

from servicelab.checks.learner_traceback import is_theirs

_PLAIN = (str, bytes, int, float, bool, type(None))
_NO_PART = {
    "__doc__",
    "__firstlineno__",
    "__dict__",
    "__weakref__",
}  # of a class: what it does depends on none of these


def fingerprint(*answers) -> str:
    """The same for the same code, wherever and however often its cell was run; comments and blank lines do not count.

    Helpers and constants of the learner's that the code names belong to it; modules and libraries do not.
    """
    found = hashlib.sha256()
    for piece in _pieces(answers, {}):
        found.update(piece.encode(errors="backslashreplace") + b"\0")
    return found.hexdigest()


def _pieces(value, seen):
    if isinstance(value, _PLAIN):
        yield repr(value)
    elif id(value) not in seen:
        seen[id(value)] = value  # kept, so that no other object gets its id
        yield type(value).__name__
        for part in _parts(value):
            yield from _pieces(part, seen)


def _parts(value) -> tuple:
    """What a piece of code is made of, as far as it is the learner's; of other objects nothing."""
    if isinstance(value, tuple):
        return value
    if isinstance(value, frozenset):
        return tuple(sorted(value, key=repr))
    if isinstance(value, CodeType):
        return (value.co_code, value.co_names, value.co_varnames, value.co_consts)
    if isinstance(value, FunctionType):
        if not is_theirs(value.__code__.co_filename):
            return (value.__qualname__,)
        kept = tuple(cell.cell_contents for cell in value.__closure__ or () if cell != CellType())
        named = tuple(value.__globals__.get(name) for name in _names(value.__code__))
        return (value.__code__, value.__defaults__, *(value.__kwdefaults__ or {}).items(), *kept, *named)
    if isinstance(value, type):
        return (*value.__bases__, *(item for item in sorted(vars(value).items()) if item[0] not in _NO_PART))
    if isinstance(value, staticmethod | classmethod | MethodType):
        return (value.__func__,)
    if isinstance(value, property):
        return (value.fget, value.fset)
    if isinstance(value, partial):
        return (value.func, value.args, *value.keywords.items())
    return ()


def _names(code) -> list[str]:
    inner = [name for const in code.co_consts if isinstance(const, CodeType) for name in _names(const)]
    return sorted({*code.co_names, *inner})
