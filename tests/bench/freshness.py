"""No answer may be older than the last committed write, whichever process of the API took the write."""
import http.client
import json
import threading
import time
from urllib.parse import urlsplit


class Caller:
    def __init__(self, url, token):
        parts = urlsplit(url)
        self.connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=30)
        self.headers = {"X-Auth-Token": token, "Content-Type": "application/json"}

    def call(self, method, path, body=None):
        self.connection.request(method, path, None if body is None else json.dumps(body), self.headers)
        answer = self.connection.getresponse()
        text = answer.read()
        if answer.status >= 300:
            raise RuntimeError("%s %s: %d %s" % (method, path, answer.status, text[:200]))
        return json.loads(text)


class Freshness:
    """A writer changes one segment again and again, through each of `writers` in turn; readers ask `reader` for the list.

    A list whose request was sent after a write had been answered has to show that write or a later one.
    """

    def __init__(self, reader, writers, token, segment, readers=2):
        self.reader, self.writers, self.token, self.segment = reader, writers, token, segment
        self.committed = 0
        self.writes, self.reads, self.stale, self.problems = 0, 0, [], []
        self.over = threading.Event()
        self.threads = [threading.Thread(target=self._guard, args=(self._write,), daemon=True)]
        self.threads += [threading.Thread(target=self._guard, args=(self._read,), daemon=True) for _ in range(readers)]

    def _guard(self, run):
        try:
            run()
        except Exception as error:
            self.problems.append(repr(error))

    def _write(self):
        callers = [Caller(url, self.token) for url in self.writers]
        number = 0
        while not self.over.is_set():
            number += 1
            body = {"segment": {"description": str(number)}}
            callers[number % len(callers)].call("PUT", "/v1/segments/" + self.segment, body)
            self.committed = number
            self.writes += 1
            # The writer leaves the machine to the load it stands beside.
            self.over.wait(0.02)

    def _read(self):
        caller = Caller(self.reader, self.token)
        while not self.over.is_set():
            floor = self.committed
            rows = caller.call("GET", "/v1/segments")["segments"]
            self.reads += 1
            text = next(row["description"] for row in rows if row["uuid"] == self.segment)
            seen = int(text) if text.isdigit() else 0
            if seen < floor:
                self.stale.append((floor, seen))
            self.over.wait(0.005)

    def run(self, seconds):
        for thread in self.threads:
            thread.start()
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline and not self.problems:
            self.over.wait(0.1)
        self.over.set()
        for thread in self.threads:
            thread.join(30)
        return self
