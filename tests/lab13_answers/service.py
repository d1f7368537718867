"""Exercise 1: services repaired in three ways, and mistakes."""

import hashlib
import secrets
import uuid

from flask import Blueprint, Flask, abort, g, request, session

from servicelab.checks.lab13 import PUBLISHED
from tests.lab11_answers import but


def make_app(env, sessions):
    """Flask's own fallbacks; the id in the session, and the session sent each time."""
    key = env.get("SECRET_KEY")
    if not key or key == PUBLISHED:
        raise ValueError("SECRET_KEY must be set, and known to nobody")
    app = Flask("shop")
    app.secret_key = key
    old = env.get("OLD_KEYS", "").split(",")
    app.config["SECRET_KEY_FALLBACKS"] = [one for one in old if one and one != PUBLISHED]

    @app.post("/login")
    def login():
        sessions.pop(session.get("id"), None)
        session.clear()
        session["id"] = secrets.token_urlsafe(16)
        sessions[session["id"]] = request.form["user"]
        return "", 204

    @app.get("/me")
    def me():
        user = sessions.get(session.get("id"))
        session.modified = user is not None
        return (user, 200) if user else ("who are you?", 401)

    @app.post("/logout")
    def logout():
        sessions.pop(session.get("id"), None)
        session.clear()
        return "", 204

    return app


def hashed(env, sessions):
    """The table has a hash of the id and a dict; a blueprint, permanent sessions that are sent each time anyway."""
    keys = [env["SECRET_KEY"], *filter(None, env.get("OLD_KEYS", "").split(","))]
    assert len(keys[0]) > 8, "this key is too short"
    app, pages = Flask("shop"), Blueprint("pages", "shop")
    app.config.from_mapping(SECRET_KEY=keys[0], SECRET_KEY_FALLBACKS=[key for key in keys[1:] if len(key) > 8])

    def name_of(id):
        return hashlib.sha256(str(id).encode()).hexdigest()

    @app.before_request
    def who():
        g.name = name_of(session.get("sid"))
        g.row = sessions.get(g.name)

    @pages.post("/login")
    def login():
        sessions.pop(g.name, None)
        id = secrets.token_hex(16)
        sessions[name_of(id)] = {"user": request.form["user"]}
        session.permanent, session["sid"] = True, id
        return app.response_class(status=204)

    @pages.get("/me")
    def me():
        return g.row["user"] if g.row else abort(401)

    @pages.post("/logout")
    def logout():
        sessions.pop(g.name, None)
        session.pop("sid", None)
        return app.response_class(status=204)

    app.register_blueprint(pages)
    return app


class Shop(Flask):
    """A class; uuids; the row says who and since when; the cookie is signed anew after each request."""

    def __init__(self, env, sessions):
        super().__init__("shop")
        if env.get("SECRET_KEY", "") in ("", PUBLISHED):
            raise SystemError("which key?")
        self.secret_key, self.rows = env["SECRET_KEY"], sessions
        if env.get("OLD_KEYS"):
            self.config["SECRET_KEY_FALLBACKS"] = [k for k in env["OLD_KEYS"].split(",") if k not in ("", PUBLISHED)]
        for path, method in (("login", "POST"), ("me", "GET"), ("logout", "POST")):
            self.add_url_rule(f"/{path}", path, getattr(self, path), methods=[method])
        self.after_request(self.sign_anew)

    def sign_anew(self, answer):
        session.modified = True
        return answer

    def login(self):
        self.logout()
        session["n"] = str(uuid.uuid4())
        self.rows[session["n"]] = (request.form["user"], "today")
        return "", 204

    def me(self):
        found = self.rows.get(session.get("n", ""))
        return found[0] if found else ("", 401)

    def logout(self):
        found = session.pop("n", None)
        if found in self.rows:
            del self.rows[found]
        return "", 204


PUBLISHED_TOO = []
NEW_ID = 'session["id"] = secrets.token_urlsafe(16)'
POP = 'sessions.pop(session.get("id"), None)\n        session.clear()\n        return'
SET = 'app.config["SECRET_KEY_FALLBACKS"] = '

