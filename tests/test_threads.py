"""How servers wait for their threads."""

import threading

from servicelab.lifecycle import join


class Held(threading.Event):
    """A thread's note that it has started, held back: the thread has its ident, and has not said so."""

    def __init__(self):
        super().__init__()
        self.may = threading.Event()

    def set(self):
        self.may.wait(10)
        super().set()


def test_a_thread_that_is_just_starting_is_waited_for():
    """A server may be stopped by an interrupt that fell into ``start()``, or while its acceptor starts a worker."""
    thread, done = threading.Thread(target=lambda: done.append(True), daemon=True), []
    held = thread._started = Held()
    starter = threading.Thread(target=thread.start, daemon=True)
    starter.start()
    while thread.ident is None:
        pass
    assert join([thread], 0.01) == [] and done == [], "it took longer than it was given, and does not run yet"
    threading.Timer(0.05, held.may.set).start()
    assert join([thread, starter], 10) == [] and done == [True]


def test_a_thread_that_never_started_is_not_waited_for():
    assert join([threading.Thread(target=print), threading.current_thread()], 10) == []


def test_what_still_runs_is_told():
    over = threading.Event()
    thread = threading.Thread(target=over.wait, args=[10], daemon=True)
    thread.start()
    assert join([thread], 0.01) == [thread]
    over.set()
    assert join([thread], 10) == []
