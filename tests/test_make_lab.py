"""`make env` and `make lab`: made once, a clear word when it cannot be, one Ctrl-C and nothing left."""

import ast
import contextlib
import json
import os
import re
import shutil
import stat
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import pexpect
import psutil
import pytest
from jupyter_client import BlockingKernelClient

from tests.conftest import ROOT, require
from tests.notebooks import family, listening
from tools import compiled, lab, settings, venv


def script(path, text):
    """An executable that stands in for a Python."""
    path.write_text(f"#!/bin/sh\n{text}\n", encoding="utf-8")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return str(path)


def outside_make() -> dict:
    """The environment without what an outer make (`make test`) tells an inner one."""
    return {name: value for name, value in os.environ.items() if name not in ("MAKEFLAGS", "MFLAGS", "MAKELEVEL")}


def make(*arguments):
    return subprocess.run(
        [require("make"), *arguments], cwd=ROOT, env=outside_make(), capture_output=True, text=True, timeout=120
    )


# -- making the environment ---------------------------------------------------------------------


def test_an_old_python_can_read_the_file_that_refuses_it():
    source = (ROOT / "tools" / "venv.py").read_text(encoding="utf-8")
    ast.parse(source, feature_version=(3, 7))
    imported = {node.names[0].name for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Import)}
    assert imported <= {"argparse", "hashlib", "os", "shutil", "subprocess", "sys"}


def test_an_old_python_is_refused_with_the_mend(tmp_path):
    old = script(tmp_path / "python3.9", "echo 3 9")
    with pytest.raises(venv.Failed, match=r"3\.11 or later; .*is Python 3\.9(.|\n)*apt-get install(.|\n)*PYTHON="):
        venv.find_python(asked=old)


def test_a_python_that_is_none_is_refused(tmp_path):
    with pytest.raises(venv.Failed, match="not a Python that runs"):
        venv.find_python(asked=script(tmp_path / "nothing", "exit 3"))


def test_a_newer_python_under_another_name_is_found(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "executable", script(tmp_path / "python3", "echo 3 9"))
    newer = script(tmp_path / "python3.12", "echo 3 12")
    assert venv.find_python(candidates=[newer]) == newer


def test_a_missing_venv_module_is_named_with_the_mend(tmp_path):
    bare = script(tmp_path / "python3", 'case "$2" in *ensurepip*) exit 1;; *) echo 3 11;; esac')
    with pytest.raises(venv.Failed, match=r"apt-get install python3\.11-venv(.|\n)*without root"):
        venv.check_venv_module(bare)


def test_make_says_so_when_there_is_no_python():
    done = make("env", "PYTHON=no-such-python")
    assert done.returncode != 0
    assert "needs Python 3.11 or later, and 'no-such-python' was not found" in done.stdout


@pytest.fixture
def small(tmp_path, monkeypatch):
    """A folder that looks like the course to tools.venv, with an environment that is made at once."""
    for name in ("requirements.txt", "requirements-dev.txt", "pyproject.toml", "tools/venv.py", "tools/settings.py",
                 "tools/overrides.json"):  # fmt: skip
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes((ROOT / name).read_bytes())
    calls = []

    def pretend(folder, python, dev):
        calls.append(dev)
        (tmp_path / ".venv" / "bin").mkdir(parents=True, exist_ok=True)
        script(tmp_path / ".venv" / "bin" / "python", "echo 3 11")
        (tmp_path / ".venv" / "servicelab.stamp").write_text(venv.digest(folder, dev), encoding="utf-8")

    monkeypatch.setattr(venv, "ROOT", str(tmp_path))
    monkeypatch.setattr(venv, "make", pretend)
    return tmp_path, calls, lambda *more: venv.main(["--venv", str(tmp_path / ".venv"), *more])


def test_a_second_start_installs_nothing(small):
    _, calls, start = small
    assert [start(), start(), start()] == [0, 0, 0]
    assert calls == [False]


def test_an_environment_with_the_tests_tools_serves_the_learner_too_but_not_the_reverse(small):
    _, calls, start = small
    start()
    start("--dev")
    start()
    assert calls == [False, True]


@pytest.mark.parametrize("name", ["requirements.txt", "pyproject.toml"])
def test_it_is_made_anew_when_its_source_changes(small, name):
    folder, calls, start = small
    start()
    with open(folder / name, "a", encoding="utf-8") as file:
        file.write("# changed\n")
    start()
    assert len(calls) == 2


