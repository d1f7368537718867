"""The broker's handle: the same words in the kernel, in a child process and for a RabbitMQ; what survives what."""

import glob
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import suppress

import pika
import psutil
import pytest

from servicelab.lifecycle import ServerError, is_listening, running, stop_all
from servicelab.servers.amqp import Broker, RemoteBroker, host, start_broker
from servicelab.servers.amqp.store import SQLiteJournal
from servicelab.trace import Trace
from tests.waiting import left, wait_until

PERSISTENT = pika.BasicProperties(delivery_mode=2)


def temporary_folders():
    return set(glob.glob(os.path.join(tempfile.gettempdir(), "servicelab-broker-*")))


@pytest.fixture(autouse=True, scope="module")
def folders_of_our_own(tmp_path_factory):
    """Other workers' brokers have folders, too."""
    usual, tempfile.tempdir = tempfile.tempdir, str(tmp_path_factory.mktemp("temporary"))
    yield
    tempfile.tempdir = usual


@pytest.fixture(autouse=True)
def nothing_left(monkeypatch):
    for variable in ("URL", "RESTART", "KILL"):
        monkeypatch.delenv(f"SERVICELAB_AMQP_{variable}", raising=False)
    before = temporary_folders()
    earlier = {child.pid for child in psutil.Process().children()}  # joblib's idle workers stay for minutes
    yield
    stop_all()
    wait_until(lambda: not left())
    wait_until(lambda: {child.pid for child in psutil.Process().children()} <= earlier)
    assert temporary_folders() <= before


@pytest.fixture(params=[False, True], ids=["kernel", "process"])
def process(request):
    return request.param


def channel_of(broker):
    channel = pika.BlockingConnection(pika.URLParameters(broker.url)).channel()
    channel.confirm_delivery()
    return channel


def fill(broker):
    """One durable and one transient queue, with a persistent and a transient message each."""
    channel = channel_of(broker)
    for queue, durable in (("keeps", True), ("forgets", False)):
        channel.queue_declare(queue, durable=durable)
        channel.basic_publish("", queue, b"persistent", PERSISTENT)
        channel.basic_publish("", queue, b"transient")
    return channel


def bodies(broker, queue):
    channel = channel_of(broker)
    found = []
    while (got := channel.basic_get(queue, auto_ack=True))[0] is not None:
        found.append(got[2])
    channel.connection.close()
    return found


# -- one handle, two places ---------------------------------------------------------------------


def test_it_starts_answers_and_is_gone(process):
    broker = start_broker(process=process)
    assert running().rows == [["broker", "Broker", f"amqp://127.0.0.1:{broker.port}"]]  # without a password
    assert broker.url == f"amqp://guest:guest@127.0.0.1:{broker.port}/%2F?heartbeat=0"
    assert (broker.pid is None) != process
    channel = fill(broker)
    assert channel.connection._impl.params.heartbeat == 0
    assert broker.depth("keeps") == (2, 0)
    assert broker.depth("no such queue") == (0, 0)
    assert channel.basic_get("keeps")[2] == b"persistent"
    assert broker.depth("keeps") == (1, 1)
    table = broker.queues()
    assert table.headings == ["queue", "ready", "unacked", "consumers", "durable"]
    assert sorted(table.rows) == [["forgets", 2, 0, 0, False], ["keeps", 1, 1, 0, True]]
    assert broker.queues("keeps").rows == [["keeps", 1, 1, 0, True]]
    assert broker.errors == []
    port = broker.port
    broker.stop()
    assert not is_listening(port)
    assert not broker.is_running
    assert repr(broker) == "<broker stopped>"
    with pytest.raises(ServerError, match="broker is not running: call .start"):
        broker.depth("keeps")


