"""The checks of lab 08, service discovery: one module per exercise, and what the exercises are given."""

from servicelab.checks.lab08.budget import check_budget as check_budget
from servicelab.checks.lab08.herd import check_herd as check_herd
from servicelab.checks.lab08.keeper import check_keeper as check_keeper
from servicelab.checks.lab08.resolver import check_resolver as check_resolver
from servicelab.checks.lab08.shops import formulas as formulas
from servicelab.checks.lab08.shops import practice_shop as practice_shop
from servicelab.checks.lab08.watcher import check_watcher as check_watcher
