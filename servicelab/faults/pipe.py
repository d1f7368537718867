"""A pipe carries one direction of one connection through the toxics that act on it.

    source socket -> stage (toxic) -> stage (toxic) -> … -> sink socket

A *stage* is a toxic at work: it keeps what the toxic lets wait, and one timer. All of it runs in
the proxy's loop, so nothing here needs a lock.
"""

from collections import deque
from itertools import groupby

from servicelab.faults.toxics import END, Cut

#: Bytes that may wait at the sink before the proxy stops reading, or as many as a toxic may hold.
ROOM = 512 * 1024


class Stage:
    """One toxic at work in one pipe. The fields a toxic may use are told in ``toxics``."""

    def __init__(self, toxic, pipe, rng, draw):
        self.toxic = toxic
        self.rng = rng
        self.draw = draw  # of [0, 1): it acts where this is below the toxicity
        self.began = self.free_at = pipe.clock()
        self.struck = None
        self.passed = 0
        self.held = 0  # bytes
        self._pipe = pipe
        self._queue = deque()  # (due, came, piece)
        self._timer = None
        self._is_cut = False

    def begin(self):
        self._put(self.began, self.toxic.begin(self))

    def feed(self, piece):
        if self._is_cut:
            return
        now = self._pipe.clock()
        if isinstance(piece, bytes):
            self._put(now, self.toxic.data(self, now, piece))
        else:
            self._put(now, self.toxic.end(self, now, piece))

    def alter(self, toxic):
        """Go on with other settings. What waits is judged again by them, from when it came."""
        self.toxic = toxic
        waiting = list(self._queue)
        self.stop()
        self.free_at = self._pipe.clock()
        self.begin()
        data = [(came, piece) for _, came, piece in waiting if isinstance(piece, bytes)]
        for came, pieces in groupby(data, key=lambda pair: pair[0]):
            self._put(came, toxic.data(self, came, b"".join(piece for _, piece in pieces)))
        for _, came, piece in waiting:
            if not isinstance(piece, bytes) and not (isinstance(piece, Cut) and piece.by.name == toxic.name):
                self._put(came, toxic.end(self, came, piece))

    def leave(self):
        """The toxic is removed: what waits goes on at once, or the connection ends."""
        waiting = [piece for _, _, piece in self._queue]
        cut = self.toxic.leave(self)
        self.stop()
        for piece in [cut] if cut else waiting:
            self._pipe.forward(self, piece)

    def stop(self):
        """Forget everything."""
        self._queue.clear()
        self.held = 0
        if self._timer:
            self._timer.cancel()
            self._timer = None

    def drop(self):
        self._pipe.connection.lose(self._pipe.direction, f"dropped by {self.toxic.word} toxic")

    @property
    def is_waiting(self) -> bool:
        """Is the other side still to see something of what came here?"""
        return bool(self._queue)

    def _put(self, came, pairs):
        for due, piece in pairs:
            if not self._queue and due <= self._pipe.clock():
                self._pass_on(piece)
                continue
            self._queue.append((due, came, piece))
            if isinstance(piece, bytes):
                self.held += len(piece)
        self._set_timer()

    def _release(self):
        self._timer = None
        now = self._pipe.clock()
        while self._queue and self._queue[0][0] <= now:
            _, _, piece = self._queue.popleft()
            if isinstance(piece, bytes):
                self.held -= len(piece)
            self._pass_on(piece)
        self._set_timer()
        self._pipe.balance()
        self._pipe.connection.close_if_done()

    def _pass_on(self, piece):
        if isinstance(piece, bytes):
            self.passed += len(piece)
        elif isinstance(piece, Cut):
            self._is_cut = True
        self._pipe.forward(self, piece)

    def _set_timer(self):
        if self._queue and not self._timer:
            self._timer = self._pipe.call_at(self._queue[0][0], self._release)


class Pipe:
    """One direction of a connection. ``source`` and ``sink`` are its sides (:mod:`servicelab.faults.side`)."""

    def __init__(self, direction, connection, loop):
        self.direction = direction
        self.connection = connection
        self.clock = loop.time
        self.call_at = loop.call_at
        self.source = self.sink = None
        self.stages: list[Stage] = []
        self.came = 0  # bytes read from the source
        self.went = 0  # bytes handed to the sink
        self.has_ended = False  # the source has closed its half
        self._is_paused = False

    def feed(self, piece):
        """Something came from the source."""
        if self.connection.is_over or self.has_ended:
            return
        if piece is END:
            self.has_ended = True
        else:
            self.came += len(piece)
        self.forward(None, piece)
        self.balance()
        if self.has_ended:
            self.connection.close_if_done()

    def forward(self, stage, piece):
        """Give a piece to whatever comes after ``stage`` (None: to the first)."""
        if self.connection.is_over:
            return
        after = self.stages.index(stage) + 1 if stage else 0
        if after < len(self.stages):
            self.stages[after].feed(piece)
        elif isinstance(piece, bytes):
            self.went += len(piece)
            self.sink.write(piece)
        elif piece is END:
            self.sink.write_eof()
        else:
            self.connection.cut(piece)

    def balance(self):
        """Stop reading while the sink or a toxic has enough to do, so that the sender feels it."""
        room = max([ROOM, *(stage.toxic.hold for stage in self.stages)])
        full = self.sink.held > room or any(stage.held > stage.toxic.hold for stage in self.stages)
        # After its end the source must not be touched: it would report its end a second time.
        if full == self._is_paused or self.has_ended or self.source is None:
            return
        self._is_paused = full
        if full:
            self.source.pause_reading()
        else:
            self.source.resume_reading()

    @property
    def is_done(self) -> bool:
        """The source has closed, and nothing waits that the sink is to see."""
        return self.has_ended and not any(stage.is_waiting for stage in self.stages)

    def stop(self):
        for stage in self.stages:
            stage.stop()

    # -- changing the toxics under way --------------------------------------------------------

    def add(self, stage, index):
        self.stages.insert(index, stage)
        stage.begin()
        self.balance()

    def alter(self, stage, toxic):
        stage.alter(toxic)
        self.balance()

    def remove(self, stage):
        stage.leave()
        self.stages.remove(stage)
        self.balance()
