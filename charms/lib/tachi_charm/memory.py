"""What a unit remembers between hooks: table `kv` of `.unit-state.db`.

charmhelpers keeps the same table, and ops two others in the same file. So a unit that the reactive charm has paused stays
paused here, and one that is paused here stays paused when the reactive charm comes back.

While ops runs, it has the file for itself. So the table is read before, changes go to a file beside it at once, and the
table gets them after; what a hook that was killed has left there is taken over by the next one.
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
    """A dictionary on the disk; a change is there when `set` returns."""

    # That of the hook that runs; `remembering` sets it.
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
        """A flag of the reactive charms is a key without a value."""
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
    """Around `ops.main`: before ops opens the file, and after it has closed it."""
    memory = Memory(charm_dir or pathlib.Path(os.environ.get("JUJU_CHARM_DIR", ".")))
    Memory.current = memory
    try:
        yield
    finally:
        Memory.current = None
        memory.flush()
