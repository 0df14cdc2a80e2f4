"""Events of a real `tachi api` and two real `tachi engine`s, as oslo.messaging's own listener gets them from RabbitMQ.

    run.py --tachi BINARY --rabbit rabbit://guest:guest@127.0.0.1:5672/

Run it with the Python of `tests/upstream/venv.sh`. What a payload has to be like is in `engine/events/tests/upstream.json`,
which upstream's own code made.
"""
import argparse
import collections
import datetime
import json
import logging
import os
import re
import shutil
import sys
import tempfile
import threading
import time
import traceback
import urllib.error
import urllib.request

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "conformance"))

# pylint: disable=wrong-import-position
import oslo_messaging  # noqa: E402
from oslo_config import cfg  # noqa: E402

from region import Process, Region, free_port  # noqa: E402

logging.disable(logging.WARNING)
UPSTREAM = os.path.join(HERE, "..", "..", "engine", "events", "tests", "upstream.json")
SERVERS = 5


def moment():
    return datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%f")


class Service:
    """`tachi api` and engines beside a simulated region."""

    def __init__(self, tachi, region, work, more, engines):
        self.region = region
        os.makedirs(work)
        port = free_port()
        conf = re.sub(r"(?m)^state_path = .*$", "state_path = " + work, region.conf)
        conf = re.sub(r"(?m)^masakari_api_listen_port = .*$", "masakari_api_listen_port = %d" % port, conf)
        files = {"tachi.conf": conf, "events.conf": more}
        words = []
        for name, text in files.items():
            path = os.path.join(work, name)
            with open(path, "w", encoding="utf-8") as file:
                file.write(text)
            words += ["--config-file", path]
        environment = {k: v for k, v in os.environ.items() if not k.startswith("OS_")}
        self.url = "http://127.0.0.1:%d" % port
        self.processes = []
        self.api = self.start([tachi, "api", *words], os.path.join(work, "api.log"), environment)
        try:
            self.api.wait(self.healthy, "API")
            for number in range(engines):
                log = os.path.join(work, "engine-%d.log" % number)
                self.start([tachi, "engine", *words], log, environment)
        except BaseException:
            self.stop()
            raise

    def start(self, words, log, environment):
        process = Process(words, log, environment)
        self.processes.append(process)
        return process

    def healthy(self):
        try:
            with urllib.request.urlopen(self.url + "/healthcheck", timeout=5) as answer:
                return answer.status == 200
        except OSError:
            return False

    def stop(self):
        # Engines first: their last events are sent before the API ends.
        for process in reversed(self.processes):
            process.stop()

    def call(self, method, path, body=None, headers=()):
        """Status, document and request id."""
        token, _ = self.region.token()
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.url + "/v1" + path, data, {
            "Content-Type": "application/json", "X-Auth-Token": token, "OpenStack-API-Version": "instance-ha 1.3",
            **dict(headers)}, method=method)
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                text, status, got = answer.read(), answer.status, answer.headers
        except urllib.error.HTTPError as error:
            text, status, got = error.read(), error.code, error.headers
        return status, json.loads(text) if text else None, got["X-OpenStack-Request-ID"]

    def finish(self, notification):
        def over():
            _, got, _ = self.call("GET", "/notifications/" + notification)
            return got["notification"] if got["notification"]["status"] not in ("new", "running") else None
        return self.api.wait(over, "end of " + notification)


class Listener:
    """oslo.messaging's notification listener."""

    def __init__(self, url, topic="versioned_notifications"):
        conf = cfg.ConfigOpts()
        conf([], project="listener", default_config_files=[])
        self.got = []
        self.lock = threading.Lock()
        transport = oslo_messaging.get_notification_transport(conf, url=url)
        target = oslo_messaging.Target(exchange="masakari", topic=topic)
        self.server = oslo_messaging.get_notification_listener(transport, [target], [self], executor="threading")
        self.server.start()

    def info(self, ctxt, publisher_id, event_type, payload, metadata):
        self.take("INFO", ctxt, publisher_id, event_type, payload, metadata)

    def error(self, ctxt, publisher_id, event_type, payload, metadata):
        self.take("ERROR", ctxt, publisher_id, event_type, payload, metadata)

    def take(self, *event):
        with self.lock:
            self.got.append(Event(*event))

    def until(self, condition, what, seconds=60):
        deadline = time.monotonic() + seconds
        while True:
            with self.lock:
                got = list(self.got)
            if condition(got):
                return got
            if time.monotonic() > deadline:
                raise AssertionError("no %s; there are %s" % (what, [event.name for event in got]))
            time.sleep(0.05)

    def stop(self):
        self.server.stop()
        self.server.wait()


