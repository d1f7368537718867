"""The checks of lab 03, message queues: one module per exercise, and what the exercises are given.

``publisher``        1, repair: a publisher that tells the truth about what was sent
``payment``          2, repair: a consumer that charges once, also when it is killed after any step
``first_week``       3, from production: the ack that was forgotten, and the queue that cannot be changed
``mailer``           4, build: bounded retries with growing delays, and a place for what nobody can handle
``newsletter_plan``  5, measure and decide (``newsletter``: its mails, on a real broker and in SimPy)
``broker_stage``     a broker for one part of a check, and the connections to it that a learner's code opens
"""

from servicelab.checks.lab03.first_week import check_first_week
from servicelab.checks.lab03.mailer import check_mailer
from servicelab.checks.lab03.newsletter import Newsletter, practice_newsletter
from servicelab.checks.lab03.newsletter_plan import check_newsletter_plan
from servicelab.checks.lab03.payment import check_payment
from servicelab.checks.lab03.publisher import check_publisher

__all__ = [
    "Newsletter", "check_first_week", "check_mailer", "check_newsletter_plan", "check_payment", "check_publisher",
    "practice_newsletter",
]  # fmt: skip
