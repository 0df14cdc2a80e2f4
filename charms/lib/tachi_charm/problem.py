"""What stands in the way of a unit, as its status says it."""


class Problem(Exception):
    """Something an operator has to mend, or has to wait for. It becomes the unit's status and is never a traceback."""

    def __init__(self, message: str, kind: str = "blocked"):
        super().__init__(message)
        self.message = message
        self.kind = kind


class Failed(Exception):
    """A command failed that should not. The hook fails with it, and Juju runs the hook again."""
