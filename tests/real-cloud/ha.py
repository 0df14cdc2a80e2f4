"""What the tests on a real cloud share: the Instance-HA API as monitors and operators use it, and servers by the dozen."""
import datetime

from nova_http import Failed, wait_until

ENDED = ("finished", "failed", "error", "ignored")


class Ha:
    """The few calls a monitor and an operator make."""

    def __init__(self, cloud):
        self.cloud = cloud

    def call(self, method, path, body=None, wanted=(200, 201, 202, 204)):
        answer = self.cloud.call("instance-ha", method, path, body, headers={"OpenStack-API-Version": "instance-ha 1.3"})
        if answer.status_code not in wanted:
            raise Failed("%s %s: %s %s" % (method, path, answer.status_code, answer.text[:400]))
        return answer.json() if answer.text else None

    def segment(self, name, hosts, method="auto", reserved=()):
        made = self.call("POST", "/segments", {"segment": {
            "name": name, "recovery_method": method, "service_type": "COMPUTE"}})["segment"]["uuid"]
        ids = {host: self.call("POST", "/segments/%s/hosts" % made, {"host": {
            "name": host, "type": "COMPUTE", "control_attributes": "SSH",
            "reserved": host in reserved}})["host"]["uuid"] for host in hosts}
        return made, ids

    def host(self, segment, host):
        return self.call("GET", "/segments/%s/hosts/%s" % (segment, host))["host"]

    def stopped(self, host):
        now = datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%S")
        return self.call("POST", "/notifications", {"notification": {
            "type": "COMPUTE_HOST", "hostname": host, "generated_time": now,
            "payload": {"event": "STOPPED", "cluster_status": "OFFLINE", "host_status": "NORMAL"}}},
            (202,))["notification"]["notification_uuid"]

    def notification(self, uuid):
        return self.call("GET", "/notifications/" + uuid)["notification"]

    def vmoves(self, uuid):
        return self.call("GET", "/notifications/%s/vmoves?limit=1000" % uuid)["vmoves"]


def boot(cloud, host, count):
    image = cloud.call("image", "GET", "/v2/images").json()["images"][0]["id"]
    flavor = cloud.get("/flavors/detail")["flavors"][0]["id"]
    answer = cloud.nova("POST", "/servers", {"server": {
        "name": "recover", "imageRef": image, "flavorRef": flavor, "networks": "none", "min_count": count,
        "max_count": count, "availability_zone": "nova:" + host}})
    if answer.status_code != 202:
        raise Failed("boot: %s %s" % (answer.status_code, answer.text[:400]))
    found = wait_until("%d servers ACTIVE on %s" % (count, host), lambda: _all_active(cloud, host, count),
                       300 + 2 * count, max(1, count / 25))
    return {s["id"] for s in found}


def _all_active(cloud, host, count):
    found = cloud.servers("host=" + host)
    return found if len(found) == count and all(s["status"] == "ACTIVE" for s in found) else None


def explain(cloud, ha, notification, servers, victim, back):
    """What there is to see when a recovery does not end well."""
    shown = ha.notification(notification)
    print("        notification %s: %s" % (shown["status"], shown.get("message")))
    print("        %d of %d servers back, the last after %.1f s" % (len(back), len(servers), max(back.values(), default=0)))
    records = {}
    for record in cloud.migrations("migration_type=evacuation&limit=1000&source_compute=" + victim):
        if record["instance_uuid"] in servers:
            records.setdefault(record["instance_uuid"], []).append(record["status"])
    moves = {m["instance_uuid"]: (m["status"], m["message"]) for m in ha.vmoves(notification)}
    for server in cloud.servers("limit=1000"):
        statuses = records.get(server["id"], [])
        if server["id"] in servers and (statuses != ["done"] or moves.get(server["id"], "?")[0] != "succeeded"):
            print("        %s: %s %s on %s, records %s, vmove %s" % (
                server["id"], server["status"], server["OS-EXT-STS:task_state"], server["OS-EXT-SRV-ATTR:host"],
                statuses, moves.get(server["id"])))


def remove(cloud, servers):
    for server in servers:
        cloud.delete(server)
    for server in servers:
        cloud.gone(server)
