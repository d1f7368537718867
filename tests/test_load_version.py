"""Two versions of one contract in one process: an old client meets a new server, over a real socket."""

import grpc
import pytest
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message_factory import GetMessageClass
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase

from servicelab.servers import GRPCServer, load_proto, load_version
from servicelab.servers.proto import ProtoError
from tests.waiting import eventually, left

OLD = """
syntax = "proto3";
package testing.versions;
import "google/protobuf/timestamp.proto";

enum Currency { CURRENCY_UNSPECIFIED = 0; EUR = 1; }
message Charge {
  message Line { string sku = 1; }
  int32 cents = 1;
  Currency currency = 2;
  google.protobuf.Timestamp at = 3;
  repeated Line lines = 4;
}
service Payment {
  rpc Pay(Charge) returns (Charge);
  rpc Follow(Charge) returns (stream Charge);
  rpc Add(stream Charge) returns (Charge);
  rpc Echo(stream Charge) returns (stream Charge);
}
"""
NEW = OLD.replace("int32 cents", "sint32 cents")


@pytest.fixture(autouse=True)
def nothing_left():
    yield
    assert eventually(lambda: not left()), left()


def served(proto, seen):
    class Payment(proto.services.PaymentServicer):
        def Pay(self, charge, context):
            seen.append(charge.cents)
            return charge

        def Follow(self, charge, context):
            for cents in range(charge.cents):
                yield proto.messages.Charge(cents=cents)

        def Add(self, charges, context):
            return proto.messages.Charge(cents=sum(charge.cents for charge in charges))

        def Echo(self, charges, context):
            yield from charges

    return GRPCServer([(proto.services.add_PaymentServicer_to_server, Payment())], "payment")


def test_each_version_keeps_the_names_of_its_text_and_prints_nothing(capsys):
    old, new = load_version(OLD), load_version(NEW)
    assert old.package == new.package == "testing.versions" and capsys.readouterr() == ("", "")
    assert old.messages.Charge.DESCRIPTOR.full_name == new.messages.Charge.DESCRIPTOR.full_name
    assert load_version(OLD) is old and old.messages.Charge is not new.messages.Charge
    assert load_proto(OLD).package == "testing.versions"  # and takes nothing from load_proto


@pytest.mark.parametrize(
    "server, client, booked", [(OLD, OLD, 999), (NEW, NEW, 999), (NEW, OLD, -500), (OLD, NEW, 1998)]
)
def test_a_client_of_one_version_calls_a_server_of_the_other(server, client, booked):
    client, seen = load_version(client), []
    with served(load_version(server), seen) as running, grpc.insecure_channel(running.target) as channel:
        reply = client.services.PaymentStub(channel).Pay(client.messages.Charge(cents=999), timeout=20)
    assert (seen, reply.cents) == ([booked], 999)


def test_all_four_kinds_of_call_nested_messages_enums_and_imports():
    proto = load_version(OLD)
    Charge, EUR = proto.messages.Charge, proto.messages.EUR
    assert EUR == proto.messages.Currency.Value("EUR") == 1
    charge = Charge(cents=3, currency=EUR, lines=[Charge.Line(sku="mug")])
    charge.at.GetCurrentTime()
    with served(proto, []) as server, grpc.insecure_channel(server.target) as channel:
        stub = proto.services.PaymentStub(channel)
        assert stub.Pay(charge, timeout=20) == charge
        assert [one.cents for one in stub.Follow(charge, timeout=20)] == [0, 1, 2]
        assert stub.Add(iter([charge] * 3), timeout=20).cents == 9
        assert list(stub.Echo(iter([charge] * 2), timeout=20)) == [charge] * 2


def test_what_a_servicer_leaves_out_is_unimplemented_and_a_function_is_no_servicer():
    services = load_version(OLD).services
    pair = (services.add_PaymentServicer_to_server, services.PaymentServicer())
    with GRPCServer([pair], "payment") as server, grpc.insecure_channel(server.target) as channel:
        for call in (
            services.PaymentStub(channel).Pay,
            lambda *a, **k: next(services.PaymentStub(channel).Follow(*a, **k)),
        ):
            with pytest.raises(grpc.RpcError) as caught:
                call(load_version(OLD).messages.Charge(), timeout=20)
            assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED
    with pytest.raises(AttributeError, match="'function' object has no attribute 'Pay'"):
        services.add_PaymentServicer_to_server(lambda charge, context: charge, None)


def test_reflection_tells_the_version_that_is_served():
    load_proto(OLD.replace("int32 cents", "fixed32 cents"))  # what the process knows under this name is another
    for text, kind in ((OLD, "TYPE_INT32"), (NEW, "TYPE_SINT32")):
        with served(load_version(text), []) as server, grpc.insecure_channel(server.target) as channel:
            pool = DescriptorPool(ProtoReflectionDescriptorDatabase(channel))
            field = pool.FindMessageTypeByName("testing.versions.Charge").fields_by_name["cents"]
            assert field.type == getattr(type(field), kind)
            assert GetMessageClass(field.containing_type)(cents=1).cents == 1
            assert pool.FindServiceByName("grpc.health.v1.Health")


@pytest.mark.parametrize(
    "text, why",
    [
        ('syntax = "proto3";\npackage testing.bad;\nmessage { }\n', "line 3, column 9: Expected message name"),
        ('syntax = "proto3";\npackage testing.bad;\nmessage A { Nobody b = 1; }\n', '"Nobody" is not defined'),
        ('syntax = "proto3";\nmessage A {}\n', "names no package"),
        (
            'syntax = "proto3";\npackage testing.bad;\nmessage A { reserved 2; int32 a = 2; }\n',
            'Field "a" uses reserved number 2',
        ),
    ],
)
def test_what_is_no_proto_is_refused_with_line_and_reason(text, why, capfd):
    with pytest.raises(ProtoError, match=why):
        load_version(text)
    assert capfd.readouterr().err == ""
