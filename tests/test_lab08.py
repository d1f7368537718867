"""What is particular to lab 08. Its catalogue is tested in test_labs."""

import threading

import pytest

from servicelab import theory
from servicelab.checks import lab08
from servicelab.checks.lab08.shops import CHECKED, DAY, PRACTICE, WAIT, WAYS
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
    assert report.refused == ["time-limit"] and "start returns within" in str(report)


class AsksForEver(Resolver):
    def instances(self, service):
        never_returns()


def test_a_resolver_that_never_returns_is_a_report():
    assert "time-limit" in lab08.check_resolver.report(lookup, AsksForEver).refused


class Stumbles(Watcher):
    def heard(self, found, new):
        return found["nobody"]


def test_what_ended_a_watchers_thread_is_told(capfd):
    report = lab08.check_watcher.report(Stumbles)
    assert report.refused == ["news-missed"] and "your thread ended: TypeError" in str(report)
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

    assert lab08.check_herd.report(pauses).refused == ["in-step"]


@pytest.mark.parametrize(
    ("which", "words"),
    [
        ("ends", "it ended after 6 pauses"),
        ("yields a time before now", "pause 2 was -0.41: seconds must be a number >= 0"),
        ("a number", "which has no send()"),
    ],
)
def test_what_is_no_generator_of_pauses_is_told_in_words(which, words):
    report = str(lab08.check_herd.report(herd.WRONG[which][0]))
    assert words in report and "Outcome(" not in report


def test_a_learners_thread_hook_is_back_after_the_check():
    before = threading.excepthook
    lab08.check_keeper.report(7)
    assert threading.excepthook is before


# -- what the exercises are given ---------------------------------------------------------------------


@pytest.mark.parametrize("shop", CHECKED.values(), ids=CHECKED)
def test_each_shop_has_a_way_with_room_and_ways_that_do_not_do(shop):
    tightest = {way: budget.used(shop, budget.grid(shop, (way,))) for way in WAYS}
    assert min(tightest.values()) < 0.98 and max(tightest.values()) > 1.05
    assert budget.used(shop, budget.one_choice_for_all(shop)) > 1.03


def test_no_way_does_for_all_shops_and_each_is_the_only_one_somewhere():
    fits = [{way for way in WAYS if budget.used(shop, budget.grid(shop, (way,))) <= 1} for shop in CHECKED.values()]
    assert [{way} in fits for way in WAYS] == [True] * len(WAYS)


def test_the_formulas_of_exercise_4_are_those_of_the_chapter():
    requests, stale, failed, buried = lab08.formulas(PRACTICE, "poll", 10, 3, 5)
    assert requests == pytest.approx(PRACTICE.instances / 3 + theory.lookup_rate(PRACTICE.clients, 5))
    assert stale == theory.poll_window(5, 0.2).mean
    seconds = (theory.lease_window(10, 3) + theory.poll_window(5, 0.2)).mean
    calls = PRACTICE.clients * PRACTICE.calls
    assert failed == pytest.approx(theory.failed_calls(calls, 1 / PRACTICE.instances, seconds))
    assert buried == pytest.approx(theory.false_expiries(PRACTICE.loss, 10, 3) * PRACTICE.instances * 86400)


def test_what_the_other_ways_ask_of_the_registry():
    beats = PRACTICE.instances / 3
    assert lab08.formulas(PRACTICE, "every call", 10, 3).requests == pytest.approx(beats + 100 * 5)
    watching = lab08.formulas(PRACTICE, "blocking query", 10, 3)
    assert watching.requests == pytest.approx(beats + 100 * (PRACTICE.changes / DAY + 1 / WAIT))
    assert watching.stale < 0.01 and watching.failed < lab08.formulas(PRACTICE, "poll", 10, 3, 1).failed
    with pytest.raises(ValueError, match="way='DNS' must be one of 'every call', 'poll', 'blocking query'"):
        lab08.formulas(PRACTICE, "DNS", 10, 3)


@pytest.mark.parametrize(
    ("chosen", "words"),
    [
        ({"way": "poll", "ttl": "10s", "heartbeat": 3, "period": 5}, "ttl='10s' must be a number of seconds"),
        ({"way": "every call", "ttl": 10, "heartbeat": 0}, "heartbeat=0 must be a number of seconds, above 0"),
        ({"way": "poll", "ttl": 10, "heartbeat": 3}, "period is missing"),
        ({"ttl": 10, "heartbeat": 3, "period": 5}, "way is missing"),
        ({"way": ["poll"], "ttl": 10, "heartbeat": 3, "period": 5}, "way=['poll'] is none"),
        ({"way": "every call", "ttl": 10, "heartbeat": 3}, "binding is missing"),
        ([10, 3, 5], "choose returns {"),
    ],
    ids=["text", "zero", "no period", "no way", "a list of ways", "no limit", "a list"],
)
def test_what_is_no_choice_names_the_entry(chosen, words):
    report = lab08.check_budget.report(lambda shop: chosen)
    assert report.refused[0] == "wrong-type" and words in str(report) and "<lambda>" not in str(report)
