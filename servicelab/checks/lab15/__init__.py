"""The checks of lab 15, choosing: one module per exercise, and what the exercises are given.

``basket``   1, repair: a page that asks once for each line of a basket
``flow``     2, measure and decide: an order that takes seven trips (``trips``: what these two count)
``business`` 3, decide: a style for each link of a business, by needs and prices
``regions``  4, decide: where two regions write, copy and read each table
``review``   5, measure: a post-mortem from a recorded game (``games``: the recordings)
"""

from servicelab.checks.lab15.basket import check_basket as check_basket
from servicelab.checks.lab15.basket import page_of as page_of
from servicelab.checks.lab15.flow import check_flow as check_flow
from servicelab.checks.lab15.flow import orders_at as orders_at
from servicelab.checks.lab15.business import check_business as check_business
from servicelab.checks.lab15.business import decided as decided
from servicelab.checks.lab15.regions import check_regions as check_regions
from servicelab.checks.lab15.regions import placed as placed
