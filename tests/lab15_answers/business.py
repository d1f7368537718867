"""Exercise 3: decided in three ways, and mistakes, each of which forgets one column."""

from servicelab.checks import lab15

STYLES = ("call", "cached call", "queue", "stream", "local stream", "saga", "at home")
FAR, RESULT = {"call", "cached call", "queue", "stream"}, {"call", "cached call", "at home"}
ORDER, REPLAY = {"stream", "local stream", "at home"}, {"stream": float("inf"), "local stream": 7}


def miss(link, rate):
    return link.keys / (link.keys + rate * link.old)


def lost(style, link, buffer=1e6, at="burst"):
    """Messages a day."""
    if style in ("call", "cached call"):
        share = 1 if style == "call" else miss(link, getattr(link, at))
        return max(0, share * link.burst - link.capacity) * link.seconds + link.outage * link.rate
    if style == "local stream":
        return max(0, link.outage * link.rate - buffer)
    return link.outage * link.rate if style in FAR else 0


def fits(style, link):
    hits = style == "cached call" and miss(link, link.rate) < 0.01
    wait = link.rtt if style in FAR and not hits else 0.001
    return {
        "result": style in RESULT or not link.result,
        "within": wait <= link.within,
        "replay": REPLAY.get(style, 0) >= link.replay,
        "ordered": style in ORDER or not link.ordered,
        "steps": style == "saga" or link.steps == 1,
    }


def come(style, link):
    return 86400 * link.rate + link.seconds * (link.burst - link.rate)


def total(style, link, prices, month=True, lost=lost, come=come):
    paid = prices[style][0] * month + prices[style][1] * 30 * come(style, link) / 1e6
    return paid + 30 * lost(style, link) * link.worth


def as_it_is(style, link):
    return link


def cheapest(links, prices, without="", total=total, fits=fits, seen=as_it_is):
    """The least cost of those that meet the needs. ``seen`` is what it takes a link for, where it has this style."""
    found = {}
    for name, link in links.items():
        meets = {style: fits(style, seen(style, link)) for style in STYLES}
        able = [style for style in STYLES if all(met for need, met in meets[style].items() if need != without)]
        found[name] = min(able, key=lambda style: total(style, seen(style, link), prices))
    return found


def by_rules(links, prices):
    """A tree of questions; prices decide only between what is left."""
    return {name: by_rule(link, prices) for name, link in links.items()}


def by_rule(link, prices):
    if link.steps > 1:
        return "saga"
    if link.replay > 7:
        return "stream"
    able = ["at home"] if link.within >= 0.001 else []
    if link.within >= link.rtt:
        able += ["call", "cached call"] if link.result else ["call", "queue", "stream"]
    elif link.result and link.rate * link.old >= 99 * link.keys:
        able += ["cached call"]
    able += [] if link.result else ["local stream", "saga"]
    if link.ordered or link.replay:
        able = [one for one in able if one in ("stream", "local stream", *["at home"] * (not link.replay))]
    return sorted(able, key=lambda style: total(style, link, prices))[0]


class Table:
    """Day by day, fluid; all costs of all styles first."""

    def __init__(self, prices):
        self.prices = prices

    def cost(self, style, link):
        if not all(fits(style, link).values()):
            return float("inf")
        calm, high = (86400 - link.seconds) * link.rate, link.seconds * link.burst
        come = calm + high
        kept = come
        if style == "call":
            kept = calm + link.seconds * min(link.burst, link.capacity)
        elif style == "cached call":
            ask = miss(link, link.burst) * link.burst
            kept = calm + high - link.seconds * (ask - min(ask, link.capacity))
        if style in FAR:
            kept -= link.rate * link.outage
        elif style == "local stream" and link.rate * link.outage > 1_000_000:
            kept -= link.rate * link.outage - 1_000_000
        month, million = self.prices[style]
        return month + 30 * (come * million / 1e6 + (come - kept) * link.worth)

    def decide(self, links):
        costs = [(self.cost(style, link), name, style) for name, link in links.items() for style in self.prices]
        return {name: style for _, name, style in sorted(costs, reverse=True)}


