"""What every panel keeps: each control changes the picture and the sentence, and Reset brings back the first of both.

Panels that need more than their settings for it (a server, two pictures, a run that goes on) have tests of their own.
"""

from typing import NamedTuple

import pytest

from servicelab.views.demos import (
    burst,
    contract,
    doors,
    fleet,
    gateway,
    hunt,
    partition,
    promises,
    retention,
    subscribers,
)


class Panel(NamedTuple):
    """``changes`` are made one by one to a fresh panel, after ``before(change)``; ``away`` is where Reset comes from,
    after so many ``ticks`` of a panel that runs."""

    kind: type
    changes: list[dict]
    away: dict
    before: object = lambda change: {}
    ticks: int = 0


def each(name, values):
    """All but the first, with which the panel opens."""
    return [{name: value} for value in list(values)[1:]]


ALL, HALF = "all of the instances", "half of the instances"
PANELS = {
    "02 contract": Panel(
        contract.ContractChange,
        [*each("change", contract.CHANGES), {"call": contract.CALLS[1]}, {"cents": 1000}, {"refunds": True}],
        {"change": list(contract.CHANGES)[3], "cents": -200},
    ),
    "03 burst": Panel(
        burst.Burst,
        [{"rate": 400}, {"length": 2.0}, {"consumers": 3}, *each("limit", burst.LIMITS)],
        {"rate": 400, "consumers": 3},
    ),
    "04 subscribers": Panel(
        subscribers.Subscribers,
        [{"delay": 80}, {"rate": 100}, {"speed": 100}, {"mark": 200}],
        {"delay": 100, "rate": 400, "mark": 10},
    ),
    "05 retention": Panel(
        retention.Race, [{"pace": 10}, {"outage": 40}, {"retention": 10}], {"retention": 10}, ticks=1
    ),
    "07 door": Panel(
        gateway.Door,
        [
            {"load": 100},
            *each("key", gateway.KEYS),
            *each("rule", gateway.RULES),
            *each("limit", gateway.LIMITS),
            {"gateways": 3},
        ],
        {"load": 400, "key": "not at all", "gateways": 4},
    ),
    "08 partition": Panel(
        partition.Partition,
        [{"cut": ALL}, {"cut": "nobody"}, {"dead": 2}, {"load": 80}, *each("rule", partition.RULES)],
        {"rule": "never evict", "dead": 3},
        before=lambda change: {"cut": ALL if "rule" in change else HALF},
    ),
    "09 fleet": Panel(
        fleet.FleetPanel,
        [
            *each("balancer", fleet.BALANCERS),
            *each("state", fleet.STATES),
            {"callers": 40},
            {"balancer": "the less busy of two", "news": 5},
        ],
        {"callers": 40, "state": "slow, and right"},
    ),
    "11 promises": Panel(
        promises.Promises,
        [{"writes": "outbox"}, {"gap": 200}, {"crashes": 30}, {"lost": 20}, *each("keys", promises.KEYS)],
        {"gap": 100, "lost": 30, "keys": "for a minute"},
        before=lambda change: {"lost": 5} if "keys" in change else {},
    ),
    "12 hunt": Panel(
        hunt.Hunt,
        [*each("size", hunt.SIZES), *each("instrument", hunt.INSTRUMENTS), {"orders": 3000}],
        {"size": "one article", "instrument": "logs"},
    ),
    "13 doors": Panel(
        doors.Doors,
        [{"credential": "nothing"}, {"skew": 90}, *each("authority", doors.AUTHORITIES)],
        {"credential": "an API key", "skew": -30},
    ),
}


@pytest.fixture
def panel(request):
    panel = PANELS[request.param].kind(seed=1)
    yield panel
    panel.close()


CONTROLS = [(name, change) for name, one in PANELS.items() for change in one.changes]


@pytest.mark.parametrize("panel, change", CONTROLS, ids=map(str, CONTROLS), indirect=["panel"])
def test_every_control_changes_the_picture_and_the_sentence(panel, change, request):
    panel.set(**PANELS[request.node.callspec.params["panel"]].before(change))
    picture, said = panel.png, panel.alt
    panel.set(**change)
    assert "✗" not in panel.line.value
    assert panel.png != picture and panel.alt != said


@pytest.mark.parametrize("panel", PANELS, indirect=True)
def test_reset_brings_back_the_first_picture(panel, request):
    first = panel.png, panel.alt
    away = PANELS[request.node.callspec.params["panel"]]
    panel.set(**away.away)
    for _ in range(away.ticks):
        panel.tick()
    assert (panel.png, panel.alt) != first
    panel.reset()
    assert (panel.png, panel.alt) == first
