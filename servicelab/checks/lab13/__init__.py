"""The checks of lab 13, security: one module per exercise, in their order, and what the exercises are given."""

from servicelab.checks.lab13.client import AuthError, check_client
from servicelab.checks.lab13.lives import PRACTICE, Shop, asked, check_lives, stays_in
from servicelab.checks.lab13.service import PUBLISHED, check_service
from servicelab.checks.lab13.signing import Store, check_signing
from servicelab.checks.lab13.verifier import AUDIENCE, ISSUER, Auth, check_verifier

__all__ = [
    "AUDIENCE", "ISSUER", "PRACTICE", "PUBLISHED", "Auth", "AuthError", "Shop", "Store", "asked", "check_client",
    "check_lives", "check_service", "check_signing", "check_verifier", "stays_in",
]  # fmt: skip
