"""API, engines and upstream's own services around a RabbitMQ that is killed, silent, short of memory or behind TLS.

Every check that begins with a number is named after what it shows to be mended: EW10 (the broker is no single point), EW27
(no token in a log), R21 (no engine of upstream beside ours).
"""
import argparse
import os
import re
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
TESTS = os.path.dirname(HERE)
sys.path[:0] = [os.path.join(TESTS, "client"), os.path.join(TESTS, "bench")]

from broker import Broker, Silent, wait  # noqa: E402
from checks import Checks  # noqa: E402
from field import SECONDS, Field  # noqa: E402
from upstream_services import Upstream  # noqa: E402

# What a machine that does other things as well may add to a sweep.
MARGIN = 2.0
# How long a POST may take, whatever the broker does.
PROMPT = 1.0


# Covers EW10.
def check_wake_ups(checks, tachi, broker):
    """Without the broker a recovery would begin with the sweep, which is a minute away."""
    field = Field(tachi, broker.url, sweep=60)
    try:
        field.protect()
        engine = field.engine("one")
        engine.until_said("connected to the broker")
        wait(lambda: field.health()[0] == 200, "a connected API")
        took = []
        for _ in range(10):
            took.append(field.begun(field.report()[0]))
        checks.that("a wake-up over the broker begins a recovery at once (slowest of ten %.2f s)" % max(took),
                    max(took) < 1.5, took)
        # The broker counts the consumers of a quorum queue anew every few seconds.
        wait(lambda: queues(broker).get("tachi.wake.one") == ("quorum", 1), "one consumer of our queue to be counted")
        listed = queues(broker)
        checks.equal("our queue is a quorum queue with one consumer", listed.get("tachi.wake.one"), ("quorum", 1))
        checks.equal("upstream's queue is as upstream declares it", listed.get("ha_engine"), ("classic", 1))
        said = field.health()
        checks.that("healthcheck tells of the broker", "the broker accepts messages" in said[1] or said[0] == 200, said)
        wait(lambda: "ok: 127.0.0.1:%d" % broker.port in field.operator("status", "-f", "json"),
             "a word of the engine about its broker", 20, 0.5)
        told = field.operator("status")
        checks.that("tachi status tells of the broker", "broker ●" in told, told)
        numbers = engine.numbers("tachi_bus_")
        checks.that("metrics tell of the connection and of wake-ups",
                    any(line.startswith('tachi_bus_connected{link="listener"} 1') for line in numbers)
                    and any("tachi_bus_consumed_total" in line and '"wake"' in line for line in numbers), numbers)
        checks.that("our API casts nothing that an engine of upstream would run",
                    not any("tachi_bus_consumed_total" in line and '"cast"' in line for line in numbers), numbers)
    finally:
        field.stop()


def queues(broker):
    """Name: kind, consumers."""
    lines = broker.control("-q", "--no-table-headers", "list_queues", "name", "type", "consumers").splitlines()
    rows = [line.split("\t") for line in lines if "\t" in line]
    return {name: (kind.replace("rabbit_", "").replace("_queue", ""), int(number)) for name, kind, number in rows}


def wake_consumers(broker, engine):
    """How many consume the wake-ups of an engine, which takes another queue when its own does not answer any more."""
    own = "tachi.wake." + engine
    return sum(consumers for name, (_, consumers) in queues(broker).items() if name == own or name.startswith(own + "."))


