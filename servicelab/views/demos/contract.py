"""A changed contract (chapter 02): the bytes of one amount, what each version of the contract reads in them, and the
money in the till."""

from random import Random

import numpy as np
from google.protobuf.message import DecodeError

from servicelab.servers.proto import load_version
from servicelab.views.live import Choice, LivePanel, Slider, Switch
from servicelab.views.theme import BLUE, FAILURE_INK, FORMULA, GREEN, INK, MUTED, ORANGE, SKY, VERMILION

#: What becomes of the field: its type and number before and after.
CHANGES = {
    "int32 = 1  →  sint32 = 1": ("int32", 1, "sint32", 1),
    "int32 = 1  →  int64 = 1": ("int32", 1, "int64", 1),
    "int32 = 1  →  uint32 = 1": ("int32", 1, "uint32", 1),
    "int32 = 1  →  fixed32 = 1": ("int32", 1, "fixed32", 1),
    "int32 = 1  →  double = 1": ("int32", 1, "double", 1),
    "int32 = 1  →  bool = 1": ("int32", 1, "bool", 1),
    "int32 = 1  →  int32 = 2": ("int32", 1, "int32", 2),
}
CALLS = ("an old client calls a new server", "a new client calls an old server")
KINDS = {"double": float, "bool": bool}
#: How many orders the till shows, and the boxes that there are for bytes.
ORDERS, BYTES = 40, 12


class ContractChange(LivePanel):
    """The change, who calls whom, and the amount as controls.

    The dashed line is the money that was charged. The amounts of the orders are drawn from the seed.
    """

    title = "A contract is changed"
    question = "Which change leaves the till right, in both directions? Which one does nobody notice?"
    controls = (
        Choice("change", "change of the field cents", tuple(CHANGES)),
        Choice("call", "who calls whom", CALLS),
        Slider("cents", "amount of one order (cents)", -1000, 2000, 999),
        Switch("refunds", "in the till: every fourth is a refund"),
    )

    def draw(self, fig):
        left, right = fig.subplots(1, 2, width_ratios=(1.5, 1))
        left.set(xlim=(-0.2, BYTES + 0.2), ylim=(0, 10))
        left.axis("off")
        left.set_title("On the wire, and at both ends")
        self.boxes = [
            self.moving(left.text(n + 0.5, 8.1, "", ha="center", va="center", family="monospace", fontsize=13))
            for n in range(BYTES)
        ]
        left.text(0, 9.3, "the bytes: tag, value", color=MUTED)
        self.lines = [self.moving(left.text(0, y, "", va="center", fontsize=13)) for y in (6.2, 4.6, 3.0, 1.2)]
        right.set(xlim=(0, ORDERS), ylim=(-450, 450), xlabel="orders", ylabel="in the till (€)")
        right.set_title(f"The till, after {ORDERS} orders")
        right.axhline(0, color=MUTED, linewidth=1)
        self.charged = self.moving(right.plot([], [], **FORMULA, label="charged")[0])
        self.booked = self.moving(right.plot([], [], color=BLUE, linewidth=2.4, label="booked, and right")[0])
        self.astray = self.moving(right.plot([], [], color=VERMILION, linewidth=2.4, label="booked, and wrong")[0])
        right.legend(loc="lower right")

    def update(self, change, call, cents, refunds):
        client, server = sides(change, call)
        data, read, echo = exchange(client, server, cents)
        for box, byte, n in zip(self.boxes, [*data, *[None] * BYTES], range(BYTES)):
            box.set_text("" if byte is None else f"{byte:02x}")
            box.set_bbox({"facecolor": ORANGE if n == 0 else SKY, "alpha": 0.35, "edgecolor": "none", "pad": 4})
            box.set_visible(byte is not None)
        is_right = read == cents
        sent = f"the client charges {cents} cents ({client[0]} = {client[1]})"
        booked = f"the server reads {shown(read)} ({server[0]} = {server[1]})"
        back = f"the reply says {shown(echo)}"
        amounts = drawn(self.seed, refunds)
        till = np.cumsum([number(exchange(client, server, amount)[1]) for amount in amounts]) / 100
        right = np.cumsum(amounts) / 100
        is_whole = abs(till[-1] - right[-1]) < 0.005
        verdict = f"in the till {till[-1]:.2f} € of {right[-1]:.2f} €"
        for line, text in zip(self.lines, (sent, booked, back, verdict)):
            line.set_text(text)
        self.lines[1].set_color(GREEN if is_right else FAILURE_INK)
        self.lines[3].set_color(INK if is_whole else FAILURE_INK)
        self.charged.set_data(range(1, ORDERS + 1), right)
        drawn_line, empty = (self.booked, self.astray) if is_whole else (self.astray, self.booked)
        drawn_line.set_data(range(1, ORDERS + 1), np.clip(till, -440, 440))
        empty.set_data([], [])
        return f"{call.capitalize()}: {sent}; {len(data)} bytes. {booked.capitalize()}; {back}; {verdict}."


def sides(change, call):
    """(type, number) of the client's and of the server's field."""
    old, new = CHANGES[change][:2], CHANGES[change][2:]
    return (old, new) if call == CALLS[0] else (new, old)


def message(side):
    """The message class with such a field."""
    kind, number = side
    text = f'syntax = "proto3";\npackage shop.panel;\nmessage Charge {{ {kind} cents = {number}; }}\n'
    return load_version(text).messages.Charge


def exchange(client, server, cents):
    """(bytes sent, what the server reads, what its echo says to the client); None where nothing can be written."""
    try:
        data = message(client)(cents=KINDS.get(client[0], int)(cents)).SerializeToString()
    except ValueError:  # a negative amount, and the type has no sign
        return b"", None, None
    try:
        read = message(server).FromString(data).cents
        echo = message(client).FromString(message(server)(cents=read).SerializeToString()).cents
    except DecodeError:
        return data, None, None
    return data, read, echo


def drawn(seed, refunds=True):
    """Amounts of orders in cents; with ``refunds`` every fourth is one, below zero."""
    rng = Random(seed)
    amounts = [rng.randrange(100, 2000) for _ in range(ORDERS)]
    return [-amount if refunds and n % 4 == 3 else amount for n, amount in enumerate(amounts)]


def number(read):
    return 0 if read is None else float(read)


def shown(read):
    return "nothing: it cannot be written" if read is None else f"{read:g}" if isinstance(read, float) else str(read)