RIGHT = {"fallbacks": make_app, "a hash, always sent": hashed, "a class": Shop}
WRONG = {
    "nothing is returned": (but(make_app, "    return app => "), {"wrong-type"}),
    "a default key": (but(make_app, 'env.get("SECRET_KEY") => env.get("SECRET_KEY", secrets.token_hex())'), {"no-key"}),
    "the published key will do": (but(make_app, "if not key or key == PUBLISHED => if not key"), {"no-key"}),
    "an empty key": (but(make_app, "if not key or => if key is None or"), {"no-key"}),
    "a stale cookie is an error": (but(make_app, 'sessions.pop(session.get("id"), None)\n        session.clear()\n'
        '        session["id"] => sessions.pop(session["id"]) if session else 0\n        session.clear()\n'
        '        session["id"]'), {"wrong-answer"}),
    "400 for strangers": (but(make_app, '"who are you?", 401 => "who are you?", 403'), {"wrong-answer"}),
    "a logout needs a login": (but(make_app, 'sessions.pop(session.get("id"), None)\n        session.clear()\n        '
        'return => sessions.pop(session["id"])\n        session.clear()\n        return'), {"wrong-answer"}),
    "a table of its own": (but(make_app, 'app = Flask("shop") => app, sessions = Flask("shop"), {}'), {"table"}),
    "a number for a row": (but(make_app, "secrets.token_urlsafe(16) => secrets.randbits(200)"), {"table"}),
    "a user has one row": (but(make_app, "        sessions[session[ => "
        "        for old in [one for one in sessions if sessions[one] == request.form['user']]:\n"
        "            del sessions[old]\n        sessions[session["), {"table"}),
    "the name in the cookie": (but(make_app, f'{NEW_ID} => {NEW_ID}; session["user"] = request.form["user"]'),
        {"readable"}),
    "counted ids": (but(make_app, "secrets.token_urlsafe(16) => f'{len(sessions) + 1:016}'"), {"guessable"}),
    "a hash of the name and a count": (but(make_app, "secrets.token_urlsafe(16) => "
        "hashlib.sha256(f'{request.form} {len(sessions)}'.encode()).hexdigest()"), {"guessable"}),
    "short ids": (but(make_app, "secrets.token_urlsafe(16) => secrets.token_hex(5)"), {"guessable"}),
    "ids by the clock": (but(make_app, "secrets.token_urlsafe(16) => uuid.uuid1().hex"), {"guessable"}),
    "only the cookie": (but(make_app, f"{POP} => session.clear()\n        return"), {"not-ended"}),
    "a row that says so": (but(make_app, f"{POP} => "
        'if session.get("id") in sessions:\n            sessions[session["id"]] = ""\n        return'),
        {"left-in-table"}),
    "all of the user's": (but(make_app, f"{POP} => me = sessions.get(session.get('id'))\n"
        "        for one in [one for one in sessions if sessions[one] == me]:\n            del sessions[one]\n"
        "        return"), {"left-in-table"}),
    "the user's next one": (but(make_app, f"{POP} => me = sessions.pop(session.get('id'), None)\n"
        "        for one in [one for one in sessions if sessions[one] == me][:1]:\n"
        "            sessions[one[::-1]] = sessions.pop(one)\n        return"), {"others"}),
    "the same id again": (but(make_app, f'session.clear()\n        {NEW_ID} => '
        'session.setdefault("id", secrets.token_urlsafe(16))'), {"same-session"}),
    "he is logged in already": (but(make_app, 'def login(): => def login():\n'
        '        if sessions.get(session.get("id")) == request.form["user"]:\n            return "", 204'),
        {"same-session"}),
    "a row is left by a login": (but(make_app, 'sessions.pop(session.get("id"), None)\n        session.clear()\n'
        '        session["id"] => session.clear()\n        session["id"]'), {"same-session"}),
    "old cookies with a user": (but(make_app, 'sessions.get(session.get("id")) => '
        'sessions.get(session.get("id")) or session.get("user")'), {"known-key"}),
    "no old keys": (but(make_app, "if one and one != PUBLISHED => if False"), {"rotation"}),
    "one old key": (but(make_app, '"").split(",") => "").split(",")[:1]'), {"rotation"}),
    "signed with the old one": (but(make_app, "    app.secret_key = key => "
        '    app.secret_key = (env.get("OLD_KEYS") or key).split(",")[0]',
        f'{SET}[one => {SET}[key] + [one'), {"new-key"}),
    "sent when it changes": (but(make_app, "session.modified = user is not None => pass"), {"renewed"}),
    "keys are kept": (but(make_app, f"    {SET}[ => "
        '    PUBLISHED_TOO.extend([key, *old])\n    old = PUBLISHED_TOO\n    app.config["SECRET_KEY_FALLBACKS"] = ['),
        {"dropped"}),
    "an empty key among the old": (but(make_app, "if one and one => if one"), {"forged"}),
    "the published one among the old": (but(make_app, "if one and one != PUBLISHED => if one"), {"forged"}),
}  # fmt: skip
