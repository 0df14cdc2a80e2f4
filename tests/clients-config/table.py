"""Writes table.json: what openstacksdk makes of each case of clouds.yaml and of the OS_ variables.

    python3 -m venv v && v/bin/pip install -r requirements.txt
    v/bin/python table.py            # writes table.json
    v/bin/python table.py --check    # compares, and prints what is new

A fake Keystone takes the request for a token: its body says as whom and for what a client would have logged in.
"""

import difflib
import importlib.metadata
import http.server
import json
import os
import pathlib
import sys
import tempfile
import threading
import warnings

os.chdir(pathlib.Path(__file__).resolve().parent)
warnings.simplefilter("ignore")
from openstack.config import OpenStackConfig  # noqa: E402
from cases import cases  # noqa: E402

BODIES = []


class Keystone(http.server.BaseHTTPRequestHandler):
    """Knows its version, and gives everybody a token."""

    def log_message(self, *_):
        pass

    def answer(self, status, body, **headers):
        text = json.dumps(body).encode()
        self.send_response(status)
        for name, value in {"Content-Type": "application/json", "Content-Length": len(text), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(text)

    def do_GET(self):
        href = "http://%s/v3/" % self.headers["Host"]
        self.answer(200, {"version": {"id": "v3.14", "status": "stable", "links": [{"rel": "self", "href": href}]}})

    def do_POST(self):
        BODIES.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
        token = {"expires_at": "2099-01-01T00:00:00.000000Z", "issued_at": "2024-01-01T00:00:00.000000Z", "user": {"id": "u"}, "catalog": [], "methods": ["password"]}
        self.answer(201, {"token": token}, **{"X-Subject-Token": "t"})


def asked(name, files, env, port):
    """What the loader makes of a cloud, and what is then asked of Keystone."""
    with tempfile.TemporaryDirectory() as folder:
        for file, text in files.items():
            pathlib.Path(folder, file).write_text(text.replace("PORT", port), encoding="utf-8")
        os.environ.clear()
        os.environ.update({key: value.replace("PORT", port) for key, value in env.items()})
        BODIES.clear()
        path = lambda kind: [os.path.join(folder, kind + ".yaml")]
        try:
            config = OpenStackConfig(config_files=path("clouds"), secure_files=path("secure"), vendor_files=path("clouds-public"))
            region = config.get_one(name)
            session = region.get_session()
            try:
                session.get_token()
            except OSError:  # A certificate that is not there.
                BODIES.append(None)
            verify, cert = region.get_requests_verify_args()
            return {
                "body": BODIES[-1],
                "auth_url": session.auth.auth_url,
                "region": region.get_region_name("instance-ha") or None,
                "interface": region.get_interface("instance-ha"),
                "endpoint": region.get_endpoint("instance-ha"),
                "verify": verify,
                "cert": cert,
                "timeout": region.config.get("api_timeout"),
            }
        except Exception as error:  # noqa: BLE001
            text = str(error).replace(folder, "FOLDER").splitlines() or [""]
            return {"error": type(error).__name__, "text": text[0][:200]}


def main():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Keystone)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    port = str(server.server_address[1])
    rows = []
    for name, cloud, files, env in cases():
        result = asked(cloud, files, env, port)
        result = json.loads(json.dumps(result, default=str).replace(port, "PORT"))
        rows.append({"name": name, "cloud": cloud, "files": files, "variables": env, "sdk": result})
    table = {"openstacksdk": importlib.metadata.version("openstacksdk"), "cases": rows}
    new = json.dumps(table, indent=1, ensure_ascii=False) + "\n"
    file = pathlib.Path("table.json")
    if "--check" not in sys.argv:
        file.write_text(new, encoding="utf-8")
        return 0
    old = file.read_text(encoding="utf-8")
    changes = list(difflib.unified_diff(old.splitlines(), new.splitlines(), "committed", "now", lineterm=""))
    print("\n".join(changes) or "as committed")
    return 1 if changes else 0


sys.exit(main())
