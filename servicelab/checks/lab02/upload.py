"""Exercise 3, build: a large file in pieces, and the server that hands them on. Each talks to the check's other end."""

import hashlib
import threading
import time

import grpc

from servicelab.checks.lab02.lines import stub_of
from servicelab.checks.learner_traceback import shown
from servicelab.checks.scenario import Stage, scenario, words
from servicelab.servers import load_version

photos = load_version("""syntax = "proto3";
package photos;
message Chunk { bytes data = 1; }
message Stored { int64 size = 1; string sha256 = 2; }
message Verdict {}
service Photos { rpc Upload(stream Chunk) returns (Stored); }
service Scanner { rpc Scan(Stored) returns (Verdict); }
""")
Stored, CODE = photos.messages.Stored, grpc.StatusCode
LEAST, MOST = 16 * 1024, 1024 * 1024  # bytes of a piece
ALONE = 5.0  # seconds for the scan when the caller sets no limit
ROUND, OLD = 1.03, 0.3  # gRPC writes a deadline with few digits, rounded up, and adds it to a time a little old

WORDS = words("""
arrives: 10 MB arrive, byte by byte
    How many bytes may a message have, all in all, how many have yours, and where does your reading end?
pieces: no more than 1 MiB is read at a time, and only the last piece has less than 16 KiB
    What is the argument of your read, and what do you send when it gives nothing? Fifty uploads hold in memory what
    they have read, and each message has its price.
hoarded: it reads on only when the connection takes more
    Who asks for the next piece: you, or gRPC? What is made before the call begins?
deadline: the call has the time that was given, and the server knows it
    gRPC sets no deadline. Where does a call take one, and in which unit?
swallowed: an error of the call reaches the caller as it is, after one call
    What does whoever called you learn? And what would a second call read from a file that can be read once?
unverified: what the server says is returned; a size or a sum that is not that of the file is a ValueError
    What comes back of the call, and what do you know of the file when the last piece has gone?
collected: each piece is on the shelf before the next one comes
    When does your first write happen: with the first piece, or after the last?
answer: the answer has size and sum of what came, and the scanner was asked with these, once, after the last piece
    Of which bytes is your sum, as text in hexadecimal? Is each piece on the shelf once, and is an empty one an end?
    What do you do before you answer?
handed-on: the scanner is called with the time that the caller has left just then, and with 5 s if he has no limit
    What does gRPC hand on by itself? When do you ask how much is left, and what is it when nobody has set a limit?
verdict: what the scanner says instead of an answer comes back, with its code and its words, and it is asked once
    What does a caller learn when your handler raises? Whom does your except catch, and what becomes of his words?
no-photo: a full shelf is RESOURCE_EXHAUSTED, a photo without a byte INVALID_ARGUMENT, and neither is scanned
    What does the caller learn when your handler raises, and what when it goes on? How many bytes came in all, and is
    half a photo one?
""")


class ShelfFull(Exception):
    """There is no room left for what should be written."""


