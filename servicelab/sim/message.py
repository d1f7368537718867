"""A message: what one place hands to the next."""


class Message:
    """An envelope on its way to a service.

    ``label`` is what diagrams write on the arrow, ``size`` its length in bytes. ``id`` joins its two
    ends in a trace; the traced client that sends it fills it in. ``abandoned`` becomes True when the
    sender has stopped waiting for the answer: a service may look, but, as in life, need not.
    """

    __slots__ = ("label", "size", "id", "abandoned")

    def __init__(self, label: str = "request", size: int = 0, id: str | None = None):
        self.label = label
        self.size = size
        self.id = id
        self.abandoned = False

    def __repr__(self):
        return f"Message({self.label!r}, size={self.size}, id={self.id!r})"
