"""Exercise 5, measure and decide: a format for each of four payloads, and its bytes."""

import copy
import gzip
import json
from numbers import Real
from random import Random

from google.protobuf.json_format import ParseDict

from servicelab.checks.learner_traceback import shown
from servicelab.checks.scenario import Stage, scenario, words
from servicelab.servers import load_version

contract = load_version("""syntax = "proto3";
package formats;
message Line { string sku = 1; int32 quantity = 2; int64 cents = 3; }
message Order { int64 id = 1; string customer = 2; int64 created = 3; repeated Line lines = 4; }
message Orders { repeated Order orders = 1; }
message Track { repeated double degrees = 1; }
message Changes { repeated sint32 pieces = 1; }
""")
KINDS = {"order": "Order", "orders": "Orders", "track": "Track", "stock": "Changes"}
FORMATS = {"JSON": 1.0, "JSON+gzip": 1.1, "protobuf": 1.1, "protobuf+gzip": 1.21}  # what a byte costs
BAND = 0.02

WORDS = words("""
form: choose gives for each payload a pair: one of the four formats, and how many bytes
    Are all names of payloads there, formats as the task writes them, and behind each a number?
costly: each payload has the format that costs least
    How many bytes has it in each of the four, and what does a byte cost there?
bytes: its bytes are those of the format, within 2%
    Are these bytes or characters, with spaces or without, and of the payload that was handed over?
not-measured: it decides anew for other payloads of the same names
    What of your answer comes from what was handed over?
""")


def payloads(seed: int = 1, orders: int = 150, most: int = 1, whole: int = 0) -> dict:
    """Four payloads by name, as dicts: so many ``orders``, changes of the stock by ``most`` pieces at the most, and a
    track of so many ``whole`` degrees, or else of 1000 random angles."""
    rng = Random(seed)
    below = rng.randrange

    def line():
        return {"sku": f"SKU-{below(10**5):05d}", "quantity": below(1, 5), "cents": below(100, 20000)}

    def order(number):
        lines = [line() for _ in range(below(2, 5))]
        head = {"id": 1000 + number, "customer": f"customer-{below(10000)}", "created": 1_750_000_000 + 37 * number}
        return {**head, "lines": lines}

    stock = [rng.choice((0, 0, 0, 0, rng.randint(1, most), -rng.randint(1, most))) for _ in range(1000)]
    track = [below(180) for _ in range(whole)] or [rng.random() * 180 for _ in range(1000)]
    one, many = order(0), [order(number) for number in range(orders)]
    return {"order": one, "orders": {"orders": many}, "track": {"degrees": track}, "stock": {"pieces": stock}}


def as_message(name: str, payload: dict):
    """The payload as a message of its contract. Raises KeyError for a name that is none of the four."""
    return ParseDict(payload, getattr(contract.messages, KINDS[name])())


def costs(name, payload) -> dict[str, tuple[float, int]]:
    """What the payload costs in each format, and its bytes."""
    text = json.dumps(payload, separators=(",", ":")).encode()
    binary = as_message(name, payload).SerializeToString()
    bodies = text, gzip.compress(text), binary, gzip.compress(binary)
    return {form: (FORMATS[form] * len(body), len(body)) for form, body in zip(FORMATS, bodies)}


class Decided(Stage):
    def judge(self, **data):
        self.say("orders", "partner", "four payloads")
        given, practice = payloads(**data), payloads()
        found = self.call(self.yours, copy.deepcopy(given), returns=dict, limit=4.0)
        for name, payload in given.items():
            pair = found.get(name)
            form, count = pair if isinstance(pair, (tuple, list)) and len(pair) == 2 else (None, None)
            if form not in FORMATS or isinstance(count, bool) or not isinstance(count, Real):
                self.refuse("form", f"for {name} it is {shown(pair)}")
            cost, usual = costs(name, payload), costs(name, practice[name])
            best, (price, size) = min(cost, key=cost.get), cost[form]
            code = "not-measured" if form == min(usual, key=usual.get) != best else "costly"
            told = f"{name}: {form}, {price:.0f} to pay, and {best} costs {cost[best][0]:.0f}"
            yield code, price <= (1 + BAND) * cost[best][0], told
            yield "bytes", abs(count - size) <= BAND * size, f"{name}: {form} has {size}, not {count}"


check_formats = scenario("02", 5, "Four payloads", WORDS, choose=Decided)


@check_formats.part
def several_times(s):
    yield from s.judge(seed=2)
    yield from s.judge(seed=3, orders=2, most=10**6, whole=10)
