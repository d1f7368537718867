"""What a call under a policy raises when no answer and no error of its own is there to be handed on."""

import requests


class CallFailed(Exception):
    """The policy ended the call with ``status`` after ``attempts`` attempts: "rejected", "deadline", …"""

    def __init__(self, status: str, attempts: int = 0, what: str = "the call"):
        super().__init__(f"{what} ended with {str(status)!r} after {attempts} attempts")
        self.status = status
        self.attempts = attempts

    def __reduce__(self):  # its constructor takes no text, which is what an exception hands on otherwise
        return _arrived, (type(self), self.args, self.__dict__)


def _arrived(kind, args, state):
    error = kind.__new__(kind)
    error.args = args
    error.__dict__.update(state)
    return error


class RequestFailed(CallFailed, requests.RequestException):
    """The same for a session: whoever handles ``requests.RequestException`` handles it."""


class DeadlineExceeded(RequestFailed):
    """The time was up before anything was sent: whoever waits for the running code has gone."""

    def __init__(self, what: str = "the call"):
        super().__init__("deadline", 0, what)
