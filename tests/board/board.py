#!/usr/bin/env python3
"""Somebody watches a region in the web board, in Debian's Chromium: logs in, sees a host die and its instances come back, and says a word."""
import argparse
import glob
import json
import os
import re
import subprocess
import sys
import tempfile
import time
import urllib.request

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.append(os.path.join(HERE, "..", "client"))

from checks import Checks
from replicas import two
from scene import Scene, region_and_browser

# When the page last had an answer, and when it said that there is none any more, in ms of its own clock.
SILENCE = """() => {
    const ask = window.fetch;
    window.fetch = async (...what) => {
        const answer = await ask(...what);
        const read = answer.text.bind(answer);
        answer.text = async () => {
            const body = await read();
            window.lastAnswer = performance.now();
            return body;
        };
        // What has not changed has nothing to read.
        if (answer.status === 304) window.lastAnswer = performance.now();
        return answer;
    };
    const age = document.getElementById('age');
    const seen = new MutationObserver(() => {
        if (!age.textContent.includes('no answer for')) return;
        window.turnedRed = performance.now();
        seen.disconnect();
    });
    seen.observe(age, { childList: true, characterData: true, subtree: true });
}"""

EVIL = "<script>document.title='broken'</script><img src=x onerror=alert(1)>"
# What reverses a name in a browser.
REVERSED = EVIL + "\u202e"


