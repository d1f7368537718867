"""A stage that draws what happens: each step as a message, of which the last one is marked."""

from servicelab.checks.scenario import Stage


class Drawn(Stage):
    def draw(self, sender, to, label, at=None):
        self.last = self.ask.trace.send(sender, to, label, at=at)
        self.ask.trace.receive(self.last, at=None if at is None else at + 0.01)
