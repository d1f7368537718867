"""Exercise 3: three clients and three servers for large files, and what goes wrong with theirs."""

import hashlib
import itertools

import grpc

from servicelab.checks.lab02 import ShelfFull, photos

Chunk, Stored = photos.messages.Chunk, photos.messages.Stored
CODE = grpc.StatusCode
KIB, MIB = 1024, 1024 * 1024


# -- clients -------------------------------------------------------------------------------------------


def upload(stub, file, timeout, piece=256 * KIB):
    digest, size = hashlib.sha256(), 0

    def chunks():
        nonlocal size
        while data := file.read(piece):
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


def sends(cut, deadline=lambda timeout: {"timeout": timeout}, after=lambda stored: stored):
    """An ``upload`` that makes its pieces with ``cut(file)``, and checks what comes back."""

    def upload(stub, file, timeout):
        digest, sizes = hashlib.sha256(), [0]

        def noted():
            for data in cut(file):
                digest.update(data)
                sizes.append(len(data))
                yield Chunk(data=data)

        stored = stub.Upload(noted(), **deadline(timeout))
        if stored.size != sum(sizes) or stored.sha256 != digest.hexdigest():
            raise ValueError("it broke on the way")
        return after(stored)

    return upload


def pieces_of(size):
    return lambda file: iter(lambda: file.read(size), b"")


def whole_cut_later(file):
    data = file.read()
    return (data[at : at + 64 * KIB] for at in range(0, len(data), 64 * KIB))


def last_one_lost(file):
    while len(data := file.read(64 * KIB)) == 64 * KIB:
        yield data


def all_first(stub, file, timeout):
    chunks = [Chunk(data=data) for data in pieces_of(64 * KIB)(file)]
    whole = b"".join(chunk.data for chunk in chunks)
    stored = stub.Upload(iter(chunks), timeout=timeout)
    if stored != Stored(size=len(whole), sha256=hashlib.sha256(whole).hexdigest()):
        raise ValueError
    return stored


def until_a_short_read(file, size=64 * KIB):
    """It takes a read that gives less for the last one."""
    while data := file.read(size):
        yield data
        if len(data) < size:
            return


def again(stub, file, timeout):
    try:
        return upload(stub, file, timeout)
    except grpc.RpcError as error:
        if error.code() is not CODE.UNAVAILABLE:
            raise
        return upload(stub, file, timeout)


def errors_of_python(stub, file, timeout):
    kinds = {CODE.DEADLINE_EXCEEDED: TimeoutError, CODE.INVALID_ARGUMENT: ValueError}
    try:
        return upload(stub, file, timeout)
    except grpc.RpcError as error:
        raise kinds[error.code()](error.details()) if error.code() in kinds else error from None


def less_is_wrong(stub, file, timeout):
    """It notices when bytes are lost, and not when there are more."""
    digest, sizes = hashlib.sha256(), []
    cut = (sizes.append(len(data)) or digest.update(data) or Chunk(data=data) for data in pieces_of(64 * KIB)(file))
    stored = stub.Upload(cut, timeout=timeout)
    if stored.size < sum(sizes) or stored.sha256 != digest.hexdigest():
        raise ValueError
    return stored


def runtime_error(stub, file, timeout):
    try:
        return upload(stub, file, timeout)
    except grpc.RpcError as error:
        raise RuntimeError("the upload failed") from error


def believes(stub, file, timeout):
    return stub.Upload((Chunk(data=data) for data in pieces_of(64 * KIB)(file)), timeout=timeout)


def believes_the_sum(stub, file, timeout):
    sizes = []
    cut = (sizes.append(len(data)) or Chunk(data=data) for data in pieces_of(64 * KIB)(file))
    stored = stub.Upload(cut, timeout=timeout)
    if stored.size != sum(sizes):
        raise ValueError
    return stored


# -- servers -------------------------------------------------------------------------------------------


class Photos(photos.services.PhotosServicer):
    full, least = ShelfFull, 1

    def __init__(self, shelf, scanner):
        self.shelf, self.scanner = shelf, scanner

    def Upload(self, chunks, context):
        digest, size = hashlib.sha256(), 0
        for chunk in chunks:
            try:
                self.shelf.write(chunk.data)
            except self.full as error:
                context.abort(CODE.RESOURCE_EXHAUSTED, str(error))
            digest.update(chunk.data)
            size += len(chunk.data)
        if size < self.least:
            context.abort(CODE.INVALID_ARGUMENT, "a photo has bytes")
        stored = Stored(size=size, sha256=digest.hexdigest())
        self.scan(stored, context)
        return stored

    def left(self, context):
        return min(context.time_remaining(), 5.0) if context.time_remaining() > 1e9 else context.time_remaining()

    def scan(self, stored, context):
        try:
            self.scanner.Scan(stored, timeout=self.left(context))
        except grpc.RpcError as error:
            context.abort(error.code(), error.details())


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


