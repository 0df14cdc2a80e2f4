"""A cloud that runs Masakari is switched over and back, in every order that docs/migration.md allows, while hosts die: before
the first step, between any two, and after the last. No report is lost, no instance is lost, none runs twice.

Masakari's API and engine are the ones from PyPI; database, broker and monitors are real, Keystone, Nova and the hosts simulated.
"""
import argparse
import contextlib
import os
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(os.path.dirname(HERE), "client")]

from checks import Checks  # noqa: E402
from cloud import Cloud, dump, until_ended, wait  # noqa: E402

# Each name is a piece of Cloud; "monitors" is when reports begin to come from our own.
ENGINE_FIRST = ["stop_their_engine", "sync", "start_our_engine", "stop_their_api", "start_our_api"]
API_FIRST = ["stop_their_engine", "sync", "stop_their_api", "start_our_api", "start_our_engine"]
BACK = ["stop_our_engine", "stop_our_api", "start_their_api", "start_their_engine"]
ORDERS = {
    "monitors first, engine before API": ["monitors", *ENGINE_FIRST],
    "monitors last, engine before API": [*ENGINE_FIRST, "monitors"],
    "monitors last, API before engine": [*API_FIRST, "monitors"],
    "monitors in between, API before engine": [*API_FIRST[:3], "monitors", *API_FIRST[3:]],
}
# How far it went when somebody thought better of it, and the way back from there.
TURNS = {
    "back before the database": (["stop_their_engine"], ["start_their_engine"]),
    "back after the database": (["stop_their_engine", "sync"], ["start_their_engine"]),
    "back while Masakari's API is beside our engine": (ENGINE_FIRST[:3], ["stop_our_engine", "start_their_engine"]),
    "back without an engine": (API_FIRST[:4], ["stop_our_api", "start_their_api", "start_their_engine"]),
}
# Of 48 hosts: with a quarter of them out our engine would hold, as it should.
HOSTS, WITH_GUESTS, EACH = 48, 16, 2


class Switch:
    def __init__(self, checks, cloud, name):
        self.checks, self.cloud, self.name = checks, cloud, name
        self.reporter, self.waiting, self.died = cloud.report_as_masakari, [], []

    def dies(self):
        host = self.cloud.next_host()
        self.cloud.die(host)
        self.died.append(host)
        if self.reporter == self.cloud.report_as_ours:
            self.reporter(host)
        else:
            self.waiting.append(host)
        self.report()

    def report(self):
        """What Masakari's monitors have not got rid of yet."""
        self.waiting = [host for host in self.waiting if not self.cloud.report_as_masakari(host)]

    def go(self, steps, before_the_first=True):
        for number, step in enumerate(steps):
            if number or before_the_first:
                self.dies()
            if step == "monitors":
                self.reporter = self.cloud.report_as_ours
            else:
                getattr(self.cloud, step)()
            self.report()

    def settled(self, when, theirs=False):
        """All that died so far has been recovered, by our engine or by `theirs`."""
        wait(lambda: self.report() or not self.waiting, "an API for Masakari's monitors", 30)
        found = until_ended(self.cloud, self.died)
        name = "%s, %s" % (self.name, when)
        hosts = {one["source_host_uuid"] for one in found if one["status"] == "finished"}
        self.checks.that("%s: each of %d reports came to its end" % (name, len(self.died)), len(hosts) == len(self.died), dump(found))
        accepted = {one for host in self.died for one in self.cloud.reports[host]["ids"]}
        there = {one["notification_uuid"] for one in found}
        self.checks.that("%s: no report that was accepted is lost" % name, accepted <= there, accepted - there)
        if theirs:
            # Masakari says so before Nova has done it.
            with contextlib.suppress(TimeoutError):
                wait(lambda: not any(self.cloud.lost(host) for host in self.died), "what Masakari has asked Nova for", 60, 0.3)
        lost = {host: self.cloud.lost(host) for host in self.died}
        self.checks.that("%s: every instance runs elsewhere" % name, not any(lost.values()), {k: v for k, v in lost.items() if v})
        self.checks.equal("%s: none ran twice" % name, self.cloud.doubles(), [])

    def drained(self):
        """As the page says: nothing of ours is open when Masakari's engine comes back."""
        wait(lambda: self.cloud.operator("recovery", "list", "--state", "open", "-f", "json").strip() in ("[]", ""), "an end of our recoveries", 90, 0.3)


