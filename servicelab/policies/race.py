"""Attempts that are under way at once: what the three drivers do with Start and Await.

Rules, the same for threads, tasks and simulated events:

1. ``start(timeout, number)`` begins an attempt beside those under way and returns at once.
2. ``next(limit)`` gives what the next attempt to end has reported, in the order in which they ended, or None when
   ``limit`` seconds pass first. Awaiting when nothing is under way would wait for ever: RuntimeError.
3. ``abandon()`` ends the interest in all that are under way. No late answer is heard, not even a late exception.
4. An exception out of an attempt that is awaited is a mistake in the program, and is raised by ``next``.

| race    | an attempt is           | an abandoned one                                                              |
|---------|-------------------------|-------------------------------------------------------------------------------|
| Threads | a thread of its own     | is told, if it asked with :func:`when_abandoned`; else it runs to its end and |
|         |                         | its thread with it: no thread can be stopped from outside                     |
| Tasks   | an asyncio task         | is cancelled                                                                  |
| Events  | a SimPy event or process| is told, if its event has a method ``abandon``; else it runs to its end       |
"""

import asyncio
import contextlib
import queue
import threading
from collections import deque
from contextvars import ContextVar, copy_context

_running: ContextVar["_Begun | None"] = ContextVar("servicelab_running_attempt", default=None)


def when_abandoned(cancel) -> bool:
    """Called inside an attempt on a thread: have ``cancel()`` called when nobody waits for this attempt any more.

    It is called at most once, from the caller's thread, or at once when it is too late already; it should do no more
    than wake the attempt up (close its connection, cancel its gRPC call). What it raises is ignored. Returns False,
    and does nothing, outside an attempt that can be abandoned.
    """
    begun = _running.get()
    if begun is None:
        return False
    begun.add(cancel)
    return True


class _Begun:
    """One attempt on its thread, as its caller sees it."""

    def __init__(self):
        self._cancels = []
        self._lock = threading.Lock()

    def add(self, cancel):
        with self._lock:
            if self._cancels is not None:
                self._cancels.append(cancel)
                return
        _call_quietly(cancel)

    def abandon(self):
        with self._lock:
            cancels, self._cancels = self._cancels, None
        for cancel in cancels or ():
            _call_quietly(cancel)


def _call_quietly(cancel):
    with contextlib.suppress(Exception):
        cancel()


class Threads:
    """``attempt(timeout, number)`` on threads, each in a copy of the caller's context (its call, its deadline)."""

    def __init__(self, attempt):
        self.attempt = attempt
        self._under_way = set()
        self._ended = queue.SimpleQueue()

    def start(self, timeout, number):
        begun = _Begun()
        self._under_way.add(begun)
        threading.Thread(
            target=copy_context().run,
            args=(self._run, begun, self._ended, timeout, number),
            name=f"servicelab attempt {number}",
            daemon=True,
        ).start()

    def next(self, limit):
        _require(self._under_way)
        while True:
            with contextlib.suppress(queue.Empty):
                # In slices where there is no limit: on some systems a wait without end cannot be interrupted.
                begun, outcome, error = self._ended.get(timeout=1.0 if limit is None else limit)
                break
            if limit is not None:
                return None
        self._under_way.remove(begun)
        if error is not None:
            raise error
        return outcome

    def abandon(self):
        under_way, self._under_way = self._under_way, set()
        self._ended = queue.SimpleQueue()  # what ends from now on puts its answer where nobody looks
        for begun in under_way:
            begun.abandon()

    def _run(self, begun, ended, timeout, number):
        _running.set(begun)
        try:
            ended.put((begun, self.attempt(timeout, number), None))
        except BaseException as error:  # raised here it would only be printed; the caller has to have it
            ended.put((begun, None, error))


class Tasks:
    """``attempt(timeout, number)``, a coroutine function, in tasks of the running loop."""

    def __init__(self, attempt):
        self.attempt = attempt
        self._under_way = set()
        self._ended = asyncio.Queue()

    def start(self, timeout, number):
        task = asyncio.ensure_future(self.attempt(timeout, number))
        self._under_way.add(task)
        task.add_done_callback(self._ended.put_nowait)

    async def next(self, limit):
        _require(self._under_way)
        try:
            task = await asyncio.wait_for(self._ended.get(), limit)
        except TimeoutError:
            return None
        self._under_way.remove(task)
        return task.result()

    def abandon(self):
        under_way, self._under_way = self._under_way, set()
        self._ended = asyncio.Queue()
        for task in under_way:
            task.cancel()
            task.add_done_callback(_look_away)


def _look_away(task):
    if not task.cancelled():
        task.exception()  # asyncio prints exceptions that nobody has looked at


class Events:
    """Attempts as events of a SimPy environment. ``begin(timeout, number)`` starts one and returns its event, whose
    value is the status: ``env.process(…)``, or what is cheaper."""

    def __init__(self, env, begin):
        self.env = env
        self.begin = begin
        self._under_way = []
        self._ended = deque()
        self._waiter = None

    def start(self, timeout, number):
        event = self.begin(timeout, number)
        self._under_way.append(event)
        if event.callbacks is None:  # it has happened already
            self._end(event)
        else:
            event.callbacks.append(self._end)

    def next(self, limit):
        """A generator: ``status = yield from race.next(limit)``."""
        _require(self._under_way)
        if not self._ended:
            waiter = self._waiter = self.env.event()
            if limit is not None:
                self.env.timeout(limit).callbacks.append(lambda _: self._wake(waiter))
            yield waiter
        if not self._ended:
            return None
        event = self._ended.popleft()
        self._under_way.remove(event)
        if not event._ok:
            raise event._value
        if event._value is None:
            raise TypeError('the attempt ended with None: it must return a status, such as "ok"')
        return event._value

    def abandon(self):
        under_way, self._under_way = self._under_way, []
        self._ended.clear()
        for event in under_way:
            if hasattr(event, "abandon"):
                event.abandon()

    def _end(self, event):
        if event not in self._under_way:
            return  # abandoned; if it failed it stops env.run(), as any failure that nobody waits for
        if not event._ok:
            event.defused = True
        self._ended.append(event)
        self._wake(self._waiter)

    def _wake(self, waiter):
        if waiter is not None and waiter is self._waiter:
            self._waiter = None
            waiter.succeed()


def _require(under_way):
    if not under_way:
        raise RuntimeError("the policy said Await, but no attempt is under way: a script has to Start one first")
