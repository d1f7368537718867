"""The checks of lab 10, circuit breaking: one module per exercise, and what the exercises are given."""

from servicelab.checks.lab10.backoff import check_backoff as check_backoff
from servicelab.checks.lab10.breaker import check_breaker as check_breaker
from servicelab.checks.lab10.deadline import check_deadline as check_deadline
from servicelab.checks.lab10.four_tier_shop import stormy_shop as stormy_shop
from servicelab.checks.lab10.mixed import practice_shop as practice_shop
from servicelab.checks.lab10.sizes import check_sizes as check_sizes
from servicelab.checks.lab10.storm import check_storm as check_storm
