"""Runs inside the monitors' own environment: hands instance events to the instance monitor's callback, as libvirt's event
filter does, with the configuration file named on the command line. Events come as JSON lines; each is done when its line is
echoed. (libvirt itself is left out: its bindings are no wheel.)
"""
import datetime
import json
import sys

from oslo_log import log as logging

import masakarimonitors.conf
from masakarimonitors import config
from masakarimonitors.instancemonitor.libvirt_handler import callback

config.parse_args(["masakari-instancemonitor", *sys.argv[1:]])
logging.setup(masakarimonitors.conf.CONF, "masakarimonitors")
handler = callback.Callback()
for line in sys.stdin:
    event = json.loads(line)
    handler.libvirt_event_callback(event["event"], event["detail"], event["instance"], "VM", event["host"],
                                   datetime.datetime.fromisoformat(event["time"]))
    print(line, end="", flush=True)
