"""An answer other than 200."""


class Refused(Exception):
    """Answer with ``status`` and ``text``; nothing was changed. ``headers`` go with it."""

    def __init__(self, status: int, text: str = "", headers: dict[str, str] | None = None):
        super().__init__(f"{status} {text}")
        self.status, self.text, self.headers = status, text, headers or {}
