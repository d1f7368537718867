"""The counter-worlds of chapter 01."""

from tests.counter_worlds import Change

COUNTER = {
    # Nobody in the chain waits for the next; a shop with a worker for everybody.
    "C01": [
        Change("c-chain-hop", 'session.get(below.url).text if below else "done"', '"done"', "holds if one service"),
        Change("c-wrong-serve", "workers=4", "workers=64", "holds if three services"),
    ],
    # A server that closes each connection; an author who says nothing of labels, or of lifetimes.
    "C11": [
        Change("c-reuse-kept", "connections_for(web.get)", "connections_for(requests.get)", "holds if a connection"),
        Change("c-reuse-catalogue", "        answer.add_etag()", "        pass", "holds if answers carry a label"),
        Change("c-reuse-catalogue", ".max_age = lasting", ".max_age = 0", "holds if answers say how long"),
    ],
    # A GET that looks like reading, and takes.
    "C16": [
        Change("c-safe-take", "def how_many():", 'def how_many():\n    shelf["mugs"] -= 1', "holds if the answer says")
    ],
    # There is a fourth term even when nobody else is there.
    "C17": [
        Change(
            "c-parts-inventory", "(look(range(lines)))", "(look(range(lines)) if not time.sleep(0.1) else [])", "fails"
        )
    ],
    # No line to wait for, and work so long that nothing else which the machine does counts beside it.
    "C18": [
        Change(
            "c-pace-run", "wire.add(Bandwidth(line, shared=True))", 'pace["seconds"] *= 2', "holds if the server is"
        ),
    ],
    # A server that never compresses, so that no line is any quicker.
    "C30": [Change("c-gzip-server", '["gzip"] > 0', '["gzip"] > 1', "fails")],
    # A deadline that nobody keeps; a drip that is soon over.
    "C47": [
        Change("c-time-drip", "time.sleep(0.2)", "time.sleep(0.02)", "holds if the service is well; if only"),
        Change("c-time-deadline", "call.result(timeout=seconds)", "call.result()", "holds if the service is well"),
    ],
    # One who numbers, checks or locks.
    "C55": [
        Change(
            "c-users-careless", "number = len(self.people) + 1", "number = time.monotonic_ns()", "holds if a user was"
        ),
    ],
    # An author who wrote no XML.
    "C61": [Change("c-language-service", ', "application/xml": as_xml', "", "fails")],
}

TURNS = {
    "c-parts-turn": ('["/mugs/3", "/mugs/17", "/mugs/29"]', '["/mugs/3,17,29"]'),
    "c-reuse-turn": ("False, 0", "True, 0"),
    "c-users-turn": ("make_gate = nullcontext", "make_gate = threading.Lock"),
    "c-time-turn": ("requests.get(url, timeout=0.5).content", "get_within(0.5, url)"),
    "c-little-turn": ("workers = 4", "workers = 20"),
    "c-load-turn": ("rate = 90", "rate = 57"),
}
