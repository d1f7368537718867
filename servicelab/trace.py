"""What happened: messages, calls, work and state changes, in one record for all three worlds.

A trace is a list of events that is only ever appended to. Real servers and clients append from
their threads, the simulation appends from its processes, and nobody prints or draws. A cell asks
later: ``trace.messages``, ``trace.calls``, ``trace.work``, ``trace.changes``, ``trace.table()``.

Both ends of a message stamp it, on one clock in seconds: the sender when it leaves, the receiver
when it arrives. The two stamps meet through the message's id, which travels with the message (in
HTTP as the W3C header ``traceparent``). What was sent and never received is lost; whoever dropped
it may say why with :meth:`Trace.lose`.

A call, its request and the work on it share one id. Its reply has the id ``reply_id(id)``. When a request with an id
that was worked on before comes in (a library sent it again by itself, or somebody handed a header on), that is another
piece of work, with an id of its own; it has no arrows, for nobody said when it was sent.
"""

import re
import secrets
import threading
import time
from contextvars import ContextVar
from dataclasses import dataclass
from itertools import count
from operator import itemgetter
from typing import NamedTuple

from servicelab.table import Table

#: Set in a child process only: the trace whose events go to the parent. A trace that was pickled
#: together with a handler becomes this one there.
forwarding: "Trace | None" = None

#: The call that the running code is serving, as ``(trace id, call id)``, or None. A server sets it
#: before it runs a handler; a traced client reads it to name the parent of a nested call.
current_call: ContextVar[tuple[str, str] | None] = ContextVar("servicelab_current_call", default=None)

_prefix = secrets.token_hex(4)  # so that ids from two processes never meet
_count = count(1)


def new_id() -> str:
    """A new id: 16 lower-case hex digits, as a W3C span id must be."""
    return f"{_prefix}{next(_count):08x}"


def reply_id(call_id: str) -> str:
    """The id of the reply to the request ``call_id``."""
    return call_id + ".reply"


def to_traceparent(trace_id: str, call_id: str) -> str:
    """The W3C Trace Context header value (https://www.w3.org/TR/trace-context/) for one call."""
    return f"00-{trace_id:0>32}-{call_id}-01"


#: Version, trace id, call id, and what a later version may add (W3C Trace Context, "traceparent Header Field Values").
#: Version ff is invalid, and so are ids of zeros only.
_TRACEPARENT = re.compile(r"(?!ff)([0-9a-f]{2})-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-[0-9a-f]{2}(-.*)?")


def from_traceparent(value) -> tuple[str, str] | None:
    """``(trace id, call id)`` from a header's value, whatever it is; None when it is missing or invalid."""
    found = _TRACEPARENT.fullmatch(value) if isinstance(value, str) else None
    if not found or (found[1] == "00" and found[4] is not None):
        return None
    return found[2], found[3]


class Event(NamedTuple):
    """One line of the log. ``what`` is send, receive, lose, call, end, work, done or state."""

    at: float
    what: str
    id: str
    who: str = ""
    whom: str = ""
    label: str = ""
    more: tuple = ()


@dataclass(frozen=True, slots=True)
class Message:
    """Sent at ``sent``, and ``received`` (seconds) or lost: then ``received`` is None and ``lost`` says why."""

    id: str
    sender: str
    receiver: str
    label: str
    kind: str  # "request", "reply" or "message"
    sent: float
    received: float | None = None
    lost: str | None = None
    lost_at: float | None = None


@dataclass(frozen=True, slots=True)
class Call:
    """One attempt as its caller saw it. ``end`` and ``status`` are None while it is under way."""

    id: str
    caller: str
    callee: str
    label: str
    start: float
    end: float | None = None
    status: str | None = None
    attempt: int = 1
    timeout: float | None = None  # seconds the caller was willing to wait
    parent: str | None = None  # the call that was being served when this one was made


@dataclass(frozen=True, slots=True)
class Work:
    """``who`` was busy with ``label`` from ``start`` to ``end`` (None: still is)."""

    id: str
    who: str
    label: str
    start: float
    end: float | None = None


