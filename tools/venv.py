"""Makes the course's environment: .venv, from the lock.

    python3 tools/venv.py          what a learner needs (requirements.txt)
    python3 tools/venv.py --dev    and what `make test` needs (requirements-dev.txt)

A second run installs nothing: a stamp in .venv holds a hash of everything the environment was made
from. uv installs it: the one on the path, else one that pip fetches and that is gone afterwards. Where it
does not work, pip does. Any python3 can start this file: it looks for a Python of 3.11 or later, and says what
to do when there is none.
"""

# This file must be readable by an old python3 too (macOS has 3.9), so that the error is a clear one.
import argparse
import hashlib
import os
import shutil
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
OLDEST = (3, 11)
CANDIDATES = ["python3", "python3.13", "python3.12", "python3.11", "python3.14", "python"]


class Failed(Exception):
    """Ends the program; the text is for the user and says what to do."""


def version_of(python):
    """(major, minor) of the interpreter ``python``, or None when it does not run."""
    code = "import sys; print('%d %d' % sys.version_info[:2])"
    try:
        answer = subprocess.run([python, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, timeout=60)
        return tuple(int(part) for part in answer.stdout.split()) if answer.returncode == 0 else None
    except (OSError, ValueError, subprocess.TimeoutExpired):
        return None


def find_python(asked=None, candidates=CANDIDATES):
    """The interpreter to use: ``asked`` if given, else the first candidate of 3.11 or later."""
    seen = []
    for name in [asked] if asked else [sys.executable] + candidates:
        path = shutil.which(name) if name else None
        version = version_of(path) if path else None
        if version is not None and version >= OLDEST:
            return path
        if path or asked:
            seen.append(f"{name} is " + ("Python {}.{}".format(*version) if version else "not a Python that runs"))
    found = "; ".join(dict.fromkeys(seen)) or "no python3 was found"
    raise Failed(
        f"Servicelab needs Python 3.11 or later; {found}.\n"
        "  Debian, Ubuntu:  sudo apt-get install python3.11 python3.11-venv   (or a later one)\n"
        "  macOS:           brew install python@3.12\n"
        "  without root:    install uv or conda; `conda env create -f environment.yml` brings its own Python\n"
        "If it is installed under another name: make lab PYTHON=/path/to/python3.12"
    )


def find_uv():
    """uv on the path, or None. SERVICELAB_UV=no keeps to venv and pip."""
    return None if os.environ.get("SERVICELAB_UV") == "no" else shutil.which("uv")


def borrow_uv(inside, folder):
    """uv in ``folder``, or None when there is none for this machine: with it, what takes pip minutes takes seconds."""
    if os.environ.get("SERVICELAB_UV") == "no":
        return None
    subprocess.call([inside, "-m", "pip", "--disable-pip-version-check", "--retries=1", "install", "--quiet",
                     "--only-binary=:all:", "--no-compile", "--target", folder, "-c", "requirements-dev.txt", "uv"],
                    cwd=ROOT, stderr=subprocess.DEVNULL)  # fmt: skip
    return shutil.which("uv", path=os.path.join(folder, "bin"))


def bin_of(venv, name):
    folder, suffix = ("Scripts", ".exe") if os.name == "nt" else ("bin", "")
    return os.path.join(venv, folder, name + suffix)


def digest(venv, dev):
    """A hash of what the environment is made from. Its place counts too: a moved .venv does not work."""
    found = hashlib.sha256(os.path.abspath(venv).encode())
    names = ["requirements.txt", "pyproject.toml", "tools/venv.py", "tools/settings.py", "tools/overrides.json"]
    for name in names + ["requirements-dev.txt"] * dev:
        with open(os.path.join(ROOT, name), "rb") as file:
            found.update(file.read())
    return found.hexdigest()


def is_ready(venv, dev):
    """Does the environment exist, run, and match the stamp? One made with --dev serves both."""
    wanted = [digest(venv, dev), digest(venv, True)]
    try:
        with open(os.path.join(venv, "servicelab.stamp"), encoding="utf-8") as file:
            return file.read() in wanted and version_of(bin_of(venv, "python")) is not None
    except OSError:
        return False


def was_made_here(venv):
    """Do the scripts of the environment name the folder in which it lies? Of a moved or copied one they do not."""
    try:
        with open(os.path.join(os.path.dirname(bin_of(venv, "python")), "activate"), encoding="utf-8") as file:
            text = file.read()
    except OSError:
        return False
    return os.path.abspath(venv) in text or os.path.realpath(venv) in text


def run(command, mend=""):
    try:
        code = subprocess.call(command, cwd=ROOT)
    except OSError as error:
        raise Failed(f"{command[0]}: {error}") from error
    if code:
        raise Failed(f"`{' '.join(command[:6])}` failed with code {code}. {mend}")


def make(venv, python, dev):
    """Make or bring up to date the environment in the folder ``venv``."""
    stamp = os.path.join(venv, "servicelab.stamp")
    if os.path.exists(stamp):
        os.remove(stamp)  # written again at the end: an interrupted run is not taken for a finished one
    uv = find_uv()
    inside = bin_of(venv, "python")
    version = version_of(inside)
    usable = version is not None and version >= OLDEST and was_made_here(venv)
    if usable and not uv:
        usable = subprocess.call([inside, "-m", "pip", "--version"], stdout=subprocess.DEVNULL,
                                 stderr=subprocess.DEVNULL) == 0  # fmt: skip
    if not usable:
        if not uv:
            check_venv_module(python)
        shutil.rmtree(venv, ignore_errors=True)
        run([uv, "venv", "--quiet", "--seed", "--python", python, venv] if uv else [python, "-m", "venv", venv])
    lock = "requirements-dev.txt" if dev else "requirements.txt"
    borrowed = os.path.join(venv, "borrowed")
    try:
        install(inside, uv or borrow_uv(inside, borrowed), lock, [] if uv else ["-q", "--cache-dir", borrowed])
    finally:
        shutil.rmtree(borrowed, ignore_errors=True)
    run([inside, os.path.join("tools", "settings.py")])
    run([inside, os.path.join("tools", "compiled.py")])
    with open(stamp, "w", encoding="utf-8") as file:
        file.write(digest(venv, dev))


def install(inside, uv, lock, options):
    """Put what ``lock`` names and the course itself into the environment whose Python is ``inside``.

    Nothing is compiled: ``tools/compiled.py`` does so with what the course uses, which is a fourth of it.
    """
    editable = ["--no-deps", "--editable", "."]
    pip = [inside, "-m", "pip", "--disable-pip-version-check", "install", "--quiet", "--no-compile"]
    if uv:
        quick = [uv, "pip", "install", "--quiet", "--python", inside] + options
        if not subprocess.call(quick + ["-r", lock], cwd=ROOT) and not subprocess.call(quick + editable, cwd=ROOT):
            return
        run([inside, "-m", "ensurepip", "--upgrade"])  # it does not know the proxy or mirror that pip is configured for
    offline = "Is the machine online? Run it again: it goes on where it stopped."
    run(pip + ["-r", lock], offline)
    run(pip + editable, offline)


def check_venv_module(python):
    code = "import venv, ensurepip"
    if subprocess.call([python, "-c", code], stderr=subprocess.DEVNULL):
        major, minor = version_of(python)
        raise Failed(
            f"{python} cannot make a virtual environment: its venv or ensurepip module is missing.\n"
            f"  Debian, Ubuntu:  sudo apt-get install python{major}.{minor}-venv\n"
            "  without root:    install uv (https://docs.astral.sh/uv/) and run the same command again,\n"
            "                   or use conda: conda env create -f environment.yml"
        )


def main(arguments=None):
    parser = argparse.ArgumentParser(description="Make the course's environment from the lock.")
    parser.add_argument("--dev", action="store_true", help="with what the tests need")
    parser.add_argument("--python", help="the interpreter to use (default: the first of 3.11 or later)")
    parser.add_argument("--venv", default=os.path.join(ROOT, ".venv"), help="the folder (default: .venv)")
    wanted = parser.parse_args(arguments)
    try:
        if not is_ready(wanted.venv, wanted.dev):
            python = find_python(wanted.python)
            print("Making the environment in .venv; the first time takes about a minute.", flush=True)
            make(wanted.venv, python, wanted.dev)
            print("The environment is ready.", flush=True)
    except Failed as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nStopped; run it again to go on.", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