# Covers EW10.
def check_killed_connection(checks, tachi, broker):
    """Killed while notifications are posted, and started again: every one is begun with the next sweep or sooner."""
    field = Field(tachi, broker.url)
    try:
        field.protect()
        engines = [field.engine("one"), field.engine("two")]
        for engine in engines:
            engine.until_said("connected to the broker")
        posted, slow = [], []
        for number in range(40):
            if number == 10:
                broker.kill()
            if number == 30:
                broker.start()
            notification, took = field.report()
            posted.append((notification, time.monotonic()))
            slow.append(took)
        checks.that("no POST waits for a broker that was killed (slowest %.2f s)" % max(slow), max(slow) < PROMPT, slow)
        late = []
        for notification, at in posted:
            field.begun(notification)
            late.append(time.monotonic() - at)
        checks.that("nothing is lost with the broker: all %d were begun" % len(posted), len(late) == 40, late)
        ends = [field.ended(notification) for notification, _ in posted]
        checks.equal("and each came to its end", set(ends) <= {"finished", "ignored"}, True)
        # Seen at the broker, not in the logs: how often an engine says so depends on how far it was at the first kill.
        for engine in engines:
            wait(lambda e=engine: wake_consumers(broker, e.name) == 1, "a new connection of " + engine.name, 60)
        checks.that("both engines are connected again", True)
        broker.kill()
        wait(lambda: field.health()[0] == 503, "the API to notice", 20)
        took = [field.begun(field.report()[0]) for _ in range(4)]
        checks.that("without a broker a recovery begins within a sweep (slowest %.2f s)" % max(took),
                    max(took) < SECONDS + MARGIN, took)
        checks.that("healthcheck says that the broker is gone", "BROKER" in field.health()[1], field.health())
        broker.start()
        wait(lambda: field.health()[0] == 200, "the API to be connected again", 30)
        checks.that("and that it is back", True)
        for engine in engines:
            wait(lambda e=engine: wake_consumers(broker, e.name) == 1, "another connection of " + engine.name, 60)
        checks.that("both engines are connected after the second kill too", True)
    finally:
        if not broker.answers():
            broker.start()
        field.stop()


# Covers EW10.
def check_absent_broker(checks, tachi, broker):
    """Nobody listens there when API and engine start; later somebody does."""
    broker.kill()
    field = Field(tachi, broker.url)
    try:
        field.protect()
        began = time.monotonic()
        engine = field.engine("one")
        checks.that("an engine starts without its broker (%.2f s)" % (time.monotonic() - began),
                    time.monotonic() - began < 10)
        notification, took = field.report()
        checks.that("a POST without a broker is prompt (%.2f s)" % took, took < PROMPT)
        took = field.begun(notification)
        checks.that("and is begun within a sweep (%.2f s)" % took, took < SECONDS + MARGIN)
        broker.start()
        engine.until_said("connected to the broker", 40)
        checks.that("it connects once there is one", True)
    finally:
        if not broker.answers():
            broker.start()
        field.stop()


# Covers EW10.
def check_silent_broker(checks, tachi):
    """It takes connections and says nothing."""
    silent = Silent()
    field = Field(tachi, silent.url)
    try:
        field.protect()
        began = time.monotonic()
        engine = field.engine("one")
        checks.that("an engine does not wait for a silent broker (%.2f s)" % (time.monotonic() - began),
                    time.monotonic() - began < 20)
        slow, late = [], []
        for _ in range(5):
            notification, took = field.report()
            slow.append(took)
            late.append(field.begun(notification))
        checks.that("POSTs beside a silent broker are prompt (slowest %.2f s)" % max(slow), max(slow) < PROMPT, slow)
        checks.that("and are begun within a sweep (slowest %.2f s)" % max(late), max(late) < SECONDS + MARGIN, late)
        # Each attempt has a thread of the client's, which has to end with it.
        threads = len(os.listdir("/proc/%d/task" % engine.process.pid))
        wait(lambda: engine.said().count("broker is not connected") >= 1, "a word about it")
        time_of_many = time.monotonic() + 25
        wait(lambda: time.monotonic() > time_of_many, "several attempts", 40, 1)
        now = len(os.listdir("/proc/%d/task" % engine.process.pid))
        checks.that("attempts leave no threads behind (%d, then %d)" % (threads, now), now <= threads + 3)
        checks.equal("and are told of once per connection", engine.said().count("broker is not connected"), 2)
    finally:
        field.stop()
        silent.close()


