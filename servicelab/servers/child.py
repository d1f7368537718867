"""The child's side of a server in a process of its own: ``python -m servicelab.servers.child PARENT``, a process id.

:mod:`servicelab.servers.parent` is the other side. It sends a pickled function; called with a name, a trace or None,
and a list for errors it returns what serves: an object with ``start(options) -> port``, ``ask(word, *arguments)`` and
``stop()``. A child ends when its standard input closes, and also when its parent is no longer the one that it was told:
somebody else may have inherited the other end of the pipe. An orphan ends at once, without any farewell.
"""

import json
import os
import pickle
import sys
import threading
import time
import traceback

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


def main() -> None:
    """Take what the parent sends, serve, and answer its commands until it closes the pipe."""
    commands, pipe = _take_the_pipes()
    # Told, not asked for: the parent may have died before this line.
    parent = int(sys.argv[1])
    threading.Thread(target=_watch, args=(parent,), daemon=True).start()
    size = int.from_bytes(commands.read(8), "big")
    head, _, cargo = commands.read(size).partition(b"\n")
    if len(head) + 1 + len(cargo) != size:  # the parent died meanwhile
        return
    head = json.loads(head)
    sys.path[:] = head["path"]
    trace_module.forwarding = PipeTrace(pipe)
    trace = trace_module.forwarding if head["traced"] else None
    try:
        served = pickle.loads(cargo)(head["name"], trace, PipeErrors(pipe))
        port = served.start(head["options"])
    except ServerError as error:
        pipe.say(failed=str(error))
    except OSError as error:
        pipe.say(failed=error.strerror or str(error), errno=error.errno)
    except BaseException as error:
        last = "\n".join("  " + line for line in traceback.format_exc().splitlines()[-8:])
        pipe.say(failed=f"the factory of {head['name']!r} failed in the child process: {error!r}\n{last}")
    else:
        pipe.say(port=port)
        for line in commands:
            _obey(json.loads(line), served, pipe)
        if os.getppid() == parent:
            served.stop()


def _obey(command, served, pipe):
    try:
        # To "feed", nothing need be done: the events before it are already in the pipe.
        value = served.ask(command["do"], *command["arguments"]) if command["do"] != "feed" else None
        pipe.say(answer=command["number"], value=value)
    except Exception as error:
        pipe.say(answer=command["number"], failed=str(error))


def _take_the_pipes():
    """Keep stdin and stdout for the parent; what serves reads nothing, and what it prints goes to stderr."""
    commands, events = os.fdopen(os.dup(0), "rb"), os.dup(1)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    os.dup2(2, 1)
    return commands, Pipe(events)


def _watch(parent):
    try:
        while os.getppid() == parent:
            time.sleep(0.5)
    finally:  # also when there is no memory left to watch with
        os._exit(1)


if __name__ == "__main__":
    status = 1
    try:
        main()
        status = 0
    except (BrokenPipeError, KeyboardInterrupt):
        status = 0
    except BaseException:
        traceback.print_exc()
    finally:  # no thread of what it serves may keep the process
        sys.stderr.flush()
        os._exit(status)
