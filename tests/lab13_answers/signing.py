"""Exercise 3: signed requests in three ways, and mistakes."""

import hashlib
import hmac
import json
import secrets
from base64 import b64decode, b64encode

from tests.lab11_answers import but


def mac(key, *parts):
    """Each part is hashed on its own, so that no two lists of parts are alike."""
    parts = [one if isinstance(one, bytes) else str(one).encode() for one in parts]
    return hmac.new(key, b"".join(hashlib.sha256(one).digest() for one in parts), "sha256").hexdigest()


def sign(key_id, key, method, path, body, now):
    nonce = secrets.token_hex(16)
    signature = mac(key, key_id, method, path, body, nonce, now)
    return {"X-Key": key_id, "X-Nonce": nonce, "X-Time": str(now), "X-Signature": signature}


class Door:
    def __init__(self, keys, store, window):
        self.keys, self.store, self.window = keys, store, window

    def enter(self, method, path, headers, body, now):
        caller, nonce, signed, signature = (headers.get(f"X-{n}", "") for n in ("Key", "Nonce", "Time", "Signature"))
        key = self.keys.get(caller)
        if key is None or not signed.isdecimal():
            return False
        due = mac(key, caller, method, path, body, nonce, signed)
        if not hmac.compare_digest(due.encode(), signature.encode()):
            return False
        if abs(now - int(signed)) > self.window:
            return False
        return self.store.add(nonce, int(signed) + self.window)


def json_sign(key_id, key, method, path, body, now):
    """One header, JSON for the parts, base64 for the signature."""
    nonce = b64encode(secrets.token_bytes(18)).decode()
    return {"Authorization": f"Shop {key_id},{nonce},{now},{json_mac(key, key_id, nonce, now, method, path, body)}"}


def json_mac(key, *parts):
    *texts, body = parts
    text = json.dumps([*map(str, texts), body.hex()])
    return b64encode(hmac.digest(key, text.encode(), "sha512")).decode()


class JsonDoor(Door):
    def enter(self, method, path, headers, body, now):
        try:
            scheme, rest = headers["authorization"].split(" ")
            caller, nonce, at, signature = rest.split(",")
            due = json_mac(self.keys[caller], caller, nonce, int(at), method, path, body)
            fine = scheme == "Shop" and hmac.compare_digest(due, signature)
            late = now - int(at)
        except (KeyError, ValueError, TypeError):
            return False
        fine = fine and -self.window <= late <= self.window
        return bool(fine and self.store.add(f"{caller} {nonce}", int(at) + self.window))


def lines(key_id, key, method, path, body, now):
    """Lines, of which only the last may contain anything; the store has the signature; two headers and a half."""
    text = "\n".join(
        [method, path, key_id, stamp := f"{now}/{secrets.token_urlsafe(12)}", hashlib.md5(body).hexdigest()]
    )
    return {"key-id": key_id, "stamp": stamp, "signature": hmac.new(key, text.encode(), hashlib.sha256).hexdigest()}


class LinesDoor:
    def __init__(self, keys, store, window):
        self.keys, self.store, self.window = keys, store, window

    def enter(self, method, path, headers, body, now):
        if not {"Key-Id", "Stamp", "Signature"} <= {name.title() for name, _ in headers.items()}:
            return False
        stamp, caller = headers["stamp"], headers["key-id"]
        at = stamp.partition("/")[0]
        if caller not in self.keys or not at.isdecimal() or not now - self.window <= int(at) <= now + self.window:
            return False
        text = "\n".join([method, path, caller, stamp, hashlib.md5(body).hexdigest()])
        due = hmac.new(self.keys[caller], text.encode(), hashlib.sha256).hexdigest()
        return due == headers["signature"] and self.store.add(due, int(at) + self.window)


class Own:
    """A door's own memory."""

    def __init__(self):
        self.seen = set()

    def add(self, name, until):
        is_new = name not in self.seen
        self.seen.add(name)
        return is_new


def both(*changes):
    """The same change where it is signed and where it is checked."""
    return but(sign, *changes), but(
        Door, *[one.replace("key_id", "caller").replace("now", "signed") for one in changes]
    )


def door(*changes):
    return sign, but(Door, *changes)


PARTS = "method, path, body, nonce, now"
ADD = "return self.store.add(nonce, int(signed) + self.window)"
CHECKED = "if not hmac.compare_digest(due.encode(), signature.encode()):\n            return False"
WINDOW = "if abs(now - int(signed)) > self.window:\n            return False"


def barred(key, *parts):
    parts = [one if isinstance(one, bytes) else str(one).encode() for one in parts]
    return hmac.new(key, b"|".join(parts), "sha256").hexdigest()


def mac64(key, *parts):
    return b64encode(bytes.fromhex(mac(key, *parts))).decode()


def bytes_of(text):
    try:
        return b64decode(text)
    except ValueError:
        return b""


