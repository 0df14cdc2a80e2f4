"""One host lost and recovered, so that there are moves and progress to read."""
import datetime
import time

from sdk_calls import connect


def moment():
    return datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%f")


def recover_one(region, host, servers=3):
    """Powers `host` off with servers on it, tells the API, and returns the finished notification's uuid."""
    booted = region.admin("POST", "/servers", {"count": servers, "host": host, "name": "lost"})
    assert booted, "the sandbox booted nothing"
    ha = connect(region.clouds_yaml, region.cloud, "1.3")
    segment = ha.create_segment(name="recovered", recovery_method="auto", service_type="COMPUTE")
    ha.create_host(segment.uuid, name=host, type="COMPUTE", control_attributes="SSH")
    region.admin("POST", "/hosts/%s/power" % host, {"on": False})
    sent = ha.create_notification(type="COMPUTE_HOST", hostname=host, generated_time=moment(), payload={
        "event": "STOPPED", "cluster_status": "OFFLINE", "host_status": "NORMAL"})
    deadline = time.monotonic() + 60
    while True:
        got = ha.get_notification(sent.notification_uuid)
        if got.status not in ("new", "running"):
            break
        if time.monotonic() > deadline:
            raise SystemExit("the recovery of %s did not end: %s" % (host, got))
        time.sleep(0.2)
    if got.status != "finished":
        raise SystemExit("the recovery of %s ended %s" % (host, got.status))
    return sent.notification_uuid
