"""Exercise 5: decided in three ways, and mistakes."""

from statistics import quantiles

from servicelab.checks.lab14 import LIBRARIES, PRICES
from tests.lab11_answers import but


def decide(shop):
    """As it stands in the task."""
    p, services = PRICES, shop.services
    instances, languages = sum(one.instances for one in services), {one.language for one in services}
    memory, cpu = p["proxy_gb"] * p["gb"], p["proxy_vcpu"] * p["vcpu"] / 1000
    costs = {
        "sidecar": instances * memory + 2 * shop.hops * shop.rate * cpu + p["mesh_hours"] * p["hour"],
        "library": (len(languages) * p["language_hours"] + len(services) * p["service_hours"]) * p["hour"],
        "gateway": 2 * memory + shop.rate * cpu + p["gateway_hours"] * p["hour"],
    }
    if not languages <= LIBRARIES or not all(one.ours for one in services):
        costs["library"] = None
    if shop.between:
        costs["gateway"] = None
    for way in costs:
        if sorted(shop.pages(way))[len(shop.pages(way)) * 99 // 100 - 1] > shop.promise:
            costs[way] = None
    able = [way for way in costs if costs[way] is not None]
    return min(able, key=costs.get, default=None), costs


def numbers(shop):
    """With the numbers of the task, and quantiles."""
    late = {way: quantiles(shop.pages(way), n=100)[98] > shop.promise for way in ("gateway", "library", "sidecar")}
    costs = dict.fromkeys(late)
    if not late["gateway"] and not shop.between:
        costs["gateway"] = 160.48 + shop.rate / 200
    if not late["library"] and all(language in LIBRARIES and ours for language, _, ours in shop.services):
        costs["library"] = 200.0 * len({language for language, *_ in shop.services}) + 40 * len(shop.services)
    if not late["sidecar"]:
        costs["sidecar"] = 640 + 0.24 * sum(count for _, count, _ in shop.services) + shop.hops * shop.rate / 100
    cheap = sorted((cost, way) for way, cost in costs.items() if cost)
    return (cheap[0][1] if cheap else None), costs


class Chooser:
    """An object that is called; pages are counted, and what does not do costs infinitely much."""

    def __call__(self, shop):
        ways = {"sidecar": self.sidecar, "library": self.library, "gateway": self.gateway}
        costs = {way: cost(shop) if self.keeps(shop, way) else float("inf") for way, cost in ways.items()}
        best = min(costs, key=costs.get)
        return best if costs[best] < 1e9 else None, {
            way: round(cost, 2) if cost < 1e9 else None for way, cost in costs.items()
        }

    def keeps(self, shop, way):
        pages = shop.pages(way)
        return sum(page <= shop.promise for page in pages) >= 0.99 * len(pages)

    def sidecar(self, shop):
        count = sum(one.instances for one in shop.services)
        return count * 0.06 * 4 + shop.rate * shop.hops * 2 / 1000 * 0.2 * 25 + 8 * 80

    def library(self, shop):
        able = all(one.ours and one.language in LIBRARIES for one in shop.services)
        hours = 2.5 * len({one.language for one in shop.services}) + 0.5 * len(shop.services)
        return hours * 80 if able else float("inf")

    def gateway(self, shop):
        return float("inf") if shop.between else 2 * 0.06 * 4 + shop.rate / 1000 * 0.2 * 25 + 2 * 80


RIGHT = {"as in the task": decide, "numbers": numbers, "an object": Chooser()}
LATE = "sorted(shop.pages(way))[len(shop.pages(way)) * 99 // 100 - 1] >"
WRONG = {
    "only the way": (["default=None), costs => default=None),"], "wrong-type"),
    "no None": (["costs[\"gateway\"] = None => del costs[\"gateway\"]"], "wrong-type"),
    "a proxy for each service": (["sum(one.instances for one in services) => len(services)"], "sidecar"),
    "one proxy for each call": (["2 * shop.hops * => shop.hops *"], "sidecar"),
    "a mesh runs itself": ([' + p["mesh_hours"] * p["hour"] => '], "sidecar"),
    "in each service anew": (["len(languages) * => len(services) *"], "library"),
    "no updates": ([' + len(services) * p["service_hours"] => '], "library"),
    "all calls pass it": (["shop.rate * cpu + p[\"gateway => shop.hops * shop.rate * cpu + p[\"gateway"], "gateway"),
    "one is enough": (["\"gateway\": 2 * memory => \"gateway\": memory"], "gateway"),
    "whole thousands": (["shop.rate * cpu + p[\"gateway => -(-shop.rate // 1000) * 5 + p[\"gateway"], "gateway"),
    "not in JavaScript": (["languages <= LIBRARIES => languages <= LIBRARIES - {'JavaScript'}"], "not-everywhere"),
    "any language": (["not languages <= LIBRARIES or => "], "not-everywhere"),
    "any code": ([" or not all(one.ours for one in services) => "], "not-everywhere"),
    "only for the door": (["not languages <= LIBRARIES or => not shop.between or not languages <= LIBRARIES or"],
                          "not-everywhere"),
    "it sees everything": (["if shop.between: => if False:"], "between"),
    "never a gateway": (["if shop.between: => if True:"], "between"),
    "the mean": ([f"{LATE} => sum(shop.pages(way)) / 5000 >"], "promise"),
    "98 of 100": ([f"{LATE} => sorted(shop.pages(way))[4899] >"], "promise"),
    "995 of 1000": ([f"{LATE} => sorted(shop.pages(way))[4974] >"], "promise"),
    "the slowest": ([f"{LATE} => max(shop.pages('library')) >"], "promise"),
    "without a test": ([f"{LATE} => 0 >"], "promise"),
    "the dearest": (["return min( => return max("], "cheapest"),
    "what needs no work": (["min(able, key=costs.get, default=None) => able[0] if able else None"], "cheapest"),
    "always some": (["default=None) => default='library')"], "cheapest"),
}  # fmt: skip
WRONG = {name: (but(decide, *changes), {code}) for name, (changes, code) in WRONG.items()}
