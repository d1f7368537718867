"""Exercise 3, build: requests that are signed, and let in once. The clock is an argument."""

import secrets
import threading
from base64 import b64encode
from contextlib import suppress
from functools import partial

from werkzeug.datastructures import Headers

from servicelab.checks.learner_traceback import shown
from servicelab.checks.scenario import Stage, scenario, words

WINDOW, RATE, START = 45, 3, 1_900_000_000  # seconds; requests/s; the second in which it begins
ASKED = ("POST", "/stock/12?item=mug&x=%2F&y=", b"3 of 5\xff")

WORDS = words("""
raised: enter raises nothing, whatever the headers are
    Which of your lines takes a header for granted, for a number, or for a text in ASCII?
good: a signed request is let in, and so is the same again when it is signed again
    Compare what you sign with what you check, byte for byte. Is a nonce ever used twice? Whose headers do you read?
no-text: the headers are texts in ASCII
    What does `sign` return, name by name? A number is no text.
key-sent, stranger: the key is not among the headers, and who has another one, or an unknown name, is refused
    What proves that you have the key, without showing it? With whose key does `enter` compute the signature?
method, path, body, headers, seam: with any of these changed, or moved into the next, a request is refused
    What goes into your signature: all of it, and as it came? Put together, can two requests come out alike?
window: what was signed more than a window ago, or is more than a window ahead, is refused; until then it is good
    Write down both borders. How far may the caller's clock be ahead?
replay, race: the same headers a second time are refused, at any time, by each door, also at once
    What do you note, and until when? How long is it good if its clock was ahead? Which method looks and notes at once?
burnt, too-long: what is refused leaves nothing in the store, and what is let in no longer than it can come again
    What do you do first: check, or note? Until when can it be sent again, and what refuses it after that?
""")


class Store:
    """Names that are noted, each up to and including a second. All doors share it. ``add`` is one step."""

    def __init__(self, now=START):
        self.now, self._until, self._lock = now, {}, threading.Lock()
        self.line = threading.Barrier(1)  # how many look at once

    def add(self, name: str, until: float) -> bool:
        """Note a name until a second. Was it new? If it is there, nothing changes."""
        with self._lock:
            is_new = self._until.get(name, self.now - 1) < self.now
            self._until |= {name: until} if is_new else {}
            return is_new

    def has(self, name: str) -> bool:
        """Is it there?"""
        is_there = self._until.get(name, self.now - 1) >= self.now
        with suppress(threading.BrokenBarrierError):
            self.line.wait(0.5)
        return is_there

    def __len__(self):
        return sum(until >= self.now for until in self._until.values())


class Doors(Stage):
    def __init__(self, ask, sign, Door):
        super().__init__(ask, sign, Door)
        self.keys, self.store = {"ann": secrets.token_bytes(32), "bob": secrets.token_bytes(32)}, Store()
        self.say("orders", "inventory", "sign")
        self.door, self.other = (self.make(Door, self.keys, self.store, WINDOW, methods=("enter",)) for _ in "12")

    def sign(self, asked=ASKED, now=START, who="ann", key=None):
        return self.call(self.yours[0], who, self.keys[who] if key is None else key, *asked, now, returns=dict)

    def enter(self, headers, asked=ASKED, now=START, door=None, label="a request"):
        self.say("orders", "inventory", label)
        self.store.now, (method, path, body) = now, asked
        given = (door or self.door).enter, method, path, Headers(headers), body, now
        outcome = self.ask.run(*given, limit=3.0)
        if outcome.how == "exception":
            self.refuse("raised", f"{label}: {outcome}")
        return outcome.value if isinstance(outcome.value, bool) else self.call(*given, returns=bool)

    def let_in(self, code, label, *given, **options):
        return code, self.enter(*given, label=label, **options), f"{label}: it was refused"

    def refused(self, code, label, *given, **options):
        return code, not self.enter(*given, label=label, **options), f"{label}: it was let in"


check_signing = scenario("13", 3, "Signed requests", WORDS, sign=Doors, Door=Doors)
part = check_signing.part


@part
def good_ones(s):
    signed = s.sign()
    yield "no-text", all(isinstance(one, str) and one.isascii() for one in (*signed, *signed.values())), shown(signed)
    yield s.let_in("good", "a signed request", signed)
    yield s.let_in("good", "with X-Request-Id and Host, too", {"X-Request-Id": "7", "Host": "shop"} | s.sign())
    for asked in (ASKED, ("GET", "/stock", b""), ("PUT", "/stock/ä?x=1&y=%20", bytes(range(256)))):
        yield s.let_in("good", f"{asked[0]} {asked[1]}", s.sign(asked), asked, door=s.other)
    for _ in range(2):
        yield s.let_in("good", "the same, signed again in the same second", signed := s.sign())
    texts = s.keys["ann"].hex(), repr(s.keys["ann"])[2:-1], b64encode(s.keys["ann"]).decode()[:40]
    yield "key-sent", not any(one in str(signed) for one in texts), f"the headers are {shown(signed)}"


