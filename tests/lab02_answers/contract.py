"""Exercise 2: four contracts that old programs bear, and the ways to break them."""

GOOD = """
syntax = "proto3";
package shop;
enum Delivery { DELIVERY_UNSPECIFIED = 0; DELIVERY_STANDARD = 1; DELIVERY_EXPRESS = 2; }
message Order {
  reserved 4;
  reserved "voucher";
  int64 id = 1;
  string buyer = 2;
  int64 cents = 3;
  int32 quantity = 5;
  optional int32 rebate = 6;
  Delivery delivery = 7;
}
message Receipt {
  int64 id = 1;
  int64 cents = 2;
}
service Orders {
  rpc Place(Order) returns (Receipt);
}
"""
ONEOF = """syntax = "proto3";
package shop;
service Orders { rpc Cancel(Order) returns (Receipt); rpc Place(Order) returns (Receipt); }
message Receipt { int64 cents = 2; int64 id = 1; string note = 3; }
message Order {
  enum Speed { STANDARD = 0; EXPRESS = 1; PIGEON = 2; }
  Speed delivery = 20;
  oneof given { int32 rebate = 100; }
  int64 cents = 3; int32 quantity = 5; int64 id = 1; string buyer = 2;
  reserved 4, 8 to 15; reserved "voucher", "customer";
}
"""
EDITION = """edition = "2023";
package shop;
message Order {
  reserved 4;
  reserved voucher;
  enum Delivery { STANDARD = 0; EXPRESS = 1; }
  int64 id = 1; string buyer = 2; int64 cents = 3; int64 quantity = 5; int32 rebate = 6; Delivery delivery = 7;
}
message Receipt { int64 id = 1; int64 cents = 2; }
service Orders { rpc Place(Order) returns (Receipt); }
"""


def but(*changes):
    """The good contract with texts changed, pair by pair; each of them is there."""
    text = GOOD
    for old, new in zip(changes[::2], changes[1::2], strict=True):
        assert old in text, old
        text = text.replace(old, new)
    return text


VALUES = "DELIVERY_UNSPECIFIED = 0; DELIVERY_STANDARD = 1; DELIVERY_EXPRESS = 2;"
ORDER, RECEIPT, REBATE = "  int64 cents = 3;", "  int64 cents = 2;", "optional int32 rebate = 6;"

RIGHT = {
    "optional": GOOD,
    "a oneof, and more than was asked for": ONEOF,
    "an edition": EDITION,
    "in one line": " ".join(GOOD.splitlines()),
    "a function that returns it": lambda: but("optional int32", "optional sint32"),
}
WRONG = {
    "a word forgotten": (but("optional int32 rebate = 6;", "optional int32 rebate;"), {"names"}),
    "no rebate": (but("  optional int32 rebate = 6;\n", ""), {"names"}),
    "delivery is a bool": (but("Delivery delivery", "bool delivery"), {"names"}),
    "no method": (but("rpc Place", "rpc Submit"), {"names"}),
    "the voucher is only out of date": (
        but("  reserved 4;\n", "  string voucher = 4 [deprecated = true];\n", '  reserved "voucher";\n', ""),
        {"reserved"},
    ),
    "another package": (but("package shop", "package shop.v2"), {"unanswered"}),
    "a stream of orders": (but("Place(Order)", "Place(stream Order)"), {"unanswered"}),
    "numbers in a new order": (but("int32 quantity = 5", "int32 quantity = 8"), {"misread"}),
    "as text": (but(ORDER, "  string cents = 3;"), {"misread"}),
    "zigzag": (but(ORDER, "  sint64 cents = 3;"), {"misread"}),
    "nothing below zero": (but(ORDER, "  uint64 cents = 3;"), {"misread"}),
    "quantity is yes or no": (but("int32 quantity", "bool quantity"), {"misread"}),
    "several quantities": (but("int32 quantity", "repeated int32 quantity"), {"misread"}),
    "a name of bytes": (but("string buyer", "bytes buyer"), {"misread"}),
    "the receipt in zigzag": (but(RECEIPT, "  sint64 cents = 2;"), {"misread"}),
    "the receipt renumbered": (but(RECEIPT, "  int64 cents = 3;"), {"misread"}),
    "prices stay small": (but(ORDER, "  int32 cents = 3;"), {"too-small"}),
    "the receipt stays small": (but(RECEIPT, "  int32 cents = 2;"), {"too-small"}),
    "the number is free again": (
        but("  reserved 4;\n", "", "Delivery delivery = 7;", "Delivery delivery = 7; string note = 4;"),
        {"reserved"},
    ),
    "the number is not kept": (but("  reserved 4;\n", ""), {"reserved"}),
    "the wrong number is kept": (but("  reserved 4;\n", "  reserved 8;\n"), {"reserved"}),
    "the name is not kept": (but('  reserved "voucher";\n', ""), {"reserved"}),
    "0 is nothing": (but("optional int32", "int32"), {"zero-is-none"}),
    "the rebate or the quantity": (
        but("  int32 quantity = 5;", "", REBATE, "oneof e { int32 quantity = 5; int32 rebate = 6; }"),
        {"not-cents"},
    ),
    "the rebate or the price": (
        but(ORDER, "", REBATE, "oneof e { int64 cents = 3; int32 rebate = 6; }"),
        {"not-cents"},
    ),
    "the rebate or the delivery": (
        but(REBATE, "oneof e { int32 rebate = 6; Delivery delivery = 7; }", "  Delivery delivery = 7;", ""),
        {"not-cents"},
    ),
    "a rebate with fractions": (but(REBATE, "optional double rebate = 6;"), {"not-cents"}),
    "a rebate with seven digits": (but(REBATE, "optional float rebate = 6;"), {"not-cents"}),
    "a rebate as text": (but(REBATE, "optional string rebate = 6;"), {"not-cents"}),
    "a rebate as a message": (but(REBATE, "message Money { int32 cents = 1; } Money rebate = 6;"), {"not-cents"}),
    "nobody returns anything": (but("int32 quantity", "uint32 quantity"), {"misread"}),
    "no id below zero": (but("int64 id = 1;\n  string", "uint64 id = 1;\n  string"), {"misread"}),
    "no receipt below zero": (but(RECEIPT, "  uint64 cents = 2;"), {"misread"}),
    "EXPRESS is STANDARD": (but(VALUES, "option allow_alias = true; EXPRESS = 0; STANDARD = 0;"), {"express"}),
    "EXPRESS comes first": (but(VALUES, "EXPRESS = 0; STANDARD = 1;"), {"express"}),
}
