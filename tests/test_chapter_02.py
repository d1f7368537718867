"""Chapter 02: the numbers it shows, in their bands, and its server seen by another language."""

import json
import os
import random
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc
import pytest

from servicelab import lifecycle
from servicelab.servers.proto import load_proto
from tests.cells import code_of, needed, notebook_of, run
from tests.conftest import require
from tests.counter_worlds import turn
from tests.counter_worlds.chapter_02 import WITHOUT

NODE = ["@grpc/grpc-js@1.14.7", "@grpc/proto-loader@0.8.1"]
CODE = code_of(notebook_of("02"))


def after(*cells):
    """The names of the notebook after these cells, the set-up and all that they need."""
    chosen = {id for cell in cells for id in needed(CODE, cell)}
    return run(CODE, [id for id in CODE if id in chosen])


@pytest.fixture(scope="module")
def seen():
    """After the cells that measure."""
    yield after("r-size-table", "r-cpu-run", "r-mux-sim", "r-mux-run", "r-wire-size", "r-change-run", "r-limits-size")
    lifecycle.stop_all()


def test_every_odd_price_is_a_refund_and_the_receipt_is_right():
    world = after("r-wrong-run")
    assert world["till"] == [-500, 500, -998, 125] and world["receipts"] == world["AMOUNTS"] == [999, 1000, 1995, 250]
    assert [world["old"].messages.Charge(cents=999).SerializeToString().hex(" ")] == ["08 e7 07"]


@pytest.mark.parametrize(
    ("kind", "number", "length"),
    [
        *(("int32", n, size) for n, size in [(1, 1), (127, 1), (128, 2), (300, 2), (16_383, 2), (16_384, 3)]),
        *(("int32", n, size) for n, size in [(2_097_151, 3), (2**31 - 1, 5), (-1, 10), (-(2**31), 10)]),
        *(("sint32", n, size) for n, size in [(-1, 1), (63, 1), (64, 2), (-64, 1), (-65, 2), (2**31 - 1, 5)]),
    ],
)
def test_bytes_of_a_number(seen, kind, number, length):
    assert seen["size"](kind, number) - 1 == length and seen["size"](kind, 0) == 0


def test_the_reader_by_hand_reads_what_the_library_writes():
    world = after("r-wire-fields", "r-wire-zigzag")
    field_of = after("r-change-reads")["field_of"]
    assert list(world["fields"](bytes.fromhex("08ac02"))) == [(1, 300)]
    assert list(world["fields"](bytes.fromhex("109601"))) == [(2, 150)]  # the question of the quiz
    for number in (0, 1, 2, 63, 64, 999, 2**31 - 1, -1, -2, -64, -500, -(2**31)):
        data = field_of("sint32")(value=number).SerializeToString()
        assert [world["zigzag"](value) for _, value in world["fields"](data)] == ([number] if number else [])
    for kind, value, size in (("double", 1.5, 8), ("fixed32", 7, 4), ("string", "mug", 3)):
        ((number, read),) = world["fields"](field_of(kind)(value=value).SerializeToString())
        assert (number, len(read)) == (1, size)


def test_where_protobuf_is_small_and_where_json_is_close(seen):
    size = seen["bytes_of"]
    shares = {name: (pb / plain, pb_zipped / zipped) for name, (plain, pb, zipped, pb_zipped) in size.items()}
    assert shares["100 orders"] == (pytest.approx(0.36, abs=0.02), pytest.approx(0.98, abs=0.03))
    assert shares["1 order"][0] == pytest.approx(0.35, abs=0.03) and shares["letter"][0] > 0.99
    assert size["photo"][:2] == [13_347, 10_003] and size["photo"][2] == pytest.approx(10_138, rel=0.01)
    assert size["track"][0] == pytest.approx(18_430, rel=0.01) and size["track"][1] == 8003


