"""Exercise 2: a right client in small parts, a second one written otherwise, and mistakes as changes to the first."""

import itertools
import random
import threading
import time

import requests

from tests.lab10_answers import but


def delays(base, cap, rng):
    step = base
    while True:
        yield rng.uniform(0, min(step, cap))
        step = min(cap, step * 2)


class Budget:
    def __init__(self, ratio, reserve):
        self.ratio, self.reserve, self.tokens = ratio, reserve, reserve
        self.lock = threading.Lock()

    def deposit(self):
        with self.lock:
            self.tokens = min(self.reserve, self.tokens + self.ratio)

    def withdraw(self):
        with self.lock:
            if self.tokens < 1:
                return False
            self.tokens -= 1
            return True


class Client:
    """A right answer. A mistake is a subclass that overrides one part."""

    tries = 4

    def __init__(self, session, budget, rng, sleep=time.sleep):
        self.session, self.budget, self.rng, self.sleep = session, budget, rng, sleep

    def is_safe(self, method, key):
        return method in ("GET", "PUT", "DELETE") or key is not None

    def headers(self, key):
        return {"Idempotency-Key": key} if key else {}

    def is_worth_it(self, response):
        return response.status_code >= 500

    def delays(self):
        return delays(0.05, 1.0, self.rng)

    def deposit(self, attempt):
        if attempt == 1:
            self.budget.deposit()

    def may(self, attempt, method, key):
        return attempt < self.tries and self.is_safe(method, key) and self.budget.withdraw()

    def request(self, method, url, key=None):
        pauses = self.delays()
        for attempt in itertools.count(1):
            self.deposit(attempt)
            try:
                response = self.session.request(method, url, headers=self.headers(key), timeout=2)
            except requests.RequestException:
                if not self.may(attempt, method, key):
                    raise
            else:
                if not self.is_worth_it(response) or not self.may(attempt, method, key):
                    return response
            self.sleep(next(pauses))


def other_delays(base, cap, rng):
    for n in itertools.count():
        yield cap * rng.random() if n > 60 else rng.random() * min(cap, base * 2**n)


class Pot:
    """Another hand: counts in whole thousandths, under a condition."""

    def __init__(self, ratio, reserve):
        self.change, self.coin, self.most = threading.Condition(), round(ratio * 1000), round(reserve * 1000)
        self.held = self.most

    def deposit(self):
        with self.change:
            self.held = min(self.held + self.coin, self.most)

    def withdraw(self):
        with self.change:
            enough = self.held >= 1000
            self.held -= 1000 * enough
            return enough


