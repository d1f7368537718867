"""The checks of lab 11, consistency: one module per exercise, and what the exercises are given.

``dual_write``  1, repair: an order that is saved and never sent, and a message that counts twice
``key_store``   2, build: payments with idempotency keys
``relay``       3, repair: a relay that skips what was committed late
``saga``        4, build: steps that are undone, whatever fails
``windows``     5, measure and decide: how long an inbox remembers, how often a relay polls (``days``: the shops)
"""

from servicelab.checks.lab11.days import practice_shop as practice_shop
from servicelab.checks.lab11.dual_write import check_dual_write as check_dual_write
from servicelab.checks.lab11.key_store import check_key_store as check_key_store
from servicelab.checks.lab11.relay import check_relay as check_relay
from servicelab.checks.lab11.saga import Refused as Refused
from servicelab.checks.lab11.saga import check_saga as check_saga
from servicelab.checks.lab11.windows import check_windows as check_windows
