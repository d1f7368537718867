"""What is particular to lab 12. Its catalogue is tested in test_labs."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from opentelemetry import trace

from servicelab.checks import lab12
from servicelab.checks.lab12.histogram import errors
from servicelab.checks.lab12.rules import replay
from tests.lab12_answers import histogram, page, rules

pytestmark = pytest.mark.usefixtures("nothing_is_left")


@pytest.mark.parametrize("which", histogram.RIGHT)
def test_right_bounds_are_right_on_any_day(which):
    _, bounds = histogram.RIGHT[which]
    assert max(error for seed in range(1, 7) for *_, error in errors(bounds, seed)) < 0.1


@pytest.mark.parametrize("which", rules.RIGHT)
def test_right_rules_are_right_in_any_month(which):
    (found,) = rules.RIGHT[which] if isinstance(rules.RIGHT[which], tuple) else (rules.RIGHT[which],)
    for seed in range(1, 7):
        recorded = lab12.month(seed)
        after, wrong = replay(found, recorded)
        assert all(delay is not None and delay <= one.within for one, delay in zip(recorded.incidents, after))
        assert len(wrong) <= 1


class AndRaises(page.Instrumented):
    def __init__(self, *given):
        super().__init__(*given)
        raise LookupError("and then it raised")


def test_nothing_global_is_left_by_a_page_that_patches_threads():
    def things():
        return threading.Thread.start, threading.Thread.run, ThreadPoolExecutor.submit, trace.get_tracer_provider()

    before = things()
    for kind, code in ((page.Instrumented, "patched"), (AndRaises, "exception")):
        assert lab12.check_page.report(kind).refused == [code]
    assert all(one is other for one, other in zip(before, things()))
