"""Exercise 4: clients repaired in three ways, and mistakes."""

import threading

from servicelab.checks.lab13 import AuthError
from tests.lab11_answers import but


class Caller:
    """One lock for asking; each get says which token has failed it."""

    def __init__(self, ask, call, clock):
        self.ask, self.call, self.clock, self.lock = ask, call, clock, threading.Lock()
        self.token, self.until, self.asked, self.error = None, 0, -100, None

    def fresh(self, bad=None):
        with self.lock:
            now = self.clock()
            if self.token not in (None, bad) and now < self.until - 1:
                return self.token
            if now - self.asked < 5:
                if self.error:
                    raise self.error
                return None
            self.asked, self.error = now, None
            try:
                answer = self.ask()
            except AuthError as error:
                self.token, self.error = None, error
                raise
            self.token, self.until = answer["access_token"], now + answer["expires_in"]
            return self.token

    def get(self):
        token = self.fresh()
        answer = self.call(token)
        if answer[0] == 401:
            new = self.fresh(bad=token)
            if new:
                answer = self.call(new)
        return answer


class Waits:
    """A condition: one asks without the lock, the others wait for its end. A refused token is forgotten."""

    def __init__(self, ask, call, clock):
        self.ask, self.call, self.clock, self.change = ask, call, clock, threading.Condition()
        self.token, self.last, self.asking, self.begun = None, None, False, None

    def good(self):
        with self.change:
            while True:
                self.change.wait_for(lambda: not self.asking)
                now = self.clock()
                if self.token and self.token[1] - now > 1:
                    return self.token[0]
                if self.begun is not None and now < self.begun + 5:
                    return None
                self.asking, self.begun = True, now
                break
        found = error = None
        try:
            answer = self.ask()
            found = answer["access_token"], now + answer["expires_in"]
        except AuthError as failed:
            error = failed
        with self.change:
            self.token, self.asking = found, False
            self.last = error or self.last
            self.change.notify_all()
        return found and found[0]

    def get(self):
        answer = None
        for _ in range(2):
            token = self.good()
            if token is None:
                break
            answer = self.call(token)
            if answer[0] != 401:
                return answer
            with self.change:
                self.last = answer
                if self.token and self.token[0] == token:
                    self.token = None
        if isinstance(self.last, Exception):
            raise self.last
        return answer or self.last


class Numbered(Caller):
    """Tokens have numbers, and whoever was refused asks for a later one; recursion, and a tuple for the state."""

    def __init__(self, ask, call, clock):
        self.ask, self.call, self.clock, self.lock = ask, call, clock, threading.RLock()
        self.state, self.begun, self.failed = (0, None, 0.0), float("-inf"), None

    def get(self, after=0, answer=None):
        with self.lock:
            number, token, end = self.state
            begun = self.clock()
            if number <= after or begun + 1 >= end:
                if begun < self.begun + 5:
                    if self.failed:
                        raise AuthError(f"not yet, after {self.failed}")
                    return answer or self.call(token)
                try:
                    self.begun = begun
                    found = self.ask()
                    self.failed = None
                except AuthError as error:
                    self.failed = error
                    raise
                number, token = number + 1, found["access_token"]
                self.state = number, token, begun + found["expires_in"]
        answer = self.call(token)
        return self.get(number, answer) if answer[0] == 401 and not after else answer


LOCK = "with self.lock:\n            now => if True:\n            now"
PAUSE = "if now - self.asked < 5:"
GOOD = "self.token not in (None, bad) and now < self.until - 1"
RENEW = "new = self.fresh(bad=token)\n            if new:\n                answer = self.call(new)"

