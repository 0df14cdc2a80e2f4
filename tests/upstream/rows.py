"""Rows as years of use leave them: every status, every kind of NULL, deleted ones, names in several scripts.

`TALES` names each notification by what is special about it, so that tests can say what they expect of it.
"""
import datetime
import json
import uuid

NAMESPACE = uuid.UUID("7c9a57a0-5a1e-4d55-8a0e-6f1f3f1f7a11")
STATUSES = ("new", "running", "error", "failed", "ignored", "finished")
MOVES = ("pending", "ongoing", "ignored", "failed", "succeeded")


def ident(*words):
    return str(uuid.uuid5(NAMESPACE, " ".join(words)))


STOPPED = {"event": "STOPPED", "host_status": "NORMAL", "cluster_status": "OFFLINE"}
STARTED = {"event": "STARTED", "host_status": "NORMAL", "cluster_status": "ONLINE"}
PROCESS = {"event": "STOPPED", "process_name": "nova-compute"}


def vm(name):
    return {"event": "LIFECYCLE", "instance_uuid": ident("instance", name), "vir_domain_event": "STOPPED_FAILED"}


# label: (host, type, status, minutes since, payload)
TALES = {
    "host-new": ("cmp-new", "COMPUTE_HOST", "new", 5, STOPPED),
    "host-running": ("cmp-running", "COMPUTE_HOST", "running", 30, STOPPED),
    "host-error": ("cmp-error", "COMPUTE_HOST", "error", 10, STOPPED),
    "host-twice-older": ("cmp-twice", "COMPUTE_HOST", "error", 50, STOPPED),
    "host-twice-newer": ("cmp-twice", "COMPUTE_HOST", "new", 3, dict(STOPPED, host_status="UNKNOWN")),
    "host-expired": ("cmp-expired", "COMPUTE_HOST", "running", 3 * 24 * 60, STOPPED),
    "host-expired-new": ("cmp-expired", "COMPUTE_HOST", "new", 2 * 24 * 60, STOPPED),
    "host-started": ("cmp-started", "COMPUTE_HOST", "new", 4, STARTED),
    "host-of-deleted": ("cmp-deleted", "COMPUTE_HOST", "error", 20, STOPPED),
    "vm-new": ("cmp-plain", "VM", "new", 2, vm("a")),
    "vm-error": ("cmp-plain", "VM", "error", 8, vm("b")),
    "vm-running": ("cmp-plain", "VM", "running", 60, vm("c")),
    "process-new": ("cmp-process", "PROCESS", "new", 1, PROCESS),
    "process-running": ("cmp-plain", "PROCESS", "running", 90, PROCESS),
    "finished": ("cmp-plain", "COMPUTE_HOST", "finished", 400 * 24 * 60, STOPPED),
    "failed": ("säule-北京", "VM", "failed", 7 * 24 * 60, vm("ünïcode")),
    "ignored": ("cmp-plain", "PROCESS", "ignored", 24 * 60, PROCESS),
    "finished-old-host": ("cmp-gone", "COMPUTE_HOST", "finished", 300 * 24 * 60, STOPPED),
    "empty-payload": ("cmp-plain", "VM", "failed", 600 * 24 * 60, {}),
}


def everything(now):
    """Rows by table, in the order they can be inserted. Columns that a revision does not have are left out later."""
    minute = datetime.timedelta(minutes=1)

    def ago(minutes):
        return (now - minutes * minute).replace(microsecond=0)

    year = 365 * 24 * 60
    segments, hosts, notifications, vmoves = [], [], [], []

    def segment(name, key=None, deleted=None, **more):
        row = {"uuid": ident("segment", key or name), "name": name, "service_type": "COMPUTE", "enabled": True,
               "description": None, "recovery_method": "auto", "created_at": ago(3 * year), "updated_at": None,
               "deleted_at": ago(deleted) if deleted else None, "deleted": deleted or 0}
        segments.append(dict(row, **more))
        return row["uuid"]

    def host(name, parent, key=None, deleted=None, **more):
        row = {"uuid": ident("host", key or name), "name": name, "reserved": False, "type": "COMPUTE",
               "control_attributes": "SSH", "on_maintenance": False, "failover_segment_id": parent,
               "created_at": ago(2 * year), "updated_at": ago(year),
               "deleted_at": ago(deleted) if deleted else None, "deleted": deleted or 0}
        hosts.append(dict(row, **more))

    old = segment("rack 1", key="rack 1, the first", deleted=2 * year, description="gone")
    rack = segment("rack 1", description="Über 9000 – 東京\nzweite Zeile", enabled=None)
    reserve = segment("Säule 2", recovery_method="rh_priority")
    segment("leer", recovery_method="reserved_host", enabled=False, service_type="x" * 255)
    host("cmp-gone", old, deleted=2 * year)
    host("cmp-deleted", rack, deleted=60)
    for name in ("cmp-new", "cmp-plain", "cmp-started", "cmp-process", "cmp-expired", "cmp-twice"):
        host(name, rack, reserved=None, on_maintenance=None)
    # What upstream's engine does first of all to a host that stopped.
    host("cmp-running", rack, on_maintenance=True)
    host("cmp-error", rack, on_maintenance=True, control_attributes="ключ " * 200)
    host("cmp-operator", rack, on_maintenance=True)
    host("säule-北京", reserve)
    host("spare", reserve, reserved=True)

    parents = {row["name"]: row["failover_segment_id"] for row in hosts}
    for number, (label, (name, kind, status, minutes, payload)) in enumerate(TALES.items()):
        done = status in ("failed", "ignored", "finished")
        notifications.append({
            "notification_uuid": ident("notification", label), "generated_time": ago(minutes),
            "source_host_uuid": ident("host", name), "type": kind, "status": status,
            "payload": json.dumps(payload),
            # Half of them are from before the column.
            "failover_segment_uuid": parents[name] if number % 2 else None,
            "message": "skipped: no instances" if label == "finished" else None,
            "created_at": ago(minutes), "updated_at": ago(minutes - 1) if done or status == "running" else None,
            "deleted_at": None, "deleted": 0})
    for label in ("host-running", "finished"):
        for number, status in enumerate(MOVES):
            vmoves.append({
                "uuid": ident("vmove", label, status), "notification_uuid": ident("notification", label),
                "instance_uuid": ident("instance", label, status), "instance_name": "vm %d – größe" % number,
                "source_host": "cmp-running", "dest_host": None if status == "pending" else "spare",
                "start_time": None if status == "pending" else ago(29),
                "end_time": ago(25) if status in ("failed", "succeeded") else None, "type": "evacuation",
                "status": status, "message": "Nova sagt: nein" if status == "failed" else None,
                "created_at": ago(29), "updated_at": ago(25), "deleted_at": None, "deleted": 0})
    vmoves.append({
        "uuid": ident("vmove", "bare"), "notification_uuid": ident("notification", "finished"),
        "instance_uuid": ident("instance", "bare"), "instance_name": "bare", "source_host": None, "dest_host": None,
        "start_time": None, "end_time": None, "type": None, "status": None, "message": None, "created_at": ago(year),
        "updated_at": None, "deleted_at": None, "deleted": 0})
    return {"failover_segments": segments, "hosts": hosts, "notifications": notifications, "vmoves": vmoves}
