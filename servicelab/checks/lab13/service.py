"""Exercise 1, repair: whose key is known, and whose logout ends nothing. Two instances and more, on sockets."""

import secrets
from http.cookies import SimpleCookie

import requests
from flask import Flask
from flask.sessions import SecureCookieSessionInterface
from itsdangerous import BadSignature

from servicelab.checks.learner_traceback import shown
from servicelab.checks.scenario import Stage, scenario, words
from servicelab.servers import serve

#: The key in the example that this course follows. Whoever has read it can sign.
PUBLISHED = "secret!"
LEAST = 16  # characters of an id

WORDS = words("""
wrong-type: make_app returns a Flask app
    Does every path through it end with a return?
no-key: without a key, with an empty one or with the published one, make_app raises an error
    What does your service do on the day on which somebody forgot to set the variable?
wrong-answer: login and logout answer 204, /me 200 and the user's name, and 401 to whoever is not logged in
    Compare with the service as you got it.
table: each login has a row of its own in the table that was handed in, and each instance knows it
    Where does your service note who is logged in? How many rows are there when the same user logs in twice?
readable: the cookie does not say who it is
    The cookie is signed and not encrypted: everybody can read what you put into `session`.
guessable: the ids are random
    How would somebody who has logged in twice guess the next one? What is in the module `secrets`?
not-ended: after a logout the cookie as it was before is refused, by each instance
    What did the logout change: the browser's cookie, or what the service knows?
left-in-table: after a logout its row is gone
    Who takes the row out of the table, and when?
others: a logout ends no other session, neither another user's nor the same user's
    Which rows does your logout take away?
same-session: who logs in while logged in gets a new id, and the old session is over
    Somebody may have put the old cookie there. Whose is the session afterwards?
known-key: a cookie with a good signature and without a row in the table is refused
    Who could have signed it, if the key is known? What must be true besides the signature?
rotation: a cookie that was signed with one of the OLD_KEYS is good
    How many old keys may there be, and what does Flask call them?
new-key: what is signed now is signed with SECRET_KEY
    With which of the keys does your service sign?
renewed: who came with an old key's cookie got one that is signed with SECRET_KEY
    When does Flask send the cookie again? What if nothing in the session has changed?
dropped: a key that is no more in the environment opens nothing
    From where do you take the keys, and when?
forged: a cookie that was signed with the published key is refused, even if that is among the OLD_KEYS, or is altered
    Which keys do you accept, and is the one that everybody knows among them?
""")


def serializer(key):
    """What Flask signs and reads the cookie ``session`` with."""
    app = Flask("signs")
    app.secret_key = key
    return SecureCookieSessionInterface().get_signing_serializer(app)


class Instances(Stage):
    def __init__(self, ask, make_app):
        super().__init__(ask, make_app)
        self.sessions, self.count = {}, 0
        self.keys = [secrets.token_urlsafe(32) for _ in range(4)]
        self.last = ask.trace.send("operator", "gateway", "start")
        ask.trace.receive(self.last)

    def start(self, new, *old):
        """Another instance with these keys, and with the same table. Returns its address."""
        env = {"SECRET_KEY": new} | ({"OLD_KEYS": ",".join(old)} if old else {})
        app = self.call(self.yours, env, self.sessions)
        if not isinstance(app, Flask):
            self.refuse("wrong-type", f"it returned {shown(app)}")
        self.count += 1
        return self.use(serve(app, f"gateway {self.count}", lane="gateway")).url

    def visit(self, url, path, cookies, who="a browser", **form):
        """The answer's status and text; ``cookies``, a dict, is as it is in the browser afterwards."""
        self.last = self.ask.trace.send(who, "gateway", path)
        header = {"Cookie": "; ".join(f"{name}={value}" for name, value in cookies.items())} if cookies else {}
        answer = requests.request("GET" if path == "/me" else "POST", url + path, headers=header, data=form, timeout=5)
        for line in answer.raw.headers.getlist("Set-Cookie"):
            for name, one in SimpleCookie(line).items():
                cookies[name] = one.value
                if one["max-age"] == "0" or "1970" in one["expires"]:
                    del cookies[name]
        self.ask.trace.receive(self.last, "gateway")
        self.last = self.ask.trace.send("gateway", who, str(answer.status_code))
        self.ask.trace.receive(self.last)
        return answer.status_code, answer.text

    def login(self, url, user, cookies=None):
        cookies = {} if cookies is None else cookies
        answer = self.visit(url, "/login", cookies, user=user)
        return answer[0] == 204, f"login of {user}: {answer}, cookies {shown(cookies, 60)}", cookies

    def me(self, url, cookies, due=401, told=""):
        """Is /me as it is due: 401, or a user's name? The browser keeps its cookies as they are."""
        answer = self.visit(url, "/me", dict(cookies))
        return answer[0] == 401 if due == 401 else answer == (200, due), f"{told}/me answered {answer}"


check_service = scenario("13", 1, "A key that everybody knows", WORDS, make_app=Instances)
part = check_service.part