def query(path):
    """Its parts in order, as some signatures have them."""
    return path.partition("?")[0], sorted(path.partition("?")[2].split("&"))


RIGHT = {"hashes": (sign, Door), "one header": (json_sign, JsonDoor), "lines": (lines, LinesDoor)}
WRONG = {
    "a pair": (lambda *given: tuple(sign(*given).items()), Door, {"wrong-type"}),
    "None is no": (*door("return False\n        due => return None\n        due"), {"wrong-type"}),
    "the time is a number": (*door("not signed.isdecimal() => abs(now - int(signed)) > self.window"), {"raised"}),
    "texts are compared": (*door("(due.encode(), signature.encode()) => (due, signature)"), {"raised"}),
    "headers are there": (*door('headers.get(f"X-{n}", "") => headers[f"X-{n}"]'), {"raised"}),
    "a nonce by the clock": (but(sign, "secrets.token_hex(16) => str(now)"), Door, {"good"}),
    "just these headers": (*door("if key is None => if len(headers) > 4 or key is None"), {"good"}),
    "a number for a header": (but(sign, '"X-Time": str(now) => "X-Time": now'), Door, {"no-text"}),
    "the key as it is": (but(sign, '"X-Key": key_id => "X-Key": key_id, "X-Secret": key.hex()'), Door, {"key-sent"}),
    "one key for all": (*door("self.keys.get(caller) => self.keys.get('ann')"), {"stranger"}),
    "unknown is nobody": (*door("self.keys.get(caller) => self.keys.get(caller, b'')"), {"stranger"}),
    "without the method": (*both("method, path, body, nonce => path, body, nonce"), {"method"}),
    "without the query": (*both(f"key_id, {PARTS} => key_id, method, path.split('?')[0], body, nonce, now"), {"path"}),
    "the query in order": (*both("path, body, nonce => query(path), body, nonce"), {"path"}),
    "without the body": (*both("path, body, nonce => path, nonce"), {"body"}),
    "the body as a text": (*both("path, body, nonce => path, body.decode(errors='replace'), nonce"), {"body"}),
    "the nonce aside": (*both("body, nonce, => body,"), {"headers"}),
    "the time aside": (*both("nonce, now) => nonce)"), {"headers"}),
    "the time as a number": (*door("nonce, signed) => nonce, int(signed))"), {"headers"}),
    "capitals, too": (*door("signature.encode() => signature.lower().encode()"), {"headers"}),
    "half of a signature": (*door("(due.encode(), signature.encode()) => (due.encode()[:9], signature.encode()[:9])"),
        {"headers"}),
    "a bar between": (*both("mac( => barred("), {"seam"}),
    "any time": (*door(f"{WINDOW} => pass"), {"window"}),
    "a minute": (*door("> self.window => > 60"), {"window"}),
    "ahead is fine": (*door("abs(now - int(signed)) > => now - int(signed) >"), {"window"}),
    "the border is out": (*door("> self.window => >= self.window"), {"window"}),
    "no nonces": (*door(f"{ADD} => return True"), {"replay"}),
    "a set of its own": (*door("self.store, self.window = keys, store, => self.store, self.window = keys, Own(),"),
        {"replay"}),
    "for one window from now": (*door("int(signed) + self.window) => now + self.window)"), {"replay"}),
    "a text for its bytes": (but(sign, "mac( => mac64("), but(Door, "mac( => mac64(",
        "(due.encode(), signature.encode()) => (bytes_of(due), bytes_of(signature))",
        "add(nonce => add(signature"), {"replay"}),
    "a second too short": (*door("int(signed) + self.window) => int(signed) + self.window - 1)"), {"replay"}),
    "looks, and then notes": (*door(f"{ADD} => "
        "return not self.store.has(nonce) and (self.store.add(nonce, int(signed) + self.window) or True)"), {"race"}),
    "notes first": (*door(f"{CHECKED} => if not self.store.add(nonce, int(signed) + self.window):\n"
        f"            return False\n        {CHECKED}", f"{ADD} => return True"), {"burnt"}),
    "notes replays": (*door(f"{ADD} => "
        f"{ADD} or (self.store.add(nonce + 'again', int(signed) + self.window) and False)"), {"burnt"}),
    "notes before the clock": (*door(f"{WINDOW}\n        {ADD} => "
        f"is_new = self.store.add(nonce, int(signed) + self.window)\n        {WINDOW}\n        return is_new"),
        {"burnt"}),
    "for two windows": (*door("int(signed) + self.window) => int(signed) + 2 * self.window)"), {"too-long"}),
    "for two from now": (*door("int(signed) + self.window) => now + 2 * self.window)"), {"too-long"}),
}  # fmt: skip
WRONG = {name: ((sign_it, kind), codes) for name, (sign_it, kind, codes) in WRONG.items()}
