"""An AMQP 0-9-1 broker that behaves as RabbitMQ 3.10 does, for any client library.

The core is plain logic: ``core`` (the virtual host), ``exchanges``, ``routing``, ``queues``, ``backlog``,
``consumers``, ``deadletter``, ``channel``, ``confirms``, ``outstanding``, ``replies``. Around it lie the protocol
(``stream``, ``connection``, ``handshake``, ``port``, ``methods``, ``wire``, ``tables``), the asyncio ``server``, and
what keeps things on disk (``journal``, ``store``). ``start_broker`` runs it in the kernel or in a child process.

The same functional tests run on it and on RabbitMQ 3.10.8, with four client libraries. What is known to differ:

Not there, because one broker on one machine does not need it
    Virtual hosts besides "/", permissions, policies, TLS, plugins, the management interface, clusters. Users are a
    dict; every one may do everything. A quorum queue has one replica. Streams are refused with 540. There is no disk
    alarm, and no time limit on acknowledgements (RabbitMQ closes a channel after 30 minutes; from 4.3 on it does so
    only for quorum queues).
    ``x-queue-mode``, ``x-queue-version``, ``x-queue-master-locator``, ``x-max-in-memory-*`` and
    ``x-quorum-initial-group-size`` are accepted and change nothing: all messages are in memory, durable ones in the
    file, too.
Memory
    RabbitMQ weighs its process; here it is the bodies plus 256 bytes for each message in each queue, because a kernel
    holds more than a broker. The message that goes over the limit is taken, and its publisher blocked at once. The
    alarm ends when 10% is free again, lest it should flicker.
What a killed broker has lost
    Promised is: what was declared, confirmed or committed is there. A persistent message in a durable queue that nobody
    asked a confirm for, and the acknowledgement of one, are on disk up to 200 ms later, as in RabbitMQ's classic
    queues: a kill before that loses the message, and brings the acknowledged one back. An orderly stop loses nothing.
    A confirm writes all that came before it; in RabbitMQ, what came to the same queue. Its quorum queues write within
    some ms; ours are as late as the others.
After a restart
    Every message that comes back from a crash says ``redelivered``, as in RabbitMQ's classic queues; of its quorum
    queues RabbitMQ knows more. The same holds after an orderly stop with more than 100 000 messages that had been
    delivered before. The flag says "perhaps": it is never wrong.
Transactions
    What Tx.Commit commits is on disk as a whole or not at all, and so is a dead letter with the end of its original.
    RabbitMQ promises that for one queue only. What a commit gives back may be delivered before Tx.CommitOk; there,
    after it.
Quorum queues
    ``x-dead-letter-strategy`` is accepted; a dead letter is on disk before its original leaves, but a full queue with
    ``reject-publish`` drops it.
What it says of itself
    ``product`` is Servicelab, and there is no ``cluster_name`` nor ``copyright``. It listens on 127.0.0.1 alone: a
    client that tries nothing but ::1 does not find it.
Errors
    A class or method that AMQP does not have is answered with 503; RabbitMQ closes the socket without a word. Names
    must be UTF-8 (else 502). ``x-queue-master-locator`` with a wrong value is 541 there and ignored here, a decimal
    argument 541 there and 406 here. RabbitMQ's texts quote frames, tables and numbers as Erlang terms ("2.0e3"); ours
    say less of frames, and write the others as Python does ("2000.0"). A body that is too large is refused when its
    header says so, not after it has come. After bytes that are no frame, RabbitMQ closes the socket within 3 s; here
    they are read and thrown away as after any other Connection.Close, for 30 s and 256 MiB at most.
Tables
    When a dead letter's headers change, they keep their order; RabbitMQ sorts them by name. Both mean the same.
"""

from importlib import import_module

# Imported when they are asked for: the child process of a broker needs neither its handle nor pika.
_HOMES = {"Broker": "handle", "RemoteBroker": "remote", "start_broker": "handle"}

__all__ = ["Broker", "RemoteBroker", "start_broker"]


def __getattr__(name):
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
