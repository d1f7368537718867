"""The Kafka cluster in the kernel, with stock clients; and the handle for one that somebody else runs."""

import os
import subprocess
import sys
import time
from concurrent.futures import Future

import pytest
from confluent_kafka import Consumer, KafkaError, KafkaException, Producer, TopicPartition

from servicelab.lifecycle import ServerError, is_listening, running, stop_all
from servicelab.servers import ServerProcess, kafka, kafka_remote
from servicelab.servers.kafka import KafkaCluster, RemoteKafka, kafka_cluster

pytestmark = pytest.mark.usefixtures("nothing_is_left")


@pytest.fixture
def cluster(monkeypatch):
    monkeypatch.delenv("SERVICELAB_KAFKA", raising=False)
    with kafka_cluster() as started:
        yield started


def put(kafka, topic, *values, key=None, partition=None, **settings):
    """Produce ``values``, each in a batch of its own; returns what went wrong with each."""
    errors = []
    with Producer({**kafka.settings, "linger.ms": 0, **settings}) as producer:
        for value in values:
            where = {} if partition is None else {"partition": partition}
            producer.produce(topic, value, key, on_delivery=lambda error, _: errors.append(error), **where)
            producer.flush(20)
    return errors


def read(kafka, topic, count, group="readers", limit=20.0, **settings):
    """The first ``count`` messages that a new member of ``group`` gets, which then commits and leaves."""
    got, end = [], time.monotonic() + limit
    ours = {"group.id": group, "group.protocol": "consumer", "auto.offset.reset": "earliest"}
    with Consumer({**kafka.settings, **ours, "enable.auto.commit": False, **settings}) as consumer:
        consumer.subscribe([topic])
        while len(got) < count:
            assert time.monotonic() < end, f"only {len(got)} of {count} came"
            message = consumer.poll(0.1)
            if message is not None and message.error() is None:
                got.append(message)
        if got:
            consumer.commit(got[-1], asynchronous=False)
    return got


# -- its life -----------------------------------------------------------------------------------


def test_it_starts_once_answers_and_is_gone(monkeypatch, capsys):
    monkeypatch.delenv("SERVICELAB_KAFKA", raising=False)
    first = kafka_cluster()
    port = first.port
    assert first.bootstrap == f"127.0.0.1:{port}" and is_listening(port) and first.start() is first
    second = kafka_cluster()  # its cell is run again
    assert f"kafka: replaced the one that ran on port {port}" in capsys.readouterr().out
    assert not first.is_running and not is_listening(port)
    assert [row[1] for row in running()] == ["KafkaCluster"]
    assert stop_all() == 1 and not second.is_running
    second.stop()


def test_what_needs_a_running_cluster_says_so():
    stopped = KafkaCluster()
    for ask in (
        lambda: stopped.bootstrap,
        lambda: stopped.topic("orders"),
        stopped.down,
        lambda: stopped.watermarks("x"),
    ):
        with pytest.raises(ServerError, match="kafka is not running: call .start"):
            ask()


def test_it_starts_again_after_a_stop_and_has_forgotten(cluster):
    topic = cluster.topic("orders")
    put(cluster, topic, b"1")
    cluster.stop()
    cluster.start()
    assert cluster.topic("orders") == "orders"
    assert cluster.watermarks("orders") == [(0, 0)]


def test_several_brokers_are_found_through_one(cluster):
    with KafkaCluster("three", brokers=3) as three:
        one = {**three.settings, "bootstrap.servers": three.bootstrap.split(",")[1]}
        with Producer(one) as producer:
            assert len(producer.list_topics(timeout=10).brokers) == 3
        assert len(set(three.bootstrap.split(","))) == 3


