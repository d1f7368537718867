"""A ``.proto`` text becomes Python at run time, from a string in a notebook cell.

    proto = load_proto(TEXT)
    old, new = load_version(TEXT), load_version(CHANGED_TEXT)  # two versions of one contract, in one process

protobuf keeps every message type that was ever defined in a process, and refuses another one of the same full name: a
cell with a changed message could only be run after a restart of the kernel. So a changed text gets a package of its
own: ``tracking`` becomes ``tracking_2``. Client and server that are made from what :func:`load_proto` returns agree on
it; one that lives elsewhere does not, and answers UNIMPLEMENTED.

Whoever wants an old client to meet a new server loads both with :func:`load_version`: each version is kept in a
descriptor pool of its own, with the names that the text says, and so both call the same path.
"""

import contextlib
import io
import re
import sys
import tempfile
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import NamedTuple

import grpc
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.internal.enum_type_wrapper import EnumTypeWrapper
from grpc_tools import protoc

_PACKAGE = re.compile(r"(?:^|(?<=;))(\s*package\s+)([A-Za-z_][\w.]*)(\s*;)", re.MULTILINE)
_INCLUDED = str(Path(protoc.__file__).parent / "_proto")  # google/protobuf/timestamp.proto and its like
_loaded: dict[str, "Proto"] = {}
_versions: dict[str, "Proto"] = {}
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
    found = _checked(text)
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


def load_version(text: str) -> Proto:
    """Compile ``text`` into a pool of its own: as :func:`load_proto`, and no package is ever renamed.

    The same text gives the same classes again, every other text classes of another version. A message of one version
    cannot be handed to another: only bytes go between them, as between two processes. ``services`` has for each
    service the three names that the generated code has; ``services.pool`` is the descriptor pool. Raises
    :class:`ProtoError`.
    """
    package = _checked(text)[2]
    with _lock:
        if text not in _versions:
            pool = descriptor_pool.DescriptorPool()
            *_, own = [pool.AddSerializedFile(file.SerializeToString()) for file in _described(text)]
            _versions[text] = Proto(_messages(own), _services(own, pool), package)
        return _versions[text]


def _checked(text) -> re.Match:
    if not isinstance(text, str):
        raise TypeError(f"text={text!r} must be the text of a .proto file")
    found = _PACKAGE.search(text)
    if not found:
        raise ProtoError('the text names no package: write a line such as "package tracking;" after the syntax line')
    if not re.search(r"^\s*(syntax|edition)\s*=", text, re.MULTILINE):
        raise ProtoError('the text does not say in which language it is: begin with syntax = "proto3";')
    return found


def _described(text) -> list:
    """The FileDescriptorProtos of what ``text`` imports, and of the text itself as the last."""
    name = "contract.proto"
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / name).write_text(text, encoding="utf-8")
        try:
            with contextlib.redirect_stderr(io.StringIO()):
                protoc._protoc_compiler.get_protos(name.encode(), [folder.encode(), _INCLUDED.encode()])
        except Exception as error:
            raise ProtoError(_reasons(error, "contract")) from None
        out = Path(folder) / "described"
        protoc.main(["", f"-I{folder}", f"-I{_INCLUDED}", "--include_imports", f"--descriptor_set_out={out}", name])
        return list(descriptor_pb2.FileDescriptorSet.FromString(out.read_bytes()).file)


def _messages(file):
    named = {name: message_factory.GetMessageClass(one) for name, one in file.message_types_by_name.items()}
    for name, enum in file.enum_types_by_name.items():
        named |= {name: EnumTypeWrapper(enum)} | {value.name: value.number for value in enum.values}
    return SimpleNamespace(DESCRIPTOR=file, **named)


def _services(file, pool):
    named = {}
    for name, service in file.services_by_name.items():
        methods = {method.name: _Method(method) for method in service.methods}
        named[f"{name}Stub"] = _stub(f"{name}Stub", methods)
        named[f"{name}Servicer"] = type(f"{name}Servicer", (), dict.fromkeys(methods, _unimplemented))
        named[f"add_{name}Servicer_to_server"] = _adder(service.full_name, methods, pool)
    return SimpleNamespace(pool=pool, **named)


class _Method:
    """What a stub and a servicer have to know of one method of a descriptor."""

    def __init__(self, method):
        self.path = f"/{method.containing_service.full_name}/{method.name}"
        self.request = message_factory.GetMessageClass(method.input_type)
        self.reply = message_factory.GetMessageClass(method.output_type)
        self.kind = "_".join("stream" if one else "unary" for one in (method.client_streaming, method.server_streaming))


def _stub(name, methods):
    def __init__(self, channel):
        for key, method in methods.items():
            make = getattr(channel, method.kind)
            setattr(self, key, make(method.path, method.request.SerializeToString, method.reply.FromString))

    return type(name, (), {"__init__": __init__})


def _adder(service, methods, pool):
    def add(servicer, server):
        handlers = {
            key: getattr(grpc, f"{method.kind}_rpc_method_handler")(
                getattr(servicer, key), method.request.FromString, method.reply.SerializeToString
            )
            for key, method in methods.items()
        }
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, handlers),))
        server.add_registered_method_handlers(service, handlers)

    add.pool = pool  # for reflection
    return add


def _unimplemented(self, request, context):
    context.abort(grpc.StatusCode.UNIMPLEMENTED, "Method not implemented!")


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
