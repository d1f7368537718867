"""The checks of lab 14, service mesh: one module per exercise, and what the exercises are given.

``retries``   1, repair: what a sidecar may send again
``canary``    2, build: who decides about a new version
``outliers``  3, repair: outlier detection on three replicas
``control``   4, build: a control plane
``choice``    5, measure and decide: sidecar, library or gateway
"""

from servicelab.checks.lab14.canary import check_canary, practice_rollouts
from servicelab.checks.lab14.choice import LIBRARIES, PRICES, check_choice, practice_shop
from servicelab.checks.lab14.control import check_control
from servicelab.checks.lab14.outliers import check_outliers, cluster
from servicelab.checks.lab14.retries import check_retries, practice_day

__all__ = [
    "LIBRARIES", "PRICES", "check_canary", "check_choice", "check_control", "check_outliers", "check_retries",
    "cluster", "practice_day", "practice_rollouts", "practice_shop",
]  # fmt: skip
