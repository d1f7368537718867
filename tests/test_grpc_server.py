"""gRPC in the kernel: .proto at run time, all four kinds of call, deadlines, health, reflection, stamps, the end."""

import asyncio
import json
import sys
import threading
import time
from concurrent import futures
from contextlib import suppress
from pathlib import Path

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase

from servicelab.clients.tracing import traced_channel
from servicelab.faults import FaultProxy, Latency, ResetPeer
from servicelab.lifecycle import ServerError, stop_all
from servicelab.servers import GRPCServer, load_proto
from servicelab.servers.proto import ProtoError
from servicelab.trace import Trace
from tests.waiting import eventually, left

CHAT = """
syntax = "proto3";
package testing.chat;

message Line { int64 number = 1; string text = 2; }

service Chat {
  rpc Say(Line) returns (Line);
  rpc Listen(Line) returns (stream Line);
  rpc Tell(stream Line) returns (Line);
  rpc Talk(stream Line) returns (stream Line);
}
"""
Code = grpc.StatusCode


@pytest.fixture(autouse=True)
def nothing_left():
    yield
    stop_all()
    assert eventually(lambda: not left()), left()


@pytest.fixture
def proto():
    return load_proto(CHAT)


@pytest.fixture
def servicer(proto):
    class Chat(proto.services.ChatServicer):
        def __init__(self):
            self.log = []
            self.gate = threading.Event()

        def Say(self, line, context):
            if line.text == "boom":
                raise RuntimeError("what a pity")
            if line.text == "abort":
                context.abort(Code.NOT_FOUND, "nobody here")
            if line.text == "wait":
                self.log.append(context.time_remaining())
                context.add_callback(lambda: self.log.append("gone"))
                context.add_callback(self.gate.set)
                self.gate.wait(20)
                self.log.append(context.is_active())
            return proto.messages.Line(number=line.number + 1, text=line.text.upper())

        def Listen(self, line, context):
            try:
                for number in range(line.number):
                    if line.text == "boom" and number == 2:
                        raise RuntimeError("what a pity")
                    yield proto.messages.Line(number=number)
                    if line.text == "slowly":
                        time.sleep(0.01)
            finally:
                self.log.append("closed")

        def Tell(self, lines, context):
            return proto.messages.Line(number=sum(line.number for line in lines))

        def Talk(self, lines, context):
            for line in lines:
                yield proto.messages.Line(text=line.text.upper())

    return Chat()


@pytest.fixture
def server(proto, servicer):
    with GRPCServer([(proto.services.add_ChatServicer_to_server, servicer)], "chat", trace=Trace()) as server:
        yield server


@pytest.fixture
def stub(proto, server):
    with grpc.insecure_channel(server.target) as channel:
        yield proto.services.ChatStub(channel)


# -- .proto at run time ------------------------------------------------------------------------------


def test_the_same_text_gives_the_same_classes_and_a_changed_one_a_package_of_its_own(proto, capsys):
    assert load_proto(CHAT) is proto
    changed = load_proto(CHAT.replace("string text = 2", "string words = 2"))
    assert changed.package == "testing.chat_2" and "testing.chat has changed" in capsys.readouterr().out
    assert changed.messages.Line(words="x").words == "x"
    with pytest.raises(ValueError):
        proto.messages.Line(words="x")  # the first is as it was


def test_a_changed_text_that_names_its_own_types_in_full_still_compiles():
    head = 'syntax = "proto3";\npackage testing.full;\n'
    text = head + "message A {}\nmessage B { .testing.full.A a = 1; testing.full.A b = 2; }\n"
    assert load_proto(text).package == "testing.full"
    assert load_proto(text + "message C {}\n").messages.B(a={}, b={})


@pytest.mark.parametrize(
    "text, why",
    [
        ('syntax = "proto3";\npackage testing.bad;\nmessage { }\n', "line 3, column 9: Expected message name"),
        ('syntax = "proto3";\npackage testing.bad;\nmessage A { Nobody b = 1; }\n', '"Nobody" is not defined'),
        ('syntax = "proto3";\nmessage A {}\n', "names no package"),
        ("package testing.bad;\nmessage A {}\n", "begin with syntax"),
    ],
)
def test_what_is_no_proto_is_refused_with_line_and_reason(text, why, capfd):
    with pytest.raises(ProtoError, match=why):
        load_proto(text)
    assert capfd.readouterr().err == ""


