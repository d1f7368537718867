"""The checks of lab 03, message queues: one module per exercise, and what the exercises are given.

``publisher``  1, repair: a publisher that tells the truth about what was sent
``payment``    2, repair: a consumer that charges once (``ledger``: a database that can be killed after any step)
``asker``      3, repair: an asker that does not wait for ever (``office``: workers, and connections that tell)
``mailer``     4, build: bounded retries with a delay, and a place for what nobody can handle
``staff``      5, measure and decide: a newsletter (``newsletter``: its mails, on a real broker and in SimPy)
``desk``       a broker for one part of a check, and the connections to it that a learner's code opens
"""

from servicelab.checks.lab03.asker import check_asker
from servicelab.checks.lab03.mailer import check_mailer
from servicelab.checks.lab03.newsletter import Newsletter, practice_newsletter
from servicelab.checks.lab03.payment import check_payment
from servicelab.checks.lab03.publisher import check_publisher
from servicelab.checks.lab03.staff import check_staff

__all__ = [
    "Newsletter", "check_asker", "check_mailer", "check_payment", "check_publisher", "check_staff",
    "practice_newsletter",
]  # fmt: skip
