"""The checks of lab 04, events: one module per exercise. ``wires`` is a ZeroMQ context for one part of a check."""

from servicelab.checks.lab04.bus import check_bus
from servicelab.checks.lab04.join import check_join
from servicelab.checks.lab04.parcels import an_order, check_parcels, try_out
from servicelab.checks.lab04.patterns import check_patterns
from servicelab.checks.lab04.reader import check_reader

__all__ = ["an_order", "check_bus", "check_join", "check_parcels", "check_patterns", "check_reader", "try_out"]
