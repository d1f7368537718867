"""Messages that begin alike are taken at a glance; nobody may see a difference but in the time it takes."""

import pytest
from pamqp import body, commands, frame, header

from servicelab.servers.amqp.connection import Connection
from servicelab.servers.amqp.port import Port
from tests.test_amqp_pace import Client, new_server


def said(*methods, channel=1):
    return b"".join(frame.marshal(each, channel) for each in methods)


def message(text=b"0123456789", key="q", channel=1, size=None, **flags):
    head = header.ContentHeader(0, len(text) if size is None else size, commands.Basic.Properties(delivery_mode=1))
    bodies = [body.ContentBody(text)] if text else []
    return said(commands.Basic.Publish(0, "", key, **flags), head, *bodies, channel=channel)


class Listener(Client):
    """A client that keeps what the broker said to it."""

    def __init__(self):
        super().__init__(new_server())
        self.heard = []
        self.connection.transport.write = self.heard.append

    def outcome(self, pieces):
        for piece in pieces:
            if self.connection.state in ("running", "closing"):
                self.connection.data_received(piece)
        queue = self.connection.server.core.queues.get("q")
        waiting = None if queue is None else [entry.message.body for entry in queue.backlog]
        return self.connection.state, waiting, b"".join(self.heard), self.connection.server.errors


THREE = message(b"aaaaaaaaaa") + message(b"bbbbbbbbbb") + message(b"cccccccccc")
STREAMS = {
    "alike": THREE + message(b"dddddddddd"),
    "with others in between": THREE + message(b"longer than before") + THREE + message(b"") + THREE,
    "two channels":
        said(commands.Channel.Open(), channel=2) + THREE + message(channel=2) + THREE + 3 * message(channel=2),
    "confirmed": said(commands.Confirm.Select()) + THREE,
    "no such queue": 3 * message(key="nowhere") + 3 * message(key="nowhere", mandatory=True) + THREE,
    "a body in two frames": THREE + message(b"01234", size=10) + said(body.ContentBody(b"56789")) + THREE,
    "a queue that goes": THREE + said(commands.Queue.Delete(0, "q")) + THREE,
    "a channel that is closed": THREE + said(commands.Channel.Close(200, "", 0, 0)) + THREE,
    "a channel that is opened again":
        THREE + said(commands.Channel.Close(200, "", 0, 0), commands.Channel.Open()) + THREE,
    "immediate": THREE + 3 * message(immediate=True),
    "a channel that the broker has closed": THREE + said(commands.Queue.Declare(0, "none", passive=True)) + THREE,
    "a method in the place of a header": THREE + said(commands.Basic.Publish(0, "", "q")) + THREE,
    "a wrong end": THREE + message()[:-1] + b"!" + THREE,
    "a goodbye": THREE + said(commands.Connection.Close(200, "", 0, 0), channel=0) + THREE,
}  # fmt: skip


@pytest.mark.parametrize("stream", STREAMS.values(), ids=STREAMS)
def test_it_ends_as_frame_by_frame(stream, monkeypatch):
    """However it comes in two reads."""
    reads = [(stream[:at], stream[at:]) for at in range(0, len(stream), 7)]
    at_a_glance = [Listener().outcome(pieces) for pieces in reads]
    monkeypatch.setattr(Connection, "may_come_again", lambda *_: None)
    assert at_a_glance == [Listener().outcome(pieces) for pieces in reads]


def test_from_the_third_on_only_the_body_is_looked_at(monkeypatch):
    taken, again = [], Port.again
    monkeypatch.setattr(Port, "again", lambda port, now, body: (taken.append(body), again(port, now, body)))
    client = Listener()
    assert client.outcome([STREAMS["with others in between"]])[1][:3] == [b"aaaaaaaaaa", b"bbbbbbbbbb", b"cccccccccc"]
    assert len(taken) == 7  # of nine that are alike; what is longer, or empty, is no reason to forget
