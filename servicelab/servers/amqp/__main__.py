"""The broker on its own, for any client in any language: ``python -m servicelab.servers.amqp --port 5672``."""

import argparse
import os
import signal
import sys
import threading

from servicelab.lifecycle import HOST, ServerError
from servicelab.servers.amqp.handle import Broker

PASSWORD = "SERVICELAB_AMQP_PASSWORD"


def main(arguments=None) -> int:
    """Serve until SIGINT or SIGTERM. Returns the exit status: 0 for a clean end, 1 when it could not serve."""
    options = _parse(arguments)
    end = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: end.set())
    try:
        users = _users(options)
        broker = Broker(
            "broker",
            file=options.file,
            port=options.port,
            users=users,
            memory_limit=options.memory_limit,
            heartbeat=options.heartbeat,
        ).start()
    except ServerError as error:
        print(error, file=sys.stderr)
        return 1
    keeps = f", keeping what is durable in {broker.file}" if broker.file else ", keeping nothing when it ends"
    print(f"AMQP 0-9-1 on {HOST}:{broker.port} for user {next(iter(broker.users))}{keeps}", flush=True)
    while broker.is_running and not end.wait(0.5):
        pass
    if not broker.is_running:  # a full disk
        print(*broker.errors, sep="\n", file=sys.stderr)
        return 1
    broker.stop()
    return 0


def _parse(arguments):
    parser = argparse.ArgumentParser("python -m servicelab.servers.amqp", description=f"An AMQP broker on {HOST}.")
    parser.add_argument("--port", type=int, default=5672, help="0 lets the system choose (default: %(default)s)")
    parser.add_argument("--file", help="where durable queues and persistent messages are kept (default: nowhere)")
    parser.add_argument("--user", help=f"instead of guest/guest; the password comes from a file or ${PASSWORD}")
    parser.add_argument("--password-file", help="its first line is the password")
    parser.add_argument("--memory-limit", type=int, help="bytes of messages at which publishers are blocked")
    parser.add_argument("--heartbeat", type=int, help="seconds that are proposed to clients, 0 for none (default: 60)")
    return parser.parse_args(arguments)


def _users(options):
    """Never from the command line: everybody on the machine can read that."""
    if options.user is None:
        if options.password_file is not None:
            raise ServerError("--password-file needs --user NAME: guest's password is 'guest'")
        return None
    if options.password_file is None:
        password, where = os.environ.get(PASSWORD, ""), f"--password-file FILE or the environment variable {PASSWORD}"
    else:
        where = f"a first line in {options.password_file}"
        try:
            with open(options.password_file, encoding="utf-8") as file:
                password = file.readline().rstrip("\r\n")
        except (OSError, ValueError) as error:
            raise ServerError(f"--password-file: {error}") from error
    if not password:
        raise ServerError(f"--user {options.user} needs a password: give it in {where}")
    return {options.user: password}


if __name__ == "__main__":
    sys.exit(main())
