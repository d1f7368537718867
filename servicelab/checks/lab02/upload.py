"""Exercise 3, build: a large file in pieces, and the server that hands them on.

The learner's client talks to a server of the check's, the learner's server to a client of the check's. Every message
is received with gRPC's default limit of 4 MB.
"""

import hashlib
import threading
import time
from random import Random

import grpc

from servicelab.checks.lab02.lines import channel
from servicelab.checks.learner_traceback import shown
from servicelab.checks.scenario import Stage, scenario, words
from servicelab.servers import GRPCServer, load_version

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
    How many bytes may a message have, all in all, and how many have yours?
greedy: no more than 1 MiB is read at a time
    Fifty uploads at once, and each holds in memory what it has read. What is the argument of your read?
crumbs: only the last piece has less than 16 KiB
    Each message has its price, whatever is in it.
hoarded: it reads on only when the connection takes more
    Who asks for the next piece: you, or gRPC? What is made before the call begins?
returned: what the server says is returned
    What comes back of the call?
deadline: the call has the time that was given, and the server knows it
    gRPC sets no deadline. Where does a call take one, and in which unit?
swallowed: an error of the call reaches the caller as it is, after one call
    What does whoever called you learn? And what would a second call read from a file that can be read once?
unverified: a size or a sum that is not that of the file is a ValueError
    What do you know of the file when the last piece has gone?
collected: each piece is on the shelf before the next one comes
    When does your first write happen: with the first piece, or after the last?
answer: the answer has the size and the sum of what came
    Of which bytes is your sum, and is it the text in hexadecimal? What do you do with a piece that is empty?
not-scanned: the scanner is asked once, with size and sum, when everything is on the shelf
    What stands between the last piece and the answer?
handed-on: the scanner is called with the time that the caller has left just then
    What does gRPC hand on by itself? When do you ask how much is left?
default: a caller without a limit: the scan has 5 s
    What does context say is left when nobody has set a limit, and what does gRPC make of that number?
verdict: what the scanner says instead of an answer comes back, with its code and its words, and it is asked once
    What does a caller learn when your handler raises? And whom does your except catch?
full: no room on the shelf is RESOURCE_EXHAUSTED, and is not scanned
    UNKNOWN says only that something is wrong in your code. Is it? And is half a photo one?
empty: a photo without a byte is INVALID_ARGUMENT, and is not scanned
    How many bytes came in all?
""")


class ShelfFull(Exception):
    """There is no room left for what should be written."""


class File:
    """So many bytes, which nobody has to keep, and which can be read once. Every other read gives half of what it
    could, where that is a piece."""

    def __init__(self, size):
        self.size, self.at, self.largest, self.sum, self.is_short = size, 0, 0, hashlib.sha256(), True
        self._some = Random(size).randbytes(LEAST)

    def read(self, count=-1):
        left = self.size - self.at
        count = left if count is None or count < 0 else min(count, left)
        self.largest, self.is_short = max(self.largest, count), not self.is_short
        count //= 1 + (self.is_short and count >= 2 * LEAST)
        start, self.at = self.at % LEAST, self.at + count
        data = (self._some * (count // LEAST + 2))[start : start + count]
        self.sum.update(data)
        return data


def _served(stage, service, name, method):
    """A stub of a server of the check's, which has one method."""
    servicer = type(service, (getattr(photos.services, f"{service}Servicer"),), {name: staticmethod(method)})()
    return _stub(stage, service, servicer)


def _stub(stage, service, servicer):
    add = getattr(photos.services, f"add_{service}Servicer_to_server")
    server = stage.use(GRPCServer([(add, servicer)], service.lower()))
    return getattr(photos.services, f"{service}Stub")(channel(stage, server.target))


def _with(left) -> str:
    return "without a deadline" if left > 1e9 else f"with {left:.1f} s left"