class Recursive:
    """Another hand: one attempt, and the rest of the tries by recursion; an outcome in place of two branches."""

    SAFE = {"GET", "HEAD", "PUT", "DELETE", "OPTIONS"}

    def __init__(self, session, budget, rng, sleep):
        self.web, self.pot, self.rng, self.rest = session, budget, rng, sleep

    def request(self, method, url, key=None):
        self.pot.deposit()
        headers = None if key is None else {"Idempotency-Key": key}
        return self._try(
            lambda: self.web.request(method, url, headers=headers, timeout=1.5),
            3 if method in self.SAFE or key is not None else 0,
            other_delays(0.05, 1, self.rng),
        )

    def _try(self, send, left, pauses):
        error = answer = None
        try:
            answer = send()
        except (requests.ConnectionError, requests.Timeout, requests.exceptions.ChunkedEncodingError) as failure:
            error = failure
        if (error or answer.status_code // 100 == 5) and left and self.pot.withdraw():
            self.rest(next(pauses))
            return self._try(send, left - 1, pauses)
        if error:
            raise error
        return answer


# -- the delays


def no_jitter(base, cap, rng):
    step = base
    while True:
        yield min(step, cap)
        step = min(cap, step * 2)


def equal_seeds(base, cap, rng):
    return delays(base, cap, random.Random(42))


def global_rng(base, cap, rng):
    return delays(base, cap, random)


def no_cap(base, cap, rng):
    step = base
    while True:
        yield rng.uniform(0, step)
        step = min(step * 2, 1e6)


def overflows(base, cap, rng):
    for n in itertools.count():
        yield rng.uniform(0, min(cap, base * 2**n))


def equal_jitter(base, cap, rng):
    step = min(base, cap)
    while True:
        yield rng.uniform(step / 2, step)
        step = min(cap, step * 2)


def starts_at_twice(base, cap, rng):
    return delays(2 * base, cap, rng)


def linear(base, cap, rng):
    for n in itertools.count(1):
        yield rng.uniform(0, min(cap, base * n))


def three(base, cap, rng):
    return itertools.islice(delays(base, cap, rng), 3)


def a_list(base, cap, rng):
    return list(three(base, cap, rng))


# -- the budget


class NoBrim(Budget):
    def deposit(self):
        with self.lock:
            self.tokens += self.ratio


class OverTheBrim(Budget):
    def deposit(self):
        with self.lock:
            self.tokens += self.ratio if self.tokens < self.reserve else 0


class OnlyWholeDeposits(Budget):
    """What fits in only in part stays outside."""

    def deposit(self):
        with self.lock:
            self.tokens += self.ratio if self.tokens + self.ratio <= self.reserve else 0


class TakesTheRest(Budget):
    def withdraw(self):
        paid = super().withdraw()
        self.tokens *= paid
        return paid


class OneForAll(Budget):
    """The tokens are the class's."""

    tokens = property(lambda self: OneForAll.held, lambda self, many: setattr(OneForAll, "held", many))


class TwoLocks(Budget):
    """One for those who pay in, another for those who take."""

    def deposit(self):
        self.door = self.__dict__.setdefault("door", threading.Lock())
        with self.door:
            self.tokens = min(self.reserve, self.tokens + self.ratio)


class StartsEmpty(Budget):
    def __init__(self, ratio, reserve):
        super().__init__(ratio, reserve)
        self.tokens = 0.0


class HalfATokenIsEnough(Budget):
    def withdraw(self):
        with self.lock:
            if self.tokens <= 0:
                return False
            self.tokens -= 1
            return True


class WholeDeposit(Budget):
    def deposit(self):
        with self.lock:
            self.tokens = min(self.reserve, self.tokens + 1)


class Unlocked(Budget):
    def withdraw(self):
        if self.tokens < 1:
            return False
        self.tokens -= 1
        return True


# -- the client


class UnlockedDeposit(Budget):
    def deposit(self):
        self.tokens = min(self.reserve, self.tokens + self.ratio)


class RepeatsPostAfter503(Client):
    """A 503 cannot have charged anybody, it thinks."""

    def request(self, method, url, key=None):
        self.budget.deposit()
        for attempt, pause in zip(itertools.count(1), self.delays()):
            try:
                response = self.session.request(method, url, headers=self.headers(key), timeout=2)
            except requests.RequestException:
                if not self.may(attempt, method, key):
                    raise
            else:
                if not self.is_worth_it(response) or not self.may(attempt, "GET", key):
                    return response
            self.sleep(pause)


class LastResponse(Client):
    """Returns the last response that there was, in place of the error after it."""

    def request(self, method, url, key=None):
        self.budget.deposit()
        last = None
        for attempt, pause in zip(itertools.count(1), self.delays()):
            try:
                last = self.session.request(method, url, headers=self.headers(key), timeout=2)
            except requests.RequestException:
                if not self.may(attempt, method, key):
                    if last is None:
                        raise
                    return last
            else:
                if not self.is_worth_it(last) or not self.may(attempt, method, key):
                    return last
            self.sleep(pause)


class StatusOnly(Client):
    """Looks at the status, and forgets that a lost reply has none."""

    def request(self, method, url, key=None):
        self.budget.deposit()
        for attempt, pause in zip(itertools.count(1), self.delays()):
            response = self.session.request(method, url, headers=self.headers(key), timeout=2)
            if not self.is_worth_it(response) or not self.may(attempt, method, key):
                return response
            self.sleep(pause)


class OnlyBrokenReplies(StatusOnly):
    """Catches what the report showed, and nothing else."""

    def request(self, method, url, key=None):
        try:
            return super().request(method, url, key)
        except requests.exceptions.ChunkedEncodingError:
            return Client.request(self, method, url, key)


class SleepsThenAsks(Client):
    def delays(self):
        self.pauses = super().delays()
        return itertools.repeat(None)

    def may(self, attempt, method, key):
        if attempt == self.tries or not self.is_safe(method, key):
            return False
        self.sleep(next(self.pauses))
        return self.budget.withdraw()

    def __setattr__(self, name, value):
        super().__setattr__(name, (lambda pause: pause and value(pause)) if name == "sleep" else value)


class DepositsAtTheEnd(Client):
    """A call that ended in an exception has paid nothing in."""

    def deposit(self, attempt):
        pass

    def request(self, method, url, key=None):
        response = super().request(method, url, key)
        self.budget.deposit()
        return response


class FourRetries(Client):
    tries = 5


class SleepsLast(Client):
    def may(self, attempt, method, key):
        if attempt == self.tries:
            self.sleep(0.01)
        return super().may(attempt, method, key)


class HidesTheError(Client):
    def request(self, method, url, key=None):
        try:
            return super().request(method, url, key)
        except requests.RequestException:
            return None


class OneStream(Client):
    """The delays go on from call to call."""

    def __init__(self, *args):
        super().__init__(*args)
        self.stream = super().delays()

    def delays(self):
        return self.stream


class KeyOfTheSession(Client):
    """The key stays with the session, for whoever comes next."""

    def headers(self, key):
        self.session.headers.update(super().headers(key))


class DepositsEachAttempt(Client):
    def deposit(self, attempt):
        self.budget.deposit()


class NeverSleeps(Client):
    def request(self, method, url, key=None):
        self.sleep = lambda seconds: None
        return super().request(method, url, key)


RIGHT = {
    "in small parts": (delays, Budget, Client),
    "another hand": (other_delays, Pot, Recursive),
}
WRONG = {
    "no jitter": ((no_jitter, Budget, Client), {"no-jitter"}),
    "equal seeds": ((equal_seeds, Budget, Client), {"equal-seeds"}),
    "the global generator": ((global_rng, Budget, Client), {"other-rng"}),
    "no cap": ((no_cap, Budget, Client), {"no-cap"}),
    "overflow": ((overflows, Budget, Client), {"overflow"}),
    "equal jitter": ((equal_jitter, Budget, Client), {"not-full"}),
    "starts at twice the base": ((starts_at_twice, Budget, Client), {"wrong-steps"}),
    "linear steps": ((linear, Budget, Client), {"wrong-steps"}),
    "three delays and no more": ((three, Budget, Client), {"delays-end"}),
    "a list": ((a_list, Budget, Client), {"wrong-type"}),
    "no brim": ((delays, NoBrim, Client), {"no-brim"}),
    "over the brim": ((delays, OverTheBrim, Client), {"no-brim"}),
    "only whole deposits": ((delays, OnlyWholeDeposits, Client), {"no-brim"}),
    "a no takes the rest": ((delays, TakesTheRest, Client), {"ratio"}),
    "one bucket for all budgets": ((delays, OneForAll, Client), {"another-budget"}),
    "two locks": ((delays, TwoLocks, Client), {"deposit-race"}),
    "starts empty": ((delays, StartsEmpty, Client), {"reserve"}),
    "debts": ((delays, HalfATokenIsEnough, Client), {"ratio"}),
    "deposits a whole token": ((delays, WholeDeposit, Client), {"ratio"}),
    "a budget without a lock": ((delays, Unlocked, Client), {"budget-race"}),
    "repeats any POST": ((delays, Budget, but(Client, is_safe=lambda self, method, key: True)), {"post-repeated"}),
    "deposits without a lock": ((delays, UnlockedDeposit, Client), {"deposit-race"}),
    "repeats only GET": (
        (delays, Budget, but(Client, is_safe=lambda self, method, key: method == "GET" or key is not None)),
        {"put-not-retried"},
    ),
    "repeats PATCH": (
        (delays, Budget, but(Client, is_safe=lambda self, method, key: method != "POST" or key is not None)),
        {"patch-repeated"},
    ),
    "repeats a POST after a 503": ((delays, Budget, RepeatsPostAfter503), {"post-repeated-503"}),
    "asks the budget first": (
        (
            delays,
            Budget,
            but(
                Client,
                may=lambda self, attempt, method, key: (
                    self.budget.withdraw() and attempt < self.tries and self.is_safe(method, key)
                ),
            ),
        ),
        {"tokens-wasted"},
    ),
    "None as a key": (
        (delays, Budget, but(Client, headers=lambda self, key: {"Idempotency-Key": str(key)})),
        {"key-invented"},
    ),
    "the last response there was": ((delays, Budget, LastResponse), {"error-hidden"}),
    "never repeats a POST": (
        (delays, Budget, but(Client, is_safe=lambda self, method, key: method in ("GET", "PUT", "DELETE"))),
        {"key-not-used"},
    ),
    "a new key at each attempt": (
        (
            delays,
            Budget,
            but(Client, headers=lambda self, key: {"Idempotency-Key": f"{key}-{random.random()}"} if key else {}),
        ),
        {"key-changed"},
    ),
    "retries 429": (
        (
            delays,
            Budget,
            but(Client, is_worth_it=lambda self, response: response.status_code >= 500 or response.status_code == 429),
        ),
        {"retries-4xx"},
    ),
    "only four of the 5xx": (
        (delays, Budget, but(Client, is_worth_it=lambda self, response: response.status_code in (500, 502, 503, 504))),
        {"no-retry"},
    ),
    "only replies that break off": ((delays, Budget, OnlyBrokenReplies), {"refused-not-retried"}),
    "sleeps, then asks the budget": ((delays, Budget, SleepsThenAsks), {"sleeps-unpaid"}),
    "the first delay each time": (
        (delays, Budget, but(Client, delays=lambda self: (next(delays(0.05, 1.0, self.rng)) for _ in range(9)))),
        {"steps-stay-short"},
    ),
    "a key for the session": ((delays, Budget, KeyOfTheSession), {"key-invented"}),
    "lost replies are not failures": ((delays, Budget, StatusOnly), {"lost-not-retried"}),
    "deposits at the end": ((delays, Budget, DepositsAtTheEnd), {"deposits"}),
    "four retries": ((delays, Budget, FourRetries), {"tries"}),
    "sleeps at the end": ((delays, Budget, SleepsLast), {"sleeps"}),
    "hides the error": ((delays, Budget, HidesTheError), {"wrong-type"}),
    "a seed of its own": (
        (delays, Budget, but(Client, delays=lambda self: delays(0.05, 1.0, random.Random(7)))),
        {"clients-alike"},
    ),
    "delays that go on": ((delays, Budget, OneStream), {"steps-go-on"}),
    "no budget": (
        (
            delays,
            Budget,
            but(Client, may=lambda self, attempt, method, key: attempt < self.tries and self.is_safe(method, key)),
        ),
        {"not-shared"},
    ),
    "retries refill the budget": ((delays, Budget, DepositsEachAttempt), {"deposits"}),
    "a token a call": (
        (
            delays,
            Budget,
            but(
                Client,
                may=lambda self, attempt, method, key: (
                    attempt < self.tries and self.is_safe(method, key) and (attempt > 1 or self.budget.withdraw())
                ),
            ),
        ),
        {"refilled-by-retries"},
    ),
    "never sleeps": ((delays, Budget, NeverSleeps), {"no-sleep"}),
}
