#!/usr/bin/env python3
"""Makes the pictures of docs/board.md and README.md: a region of six hosts, one of which dies."""
import argparse
import os
import shutil
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.append(os.path.join(HERE, "..", "client"))

from board import Board
from checks import Checks
from playwright.sync_api import sync_playwright
from region import Region

#: File, page, what it shows, width, height, dark.
AT_REST = (("board-hosts", "#/hosts", "of 6 hosts", 1280, 420, False), ("board-forecast", "#/forecast", "An estimate", 1280, 700, False))
DURING = (("board-now", "#/now", "Recoveries", 1280, 720, False), ("board-narrow", "#/now", "Recoveries", 360, 740, False),
          ("board-dark", "#/now", "Recoveries", 1280, 720, True))


class Painter(Board):
    def scene(self):
        segment = self.api("POST", "/v1/segments", {"segment": {"name": "rack-1", "recovery_method": "auto", "service_type": "COMPUTE"}})
        self.hosts = sorted(h["name"] for h in self.region.admin("GET", "/hosts"))
        for name in self.hosts:
            self.api("POST", "/v1/segments/%s/hosts" % segment["segment"]["uuid"], {"host": {"name": name, "type": "COMPUTE", "control_attributes": "SSH"}})
        # An engine tests the devices of the hosts that it finds when it begins.
        self.region.stop_service()
        self.region.start_service()

    def page(self, width, height, dark, cookies):
        context, page = self.open(width, height, dark)
        context.add_cookies(cookies)
        return page

    def take(self, page, name, to, text):
        page.goto(self.url + to)
        self.check.that("%s shows %r" % (name, text), self.seen(page, text, 30) and self.seen(page, "live, seen", 20), self.text(page)[:800])
        page.screenshot(path=os.path.join(self.pictures, name + ".png"))


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tachi", required=True)
    parser.add_argument("--pictures", default=os.path.join(HERE, "..", "..", "docs", "pictures"))
    arguments = parser.parse_args()
    checks = Checks()
    region = Region(arguments.tachi, arguments=("--hosts", "6", "--instances", "24"), options=[("fencing", "self_test_interval", 10)])
    try:
        with sync_playwright() as driver:
            browser = driver.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
            painter = Painter(region, browser, checks, arguments.pictures)
            painter.scene()
            context, page = painter.open()
            painter.log_in(page)
            checks.that("all is protected", painter.seen(page, "24 of 24", 60), painter.text(page)[:800])
            cookies = context.cookies()
            for name, to, text, width, height, dark in AT_REST:
                painter.take(painter.page(width, height, dark, cookies), name, to, text)
            pages = [painter.page(width, height, dark, cookies) for _, _, _, width, height, dark in DURING]
            # Nova hears a dead host for a minute. Only when it misses it do its instances count as down.
            region.admin("POST", "/hosts/%s/power" % painter.hosts[2], {"on": False})
            checks.that("Nova misses it", painter.seen(page, "nobody has reported it", 120), painter.text(page)[:800])
            painter.report(painter.hosts[2])
            checks.that("its recovery is told", painter.seen(page, "4 instances are down") and painter.seen(page, "Recoveries"), painter.text(page)[:800])
            for page, (name, to, text, *_) in zip(pages, DURING):
                painter.take(page, name, to, text)
            page = painter.page(1280, 820, False, cookies)
            page.goto(painter.url + "#/recovery/" + painter.recovery())
            checks.that("all are back", painter.seen(page, "4 of 4 instances back", 40), painter.text(page)[:800])
            painter.take(page, "board-recovery", "#/recovery/" + painter.recovery(), "4 of 4 instances back")
            browser.close()
    finally:
        region.stop()
    return checks.end()


if __name__ == "__main__":
    sys.exit(main())
