"""Exercise 5: three feeds well chosen, and the ways to be misled."""

from fractions import Fraction

from servicelab.checks.lab06 import measure

PERIOD = 300.0


def by_measuring(vans="SSE", support="WebSocket", stock="polling", period=PERIOD, factor=1.0):
    def choose():
        plans = {}
        for feed, style, rate in (("vans", vans, 20), ("support", support, 1), ("stock", stock, 1 / 60)):
            each = 1 / period if style == "polling" else rate
            plans[feed] = {"style": style, "bytes_per_second": factor * each * measure(style).bytes_per_event}
            if style == "polling":
                plans[feed]["period"] = period
        return plans

    return choose


def by_heart():
    """Orders of magnitude, without a measurement."""
    return {
        "vans": {"style": "Socket.IO", "bytes_per_second": 1000, "period": None},
        "support": {"style": "Socket.IO", "bytes_per_second": 50},
        "stock": {"style": "polling", "bytes_per_second": 250 / 120, "period": 120},
    }


def in_kilobytes():
    return {
        name: {**plan, "bytes_per_second": plan["bytes_per_second"] / 1000} for name, plan in by_measuring()().items()
    }


def quick_polling():
    """Ten times a second is quick enough, it says, and does not count what it costs."""
    plans = by_measuring()()
    plans["vans"] = {"style": "polling", "period": 0.1, "bytes_per_second": 10 * measure("polling").bytes_per_event}
    return plans


def slow_polling():
    plans = quick_polling()
    plans["vans"]["period"] = 0.25
    return plans


def without_the_period():
    plans = by_measuring()()
    del plans["stock"]["period"]
    return plans


def another_spelling():
    return by_heart() | {"vans": {"style": "websocket", "bytes_per_second": 1000}}


def names_only():
    return {"vans": "SSE", "support": "WebSocket", "stock": "polling"}


def as_often_as_events():
    """Polling's bytes by events, as if it pushed."""
    plans = by_measuring()()
    plans["stock"]["bytes_per_second"] = measure("polling").bytes_per_event / 60
    return plans


def in_fractions():
    """Exact numbers, a period where none is needed, and a reason."""
    plans = by_measuring(period=100.0)()
    for plan in plans.values():
        plan |= {"bytes_per_second": Fraction(plan["bytes_per_second"]), "why": "measured"}
    plans["vans"]["period"] = 5
    return plans


RIGHT = {
    "measured": by_measuring(),
    "by heart": by_heart,
    "fractions, and a word on each": in_fractions,
    "sockets for both": by_measuring(vans="WebSocket", support="Socket.IO"),
}
WRONG = {
    "polling for the fast feed": (slow_polling, {"too-late"}),
    "quick polling": (quick_polling, {"many-bytes"}),
    "long polling for the fast feed": (by_measuring(vans="long polling"), {"many-bytes"}),
    "gRPC in a page": (by_measuring(vans="gRPC stream"), {"no-browser"}),
    "one way for a chat": (by_measuring(support="SSE"), {"one-way"}),
    "a connection for each": (by_measuring(stock="SSE"), {"holds-connections"}),
    "asks each second": (by_measuring(period=1.0), {"period-short"}),
    "asks once an hour": (by_measuring(period=3600.0), {"period-long"}),
    "ten times too many bytes": (by_measuring(factor=10.0), {"bytes"}),
    "bytes of an event": (by_measuring(factor=0.05), {"bytes"}),
    "polling counted by events": (as_often_as_events, {"bytes"}),
    "kilobytes": (in_kilobytes, {"bytes"}),
    "no period": (without_the_period, {"no-plan"}),
    "another spelling": (another_spelling, {"no-plan"}),
    "names only": (names_only, {"no-plan"}),
}
