"""Predictions and passed exercises, in one small file that belongs to the learner.

Rules:

- The file is ``$SERVICELAB_PROGRESS``, or ``progress.json`` in the user's data folder (:func:`default_path`).
- Writing is: lock, read, merge, write a new file beside it, replace. Two kernels that write at once lose nothing.
- A file that cannot be understood is kept aside under another name and never overwritten. One that a
  newer Servicelab wrote is left alone.
- Where nothing can be written, everything goes on in memory, and a note says so once.
- Merging keeps the first pass of an exercise and the latest answer to a prediction, in whatever order files meet.
"""

import base64
import contextlib
import json
import os
import sys
import tempfile
import threading
import time
from datetime import UTC, datetime
from html import escape
from pathlib import Path

from servicelab.table import Table
from servicelab.views.widget_or_text import Shown, styled, widgets

SCHEMA = 1

#: What an entry of the file may hold.
PLAIN = (str, int, float, bool, type(None))

#: Seconds to wait for another kernel that is writing.
LOCK_PATIENCE = 2.0


class ProgressError(ValueError):
    """A text is no progress file of ours; the message says why."""


def default_path() -> Path:
    """Where the file lies: ``$SERVICELAB_PROGRESS``, else the user's data folder (Linux: XDG's ``~/.local/share``)."""
    if chosen := os.environ.get("SERVICELAB_PROGRESS"):
        return Path(chosen).expanduser()
    home = Path.home()
    if sys.platform == "win32":
        folder = Path(os.environ.get("LOCALAPPDATA") or home / "AppData" / "Local")
    elif sys.platform == "darwin":
        folder = home / "Library" / "Application Support"
    else:
        folder = Path(os.environ.get("XDG_DATA_HOME") or home / ".local" / "share")
    return folder / "servicelab" / "progress.json"


def progress() -> "Progress":
    """The learner's progress: one object for each path, so that what could not be written is not forgotten."""
    path = default_path()
    if path not in _known:
        _known[path] = Progress(path)
    return _known[path]


_known: dict[Path, "Progress"] = {}


class Progress:
    """The progress file at ``path``. Everything is read afresh, so two kernels see each other's entries."""

    def __init__(self, path: Path):
        self.path = Path(path)
        self._memory = _empty()  # what is not in the file yet
        self._lock = threading.RLock()
        self._noted: set[str] = set()

    # -- writing ----------------------------------------------------------------------------

    def record_pass(self, lab: str, exercise: int) -> None:
        """Keep that an exercise was passed now."""
        self._add({"exercises": {f"{lab}/{exercise}": {"passed": _now()}}})

    def record_prediction(self, key: str, answer) -> None:
        """Keep an answer to the prediction ``key``. The latest counts. Raises TypeError for what is no text or number,
        and ValueError for a text that no file can hold."""
        if not isinstance(answer, PLAIN):
            raise TypeError(f"answer={answer!r} must be a text or a number")
        json.dumps([key, answer], ensure_ascii=False).encode()
        self._add({"predictions": {key: {"answer": answer, "at": _now()}}})

    def put_back(self, text: str | bytes) -> int:
        """Merge a downloaded progress file; returns the number of its entries. Raises ProgressError when it is none."""
        entries = parse(text)
        self._add(entries)
        return len(entries["exercises"]) + len(entries["predictions"])

    # -- reading ----------------------------------------------------------------------------

    def read(self) -> dict:
        """Everything known, of the file and of this kernel, as ``{"schema", "exercises", "predictions"}``."""
        with self._lock:
            return merged(self._read_file(), self._memory)

    def has_passed(self, lab: str, exercise: int) -> bool:
        return f"{lab}/{exercise}" in self.read()["exercises"]

    def prediction(self, key: str):
        """The kept answer, or None."""
        return self.read()["predictions"].get(key, {}).get("answer")

    def table(self) -> Table:
        """The passed exercises as a table."""
        rows = [(*key.split("/", 1), entry["passed"]) for key, entry in sorted(self.read()["exercises"].items())]
        return Table(("lab", "exercise", "passed (UTC)"), rows, f"{len(rows)} exercises passed")

    def text(self) -> str:
        """The file's text, for a download."""
        return json.dumps(self.read(), indent=1, sort_keys=True, ensure_ascii=False) + "\n"

    # -- the file ---------------------------------------------------------------------------

    def _add(self, entries):
        with self._lock:
            self._memory = merged(self._memory, {**_empty(), **entries})
            try:
                self.path.parent.mkdir(parents=True, exist_ok=True)
                with _file_lock(self.path.with_name(self.path.name + ".lock")):
                    if self._keep_aside_when_damaged():
                        self._write(self.read())
                        self._memory = _empty()
            except OSError as error:
                self._note(
                    f"Your progress cannot be kept in {self.path} ({error.strerror or error}). It is kept in "
                    "memory until the kernel ends: download it before you leave, or set SERVICELAB_PROGRESS "
                    "to a file that you may write."
                )

    def _read_file(self) -> dict:
        try:
            return parse(self.path.read_bytes())
        except (OSError, ProgressError):
            return _empty()

    def _keep_aside_when_damaged(self) -> bool:
        """May the file be written? A damaged one is renamed first; one of a newer Servicelab may not."""
        try:
            parse(self.path.read_bytes())
        except FileNotFoundError:
            pass
        except NewerSchema as error:
            self._note(f"{self.path}: {error} Until then your progress is kept in memory only.")
            return False
        except ProgressError as error:
            aside = _free_name(self.path)
            os.rename(self.path, aside)
            self._note(f"The progress file was damaged ({error}). It is kept as {aside}; a new one was begun.")
        return True

    def _write(self, entries):
        text = json.dumps(entries, indent=1, sort_keys=True, ensure_ascii=False) + "\n"
        handle, name = tempfile.mkstemp(dir=self.path.parent, prefix=self.path.name + ".", suffix=".new")
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            os.replace(name, self.path)
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(name)
            raise

    def _note(self, text):
        if text not in self._noted:
            self._noted.add(text)
            print(text)