def test_who_looks_for_a_module_meanwhile_overlooks_no_folder(monkeypatch):
    folders, path = list(sys.path), iter(sys.path)
    seen = [next(path)]

    def compiled(name):
        assert (Path(sys.path[0]) / name).is_file()
        seen.append(next(path))
        return None, None

    monkeypatch.setattr(grpc, "protos_and_services", compiled)
    load_proto('syntax = "proto3";\npackage meanwhile;')
    assert [*seen, *path] == folders == sys.path


def test_a_text_that_was_refused_can_be_mended_and_keeps_its_package():
    with pytest.raises(ProtoError):
        load_proto('syntax = "proto3";\npackage testing.mended;\nmessage A { int65 b = 1; }\n')
    assert (
        load_proto('syntax = "proto3";\npackage testing.mended;\nmessage A { int64 b = 1; }\n').package
        == "testing.mended"
    )


# -- calls -------------------------------------------------------------------------------------------


def test_all_four_kinds_of_call(proto, stub):
    Line = proto.messages.Line
    assert stub.Say(Line(number=1, text="hi")) == Line(number=2, text="HI")
    assert [line.number for line in stub.Listen(Line(number=3))] == [0, 1, 2]
    assert stub.Tell(Line(number=n) for n in range(5)).number == 10
    assert [line.text for line in stub.Talk(Line(text=t) for t in "abc")] == ["A", "B", "C"]


@pytest.mark.parametrize("kind", ["unary", "stream"])
def test_what_a_handler_raises_is_unknown_to_the_caller_noted_and_not_printed(proto, stub, server, kind, capfd):
    with pytest.raises(grpc.RpcError) as caught:
        if kind == "unary":
            stub.Say(proto.messages.Line(text="boom"))
        else:
            list(stub.Listen(proto.messages.Line(number=5, text="boom")))
    assert caught.value.code() is Code.UNKNOWN and "what a pity" in caught.value.details()
    assert len(server.errors) == 1 and "RuntimeError: what a pity" in server.errors[0]
    assert "what a pity" not in capfd.readouterr().err


@pytest.mark.parametrize("method", ["Say", "Listen", "Tell", "Talk"])
@pytest.mark.parametrize(
    "failure", [SystemExit(3), KeyboardInterrupt(), asyncio.CancelledError(), "no message"], ids=repr
)
def test_whatever_a_handler_does_its_worker_lives(proto, method, failure, capfd):
    fails = [True] * 4

    class Chat(proto.services.ChatServicer):
        def Say(self, line, context):
            if fails and fails.pop():
                if isinstance(failure, str):
                    return failure  # which is no message
                raise failure
            return proto.messages.Line(text="ok")

        def Listen(self, line, context):
            yield self.Say(line, context)

        def Tell(self, lines, context):
            return self.Say(next(lines), context)

        def Talk(self, lines, context):
            yield self.Say(next(lines), context)

    line = proto.messages.Line(text="hi")
    with GRPCServer([(proto.services.add_ChatServicer_to_server, Chat())], "chat", workers=2) as server:
        with grpc.insecure_channel(server.target) as channel:
            call = getattr(proto.services.ChatStub(channel), method)
            for number in range(5):
                try:
                    reply = call(line if method in ("Say", "Listen") else iter([line]), timeout=20)
                    text = reply.text if method in ("Say", "Tell") else next(reply).text
                    assert (number, text) == (4, "ok")
                except grpc.RpcError as error:
                    assert number < 4 and error.code() is Code.UNKNOWN, error
        what = "SerializeToString" if isinstance(failure, str) else type(failure).__name__
        assert [what in error for error in server.errors] == [True] * 4
    assert capfd.readouterr() == ("", "")


def test_a_message_that_is_none_is_an_error_for_its_sender_and_prints_nothing(server, capfd):
    with grpc.insecure_channel(server.target) as channel, pytest.raises(grpc.RpcError) as caught:
        channel.unary_unary("/testing.chat.Chat/Say")(b"\xff")
    assert caught.value.code() is Code.UNKNOWN and "DecodeError" in server.errors[0]
    assert capfd.readouterr() == ("", "")


def test_an_abort_is_an_answer_and_no_error(proto, stub, server):
    with pytest.raises(grpc.RpcError) as caught:
        stub.Say(proto.messages.Line(text="abort"))
    assert (caught.value.code(), caught.value.details()) == (Code.NOT_FOUND, "nobody here")
    assert server.errors == []


