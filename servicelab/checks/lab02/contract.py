"""Exercise 2, repair: a contract that a colleague changed, while old programs go on running.

Old and new clients call old and new servers, over real sockets. What decides is what a server saw and what came back.
"""

import grpc
from google.protobuf.descriptor_pb2 import DescriptorProto
from google.protobuf.message import Message

from servicelab.checks.lab02.lines import channel
from servicelab.checks.learner_traceback import shown
from servicelab.checks.scenario import Stage, scenario, words
from servicelab.clients.tracing import traced_channel
from servicelab.servers import GRPCServer, load_version
from servicelab.servers.proto import ProtoError

V1 = """syntax = "proto3";
package shop;

message Order {
  int64 id = 1;
  string customer = 2;
  int32 cents = 3;
  string voucher = 4;
  int32 quantity = 5;
}

message Receipt {
  int64 id = 1;
  int32 cents = 2;
}

service Orders {
  rpc Place(Order) returns (Receipt);
}
"""
VOUCHER, _NEW = 4, {"customer": "buyer"}  # its number, and the names that changed
FIELDS = {"Order": ("id", "buyer", "cents", "quantity", "rebate", "delivery"), "Receipt": ("id", "cents")}
#: What version 1 can say: odd and even, the largest, all below zero, and as little as possible.
ORDERS = (
    {"id": 2**40, "customer": "Zoë", "cents": 999, "quantity": 3},
    {"id": 7, "customer": "Malik", "cents": 1000, "quantity": 2},
    {"id": 8, "customer": "Ada", "cents": 2**31 - 1, "quantity": 1},
    {"id": -9, "customer": "Ada", "cents": -500, "quantity": -1},
    {"id": 10, "customer": "", "cents": 0, "quantity": 0},
)
MOST = 10**12  # cents

WORDS = words("""
no-proto: the text is a contract that compiles
    The compiler says line and column.
names: it has everything that was wished for, under the names of the task, and no voucher
    Go through the numbered wishes: what is missing, and what can a new program still write?
unanswered: a call of an old client reaches the new server, and a new client's the old server
    What does the path of a call consist of, in both texts?
lost: what an old client orders arrives at the new server, and the other way round
    By what does a program find a field in the bytes? In front of it stands a tag: compare both parts of it, number and
    type on the wire.
misread: orders arrive with the same values, old to new and new to old
    Which types read the same bytes in the same way, for odd numbers and for those below zero?
receipt-lost, receipt-misread: receipts arrive with the same values, old to new and new to old
    An answer is a message like any other. Compare number and type with those of version 1.
too-small: an order and a receipt of 10¹² cents arrive among new programs
    How many bits has it, in both messages?
reused: what an old client writes as voucher is nothing else for the new server
    Old programs go on sending the old number.
number-free: the number of the voucher is kept from being given away again
    Your text knows today why it must not be used. Will the next colleague? There is a word for it.
name-free: the name of the voucher is kept from being given away again
    JSON and the lines of a log know a field by its name.
not-cents: a rebate below 2³¹ arrives among new programs, as a whole number, and all other fields beside it
    What can the type of your rebate hold? And does anything else have to give way when it is set?
zero-is-none: a rebate of 0 is something else than no rebate, and old clients give none
    How does a server tell a field that is 0 from one that was not sent? proto3 has a word for it.
express: EXPRESS gets who has asked for it, and nobody else
    What does a server read in a field that was not sent, and which number do you send for EXPRESS?
""")


class Versions(Stage):
    """Servers and clients of both versions, and what the servers saw."""

    def __init__(self, ask, contract):
        super().__init__(ask, contract)
        text = contract if isinstance(contract, str) else self.call(contract, returns=str)
        self.last, self.saw, self.stubs = ask.trace.send("you", "shop", "the contract", kind="message"), [], {}
        try:
            self.versions = {1: load_version(V1), 2: load_version(text)}
        except ProtoError as error:
            self.refuse("no-proto", str(error))
        self.new = self.versions[2].messages
        if wrong := _unlike_the_wishes(self.new):
            self.refuse("names", ", ".join(wrong))
        for number, version in self.versions.items():
            server = self.use(GRPCServer([self._servicer(version)], f"orders v{number}", trace=ask.trace))
            for client, its in self.versions.items():
                traced = traced_channel(
                    channel(self, server.target), ask.trace, f"client v{client}", server=server.name
                )
                self.stubs[client, number] = its.services.OrdersStub(traced)

    def _servicer(self, version):
        def place(servicer, order, context):
            self.saw.append(order)
            return version.messages.Receipt(id=order.id, cents=order.cents)

        servicer = type("Shop", (version.services.OrdersServicer,), {"Place": place})()
        return version.services.add_OrdersServicer_to_server, servicer

    def place(self, client, server, fields):
        """``(order that the server saw, receipt, words)``; None for what did not come."""
        told = f"a client of v{client} ordered {fields} from a server of v{server}"
        if client == 2:
            fields = {_NEW.get(name, name): value for name, value in fields.items()}
        self.saw.clear()
        try:
            receipt = self.stubs[client, server].Place(self.versions[client].messages.Order(**fields), timeout=5)
        except (TypeError, ValueError) as error:
            return None, None, f"{told}: {error}"
        except grpc.RpcError as error:
            receipt, told = None, f"{told}: {error.code().name}, {error.details()}"
        self.last = self.ask.trace.calls[-1].id
        return (self.saw[0] if self.saw and isinstance(self.saw[0], Message) else None), receipt, told


