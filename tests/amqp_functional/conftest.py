"""Each broker is started once for all files of this folder, which one worker runs (tests/sharing.py)."""

from tests.amqp_brokers import broker, brokers, channel, connection, started_broker  # noqa: F401  # fixtures
