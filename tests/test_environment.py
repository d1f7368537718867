"""One list of dependencies: pyproject.toml, the locks, environment.yml and Binder's copy agree."""

import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from tests.conftest import ROOT, require
from tools import make_environment
from tools.make_environment import direct_dependencies, environment, locked_versions

PYPROJECT = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
LOCK = (ROOT / "requirements.txt").read_text(encoding="utf-8")
DEV_LOCK = (ROOT / "requirements-dev.txt").read_text(encoding="utf-8")
YML = yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf-8"))
CONDA = [entry for entry in YML["dependencies"] if isinstance(entry, str)]
(PIP,) = [entry["pip"] for entry in YML["dependencies"] if isinstance(entry, dict)]


def test_environment_yml_is_what_the_generator_makes():
    assert (ROOT / "environment.yml").read_text(encoding="utf-8") == environment(PYPROJECT, LOCK)


def test_binder_has_a_byte_identical_copy():
    assert (ROOT / "binder" / "environment.yml").read_bytes() == (ROOT / "environment.yml").read_bytes()


def test_check_names_a_file_that_drifted(tmp_path, monkeypatch, capsys):
    for name in ("pyproject.toml", "requirements.txt", *make_environment.TARGETS):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    monkeypatch.setattr(make_environment, "ROOT", tmp_path)
    assert make_environment.main(["--check"]) == 0
    copy = tmp_path / "binder" / "environment.yml"
    copy.write_text(copy.read_text(encoding="utf-8").replace("simpy==", "simpy==0."), encoding="utf-8")
    assert make_environment.main(["--check"]) == 1
    assert "binder/environment.yml" in capsys.readouterr().out
    assert make_environment.main([]) == 0  # writes it again
    assert make_environment.main(["--check"]) == 0


@pytest.mark.parametrize(
    ("lock", "message"),
    [
        ("", "the lock has nothing"),
        (LOCK.replace("simpy==4", "simpy==3"), r"wants simpy.*has 3\."),
        (LOCK + "attrs>=20\n", "not a pin"),
    ],
)
def test_a_lock_that_does_not_fit_is_refused_by_name(lock, message):
    with pytest.raises(ValueError, match=message):
        environment(PYPROJECT, lock)


def test_every_direct_dependency_is_in_environment_yml_once_with_the_version_of_the_lock():
    pins = dict(entry.split("=") for entry in CONDA if "=" in entry)
    python = pins.pop("python")
    assert python == "3.11"
    assert Version(python) in Requirement("python>=3.11").specifier
    for entry in PIP:
        wanted = Requirement(entry)
        assert wanted.name not in pins, f"{wanted.name} comes from conda and from pip"
        (pin,) = wanted.specifier
        assert pin.operator == "=="
        pins[canonicalize_name(wanted.name)] = pin.version
    versions = locked_versions(LOCK)
    assert pins == {
        name: versions[name] for name in (canonicalize_name(d.name) for d in direct_dependencies(PYPROJECT))
    }


def test_conda_would_accept_every_conda_line():
    rattler = pytest.importorskip("rattler")
    for entry in CONDA:
        rattler.MatchSpec(entry, strict=True)
    with pytest.raises(Exception, match="not valid"):
        rattler.MatchSpec("python==3.11==", strict=True)


def test_the_dev_lock_only_adds_to_the_lock():
    assert set(LOCK.splitlines()) <= set(DEV_LOCK.splitlines())
    names = [Requirement(line).name for line in DEV_LOCK.splitlines()]
    extras = tomllib.loads(PYPROJECT)["project"]["optional-dependencies"]
    for extra in map(Requirement, extras["mesh"] + extras["dev"]):
        assert canonicalize_name(extra.name) in names or extra.extras == {"mesh"}


@pytest.mark.parametrize(("lock", "extra"), [("requirements.txt", []), ("requirements-dev.txt", ["--extra", "dev"])])
def test_uv_resolves_pyproject_to_the_lock(lock, extra, tmp_path):
    """The pins hold together: with the lock as the preference, resolving again changes nothing."""
    out = tmp_path / lock
    shutil.copy(ROOT / lock, out)
    command = [require("uv"), "pip", "compile", "--quiet", "--universal", "--python-version", "3.11", "--no-header",
               "--no-annotate", "pyproject.toml", *extra, "-o", str(out)]  # fmt: skip
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)
    if done.returncode and re.search("(?i)network|connect|resolve host|dns|offline|fetch", done.stderr):
        offline = f"uv could not reach a package index: {done.stderr.strip()[-200:]}"
        pytest.fail(offline) if os.environ.get("CI") == "true" else pytest.skip(offline)
    assert done.returncode == 0, done.stderr
    assert out.read_text(encoding="utf-8") == (ROOT / lock).read_text(encoding="utf-8")


def test_this_environment_has_the_versions_of_the_lock():
    from importlib.metadata import version

    python = f"{sys.version_info.major}.{sys.version_info.minor}"
    versions = locked_versions(LOCK, python)
    for wanted in direct_dependencies(PYPROJECT):
        assert version(wanted.name) == versions[canonicalize_name(wanted.name)]


def test_repo2docker_takes_conda_python_and_our_environment():
    command = [require("jupyter-repo2docker"), "--no-build", "--debug", "."]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, stdin=subprocess.DEVNULL)
    said = done.stdout + done.stderr
    assert done.returncode == 0, said[-2000:]
    assert "conda" in said
    assert "python=3.11" in said or "environment.py-3.11" in said
    assert "binder/environment.yml" in said
    assert "binder/postBuild" in said


def test_binder_has_only_what_binder_needs():
    wanted = {"environment.yml", "postBuild", "workspace.json"}
    assert {path.name for path in (ROOT / "binder").iterdir()} == wanted
    assert os.access(ROOT / "binder" / "postBuild", os.X_OK)


def test_post_build_parses_and_names_files_that_exist():
    script = ROOT / "binder" / "postBuild"
    subprocess.run(["bash", "-n", script], check=True)
    text = script.read_text(encoding="utf-8")
    for name in ("tools/settings.py", "binder/workspace.json"):
        assert name in text
        assert (ROOT / name).exists()


def test_the_workspace_opens_the_start_page(tmp_path):
    workspace = ROOT / "binder" / "workspace.json"
    text = workspace.read_text(encoding="utf-8")
    opened = set(re.findall(r'"path": "([^"]+\.ipynb)"', text))
    from tools.lab import START_PAGE

    assert opened == {START_PAGE}
    assert (ROOT / START_PAGE).exists()
    env = os.environ | {"JUPYTERLAB_WORKSPACES_DIR": str(tmp_path), "JUPYTER_CONFIG_DIR": str(tmp_path / "config")}
    lab = str(Path(sys.executable).parent / "jupyter-lab")
    done = subprocess.run([lab, "workspaces", "import", str(workspace)], env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert any("default" in path.name for path in tmp_path.iterdir())