@part
def others_and_changes(s):
    yield s.refused("stranger", "signed with another key", s.sign(key=secrets.token_bytes(32)))
    yield s.refused("stranger", "bob's, signed with ann's key", s.sign(who="bob", key=s.keys["ann"]))
    eves = s.ask.run(s.yours[0], "eve", b"", *ASKED, START).value  # a library may refuse to sign with it
    yield s.refused("stranger", "of an unknown caller, with an empty key", eves if isinstance(eves, dict) else {})
    yield s.refused("stranger", "without any headers", {})
    method, path, body = ASKED
    changes = [("method", (one, path, body)) for one in ("PUT", "GET", "post")]
    swaps = {"12": "13", "mug": "cup", path[9:]: "", "x=%2F&y=": "y=&x=%2F", "%2F": "/", "&y=": "", "mug&": "MUG&"}
    changes += [("path", (method, path.replace(*swap), body)) for swap in swaps.items()]
    changes += [("body", (method, path, one)) for one in (b"3 of 6\xff", b"3 of 5\xfe", body + b" ", b"")]
    changes += [("seam", (method + path[0], path[1:], body)), ("seam", (method[:-1], method[-1] + path, body))]
    signed = s.sign()
    for code, asked in changes:
        yield s.refused(code, " ".join(map(str, asked)), signed, asked)
    for by in ("", *"|,;:.-_~&?=+"):
        for one, moved in ((f"/a{by}b", ("/a", f"b{by}c".encode())), (f"/a{by}/b", ("/b", f"c{by}/a".encode()))):
            told, alike = f"{moved}, with the headers for {(one, b'c')}", s.sign((method, one, b"c"))
            yield s.refused("seam", told, alike, (method, *moved))
    for name, text in signed.items():
        yield s.refused("headers", f"without {name}", {one: signed[one] for one in signed if one != name})
        ends = 0 if text[-4:].isdigit() else 3  # in base64 not every bit of the last ones counts
        for at in [at for at in range(len(text) - ends) if text[at].isalnum()]:
            new = next(one for one in "3a8M" if one.lower() != text[at].lower() and one.isdigit() == text[at].isdigit())
            yield s.refused("headers", f"{name} changed", signed | {name: text[:at] + new + text[at + 1 :]})
        for new in (text.upper(), text.lower(), "0" + text, text[:-1]):
            if new != text:
                yield s.refused("headers", f"{name} is {shown(new, 20)} for {shown(text, 20)}", signed | {name: new})
        for new in ("nonsense", "²", ""):
            yield s.refused("raised", f"{name} is {new!r}", signed | {name: new})
    yield "burnt", not len(s.store), f"all were refused, and the store has {len(s.store)} names"
    yield s.let_in("burnt", "what was signed, after all that was refused", signed)
    kept = len(s.store)
    for name, text in signed.items():
        bits = text.rstrip("=") or "-"  # in base64 another last letter may give the same bytes
        for again in (text, bits[:-1] + chr(ord(bits[-1]) + 1) + text[len(bits) :]):
            yield s.refused("replay", f"the same again, {name} ends in {again[-3:]}", signed | {name: again})
    yield "burnt", len(s.store) == kept, f"it was refused the second time, and {len(s.store) - kept} names came with it"


@part
def early_late_and_again(s):
    for late in (0, WINDOW - 1, WINDOW, WINDOW + 1, -WINDOW, 3 * WINDOW, -WINDOW - 1):
        due, signed = s.let_in if abs(late) <= WINDOW else s.refused, s.sign()
        yield due("window", f"it comes {late} s after it was signed", signed, now=START + late)
    yield s.let_in("burnt", "it was refused as too early, and now it is in time", signed)
    for begin, ahead in ((START + 1000, 0), (START + 2000, 40), (START + 3000, WINDOW), (START + 4000, -40)):
        signed = s.sign(now=begin + ahead)
        yield s.let_in("good", f"by a clock that is {ahead} s ahead", signed, now=begin)
        for after in (0, 1, WINDOW - 1, WINDOW, WINDOW + 30, 2 * WINDOW, 2 * WINDOW + 1, 5 * WINDOW):
            for door in (s.door, s.other):
                yield s.refused("replay", f"the same again, {after} s later", signed, now=begin + after, door=door)


@part
def two_at_once(s):
    s.store.line, (method, path, body) = threading.Barrier(2), ASKED
    given = method, path, Headers(s.sign()), body, START
    both = s.at_once(*[partial(door.enter, *given) for door in (s.door, s.other)])
    answers = sorted(str(one.error or one.answer) for one in both)
    yield "race", answers == ["False", "True"], f"the same headers at two doors: {answers}"


@part
def how_much_is_kept(s):
    for second in range(START, START + 3 * WINDOW):
        for _ in range(RATE):
            yield s.let_in("good", f"at {second}", s.sign(now=second), now=second)
    most = RATE * (WINDOW + 1)
    told = f"{RATE} requests/s and {WINDOW} s: {len(s.store)} names are kept at once; {most} are enough"
    yield "too-long", len(s.store) <= most, told
