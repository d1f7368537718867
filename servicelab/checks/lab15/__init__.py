"""The checks of lab 15, choosing: one module per exercise, and what the exercises are given.

``basket`` 1, repair: a page that asks once for each line; ``flow`` 2, measure and decide: an order of six trips
(``trips``: what these two share); ``business`` 3, decide: a style for each link; ``review`` 4, measure: a post-mortem.
"""

from servicelab.checks.lab15.basket import check_basket, page_of
from servicelab.checks.lab15.business import PRACTICE, PRICES, check_business, decided
from servicelab.checks.lab15.flow import check_flow, orders_at
from servicelab.checks.lab15.review import check_review, game, reviewed

__all__ = ["PRACTICE", "PRICES", "check_basket", "check_business", "check_flow", "check_review", "decided", "game"]
__all__ += ["orders_at", "page_of", "reviewed"]