def test_it_is_made_anew_when_its_python_is_gone_or_it_was_moved(small):
    folder, calls, start = small
    start()
    (folder / ".venv" / "bin" / "python").unlink()
    start()
    assert len(calls) == 2
    (folder / ".venv").rename(folder / "moved")
    assert not venv.is_ready(str(folder / "moved"), False)


def test_an_interrupted_making_is_not_taken_for_a_finished_one(tmp_path, monkeypatch):
    """The stamp goes first and comes last."""
    folder = tmp_path / ".venv"
    folder.mkdir()
    (folder / "servicelab.stamp").write_text(venv.digest(str(folder), False), encoding="utf-8")

    def fail(*args, **kwargs):
        raise KeyboardInterrupt

    monkeypatch.setattr(venv, "run", fail)
    monkeypatch.setattr(venv, "find_uv", lambda: None)
    with pytest.raises(KeyboardInterrupt):
        venv.make(str(folder), sys.executable, False)
    assert not venv.is_ready(str(folder), False)


@pytest.mark.parametrize("uv", [True, False])
@pytest.mark.parametrize("move", ["move", "copy"])
def test_an_environment_that_was_moved_or_copied_is_made_anew(tmp_path, monkeypatch, uv, move):
    """Its scripts would start the Python of the old folder, or none."""
    monkeypatch.setattr(venv, "run", lambda command, mend="": ran.append(command))
    monkeypatch.setattr(venv, "find_uv", lambda: require("uv") if uv else None)
    old, new, ran = tmp_path / "old" / ".venv", tmp_path / "new" / ".venv", []
    command = [require("uv"), "venv", "--quiet", "--seed", str(old)] if uv else [sys.executable, "-m", "venv", str(old)]
    subprocess.run(command, check=True)
    monkeypatch.setattr(subprocess, "call", lambda *args, **kwargs: 0)
    venv.make(str(old), sys.executable, False)
    assert not any("venv" in command[1:3] for command in ran), "what is where it was made is kept"
    if move == "move":
        old.parent.rename(new.parent)
    else:
        shutil.copytree(old.parent, new.parent, symlinks=True)
    ran.clear()
    (new / "left behind").touch()
    with contextlib.suppress(OSError):  # nothing was really made, so there is nowhere to put the stamp
        venv.make(str(new), sys.executable, False)
    assert "venv" in ran[0][1:3] and ran[0][-1] == str(new)
    assert not (new / "left behind").exists()


@pytest.fixture
def making(tmp_path, monkeypatch):
    """``venv.make`` with commands that only pretend: the list of them, and the words of one that is to fail."""
    ran, failing = [], []
    folder = tmp_path / ".venv"

    def call(command, **options):
        if "venv" in command[1:3]:
            folder.mkdir()
        if "--target" in command and failing != ["--target"]:
            (folder / "borrowed" / "bin").mkdir(parents=True)
            script(folder / "borrowed" / "bin" / "uv", "")
        ran.append(" ".join(command))
        return int(bool(failing) and all(word in command for word in failing))

    monkeypatch.setattr(venv.subprocess, "call", call)
    monkeypatch.setattr(venv, "find_uv", lambda: None)
    monkeypatch.setattr(venv, "check_venv_module", lambda python: None)
    monkeypatch.delenv("SERVICELAB_UV", raising=False)
    return folder, ran, failing


def test_a_uv_is_borrowed_and_leaves_nothing(making):
    folder, ran, _ = making
    venv.make(str(folder), sys.executable, False)
    [fetched, locked, course] = [command for command in ran if "install" in command.split()]
    assert f"--target {folder / 'borrowed'} -c requirements-dev.txt uv" in fetched
    for command in (locked, course):
        assert command.startswith(str(folder / "borrowed" / "bin" / "uv"))
        assert f"--cache-dir {folder / 'borrowed'}" in command
    assert locked.endswith("-r requirements.txt") and course.endswith("--editable .")
    assert not (folder / "borrowed").exists()


@pytest.mark.parametrize("failing", [["--target"], ["--cache-dir", "-r"], ["--cache-dir", "--editable"]])
def test_without_a_uv_that_works_pip_does_it(making, failing):
    folder, ran, fails = making
    fails += failing
    venv.make(str(folder), sys.executable, False)
    assert [command.split(" --no-compile ")[-1] for command in ran if " -m pip " in command][-2:] == [
        "-r requirements.txt", "--no-deps --editable ."
    ]  # fmt: skip
    assert not (folder / "borrowed").exists()