@pytest.mark.parametrize("how", ["restart", "kill", "kill and start"])
def test_what_is_durable_survives_and_only_that(process, how):
    broker = start_broker(durable=True, process=process)
    port = broker.port
    fill(broker)
    if how != "restart":
        broker.kill()
        assert not broker.is_running
        assert "killed" in repr(broker)
        assert not is_listening(port)
        with pytest.raises(ServerError, match="killed"):
            broker.url  # noqa: B018
    assert (broker.start() if how == "kill and start" else broker.restart()) is broker
    assert broker.port == port
    assert broker.queues().rows == [["keeps", 1, 0, 0, True]]
    assert bodies(broker, "keeps") == [b"persistent"]
    broker.stop()
    broker.start()  # its temporary file went with stop()
    assert broker.queues().rows == []


def test_without_a_file_a_restart_forgets_everything(process):
    broker = start_broker(process=process)
    fill(broker)
    broker.restart()
    assert broker.queues().rows == []


def test_a_named_file_stays_and_the_next_broker_goes_on_from_it(process, tmp_path):
    path = tmp_path / "shop.db"
    with start_broker(file=path, process=process) as broker:
        fill(broker)
    assert path.exists()
    with start_broker("other", file=str(path), process=not process) as broker:
        assert bodies(broker, "keeps") == [b"persistent"]


