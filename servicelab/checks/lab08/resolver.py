"""Exercise 2, build: a lookup at a real registry, and a resolver with a memory, whose clock and registry are the
check's, so that no second is waited for and every number is a count."""

import requests
from flask import Flask

from servicelab.checks.lab08.registry_stage import RegistryStage, urls
from servicelab.checks.learner_traceback import in_words, shown
from servicelab.checks.scenario import Stage, scenario, words
from servicelab.leases import CRITICAL
from servicelab.servers import serve
from servicelab.trace import reply_id

TTL, NEGATIVE, RETRY, MOST = 5.0, 2.0, 1.0, 3  # seconds, and names
TOOK, FAILED = 0.6, 0.2  # seconds until a question is answered, or has failed
SLOW = 2.0  # seconds in which a lookup must have given up
KINDS = (list, tuple, set)

WORDS = words("""
critical-too, wrong-addresses: lookup finds the addresses of the two that pass, and not of the third, which is critical
    Which instances does the registry list when nothing else is said, and what does an address look like in the task?
nobody-raises: nobody of that name: an empty list
    The registry has answered. What did it say?
error-is-nobody: a registry that answers 500 has not answered: lookup raises
    What does your lookup make of the status of the answer?
dead-is-nobody: the registry is dead: lookup raises
    'I cannot tell' must not become 'nobody is there'. Who could tell the two apart later?
no-timeout: a registry that hangs: lookup gives up after a second
    For how long does requests wait when nobody says how long?
silence-is-nobody: … and raises
    'I cannot tell' must not become 'nobody is there'. Who could tell the two apart later?
first-answer: the first call gives what the registry says
    What does instances return while nothing is remembered yet?
asks-every-call: within the TTL of an answer the registry is not asked
    Where do you look before you ask, and what must stand there beside the addresses?
not-a-copy: a caller who empties his list does not empty the memory
    Whose list is it that you hand out?
ignores-ttl: when the TTL is over it asks again
    Until when is an answer fresh, and where do you compare that with the clock?
nobody-not-believed: all have left, and the registry says so: an empty list
    Does your code take 'nobody' for a failure? Last known good is for silence.
nobody-not-kept: 'nobody' is remembered, too, for negative_ttl
    Do you look at the time of the answer, or at the list, to see whether you know something?
nobody-kept-too-long: … and no longer: then somebody has come back
    For how long is which answer fresh?
last-known-good-lost: the registry is dead, and the answer no longer fresh: what was known last is given out
    What happens to what you knew when the question fails?
asks-while-down: after a failure it leaves the registry alone for retry_after
    What do you note after a failure, so that the next call does not wait for one more timeout?
gives-up: hours later what was known last still serves
    As long as nobody says otherwise, the last answer is the best guess.
never-back: the registry is back: after retry_after it is asked, and believed
    For how long do you leave it alone after a failure, and is that the time that the task gives?
nobody-forgotten: the last answer was 'nobody', and then the registry dies: an empty list
    Is 'nobody' something that was heard?
unknown-is-nobody: nothing was ever heard, and the registry is dead: LookupError
    An empty list would say that nobody is there. Who has said so?
asks-while-unknown: … and here, too, it asks once in retry_after
    Where is a failure noted for a name that has no answer yet?
names-mixed: another name has an answer of its own
    By what do you remember?
forgets-the-used: there is one name too many, and one that was used a moment ago stays
    Which one is thrown out: the one that came first, or the one that was used longest ago?
forgets-the-newest: … and so does the one that came last
    Which one is thrown out when there is one too many, and may it be the one that has just been asked for?
unbounded: … and the one that was used longest ago is forgotten
    Names come from outside: links, typing errors, attackers. How many do you hold?
unbounded-failures: a name that nobody has answered for counts like any other: the one used longest ago is forgotten
    Where is it noted that a question failed, and which of your memories has no bound?
""")


