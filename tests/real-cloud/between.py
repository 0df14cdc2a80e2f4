"""A proxy between the engine and Nova, so that something can happen exactly while one request is answered."""
import http.server
import threading

import requests

HOP = {"connection", "transfer-encoding", "content-length", "keep-alive"}


class Between:
    """`before(path)` is called before a GET is passed on; what it returns, if anything, after the answer has come."""

    def __init__(self, nova, before):
        outer = self
        self.nova, self.before = nova, before

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def pass_on(self):
                length = int(self.headers.get("Content-Length") or 0)
                body = self.rfile.read(length) if length else None
                after = outer.before(self.path) if self.command == "GET" else None
                try:
                    sent = {k: v for k, v in self.headers.items() if k.lower() not in HOP | {"host", "accept-encoding"}}
                    answer = requests.request(self.command, outer.nova + self.path, data=body, headers=sent, timeout=120)
                finally:
                    if after:
                        after()
                try:
                    self.send_response(answer.status_code)
                    for key, value in answer.headers.items():
                        if key.lower() not in HOP:
                            self.send_header(key, value)
                    self.send_header("Content-Length", str(len(answer.content)))
                    self.end_headers()
                    self.wfile.write(answer.content)
                except ConnectionError:
                    # Whoever asked has given up.
                    self.close_connection = True

            do_GET = do_POST = do_PUT = do_DELETE = pass_on

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = "http://127.0.0.1:%d" % self.server.server_port
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def stop(self):
        self.server.shutdown()
        self.server.server_close()
