"""Problems of a unit, as its status reports them."""


class Problem(Exception):
    """A problem that an operator must fix or wait for. It becomes the unit's status, never a traceback."""

    def __init__(self, message: str, kind: str = "blocked"):
        super().__init__(message)
        self.message = message
        self.kind = kind


class Failed(Exception):
    """An unexpected failure of a command. The hook fails, and Juju retries it."""
