"""The database under the service: tests write there what no request can, and leave it empty."""
import datetime
import os
import re
import sqlite3
import uuid
from urllib.parse import unquote, urlsplit

# Children first. Those that only Tachi has are left out where they are not there.
TABLES = ["tachi_job", "tachi_failed_instance", "tachi_monitor", "tachi_freeze", "reporter_aside", "reporter_doubt", "instance_restart", "recovery_proof", "recovery_move", "recovery_step", "recovery", "host_state",
          "vmoves", "notifications", "hosts", "failover_segments"]


class Database:
    """A database of our own. `url` is what `[database] connection` gets."""

    mark = "%s"
    # Whether times keep their fractions of a second, and whether texts are compared letter by letter.
    fractions = exact = True

    def execute(self, sql, *values):
        """Runs a statement and returns its rows, if any. `?` stands for a value."""
        cursor = self.connection.cursor()
        try:
            cursor.execute(sql.replace("?", self.mark), values)
            rows = cursor.fetchall() if cursor.description else []
            self.connection.commit()
            return rows
        finally:
            cursor.close()

    def empty(self):
        if self.tables is None:
            known = {row[0] for row in self.execute(self.tables_query)}
            self.tables = [table for table in TABLES if table in known]
        for table in self.tables:
            self.execute("DELETE FROM " + table)

    tables = None

    def insert(self, table, **values):
        names = list(values)
        self.execute("INSERT INTO %s (%s) VALUES (%s)" % (
            table, ", ".join(names), ", ".join("?" for _ in names)), *values.values())

    def update(self, table, where, **values):
        (key, wanted), = where.items()
        self.execute("UPDATE %s SET %s WHERE %s = ?" % (
            table, ", ".join("%s = ?" % name for name in values), key), *values.values(), wanted)

    def set_status(self, notification, status):
        """As an engine would have left the notification."""
        self.update("notifications", {"notification_uuid": notification["notification_uuid"]}, status=status)

    def new_vmove(self, notification, **fields):
        """An instance of the notification's host; nothing but an engine makes one."""
        fields = {
            "created_at": datetime.datetime(2026, 1, 1), "uuid": str(uuid.uuid4()),
            "notification_uuid": notification["notification_uuid"], "instance_uuid": str(uuid.uuid4()),
            "instance_name": "vm", "source_host": "h1", "type": "evacuation", "status": "pending", "deleted": 0, **fields}
        self.insert("vmoves", **{name: self.value(value) for name, value in fields.items()})
        return fields["uuid"]

    @staticmethod
    def value(value):
        return value

    def close(self):
        self.connection.close()


class Sqlite(Database):
    mark = "?"
    tables_query = "SELECT name FROM sqlite_master WHERE type = 'table'"

    def __init__(self, folder):
        self.path = os.path.join(folder, "conformance.sqlite")
        self.url = "sqlite:///" + self.path
        self._connection = None

    @property
    def connection(self):
        # The service makes the file.
        if self._connection is None:
            self._connection = sqlite3.connect(self.path, timeout=30)
        return self._connection

    @staticmethod
    def value(value):
        # As the column is written by everybody else: with all six digits.
        return value.strftime("%Y-%m-%d %H:%M:%S.%f") if isinstance(value, datetime.datetime) else value

    def close(self):
        if self._connection is not None:
            self._connection.close()


class MySql(Database):
    # Masakari's columns there are plain DATETIME, and the collation is one that takes capitals for small letters.
    fractions = exact = False
    tables_query = "SELECT table_name FROM information_schema.tables WHERE table_schema = DATABASE()"

    def __init__(self, url):
        import pymysql
        parts = urlsplit(url)
        self.name = "conformance_%s" % uuid.uuid4().hex[:12]
        settings = {"host": parts.hostname, "port": parts.port or 3306, "user": unquote(parts.username or "root"),
                    "password": unquote(parts.password or "")}
        self.server = pymysql.connect(**settings)
        self.server.cursor().execute("CREATE DATABASE %s CHARACTER SET utf8mb3" % self.name)
        self.connection = pymysql.connect(database=self.name, **settings)
        self.url = re.sub(r"^[^:]+://([^/]*)/.*$", r"mysql+pymysql://\1/%s" % self.name, url)

    def close(self):
        self.connection.close()
        self.server.cursor().execute("DROP DATABASE %s" % self.name)
        self.server.close()


class Postgres(Database):
    tables_query = "SELECT tablename FROM pg_tables WHERE schemaname = 'public'"

    def __init__(self, url):
        import psycopg
        self.name = "conformance_%s" % uuid.uuid4().hex[:12]
        plain = re.sub(r"^[^:]+://", "postgresql://", url)
        self.server = psycopg.connect(plain, autocommit=True)
        self.server.execute("CREATE DATABASE %s" % self.name)
        own = re.sub(r"^(postgresql://[^/]*)/[^?]*", r"\1/%s" % self.name, plain)
        self.connection = psycopg.connect(own)
        self.url = own

    def close(self):
        self.connection.close()
        self.server.execute("DROP DATABASE %s WITH (FORCE)" % self.name)
        self.server.close()


def open_database(kind, folder):
    if kind == "sqlite":
        return Sqlite(folder)
    if kind == "mysql":
        return MySql(os.environ["TACHI_TEST_MYSQL_URL"])
    if kind == "postgres":
        return Postgres(os.environ["TACHI_TEST_POSTGRES_URL"])
    raise ValueError("TACHI_TEST_DATABASE=%s: sqlite, mysql or postgres" % kind)
