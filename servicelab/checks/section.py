"""A check in parts, each with a record of its own, so that the report draws the part where something went wrong."""

from contextlib import contextmanager

from servicelab.trace import Trace


@contextmanager
def section(ask):
    """Give ``ask`` a new trace for this part. The trace of the first part with a fault, or of the last part, stays."""
    kept = ask.trace if any(e.mark and not e.passed for e in ask.expectations) else None
    ask.trace = Trace()
    try:
        yield
    finally:
        if kept is not None:
            ask.trace = kept
