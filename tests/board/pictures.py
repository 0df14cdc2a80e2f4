#!/usr/bin/env python3
"""Makes the pictures of docs/observe.md and README.md: a region of six hosts, one of which dies."""
import argparse
import os
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.append(os.path.join(HERE, "..", "client"))

from checks import Checks
from scene import Scene, region_and_browser

#: File, page, what it shows, width, height, dark.
AT_REST = (("board-hosts", "#/hosts", "of 6 hosts", 1280, 420, False), ("board-forecast", "#/forecast", "A conservative estimate", 1280, 700, False))
DURING = (("board-now", "#/now", "Recoveries", 1280, 720, False), ("board-narrow", "#/now", "Recoveries", 360, 740, False),
          ("board-dark", "#/now", "Recoveries", 1280, 720, True))


class Painter(Scene):
    def page(self, width, height, dark=False):
        context, page = self.open(width, height, dark)
        self.enter(context)
        return page

    def take(self, page, name, to, text):
        page.goto(self.url + to)
        self.check.that("%s shows %r" % (name, text), self.seen(page, text, 30) and self.seen(page, "live, seen", 20), self.text(page)[:800])
        page.screenshot(path=os.path.join(self.pictures, name + ".png"))

    def dialog(self):
        """A freeze, about to be said."""
        page = self.page(1280, 700)
        page.goto(self.url + "#/host/" + self.hosts[3])
        page.click("[data-key^='freeze host']")
        page.fill("dialog input[name=reason]", "firmware")
        page.screenshot(path=os.path.join(self.pictures, "board-dialog.png"))


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tachi", required=True)
    parser.add_argument("--pictures", default=os.path.join(HERE, "..", "..", "docs", "pictures"))
    arguments = parser.parse_args()
    checks = Checks()
    schedule = [("schedule", "doctor", "daily 03:00"), ("schedule", "purge", "daily 03:30"), ("schedule", "drill", "weekly sun 04:00")]
    with region_and_browser(arguments.tachi, ("--hosts", "6", "--instances", "24"), schedule) as (region, browser):
        painter = Painter(region, browser, checks, arguments.pictures)
        painter.register("rack-1")
        painter.look_anew()
        page = painter.page(1280, 900)
        page.goto(painter.url)
        checks.that("all is protected", painter.seen(page, "24 of 24 protected", 90), painter.text(page)[:800])
        for name, to, text, width, height, dark in AT_REST:
            painter.take(painter.page(width, height, dark), name, to, text)
        painter.take(painter.page(1280, 1000), "board-host", "#/host/" + painter.hosts[0], "Fence devices")
        for job in ("doctor", "purge", "drill"):
            subprocess.run([region.binary, "jobs", "run", job, *region.config_files()], cwd=region.work, env=region.environment, check=False)
        painter.take(painter.page(1280, 440), "board-schedule", "#/schedule", "rows")
        painter.dialog()
        pages = [painter.page(width, height, dark) for _, _, _, width, height, dark in DURING]
        # Nova shows a dead host up for a minute. Only after that do its instances count as down.
        region.admin("POST", "/hosts/%s/power" % painter.hosts[2], {"on": False})
        checks.that("Nova misses it", painter.seen(page, "no recovery of it is open", 120), painter.text(page)[:800])
        painter.report(painter.hosts[2])
        checks.that("its recovery is shown", painter.seen(page, "4 instances down") and painter.seen(page, "Recoveries"), painter.text(page)[:800])
        for page, (name, to, text, *_) in zip(pages, DURING):
            painter.take(page, name, to, text)
        page = painter.page(1280, 820)
        page.goto(painter.url + "#/recovery/" + painter.recovery())
        checks.that("all are back", painter.seen(page, "4 of 4 instances back", 40), painter.text(page)[:800])
        painter.take(page, "board-recovery", "#/recovery/" + painter.recovery(), "4 of 4 instances back")
    return checks.end()


if __name__ == "__main__":
    sys.exit(main())