def test_a_relative_file_is_where_it_was_when_it_was_named(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    broker = Broker(file="shop.db")
    monkeypatch.chdir("/")
    with broker:
        fill(broker)
    assert (tmp_path / "shop.db").exists()


def test_connections_are_cut_by_kill_and_told_by_stop(process):
    for end, code in ((Broker.stop, 320), (Broker.kill, None)):
        broker = start_broker(process=process)
        connection = pika.BlockingConnection(pika.URLParameters(broker.url))
        end(broker)
        with pytest.raises(pika.exceptions.AMQPConnectionError) as error:
            connection.process_data_events(5)
        assert getattr(error.value, "reply_code", None) == code
        broker.stop()


def test_kill_in_the_kernel_cuts_also_who_is_silent_or_just_being_accepted():
    broker = start_broker()
    for _ in range(30):
        with socket.create_connection(broker.address, timeout=5) as client:
            broker.kill()
            with suppress(ConnectionResetError):  # that is for one who was never accepted
                assert client.recv(1) == b""  # as the system closes the sockets of a killed process
        broker.restart()


def test_paused_it_answers_nobody_and_resumed_everybody(process):
    broker = start_broker(process=process)
    channel = channel_of(broker)
    broker.pause()
    done = threading.Event()
    thread = threading.Thread(target=lambda: (channel.queue_declare("mails"), done.set()))
    thread.start()
    assert not done.wait(0.1)
    assert broker.queues().rows == []
    broker.resume()
    assert done.wait(10)
    thread.join()
    assert broker.depth("mails") == (0, 0)
    assert len(broker.queues()) == 1


def test_a_process_that_somebody_else_killed_says_so_and_can_be_restarted():
    broker = start_broker(durable=True, process=True)
    fill(broker)
    os.kill(broker.pid, signal.SIGKILL)
    wait_until(lambda: not broker.is_running)
    assert running().rows == [["broker", "Broker", "killed by SIGKILL"]]
    with pytest.raises(ServerError, match="the process of 'broker' has died: killed by SIGKILL"):
        broker.queues()
    broker.restart()
    assert bodies(broker, "keeps") == [b"persistent"]


@pytest.mark.parametrize("after", [0, 20, 100])
def test_every_confirmed_message_is_there_after_kill_9(after):
    broker = start_broker(durable=True, process=True)
    channel = channel_of(broker)
    channel.queue_declare("orders", durable=True)
    confirmed = []
    timer = None
    with pytest.raises(pika.exceptions.AMQPError):
        for number in range(100_000):
            if len(confirmed) == after and timer is None:
                timer = threading.Timer(0.02, os.kill, (broker.pid, signal.SIGKILL))
                timer.start()
            channel.basic_publish("", "orders", b"%d" % number, PERSISTENT)
            confirmed.append(b"%d" % number)
    timer.join()
    found = bodies(broker.restart(), "orders")
    assert found[: len(confirmed)] == confirmed
    assert len(found) <= len(confirmed) + 1  # one may have been kept, and the process killed before it said so


def test_the_trace_has_both_sides_and_what_was_done_to_the_broker(process):
    trace = Trace()
    broker = start_broker(trace=trace, durable=True, process=process)
    channel = fill(broker)
    assert [(m.sender, m.receiver, m.label) for m in trace.messages[:2]] == [
        ("client", "broker", "publish keeps"),
        ("broker", "client", "confirm"),
    ]
    broker.pause()
    broker.resume()
    broker.kill()
    broker.restart()
    states = [change.value for change in trace.changes if change.who == "broker"]
    assert states == ["paused", "running", "killed", "restarted"]
    channel = channel_of(broker)
    channel.basic_publish("", "keeps", b"again")
    assert trace.messages[-1].label == "confirm"
    broker.stop()
    assert trace.feeds == []


def test_two_in_the_kernel_know_nothing_of_each_other():
    with start_broker("a") as first, start_broker("b") as second:
        fill(first)
        assert (len(first.queues()), len(second.queues())) == (2, 0)


def test_running_the_cell_again_replaces_it(capsys, process):
    first = start_broker(durable=True, process=process)
    port = first.port
    second = start_broker(durable=True, process=process)
    assert not first.is_running
    assert capsys.readouterr().out == f"broker: replaced the one that ran on port {port}\n"
    assert len(running()) == 1
    second.stop()


# -- what is refused ----------------------------------------------------------------------------


def test_a_taken_port_is_refused(process):
    with start_broker() as first, pytest.raises(ServerError, match="by your server 'broker'. Use port=0"):
        start_broker("second", port=first.port, process=process)


def test_a_port_that_was_taken_meanwhile_ends_a_restart_only():
    broker = start_broker(durable=True)
    fill(broker)
    broker.kill()
    with (
        socket.create_server(("127.0.0.1", broker.port)),
        pytest.raises(ServerError, match="could not listen on port .* again"),
    ):
        broker.restart()
    assert not broker.is_running
    assert bodies(broker.restart(), "keeps") == [b"persistent"]


def test_while_it_is_away_nobody_else_is_given_its_port(process):
    broker = start_broker(process=process)
    port = broker.port
    for _ in range(2):
        broker.kill()
        with socket.socket() as stranger, pytest.raises(OSError, match="in use"):
            stranger.bind(("127.0.0.1", port))
        broker.restart()
    broker.stop()
    with socket.socket() as stranger:
        stranger.bind(("127.0.0.1", port))


def test_a_port_that_is_soon_free_again_is_waited_for(process):
    """Somebody may ask for this very number while nobody listens there."""
    broker = start_broker(process=process)
    broker.kill()
    stranger = socket.create_server(("127.0.0.1", broker.port))
    leaves = threading.Timer(0.3, stranger.close)
    leaves.start()
    broker.restart()
    leaves.join()
    assert broker.is_running


def test_a_file_that_cannot_be_used_is_refused(process, tmp_path):
    letter = tmp_path / "letter"
    letter.write_text("to my aunt\n" * 500)
    with pytest.raises(ServerError, match="broker could not open its file: .*letter is no SQLite file"):
        start_broker(file=letter, process=process)
    with (
        start_broker("first", file=tmp_path / "shop.db") as first,
        pytest.raises(ServerError, match="shop.db is in use by another broker"),
    ):
        start_broker("second", file=first.file, process=process)
    assert len(running()) == 0


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"name": ""}, "needs a name"),
        ({"port": -1}, "port=-1 is no port"),
        ({"trace": []}, "trace=.* is no servicelab.trace.Trace"),
        ({"file": 3}, "file=3 is no path"),
        ({"file": "a.db", "durable": True}, "file='a.db' names one"),
        ({"users": {}}, "users must be names with passwords"),
        ({"users": {"shop": None}}, "users must be names with passwords"),
        ({"memory_limit": 0}, "memory_limit=0 must be > 0 bytes"),
        ({"heartbeat": -1}, "heartbeat=-1 must be"),
        ({"heartbeat": 1.5}, "heartbeat=1.5 must be"),
    ],
)
def test_misuse_is_one_clear_error(options, words):
    with pytest.raises(ServerError, match=words):
        start_broker(**options)


