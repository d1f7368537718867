"""Publisher confirms: which messages of a channel are safe, and in how few words that can be said."""


class Confirms:
    """The publisher counts its messages from 1; so does this. A message is *done* (every queue has it, and the disk
    where it must), *refused* (a full queue did not take it), or *waiting* for the disk."""

    def __init__(self):
        self._last = 0
        self._said = 0  # all up to here have been answered
        self._beyond: set[int] = set()  # answered, above _said
        self._waiting: dict[int, None] = {}
        self._done: list[int] = []
        self._refused: list[int] = []

    def number(self) -> int:
        """The number of the message that is being published."""
        self._last += 1
        return self._last

    def done(self, number: int) -> None:
        self._waiting.pop(number, None)
        self._done.append(number)

    def refused(self, number: int) -> None:
        self._waiting.pop(number, None)
        self._refused.append(number)

    def waits(self, number: int) -> None:
        self._waiting[number] = None

    def answers(self):
        """``(number, multiple, accepted)`` for all that is decided and unsaid, an acknowledgement for many as one."""
        refused, self._refused = self._refused, []
        done, self._done = sorted(self._done), []
        for number in refused:
            yield number, False, False
        self._beyond.update(refused)
        # All below ``limit`` are decided, so that one answer with "multiple" covers those of them that are unsaid.
        limit = min(self._waiting, default=self._last + 1)
        together = [number for number in done if number < limit]
        if together:
            yield together[-1], len(together) > 1, True
        for number in done[len(together) :]:
            yield number, False, True
        self._beyond.update(done)
        while self._said + 1 in self._beyond:
            self._said += 1
            self._beyond.discard(self._said)
