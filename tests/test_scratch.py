"""Temporary folders: a killed process leaves its own to the next one of its kind, and to nobody else."""

import os
import subprocess
import sys
import tempfile

import pytest

from servicelab.scratch import Scratch

KEEPS_ONE = """
import sys, time
from servicelab.scratch import Scratch
folder = Scratch("broker")
open(folder.name + "/broker.db", "w").close()
print(folder.name, flush=True)
time.sleep(600)
"""


@pytest.fixture(autouse=True)
def temporary(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def test_the_folder_of_a_killed_process_is_swept_and_no_other(temporary):
    other_kind, own = Scratch("envoy"), Scratch("broker")
    command = [sys.executable, "-c", KEEPS_ONE]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, env=os.environ | {"TMPDIR": str(temporary)}
    ) as it:
        try:
            its = it.stdout.readline().strip()
            alive = Scratch("broker")
            assert os.path.exists(os.path.join(its, "broker.db")), "it lives"
            alive.cleanup()
        finally:
            it.kill()
    assert os.path.exists(os.path.join(its, "broker.db")), "nobody could tidy up"
    new = Scratch("broker")
    assert sorted(os.listdir(temporary)) == sorted(os.path.basename(one.name) for one in (other_kind, own, new))
    for one in (other_kind, own, new, new):
        one.cleanup()
    assert os.listdir(temporary) == []


def test_one_that_is_swept_before_it_is_locked_is_made_anew(temporary, monkeypatch):
    made = []

    def make(prefix):
        made.append(mkdtemp(prefix=prefix))
        if len(made) == 1:
            os.rmdir(made[0])
        return made[-1]

    mkdtemp = tempfile.mkdtemp
    monkeypatch.setattr(tempfile, "mkdtemp", make)
    one = Scratch("broker")
    assert len(made) == 2 and one.name == made[1] and os.path.isdir(one.name)
    one.cleanup()
