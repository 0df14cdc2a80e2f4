"""What upstream's own code puts on the wire for each of its events.

    events.py --record engine/events/tests/upstream.json     writes them
    events.py --check engine/events/tests/upstream.json      fails if upstream's code makes others today

Its notification objects, its notifier and oslo.messaging's envelope are the real ones; only the connection to a broker is
replaced by a list. Clock and random ids are made to repeat.
"""
import argparse
import contextlib
import datetime
import json
import os
import socket
import sys
import tempfile
import traceback
import uuid
from unittest import mock

import upstream
import oslo_messaging
from oslo_messaging._drivers import amqp as rpc_amqp
from oslo_messaging._drivers import common as rpc_common
from oslo_utils import timeutils

from masakari import context
from masakari import exception
from masakari import objects
from masakari import rpc
from masakari.api import utils as api_utils
from masakari.engine import utils as engine_utils
from masakari.objects import fields

HOST = "controller"
NOW = datetime.datetime(2026, 11, 20, 12, 30, 15, 250000)
REQUEST = "req-6128798e-1111-4222-8333-0123456789ab"
GLOBAL = "req-7128798e-1111-4222-8333-0123456789ab"


class Wire:
    """Stands for a broker."""

    def __init__(self, conf):
        self.conf = conf
        self.sent = []

    def _send_notification(self, target, ctxt, message, version, retry=None):
        # What the RabbitMQ driver does before it gives the bytes away.
        message = dict(message)
        rpc_amqp._add_unique_id(message)
        rpc_amqp.pack_context(message, ctxt)
        body = rpc_common.serialize_msg(message) if version == 2.0 else message
        self.sent.append({"topic": target.topic, "version": version, "body": json.loads(json.dumps(body))})


class Ids:
    """Random ids that come out the same each time."""

    def __init__(self):
        self.last = 0

    def __call__(self):
        self.last += 1
        return uuid.UUID(int=(0x4000 << 64) | (0x8 << 60) | self.last)


@contextlib.contextmanager
def repeatable():
    with mock.patch.object(uuid, "uuid4", Ids()), mock.patch.object(socket, "gethostname", lambda: HOST):
        timeutils.set_time_override(NOW)
        try:
            yield
        finally:
            timeutils.clear_time_override()


def notifier(wire, driver):
    return oslo_messaging.Notifier(
        wire, driver=driver, topics=["versioned_notifications"],
        serializer=rpc.RequestContextSerializer(rpc.JsonPayloadSerializer()))


def segment_of(ctxt, name):
    segment = objects.FailoverSegment(context=ctxt)
    segment.name = name
    segment.description = "two racks"
    segment.recovery_method = "auto"
    segment.service_type = "COMPUTE"
    segment.enabled = True
    return segment


def story(ctxt):
    """One event of each kind, by the calls that upstream's API and engine make."""
    segment = segment_of(ctxt, "racks")
    segment.create()
    try:
        segment_of(ctxt, "racks").create()
    except exception.MasakariException as error:
        api_utils.notify_about_segment_api(
            ctxt, segment_of(ctxt, "racks"), action=fields.EventNotificationAction.SEGMENT_CREATE,
            phase=fields.EventNotificationPhase.ERROR, exception=error, tb=traceback.format_exc())
    segment.description = None
    segment.save()

    host = objects.Host(context=ctxt)
    host.name = "compute-1"
    host.failover_segment = segment
    host.type = "COMPUTE"
    host.control_attributes = "SSH"
    host.on_maintenance = False
    host.reserved = False
    host.create()
    host.on_maintenance = True
    host.save()

    notification = objects.Notification(context=ctxt)
    notification.type = "COMPUTE_HOST"
    notification.generated_time = NOW
    notification.source_host_uuid = host.uuid
    notification.payload = {"event": "STOPPED", "cluster_status": "OFFLINE", "host_status": "NORMAL"}
    notification.status = "new"
    notification.create()
    process = {"action": fields.EventNotificationAction.NOTIFICATION_PROCESS}
    phase = fields.EventNotificationPhase
    engine_utils.notify_about_notification_update(ctxt, notification, phase=phase.START, **process)
    engine_utils.notify_about_notification_update(ctxt, notification, phase=phase.END, **process)
    engine_utils.notify_about_notification_update(
        ctxt, notification, phase=phase.ERROR, exception="no valid host", tb=traceback.format_exc(), **process)

    host.destroy()
    segment.destroy()


def record():
    with tempfile.TemporaryDirectory() as folder:
        upstream.configure("sqlite:///" + os.path.join(folder, "masakari.sqlite"))
        upstream.sync(upstream.REVISIONS[-1])
        wire = Wire(upstream.cfg.CONF)
        sent = {}
        with repeatable():
            ctxt = context.RequestContext(
                user_id="5f2e1d4c", user_name="operator", project_id="8a7b6c5d", project_name="admin",
                roles=["admin"], auth_token="a-secret-token", request_id=REQUEST, global_request_id=GLOBAL,
                is_admin=True, overwrite=False)
            # What an engine finds beside it; the transport only has to be of the right class.
            with mock.patch.object(oslo_messaging.notify.notifier.msg_transport, "NotificationTransport", Wire):
                rpc.TRANSPORT = rpc.NOTIFICATION_TRANSPORT = wire
                rpc.NOTIFIER = notifier(wire, "messagingv2")
                story(ctxt)
                sent["messagingv2"], wire.sent = wire.sent, []
                rpc.NOTIFIER = notifier(wire, "messaging")
                engine_utils.notify_about_notification_update(
                    ctxt, objects.NotificationList.get_all(ctxt)[0],
                    action=fields.EventNotificationAction.NOTIFICATION_PROCESS, phase=fields.EventNotificationPhase.END)
                sent["messaging"] = wire.sent
        for one in sent["messagingv2"]:
            # The inner text, readable.
            inner = one["body"]["oslo.message"] = json.loads(one["body"]["oslo.message"])
            fault = inner["payload"]["masakari_object.data"]["fault"]
            if fault:
                # The lines of the libraries below, and where they are installed, say nothing about events.
                data = fault["masakari_object.data"]
                data["traceback"] = data["traceback"].splitlines()[0] + "\n"
        return sent


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--record", metavar="FILE")
    parser.add_argument("--check", metavar="FILE")
    options = parser.parse_args()
    made = json.dumps(record(), indent=1, sort_keys=True) + "\n"
    if options.record:
        with open(options.record, "w", encoding="utf-8") as file:
            file.write(made)
    if options.check:
        with open(options.check, encoding="utf-8") as file:
            if file.read() != made:
                sys.exit(options.check + " is not what upstream's code makes: record it again and check the difference")
    print(made.count('"event_type"'), "events")


if __name__ == "__main__":
    main()
