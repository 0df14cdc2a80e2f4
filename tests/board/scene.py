"""A region of the sandbox, and a user who views it in the web board with Debian's Chromium: what the tests and the pictures share."""
import contextlib
import datetime
import json
import os
import shutil
import sys
import urllib.request

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.append(os.path.join(HERE, "..", "client"))

from playwright.sync_api import TimeoutError as Late
from playwright.sync_api import sync_playwright
from region import Region

# What the page itself finds broken of its rules.
WATCH = "addEventListener('securitypolicyviolation', e => console.error('CSP ' + e.violatedDirective + ' ' + e.blockedURI))"


def moment():
    return datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%f")


@contextlib.contextmanager
def region_and_browser(tachi, arguments, options=()):
    region = Region(tachi, arguments=arguments, options=[("fencing", "self_test_interval", 10), *options])
    try:
        with sync_playwright() as driver:
            browser = driver.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
            yield region, browser
            browser.close()
    finally:
        region.stop()


class Scene:
    def __init__(self, region, browser, checks, pictures):
        self.region, self.browser, self.check, self.pictures = region, browser, checks, pictures
        self.url = region.api + "/board/"
        self.said, self.foreign, self.expected = [], [], ()
        self.token = self.new_token()

    # ------------------------------------------------------------------ beside the browser

    def new_token(self, cloud=None):
        auth = self.region.clouds[cloud]["auth"] if cloud else self.region.auth
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

    def register(self, segment):
        """Every host in one segment."""
        segment = self.api("POST", "/v1/segments", {"segment": {"name": segment, "recovery_method": "auto", "service_type": "COMPUTE"}})
        self.hosts = sorted(h["name"] for h in self.region.admin("GET", "/hosts"))
        for name in self.hosts:
            self.api("POST", "/v1/segments/%s/hosts" % segment["segment"]["uuid"], {"host": {
                "name": name, "type": "COMPUTE", "control_attributes": "SSH"}})

    def look_anew(self):
        """An engine tests the devices of the hosts that it finds when it begins."""
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

    def enter(self, context, token=None):
        """Logs in as the user of the token."""
        context.add_cookies([{"name": "tachi-board", "value": token or self.token, "domain": "127.0.0.1", "path": "/board", "httpOnly": True, "sameSite": "Strict"}])

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

    def recovery(self):
        return self.api("GET", "/operator/v1/recoveries?all=true")["recoveries"][0]["recovery"]
