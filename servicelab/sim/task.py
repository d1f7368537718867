"""A task, and the letters that carry it.

A publisher hands over a *task*: book order 17, write to its customer. What travels through a queue is a *letter* that
carries the task, and there may be several of them: a publisher that hears no confirm sends another one. What counts in
the end is how often the task was done.
"""

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

from servicelab.sim.message import Message


class Task:
    """Something to be done, once if possible.

    ``number`` is its business key, the same on every letter that carries it. Times are in seconds: ``published`` when
    it was first handed over, ``confirmed`` when the broker said that it has it (None: never, or nobody asked),
    ``began`` when somebody first began to work on it (None: nobody), ``done`` every time at which the work took effect.
    ``deliveries`` counts the letters with it that were sent to a consumer.
    """

    __slots__ = ("number", "label", "published", "confirmed", "began", "done", "deliveries")

    def __init__(self, number: int, label: str, published: float):
        self.number = number
        self.label = label
        self.published = published
        self.confirmed: float | None = None
        self.began: float | None = None
        self.done: list[float] = []
        self.deliveries = 0

    def __repr__(self):
        return f"<task {self.number} {self.label!r}, done {len(self.done)} times>"


class Letter(Message):
    """A message with a task in it, and what its queue knows about it.

    ``persistent`` asks a durable queue to keep it on disk (delivery_mode 2 in AMQP); ``stored`` is True when it is
    there. ``confirm`` says that its publisher wants to hear of it. ``place`` is its position in the queue, which it
    joined at ``since`` (seconds) and keeps when it comes back; ``returns`` how often it came back, and ``redelivered``
    whether it did. ``waiting`` is True while it is ready.
    """

    __slots__ = ("task", "persistent", "confirm", "stored", "place", "since", "returns", "redelivered", "waiting")

    def __init__(self, task: Task, persistent: bool = False, confirm: bool = False, size: int = 0):
        super().__init__(task.label, size)
        self.task = task
        self.persistent = persistent
        self.confirm = confirm
        self.stored = False
        self.place = -1
        self.since = 0.0
        self.returns = 0
        self.redelivered = False
        self.waiting = False


class Outcome(NamedTuple):
    """How many tasks were never done, done once, and done more often."""

    lost: int
    once: int
    more: int


def outcome(tasks: Iterable[Task]) -> Outcome:
    """What became of ``tasks``. Ask when the queues are empty: what still waits counts as lost."""
    times = np.array([len(task.done) for task in tasks], dtype=int)
    return Outcome(int((times == 0).sum()), int((times == 1).sum()), int((times > 1).sum()))


def waits(tasks: Iterable[Task]) -> np.ndarray:
    """Seconds from publishing to the first moment of work, one entry a task; ``nan`` where nobody began."""
    return np.array([np.nan if task.began is None else task.began - task.published for task in tasks])
