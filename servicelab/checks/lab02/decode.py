"""Exercise 1, build: read a message without its contract.

A real server sends the bytes; the client leaves them as they are.
"""

import grpc

from servicelab.checks.learner_traceback import shown
from servicelab.checks.scenario import Stage, scenario, words
from servicelab.clients.tracing import traced_channel
from servicelab.servers import GRPCServer

#: What somebody overheard on the wire: an order, as the notebook shows it.
OVERHEARD = bytes.fromhex("08ac0212054d616c696b1884fcffffffffffffff0120e70732080a036d756710fa018001019d0100004842")

WORDS = words("""
tag: 08 01 is field 1, type 0, value 1
    What are the lowest three bits of a tag, and what is left without them?
groups: ac 02 is 300
    Which of the bytes holds the lower seven bits? And which bit of each is no part of the number?
ten-bytes: ff ff ff ff ff ff ff ff ff 01 is 2⁶⁴ − 1
    A varint may have ten bytes. What does yours do with the tenth?
long-tag: a tag is a varint, too: 80 01 05 is field 16
    With what do you read the first byte, and with what the number after it?
text: 12 03 6d 75 67 is field 2, type 2, three bytes
    How many bytes belong to it, and where does the next field begin?
long-text: the length is a varint, too: 300 bytes
    From 128 on, a length has two bytes.
fixed: types 5 and 1 are the next four and the next eight bytes, as they are
    There is no length in front of these.
again: fields stand in the order of the wire, and one that comes twice stands there twice
    What does a dict do with a key that comes twice?
empty: no bytes are a message, too, without fields
    What does your loop do when there is nothing to read?
cut: where bytes are missing it raises ValueError
    A varint, a length that promises more than there is, four bytes of which three came: which of them do you notice?
unknown-type: types 3, 4, 6 and 7 raise ValueError
    Nobody can say where such a field ends. What do you do with it?
endless: a varint of more than ten bytes raises ValueError
    What ends your loop when every byte says that another one comes?
signed: an int32 or int64 below zero comes as the number plus 2⁶⁴
    From which number on is it one below zero?
zigzag: 0, 1, 2, 3, 4 are 0, −1, 1, −2, 2
    What does an odd number stand for, and what an even one? Mind the division: a float has 53 bits.
""")


class Wire(Stage):
    """A server that answers with given bytes, and a client that takes them as they are."""

    def __init__(self, ask, answer):
        super().__init__(ask, answer)
        self.reply = b""
        server = self.use(GRPCServer([(_add, lambda *_: self.reply)], "orders", trace=ask.trace))
        channel = self.use(grpc.insecure_channel(server.target, [("grpc.use_local_subchannel_pool", 1)]))
        self.get = traced_channel(channel, ask.trace, "client", server="orders").unary_unary("/shop.Orders/Last")

    def hear(self, data: bytes):
        self.reply = data
        got = self.get(b"", timeout=5)
        self.last = self.ask.trace.calls[-1].id
        return got

    def reads(self, text, *wanted):
        """``(is it read as wanted, what happened)``; ``text`` is hex, or bytes."""
        data = self.hear(bytes.fromhex(text) if isinstance(text, str) else text)
        outcome = self.ask.run(self.yours, data, limit=2.0)
        got = outcome.value if isinstance(outcome.value, (list, tuple)) else [outcome]
        same = [tuple(one) if isinstance(one, (list, tuple)) else one for one in got] == list(wanted)
        told = data.hex(" ") if len(data) <= 16 else f"{data[:8].hex(' ')} … ({len(data)} bytes)"
        return same, f"{told} came, and {outcome}"

    def refuses(self, text):
        data = self.hear(bytes.fromhex(text))
        outcome = self.ask.run(self.yours, data, limit=2.0)
        return isinstance(outcome.error, ValueError), f"{data.hex(' ')} came, and {outcome}"


