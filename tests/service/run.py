#!/usr/bin/env python3
"""The API as a service: what systemd is told, how it stops, whom it does not wait for, what it logs and counts."""
import argparse
import json
import os
import re
import shutil
import ssl
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "client"))
from checks import Checks  # noqa: E402
from prometheus_client.parser import text_string_to_metric_families  # noqa: E402
from service import HUP, SECRET, TERM, Service, rest, wait  # noqa: E402

REPO = os.path.abspath(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", ".."))
DATA = os.path.join(REPO, "api", "testdata")
BODY = b'{"segment": {"name": "slow", "recovery_method": "auto", "service_type": "COMPUTE"}}'
HEAD = ("POST /v1/segments HTTP/1.1\nHost: x\nContent-Type: application/json\nContent-Length: %d\n\n" % len(BODY))


def status(answer):
    return answer.split(" ", 2)[1] if answer.startswith("HTTP/1.1 ") else answer


def half_sent(service):
    """A request whose body is on its way: it is in flight until the other half comes."""
    connection = service.connect()
    connection.sendall(HEAD.replace("\n", "\r\n").encode() + BODY[:10])
    wait(lambda: "tachi_api_requests_in_flight 2" in service.get("/metrics"), "the request to be in flight")
    return connection


def refuses(service):
    try:
        service.connect().close()
    except OSError:
        return True
    return False


def the_manager_is_told(check, binary):
    with Service(binary, watchdog=0.4) as service:
        ready = service.told[-1]
        check.that("ready comes with a status", any(line.startswith("STATUS=API listens on http://127.0.0.1:") for line in ready), ready)
        check.equal("it listens when it says so", status(service.get("/healthcheck")), "200")
        began = time.monotonic()
        for _ in range(3):
            service.hear("WATCHDOG=1")
        check.that("the watchdog is fed twice in its time", time.monotonic() - began < 5)
        service.signal(HUP)
        reloading = service.hear("RELOADING=1")
        check.that("a reload says when it began", any(re.fullmatch(r"MONOTONIC_USEC=\d+", line) for line in reloading), reloading)
        service.hear("READY=1")
        service.signal(TERM)
        service.hear("STOPPING=1")
        check.equal("SIGTERM ends it with 0", service.stopped(), 0)
    with Service(binary, command="engine", watchdog=2) as service:
        check.that("an engine is ready too", "STATUS=engine is running" in service.told[-1], service.told)
        service.hear("WATCHDOG=1")
        service.signal(TERM)
        service.hear("STOPPING=1")
        check.equal("SIGTERM ends an engine with 0", service.stopped(), 0)


def a_socket_is_taken_over(check, binary):
    with Service(binary, inherit=True) as service:
        check.equal("the socket of the manager is served", status(service.get("/healthcheck")), "200")
        check.that("and not the configured address", ":%d" % service.port in str(service.told), service.told)
        service.signal(TERM)
        check.equal("it ends with 0", service.stopped(), 0)
        check.that("the socket is still open for the next process", not refuses(service))


def it_drains(check, binary):
    with Service(binary) as service:
        idle = service.connect()
        idle.sendall(b"GET /healthcheck HTTP/1.1\r\nHost: x\r\n\r\n")
        check.that("a connection is kept", idle.recv(65536).startswith(b"HTTP/1.1 200"))
        slow = half_sent(service)
        service.signal(TERM)
        service.hear("STOPPING=1")
        check.equal("an idle connection is closed", rest(idle), "")
        wait(lambda: refuses(service), "new connections to be refused")
        check.that("a request in flight keeps it alive", service.process.poll() is None)
        slow.sendall(BODY[10:])
        answer = rest(slow)
        check.equal("a request in flight is answered", status(answer), "201")
        check.that("and is the last of its connection", "connection: close" in answer.lower(), answer)
        check.equal("then it ends with 0", service.stopped(), 0)
    with Service(binary) as service:
        slow = half_sent(service)
        service.signal(TERM)
        service.hear("STOPPING=1")
        service.signal(TERM)
        check.equal("a second signal ends it at once, with 1", service.stopped(5), 1)
        slow.close()
    with Service(binary, default="graceful_shutdown_timeout = 1") as service:
        slow = half_sent(service)
        service.signal(TERM)
        check.equal("graceful_shutdown_timeout bounds the wait", service.stopped(10), 0)
        check.equal("and what is in flight is dropped", rest(slow), "")


def nobody_is_waited_for(check, binary):
    more = "[wsgi]\nclient_socket_timeout = 1\ndefault_pool_size = 3\nmax_header_line = 2048\n"
    with Service(binary, more=more) as service:
        silent = [service.connect() for _ in range(2)]
        trickle = service.connect()
        trickle.sendall(b"GET / HTTP/1.1\r\nX-Slow: ")
        began = time.monotonic()
        # All three places are taken, so this one has to wait until they are sent away.
        check.equal("who sends nothing makes room for others", status(service.get("/healthcheck")), "200")
        check.that("within the time they have", time.monotonic() - began < 10)
        check.that("a head in pieces is not waited for", status(rest(trickle)) in ("", "408"))
        for connection in silent:
            connection.close()
        slow = service.connect()
        slow.sendall(HEAD.replace("\n", "\r\n").encode() + b"{")
        answer = rest(slow)
        check.equal("a body in pieces is not waited for", status(answer), "408")
        check.that("and its answer is a fault", '"masakariFault"' in answer, answer)
        cases = [
            ("a long first line", "GET /v1/segments?%s HTTP/1.1\nHost: x\nConnection: close\n\n" % ("a" * 3000), "414"),
            ("a long header", "GET /v1/segments HTTP/1.1\nHost: x\nX-Auth-Token: %s\nConnection: close\n\n" % ("a" * 3000), "431"),
            ("a huge head", "GET / HTTP/1.1\nHost: x\nX: %s\n\n" % ("a" * 20000), "431"),
            ("too many headers", "GET / HTTP/1.1\nHost: x\n%s\n" % ("X: y\n" * 200), "431"),
            ("a huge body", HEAD.replace(str(len(BODY)), "99999999"), "413"),
            ("no HTTP", "EHLO mail\n\n", "400"),
            ("a NUL in the path", "GET /v1/\0 HTTP/1.1\nHost: x\n\n", "400"),
            ("two lengths", "POST /v1/segments HTTP/1.1\nHost: x\nContent-Length: 1\nContent-Length: 2\n\n", "400"),
            ("a proxy's way of asking", "GET http://evil/v1/nowhere HTTP/1.1\nHost: x\nConnection: close\n\n", "404"),
            ("CONNECT", "CONNECT evil:80 HTTP/1.1\nHost: evil\nConnection: close\n\n", "300"),
            ("OPTIONS *", "OPTIONS * HTTP/1.1\nHost: x\nConnection: close\n\n", "300"),
        ]
        for name, head, wanted in cases:
            check.equal("%s is answered with %s" % (name, wanted), status(service.send(head)), wanted)
        chunks = b"".join(b"8000\r\n" + b"x" * 0x8000 + b"\r\n" for _ in range(8)) + b"0\r\n\r\n"
        head = "POST /v1/segments HTTP/1.1\nHost: x\nConnection: close\nTransfer-Encoding: chunked\n\n"
        check.equal("a huge body that says nothing of its size is refused too", status(service.send(head, chunks)), "413")
        check.equal("and the next is served", status(service.get("/healthcheck")), "200")
        check.that("nothing of this was a fault of ours", "ERROR" not in service.output(), service.output())


def the_log_is_rotated(check, binary):
    with Service(binary, default="log_dir = $state_path", more="[healthcheck]\nbackends = database\n") as service:
        log = os.path.join(service.work, "tachi-api.log")
        check.equal("a healthcheck may ask the database", status(service.get("/healthcheck")), "200")
        wait(lambda: os.path.exists(log) and "/healthcheck" in open(log, encoding="utf-8").read(), "a line in log_dir")
        check.equal("standard error stays empty", service.output(), "")
        os.rename(log, log + ".1")
        service.signal(HUP)
        service.hear("RELOADING=1")
        service.hear("READY=1")
        service.get("/v1/segments")
        wait(lambda: os.path.exists(log) and "/v1/segments" in open(log, encoding="utf-8").read(), "a line in the new file")
        check.that("SIGHUP reopens the log", True)


def tls(check, binary):
    context = ssl.create_default_context(cafile=os.path.join(DATA, "ca.pem"))
    work = os.path.join(os.environ.get("TMPDIR", "/tmp"), "tachi-tls-%d" % os.getpid())
    os.mkdir(work, 0o700)
    certificate, key = os.path.join(work, "c.pem"), os.path.join(work, "k.pem")

    def put(name):
        shutil.copy(os.path.join(DATA, name + ".pem"), certificate)
        shutil.copy(os.path.join(DATA, name + ".key"), key)

    def ask(service):
        with service.connect() as plain, context.wrap_socket(plain, server_hostname="localhost") as connection:
            names = [value for kind, value in connection.getpeercert()["subjectAltName"] if kind == "DNS"]
            connection.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            return names, rest(connection)

    try:
        put("server")
        more = "[wsgi]\nssl_cert_file = %s\nssl_key_file = %s\n" % (certificate, key)
        with Service(binary, default="use_ssl = true", more=more) as service:
            names, answer = ask(service)
            check.equal("TLS is served", names, ["localhost"])
            check.that("links say https", '"https://localhost/v1/"' in answer, answer)
            check.that("the manager hears https", "https://127.0.0.1" in str(service.told), service.told)
            with open(key, "w", encoding="utf-8") as f:
                f.write("half a key")
            service.signal(HUP)
            service.hear("READY=1")
            check.that("a bad key is named", key in service.output() and "keeping the previous certificate" in service.output(), service.output())
            check.equal("and leaves the old certificate", ask(service)[0], ["localhost"])
            put("renewed")
            service.signal(HUP)
            service.hear("READY=1")
            check.equal("a renewed certificate is taken at SIGHUP", ask(service)[0], ["localhost", "renewed.test"])
    finally:
        shutil.rmtree(work)


def it_logs_and_counts(check, binary):
    token, query = "token-that-nobody-may-see", "query-that-nobody-needs"
    asked = "req-6128798e-1111-4222-8333-0123456789ab"
    headers = ("X-Auth-Token: " + token, "X-User-Id: someone", "X-OpenStack-Request-Id: " + asked)
    with Service(binary) as service:
        service.get("/v1/segments?name=" + query, *headers)
        line = wait(lambda: [l for l in service.output().splitlines() if asked in l], "a line in the log")[0]
        form = r'127\.0\.0\.1 "GET /v1/segments HTTP/1\.1" status: 200 len: 15 time: 0\.\d{7}'
        check.that("the line has Masakari's form", re.search(form, line), line)
        check.that("the line says who", "someone" in line, line)
        text = service.get("/metrics").split("\r\n\r\n", 1)[1]
        families = {family.name: family for family in text_string_to_metric_families(text)}
        check.that("Prometheus can read /metrics", len(families) >= 5, text)
        units = [name for name, family in families.items() if not family.documentation or family.type == "unknown"]
        check.equal("every metric has a help text and a type", units, [])
        requests = families["tachi_api_requests"].samples
        wanted = {"method": "GET", "route": "/v1/segments", "status": "200"}
        check.that("requests are counted by route", any(s.labels == wanted and s.value == 1 for s in requests), requests)
        buckets = [s for s in families["tachi_api_request_duration_seconds"].samples if s.name.endswith("_bucket")]
        check.that("durations have buckets", len(buckets) >= 12, buckets)
        pool = {s.labels["state"]: s.value for s in families["tachi_db_pool_connections"].samples}
        most = families["tachi_db_pool_connections_max"].samples[0].value
        check.that("the database's pool is shown", set(pool) == {"in_use", "idle"} and 1 <= sum(pool.values()) <= most, (pool, most))
        forwarded = service.get("/metrics", "X-Forwarded-For: 192.0.2.1")
        check.equal("who comes through a proxy does not see them", status(forwarded), "403")
        logged = service.output()
        check.that("no token, query or password is logged", not any(word in logged for word in (token, query, SECRET)), logged)
    with Service(binary, default="use_json = true", more="[metrics]\nenabled = no\n") as service:
        service.get("/v1/segments?name=" + query, *headers)
        line = wait(lambda: [l for l in service.output().splitlines() if asked in l], "a line in the log")[0]
        entry = json.loads(line)
        fields = entry["extra"] | entry["context"]
        got = [fields.get(name) for name in ("client", "method", "path", "route", "status", "bytes", "user_id")]
        check.equal("the log in JSON has fields", got, ["127.0.0.1", "GET", "/v1/segments", "/v1/segments", 200, 15, "someone"])
        check.equal("and the request's ids", entry["context"]["global_request_id"], asked)
        check.equal("as oslo.log writes them", [entry[name] for name in ("message", "levelname", "name")], ["answered", "INFO", "tachi_api.access_log"])
        check.that("every line is JSON", all(json.loads(l) for l in service.output().splitlines()))
        check.equal("metrics can be switched off", status(service.get("/metrics")), "300")
        check.that("no token, query or password is logged in JSON", not any(word in service.output() for word in (token, query, SECRET)))
    spare = Service(binary)
    port = spare.port
    spare.end()
    with Service(binary, command="engine", more="[metrics]\nlisten = 127.0.0.1:%d\n" % port) as service:
        service.port = port
        check.that("an engine can be watched too", "tachi_build_info" in service.get("/metrics"))
        check.equal("and serves nothing else there", status(service.get("/v1/segments")), "404")


def the_configuration_is_shown(check, binary):
    with Service(binary, more="[cors]\nallowed_origin = https://d\n") as service:
        def show(*words, **environment):
            command = [binary, "config", "show", "--config-file", service.conf, *words]
            return subprocess.run(command, env={"PATH": os.environ["PATH"], "HOME": service.work, **environment},
                                  capture_output=True, text=True, check=True, timeout=20).stdout
        text = show(OS_WSGI__KEEP_ALIVE="false")
        with open(service.conf, encoding="utf-8") as f:
            at = f.read().splitlines().index("allowed_origin = https://d") + 1
        for name, part in [
            ("a file and its line", "# %s:%d\nallowed_origin = https://d" % (service.conf, at)),
            ("the environment", "# environment OS_WSGI__KEEP_ALIVE\nkeep_alive = false"),
            ("a default", "# default\nmax_age = 3600"),
            ("a secret, masked", "os_privileged_user_password = ***"),
        ]:
            check.that("config show prints " + name, part in text, text)
        check.that("config show shows no secret", SECRET not in text + show("-f", "json"))
        options = {(o["section"], o["option"]): o for o in json.loads(show("-f", "json"))["options"]}
        wanted = {"kind": "file", "file": service.conf, "line": at}
        check.equal("config show -f json names the source", options["cors", "allowed_origin"]["origin"], wanted)
        check.equal("and the default", options["wsgi", "default_pool_size"]["value"], "1000")
        changed = json.loads(show("-f", "json", "--changed-only"))["options"]
        check.that("--changed-only leaves defaults out", 5 < len(changed) < 12 and all(o["origin"]["kind"] == "file" for o in changed), changed)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tachi", required=True)
    binary = os.path.abspath(parser.parse_args().tachi)
    check = Checks()
    parts = [the_manager_is_told, a_socket_is_taken_over, it_drains, nobody_is_waited_for, the_log_is_rotated, tls, it_logs_and_counts, the_configuration_is_shown]
    for part in parts:
        try:
            part(check, binary)
        except (AssertionError, OSError, subprocess.SubprocessError, KeyError, ValueError) as error:
            check.that(part.__name__, False, "%s: %s" % (type(error).__name__, error))
    return check.end()


if __name__ == "__main__":
    sys.exit(main())
