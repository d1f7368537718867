"""An AMQP 0-9-1 broker that behaves as RabbitMQ 3.10 does."""

from servicelab.servers.amqp.handle import Broker, start_broker
from servicelab.servers.amqp.remote import RemoteBroker

__all__ = ["Broker", "RemoteBroker", "start_broker"]
