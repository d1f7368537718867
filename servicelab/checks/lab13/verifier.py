"""Exercise 2, build: a verifier of tokens. They are made at run time; the clock is an argument."""

import time
from base64 import urlsafe_b64encode
from itertools import product

from joserfc import jwt
from joserfc.jwk import ECKey, KeySet

from servicelab.checks.learner_traceback import shown
from servicelab.checks.scenario import Stage, scenario, words

ISSUER, AUDIENCE, SCOPE, LEEWAY = "https://auth.shop", "orders", "orders:read", 5  # seconds
CURVES = {"2026-a": "P-256", "2026-b": "P-256", "invoices": "P-384"}

WORDS = words("""
raised: verify raises nothing, whatever the text is
    Who catches what a library raises, and what your own code does with a claim that is no number?
good, rotation: a good token gives its claims, whichever of the ES256 keys in the set it names
    Which of your conditions refuses it? Which claims may be missing, what may an audience be, in which set is the key?
clock: whatever second is handed over as `now`, it is now
    Who else looks at a clock? A library does, unless you tell it not to.
signature, key-id, retired: it is refused if it names no key of the set, or is not signed by the one that it names
    What looks at the signature? What without a `kid`? How many keys are tried, and which are kept from call to call?
algorithm: a token of any other algorithm than ES256 is refused, however well it is signed
    Who says which algorithms are allowed: you, or the token?
issuer, audience, scope: it is refused with another issuer, audience or scope than is due, or without one
    Is a claim that is missing the same as one that is right? What does `in` find in a text, and what in a list?
no-end, no-time, expired: it is refused from five seconds after `exp` on, not before; without it; with a text as a time
    For how long is one without it good? Who makes a number of a text? What if now is exp + 5, or a second before?
too-early: it is refused more than five seconds before `nbf` or `iat`, if it has them, and not later
    Write down the case in which now is nbf − 5, and the one a second before. Do you look at both claims?
""")


class Auth:
    """An auth server's keys, and tokens as they are asked for."""

    def __init__(self):
        self.keys = {kid: ECKey.generate_key(curve, {"kid": kid}) for kid, curve in CURVES.items()}

    def public(self, *kids):
        """Public keys, as the server publishes them: a JWK set."""
        return KeySet([self.keys[kid] for kid in kids or self.keys]).as_dict(private=False)

    def token(self, now, kid="2026-a", alg="ES256", key=None, **claims):
        """A token with these claims besides the usual ones; a claim that is None is left out."""
        usual = {"iss": ISSUER, "aud": AUDIENCE, "sub": "shipping", "scope": SCOPE, "iat": now - 10, "exp": now + 60}
        claims = {name: one for name, one in (usual | claims).items() if one is not None}
        header = {"alg": alg} | ({"kid": kid} if kid else {})
        return jwt.encode(header, claims, key or self.keys[kid], algorithms=[alg]), claims


class Gate(Stage):
    def __init__(self, ask, verify):
        super().__init__(ask, verify)
        self.now, self.auth, self.stranger = int(time.time()), Auth(), ECKey.generate_key("P-256")
        self.keys, self.old = self.auth.public(), self.auth.keys["2026-a"]

    def verify(self, label, token, *, keys=None, scope=SCOPE, now=None):
        self.say("shipping", "orders", label)
        given = self.yours, token, keys or self.keys, scope, now or self.now
        outcome = self.ask.run(*given, limit=2.0)
        if outcome.how == "exception" and label != "a good one":
            self.refuse("raised", f"{label}: {outcome}")
        return outcome.value if isinstance(outcome.value, dict) else self.call(*given, returns=(dict, type(None)))

    def good(self, code, label, *, keys=None, now=None, **options):
        token, claims = self.auth.token(now or self.now, **options)
        found = self.verify(label, token, keys=keys, now=now)
        return code, found == claims, f"{label}: it returned {shown(found)}"

    def bad(self, code, label, *, token=None, keys=None, asked=SCOPE, **options):
        token = self.auth.token(self.now, **options)[0] if token is None else token
        found = self.verify(label, token, keys=keys, scope=asked)
        return code, found is None, f"{label}: it returned {shown(found)}"


