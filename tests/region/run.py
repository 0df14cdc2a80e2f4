#!/usr/bin/env python3
"""Hosts, guests and services of a real region fail, and Tachi acts on it; what came of it is read from the guests' disks.

Runs in the controllers' network (region.sh in). Each case boots guests, breaks something, and ends with ledger.py.
"""
import argparse
import signal
import sys
import traceback

from testbed import Region
from cases import CASES, Case
from checks import Checks
from nova_http import Failed


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("root", "clouds", "config-file", "tachi", "monitor", "guest"):
        parser.add_argument("--" + name, required=True, metavar="PATH")
    parser.add_argument("--table", metavar="PAGE", help="the page whose table gets a row for each case")
    parser.add_argument("cases", nargs="+", choices=sorted(CASES), metavar="CASE")
    args = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    checks, region = Checks(), None
    try:
        region = Region(args)
        region.start()
        for name in args.cases:
            Case(region, checks, name).run()
    except Exception as error:
        checks.that("the cases go through", False, error if isinstance(error, Failed) else traceback.format_exc())
    finally:
        if region:
            region.stop()
            if checks.failed:
                for log in ("engine", "api"):
                    print("---- %s, its end:\n%s" % (log, "\n".join(region.tachi.log(log).splitlines()[-30:])))
    return checks.end()


if __name__ == "__main__":
    sys.exit(main())
