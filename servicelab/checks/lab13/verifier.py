"""Exercise 2, build: a verifier of tokens. They are made at run time; the clock is an argument."""

import json
import time
from base64 import urlsafe_b64encode
from functools import cache

from joserfc import jwt
from joserfc.jwk import ECKey, KeySet, OctKey, RSAKey

from servicelab.checks.learner_traceback import shown
from servicelab.checks.scenario import Stage, scenario, words
from servicelab.table import Table

ISSUER, AUDIENCE, SCOPE = "https://auth.shop", "orders", "orders:read"
LEEWAY = 5  # seconds

WORDS = words("""
wrong-type: verify returns a dict or None
    Does every path through it end with a return?
raised: verify raises nothing, whatever the text is
    Who catches what a library raises, and what your own code does with a claim that is no number?
good: a good token gives its claims
    Which of your conditions refuses it? Which claims may be missing, and what may an audience be?
rotation: the tokens of each ES256 key in the set are good
    How do you find the key of a token?
clock: whatever second is handed over as `now`, it is now
    Who else looks at a clock? A library does, unless you tell it not to.
signature: a token that is not signed by the key that it names is refused
    What in your code looks at the signature?
algorithm: a token of any other algorithm than ES256 is refused, however well it is signed
    Who says which algorithms are allowed: you, or the token?
key-id: a token that names no key, or none of the set, is refused
    What does your code do without a `kid`? How many keys does it try?
retired: a key that is no more in the set opens nothing
    What do you keep from one call to the next?
issuer: a token of another issuer, or of none, is refused
    Is a claim that is missing the same as one that is right?
audience: a token for somebody else, or for nobody, is refused
    Is the audience a text or a list? What does `in` mean for each of them?
scope: a token without the scope that is asked for is refused
    A scope is a word of a text. What does `in` find in a text?
no-end: a token without `exp` is refused
    For how long would it be good?
expired: it is refused from five seconds after `exp` on, and not before
    Write down the case in which now is exp + 5, and the one a second before.
too-early: it is refused more than five seconds before `nbf` or `iat`, if it has them, and not later
    Write down the case in which now is nbf − 5, and the one a second before. Do you look at both claims?
""")


@cache
def rsa():
    """The auth server has a key for something else, too."""
    return RSAKey.generate_key(2048, {"kid": "invoices"})


class Auth:
    """An auth server's keys, and tokens as they are asked for."""

    def __init__(self, *kids):
        self.keys = {kid: ECKey.generate_key("P-256", {"kid": kid}) for kid in kids} | {"invoices": rsa()}

    def public(self, *kids):
        """The public keys, as the server publishes them: a JWK set."""
        return KeySet([self.keys[kid] for kid in (*kids, "invoices")]).as_dict(private=False)

    def token(self, now, kid="2026-a", alg="ES256", key=None, **claims):
        """A token with these claims besides the usual ones; a claim that is None is left out."""
        usual = {"iss": ISSUER, "aud": AUDIENCE, "sub": "shipping", "scope": SCOPE, "iat": now - 10, "exp": now + 60}
        claims = {name: one for name, one in (usual | claims).items() if one is not None}
        header = {"alg": alg} | ({"kid": kid} if kid else {})
        if alg == "none":
            parts = (urlsafe_b64encode(json.dumps(one).encode()).rstrip(b"=").decode() for one in (header, claims))
            return ".".join((*parts, "")), claims
        return jwt.encode(header, claims, key or self.keys[kid], algorithms=[alg]), claims


def tried(verify) -> Table:
    """Six tokens, and what ``verify`` says of each."""
    auth, now, rows = Auth("2026-a", "2026-b"), 1_900_000_000, []
    given = {
        "good": {}, "of the other key": {"kid": "2026-b"}, "expired a minute ago": {"exp": now - 60},
        "for payment": {"aud": "payment"}, "may do something else": {"scope": "orders:write"},
        "of RS256": {"kid": "invoices", "alg": "RS256"},
    }  # fmt: skip
    for name, options in given.items():
        try:
            said = verify(auth.token(now, **options)[0], auth.public("2026-a", "2026-b"), SCOPE, now)
            said = said if said is None else f"let in, as {said.get('sub')}"
        except Exception as error:
            said = f"{type(error).__name__}: {error}"
        rows.append((name, str(said)[:60]))
    return Table(("token", "verify said"), rows, "six tokens")