class Sending(Stage):
    """A server of the check's, for the learner's ``upload``."""

    def __init__(self, ask, upload):
        super().__init__(ask, upload)
        self.stub = _served(self, "Photos", "Upload", self._receive)

    def upload(self, total, timeout, fails=None, **said):
        """``(outcome, file)`` of one upload. The server says what came, or what is ``said``; with ``fails``, a code, it
        takes the first piece only, waits until nobody reads on, and says that."""
        self.file, self.fails, self.said, self.sizes, self.came = File(total), fails, said, [], None
        self.calls, self.left = 0, 0.0
        self.last = self.ask.trace.send("client", "photos", f"{total / MOST:.3g} MiB, {timeout:g} s")
        return self.ask.run(self.yours, self.stub, self.file, timeout, limit=8.0), self.file

    def _receive(self, chunks, context):
        self.ask.trace.receive(self.last, "photos")
        self.calls, self.left, digest = self.calls + 1, context.time_remaining(), hashlib.sha256()
        for chunk in chunks:
            self.sizes.append(len(chunk.data))
            digest.update(chunk.data)
            if self.fails:
                _stands_still(self.file)
                context.abort(self.fails, "not today")
        self.came = {"size": sum(self.sizes), "sha256": digest.hexdigest()}
        return Stored(**self.came | self.said)


def _stands_still(file, seconds=0.4):
    before = -1
    while before != file.at < file.size:
        before = file.at
        time.sleep(seconds)


class Receiving(Stage):
    """The learner's server with a shelf (this stage) and a scanner of the check's, and a client of the check's."""

    def __init__(self, ask, Photos):
        super().__init__(ask, Photos)
        self.wrote, self.full_at, self.verdict = threading.Event(), None, None
        scanner = _served(self, "Scanner", "Scan", self._scan)
        self.stub = _stub(self, "Photos", self.make(Photos, self, scanner, methods=("Upload",)))

    def write(self, data):
        if len(self.shelf) == self.full_at:
            raise ShelfFull("no room for another piece")
        self.shelf.append(bytes(data))
        self.wrote.set()

    def _scan(self, asked, context):
        left, now = context.time_remaining(), time.monotonic()
        self.scans.append((asked.size, asked.sha256, len(b"".join(self.shelf)), self.end - now, left))
        self.ask.trace.receive(self.ask.trace.send("photos", "scanner", f"Scan {_with(left)}"), "scanner")
        if self.verdict:
            context.abort(*self.verdict)
        return photos.messages.Verdict()

    def send(self, *pieces, timeout=6.0, pause=0.0, wait=False):
        """``(answer or None, code, words)``; ``wait`` for each piece to be on the shelf before the next one goes."""
        self.shelf, self.scans, self.late, self.end = [], [], False, time.monotonic() + (timeout or 0)
        sent = f"{len(pieces)} piece{'s' * (len(pieces) != 1)}"
        self.last = self.ask.trace.send("client", "photos", sent)
        self.ask.trace.receive(self.last, "photos")

        def chunks():
            for data in pieces:
                self.wrote.clear()
                yield photos.messages.Chunk(data=data)
                time.sleep(pause)
                self.late = self.late or bool(wait and data and not self.wrote.wait(3.0))

        call = self.stub.Upload.future(chunks(), timeout=timeout)
        try:
            answer = call.result(timeout=8.0)
            return answer, CODE.OK, f"{sent} sent, and the answer was {shown(answer)}"
        except grpc.RpcError as error:
            return None, error.code(), f"{sent} sent: {error.code().name}, {error.details()}"
        except grpc.FutureTimeoutError:
            call.cancel()
            return None, None, f"{sent} sent, and no answer came"
        finally:
            self.wrote.set()  # nobody waits for a shelf any more


check_upload = scenario("02", 3, "10 MB in pieces", WORDS, upload=Sending, Photos=Receiving)


@check_upload.part("upload")
def ten_megabytes(s):
    outcome, file = s.upload(10 * MOST + 5000, 20.0)
    how = "wrong-type" if outcome.returned and not isinstance(outcome.value, Stored) else outcome.how
    is_fine = how == "returned" or isinstance(outcome.error, grpc.RpcError)
    s.ask.need(how, "upload returns a Stored", is_fine, str(outcome), "What does stub.Upload return?", s.last)
    told = f"{sum(s.sizes)} of {file.size} bytes came, in {len(s.sizes)} messages; {outcome}"
    yield "arrives", s.came == {"size": file.size, "sha256": file.sum.hexdigest()}, told
    yield "greedy", file.largest <= MOST, f"{file.largest} bytes were read at once"
    crumbs = sum(size < LEAST for size in s.sizes[:-1])
    yield "crumbs", not crumbs, f"of {len(s.sizes)} messages {crumbs} had less than {LEAST} bytes, the last not counted"
    yield "returned", outcome.value == Stored(**s.came), str(outcome)
    for timeout in (20.0, 7.0, 2.5):
        s.upload(LEAST, timeout)
        is_given = min(0.6 * timeout, timeout - 4) < s.left < ROUND * timeout + OLD  # a machine may stand still for 4 s
        yield "deadline", is_given, f"upload(…, {timeout:g}) called it {_with(s.left)}"


