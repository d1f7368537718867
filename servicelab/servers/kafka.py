"""A Kafka cluster for a notebook: librdkafka's own mock cluster, on 127.0.0.1, ready in milliseconds.

    with kafka_cluster() as kafka:
        orders = kafka.topic("orders", partitions=6)
        producer = confluent_kafka.Producer(kafka.settings)

The mock cluster is the one with which librdkafka tests itself (``rdkafka_mock.h``); it is inside the wheel of
``confluent-kafka``, and is driven here through the functions which that library exports. It speaks Kafka's protocol on
real sockets, so any client and any process of this machine may use it: produce and fetch, topics, keys and partitions,
offsets and their commits, consumer groups with the classic protocol and with that of KIP-848, idempotent producers.

What it cannot do, and what is therefore not taught on it:

Retention by time, compaction
    It keeps 5 MB or 100 000 batches of messages a partition, whichever is reached first, and drops the oldest beyond
    that (``max_size`` and ``max_cnt`` in ``rdkafka_mock.c``). :meth:`KafkaCluster.forget` is retention by hand.
Transactions, as a consumer sees them
    A producer may begin and commit one, but ``read_committed`` reads what was aborted, too, and a producer that was
    replaced (fencing) is not kept out.
Replay by time
    ``offsets_for_times`` finds no offset by its time stamp. Replay by offset works.
Administration
    AdminClient's requests for topics, groups, records and settings find no controller and time out:
    :meth:`KafkaCluster.topic` makes a topic. It has no settings, and keeps its number of partitions. One that a
    producer writes to and that is not there is made, with 4. There is no user and no TLS, and nothing is written to a
    disk.
Groups
    Use ``"group.protocol": "consumer"`` (KIP-848): a member is in within a second or two, and one that has crashed is
    out after ``session_timeout``. A classic group begins at once (``group.initial.rebalance.delay.ms`` is 0 here), but
    when its last member has left, the next waits for ``session.timeout.ms`` less a second: set 1500, not the default.

``SERVICELAB_KAFKA=host:port`` has :func:`kafka_cluster` return a :class:`RemoteKafka`: the same cells on a real broker.

Close producers and consumers before the cluster (``with`` does): one that is left goes on looking for it.
"""

import ctypes
import functools
import os
from collections import Counter
from contextlib import contextmanager, suppress
from pathlib import Path

import confluent_kafka

from servicelab.arguments import positive, seconds, shown, whole
from servicelab.lifecycle import Server, ServerError
from servicelab.servers.kafka_remote import Clients, RemoteKafka, fresh, partitions_of

#: Requests by their names: the API keys of https://kafka.apache.org/protocol#protocol_api_keys.
REQUESTS = {
    "Produce": 0, "Fetch": 1, "ListOffsets": 2, "Metadata": 3, "OffsetCommit": 8, "OffsetFetch": 9,
    "FindCoordinator": 10, "JoinGroup": 11, "Heartbeat": 12, "LeaveGroup": 13, "SyncGroup": 14, "ApiVersions": 18,
    "InitProducerId": 22, "ConsumerGroupHeartbeat": 68,
}  # fmt: skip
MOST_BROKERS = 9
ALL = -1  # brokers, as the mock cluster names them

_P, _S, _N = ctypes.c_void_p, ctypes.c_char_p, ctypes.c_int
_KEY, _SIZE = ctypes.c_int16, ctypes.c_size_t
#: Functions of librdkafka: their result, then their arguments, as in rdkafka.h and rdkafka_mock.h.
FUNCTIONS = {
    "conf_new": (_P,), "conf_set": (_N, _P, _S, _S, _S, _SIZE), "conf_destroy": (None, _P), "err2str": (_S, _N),
    "new": (_P, _N, _P, _S, _SIZE), "destroy": (None, _P),
    "mock_cluster_new": (_P, _P, _N), "mock_cluster_destroy": (None, _P), "mock_cluster_bootstraps": (_S, _P),
    "mock_group_initial_rebalance_delay_ms": (None, _P, ctypes.c_int32),
    "mock_set_group_consumer_heartbeat_interval_ms": (None, _P, _N),
    "mock_set_group_consumer_session_timeout_ms": (None, _P, _N),
    "mock_topic_create": (_N, _P, _S, _N, _N),
    "mock_partition_delete_records": (_N, _P, _S, ctypes.c_int32, ctypes.c_int64),
    "mock_broker_set_down": (_N, _P, ctypes.c_int32), "mock_broker_set_up": (_N, _P, ctypes.c_int32),
    "mock_broker_set_rtt": (_N, _P, ctypes.c_int32, _N),
    "mock_push_request_errors_array": (None, _P, _KEY, _SIZE, ctypes.POINTER(_N)),
    "mock_clear_request_errors": (None, _P, _KEY),
    "mock_start_request_tracking": (None, _P), "mock_stop_request_tracking": (None, _P),
    "mock_get_requests": (ctypes.POINTER(_P), _P, ctypes.POINTER(_SIZE)),
    "mock_request_api_key": (_KEY, _P), "mock_request_destroy_array": (None, ctypes.POINTER(_P), _SIZE),
}  # fmt: skip