def test_what_the_course_uses_is_compiled_and_nothing_else_is_imported(making):
    folder, ran, _ = making
    venv.make(str(folder), sys.executable, False)
    assert ran[-1].endswith("compiled.py")
    roots = {name.partition(".")[0] for name in compiled.imported()}
    assert {"servicelab", "flask", "pika", "grpc", "zmq", "simpy"} <= roots and "pytest" not in roots


def test_who_wants_no_uv_gets_none(making, monkeypatch):
    folder, ran, _ = making
    monkeypatch.setenv("SERVICELAB_UV", "no")
    venv.make(str(folder), sys.executable, False)
    assert not [command for command in ran if "uv" in command.split()]


def test_the_settings_are_put_where_jupyterlab_and_kernels_look(tmp_path):
    """In whatever environment: lab.py puts them, too, and conda makes no .venv."""
    from IPython.core.application import ENV_CONFIG_DIRS
    from jupyter_core.paths import ENV_CONFIG_PATH
    from jupyterlab.commands import get_app_dir

    settings.put(tmp_path)
    env = Path(sys.prefix)
    for folder, name in ((Path(get_app_dir()) / "settings", "overrides.json"),
                         (Path(ENV_CONFIG_DIRS[0]), "ipython_kernel_config.json"),
                         (Path(ENV_CONFIG_PATH[0]) / "jupyter_server_config.d", "servicelab.json")):  # fmt: skip
        assert json.loads((tmp_path / folder.relative_to(env) / name).read_text(encoding="utf-8"))


def test_a_kernel_says_nothing_when_it_starts(tmp_path):
    code = (
        "from jupyter_client.manager import start_new_kernel\n"
        "manager, client = start_new_kernel()\n"
        "client.stop_channels(); manager.shutdown_kernel()"
    )
    env = os.environ | {"IPYTHONDIR": str(tmp_path), "JUPYTER_RUNTIME_DIR": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_a_home_that_cannot_be_written_is_named_with_the_mend(tmp_path):
    (tmp_path / "home").write_text("a file: not even root can make a folder in it")
    env = {key: value for key, value in outside_make().items() if not key.startswith(("JUPYTER", "IPYTHON", "XDG"))}
    env |= {"HOME": str(tmp_path / "home")}
    command = [sys.executable, "tools/lab.py", "--no-browser"]
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=120)
    assert done.returncode == 1 and "Traceback" not in done.stdout + done.stderr
    assert str(tmp_path / "home") in done.stdout and 'HOME="$(mktemp -d)" make lab' in done.stdout


# -- the Makefile -------------------------------------------------------------------------------


def test_the_makefile_is_for_the_make_of_macos():
    text = (ROOT / "Makefile").read_text(encoding="utf-8")
    for newer in (".ONESHELL", ".RECIPEPREFIX", "::=", "!=", "$(file ", "$(guile", "$(let", "&:"):
        assert newer not in text, f"GNU make 3.81 does not know {newer}"


def test_make_test_ends_with_pytest():
    done = make("-n", "test")
    lines = done.stdout.strip().splitlines()
    assert lines[-1].startswith(".venv/bin/python -m pytest")
    said = "\n".join(lines)
    for step in ("ruff check", "ruff format --check", "make_environment --check", "make_labs --check"):
        assert step in said


def test_make_alone_lists_the_commands():
    text = make().stdout
    assert re.findall(r"^make (\w+)", text, re.M)[:2] == ["lab", "env"]


def test_every_command_that_the_pages_name_exists():
    known = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.M))
    for name in ("README.md", "CONTRIBUTING.md"):
        text = (ROOT / name).read_text(encoding="utf-8")
        assert set(re.findall(r"(?:^|`)make ([a-z]+)", text, re.M)) <= known


# -- JupyterLab ---------------------------------------------------------------------------------


def test_it_listens_on_loopback_opens_the_start_page_and_asks_nothing():
    found = lab.arguments(browser=True)
    assert "--ServerApp.ip=127.0.0.1" in found
    assert f"--LabApp.default_url=/lab/tree/{lab.START_PAGE}" in found
    assert "--no-browser" not in found
    assert "--no-browser" in lab.arguments(browser=False)
    assert lab.arguments(["--port=9000"])[-1] == "--port=9000"


