"""Exercise 4, repair: a client that asks for a token each time. The clock is the check's, and nobody waits for it."""

import threading
from contextlib import suppress

from servicelab.checks.learner_traceback import shown
from servicelab.checks.scenario import Stage, scenario, words

PAUSE = 5  # seconds from one question to the next

WORDS = words("""
wrong-type: get returns a pair: the stock's status and text
    Does every path through it end with a return, or with an error?
wrong-answer: get returns what the stock answered
    What is it that `call` gives you?
each-time: one token serves for its whole life, whether that is short or long
    What do you keep, and how do you find out that it is still good?
last-second: no token is used in its last second
    What do you compare the clock with?
counted-late: a token's life counts from when it was asked for
    How long may the answer have been under way? When do you look at the clock?
stampede: eight at once ask for one token
    All of them see that there is none. What makes looking and asking one step, and who looks again?
one-by-one: while one call is at work, others are
    What do you hold while you call the stock?
not-renewed: a token that was refused is renewed, and the call made once more
    What do you do about 401, and with which token does the second call go out?
loops: it is renewed once: when the new one is refused, too, get returns that
    How many calls can one get make, and what ends it?
each-renews: six at once are refused with one token: it is renewed once, and all have their answer
    The second one comes with 401, and there is a new token already. How can he tell?
other-errors: for any answer but 401 nothing is renewed
    What does 403 say of the token, and what 500?
error-lost: when the auth server fails, and there is no token, get raises its AuthError
    Who sees the error, and who sees None?
hammered: from one question to the next there are at least five seconds, whatever happens
    What do you remember of a question that failed, or of a token that did not help? Who asks next, and when?
recovers: five seconds later it asks again
    What ends the pause?
""")


class AuthError(Exception):
    """The auth server gave no token."""


class World(Stage):
    """An auth server, a stock, and a clock. A token is good from when it was asked for."""

    def __init__(self, ask, Caller):
        super().__init__(ask, Caller)
        self.now, self.life, self.slow, self.is_down, self.is_closed = 1000.0, 60, 0, False, False
        self.asked, self.tokens, self.used, self.status = [], {}, [], 200
        self.lock, self.second, self.wait = threading.Lock(), threading.Event(), 0.0
        self.line = None  # those who have to be at the stock at once
        self.say("orders", "users", "begin")
        self.caller = self.make(Caller, self.token, self.stock, lambda: self.now, methods=("get",))

    def say(self, sender, to, label):
        self.last = self.ask.trace.send(sender, to, label)
        self.ask.trace.receive(self.last)

    def token(self):
        with self.lock:
            self.say("orders", "users", f"token? at {self.now - 1000:g} s")
            self.asked.append(self.now)
            name, begun = f"token {len(self.asked)}", self.now
            if len(self.asked) > 1:
                self.second.set()
        if self.wait:
            self.second.wait(self.wait)
        self.now += self.slow
        if self.is_down:
            raise AuthError("503")
        self.tokens[name] = begun + self.life
        return {"access_token": name, "expires_in": self.life}

    def stock(self, token):
        self.say("orders", "inventory", f"{token} at {self.now - 1000:g} s")
        left = self.tokens.get(token, self.now) - self.now
        self.used.append(left)
        if self.line is not None and token == "token 1":
            with suppress(threading.BrokenBarrierError):
                self.line.wait(2.0)
        if left <= 0 or self.is_closed:
            return 401, "refused"
        return self.status, "7 in stock"

    def get(self, after=0.0):
        """What get returns after some more seconds, or the AuthError that it raises."""
        self.now += after
        outcome = self.ask.run(self.caller.get, limit=3.0)
        if isinstance(outcome.error, AuthError):
            return outcome.error
        if not outcome.returned:
            return self.call(self.caller.get)
        if not isinstance(outcome.value, tuple | list) or len(outcome.value) != 2:
            self.refuse("wrong-type", f"get returned {shown(outcome.value)}")
        return tuple(outcome.value)

    def together(self, count):
        both = self.at_once(*[self.caller.get] * count, limit=6.0)
        return [one.error or one.answer for one in both]

    def is_fine(self, code, answer, asked, due=(200, "7 in stock")):
        told = f"get gave {answer!r}; by then it had asked for {len(self.asked)} tokens"
        return code, answer == due and len(self.asked) == asked, told

    def none_in_the_last_second(self, code):
        least = min(self.used)
        return code, least > 1, f"a token was used with {least:g} s of its life left"


