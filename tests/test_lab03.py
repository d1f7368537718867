"""What is particular to lab 03. Its catalogue is tested in test_labs."""

import gc
import tempfile

import psutil
import pytest

from servicelab.checks import lab03
from servicelab.checks.lab03.newsletter import CHECKED, PRACTICE, due_of, simulate, works_of
from tests.lab03_answers import first_week, mailer, newsletter_plan, payment, publisher
from tests.learners import leaves, never_returns, raises
from tests.test_labs import time_enough  # noqa: F401 -- on a busy machine, too
from tests.waiting import eventually

pytestmark = pytest.mark.usefixtures("nothing_is_left")


# -- code that does anything --------------------------------------------------------------------------


@pytest.mark.parametrize("on_message, words", [(never_returns, ""), (leaves, "SystemExit"), (raises, "no such key")])
def test_a_callback_that_does_not_come_back_is_a_report(on_message, words, capfd):
    report = lab03.check_payment.report(type("Ends", (payment.Right,), {"on_message": on_message}))
    assert set(report.refused) <= {"wrong-charge", "not-acked"} and report.refused
    assert words in str(report)
    assert "Traceback" not in capfd.readouterr().err


def test_a_class_attribute_is_named_in_a_second_run_too():
    for _ in range(2):
        report = lab03.check_payment.report(payment.InTheClass)
        assert report.refused == ["not-new"] and "a class attribute, a global?" in str(report)


def test_each_check_leaves_no_socket_and_no_file(monkeypatch, tmp_path):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))  # where nobody else's checks leave anything

    def of_mine():
        gc.collect()
        return len(psutil.Process().net_connections()), len(list(tmp_path.iterdir()))

    before = of_mine()
    lab03.check_publisher.report(publisher.NeverReopens)
    lab03.check_payment.report(payment.AcksFirst)
    lab03.check_first_week.report(first_week.ForgetsVouchers, first_week.left_open)
    lab03.check_mailer.report(mailer.FromTheChapter)
    assert eventually(lambda: of_mine() <= before), of_mine()


# -- what the exercises are given ---------------------------------------------------------------------


def test_each_step_of_a_payment_was_the_last_one_once():
    report = lab03.check_payment.report(payment.Right)
    deaths = [one.happened for one in report.expectations if "it died after" in one.happened]
    steps = ["begin", "write", "write", "commit", "basic_ack"]
    assert [death.partition(";")[0].rpartition(", ")[2] for death in deaths] == steps


each_newsletter = pytest.mark.parametrize("setting", [*CHECKED, PRACTICE], ids=str)


@each_newsletter
def test_a_newsletter_has_the_mails_and_the_mean_that_it_says(setting):
    due = due_of(setting, seed=3)
    assert len(due) == round(setting.rate * setting.seconds + 3 * setting.quiet)
    whole = works_of(setting, 10 * setting.share, seed=3)
    assert sum(whole) / len(whole) == pytest.approx(setting.mean)
    assert works_of(setting, 50, seed=1) != works_of(setting, 50, seed=2)


@each_newsletter
def test_the_target_lies_well_between_two_numbers_of_consumers(setting):
    good = [simulate(setting, setting.consumers, setting.prefetch, seed=day).longest for day in range(10)]
    bad = [simulate(setting, setting.consumers - 1, setting.prefetch, seed=day).longest for day in range(10)]
    assert max(good) < 0.85 * setting.target and sorted(bad)[1] > 1.03 * setting.target


def test_a_mail_that_is_watched_took_its_work_also_on_a_busy_machine():
    with lab03.practice_newsletter() as newsletter:
        took = [mail.ended - mail.began for mail in newsletter.watch()]
    assert took == pytest.approx(works_of(PRACTICE, 100, seed=0))


def test_a_report_names_the_newsletter_at_which_a_plan_failed():
    text = str(lab03.check_newsletter_plan.report(newsletter_plan.always(4, 2, 240)))
    assert "1 of 3 parts passed; stopped in part 2 (newsletter 2) and 3 (newsletter 3)" in text
    assert "360 mails/s for 0.7 s: consumers 4, prefetch 2: the longest wait was" in text
    assert "200 mails/s for 3 s: consumers 4, prefetch 2, and fewer would do" in text


def test_a_rehearsal_on_the_broker_turns_away_what_is_over_the_limit():
    with lab03.practice_newsletter() as newsletter:
        newsletter._setting = PRACTICE._replace(rate=600, seconds=0.2, quiet=1, usual=0.002, slow=0.002)
        all_of_them = newsletter.rehearse(2, 2)
        some = newsletter.rehearse(1, 1, 5)
    assert len(all_of_them) == 123 > len(some) >= 6
    assert all(mail.published <= mail.began <= mail.ended for mail in all_of_them)


def test_a_rehearsal_says_what_is_no_plan():
    with lab03.practice_newsletter() as newsletter:
        assert newsletter.mails == 450
        with pytest.raises(ValueError, match="limit=200.5 must be a whole number"):
            newsletter.rehearse(3, 2, 200.5)
        with pytest.raises(ValueError, match="consumers=0 must be a whole number, 1 to 1000"):
            newsletter.rehearse(0, 2)


def test_who_has_too_many_is_not_told_how_many_are_enough():
    report = lab03.check_newsletter_plan.report(newsletter_plan.always(9, 4, 140))
    refused = [one for one in report.expectations if not one.passed]
    assert len(refused) == len(CHECKED) and {one.code for one in refused} == {"too-many"}
    for one, setting in zip(refused, CHECKED):
        assert one.happened.endswith("consumers 9, prefetch 4, and fewer would do")
        assert f" {setting.consumers}" not in one.what + one.hint
