"""A proxy that makes a healthy service look ill.

Put :class:`FaultProxy` in front of any server, send the calls to the proxy, and add a *toxic*: the
bytes are then late, few, cut short or gone. The server behind it notices nothing of the setting.
Words and meanings are those of Toxiproxy (https://github.com/Shopify/toxiproxy), the tool that does
the same outside this course; only the units differ: seconds and bytes per second, not milliseconds
and kB/s.

    proxy = FaultProxy(inventory).start()
    proxy.add(Latency(0.2, jitter=0.05))        # or proxy.add("latency", latency=0.2, jitter=0.05)
    requests.get(proxy.url)                     # at least 0.15 s
    proxy.remove("latency")

In this room: ``toxics`` (each toxic: its settings and what it does to a piece of data; no socket
and no clock), ``pipe`` (a toxic at work on one direction of one connection), ``connection`` and ``side``
(the two sockets), ``proxy`` (listening, and changing the toxics). A new toxic is a class in ``toxics``
and its line in the table ``TOXICS`` there.
"""

from servicelab.faults.proxy import FaultProxy
from servicelab.faults.toxics import (
    TOXICS,
    Bandwidth,
    Down,
    Latency,
    LimitData,
    ResetPeer,
    Slicer,
    SlowClose,
    Timeout,
    Toxic,
)

__all__ = [
    "TOXICS",
    "Bandwidth",
    "Down",
    "FaultProxy",
    "Latency",
    "LimitData",
    "ResetPeer",
    "Slicer",
    "SlowClose",
    "Timeout",
    "Toxic",
]
