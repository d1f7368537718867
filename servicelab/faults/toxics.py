"""The toxics: what each is set to, and what it does to a piece of data.

A toxic decides and nothing else. It is told what came in and when, and answers with *pairs*
``(due, piece)``: pass this piece on at that time (in seconds on the clock of ``now``). It holds no
data, reads no clock and opens no socket; :mod:`servicelab.faults.pipe` does that. A piece is some
bytes, or ``END`` (the sender has closed its half), or a :class:`Cut` (the toxic ends the connection).

The rules, in the order in which the pipe applies them:

1. ``begin(stage)`` once, when the toxic starts to act on a connection, and again when it is altered.
2. ``data(stage, now, data)`` for bytes, ``end(stage, now, signal)`` for ``END`` or a ``Cut``.
3. Pieces leave in the order in which they came, whatever their times (TCP is a stream): a piece
   that is due before the one ahead of it waits for that one.
4. Once a ``Cut`` has passed, nothing passes any more; while it waits, the toxic is still asked.
5. ``leave(stage)`` once, when the toxic is removed: a ``Cut``, or None and what was held goes on at once.

``stage`` holds what the toxic must remember about one direction of one connection: ``began``
(when it started to act), ``passed`` (bytes let through), ``free_at`` (when the last piece has left),
``struck`` (when a reset was set off), ``rng`` (the random numbers of this toxic on this connection),
and ``drop()`` to tell that data was thrown away.
"""

from dataclasses import MISSING, dataclass, field, fields, replace
from typing import ClassVar

from servicelab.arguments import positive, seconds, share, whole

DIRECTIONS = ("downstream", "upstream")


class _End:
    def __repr__(self):
        return "END"


#: The sender has closed its half of the connection.
END = _End()


@dataclass(frozen=True)
class Cut:
    """The end of the connection by the toxic ``by``; ``reset``: with a TCP RST, not an orderly close."""

    by: "Toxic"
    reset: bool = False


@dataclass(frozen=True, repr=False)
class Toxic:
    """What all toxics share.

    ``direction``: "downstream" (server to client, the default) or "upstream" (client to server).
    ``toxicity``: the share of connections it acts on, 0 to 1; drawn once for each connection, from
    the proxy's seed, the connection's number and the toxic's name, never from the time.
    ``name``: by default word and direction, as in ``latency_downstream``.

    Raises ValueError, which names the bad value, for anything outside its range, TypeError for what is no number.
    """

    word: ClassVar[str] = ""
    #: Bytes that may wait in it before the proxy stops reading from the sender.
    hold: ClassVar[int] = 64 * 1024

    direction: str = field(default="downstream", kw_only=True)
    toxicity: float = field(default=1.0, kw_only=True)
    name: str = field(default="", kw_only=True)

    def __post_init__(self):
        if self.direction not in DIRECTIONS:
            raise ValueError(
                f"direction={self.direction!r} is no direction: use 'downstream' (server to client) "
                "or 'upstream' (client to server)"
            )
        self._take(share, "toxicity", "the share of connections the toxic acts on")
        if not isinstance(self.name, str):
            raise ValueError(f"name={self.name!r} must be a string, such as 'slow_answers'")
        if not self.name:
            object.__setattr__(self, "name", self._usual_name())
        self._check()

    @property
    def settings(self) -> str:
        """Its own settings, as in ``latency=0.2, jitter=0.05``."""
        common = {"direction", "toxicity", "name"}
        own = (f.name for f in fields(self) if f.init and f.name not in common)
        return ", ".join(f"{name}={getattr(self, name)!r}" for name in own)

    def __repr__(self):
        where = "" if isinstance(self, Down) else f"direction={self.direction!r}"
        share = "" if self.toxicity == 1 else f"toxicity={self.toxicity!r}"
        return f"{type(self).__name__}({', '.join(filter(None, (self.settings, where, share)))})"

    # -- what a toxic fills in ----------------------------------------------------------------

    def _usual_name(self):
        return f"{self.word}_{self.direction}"

    def _check(self):
        """Raise ValueError or TypeError if a setting is out of range."""

    def _take(self, validator, name, *which, **limits):
        """Let ``validator`` of :mod:`servicelab.arguments` look at a setting."""
        object.__setattr__(self, name, validator(name, getattr(self, name), *which, **limits))

    def begin(self, stage):
        return ()

    def data(self, stage, now, data):
        yield now, data

    def end(self, stage, now, signal):
        yield now, signal

    def leave(self, stage) -> Cut | None:
        return None


