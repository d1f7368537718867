"""A ``.proto`` text becomes Python at run time, from a string in a notebook cell.

protobuf keeps every message type that was ever defined in a process, and refuses another one of the same full name: a
cell with a changed message could only be run after a restart of the kernel. So a changed text gets a package of its
own: ``tracking`` becomes ``tracking_2``. Client and server that are made from what :func:`load_proto` returns agree on
it; one that lives elsewhere does not, and answers UNIMPLEMENTED.
"""

import contextlib
import io
import re
import sys
import tempfile
import threading
from pathlib import Path
from typing import NamedTuple

import grpc

_PACKAGE = re.compile(r"^(\s*package\s+)([A-Za-z_][\w.]*)(\s*;)", re.MULTILINE)
_loaded: dict[str, "Proto"] = {}
_packages: dict[str, int] = {}  # how many texts each package has had
_lock = threading.Lock()


class ProtoError(ValueError):
    """The text is no valid .proto; the error says where and why, in the compiler's words."""


class Proto(NamedTuple):
    """``messages`` has the message classes, ``services`` the stubs, servicers and ``add_…_to_server`` functions;
    ``package`` is the name under which both are known."""

    messages: object
    services: object
    package: str


def load_proto(text: str) -> Proto:
    """Compile ``text``, which needs a ``package``; the same text gives the same classes again.

    Prints a line when the package had to be renamed because the text has changed. Raises :class:`ProtoError`.
    """
    if not isinstance(text, str):
        raise TypeError(f"text={text!r} must be the text of a .proto file")
    found = _PACKAGE.search(text)
    if not found:
        raise ProtoError('the text names no package: write a line such as "package tracking;" after the syntax line')
    if not re.search(r"^\s*(syntax|edition)\s*=", text, re.MULTILINE):
        raise ProtoError('the text does not say in which language it is: begin with syntax = "proto3";')
    with _lock:
        if text in _loaded:
            return _loaded[text]
        package = wanted = found[2]
        number = _packages.get(wanted, 0) + 1
        if number > 1:
            package = f"{wanted}_{number}"
            # In full names of its own types, too: .tracking.Order
            text_here = re.sub(rf"(?<![\w.])(\.?){re.escape(wanted)}(?=\s*;|\.[A-Za-z_])", rf"\g<1>{package}", text)
        else:
            text_here = text
        proto = _loaded[text] = Proto(*_compile(text_here, f"servicelab_{package.replace('.', '_')}"), package)
        _packages[wanted] = number
        if number > 1:
            print(f"{wanted} has changed: it is the package {package} now (protobuf keeps the old one)")
        return proto


def _compile(text, name):
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / f"{name}.proto").write_text(text, encoding="utf-8")
        # A new list each time: another thread may be going through the old one, and would miss an entry of it.
        sys.path = [folder, *sys.path]
        try:
            with contextlib.redirect_stderr(io.StringIO()):
                return grpc.protos_and_services(f"{name}.proto")
        except Exception as error:
            raise ProtoError(_reasons(error, name)) from None
        finally:
            sys.path = [path for path in sys.path if path != folder]
            sys.path_importer_cache.pop(folder, None)


def _reasons(error, name) -> str:
    """The compiler's complaints, one a line, with line and column."""
    found = getattr(error, "errors", None) or error.args
    lines = []
    for one in found() if callable(found) else found:
        message = getattr(one, "message", None)
        text = message.decode() if isinstance(message, bytes) else str(message or one)
        where = f"line {one.line + 1}, column {one.column + 1}: " if hasattr(one, "line") else ""
        lines.append(where + text)
    return "the text is no valid .proto: " + "; ".join(lines).replace(f"{name}.proto", "it")
