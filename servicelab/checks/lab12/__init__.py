"""The checks of lab 12, observability: one module per exercise, and what the exercises are given.

``page``       1, repair: a trace that a thread pool and a queue have torn
``histogram``  2, build and measure: quantiles out of buckets, and bounds for three services
``sampler``    3, build: a tail sampler
``dashboard``  4, repair: a dashboard whose four panels lie
``rules``      5, measure and decide: who is woken (``months``: thirty recorded days)
"""

from servicelab.checks.lab12.dashboard import Frozen, check_dashboard, customers, two_instances
from servicelab.checks.lab12.histogram import OTEL, answer_times, check_histogram, errors
from servicelab.checks.lab12.months import month, replayed
from servicelab.checks.lab12.page import check_page, spans_of
from servicelab.checks.lab12.rules import check_rules
from servicelab.checks.lab12.sampler import Span, check_sampler

__all__ = [
    "OTEL", "Frozen", "Span", "answer_times", "check_dashboard", "check_histogram", "check_page", "check_rules",
    "check_sampler", "customers", "errors", "month", "replayed", "spans_of", "two_instances",
]  # fmt: skip
