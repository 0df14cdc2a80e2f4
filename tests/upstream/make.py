"""Makes a Masakari database by upstream's own migrations, at any of its revisions, and fills it.

    make.py --connection sqlite:////tmp/old.sqlite --revision 8f848eb45d03 --fill
"""
import argparse
import datetime
import json
import sys

import upstream
import rows
from masakari import context
from masakari.db import api as db_api

CREATE = {
    "failover_segments": db_api.failover_segment_create,
    "hosts": db_api.host_create,
    "notifications": db_api.notification_create,
    "vmoves": db_api.vmove_create,
}


def fill(revision):
    """Through upstream's own functions where its newest schema is there, else past them."""
    now = datetime.datetime.now(datetime.timezone.utc).replace(tzinfo=None)
    tables = upstream.tables()
    filled = {}
    for name, wanted in rows.everything(now).items():
        if name not in tables:
            continue
        table = tables[name]
        for row in wanted:
            values = {column: value for column, value in row.items() if column in table.columns}
            if revision == "13adff5efb9a":
                CREATE[name](context.get_admin_context(), dict(values, deleted=0))
            else:
                with upstream.engine().begin() as connection:
                    connection.execute(table.insert().values(**values))
            # A deleted row carries its own id, and NULLs are not to be replaced by defaults.
            key = "notification_uuid" if name == "notifications" else "uuid"
            with upstream.engine().begin() as connection:
                exact = dict(values, deleted=table.c.id) if values["deleted"] else values
                connection.execute(table.update().where(table.c[key] == row[key]).values(**exact))
        filled[name] = len(wanted)
    return filled


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--connection", required=True, help="an SQLAlchemy URL")
    parser.add_argument("--revision", choices=upstream.STATES, default=upstream.REVISIONS[-1])
    parser.add_argument("--fill", action="store_true", help="with rows too")
    parser.add_argument("--create", action="store_true", help="the database first, on its server; one of that name goes")
    options = parser.parse_args()
    if options.create:
        upstream.create(options.connection)
    upstream.configure(options.connection)
    upstream.sync(options.revision)
    json.dump(fill(options.revision) if options.fill else {}, sys.stdout)
    sys.stdout.write("\n")


if __name__ == "__main__":
    main()
