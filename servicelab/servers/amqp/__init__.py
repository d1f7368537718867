"""An AMQP 0-9-1 broker that behaves as RabbitMQ 3.10 does."""

from importlib import import_module

# Imported when they are asked for: the child process of a broker needs neither its handle nor pika.
_HOMES = {"Broker": "handle", "RemoteBroker": "remote", "start_broker": "handle"}

__all__ = ["Broker", "RemoteBroker", "start_broker"]


def __getattr__(name):
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
