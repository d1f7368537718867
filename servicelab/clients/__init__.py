"""Callers of real servers: a session that stamps what it sees, and generators of load."""

from servicelab.clients.session import attempt, traced

__all__ = ["attempt", "traced"]
