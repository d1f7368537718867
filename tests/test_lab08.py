"""What is particular to lab 08. Its catalogue is tested in test_labs."""

import threading
from random import Random

import pytest

from servicelab import theory
from servicelab.checks import lab08
from servicelab.checks.lab08.budget import CHECKED, PRACTICE
from tests.lab08_answers import budget, herd
from tests.lab08_answers.keeper import Keeper
from tests.lab08_answers.resolver import Resolver, lookup
from tests.lab08_answers.watcher import Watcher
from tests.learners import never_returns

pytestmark = pytest.mark.usefixtures("nothing_is_left")


# -- code that does anything --------------------------------------------------------------------------


class BeginsForEver(Keeper):
    def register(self):
        never_returns()


def test_a_start_that_never_returns_is_a_report():
    report = lab08.check_keeper.report(BeginsForEver)
    assert "time-limit" in report.refused and "start returns within" in str(report)


class AsksForEver(Resolver):
    def instances(self, service):
        never_returns()


def test_a_resolver_that_never_returns_is_a_report():
    assert "time-limit" in lab08.check_resolver.report(lookup, AsksForEver).refused


class Stumbles(Watcher):
    def news(self, found):
        return found["nobody"]


def test_what_ended_a_watchers_thread_is_told(capfd):
    report = lab08.check_watcher.report(Stumbles)
    assert report.refused == ["first-news"] and "your thread ended: TypeError" in str(report)
    assert "Exception in thread" not in capfd.readouterr().err


def test_pauses_that_never_come_are_a_report():
    def pauses(period, rng):
        yield 0
        never_returns()

    assert lab08.check_herd.report(pauses).refused == ["wrong-type"]


def test_pauses_of_nothing_are_a_report():
    def pauses(period, rng):
        while True:
            yield 0.0

    assert "hammers" in lab08.check_herd.report(pauses).refused


def dips(period, rng):
    yield 0
    yield period
    while True:
        yield -0.41


@pytest.mark.parametrize(
    ("pauses", "words"),
    [
        (herd.ends, "it ended after 5 pauses"),
        (dips, "pause 3 was -0.41: seconds must be a number >= 0"),
        (herd.a_number, "which has no send()"),
    ],
    ids=["too short", "negative", "a number"],
)
def test_what_is_no_generator_of_pauses_is_told_in_words(pauses, words):
    report = str(lab08.check_herd.report(pauses))
    assert words in report and "Outcome(" not in report


def test_a_learners_thread_hook_is_back_after_the_check():
    before = threading.excepthook
    lab08.check_keeper.report(7)
    assert threading.excepthook is before


# -- what the exercises are given ---------------------------------------------------------------------


@pytest.mark.parametrize("shop", [PRACTICE, *CHECKED], ids=["practice", "first", "second"])
def test_each_budget_can_be_kept_and_the_numbers_of_the_stub_do_not_keep_it(shop):
    def fits(**chosen):
        limits = (shop.requests, shop.late, shop.buried)
        return all(found <= limit for found, limit in zip(lab08.formulas(shop, **chosen), limits))

    assert fits(**budget.grid(shop))
    assert not fits(ttl=10, heartbeat=3, period=5)


def test_the_formulas_of_exercise_4_are_those_of_the_chapter():
    requests, late, buried = lab08.formulas(PRACTICE, 10, 3, 5)
    assert requests == pytest.approx(PRACTICE.instances / 3 + theory.lookup_rate(PRACTICE.clients, 5))
    assert late == pytest.approx((theory.lease_window(10, 3) + theory.poll_window(5, 0.2)).mean)
    assert buried == pytest.approx(theory.false_expiries(PRACTICE.loss, 10, 3) * PRACTICE.instances * 86400)


@pytest.mark.parametrize(
    ("chosen", "words"),
    [
        ({"ttl": "10s", "heartbeat": 3, "period": 5}, "ttl='10s' must be a number of seconds"),
        ({"ttl": 10, "heartbeat": 0, "period": 5}, "heartbeat=0 must be above 0"),
        ({"ttl": 10, "heartbeat": 3}, "period is missing"),
        ([10, 3, 5], "choose returns a dict"),
    ],
    ids=["text", "zero", "missing", "a list"],
)
def test_what_is_no_choice_names_the_entry(chosen, words):
    report = lab08.check_budget.report(lambda shop: chosen)
    assert report.refused[0] == "wrong-type" and words in str(report) and "<lambda>" not in str(report)


def test_pauses_are_on_average_the_period_while_all_is_well():
    script = herd.full_jitter(10.0, Random(3))
    next(script)
    drawn = [script.send(True) for _ in range(400)]
    assert sum(drawn) / 400 == pytest.approx(10.0, rel=0.05)