def begin(options, broker, name, number):
    authority = os.environ["TACHI_TEST_MYSQL_URL"].split("://", 1)[1].split("/")[0]
    cloud = Cloud(os.path.abspath(options.tachi), os.path.abspath(options.monitor), options.upstream, broker,
                  "mysql+pymysql://%s/tachi_switch_%d" % (authority, number), HOSTS)
    try:
        cloud.start_their_api()
        cloud.start_their_engine()
        cloud.protect()
        cloud.hosts = cloud.hosts[:WITH_GUESTS]
        cloud.boot(EACH)
    except BaseException:
        cloud.stop()
        raise
    return cloud


def told_beforehand(switch):
    """On Masakari's own database, beside Masakari at work."""
    # Its engine takes some seconds to start on a busy machine.
    wait(lambda: switch.cloud.upgrade_check()[1]["Masakari's Engine"][0] == 1, "Masakari's engine to be seen", 60, 0.5)
    code, told = switch.cloud.upgrade_check()
    wanted = {"Masakari's Engine": 1, "Open Work": 0, "Reports Without Evidence": 1, "Reporter Binding": 1, "Database Revision": 2}
    switch.checks.equal("%s: the upgrade check beforehand" % switch.name, (code, {name: told[name][0] for name in wanted}), (2, wanted))


def told_afterwards(switch):
    _, told = switch.cloud.upgrade_check()
    wanted = {"Masakari's Engine": 0, "Database Revision": 0, "Engines": 0, "Nova": 0, "Host Names": 0}
    switch.checks.equal("%s: and after the switch" % switch.name, {name: told[name][0] for name in wanted}, wanted)
    switch.checks.that("%s: it names recoveries whose hosts are away" % switch.name, "not back yet" in told["Open Work"][1], told)


def over_and_back(switch, steps):
    told_beforehand(switch)
    switch.go(steps)
    switch.dies()
    switch.settled("switched over")
    told_afterwards(switch)
    switch.drained()
    switch.reporter = switch.cloud.report_as_masakari
    for step in BACK:
        getattr(switch.cloud, step)()
        switch.dies()
    switch.settled("and back", theirs=True)


def turned(switch, steps, back):
    # What Masakari's engine was in the middle of when it was stopped, it does not take up itself: ours does.
    ours = "start_our_engine" in steps
    switch.go(steps, before_the_first=ours)
    switch.dies()
    if ours:
        switch.drained()
    for step in back:
        getattr(switch.cloud, step)()
        switch.dies()
    switch.settled("recovered", theirs=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tachi", required=True)
    parser.add_argument("--monitor", required=True)
    parser.add_argument("--upstream", required=True, help="the environment of tests/upstream/venv.sh")
    parser.add_argument("--only", default="", help="those whose name has this in it")
    options = parser.parse_args()
    checks = Checks()
    broker = os.environ["TACHI_TEST_RABBIT_URL"]
    every = [(name, lambda s, steps=steps: over_and_back(s, steps)) for name, steps in ORDERS.items()]
    every += [(name, lambda s, way=way: turned(s, *way)) for name, way in TURNS.items()]
    for number, (name, run) in enumerate(every):
        if options.only not in name:
            continue
        began = time.monotonic()
        cloud = begin(options, broker, name, number)
        try:
            before = len(checks.failed)
            run(Switch(checks, cloud, name))
            if len(checks.failed) != before:
                print(cloud.said())
        except (TimeoutError, SystemExit) as error:
            checks.that(name, False, "%s\n%s" % (error, cloud.said()))
        finally:
            cloud.stop()
        print("        %s: %.0f s" % (name, time.monotonic() - began), flush=True)
    return checks.end()


if __name__ == "__main__":
    with tempfile.TemporaryDirectory(prefix="tachi-switch-") as scratch:
        os.environ["TMPDIR"] = scratch
        tempfile.tempdir = scratch
        sys.exit(main())
