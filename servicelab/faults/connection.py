"""One client's connection through the proxy: two sockets, and a pipe for each direction."""

import random
import re
from typing import NamedTuple

from servicelab.faults.pipe import Pipe, Stage
from servicelab.faults.side import Side, dial
from servicelab.faults.toxics import Cut
from servicelab.lifecycle import ServerError
from servicelab.trace import from_traceparent, reply_id

_TRACEPARENT = re.compile(rb"\ntraceparent:[ \t]*([0-9a-f-]{55})(?=\s)", re.IGNORECASE)
_REQUEST = re.compile(rb"[A-Z]{3,10} \S+ HTTP/1")
_LONGEST_HEADER = 100  # bytes of the last piece to look at again, in case the header was split


class Record(NamedTuple):
    """What is kept of a connection: bytes that came and went in each direction, the toxics that acted, and its end in
    words (None: it is open)."""

    number: int
    from_client: int
    to_server: int
    from_server: int
    to_client: int
    acted: tuple[str, ...]
    end: str | None


class Connection:
    """The connection with the given number, counted from 1 in the order of acceptance."""

    def __init__(self, proxy, number, loop, accepted):
        self.number = number
        self.is_over = False
        self.end = None  # how it ended, in words
        self.upstream = Pipe("upstream", self, loop)
        self.downstream = Pipe("downstream", self, loop)
        self.acted = []  # names of the toxics that acted on it, in order
        self._proxy = proxy
        self._loop = loop
        self._open = {self.upstream: Side(self, loop, accepted, self.upstream, self.downstream)}  # by the pipe it feeds
        self._dial = loop.create_task(self._connect())
        self._call = None  # id of the call that is under way on it
        self._tail = b""
        self._lost = set()  # ids
        self._unnamed = {}  # direction -> why it was lost, while the call's id is not known yet

    @property
    def record(self) -> Record:
        up, down = self.upstream, self.downstream
        return Record(self.number, up.came, up.went, down.came, down.went, tuple(self.acted), self.end)

    # -- life ---------------------------------------------------------------------------------

    async def _connect(self):
        try:
            sock = await dial(self._loop, *self._proxy.upstream_address)
        except (OSError, UnicodeError, ServerError) as error:  # UnicodeError: a host name that cannot be one
            self._finish(f"upstream unreachable: {getattr(error, 'strerror', None) or error}")
            return
        self._open[self.downstream] = Side(self, self._loop, sock, self.downstream, self.upstream)
        for toxic in self._proxy.acting:  # before the first byte is read
            self.apply(toxic)
        if not self.is_over:
            self.upstream.source.resume_reading()
            self.downstream.source.resume_reading()

    def lost(self, side, error):
        self._open.pop(side.reads, None)
        # A side that breaks (RST) breaks the other, as without a proxy in between.
        self._finish("reset" if error else "closed", reset=error is not None)
        if not self._open:
            self._proxy.forget(self)

    def close_if_done(self):
        """Both sides have closed and all they said has been passed on."""
        if not self.is_over and self.upstream.is_done and self.downstream.is_done:
            self._finish("closed", flush=True)

    def cut(self, cut: Cut):
        """A toxic ends the connection; what it let through is still delivered, except by a reset."""
        if self.is_over:
            return
        why = f"cut by {cut.by.word} toxic"
        self.lose("upstream", why)
        self.lose("downstream", why)
        self._finish(why, reset=cut.reset, flush=not cut.reset)

    def _finish(self, how, *, reset=False, flush=False):
        if self.is_over:
            return
        self.is_over = True
        self.end = how
        self.upstream.stop()
        self.downstream.stop()
        for side in list(self._open.values()):
            if flush:
                side.close()
            else:
                side.abort(reset)

    def drop(self, how):
        """End it now, whatever waits (the proxy stops, or is down). Returns the task that connects it."""
        self._finish(how)
        for side in list(self._open.values()):  # it may have been closing slowly
            side.abort()
        self._dial.cancel()
        return self._dial

    # -- toxics -------------------------------------------------------------------------------

    def apply(self, toxic):
        """Let a toxic act on this connection, or alter it, or let it go, as the toxicity has it."""
        if self.is_over or self.upstream.sink is None:
            return
        pipe = getattr(self, toxic.direction)
        stage = next((stage for stage in pipe.stages if stage.toxic.name == toxic.name), None)
        if stage is None:
            rng = random.Random(f"{self._proxy.seed}/{self.number}/{toxic.name}")
            draw = rng.random()
            if draw < toxic.toxicity:
                names = [other.name for other in self._proxy.acting]
                ahead = names[: names.index(toxic.name)]
                index = sum(stage.toxic.name in ahead for stage in pipe.stages)
                if toxic.name not in self.acted:
                    self.acted.append(toxic.name)
                pipe.add(Stage(toxic, pipe, rng, draw), index)
        elif stage.draw < toxic.toxicity:
            pipe.alter(stage, toxic)
        else:
            pipe.remove(stage)

    def leave(self, toxic):
        pipe = getattr(self, toxic.direction)
        for stage in [stage for stage in pipe.stages if stage.toxic.name == toxic.name]:
            pipe.remove(stage)
        self.close_if_done()

    # -- trace --------------------------------------------------------------------------------

    def watch(self, pipe, data):
        """Find out which call is under way, from the W3C traceparent header of a request (HTTP/1)."""
        if self._proxy.trace is None or pipe is not self.upstream:
            return
        if _REQUEST.match(data):  # a new request on a connection that is kept alive
            self._call = None
            self._unnamed.clear()
            self._tail = b""
        data = self._tail + data
        for found in _TRACEPARENT.finditer(data):
            ids = from_traceparent(found[1].decode().lower())
            if ids:
                self._call = ids[1]
                for direction, why in self._unnamed.items():
                    self.lose(direction, why)
                self._unnamed.clear()
        self._tail = data[-_LONGEST_HEADER:]

    def lose(self, direction, why):
        """Tell the trace that the request (upstream) or the reply (downstream) got lost here."""
        if self._proxy.trace is None:
            return
        if self._call is None:  # its header may come in the next piece
            self._unnamed.setdefault(direction, why)
            return
        id = self._call if direction == "upstream" else reply_id(self._call)
        if id not in self._lost:
            self._lost.add(id)
            self._proxy.trace.lose(id, why)
