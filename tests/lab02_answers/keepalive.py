"""Exercise 4: three ways to keep a line alive, and the ways to lose it."""

TIME, TIMEOUT = "grpc.keepalive_time_ms", "grpc.http2.ping_timeout_ms"
FOREVER, UNASKED = "grpc.http2.max_pings_without_data", "grpc.keepalive_permit_without_calls"
ALLOWED, STRIKES = "grpc.http2.min_ping_interval_without_data_ms", "grpc.http2.max_ping_strikes"


def halves(idle):
    period = int(idle * 500)
    return {"client": {TIME: period, TIMEOUT: period, FOREVER: 0}, "server": {ALLOWED: period * 3 // 4}}


def thirds(idle):
    """A third of the time, and the server allows somewhat more often than that; each option is said."""
    client = {TIME: round(idle * 1000 / 3), TIMEOUT: 1000, FOREVER: 0, UNASKED: 0}
    return {"client": client, "server": {ALLOWED: round(idle * 200), STRIKES: 2, UNASKED: False}}


def more_patience(idle):
    """The client sends 10 000 pings without data, the server allows one in 0.8 s, and five mistakes."""
    client = {TIME: int(1000 * idle / 2), TIMEOUT: int(1000 * idle), FOREVER: 10_000}
    return {"client": client, "server": {ALLOWED: 800, STRIKES: 5}}


def but(side, answer=halves, **options):
    """``answer`` with other options on a side, as numbers or as functions of idle; None takes one away."""
    names = {"time": TIME, "timeout": TIMEOUT, "forever": FOREVER, "unasked": UNASKED, "allowed": ALLOWED}

    def settings(idle):
        plan = answer(idle)
        for name, value in options.items():
            plan[side][names.get(name, STRIKES)] = value(idle) if callable(value) else value
        plan[side] = {name: value for name, value in plan[side].items() if value is not None}
        return plan

    return settings


def other_name(idle):
    """The name of the constant, which is not the name of the option."""
    plan = halves(idle)
    plan["server"] = {"grpc.http2.min_recv_ping_interval_without_data_ms": plan["server"][ALLOWED]}
    return plan


def guide(idle):
    """The option that the guide names, which decides nothing in grpcio 1.85."""
    plan = halves(idle)
    plan["client"]["grpc.keepalive_timeout_ms"] = plan["client"][TIMEOUT]
    return plan


RIGHT = {"halves": halves, "thirds": thirds, "more patience": more_patience}
WRONG = {
    "nothing for the server": (lambda idle: {"client": halves(idle)["client"]}, {"options"}),
    "halves of milliseconds": (but("client", time=lambda idle: idle * 500), {"options"}),
    "no keepalive": (but("client", time=None), {"no-ping"}),
    "in seconds": (but("client", time=lambda idle: int(idle * 500_000)), {"no-ping"}),
    "ten seconds, to be safe": (but("client", time=10_000), {"no-ping"}),
    "two pings only": (but("client", forever=None), {"pings-end"}),
    "five pings only": (but("client", forever=5), {"pings-end"}),
    "a hundred pings only": (but("client", forever=100), {"pings-end"}),
    "the server as it is": (but("server", allowed=None), {"too-many-pings"}),
    "no slack elsewhere": (
        but("server", allowed=lambda idle: int(idle * (300 if idle < 100 else 500))),
        {"too-many-pings"},
    ),
    "the name of the constant": (other_name, {"too-many-pings"}),
    "the server allows less": (but("server", allowed=lambda idle: int(idle * 1500)), {"too-many-pings"}),
    "it fits only here": (but("server", allowed=lambda idle: 1000 if idle < 10 else 300_000), {"too-many-pings"}),
    "a tenth of a second for the answer": (but("client", timeout=100), {"impatient"}),
    "a minute for the answer": (but("client", timeout=None), {"not-noticed"}),
    "patience without end elsewhere": (
        but("client", timeout=lambda idle: int(1000 * idle * (0.5 if idle < 10 else 2))),
        {"not-noticed"},
    ),
    "the option of the guide": (but("client", guide, timeout=None), {"not-noticed"}),
    "a client that pings without a call": (but("client", unasked=1), {"unasked"}),
    "pings without a call, on both sides": (but("client", but("server", unasked=1), unasked=1), {"unasked"}),
    "the same everywhere": (but("client", but("server", allowed=500), time=1000), {"pace"}),
    "a second is enough for two of them": (
        but("client", but("server", allowed=1000), time=lambda idle: max(int(idle * 400), 1100)),
        {"pace"},
    ),
    "just in time": (
        but("client", time=lambda idle: int(idle * (500 if idle < 10 else 900))),
        {"pace"},
    ),
    "any number of strikes": (but("server", strikes=0), {"unprotected"}),
    "any ping is allowed": (but("server", allowed=0), {"unprotected"}),
}