@dataclass(frozen=True, slots=True)
class Change:
    """``who`` went into state ``value`` at ``at`` (a breaker opened, a server stopped)."""

    at: float
    who: str
    value: str


class Trace:
    """A thread-safe log of what happened.

    ``clock`` gives the time in seconds: ``time.monotonic`` for real servers (on Linux it is the
    same in a child process), ``lambda: env.now`` for a simulation.
    """

    def __init__(self, clock=time.monotonic):
        self.clock = clock
        #: Called before every reading; each brings in what was recorded elsewhere (in a child process).
        self.feeds: list = []
        self._events: list[Event] = []
        self._worked: set[str] = set()  # the ids of all work
        self._renamed: dict[str, str] = {}  # of work elsewhere that is under way, to what it is called here
        self._lock = threading.Lock()

    # -- writing ----------------------------------------------------------------------------

    def add(self, event: Event) -> None:
        with self._lock:
            self._events.append(event)

    def extend(self, events) -> None:
        """Take over events that were recorded elsewhere (in a child process)."""
        with self._lock:
            for event in (Event(*event) for event in events):
                if event.what == "work" and (id := self._unused(event.id)) != event.id:
                    self._renamed[event.id] = id
                    event = event._replace(id=id)
                elif event.what == "done":
                    event = event._replace(id=self._renamed.pop(event.id, event.id))
                self._events.append(event)

    def __reduce__(self):
        return _unpickled, (self.events,)

    def __copy__(self) -> "Trace":
        return self.since(0)

    def __deepcopy__(self, memo) -> "Trace":
        return self.since(0)

    def send(self, sender, receiver, label, *, id=None, kind="request", at=None) -> str:
        """A message leaves. Returns its id."""
        id = id or new_id()
        more = _KINDS.get(kind) or (kind,)
        self.add(Event(self._at(at), "send", id, sender, receiver, label, more))
        return id

    def receive(self, id, receiver="", *, at=None) -> None:
        """The message arrives. ``receiver`` overrides the name the sender had assumed."""
        self.add(Event(self._at(at), "receive", id, receiver))

    def lose(self, id, why, *, at=None) -> None:
        """The message was dropped; ``why`` is what the diagram will say."""
        self.add(Event(self._at(at), "lose", id, label=why))

    def start_call(self, caller, callee, label, *, id=None, attempt=1, timeout=None, parent=None, at=None) -> str:
        """A caller begins to wait. Returns the call's id, to be given to :meth:`end_call`."""
        id = id or new_id()
        self.add(Event(self._at(at), "call", id, caller, callee, label, (attempt, timeout, parent)))
        return id

    def end_call(self, id, status, *, at=None) -> None:
        """The caller stops waiting, with ``status`` ("ok", "timeout", "HTTP 503", …)."""
        self.add(Event(self._at(at), "end", id, label=str(status)))

    def start_work(self, who, label="", *, id=None, at=None) -> str:
        """``who`` begins to work on the request ``id``. Returns the work's id, for :meth:`end_work`: ``id``, or another
        one when that was worked on before."""
        with self._lock:
            id = self._unused(id or new_id())
        self.add(Event(self._at(at), "work", id, who, label=label))
        return id

    def end_work(self, id, *, at=None) -> None:
        self.add(Event(self._at(at), "done", id))

    def state(self, who, value, *, at=None) -> None:
        self.add(Event(self._at(at), "state", "", who, label=str(value)))

    def clear(self) -> None:
        self._feed()
        with self._lock:
            self._events.clear()
            self._worked.clear()
            self._renamed.clear()

    def _unused(self, id):
        while id in self._worked:
            id = f"{id}.{new_id()}"
        self._worked.add(id)
        return id

    def _at(self, at):
        return self.clock() if at is None else at

    # -- reading ----------------------------------------------------------------------------

    def __len__(self):
        self._feed()
        return len(self._events)

    def __bool__(self):
        return True  # an empty trace is a trace: ``if trace`` must not drop it

    @property
    def events(self) -> list[Event]:
        """A copy of the log, in order of time."""
        self._feed()
        with self._lock:
            events = list(self._events)
        events.sort(key=itemgetter(0))
        return events

    def since(self, mark: int) -> "Trace":
        """What was appended after ``mark = len(trace)``, as a trace of its own."""
        self._feed()
        part = Trace(self.clock)
        with self._lock:
            part._events = self._events[mark:]
        return part

    @property
    def messages(self) -> list[Message]:
        """Every message, in order of sending. One that nobody received or explained is lost: "no answer"
        for a request whose call has ended, "came too late" for a reply whose caller had given up. A request
        that was answered by someone who does not stamp is left out: only its call is known."""
        events = self.events
        return _messages(events, [event.id for event in _sent(events)[0]])

    @property
    def calls(self) -> list[Call]:
        calls, ends = self._pick("call", "end")
        found = []
        for id, event in calls.items():
            end = ends.get(id)
            found.append(
                Call(id, event.who, event.whom, event.label, event.at, end and end.at, end and end.label, *event.more)
            )
        return sorted(found, key=lambda call: call.start)

    @property
    def work(self) -> list[Work]:
        work, done = self._pick("work", "done")
        found = [
            Work(id, event.who, event.label, event.at, done[id].at if id in done else None)
            for id, event in work.items()
        ]
        return sorted(found, key=lambda work: work.start)

    @property
    def changes(self) -> list[Change]:
        return [Change(event.at, event.who, event.label) for event in self.events if event.what == "state"]

    def window(self, most: int, marks=()) -> "Window":
        """``most`` messages at the most: the first ones, or those around the first marked one. ``marks`` are ids of
        messages, calls or work. What is left out is only counted."""
        events = self.events
        sends, known = _sent(events)
        start, total = events[0].at if events else 0.0, len(sends)
        there = known | {event.id for event in events if event.what in ("call", "work")} if marks else known
        missing = [id for id in marks if id not in there]
        if total <= most:
            messages = _messages(events, [event.id for event in sends])
            return Window(messages, "", messages, total, start, self.since(0), missing)
        marked, at = {id.removesuffix(".reply") for id in marks}, 0
        if marked:
            found = (event.at for event in events if event.id and event.id.removesuffix(".reply") in marked)
            moment = next(found, start)
            at = sum(event.at < moment for event in sends)
            at = next((at for at, event in enumerate(sends) if event.id in marked), at)  # of many at one moment
        first = 0 if at < most else min(at - most // 2, total - most)
        which = f"those around the marked one, from number {first + 1} on" if at >= most else f"the first {most}"
        before = min(first, NEAR)
        near = _messages(events, [event.id for event in sends[first - before : first + most + NEAR]])
        messages = near[before : before + most]
        around = self._around(events, [message.id for message in messages], known)
        return Window(messages, which, near, total, start, around, missing)

    def _around(self, events, ids, known) -> "Trace":
        """The calls and work that belong to these messages or to none at all, and the states."""
        calls = {id.removesuffix(".reply") for id in ids}
        part = Trace(self.clock)
        part._events = [
            event
            for event in events
            if event[1] not in _OF_MESSAGES
            and (event[2] in calls or not (event[2] in known or reply_id(event[2]) in known))
        ]
        return part

    def table(self, most=30, marks=()) -> Table:
        """The messages as a table, times in ms from the first event; ``most`` rows at the most, as :meth:`window`
        chooses them. With ``marks``, ids of messages or calls, a first column points at these."""
        messages, which, _, total, start, *_ = self.window(most, marks)
        rows = [
            (
                f"{(m.sent - start) * 1e3:.2f}",
                f"{(m.received - start) * 1e3:.2f}" if m.received is not None else f"lost: {m.lost or 'under way'}",
                m.sender,
                m.receiver,
                m.label,
            )
            for m in messages
        ]
        headings = ("sent (ms)", "received (ms)", "from", "to", "message")
        if marks:
            headings = ("", *headings)
            rows = [("▶" if m.id.removesuffix(".reply") in marks else "", *row) for m, row in zip(messages, rows)]
        caption = f"{len(messages)} of {total} messages, {which}" if which else f"{total} message{'s' * (total != 1)}"
        return Table(headings, rows, caption)

    def _feed(self):
        for feed in list(self.feeds):
            feed()

    def _pick(self, *kinds) -> list[dict[str, Event]]:
        return _pick(self.events, *kinds)


#: What a message says of its kind, once for all messages: a million of them are a third of a gigabyte as it is.
_KINDS = {kind: (kind,) for kind in ("request", "reply", "message")}
#: So many messages before and after a window tell what is usual there.
NEAR = 500
_OF_MESSAGES = {"send", "receive", "lose"}


class Window(NamedTuple):
    """Some messages of a trace, in words ``which`` they are ("" for all), and with them the ``near`` ones; of the whole
    trace the ``total`` of messages, the ``start`` (its first event) and the marks that are ``missing``. ``around`` has
    the calls, the work and the states that belong to what is shown."""

    messages: list[Message]
    which: str
    near: list[Message]
    total: int
    start: float
    around: Trace
    missing: list[str]


def _pick(events, *kinds) -> list[dict[str, Event]]:
    """For each kind: the first event of that kind for each id."""
    found: dict[str, dict[str, Event]] = {kind: {} for kind in kinds}
    for event in events:
        if event.what in found:
            found[event.what].setdefault(event.id, event)
    return list(found.values())


def _sent(events) -> tuple[list[Event], set[str]]:
    """The first sending of each message, in order, and their ids; without those that are no messages, for whoever
    answered does not stamp. All of a million events go through here, so it makes nothing of them and asks by position;
    a set of a million ids takes a third of the time of a dict."""
    sends = [event for event in events if event[1] == "send"]
    known = set(map(itemgetter(2), sends))
    if len(known) < len(sends):  # some were sent twice
        first = {}
        for event in sends:
            first.setdefault(event[2], event)
        sends = list(first.values())
    replies = [event[2] for event in events if event[1] == "receive" and event[2][-6:] == ".reply"]
    unstamped = {id for reply in replies if (id := reply[:-6]) in known}
    for event in events if unstamped else ():
        if event[1] == "receive" or event[1] == "lose":
            unstamped.discard(event[2])
    if unstamped:
        known -= unstamped
        sends = [event for event in sends if event[2] in known]
    return sends, known


def _messages(events, ids) -> list[Message]:
    """The messages ``ids``, in this order."""
    wanted = {*ids, *(id.removesuffix(".reply") for id in ids)}
    mine = [event for event in events if event[2] in wanted]
    sent, got, dropped, ends = _pick(mine, "send", "receive", "lose", "end")
    found = []
    for id in ids:
        event, here, gone = sent[id], got.get(id), dropped.get(id)
        request = sent.get(id.removesuffix(".reply"))
        receiver = (here and here.who) or event.whom or (request.who if request else "")
        lost, lost_at = (gone.label, gone.at) if gone else (None, None)
        if not here and not gone and (end := ends.get(id.removesuffix(".reply"))):
            late = id.endswith(".reply") and (event.at >= end.at or end.label == "timeout")
            lost, lost_at = ("came too late" if late else "no answer"), None
        kind = event.more[0] if event.more else "message"
        # A copy that did arrive outweighs a note that some bytes of it were dropped.
        received = here.at if here else None
        if here:
            lost = lost_at = None
        found.append(Message(id, event.who, receiver, event.label, kind, event.at, received, lost, lost_at))
    return found


def _unpickled(events) -> Trace:
    """In a child process the trace there; elsewhere a record of the same events, which goes on with the usual clock."""
    if forwarding is not None:
        return forwarding
    trace = Trace()
    trace.extend(events)
    return trace
