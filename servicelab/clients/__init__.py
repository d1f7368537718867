"""Callers of real servers: a session that stamps what it sees, policies around what makes the calls, load.

| module           | subject |
|---|---|
| session          | a ``requests`` session that stamps its calls, and the bridge from a session to the policies |
| adapters         | one policy around a session, a gRPC channel, a function, in one line |
| rpc              | the gRPC part of it |
| deadline         | a session that hands down the time its caller has left |
| adapter_stack    | the order of what is put around a session |
| errors           | what a call raises that its policy has ended |
| balanced         | one of several servers each time, as a balancer says |
| load             | open and closed loops of real requests |
| sse              | server-sent events: a parser and one open stream |
| streams          | readers of streams that break and go on where they stopped |
| tracing          | gRPC channels and Socket.IO clients that stamp what they say and hear |
| feed_readers     | one feed six ways: readers, what an event and an idle connection cost |
| amqp             | pika's connection with stamps, a consumer in a thread |
| discovery        | a resolver: whom to call, from a registry or a name server, with a policy that says when |
| telemetry        | OpenTelemetry: spans in memory, as one of our traces; libraries that are let go again |
| instance_sources | how a registry (Consul's HTTP API) and a name server (SRV) are asked |
"""

from servicelab.clients.adapters import guard, guard_channel, guard_session
from servicelab.clients.balanced import Balanced
from servicelab.clients.deadline import propagated
from servicelab.clients.errors import CallFailed, DeadlineExceeded, RequestFailed
from servicelab.clients.load import Sample, Samples, closed_loop, open_loop
from servicelab.clients.session import attempt, traced

__all__ = [
    "Balanced",
    "CallFailed",
    "DeadlineExceeded",
    "RequestFailed",
    "Sample",
    "Samples",
    "attempt",
    "closed_loop",
    "guard",
    "guard_channel",
    "guard_session",
    "open_loop",
    "propagated",
    "traced",
]
