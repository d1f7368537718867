"""Exercise 5: decided in three ways, and mistakes."""

from servicelab.checks.lab13 import asked
from tests.lab11_answers import but

OUT, ASKS = 60, 2


def by_formula(shop):
    """A caller who calls at random renews every life − 1 s + 1/λ, and a service asks every cache + 1/λ."""
    life, cache = OUT - shop.leeway - 1, None
    if shop.opaque or life < 5:
        life, cache = 36_000, OUT - 1
    every = shop.rate * shop.services
    asks = shop.callers / (life - 1 + 1 / every)
    if cache:
        asks += shop.callers * shop.services / (cache + 1 / shop.rate)
    return (life, cache) if asks < ASKS else None


def by_simulation(shop):
    """The longest life, or the longest cache, that are short enough are simulated."""
    pairs = [(86_400.0, 59.5)] + [(59.5 - shop.leeway, None)] * (not shop.opaque and shop.leeway < 54.5)
    asks, found = min((sum(asked(shop, *pair)), pair) for pair in pairs)
    return list(found) if asks <= ASKS else None


def searched(shop):
    """From short to long, what is asked little enough and out in time."""
    for cache in (20, 40, 50, 57) if shop.opaque else (None, 57):
        for life in (9000,) if cache else (5, 20, 45, 49, 52, 54):
            stays = min(life + shop.leeway, life + shop.leeway if cache is None else cache)
            tokens = shop.callers * shop.services * shop.rate / (1 + shop.services * shop.rate * (life - 1))
            told = 0 if cache is None else shop.callers * shop.services * shop.rate / (1 + shop.rate * cache)
            if stays < 60 and tokens + told < 2:
                return life, cache
    return None


NAIVE = "shop.callers / (life - 1 + 1 / every) => shop.callers / life"
RIGHT = {"formula": by_formula, "simulation": by_simulation, "searched": searched}
WRONG = {
    "half an answer": (but(by_formula, "(life, cache) if => life if"), {"not-a-pair"}),
    "three": (but(by_formula, "(life, cache) if => (life, cache, asks) if"), {"not-a-pair"}),
    "never asks": (but(by_formula, "life, cache = 36_000, OUT - 1 => life, cache = OUT - shop.leeway - 1, None",
        "or life < 5 => and life < 0"), {"unreadable"}),
    "only opaque ones ask": (but(by_formula, "or life < 5 => and life"), {"not-a-pair"}),
    "only opaque ones, or none": (lambda shop: None if shop.leeway > 54 else by_formula(shop), {"gives-up"}),
    "three a second": (but(by_formula, "asks < ASKS => asks < 3"), {"impossible"}),
    "without leeway": (but(by_formula, "OUT - shop.leeway - 1 => OUT - 1"), {"stays-in"}),
    "half of it, on average": (but(by_formula, "OUT - 1 => 2 * OUT - 1"), {"stays-in"}),
    "an hour and a minute": (lambda shop: (3600, 60), {"stays-in"}),
    "short for all": (lambda shop: (30, 20 if shop.opaque else None), {"asks"}),
    "a short life, too": (lambda shop: by_formula(shop) and (54 - shop.leeway, 58 if shop.opaque else None), {"asks"}),
    "as if all were busy": (but(by_formula, NAIVE, "(cache + 1 / shop.rate) => cache"), {"gives-up"}),
    "as if each service were alone": (but(by_formula, "shop.callers * shop.services => shop.callers"), {"impossible"}),
    "always something": (lambda shop: by_formula(shop) or (30, 20), {"impossible"}),
    "never": (lambda shop: None, {"gives-up"}),
}  # fmt: skip
