"""The checks of lab 14, service mesh: one module per exercise, and what the exercises are given."""

from servicelab.checks.lab14.canary import check_canary as check_canary
from servicelab.checks.lab14.canary import rollout as rollout
from servicelab.checks.lab14.choice import LIBRARIES as LIBRARIES
from servicelab.checks.lab14.choice import PRICES as PRICES
from servicelab.checks.lab14.choice import SHOP as SHOP
from servicelab.checks.lab14.choice import check_choice as check_choice
from servicelab.checks.lab14.control import check_control as check_control
from servicelab.checks.lab14.outliers import check_outliers as check_outliers
from servicelab.checks.lab14.outliers import live as live
from servicelab.checks.lab14.retries import check_retries as check_retries
