"""The progress file: nothing is lost, nothing of the learner's is overwritten, and nobody is stopped by it."""

import json
import multiprocessing
import os
from pathlib import Path

import pytest

from servicelab.checks import progress as room
from servicelab.checks.progress import Progress, ProgressError, merged, parse


@pytest.fixture
def path(tmp_path):
    return tmp_path / "data" / "progress.json"


def test_kept_and_read_by_another_kernel(path):
    one, other = Progress(path), Progress(path)
    one.record_pass("01", 2)
    other.record_prediction("01-timeout", "three seconds")
    assert other.has_passed("01", 2) and not other.has_passed("01", 3)
    assert one.prediction("01-timeout") == "three seconds" and one.prediction("other") is None
    data = json.loads(path.read_text())
    assert data["schema"] == 1 and list(data["exercises"]) == ["01/2"]
    assert one.table().rows[0][:2] == ["01", "2"]
    assert sorted(p.name for p in path.parent.iterdir()) == ["progress.json", "progress.json.lock"]


def test_starting_afresh_is_deleting_the_file(path):
    mine = Progress(path)
    mine.record_pass("01", 1)
    path.unlink()
    mine.record_pass("01", 2)
    assert not mine.has_passed("01", 1) and mine.has_passed("01", 2)


def _write_many(path, lab):
    for number in range(20):
        Progress(path).record_pass(lab, number)


def test_two_kernels_at_once_lose_nothing(path):
    context = multiprocessing.get_context("spawn")
    kernels = [context.Process(target=_write_many, args=(path, lab)) for lab in ("01", "02", "03")]
    for kernel in kernels:
        kernel.start()
    for kernel in kernels:
        kernel.join(60)
    assert len(Progress(path).read()["exercises"]) == 60


@pytest.mark.parametrize(
    "damage",
    [
        b"",
        b"{",
        b"\xff\xfe\x00",
        b"[]",
        b'{"schema": "x"}',
        b'{"schema": 1, "exercises": 3}',
        b'{"schema": 1, "exercises": {"01/1": "yes"}}',
        b'{"schema": 1, "exercises": {"01": {"passed": "2026"}}}',
        b'{"schema": 1, "exercises": {"01/1": {"passed": "2026", "by": {}}}}',
        b'{"schema": 1, "predictions": {"p": {"at": "2026", "answer": [1]}}}',
        b'{"schema": 1, "predictions": {"p": {"at": "2026", "answer": "\\ud800"}}}',
        b'{"schema": 1, "predictions": {"p": {"at": "2026", "answer": ' + b"[" * 900 + b"]" * 900 + b"}}}",
        b'{"schema": 1, "predictions": {"p": {"at": "2026", "answer": ' + b"[" * 10**5 + b"]" * 10**5 + b"}}}",
        b'{"schema": 1, "predictions": {"p": {"at": "2026", "answer": ' + b"9" * 5000 + b"}}}",
    ],
)
def test_a_damaged_file_is_kept_aside(path, damage, capsys):
    path.parent.mkdir()
    path.write_bytes(damage)
    mine = Progress(path)
    assert mine.read()["exercises"] == {} and len(mine.table()) == 0 and parse(mine.text())
    assert path.read_bytes() == damage, "reading changed it"
    mine.record_pass("01", 1)
    mine.record_pass("01", 2)
    aside = [p for p in path.parent.iterdir() if "damaged" in p.name]
    assert [p.read_bytes() for p in aside] == [damage]
    said = capsys.readouterr().out
    assert said.count("damaged (") == 1 and str(aside[0]) in said
    assert len(Progress(path).read()["exercises"]) == 2


def test_two_damaged_files_are_both_kept(path):
    path.parent.mkdir()
    for damage in ("one", "two"):
        path.write_text(damage)
        Progress(path).record_pass("01", 1)
    assert {p.read_text() for p in path.parent.glob("*damaged*")} == {"one", "two"}


def test_a_newer_file_is_left_alone(path, capsys):
    path.parent.mkdir()
    newer = '{"schema": 99, "exercises": {}, "more": 1}'
    path.write_text(newer)
    mine = Progress(path)
    mine.record_pass("01", 1)
    assert path.read_text() == newer and mine.has_passed("01", 1)
    assert "update Servicelab" in capsys.readouterr().out


def test_unwritable_folder_goes_on_in_memory_and_says_so_once(tmp_path, capsys):
    (tmp_path / "file").write_text("")
    mine = Progress(tmp_path / "file" / "progress.json")
    mine.record_pass("01", 1)
    mine.record_prediction("p", 2)
    assert mine.has_passed("01", 1) and mine.prediction("p") == 2
    said = capsys.readouterr().out
    assert said.count("cannot be kept") == 1 and "SERVICELAB_PROGRESS" in said


