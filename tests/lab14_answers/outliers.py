"""Exercise 3: settings of four kinds, and mistakes."""

NAMES = "consecutive_5xx", "interval", "base_ejection_time", "max_ejection_percent", "healthy_panic_threshold"


def settings(failures=5, interval=10, ejection=30, most=67, panic=0):
    return dict(zip(NAMES, (failures, interval, ejection, most, panic)))


RIGHT = {
    "as few changes as can be": settings(panic=33),
    "no panic": settings(),
    "often, in parts of seconds": settings(4, 0.5, 37.5, 66.7, 33.3),
    "three in a row": settings(3, 5.0, 20, 99, 1),
}
WRONG = {
    "Envoy's defaults": (settings(most=10, panic=50), {"one-bad", "two-bad"}),
    "a third is 33": (settings(most=33), {"one-bad", "two-bad"}),
    "six in a row": (settings(6), {"one-bad", "two-bad"}),
    "one may be out": (settings(most=34), {"two-bad"}),
    "two thirds are 66": (settings(most=66), {"two-bad"}),
    "panic at half": (settings(panic=50), {"panic"}),
    "a third is 34": (settings(panic=34), {"panic"}),
    "all may be out": (settings(most=100), {"all-out"}),
    "two in a row": (settings(2), {"chance"}),
    "one is enough": (settings(1), {"chance"}),
    "out for ten seconds": (settings(ejection=10), {"too-often"}),
    "out for a minute": (settings(ejection=60), {"not-back"}),
    "a sweep a minute": (settings(interval=60), {"not-back"}),
    "a name is missing": ({name: settings()[name] for name in NAMES[:4]}, {"not-settings"}),
    "one more name": ({**settings(), "always_eject_one_host": True}, {"not-settings"}),
    "texts with units": ({**settings(), "interval": "10s"}, {"not-settings"}),
    "a share": (settings(most=101), {"not-settings"}),
    "a half failure": (settings(4.5), {"not-settings"}),
}
