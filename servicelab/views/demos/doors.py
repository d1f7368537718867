"""Two doors (chapter 13): a caller, TLS, and whoever checks keys and tokens. Who refuses, at which step, and why?"""

import functools
import hashlib
import secrets
import ssl

import trustme
from joserfc import errors, jwk, jwt

from servicelab.views.live import Choice, LivePanel, Press, Slider
from servicelab.views.theme import BLUE, FAILURE_INK, GREEN, INK, MUTED, SERVICES, VERMILION

CREDENTIALS = (
    "nothing",
    "an API key",
    "last year's API key",
    "a token",
    "a token for shipping",
    "a token without the scope",
    "a certificate",
    "another authority's certificate",
)
AUTHORITIES = ("the shop", "somebody else")
LIFE, LEEWAY, ISSUED = 60, 5, 1_000_000  # seconds: a token's life, payment's leeway, when it was issued
DOORS = (3.7, 6.9)  # where they stand
STOPS = {"TLS": DOORS[0], "the check": DOORS[1], None: 8.8}


class Doors(LivePanel):
    """What the caller shows, payment's clock against the issuer's, and who signed payment's certificate. *Call* calls.

    The handshake and the tokens are real ones, without a socket: two ends of OpenSSL in this process, and joserfc.
    """

    title = "Two doors"
    question = "Who refuses the call, at which door, and why? Guess, then press Call."
    controls = (
        Choice("credential", "orders shows", CREDENTIALS, "a token"),
        Slider("skew", "payment's clock is fast by (s)", -120, 120, 0, 5),
        Choice("authority", "payment's certificate is signed by", AUTHORITIES),
        Press("call", "Call"),
    )

    def restart(self):
        self.asked = None

    def call(self):
        self.asked = tuple(self.values.values())
        self.redraw()

    def draw(self, fig):
        ax = fig.add_subplot(xlim=(0, 10.6), ylim=(0, 4))
        ax.axis("off")
        for x, name in ((0.7, "orders"), (9.8, "payment")):
            ax.text(x, 2, name, ha="center", va="center", color="white", weight="bold", fontsize=15,
                    bbox={"boxstyle": "round,pad=0.5", "color": SERVICES[name][1]})  # fmt: skip
        for x, name, asks in zip(DOORS, ("TLS", "the check"), ("whose certificate is it?", "key or token?")):
            ax.plot([x, x], [0.9, 3.1], color=INK, linewidth=5, solid_capstyle="butt")
            ax.text(x, 3.55, name, ha="center", weight="bold", fontsize=15)
            ax.text(x, 3.2, asks, ha="center", color=MUTED)
        self.way = self.moving(ax.plot([], [], linewidth=3)[0])
        self.end = self.moving(ax.plot([], [], markersize=15, markeredgewidth=3)[0])
        self.shown = self.moving(ax.text(0.05, 1.45, "", color=BLUE, va="top"))
        self.clock = self.moving(ax.text(9.8, 1.3, "", ha="center", color=MUTED))
        self.signed = self.moving(ax.text(9.8, 2.6, "", ha="center", color=MUTED))
        self.said = self.moving(ax.text(5.3, 0.25, "", ha="center", weight="bold", fontsize=15))

    def update(self, credential, skew, authority):
        self.shown.set_text(f"shows\n{credential}")
        self.clock.set_text(f"clock {skew:+d} s" if skew else "clock exact")
        self.signed.set_text(f"signed by\n{authority}")
        clock = f"its clock is {abs(skew)} s {'fast' if skew > 0 else 'slow'}" if skew else "its clock is exact"
        shows = f"orders shows {credential}; payment's certificate is signed by {authority}, {clock}."
        if self.asked != (credential, skew, authority):
            for artist in (self.way, self.end):
                artist.set_data([], [])
            self.said.set_text("")
            return f"{shows} Nobody has called yet."
        who, door, why = judged(credential, skew, authority)
        colour = VERMILION if who else GREEN
        self.way.set(data=([1.4, STOPS[door]], [1.9, 1.9]), color=colour)
        self.end.set(data=([STOPS[door]], [1.9]), color=colour, marker="x" if who else ">")
        text = f"{who} refuses at {door}: {why}" if who else f"served: {why}"
        self.said.set(text=text, color=FAILURE_INK if who else GREEN)
        return f"{shows} {text}."


