"""The checks of lab 02, remote procedure calls: one module per exercise, and what the exercises are given.

``decode``     1, build: read a message without its contract
``contract``   2, repair: a contract that a colleague changed, with old and new programs running side by side
``upload``     3, build: 10 MB in pieces, with a deadline and honest status codes
``keepalive``  4, measure and decide: options with which a silent stream lives
``formats``    5, measure and decide: a format for each of four payloads
"""

from servicelab.checks.lab02.contract import V1, check_contract
from servicelab.checks.lab02.decode import OVERHEARD, check_decode
from servicelab.checks.lab02.formats import as_message, check_formats, payloads
from servicelab.checks.lab02.keepalive import check_keepalive
from servicelab.checks.lab02.upload import ShelfFull, check_upload, photos

__all__ = [
    "OVERHEARD", "V1", "ShelfFull", "as_message", "check_contract", "check_decode", "check_formats", "check_keepalive",
    "check_upload", "payloads", "photos",
]  # fmt: skip
