"""Exercise 3: three clients and three servers for large files, and what goes wrong with theirs."""

import hashlib

import grpc

from servicelab.checks.lab02 import ShelfFull, photos
from tests.lab11_answers import but

Chunk, Stored = photos.messages.Chunk, photos.messages.Stored
CODE = grpc.StatusCode
KIB, MIB = 1024, 1024 * 1024


# -- clients -------------------------------------------------------------------------------------------


def upload(stub, file, timeout):
    digest, size = hashlib.sha256(), 0

    def chunks():
        nonlocal size
        while data := file.read(256 * KIB):
            digest.update(data)
            size += len(data)
            yield Chunk(data=data)

    stored = stub.Upload(chunks(), timeout=timeout)
    if (stored.size, stored.sha256) != (size, digest.hexdigest()):
        raise ValueError(f"{stored} is not what was sent")
    return stored


class Pieces:
    """An iterator that notes what went through it."""

    def __init__(self, file):
        self.file, self.digest, self.size = file, hashlib.sha256(), 0

    def __iter__(self):
        return self

    def __next__(self):
        if not (data := self.file.read(MIB)):
            raise StopIteration
        self.digest.update(data)
        self.size += len(data)
        return Chunk(data=data)


def by_iterator(stub, file, timeout):
    pieces = Pieces(file)
    call = stub.Upload.future(pieces, timeout=timeout)
    stored = call.result()
    if stored != Stored(size=pieces.size, sha256=pieces.digest.hexdigest()):
        raise ValueError("something else was stored")
    return stored


def by_expression(stub, file, timeout):
    digest, sizes = hashlib.sha256(), []
    pieces = iter(lambda: file.read(16 * KIB), b"")
    noted = (sizes.append(len(data)) or digest.update(data) or Chunk(data=data) for data in pieces)
    stored, _ = stub.Upload.with_call(noted, timeout=timeout)
    if stored.size != sum(sizes) or stored.sha256 != digest.hexdigest():
        raise ValueError("it broke on the way")
    return stored


# -- servers -------------------------------------------------------------------------------------------


class Photos(photos.services.PhotosServicer):
    def __init__(self, shelf, scanner):
        self.shelf, self.scanner = shelf, scanner

    def Upload(self, chunks, context):
        digest, size = hashlib.sha256(), 0
        for chunk in chunks:
            try:
                self.shelf.write(chunk.data)
            except ShelfFull as error:
                context.abort(CODE.RESOURCE_EXHAUSTED, str(error))
            digest.update(chunk.data)
            size += len(chunk.data)
        if not size:
            context.abort(CODE.INVALID_ARGUMENT, "a photo has bytes")
        stored = Stored(size=size, sha256=digest.hexdigest())
        left = context.time_remaining()
        left = min(left, 5.0) if left > 1e9 else left
        try:
            self.scanner.Scan(stored, timeout=left)
        except grpc.RpcError as error:
            context.abort(error.code(), error.details())
        return stored


class InSteps(photos.services.PhotosServicer):
    """Sets code and details instead of raising; a little less time than there is."""

    def __init__(self, shelf, scanner):
        self.keep, self.ask = shelf.write, scanner.Scan

    def Upload(self, chunks, context):
        digest = hashlib.sha256()
        try:
            stored = Stored(size=sum(self.kept(chunk.data, digest) for chunk in chunks))
        except ShelfFull:
            context.set_code(CODE.RESOURCE_EXHAUSTED)
            return Stored()
        if stored.size == 0:
            context.set_code(CODE.INVALID_ARGUMENT)
            context.set_details("empty")
            return Stored()
        stored.sha256 = digest.hexdigest()
        left = context.time_remaining()
        call = self.ask.future(stored, timeout=0.95 * left if left < 1e6 else 5)
        try:
            call.result()
        except grpc.RpcError as error:
            context.set_code(error.code())
            context.set_details(error.details())
        return stored

    def kept(self, data, digest):
        self.keep(data)
        digest.update(data)
        return len(data)


