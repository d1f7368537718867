"""The checks of lab 12, observability: one module per exercise, and what the exercises are given."""

from servicelab.checks.lab12.dashboard import Frozen, check_dashboard, customers
from servicelab.checks.lab12.histogram import OTEL, answer_times, check_histogram, errors
from servicelab.checks.lab12.page import check_page, spans_of
from servicelab.checks.lab12.rules import check_rules, month, replayed
from servicelab.checks.lab12.sampler import Span, check_sampler

__all__ = [
    "OTEL", "Frozen", "Span", "answer_times", "check_dashboard", "check_histogram", "check_page", "check_rules",
    "check_sampler", "customers", "errors", "month", "replayed", "spans_of",
]  # fmt: skip