check_client = scenario("13", 4, "A token for each call", WORDS, Caller=World)
part = check_client.part


@part
def one_after_another(w):
    answer = w.get()
    yield "wrong-answer", answer == (200, "7 in stock"), f"get gave {answer!r}"
    for life in (60, 8, 3600):
        w.life = life
        w.get(4000)
        before = len(w.asked)
        for _ in range(9):
            yield w.is_fine("each-time", w.get((life - 2) / 9), before)
        yield w.none_in_the_last_second("last-second")
        yield w.is_fine("last-second", w.get(1.5), before + 1)
        yield w.none_in_the_last_second("last-second")
    w.status = 403
    for status in (403, 500, 429):
        w.status, before = status, len(w.asked)
        yield w.is_fine("other-errors", w.get(10), before, (status, "7 in stock"))


@part
def a_slow_answer(w):
    w.slow, w.life = 3, 20
    yield w.is_fine("each-time", w.get(), 1)
    yield w.is_fine("each-time", w.get(14), 1)
    yield w.is_fine("counted-late", w.get(2.5), 2)
    yield w.none_in_the_last_second("counted-late")


@part
def many_at_once(w):
    w.wait = 0.4
    for asked in (1, 2):
        answers = w.together(8)
        fine = set(answers) == {(200, "7 in stock")} and len(w.asked) == asked
        yield (
            "stampede",
            fine,
            f"eight at once: {len(w.asked)} tokens asked for; the answers were {shown(answers, 120)}",
        )
        w.now += 70
        w.second.clear()


@part
def at_the_stock_at_once(w):
    w.get()
    w.line = threading.Barrier(4)
    w.together(4)
    yield "one-by-one", not w.line.broken, "four at once, with a good token: they were at the stock one after another"


@part
def a_token_is_revoked(w):
    yield w.is_fine("wrong-answer", w.get(), 1)
    w.tokens.clear()
    yield w.is_fine("not-renewed", w.get(20), 2)
    yield w.is_fine("not-renewed", w.get(20), 2)
    w.is_closed, before = True, len(w.used)
    yield w.is_fine("loops", w.get(), 3, (401, "refused"))
    yield "loops", len(w.used) - before <= 2, f"one get made {len(w.used) - before} calls"
    for _ in range(40):
        answer = w.get(0.1)
        yield "hammered", answer == (401, "refused") and len(w.asked) == 3, w.is_fine("", answer, 3)[2]
    w.is_closed = False
    w.tokens.clear()
    yield w.is_fine("recovers", w.get(6), 4)


@part
def six_are_refused_at_once(w):
    w.get()
    w.now, w.line = w.now + 20, threading.Barrier(6)
    w.tokens.clear()
    answers = w.together(6)
    fine = set(answers) == {(200, "7 in stock")} and len(w.asked) == 2
    told = f"six at once with a revoked token: {len(w.asked) - 1} new tokens, and the answers {shown(answers, 120)}"
    yield "each-renews", fine, told


@part
def the_auth_server_fails(w):
    yield w.is_fine("wrong-answer", w.get(), 1)
    w.is_down = True
    yield w.is_fine("each-time", w.get(30), 1)
    for at, asked in ((40, 2), (0.1, 2), (2, 2), (2.5, 2)):
        answer = w.get(at)
        yield "error-lost", isinstance(answer, AuthError), f"no token, and the auth server fails: get gave {answer!r}"
        yield "hammered", len(w.asked) == asked, f"{len(w.asked) - 1} questions within five seconds, all in vain"
    w.now += 1
    answers = w.together(8)
    fine = all(isinstance(one, AuthError) for one in answers)
    yield "error-lost", fine, f"eight at once, and the auth server fails: {shown(answers, 160)}"
    told = f"eight at once asked the failing auth server {len(w.asked) - 2} times, 5.6 s after the last question"
    yield "hammered" if len(w.asked) > 3 else "recovers", len(w.asked) == 3, told
    w.is_down = False
    yield w.is_fine("recovers", w.get(6), 4)