def forgets(need):
    return lambda links, prices: cheapest(links, prices, need)


def counts(**how):
    """It counts otherwise what is lost, or what is paid."""
    return lambda links, prices: cheapest(links, prices, total=lambda *given: total(*given, **how))


def misreads(mistaken, **what):
    """It thinks that this need is nothing to that style."""
    return lambda *given: cheapest(*given, seen=lambda s, link: link._replace(**what) if s == mistaken else link)


def hits(at):
    """It takes the hits of another rate."""
    return lambda *given: cheapest(*given, fits=lambda style, link: fits(style, link._replace(rate=at(link))))


def misses_only(style, link):
    """What is paid for a cached call: those that reach the other side."""
    return come(style, link) * (miss(link, link.rate) if style == "cached call" else 1)


def no_burst(style, link):
    return lost(style, link._replace(seconds=0))


def no_outage(style, link):
    return lost(style, link._replace(outage=0))


def shields_nobody(style, link):
    """A burst is too much for a cache, too."""
    return lost("call" if style == "cached call" else style, link)


def safest(links, prices):
    return cheapest(links, prices, total=lambda style, link, prices: (lost(style, link), prices[style][0]))


RIGHT = {"cheapest": cheapest, "by rules": by_rules, "a table": lambda links, prices: Table(prices).decide(links)}
WRONG = {
    "of one link": (lambda links, prices: dict(list(cheapest(links, prices).items())[:1]), {"not-a-style"}),
    "a broker": (lambda links, prices: dict.fromkeys(links, "rabbit"), {"not-a-style"}),
    "forgets the result": (forgets("result"), {"no-result"}),
    "forgets the time": (forgets("within"), {"too-late"}),
    "always hits": (misreads("cached call", keys=1), {"too-late"}),
    "forgets to read again": (forgets("replay"), {"no-replay"}),
    "forgets the order": (forgets("ordered"), {"no-order"}),
    "forgets the steps": (forgets("steps"), {"half-done"}),
    "no burst": (counts(lost=no_burst), {"loses"}),
    "no outage": (counts(lost=no_outage), {"loses"}),
    "an endless buffer": (counts(lost=lambda style, link: lost(style, link, 1e12)), {"loses"}),
    "a local stream for ever": (misreads("local stream", replay=0), {"no-replay"}),
    "a local stream for a day": (misreads("local stream", replay=30), {"loses"}),
    "a cache shields nobody": (counts(lost=shields_nobody), {"too-dear"}),
    "nothing may be lost": (safest, {"too-dear"}),
    "a queue is at once": (misreads("queue", rtt=0), {"too-late"}),
    "a queue keeps order": (misreads("queue", ordered=False), {"no-order"}),
    "a queue is always there": (misreads("queue", outage=0), {"loses"}),
    "a saga has a result": (misreads("saga", result=False), {"no-result"}),
    "all steps at home": (misreads("at home", steps=1), {"half-done"}),
    "nine in ten hit": (hits(lambda link: 10 * link.rate), {"too-late"}),
    "hits of the burst": (hits(lambda link: link.burst), {"too-late"}),
    "misses as ever": (counts(lost=lambda *given: lost(*given, at="rate")), {"too-dear"}),
    "misses only": (counts(come=misses_only), {"too-dear"}),
    "a day's messages": (counts(come=lambda *given: come(*given) / 30), {"too-dear"}),
    "no messages of a burst": (counts(come=lambda style, link: 86400 * link.rate), {"too-dear"}),
    "per million only": (counts(month=False), {"too-dear"}),
    "per month only": (counts(come=lambda *given: 0), {"too-dear"}),
    "prices by heart": (lambda links, prices: cheapest(links, lab15.PRICES), {"too-dear"}),
}