def test_a_built_message_costs_next_to_nothing_and_building_it_does_not(seen):
    share = dict(seen["against_json"])
    built = share.pop("serialise what is already built")
    filled = [share["build field by field, serialise"], share["from one dictionary, serialise"]]
    assert 4 * built < min(filled), "to fill it is the work"
    assert all(0.05 < one < 10 for one in share.values()), share


def test_six_connections_are_six_desks_and_one_http2_connection_has_room_for_all(seen):
    connections = seen["connections"]
    assert (connections["HTTP/1.1, six connections"], connections["gRPC"]) == (6, 1)
    assert connections["HTTP/1.1, one for each call"] >= 48
    assert [round(seen["simulated"](n, 6)) for n in (1, 6, 7, 12, 24, 48)] == [80, 80, 160, 160, 320, 640]
    assert round(seen["simulated"](48, 48)) == 80
    if seen["mux_watch"].longest < 0.2:
        assert seen["http_ms"][48] > 2.5 * seen["grpc_ms"][48]
        assert seen["http_ms"][48] > 4 * seen["http_ms"][6]
        assert seen["http_ms"][48] > 2 * seen["each_ms"]  # with a desk each nobody waits for one


# What one type writes and another reads: "same", another value, or what becomes of it.
WIRE = [
    ("int32", "int64", 2**31 - 1, 2**31 - 1), ("int64", "int32", 2**32 + 5, 5), ("int32", "bool", 2, True),
    ("bool", "int32", True, 1), ("string", "bytes", "é", b"\xc3\xa9"), ("fixed32", "float", 1065353216, 1.0),
    ("int32", "sint32", 999, -500), ("int32", "sint32", 1000, 500), ("int32", "uint32", -1, 4294967295),
    ("int32", "fixed32", 7, 0), ("fixed32", "int32", 7, 0), ("string", "int32", "7", 0), ("int32", "string", 7, ""),
    ("double", "float", 1.5, 0.0), ("bytes", "string", b"\xff\xfe", "an error"), ("fixed32", "sfixed32", 2**32 - 1, -1),
]  # fmt: skip


@pytest.mark.parametrize(("writer", "reader", "value", "read"), WIRE, ids=str)
def test_what_one_type_reads_in_another(seen, writer, reader, value, read):
    assert seen["reads"](writer, reader, value) == read


def test_six_of_72_ways_to_read_keep_every_value(seen):
    kept = {pair for pair, mark in seen["fates"].items() if mark == "✓"}
    integers = {("int32", "int64"), ("uint32", "int64"), ("bool", "int32"), ("bool", "int64"), ("bool", "uint32")}
    assert kept == integers | {("string", "bytes")} and len(seen["fates"]) == 72


def test_lists_names_and_numbers_that_are_used_again():
    crosses = after("r-change-three")["crosses"]
    assert crosses("int32 price = 1", "int32 cents = 1", 999) == 999
    assert crosses("repeated int32 cents = 1", "int32 cents = 1", [1, 2, 3]) == 0
    assert crosses("repeated string names = 1", "string name = 1", ["a", "b", "c"]) == "c"
    assert crosses("int32 cents = 1", "repeated int32 cents = 1", 7) == [7]


def test_the_limit_is_the_receivers_and_on_the_whole_message(seen):
    assert seen["answer_to"](seen["just"]) == "OK"
    assert seen["answer_to"](seen["over"]) == (
        "RESOURCE_EXHAUSTED SERVER: Received message larger than max (4194305 vs. 4194304)"
    )
    assert seen["large"]["client"] == "OK" and "CLIENT: Received message larger" in seen["large"]["server"]


