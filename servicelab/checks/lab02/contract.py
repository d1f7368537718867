"""Exercise 2, repair: a contract that a colleague changed. Old and new clients call old and new servers."""

from functools import partial

import grpc
from google.protobuf.descriptor_pb2 import DescriptorProto

from servicelab.checks.lab02.lines import channel, serve
from servicelab.checks.learner_traceback import shown
from servicelab.checks.scenario import Stage, scenario, words
from servicelab.clients.tracing import traced_channel
from servicelab.servers import load_version

V1 = """syntax = "proto3";
package shop;
message Order { int64 id = 1; string customer = 2; int32 cents = 3; string voucher = 4; int32 quantity = 5; }
message Receipt { int64 id = 1; int32 cents = 2; }
service Orders { rpc Place(Order) returns (Receipt); }
"""
VOUCHER, MOST = 4, 10**12  # the number of the field, and cents
#: What version 1 can say: odd and even, the largest, all below zero, and as little as possible.
ORDERS = (
    {"id": 2**40, "customer": "Zoë", "cents": 999, "quantity": 3},
    {"id": 7, "customer": "Malik", "cents": 1000, "quantity": 2},
    {"id": 8, "customer": "Ada", "cents": 2**31 - 1, "quantity": 1},
    {"id": -9, "customer": "Ada", "cents": -500, "quantity": -1},
    {"id": 10, "customer": "", "cents": 0, "quantity": 0},
)

WORDS = words("""
names: the text compiles, and has everything that was wished for, under the names of the task
    The compiler says line and column. Go through the numbered wishes: what is missing?
unanswered: a call of an old client reaches the new server, and a new client's the old server
    What does the path of a call consist of, in both texts?
misread: orders and receipts arrive with the same values, old to new and new to old
    Compare each number and type with version 1. Which types read the same bytes alike, odd numbers and below zero?
too-small: an order and a receipt of 10¹² cents arrive among new programs
    How many bits has it, in both messages?
reserved: number and name of the voucher are kept from being given away again
    Old programs go on sending the number; JSON and logs know a field by its name. Which word keeps a colleague off?
not-cents: a rebate below 2³¹ arrives among new programs, as a whole number, and all other fields beside it
    What can the type of your rebate hold, is it one number, and does anything else give way when it is set?
zero-is-none: a rebate of 0 is something else than no rebate, and old clients give none
    How does a server tell a field that is 0 from one that was not sent? proto3 has a word for it.
express: EXPRESS gets who has asked for it, and nobody else
    What does a server read in a field that was not sent, and which number do you send for EXPRESS?
""")


class Versions(Stage):
    """Servers and clients of both versions."""

    def __init__(self, ask, contract):
        super().__init__(ask, contract)
        self.say("you", "shop", "the contract")
        if not isinstance(contract, str) and not callable(contract):
            self.refuse("names", f"it is no text but {shown(contract)}")
        text = contract if isinstance(contract, str) else self.call(contract, returns=str)
        try:
            self.versions = {1: load_version(V1), 2: load_version(text)}
            new = self.versions[2]
            new.messages.Order(id=None, buyer=None, cents=None, quantity=None, rebate=None, delivery=None)
            new.messages.Receipt(id=None, cents=None)
            self.new, _ = new.messages.Order.DESCRIPTOR, new.services.OrdersServicer.Place
        except (AttributeError, ValueError) as error:  # a field that is not there cannot be None
            self.refuse("names", str(error))
        enum = self.new.fields_by_name["delivery"].enum_type
        values = [(value.name, value.number) for value in (enum.values if enum else ())]
        self.express = [number for name, number in values if name.endswith("EXPRESS")]
        if not self.express or not any(name.endswith("STANDARD") for name, _ in values):
            self.refuse("names", f"delivery has no values that end in STANDARD and EXPRESS: {values}")
        self.saw, self.stubs = {}, {}
        for number, version in self.versions.items():
            place = staticmethod(partial(self._place, version.messages.Receipt))
            servicer = type("Shop", (version.services.OrdersServicer,), {"Place": place})()
            server = serve(self, version, "Orders", servicer, f"orders v{number}", trace=ask.trace)
            for client, its in self.versions.items():
                line = traced_channel(channel(self, server.target), ask.trace, f"client v{client}", server=server.name)
                self.stubs[client, number] = its.services.OrdersStub(line)

    def _place(self, Receipt, order, context):
        self.saw = fields_of(order)
        return Receipt(id=order.id, cents=order.cents)

    def place(self, client, server, sent):
        """``(the fields that the server saw, those of the receipt, words)``; none of what did not come."""
        names = {"customer": "buyer"} if client == 2 else {}
        said = {names.get(name, name): value for name, value in sent.items()}
        self.saw, receipt, told = {}, {}, f"a client of v{client} ordered {said} from a server of v{server}"
        try:
            order = self.versions[client].messages.Order(**said)
        except (TypeError, ValueError) as error:
            return {}, {}, f"a client of v{client} cannot order {said}: {error}"
        try:
            receipt = fields_of(self.stubs[client, server].Place(order, timeout=5))
        except ValueError as error:  # the receipt makes no sense to the client
            told += f": {error}"
        except grpc.RpcError as error:
            told += f": {error.code().name}, {error.details()}"
        self.last = self.ask.trace.calls[-1].id
        return self.saw, receipt, told


