"""A service: workers, and a queue in front of them.

What an overloaded service does with its queue decides whether it works for callers who still wait. The settings
combine freely:

| setting        | who is served next, and who is not                      | what it takes in life                    |
|----------------|---------------------------------------------------------|------------------------------------------|
| order="fifo"   | the one who came first                                  | nothing: every queue is built so         |
| order="lifo"   | the one who came last, whose caller likely still waits  | a stack; unfair to those at its bottom   |
| queue_limit    | who finds the queue full is rejected on arrival         | a number: longest wait × requests/s      |
| max_wait       | who has waited for longer is rejected at the counter    | the time of arrival kept with a request  |
| drop_abandoned | who has given up is put aside at the counter            | a cancelled call, or a deadline passed on |

Source: B. Maurer, "Fail at Scale", ACM Queue 13(8), 2015 (last in, first out under load, and a limit on the wait).
"""

from collections import deque

from servicelab.arguments import seconds, whole
from servicelab.policies.status import Status
from servicelab.sim.client import Client
from servicelab.sim.immediate import Prompt
from servicelab.sim.pause import Pause
from servicelab.sim.place import require_law, require_place, require_share
from servicelab.trace import new_id, reply_id

# Looked up once: in Python 3.11 a member of an enumeration is slow to find.
OK, ERROR, REJECTED, TIMEOUT = Status.OK, Status.ERROR, Status.REJECTED, Status.TIMEOUT


class Service:
    """A counter with ``workers`` clerks and one queue: who comes first is served first, unless ``order`` is "lifo".

    A request takes a free worker or waits for one, is worked on for ``work`` seconds (a number or a
    law), and is answered ``"ok"``. ``queue_limit`` requests may wait, None for any number; the next one
    is answered ``"rejected"`` at once. One that has waited for more than ``max_wait`` seconds (None: no limit)
    when its turn comes is answered ``"rejected"`` then, and costs no work. ``fails`` is None or a law that says
    of each request whether the work ends in ``"error"``.

    ``needs`` are places that the service calls in turn after its own work, *holding its worker*: while
    it waits for an answer it serves nobody else. That is how a thread behaves, and how a slow service
    starves those that call it. If a need is answered with anything but ``"ok"`` the rest are not called
    and the request ends in ``"error"``. Give a need a timeout by making it a ``Client`` with a policy; such a
    client speaks in the service's name unless it has one of its own.

    A request whose caller has given up is served all the same, as most real servers do; with
    ``drop_abandoned=True`` it is put aside when its turn comes. ``trace`` records arrivals, work and answers.
    ``work``, ``fails``, ``queue_limit``, ``order``, ``max_wait`` and ``drop_abandoned`` may be changed while the
    simulation runs.

    A caller that is interrupted gives its place back, waiting or served, and so does an exception in a need.

    Raises ValueError for a negative time, for less than one worker, for a negative queue limit and for an unknown
    order, TypeError for a need that is no place.
    """

    def __init__(
        self,
        env,
        name,
        work,
        workers=1,
        queue_limit=None,
        trace=None,
        needs=(),
        *,
        fails=None,
        drop_abandoned=False,
        order="fifo",
        max_wait=None,
    ):
        self.env = env
        self.name = name
        self.work = require_law("work", work)
        self.workers = whole("workers", workers)
        self.queue_limit = queue_limit if queue_limit is None else whole("queue_limit", queue_limit, least=0)
        self.trace = trace
        self.needs = [self._speak_for_me(need) for need in needs]
        self.fails = require_share("fails", fails)
        self.drop_abandoned = drop_abandoned
        self.free = self.workers  # workers with nothing to do
        self.waiting = deque()  # the turns that waiting requests wait for, in order of arrival
        self.order = order
        self.max_wait = max_wait if max_wait is None else seconds("max_wait", max_wait)

    @property
    def busy(self) -> int:
        """Workers that are taken, by work or by waiting for another service."""
        return self.workers - self.free

    @property
    def order(self) -> str:
        """``"fifo"``, first in, first out, or ``"lifo"``, last in, first out."""
        return self._order

    @order.setter
    def order(self, order):
        if order not in ("fifo", "lifo"):
            raise ValueError(f'order={order!r} must be "fifo" (first in, first out) or "lifo" (last in, first out)')
        self._order = order
        self._next_turn = self.waiting.popleft if order == "fifo" else self.waiting.pop

    def call(self, message):
        """Serve ``message``; returns ``"ok"``, ``"error"`` or ``"rejected"``."""
        trace = self.trace
        if trace is not None:
            id = message.id or new_id()
            trace.receive(id, self.name)

        if self.free:
            self.free -= 1
        elif self.queue_limit is not None and len(self.waiting) >= self.queue_limit:
            if trace is not None:
                self._reply(id, REJECTED)
            return REJECTED
        else:
            since = self.env._now  # as env.now, which is a property: most requests wait
            turn = Prompt(self.env)
            self.waiting.append(turn)
            try:
                yield turn  # whoever finishes hands its worker over
            except Exception:
                self._give_up(turn)
                raise
            if self.max_wait is not None and self.env.now - since > self.max_wait:
                self._release_worker()
                if trace is not None:
                    self._reply(id, REJECTED)
                return REJECTED

        if self.drop_abandoned and message.abandoned:
            self._release_worker()
            return TIMEOUT  # nobody hears it

        if trace is not None:
            trace.start_work(self.name, message.label, id=id)
        try:
            yield Pause(self.env, self.work())
            status = OK if self.fails is None or not self.fails() else ERROR
            for need in self.needs:
                if status == OK and (yield from need.call(message)) != OK:
                    status = ERROR
        except Exception:  # an interrupt too; not the end of a generator, whose time is the garbage collector's choice
            self._release_worker()
            if trace is not None:
                trace.end_work(id)
            raise
        self._release_worker()
        if trace is not None:
            trace.end_work(id)
            self._reply(id, status)
        return status

    def _release_worker(self):
        if self.waiting:  # the worker never becomes free: nobody can slip in between
            turn = self._next_turn()
            if self.max_wait is None and not self.drop_abandoned:
                turn.happen(None)
            else:  # by way of the queue: a hundred who are turned away here, each by the one before, are no recursion
                turn.succeed()
        else:
            self.free += 1

    def _give_up(self, turn):
        """Whoever waited for ``turn`` has left."""
        if turn.triggered:  # at the very moment when a worker was handed over
            self._release_worker()
        else:
            self.waiting.remove(turn)

    def _reply(self, id, status):
        self.trace.send(self.name, "", str(status), id=reply_id(id), kind="reply")

    def _speak_for_me(self, need):
        if not isinstance(need, Client):
            return Client(self.env, require_place("need", need), name=self.name, trace=self.trace)
        need.name = need.name or self.name
        need.trace = self.trace if need.trace is None else need.trace
        return need

    def __repr__(self):
        return f"<{self.name}: {self.busy} of {self.workers} workers busy, {len(self.waiting)} waiting>"
