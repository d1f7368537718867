"""An AMQP 0-9-1 broker that behaves as RabbitMQ 3.10 does."""
