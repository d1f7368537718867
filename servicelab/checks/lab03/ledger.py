"""The database of a payment service, which a crash can interrupt after any step."""

from servicelab.checks.crashing import Database


class Ledger(Database):
    """The file with the table ``charges (customer, cents)``."""

    def __init__(self):
        super().__init__("create table charges (customer text, cents integer)")

    def charges(self) -> list[tuple]:
        """All ``(customer, cents)`` that are on disk."""
        return self.read("select customer, cents from charges order by rowid")
