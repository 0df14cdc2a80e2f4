#!/usr/bin/env python3
"""Makes pictures of the board with few and many hosts, on a desktop and a phone, light and dark: for people who look at a change of the board."""
import argparse
import os
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.append(os.path.join(HERE, "..", "client"))

from checks import Checks
from scene import Scene, region_and_browser

# Hosts, instances, and the hosts that fail together: enough of them for a hold.
REGIONS = ((5, 20, 2), (200, 3000, 55))
# With more hosts the recoveries are left on hold.
RECOVERED = 5
SCREENS = ((1440, 900, False), (1440, 900, True), (390, 844, False), (390, 844, True))
# One picture of each width and of each set of colours.
TWO = (SCREENS[0], SCREENS[3])


class Painter(Scene):
    def take(self, name, to, text, screens=TWO):
        """The page on each of these screens."""
        for width, height, dark in screens:
            context, page = self.open(width, height, dark)
            self.enter(context)
            page.goto(self.url + to)
            shown = self.seen(page, text, 60) and self.seen(page, "seen", 20)
            self.check.that("%s shows %r" % (name, text), shown, self.text(page)[:800])
            wide = page.evaluate("document.documentElement.scrollWidth")
            self.check.that("%s fits %d px" % (name, width), wide <= width, wide)
            page.screenshot(path=os.path.join(self.pictures, "%s-%d-%s.png" % (name, width, "dark" if dark else "light")))
            context.close()

    def protected(self, count):
        context, page = self.open()
        self.enter(context)
        page.goto(self.url)
        self.check.that("all is protected", self.seen(page, "%d of %d protected" % (count, count), 300), self.text(page)[:800])
        context.close()

    def approve(self):
        words = [self.region.binary, "recovery", "approve", "--all-held", "--yes", "--reason", "power of the rack is cut", *self.region.config_files()]
        return subprocess.run(words, cwd=self.region.work, env=self.region.environment, capture_output=True, text=True, check=False)


def region(tachi, pictures, checks, hosts, instances, failing):
    with region_and_browser(tachi, ("--hosts", str(hosts), "--instances", str(instances))) as (simulated, browser):
        painter = Painter(simulated, browser, checks, pictures)
        painter.register("nova")
        painter.look_anew()
        painter.protected(instances)
        name = "%d-" % hosts
        painter.take(name + "rest-now", "#/now", "Data sources")
        painter.take(name + "rest-hosts", "#/hosts", "of %d hosts" % hosts)
        painter.take(name + "rest-forecast", "#/forecast", "A conservative estimate")
        dead = painter.hosts[1:1 + failing]
        for host in dead:
            simulated.admin("POST", "/hosts/%s/power" % host, {"on": False})
        for host in dead:
            painter.report(host)
        painter.take(name + "hold-now", "#/now", "Approve", SCREENS)
        painter.take(name + "hold-hosts", "#/hosts", "of %d hosts" % hosts, SCREENS)
        painter.take(name + "hold-host", "#/host/" + dead[0], "Fence devices")
        painter.take(name + "hold-instances", "#/instances", "Being recovered")
        if hosts > RECOVERED:
            return
        told = painter.approve()
        checks.that("all are approved", told.returncode == 0, told.stdout + told.stderr)
        recovery = [one for one in painter.api("GET", "/operator/v1/recoveries?all=true")["recoveries"] if one["host"] == dead[0]][0]["recovery"]
        painter.take(name + "moving-now", "#/now", "Data sources")
        context, page = painter.open()
        painter.enter(context)
        page.goto(painter.url + "#/recovery/" + recovery)
        count = instances // hosts
        checks.that("all are back", painter.seen(page, "%d of %d instances back" % (count, count), 240), painter.text(page)[:800])
        context.close()
        painter.take(name + "after-recovery", "#/recovery/" + recovery, "Event log")
        painter.take(name + "after-now", "#/now", "Data sources")
        painter.take(name + "after-history", "#/history", "host " + dead[0])


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tachi", required=True)
    parser.add_argument("--pictures", required=True, help="an existing folder")
    parser.add_argument("--hosts", type=int, help="only the region with this number of hosts")
    arguments = parser.parse_args()
    checks = Checks()
    for hosts, instances, failing in REGIONS:
        if arguments.hosts in (None, hosts):
            region(arguments.tachi, arguments.pictures, checks, hosts, instances, failing)
    return checks.end()


if __name__ == "__main__":
    sys.exit(main())
