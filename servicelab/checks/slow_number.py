"""Numbers that take their time, so that a race which a machine shows once a week shows at once."""

import time

PAUSE = 0.002  # seconds; as with a row in a database, looking at the number is what takes long


class SlowNumber(float):
    """A number. Comparing it, or adding and subtracting, takes two milliseconds, and so does the result."""


def _slow(name):
    plain = getattr(float, name)

    def slow(self, other):
        time.sleep(PAUSE)
        result = plain(self, other)
        return SlowNumber(result) if type(result) is float else result

    slow.__name__ = name
    return slow


for _name in ("lt", "le", "gt", "ge", "add", "radd", "sub", "rsub"):
    setattr(SlowNumber, f"__{_name}__", _slow(f"__{_name}__"))