class Looking(RegistryStage):
    """The learner's lookup, with two instances that pass and one that is critical."""

    def __init__(self, ask, lookup):
        super().__init__(ask, lookup)
        self.web = self.session("gateway")
        self.enter(1, 2)
        self.enter(3, status=CRITICAL)

    def look(self, service="orders"):
        return self.call(self.yours, self.web, self.url, service, returns=KINDS)

    def fails(self, url):
        """Does the lookup raise there? What it did."""
        return self.ask.run(self.yours, self.web, url, "orders", limit=SLOW)


class Remembering(Stage):
    """The learner's resolver, on a clock that stands still until it is moved, at a registry that is a dict.

    ``asked`` are the names of all questions; ``is_down``: they fail, with this.
    """

    def __init__(self, ask, Resolver):
        super().__init__(ask, Resolver)
        self.now, self.drawn, self.asked, self.is_down = 1000.0, 1000.0, [], None
        self.book = {"orders": urls(1, 2)}
        made = self.make(Resolver, self._lookup, TTL, NEGATIVE, RETRY, MOST, lambda: self.now, methods=("instances",))
        self.resolver = made

    def _message(self, sender, receiver, label, id=None, kind="request"):
        """Draw a message that arrives; calls at the same moment lie a little apart."""
        self.drawn = max(self.drawn + 0.01, self.now)
        id = self.ask.trace.send(sender, receiver, label, id=id, kind=kind, at=self.drawn)
        self.ask.trace.receive(id, receiver, at=self.drawn + 0.005)
        return id

    def _lookup(self, service):
        """What the learner's resolver is given to ask with."""
        self.asked.append(service)
        self.last = self._message("resolver", "registry", f"who is {service}?")
        self.now += FAILED if self.is_down else TOOK
        if self.is_down:
            raise self.is_down("nobody answers")
        found = self.book.get(service, [])
        self._message("registry", "resolver", str(len(found)), reply_id(self.last), "reply")
        return list(found)

    def get(self, service="orders", calls=1):
        """What the last of so many calls returned, sorted, or the exception that it raised; and that in words."""

        def instances():
            try:
                return self.resolver.instances(service)
            except Exception as error:
                return error

        for _ in range(calls):
            self.last = self._message("caller", "resolver", service)
            found = self.given = self.call(instances, returns=(*KINDS, Exception))
        if isinstance(found, Exception):
            return found, f"it raised {in_words(found)}"
        return sorted(found), f"it returned {shown(found)}"

    def questions(self, service="orders", calls=1, after=0.0):
        """How often the registry is asked in so many calls, ``after`` seconds from now."""
        self.now += after
        before = len(self.asked)
        self.get(service, calls)
        return len(self.asked) - before


check_resolver = scenario("08", 2, "A resolver that remembers", WORDS, go_on=True, lookup=Looking, Resolver=Remembering)


@check_resolver.part("lookup")
def lookup(at):
    found = sorted(at.look())
    yield "critical-too" if len(found) > 2 else "wrong-addresses", found == urls(1, 2), f"it returned {shown(found)}"
    at.enter(1)
    outcome = at.ask.run(at.yours, at.web, at.url, "odrers", limit=SLOW)
    nobody = outcome.returned and outcome.value is not None and not outcome.value
    yield "nobody-raises", nobody, str(outcome)


@check_resolver.part("lookup")
def no_answer(at):
    app = Flask("registry")
    app.add_url_rule("/<path:path>", "all", lambda path: ("[]", 500))
    ill = at.use(serve(app, "leaderless registry of the check", trace=at.ask.trace, lane="registry"))
    outcome = at.fails(ill.url)
    yield "error-is-nobody", outcome.how == "exception", str(outcome)
    at.registry.pause()
    outcome = at.fails(at.url)
    yield "no-timeout", outcome.how != "time-limit", str(outcome)
    yield "silence-is-nobody", outcome.how == "exception", str(outcome)
    at.registry.kill()
    outcome = at.fails(at.url)
    yield "dead-is-nobody", outcome.how == "exception", str(outcome)


