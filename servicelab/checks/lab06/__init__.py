"""The checks of lab 06, streaming: one module per exercise, and what the exercises are given.

``support``    1, repair: support chats in Socket.IO rooms (``customer``: a client that hears in order)
``follow``     2, build: a reader that comes back after cuts (``tracking``: a server that plays a script)
``buffer``     3, build: a bounded buffer
``heartbeat``  4, repair: dead peers found, living ones left alone
``styles``     5, measure and decide: a style for each of three feeds
"""

from servicelab.checks.lab06.buffer import check_buffer
from servicelab.checks.lab06.follow import check_follow
from servicelab.checks.lab06.heartbeat import check_heartbeat
from servicelab.checks.lab06.styles import check_styles, measure
from servicelab.checks.lab06.support import check_support
from servicelab.checks.lab06.tracking import Busy

__all__ = ["Busy", "check_buffer", "check_follow", "check_heartbeat", "check_styles", "check_support", "measure"]