def test_a_failed_write_leaves_the_old_file(path, monkeypatch):
    mine = Progress(path)
    mine.record_pass("01", 1)
    before = path.read_bytes()

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    mine.record_pass("01", 2)
    assert path.read_bytes() == before and mine.has_passed("01", 2)
    assert not list(path.parent.glob("*.new"))
    monkeypatch.undo()
    mine.record_pass("01", 3)
    assert set(Progress(path).read()["exercises"]) == {"01/1", "01/2", "01/3"}


def test_another_program_that_keeps_the_lock_does_not_hold_us(path, monkeypatch, capsys):
    monkeypatch.setattr(room, "LOCK_PATIENCE", 0.05)
    monkeypatch.setattr(room, "_try_lock", lambda file: False)
    mine = Progress(path)
    mine.record_pass("01", 1)
    assert mine.has_passed("01", 1) and "another program" in capsys.readouterr().out


def test_merging_is_the_same_in_any_order():
    def entries(day, answer):
        predictions = {"p": {"answer": answer, "at": day}}
        return {"schema": 1, "exercises": {"01/1": {"passed": day}}, "predictions": predictions}

    early, late = entries("2026-01-01", 1), entries("2026-02-01", 2)
    assert merged(early, late) == merged(late, early) == merged(merged(early, late), late)
    assert merged(early, late)["exercises"]["01/1"]["passed"] == "2026-01-01"
    assert merged(early, late)["predictions"]["p"]["answer"] == 2


def test_download_and_put_back(path, tmp_path):
    mine = Progress(path)
    mine.record_pass("01", 1)
    mine.record_prediction("p", "é")
    fresh = Progress(tmp_path / "other.json")
    fresh.record_pass("01", 2)
    assert fresh.put_back(mine.text().encode()) == 2
    assert fresh.has_passed("01", 1) and fresh.has_passed("01", 2) and fresh.prediction("p") == "é"
    for text in ("", "[1]", '{"schema": 2}'):
        with pytest.raises(ProgressError):
            fresh.put_back(text)


def test_what_json_cannot_hold_is_refused_and_harms_nothing(path):
    mine = Progress(path)
    for answer in (object(), [1], {}):
        with pytest.raises(TypeError, match="must be a text or a number"):
            mine.record_prediction("p", answer)
    for key, answer in (("p", "\ud800"), ("\ud800", 1)):
        with pytest.raises(ValueError):
            mine.record_prediction(key, answer)
    mine.record_pass("01", 1)
    assert parse(path.read_text())["predictions"] == {}


def test_predictions_are_kept_and_come_back(path, monkeypatch):
    from servicelab.views import predict

    monkeypatch.setenv("SERVICELAB_PROGRESS", str(path))
    monkeypatch.setattr(predict, "answers", {"98-now": "mine"})
    monkeypatch.setattr(predict, "_listeners", [])
    Progress(path).record_prediction("98-earlier", 3.5)
    Progress(path).record_prediction("98-now", "older")
    room.keep_predictions()
    room.keep_predictions()
    assert predict.answers == {"98-now": "mine", "98-earlier": 3.5} and len(predict._listeners) == 1
    predict._listeners[0]("98-new", "two")
    assert Progress(path).prediction("98-new") == "two"


def test_panel(path, monkeypatch):
    import base64
    import re

    monkeypatch.setenv("SERVICELAB_PROGRESS", str(path))
    room.progress().record_pass("01", 1)
    panel = room.panel()
    link, upload, said = panel.link, panel.upload, panel.said
    assert link.value == panel.static()["text/html"]
    encoded = re.search(r"base64,([^\"]+)", link.value)[1]
    assert parse(base64.b64decode(encoded))["exercises"].keys() == {"01/1"}
    other = json.dumps({"schema": 1, "exercises": {"01/2": {"passed": "2026"}}})
    upload.value = (
        {
            "name": "a.json",
            "type": "",
            "size": 1,
            "content": memoryview(other.encode()),
            "last_modified": room.datetime.now(room.UTC),
        },
    )
    assert room.progress().has_passed("01", 2) and "1 entries" in said.value
    assert encoded not in link.value
    upload.value = (
        {
            "name": "<b>",
            "type": "",
            "size": 1,
            "content": memoryview(b"no"),
            "last_modified": room.datetime.now(room.UTC),
        },
    )
    assert "was not put back" in said.value and "<b>" not in said.value


def test_where_it_lies(monkeypatch, tmp_path):
    monkeypatch.delenv("SERVICELAB_PROGRESS", raising=False)
    monkeypatch.setattr(room.sys, "platform", "linux")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    assert room.default_path() == tmp_path / "servicelab" / "progress.json"
    monkeypatch.setattr(room.sys, "platform", "darwin")
    assert room.default_path().parts[-4:] == ("Library", "Application Support", "servicelab", "progress.json")
    monkeypatch.setattr(room.sys, "platform", "win32")
    monkeypatch.setenv("LOCALAPPDATA", str(tmp_path / "local"))
    assert room.default_path() == tmp_path / "local" / "servicelab" / "progress.json"
    monkeypatch.setenv("SERVICELAB_PROGRESS", "~/p.json")
    assert room.default_path() == Path.home() / "p.json"
