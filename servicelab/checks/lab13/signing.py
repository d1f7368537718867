"""Exercise 3, build: requests that are signed, and let in once. The clock is an argument; one part is on a socket."""

import secrets
import threading
from base64 import b64encode
from contextlib import suppress

import requests
from flask import Flask, request
from werkzeug.datastructures import Headers

from servicelab.checks.learner_traceback import shown
from servicelab.checks.scenario import Stage, scenario, words
from servicelab.servers import serve

WINDOW, RATE, START = 60, 5, 1_900_000_000  # seconds; requests/s; the second in which it begins
ASKED = ("POST", "/stock/12?item=mug", b"3 of 5")

WORDS = words("""
wrong-type: sign returns a dict of texts, and enter returns True or False
    Does every path through both end with a return?
raised: enter raises nothing, whatever the headers are
    Which of your lines takes a header for granted, or takes it for a number?
good: a signed request is let in, and so is the same again when it is signed again
    Compare what you sign with what you check, byte for byte. Is a nonce ever used twice?
key-sent: the key is not among the headers
    Everybody on the way reads the headers. What proves that you have the key, without showing it?
stranger: a request that was signed with another key, or by an unknown caller, is refused
    With whose key does `enter` compute the signature?
method, path, body: each of these is covered: changed after it was signed, it is refused
    What goes into your signature? All of the path? All of the body?
headers: each header is covered: a request with one of them changed, or without it, is refused
    Somebody has seen a request, and wants to send it again. Which of the headers may he change?
seam: what is moved across the border between two parts is a change, too
    You put the parts together. Can two requests come out alike?
window: what was signed more than a window ago, or is more than a window ahead, is refused; until then it is good
    Write down both borders. How far may the caller's clock be ahead?
replay: the same headers a second time are refused, as long as the window would let them in, by each door
    What do you note, and until when? A caller's clock may be ahead: how long is his request good?
race: two at once with the same headers: one of them is let in
    Between looking and noting there is time for another one. Which method of the store does both at once?
burnt: a request that is refused leaves nothing in the store
    What do you do first: check the signature, or note the nonce? Who could fill your store?
too-long: the store has no more than a window's requests
    Until when can a nonce be sent again? What refuses it after that?
""")


class Store:
    """Names that are noted, each up to and including a second. All doors share it. ``add`` is one step."""

    def __init__(self, now=START):
        self.now, self.most, self._until, self._lock = now, 0, {}, threading.Lock()
        self.line = threading.Barrier(1)  # how many are asked at once

    def add(self, name: str, until: float) -> bool:
        """Note a name until a second. Was it new? If it is there, nothing changes."""
        if not isinstance(name, str):
            raise TypeError(f"name={name!r} must be a text")
        with self._lock:
            is_new = self._until.get(name, self.now - 1) < self.now
            if is_new:
                self._until[name] = until
            if len(self._until) > self.most:  # only then it is worth to look who is over
                self._until = {name: until for name, until in self._until.items() if until >= self.now}
                self.most = max(self.most, len(self._until))
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
        self.sign_it, self.Door = self.yours
        self.keys, self.store = {"ann": secrets.token_bytes(32), "bob": secrets.token_bytes(32)}, Store()
        self.last = ask.trace.send("orders", "inventory", "sign")
        ask.trace.receive(self.last)
        self.door, self.other = self.new(), self.new()

    def new(self):
        return self.make(self.Door, dict(self.keys), self.store, WINDOW, methods=("enter",))

    def sign(self, asked=ASKED, now=START, who="ann", key=None):
        method, path, body = asked
        found = self.call(self.sign_it, who, self.keys[who] if key is None else key, method, path, body, now)
        if not isinstance(found, dict) or not all(isinstance(one, str) for pair in found.items() for one in pair):
            self.refuse("wrong-type", f"sign returned {shown(found)}")
        return found

    def enter(self, headers, asked=ASKED, now=START, door=None, label="a request"):
        method, path, body = asked
        self.last = self.ask.trace.send("orders", "inventory", label)
        self.ask.trace.receive(self.last)
        self.store.now = now
        outcome = self.ask.run((door or self.door).enter, method, path, Headers(headers), body, now, limit=3.0)
        if not outcome.returned:
            self.refuse("raised", f"{label}: {outcome}")
        if not isinstance(outcome.value, bool):
            self.refuse("wrong-type", f"{label}: enter returned {shown(outcome.value)}")
        return outcome.value

    def let_in(self, code, label, *given, **options):
        return code, self.enter(*given, label=label, **options), f"{label}: it was refused"

    def refused(self, code, label, *given, **options):
        return code, not self.enter(*given, label=label, **options), f"{label}: it was let in"


check_signing = scenario("13", 3, "Signed requests", WORDS, sign=Doors, Door=Doors)
part = check_signing.part