# Covers EW10.
def check_blocked_broker(checks, tachi, broker):
    """Short of memory: it takes connections and reads nothing that is published."""
    field = Field(tachi, broker.url)
    try:
        field.protect()
        field.engine("one").until_said("connected to the broker")
        wait(lambda: field.health()[0] == 200, "a connected API")
        broker.control("set_vm_memory_high_watermark", "absolute", "1")
        field.report()
        wait(lambda: field.health()[0] == 503, "the API to notice", 30)
        slow, late = [], []
        for _ in range(5):
            notification, took = field.report()
            slow.append(took)
            late.append(field.begun(notification))
        checks.that("POSTs beside a blocked broker are prompt (slowest %.2f s)" % max(slow), max(slow) < PROMPT, slow)
        checks.that("and are begun within a sweep (slowest %.2f s)" % max(late), max(late) < SECONDS + MARGIN, late)
        broker.control("set_vm_memory_high_watermark", "absolute", "512MB")
        wait(lambda: field.health()[0] == 200, "the API to go on", 40)
        checks.that("it goes on when there is memory again", True)
    finally:
        broker.control("set_vm_memory_high_watermark", "absolute", "512MB")
        field.stop()


def tls(checks, tachi, broker):
    """With an authority of our own, which counts alone."""
    data = os.path.join(os.path.dirname(TESTS), "api", "testdata")
    url = "rabbit://guest:guest@localhost:%d/?ssl=1" % broker.tls_port
    for name, authority, connects in (("the right authority", "ca.pem", True), ("a stranger's", "stranger.pem", False)):
        options = [("oslo_messaging_rabbit", "ssl_ca_file", os.path.join(data, authority))]
        field = Field(tachi, url, sweep=60 if connects else SECONDS, options=options)
        try:
            field.protect()
            engine = field.engine("one", options=options)
            engine.until_said("connected to the broker" if connects else "broker is not connected")
            if connects:
                wait(lambda f=field: f.health()[0] == 200, "a connected API")
            notification, _ = field.report()
            took = field.begun(notification)
            limit = 1.5 if connects else SECONDS + MARGIN
            checks.that("TLS with %s: %s, and a recovery begins (%.2f s)" % (
                name, "connected" if connects else "not connected", took), took < limit)
            if not connects:
                checks.that("TLS with a stranger's: told why", "certificate" in engine.said().lower(), engine.said()[-1500:])
        finally:
            field.stop()


