"""Callers of real servers: a session that stamps what it sees, and generators of load."""

from servicelab.clients.load import Sample, Samples, closed_loop, open_loop
from servicelab.clients.session import attempt, traced

__all__ = ["Sample", "Samples", "attempt", "closed_loop", "open_loop", "traced"]
