"""`make bench` leaves nothing out. What it measures is not asserted here: timings are no tests."""

from pathlib import Path

from benchmarks import run


def test_make_bench_runs_every_module_and_says_so():
    there = {path.stem for path in Path(run.__file__).parent.glob("*.py")} - {"__init__", "run"}
    assert set(run.MODULES) == there
    assert not [part for part in run.PARTS if part not in run.__doc__]


def test_what_failed_or_is_over_a_limit_is_named():
    results = {
        "amqp": {"publish": {"ratio": 0.4, "passed": False}, "confirm": {"ratio": 0.9, "passed": True}},
        "browser": {"error": "RuntimeError: no Chromium found"},
    }
    assert run.missed(results) == ["amqp publish", "browser"]
    assert ("amqp", "publish: ratio", 0.4) in run.rows(results)
