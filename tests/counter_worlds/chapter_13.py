"""The counter-worlds of chapter 13."""

import sys

from tests.counter_worlds import Change

ORDERS, IMPOSTOR, STRANGER = (
    "the caller is orders",
    "payment is an impostor",
    "the caller has no certificate that counts",
)
KEY, TOKEN, SCOPE = "the key is a wrong one", "the token is expired, or for others", "the scope is missing"
REPLAY = "a call that is signed, with a nonce, comes again"


def only(*names):
    return "holds if " + "; if ".join(names) + "."


COUNTER = {
    "C10": [
        # The shop made a key of its own.
        Change(
            "q-wrong-ann",
            "front(PUBLISHED)",
            "front(secrets.token_hex(32))",
            "holds if a stranger has read the tutorial",
        ),
    ],
    "C28": [
        # The caller checks nobody's certificate.
        Change(
            "q-tls-call",
            "shop_ca.configure_trust(context)",
            "shop_ca.configure_trust(context)\n    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE",
            only(ORDERS, STRANGER, KEY, TOKEN, SCOPE, REPLAY),
        ),
        # Payment asks for no certificate.
        Change("q-who-mutual", "CERT_REQUIRED", "CERT_NONE", only(ORDERS, IMPOSTOR, KEY, TOKEN, SCOPE, REPLAY)),
        # Payment looks at the signature alone.
        Change(
            "q-who-pay",
            "jwt.JWTClaimsRegistry(now=time.time, **RULES).validate(claims)",
            "pass",
            only(ORDERS, IMPOSTOR, STRANGER, KEY, SCOPE, REPLAY),
        ),
        # The scope is not looked at.
        Change(
            "q-who-pay",
            'if "charge" in claims.get("scope", "").split()',
            "if claims",
            only(ORDERS, IMPOSTOR, STRANGER, KEY, TOKEN, REPLAY),
        ),
        # Nonces are not remembered.
        Change(
            "q-long-replay",
            "self.seen[nonce] = True",
            "pass",
            only(ORDERS, IMPOSTOR, STRANGER, KEY, TOKEN, SCOPE),
        ),
    ],
    "C60": [
        # Started without the debugger.
        Change("q-debug-read", "faulty.debug = True", "faulty.debug = False", "holds"),
        # The page offers no place to type.
        Change(
            "q-debug-settings", 'evalex=wanted["use_evalex"]', "evalex=False", "holds if no page offers to run code"
        ),
    ],
}
if sys.platform == "linux":  # elsewhere nobody listens on all interfaces, and the key alone decides
    COUNTER["C10"].append(
        Change(
            "q-where-wide",
            'reached["all interfaces"] = answers("127.0.0.2", port)',
            'reached["all interfaces"] = answers("127.0.0.2", shop.port)',
            "holds if a stranger comes by another address",
        )
    )

TURNS = {
    "q-where-turn": ("fallbacks = [] ", "fallbacks = [made_today] "),
    "q-tls-turn": ("verify = False ", "verify = trusted "),
    "q-who-turn": (
        'rules = {"exp": {"essential": True}} ',
        'rules = {"exp": {"essential": True}, "aud": {"essential": True, "value": "payment"}} ',
    ),
    "q-long-turn": ("leeway = 0 ", "leeway = 2 "),
    "q-debug-turn": ("served = DebuggedApplication(faulty, evalex=False) ", "served = faulty "),
}
