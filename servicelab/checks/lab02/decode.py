"""Exercise 1, build: read a message without its contract."""

from servicelab.checks.learner_traceback import shown
from servicelab.checks.scenario import Stage, scenario, words
from servicelab.servers.message_stamps import label

#: What somebody overheard on the wire: an order, as the notebook shows it.
OVERHEARD = bytes.fromhex("08ac0212054d616c696b1884fcffffffffffffff0120e70732080a036d756710fa018001019d0100004842")

WORDS = words("""
tag: 08 01 is field 1, type 0, value 1
    What are the lowest three bits of a tag, and what is left without them?
groups: ac 02 is 300, and a varint may have ten bytes
    Which byte holds the lowest seven bits, which bit of each is no part of it, and how many bytes has 2⁶⁴ − 1?
long-tag: a tag is a varint, too: 80 01 05 is field 16
    With what do you read the first byte, and with what the number after it?
text: type 2 has a length, which is a varint, and its value is so many `bytes`
    Which bytes belong to it, where does the next field begin, and how does a length of 300 look? `b"…"` is `bytes`.
fixed: types 5 and 1 are the next four and the next eight bytes, as they are
    There is no length in front of these, and no number is made of them: the value is a slice.
list: the fields stand in the order of the wire, as often as they come: twice, or none at all
    What does a dict do with a key that comes twice? What does your loop do when there is nothing to read?
cut: where bytes are missing it raises ValueError
    A varint, a length that promises more than there is, four bytes of which three came: which of them do you notice?
no-field: types 3, 4, 6 and 7 raise ValueError, and so does a varint of more than ten bytes: a value, a tag, a length
    Nobody can say where such a field ends. What ends your loop when every byte says that another one comes?
signed: an int32 or int64 below zero comes as the number plus 2⁶⁴
    From which number on is it one below zero?
zigzag: 0, 1, 2, 3, 4 are 0, −1, 1, −2, 2
    What does an odd number stand for, and what an even one? Mind the division: a float has 53 bits.
""")
LONG = "80 " * 8 + "00"  # the rest of a varint of eleven bytes
#: What comes, in hex, and what it is read as; and below, what is refused.
WHOLE = (
    ("tag", "08 01", (1, 0, 1)),
    ("tag", "78 00", (15, 0, 0)),
    ("groups", "08 ac 02", (1, 0, 300)),
    ("groups", "10 80 80 01", (2, 0, 16384)),
    ("groups", "18 ff ff ff ff ff ff ff ff ff 01", (3, 0, 2**64 - 1)),
    ("long-tag", "80 01 05", (16, 0, 5)),
    ("long-tag", "f8 ff ff ff 0f 02", (2**29 - 1, 0, 2)),
    ("text", "12 03 6d 75 67", (2, 2, b"mug")),
    ("text", "12 00 18 07", (2, 2, b""), (3, 0, 7)),
    ("text", f"0a ac 02 {'08' * 300} 10 01", (1, 2, b"\x08" * 300), (2, 0, 1)),
    ("fixed", "0d 00 00 48 42 10 01", (1, 5, b"\0\0\x48\x42"), (2, 0, 1)),
    ("fixed", "09 01 02 03 04 05 06 07 08 10 01", (1, 1, bytes(range(1, 9))), (2, 0, 1)),
    ("list", "18 05 0a 01 78 18 05 08 02", (3, 0, 5), (1, 2, b"x"), (3, 0, 5), (1, 0, 2)),
    ("list", ""),
)
BROKEN = (
    ("cut", "08", "08 ac", "08 01 80", "12", "12 03 6d 75", "0a ac 02 08", "0d 00 00 48", "09 01 02 03 04 05 06 07"),
    ("no-field", "0b 08 01", "0c 08 01", "0e 08 01", "0f 08 01"),
    ("no-field", f"08 80 80 {LONG}", f"88 80 {LONG} 05", f"12 81 80 {LONG} 78"),
)
SIGNED = {number: number for number in (0, 2**31, 2**32 - 1, 2**63 - 1)} | {2**63: -(2**63), 2**64 - 500: -500}
ZIGZAG = {0: 0, 1: -1, 2: 1, 3: -2, 999: -500, 2**64 - 2: 2**63 - 1, 2**64 - 1: -(2**63)}


class Wire(Stage):
    def hear(self, text):
        """What the learner's function does with the bytes that come, and words for it."""
        self.say("orders", "client", label(text or "no bytes"))
        outcome = self.ask.run(self.yours, bytes.fromhex(text), limit=2.0)
        return outcome, f"{shown(text, 60)} came, and {outcome}"

    def means(self, code, cases):
        for sent, meant in cases.items():
            self.say("orders", "client", label(sent.to_bytes(8, "little").hex(" ")))
            got = self.call(self.yours, sent, returns=int)
            yield code, got == meant, f"{code}({sent}) gave {shown(got)}, and {meant} was meant"


check_decode = scenario("02", 1, "Bytes without a contract", WORDS, fields=Wire, signed=Wire, zigzag=Wire)


@check_decode.part("fields")
def messages(wire):
    wire.say("orders", "client", "08 01")
    wire.call(wire.yours, b"\x08\x01", returns=list)
    for code, text, *wanted in WHOLE:
        outcome, told = wire.hear(text)
        got = outcome.value if isinstance(outcome.value, list) else [outcome]
        is_same = [tuple(one) if isinstance(one, list) else one for one in got] == wanted
        yield code, is_same and all(isinstance(value, (int, bytes)) for *_, value in got), told
    for code, *texts in BROKEN:
        for text in texts:
            outcome, told = wire.hear(text)
            yield code, isinstance(outcome.error, ValueError), told


@check_decode.part("signed")
def below_zero(wire):
    yield from wire.means("signed", SIGNED)


@check_decode.part("zigzag")
def to_and_fro(wire):
    yield from wire.means("zigzag", ZIGZAG)
