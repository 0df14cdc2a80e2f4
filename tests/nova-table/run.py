#!/usr/bin/env python3
"""One table of Nova's behaviours, run against the sandbox and against a real Nova.

The recovery engine relies on every row; the sandbox must agree with Nova in every row. A row that differs fails.
The region must be idle: the script uses its first four hypervisors, and puts them back when it ends.
"""
import argparse
import os
import signal
import sys
import time
import traceback

sys.path.append(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "client"))

import rows
from adapters import Real, Sandbox, heal
from nova_http import Cloud, Failed
from stack import Stack


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--target", choices=("sandbox", "real"), required=True)
    parser.add_argument("--clouds", metavar="FILE", help="clouds.yaml of a running region")
    parser.add_argument("--cloud", default="tachi-sandbox", metavar="NAME", help="the admin's entry")
    parser.add_argument("--member-cloud", default="tachi-sandbox-demo", metavar="NAME",
                        help="the entry of a user without the admin role")
    parser.add_argument("--tachi", metavar="BINARY", help="instead of --clouds: start `BINARY serve --sandbox` for the table")
    parser.add_argument("--verbose", action="store_true", help="print what each row saw")
    args = parser.parse_args()
    if bool(args.clouds) == bool(args.tachi):
        parser.error("one of --clouds and --tachi")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    if not args.tachi:
        return run(args, args.clouds)
    stack = Stack(os.path.abspath(args.tachi), args.cloud, ("--hosts", "4"))
    try:
        return run(args, stack.clouds_yaml)
    finally:
        stack.stop()
        stack.remove()


def run(args, clouds):
    admin, member = Cloud(clouds, args.cloud), Cloud(clouds, args.member_cloud)
    adapter = (Real if args.target == "real" else Sandbox)(admin)
    table = rows.Table(admin, member, adapter)
    passed, failed = 0, []
    start = time.monotonic()
    try:
        for stage in rows.STAGES:
            try:
                stage.prepare(table)
            except Exception:  # the rows of a stage that cannot be set up fail, each by name
                problem = "stage could not be prepared: " + traceback.format_exc(limit=3)
                for row in stage.rows:
                    failed.append(row.name)
                    print("FAILED  %-6s %s\n        %s" % (row.section, row.name, problem.replace("\n", "\n        ")))
                continue
            for row in stage.rows:
                table.seen = []
                try:
                    row.check(table)
                except Exception as error:
                    failed.append(row.name)
                    text = str(error) if isinstance(error, Failed) else traceback.format_exc(limit=4)
                    print("FAILED  %-6s %s\n        %s" % (row.section, row.name, text.replace("\n", "\n        ")))
                else:
                    passed += 1
                    print("ok      %-6s %s" % (row.section, row.name))
                if args.verbose:
                    for line in table.seen:
                        print("          saw: " + line)
                sys.stdout.flush()
    finally:
        table.clean_up()
        heal(admin, adapter, table.hosts)
    print("%d rows in %.0f s" % (passed + len(failed), time.monotonic() - start))
    print("%d passed, %d failed" % (passed, len(failed)))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