def test_an_http1_client_gets_no_answer_and_a_stranger_needs_reflection():
    world = after("r-run-http1", "r-run-orders", "r-run-stranger")
    data = world["shop"].messages.Order(id=7).SerializeToString()
    with world["orders_server"]() as server:
        assert world["over_http1"](server.target, data) is None
    plain = grpc.server(ThreadPoolExecutor(1))
    world["shop"].services.add_OrdersServicer_to_server(world["Orders"](), plain)
    target = f"127.0.0.1:{plain.add_insecure_port('127.0.0.1:0')}"
    plain.start()
    with grpc.insecure_channel(target) as channel, pytest.raises(grpc.RpcError, match="UNIMPLEMENTED"):
        world["stranger"](channel, "shop.front.Orders", "Place")
    plain.stop(0).wait()


@pytest.mark.parametrize("limit", ["None", "0.3", "0.5", "0.7"])
def test_no_constant_is_a_handed_on_deadline(limit):
    card = turn("02", "r-limits-turn", "return None  # change this", f"return {limit}", WITHOUT)
    assert not card.reached, card


def test_deadlines_statuses_and_steps_for_nobody():
    world = after("r-limits-deadline", "r-limits-chain-run", "r-limits-status")
    none, some, over = world["rows"]
    assert none[1] == "OK" and float(none[2]) > 9.2e18 and 0 < float(some[2]) <= 21  # rounded up on the wire
    assert over[1:] == ["DEADLINE_EXCEEDED", "it was not called"]
    assert world["for_nobody"] == 75
    code, details = world["call_once"](world["raises"], timeout=20)
    assert code.name == "UNKNOWN" and "4929-0000-1111" in details


def test_eager_pings_end_a_stream_unless_the_server_expects_them():
    world = after("r-limits-keepalive-run")
    capped, eager, expected = world["capped"], world["eager"], world["expected"]
    assert (eager[1].name, eager[2]) == ("UNAVAILABLE", "Too many pings") and expected[1].name == "DEADLINE_EXCEEDED"
    assert 3 < eager[0] < expected[0]  # four or five pings, one a second, the first after one
    assert capped[1].name == "DEADLINE_EXCEEDED"  # the client's own cap: two pings without data, then one a minute


def test_excursions_five_attempts_no_hedge_and_no_overtaking():
    world = after("r-retry-count", "r-hol-measure")
    assert world["tried"] == {"none": 1, "retryPolicy": 5, "hedgingPolicy": 1}
    assert min(world["waited"].values()) > 0.6  # of the second that the large reply needs


@pytest.fixture(scope="module")
def node_modules(tmp_path_factory):
    """A folder with grpc-js, installed by npm."""
    npm, folder = require("npm"), tmp_path_factory.mktemp("grpc-js")
    options = ["--prefix", str(folder), "--ignore-scripts", "--no-audit", "--no-fund", "--silent"]
    done = subprocess.run([npm, "install", *options, *NODE], capture_output=True, text=True, timeout=120)
    if done.returncode:
        reason = f"npm could not fetch {NODE}: {done.stderr.strip()[-300:]}"
        pytest.fail(reason) if os.environ.get("CI") == "true" else pytest.skip(reason)
    return folder / "node_modules"


def test_a_client_in_another_language_understands_every_order(node_modules, tmp_path):
    world = after("r-run-orders", "r-run-dice")
    (tmp_path / "shop.proto").write_text(world["SHOP"], encoding="utf-8")
    assert load_proto(world["SHOP"]).package == "shop.front"
    rng = random.Random(1)
    orders = [world["some_order"](rng) for _ in range(200)]
    due = [sum(line["quantity"] * line["cents"] for line in order["lines"]) for order in orders]
    script = Path(__file__).parent / "grpc_js_client.js"
    with world["orders_server"]() as server:
        done = subprocess.run(
            [require("node"), script, tmp_path / "shop.proto", server.target, "shop.front"],
            env=os.environ | {"NODE_PATH": str(node_modules)}, input=json.dumps(orders),
            capture_output=True, text=True, timeout=120,
        )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    replies = json.loads(done.stdout)
    assert [(reply.get("id", 0), reply.get("cents", 0)) for reply in replies] == [
        (order["id"], cents) for order, cents in zip(orders, due)
    ]