class Board(Scene):
    def prepare(self):
        self.register(EVIL)
        self.region.admin("POST", "/servers", {"count": 3, "host": self.hosts[0], "name": REVERSED})
        self.look_anew()

    def log_in(self, page):
        """With the keyboard alone."""
        page.goto(self.url)
        self.check.that("a client without a cookie is asked to log in", self.seen(page, "Log in"), self.text(page))
        auth = self.region.auth
        page.keyboard.type("nobody")
        page.keyboard.press("Tab")
        page.keyboard.press("Tab")
        page.keyboard.type("wrong")
        page.keyboard.press("Tab")
        page.keyboard.type(auth["project_name"])
        page.keyboard.press("Enter")
        self.check.that("a wrong password is reported", self.seen(page, "Login failed"), self.text(page))
        page.fill("input[name=user]", "")
        page.focus("input[name=user]")
        page.keyboard.type(auth["username"])
        page.fill("input[name=password]", "")
        page.focus("input[name=password]")
        page.keyboard.type(self.region.password)
        page.keyboard.press("Enter")
        if not self.check.that("the right one leads to Now", self.seen(page, "Data sources"), self.text(page)):
            raise SystemExit("no login is possible: %s\n%s" % (self.said, self.region.service_output()[-3000:]))

    def walk(self):
        context, page = self.open()
        self.log_in(page)
        cookie = context.cookies()[0]
        self.check.equal("the cookie is for /board alone, and for no script", (cookie["path"], cookie["httpOnly"], cookie["sameSite"], cookie["secure"]),
                         ("/board", True, "Strict", False))
        self.check.equal("no script sees it", page.evaluate("document.cookie"), "")
        answer = context.request.get(self.region.api + "/operator/v1/situation", headers={"Cookie": "tachi-board=" + cookie["value"]})
        self.check.equal("the cookie is nothing to the API itself", answer.status, 401)
        self.check.that("facts are seen", self.seen(page, "current", 30), self.text(page))
        self.check.that("a hostile name stays text", self.seen(page, EVIL) and page.title().endswith(" · Now · Tachi"), page.title())
        self.check.that("the head of the page has the user and the role", re.search("admin · (operator|read only)$", page.inner_text("#who")), page.inner_text("#who"))
        icon = page.get_attribute("link[rel=icon]", "href")
        self.check.that("the icon and the title have the state of the region", re.fullmatch("icon-(ok|warn|unknown|err).svg", icon) and page.title()[0] in "●!?✗", (icon, page.title()))
        self.check.that("an unknown address is reported", self.go(page, "#/bogus", 'There is no page "bogus"'))
        page.goto(self.url + "#/now")
        self.seen(page, "Data sources")
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
        self.history(page)
        self.go(page, "#/host/" + self.hosts[1], "Recovery prerequisites")
        for text in ("Fence devices", "Monitors", "No heartbeat yet", "Instances"):
            self.check.that("a host's page has %r" % text, self.seen(page, text), self.text(page)[:1500])
        # A device is shown once it has been tested: each of them every ten seconds, one after the other.
        page.wait_for_selector("td[data-head=tested]:has-text('ago')", timeout=60_000)
        self.check.that("a fence device with its test", page.inner_text("td[data-head=device]"), self.text(page))
        named = page.locator("td[data-head=instance]").first.inner_text()
        page.click("td[data-head=instance] a >> nth=0")
        self.check.that("an instance of it leads to its own page", self.seen(page, "Moves") and named in self.text(page), self.text(page)[:500])
        self.go(page, "#/host/" + self.hosts[1], "Recovery prerequisites")
        self.picture(page, "host-light")
        recovered = self.told(context, "recovery/" + self.recovery())
        self.check.that("what reverses a name is written out", "\\u{202e}" in recovered and "\u202e" not in recovered, recovered[:3000])
        self.printed()
        self.forecast(page)
        self.schedule(page)
        self.go(page, "#/instance/nobody", "No instance has the id or name nobody")
        self.go(page, "#/instances", "Being recovered")
        self.filtered(page)
        return context, page

    def history(self, page):
        """What the death has cost, and its report to keep."""
        told = self.api("GET", "/operator/v1/recoveries?all=true&downtime=true")["recoveries"][0]
        cost = page.get_attribute("td[data-head='total downtime'] span", "title")
        self.check.that("it tells what it cost", told["down_seconds"] > 0 and cost == "%g s" % told["down_seconds"], (told["down_seconds"], cost))
        links = page.eval_on_selector_all("a[download]", "all => all.map(a => [a.textContent, new URL(a.href).pathname + new URL(a.href).search])")
        path = "/board/api/recoveries/%s/report?format=" % told["recovery"]
        self.check.equal("and has the report to keep", links, [["html", path + "html"], ["md", path + "md"]])
        self.picture(page, "history-light")
        self.go(page, "#/recovery/" + told["recovery"], "Event log")
        text = self.text(page)
        self.check.that("a recovery shows the readings of the devices", 'level 1 read "off"' in text and "twice, confirmed" in text, text)
        self.check.that("the attempts in Nova and the downtime of each instance", "attempts" in text and " s" in page.inner_text("tr:has-text('ha-1') td[data-head=downtime], td[data-head=downtime]"), text)
        moved = self.api("GET", "/operator/v1/recoveries/" + told["recovery"])["recovery"]["instances"][0]
        self.go(page, "#/instance/" + moved["id"], "Moves")
        self.check.that("an instance shows its moves", self.seen(page, moved["to"]) and "host " + self.hosts[0] in self.text(page), self.text(page))
        self.picture(page, "instance-light")

    def printed(self):
        """The report is for paper, too: Chromium makes a document of it that is not empty."""
        words = [self.region.binary, "recovery", "report", self.recovery(), "--format", "html", *self.region.config_files()]
        report = subprocess.run(words, cwd=self.region.work, env=self.region.environment, check=True, capture_output=True, text=True).stdout
        context = self.browser.new_context()
        page = context.new_page()
        asked = []
        page.on("request", lambda r: asked.append(r.url))
        page.set_content(report)
        paper = page.pdf()
        self.check.that("Chromium prints the report (%d bytes)" % len(paper), paper.startswith(b"%PDF") and len(paper) > 10_000 and self.hosts[0] in page.inner_text("body"), paper[:60])
        self.check.equal("and it sends no other requests", asked, [])
        context.close()

    def schedule(self, page):
        self.go(page, "#/schedule", "Times are in the time zone")
        self.check.that("the tests of devices are shown", self.seen(page, "8/8 good", 60) and self.seen(page, "every 10 s"), self.text(page))
        self.check.that("and what came of the doctor, by name", self.seen(page, "not checkable", 60) and "every 6h" in self.text(page), self.text(page))
        self.check.that("and when each is done next", self.seen(page, "weekly sun 04:00") and self.seen(page, "in 5 h") and "not yet" in self.text(page), self.text(page))
        told = self.api("GET", "/operator/v1/schedule")["schedule"]
        self.check.equal("a row for each", page.locator("tbody tr").count(), len(told))
        self.picture(page, "schedule-light")

    def forecast(self, page):
        self.go(page, "#/now", "N+k")
        self.go(page, "#/forecast", "worst host")
        self.check.that("the forecast shows the segment", self.seen(page, "● room") and EVIL in self.text(page), self.text(page))
        self.picture(page, "forecast-light")
        page.fill("#lose", "%s, %s" % (self.hosts[1], self.hosts[2]))
        page.keyboard.press("Enter")
        self.check.that("two hosts are lost together", self.seen(page, "If %s and %s failed now" % (self.hosts[1], self.hosts[2])), self.text(page))
        self.check.that("and where their instances may land", self.seen(page, "Possible target hosts") and "1 of 1 host" in self.text(page), self.text(page))
        self.picture(page, "landing-light")
        page.fill("#lose", "nobody")
        page.keyboard.press("Enter")
        self.check.that("an unknown host is reported", self.seen(page, 'no segment has a host named "nobody"'), self.text(page))
        page.fill("#lose", "")
        page.keyboard.press("Enter")
        self.check.that("and the page still works", self.seen(page, "A conservative estimate"), self.text(page))

    def filtered(self, page):
        self.go(page, "#/hosts", "of %d hosts" % len(self.hosts))
        page.fill("#filter", self.hosts[1])
        self.check.that("the filter leaves one", self.seen(page, "1 of %d hosts" % len(self.hosts)), self.text(page)[:800])
        self.check.equal("with its monitors and its fence level", [page.inner_text("tr:not([hidden]) td[data-head='%s']" % head) for head in ("monitors", "level 1")],
                         ["? none", "● works"])
        page.fill("#filter", "")
        names = lambda: page.eval_on_selector_all("tr[data-search]:not([hidden]) td[data-head=host]", "all => all.map(one => one.textContent)")
        worst = names()
        page.click("th >> text=host")
        self.check.equal("a click on the head sorts by that column", names(), sorted(self.hosts))
        page.click("th >> text=host")
        self.check.equal("and another one the other way", names(), sorted(self.hosts, reverse=True))
        self.check.equal("the head says so", page.get_attribute("th:has-text('host')", "aria-sort"), "descending")
        page.click("[data-chip=down]")
        down = int(re.search(r"\d+", page.inner_text("[data-chip=down]"))[0])
        self.check.that("a chip leaves those that are down (%d)" % down, len(names()) == down and page.get_attribute("[data-chip=down]", "aria-pressed") == "true", (names(), worst))
        page.click("[data-chip=down]")
        self.check.equal("and gives the rest back", len(names()), len(self.hosts))

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
        self.check.that("a hidden tab has none", "live" not in page.inner_text("#age"), page.inner_text("#age"))
        page.evaluate(hide, False)
        self.check.that("a tab that is shown again has one", self.seen(page, "live, seen") and len(opened) == 2, len(opened))
        # As many listen as may.
        page.route("**/board/api/events", lambda route: route.fulfill(status=503, json={}))
        page.reload()
        self.check.that("a stream that is refused is said to be none", self.seen(page, "not live, seen"), self.text(page)[:300])
        began = time.monotonic()
        for _ in range(3):
            page.wait_for_event("request", lambda r: "/board/pages/history" in r.url)
        took = time.monotonic() - began
        self.check.that("and the page asks each second (3 in %.1f s)" % took, took < 4.5, took)
        page.close()
        self.said = [line for line in self.said if "503" not in line]

    def narrow_and_dark(self, context):
        for width, dark in ((360, False), (360, True), (1280, True)):
            other, page = self.open(width, 800, dark)
            other.add_cookies(context.cookies())
            name = "%s-%s" % ("narrow" if width == 360 else "wide", "dark" if dark else "light")
            for to, text in (("#/now", "Data sources"), ("#/hosts", "hosts"), ("#/recovery/" + self.recovery(), "Event log"), ("#/history", "back"), ("#/forecast", "A conservative estimate"), ("#/schedule", "every 6h")):
                page.goto(self.url + to)
                self.seen(page, text)
                wide = page.evaluate("document.documentElement.scrollWidth")
                self.check.that("%s fits %s" % (to.split("/")[1], name), self.seen(page, text) and wide <= width, wide)
                self.picture(page, "%s-%s" % (to.split("/")[1], name))
            ink, back = page.evaluate("(() => { const s = getComputedStyle(document.body); return [s.color, s.backgroundColor] })()")
            light = sum(map(int, re.findall(r"\d+", back)[:3])) / 3
            self.check.that("%s has the colours asked for" % name, (light < 100) == dark, (ink, back))
            other.close()

    def told(self, context, page):
        """A page as the API makes it."""
        return context.request.get(self.url + "pages/" + page).text()

    def many(self, context):
        """A thousand hosts: tests/bench/view.py measures a region of that size; this runs beside other parts, and tells when drawing grows slow."""
        told = self.told(context, "hosts")
        row = re.search(r"<tr data-search.*?</tr>", told, re.S)[0]
        page = context.new_page()
        page.route("**/board/pages/hosts*", lambda route: route.fulfill(body=told.replace(row, row * 1000), content_type="text/html"))
        page.goto(self.url + "#/history")
        took = page.evaluate("""() => new Promise(done => { location.hash = '#/hosts'; const began = performance.now(); const look = () =>
            document.querySelectorAll('tbody tr').length >= 1000 ? requestAnimationFrame(() => done(performance.now() - began)) : requestAnimationFrame(look); look(); })""")
        self.check.that("1,000 hosts are drawn in under three seconds (%d ms)" % took, took < 3000, took)
        page.close()

    def crowded(self, context):
        """More segments than fit on a screen, one with a long and hostile name; what is told of a crowded one, api/src/board/pages/tests.rs looks at."""
        told = self.told(context, "forecast")
        row = re.search(r"<tr><td data-head=\"segment\".*?</tr>", told, re.S)[0]
        for width in (1280, 360):
            other, page = self.open(width, 900, width == 360)
            other.add_cookies(context.cookies())
            page.route("**/board/pages/forecast*", lambda route: route.fulfill(body=told.replace(row, row * 200), content_type="text/html"))
            began = time.monotonic()
            page.goto(self.url + "#/forecast")
            page.wait_for_function("() => document.querySelectorAll('tbody tr').length >= 200")
            took = time.monotonic() - began
            self.check.that("200 segments are shown at %d px (%.2f s)" % (width, took), took < 3 and EVIL in self.text(page), self.text(page)[:800])
            wide = page.evaluate("document.documentElement.scrollWidth")
            self.check.that("and fit", wide <= width, wide)
            self.picture(page, "crowded-%d" % width)
            other.close()

    def silence(self, page):
        page.goto(self.url + "#/now")
        self.check.that("Now shows the counts", self.seen(page, "! degraded", 30) and self.seen(page, "live, seen"), self.text(page)[:600])
        said = len(self.said)
        # The page measures it itself, from its last answer on: how long the service takes to end, and to be looked at, is no matter.
        page.evaluate(SILENCE)
        page.wait_for_function("() => window.lastAnswer")
        self.region.stop_service()
        old = self.seen(page, "no answer for", 20)
        took = page.evaluate("() => window.turnedRed - window.lastAnswer") / 1000
        self.check.that("an API that is gone shows within 10 s (%.2f)" % took, old and 9.9 < took < 10.1, took)
        self.check.that("and nothing counts as good any more", "● " not in self.text(page), self.text(page))
        self.picture(page, "silent")
        self.region.start_service()
        self.check.that("it continues when the API is back", self.seen(page, "live, seen", 30), self.text(page)[:600])
        self.check.that("and the alarm is over", not page.is_visible("#alarm"))
        self.check.that("and the page listens again", self.seen(page, "live, seen", 20), self.text(page)[:300])
        # The browser itself logs the missing answer, which the test has caused.
        self.said[said:] = [line for line in self.said[said:] if "Failed to load resource" not in line]

    def replicas(self):
        """The API of a page is killed, the region changes while no API answers, and another API shows the change."""
        host = self.hosts[2]
        with two(self.region) as (balancer, first, second):
            context = self.browser.new_context(locale="en-GB")
            page = context.new_page()
            page.set_default_timeout(10_000)
            self.enter(context)
            page.goto("http://127.0.0.1:%d/board/#/now" % balancer.port)
            self.check.that("the page listens to the first of two APIs", self.seen(page, "live, seen", 15), self.text(page)[:300])
            page.evaluate("window.isTheSame = true")
            balancer.turn(None)
            first.kill()
            number = self.api("POST", "/operator/v1/freezes", {"freeze": {"scope": "host", "name": host, "lasts_seconds": 3600, "reason": "while nobody answered"}})
            self.check.that("the page shows that no API answers", self.seen(page, "no answer for", 20), self.text(page)[:300])
            balancer.turn(second.port)
            self.check.that("the second API shows the changes in between", self.seen(page, "while nobody answered", 20), self.text(page)[:800])
            self.check.that("the page listens to it", self.seen(page, "live, seen", 20), self.text(page)[:300])
            self.check.that("and was not reloaded", page.evaluate("window.isTheSame"))
            self.api("DELETE", "/operator/v1/freezes/%d" % number["freeze"]["freeze"]["number"])
            page.wait_for_function("() => !document.body.innerText.includes('while nobody answered')", timeout=10_000)
            self.check.that("and its stream shows later changes", True)
            context.close()

    def with_application_credential(self):
        """As who may not give his password away."""
        keystone = self.region.auth["auth_url"].rstrip("/").removesuffix("/v3") + "/v3"
        request = urllib.request.Request(keystone + "/auth/tokens", headers={"X-Auth-Token": self.token, "X-Subject-Token": self.token})
        with urllib.request.urlopen(request, timeout=10) as answer:
            user = json.load(answer)["token"]["user"]["id"]
        body = json.dumps({"application_credential": {"name": "board", "secret": "not-the-password"}}).encode()
        request = urllib.request.Request("%s/users/%s/application_credentials" % (keystone, user), body, {"X-Auth-Token": self.token, "Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=10) as answer:
            made = json.load(answer)["application_credential"]
        context, page = self.open()
        for secret, text in (("wrong", "Login failed"), ("not-the-password", "Data sources")):
            page.goto(self.url)
            page.select_option("#with", "application_credential")
            page.fill("input[name=id]", made["id"])
            page.fill("input[name=secret]", secret)
            page.keyboard.press("Enter")
            self.check.that("an application credential with the secret %r: %s" % (secret, text), self.seen(page, text), self.text(page))
        context.close()

    def strangers(self):
        context, page = self.open()
        said = len(self.said)
        for token, text in (("gAAAAA-no-such-token", "Login failed"),):
            page.goto(self.url)
            page.select_option("#with", "token")
            page.fill("input[name=token]", token)
            page.keyboard.press("Enter")
            self.check.that("an invalid token is refused", self.seen(page, text), self.text(page))
        page.fill("input[name=token]", self.token)
        page.keyboard.press("Enter")
        self.check.that("a token that is good lets in", self.seen(page, "Data sources"), self.text(page))
        page.click("#logout")
        self.check.that("logging out ends it", self.seen(page, "You are logged out") and not context.cookies(), context.cookies())
        self.said[said:] = [line for line in self.said[said:] if "401" not in line]
        context.close()

    def end(self):
        noise = [line for line in self.said if not ("401" in line and "Failed to load resource" in line) and "404" not in line]
        self.check.equal("no page broke its rules, and no console said an error", noise, [])
        self.check.equal("nothing was asked of anybody else", self.foreign, [])


    # ------------------------------------------------------------------ what is said

    def focus_on(self, page, script):
        """Goes there with the keyboard alone."""
        page.evaluate("document.getElementById('page').focus()")
        for _ in range(80):
            page.keyboard.press("Tab")
            if page.evaluate("(() => { const e = document.activeElement; return %s })()" % script):
                return True
        return False

    def said_by_keyboard(self, page):
        host = self.hosts[3]
        self.kill(host)
        self.go(page, "#/now", "Needs attention")
        # Other things may need attention before the guards have decided.
        self.seen(page, "Approve…", 60)
        self.check.that("a held recovery has a button", self.focus_on(page, "e.textContent === 'Approve…'"), self.text(page)[:1500])
        page.keyboard.press("Enter")
        page.wait_for_selector("dialog[open]")
        text = page.inner_text("dialog")
        self.check.that("a dialog says what it does before it is done", "Approve the recovery of " + host in text and "it may cut the host's power" in text, text)
        self.check.equal("the key that has opened it says nothing", page.evaluate("document.activeElement.name"), "confirm")
        page.keyboard.press("Enter")
        page.keyboard.type(self.hosts[0])
        page.keyboard.press("Tab")
        page.keyboard.type("it's dead")
        recovery = self.recovery()
        self.check.that("it shows the command", "tachi recovery approve %s --reason 'it'\\''s dead'" % recovery in page.inner_text("dialog"), page.inner_text("dialog"))
        self.picture(page, "dialog-light")
        page.keyboard.press("Escape")
        page.wait_for_selector("dialog", state="detached")
        back = page.evaluate("[document.querySelectorAll('dialog').length, document.activeElement.textContent]")
        self.check.equal("Escape leaves it, and leads back to the button", back, [0, "Approve…"])
        story = self.api("GET", "/operator/v1/recoveries/" + recovery)["recovery"]
        self.check.equal("and nothing was said", story["word"], None)
        page.keyboard.press("Enter")
        page.wait_for_selector("dialog[open]")
        page.keyboard.type(self.hosts[0])
        page.keyboard.press("Tab")
        page.keyboard.type("it's dead")
        page.keyboard.press("Enter")
        self.check.that("the name of another host approves nothing", self.seen(page, "This is not " + host), page.inner_text("dialog"))
        self.check.equal("and it was not written", self.api("GET", "/operator/v1/recoveries/" + recovery)["recovery"]["word"], None)
        page.fill("dialog input[name=confirm]", host)
        page.keyboard.press("Enter")
        self.check.that("the answer is shown", self.seen(page, "Requested, as admin, Keystone user"), page.inner_text("body")[-1500:])
        self.check.equal("and closing it is next", page.evaluate("document.activeElement.textContent"), "Close")
        page.keyboard.press("Enter")
        page.wait_for_selector("dialog", state="detached")
        self.go(page, "#/recovery/" + recovery, "Event log")
        self.check.that("the approved recovery continues to its end", self.seen(page, "EvacuateInstances", 60) and page.locator("tr:has-text('admin, Keystone user') td[data-head=action]", has_text="approve").count(), self.text(page)[:2500])
        deadline = time.monotonic() + 60
        while (told := self.api("GET", "/operator/v1/recoveries/" + recovery)["recovery"])["life"] == "open" and time.monotonic() < deadline:
            time.sleep(0.2)
        self.check.that("all its instances are back", told["life"] != "open" and told["moves"]["succeeded"] == told["moves"]["total"], told["moves"])
        self.check.that("and nothing of it can be said any more", not page.query_selector("[data-key^=abort]") or page.wait_for_selector("[data-key^=abort]", state="detached") is None)
        lines = []
        for name in glob.glob(os.path.join(self.region.work, "fencing-audit*.jsonl")):
            with open(name, encoding="utf-8") as log:
                lines += [json.loads(line) for line in log]
        own = sorted((one for one in lines if one.get("action") == "word"), key=lambda one: one["ts"])
        self.check.that("the audit log says who, before and after", [one["phase"] for one in own] == ["intent", "outcome"]
                        and all(one["operator"].startswith("admin, Keystone user") for one in own), own)

    def press(self, page, key, reason=None, lasts=None):
        page.click("[data-key='%s']" % key)
        page.wait_for_selector("dialog[open]")
        if lasts:
            page.select_option("dialog select", lasts)
        if reason:
            page.fill("dialog input[name=reason]", reason)
        page.click("dialog button.main")

    def close(self, page):
        page.click("dialog button:not(.main)")
        page.wait_for_selector("dialog", state="detached")

    def frozen_and_thawed(self, page):
        host = self.hosts[1]
        self.go(page, "#/host/" + host, "Freeze…")
        self.press(page, "freeze host " + host, EVIL, "4h")
        self.check.that("a freeze is shown when engines have read it", self.seen(page, "host %s is frozen until" % host, 20) and self.seen(page, "no fencing, no evacuation"), self.text(page)[-1500:])
        self.check.equal("its reason stays text in the dialog and in the shell", page.inner_text("dialog code"),
                         "tachi freeze host %s --for 4h --reason '%s'" % (host, EVIL.replace("'", "'\\''")))
        self.picture(page, "dialog-answer")
        self.close(page)
        self.check.that("the page finds it", self.seen(page, "Thaw…"), self.text(page)[:1500])
        self.press(page, "freeze host " + host, "another", "30m")
        self.check.that("a refusal is shown with its reason", self.seen(page, "Refused:") and "nothing was written" in page.inner_text("dialog"), page.inner_text("dialog"))
        self.picture(page, "dialog-refused")
        self.close(page)
        self.go(page, "#/now", "FROZEN")
        number = self.api("GET", "/operator/v1/freezes")["freezes"][0]["number"]
        self.press(page, "thaw %d" % number)
        self.check.that("it is thawed", self.seen(page, "host %s is thawed" % host), self.text(page)[-1500:])
        self.close(page)
        self.check.equal("and frozen no more", self.api("GET", "/operator/v1/freezes")["freezes"], [])
        self.check.that("nor on the page", page.wait_for_selector("text=FROZEN", state="detached") is None)

    def narrow_dialog(self):
        context, page = self.open(360, 640, True)
        self.enter(context)
        self.go(page, "#/now", "Freeze everything…")
        page.click("[data-key^='freeze segment']")
        self.check.that("a hostile name stays text in the dialog", "Freeze segment " + EVIL in page.inner_text("dialog"), page.inner_text("dialog"))
        page.fill("dialog input[name=reason]", "a reason that is longer than the screen is wide, as they are at night")
        box = page.eval_on_selector("dialog", "d => { const r = d.getBoundingClientRect(); return [r.left, r.right, d.scrollWidth <= d.clientWidth] }")
        self.check.that("the dialog fits 360 px", box[0] >= 0 and box[1] <= 360 and box[2] and page.evaluate("document.documentElement.scrollWidth") <= 360, box)
        self.picture(page, "dialog-narrow-dark")
        context.close()

    POST = """async ([body, headers]) => { const answer = await fetch('words', {method: 'POST', headers, body: JSON.stringify(body)});
        return [answer.status, await answer.text()] }"""

    def nobody_else(self):
        """Who only reads, and who comes from elsewhere."""
        word = {"word": {"word": "abort", "recovery": self.recovery(), "reason": "mischief"}}
        headers = {"Content-Type": "application/json", "X-Tachi-Board": "1"}
        before = self.api("GET", "/operator/v1/recoveries/" + self.recovery())["recovery"]["word"]
        context, page = self.open()
        self.enter(context, self.new_token("tachi-sandbox-demo"))
        self.go(page, "#/now", "Data sources")
        for to in ("#/now", "#/host/" + self.hosts[1], "#/recovery/" + self.recovery()):
            self.go(page, to, "live, seen")
            rights = context.request.get(self.url + "rights").json()
            self.check.equal("a reader may do nothing at " + to, rights["rights"]["act"], False)
            self.check.equal("and sees no action there", page.query_selector_all("main button[data-act]"), [])
        status, text = page.evaluate(self.POST, [word, headers])
        self.check.that("a reader who posts is refused", status == 403 and "os_masakari_api:operator:act" in text, (status, text))
        context.close()
        context, page = self.open()
        self.enter(context)
        self.go(page, "#/now", "Freeze everything…")
        status, text = page.evaluate(self.POST, [word, {"Content-Type": "application/json"}])
        self.check.that("a form that is not the board's is refused", status == 403, (status, text))
        url = self.region.api + "/board/words"
        for origin in ("http://evil.example", "http://127.0.0.1:1", "null"):
            answer = context.request.post(url, data=word, headers=dict(headers, Origin=origin))
            self.check.equal("a page of %s says nothing" % origin, answer.status, 403)
        answer = context.request.post(self.region.api + "/operator/v1/words", data=word, headers=headers)
        self.check.equal("and the cookie says nothing beside the board", answer.status, 401)
        self.check.equal("nothing of this was said", self.api("GET", "/operator/v1/recoveries/" + self.recovery())["recovery"]["word"], before)
        context.close()

    def words(self, page):
        said = len(self.said)
        self.said_by_keyboard(page)
        self.frozen_and_thawed(page)
        self.narrow_dialog()
        self.nobody_else()
        # What was refused is what was asked for.
        self.said[said:] = [line for line in self.said[said:] if not re.search("Failed to load resource.*40[39]", line)]


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tachi", required=True)
    parser.add_argument("--pictures", help="a folder for pictures of every page")
    arguments = parser.parse_args()
    checks = Checks()
    with tempfile.NamedTemporaryFile("w", suffix=".yaml") as policy:
        # Whoever is a reader anywhere looks on.
        policy.write('"os_masakari_api:operator:read": "role:reader"\n')
        policy.flush()
        options = [("oslo_policy", "policy_file", policy.name), ("schedule", "doctor", "every 6h"), ("schedule", "drill", "weekly sun 04:00")]
        with region_and_browser(arguments.tachi, ("--hosts", "4", "--instances", "8"), options) as (region, browser):
            board = Board(region, browser, checks, arguments.pictures)
            board.prepare()
            context, page = board.walk()
            board.streams(context)
            board.narrow_and_dark(context)
            board.many(context)
            board.crowded(context)
            board.strangers()
            board.with_application_credential()
            board.words(page)
            board.silence(page)
            board.replicas()
            board.end()
    return checks.end()


if __name__ == "__main__":
    sys.exit(main())
