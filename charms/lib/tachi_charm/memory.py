"""State of a unit between hooks: table `kv` of `.unit-state.db`.

charmhelpers keeps the same table, and ops two others in the same file. So a unit that the reactive charm has paused stays
paused here, and one that is paused here stays paused when the reactive charm comes back.

While ops runs, it locks the file. So the table is read before, changes are written to a second file at once, and copied to
the table afterwards. The next hook copies the changes of a hook that was killed.
"""

from __future__ import annotations

import contextlib
import json
import os
import pathlib
import sqlite3
from collections.abc import Iterator
from typing import Any, ClassVar

PAUSED = "unit-paused"


class Memory:
    """A dictionary on disk; a change is durable when `set` returns."""

    # The instance of the running hook; `remembering` sets it.
    current: ClassVar[Memory | None] = None

    def __init__(self, charm_dir: pathlib.Path):
        self.file = charm_dir / ".unit-state.db"
        self.pending = charm_dir / ".unit-state.pending.json"
        self.changes: dict[str, Any] = json.loads(self.pending.read_text()) if self.pending.exists() else {}
        self.flush()
        with self._open() as connection:
            self.known = {key: json.loads(data) for key, data in connection.execute("SELECT key, data FROM kv")}

    @contextlib.contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        self.file.touch(mode=0o600, exist_ok=True)
        connection = sqlite3.connect(self.file, timeout=30)
        try:
            with connection:
                connection.execute("CREATE TABLE IF NOT EXISTS kv (key TEXT, data TEXT, PRIMARY KEY (key))")
                yield connection
        finally:
            connection.close()

    def flush(self) -> None:
        if not self.changes:
            return
        with self._open() as connection:
            rows = [(key, json.dumps(value)) for key, value in self.changes.items()]
            connection.executemany("INSERT OR REPLACE INTO kv (key, data) VALUES (?, ?)", rows)
        self.pending.unlink(missing_ok=True)
        self.changes = {}

    def get(self, key: str, default: Any = None) -> Any:
        return self.known.get(key, default)

    def has(self, key: str) -> bool:
        """Returns true for a known key: flags of the reactive charms are keys without a value."""
        return key in self.known

    def set(self, key: str, value: Any) -> None:
        if key in self.known and self.known[key] == value:
            return
        self.known[key] = self.changes[key] = value
        part = self.pending.with_suffix(".part")
        fd = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(fd, "w") as file:
            json.dump(self.changes, file)
            file.flush()
            os.fsync(fd)
        os.replace(part, self.pending)

    @property
    def paused(self) -> bool:
        return bool(self.get(PAUSED))

    @paused.setter
    def paused(self, value: bool) -> None:
        self.set(PAUSED, value)


@contextlib.contextmanager
def remembering(charm_dir: pathlib.Path | None = None) -> Iterator[None]:
    """Wraps `ops.main`: runs before ops opens the file, and after ops has closed it."""
    memory = Memory(charm_dir or pathlib.Path(os.environ.get("JUJU_CHARM_DIR", ".")))
    Memory.current = memory
    try:
        yield
    finally:
        Memory.current = None
        memory.flush()
