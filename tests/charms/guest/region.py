"""What stands around a unit in the guest: a simulated Keystone, Nova and MAAS, a real MariaDB and RabbitMQ."""

import http.client
import http.server
import json
import pathlib
import re
import ssl
import subprocess
import threading
import time
import urllib.error
import urllib.request

KEYSTONE = "10.0.0.3"


def run(*command: str, check: bool = True, text: str | None = None) -> str:
    done = subprocess.run(command, input=text, capture_output=True, text=True, check=False)
    if check and done.returncode:
        raise AssertionError(f"`{' '.join(command)}` exited {done.returncode}: {done.stdout}{done.stderr}")
    return done.stdout


def wait(what: str, condition, seconds: float = 60):
    until = time.monotonic() + seconds
    while True:
        try:
            if found := condition():
                return found
        except (OSError, http.client.HTTPException, AssertionError):
            pass
        if time.monotonic() > until:
            raise AssertionError(f"{what}: not within {seconds} s")
        time.sleep(0.2)


def active(unit: str) -> bool:
    return subprocess.run(["systemctl", "is-active", "--quiet", unit], check=False).returncode == 0


def process(unit: str) -> int:
    return int(run("systemctl", "show", "-p", "MainPID", "--value", unit))


def command_of(unit: str) -> str:
    return pathlib.Path(f"/proc/{process(unit)}/cmdline").read_bytes().replace(b"\0", b" ").decode()


def http_call(method: str, url: str, body: object = None, token: str = "", authority: str | None = None):
    """Status and JSON."""
    data = json.dumps(body).encode() if body is not None else None
    headers = {"Content-Type": "application/json", "Accept": "application/json"} | ({"X-Auth-Token": token} if token else {})
    context = ssl.create_default_context(cafile=authority) if authority else None
    request = urllib.request.Request(url, data, headers, method=method)  # noqa: S310
    try:
        with urllib.request.urlopen(request, timeout=20, context=context) as answer:  # noqa: S310
            text = answer.read()
            return answer.status, json.loads(text) if text else None, answer.headers
    except urllib.error.HTTPError as e:
        text = e.read()
        try:
            return e.code, json.loads(text), e.headers
        except ValueError:
            return e.code, text.decode(), e.headers


class _Paths(http.server.BaseHTTPRequestHandler):
    """Keystone's charm names a host and a port; the simulated one is below /identity."""

    protocol_version = "HTTP/1.1"
    upstream = ""

    def _pass(self) -> None:
        path = self.path if self.path.startswith(("/identity", "/compute", "/MAAS")) else f"/identity{self.path}"
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0)) or None
        headers = {key: value for key, value in self.headers.items() if key.lower() not in ("host", "content-length", "connection")}
        request = urllib.request.Request(self.upstream + path, body, headers, method=self.command)  # noqa: S310
        try:
            answer = urllib.request.urlopen(request, timeout=30)  # noqa: S310
        except urllib.error.HTTPError as e:
            answer = e
        with answer:
            text = answer.read()
            self.send_response(answer.status)
            for key, value in answer.headers.items():
                if key.lower() not in ("content-length", "connection", "transfer-encoding"):
                    self.send_header(key, value)
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(text)

    do_GET = do_POST = do_PUT = do_DELETE = do_HEAD = do_PATCH = _pass

    def log_message(self, *_: object) -> None:
        pass


class Region:
    def __init__(self, tachi: str):
        for address in ("10.0.0.11", "10.1.0.11", "10.2.0.11", KEYSTONE):
            run("ip", "address", "add", f"{address}/24", "dev", "lo", check=False)
        self.folder = pathlib.Path("/test/region")
        self.folder.mkdir()
        self.process = subprocess.Popen(
            [tachi, "sandbox", "--port", "15000", "--hosts", "3", "--state-dir", self.folder, "--clouds", self.folder / "clouds.yaml"],
            stdout=(self.folder / "log").open("w"), stderr=subprocess.STDOUT,
        )  # fmt: skip
        wait("the region", lambda: "ready;" in (self.folder / "log").read_text())
        self.password = re.findall(r'password: "(.*)"', (self.folder / "clouds.yaml").read_text())[0]
        self.maas_key = (self.folder / "maas.key").read_text().strip()
        _Paths.upstream = "http://127.0.0.1:15000"
        server = http.server.ThreadingHTTPServer((KEYSTONE, 5000), _Paths)
        threading.Thread(target=server.serve_forever, daemon=True).start()

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(20)

    def token(self, user: str, project: str) -> str:
        domain = {"name": "Default"}
        identity = {"methods": ["password"], "password": {"user": {"name": user, "domain": domain, "password": self.password}}}
        body = {"auth": {"identity": identity, "scope": {"project": {"name": project, "domain": domain}}}}
        status, told, headers = http_call("POST", f"http://{KEYSTONE}:5000/v3/auth/tokens", body)
        assert status == 201, (status, told)
        return headers["X-Subject-Token"]

    def token_of(self, credential: str, secret: str) -> str:
        identity = {"methods": ["application_credential"], "application_credential": {"id": credential, "secret": secret}}
        status, told, headers = http_call("POST", f"http://{KEYSTONE}:5000/v3/auth/tokens", {"auth": {"identity": identity}})
        assert status == 201, (status, told)
        return headers["X-Subject-Token"]

    def identity(self) -> dict[str, str]:
        """What Keystone's charm answers to `identity-service`."""
        where = {"host": KEYSTONE, "port": "5000", "protocol": "http"}
        found = {f"{kind}_{key}": value for kind in ("service", "auth", "internal") for key, value in where.items()}
        return found | {
            "service_username": "masakari", "service_password": self.password, "service_tenant": "service",
            "service_tenant_id": "1", "service_domain": "Default", "service_domain_id": "default", "api_version": "3", "region": "RegionOne",
        }  # fmt: skip

    def credentials(self) -> dict[str, str]:
        """And to `identity-credentials`."""
        return {
            "auth_host": KEYSTONE, "auth_port": "5000", "auth_protocol": "http", "credentials_username": "masakari-monitor",
            "credentials_password": self.password, "credentials_project": "service", "credentials_user_domain_name": "Default",
            "credentials_project_domain_name": "Default", "api_version": "3", "region": "RegionOne",
        }  # fmt: skip


def database(asked: dict[str, str], password: str) -> None:
    """What MySQL's charm does for whoever asks."""
    name, user = asked["database"], asked["username"]
    run("mariadb", text=f"CREATE DATABASE IF NOT EXISTS {name};\n"
        + "".join(
            f"CREATE OR REPLACE USER '{user}'@'{host}' IDENTIFIED BY '{password}'; GRANT ALL ON {name}.* TO '{user}'@'{host}';\n"
            for host in (asked["hostname"], "localhost", "127.0.0.1")
        ))  # fmt: skip


def broker(asked: dict[str, str], password: str) -> None:
    """What RabbitMQ's charm does for whoever asks."""
    run("rabbitmqctl", "-q", "add_vhost", asked["vhost"], check=False)
    run("rabbitmqctl", "-q", "add_user", asked["username"], password, check=False)
    run("rabbitmqctl", "-q", "change_password", asked["username"], password)
    run("rabbitmqctl", "-q", "set_permissions", "-p", asked["vhost"], asked["username"], ".*", ".*", ".*")


def sql(text: str) -> str:
    return run("mariadb", "-N", "masakari", text=text)


def keystone_logins() -> int:
    return len(run("rabbitmqctl", "-q", "list_connections", "user").split("masakari")) - 1