class Event:
    def __init__(self, priority, context, publisher, name, payload, metadata):
        self.priority, self.context, self.publisher, self.name = priority, context, publisher, name
        self.payload, self.metadata = payload, metadata
        self.data = payload["masakari_object.data"]


class Story:
    """The actions, and the received events."""

    def __init__(self, options, work):
        self.options, self.work = options, work
        with open(UPSTREAM, encoding="utf-8") as file:
            sent = json.load(file)["messagingv2"]
        self.upstream = {one["body"]["oslo.message"]["event_type"]: one["body"]["oslo.message"] for one in sent}
        self.region = Region(options.tachi, self.folder("region"))
        self.listener = None
        try:
            self.happen()
        except BaseException:
            self.region.process.stop()
            raise

    def folder(self, name):
        path = os.path.join(self.work, name)
        os.makedirs(path)
        return path

    def happen(self):
        region = self.region
        host = region.hosts[0]
        region.admin("POST", "/servers", {"count": SERVERS, "host": host, "name": "lost"})
        service = Service(self.options.tachi, region, os.path.join(self.work, "service"), (
            "[DEFAULT]\ntransport_url = %s\n[oslo_messaging_notifications]\ndriver = messagingv2\ndriver = log\n"
            % self.options.rabbit), engines=2)
        try:
            self.asked = {}
            segment = {"name": "racks", "service_type": "COMPUTE", "recovery_method": "auto"}
            _, made, self.asked["segment.create.end"] = service.call("POST", "/segments", {"segment": segment})
            self.segment = made["segment"]
            status, _, self.asked["segment.create.error"] = service.call("POST", "/segments", {"segment": segment})
            assert status == 409, status
            path = "/segments/" + self.segment["uuid"]
            service.call("PUT", path, {"segment": {"description": "two racks"}})
            _, made, _ = service.call("POST", path + "/hosts", {"host": {
                "name": host, "type": "COMPUTE", "control_attributes": "SSH"}})
            self.host = made["host"]
            _, made, _ = service.call("POST", path + "/hosts", {"host": {
                "name": region.hosts[1], "type": "COMPUTE", "control_attributes": "SSH"}})
            region.admin("POST", "/hosts/%s/power" % host, {"on": False})
            _, sent, self.asked["notification.create.end"] = service.call("POST", "/notifications", {"notification": {
                "type": "COMPUTE_HOST", "hostname": host, "generated_time": moment(),
                "payload": {"event": "STOPPED", "cluster_status": "OFFLINE", "host_status": "NORMAL"}}})
            self.notification = sent["notification"]
            ended = service.finish(self.notification["notification_uuid"])
            assert ended["status"] == "finished", ended
            _, sent, _ = service.call("POST", "/notifications", {"notification": {
                "type": "VM", "hostname": region.hosts[1], "generated_time": moment(),
                "payload": {"event": "LIFECYCLE", "instance_uuid": "6128798e-1111-4222-8333-0123456789ab",
                            "vir_domain_event": "RESUMED_UNPAUSED"}}})
            self.noise = sent["notification"]
            ended = service.finish(self.noise["notification_uuid"])
            assert ended["status"] == "ignored", ended
            service.call("DELETE", path + "/hosts/" + made["host"]["uuid"])
            self.requests = region.admin("GET", "/requests?journal=true")["journal"]
            # Nobody has listened so far: a queue that is declared by the sender keeps it all.
            self.listener = Listener(self.options.rabbit)
            self.events = self.listener.until(
                lambda got: any(e.name == "host.delete.end" for e in got) and self.of_noise(got), "end of the story")
        finally:
            service.stop()
            self.log = "".join(process.output() for process in service.processes)
            if self.listener:
                self.listener.stop()

    def of_noise(self, events):
        return [e for e in events if e.name == "notification.process.end"
                and e.data["notification_uuid"] == self.noise["notification_uuid"]]

    def named(self, name):
        return [event for event in self.events if event.name == name]

    def one(self, name):
        [event] = self.named(name)
        return event

    # What has to be true of it.

    def check_every_event_is_told_once_although_two_engines_run(self):
        told = collections.Counter(event.name for event in self.events)
        expected = {
            "segment.create.start": 2, "segment.create.end": 1, "segment.create.error": 1,
            "segment.update.start": 1, "segment.update.end": 1,
            "host.create.start": 2, "host.create.end": 2, "host.update.start": 1, "host.update.end": 1,
            "host.delete.start": 1, "host.delete.end": 1,
            "notification.create.start": 2, "notification.create.end": 2,
            "notification.process.start": 2, "notification.process.end": 2,
            "recovery.process.start": 2, "recovery.process.end": 2, "recovery.proof": 1,
            "vmove.process.start": SERVERS, "vmove.process.end": SERVERS,
        }
        assert told == expected, (told - collections.Counter(expected), collections.Counter(expected) - told)

    def check_payloads_are_like_upstreams(self):
        for event in self.events:
            theirs = self.upstream.get(event.name)
            if theirs is None:
                assert event.payload["masakari_object.namespace"] == "tachi", event.name
                continue
            payload = theirs["payload"]
            for key in ("name", "namespace", "version"):
                key = "masakari_object." + key
                assert event.payload[key] == payload[key], (event.name, key)
            keys = set(payload["masakari_object.data"])
            if event.name.endswith(".create.end"):
                keys |= {"id", "notification_uuid" if "notification" in event.name else "uuid"}
            assert set(event.data) == keys, (event.name, set(event.data) ^ keys)
            assert event.priority == theirs["priority"], event.name
            assert event.publisher.split(":")[0] == theirs["publisher_id"].split(":")[0], event.name
            assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{6}", event.metadata["timestamp"])

    def check_listeners_get_the_context_that_upstream_gives(self):
        keys = {key[len("_context_"):] for key in self.upstream["segment.create.end"] if key.startswith("_context_")}
        for event in self.events:
            # The listener adds a field of its own.
            got = set(event.context) - {"client_timeout"}
            assert got == keys, got ^ keys
            assert event.context["auth_token"] is None

    def check_what_is_made_is_told_with_its_ids(self):
        assert self.one("segment.create.end").data["uuid"] == self.segment["uuid"]
        assert self.host["uuid"] in [event.data["uuid"] for event in self.named("host.create.end")]
        made = [event.data["notification_uuid"] for event in self.named("notification.create.end")]
        assert made == [self.notification["notification_uuid"], self.noise["notification_uuid"]]

    def check_a_recovered_host_is_told_to_be_on_maintenance(self):
        data = self.one("host.update.end").data
        assert (data["uuid"], data["on_maintenance"]) == (self.host["uuid"], True)
        segment = data["failover_segment"]
        assert segment["masakari_object.name"] == "FailoverSegment"
        assert segment["masakari_object.data"]["uuid"] == self.segment["uuid"]

    # Covers EW35.
    def check_an_ignored_notification_is_published(self):
        [event] = self.of_noise(self.events)
        assert event.data["status"] == "ignored" and event.data["fault"] is None

    # Covers EW35.
    def check_every_instance_is_published(self):
        moved = self.named("vmove.process.end")
        assert {event.data["status"] for event in moved} == {"succeeded"}
        servers = {server["id"] for server in self.region.admin("GET", "/servers")}
        assert {event.data["instance_uuid"] for event in moved} <= servers
        for event in moved:
            assert event.data["dest_host"] and event.data["dest_host"] != event.data["source_host"]
        end = [event for event in self.named("recovery.process.end") if event.data["type"] == "host"]
        assert end[0].data["vmoves"]["succeeded"] == SERVERS, end[0].data

    def check_an_error_says_what_was_wrong(self):
        event = self.one("segment.create.error")
        fault = event.data["fault"]["masakari_object.data"]
        assert (event.priority, fault["exception"]) == ("ERROR", "FailoverSegmentExists"), fault
        assert "racks" in fault["exception_message"]

    def check_events_bear_the_id_of_their_request(self):
        for name, asked in self.asked.items():
            ids = [event.context["request_id"] for event in self.named(name)]
            assert asked in ids, (name, asked, ids)

    def check_a_recovery_has_one_id_in_events_in_nova_and_in_the_log(self):
        [data] = [event.data for event in self.named("recovery.process.end") if event.data["type"] == "host"]
        known_as = "req-" + data["uuid"]
        for name in ("vmove.process.start", "vmove.process.end", "recovery.proof"):
            assert {event.context["request_id"] for event in self.named(name)} == {known_as}, name
        evacuations = [entry for entry in self.requests if entry["route"].endswith("#evacuate")]
        assert len(evacuations) == SERVERS, evacuations
        assert {entry["global_request_id"] for entry in evacuations} == {known_as}, evacuations
        assert known_as in self.log

    def check_the_log_driver_tells_the_same(self):
        lines = [line for line in self.log.splitlines() if '"event_type":"vmove.process.end"' in line]
        assert len(lines) == SERVERS, len(lines)

    def check_a_broker_that_is_gone_delays_nothing(self):
        host = self.region.hosts[2]
        self.region.admin("POST", "/servers", {"count": 2, "host": host, "name": "late"})
        service = Service(self.options.tachi, self.region, os.path.join(self.work, "gone"), (
            "[DEFAULT]\ntransport_url = rabbit://guest:guest@127.0.0.1:%d/\n"
            "[oslo_messaging_notifications]\ndriver = messagingv2\n" % free_port()), engines=1)
        try:
            _, made, _ = service.call("POST", "/segments", {"segment": {
                "name": "gone", "service_type": "COMPUTE", "recovery_method": "auto"}})
            service.call("POST", "/segments/%s/hosts" % made["segment"]["uuid"], {"host": {
                "name": host, "type": "COMPUTE", "control_attributes": "SSH"}})
            self.region.admin("POST", "/hosts/%s/power" % host, {"on": False})
            began = time.monotonic()
            status, sent, _ = service.call("POST", "/notifications", {"notification": {
                "type": "COMPUTE_HOST", "hostname": host, "generated_time": moment(),
                "payload": {"event": "STOPPED", "cluster_status": "OFFLINE", "host_status": "NORMAL"}}})
            took = time.monotonic() - began
            assert status == 202 and took < 2, (status, took)
            assert service.finish(sent["notification"]["notification_uuid"])["status"] == "finished"
        finally:
            service.stop()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tachi", required=True)
    parser.add_argument("--rabbit", required=True)
    options = parser.parse_args()
    work = tempfile.mkdtemp(prefix="tachi-events-")
    passed = failed = 0
    story = None
    try:
        story = Story(options, work)
        for name in [name for name in dir(story) if name.startswith("check_")]:
            try:
                getattr(story, name)()
            except Exception:  # pylint: disable=broad-except
                failed += 1
                print("FAILED ", name[6:])
                traceback.print_exc()
            else:
                passed += 1
                print("ok     ", name[6:])
    finally:
        if story:
            story.region.process.stop()
        else:
            for folder, _, names in os.walk(work):
                for name in names:
                    if name.endswith(".log"):
                        with open(os.path.join(folder, name), encoding="utf-8", errors="replace") as file:
                            print("---", name, file.read()[-2000:], sep="\n")
        shutil.rmtree(work, ignore_errors=True)
    print("%d passed, %d failed" % (passed, failed))
    return 1 if failed or not passed else 0


if __name__ == "__main__":
    sys.exit(main())
