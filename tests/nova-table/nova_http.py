"""A plain HTTP client of Keystone and Nova: it hides nothing, so that a row sees status codes, headers and bodies."""
import time

import requests
import yaml

MICROVERSION = "2.94"


class Failed(Exception):
    """A row's expectation that did not hold."""


def wait_until(what, condition, seconds=60, every=0.2):
    """The first true value of `condition`, asked again until `seconds` have passed."""
    deadline = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise Failed("waited %s s for: %s" % (seconds, what))
        time.sleep(every)


class Cloud:
    """One user's view of a cloud from clouds.yaml."""

    def __init__(self, clouds_file, name):
        with open(clouds_file, encoding="utf-8") as f:
            entry = yaml.safe_load(f)["clouds"][name]
        self.auth = entry["auth"]
        self.http = requests.Session()
        self.http.trust_env = False
        self.login()

    def login(self):
        auth = self.auth
        domain = {"name": auth.get("user_domain_name", "Default")}
        body = {"auth": {
            "identity": {"methods": ["password"], "password": {"user": {
                "name": auth["username"], "domain": domain, "password": auth["password"]}}},
            "scope": {"project": {"name": auth["project_name"],
                                  "domain": {"name": auth.get("project_domain_name", "Default")}}}}}
        answer = self.http.post(auth["auth_url"].rstrip("/") + "/auth/tokens", json=body, timeout=60)
        if answer.status_code != 201:
            raise Failed("login as %s: %s %s" % (auth["username"], answer.status_code, answer.text[:300]))
        self.token = answer.headers["X-Subject-Token"]
        self.user = answer.json()["token"]["user"]["id"]
        self.endpoints = {}
        for service in answer.json()["token"]["catalog"]:
            for endpoint in service["endpoints"]:
                if endpoint["interface"] == "public":
                    self.endpoints[service["type"]] = endpoint["url"].rstrip("/")

    def call(self, service, method, path, body=None, version=None, headers=None):
        sent = {"X-Auth-Token": self.token, "Accept": "application/json"}
        if service == "compute":
            sent["OpenStack-API-Version"] = "compute " + (version or MICROVERSION)
        sent.update(headers or {})
        return self.http.request(
            method, self.endpoints[service] + path, json=body, headers=sent, timeout=120, allow_redirects=False)

    def nova(self, method, path, body=None, version=None):
        return self.call("compute", method, path, body, version)

    def get(self, path, version=None):
        answer = self.nova("GET", path, version=version)
        if answer.status_code != 200:
            raise Failed("GET %s: %s %s" % (path, answer.status_code, answer.text[:300]))
        return answer.json()

    # What most rows ask for.

    def act(self, server, action, argument=None, version=None):
        return self.nova("POST", "/servers/%s/action" % server, {action: argument}, version)

    def evacuate(self, server, host=None, version=None, **more):
        return self.act(server, "evacuate", dict({"host": host} if host else {}, **more), version)

    def server(self, server, version=None):
        return self.get("/servers/" + server, version)["server"]

    def servers(self, query):
        return self.get("/servers/detail?all_tenants=1&" + query)["servers"]

    def service(self, host, binary="nova-compute"):
        found = [s for s in self.get("/os-services?binary=%s" % binary)["services"] if host in (None, s["host"])]
        if not found:
            raise Failed("no %s on %s" % (binary, host))
        return found[0]

    def put_service(self, host, body, version=None):
        return self.nova("PUT", "/os-services/" + self.service(host)["id"], body, version)

    def migrations(self, query=""):
        return self.get("/os-migrations" + ("?" + query if query else ""))["migrations"]

    def evacuations(self, server):
        return self.migrations("migration_type=evacuation&instance_uuid=" + server)

    # Waiting for states.

    def settled(self, server, seconds=60):
        """The server once no task is under way."""
        return wait_until("%s to settle" % server, lambda: self._no_task(server), seconds)

    def _no_task(self, server):
        got = self.server(server)
        return got if got["OS-EXT-STS:task_state"] is None else None

    def status(self, server, wanted, seconds=60):
        def reached():
            got = self.server(server)
            return got if got["status"] == wanted and got["OS-EXT-STS:task_state"] is None else None
        return wait_until("server %s to be %s" % (server, wanted), reached, seconds)

    def moved(self, server, source, seconds=60):
        """The server once it has left `source` and no task is under way."""
        def gone():
            got = self.server(server)
            here = got["OS-EXT-SRV-ATTR:host"]
            return got if here != source and got["OS-EXT-STS:task_state"] is None else None
        return wait_until("server %s to leave %s" % (server, source), gone, seconds)

    def boot(self, image, flavor, name, host=None, wait=True):
        body = {"name": name, "imageRef": image, "flavorRef": flavor, "networks": "none"}
        if host:
            body["availability_zone"] = "nova:" + host
        answer = self.nova("POST", "/servers", {"server": body})
        if answer.status_code != 202:
            raise Failed("boot %s: %s %s" % (name, answer.status_code, answer.text[:300]))
        server = answer.json()["server"]["id"]
        if wait:
            self.status(server, "ACTIVE")
        return server

    def delete(self, server):
        self.act(server, "unlock")
        answer = self.nova("DELETE", "/servers/" + server)
        if answer.status_code not in (204, 404):
            raise Failed("delete %s: %s" % (server, answer.status_code))

    def gone(self, server, seconds=60):
        wait_until("%s to be gone" % server,
                   lambda: self.nova("GET", "/servers/" + server).status_code == 404, seconds)