check_verifier = scenario("13", 2, "A verifier", WORDS, verify=Gate)
part = check_verifier.part


@part
def good_ones(g):
    yield g.good("good", "a good one")
    yield g.good("good", "for several services", aud=["payment", AUDIENCE])
    yield g.good("good", "with several scopes", scope=f"stock:read {SCOPE} stock:write")
    yield g.good("good", "without iat and nbf", iat=None)
    yield g.good("rotation", "of the other key", kid="2026-b")
    yield g.good("rotation", "of the only key", kid="2026-b", keys=g.auth.public("2026-b"))
    for now in (1_000_000_000, 3_000_000_000):
        yield g.good("clock", f"a good one at second {now}", now=now, nbf=now - 1)


@part
def whose_they_are(g):
    yield g.good("rotation", "a good one, and a set with other keys than before")
    yield g.bad("signature", "signed by a stranger", key=g.stranger)
    (one, _), (other, _) = g.auth.token(g.now), g.auth.token(g.now, sub="boss")
    yield g.bad("signature", "with another one's end", token=other.rpartition(".")[0] + "." + one.rpartition(".")[2])
    yield g.bad("algorithm", "ES384, signed by the auth server", kid="invoices", alg="ES384")
    header = urlsafe_b64encode(b'{"alg":"none","kid":"2026-a"}').decode().rstrip("=")
    yield g.bad("algorithm", "without a signature", token=f"{header}.{one.split('.')[1]}.")
    yield g.bad("key-id", "of a key that is not in the set", kid="2025-d", key=g.old)
    yield g.bad("key-id", "that names one key and is signed with the other", kid="2026-b", key=g.old)
    yield g.bad("key-id", "without a key id, and with one key", kid=None, key=g.old, keys=g.auth.public("2026-a"))
    yield "signature", g.verify("a good one", one) is not None, "a good one was refused"
    yield g.bad("retired", "the same again, and its key is out of the set", token=one, keys=g.auth.public("2026-b"))


@part
def what_they_say(g):
    almost, short, alike = f"{AUDIENCE}-archive", AUDIENCE[:-1], (f"{SCOPE}-all stock:read", f"my-{SCOPE}", SCOPE[:6])
    for code, claim, values in (
        ("issuer", "iss", ("https://auth.example", f"{ISSUER}.example", f"{ISSUER}/", ISSUER[:-1], [ISSUER], None)),
        ("audience", "aud", ("payment", almost, short, ["payment", "stock"], [almost], [], 7, None)),
        ("scope", "scope", ("orders:write", *alike, SCOPE.upper(), f"stock:read,{SCOPE}", "", [SCOPE], 7, None)),
        ("no-end", "exp", (None,)),
    ):
        for one in values:
            yield g.bad(code, f"{claim} {one!r}", **{claim: one})
    yield g.bad("scope", "asked for another scope", asked="orders:write")


@part
def when_they_are_good(g):
    for since in (-1, 0, 1, LEEWAY - 1, LEEWAY, LEEWAY + 1, 60):
        due = g.good if since < LEEWAY else g.bad
        yield due("expired", f"{since} s after exp", exp=g.now - since, iat=g.now - 100)
    for claim, ahead in product(("nbf", "iat"), (0, 1, LEEWAY, LEEWAY + 1, 60, -9000)):
        due = g.good if ahead <= LEEWAY else g.bad
        yield due("too-early", f"{ahead} s before {claim}", **{claim: g.now + ahead}, exp=g.now + 300)
    for claim, one in product(("exp", "nbf", "iat"), ("today", str(g.now), [])):
        yield g.bad("no-time", f"{claim} {one!r}", **{claim: one})
    for text in ("", "token", "a.b.c", "..", g.auth.token(g.now)[0].rpartition(".")[0], "ä.ö.ü"):
        yield g.bad("raised", f"the text {text[:12]!r}…", token=text)
