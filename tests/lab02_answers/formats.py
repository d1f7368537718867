"""Exercise 5: three ways to measure, and the ways to be misled."""

import gzip
import json
import zlib

from servicelab.checks.lab02.formats import FORMATS, as_message, payloads


def bodies(name, payload):
    text = json.dumps(payload, separators=(",", ":")).encode()
    binary = as_message(name, payload).SerializeToString()
    return {
        "JSON": text,
        "JSON+gzip": gzip.compress(text),
        "protobuf": binary,
        "protobuf+gzip": gzip.compress(binary),
    }


def cheapest(given):
    chosen = {}
    for name, payload in given.items():
        found = {form: len(body) for form, body in bodies(name, payload).items()}
        best = min(found, key=lambda form: found[form] * FORMATS[form])
        chosen[name] = best, found[best]
    return chosen


def step_by_step(given):
    """First the better of the two plain ones and of the two packed ones, then these against each other."""

    def decide(name, payload):
        found = bodies(name, payload)
        cost = [(len(body) * 1.1 ** (("gzip" in form) + ("proto" in form)), form) for form, body in found.items()]
        form = sorted(cost)[0][1]
        return [form, found[form].__len__()]

    return {name: decide(name, payload) for name, payload in given.items()}


def by_zlib(given):
    """The bytes of gzip from zlib, and no list of all."""

    def packed(data):
        return len(zlib.compress(data, level=9)) + 12

    chosen = {}
    for name in given:
        text, binary = bodies(name, given[name])["JSON"], as_message(name, given[name]).SerializeToString()
        options = [(len(text), len(text), "JSON"), (1.1 * packed(text), packed(text), "JSON+gzip")]
        options += [(1.1 * len(binary), len(binary), "protobuf")]
        options += [(1.1 * 1.1 * packed(binary), packed(binary), "protobuf+gzip")]
        _, count, form = min(options)
        chosen[name] = (form, count)
    return chosen


def always(rule):
    """The format that ``rule(found)`` says; its bytes are right."""

    def choose(given):
        chosen = {}
        for name, payload in given.items():
            found = {form: len(body) for form, body in bodies(name, payload).items()}
            chosen[name] = (form := rule(found)), found[form]
        return chosen

    return choose


def before_packing(given):
    """The bytes of the body that is then packed."""
    return {
        name: (form, len(bodies(name, given[name])[form.removesuffix("+gzip")]))
        for name, (form, _) in cheapest(given).items()
    }


def quickly_packed(given):
    def count(name, form):
        body = bodies(name, given[name])[form.removesuffix("+gzip")]
        return len(gzip.compress(body, 1)) if "gzip" in form else len(body)

    return {name: (form, count(name, form)) for name, (form, _) in cheapest(given).items()}


def of_the_practice(given):
    return cheapest(payloads())


def with_spaces(given):
    """json.dumps as it comes."""
    return {
        name: (form, len(json.dumps(given[name])) if form == "JSON" else count)
        for name, (form, count) in cheapest(given).items()
    }


def fixed(given):
    """The formats of the practice, and the bytes of what is handed over."""
    forms = {name: form for name, (form, _) in cheapest(payloads()).items()}
    return {name: (form, len(bodies(name, given[name])[form])) for name, form in forms.items()}


def used_up(given):
    """What was handed over is empty afterwards, and the bytes are no whole numbers."""
    chosen = cheapest(given)
    return {name: (chosen[name][0], float(chosen[name][1])) for name in [*given] if given.pop(name)}


RIGHT = {"the cheapest of four": cheapest, "powers of 1.1": step_by_step, "zlib": by_zlib, "used up": used_up}
WRONG = {
    "a list": (lambda given: list(cheapest(given).values()), {"wrong-type"}),
    "the names of the formats alone": (lambda given: {n: form for n, (form, _) in cheapest(given).items()}, {"form"}),
    "protobuf.gz": (lambda given: dict.fromkeys(given, ("protobuf.gz", 100)), {"form"}),
    "three of four": (lambda given: {n: one for n, one in cheapest(given).items() if n != "stock"}, {"form"}),
    "bytes as text": (lambda given: {n: (form, str(count)) for n, (form, count) in cheapest(given).items()}, {"form"}),
    "always protobuf": (always(lambda found: "protobuf"), {"costly"}),
    "the smallest": (always(lambda found: min(found, key=found.get)), {"costly"}),
    "always packed": (always(lambda found: "protobuf+gzip"), {"costly"}),
    "never a contract": (
        always(lambda found: "JSON" if found["JSON"] < 1.1 * found["JSON+gzip"] else "JSON+gzip"),
        {"costly"},
    ),
    "never JSON as it is": (
        always(lambda found: min([*found][1:], key=lambda form: found[form] * FORMATS[form])),
        {"costly"},
    ),
    "with spaces": (with_spaces, {"bytes"}),
    "before packing": (before_packing, {"bytes"}),
    "quickly packed": (quickly_packed, {"bytes"}),
    "of the practice": (of_the_practice, {"bytes"}),
    "the formats of the practice": (fixed, {"not-measured"}),
}
