"""Exercise 5: three feeds well chosen, and the ways to be misled."""

from fractions import Fraction
from functools import cache

from servicelab.checks.lab06 import measure

measured = cache(measure)  # of the wrong ones: that they measure, too, is nobody's question


def by_measuring(vans="SSE", support="WebSocket", stock="polling", period=300.0, factor=1.0, measure=measured, **more):
    """``more``: what another feed's dict has besides, or in place of what it would have."""

    def choose():
        plans = {}
        for feed, style, rate in (("vans", vans, 20), ("support", support, 1), ("stock", stock, 1 / 60)):
            each = 1 / period if style == "polling" else rate
            plans[feed] = {"style": style, "bytes_per_second": factor * each * measure(style).bytes_per_event}
            plans[feed] |= {"period": period} if style == "polling" else {}
            plans[feed] |= more.get(f"to_{feed}", {})
        return plans

    return choose


def by_heart():
    """Orders of magnitude, without a measurement."""
    return {
        "vans": {"style": "Socket.IO", "bytes_per_second": 1000, "period": None},
        "support": {"style": "Socket.IO", "bytes_per_second": 50},
        "stock": {"style": "polling", "bytes_per_second": 250 / 120, "period": 120},
    }


def in_fractions():
    """Exact numbers, a period where none is needed, and a reason."""
    plans = by_measuring(period=100.0)()
    for plan in plans.values():
        plan |= {"bytes_per_second": Fraction(plan["bytes_per_second"]), "why": "measured"}
    plans["vans"]["period"] = 5
    return plans


def without_the_period():
    plans = by_measuring()()
    del plans["stock"]["period"]
    return plans


def as_often_as_events():
    """Polling's bytes by events, as if it pushed."""
    return by_measuring(to_stock={"bytes_per_second": measured("polling").bytes_per_event / 60})()


RIGHT = {
    "measured": by_measuring(measure=measure),
    "by heart": by_heart,
    "fractions, and a word on each": in_fractions,
    "sockets for both": by_measuring(vans="WebSocket", support="Socket.IO"),
}
WRONG = {
    "polling for the fast feed": (by_measuring(vans="polling", to_vans={"period": 0.25}), {"too-late"}),
    "quick polling": (by_measuring(vans="polling", to_vans={"period": 0.1}), {"many-bytes"}),
    "long polling for the fast feed": (by_measuring(vans="long polling"), {"many-bytes"}),
    "gRPC in a page": (by_measuring(vans="gRPC stream"), {"no-browser"}),
    "one way for a chat": (by_measuring(support="SSE"), {"one-way"}),
    "a connection for each": (by_measuring(stock="SSE"), {"holds-connections"}),
    "asks each second": (by_measuring(period=1.0), {"period"}),
    "asks once an hour": (by_measuring(period=3600.0), {"period"}),
    "ten times too many bytes": (by_measuring(factor=10.0), {"bytes"}),
    "kilobytes": (by_measuring(factor=0.001), {"bytes"}),
    "polling counted by events": (as_often_as_events, {"bytes"}),
    "no period": (without_the_period, {"no-plan"}),
    "another spelling": (lambda: by_heart() | {"vans": {"style": "websocket", "bytes_per_second": 1000}}, {"no-plan"}),
    "names only": (lambda: {"vans": "SSE", "support": "WebSocket", "stock": "polling"}, {"no-plan"}),
}
