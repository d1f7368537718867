"""Exercise 5, measure and decide: sidecars, a library, or a gateway."""

from collections import namedtuple
from functools import cache
from numbers import Real
from random import Random

from servicelab.checks.learner_traceback import shown
from servicelab.checks.scenario import Stage, scenario, words

WAYS = ("sidecar", "library", "gateway")
#: Euros a month for a GB, a vCPU, and an hour of somebody's work each month; what a proxy takes (GB, and vCPU for each
#: 1000 requests/s: istio.io, "Performance and Scalability", Istio 1.24); and hours of work a month.
PRICES = {"gb": 4, "vcpu": 25, "hour": 80, "proxy_gb": 0.06, "proxy_vcpu": 0.2, "mesh_hours": 8, "gateway_hours": 2}
PRICES |= {"language_hours": 2.5, "service_hours": 0.5}
LIBRARIES = {"Java", "Go", "Python", "JavaScript"}  # languages for which there is one

WORDS = words("""
wrong-type: decide returns a way, or None, and a dict from each of the three ways to its euros, or None
    Compare what you return with the last line of the stub.
sidecar, library, gateway: what it costs a month
    How many proxies are there, and what passes them? What is paid for a language, what for a service, what by hours?
not-everywhere: a library is None where a service cannot have it
    Whose code can you change? And is there a library for its language?
between: a gateway is None where calls between services need it, too
    Which calls does a gateway see?
promise: a way that breaks the promise is None, and one that keeps it is not
    99% of the pages: which of the page times is that, if you sort them?
cheapest: the cheapest of the ways that do is chosen, and None if none does
    Which of your three numbers is the least? And if all are None?
""")


Service = namedtuple("Service", "language instances ours")


class Shop(namedtuple("Shop", "services rate hops between promise")):
    """A shop: ``rate`` pages a second, ``hops`` calls between services for each; whether these calls need it, too
    (``between``), or only the door; and its ``promise``: 99% of the pages take at most so many milliseconds."""

    def pages(self, way: str) -> list[float]:
        """The milliseconds of 5000 pages, in a test run with this way: always the same. ValueError if it is none."""
        if way not in WAYS:
            raise ValueError(f"way={way!r} must be one of {', '.join(WAYS)}")
        return list(took(self.hops, {"sidecar": 2 * self.hops, "library": 0, "gateway": 1}[way]))


@cache
def took(hops, proxies):
    dice = Random(7)
    alone = [5 + dice.gammavariate(hops + 1, 1.5) for _ in range(5000)]
    return [one + (dice.gammavariate(proxies, 0.22) if proxies else 0) for one in alone]


def costs(shop: Shop) -> dict[str, float]:
    """The euros a month of each way, whether it does or not."""
    gb, vcpu, hour, proxy_gb, proxy_vcpu, mesh, gateway, language, service = PRICES.values()

    def proxies(count, rate):
        return count * proxy_gb * gb + rate / 1000 * proxy_vcpu * vcpu

    sidecar = proxies(sum(one.instances for one in shop.services), 2 * shop.hops * shop.rate) + mesh * hour
    hours = len({one.language for one in shop.services}) * language + len(shop.services) * service
    return dict(zip(WAYS, (sidecar, hours * hour, proxies(2, shop.rate) + gateway * hour)))


def why_not(shop: Shop) -> dict[str, str]:
    """The code of what each way fails at, or ""."""
    everywhere = all(one.ours and one.language in LIBRARIES for one in shop.services)
    found = dict(zip(WAYS, ("", "" if everywhere else "not-everywhere", "between" if shop.between else "")))
    late = {way for way in WAYS if sorted(shop.pages(way))[4949] > shop.promise}
    return {way: why or ("promise" if way in late else "") for way, why in found.items()}


def in_words(shop):
    services = [f"{count} in {language}{'' if ours else ' (not ours)'}" for language, count, ours in shop.services]
    where = "also between services" if shop.between else "only at the door"
    told = f"{shop.rate} pages/s, {shop.hops} hops, needed {where}, promise {shop.promise} ms"
    return f"services with instances {', '.join(services)}; {told}"


def _services(text):
    """``Go 3, Java 2, Java 4 bought``"""
    parts = [one.split() for one in text.split(", ")]
    return tuple(Service(language, int(count), not bought) for language, count, *bought in parts)


SHOP = Shop(_services("Java 6, Go 4, Java 3"), 500, 3, True, 30)  # to try things on; the check has others
#: Hidden. In each another way is the cheapest that does, or another one does not.
CHECKED = (
    Shop(_services("Go 3, Java 2, JavaScript 2, Python 3"), 400, 2, True, 30),
    Shop(_services("Python 4, Python 4, Python 6, Go 2"), 300, 14, True, 48.9),
    Shop(_services("Go 3, Java 20, Java 4 bought, Python 400"), 900, 5, True, 28.5),
    Shop(_services("Go 3, Java 2, Ruby 2"), 4300, 4, False, 40),
    Shop(_services("Java 90, Go 200, JavaScript 40, Python 60, Java 8, Go 12"), 60_000, 3, True, 40),
    Shop(_services("Go 30, Go 20, Java 10, JavaScript 12"), 2000, 4, False, 16),
    Shop(_services("Go 12"), 40_000, 2, False, 40),
)


class Decided(Stage):
    def decide(self, shop):
        self.draw("shop", "you", f"{shop.rate} pages/s, {shop.hops} hops")
        found = self.call(self.yours, shop, returns=tuple, limit=6.0)
        fits = len(found) == 2 and found[0] in (*WAYS, None) and isinstance(found[1], dict)
        fits = fits and all(one is None or isinstance(one, Real) for one in found[1].values())
        if not fits or set(found[1]) != set(WAYS):
            self.refuse("wrong-type", f"it returned {shown(found, 200)}")
        self.draw("you", "shop", f"{found[0]}")
        return found


check_choice = scenario("14", 5, "Sidecar, library or gateway", WORDS, decide=Decided)


@check_choice.part
def other_shops(d):
    for shop in CHECKED:
        way, found = d.decide(shop)
        due, fails = costs(shop), why_not(shop)
        for one in WAYS:
            told = f"{in_words(shop)}: {one} is {shown(found[one])}"
            if not fails[one] and found[one] is not None:
                right = abs(found[one] - due[one]) <= 0.01
                yield one, right, f"{in_words(shop)}: {one} is {float(found[one]):.2f} euros (right: {due[one]:.2f})"
            pages, said = sorted(shop.pages(one)), {"library": "not-everywhere", "gateway": "between"}
            code = fails[one] or ("promise" if pages[-1] > shop.promise else said.get(one, "promise"))
            told += f"; 99% of its pages take at most {pages[4949]:.3g} ms"
            yield code, (found[one] is None) == bool(fails[one]), told
        best = min([one for one in WAYS if not fails[one]], key=due.get, default=None)
        yield "cheapest", way == best, f"{in_words(shop)}: of {shown(found)} it chose {way}"