def _add(servicer, server):
    """Adds a method without a contract: bytes in, bytes out."""
    method = grpc.unary_unary_rpc_method_handler(servicer)
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("shop.Orders", {"Last": method}),))


check_decode = scenario("02", 1, "Bytes without a contract", WORDS, fields=Wire, signed=Wire, zigzag=Wire)


@check_decode.part("fields")
def numbers(wire):
    wire.call(wire.yours, wire.hear(b"\x08\x01"), returns=(list, tuple))
    yield "tag", *wire.reads("08 01", (1, 0, 1))
    yield "tag", *wire.reads("78 00", (15, 0, 0))
    yield "groups", *wire.reads("08 ac 02", (1, 0, 300))
    yield "groups", *wire.reads("10 80 80 01", (2, 0, 16384))
    yield "ten-bytes", *wire.reads("18" + "ff" * 9 + "01", (3, 0, 2**64 - 1))
    yield "long-tag", *wire.reads("80 01 05", (16, 0, 5))
    yield "long-tag", *wire.reads("f8 ff ff ff 0f 02", (2**29 - 1, 0, 2))


@check_decode.part("fields")
def bytes_and_fixed(wire):
    yield "text", *wire.reads("12 03 6d 75 67", (2, 2, b"mug"))
    yield "text", *wire.reads("12 00 18 07", (2, 2, b""), (3, 0, 7))
    yield "long-text", *wire.reads(b"\x0a\xac\x02" + b"\x08" * 300 + b"\x10\x01", (1, 2, b"\x08" * 300), (2, 0, 1))
    yield "fixed", *wire.reads("0d 00 00 48 42 10 01", (1, 5, b"\0\0\x48\x42"), (2, 0, 1))
    yield "fixed", *wire.reads("09 01 02 03 04 05 06 07 08 10 01", (1, 1, bytes(range(1, 9))), (2, 0, 1))


@check_decode.part("fields")
def several(wire):
    yield "again", *wire.reads("18 05 0a 01 78 18 05 08 02", (3, 0, 5), (1, 2, b"x"), (3, 0, 5), (1, 0, 2))
    outcome = wire.ask.run(wire.yours, wire.hear(b""), limit=2.0)
    yield "empty", outcome.value == [], f"no bytes came, and {outcome}"


@check_decode.part("fields")
def broken(wire):
    for text in (
        "08",
        "08 ac",
        "08 01 80",
        "12",
        "12 03 6d 75",
        "0a ac 02 08",
        "0d 00 00 48",
        "09 01 02 03 04 05 06 07",
    ):
        yield "cut", *wire.refuses(text)
    for kind in (3, 4, 6, 7):
        yield "unknown-type", *wire.refuses(f"{8 + kind:02x} 08 01")
    yield "endless", *wire.refuses("08" + "80" * 10 + "01")


BELOW_ZERO = ((0, 0), (5, 5), (2**64 - 1, -1), (2**64 - 500, -500), (2**63, -(2**63)), (2**63 - 1, 2**63 - 1))
TO_AND_FRO = ((0, 0), (1, -1), (2, 1), (3, -2), (999, -500), (2**64 - 2, 2**63 - 1), (2**64 - 1, -(2**63)))


@check_decode.part("signed")
def below_zero(wire):
    for sent, meant in BELOW_ZERO:
        wire.hear(b"\x08" + _varint(sent))
        got = wire.call(wire.yours, sent, returns=int)
        yield "signed", got == meant, f"signed({sent}) gave {shown(got)}, and {meant} was meant"


@check_decode.part("zigzag")
def to_and_fro(wire):
    for sent, meant in TO_AND_FRO:
        wire.hear(b"\x08" + _varint(sent))
        got = wire.call(wire.yours, sent, returns=int)
        yield "zigzag", got == meant, f"zigzag({sent}) gave {shown(got)}, and {meant} was meant"


def _varint(number: int) -> bytes:
    out = bytearray()
    while number > 127:
        out.append(number & 127 | 128)
        number >>= 7
    return bytes([*out, number])
