"""Exercise 2: verifiers in three ways, and mistakes."""

import json
from base64 import urlsafe_b64decode

import jwt as pyjwt
from cryptography.hazmat.primitives.asymmetric import ec, utils
from cryptography.hazmat.primitives.hashes import SHA256
from joserfc import jwt
from joserfc.jwk import KeySet

from servicelab.checks.lab13 import AUDIENCE, ISSUER
from tests.lab11_answers import but


def verify(token, keys, scope, now):
    """joserfc, its registry of claims, and an explicit look at the key id."""
    try:
        found = jwt.decode(token, KeySet.import_key_set(keys), algorithms=["ES256"])
        if found.header.get("kid") is None:
            return None
        rules = {"iss": {"essential": True, "value": ISSUER}, "aud": {"essential": True, "value": AUDIENCE}}
        jwt.JWTClaimsRegistry(now=now, leeway=5, exp={"essential": True}, **rules).validate(found.claims)
        return found.claims if scope in found.claims["scope"].split() else None
    except Exception:
        return None


def with_pyjwt(token, keys, scope, now):
    """PyJWT for the signature, issuer and audience; the clock by hand."""
    try:
        kid = pyjwt.get_unverified_header(token)["kid"]
        key = pyjwt.PyJWKSet.from_dict(keys)[kid]
        off = {"verify_exp": False, "verify_nbf": False, "verify_iat": False, "require": ["exp", "aud", "iss"]}
        claims = pyjwt.decode(token, key, ["ES256"], off, audience=AUDIENCE, issuer=ISSUER)
        early = max(claims.get("nbf", 0), claims.get("iat", 0))
        if early - 5 <= now < claims["exp"] + 5 and scope in set(claims["scope"].split(" ")):
            return claims
    except (pyjwt.PyJWTError, KeyError, AttributeError, TypeError, ValueError):
        pass


def part(text):
    return urlsafe_b64decode(text + "=" * (-len(text) % 4))


def by_hand(token, keys, scope, now):
    """cryptography and json, each rule in a line."""
    try:
        head, body, signature = token.encode("ascii").split(b".")
        header, claims = json.loads(part(head.decode())), json.loads(part(body.decode()))
        assert header["alg"] == "ES256"
        (key,) = (key for key in keys["keys"] if key["kid"] == header["kid"] and key["kty"] == "EC")
        x, y = (int.from_bytes(part(key[name]), "big") for name in "xy")
        raw = part(signature.decode())
        der = utils.encode_dss_signature(int.from_bytes(raw[:32], "big"), int.from_bytes(raw[32:], "big"))
        public = ec.EllipticCurvePublicNumbers(x, y, ec.SECP256R1()).public_key()
        public.verify(der, head + b"." + body, ec.ECDSA(SHA256()))
        audience = claims["aud"] if isinstance(claims["aud"], list) else [claims["aud"]]
        assert claims["iss"] == ISSUER and AUDIENCE in audience
        assert scope in claims["scope"].split()
        assert now - claims["exp"] < 5
        assert all(claims[name] - now <= 5 for name in ("nbf", "iat") if name in claims)
        return claims
    except Exception:
        return None


NO_KID = 'if found.header.get("kid") is None:\n            return None => pass'
seen = {}


def kept(token, keys, scope, now):
    """The keys are kept by their ids."""
    seen.update({key["kid"]: key for key in keys["keys"]})
    return verify(token, {"keys": list(seen.values())}, scope, now)


def fits(key, token):
    try:
        return pyjwt.PyJWS().decode(token, key, ["ES256"])
    except pyjwt.PyJWTError:
        return None


def remembers(token, keys, scope, now):
    """What was good once is not looked at again."""
    if token not in seen:
        seen[token] = verify(token, keys, scope, now)
    return seen[token]


