"""Exercise 3: twelve cells, and the ways to misread a pattern."""

import string

CHOICE = {
    "audit": {"zmq": [""], "amqp": ["#"]},
    "board": {"zmq": ["orders."], "amqp": ["orders.*.#"]},
    "shipping": {"zmq": None, "amqp": ["orders.paid"]},
    "cash": {"zmq": None, "amqp": ["*.paid"]},
    "support": {"zmq": None, "amqp": ["#.cancelled"]},
    "search": {"zmq": ["order"], "amqp": None},
}


def choosing(wish=None, **cells):
    """The right choice, but for these cells of one wish."""

    def choose():
        return CHOICE if wish is None else CHOICE | {wish: CHOICE[wish] | cells}

    return choose


def in_other_words():
    """Tuples, sets, and more patterns than it takes."""
    return {
        "audit": {"zmq": ("", "orders"), "amqp": ("#", "*.#")},
        "board": {"amqp": {"orders.#.*", "orders.paid"}, "zmq": {"orders."}},
        **{name: CHOICE[name] for name in ("shipping", "cash", "search", "support")},
    }


class Choice:
    """A table that is turned over."""

    ZMQ = {"audit": [""], "board": ["orders."], "search": ["order", "orders"]}
    AMQP = {
        "audit": ["*.#", ""],
        "board": ["orders.*", "orders.*.*.#"],
        "shipping": ["orders.paid"],
        "cash": ["*.paid"],
        "support": ["cancelled", "*.#.cancelled"],
    }

    def __call__(self):
        return {name: {"zmq": self.ZMQ.get(name), "amqp": self.AMQP.get(name)} for name in CHOICE}


RIGHT = {"twelve cells": choosing(), "in other words": in_other_words, "turned over": Choice()}
WRONG = {
    "a text for a list": (choosing("board", zmq="orders."), {"wrong-type"}),
    "a wish is missing": (lambda: {**CHOICE, "cash": None}, {"wrong-type"}),
    "a service is missing": (lambda: {name: CHOICE[name] for name in CHOICE if name != "cash"}, {"wrong-type"}),
    "no prefix without a dot": (choosing("search", zmq=None), {"given-up"}),
    "ends are impossible": (choosing("support", amqp=None), {"given-up"}),
    "a prefix is a word": (choosing("board", zmq=["orders"]), {"too-much"}),
    "a prefix is a whole": (choosing("shipping", zmq=["orders.paid"]), {"too-much"}),
    "all, and sort them out": (choosing("cash", zmq=[""]), {"too-much"}),
    "signs in a prefix": (choosing("audit", zmq=["#"]), {"too-little"}),
    "a list of what there is": (choosing("support", zmq=["orders.cancelled"]), {"too-little"}),
    "nothing is everything": (choosing("audit", zmq=[]), {"too-little"}),
    "all letters": (choosing("audit", zmq=list(string.ascii_letters + string.digits)), {"too-little"}),
    "all letters behind": (choosing("board", zmq=[f"orders.{one}" for one in string.printable]), {"too-little"}),
    "nothing for None": (choosing("cash", zmq=[]), {"too-little"}),
    "no word is a word": (choosing("board", amqp=["orders.#"]), {"too-much"}),
    "any words before": (choosing("cash", amqp=["#.paid"]), {"too-much"}),
    "any words behind": (choosing("shipping", amqp=["orders.paid.#"]), {"too-much"}),
    "a star is everything": (choosing("audit", amqp=["*"]), {"too-little"}),
    "a star is many": (choosing("board", amqp=["orders.*"]), {"too-little"}),
    "one word before": (choosing("support", amqp=["*.cancelled"]), {"too-little"}),
    "ten words before": (
        choosing("support", amqp=["*." * n + "cancelled" for n in range(11)]),
        {"too-little"},
    ),
    "ten words behind": (
        choosing("board", amqp=["orders" + ".*" * n for n in range(1, 11)]),
        {"too-little"},
    ),
    "a prefix at the exchange": (choosing("search", amqp=["order*"]), {"too-little"}),
}