def test_another_process_reads_it(cluster):
    topic = cluster.topic("orders")
    put(cluster, topic, b"from the kernel")
    code = """
import sys
from confluent_kafka import Consumer, TopicPartition
with Consumer({"bootstrap.servers": sys.argv[1], "group.id": "child", "log_level": 0}) as consumer:
    consumer.assign([TopicPartition(sys.argv[2], 0, 0)])
    print(consumer.poll(20).value().decode())
"""
    done = subprocess.run([sys.executable, "-c", code, cluster.bootstrap, topic], capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("from the kernel\n", "")


def test_it_may_live_in_a_process_of_its_own(cluster):
    with ServerProcess(KafkaCluster, "far") as far, Producer({"bootstrap.servers": far.target, "log_level": 0}) as asks:
        assert far.pid != os.getpid()
        assert len(asks.list_topics(timeout=10).brokers) == 1


def test_a_library_without_a_mock_cluster_is_named(monkeypatch):
    kafka._library.cache_clear()
    monkeypatch.setitem(kafka.FUNCTIONS, "mock_of_tomorrow", (None,))
    with pytest.raises(ServerError, match="no mock cluster: install its wheel"):
        KafkaCluster().start()
    monkeypatch.undo()
    kafka._library.cache_clear()


# -- topics -------------------------------------------------------------------------------------


def test_a_topic_has_its_partitions_and_is_new_each_time(cluster):
    assert [cluster.topic("orders", 6), cluster.topic("orders", 2), cluster.topic("pay")] == [
        "orders",
        "orders-2",
        "pay",
    ]
    assert [len(cluster.watermarks(topic)) for topic in ("orders", "orders-2", "pay")] == [6, 2, 1]


def test_keys_values_and_order_come_through(cluster):
    topic = cluster.topic("orders", 3)
    put(cluster, topic, *(b"%d" % n for n in range(5)), key=b"k")
    got = read(cluster, topic, 5)
    assert [message.value() for message in got] == [b"%d" % n for n in range(5)]
    assert len({message.partition() for message in got}) == 1 and {message.key() for message in got} == {b"k"}


def test_a_group_goes_on_where_it_has_committed(cluster):
    topic = cluster.topic("orders", 2)
    put(cluster, topic, b"1", b"2", b"3", partition=1)
    assert cluster.committed(topic, "readers") == [None, None]
    read(cluster, topic, 2)
    assert cluster.committed(topic, "readers") == [None, 2]
    assert [message.offset() for message in read(cluster, topic, 1)] == [2]


def test_a_member_that_dies_is_out_of_its_group(cluster):
    topic = cluster.topic("orders")
    put(cluster, topic, b"1", b"2")
    code = """
import os, sys
from confluent_kafka import Consumer
consumer = Consumer({"bootstrap.servers": sys.argv[1], "group.id": "readers", "group.protocol": "consumer",
                     "auto.offset.reset": "earliest", "log_level": 0})
consumer.subscribe([sys.argv[2]])
os._exit(len(consumer.poll(20).value()))
"""
    assert subprocess.run([sys.executable, "-c", code, cluster.bootstrap, topic]).returncode == 1
    assert [message.value() for message in read(cluster, topic, 2)] == [b"1", b"2"]


def test_what_is_forgotten_is_gone_and_the_rest_is_there(cluster):
    topic = cluster.topic("orders", 2)
    put(cluster, topic, *(b"%d" % n for n in range(10)), partition=1)
    cluster.forget(topic, before=7, partition=1)
    assert cluster.watermarks(topic) == [(0, 0), (7, 10)]
    assert [message.value() for message in read(cluster, topic, 3)] == [b"7", b"8", b"9"]


def test_it_keeps_five_megabytes_a_partition(cluster):
    topic = cluster.topic("orders")
    put(cluster, topic, *[bytes(100_000)] * 60)
    ((first, end),) = cluster.watermarks(topic)
    assert end == 60 and 5e6 < (end - first) * 100_000 <= 5 * 2**20 + 100_000


WRONG = [
    (lambda k: k.topic("a b"), ValueError, "letters, digits"),
    (lambda k: k.topic("orders", 0), ValueError, "partitions=0 must be a whole number from 1 to 128"),
    (lambda k: k.topic(7), TypeError, "name=7"),
    (lambda k: k.watermarks("nowhere"), ServerError, "'nowhere': Broker: Unknown topic or partition"),
    (lambda k: k.committed("nowhere", "g"), ServerError, "'nowhere'"),
    (lambda k: k.forget("nowhere", 1), ServerError, "'nowhere' is none that kafka.topic"),
    (lambda k: k.forget("known", 9), ServerError, r"before=9 is beyond the end of 'known' \[0\], which is 0"),
    (lambda k: k.forget("known", -1), ValueError, "before=-1"),
    (lambda k: k.forget("known", 0, 1), ValueError, "partition=1 must be a whole number from 0 to 0"),
    (lambda k: k.down(2), ValueError, "broker=2"),
    (lambda k: k.slow(-1), ValueError, "delay=-1 must be >= 0 seconds"),
    (lambda k: k.fail("Fetsch", 1), ServerError, "request='Fetsch' is no request .*Fetch"),
    (lambda k: k.fail("Fetch", "broken"), TypeError, "error='broken'"),
    (lambda k: KafkaCluster(brokers=0), ValueError, "brokers=0 must be a whole number from 1 to 9"),
    (lambda k: KafkaCluster(session_timeout=0), ValueError, "session_timeout=0 must be > 0 seconds"),
]


@pytest.mark.parametrize(("wrong", "kind", "said"), WRONG, ids=[said for *_, said in WRONG])
def test_what_cannot_work_is_refused_by_name(cluster, wrong, kind, said):
    cluster.topic("known")
    with pytest.raises(kind, match=said):
        wrong(cluster)


# -- faults -------------------------------------------------------------------------------------


def test_a_broker_that_is_down_keeps_what_it_has(cluster):
    topic = cluster.topic("orders")
    put(cluster, topic, b"before")
    cluster.down()
    assert not is_listening(cluster.port)
    (error,) = put(cluster, topic, b"meanwhile", **{"message.timeout.ms": 300})
    assert error.code() == KafkaError._MSG_TIMED_OUT
    cluster.up()
    put(cluster, topic, b"after")
    assert [message.value() for message in read(cluster, topic, 2)] == [b"before", b"after"]


def test_a_slow_broker_answers_later(cluster):
    def took(request):
        begin = time.perf_counter()
        request()
        return time.perf_counter() - begin

    topic = cluster.topic("orders")
    cluster.slow(0.2)
    assert took(lambda: put(cluster, topic, b"1")) >= 0.2
    cluster.slow(0)
    # A machine that stands still is slow once, not five times.
    assert min(took(lambda: put(cluster, topic, b"1")) for _ in range(5)) < 0.2


def test_requests_fail_as_often_as_they_were_told(cluster):
    topic = cluster.topic("orders")
    cluster.fail("Produce", *[KafkaError.MSG_SIZE_TOO_LARGE] * 2)
    codes = [error and error.code() for error in put(cluster, topic, b"1", b"2", b"3")]
    assert codes == [KafkaError.MSG_SIZE_TOO_LARGE] * 2 + [None]
    cluster.fail("Produce", KafkaError.MSG_SIZE_TOO_LARGE)
    cluster.fail("Produce")
    assert put(cluster, topic, b"4") == [None]
    assert cluster.watermarks(topic) == [(0, 2)]


def test_requests_are_counted_by_name(cluster):
    topic = cluster.topic("orders")
    with cluster.counting() as one_by_one:
        put(cluster, topic, *[b"x"] * 20)
    with cluster.counting() as counts, Producer({**cluster.settings, "linger.ms": 500}) as producer:
        for _ in range(20):
            producer.produce(topic, b"x")
        producer.flush(20)
    assert one_by_one["Produce"] == 20 and 1 <= counts["Produce"] < 5
    assert cluster.watermarks(topic) == [(0, 40)]


# -- what the docstring says that it cannot do --------------------------------------------------


def test_it_reads_what_was_aborted(cluster):
    """When this fails, the mock has learned it: say so in the docstring."""
    topic = cluster.topic("orders")
    with Producer({**cluster.settings, "transactional.id": "t"}) as producer:
        producer.init_transactions(20)
        producer.begin_transaction()
        producer.produce(topic, b"aborted")
        producer.flush(20)
        producer.abort_transaction(20)
    (got,) = read(cluster, topic, 1, **{"isolation.level": "read_committed"})
    assert got.value() == b"aborted"


def test_it_finds_no_offset_by_time(cluster):
    topic = cluster.topic("orders")
    put(cluster, topic, b"1")
    with Consumer({**cluster.settings, "group.id": "g"}) as consumer:
        (found,) = consumer.offsets_for_times([TopicPartition(topic, 0, 1)], timeout=20)
    assert found.offset == -1


# -- a Kafka of somebody else -------------------------------------------------------------------


class Admin:
    """Stands in for AdminClient, which the mock does not answer: does it to the mock by hand."""

    def __init__(self, cluster, done):
        self.cluster, self.done = cluster, done

    def __call__(self, settings):
        self.settings = settings
        return self

    def __enter__(self):
        return self

    def __exit__(self, *error):
        pass

    def list_topics(self, timeout):
        with Producer(self.settings) as producer:
            return producer.list_topics(timeout=timeout)

    def create_topics(self, topics, operation_timeout):
        return {
            one.topic: self.future(lambda one=one: self.cluster.topic(one.topic, one.num_partitions)) for one in topics
        }

    def delete_records(self, ends):
        return {
            one: self.future(lambda one=one: self.cluster.forget(one.topic, one.offset, one.partition)) for one in ends
        }

    def delete_topics(self, topics, operation_timeout):
        return {topic: self.future(lambda topic=topic: self.done.append(topic)) for topic in topics}

    def future(self, work):
        future = Future()
        try:
            future.set_result(work())
        except ServerError as error:
            future.set_exception(KafkaException(KafkaError(KafkaError.OFFSET_OUT_OF_RANGE, str(error))))
        return future


@pytest.fixture
def remote(cluster, monkeypatch):
    deleted = []
    monkeypatch.setattr(kafka_remote, "AdminClient", Admin(cluster, deleted))
    monkeypatch.setenv("SERVICELAB_KAFKA", cluster.bootstrap)
    with kafka_cluster("theirs") as started:
        started.deleted = deleted
        yield started


def test_the_variable_gives_a_handle_with_the_same_words(remote, cluster):
    assert isinstance(remote, RemoteKafka) and remote.settings == cluster.settings
    topic = remote.topic("orders", 2)
    assert topic.endswith(".orders") and remote.topic("orders").endswith(".orders-2")
    put(remote, topic, *(b"%d" % n for n in range(5)), partition=1)
    remote.forget(topic, 3, partition=1)
    assert remote.watermarks(topic) == [(0, 0), (3, 5)]
    assert [message.value() for message in read(remote, topic, 2)] == [b"3", b"4"]
    assert remote.committed(topic, "readers") == [None, 5]


def test_it_deletes_its_own_topics_and_is_not_stopped(remote, cluster):
    names = [remote.topic("orders"), remote.topic("pay")]
    remote.stop()
    assert remote.deleted == names
    remote.stop()
    assert remote.deleted == names and cluster.is_running and remote.is_running
    assert remote.topic("orders") not in names


def test_what_is_not_ours_is_left_alone(remote, cluster):
    theirs = cluster.topic("theirs")
    for breaks in (remote.down, remote.up, lambda: remote.slow(1), lambda: remote.fail("Fetch"), remote.counting):
        with pytest.raises(ServerError, match="theirs is a Kafka of yours"):
            breaks()
    with pytest.raises(ServerError, match="'theirs' is none that theirs.topic"):
        remote.forget(theirs, 0)
    with pytest.raises(ServerError, match="beyond the end"):
        remote.forget(remote.topic("orders"), 1)


@pytest.mark.parametrize("wrong", ["kafka", ":9092", "127.0.0.1:", "127.0.0.1:99999", "one:1,two"])
def test_an_address_that_is_none_is_refused(monkeypatch, wrong):
    monkeypatch.setenv("SERVICELAB_KAFKA", wrong)
    with pytest.raises(ServerError, match="is no address: write '127.0.0.1:9092'"):
        kafka_cluster()


def test_an_address_where_no_kafka_answers_is_named(monkeypatch, cluster):
    monkeypatch.setattr(kafka_remote, "ANSWER_LIMIT", 0.3)
    monkeypatch.setenv("SERVICELAB_KAFKA", cluster.bootstrap)
    cluster.down()
    with pytest.raises(ServerError, match=f"no Kafka answers at {cluster.bootstrap} within 0.3 s"):
        kafka_cluster("theirs")


def test_options_are_refused_with_the_variable_as_without(monkeypatch):
    monkeypatch.setenv("SERVICELAB_KAFKA", "127.0.0.1:1")
    with pytest.raises(ValueError, match="brokers=0"):
        kafka_cluster(brokers=0)
