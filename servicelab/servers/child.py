"""The child's side of a server in a process of its own; run as a module, the one with a WSGI app.

``python -m servicelab.servers.child`` is the process behind :class:`servicelab.servers.process.HTTPProcess`;
:mod:`servicelab.servers.parent` is the other side. A child ends when its standard input closes, and also when its
parent has another process id than at the start: somebody else may have inherited the other end of the pipe.
"""

import json
import os
import pickle
import sys
import threading
import time
import traceback
from typing import NamedTuple

from servicelab import trace as trace_module
from servicelab.lifecycle import ServerError
from servicelab.trace import Trace


class Pipe:
    """One JSON object a line, to the parent."""

    def __init__(self, fd):
        self.fd = fd
        self.lock = threading.Lock()

    def say(self, **news):
        line = json.dumps(news, default=str).encode() + b"\n"
        with self.lock:
            while line:
                line = line[os.write(self.fd, line) :]


class PipeTrace(Trace):
    """Hands every event to the parent and keeps none."""

    def __init__(self, pipe):
        super().__init__()
        self.pipe = pipe

    def add(self, event):
        self.pipe.say(events=[event])

    def extend(self, events):
        self.pipe.say(events=list(events))


class PipeErrors(list):
    def __init__(self, pipe):
        super().__init__()
        self.pipe = pipe

    def append(self, text):
        self.pipe.say(error=text)


class Luggage(NamedTuple):
    """What the parent gave: ``options``, ``cargo``, the file from which its ``commands`` come, and the way back."""

    options: dict
    cargo: bytes
    commands: object
    pipe: Pipe


def unpack() -> Luggage | None:
    """Take the pipes and read what the parent sends first; None when it died meanwhile."""
    commands, pipe = _take_the_pipes()
    threading.Thread(target=_watch_the_parent, args=(os.getppid(),), daemon=True).start()
    size = int.from_bytes(commands.read(8), "big")
    head, _, cargo = commands.read(size).partition(b"\n")
    if len(head) + 1 + len(cargo) != size:
        return None
    head = json.loads(head)
    sys.path[:] = head["path"]
    return Luggage(head["options"], cargo, commands, pipe)


def obey(luggage: Luggage, do=None) -> None:
    """Answer the parent's commands until it closes the pipe: ``do(word, *arguments)`` is what they mean.

    To "feed", nothing need be done: the events before it are already in the pipe.
    """
    for line in luggage.commands:
        command = json.loads(line)
        number, word = command["number"], command["do"]
        try:
            value = do(word, *command["arguments"]) if word != "feed" else None
            luggage.pipe.say(answer=number, value=value)
        except Exception as error:
            luggage.pipe.say(answer=number, failed=str(error))


def end(main) -> None:
    """Run ``main``, then end the process: no thread of what it serves may keep it."""
    try:
        main()
    except (BrokenPipeError, KeyboardInterrupt):
        pass
    except BaseException:
        traceback.print_exc()
        sys.stderr.flush()
        os._exit(1)
    finally:
        sys.stderr.flush()
        os._exit(0)


def main():
    luggage = unpack()
    server = luggage and _start(luggage.cargo, luggage.pipe, **luggage.options)
    if server is not None:
        luggage.pipe.say(port=server.port)
        obey(luggage)
        server.stop()


def _take_the_pipes():
    """Keep stdin and stdout for the parent; the app reads nothing, and what it prints goes to stderr."""
    commands, events = os.fdopen(os.dup(0), "rb"), os.dup(1)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    os.dup2(2, 1)
    return commands, Pipe(events)


def _start(factory, pipe, name, lane, workers, port, traced):
    from servicelab.servers.http import HTTPServer  # here, since who uses this module for another protocol needs none

    trace_module.forwarding = PipeTrace(pipe)
    try:
        app = pickle.loads(factory)()
    except BaseException as error:
        pipe.say(
            failed=f"the factory of {name!r} failed in the child process: {error!r}\n"
            + last_lines(traceback.format_exc())
        )
        return None
    try:
        trace = trace_module.forwarding if traced else None
        server = HTTPServer(app, name, trace=trace, workers=workers, port=port, lane=lane)
        server.errors = PipeErrors(pipe)
        return server.start()
    except ServerError as error:
        pipe.say(failed=str(error))
        return None


def last_lines(text, most=8):
    return "\n".join("  " + line for line in text.splitlines()[-most:])


def _watch_the_parent(parent):
    while os.getppid() == parent:
        time.sleep(0.5)
    os._exit(1)


if __name__ == "__main__":
    end(main)