@check_upload.part("upload")
def a_film_of_forty(s):
    outcome, file = s.upload(40 * MOST, 20.0, CODE.RESOURCE_EXHAUSTED)
    told = f"the server had taken one piece, and {file.at / MOST:.1f} of 40 MiB were read"
    yield "hoarded", file.at < 20 * MOST, told
    for code in (CODE.RESOURCE_EXHAUSTED, CODE.UNAVAILABLE, CODE.DEADLINE_EXCEEDED, CODE.INVALID_ARGUMENT):
        if code is not CODE.RESOURCE_EXHAUSTED:
            outcome, _ = s.upload(LEAST, 20.0, code)
        is_same = isinstance(outcome.error, grpc.RpcError) and outcome.error.code() is code
        told = f"the server said {code.name}, and {outcome}; it was called {s.calls} times"
        yield "swallowed", is_same and s.calls == 1, told


@check_upload.part("upload")
def something_else_is_stored(s):
    for said in ({"sha256": hashlib.sha256().hexdigest()}, {"size": 3}, {"size": 2**40}):
        outcome, _ = s.upload(3 * LEAST, 20.0, **said)
        told = f"the server said {said}, which was not so, and {outcome}"
        yield "unverified", isinstance(outcome.error, ValueError), told


@check_upload.part("Photos")
def piece_by_piece(r):
    whole = Random(1).randbytes(3 * LEAST)
    answer, _, told = r.send(whole[:LEAST], b"", whole[LEAST:-LEAST], whole[-LEAST:], wait=True)
    size, sha256 = len(whole), hashlib.sha256(whole).hexdigest()
    kept = b"".join(r.shelf) == whole
    yield "answer", answer == Stored(size=size, sha256=sha256) and kept, f"{told}; the second piece was empty"
    yield "collected", not r.late, "the next piece was held back until the last was on the shelf; for 3 s it was not"
    asked = [scan[:3] for scan in r.scans]
    told = f"Scan was called with (size, sum, bytes on the shelf) {asked}"
    yield "not-scanned", asked == [(size, sha256, size)], told


@check_upload.part("Photos")
def in_time(r):
    for timeout, pause in ((100.0, 0.0), (6.0, 0.4)):
        answer, _, told = r.send(b"a", b"b", timeout=timeout, pause=pause)
        *_, right, left = r.scans[-1] if r.scans else (0.0, 0.0)
        told = f"the caller had {right:.1f} s left of {timeout:g}, and Scan was called {_with(left)}; {told}"
        yield "handed-on", answer is not None and 0.75 * right < left < ROUND * right + OLD, told
    answer, _, told = r.send(b"a", timeout=None)
    left = r.scans[-1][-1] if r.scans else 0.0
    is_right = answer is not None and 0.87 * ALONE < left < ROUND * ALONE + OLD
    yield "default", is_right, f"Scan was called {_with(left) if r.scans else 'not at all'}; {told}"


@check_upload.part("Photos")
def something_is_wrong(r):
    for code in (CODE.FAILED_PRECONDITION, CODE.UNAVAILABLE, CODE.DEADLINE_EXCEEDED):
        r.verdict = code, (why := f"page {code.value[0]} is a virus")
        _, got, told = r.send(b"a")
        told = f"the scanner said {code.name}, {why}, and was asked {len(r.scans)} times; {told}"
        yield "verdict", got is code and told.count(why) > 1 and len(r.scans) == 1, told
    r.verdict = None
    for r.full_at in (2, 0):
        _, got, told = r.send(b"a", b"b", b"c")
        told = f"there was room for {r.full_at}; {told}; {len(r.scans)} were scanned"
        yield "full", got is CODE.RESOURCE_EXHAUSTED and not r.scans, told
    r.full_at = None
    for pieces in ((), (b"", b"")):
        _, got, told = r.send(*pieces)
        yield "empty", got is CODE.INVALID_ARGUMENT and not r.scans, f"{told}; {len(r.scans)} were scanned"
