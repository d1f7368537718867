"""The checks of lab 02, remote procedure calls: one module per exercise, and what the exercises are given."""

from servicelab.checks.lab02.contract import V1 as V1
from servicelab.checks.lab02.contract import check_contract as check_contract
from servicelab.checks.lab02.decode import OVERHEARD as OVERHEARD
from servicelab.checks.lab02.decode import check_decode as check_decode
from servicelab.checks.lab02.formats import as_message as as_message
from servicelab.checks.lab02.formats import check_formats as check_formats
from servicelab.checks.lab02.formats import payloads as payloads
from servicelab.checks.lab02.keepalive import check_keepalive as check_keepalive
from servicelab.checks.lab02.upload import ShelfFull as ShelfFull
from servicelab.checks.lab02.upload import check_upload as check_upload
from servicelab.checks.lab02.upload import photos as photos
