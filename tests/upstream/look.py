"""Shows a Masakari database as JSON: every row as SQL gives it, and every row as upstream's own objects read it.

    look.py --connection URL            {"rows": {table: [row, ...]}, "revision": "13adff5efb9a"}
    look.py --connection URL --objects  the same, and {"objects": {table: [uuid, ...]}}
    look.py --connection URL --write    writes through upstream's code first, as an old service beside or after ours would
"""
import argparse
import datetime
import json
import sys
import uuid

import sqlalchemy

import upstream
from masakari import context
from masakari import objects
from masakari.db import api as db_api
from masakari.db.sqlalchemy import migration


def plain(value):
    if isinstance(value, datetime.datetime):
        return value.isoformat(timespec="microseconds")
    return value


def all_rows():
    found = {}
    with upstream.engine().connect() as connection:
        tables = upstream.tables()
        for name in upstream.TABLES:
            if name in tables:
                rows = connection.execute(sqlalchemy.select(tables[name]).order_by(tables[name].c.id)).mappings()
                found[name] = [{column: plain(value) for column, value in row.items()} for row in rows]
    return found


def all_objects():
    """What `masakari-api` would list: this is what fails as a whole if one row cannot be read."""
    admin = context.get_admin_context()
    notifications = objects.NotificationList.get_all(admin)
    return {
        "failover_segments": [one.uuid for one in objects.FailoverSegmentList.get_all(admin)],
        "hosts": [one.uuid for one in objects.HostList.get_all(admin)],
        "notifications": [one.notification_uuid for one in notifications],
        "vmoves": [move.uuid for one in notifications for move in objects.VMoveList.get_all(
            admin, filters={"notification_uuid": one.notification_uuid})],
    }


def write():
    """A segment, a host, a notification and its end, by the old service's database code. Its objects would want a broker."""
    admin = context.get_admin_context()
    segment, host, notification = (str(uuid.uuid4()) for _ in range(3))
    db_api.failover_segment_create(admin, {"uuid": segment, "name": "by the old service", "service_type": "COMPUTE",
                                           "recovery_method": "auto"})
    db_api.host_create(admin, {"uuid": host, "name": "cmp-old", "type": "COMPUTE", "control_attributes": "SSH",
                               "failover_segment_id": segment})
    db_api.notification_create(admin, {
        "notification_uuid": notification, "type": "VM", "generated_time": datetime.datetime(2026, 1, 1), "status": "new",
        "source_host_uuid": host, "failover_segment_uuid": segment, "payload": "{}"})
    db_api.notification_update(admin, notification, {"status": "finished"})
    db_api.host_update(admin, host, {"on_maintenance": True})


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--connection", required=True, help="an SQLAlchemy URL")
    parser.add_argument("--objects", action="store_true")
    parser.add_argument("--write", action="store_true")
    options = parser.parse_args()
    upstream.configure(options.connection)
    found = {"revision": migration.db_version()}
    if options.write:
        migration.db_sync()
        write()
    found["rows"] = all_rows()
    if options.objects:
        found["objects"] = all_objects()
    json.dump(found, sys.stdout)
    sys.stdout.write("\n")


if __name__ == "__main__":
    main()