@dataclass(frozen=True, repr=False)
class Latency(Toxic):
    """Every piece of data arrives ``latency`` ± ``jitter`` seconds later (uniform, never below 0).

    A queue of (due, bytes) delays the data and does not slow it down: as much per second gets
    through as without it, as on a long cable.
    """

    word: ClassVar[str] = "latency"
    # What a long fast link has in flight: 128 MB is 2.5 GB/s, as fast as this machine talks to itself, for 50 ms.
    hold: ClassVar[int] = 128 * 1024 * 1024

    latency: float
    jitter: float = 0.0

    def _check(self):
        self._take(seconds, "latency", "the time by which data is delayed")
        self._take(seconds, "jitter", "the delay varies by this much to either side")

    def delay(self, rng) -> float:
        """The next delay in seconds, drawn from ``rng``."""
        if not self.jitter:
            return self.latency
        return max(0.0, self.latency + rng.uniform(-self.jitter, self.jitter))

    def data(self, stage, now, data):
        yield now + self.delay(stage.rng), data


@dataclass(frozen=True, repr=False)
class Bandwidth(Toxic):
    """At most ``rate`` bytes per second get through (Toxiproxy: kB/s), on each connection by itself.

    A token bucket without depth: a byte passes when it would have arrived over a line of that rate,
    so n bytes never take less than n / rate seconds, and an idle line saves nothing up. With
    ``shared=True``, which Toxiproxy does not have, all connections share one such line.
    """

    word: ClassVar[str] = "bandwidth"
    # Data passes in pieces of this many seconds, so that it flows instead of arriving in lumps.
    piece: ClassVar[float] = 0.02

    rate: float
    shared: bool = False
    line: "Line" = field(default_factory=lambda: Line(), init=False, repr=False, compare=False)

    def _check(self):
        if not isinstance(self.shared, bool):
            raise ValueError(f"shared={self.shared!r} must be True (one line for all connections) or False")
        self._take(positive, "rate", "bytes/s", "to let nothing through, add the toxic 'timeout' instead")

    def data(self, stage, now, data):
        size = max(1, int(self.rate * self.piece))
        line = self.line if self.shared else stage
        for piece in _pieces(data, lambda: size):
            # An altered rate begins with the moment of the change, on this connection (stage) as on a shared line:
            # what has waited until then was not under way.
            line.free_at = max(now, stage.free_at, line.free_at) + len(piece) / self.rate
            yield line.free_at, piece


@dataclass
class Line:
    """When the last piece on a line that connections share will have left."""

    free_at: float = 0.0


@dataclass(frozen=True, repr=False)
class SlowClose(Toxic):
    """The close of the connection arrives ``delay`` seconds late; data passes at once."""

    word: ClassVar[str] = "slow_close"

    delay: float

    def _check(self):
        self._take(seconds, "delay", "the time by which the close is delayed")

    def end(self, stage, now, signal):
        yield now + self.delay, signal


@dataclass(frozen=True, repr=False)
class Timeout(Toxic):
    """Nothing gets through: data is dropped at once, and ``timeout`` seconds after the toxic began
    to act on the connection it is closed. With 0 it stays open, silent, until the toxic is removed
    (or both sides have closed).

    When the toxic is removed its connections are closed, as in Toxiproxy: bytes are missing, so the
    stream could not go on. Two points where Toxiproxy's code and documentation differ follow the
    documentation: the time is not started afresh by each piece of data, and the sender's own close
    is held back like its data.
    """

    word: ClassVar[str] = "timeout"

    timeout: float = 0.0

    def _check(self):
        self._take(seconds, "timeout", "0 keeps the connection open until the toxic is removed")

    def begin(self, stage):
        if self.timeout > 0:
            yield stage.began + self.timeout, Cut(self)

    def data(self, stage, now, data):
        stage.drop()
        return ()

    def end(self, stage, now, signal):
        if signal is not END:
            yield now, signal

    def leave(self, stage):
        return Cut(self)


@dataclass(frozen=True, repr=False)
class ResetPeer(Toxic):
    """The connection breaks with a TCP RST on both sides, ``timeout`` seconds after the first data
    in this direction, and that data is lost. So "downstream" breaks it when the work is already
    done, "upstream" before the request has reached the server.
    """

    word: ClassVar[str] = "reset_peer"

    timeout: float = 0.0

    def _check(self):
        self._take(seconds, "timeout", "0 resets at once")

    def begin(self, stage):
        if stage.struck is not None:  # it was altered after it had been set off
            yield stage.struck + self.timeout, Cut(self, reset=True)

    def data(self, stage, now, data):
        if stage.struck is None:
            stage.struck = now
            yield now + self.timeout, Cut(self, reset=True)

    def end(self, stage, now, signal):
        return self.data(stage, now, signal)

    def leave(self, stage):
        return None if stage.struck is None else Cut(self, reset=True)


