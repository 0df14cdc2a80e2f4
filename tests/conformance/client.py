"""Speaks HTTP to the service under test, and shows exactly what came back."""
import http.client
import json

UNSET = object()


class Answer:
    """A response, read to its end."""

    def __init__(self, response, body):
        self.status, self.headers, self.body = response.status, response.headers, body

    @property
    def text(self):
        return self.body.decode("utf-8")

    @property
    def json(self):
        return json.loads(self.body)

    def root(self, key):
        """What is under the root key, which must be the only one."""
        document = self.json
        assert list(document) == [key], "wanted one root key %r: %s" % (key, self)
        return document[key]

    @property
    def fault(self):
        """Status, name and message of an error, which must come in the envelope that every fault has."""
        document = self.json
        assert len(document) == 1, self
        (name, fault), = document.items()
        assert fault["code"] == self.status, self
        return self.status, name, fault["message"]

    @property
    def message(self):
        return self.fault[2]

    def __str__(self):
        return "%s\n%s\n%s" % (self.status, self.headers, self.text[:2000])

    __repr__ = __str__


class Client:
    """Sends requests as somebody. A path is one below `prefix`; `raw` takes whole ones and no headers of its own."""

    def __init__(self, address, token=None, prefix="/v1", version="1.3", host=None):
        self.address, self.token, self.prefix, self.version = address, token, prefix, version
        self.host = host or "%s:%s" % address

    def but(self, **changes):
        """The same client with something else about it."""
        fields = {"token": self.token, "prefix": self.prefix, "version": self.version, "host": self.host, **changes}
        return Client(self.address, **fields)

    def raw(self, method, path, headers=(), body=None):
        if isinstance(headers, dict):
            headers = list(headers.items())
        connection = http.client.HTTPConnection(*self.address, timeout=60)
        try:
            connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
            connection.putheader("Host", self.host)
            names = {name.lower() for name, _ in headers}
            for name, value in headers:
                connection.putheader(name, value)
            if body is not None and not names & {"content-length", "transfer-encoding"}:
                connection.putheader("Content-Length", str(len(body)))
            connection.endheaders()
            if body:
                try:
                    connection.send(body)
                except (BrokenPipeError, ConnectionResetError):
                    pass  # Refused before it was read: the answer tells.
            response = connection.getresponse()
            return Answer(response, response.read())
        finally:
            connection.close()

    def send(self, method, path, document=UNSET, version=UNSET, headers=None):
        version = self.version if version is UNSET else version
        sent = {}
        if self.token is not None:
            sent["X-Auth-Token"] = self.token
        if version is not None:
            sent["OpenStack-API-Version"] = "instance-ha %s" % version
        body = None
        if document is not UNSET:
            sent["Content-Type"] = "application/json"
            body = document if isinstance(document, bytes) else json.dumps(document).encode()
        sent.update(headers or {})
        return self.raw(method, self.prefix + path, sent, body)

    def get(self, path, **more):
        return self.send("GET", path, **more)

    def post(self, path, document, **more):
        return self.send("POST", path, document, **more)

    def put(self, path, document, **more):
        return self.send("PUT", path, document, **more)

    def delete(self, path, **more):
        return self.send("DELETE", path, **more)

    # What nearly every test needs. Each of these has to work.

    def new_segment(self, name="s1", **fields):
        fields = {"name": name, "recovery_method": "auto", "service_type": "COMPUTE", **fields}
        answer = self.post("/segments", {"segment": fields})
        assert answer.status == 201, answer
        return answer.root("segment")

    def new_host(self, segment, name, **fields):
        fields = {"name": name, "type": "COMPUTE", "control_attributes": "SSH", **fields}
        answer = self.post("/segments/%s/hosts" % segment["uuid"], {"host": fields})
        assert answer.status == 201, answer
        return answer.root("host")

    def notify(self, hostname, kind="COMPUTE_HOST", at="2026-01-01T00:00:00", payload=None):
        return self.post("/notifications", {"notification": {
            "type": kind, "hostname": hostname, "generated_time": at,
            "payload": PAYLOADS[kind] if payload is None else payload}})

    def new_notification(self, hostname, kind="COMPUTE_HOST", at="2026-01-01T00:00:00", payload=None):
        answer = self.notify(hostname, kind, at, payload)
        assert answer.status == 202, answer
        return answer.root("notification")


STOPPED = {"event": "STOPPED", "cluster_status": "OFFLINE", "host_status": "NORMAL"}
STARTED = {"event": "STARTED", "cluster_status": "ONLINE", "host_status": "NORMAL"}
PROCESS = {"event": "STOPPED", "process_name": "nova-compute"}
VM = {"event": "LIFECYCLE", "vir_domain_event": "STOPPED_FAILED",
      "instance_uuid": "0a1b2c3d-0000-4000-8000-000000000001"}
PAYLOADS = {"COMPUTE_HOST": STOPPED, "PROCESS": PROCESS, "VM": VM}
