#!/usr/bin/env python3
"""Somebody watches a region in the web board, in Debian's Chromium: logs in, sees a host die and its instances come back."""
import argparse
import datetime
import json
import os
import re
import shutil
import sys
import time
import urllib.error
import urllib.request

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.append(os.path.join(HERE, "..", "client"))

from checks import Checks
from playwright.sync_api import TimeoutError as Late
from playwright.sync_api import sync_playwright
from region import Region

EVIL = "<script>document.title='broken'</script><img src=x onerror=alert(1)>"
# What the page itself finds broken of its rules.
WATCH = "addEventListener('securitypolicyviolation', e => console.error('CSP ' + e.violatedDirective + ' ' + e.blockedURI))"


def moment():
    return datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%f")


class Board:
    def __init__(self, region, browser, checks, pictures):
        self.region, self.browser, self.check, self.pictures = region, browser, checks, pictures
        self.url = region.api + "/board/"
        self.said, self.foreign, self.expected = [], [], ()
        self.token = self.new_token()

    # ------------------------------------------------------------------ beside the browser

    def new_token(self):
        auth = self.region.auth
        domain = {"name": auth.get("user_domain_name", "Default")}
        body = {"auth": {"identity": {"methods": ["password"], "password": {"user": {
            "name": auth["username"], "domain": domain, "password": auth["password"]}}},
            "scope": {"project": {"name": auth["project_name"], "domain": domain}}}}
        request = urllib.request.Request(auth["auth_url"].rstrip("/").removesuffix("/v3") + "/v3/auth/tokens", json.dumps(body).encode(),
                                         {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.headers["X-Subject-Token"]

    def api(self, method, path, body=None):
        request = urllib.request.Request(self.region.api + path, body and json.dumps(body).encode(), {
            "X-Auth-Token": self.token, "Content-Type": "application/json", "OpenStack-API-Version": "instance-ha 1.3"}, method=method)
        with urllib.request.urlopen(request, timeout=10) as answer:
            return json.loads(answer.read() or b"null")

    def prepare(self):
        segment = self.api("POST", "/v1/segments", {"segment": {"name": EVIL, "recovery_method": "auto", "service_type": "COMPUTE"}})
        self.hosts = sorted(h["name"] for h in self.region.admin("GET", "/hosts"))
        for name in self.hosts:
            self.api("POST", "/v1/segments/%s/hosts" % segment["segment"]["uuid"], {"host": {
                "name": name, "type": "COMPUTE", "control_attributes": "SSH"}})
        self.region.admin("POST", "/servers", {"count": 3, "host": self.hosts[0], "name": EVIL})
        # An engine tests the devices of the hosts that it finds when it begins.
        self.region.stop_service()
        self.region.start_service()

    def kill(self, host):
        self.region.admin("POST", "/hosts/%s/power" % host, {"on": False})
        self.report(host)

    def report(self, host):
        self.api("POST", "/v1/notifications", {"notification": {"type": "COMPUTE_HOST", "hostname": host, "generated_time": moment(), "payload": {
            "event": "STOPPED", "cluster_status": "OFFLINE", "host_status": "NORMAL"}}})

    # ------------------------------------------------------------------ the browser

    def open(self, width=1280, height=900, dark=False):
        context = self.browser.new_context(viewport={"width": width, "height": height}, color_scheme="dark" if dark else "light", locale="en-GB")
        context.add_init_script(WATCH)
        page = context.new_page()
        page.on("console", lambda m: self.said.append(m.text) if m.type in ("error", "warning") else None)
        page.on("pageerror", lambda e: self.said.append("thrown: %s" % e))
        page.on("dialog", lambda d: self.said.append("dialog: %s" % d.message))
        page.on("request", lambda r: self.foreign.append(r.url) if not r.url.startswith(self.region.api + "/board") else None)
        page.set_default_timeout(10_000)
        return context, page

    def seen(self, page, text, seconds=10):
        """Waits until the page shows this."""
        try:
            page.wait_for_function("t => document.body.innerText.includes(t)", arg=text, timeout=seconds * 1000, polling=50)
            return True
        except Late:
            return False

    def text(self, page):
        return page.inner_text("body")

    def go(self, page, to, text):
        page.goto(self.url + to)
        return self.check.that("the page %s shows %r" % (to, text), self.seen(page, text), self.text(page)[:1500])

    def picture(self, page, name):
        if self.pictures:
            page.screenshot(path=os.path.join(self.pictures, name + ".png"), full_page=True)

    def log_in(self, page):
        """With the keyboard alone."""
        page.goto(self.url)
        self.check.that("whoever has no cookie is asked to log in", self.seen(page, "Log in"), self.text(page))
        auth = self.region.auth
        page.keyboard.type("nobody")
        page.keyboard.press("Tab")
        page.keyboard.press("Tab")
        page.keyboard.type("wrong")
        page.keyboard.press("Tab")
        page.keyboard.type(auth["project_name"])
        page.keyboard.press("Enter")
        self.check.that("a wrong password is told", self.seen(page, "Keystone does not accept this"), self.text(page))
        page.fill("input[name=user]", "")
        page.focus("input[name=user]")
        page.keyboard.type(auth["username"])
        page.fill("input[name=password]", "")
        page.focus("input[name=password]")
        page.keyboard.type(self.region.password)
        page.keyboard.press("Enter")
        if not self.check.that("the right one leads to Now", self.seen(page, "What this rests on"), self.text(page)):
            raise SystemExit("nobody can log in: %s\n%s" % (self.said, self.region.service_output()[-3000:]))

    def walk(self):
        context, page = self.open()
        self.log_in(page)
        cookie = context.cookies()[0]
        self.check.equal("the cookie is for /board alone, and for no script", (cookie["path"], cookie["httpOnly"], cookie["sameSite"], cookie["secure"]),
                         ("/board", True, "Strict", False))
        self.check.equal("no script sees it", page.evaluate("document.cookie"), "")
        answer = context.request.get(self.region.api + "/operator/v1/situation", headers={"Cookie": "tachi-board=" + cookie["value"]})
        self.check.equal("the cookie is nothing to the API itself", answer.status, 401)
        self.check.that("facts are seen", self.seen(page, "fresh", 30), self.text(page))
        self.check.that("a hostile name stays text", self.seen(page, EVIL) and page.title() == "Now · Tachi", page.title())
        self.check.that("the page listens, and asks no more each second", self.seen(page, "live, seen 3 s ago", 15), self.text(page))
        self.picture(page, "now-light")
        # By keyboard to the hosts.
        page.keyboard.press("Tab")
        for _ in range(12):
            if page.evaluate("document.activeElement.textContent") == "Hosts":
                break
            page.keyboard.press("Tab")
        page.keyboard.press("Enter")
        self.check.that("the keyboard leads to Hosts", self.seen(page, "%d of %d hosts" % (len(self.hosts), len(self.hosts))), self.text(page))
        dead = self.hosts[0]
        row = "tr:has-text('%s')" % dead
        # So soon it asks by itself again only when the death has to be on the board already.
        self.check.that("it has just asked", self.seen(page, "live, seen 1 s ago"), self.text(page)[:300])
        began = time.monotonic()
        self.kill(dead)
        page.wait_for_selector(row + ":has-text('dead')", timeout=15_000)
        took = time.monotonic() - began
        self.check.that("a host's death is on the board within 2 s (%.2f)" % took, took < 2.0, took)
        self.picture(page, "hosts-light")
        page.click(row + " >> text=open")
        self.check.that("its recovery has a timeline", page.wait_for_selector("svg.time rect.bar") is not None)
        self.check.that("it is followed to its end", self.seen(page, "5 of 5 instances back", 40), self.text(page))
        self.check.that("and a hostile name stays text there", EVIL in self.text(page) and "Recovery" not in page.title(), page.title())
        self.picture(page, "recovery-light")
        page.goto(self.url + "#/history")
        self.check.that("History has it", self.seen(page, "host " + dead), self.text(page))
        self.picture(page, "history-light")
        self.go(page, "#/host/" + self.hosts[1], "What a recovery needs")
        self.picture(page, "host-light")
        self.forecast(page)
        self.go(page, "#/instance/nobody", "No instance has the id or name nobody")
        self.go(page, "#/instances", "Being recovered")
        self.filtered(page)
        return context, page

    def forecast(self, page):
        self.go(page, "#/now", "N+k")
        self.go(page, "#/forecast", "worst host")
        self.check.that("the forecast tells of the segment", self.seen(page, "● room") and EVIL in self.text(page), self.text(page))
        self.picture(page, "forecast-light")
        page.fill("#lose", "%s, %s" % (self.hosts[1], self.hosts[2]))
        page.keyboard.press("Enter")
        self.check.that("two hosts are lost together", self.seen(page, "If %s and %s died now" % (self.hosts[1], self.hosts[2])), self.text(page))
        page.fill("#lose", "nobody")
        page.keyboard.press("Enter")
        self.check.that("a host that is none is told", self.seen(page, 'no host of a segment is called "nobody"'), self.text(page))
        page.fill("#lose", "")
        page.keyboard.press("Enter")
        self.check.that("and the page goes on", self.seen(page, "An estimate"), self.text(page))

    def filtered(self, page):
        self.go(page, "#/hosts", "of %d hosts" % len(self.hosts))
        page.fill("#filter", self.hosts[1])
        self.check.that("the filter leaves one", self.seen(page, "1 of %d hosts" % len(self.hosts)), self.text(page)[:800])
        page.fill("#filter", "")

    def streams(self, context):
        page = context.new_page()
        page.on("request", lambda r: opened.append(r) if r.url.endswith("/events") else None)
        opened = []
        hide = "h => { Object.defineProperty(document, 'hidden', {configurable: true, get: () => h}); document.dispatchEvent(new Event('visibilitychange')) }"
        self.go(page, "#/now", "live, seen")
        self.go(page, "#/history", "live, seen")
        self.check.equal("there is one stream, whatever page is shown", len(opened), 1)
        with page.expect_event("requestfailed", lambda r: r.url.endswith("/events")):
            page.evaluate(hide, True)
        self.check.that("a tab that nobody looks at has none", "live" not in page.inner_text("#age"), page.inner_text("#age"))
        page.evaluate(hide, False)
        self.check.that("whoever looks again has one", self.seen(page, "live, seen") and len(opened) == 2, len(opened))
        # As many listen as may.
        page.route("**/board/api/events", lambda route: route.fulfill(status=503, json={}))
        page.reload()
        self.check.that("a stream that is refused is said to be none", self.seen(page, "not live, seen"), self.text(page)[:300])
        began = time.monotonic()
        for _ in range(3):
            page.wait_for_event("request", lambda r: "/board/api/recoveries" in r.url)
        took = time.monotonic() - began
        self.check.that("and the page asks each second (3 in %.1f s)" % took, took < 4.5, took)
        page.close()
        self.said = [line for line in self.said if "503" not in line]

    def narrow_and_dark(self, context):
        for width, dark in ((360, False), (360, True), (1280, True)):
            other, page = self.open(width, 800, dark)
            other.add_cookies(context.cookies())
            name = "%s-%s" % ("narrow" if width == 360 else "wide", "dark" if dark else "light")
            for to, text in (("#/now", "What this rests on"), ("#/hosts", "hosts"), ("#/recovery/" + self.recovery(), "Story"), ("#/history", "back"), ("#/forecast", "An estimate")):
                page.goto(self.url + to)
                self.seen(page, text)
                wide = page.evaluate("document.documentElement.scrollWidth")
                self.check.that("%s fits %s" % (to.split("/")[1], name), self.seen(page, text) and wide <= width, wide)
                self.picture(page, "%s-%s" % (to.split("/")[1], name))
            ink, back = page.evaluate("(() => { const s = getComputedStyle(document.body); return [s.color, s.backgroundColor] })()")
            light = sum(map(int, re.findall(r"\d+", back)[:3])) / 3
            self.check.that("%s has the colours asked for" % name, (light < 100) == dark, (ink, back))
            other.close()

    def recovery(self):
        return self.api("GET", "/operator/v1/recoveries?all=true")["recoveries"][0]["recovery"]

    def many(self, context):
        """A thousand hosts, as the API would tell them."""
        told = self.api("GET", "/operator/v1/situation")
        one = told["situation"]["hosts"][1]
        told["situation"]["hosts"] = [dict(one, name="compute-%04d" % n) for n in range(1000)]
        _, page = context, context.new_page()
        page.route("**/board/api/situation", lambda route: route.fulfill(json=told))
        page.goto(self.url + "#/history")
        took = page.evaluate("""() => new Promise(done => { location.hash = '#/hosts'; const began = performance.now(); const look = () =>
            document.querySelectorAll('tbody tr').length >= 1000 ? requestAnimationFrame(() => done(performance.now() - began)) : requestAnimationFrame(look); look(); })""")
        self.check.that("1,000 hosts are drawn in under a second (%d ms)" % took, took < 1000, took)
        page.close()

    def crowded(self, context):
        """A segment of a thousand hosts without room, as the API would tell it."""
        told = self.api("GET", "/operator/v1/forecast")
        one = told["forecast"]["segments"][0]
        host = one["hosts"][0]
        rooms = [("short", EVIL, "14 GiB memory"), ("tight", "vm-1", "it fits only if the scheduler places the others well"),
                 ("unknown", "vm-2", "it asks for hw:numa_nodes=2, which is not reckoned with"), ("enough", None, None)]
        one["hosts"] = [dict(host, lost=["compute-%04d" % n], room=room, instance=instance, short_of=wants, instances=50)
                        for n in range(1000) for room, instance, wants in [rooms[n % 4]]]
        one["worst"], one["headroom"], one["exact"] = one["hosts"][0], 0, True
        told["forecast"]["segments"].append(dict(one, segment="S2", hosts=one["hosts"][3:200:4], worst=one["hosts"][3], headroom=3, exact=False))
        for width in (1280, 360):
            other, page = self.open(width, 900, width == 360)
            other.add_cookies(context.cookies())
            page.route("**/board/api/forecast", lambda route: route.fulfill(json=told))
            began = time.monotonic()
            page.goto(self.url + "#/forecast")
            seen = self.seen(page, "and 650 more")
            took = time.monotonic() - began
            text = self.text(page)
            self.check.that("a crowded segment is told at %d px (%.2f s)" % (width, took), seen and took < 3 and "lacks 14 GiB memory" in text
                            and "3+" in text and "for the instances of 250 other hosts" in text, text[:2000])
            wide = page.evaluate("document.documentElement.scrollWidth")
            self.check.that("and fits", wide <= width, wide)
            self.picture(page, "crowded-%d" % width)
            other.close()

    def silence(self, page):
        page.goto(self.url + "#/now")
        self.check.that("Now shows what is good", self.seen(page, "● protected", 30) and self.seen(page, "live, seen"), self.text(page)[:600])
        said = len(self.said)
        began = time.monotonic()
        self.region.stop_service()
        old = self.seen(page, "no answer for", 20)
        took = time.monotonic() - began
        self.check.that("an API that is gone shows within 10 s (%.1f)" % took, old and took < 10.6, took)
        self.check.that("and nothing counts as good any more", "● " not in self.text(page), self.text(page))
        self.picture(page, "silent")
        self.region.start_service()
        self.check.that("it goes on when the API is back", self.seen(page, "● protected", 30), self.text(page)[:600])
        self.check.that("and the alarm is over", not page.is_visible("#alarm"))
        self.check.that("and the page listens again", self.seen(page, "live, seen", 20), self.text(page)[:300])
        # The browser itself says that nobody answered; that is what was asked for.
        self.said[said:] = [line for line in self.said[said:] if "Failed to load resource" not in line]

    def strangers(self):
        context, page = self.open()
        said = len(self.said)
        for token, text in (("gAAAAA-no-such-token", "Keystone does not accept this"),):
            page.goto(self.url)
            page.select_option("#with", "token")
            page.fill("input[name=token]", token)
            page.keyboard.press("Enter")
            self.check.that("a token that is none is refused", self.seen(page, text), self.text(page))
        page.fill("input[name=token]", self.token)
        page.keyboard.press("Enter")
        self.check.that("a token that is good lets in", self.seen(page, "What this rests on"), self.text(page))
        page.click("#logout")
        self.check.that("logging out ends it", self.seen(page, "You are logged out") and not context.cookies(), context.cookies())
        self.said[said:] = [line for line in self.said[said:] if "401" not in line]
        context.close()

    def end(self):
        noise = [line for line in self.said if not ("401" in line and "Failed to load resource" in line) and "404" not in line]
        self.check.equal("no page broke its rules, and no console said an error", noise, [])
        self.check.equal("nothing was asked of anybody else", self.foreign, [])


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tachi", required=True)
    parser.add_argument("--pictures", help="a folder for pictures of every page")
    arguments = parser.parse_args()
    checks = Checks()
    region = Region(arguments.tachi, arguments=("--hosts", "4", "--instances", "8"), options=[("fencing", "self_test_interval", 10)])
    try:
        with sync_playwright() as driver:
            browser = driver.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
            board = Board(region, browser, checks, arguments.pictures)
            board.prepare()
            context, page = board.walk()
            board.streams(context)
            board.narrow_and_dark(context)
            board.many(context)
            board.crowded(context)
            board.strangers()
            board.silence(page)
            board.end()
            browser.close()
    finally:
        region.stop()
    return checks.end()


if __name__ == "__main__":
    sys.exit(main())