def test_a_method_that_nobody_wrote_is_unimplemented_and_a_status_set_before_a_raise_is_told(proto):
    class Chat(proto.services.ChatServicer):
        def Tell(self, lines, context):
            context.set_code(Code.DATA_LOSS)
            raise RuntimeError("what a pity")

    pair = (proto.services.add_ChatServicer_to_server, Chat())
    with GRPCServer(pair, "chat") as server, grpc.insecure_channel(server.target) as channel:
        stub, line = proto.services.ChatStub(channel), proto.messages.Line()
        calls = {stub.Say: line, stub.Tell: iter([line])}
        told = [(call.code(), call.details()) for call in (rpc.future(of, timeout=20) for rpc, of in calls.items())]
    assert told == [
        (Code.UNIMPLEMENTED, "Method not implemented!"),
        (Code.DATA_LOSS, "Exception calling application: what a pity"),
    ]


def test_the_handler_sees_the_deadline_and_that_its_caller_has_gone(proto, stub, servicer):
    with pytest.raises(grpc.RpcError) as caught:
        stub.Say(proto.messages.Line(text="wait"), timeout=1.0)
    assert caught.value.code() is Code.DEADLINE_EXCEEDED
    assert eventually(lambda: len(servicer.log) == 3)
    assert 0 < servicer.log[0] <= 1.1  # gRPC rounds the time up on the wire
    assert "gone" in servicer.log[1:] and False in servicer.log[1:]


def test_a_cancelled_stream_closes_its_generator(proto, stub, servicer, server):
    call = stub.Listen(proto.messages.Line(number=100_000, text="slowly"))
    next(call)
    call.cancel()
    assert eventually(lambda: servicer.log == ["closed"])
    assert server.errors == []


def test_calls_beyond_the_workers_wait_for_one(proto, servicer):
    pair = (proto.services.add_ChatServicer_to_server, servicer)
    with GRPCServer(pair, "chat", workers=1) as server, grpc.insecure_channel(server.target) as channel:
        stub = proto.services.ChatStub(channel)
        first = stub.Say.future(proto.messages.Line(text="wait"))
        assert eventually(lambda: servicer.log)
        second = stub.Say.future(proto.messages.Line(text="hi"))
        with pytest.raises(grpc.FutureTimeoutError):
            second.result(0.1)
        servicer.gate.set()
        assert second.result(8).text == "HI" and first.result(8).text == "WAIT"
        assert len([name for name in left() if "worker" in name]) == 1


# -- health, reflection, two servers -----------------------------------------------------------------


def test_health_says_serving_until_it_is_told_otherwise(server):
    Request, serving = health_pb2.HealthCheckRequest, health_pb2.HealthCheckResponse
    with grpc.insecure_channel(server.target) as channel:
        health = health_pb2_grpc.HealthStub(channel)
        for service in ("", "testing.chat.Chat"):
            assert health.Check(Request(service=service)).status == serving.SERVING
        server.set_health(False, "testing.chat.Chat")
        assert health.Check(Request(service="testing.chat.Chat")).status == serving.NOT_SERVING
        assert health.Check(Request()).status == serving.SERVING
        watch = health.Watch(Request())
        assert next(watch).status == serving.SERVING
        server.set_health(False)
        assert next(watch).status == serving.NOT_SERVING
        watch.cancel()
    server.stop()
    with pytest.raises(ServerError, match="no health service running"):
        server.set_health(True)


def test_reflection_tells_what_there_is(server):
    with grpc.insecure_channel(server.target) as channel:
        names = set(ProtoReflectionDescriptorDatabase(channel).get_services())
    assert {"testing.chat.Chat", "grpc.health.v1.Health", "grpc.reflection.v1alpha.ServerReflection"} == names


def test_a_second_server_does_not_share_the_port(proto, servicer, server):
    with pytest.raises(ServerError, match="by your server 'chat'"):
        GRPCServer((proto.services.add_ChatServicer_to_server, servicer), "other", port=server.port).start()


def test_nobody_else_can_share_its_port(server):
    other = grpc.server(futures.ThreadPoolExecutor(1))  # which would, by gRPC's default
    with pytest.raises(RuntimeError):
        other.add_insecure_port(f"127.0.0.1:{server.port}")
    other.stop(None)


@pytest.mark.parametrize("services, text", [([], "has no services"), ([7], "7 is no pair")])
def test_services_that_are_none_are_refused(services, text):
    with pytest.raises(ServerError, match=text):
        GRPCServer(services, "chat")


def test_a_servicer_that_is_still_a_class_is_refused(proto):
    services = proto.services
    with pytest.raises(ServerError, match="the class ChatServicer is no servicer yet"):
        GRPCServer([(services.add_ChatServicer_to_server, services.ChatServicer)], "chat")