def one_error_table(shelf, scanner):
    """No class of the contract's: an object that has Upload. Its errors are translated in one place."""

    class Handler:
        def Upload(self, chunks, context):
            try:
                return store(chunks, context)
            except ShelfFull as error:
                code, why = CODE.RESOURCE_EXHAUSTED, repr(error)
            except EOFError as error:
                code, why = CODE.INVALID_ARGUMENT, repr(error)
            except grpc.RpcError as error:
                code, why = error.code(), "the scanner: " + error.details()
            context.abort(code, why)

    def store(chunks, context):
        total = hashlib.sha256()
        size = 0
        for chunk in filter(lambda chunk: chunk.data, chunks):
            shelf.write(chunk.data)
            total.update(chunk.data)
            size += len(chunk.data)
        if size == 0:
            raise EOFError("nothing came")
        answer = Stored(size=size, sha256=total.hexdigest())
        limit = context.time_remaining()
        scanner.Scan(answer, timeout=5.0 if limit is None or limit > 365 * 86400 else limit)
        return answer

    return Handler()


# -- mistakes ------------------------------------------------------------------------------------------

READ, CALL = "file.read(256 * KIB)", "stored = stub.Upload(chunks(), timeout=timeout)"
CUT = "[whole[at : at + MIB] for at in range(0, len(whole), MIB)]"
TIMEOUT, SAME = "timeout=timeout", "(stored.size, stored.sha256) != (size, digest.hexdigest())"
LOOP, LEFT, ASKED = "for chunk in chunks:", "min(left, 5.0) if left > 1e9 else left", "left = context.time_remaining()"
SCAN, COUNT = "self.scanner.Scan(stored, timeout=left)", "size += len(chunk.data)"
FULL, ABORT = "context.abort(CODE.RESOURCE_EXHAUSTED, str(error))", "context.abort(error.code(), error.details())"


def tried(call, then, indent):
    """The call, and what is done when it fails."""
    lines = ("try:", f"    {call}", "except grpc.RpcError as error:", *(f"    {line}" for line in then))
    return f"{call} => " + f"\n{' ' * indent}".join(lines)


