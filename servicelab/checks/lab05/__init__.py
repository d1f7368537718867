"""The checks of lab 05, event streams."""
from servicelab.checks.lab05.partitioner import check_partitioner
from servicelab.checks.lab05.reader import check_reader
from servicelab.checks.lab05.retention import check_retention
from servicelab.checks.lab05.view import check_view

__all__ = ["check_partitioner", "check_reader", "check_retention", "check_view"]
