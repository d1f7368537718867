"""The child process of a broker: ``python -m servicelab.servers.amqp.child``, started by its handle, see
:mod:`servicelab.servers.parent`."""

import os
import sys

from servicelab.lifecycle import ServerError
from servicelab.servers.amqp.host import Host
from servicelab.servers.child import PipeErrors, PipeTrace, end, obey, unpack


def main():
    luggage = unpack()
    if luggage is None:
        return
    options = luggage.options
    trace = PipeTrace(luggage.pipe) if options.pop("traced") else None
    host = Host(options.pop("name"), trace, died=_end)
    host.errors = PipeErrors(luggage.pipe)
    try:
        port = host.start(options)
    except OSError as error:
        luggage.pipe.say(failed=error.strerror or str(error), errno=error.errno)
    except ServerError as error:
        luggage.pipe.say(failed=str(error))
    else:
        luggage.pipe.say(port=port)
        obey(luggage, host.ask)
        host.stop()


def _end(why):
    """A process that cannot keep what it is given must not go on, nor leave it to its main thread to notice."""
    print(why, file=sys.stderr, flush=True)
    os._exit(1)


if __name__ == "__main__":
    end(main)
