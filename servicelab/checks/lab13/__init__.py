"""The checks of lab 13, security: one module per exercise, and what the exercises are given.

``service``   1, repair: a key that everybody knows, and a logout that ends nothing
``verifier``  2, build: a verifier of tokens
``signing``   3, build: signed requests that are let in once
``client``    4, repair: a client that asks for a token for each call
``lives``     5, measure and decide: the life of a token, and how long it is believed
"""

from servicelab.checks.lab13.client import AuthError, check_client
from servicelab.checks.lab13.lives import PRACTICE, Shop, check_lives, simulated
from servicelab.checks.lab13.service import PUBLISHED, check_service
from servicelab.checks.lab13.signing import Store, check_signing
from servicelab.checks.lab13.verifier import AUDIENCE, ISSUER, check_verifier, tried

__all__ = [
    "AUDIENCE", "ISSUER", "PRACTICE", "PUBLISHED", "AuthError", "Shop", "Store", "check_client", "check_lives",
    "check_service", "check_signing", "check_verifier", "simulated", "tried",
]  # fmt: skip
