"""The checks of lab 05, event streams: one module per exercise, and what the exercises are given."""

from servicelab.checks.lab05.jobs import check_jobs as check_jobs
from servicelab.checks.lab05.partitioner import check_partitioner as check_partitioner
from servicelab.checks.lab05.reader import check_reader as check_reader
from servicelab.checks.lab05.retention import Day as Day
from servicelab.checks.lab05.retention import check_retention as check_retention
from servicelab.checks.lab05.retention import practice_day as practice_day
from servicelab.checks.lab05.view import check_view as check_view