EXP, EARLY = 'now < claims["exp"] + 5', "early - 5 <= now"
RIGHT = {"joserfc": verify, "PyJWT": with_pyjwt, "by hand": by_hand}
WRONG = {
    "a bool": (lambda *given: verify(*given) is not None, {"wrong-type"}),
    "raises": (but(verify, "except Exception:\n        return None => finally:\n        pass"), {"raised"}),
    "audience is a text": (but(by_hand, "AUDIENCE in audience => claims['aud'] == AUDIENCE"), {"good"}),
    "one scope": (but(by_hand, 'scope in claims["scope"].split() => scope == claims["scope"]'), {"good"}),
    "iat is a must": (but(by_hand, '("nbf", "iat") if name in claims => ("iat",)'), {"good"}),
    "the first key": (but(verify, 'import_key_set(keys) => import_key_set({"keys": keys["keys"][:1]})'), {"rotation"}),
    "the library's clock": (but(with_pyjwt, '"verify_exp": False, => '), {"clock"}),
    "the registry's clock": (but(verify, "now=now, => "), {"clock"}),
    "decoded, not verified": (but(with_pyjwt, '"verify_exp": False => "verify_signature": False, "verify_exp": False'),
        {"signature"}),
    "any key that fits": (but(with_pyjwt, "key = pyjwt.PyJWKSet.from_dict(keys)[kid] => "
        "ring = pyjwt.PyJWKSet.from_dict(keys)\n"
        "        key = next((one for one in ring.keys if fits(one, token)), ring[kid])"), {"key-id"}),
    "the token says how": (but(verify, '["ES256"] => ["ES256", "ES384"]'), {"algorithm"}),
    "unsigned is a kind, too": (but(by_hand, 'assert header["alg"] == "ES256" => if header["alg"] == "none":\n'
        '            return claims\n        assert header["alg"] == "ES256"'), {"algorithm"}),
    "the only key": (but(verify, NO_KID), {"key-id"}),
    "keys are kept": (kept, {"retired"}),
    "tokens are kept": (remembers, {"retired"}),
    "any issuer": (but(by_hand, 'claims["iss"] == ISSUER => True'), {"issuer"}),
    "an issuer, if there is one": (but(by_hand, 'claims["iss"] == ISSUER => claims.get("iss", ISSUER) == ISSUER'),
        {"issuer"}),
    "an issuer's beginning": (but(by_hand, 'claims["iss"] == ISSUER => claims["iss"].startswith(ISSUER)'), {"issuer"}),
    "no audience": (but(by_hand, "AUDIENCE in audience => True"), {"audience"}),
    "audience in a text": (but(by_hand, 'claims["aud"] if isinstance(claims["aud"], list) else [claims["aud"]] => '
        'claims["aud"]'), {"audience"}),
    "scope in a text": (but(by_hand, 'claims["scope"].split() => claims["scope"]'), {"scope"}),
    "only one of the scopes": (but(by_hand, 'scope in claims => "orders:read" in claims'), {"scope"}),
    "scopes in a list": (but(by_hand, 'claims["scope"].split() => "".join(claims["scope"]).split()'), {"scope"}),
    "any scope": (but(by_hand, 'scope in claims["scope"].split() => claims["scope"]'), {"scope"}),
    "no end is no end": (but(verify, ', exp={"essential": True} => '), {"no-end"}),
    "an end in digits": (but(by_hand, 'now - claims["exp"] => now - int(claims["exp"])'), {"no-time"}),
    "a beginning in digits": (but(by_hand, "all(claims[name] => all(int(claims[name])"), {"no-time"}),
    "two hours old": (but(by_hand, "all(claims[name] => all(-7200 < claims[name]"), {"too-early"}),
    "no leeway": (but(with_pyjwt, f'{EXP} => now < claims["exp"]'), {"expired"}),
    "a second too many": (but(with_pyjwt, f'{EXP} => now <= claims["exp"] + 5'), {"expired"}),
    "a minute": (but(verify, "leeway=5 => leeway=60"), {"expired"}),
    "a second too few": (but(with_pyjwt, f"{EARLY} => early - 5 < now"), {"too-early"}),
    "no leeway for the beginning": (but(with_pyjwt, f"{EARLY} => early <= now"), {"too-early"}),
    "only nbf": (but(with_pyjwt, ', claims.get("iat", 0) => , 0'), {"too-early"}),
    "only iat": (but(with_pyjwt, 'claims.get("nbf", 0), => 0,'), {"too-early"}),
}  # fmt: skip
