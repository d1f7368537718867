"""Exercise 4, repair: a client that asks for a token each time. The clock is the check's, and nobody waits for it."""

import threading
from contextlib import suppress
from math import inf

from servicelab.checks.learner_traceback import shown
from servicelab.checks.scenario import Stage, scenario, words

WORDS = words("""
wrong-answer, error-lost: get returns what the stock answered; without a token it raises the auth server's AuthError
    What is it that `call` gives you? Who sees the error, and who sees None?
each-time: one token serves for its whole life, whether that is short or long
    What do you keep, and how do you find out that it is still good?
last-second, counted-late: no token is used in the last second of its life, which counts from when it was asked for
    What do you compare the clock with, and when do you look at it? How long may the answer have been under way?
stampede, one-by-one: eight at once ask for one token, and then call the stock at once
    What makes looking and asking one step, and who looks again? What do you hold while you call the stock?
not-renewed, loops: a token that was refused is renewed and the call made again, once, whatever comes back then
    What do you do about 401? With which token does the second call go out, and how many calls can one get make?
each-renews, other-errors: for 401, and for no other answer, a token is renewed, once for all who used it
    What does 403 say of the token? And who comes second with 401: how can he tell that there is a new one?
hammered, recovers: less than five seconds after a question the last error or 401 is the answer; after them it asks
    What do you remember of a question that failed, or of a token that did not help? Who asks next, and when?
""")


class AuthError(Exception):
    """The auth server gave no token."""


class World(Stage):
    """An auth server, a stock, and a clock. A token is good from when it was asked for."""

    def __init__(self, ask, Caller):
        super().__init__(ask, Caller)
        self.now, self.life, self.slow, self.is_down, self.is_closed = 0.0, 60, 0, False, False
        self.asked, self.tokens, self.left, self.status = [], {}, [], 200
        self.lock, self.due, self.more = threading.Lock(), inf, threading.Event()  # more than the question that is due
        self.line = threading.Barrier(1)  # those who have to be at the stock at once
        self.say("orders", "users", "begin")
        self.caller = self.make(Caller, self.token, self.stock, lambda: self.now, methods=("get",))

    def token(self):
        with self.lock:
            self.say("orders", "users", f"token? at {self.now:g} s")
            self.asked.append(self.now)
            name, begun = f"token {len(self.asked)}", self.now
        if len(self.asked) > self.due:
            self.more.set()
        self.more.wait(0.4 if self.due < inf else 0)
        self.now += self.slow
        if self.is_down:
            raise AuthError("503")
        self.tokens[name] = begun + self.life
        return {"access_token": name, "expires_in": self.life}

    def stock(self, token):
        self.say("orders", "inventory", f"{token} at {self.now:g} s")
        left = self.tokens.get(token, self.now) - self.now
        self.left += [left] if token in self.tokens else []
        with suppress(threading.BrokenBarrierError):
            self.line.wait(2.0)
        if left <= 0 or self.is_closed:
            return 401, "refused"
        return self.status, "7 in stock"

    def get(self, after=0.0):
        """What get returns after some more seconds, or the AuthError that it raises."""
        self.now += after
        outcome = self.ask.run(self.caller.get, limit=3.0)
        if isinstance(outcome.value, tuple) or isinstance(outcome.error, AuthError):
            return outcome.error or outcome.value
        return self.call(self.caller.get, returns=tuple)

    def together(self, count):
        return [one.error or one.answer for one in self.at_once(*[self.caller.get] * count, limit=6.0)]

    def is_fine(self, code, answer, asked, due=(200, "7 in stock")):
        least = min(self.left, default=inf)
        told = f"get gave {answer!r}; {len(self.asked)} tokens asked for, {asked} due; the least left was {least:g} s"
        return code, answer == due and len(self.asked) == asked and least > 1, told

    def in_vain(self, asked, *pauses):
        for answer in map(self.get, pauses):
            told = f"the auth server fails, and was asked {len(self.asked)} times ({asked} due); get gave {answer!r}"
            yield "error-lost", isinstance(answer, AuthError), told
            yield "hammered", len(self.asked) == asked, told


check_client = scenario("13", 4, "A token for each call", WORDS, Caller=World)
part = check_client.part


@part
def one_after_another(w):
    yield w.is_fine("wrong-answer", w.get(), 1)
    for life in (60, 8, 3600):
        w.life = life
        w.get(4000)
        before = len(w.asked)
        for _ in range(8):  # parts that a float has exactly
            yield w.is_fine("each-time", w.get((life - 2) / 8), before)
        yield w.is_fine("last-second", w.get(1), before + 1)
    for status in (403, 500, 429):
        w.status, before = status, len(w.asked)
        yield w.is_fine("other-errors", w.get(10), before, (status, "7 in stock"))
    w.status, w.slow, w.life = 200, 3, 20
    w.get(4000)
    yield w.is_fine("each-time", w.get(14), before + 1)
    yield w.is_fine("counted-late", w.get(2.5), before + 2)


@part
def many_at_once(w):
    for w.due in (1, 2):
        w.line = threading.Barrier(8)
        answers = w.together(8)
        told = f"eight at once: {len(w.asked)} tokens asked for; the answers were {shown(answers, 120)}"
        yield "stampede", set(answers) == {(200, "7 in stock")} and len(w.asked) == w.due, told
        yield "one-by-one", not w.line.broken, f"{told}; they were not at the stock at once"
        w.now += 70


@part
def tokens_are_revoked(w):
    w.get()
    w.tokens.clear()
    yield w.is_fine("not-renewed", w.get(20), 2)
    w.now, w.line = w.now + 20, threading.Barrier(6)
    w.tokens.clear()
    answers = w.together(6)
    told = f"six at once with a revoked token: {len(w.asked) - 2} new tokens, and the answers {shown(answers, 120)}"
    yield "each-renews", set(answers) == {(200, "7 in stock")} and len(w.asked) == 3, told
    w.line, w.status, w.tokens = threading.Barrier(1), 503, {}
    yield w.is_fine("loops", w.get(20), 4, (503, "7 in stock"))
    w.is_closed, w.slow, before = True, 6, len(w.left)
    yield w.is_fine("loops", w.get(20), 5, (401, "refused"))
    yield "loops", len(w.left) - before <= 2, f"one get made {len(w.left) - before} calls"
    w.slow = 0
    for pause in (20, *[0.1] * 40):
        yield w.is_fine("hammered", w.get(pause), 6, (401, "refused"))
    w.is_closed, w.status = w.tokens.clear(), 200
    yield w.is_fine("recovers", w.get(6), 7)


@part
def the_auth_server_fails(w):
    w.is_down = True
    yield from w.in_vain(1, 0, 3, 1.5)
    w.is_down = False
    yield w.is_fine("recovers", w.get(0.5), 2)
    w.is_down, w.slow = True, 3
    yield w.is_fine("each-time", w.get(30), 2)
    w.tokens.clear()
    yield from w.in_vain(3, 5, 0.125, 0.5, 0.875)
    w.now += 0.5
    answers, many = w.together(8), len(w.asked) - 3
    told = f"5 s after that eight at once asked the failing auth server {many} times, and got {shown(answers, 120)}"
    yield "error-lost", all(isinstance(one, AuthError) for one in answers), told
    yield "hammered" if many > 1 else "recovers", many == 1, told
    w.is_down, w.slow = False, 0
    yield w.is_fine("recovers", w.get(6), 5)
    w.tokens.clear()
    yield w.is_fine("hammered", w.get(1), 5, (401, "refused"))