@check_resolver.part("Resolver")
def fresh(r):
    found, told = r.get()
    first = r.given
    yield "first-answer", found == urls(1, 2), told
    many = r.questions(calls=5) + r.questions(calls=5, after=0.9 * TTL)
    yield "asks-every-call", not many, f"it asked {many} times more for ten calls"
    given = r.call(r.resolver.instances, "orders")
    for one in (first, given):
        if isinstance(one, list | set):
            one.clear()
    yield "not-a-copy", r.get()[0] == urls(1, 2), "after that nobody was there any more"
    r.book["orders"], r.now = urls(2), r.now + 0.2 * TTL
    found, told = r.get()
    yield "ignores-ttl", found == urls(2), f"orders-1 has left, and {told}"
    many = r.questions(calls=3, after=0.9 * TTL)
    yield "asks-every-call", not many, f"within the TTL of the second answer it asked {many} times"


@check_resolver.part("Resolver")
def nobody(r):
    r.get()
    r.book["orders"], r.now = [], r.now + 1.1 * TTL
    found, told = r.get()
    yield "nobody-not-believed", found == [], told
    many = r.questions(calls=5, after=0.9 * NEGATIVE)
    yield "nobody-not-kept", not many, f"five calls asked {many} times"
    r.book["orders"], r.now = urls(2), r.now + 0.2 * NEGATIVE
    found, told = r.get()
    yield "nobody-kept-too-long", found == urls(2), told


@check_resolver.part("Resolver")
def down(r):
    r.get()
    r.is_down, r.now = RuntimeError, r.now + 1.1 * TTL
    found, told = r.get()
    yield "last-known-good-lost", found == urls(1, 2), told
    many = r.questions(calls=5) + r.questions(calls=5, after=0.9 * RETRY)
    yield "asks-while-down", not many, f"ten calls asked {many} times; each would have waited for one more timeout"
    for _ in range(30):
        r.now += 600.0
        found, told = r.get()
    yield "gives-up", found == urls(1, 2), f"five hours later {told}"
    r.is_down, r.book["orders"], r.now = None, urls(3), r.now + 1.1 * RETRY
    found, told = r.get()
    yield "never-back", found == urls(3), told


@check_resolver.part("Resolver")
def down_after_nobody(r):
    r.book["orders"] = []
    r.get()
    r.is_down, r.now = requests.ConnectionError, r.now + 1.1 * NEGATIVE
    found, told = r.get()
    yield "nobody-forgotten", found == [], told


@check_resolver.part("Resolver")
def never_heard(r):
    r.is_down = requests.ConnectionError
    found, told = r.get()
    yield "unknown-is-nobody", isinstance(found, LookupError), told
    many = r.questions(calls=5) + r.questions(calls=5, after=0.9 * RETRY)
    yield "asks-while-unknown", not many, f"it asked {many} times more for ten calls"
    r.is_down, r.now = None, r.now + 0.2 * RETRY
    found, told = r.get()
    yield "never-back", found == urls(1, 2), told


@check_resolver.part("Resolver")
def names(r):
    r.get()
    found, told = r.get("pay")
    yield "names-mixed", found == [], told
    r.get("ship")
    r.get("orders")  # the oldest, and the last one used
    r.get("mail")  # one too many
    again = r.questions("orders")
    yield "forgets-the-used", not again, f"of {MOST} names, the one used last was asked for anew"
    again = r.questions("mail")
    yield "forgets-the-newest", not again, f"the fourth of {MOST} names was asked for anew at its second use"
    again = r.questions("ship")
    yield "forgets-the-used", not again, f"there is room for {MOST} names, and only two were kept"
    again = r.questions("pay")
    yield "unbounded", again, f"there is room for {MOST} names, and the fourth one was still there"


@check_resolver.part("Resolver")
def names_while_it_is_down(r):
    r.is_down = requests.ConnectionError
    for name in ("orders", "pay", "ship", "mail"):
        r.get(name)
    told = f"there is room for {MOST} names; the first of four was not asked for anew"
    yield "unbounded-failures", r.questions("orders"), told
