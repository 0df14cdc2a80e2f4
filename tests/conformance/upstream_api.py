"""Serves Masakari's own WSGI application: upstream_api.py PORT PASTE_INI CONFIG_FILE...

Runs in the environment that Masakari is installed in. Its engine is left out: what the API hands over is dropped, and
asked for progress it says that there is none.
"""
import socketserver
import sys
from wsgiref import simple_server

from oslo_log import log as logging
from paste import deploy

import masakari.conf
from masakari import config as api_config
from masakari import objects
from masakari import rpc
from masakari.common import config
from masakari.engine import rpcapi


class Server(socketserver.ThreadingMixIn, simple_server.WSGIServer):
    daemon_threads = True
    request_queue_size = 128


class Handler(simple_server.WSGIRequestHandler):
    def log_message(self, *args):
        pass


def no_progress(_api, _context, notification):
    notification.recovery_workflow_details = []
    return notification


def main():
    port, paste, *files = sys.argv[1:]
    sys.argv = sys.argv[:1]
    api_config.parse_args([sys.argv[0]], default_config_files=files)
    logging.setup(masakari.conf.CONF, "masakari")
    objects.register_all()
    config.set_middleware_defaults()
    rpc.init(masakari.conf.CONF)
    rpcapi.EngineAPI.process_notification = lambda *args, **kwargs: None
    rpcapi.EngineAPI.get_notification_recovery_workflow_details = no_progress
    app = deploy.loadapp("config:" + paste, name="masakari_api")
    simple_server.make_server("127.0.0.1", int(port), app, Server, Handler).serve_forever()


main()
