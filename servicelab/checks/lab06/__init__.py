"""The checks of lab 06, streaming: one module per exercise, and what the exercises are given."""

from servicelab.checks.lab06.buffer import check_buffer as check_buffer
from servicelab.checks.lab06.follow import check_follow as check_follow
from servicelab.checks.lab06.heartbeat import check_heartbeat as check_heartbeat
from servicelab.checks.lab06.styles import check_styles as check_styles
from servicelab.checks.lab06.styles import measure as measure
from servicelab.checks.lab06.support import check_support as check_support
from servicelab.checks.lab06.tracking import Busy as Busy