RIGHT = {
    "a generator": (upload, Photos),
    "an iterator and set_code": (by_iterator, InSteps),
    "an expression, and one table of errors": (by_expression, one_error_table),
}
_CLIENTS = {
    "in one message": ([f"{READ} => file.read()"], "arrives"),
    "4 MiB exactly": ([f"{READ} => file.read(4 * MIB)"], "arrives"),
    "until a read is short": ([f"while data := {READ}: => while len(data := {READ}) == 256 * KIB:"], "arrives"),
    "read whole, cut later": ([f"while data := {READ}: => whole = file.read()\n        for data in {CUT}:"], "pieces"),
    "2 MiB": ([f"{READ} => file.read(2 * MIB)"], "pieces"),
    "crumbs": ([f"{READ} => file.read(4 * KIB)"], "pieces"),
    "all pieces first": (["Upload(chunks() => Upload(iter([*chunks()])"], "hoarded"),
    "another Stored": (["return stored => return Stored(size=stored.size)"], "unverified"),
    "no deadline": ([f"{TIMEOUT} => "], "deadline"),
    "ten seconds": ([f"{TIMEOUT} => timeout=10"], "deadline"),
    "in milliseconds": ([f"{TIMEOUT} => timeout=timeout * 1000"], "deadline"),
    "half of the time": ([f"{TIMEOUT} => timeout=timeout / 2"], "deadline"),
    "ten seconds at the most": ([f"{TIMEOUT} => timeout=min(timeout, 10)"], "deadline"),
    "five seconds at the least": ([f"{TIMEOUT} => timeout=max(timeout, 5)"], "deadline"),
    "once more": ([tried(CALL, ["if error.code() is not CODE.UNAVAILABLE: raise", CALL], 4)], "swallowed"),
    "Python's errors": (
        [tried(CALL, ["raise TimeoutError if error.code() is CODE.DEADLINE_EXCEEDED else error"], 4)],
        "swallowed",
    ),
    "RuntimeError": ([tried(CALL, ["raise RuntimeError from error"], 4)], "swallowed"),
    "more is not wrong": ([f"{SAME} => stored.size < size or stored.sha256 != digest.hexdigest()"], "unverified"),
    "believes everything": ([f"{SAME} => not stored"], "unverified"),
    "in any letters": ([f"{SAME} => stored.size != size or stored.sha256.lower() != digest.hexdigest()"], "unverified"),
    "believes the sum": ([f"{SAME} => stored.size != size"], "unverified"),
}
_SERVERS = {
    "collects": ([f"{LOOP} => for chunk in list(chunks):"], "collected"),
    "half of the sum": (["return stored => return Stored(size=size, sha256=stored.sha256[:32])"], "answer"),
    "an empty piece is the end": ([f"{LOOP} => for chunk in chunks:\n            if not chunk.data: break"], "answer"),
    "an empty piece is an error": (
        [f"{LOOP} => for chunk in chunks:\n            if not chunk.data: context.abort(CODE.INVALID_ARGUMENT, '')"],
        "answer",
    ),
    "not scanned": ([f"{SCAN} => pass"], "answer"),
    "scanned twice": ([f"{SCAN} => {SCAN}, {SCAN}"], "answer"),
    "scanned at the first piece": (
        [
            f"{SCAN} => pass",
            f"{COUNT} => {COUNT}\n            if size == len(chunk.data): self.scanner.Scan(Stored(size=size))",
        ],
        "answer",
    ),
    "no deadline for the scan": ([f"{SCAN} => self.scanner.Scan(stored)"], "handed-on"),
    "five seconds always": ([f"{LEFT} => 5.0"], "handed-on"),
    "five seconds at the most": ([f"{LEFT} => min(left, 5.0)"], "handed-on"),
    "the time of the beginning": (
        [f"        {ASKED}\n => ", f"digest, size = => {ASKED}\n        digest, size ="],
        "handed-on",
    ),
    "half of what is left": ([f"{LEFT} => min(left, 10.0) / 2"], "handed-on"),
    "half a minute at the most": ([f"{LEFT} => min(left, 5.0 if left > 1e9 else 30.0)"], "handed-on"),
    "four seconds": ([f"{LEFT} => 4.0 if left > 1e9 else left"], "handed-on"),
    "as it is": ([f"{LEFT} => left"], "handed-on"),
    "a day": ([f"{LEFT} => min(left, 86400.0)"], "handed-on"),
    "the scanner's error is not caught": ([f"{ABORT} => raise"], "verdict"),
    "in other words": ([f"{ABORT} => context.abort(error.code(), 'refused')"], "verdict"),
    "always the same code": ([f"{ABORT} => context.abort(CODE.FAILED_PRECONDITION, error.details())"], "verdict"),
    "the scanner is asked again": ([tried(SCAN, [SCAN], 12)], "verdict"),
    "too slow is INTERNAL": (
        [
            f"{ABORT} => late = error.code() is CODE.DEADLINE_EXCEEDED\n            "
            "context.abort(CODE.INTERNAL if late else error.code(), error.details())"
        ],
        "verdict",
    ),
    "half a photo is scanned": (
        [f"{FULL} => self.scanner.Scan(Stored(size=size))\n                {FULL}"],
        "no-photo",
    ),
    "full is UNKNOWN": (["except ShelfFull as error => except EOFError as error"], "no-photo"),
    "an empty photo": (["if not size => if size is None"], "no-photo"),
    "pieces are counted": (["if not size => if 'chunk' not in locals()"], "no-photo"),
}
WRONG = {name: ((but(upload, *changes), Photos), {code}) for name, (changes, code) in _CLIENTS.items()}
WRONG |= {name: ((upload, but(Photos, *changes)), {code}) for name, (changes, code) in _SERVERS.items()}
