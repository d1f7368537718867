"""A registry of our own, or a real Consul: the same cells run on either."""

import os
from urllib.parse import urlsplit

from servicelab.leases import TTLExpiry
from servicelab.lifecycle import ServerError, is_listening
from servicelab.servers.registry.server import Registry
from servicelab.trace import Trace

VARIABLE = "CONSUL_HTTP_ADDR"


def start_registry(
    name: str = "registry", *, trace: Trace | None = None, port: int = 0, seed: int = 0,
    eviction: TTLExpiry | None = None, lane: str | None = None,
) -> "Registry | RealConsul":  # fmt: skip
    """A started :class:`Registry`, or the Consul at the address in the environment variable ``CONSUL_HTTP_ADDR``.

    The arguments are those of :class:`Registry`. A real Consul stamps nothing, runs where it runs, and evicts as it
    does: ``trace``, ``port`` and ``seed`` mean nothing to it, and another ``eviction`` than TTL expiry is refused.
    Raises ServerError, also when nothing answers at that address.
    """
    address = os.environ.get(VARIABLE)
    if not address:
        return Registry(name, trace=trace, port=port, seed=seed, eviction=eviction, lane=lane).start()
    if eviction is not None and type(eviction) is not TTLExpiry:
        raise ServerError(f"eviction={eviction!r}: the Consul at {VARIABLE}={address!r} knows TTL expiry only. "
                          f"Unset {VARIABLE} to run this on the registry in the kernel.")  # fmt: skip
    return RealConsul(address, name, lane=lane)


class RealConsul:
    """A Consul that runs elsewhere. It has the address, and none of the powers, of a :class:`Registry`."""

    is_running = True

    def __init__(self, address: str, name: str = "registry", lane: str | None = None):
        mend = f"set {VARIABLE} to host:port or http://host:port, or unset it"
        parts = urlsplit(address if "//" in address else f"//{address}")
        try:
            self.host, self.port = parts.hostname, parts.port or 8500
        except ValueError:
            self.host = None
        if not self.host or parts.scheme not in ("", "http", "https"):
            raise ServerError(f"{VARIABLE}={address!r} is no address of a Consul: {mend}")
        self.name, self.lane, self.scheme = name, lane or name, parts.scheme or "http"
        if self.host in ("127.0.0.1", "localhost") and not is_listening(self.port):
            raise ServerError(f"nothing answers at {VARIABLE}={address!r}: start Consul there, or unset it")

    @property
    def address(self) -> tuple[str, int]:
        return self.host, self.port

    @property
    def url(self) -> str:
        return f"{self.scheme}://{self.host}:{self.port}"

    def start(self):
        return self

    def stop(self) -> None:
        """It is not ours to stop."""

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.stop()

    def __repr__(self):
        return f"<{self.name}: the Consul at {self.url}>"

    def _cannot(self, *args, **kwargs):
        raise ServerError(
            f"{self.name} is a real Consul at {self.url}, which runs elsewhere: it can be asked, and not killed, "
            f"paused or looked into from here. Unset {VARIABLE} to run this cell on the registry in the kernel, or "
            "put a FaultProxy in front."
        )

    kill = restart = pause = resume = ask = instances = table = _cannot