class File:
    """So many bytes, which can be read once. Every other read gives half of what it could, where that is a piece."""

    def __init__(self, size):
        self.data, self.at, self.largest, self.reads = (bytes(range(256)) * (size // 256 + 1))[:size], 0, 0, 0

    def read(self, count=-1):
        count = len(self.data) if count is None or count < 0 else count
        self.largest, self.reads = max(self.largest, count), self.reads + 1
        count //= 2 if self.reads % 2 == 0 and count >= 2 * LEAST else 1
        start, self.at = self.at, min(self.at + count, len(self.data))
        return self.data[start : self.at]


def in_time(left: float | None) -> str:
    """What gRPC says is left of a call, in words: without a limit it says hundreds of years."""
    return "without a limit" if left is None or left > 1e9 else f"with {left:.3g} s left"


def stored(data):
    return Stored(size=len(data), sha256=hashlib.sha256(data).hexdigest())


class Sending(Stage):
    """A server of the check's, for the learner's ``upload``."""

    def __init__(self, ask, upload):
        super().__init__(ask, upload)
        self.stub = stub_of(self, photos, "Photos", self)

    def upload(self, size, timeout, fails=None, says=None):
        """One upload. The server says what came, or what it ``says``, or after the first piece a code: it ``fails``."""
        self.file, self.fails, self.says, self.pieces, self.calls = File(size), fails, says, [], 0
        self.last = self.ask.trace.send("client", "photos", f"{size / MOST:.3g} MiB, {timeout:g} s")
        return self.ask.run(self.yours, self.stub, self.file, timeout, limit=8.0)

    def Upload(self, chunks, context):
        self.ask.trace.receive(self.last, "photos")
        self.calls, self.left = self.calls + 1, context.time_remaining()
        if self.fails:
            next(chunks)
            time.sleep(0.8 if len(self.file.data) > LEAST else 0.0)
            context.abort(self.fails, "not today")
        self.pieces += [chunk.data for chunk in chunks]
        return self.says or stored(b"".join(self.pieces))


class Receiving(Stage):
    """The learner's server with a shelf and a scanner, which are this stage, and a client of the check's."""

    def __init__(self, ask, Photos):
        super().__init__(ask, Photos)
        self.full_at, self.verdict = None, None
        mine = self.make(Photos, self, stub_of(self, photos, "Scanner", self), methods=("Upload",))
        self.stub = stub_of(self, photos, "Photos", mine)

    def write(self, data):
        if len(self.shelf) == self.full_at:
            raise ShelfFull("no room for another piece")
        self.shelf.append(bytes(data))
        self.wrote.release()

    def Scan(self, asked, context):
        self.left, self.due = context.time_remaining(), self.end - time.monotonic() if self.end else ALONE
        self.scans.append((asked.size, asked.sha256, sum(map(len, self.shelf))))
        self.say("photos", "scanner", "Scan")
        if self.verdict:
            context.abort(*self.verdict)
        return photos.messages.Verdict()

    def send(self, *pieces, timeout=6.0, pause=0.0):
        """``(answer or code, words)``. Each piece is held back until the last is on the shelf, or for 3 s."""
        self.shelf, self.scans, self.is_late, self.left, self.due = [], [], False, 0.0, 0.0
        wrote = self.wrote = threading.Semaphore(0)
        self.end, told = timeout and time.monotonic() + timeout, f"a photo in {len(pieces)} piece(s) was sent"
        self.say("client", "photos", f"{len(pieces)} pieces")

        def chunks():
            for data in pieces:
                yield photos.messages.Chunk(data=data)
                time.sleep(pause)
                self.is_late = self.is_late or bool(data) and not wrote.acquire(timeout=3.0)

        try:
            answer = self.stub.Upload(chunks(), timeout=timeout)
            return answer, f"{told}, and the answer was {shown(answer)}"
        except grpc.RpcError as error:
            return error.code(), f"{told}: {error.code().name}, {error.details()}"
        finally:
            wrote.release(9)  # nobody waits for a shelf any more


check_upload = scenario("02", 3, "10 MB in pieces", WORDS, upload=Sending, Photos=Receiving)


@check_upload.part("upload")
def ten_megabytes(s):
    outcome = s.upload(10 * MOST + 5000, 20.0)
    came, sizes = b"".join(s.pieces), [len(piece) for piece in s.pieces]
    told = f"of {len(s.file.data)} bytes {len(came)} came, in {len(sizes)} messages; {outcome}"
    yield "arrives", came == s.file.data, told
    small = sum(size < LEAST for size in sizes[:-1])
    told = f"{s.file.largest} bytes were read at once, and the messages had {shown(sizes, 60)}"
    told += f"; {small} of those before the last were small, and the last had {(sizes or [0])[-1]}"
    yield "pieces", s.file.largest <= MOST and all(size >= LEAST for size in sizes[:-1]), told
    yield "unverified", outcome.value == stored(came), str(outcome)
    right = stored(File(3 * LEAST).data)
    sums = stored(b"").sha256, right.sha256.upper()  # of other bytes; in other letters
    for size, sha256 in (*((right.size, one) for one in sums), (3, right.sha256), (2**40, right.sha256)):
        outcome = s.upload(right.size, 20.0, says=Stored(size=size, sha256=sha256))
        told = f"of {right.size} bytes the server said {shown(s.says)}, which was not so, and {outcome}"
        yield "unverified", isinstance(outcome.error, ValueError), told
    for timeout in (20.0, 7.0, 2.5):
        s.upload(LEAST, timeout)
        is_given = min(0.6 * timeout, timeout - 4) < s.left < ROUND * timeout + OLD  # a machine may stand still for 4 s
        yield "deadline", is_given, f"upload(…, {timeout:g}) called it {in_time(s.left)}"


@check_upload.part("upload")
def a_film_of_forty(s):
    s.upload(40 * MOST, 20.0, CODE.RESOURCE_EXHAUSTED)
    told = f"the server had taken one piece, and {s.file.at / MOST:.1f} of 40 MiB were read"
    yield "hoarded", s.file.at < 20 * MOST, told
    for code in (CODE.RESOURCE_EXHAUSTED, CODE.UNAVAILABLE, CODE.DEADLINE_EXCEEDED, CODE.INVALID_ARGUMENT):
        outcome = s.upload(LEAST, 20.0, code)
        is_same = isinstance(outcome.error, grpc.RpcError) and outcome.error.code() is code
        told = f"the server said {code.name}, and {outcome}; its calls: {s.calls}"
        yield "swallowed", is_same and s.calls == 1, told


@check_upload.part("Photos")
def piece_by_piece_in_time(r):
    whole = File(3 * LEAST).data
    got, told = r.send(whole[:LEAST], b"", whole[LEAST:-LEAST], whole[-LEAST:])
    due = stored(whole)
    there = sum(map(len, r.shelf))
    told += f"; the second was empty, and of {len(whole)} bytes {there} were on the shelf"
    told += "" if b"".join(r.shelf) == whole else ", and not the same ones"
    yield "answer", got == due and b"".join(r.shelf) == whole, told
    yield "collected", not r.is_late, "a piece was held back until the one before was on the shelf; for 3 s it was not"
    told = f"Scan was called with (size, sum, bytes on the shelf) {r.scans}"
    yield "answer", r.scans == [(due.size, due.sha256, due.size)], told

    for timeout, pause, least in ((100.0, 0.0, 0.75), (6.0, 0.4, 0.75), (None, 0.0, 0.87)):
        _, told = r.send(b"a", b"b", timeout=timeout, pause=pause)
        limit = f"a limit of {timeout:g} s" if timeout else "no limit"
        scan = f"called {in_time(r.left)}, and {r.due:.3g} s were due" if r.scans else "not called, or without time"
        told = f"with {limit}, Scan was {scan}; {told}"
        yield "handed-on", least * r.due < r.left < ROUND * r.due + OLD, told


@check_upload.part("Photos")
def something_is_wrong(r):
    for code in (CODE.FAILED_PRECONDITION, CODE.UNAVAILABLE, CODE.DEADLINE_EXCEEDED):
        r.verdict = code, (why := f"page {code.value[0]} is a virus")
        got, told = r.send(b"a")
        told = f"the scanner said {code.name}, {why}, and was asked {len(r.scans)} time(s); {told}"
        yield "verdict", got is code and told.count(why) > 1 and len(r.scans) == 1, told
    r.verdict, full, empty = None, CODE.RESOURCE_EXHAUSTED, CODE.INVALID_ARGUMENT
    for r.full_at, pieces, due in ((2, "abc", full), (0, "abc", full), (None, "", empty), (None, ("", ""), empty)):
        got, told = r.send(*(piece.encode() for piece in pieces))
        told = f"there was room for {'all' if r.full_at is None else r.full_at}; {told}; scans: {len(r.scans)}"
        yield "no-photo", got is due and not r.scans, told