def upstream_api(checks, tachi, broker, venv):
    """Upstream's own API casts to our engine, on the same MariaDB."""
    authority = re.match(r"[a-z]+://([^/]*)/", os.environ["TACHI_TEST_MYSQL_URL"]).group(1)
    url = "mysql+pymysql://%s/tachi_casts" % authority
    upstream = Upstream(venv, url, broker.url)
    upstream.make_database()
    # Its own sweep is far away: what is begun at once was begun by a cast.
    field = Field(tachi, broker.url, sweep=60, database=url)
    try:
        upstream.use(field.region)
        upstream.start_api()
        field.protect(upstream.api)
        engine = field.engine("one", options=[("DEFAULT", "debug", "true")])
        engine.until_said("connected to the broker")
        dead = field.hosts.pop(1)
        servers = field.region.admin("POST", "/servers", {"host": dead, "count": 3, "metadata": {"HA_Enabled": "True"}})["ids"]
        field.region.admin("POST", "/hosts/%s/power" % dead, {"on": False})
        notification, _ = field.report_host(dead, upstream.api)
        took = field.begun(notification)
        checks.that("a cast of upstream's API is taken up at once (%.2f s)" % took, took < 3)
        end = field.ended(notification, 120)
        checks.equal("and our engine recovers the host", end, "finished")
        where = [field.region.admin("GET", "/servers/" + server)["server"]["host"] for server in servers]
        checks.that("every instance is elsewhere", len(where) == 3 and dead not in where, where)
        status, shown = field.call("GET", "/notifications/" + notification, api=upstream.api)
        details = shown["notification"].get("recovery_workflow_details") if status == 200 else shown
        checks.that("our engine tells upstream's API how far it is", status == 200 and details
                    and {"name", "progress", "progress_details", "state"} <= set(details[0]), (status, shown))
        ours = field.call("GET", "/notifications/" + notification)[1]["notification"]["recovery_workflow_details"]
        checks.equal("word for word what our own API tells", details, ours)
        checks.that("the caller's token is in no log", field.token not in engine.said(), "it is")
        checks.that("nor is the broker's password", "guest:guest" not in engine.said(), "it is")
        # A message that nobody understands is thrown away, and the next one is heard.
        upstream.publish(b"\xff\xfe{", b"[" * 100000, b'{"oslo.version": "2.0", "oslo.message": "{\\"method\\": \\"x\\"}"}')
        engine.until_said("dropped an invalid message from the queue of an upstream API")
        wait(lambda: engine.said().count("dropped an invalid message from the queue of an upstream API") == 3, "all of them")
        took = field.begun(field.report(upstream.api)[0])
        checks.that("hostile messages are counted and stop nobody (%.2f s)" % took, took < 3)
        thrown = [line for line in engine.numbers("tachi_bus_consumed_total") if '"not_json"' in line]
        checks.that("they are counted by what is wrong", thrown and thrown[0].endswith(" 2"), thrown)
        r21(checks, field, broker, upstream, engine)
    finally:
        field.stop()
        upstream.stop()


def r21(checks, field, broker, upstream, engine):
    """Upstream's own engine comes while ours is at work, and ours is to start while it is."""
    upstream.start_engine()
    wait(lambda: queues(broker).get("ha_engine", ("", 0))[1] == 2, "upstream's engine to consume", 60)
    engine.until_said("upstream engine consumes the same queue")
    checks.that("an engine of upstream beside ours is told of", True)
    told = wait(lambda: "masakari-engine consumes" in field.operator("status"), "a word of the engine about it", 20, 0.5)
    checks.that("and by tachi status", told)
    second = field.engine("two", until=None)
    code = second.process.wait(60)
    checks.that("an engine of ours refuses to start beside it",
                code == 1 and "--upstream-engine-stopped" in second.said(), (code, second.said()))
    sure = field.engine("three", words=["--upstream-engine-stopped"])
    checks.that("unless somebody says that it is none", sure.process.poll() is None)
    sure.stop()
    upstream.stop_engine()
    engine.until_said("all upstream engines have stopped")
    field.engine("four")
    checks.that("and starts beside engines of ours", True)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tachi", required=True)
    parser.add_argument("--upstream", required=True, help="the environment of tests/upstream/venv.sh")
    parser.add_argument("--only", default="", help="only these, with commas between")
    options = parser.parse_args()
    checks, broker = Checks(), Broker()
    tachi = os.path.abspath(options.tachi)
    every = {
        "wake_ups": lambda: check_wake_ups(checks, tachi, broker),
        "killed": lambda: check_killed_connection(checks, tachi, broker),
        "absent": lambda: check_absent_broker(checks, tachi, broker),
        "silent": lambda: check_silent_broker(checks, tachi),
        "blocked": lambda: check_blocked_broker(checks, tachi, broker),
        "tls": lambda: tls(checks, tachi, broker),
        "upstream": lambda: upstream_api(checks, tachi, broker, options.upstream),
    }
    try:
        for name, run in every.items():
            if options.only and name not in options.only.split(","):
                continue
            try:
                run()
            except TimeoutError as error:
                checks.that(name, False, error)
    finally:
        broker.stop()
    return checks.end()


if __name__ == "__main__":
    with tempfile.TemporaryDirectory(prefix="tachi-rabbitmq-") as scratch:
        os.environ["TMPDIR"] = scratch
        tempfile.tempdir = scratch
        sys.exit(main())
