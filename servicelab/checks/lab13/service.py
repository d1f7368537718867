"""Exercise 1, repair: a service whose key is known, and whose logout ends nothing. Several instances, on sockets."""

import secrets
from http.cookies import SimpleCookie

import requests
from flask import Flask
from flask.sessions import SecureCookieSessionInterface

from servicelab.checks.learner_traceback import shown
from servicelab.checks.scenario import Stage, scenario, words
from servicelab.servers import serve

#: The key in the example that this course follows. Whoever has read it can sign.
PUBLISHED = "secret!"

WORDS = words("""
no-key: without a key, with an empty one or with the published one, make_app raises an error
    What does your service do on the day on which somebody forgot to set the variable?
wrong-answer: login and logout answer 204, /me 200 and the user's name, and 401 to whoever is not logged in
    Compare with the service as you got it.
table: each login has a row of its own in the table that was handed in, by a text, and each instance knows it
    Where does your service note who is logged in? How many rows are there when the same user logs in twice?
readable, guessable: the cookie does not say who it is, and the ids are random
    Everybody can read what is in `session`. And who has logged in twice: can he guess the next id?
not-ended, left-in-table, others: a logout ends this session, everywhere and for good, and no other
    What did the logout change: the browser's cookie, or what the service knows? Which rows does it take away?
same-session: who logs in while logged in gets a new id, and the old session is over
    Somebody may have put the old cookie there. Whose is the session afterwards?
known-key, forged: a cookie is refused that is altered, is signed with the published key, or has no row in the table
    Which keys do you accept? What does `split` make of a text without a key? What must be true besides the signature?
rotation, new-key, renewed, dropped: a cookie of an old key is good while that is there, and is replaced at /me
    How many old keys may there be? Which key signs? When does Flask send a cookie again, if nothing in it has changed?
""")


def serializer(key):
    """What Flask signs and reads the cookie ``session`` with. The key may be empty."""
    (app := Flask("signs")).secret_key = "one"
    (signs := SecureCookieSessionInterface().get_signing_serializer(app)).secret_keys = [key.encode()]
    return signs


class Instances(Stage):
    def __init__(self, ask, make_app):
        super().__init__(ask, make_app)
        self.sessions, self.keys = {}, [secrets.token_urlsafe(32) for _ in range(3)]
        self.say("operator", "gateway", "start")

    def start(self, new, *old):
        """The address of another instance, with these keys and the same table."""
        env = {"SECRET_KEY": new} | ({"OLD_KEYS": ",".join(old)} if old else {})
        app = self.call(self.yours, env, self.sessions, returns=Flask)
        return self.use(serve(app, f"gateway {id(app)}", lane="gateway")).url

    def visit(self, url, path, cookies, **form):
        """The answer's status and text; ``cookies``, a dict, is as it is in the browser afterwards."""
        self.say("client", "gateway", path)
        header = {"Cookie": "; ".join(f"{name}={value}" for name, value in cookies.items())} if cookies else {}
        answer = requests.request("GET" if path == "/me" else "POST", url + path, headers=header, data=form, timeout=5)
        for line in answer.raw.headers.getlist("Set-Cookie"):
            cookies |= {name: one.value for name, one in SimpleCookie(line).items()}  # one that is deleted is empty
        self.say("gateway", "client", str(answer.status_code))
        return answer.status_code, answer.text

    def login(self, url, user, cookies=()):
        self.visit(url, "/login", cookies := dict(cookies), user=user)
        return cookies

    def me(self, url, cookies, due=401, told=""):
        """Is /me as it is due: 401, or a user's name? The browser keeps its cookies as they are."""
        answer = self.visit(url, "/me", dict(cookies))
        return answer[0] == 401 if due == 401 else answer == (200, due), f"{told}: /me answered {answer}"


check_service = scenario("13", 1, "A key that everybody knows", WORDS, make_app=Instances)
part = check_service.part


@part
def the_key(s):
    s.call(s.yours, {"SECRET_KEY": s.keys[0]}, {}, returns=Flask)
    for key in (None, "", PUBLISHED):
        outcome = s.ask.run(s.yours, {} if key is None else {"SECRET_KEY": key}, {})
        told = f"with the SECRET_KEY {key!r} {outcome}"
        yield "no-key", not outcome.returned and isinstance(outcome.error, Exception), told


