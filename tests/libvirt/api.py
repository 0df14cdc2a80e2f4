"""A Keystone and an Instance-HA API that note what they are sent, and can be away, refuse, or be slow."""
import json
import socket
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Api:
    def __init__(self):
        self.lock, self.got, self.status, self.tokens, self.open = threading.Lock(), [], 202, 0, set()
        self.server, self.port = None, 0
        self.start()

    def start(self):
        api = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            # Head and body in one packet: two of them wait for each other's acknowledgement.
            wbufsize = 65536

            def setup(self):
                super().setup()
                api.open.add(self.connection)

            def finish(self):
                api.open.discard(self.connection)
                super().finish()

            def log_message(self, *_):
                pass

            def answer(self, status, body, **headers):
                data = json.dumps(body).encode()
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name.replace("_", "-"), value)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def do_GET(self):
                base = "http://127.0.0.1:%d" % api.port
                self.answer(300, {"versions": {"values": [{"id": "v3.14", "status": "stable", "links": [
                    {"rel": "self", "href": base + "/identity/v3/"}]}]}})

            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                base = "http://127.0.0.1:%d" % api.port
                if self.path.endswith("/auth/tokens"):
                    api.tokens += 1
                    self.answer(201, {"token": {"expires_at": "2100-01-01T00:00:00.000000Z", "project": {"id": "p"}, "catalog": [
                        {"type": "instance-ha", "name": "masakari", "endpoints": [
                            {"interface": i, "region": "RegionOne", "region_id": "RegionOne", "url": base + "/v1/p"}
                            for i in ("public", "internal", "admin")]}]}}, X_Subject_Token="token")
                    return
                with api.lock:
                    status = api.status
                    if status == 202:
                        api.got.append((time.time(), body.decode()))
                self.answer(status, {})

        class Server(ThreadingHTTPServer):
            daemon_threads, request_queue_size = True, 128

        self.server = Server(("127.0.0.1", self.port), Handler)
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    def stop(self):
        """Connections are refused from here on, and those that are open are cut."""
        self.server.shutdown()
        self.server.server_close()
        for connection in list(self.open):
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def bodies(self):
        """(when it was accepted, the notification) in the order of acceptance."""
        with self.lock:
            return [(at, json.loads(body)["notification"]) for at, body in self.got]

    def words(self, uuid=None):
        """Returns the reports about guests, as `event/vir_domain_event`."""
        return ["%s/%s" % (n["payload"]["event"], n["payload"]["vir_domain_event"]) for _, n in self.bodies()
                if n["type"] == "VM" and uuid in (None, n["payload"]["instance_uuid"])]