def judged(credential: str, skew: int, authority: str) -> tuple[str | None, str | None, str]:
    """``(who refuses, at which door, why)``; of a call that is served ``(None, None, whom payment sees)``."""
    if refused := _handshake(credential, authority):
        return refused[0], "TLS", refused[1]
    if credential == "a certificate":
        return None, None, "the certificate says orders"
    if credential == "nothing":
        return "payment", "the check", "no credential"
    if "key" in credential:
        known = hashlib.sha256(_things()["key"]).digest()
        is_known = secrets.compare_digest(known, hashlib.sha256(_things()[credential]).digest())
        return (None, None, "the key is that of orders") if is_known else ("payment", "the check", "unknown key")
    try:
        claims = jwt.decode(_things()[credential], _things()["signs"], algorithms=["ES256"]).claims
        rules = {"exp": {"essential": True}, "aud": {"essential": True, "value": "payment"}}
        jwt.JWTClaimsRegistry(now=ISSUED + skew, leeway=LEEWAY, **rules).validate(claims)
    except errors.JoseError as error:
        return "payment", "the check", (error.description or str(error)).lower()
    if "charge" not in claims["scope"].split():
        return "payment", "the check", "the scope is missing"
    return None, None, "the token says orders"


@functools.cache
def _things() -> dict:
    """Keys, tokens and certificates, made once, and for this process only."""
    signs, key = jwk.ECKey.generate_key("P-256"), secrets.token_bytes(32)
    claims = {"sub": "orders", "aud": "payment", "scope": "charge", "iat": ISSUED, "exp": ISSUED + LIFE}
    tokens = {"a token": {}, "a token for shipping": {"aud": "shipping"}, "a token without the scope": {"scope": ""}}
    shop, stranger = (trustme.CA(key_type=trustme.KeyType.ECDSA) for _ in range(2))
    return {
        "signs": signs,
        "key": key,
        "an API key": key,
        "last year's API key": secrets.token_bytes(32),
        "authorities": {"the shop": shop, "somebody else": stranger},
        "payment": {name: ca.issue_cert("payment.shop.test") for name, ca in zip(AUTHORITIES, (shop, stranger))},
        "a certificate": shop.issue_cert("orders.shop.test"),
        "another authority's certificate": stranger.issue_cert("orders.shop.test"),
    } | {
        name: jwt.encode({"alg": "ES256"}, claims | change, signs, algorithms=["ES256"])
        for name, change in tokens.items()
    }


@functools.cache
def _handshake(credential: str, authority: str) -> tuple[str, str] | None:
    """Who ends it, and why; None if both are content."""
    payment, orders = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    for context in (payment, orders):
        _things()["authorities"]["the shop"].configure_trust(context)
    payment.verify_mode = ssl.CERT_OPTIONAL
    _things()["payment"][authority].configure_cert(payment)
    if "certificate" in credential:
        _things()[credential].configure_cert(orders)
    there, back = ssl.MemoryBIO(), ssl.MemoryBIO()
    ends = {
        "orders": orders.wrap_bio(back, there, server_hostname="payment.shop.test"),
        "payment": payment.wrap_bio(there, back, server_side=True),
    }
    done = set()
    while len(done) < 2:
        for name, end in ends.items():
            try:
                end.do_handshake()
                done.add(name)
            except ssl.SSLWantReadError:
                continue
            except ssl.SSLCertVerificationError as error:
                return name, error.verify_message
            except ssl.SSLError:
                return name, "the certificate is of another authority"
    return None
