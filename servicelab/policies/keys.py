"""Who has asked this before? What a server remembers of idempotency keys, and for how long."""

import threading
from typing import Any, NamedTuple

from servicelab.arguments import positive


class Told(NamedTuple):
    """``word`` is "new", "outstanding", "other payload" or "finished"; ``answer`` is that of a finished one."""

    word: str
    answer: Any = None


class IdempotencyKeys:
    """Remembers keys and answers. Rules:

    1. The first who asks with a key hears "new", and has to do the work. Asking and reserving are one step.
    2. Who asks with the same key while it is done hears "outstanding"; once it is finished, "finished" and the answer.
    3. The same key for something else is "other payload", whatever the state.
    4. A key is forgotten ``keep`` seconds after it was reserved, finished or not. Who asks then is "new" again.

    | setting | default | unit    | consequence                                                                        |
    |---------|---------|---------|------------------------------------------------------------------------------------|
    | keep    | 86 400  | seconds | a repetition that comes later is done again. A day: Stripe's keys live at least    |
    |         |         |         | that long (docs.stripe.com/api/idempotent_requests)                                |

    The four words are the four scenarios of draft-ietf-httpapi-idempotency-key-header-07 (2.6, 2.7); a server turns
    them into the work, 409, 422 and the saved answer. Time is an argument, in seconds. Raises ValueError for a ``keep``
    that is not positive, and KeyError when a key is finished or released that is not outstanding.
    """

    def __init__(self, keep: float = 86_400):
        self.keep = positive("keep", keep, "seconds")
        self._known = {}  # key → [reserved at, payload, is finished, answer], the oldest first
        self._lock = threading.Lock()

    def __len__(self):
        return len(self._known)

    def ask(self, key, payload, now: float) -> Told:
        """What is known of ``key`` at ``now``; unknown, it is reserved for whoever asks. ``payload`` is compared."""
        with self._lock:
            self._forget(now)
            if key not in self._known:
                self._known[key] = [now, payload, False, None]
                return Told("new")
            _, first, is_finished, answer = self._known[key]
            if payload != first:
                return Told("other payload")
            return Told("finished", answer) if is_finished else Told("outstanding")

    def finish(self, key, answer) -> None:
        """The work is done: keep the ``answer`` for those who ask again."""
        with self._lock:
            self._outstanding(key)[2:] = [True, answer]

    def release(self, key) -> None:
        """The work was not begun: forget the key, so that the next try may do it."""
        with self._lock:
            self._outstanding(key)
            del self._known[key]

    def _outstanding(self, key):
        entry = self._known.get(key)
        if entry is None or entry[2]:
            raise KeyError(f"key={key!r} is not outstanding: ask() first, and finish it once, within keep={self.keep}")
        return entry

    def _forget(self, now):
        while self._known and now - next(iter(self._known.values()))[0] >= self.keep:
            del self._known[next(iter(self._known))]