def test_other_users_and_heartbeats_are_in_the_url(process):
    with start_broker(users={"shop/1": "s&cr:t@"}, heartbeat=7, process=process) as broker:
        connection = pika.BlockingConnection(pika.URLParameters(broker.url))
        assert connection._impl.params.heartbeat == 7
        connection.close()
        with pytest.raises(pika.exceptions.AMQPConnectionError):
            pika.BlockingConnection(pika.ConnectionParameters(*broker.address))  # guest


def test_a_full_disk_ends_the_broker_and_confirms_nothing_more():
    broker = start_broker(durable=True)
    channel = fill(broker)
    database = broker._engine._journal._db
    database.execute(f"PRAGMA max_page_count = {database.execute('PRAGMA page_count').fetchone()[0] + 2}")
    with pytest.raises(pika.exceptions.AMQPConnectionError):
        channel.basic_publish("", "keeps", bytes(100_000), PERSISTENT)
    wait_until(lambda: not broker.is_running)
    assert "database or disk is full" in running().rows[0][2]
    assert "can no longer be written" in broker.errors[-1]
    assert bodies(broker.restart(), "keeps") == [b"persistent"]


def test_a_full_disk_ends_the_child_process_too():
    broker = start_broker(durable=True, process=True)
    channel = fill(broker)
    psutil.Process(broker.pid).rlimit(psutil.RLIMIT_FSIZE, (64 * 1024, psutil.RLIM_INFINITY))  # for any file
    with pytest.raises(pika.exceptions.AMQPConnectionError):
        channel.basic_publish("", "keeps", bytes(100_000), PERSISTENT)
    wait_until(lambda: not broker.is_running)
    wait_until(lambda: broker._engine.output)
    with pytest.raises(ServerError, match="exit status 1(.|\n)*can no longer be written"):
        broker.queues()
    assert bodies(broker.restart(), "keeps") == [b"persistent"]


# -- a RabbitMQ by its URL ------------------------------------------------------------------------


@pytest.fixture
def remote(monkeypatch):
    """What start_broker() gives when the variable points elsewhere: here to a broker in the kernel."""
    behind = Broker("behind", durable=True).start()
    monkeypatch.setenv("SERVICELAB_AMQP_URL", f"amqp://guest:guest@127.0.0.1:{behind.port}")
    broker = start_broker(trace=Trace(), durable=True, process=True)
    broker.behind = behind
    return broker


def test_a_rabbitmq_has_the_same_words(remote):
    assert isinstance(remote, RemoteBroker)
    assert remote.url == f"amqp://guest:guest@127.0.0.1:{remote.behind.port}/%2F?heartbeat=0"
    assert remote.address == remote.behind.address
    assert remote.is_running
    with remote:
        fill(remote)
        assert remote.depth("keeps") == (2, None)
        assert remote.depth("no such queue") == (0, 0)
        assert remote.queues().rows == [["keeps", 2, None, 0, None]]
        assert len(remote.queues("keeps", "forgets")) == 2
    assert "keeps" in str(remote.behind.queues())  # it was not ours to stop


def test_at_a_rabbitmq_our_queues_have_names_of_their_own_and_are_gone_after_stop(remote):
    strangers = fill(remote)
    ours, never_made = remote.own("keeps"), remote.own("forgets")
    assert ours == remote.own("keeps") == RemoteBroker(remote.url).own("keeps")  # in this kernel always the same
    assert ours != never_made and "keeps" in ours and ours != "keeps"
    strangers.queue_declare(ours)
    remote.stop()
    assert [row[0] for row in remote.behind.queues().rows] == ["keeps", "forgets"]
    strangers.queue_declare(ours)  # an excursion begins again …
    remote.stop()  # … and ends again
    assert len(remote.behind.queues()) == 2
    remote.behind.stop()
    remote.stop()  # nobody is there any more
    assert Broker().own("keeps") == "keeps"


