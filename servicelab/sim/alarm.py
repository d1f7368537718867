"""One alarm for the timeouts of many calls."""

from collections import deque


class Alarm:
    """Tells calls that their time is up.

    A timeout of a second on calls that take a hundredth of it means a hundred timers that wait in the environment's
    queue for calls which have long been answered. Timeouts of one length run out in the order in which they began, so
    here they stand in a line of their own, and the environment has one timer, for the first of them.
    """

    def __init__(self, env):
        self.env = env
        self._line = deque()  # of calls, in the order in which they are due
        self._is_set = False

    def watch(self, call, seconds):
        """Have ``call.time_is_up()`` called in ``seconds``, unless the call has ended by then."""
        if call.callbacks is None:  # it has ended already
            return
        call.due = due = self.env._now + seconds
        if self._line and due < self._line[-1].due:  # another length: a timer of its own
            self.env.timeout(seconds).callbacks.append(lambda _: call.time_is_up())
            return
        self._line.append(call)
        if not self._is_set:
            self._set(seconds)

    def _set(self, seconds):
        self._is_set = True
        self.env.timeout(seconds).callbacks.append(self._ring)

    def _ring(self, timer):
        line, now = self._line, self.env.now
        while line:
            call = line[0]
            is_over = call.callbacks is None
            if not is_over and call.due > now:
                self._set(call.due - now)
                return
            line.popleft()
            if not is_over:
                call.time_is_up()
        self._is_set = False
