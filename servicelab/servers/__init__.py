"""Servers on real sockets, in the kernel or in a process of their own: one lifecycle for all."""

from servicelab.servers.deadline import HeedsDeadline, heeding_grpc
from servicelab.servers.http import HTTPServer, serve
from servicelab.servers.process import HTTPProcess

__all__ = ["HTTPProcess", "HTTPServer", "HeedsDeadline", "heeding_grpc", "serve"]
