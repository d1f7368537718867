"""A Redis on a socket of its own: fakeredis in this kernel, or the one that ``SERVICELAB_REDIS`` names.

fakeredis runs the commands of Redis in Python (https://github.com/cunla/fakeredis-py); it keeps nothing after its end.
``SERVICELAB_REDIS=host:port`` has :func:`start_redis` return a handle for a real one. Names in it get a prefix of their
own, another each time, and :meth:`stop` deletes what has it, and nothing else.
"""

import os
import secrets
import threading

import redis

from servicelab.lifecycle import Component, Server, ServerError, join


class FakeRedis(Server):
    """fakeredis behind a TCP port."""

    scheme = "redis"

    def own(self, name: str) -> str:
        """The key ``name``: nobody else is here."""
        return name

    def _open(self):
        from fakeredis import TcpFakeServer  # here: it takes a while, and only this needs it

        self._server = TcpFakeServer(("127.0.0.1", 0))
        serve = lambda: self._server.serve_forever(poll_interval=0.02)  # noqa: E731
        self._thread = threading.Thread(target=serve, name=f"servicelab {self.name}", daemon=True)
        self._thread.start()
        return self._server.server_address[1]

    def _close(self):
        self._server.shutdown()
        self._server.server_close()
        join([self._thread], 1.0)


class RemoteRedis(Component):
    """The Redis at ``address``, ``host:port``. Raises ServerError when the address is none, or nobody answers there."""

    def __init__(self, address: str, name: str = "redis"):
        super().__init__(name)
        host, _, port = address.rpartition(":")
        if not host or not port.isdigit():
            raise ServerError(f"SERVICELAB_REDIS={address!r} is no address: write '127.0.0.1:6379'")
        self.address, self.prefix = (host, int(port)), f"servicelab:{secrets.token_hex(4)}:"

    def own(self, name: str) -> str:
        """The key ``name``, with this handle's prefix."""
        return self.prefix + name

    def _open(self):
        self._client = redis.Redis(*self.address, retry=None, socket_timeout=5)
        try:
            self._client.ping()
        except redis.RedisError as error:
            where = "{}:{}".format(*self.address)
            raise ServerError(f"no Redis answers at {where} ({error}): start it, or unset SERVICELAB_REDIS") from error

    def _close(self):
        try:
            if mine := list(self._client.scan_iter(self.prefix + "*")):
                self._client.delete(*mine)
        except redis.RedisError:
            pass  # it has gone, and what it knew with it
        self._client.close()


def start_redis(name: str = "redis") -> FakeRedis | RemoteRedis:
    """A started Redis: ``.address``, ``.own(name)`` for keys, ``.stop()``."""
    address = os.environ.get("SERVICELAB_REDIS")
    return (RemoteRedis(address, name) if address else FakeRedis(name)).start()
