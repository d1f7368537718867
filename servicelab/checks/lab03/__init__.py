"""The checks of lab 03, message queues: one module per exercise, and what the exercises are given.

``publisher``  1, repair: a publisher that tells the truth about what was sent
``desk``       a broker for one part of a check, and the connections that a learner's code opens to it
"""

from servicelab.checks.lab03.payment import check_payment
from servicelab.checks.lab03.publisher import check_publisher

__all__ = ["check_payment", "check_publisher"]
