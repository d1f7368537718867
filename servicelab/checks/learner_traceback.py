"""Which lines are the learner's: the part of a traceback that helps.

A frame belongs to the learner unless its file lies in Python's library, among the installed packages, or in
servicelab. Notebook cells, scripts and tests are therefore the learner's.
"""

import linecache
import os
import sysconfig
import traceback
from pathlib import Path

_FOLDERS = {sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")}
_FOLDERS |= {str(Path(__file__).parents[1]), str(Path(__file__).resolve().parents[1])}
# Compiled pyzmq names its frames without a folder.
_NOT_THEIRS = ("<frozen", "zmq/backend/", *sorted(folder + os.sep for folder in _FOLDERS))


def is_theirs(filename: str) -> bool:
    """Does code from this file count as the learner's?"""
    return not filename.startswith(_NOT_THEIRS)


def their_frame(frame):
    """The innermost frame of the learner's code on the stack that ends in ``frame``, or None."""
    while frame is not None and not is_theirs(frame.f_code.co_filename):
        frame = frame.f_back
    return frame


def place(frame) -> str:
    """Where the learner's code is: ``line 3 of deadline_get: while True:``, or "" when it is not on the stack."""
    frame = their_frame(frame)
    if frame is None:
        return ""
    source = linecache.getline(frame.f_code.co_filename, frame.f_lineno, frame.f_globals)
    return _line(frame.f_lineno, frame.f_code.co_name, source)


def told(error: BaseException, most: int = 4) -> str:
    """The error in words, and the learner's own lines that led to it: the last ``most`` of them, outermost first."""
    lines = []
    for entry in traceback.extract_tb(error.__traceback__):
        if is_theirs(entry.filename):
            line = _line(entry.lineno, entry.name, entry.line or "")
            if not lines or lines[-1] != line:  # a recursion says the same line a thousand times
                lines.append(line)
    return "\n".join([in_words(error), *("  " + line for line in lines[-most:])])


def in_words(error: BaseException, most: int = 300) -> str:
    """``ValueError: 3 is odd``, at most ``most`` characters."""
    try:
        text = str(error)
    except Exception as second:  # a learner's exception class may have a faulty __str__
        text = f"(its text could not be read: {type(second).__name__})"
    return clip(f"{type(error).__name__}: {text}" if text else type(error).__name__, most)


def shown(value, most: int = 120) -> str:
    """A short repr of anything in one line, even of an object whose repr fails, or is empty as that of a message."""
    try:
        text = " ".join(repr(value).split("\n")).strip() or f"<an empty {type(value).__name__}>"
    except Exception as error:
        text = f"<a {type(value).__name__} whose repr raises {type(error).__name__}>"
    return clip(text, most)


def clip(text: str, most: int) -> str:
    """``text``, cut to ``most`` characters with a note of how many there were."""
    return text if len(text) <= most else f"{text[:most]}… ({len(text)} characters)"


def _line(number, name, source):
    where = f"line {number}" if name.startswith("<module") else f"line {number} of {name}"
    return f"{where}: {source.strip()}" if source.strip() else where