class NewerSchema(ProgressError):
    """The file was written by a newer Servicelab."""


def parse(text: str | bytes) -> dict:
    """The entries of a progress file. Raises ProgressError (NewerSchema) with the reason."""
    try:
        data = json.loads(text)
        json.dumps(data, ensure_ascii=False).encode()  # half a surrogate can be read, and not written
    except (ValueError, RecursionError) as error:  # JSONDecodeError, UnicodeDecodeError, UnicodeEncodeError
        raise ProgressError(f"it is no JSON that could be written again: {error}") from None
    if not isinstance(data, dict) or not isinstance(data.get("schema"), int):
        raise ProgressError("it is no progress file of Servicelab: no schema number")
    if data["schema"] > SCHEMA:
        raise NewerSchema(f"it has schema {data['schema']} and this Servicelab knows {SCHEMA}: update Servicelab.")
    for part, stamp in (("exercises", "passed"), ("predictions", "at")):
        entries = data.setdefault(part, {})
        if not isinstance(entries, dict) or not all(
            isinstance(entry, dict)
            and isinstance(entry.get(stamp), str)
            and all(isinstance(value, PLAIN) for value in entry.values())
            and (part == "predictions" or "/" in key)
            for key, entry in entries.items()
        ):
            raise ProgressError(f"its {part!r} have another shape than ours")
    return data


def merged(one: dict, other: dict) -> dict:
    """Both together: the first pass of each exercise, the latest answer to each prediction."""
    exercises, predictions = dict(one["exercises"]), dict(one["predictions"])
    for key, entry in other["exercises"].items():
        exercises[key] = min(entry, exercises.get(key, entry), key=lambda e: e["passed"])
    for key, entry in other["predictions"].items():
        predictions[key] = max(entry, predictions.get(key, entry), key=lambda e: e["at"])
    return {"schema": SCHEMA, "exercises": exercises, "predictions": predictions}


def keep_predictions() -> None:
    """From now on keep what the learner predicts, and show again what was predicted in an earlier session."""
    from servicelab.views import predict

    for key, entry in progress().read()["predictions"].items():
        predict.answers.setdefault(key, entry.get("answer"))
    predict.on_answer(_keep_prediction)


def _keep_prediction(key, answer):
    progress().record_prediction(key, answer)


def panel() -> "Panel":
    """A link that downloads the progress file and a button that puts one back, for Binder, which forgets."""
    return Panel()


class Panel(Shown):
    """See :func:`panel`; where widgets do not work there is the link alone."""

    def __init__(self):
        self.open()

    def as_text(self):
        return f"Download your progress: it is the file {default_path()}"

    def static(self):
        return {"text/html": self._link()}

    def _link(self):
        encoded = base64.b64encode(progress().text().encode()).decode()
        return (
            f'<a download="servicelab-progress.json" href="data:application/json;base64,{encoded}">'
            "Download your progress</a>"
        )

    def _build(self):
        self.link, self.said = widgets.HTML(self._link()), widgets.HTML()
        self.upload = widgets.FileUpload(accept=".json", description="Put back")
        self.upload.observe(self._put_back, names="value")
        return styled(widgets.VBox([widgets.HTML(), self.link, self.upload, self.said]))

    def _put_back(self, change):
        for file in change["new"]:
            try:
                count = progress().put_back(bytes(file["content"]))
                self.said.value = f"{count} entries of {escape(file['name'])} are back."
            except ProgressError as error:
                self.said.value = f"{escape(file['name'])} was not put back: {escape(str(error))}"
        self.link.value = self._link()


def _empty():
    return {"schema": SCHEMA, "exercises": {}, "predictions": {}}


def _now():
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def _free_name(path):
    day = datetime.now(UTC).strftime("%Y%m%d-%H%M%S")
    for number in range(1, 1000):
        aside = path.with_name(f"{path.stem}.damaged-{day}-{number}{path.suffix}")
        if not aside.exists():
            return aside
    raise OSError(f"too many damaged files beside {path}")


@contextlib.contextmanager
def _file_lock(path):
    """Hold a lock that the system releases when its process dies. Raises OSError when another keeps it too long."""
    with open(path, "a+b") as file:
        end = time.monotonic() + LOCK_PATIENCE
        while not _try_lock(file):
            if time.monotonic() > end:
                raise OSError(f"another program holds {path.name}")
            time.sleep(0.01)
        yield  # closing the file gives the lock back


def _try_lock(file) -> bool:
    try:
        if sys.platform == "win32":
            import msvcrt

            file.seek(0)
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except PermissionError:  # what Windows says while another holds it
        if sys.platform == "win32":
            return False
        raise
    return True