@part
def good_ones(s):
    yield s.let_in("good", "a signed request", s.sign())
    for asked in (ASKED, ("GET", "/stock", b""), ("PUT", "/stock/ä?x=1&y=%20", bytes(range(256)))):
        yield s.let_in("good", f"{asked[0]} {asked[1]}", s.sign(asked), asked, door=s.other)
    both = [s.sign(), s.sign()]
    for signed in both:
        yield s.let_in("good", "the same, signed twice in one second", signed)
    told, key = str(both[0]), s.keys["ann"]
    is_sent = any(text in told for text in (key.hex(), repr(key)[2:-1], b64encode(key).decode()[:40]))
    yield "key-sent", not is_sent, f"the headers are {shown(both[0])}"
    app = Flask("inventory")
    door, now = s.door.enter, START

    @app.route("/stock/<item>", methods=["POST"])
    def stock(item):
        path = f"{request.path}?{request.query_string.decode()}"
        return str(door(request.method, path, request.headers, request.get_data(), now))

    method, path, body = ASKED
    url = s.use(serve(app, "inventory")).url + path
    answer = requests.request(method, url, data=body, headers=s.sign(), timeout=5).text
    yield "good", answer == "True", f"over HTTP, enter was {answer}"


@part
def others_and_changes(s):
    yield s.refused("stranger", "signed with another key", s.sign(key=secrets.token_bytes(32)))
    yield s.refused("stranger", "bob's, signed with ann's key", s.sign(who="bob", key=s.keys["ann"]))
    for key in (secrets.token_bytes(32), b""):
        yield s.refused("stranger", "of an unknown caller", s.sign(who="eve", key=key))
    yield s.refused("stranger", "without any headers", {})
    method, path, body = ASKED
    changes = [("method", ("PUT", path, body)), ("method", ("GET", path, body))]
    changes += [("path", (method, other, body)) for other in ("/stock/13?item=mug", "/stock/12?item=cup", "/stock/12")]
    changes += [("body", (method, path, other)) for other in (b"3 of 6", b"4 of 5", b"3 of 5 ", b"")]
    changes += [("seam", (method + path[0], path[1:], body)), ("seam", (method, path + "3", body[1:]))]
    changes += [("seam", (method[:-1], method[-1] + path, body)), ("seam", (method, path[:-1], b"g" + body))]
    signed = s.sign()
    for code, asked in changes:
        yield s.refused(code, " ".join(map(str, asked)), signed, asked)
    for name, text in signed.items():
        yield s.refused("headers", f"without {name}", {one: signed[one] for one in signed if one != name})
        ends = 0 if text[-4:].isdigit() else 3  # in base64 not every bit of the last ones counts
        for at in [at for at in range(len(text) - ends) if text[at].isalnum()]:
            new = next(one for one in "3a8M" if one.lower() != text[at].lower() and one.isdigit() == text[at].isdigit())
            other = signed | {name: text[:at] + new + text[at + 1 :]}
            yield s.refused("headers", f"{name} with one letter changed", other)
    for name in signed:
        yield s.refused("raised", f"{name} is nonsense", signed | {name: "nonsense"})
    yield "burnt", not len(s.store), f"all were refused, and the store has {len(s.store)} names"
    yield s.let_in("burnt", "what was signed, after all that was refused", signed)


@part
def early_and_late(s):
    for late in (0, WINDOW - 1, WINDOW, WINDOW + 1, -WINDOW, -WINDOW - 1, 3 * WINDOW):
        due = s.let_in if abs(late) <= WINDOW else s.refused
        yield due("window", f"it comes {late} s after it was signed", s.sign(), now=START + late)


@part
def again_and_again(s):
    for ahead in (0, 48, WINDOW, -48):
        s.store = Store()
        one, other, signed = s.new(), s.new(), s.sign(now=START + ahead)
        yield s.let_in("good", f"by a clock that is {ahead} s ahead", signed, door=one)
        for after in (0, 1, WINDOW - 1, WINDOW, WINDOW + 30, 2 * WINDOW, 2 * WINDOW + 1, 5 * WINDOW):
            for door in (one, other):
                yield s.refused("replay", f"the same again, {after} s later", signed, now=START + after, door=door)


@part
def two_at_once(s):
    for _ in range(3):
        signed, s.store.line = Headers(s.sign()), threading.Barrier(2)
        method, path, body = ASKED
        doors = (s.door, s.other)
        both = s.at_once(*[lambda door=door: door.enter(method, path, signed, body, START) for door in doors])
        answers = [one.error or one.answer for one in both]
        yield "race", sorted(map(str, answers)) == ["False", "True"], f"the same headers at two doors: {answers}"


@part
def how_much_is_kept(s):
    for number in range(3 * WINDOW):
        for _ in range(RATE):
            s.store.now, signed = START + number, s.sign(("GET", "/stock", b""), START + number)
            fine = s.call(s.door.enter, "GET", "/stock", Headers(signed), b"", START + number)
        yield "good", fine, f"a request at second {number} was refused"
    most = RATE * (WINDOW + 1)
    told = f"{RATE} requests/s, a window of {WINDOW} s: {s.store.most} names were kept at once; {most} are enough"
    yield "too-long", s.store.most <= 1.02 * most, told
