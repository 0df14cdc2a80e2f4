"""What a unit remembers between hooks: table `kv` of `.unit-state.db`.

charmhelpers keeps the same table, and ops two others in the same file. So a unit that the reactive charm has paused stays
paused here, and one that is paused here stays paused when the reactive charm comes back.
"""

import contextlib
import json
import pathlib
import sqlite3
from typing import Any

PAUSED = "unit-paused"


class Memory:
    """A dictionary on the disk; each change is written at once."""

    def __init__(self, charm_dir: pathlib.Path):
        self.file = charm_dir / ".unit-state.db"

    @contextlib.contextmanager
    def _open(self):
        self.file.touch(mode=0o600, exist_ok=True)
        connection = sqlite3.connect(self.file, timeout=30)
        try:
            with connection:
                connection.execute("CREATE TABLE IF NOT EXISTS kv (key TEXT, data TEXT, PRIMARY KEY (key))")
                yield connection
        finally:
            connection.close()

    def get(self, key: str, default: Any = None) -> Any:
        with self._open() as connection:
            row = connection.execute("SELECT data FROM kv WHERE key = ?", (key,)).fetchone()
        return json.loads(row[0]) if row else default

    def set(self, key: str, value: Any) -> None:
        with self._open() as connection:
            connection.execute("INSERT OR REPLACE INTO kv (key, data) VALUES (?, ?)", (key, json.dumps(value)))

    @property
    def paused(self) -> bool:
        return bool(self.get(PAUSED))

    @paused.setter
    def paused(self, value: bool) -> None:
        self.set(PAUSED, value)
