"""What is particular to lab 11. Its catalogue is tested in test_labs."""

import gc
import tempfile

import psutil
import pytest

from servicelab.checks import lab11
from servicelab.checks.crashing import Crash, Database, Process
from servicelab.checks.lab11.days import CHECKED, GOAL, LAG, PRACTICE, p99, right
from tests.lab11_answers import dual_write, key_store, relay, saga

pytestmark = pytest.mark.usefixtures("nothing_is_left")


def test_a_dead_process_does_nothing_more_and_its_transaction_is_gone():
    process, database = Process(), Database("create table t (n)")
    db = database.open(process.step, process.alive)
    db.execute("insert into t values (1)")
    db.commit()
    process.arm(1)
    with pytest.raises(Crash):
        db.execute("insert into t values (2)")
    for call in (db.commit, lambda: db.execute("select * from t"), lambda: db.executemany("x", [])):
        with pytest.raises(Crash):
            call()
    database.cut()
    assert database.read("select n from t") == [(1,)] and process.steps == ["write"]
    database.close()


def test_a_commit_in_words_is_a_step_and_a_rollback_is_none():
    steps, database = [], Database("create table t (n)")
    db = database.open(steps.append)
    db.isolation_level = None
    for end in ("commit", "rollback"):
        db.executescript("begin; insert into t values (0)")
        db.executemany("insert into t values (?)", [(1,), (2,)])
        db.execute(end)
    assert steps == ["write", "write", "commit", "write", "write"]
    database.close()


class Stubborn(dual_write.Shipping):
    """It catches all, and commits whatever there is."""

    def on_message(self, order, item):
        try:
            super().on_message(order, item)
        except BaseException:
            self.db.commit()


def test_who_catches_everything_is_dead_all_the_same():
    report = lab11.check_dual_write.report(dual_write.Orders, Stubborn)
    assert report.passed, str(report)


def test_each_check_leaves_no_file_and_no_connection(monkeypatch, tmp_path):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    before = len(psutil.Process().open_files())
    lab11.check_dual_write.report(dual_write.Orders, dual_write.Shipping)
    lab11.check_key_store.report(key_store.AtTheStart)
    lab11.check_relay.report(relay.RemembersGaps)
    lab11.check_saga.report(saga.UndoesTheRest)
    gc.collect()
    assert list(tmp_path.iterdir()) == [] and len(psutil.Process().open_files()) <= before


def test_each_step_of_a_saga_was_the_last_one_once():
    report = lab11.check_saga.report(saga.Saga)
    deaths = {e.happened.split(";")[0] for e in report.expectations if "it died after step" in e.happened}
    assert len([death for death in deaths if ".do" in death]) >= 4 and any(".undo" in death for death in deaths)


@pytest.mark.parametrize("setting", [PRACTICE, *CHECKED], ids=["practice", "plain", "two sources", "batch"])
def test_window_and_interval_are_what_they_are_said_to_be(setting):
    window, interval = right(setting)
    assert setting.repeats(0.99 * window) > GOAL >= setting.repeats(1.01 * window)
    assert p99(setting, 0.99 * interval) < LAG < p99(setting, 1.03 * interval)
    backlog = setting.batch / setting.rate
    assert interval < 1.01 * backlog and (interval > 0.9 * backlog or interval == pytest.approx(LAG, rel=0.02))
