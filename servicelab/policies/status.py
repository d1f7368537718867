"""How a call can end."""

from enum import StrEnum


class Status(StrEnum):
    """The status of an attempt, and of a call as a whole.

    Each equals its plain string (``Status.OK == "ok"``), so a place in a simulation may simply return ``"ok"``. An
    attempt may also end with a status of its own ("HTTP 503"); a policy treats what it does not know as final.

    | status   | what its caller knows                                                       | was the work done?    |
    |----------|-----------------------------------------------------------------------------|-----------------------|
    | OK       | it was done, here is the answer                                             | yes                   |
    | ERROR    | the server answered that it failed                                          | no, or in part        |
    | TIMEOUT  | no answer in the time that one attempt may take                             | nobody here can know  |
    | REFUSED  | nobody listens at that address                                              | no                    |
    | LOST     | the connection broke before the answer                                      | nobody here can know  |
    | REJECTED | turned away unserved, by a policy on this side or a full queue on the other | no                    |
    | DEADLINE | the time for the whole call is up                                           | nobody here can know  |
    """

    OK = "ok"
    ERROR = "error"
    TIMEOUT = "timeout"
    REFUSED = "refused"
    LOST = "lost"
    REJECTED = "rejected"
    DEADLINE = "deadline"