def _unlike_the_wishes(new) -> list[str]:
    wrong = [f"there is no message {name}" for name in FIELDS if not hasattr(new, name)]
    for name, fields in FIELDS.items() if not wrong else ():
        has = getattr(new, name).DESCRIPTOR.fields_by_name
        wrong += [f"{name} has no {field}" for field in fields if field not in has]
        wrong += [f"{name} has a voucher"] if "voucher" in has else []
    service = new.DESCRIPTOR.services_by_name.get("Orders")
    wrong += [] if service and "Place" in service.methods_by_name else ["there is no service Orders with Place"]
    if not wrong:
        names = _delivery(new).values_by_name if _delivery(new) else ()
        ends = [end for end in ("STANDARD", "EXPRESS") if not any(name.endswith(end) for name in names)]
        wrong = [f"delivery has no value that ends in {end}" for end in ends]
    return wrong


def _delivery(new):
    return new.Order.DESCRIPTOR.fields_by_name["delivery"].enum_type


check_contract = scenario("02", 2, "Two versions at work", WORDS, contract=Versions)
part = check_contract.part


@part
def between_old_and_new(v):
    for client, server in ((1, 2), (2, 1)):
        for sent in ORDERS:
            order, receipt, told = v.place(client, server, sent)
            yield "unanswered", order is not None, told
            for name, value in sent.items():
                here = _NEW.get(name, name) if server == 2 else name
                yield compared("", getattr(order, here), value, f"{told}: {here}")
            yield "receipt-misread", receipt is not None, told
            for name in FIELDS["Receipt"]:
                yield compared("receipt-", getattr(receipt, name), sent[name], f"{told}: the receipt's {name}")


def compared(before, got, sent, told):
    return f"{before}{'lost' if sent and not got else 'misread'}", got == sent, f"{told} came as {shown(got)}"


@part
def what_is_gone(v):
    order, _, told = v.place(1, 2, {"id": 1, "voucher": "SUMMER"})
    here = [field.name for field in v.new.Order.DESCRIPTOR.fields if field.number == VOUCHER]
    yield "reused", not here, f"{told}, where number {VOUCHER} is {' and '.join(here)}: {shown(str(order))}"
    described = DescriptorProto()
    v.new.Order.DESCRIPTOR.CopyToProto(described)
    is_kept = any(one.start <= VOUCHER < one.end for one in described.reserved_range)
    yield "number-free", is_kept, f"the compiler lets another field be number {VOUCHER}"
    yield "name-free", "voucher" in described.reserved_name, "the compiler lets another field be called voucher"


@part
def what_is_new(v):
    order, receipt, told = v.place(2, 2, {"id": 1, "cents": MOST})
    came = [message and message.cents for message in (order, receipt)]
    yield "too-small", came == [MOST, MOST], f"{told} and came as {came[0]}, the receipt as {came[1]}"
    express = [value.number for value in _delivery(v.new).values if value.name.endswith("EXPRESS")]
    for server in (1, 2):
        sent = ORDERS[1] | {"rebate": 2**31 - 1, "delivery": express[0]}
        order, _, told = v.place(2, server, sent)
        came = {name: getattr(order, _NEW.get(name, name) if server == 2 else name, None) for name in sent}
        want = sent if server == 2 else ORDERS[1]
        is_whole = server == 1 or isinstance(came["rebate"], int)
        yield "not-cents", is_whole and want.items() <= came.items(), f"{told} came as {shown(came)}"
    for client, rebate in ((2, 0), (2, 250), (2, None), (1, None)):
        order, _, told = v.place(client, 2, {"id": 1} | ({} if rebate is None else {"rebate": rebate}))
        came = order and _rebate(order)
        yield "zero-is-none", order is not None and came == rebate, f"{told}: rebate came as {shown(came)}"
    for client, asked in ((1, {}), (2, {}), (2, {"delivery": express[0]})):
        order, _, told = v.place(client, 2, {"id": 1} | asked)
        value = _delivery(v.new).values_by_number[order.delivery].name
        is_right = (order.delivery in express) == bool(asked)
        yield "express", is_right, f"{told}: delivery came as {order.delivery}, {value}"


def _rebate(order):
    """What was sent as rebate, or None; in words where nobody can say whether it was."""
    if not order.DESCRIPTOR.fields_by_name["rebate"].has_presence:
        return order.rebate or "0, or nothing"
    return order.rebate if order.HasField("rebate") else None
