"""The checks of lab 05, event streams: one module per exercise, and what the exercises are given.

``partitioner``  1, build: the partition that Java's producer would choose
``reader``       2, repair: a reader that is killed, and loses nothing
``view``         3, build: a view out of the whole log, and a cleaner
``retention``    4, measure and decide: how long a log must remember (``days``: when it was written and read)
``jobs``         5, from production: a job that writes and ends, a service that starts whenever it likes
``kafka_stage``  a cluster for one part of a check, and clients that can be cut off
"""

from servicelab.checks.lab05.days import Day, practice_day
from servicelab.checks.lab05.jobs import check_jobs
from servicelab.checks.lab05.partitioner import check_partitioner
from servicelab.checks.lab05.reader import check_reader
from servicelab.checks.lab05.retention import check_retention
from servicelab.checks.lab05.view import check_view

__all__ = [
    "Day", "check_jobs", "check_partitioner", "check_reader", "check_retention", "check_view", "practice_day",
]  # fmt: skip