class Collects(Photos):
    def Upload(self, chunks, context):
        return super().Upload(list(chunks), context)


class Digest(Photos):
    """The sum as bytes, which no text is."""

    def Upload(self, chunks, context):
        stored = super().Upload(chunks, context)
        return Stored(size=stored.size, sha256=stored.sha256[:32])


class NoScan(Photos):
    def scan(self, stored, context):
        pass


class Twice(Photos):
    def scan(self, stored, context):
        super().scan(stored, context)
        super().scan(stored, context)


class ScansFirst(Photos):
    """It scans with the first piece, and answers at the end."""

    def Upload(self, chunks, context):
        size, digest, is_scanned = 0, hashlib.sha256(), False
        for chunk in chunks:
            self.shelf.write(chunk.data)
            digest.update(chunk.data)
            size += len(chunk.data)
            if not is_scanned:
                self.scan(Stored(size=size, sha256=digest.hexdigest()), context)
                is_scanned = True
        return Stored(size=size, sha256=digest.hexdigest())


class EndsAtNothing(Photos):
    """An empty piece is the end."""

    def Upload(self, chunks, context):
        return super().Upload(itertools.takewhile(lambda chunk: chunk.data, chunks), context)


class BearsNoEmptyPiece(Photos):
    def Upload(self, chunks, context):
        return super().Upload((chunk if chunk.data else context.abort(*self.empty) for chunk in chunks), context)

    empty = CODE.INVALID_ARGUMENT, "an empty piece"


class HalfIsScanned(Photos):
    """What has found room is scanned before it says that there was no more."""

    def Upload(self, chunks, context):
        size, digest, is_full = 0, hashlib.sha256(), False
        for chunk in chunks:
            try:
                self.shelf.write(chunk.data)
            except ShelfFull:
                is_full = True
                break
            digest.update(chunk.data)
            size += len(chunk.data)
        if not size and not is_full:
            context.abort(CODE.INVALID_ARGUMENT, "empty")
        stored = Stored(size=size, sha256=digest.hexdigest())
        self.scan(stored, context)
        if is_full:
            context.abort(CODE.RESOURCE_EXHAUSTED, "no room for the rest")
        return stored


class HalfOfIt(Photos):
    def left(self, context):
        return super().left(context) / 2


class HalfAMinuteAtMost(Photos):
    def left(self, context):
        return min(super().left(context), 30.0)


class FourAlone(Photos):
    def left(self, context):
        return 4.0 if context.time_remaining() > 1e9 else context.time_remaining()


class AsksAgain(Photos):
    def scan(self, stored, context):
        try:
            self.scanner.Scan(stored, timeout=self.left(context))
        except grpc.RpcError:
            super().scan(stored, context)


class TooSlowIsInternal(Photos):
    def scan(self, stored, context):
        try:
            self.scanner.Scan(stored, timeout=self.left(context))
        except grpc.RpcError as error:
            is_late = error.code() is CODE.DEADLINE_EXCEEDED
            context.abort(CODE.INTERNAL if is_late else error.code(), error.details())


class NoDeadline(Photos):
    def left(self, context):
        return None


class FiveAlways(Photos):
    def left(self, context):
        return 5.0


class AtMostFive(Photos):
    def left(self, context):
        return min(context.time_remaining(), 5.0)


class AskedFirst(Photos):
    """The time that was left when the upload began."""

    def Upload(self, chunks, context):
        self.had = min(context.time_remaining(), 1e6)
        return super().Upload(chunks, context)

    def left(self, context):
        return self.had if self.had < 1e6 else 5.0


class AsItIs(Photos):
    def left(self, context):
        return context.time_remaining()


class AtMostADay(Photos):
    def left(self, context):
        return min(context.time_remaining(), 86400.0)


class Raises(Photos):
    def scan(self, stored, context):
        self.scanner.Scan(stored, timeout=self.left(context))


class NoDetails(Photos):
    def scan(self, stored, context):
        try:
            self.scanner.Scan(stored, timeout=self.left(context))
        except grpc.RpcError as error:
            context.abort(error.code(), "the scanner refused")


class Internal(Photos):
    def scan(self, stored, context):
        try:
            self.scanner.Scan(stored, timeout=self.left(context))
        except grpc.RpcError as error:
            context.abort(CODE.FAILED_PRECONDITION, error.details())


