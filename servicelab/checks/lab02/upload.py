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
ROUND = 1.03  # gRPC writes a deadline with few digits, rounded up

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
swallowed: an error of the call reaches the caller as it is
    What does whoever called you learn, and how would he know whether to try again?
unverified: a size or a sum that is not that of the file is a ValueError
    What do you know of the file when the last piece has gone?
collected: each piece is on the shelf before the next one comes
    When does your first write happen: with the first piece, or after the last?
answer: the answer has the size and the sum of what came
    Of which bytes is your sum, and is it the text in hexadecimal?
not-scanned: the scanner is asked once, with size and sum, when everything is on the shelf
    What stands between the last piece and the answer?
handed-on: the scanner is called with the time that the caller has left just then
    What does gRPC hand on by itself? When do you ask how much is left?
default: a caller without a limit: the scan has 5 s
    What does context say is left when nobody has set a limit, and what does gRPC make of that number?
verdict: what the scanner says instead of an answer comes back, with its code and its words
    What does a caller learn when your handler raises? And whom does your except catch?
full: no room on the shelf is RESOURCE_EXHAUSTED
    UNKNOWN says only that something is wrong in your code. Is it?
empty: a photo without a byte is INVALID_ARGUMENT, and is not scanned
    How many bytes came in all?
""")


class ShelfFull(Exception):
    """There is no room left for what should be written."""


class File:
    """So many bytes, which nobody has to keep, and which can be read once."""

    def __init__(self, size):
        self.size, self.at, self.largest, self.sum = size, 0, 0, hashlib.sha256()
        self._some = Random(size).randbytes(LEAST)

    def read(self, count=-1):
        left = self.size - self.at
        count = left if count is None or count < 0 else min(count, left)
        start, self.at, self.largest = self.at % LEAST, self.at + count, max(self.largest, count)
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


class Sending(Stage):
    """A server of the check's, for the learner's ``upload``."""

    def __init__(self, ask, upload):
        super().__init__(ask, upload)
        self.stub = _served(self, "Photos", "Upload", self._receive)

    def upload(self, total, timeout, held=False, **said):
        """``(outcome, file)`` of one upload. The server says what came, or what is ``said``; with ``held`` it takes the
        first piece only, and waits until nobody reads on."""
        self.file, self.held, self.said, self.sizes, self.came = File(total), held, said, [], None
        self.last = self.ask.trace.send("client", "photos", f"{total / MOST:.3g} MiB, {timeout:g} s")
        return self.ask.run(self.yours, self.stub, self.file, timeout, limit=8.0), self.file

    def _receive(self, chunks, context):
        self.ask.trace.receive(self.last, "photos")
        self.left, digest = context.time_remaining(), hashlib.sha256()
        for chunk in chunks:
            self.sizes.append(len(chunk.data))
            digest.update(chunk.data)
            if self.held:
                _stands_still(self.file)
                context.abort(CODE.RESOURCE_EXHAUSTED, "no room today")
        self.came = {"size": sum(self.sizes), "sha256": digest.hexdigest()}
        return Stored(**self.came | self.said)


def _stands_still(file, seconds=0.4):
    before = -1
    while before != file.at:
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
        self.ask.trace.receive(self.ask.trace.send("photos", "scanner", f"Scan, {left:.3g} s left"), "scanner")
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
                self.late = self.late or (wait and not self.wrote.wait(3.0))

        call = self.stub.Upload.future(chunks(), timeout=timeout)
        try:
            answer = call.result(timeout=8.0)
            return answer, CODE.OK, f"{sent} sent, and the answer was {shown(answer)}"
        except grpc.RpcError as error:
            return None, error.code(), f"{sent} sent: {error.code().name}, {error.details()}"
        except grpc.FutureTimeoutError:
            call.cancel()
            return None, None, f"{sent} sent, and no answer came"


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
    for timeout in (20.0, 7.0):
        s.upload(LEAST, timeout)
        told = "without a deadline" if s.left > 1e9 else f"with {s.left:.3g} s left"
        yield "deadline", timeout / 2 < s.left <= ROUND * timeout, f"upload(…, {timeout:g}) called it {told}"


@check_upload.part("upload")
def a_film_of_forty(s):
    outcome, file = s.upload(40 * MOST, 20.0, held=True)
    yield (
        "hoarded",
        file.at < 20 * MOST,
        f"the server had taken one piece, and {file.at / MOST:.1f} of 40 MiB were read",
    )
    code = outcome.error.code() if isinstance(outcome.error, grpc.RpcError) else None
    yield "swallowed", code is CODE.RESOURCE_EXHAUSTED, f"the server said RESOURCE_EXHAUSTED, and {outcome}"


@check_upload.part("upload")
def something_else_is_stored(s):
    for said in ({"sha256": hashlib.sha256().hexdigest()}, {"size": 3}):
        outcome, _ = s.upload(3 * LEAST, 20.0, **said)
        yield (
            "unverified",
            isinstance(outcome.error, ValueError),
            f"the server said {said}, which was not so, and {outcome}",
        )


@check_upload.part("Photos")
def piece_by_piece(r):
    whole = Random(1).randbytes(3 * LEAST)
    answer, _, told = r.send(*(whole[at : at + LEAST] for at in (0, LEAST, 2 * LEAST)), wait=True)
    yield "collected", not r.late, "the next piece was held back until the last was on the shelf; for 3 s it was not"
    size, sha256 = len(whole), hashlib.sha256(whole).hexdigest()
    kept = b"".join(r.shelf) == whole
    yield "answer", answer == Stored(size=size, sha256=sha256) and kept, told
    asked = [scan[:3] for scan in r.scans]
    yield (
        "not-scanned",
        asked == [(size, sha256, size)],
        f"Scan was called with (size, sum, bytes on the shelf) {asked}",
    )


@check_upload.part("Photos")
def in_time(r):
    for timeout, pause in ((20.0, 0.0), (6.0, 0.4)):
        answer, _, told = r.send(b"a", b"b", timeout=timeout, pause=pause)
        *_, right, left = r.scans[-1] if r.scans else (0.0, 0.0)
        told = f"the caller had {right:.2f} s left of {timeout:g}, and Scan was called with {left:.3g} s; {told}"
        yield "handed-on", answer is not None and right / 2 < left < ROUND * right + 0.1, told
    answer, _, told = r.send(b"a", timeout=None)
    left = r.scans[-1][-1] if r.scans else 0.0
    is_right = answer is not None and ALONE / 2 < left <= ROUND * ALONE
    yield (
        "default",
        is_right,
        f"Scan was called with {f'{left:.3g} s' if r.scans else 'nothing, for it was not'}; {told}",
    )


@check_upload.part("Photos")
def something_is_wrong(r):
    for code, why in (
        (CODE.FAILED_PRECONDITION, "page 3 of the photo is a virus"),
        (CODE.UNAVAILABLE, "out for lunch"),
    ):
        r.verdict = code, why
        _, got, told = r.send(b"a")
        yield "verdict", got is code and why in told, f"the scanner said {code.name}, {why}; {told}"
    r.verdict = None
    for r.full_at in (2, 0):
        _, got, told = r.send(b"a", b"b", b"c")
        yield "full", got is CODE.RESOURCE_EXHAUSTED, f"there was room for {r.full_at}; {told}"
    r.full_at = None
    for pieces in ((), (b"", b"")):
        _, got, told = r.send(*pieces)
        yield "empty", got is CODE.INVALID_ARGUMENT and not r.scans, f"{told}; {len(r.scans)} were scanned"