@part
def the_key(s):
    for key in (None, "", PUBLISHED):
        outcome = s.ask.run(s.yours, {} if key is None else {"SECRET_KEY": key}, {})
        raised = not outcome.returned and isinstance(outcome.error, Exception)
        told = f"with SECRET_KEY {'missing' if key is None else repr(key)} {outcome}"
        if outcome.how not in ("exception", "returned") or (outcome.returned and not isinstance(outcome.value, Flask)):
            s.call(s.yours, {"SECRET_KEY": s.keys[0]}, {}, returns=Flask)
        yield "no-key", raised, told


@part
def logins_and_logouts(s):
    key, name = s.keys[0], f"ann{secrets.token_hex(4)}"
    one, other = s.start(key), s.start(key)
    yield "wrong-answer", *s.me(one, {}, 401, "without a cookie ")
    answer = s.visit(one, "/logout", {})
    yield "wrong-answer", answer[0] == 204, f"a logout without a cookie: {answer}"
    fine, told, ann = s.login(one, name)
    yield "wrong-answer", fine, told
    yield "wrong-answer", *s.me(one, ann, name)
    yield "table", len(s.sessions) == 1, f"after a login the table has {len(s.sessions)} rows"
    yield "table", *s.me(other, ann, name, "at another instance ")
    try:
        payload = serializer(key).loads(ann.get("session", ""))
    except BadSignature:
        payload = None
    yield "new-key", payload is not None, f"the cookies {shown(ann, 80)} have no `session` signed with SECRET_KEY"
    yield "readable", name not in str(payload), f"{name} has logged in; in the cookie is {shown(payload)}"
    more = [s.login(one, name)[2] for _ in range(8)]
    yield "table", len(s.sessions) == 9, f"after nine logins of {name} the table has {len(s.sessions)} rows"
    ids = [str(one) for one in s.sessions]
    alike = min(len({one[:8] for one in ids}), len({one[-8:] for one in ids})) < len(ids)
    told = f"the ids are {shown(sorted(ids), 120)}"
    yield "guessable", not alike and min(map(len, ids)) >= LEAST, told
    _, _, bob = s.login(other, "bob")
    answer = s.visit(one, "/logout", dict(ann))
    yield "wrong-answer", answer[0] == 204, f"the logout answered {answer}"
    for url in (one, other):
        yield "not-ended", *s.me(url, ann, 401, "after the logout, with the cookie from before it, ")
    yield "left-in-table", len(s.sessions) == 9, f"ten logins, one logout: the table has {len(s.sessions)} rows"
    yield "others", *s.me(one, bob, "bob", "another user has logged out; bob's ")
    yield "others", *s.me(other, more[0], name, "the same user has logged out elsewhere; her ")
    eve = dict(bob)
    s.login(one, "eve", eve)
    yield "wrong-answer", *s.me(one, eve, "eve", "bob's browser logs in as eve: ")
    yield "same-session", *s.me(one, bob, 401, "bob's browser has logged in as eve; with the cookie from before ")
    yield "same-session", len(s.sessions) == 9, f"bob's browser has logged in as eve: {len(s.sessions)} rows for 9"
    keys = dict.fromkeys(payload)
    for forged in {"user": "boss"}, {**keys, "user": "bob"}, dict.fromkeys(keys, "bob"), dict.fromkeys(keys, "1"):
        cookie = {"session": serializer(key).dumps(forged)}
        yield "known-key", *s.me(one, cookie, 401, f"with {shown(forged)}, signed with SECRET_KEY, ")


@part
def keys_come_and_go(s):
    first, second, third, stranger = s.keys
    old = s.start(first)
    ann, bob = s.login(old, "ann")[2], s.login(old, "bob")[2]
    both = s.start(second, first)
    yield "rotation", *s.me(both, ann, "ann", "with a cookie of the only old key ")
    three = s.start(third, second, first)
    yield "rotation", *s.me(three, bob, "bob", "with a cookie of the second of two old keys ")
    cat = s.login(both, "cat")[2]
    yield "new-key", *s.me(s.start(second), cat, "cat", "logged in while there was an old key; now that is gone, and ")
    bobs = dict(bob)
    s.visit(both, "/me", ann)
    s.visit(both, "/me", bob)
    new = s.start(second)
    yield "renewed", *s.me(new, ann, "ann", "she came while both keys were good; now the old one is gone, and ")
    yield "dropped", *s.me(new, bobs, 401, "with a cookie of a key that is gone ")
    payload = serializer(second).loads(cat["session"])
    careless = s.start(third, PUBLISHED, second)
    yield "rotation", *s.me(careless, cat, "cat", "OLD_KEYS has the published key and then the one of the cookie: ")
    for key, name in ((PUBLISHED, "the published key"), (stranger, "a stranger's key")):
        cookie = {"session": serializer(key).dumps(payload)}
        for url in (both, careless):
            yield "forged", *s.me(url, cookie, 401, f"with a session's own id, signed with {name}, ")
    altered = cat["session"][:6] + ("A" if cat["session"][6] != "A" else "B") + cat["session"][7:]
    for broken in (altered, "nonsense", cat["session"].rpartition(".")[0]):
        yield "forged", *s.me(new, {"session": broken}, 401, f"with the cookie {broken[:24]}… ")
    answer = s.visit(three, "/logout", dict(cat))
    yield "not-ended", *s.me(new, cat, 401, f"after a logout with an old key's cookie ({answer[0]}) ")