class Gate(Stage):
    def __init__(self, ask, verify):
        super().__init__(ask, verify)
        self.now, self.auth = int(time.time()), Auth("2026-a", "2026-b")
        self.keys, self.stranger = self.auth.public("2026-a", "2026-b"), ECKey.generate_key("P-256")

    def verify(self, token, label, *, keys=None, scope=SCOPE, now=None):
        self.last = self.ask.trace.send("shipping", "orders", label)
        self.ask.trace.receive(self.last)
        given = token, keys or self.keys, scope, now or self.now
        outcome = self.ask.run(self.yours, *given, limit=2.0)
        if outcome.how == "exception" and isinstance(outcome.error, Exception) and label != "a good one":
            self.refuse("raised", f"{label}: {outcome}")
        if not outcome.returned:
            return self.call(self.yours, *given)
        if not isinstance(outcome.value, dict | None):
            self.refuse("wrong-type", f"{label}: it returned {shown(outcome.value)}")
        return outcome.value

    def good(self, code, label, *, keys=None, scope=SCOPE, has=SCOPE, now=None, **options):
        token, claims = self.auth.token(now or self.now, scope=has, **options)
        found = self.verify(token, label, keys=keys, scope=scope, now=now)
        return code, found == claims, f"{label}: it returned {shown(found)}"

    def bad(self, code, label, *, keys=None, now=None, **options):
        token, _ = self.auth.token(now or self.now, **options)
        return self.refused(code, label, token, keys=keys, now=now)

    def refused(self, code, label, token, **options):
        found = self.verify(token, label, **options)
        return code, found is None, f"{label}: it returned {shown(found)}"


check_verifier = scenario("13", 2, "A verifier", WORDS, verify=Gate)
part = check_verifier.part


@part
def good_ones(g):
    yield g.good("good", "a good one")
    yield g.good("good", "for several services", aud=["payment", AUDIENCE])
    yield g.good("good", "with several scopes", has=f"stock:read {SCOPE} stock:write")
    yield g.good("good", "asked for the last of its scopes", scope="stock:write", has=f"{SCOPE} stock:write")
    yield g.good("good", "without iat and nbf", iat=None)
    yield g.good("rotation", "of the other key", kid="2026-b")
    yield g.good("rotation", "of the only key", kid="2026-b", keys=g.auth.public("2026-b"))
    for now in (1_000_000_000, 3_000_000_000):
        yield g.good("clock", f"a good one at second {now}", now=now, nbf=now - 1)


@part
def whose_they_are(g):
    yield g.bad("signature", "signed by a stranger", key=g.stranger)
    (one, _), (other, _) = g.auth.token(g.now), g.auth.token(g.now, sub="boss")
    mixed = ".".join((*other.split(".")[:2], one.split(".")[2]))
    yield g.refused("signature", "with the signature of another one", mixed)
    yield g.bad("algorithm", "RS256, signed by the auth server", kid="invoices", alg="RS256")
    yield g.bad("algorithm", "without a signature", alg="none")
    yield g.bad("algorithm", "HS256 with a stranger's secret", alg="HS256", key=OctKey.generate_key(256))
    yield g.bad("key-id", "of a key that is not in the set", kid="2025-d", key=g.auth.keys["2026-a"])
    for keys in (g.keys, {"keys": g.keys["keys"][:1]}):
        told = f"without a key id, {len(keys['keys'])} keys"
        yield g.bad("key-id", told, kid=None, key=g.auth.keys["2026-a"], keys=keys)
    yield g.bad("retired", "of a key that was good before", keys=g.auth.public("2026-b"))


@part
def what_they_say(g):
    for issuer in ("https://auth.example", f"{ISSUER}.example", None):
        yield g.bad("issuer", f"issuer {issuer}", iss=issuer)
    for audience in ("payment", f"{AUDIENCE}-archive", ["payment", "stock"], [f"{AUDIENCE}-archive"], None):
        yield g.bad("audience", f"audience {audience}", aud=audience)
    for scope in ("orders:write", f"{SCOPE}-all stock:read", f"my-{SCOPE}", "", None):
        yield g.bad("scope", f"scope {scope!r}", scope=scope)
    token, _ = g.auth.token(g.now)
    yield g.refused("scope", "asked for another scope", token, scope="orders:write")


@part
def when_they_are_good(g):
    yield g.bad("no-end", "without exp", exp=None)
    for since in (-1, 0, 1, LEEWAY - 1, LEEWAY, LEEWAY + 1, 60):
        is_due = g.good if since < LEEWAY else g.bad
        yield is_due("expired", f"{since} s after exp", exp=g.now - since, iat=g.now - 100)
    for claim in ("nbf", "iat"):
        for ahead in (0, 1, LEEWAY, LEEWAY + 1, 60):
            is_due = g.good if ahead <= LEEWAY else g.bad
            yield is_due("too-early", f"{ahead} s before {claim}", **{claim: g.now + ahead}, exp=g.now + 300)


@part
def no_tokens_at_all(g):
    token, _ = g.auth.token(g.now)
    for text in ("", "token", "a.b.c", "..", token.rpartition(".")[0], f"{token}.{token}", "ä.ö.ü"):
        yield g.refused("raised", f"the text {text[:12]!r}…", text)
    for claims in ({"exp": "tomorrow"}, {"scope": 7}, {"aud": 7}, {"nbf": "today"}):
        yield g.bad("raised", f"with {claims}", **claims)