@part
def logins_and_logouts(s):
    key, name, rows = s.keys[0], f"ann{secrets.token_hex(4)}", s.sessions
    one, other = s.start(key), s.start(key)
    yield "wrong-answer", *s.me(one, {}, 401, "without a cookie")
    answers = [s.visit(one, "/logout", {})[0], s.visit(one, "/login", ann := {}, user=name)[0]]
    yield "wrong-answer", answers == [204, 204], f"a logout without a cookie, and a login, answered {answers}"
    yield "wrong-answer", *s.me(one, ann, name, "after a login")
    yield "table", len(rows) == 1, f"after a login the table has {len(rows)} rows"
    yield "table", all(isinstance(one, str) for one in rows), f"the row's key is {shown(*rows)}"
    yield "table", *s.me(other, ann, name, "at another instance")
    is_signed, payload = serializer(key).loads_unsafe(ann.get("session", ""))
    yield "new-key", is_signed, f"the cookies {shown(ann, 80)} have no `session` signed with SECRET_KEY"
    yield "readable", name not in str(payload), f"{name} has logged in; in the cookie is {shown(payload)}"
    more = [s.login(one, name) for _ in range(8)]
    yield "table", len(rows) == 9, f"after nine logins of {name} the table has {len(rows)} rows"
    ids = [str(id) for id in rows]
    fine = min(map(len, ids)) >= 16 and all(len({id[end] for id in ids}) == 9 for end in (slice(8), slice(-8, None)))
    yield "guessable", fine, f"the ids are {shown(sorted(ids), 120)}"
    s.sessions = {}
    s.login(s.start(key), name)
    again, s.sessions = set(s.sessions) & set(rows), rows
    yield "guessable", not again, f"{name} has logged in with an empty table, and her id is one from before: {again}"
    bob = s.login(other, "bob")
    yield "wrong-answer", s.visit(one, "/logout", dict(ann))[0] == 204, "the logout did not answer 204"
    for url in (one, other):
        yield "not-ended", *s.me(url, ann, 401, "after the logout, with the cookie from before it")
    yield "left-in-table", len(rows) == 9, f"ten logins, one logout: the table has {len(rows)} rows"
    yield "others", *s.me(one, bob, "bob", "another user has logged out")
    yield "others", *s.me(other, more[0], name, "the same user has logged out elsewhere")
    for before, user in (("bob", "eve"), ("eve", "eve")):
        told, old = f"{before}'s browser has logged in as {user}", bob
        bob = s.login(one, user, old)
        yield "wrong-answer", *s.me(one, bob, user, told)
        yield "same-session", *s.me(one, old, 401, f"{told}; with the cookie from before")
        yield "same-session", len(rows) == 9, f"{told}: {len(rows)} rows for 9 sessions"
    answers = [s.visit(one, path, dict(ann), user="dan")[0] for path in ("/logout", "/login")]
    yield "wrong-answer", answers == [204, 204], f"logout and login, with a cookie that is over, answered {answers}"
    for forged in ({"user": "boss"}, payload | {"user": "bob"}, dict.fromkeys(payload, "bob")):
        cookie = {"session": serializer(key).dumps(forged)}
        yield "known-key", *s.me(one, cookie, 401, f"with {shown(forged)}, signed with SECRET_KEY")


@part
def keys_come_and_go(s):
    first, second, third = s.keys
    old, both, three = s.start(first), s.start(second, first), s.start(third, second, first)
    ann, bob, cat = s.login(old, "ann"), s.login(old, "bob"), s.login(both, "cat")
    yield "rotation", *s.me(both, ann, "ann", "with a cookie of the only old key")
    yield "rotation", *s.me(three, bob, "bob", "with a cookie of the second of two old keys")
    new, careless = s.start(second), s.start(third, "", PUBLISHED, second)
    yield "new-key", *s.me(new, cat, "cat", "logged in while there was an old key; now that is gone")
    s.visit(both, "/me", ann)
    yield "renewed", *s.me(new, ann, "ann", "she came while both keys were good; now the old one is gone")
    yield "dropped", *s.me(new, bob, 401, "with a cookie of a key that is gone")
    yield "rotation", *s.me(careless, cat, "cat", "with a cookie of the other old key, beside the published one")
    payload = serializer(second).loads(cat["session"])
    for url, secret in ((both, PUBLISHED), (careless, PUBLISHED), (careless, "")):
        forged = {"session": serializer(secret).dumps(payload)}
        yield "forged", *s.me(url, forged, 401, f"with a session's own id, signed with the key {secret!r}")
    text = cat["session"]
    for broken in (text[:6] + "AB"[text[6] == "A"] + text[7:], "nonsense", text.rpartition(".")[0]):
        yield "forged", *s.me(new, {"session": broken}, 401, f"with the cookie {broken[:24]}…")
    s.visit(three, "/logout", dict(cat))
    yield "not-ended", *s.me(new, cat, 401, "after a logout with a cookie of an old key")
