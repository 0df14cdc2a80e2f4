"""A recovery as one would write it without knowing Nova: list once, ask for each, ask again for what failed or stands still.
With it in Tachi's place a case of hostile.py has to fail; otherwise it shows nothing of what Tachi knows."""
import threading
import time
import uuid

import requests

STANDS_STILL = 20


class NaiveHa:
    """As much of ha.Ha as the cases use."""

    def __init__(self, nova):
        self.nova, self.reports = nova, {}

    def segment(self, _name, hosts, _method="auto", _reserved=()):
        return "none", {host: host for host in hosts}

    def call(self, *_):
        return None

    def host(self, *_):
        return {"on_maintenance": False}

    def vmoves(self, _report):
        return []

    def notification(self, report):
        return self.reports[report]

    def stopped(self, host):
        report = str(uuid.uuid4())
        self.reports[report] = {"status": "running", "message": None}
        threading.Thread(target=self._recover, args=(host, self.reports[report]), daemon=True).start()
        return report

    def _recover(self, host, report):
        nova = self.nova()
        while True:
            try:
                nova.put_service(host, {"status": "disabled", "forced_down": True})
                servers = [s["id"] for s in nova.servers("limit=1000&host=" + host)]
                break
            except Exception:
                time.sleep(1)
        asked = {}
        while True:
            try:
                left = {s["id"]: s for s in nova.servers("limit=1000") if s["id"] in servers
                        and (s["OS-EXT-SRV-ATTR:host"] == host or s["OS-EXT-STS:task_state"])}
                if not left:
                    break
                newest = {}
                for record in nova.migrations("migration_type=evacuation&limit=1000&source_compute=" + host):
                    if record["instance_uuid"] not in newest or record["id"] > newest[record["instance_uuid"]]["id"]:
                        newest[record["instance_uuid"]] = record
            except Exception:
                time.sleep(1)
                continue
            for server in left:
                status = newest.get(server, {}).get("status")
                if (server not in asked or status in ("failed", "error")
                        or time.monotonic() - asked[server] > STANDS_STILL):
                    try:
                        sent = {"X-Auth-Token": nova.token, "OpenStack-API-Version": "compute 2.94"}
                        requests.post("%s/servers/%s/action" % (nova.endpoints["compute"], server), timeout=5,
                                      json={"evacuate": {}}, headers=sent)
                    except requests.RequestException:
                        pass
                    asked[server] = time.monotonic()
            time.sleep(1)
        report.update(status="finished", message="%d instances have been evacuated" % len(servers))