def test_root_is_allowed_and_others_are_not_told_so(monkeypatch):
    monkeypatch.setattr(os, "geteuid", lambda: 0, raising=False)
    assert "--allow-root" in lab.arguments()
    monkeypatch.setattr(os, "geteuid", lambda: 1000, raising=False)
    assert "--allow-root" not in lab.arguments()


def test_a_browser_is_opened_only_where_there_is_one(monkeypatch):
    class Firefox:
        name = "/usr/bin/firefox"

    class Lynx:
        name = "lynx"

    monkeypatch.setattr(lab.webbrowser, "get", Firefox)
    assert lab.has_browser({"DISPLAY": ":0"}, "linux")
    assert lab.has_browser({}, "darwin")
    assert not lab.has_browser({}, "linux")
    monkeypatch.setattr(lab.webbrowser, "get", Lynx)
    assert not lab.has_browser({"DISPLAY": ":0"}, "linux")


@pytest.fixture
def terminal(tmp_path):
    """``terminal(command, …)`` starts it on a terminal of its own, with Jupyter's folders in a temporary one."""
    started = []

    def start(command, *arguments):
        names = ("JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR", "IPYTHONDIR",
                 "JUPYTERLAB_SETTINGS_DIR", "JUPYTERLAB_WORKSPACES_DIR")  # fmt: skip
        env = outside_make() | {name: str(tmp_path / name) for name in names}
        for name in ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER"):
            env.pop(name, None)
        child = pexpect.spawn(command, list(arguments), cwd=str(ROOT), env=env, encoding="utf-8", timeout=60)
        started.append(child)
        return child

    yield start
    for child in started:
        child.close(force=True)


def once_it_listens(url, limit=30.0):
    """The answer to ``url``. Jupyter prints its address a moment before it listens there."""
    end = time.monotonic() + limit
    while True:
        try:
            return urllib.request.urlopen(url)
        except urllib.error.URLError as error:
            if not isinstance(error.reason, ConnectionRefusedError) or time.monotonic() > end:
                raise
            time.sleep(0.05)


def see_it_serve_and_end(child):
    """The address works, only loopback is listened on, one Ctrl-C ends server and kernel. Returns what was said."""
    child.expect(r"http://127\.0\.0\.1:(\d+)(/\S+)\?token=(\w+)")
    said = child.before + child.after
    port, page, token = child.match.groups()
    assert page == f"/lab/tree/{lab.START_PAGE}"
    address = f"http://127.0.0.1:{port}"
    assert once_it_listens(f"{address}{page}?token={token}").status == 200
    order = urllib.request.Request(f"{address}/api/kernels?token={token}", data=json.dumps({}).encode(), method="POST")
    kernel = json.load(urllib.request.urlopen(order))
    assert kernel["name"] == "python3"
    # A kernel that is interrupted while it starts says so at length: wait until it answers.
    client = BlockingKernelClient(connection_file=f"{child.env['JUPYTER_RUNTIME_DIR']}/kernel-{kernel['id']}.json")
    client.load_connection_file()
    client.hb_channel.time_to_dead = 60.0  # the usual 1 s takes a kernel for dead that a busy machine keeps waiting
    client.start_channels()
    client.wait_for_ready(timeout=60)
    client.stop_channels()
    members = family(psutil.Process(child.pid))
    heard = [ip for member in members for ip, _, _ in listening(member)]
    assert heard and set(heard) == {"127.0.0.1"}
    child.sendintr()
    child.expect(pexpect.EOF)
    said += child.before
    assert "Shut down this Jupyter server" not in said
    assert "Traceback" not in said
    child.wait()
    _, alive = psutil.wait_procs(members[1:], timeout=10)
    assert alive == []
    return said


def test_one_ctrl_c_ends_jupyterlab_and_its_kernels(terminal):
    child = terminal(sys.executable, "tools/lab.py")
    said = see_it_serve_and_end(child)
    assert child.exitstatus == 0
    assert len(said.splitlines()) < 30, f"more is said than a learner needs:\n{said}"


def test_make_lab_in_an_environment_that_is_ready_installs_nothing(terminal):
    if not venv.is_ready(str(ROOT / ".venv"), True):
        assert os.environ.get("CI") != "true", "CI runs the tests in the environment that make test made"
        pytest.skip(".venv was not made by `make test`")
    said = see_it_serve_and_end(terminal(require("make"), "lab"))
    assert "Making the environment" not in said
    assert "Error" not in said
