"""Databases on one MariaDB server (or SQLite, to try the harness), filled in bulk."""
import os
import sqlite3
import subprocess
from urllib.parse import urlsplit

SEGMENT = "10000000-0000-4000-8000-"
HOST = "20000000-0000-4000-8000-"
NOTIFICATION = "00000000-0000-4000-8000-"
VMOVE = "30000000-0000-4000-8000-"


class MariaDb:
    def __init__(self, server, name):
        """`server` is the URL of an administrator, as tests/lib/databases.sh exports it."""
        parts = urlsplit(server)
        self.parts, self.name = parts, name
        self.url = self.url_on(server)
        self.run("CREATE DATABASE `%s` CHARACTER SET utf8mb4" % name, database="")

    def url_on(self, server):
        """What a service is told to find the database on a server, as another node of a cluster."""
        parts = urlsplit(server)
        return "mysql+pymysql://%s:%s@%s:%d/%s?charset=utf8mb4" % (
            parts.username, parts.password, parts.hostname, parts.port, self.name)

    def run(self, sql, database=None):
        database = self.name if database is None else database
        done = subprocess.run(
            ["mariadb", "--no-defaults", "--batch", "--skip-column-names", "--protocol=tcp", "--host", self.parts.hostname,
             "--port", str(self.parts.port), "--user", self.parts.username, *([database] if database else [])],
            input=sql, env=dict(os.environ, MYSQL_PWD=self.parts.password), capture_output=True, text=True, timeout=600,
            check=False)
        if done.returncode != 0:
            raise SystemExit("%s\nfailed: %s" % (sql[:300], done.stderr))
        return done.stdout.strip()

    @staticmethod
    def numbers(count):
        return "", "seq_1_to_%d" % count

    @staticmethod
    def padded(prefix, number, width=12):
        return "CONCAT('%s', LPAD(%s, %d, '0'))" % (prefix, number, width)

    @staticmethod
    def whole(number):
        return "FLOOR(%s)" % number

    def analyse(self):
        self.run("ANALYZE TABLE notifications, vmoves")


class Sqlite:
    def __init__(self, path):
        self.path, self.url = path, "sqlite:///" + path

    def run(self, sql):
        connection = sqlite3.connect(self.path, timeout=60, isolation_level=None)
        try:
            rows = []
            for statement in sql.split(";"):
                if statement.strip():
                    rows = connection.execute(statement).fetchall()
            return "\n".join("\t".join(str(column) for column in row) for row in rows)
        finally:
            connection.close()

    @staticmethod
    def numbers(count):
        return ("WITH RECURSIVE n(seq) AS (SELECT 1 UNION ALL SELECT seq + 1 FROM n WHERE seq < %d) " % count), "n"

    @staticmethod
    def padded(prefix, number, width=12):
        return "printf('%s%%0%dd', %s)" % (prefix, width, number)

    @staticmethod
    def whole(number):
        return "CAST(%s AS INTEGER)" % number

    def analyse(self):
        self.run("ANALYZE")


def segments(db, count):
    head, numbers = db.numbers(count)
    db.run("INSERT INTO failover_segments (created_at, deleted, uuid, name, service_type, enabled, description, recovery_method) "
           "%s SELECT '2026-01-01 00:00:00', 0, %s, %s, 'COMPUTE', 1, 'rack of the east wing', 'auto' FROM %s" % (
               head, db.padded(SEGMENT, "seq"), db.padded("segment-", "seq", 4), numbers))


def hosts(db, count, segments_count):
    """`compute-001` and on, over all segments, none in maintenance."""
    head, numbers = db.numbers(count)
    db.run("INSERT INTO hosts (created_at, deleted, uuid, name, reserved, type, control_attributes, on_maintenance, "
           "failover_segment_id) %s SELECT '2026-01-01 00:00:00', 0, %s, %s, 0, 'COMPUTE', 'SSH', 0, %s FROM %s" % (
               head, db.padded(HOST, "seq"), db.padded("compute-", "seq", 3),
               db.padded(SEGMENT, "seq %% %d + 1" % segments_count), numbers))


def notifications(db, count, hosts_count):
    """Finished ones, so that no engine would touch them."""
    head, numbers = db.numbers(count)
    db.run("INSERT INTO notifications (created_at, updated_at, deleted, notification_uuid, generated_time, source_host_uuid, "
           "type, payload, status, failover_segment_uuid) %s SELECT '2026-01-01 00:00:00', '2026-01-01 00:01:00', 0, %s, "
           "'2026-01-01 00:00:00', %s, 'COMPUTE_HOST', "
           "'{\"event\": \"STOPPED\", \"cluster_status\": \"OFFLINE\", \"host_status\": \"NORMAL\"}', 'finished', %s FROM %s" % (
               head, db.padded(NOTIFICATION, "seq"), db.padded(HOST, "seq %% %d + 1" % hosts_count),
               db.padded(SEGMENT, "1"), numbers))


def vmoves(db, count, per_notification):
    head, numbers = db.numbers(count)
    db.run("INSERT INTO vmoves (created_at, updated_at, deleted, uuid, notification_uuid, instance_uuid, instance_name, "
           "source_host, dest_host, start_time, end_time, type, status) %s SELECT '2026-01-01 00:00:00', "
           "'2026-01-01 00:01:00', 0, %s, %s, %s, %s, 'compute-001', 'compute-002', '2026-01-01 00:00:10', "
           "'2026-01-01 00:00:50', 'evacuation', 'succeeded' FROM %s" % (
               head, db.padded(VMOVE, "seq"), db.padded(NOTIFICATION, db.whole("(seq - 1) / %d" % per_notification) + " + 1"),
               db.padded(VMOVE, "seq"), db.padded("vm-", "seq", 7), numbers))
