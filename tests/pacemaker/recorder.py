#!/usr/bin/env python3
"""A Keystone and an Instance-HA API that answer and write down: every POST with its time and whether the host it is about
was really off. Usage: recorder.py ADDRESS PORT FOLDER NODES (a folder with one `node-NAME` file per node, holding its pid).

The file FOLDER/away makes the API answer 503. FOLDER/posts gets one JSON object per line.
"""
import http.server
import json
import os
import sys
import threading
import time

ADDRESS, PORT, FOLDER, NODES = sys.argv[1], int(sys.argv[2]), sys.argv[3], sys.argv[4]
URL = "http://%s:%d" % (ADDRESS, PORT)
LOCK = threading.Lock()
TOLD = set()


def is_on(node):
    try:
        with open(os.path.join(NODES, "node-" + node), encoding="ascii") as file:
            pid = file.read().split()[0]
        with open("/proc/%s/stat" % pid, encoding="utf-8", errors="replace") as file:
            return file.read().rsplit(") ", 1)[1][0] != "Z"
    except (OSError, IndexError):
        return False


def token():
    endpoint = {"interface": "public", "region": "RegionOne", "region_id": "RegionOne", "id": "e", "url": URL + "/v1/p"}
    public = dict(endpoint), dict(endpoint, interface="internal"), dict(endpoint, interface="admin")
    return {"token": {"methods": ["password"], "expires_at": "2099-01-01T00:00:00.000000Z", "project": {"id": "p"},
                      "user": {"id": "u", "name": "u"}, "catalog": [
                          {"type": "instance-ha", "name": "masakari", "id": "s", "endpoints": list(public)}]}}


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def answer(self, code, body, **headers):
        data = json.dumps(body).encode()
        self.send_response(code)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def do_GET(self):
        version = {"id": "v3.14", "status": "stable", "links": [{"rel": "self", "href": URL + "/v3/"}]}
        self.answer(200, {"version": version, "versions": {"values": [version]}})

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if self.path.endswith("/auth/tokens"):
            self.answer(201, token(), X_Subject_Token="t")
            return
        away = os.path.exists(os.path.join(FOLDER, "away"))
        told = json.loads(body)["notification"]
        with LOCK:
            # Like the API: an identical report is a duplicate.
            code = 503 if away else 409 if body in TOLD else 202
            if code == 202:
                TOLD.add(body)
        on = is_on(told["hostname"])
        self.answer(code, {"notification": dict(told, notification_uuid="n")} if code == 202 else {})
        line = {"at": time.time(), "code": code, "on": on, "from": self.client_address[0], "body": body.decode(),
                "evidence": self.headers.get("X-Tachi-Fence-Evidence"), "host": told["hostname"],
                "event": told["payload"]["event"], "status": told["payload"]["host_status"],
                "generated": told["generated_time"]}
        with LOCK, open(os.path.join(FOLDER, "posts"), "a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")


http.server.ThreadingHTTPServer((ADDRESS, PORT), Handler).serve_forever()
