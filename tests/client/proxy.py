"""A reverse proxy that writes down what clients send, and may be told to refuse.

It stands where Apache stands in an installation: `mount` is cut off the path and told to the API in X-Forwarded-Prefix.
"""
import http.client
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qsl, urlsplit

HOP = {"connection", "transfer-encoding", "content-length", "keep-alive"}


class Request:
    """One request as it arrived, and the status it was answered with."""

    def __init__(self, method, target, headers, body):
        parts = urlsplit(target)
        self.method, self.path, self.pairs = method, parts.path, parse_qsl(parts.query, keep_blank_values=True)
        self.headers = {name.lower(): value for name, value in headers.items()}
        self.body, self.status = body, None

    @property
    def query(self):
        return dict(self.pairs)

    @property
    def version(self):
        return self.headers.get("openstack-api-version")

    def json(self):
        return json.loads(self.body) if self.body else None

    def __repr__(self):
        query = "?" + "&".join("%s=%s" % pair for pair in self.pairs) if self.pairs else ""
        return "%s %s%s -> %s" % (self.method, self.path, query, self.status)


class Proxy:
    def __init__(self, upstream, mount=""):
        self.host, self.port = urlsplit(upstream).hostname, urlsplit(upstream).port
        self.mount, self.seen, self.refusals, self.alarm = mount, [], [], None
        self.lock = threading.Lock()
        proxy = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def log_message(self, *_):
                pass

            def forward(self):
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                request = Request(self.command, self.path, self.headers, body)
                with proxy.lock:
                    proxy.seen.append(request)
                    status = proxy._refusal(request)
                if status:
                    request.status = status
                    return self.answer(status, [("Content-Type", "text/plain")], b"refused by the test")
                return self.answer(*proxy._pass_on(request, self.path, self.headers))

            def answer(self, status, headers, body):
                self.send_response_only(status)
                for name, value in headers:
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(body)

            do_GET = do_POST = do_PUT = do_DELETE = do_HEAD = do_PATCH = do_OPTIONS = forward

        class Server(ThreadingHTTPServer):
            daemon_threads = True
            request_queue_size = 64

        self.server = Server(("127.0.0.1", 0), Handler)
        self.url = "http://127.0.0.1:%d" % self.server.server_port
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def refuse(self, method, path_end, *statuses):
        """The next requests that match are answered with these, one after the other, and do not reach the API."""
        with self.lock:
            self.refusals += [(method, path_end, status) for status in statuses]

    def when(self, method, count, action):
        """Does `action` once, beside everything else, when so many requests of that method have come."""
        with self.lock:
            self.alarm = [method, count, action]

    def _refusal(self, request):
        if self.alarm and request.method == self.alarm[0]:
            self.alarm[1] -= 1
            if self.alarm[1] == 0:
                threading.Thread(target=self.alarm[2], daemon=True).start()
                self.alarm = None
        for rule in self.refusals:
            if rule[0] == request.method and request.path.endswith(rule[1]):
                self.refusals.remove(rule)
                return rule[2]
        return None

    def _pass_on(self, request, target, headers):
        if self.mount:
            if not (target == self.mount or target.startswith(self.mount + "/")):
                request.status = 404
                return 404, [("Content-Type", "text/plain")], b"nothing is mounted here"
            target = target[len(self.mount):] or "/"
        sent = {name: value for name, value in headers.items() if name.lower() not in HOP}
        if self.mount:
            sent["X-Forwarded-Prefix"] = self.mount
        connection = http.client.HTTPConnection(self.host, self.port, timeout=60)
        try:
            connection.request(request.method, target, request.body or None, sent)
            answer = connection.getresponse()
            body = answer.read()
            request.status = answer.status
            return answer.status, [h for h in answer.getheaders() if h[0].lower() not in HOP], body
        except OSError:
            request.status = 502
            return 502, [("Content-Type", "text/plain")], b"the API cannot be reached"
        finally:
            connection.close()

    def take(self):
        """What came since the last time."""
        with self.lock:
            seen, self.seen = self.seen, []
        return seen

    def stop(self):
        self.server.shutdown()
        self.server.server_close()