def test_it_stops_in_spite_of_a_handler_that_hangs(proto, servicer):
    server = GRPCServer((proto.services.add_ChatServicer_to_server, servicer), "chat").start()
    with grpc.insecure_channel(server.target) as channel:
        call = proto.services.ChatStub(channel).Listen(proto.messages.Line(number=10**9, text="slowly"))
        next(call)
        began = time.monotonic()
        server.stop()
        assert time.monotonic() - began < 8
        with pytest.raises(grpc.RpcError) as caught:
            list(call)
        assert caught.value.code() in (Code.CANCELLED, Code.UNAVAILABLE)
    assert eventually(lambda: servicer.log == ["closed"])


# -- the trace, and faults -----------------------------------------------------------------------------


def test_every_message_of_a_traced_channel_is_stamped_at_both_ends(proto, server):
    trace, Line = server.trace, proto.messages.Line
    with grpc.insecure_channel(server.target) as channel:
        stub = proto.services.ChatStub(traced_channel(channel, trace, "client", server="chat"))
        stub.Say(Line(text="hi"))
        list(stub.Talk(Line(text=t) for t in "ab"))
        list(stub.Listen(Line(number=2)))
        stub.Tell(iter([Line(number=1)]))
        with pytest.raises(grpc.RpcError):
            stub.Say(Line(text="abort"))
        assert eventually(lambda: all(call.end is not None for call in trace.calls))
    assert [(call.label, call.status) for call in trace.calls] == [
        ("Say", "ok"), ("Talk", "ok"), ("Listen", "ok"), ("Tell", "ok"), ("Say", "NOT_FOUND"),
    ]  # fmt: skip
    messages = trace.messages
    kinds = [message.kind for message in messages if message.kind != "message"]
    assert kinds == ["request", "reply", "request", "reply", "request"]  # Say; Listen; Tell; Say that was aborted
    streamed = [(m.sender, m.receiver) for m in messages if m.kind == "message"]
    assert sorted(streamed) == sorted([("client", "chat")] * 3 + [("chat", "client")] * 4)
    assert all(m.received is not None and m.received >= m.sent for m in messages)
    assert len(trace.work) == 5 and all(work.end is not None for work in trace.work)


def test_a_call_that_grpc_makes_again_by_itself_is_another_work(proto):
    tries = iter([1, 2])

    class Flaky(proto.services.ChatServicer):
        def Say(self, line, context):
            if next(tries) == 1:
                context.abort(Code.UNAVAILABLE, "not yet")
            return line

    policy = {"maxAttempts": 3, "initialBackoff": "0.01s", "maxBackoff": "0.01s", "backoffMultiplier": 1,
              "retryableStatusCodes": ["UNAVAILABLE"]}  # fmt: skip
    options = [("grpc.service_config", json.dumps({"methodConfig": [{"name": [{}], "retryPolicy": policy}]}))]
    trace = Trace()
    with (
        GRPCServer([(proto.services.add_ChatServicer_to_server, Flaky())], "chat", trace=trace) as server,
        grpc.insecure_channel(server.target, options) as channel,
    ):
        stub = proto.services.ChatStub(traced_channel(channel, trace, server="chat"))
        assert stub.Say(proto.messages.Line(text="hi")).text == "hi"
    assert [work.who for work in trace.work] == ["chat", "chat"] and len(trace.calls) == 1
    assert all(work.end is not None for work in trace.work)


def test_a_stranger_who_traces_leaves_work_and_no_messages(proto, server):
    with grpc.insecure_channel(server.target) as channel:
        header = ("traceparent", f"00-{'1' * 32}-{'2' * 16}-01")
        for _ in range(2):
            list(proto.services.ChatStub(channel).Listen(proto.messages.Line(number=2), metadata=[header]))
    assert not server.trace.messages and [work.label for work in server.trace.work] == ["Listen"] * 2


def test_latency_and_resets_of_the_proxy_are_felt_over_http2(proto, server):
    with FaultProxy(server) as proxy:
        host, port = proxy.address
        with grpc.insecure_channel(f"{host}:{port}") as channel:
            stub = proto.services.ChatStub(channel)
            stub.Say(proto.messages.Line(text="warm"), wait_for_ready=True)
            proxy.add(Latency(0.05))
            began = time.monotonic()
            stub.Say(proto.messages.Line(text="hi"))
            assert time.monotonic() - began >= 0.05
            proxy.clear()
            proxy.add(ResetPeer())
            with pytest.raises(grpc.RpcError) as caught:
                stub.Say(proto.messages.Line(text="hi"))
            assert caught.value.code() is Code.UNAVAILABLE
            proxy.clear()

            def answered():  # not by a connection that was opened again before the toxic had gone
                with suppress(grpc.RpcError):
                    return stub.Say(proto.messages.Line(text="hi"), wait_for_ready=True, timeout=20).text

            assert eventually(answered) == "HI"
        assert proxy.connections.count >= 2
