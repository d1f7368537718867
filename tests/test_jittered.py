"""Threads that sleep at random where a function of ours begins or returns."""

import threading

import pytest

from tests import jittered


def ours():
    pass


@pytest.mark.parametrize(("function", "slept"), [(ours, 2), (threading.get_ident, 0)], ids=["ours", "not ours"])
def test_a_thread_sleeps_where_a_function_of_ours_begins_and_returns(monkeypatch, function, slept):
    pauses, before = [], threading.getprofile()
    monkeypatch.setattr(jittered, "OFTEN", 1.0)
    monkeypatch.setattr(jittered.time, "sleep", pauses.append)
    jittered.pytest_configure(None)
    try:
        thread = threading.Thread(target=lambda: function())
        thread.start()
        thread.join()
    finally:
        threading.setprofile(before)
    assert len(pauses) == slept + 2  # and those of the lambda
    assert all(pause >= 0 for pause in pauses)
