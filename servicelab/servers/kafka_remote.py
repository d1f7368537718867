"""A Kafka that somebody else runs, with the words of the one in the kernel; and what clients need of either."""

import atexit
import itertools
import re
import secrets
from contextlib import contextmanager, suppress

from confluent_kafka import Consumer, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

from servicelab.arguments import shown, text, whole
from servicelab.lifecycle import ServerError

ANSWER_LIMIT = 5.0  # seconds
MOST_PARTITIONS = 128  # a kernel has better things to do than to serve more


class Clients:
    """What clients of a cluster need, on the mock and on a real one: a subclass knows ``bootstrap``."""

    @property
    def settings(self) -> dict:
        """A new dict for ``Producer(…)`` and ``Consumer({**kafka.settings, "group.id": …})``.

        Logs are off: librdkafka writes them to stderr from threads of its own.
        """
        return {"bootstrap.servers": self.bootstrap, "log_level": 0}

    def watermarks(self, topic: str) -> list[tuple[int, int]]:
        """``(first, end)`` for each partition: the oldest offset that is still there, and the one that comes next."""
        with self._looking(topic) as (consumer, partitions):
            return [consumer.get_watermark_offsets(one, timeout=ANSWER_LIMIT) for one in partitions]

    def committed(self, topic: str, group: str) -> list[int | None]:
        """For each partition the offset from which ``group`` would go on; None where it has committed none."""
        with self._looking(topic, group) as (consumer, partitions):
            found = consumer.committed(partitions, timeout=ANSWER_LIMIT)
        return [one.offset if one.offset >= 0 else None for one in found]

    @contextmanager
    def _looking(self, topic, group="servicelab-looks"):
        # Neither of the two joins the group. The topic must be there: a real broker may make one that is asked for.
        with Consumer({**self.settings, "group.id": group, "allow.auto.create.topics": False}) as consumer:
            try:
                known = consumer.list_topics(text("topic", topic), timeout=ANSWER_LIMIT).topics[topic]
                if known.error is not None:
                    raise KafkaException(known.error)
                yield consumer, [TopicPartition(topic, number) for number in sorted(known.partitions)]
            except KafkaException as error:
                raise ServerError(f"{self.name}: topic {topic!r}: {error.args[0].str()}") from error


class RemoteKafka(Clients):
    """The Kafka at ``bootstrap`` (``host:port``, several with commas), in the words of :class:`KafkaCluster`.

    Its topics get a prefix of their own, another one each time, and :meth:`stop` deletes them and nothing else; the end
    of the kernel does so, too. Groups have no prefix: committed offsets belong to a group *and* a topic. It is not ours
    to break: what only a mock broker does raises :class:`~servicelab.lifecycle.ServerError`, as does an address at
    which no Kafka answers.
    """

    def __init__(self, bootstrap: str, name: str = "kafka", *, lane: str | None = None):
        for one in bootstrap.split(","):
            host, _, port = one.strip().rpartition(":")
            if not host or not port.isdigit() or not 0 < int(port) < 65536:
                raise ServerError(f"SERVICELAB_KAFKA={bootstrap!r} is no address: write '127.0.0.1:9092'")
        self.bootstrap, self.name, self.lane = bootstrap, name, lane or name
        self._begin_anew()

    @property
    def is_running(self) -> bool:
        with suppress(KafkaException), AdminClient(self.settings) as admin:
            return bool(admin.list_topics(timeout=ANSWER_LIMIT).brokers)
        return False

    def start(self):
        """See that it answers; returns self. It is not started: that is for whoever runs it."""
        if not self.is_running:
            raise ServerError(
                f"no Kafka answers at {self.bootstrap} within {ANSWER_LIMIT:g} s: start it, or unset SERVICELAB_KAFKA "
                "to use the cluster in the kernel"
            )
        atexit.register(self.stop)  # a kernel may end without a clean-up
        return self

    def topic(self, name: str, partitions: int = 1) -> str:
        """A new, empty topic with this name behind a prefix; returns the whole. See :meth:`KafkaCluster.topic`."""
        partitions = partitions_of(partitions)
        name = fresh(name, self._partitions, self._prefix)
        new = NewTopic(name, partitions)
        self._ask(f"topic {name!r}", lambda admin: admin.create_topics([new], operation_timeout=ANSWER_LIMIT))
        self._partitions[name] = partitions
        return name

    def forget(self, topic: str, before: int, partition: int = 0) -> None:
        """Drop the records of a partition below the offset ``before``."""
        if topic not in self._partitions:
            raise ServerError(f"topic={shown(topic)} is none that {self.name}.topic(…) has made: it is not ours")
        whole("partition", partition, least=0, most=self._partitions[topic] - 1)
        end = TopicPartition(topic, partition, whole("before", before, least=0))
        self._ask(f"{topic!r} [{partition}]", lambda admin: admin.delete_records([end]))

    def stop(self) -> None:
        """Delete the topics that :meth:`topic` has made, if it answers. It is not ours to stop."""
        atexit.unregister(self.stop)
        topics = list(self._partitions)
        self._begin_anew()
        with suppress(ServerError):
            if topics:
                self._ask("topics", lambda admin: admin.delete_topics(topics, operation_timeout=ANSWER_LIMIT))

    def down(self, *_, **__):
        raise ServerError(f"{self.name} is a Kafka of yours: only the mock cluster is broken, slowed or counted here")

    up = slow = fail = counting = down

    def __enter__(self):
        return self.start()

    def __exit__(self, *error):
        self.stop()

    def __repr__(self):
        return f"<{self.name}, a Kafka at {self.bootstrap}>"

    def _begin_anew(self):
        self._prefix, self._partitions = f"servicelab-{secrets.token_hex(4)}.", {}

    def _ask(self, what, request):
        try:
            with AdminClient(self.settings) as admin:
                for future in request(admin).values():
                    future.result(2 * ANSWER_LIMIT)
        except (KafkaException, TimeoutError) as error:
            raise ServerError(f"{self.name}: {what}: {error or 'no answer'}") from error


def partitions_of(number) -> int:
    """A number of partitions that a topic may have here."""
    return whole("partitions", number, most=MOST_PARTITIONS)


def fresh(name: str, used, prefix="") -> str:
    """``prefix`` and ``name``, or ``name-2``, ``name-3`` …: the first that is not in ``used``.

    Raises ValueError for what Kafka takes for no topic's name.
    """
    if not re.fullmatch(r"[\w.-]{1,200}", text("name", name), re.ASCII):
        raise ValueError(f"name={shown(name)} must be of letters, digits, '.', '_' and '-', at most 200: 'orders'")
    name = prefix + name
    names = itertools.chain([name], (f"{name}-{number}" for number in itertools.count(2)))
    return next(one for one in names if one not in used)