class FullIsUnknown(Photos):
    full = ()


class EmptyIsFine(Photos):
    least = 0


class PiecesAreCounted(Photos):
    least = 0

    def Upload(self, chunks, context):
        pieces = list(itertools.islice(chunks, 1))
        if not pieces:
            context.abort(CODE.INVALID_ARGUMENT, "empty")
        return super().Upload(itertools.chain(pieces, chunks), context)


RIGHT = {
    "a generator": (upload, Photos),
    "an iterator and set_code": (by_iterator, InSteps),
    "layers, and one table of errors": (sends(pieces_of(64 * KIB)), one_error_table),
}
_CLIENTS = {
    "in one message": (sends(lambda file: [file.read()]), {"arrives"}),
    "4 MiB exactly": (sends(pieces_of(4 * MIB)), {"arrives"}),
    "the last one lost": (sends(last_one_lost), {"arrives"}),
    "until a read is short": (sends(until_a_short_read), {"arrives"}),
    "read whole, cut later": (sends(whole_cut_later), {"greedy"}),
    "2 MiB": (sends(pieces_of(2 * MIB)), {"greedy"}),
    "crumbs": (sends(pieces_of(4 * KIB)), {"crumbs"}),
    "all pieces first": (all_first, {"hoarded"}),
    "another Stored": (sends(pieces_of(64 * KIB), after=lambda stored: Stored(size=stored.size)), {"returned"}),
    "no deadline": (sends(pieces_of(64 * KIB), lambda timeout: {}), {"deadline"}),
    "ten seconds": (sends(pieces_of(64 * KIB), lambda timeout: {"timeout": 10}), {"deadline"}),
    "in milliseconds": (sends(pieces_of(64 * KIB), lambda timeout: {"timeout": timeout * 1000}), {"deadline"}),
    "half of the time": (sends(pieces_of(64 * KIB), lambda timeout: {"timeout": timeout / 2}), {"deadline"}),
    "ten seconds at the most": (
        sends(pieces_of(64 * KIB), lambda timeout: {"timeout": min(timeout, 10)}),
        {"deadline"},
    ),
    "five seconds at the least": (
        sends(pieces_of(64 * KIB), lambda timeout: {"timeout": max(timeout, 5)}),
        {"deadline"},
    ),
    "once more": (again, {"swallowed"}),
    "Python's errors": (errors_of_python, {"swallowed"}),
    "more is not wrong": (less_is_wrong, {"unverified"}),
    "RuntimeError": (runtime_error, {"swallowed"}),
    "believes everything": (believes, {"unverified"}),
    "believes the sum": (believes_the_sum, {"unverified"}),
}
_SERVERS = {
    "collects": (Collects, {"collected"}),
    "half of the sum": (Digest, {"answer"}),
    "an empty piece is the end": (EndsAtNothing, {"answer"}),
    "an empty piece is an error": (BearsNoEmptyPiece, {"answer"}),
    "not scanned": (NoScan, {"not-scanned"}),
    "scanned twice": (Twice, {"not-scanned"}),
    "scanned at the first piece": (ScansFirst, {"not-scanned"}),
    "no deadline for the scan": (NoDeadline, {"handed-on"}),
    "five seconds always": (FiveAlways, {"handed-on"}),
    "five seconds at the most": (AtMostFive, {"handed-on"}),
    "the time of the beginning": (AskedFirst, {"handed-on"}),
    "half of what is left": (HalfOfIt, {"handed-on"}),
    "half a minute at the most": (HalfAMinuteAtMost, {"handed-on"}),
    "four seconds": (FourAlone, {"default"}),
    "as it is": (AsItIs, {"default"}),
    "a day": (AtMostADay, {"default"}),
    "the scanner's error is not caught": (Raises, {"verdict"}),
    "in other words": (NoDetails, {"verdict"}),
    "always the same code": (Internal, {"verdict"}),
    "the scanner is asked again": (AsksAgain, {"verdict"}),
    "too slow is INTERNAL": (TooSlowIsInternal, {"verdict"}),
    "half a photo is scanned": (HalfIsScanned, {"full"}),
    "full is UNKNOWN": (FullIsUnknown, {"full"}),
    "an empty photo": (EmptyIsFine, {"empty"}),
    "pieces are counted": (PiecesAreCounted, {"empty"}),
}
WRONG = {name: ((answer, Photos), codes) for name, (answer, codes) in _CLIENTS.items()}
WRONG |= {name: ((upload, answer), codes) for name, (answer, codes) in _SERVERS.items()}