@functools.cache
def _library():
    """librdkafka, as confluent_kafka has loaded it, with the types of the functions that are used here.

    The functions are found through the extension module, into which some wheels link the library, and otherwise in
    the file that is delivered beside it. Raises ServerError when it has none: a build without the mock cluster.
    """
    beside = Path(confluent_kafka.__file__).parent.parent / "confluent_kafka.libs"
    for file in (confluent_kafka.cimpl.__file__, *map(str, beside.glob("*rdkafka*"))):
        with suppress(OSError, AttributeError):
            library = ctypes.CDLL(file)
            for name, (result, *arguments) in FUNCTIONS.items():
                function = getattr(library, f"rd_kafka_{name}")
                function.restype, function.argtypes = result, arguments
            return library
    raise ServerError("this confluent-kafka has no mock cluster: install its wheel (pip install confluent-kafka)")


class KafkaCluster(Clients, Server):
    """A cluster of ``brokers`` mock brokers on 127.0.0.1, as a server of the course. See the module for its limits.

    ``port`` and ``address`` are the first broker's, ``bootstrap`` names all. ``session_timeout`` (seconds) is how long
    a member of a KIP-848 group may be silent; it sends a heartbeat ten times as often. Shorter than a real broker's, so
    that a notebook need not wait. In a process of its own: ``ServerProcess(KafkaCluster, "kafka")``, whose ``target``
    is the ``bootstrap``.

    Raises :class:`~servicelab.lifecycle.ServerError` when it does not run, for a topic, partition or broker that is not
    there, and when the library has no mock cluster; TypeError or ValueError for an argument out of range.
    """

    scheme = "kafka"

    def __init__(self, name: str = "kafka", *, brokers: int = 1, session_timeout: float = 2.0, lane: str | None = None):
        super().__init__(name, 0, lane)
        self.brokers = whole("brokers", brokers, most=MOST_BROKERS)
        self.session_timeout = positive("session_timeout", session_timeout, "seconds")
        self._cluster = self._client = None
        self._partitions: dict[str, int] = {}

    @property
    def bootstrap(self) -> str:
        """The addresses of the brokers, as the setting ``bootstrap.servers`` wants them."""
        return _library().rd_kafka_mock_cluster_bootstraps(self._running()).decode()

    # -- topics -------------------------------------------------------------------------------

    def topic(self, name: str, partitions: int = 1) -> str:
        """A new, empty topic; returns its name, which is ``name``, or ``name-2`` … if there has been one before.

        So a cell that is run again begins with a log that nobody has read.
        """
        partitions = partitions_of(partitions)
        name = fresh(name, self._partitions)
        self._do("topic_create", name.encode(), partitions, min(self.brokers, 3), what=f"topic {name!r}")
        self._partitions[name] = partitions
        return name

    def forget(self, topic: str, before: int, partition: int = 0) -> None:
        """Drop the records of a partition below the offset ``before``, as retention does at a real broker.

        Raises ServerError for an offset beyond the end.
        """
        whole("partition", partition, least=0, most=self._known(topic) - 1)
        end = self.watermarks(topic)[partition][1]
        if whole("before", before, least=0) > end:
            raise ServerError(f"before={before} is beyond the end of {topic!r} [{partition}], which is {end}")
        self._do("partition_delete_records", topic.encode(), partition, before, what=f"topic {topic!r}")

    # -- faults -------------------------------------------------------------------------------

    def down(self, broker: int | None = None) -> None:
        """Cut the connections of ``broker`` (1, 2 …; None: of all), and accept none until :meth:`up`.

        What it keeps, it keeps. Leaders stay where they are: nobody takes its partitions over.
        """
        self._do("broker_set_down", self._broker(broker), what=f"broker {broker}")

    def up(self, broker: int | None = None) -> None:
        """Let ``broker``, or all, accept connections again."""
        self._do("broker_set_up", self._broker(broker), what=f"broker {broker}")

    def slow(self, delay: float, broker: int | None = None) -> None:
        """Have ``broker``, or all, answer each request ``delay`` seconds later; 0 ends it."""
        delay = seconds("delay", delay)
        self._do("broker_set_rtt", self._broker(broker), round(delay * 1000), what=f"broker {broker}")

    def fail(self, request: str, *errors: int) -> None:
        """Answer the next requests of this name (:data:`REQUESTS`) with ``errors``, one each; none takes back the rest.

        Errors are the numbers of ``confluent_kafka.KafkaError``, such as ``KafkaError.NOT_LEADER_FOR_PARTITION``;
        ``KafkaError._TRANSPORT`` cuts the connection.
        """
        if request not in REQUESTS:
            raise ServerError(f"request={shown(request)} is no request that fails here: {', '.join(REQUESTS)} are")
        codes = [whole("error", code, least=-200, most=200) for code in errors]
        library, key = _library(), REQUESTS[request]
        if codes:
            array = (ctypes.c_int * len(codes))(*codes)
            library.rd_kafka_mock_push_request_errors_array(self._running(), key, len(codes), array)
        else:
            library.rd_kafka_mock_clear_request_errors(self._running(), key)

    @contextmanager
    def counting(self):
        """Within the ``with`` block, count the requests: a Counter of names (or API keys), filled at its end."""
        library, counts, size = _library(), Counter(), ctypes.c_size_t()
        library.rd_kafka_mock_start_request_tracking(self._running())
        try:
            yield counts
        finally:
            if self._cluster:  # stop_request_tracking forgets what it has
                found = library.rd_kafka_mock_get_requests(self._cluster, ctypes.byref(size))
                library.rd_kafka_mock_stop_request_tracking(self._cluster)
                names = {key: name for name, key in REQUESTS.items()}
                keys = [library.rd_kafka_mock_request_api_key(found[place]) for place in range(size.value)]
                counts.update(names.get(key, key) for key in keys)
                if keys:
                    library.rd_kafka_mock_request_destroy_array(found, size)

    # -- its life -----------------------------------------------------------------------------

    def _open(self):
        library, why = _library(), ctypes.create_string_buffer(512)
        settings = library.rd_kafka_conf_new()
        library.rd_kafka_conf_set(settings, b"log_level", b"0", why, len(why))
        self._client = library.rd_kafka_new(0, settings, why, len(why))
        if not self._client:
            library.rd_kafka_conf_destroy(settings)
            raise ServerError(f"{self.name}: librdkafka could not begin: {why.value.decode()}")
        self._cluster = library.rd_kafka_mock_cluster_new(self._client, self.brokers)
        if not self._cluster:
            raise ServerError(f"{self.name}: librdkafka could not start {self.brokers} mock brokers")
        library.rd_kafka_mock_group_initial_rebalance_delay_ms(self._cluster, 0)
        silent = max(10, round(min(self.session_timeout, 3600) * 1000))
        library.rd_kafka_mock_set_group_consumer_session_timeout_ms(self._cluster, silent)
        library.rd_kafka_mock_set_group_consumer_heartbeat_interval_ms(self._cluster, silent // 10)
        first = library.rd_kafka_mock_cluster_bootstraps(self._cluster).decode().split(",")[0]
        self._partitions = {}
        return int(first.rpartition(":")[2])

    def _close(self):
        cluster, self._cluster = self._cluster, None
        if cluster:
            _library().rd_kafka_mock_cluster_destroy(cluster)
        client, self._client = self._client, None
        if client:
            _library().rd_kafka_destroy(client)

    # -- inside -------------------------------------------------------------------------------

    def _running(self):
        if not self._cluster:
            raise ServerError(f"{self.name} is not running: call .start() first")
        return self._cluster

    def _do(self, function, *arguments, what):
        code = getattr(_library(), f"rd_kafka_mock_{function}")(self._running(), *arguments)
        if code:
            raise ServerError(f"{self.name}: {what}: {_library().rd_kafka_err2str(code).decode()}")

    def _known(self, topic):
        """The number of partitions of a topic that :meth:`topic` has made."""
        if topic not in self._partitions:
            known = ", ".join(self._partitions) or "none yet"
            raise ServerError(f"topic={shown(topic)} is none that {self.name}.topic(…) has made: {known}")
        return self._partitions[topic]

    def _broker(self, broker):
        return ALL if broker is None else whole("broker", broker, most=self.brokers)


def kafka_cluster(name: str = "kafka", **options) -> KafkaCluster | RemoteKafka:
    """A started :class:`KafkaCluster` with these ``options``; where SERVICELAB_KAFKA names a Kafka, a handle for that
    (:class:`RemoteKafka`), which has its own number of brokers."""
    cluster = KafkaCluster(name, **options)  # also refuses what would only be refused without the variable
    bootstrap = os.environ.get("SERVICELAB_KAFKA")
    return RemoteKafka(bootstrap, name, lane=cluster.lane).start() if bootstrap else cluster.start()