RIGHT = {"a lock": Caller, "a condition": Waits, "numbers": Numbered}
WRONG = {
    "asked at 0": (but(Caller, "None, 0, -100, None => None, 0, 0, None"), {"wrong-answer"}),
    "only the text": (but(Caller, "        return answer\n =>         return answer[1]\n"), {"wrong-type"}),
    "always well": (but(Caller, "        return answer\n => "
        '        return (200, answer[1]) if answer[0] != 401 else answer\n'), {"other-errors"}),
    "another text": (but(Caller, "        return answer\n =>         return answer[0], answer[1].upper()\n"),
        {"wrong-answer"}),
    "a token each time": (but(Caller, f"{GOOD} => False", f"{PAUSE} => if False:"), {"each-time"}),
    "a minute before": (but(Caller, "self.until - 1 => self.until - 60", f"{PAUSE} => if False:"), {"each-time"}),
    "a tenth before": (but(Caller, 'now + answer["expires_in"] => now + 0.9 * answer["expires_in"]'), {"each-time"}),
    "the first life for all": (but(Caller, 'now + answer["expires_in"] => '
        'now + self.__dict__.setdefault("life", answer["expires_in"])'), {"last-second"}),
    "up to its end": (but(Caller, "self.until - 1 => self.until"), {"last-second"}),
    "with just a second left": (but(Caller, "now < self.until - 1 => now <= self.until - 1"), {"last-second"}),
    "from the answer on": (but(Caller, 'now + answer["expires_in"] => self.clock() + answer["expires_in"]'),
        {"counted-late"}),
    "no lock": (but(Caller, LOCK, f"{PAUSE} => if False:"), {"stampede"}),
    "looks before the lock": (but(Caller, "with self.lock:\n            now = self.clock()\n            if "
        f"{GOOD}: => now = self.clock()\n        if {GOOD}:\n            return self.token\n        with self.lock:\n"
        "            if False:", f"{PAUSE} => if False:"), {"stampede"}),
    "one lock for all": (but(Caller, "def get(self):\n        token => def get(self):\n"
        "        with self.lock:\n            return self.locked()\n\n    def locked(self):\n        token",
        "threading.Lock() => threading.RLock()"), {"one-by-one"}),
    "401 is an answer": (but(Caller, "== 401: => == 999:"), {"not-renewed"}),
    "the same again": (but(Caller, f"{RENEW} => answer = self.call(token)"), {"not-renewed"}),
    "renewed, not called": (but(Caller, f"{RENEW} => self.fresh(bad=token)"), {"not-renewed"}),
    "until it works": (but(Caller, 'if answer[0] == 401: => for _ in range(9):\n            if answer[0] != 401:\n'
        "                break", f"{RENEW} => new = self.fresh(bad=token)\n            if new:\n"
        "                answer = self.call(new)\n                token = new"), {"loops"}),
    "the second answer, if it is well": (but(Caller, "answer = self.call(new) => "
        "again = self.call(new)\n                answer = again if again[0] == 200 else answer"), {"loops"}),
    "each renews": (but(Caller, "(None, bad) and => (None,) and bad is None and"), {"each-renews"}),
    "any error renews": (but(Caller, "answer[0] == 401 => answer[0] >= 400"), {"other-errors"}),
    "403, too": (but(Caller, "answer[0] == 401 => answer[0] in (401, 403)"), {"other-errors"}),
    "no error": (but(Caller, "error\n                raise => error\n                return None",
        "raise self.error => return None", "answer = self.call(token) => "
        "if not token:\n            return 503, 'no token'\n        answer = self.call(token)"), {"error-lost"}),
    "no error, but the 401": (but(Caller, "new = self.fresh(bad=token) => "
        "try:\n                new = self.fresh(bad=token)\n            except AuthError:\n                new = None"),
        {"error-lost"}),
    "five seconds from the answer": (but(Caller, "self.token, self.error = None, error => "
        "self.token, self.error, self.asked = None, error, self.clock()"), {"recovers"}),
    "a failure is forgotten": (but(Caller, "= None, error => = None, error\n                self.asked = -100"),
        {"hammered"}),
    "a pause after failures only": (but(Caller, f"{PAUSE} => if self.error and now - self.asked < 5:"), {"hammered"}),
    "a pause after 401 only": (but(Caller, f"{PAUSE} => if bad and now - self.asked < 5:"), {"hammered"}),
    "a failure stays": (but(Caller, "self.asked, self.error = now, None => self.asked = now"), {"hammered"}),
    "more than five": (but(Caller, f"{PAUSE} => if now - self.asked <= 5:"), {"recovers"}),
    "four seconds": (but(Caller, f"{PAUSE} => if now - self.asked < 4:"), {"hammered"}),
    "a minute's pause": (but(Caller, f"{PAUSE} => if now - self.asked < (60 if self.error else 5):"), {"recovers"}),
}  # fmt: skip
