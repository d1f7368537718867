"""The counter-worlds of chapter 02."""

from tests.counter_worlds import Change

# Cells that only share a name with what a claim or a turn needs.
WITHOUT = ("r-run-stranger-run", "r-limits-deadline", "r-change-reserved-run")

COUNTER = {
    "C04": [
        # A caller over ZeroMQ who looks now and then whether the reply has come.
        Change(
            "r-wait",
            "    reply = socket.recv()  # returns when there is one\n    return lambda: bool(reply)",
            "    return lambda: bool(socket.poll(0))",
            "holds if the call goes over ZeroMQ",
        ),
        # A caller over HTTP/2 who waits.
        Change(
            "r-wait-grpc",
            "    return stub.Get.future(Ask(seconds=0.2)).done",
            "    reply = stub.Get(Ask(seconds=0.2), timeout=20)\n    return lambda: reply is not None",
            "holds if the call goes over HTTP/2",
        ),
    ],
    "C13": [
        # A reader that takes the tag for something else.
        Change(
            "r-wire-fields",
            "number, kind = divmod(tag, 8)",
            "number, kind = tag // 4, tag % 8",
            "holds if the reader is a few lines by hand",
        ),
        # A server that reads the lines in another way than its contract says.
        Change(
            "r-run-orders",
            "line.quantity * line.cents",
            "line.cents",
            "holds if the client has the contract from the server alone",
        ),
        # Something that translates stands between HTTP/1.1 and the server.
        Change(
            "r-run-http1",
            "    framed = bytes([0])",
            "    with grpc.insecure_channel(target) as between:\n"
            '        return between.unary_unary(f"/{shop.package}.Orders/Place")(data, timeout=20)\n'
            "    framed = bytes([0])",
            "fails",
        ),
    ],
    # A function that has the method's name.
    "C15": Change(
        "r-run-function", "class Greeter(", "hello.Greet = hello\n\n\nclass Greeter(", "holds if it is a function"
    ),
    "C56": [
        # Calls that set out one after another.
        Change(
            "r-mux-ways",
            "for _ in range(n)]",
            "for _ in range(n) if not time.sleep(WORK / 2)]",
            "holds if 100 orders go as they are",
        ),
        # A server that answers each connection late over HTTP/1.1.
        Change(
            "r-mux-run",
            "    line.getresponse().read()",
            "    line.getresponse().read()\n    time.sleep(10 * WORK)",
            "holds if 48 calls are made at once over six connections; if 48 calls are",
        ),
        # Orders that are mostly text.
        Change(
            "r-size-contract",
            'f"customer-{',
            "f\"{40 * 'customer '}-{",
            "holds if 48 calls are made at once over six connections; if a message is",  # and no bytes in between
        ),
    ],
}

TURNS = {
    "r-wire-turn": ('kind = "int32"', 'kind = "sint32"'),
    "r-wire-write-turn": ('fromhex("6d 75 67")', 'fromhex("0a 03 6d 75 67 10 02")'),
    "r-run-turn": ("def level(", "def Level("),
    "r-size-turn": ('kind = "double"', 'kind = "float"'),
    "r-mux-turn": ("stub.Get(Ask(seconds=0.2))", "stub.Get.future(Ask(seconds=0.2))"),
    "r-repair-turn": ('OLD.replace("int32", "sint32")', 'OLD.replace("int32", "int64")'),
    "r-limits-turn": ("return None  # change this", "return context.time_remaining()"),
}