@dataclass(frozen=True, repr=False)
class Slicer(Toxic):
    """Data is cut into pieces of ``average_size`` ± ``size_variation`` bytes (uniform), with
    ``delay`` seconds after each (Toxiproxy: microseconds). All bytes arrive, in many small reads.
    """

    word: ClassVar[str] = "slicer"

    average_size: int
    size_variation: int = 0
    delay: float = 0.0

    def _check(self):
        self._take(whole, "average_size", "bytes")
        mend = f"a piece of average_size={self.average_size} needs a byte"
        self._take(whole, "size_variation", mend, least=0, most=self.average_size - 1)
        self._take(seconds, "delay", "the pause after each piece")

    def data(self, stage, now, data):
        low, high = self.average_size - self.size_variation, self.average_size + self.size_variation
        for piece in _pieces(data, lambda: stage.rng.randint(low, high)):
            due = max(now, stage.free_at)
            stage.free_at = due + self.delay
            yield due, piece


@dataclass(frozen=True, repr=False)
class LimitData(Toxic):
    """After ``bytes`` bytes in this direction the connection is closed, in the middle of a message
    if that is where it falls. Counted on each connection from when the toxic began to act.
    """

    word: ClassVar[str] = "limit_data"

    bytes: int

    def _check(self):
        self._take(whole, "bytes", "how many bytes pass before the connection closes", least=0)

    def data(self, stage, now, data):
        left = max(0, self.bytes - stage.passed)
        if left:
            yield now, data[:left]
        if len(data) >= left:
            yield now, Cut(self)


@dataclass(frozen=True, repr=False)
class Down(Toxic):
    """The service is down: the proxy refuses new connections (ECONNREFUSED) and cuts the open ones.
    The port number stays reserved, and answers again when the toxic is removed.

    It concerns the port, so neither a direction nor a toxicity below 1 makes sense.
    """

    word: ClassVar[str] = "down"

    def _usual_name(self):
        return self.word

    def _check(self):
        if self.direction != "downstream":
            raise ValueError(f"direction={self.direction!r} means nothing for 'down': leave it out")
        if self.toxicity != 1:
            raise ValueError(
                f"toxicity={self.toxicity!r} means nothing for 'down', which closes the port for all: "
                "leave it out, or use 'reset_peer'"
            )


#: Every toxic by its word.
TOXICS: dict[str, type[Toxic]] = {
    toxic.word: toxic for toxic in (Latency, Bandwidth, SlowClose, Timeout, ResetPeer, Slicer, LimitData, Down)
}


def make(toxic, settings) -> Toxic:
    """A toxic from itself, or from its word and settings. Raises ValueError."""
    if isinstance(toxic, Toxic) and type(toxic) is not Toxic:
        return replace(toxic, **_known(type(toxic), settings)) if settings else toxic
    if isinstance(toxic, type) and issubclass(toxic, Toxic) and toxic.word:
        toxic = toxic.word
    if not isinstance(toxic, str) or toxic not in TOXICS:
        raise ValueError(f"{toxic!r} is no toxic: use one of {', '.join(TOXICS)}")
    kind = TOXICS[toxic]
    missing = [f.name for f in fields(kind) if f.init and f.default is MISSING and f.name not in settings]
    if missing:
        raise ValueError(f"the toxic {toxic!r} needs {' and '.join(missing)}, as in {toxic!r}, {missing[0]}=…")
    return kind(**_known(kind, settings))


def alter(toxic, changes) -> Toxic:
    """The toxic with other settings. Raises ValueError."""
    for fixed in ("direction", "name"):
        if fixed in changes and changes[fixed] != getattr(toxic, fixed):
            raise ValueError(
                f"{fixed}={changes[fixed]!r}: the {fixed} of {toxic.name!r} cannot be altered; remove it, add another"
            )
    return replace(toxic, **_known(type(toxic), changes))


def _known(kind, settings):
    names = [f.name for f in fields(kind) if f.init]
    for name in settings:
        if name not in names:
            raise ValueError(
                f"{name}={settings[name]!r}: the toxic {kind.word!r} has no {name!r}, only {', '.join(names)}"
            )
    return settings


def _pieces(data, size):
    start = 0
    while start < len(data):
        piece = data[start : start + size()]
        start += len(piece)
        yield piece