@pytest.mark.parametrize("word", ["kill", "restart", "pause", "resume"])
def test_a_rabbitmq_is_not_ours_to_crash(remote, word):
    with pytest.raises(ServerError, match="from here it is not killed, restarted or paused"):
        getattr(remote, word)()


def test_an_address_where_no_rabbitmq_is(monkeypatch):
    monkeypatch.setattr("servicelab.servers.amqp.remote.ANSWER_LIMIT", 0.0)
    with pytest.raises(ServerError, match="SERVICELAB_AMQP_URL='localhost:5672' is no address: write 'amqp://guest"):
        RemoteBroker("localhost:5672")
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        broker = RemoteBroker(f"amqp://guest:guest@127.0.0.1:{nobody.getsockname()[1]}/%2F")
        assert not broker.is_running
        with pytest.raises(ServerError, match="no RabbitMQ answers at .* unset SERVICELAB_AMQP_URL"):
            broker.start()


# -- alone, from a shell --------------------------------------------------------------------------


def run(*arguments, **environment):
    return subprocess.Popen(
        [sys.executable, "-m", "servicelab.servers.amqp", *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, **environment},
    )


def test_alone_it_says_where_it_listens_and_ends_cleanly(tmp_path):
    secret = tmp_path / "secret"
    secret.write_text("s3cret\n")
    started = [
        (run("--port", 0, "--file", tmp_path / "broker.db"), "guest:guest", signal.SIGINT),
        (run("--port", 0, "--user", "shop", "--password-file", secret), "shop:s3cret", signal.SIGTERM),
        (run("--port", 0, "--user", "shop", SERVICELAB_AMQP_PASSWORD="pass"), "shop:pass", signal.SIGTERM),
    ]
    for broker, login, end in started:
        line = broker.stdout.readline()
        assert line.startswith("AMQP 0-9-1 on 127.0.0.1:")
        address = line.split()[3]
        channel = pika.BlockingConnection(pika.URLParameters(f"amqp://{login}@{address}/%2F")).channel()
        channel.queue_declare("orders", durable=True)
        broker.send_signal(end)
        assert broker.communicate(timeout=20) == ("", "")
        assert broker.returncode == 0
    assert (tmp_path / "broker.db").exists()


def test_alone_what_is_wrong_is_one_line_and_status_1(tmp_path):
    letter = tmp_path / "letter"
    letter.write_text("to my aunt\n" * 500)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        wrong = [
            (run("--port", taken.getsockname()[1]), "could not listen on 127.0.0.1"),
            (run("--port", 0, "--file", letter), "is no SQLite file"),
            (run("--port", 0, "--user", "shop"), "--user shop needs a password: give it in --password-file FILE or"),
            (
                run("--port", 0, "--user", "shop", "--password-file", tmp_path / "none"),
                "--password-file: .*No such file",
            ),
            (run("--port", 0, "--password-file", letter), "--password-file needs --user NAME"),
        ]
        for broker, words in wrong:
            out, error = broker.communicate(timeout=20)
            assert (broker.returncode, out) == (1, "")
            assert error.count("\n") == 1, error
            assert re.search(words, error), error


def test_an_interrupt_while_the_file_is_opened_leaves_it_free(tmp_path, monkeypatch):
    class Slow(SQLiteJournal):
        def __init__(self, *arguments):
            super().__init__(*arguments)
            signal.pthread_kill(threading.main_thread().ident, signal.SIGUSR1)
            time.sleep(0.2)

    usual, file = signal.signal(signal.SIGUSR1, signal.default_int_handler), tmp_path / "broker.db"
    monkeypatch.setattr(host, "SQLiteJournal", Slow)
    try:
        with pytest.raises(KeyboardInterrupt):
            start_broker("interrupted", file=file)
    finally:
        signal.signal(signal.SIGUSR1, usual)
    monkeypatch.undo()
    with start_broker("after", file=file) as broker:
        assert broker.is_running and broker.errors == []
