"""Exercise 2: right answers written in two ways, and mistakes as edits of the first."""

import itertools
import random  # noqa: F401 (an edit needs it)
import threading
import time

import requests

from tests.lab11_answers import but


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
    def __init__(self, session, budget, rng, sleep=time.sleep):
        self.session, self.budget, self.rng, self.sleep = session, budget, rng, sleep

    def request(self, method, url, key=None):
        self.budget.deposit()
        headers = {"Idempotency-Key": key} if key is not None else {}
        is_safe = method in ("GET", "PUT", "DELETE") or key is not None
        pauses = delays(0.05, 1.0, self.rng)
        for attempt in range(1, 5):
            try:
                response, error = self.session.request(method, url, headers=headers, timeout=2), None
            except requests.RequestException as problem:
                response, error = None, problem
            failed = error or response.status_code >= 500
            if not failed or not is_safe or attempt == 4 or not self.budget.withdraw():
                break
            self.sleep(next(pauses))
        if error:
            raise error
        return response


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


#: The mistakes: the code that refuses each, and the edits that make it.
DELAYS = {
    "no jitter": ("chance", "rng.uniform(0, min(step, cap)) => min(step, cap)"),
    "equal seeds": ("chance", "step = base => step, rng = base, random.Random(42)"),
    "the global generator": ("chance", "rng.uniform => random.uniform"),
    "no cap": ("steps", "min(step, cap) => step", "min(cap, step * 2) => min(1e6, step * 2)"),
    "overflow": ("exception", "step = base => step, n = base, 0", "min(cap, step * 2) => base * 2 ** (n := n + 1)"),
    "equal jitter": ("steps", "uniform(0, => uniform(min(step, cap) / 2,"),
    "the cap on what was drawn": (
        "steps",
        "rng.uniform(0, min(step, cap)) => min(rng.uniform(0, step), cap)",
        "min(cap, step * 2) => min(1e12, step * 2)",
    ),
    "starts at twice the base": ("steps", "step = base => step = 2 * base"),
    "linear steps": ("steps", "step * 2 => step + base"),
    "three delays and no more": ("wrong-type", "while True => for _ in range(3)"),
    "a list": ("wrong-type", "yield rng.uniform(0, min(step, cap)) => return [rng.uniform(0, step)]"),
}
DEPOSIT = "min(self.reserve, self.tokens + self.ratio) =>"
BUDGETS = {
    "starts empty": ("reserve", "= ratio, reserve, reserve => = ratio, reserve, 0.0"),
    "one bucket for all budgets": ("reserve", "self.tokens => Budget.tokens"),
    "debts": ("ratio", "self.tokens < 1 => self.tokens <= 0"),
    "deposits a whole token": ("ratio", "+ self.ratio => + 1"),
    "a no takes the rest": ("ratio", "return False => self.tokens = 0\n                return False"),
    "no brim": ("brim", f"{DEPOSIT} self.tokens + self.ratio"),
    "over the brim": ("brim", f"{DEPOSIT} self.tokens + self.ratio * (self.tokens < self.reserve)"),
    "only whole deposits": ("brim", f"{DEPOSIT} self.tokens + self.ratio * (self.tokens + self.ratio <= self.reserve)"),
    "a budget without a lock": ("race", "with self.lock: => if True:"),
    "two locks": (
        "race",
        "self.lock = => self.door =",
        "ratio, reserve, reserve => ratio, reserve, reserve\n        self.lock = threading.Lock()",
        "deposit(self):\n        with self.lock => deposit(self):\n        with self.door",
    ),
}
SAFE = 'method in ("GET", "PUT", "DELETE")'
CLIENTS = {
    "repeats only GET": ("no-retry", f'{SAFE} => method == "GET"'),
    "only four of the 5xx": ("no-retry", ">= 500 => in (500, 502, 503, 504)"),
    "lost replies are not failures": ("no-retry", "requests.RequestException => ZeroDivisionError"),
    "only replies that break off": ("tries", "requests.RequestException => requests.exceptions.ChunkedEncodingError"),
    "four retries": ("tries", "range(1, 5) => range(1, 6)", "attempt == 4 => attempt == 5"),
    "the last response there was": (
        "tries",
        "is_safe = => response = None\n        is_safe =",
        "response, error = None, problem => error = problem",
        "if error: => if response is None:",
    ),
    "the first error": (
        "tries",
        "is_safe = => first = None\n        is_safe =",
        "response, error = None, problem => response, error, first = None, problem, first or problem",
        "raise error => raise first",
    ),
    "the first response": (
        "tries",
        "return response => return first if failed else response",
        "failed = error => first = response if attempt == 1 else first\n            failed = error",
    ),
    "nothing when the budget says no": (
        "wrong-type",
        "not self.budget.withdraw(): => (not self.budget.withdraw() and [response := None]):",
    ),
    "hides the error": ("wrong-type", "raise error => return None"),
    "retries 429": ("final", ">= 500 => >= 500 or response.status_code == 429"),
    "repeats any POST": ("unsafe", f"{SAFE} or key is not None => True"),
    "repeats PATCH": ("unsafe", f'{SAFE} => method != "POST"'),
    "repeats a POST after a 503": ("unsafe", "not is_safe => not (is_safe or error is None)"),
    "never repeats a POST": ("key", " or key is not None => "),
    "None as a key": ("key", '{"Idempotency-Key": key} if key is not None else {} => {"Idempotency-Key": str(key)}'),
    "a new key at each attempt": ("key", "headers=headers => headers={name: f'{key}-{attempt}' for name in headers}"),
    "a key for the session": ("key", "headers=headers => headers=self.session.headers.update(headers)"),
    "never sleeps": ("sleeps", "self.sleep(next(pauses)) => next(pauses)"),
    "sleeps at the end": ("sleeps", "attempt == 4 or => attempt == 4 and not self.sleep(0.01) or attempt == 4 or"),
    "sleeps, then asks the budget": (
        "sleeps",
        "            self.sleep(next(pauses))\n => ",
        "attempt == 4 or => attempt == 4 or self.sleep(next(pauses)) or",
    ),
    "asks the budget first": (
        "tokens",
        "not is_safe or attempt == 4 or not self.budget.withdraw() => "
        "not self.budget.withdraw() or not is_safe or attempt == 4",
    ),
    "no budget": ("tokens", "attempt == 4 or not self.budget.withdraw() => attempt == 4"),
    "a token a call": ("tokens", "not self.budget.withdraw() => attempt == 1 and not self.budget.withdraw()"),
    "deposits at the end": (
        "tokens",
        "self.budget.deposit()\n => \n",
        "return response => return self.budget.deposit() or response",
    ),
    "retries refill the budget": ("tokens", "self.sleep(next( => self.budget.deposit()\n            self.sleep(next("),
    "a seed of its own": ("chance", "1.0, self.rng => 1.0, random.Random(7)"),
    "chance of its own": ("chance", "1.0, self.rng => 1.0, random.Random()"),
    "the first delay each time": ("pauses", "next(pauses) => next(delays(0.05, 1.0, self.rng))"),
    "delays that go on": (
        "pauses",
        'pauses = delays => pauses = self.pauses = vars(self).get("pauses") or delays',
    ),
}
RIGHT = {"as one loop": (delays, Budget, Client), "another hand": (other_delays, Pot, Recursive)}
WRONG = {name: ((but(delays, *edits), Budget, Client), {code}) for name, (code, *edits) in DELAYS.items()}
WRONG |= {name: ((delays, but(Budget, *edits), Client), {code}) for name, (code, *edits) in BUDGETS.items()}
WRONG |= {name: ((delays, Budget, but(Client, *edits)), {code}) for name, (code, *edits) in CLIENTS.items()}
