"""The stage of exercise 3: the learner's watcher at a registry, or at something that stands where one stood."""

import random
from typing import NamedTuple
from urllib.parse import parse_qs, urlsplit

from flask import Flask, Response, json

from servicelab.checks.lab08.registry_stage import Stand, wait_until
from servicelab.checks.learner_traceback import shown
from servicelab.servers import serve

GET = "GET /v1/health"
LONG, SHORT = 10.0, 0.3  # seconds that a question may be kept waiting


class Answered(NamedTuple):
    """An answer that came: the index that was sent, and the one that was in it (None: none)."""

    sent: int | None
    got: int | None


class Dice(random.Random):
    """Counts how often something was drawn."""

    drawn = 0

    def random(self):
        self.drawn += 1
        return super().random()


class Loaded(Dice):
    """Draws from the middle only, so that a pause tells of its law and not of luck."""

    def random(self):
        return 0.45 + 0.1 * super().random()


class Watching(Stand):
    """The learner's watcher at a registry of its own. ``acts`` are the lists of addresses that it was told of."""

    yours = server = None
    over = False
    deaths = ""  # what ended a thread of the learner's

    def begin(self, kind, wait=LONG, url=None, dice=Dice):
        self.acts, self.answers, self.dice = [], [], dice(8)
        self.web = self.session("gateway")
        self.web.hooks["response"].append(self._note)
        ask = self.ask
        self.yours = ask.call(
            kind, self.web, url or self.url, "orders", lambda found: self.acts.append(sorted(found)), self.dice, wait,
            keep=True,
        )  # fmt: skip
        missing = [name for name in ("start", "stop") if not callable(getattr(self.yours, name, None))]
        if missing:
            self.yours, found = None, self.yours
            what, hint = "a Watcher has the methods start() and stop()", "Keep the names that the task gives."
            ask.need("wrong-type", what, False, f"it is {shown(found)}", hint)
        outcome = ask.run(self.yours.start, limit=2.0, keep=True)
        if outcome.how == "time-limit":
            self.need("start-waits", "start() returns at once", False, str(outcome), "Watch in a thread of its own.")
        elif not outcome.returned:
            self.need(outcome.how, "start() returns", False, str(outcome), "Read the last line first.")
        first = wait_until(lambda: self.acts, 2.0) and self.acts[0] == url_of(1)
        if not (first and ask.expectations):  # said once
            self.need(
                "first-news",
                "the first answer is news: act is called with the list of addresses",
                first,
                f"{len(self.asked())} questions were asked, and act was called with {shown(self.acts[:1])}"
                f"{self.deaths}",
                "The first question goes without an index and is answered at once. Addresses as in exercise 2: "
                "http://127.0.0.1:8001. Ask with the session that you are given.",
            )

    def _note(self, response, *args, **kwargs):
        query = parse_qs(urlsplit(response.request.url).query)
        sent, got = query.get("index", [""])[0], response.headers.get("X-Consul-Index", "")
        self.answers.append(Answered(_number(sent), _number(got)))

    @property
    def questions(self):
        return len(self.asked(GET))

    @property
    def refused(self):
        """The codes of what was not met so far."""
        return {one.code for one in self.ask.expectations if not one.passed}

    def is_waiting(self):
        return self.registry.waiting > 0

    def hears(self, *numbers, limit=3.0):
        return wait_until(lambda: self.acts and self.acts[-1] == url_of(*numbers), limit)

    def close(self):
        if self.registry.is_running:
            self.registry.kill()  # first, so that nobody has to wait for an answer
        if self.yours is not None and not self.over:
            self.ask.run(self.yours.stop, limit=3.0, keep=True)
        if self.server is not None:
            self.server.stop()
        super().close()

    def expect(self, code, what, passed, happened, hint):
        return self.ask.expect(code, what, passed, happened, hint, self.mark(GET))

    def need(self, code, what, passed, happened, hint):
        self.ask.need(code, what, passed, happened, hint, self.mark(GET))


def url_of(*numbers):
    return [f"http://127.0.0.1:{8000 + number}" for number in numbers]


def _number(text):
    return int(text) if text.isdigit() else None


class Double:
    """Stands where a registry stood: answers what it is told to, at once."""

    def __init__(self, watching):
        self.numbers, self.headers, self.status = [1], {"X-Consul-Index": "7"}, 200
        app = Flask("registry")
        app.add_url_rule("/v1/health/service/orders", "orders", self._answer)
        watching.server = serve(app, "double of the check", trace=watching.trace, lane="registry")

    def _answer(self):
        if self.status != 200:
            return Response("No cluster leader", self.status)
        found = [
            {"Service": {"Address": "127.0.0.1", "Port": 8000 + n}, "Node": {}, "Checks": []} for n in self.numbers
        ]
        return Response(json.dumps(found), headers=self.headers, mimetype="application/json")
