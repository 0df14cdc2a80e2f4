"""What a unit remembers, beside ops and charmhelpers."""

import sqlite3

import pytest
from tachi_charm.memory import Memory, remembering


def test_a_change_is_on_the_disk_before_ops_lets_go_of_the_file(tmp_path):
    """The process may be killed between the pause and the end of the hook."""
    memory = Memory(tmp_path)
    lock = sqlite3.connect(memory.file, isolation_level=None)
    lock.execute("PRAGMA locking_mode=EXCLUSIVE")
    lock.execute("BEGIN EXCLUSIVE")
    memory.paused = True
    lock.execute("COMMIT")
    lock.close()
    assert Memory(tmp_path).paused and not memory.pending.exists()


def test_a_hook_that_fails_keeps_what_it_has_remembered(tmp_path):
    with pytest.raises(ZeroDivisionError), remembering(tmp_path):
        Memory.current.set("a", [1, {"b": None}])
        raise ZeroDivisionError
    assert Memory.current is None
    assert Memory(tmp_path).get("a") == [1, {"b": None}]


def test_nobody_else_may_read_it(tmp_path):
    memory = Memory(tmp_path)
    memory.set("reactive.states.haproxy.stat.password", "secret")
    assert memory.pending.stat().st_mode & 0o077 == 0
    memory.flush()
    assert memory.file.stat().st_mode & 0o077 == 0 and not memory.pending.exists()
