"""A Keystone and an Instance-HA API in one, which record the requests and return configured answers."""
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Stub:
    def __init__(self):
        self.posts, self.answers, self.tokens, self.lock = [], [], 0, threading.Lock()
        stub = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def log_message(self, *_):
                pass

            def reply(self, status, body, **headers):
                data = json.dumps(body).encode()
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name.replace("_", "-"), value)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def do_GET(self):
                version = {"id": "v3.14", "status": "stable", "links": [{"rel": "self", "href": stub.url + "/v3/"}]}
                self.reply(200, {"version": version} if self.path.startswith("/v3") else {"versions": {"values": [version]}})

            def do_POST(self):
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode()
                if self.path.endswith("/auth/tokens"):
                    with stub.lock:
                        stub.tokens += 1
                    return self.reply(201, stub.token(), X_Subject_Token="token-%d" % stub.tokens)
                with stub.lock:
                    stub.posts.append((self.path, dict(self.headers.items()), body))
                    status = stub.answers.pop(0) if stub.answers else 202
                return self.reply(status, {"notification": json.loads(body)["notification"]} if status == 202 else {})

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = "http://127.0.0.1:%d" % self.server.server_port
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def token(self):
        endpoint = {"id": "e", "interface": "public", "region": "RegionOne", "region_id": "RegionOne", "url": self.url + "/v1/p"}
        return {"token": {
            "methods": ["password"], "issued_at": "2026-01-01T00:00:00.000000Z", "expires_at": "2036-01-01T00:00:00.000000Z",
            "user": {"id": "u", "name": "u", "domain": {"id": "default", "name": "Default"}},
            "project": {"id": "p", "name": "service", "domain": {"id": "default", "name": "Default"}}, "roles": [],
            "catalog": [{"id": "s", "type": "instance-ha", "name": "masakari", "endpoints": [endpoint]}]}}

    def taken(self):
        with self.lock:
            return list(self.posts)

    def stop(self):
        self.server.shutdown()
        self.server.server_close()