def fields_of(message):
    """What is set in it, by the names of version 1."""
    return {"customer" if one.name == "buyer" else one.name: value for one, value in message.ListFields()}


check_contract = scenario("02", 2, "Two versions at work", WORDS, contract=Versions)
part = check_contract.part


@part
def between_old_and_new(v):
    for client, server in ((1, 2), (2, 1)):
        for sent in ORDERS:
            order, receipt, told = v.place(client, server, sent)
            yield "unanswered", bool(order), told
            for owner, came, names in (("order", order, sent), ("receipt", receipt, ("id", "cents"))):
                for name in names:
                    got = came.get(name, type(sent[name])())
                    yield "misread", got == sent[name], f"{told}; the {owner}'s {name} came as {shown(got)}"


@part
def what_is_gone(v):
    order, _, told = v.place(1, 2, {"id": 1, "voucher": "SUMMER"})
    here = v.new.fields_by_number.get(VOUCHER)
    told += f"; it came as {shown(order)}, and number {VOUCHER} is {here.name if here else 'there for another field'}"
    described = DescriptorProto()
    v.new.CopyToProto(described)
    yield "reserved", any(one.start <= VOUCHER < one.end for one in described.reserved_range), told
    yield "reserved", "voucher" in described.reserved_name, "the compiler lets another field be called voucher"


@part
def what_is_new(v):
    order, receipt, told = v.place(2, 2, {"id": 1, "cents": MOST})
    came = order.get("cents"), receipt.get("cents")
    yield "too-small", came == (MOST, MOST), f"{told}; of the cents {came[0]} came, and {came[1]} with the receipt"
    new = {"rebate": 2**31 - 1, "delivery": v.express[0]}
    for server, due in ((1, ORDERS[1]), (2, ORDERS[1] | new)):
        order, _, told = v.place(2, server, ORDERS[1] | new)
        came = {name: order.get(name, 0) for name in due}
        told += f"; it came as {shown(came)}" if order else ""
        yield "not-cents", came == due and isinstance(order.get("rebate", 0), int), told
    for client, sent in ((2, {"rebate": 0}), (2, {"rebate": 250}), (2, {}), (1, {}), (2, {"delivery": v.express[0]})):
        order, _, told = v.place(client, 2, {"id": 1} | sent)
        rebate, delivery = order.get("rebate"), order.get("delivery", 0)
        yield "zero-is-none", bool(order) and rebate == sent.get("rebate"), f"{told}; the rebate came as {rebate}"
        told += f"; the delivery came as {delivery}, and EXPRESS is {v.express[0]}"
        yield "express", (delivery in v.express) == ("delivery" in sent), told
