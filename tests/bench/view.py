#!/usr/bin/env python3
"""What the operator's view costs in a region of 1,000 hosts with 50 instances each: who watches, commands, the API, the web board.

Two engines run beside the API on one database, and nothing fails: what the one that watches uses beyond the other is what watching costs.
It is waited until everything has been seen once, instances and room, and then measured over some minutes.
"""
import argparse
import datetime
import gzip
import json
import os
import platform
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.append(os.path.join(HERE, "..", "client"))

from bench import token_of
from database import MariaDb
from engine import Scene, Watch, cpu
from freshness import Caller
from report import Report

# A round of who watches is 11, 15 or 19 s after the one before.
PAUSE = 5.0
PAGE = "GET /compute/v2.1/servers/detail"
# What an engine tests devices by when it watches; set, it counts for both, so that tests are no part of the difference.
OPTIONS = [("fencing", "self_test_interval", 40), ("board", "enabled", "true")]
# Kept by the page itself: when it had drawn so many rows, by its own clock, which begins with the navigation.
DRAWN = """wanted => { window.drawn = null; const look = () => {
    if (document.querySelectorAll('tbody tr').length >= wanted) window.drawn = performance.now(); else requestAnimationFrame(look); };
    requestAnimationFrame(look); }"""


class Region(Scene):
    """A region at rest: every host in a segment of its zone, two engines."""

    def __init__(self, args):
        options = list(OPTIONS)
        if args.mariadb:
            self.db = MariaDb(args.mariadb, "view")
            options.append(("database", "connection", self.db.url))
            with tempfile.NamedTemporaryFile("w", suffix=".conf") as conf:
                conf.write("[database]\nconnection = %s\n" % self.db.url)
                conf.flush()
                subprocess.run([args.tachi, "db", "sync", "--config-file", conf.name], check=True, capture_output=True, timeout=120)
            self.rows = lambda sql: [line.split("\t") for line in self.db.run(sql).splitlines()]
        super().__init__(args.tachi, args.hosts, engines=2, options=options)
        for host in self.hosts:
            self.region.admin("POST", "/servers", {"host": host, "count": args.each})

    def command(self, *words):
        return [self.region.binary, *words, *self.region.config_files()]

    def watching(self):
        """The engine that watches, and the other; by its name, in which its process is."""
        found = self.rows("SELECT value FROM fact WHERE kind = 'watcher'")
        by = json.loads(found[0][0])["by"] if found else ""
        ours = [engine for engine in self.engines if ":%d:" % engine.pid in by]
        return (ours[0], next(one for one in self.engines if one is not ours[0])) if ours else None

    def seen_all(self, instances):
        """Whether everything has been seen once: each instance, and what each host has."""
        told = self.situation()
        counts = told["instances"] or {}
        codes = {one["code"] for one in told["findings"]}
        return sum(counts.values()) == instances and not codes & {"ROOM_UNKNOWN", "INSTANCES_NOT_LISTED", "FENCE_NOT_TESTED"}

    def situation(self):
        return self.caller.call("GET", "/operator/v1/situation")["situation"]


def settle(scene, args):
    began = time.monotonic()
    wanted = args.hosts * args.each
    scene.wait(lambda: scene.seen_all(wanted), "sight of everything", args.patience, 5)
    took = time.monotonic() - began
    print("everything was seen after %.0f s" % took, flush=True)
    return took


def pages_of_rounds(scene, seconds):
    """How many pages of servers were asked for in each round that is over: the region counts them, and what comes within a few seconds is one round."""
    rounds, before, last, until = [], 0, 0.0, time.monotonic() + seconds
    while (now := time.monotonic()) < until:
        count = scene.region.admin("GET", "/requests")["counts"].get(PAGE, 0)
        if count > before:
            if not rounds or now - last > PAUSE:
                rounds.append(0)
            rounds[-1] += count - before
            before, last = count, now
        time.sleep(1)
    return rounds


def watcher(scene, args, report):
    """What the one that watches uses beyond the other, over some minutes at rest."""
    ours, other = scene.watching()
    scene.region.admin("DELETE", "/requests")
    watch = Watch({"watching": ours.pid, "other": other.pid, "api": scene.region.server.pid})
    watch.start()
    pages = pages_of_rounds(scene, args.rest)
    watch.finish()
    if scene.watching()[0] is not ours:
        raise SystemExit("another engine watches meanwhile: the figures say nothing")
    told = scene.region.admin("GET", "/requests")
    nova = sum(number for route, number in told["counts"].items() if "/compute/" in route)
    placement = sum(number for route, number in told["counts"].items() if "/placement" in route)
    minutes = watch.seconds / 60
    cores = {name: watch.cores(name) for name in watch.used}
    memory = {name: rss(pid) for name, pid in watch.pids.items()}
    report.keep("watcher", {"seconds": round(watch.seconds, 1), "cores": cores, "memory_mib": memory, "pages": pages,
                            "nova_a_minute": nova / minutes, "placement_a_minute": placement / minutes, "routes": told["counts"]})
    report.below("watching, beyond an engine that does not: cores", cores["watching"] - cores["other"], "", 0.02,
                 "%.1f s of processor time a minute; an engine that does not watch %.1f s" % (
                     60 * (cores["watching"] - cores["other"]), 60 * cores["other"]))
    report.below("  memory beyond that of the other", memory["watching"] - memory["other"], "MiB", 30,
                 "%.0f and %.0f MiB" % (memory["watching"], memory["other"]))
    report.below("  pages of Nova's servers in a round, at most", max(pages), "", 3.01, "%d rounds" % len(pages))
    report.below("  Nova's requests a minute, both engines", nova / minutes, "", 60, "Placement's: %.0f" % (placement / minutes))


def rss(pid):
    """What of a process is in memory and nobody else's, in MiB: two engines share the program itself."""
    with open("/proc/%d/smaps_rollup" % pid, encoding="utf-8") as f:
        found = dict(line.split(":", 1) for line in f if ":" in line)
    return sum(int(found[name].split()[0]) for name in ("Private_Clean", "Private_Dirty")) / 1024


def run(words, scene):
    """Wall and processor time of a whole process, in ms, and what it printed."""
    with tempfile.TemporaryFile() as out:
        began = time.monotonic()
        process = subprocess.Popen(words, cwd=scene.region.work, env=scene.region.environment, stdin=subprocess.DEVNULL, stdout=out, stderr=out)
        _, status, used = os.wait4(process.pid, 0)
        took = time.monotonic() - began
        process.returncode = os.waitstatus_to_exitcode(status)
        out.seek(0)
        text = out.read().decode()
    return took * 1000, (used.ru_utime + used.ru_stime) * 1000, process.returncode, text


def commands(scene, args, report):
    """Each command as a whole process, from facts. Median, for other work on the machine is none of theirs."""
    host = scene.hosts[len(scene.hosts) // 2]
    instance = next(one["id"] for one in scene.region.admin("GET", "/servers") if one["host"] == host)
    for name, words, target, codes in (
            ("tachi status", ("status",), 100, (0,)),
            ("tachi status HOST", ("status", host), 100, (0,)),
            ("tachi show HOST", ("show", host), 100, (0,)),
            ("tachi show INSTANCE", ("show", instance), 100, (0,)),
            ("tachi forecast", ("forecast",), 1000, (0,)),
            ("tachi mon --once", ("mon", "--once"), 250, (0,)),
            ("tachi doctor", ("doctor",), 10_000, (0, 1, 2, 3))):
        measured = []
        for _ in range(args.times if name != "tachi doctor" else 3):
            wall, used, code, text = run(scene.command(*words), scene)
            if code not in codes or not text.strip():
                raise SystemExit("%s ended with %d: %s" % (name, code, text[-800:]))
            measured.append((wall, used))
        walls, used = zip(*measured)
        report.keep(name, {"wall_ms": [round(one, 1) for one in walls], "cpu_ms": [round(one, 1) for one in used]})
        report.below("`%s`, median of %d" % (name, len(walls)), statistics.median(walls), "ms", target,
                     "least %.0f ms, processor %.0f ms" % (min(walls), statistics.median(used)))


def api(scene, args, report):
    """What the board and `--os-cloud` ask for."""
    for name, path, target in (("situation", "/operator/v1/situation", 150), ("hosts", "/operator/v1/hosts", 150), ("forecast", "/operator/v1/forecast", 150)):
        caller, walls, size = Caller(scene.region.api, token_of(scene.region)), [], 0
        before = cpu(scene.region.server.pid)
        for _ in range(args.times):
            began = time.monotonic()
            caller.connection.request("GET", path, None, caller.headers)
            text = caller.connection.getresponse().read()
            walls.append((time.monotonic() - began) * 1000)
            size = len(text)
        used = (cpu(scene.region.server.pid) - before) * 1000 / args.times
        report.keep("GET " + path, {"wall_ms": [round(one, 1) for one in walls], "bytes": size, "gzip": len(gzip.compress(text, 6)), "cpu_ms": used})
        report.below("GET %s, median of %d" % (path, len(walls)), statistics.median(walls), "ms", target, "%d KiB, processor %.0f ms" % (size // 1024, used))


class Board:
    """The web board in Debian's Chromium."""

    def __init__(self, scene, driver):
        self.scene = scene
        self.browser = driver.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        self.context = self.browser.new_context(viewport={"width": 1280, "height": 900})
        self.context.add_cookies([{"name": "tachi-board", "value": token_of(scene.region), "domain": "127.0.0.1", "path": "/board"}])

    def page(self, to, rows):
        page = self.context.new_page()
        page.add_init_script("(%s)(%d)" % (DRAWN, rows))
        page.goto(self.scene.region.api + "/board/#/" + to)
        page.wait_for_function("() => window.drawn", timeout=60_000)
        return page

    def drawn(self, to, rows, times):
        """From the navigation to the last row, in ms, of pages that nothing is kept of."""
        measured = []
        for _ in range(times):
            page = self.page(to, rows)
            measured.append(page.evaluate("window.drawn"))
            page.close()
        return measured


def board(scene, args, report):
    from playwright.sync_api import sync_playwright
    with sync_playwright() as driver:
        looker = Board(scene, driver)
        for name, to, rows in (("Now", "now", 5), ("Hosts", "hosts", args.hosts), ("Forecast", "forecast", 1)):
            measured = looker.drawn(to, rows, args.times)
            report.keep("board " + name, {"ms": [round(one) for one in measured]})
            report.below("board: %s from navigation to drawn, median of %d" % (name, len(measured)), statistics.median(measured), "ms", 1000,
                         "least %.0f ms" % min(measured))
        page = looker.page("hosts", args.hosts)
        page.wait_for_function("() => document.body.innerText.includes('live, seen')")
        before, began = cpu(scene.region.server.pid), time.monotonic()
        time.sleep(args.rest / 4)
        cores = (cpu(scene.region.server.pid) - before) / (time.monotonic() - began)
        report.below("  cores of the API while Hosts is open in one browser", cores, "", 0.1)
        dead = scene.hosts[7]
        scene.region.admin("POST", "/hosts/%s/power" % dead, {"on": False})
        began = time.monotonic()
        scene.report([dead])
        page.wait_for_selector("tr:has-text('%s'):has-text('dead')" % dead, timeout=30_000)
        took = time.monotonic() - began
        report.keep("board live", {"seconds": round(took, 2)})
        report.below("  a host's death on the board after its report", took, "s", 2)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tachi", required=True, help="the binary")
    parser.add_argument("--mariadb", help="the URL of a server's administrator; SQLite without it")
    parser.add_argument("--hosts", type=int, default=1000)
    parser.add_argument("--each", type=int, default=50, help="instances on each host")
    parser.add_argument("--rest", type=float, default=180.0, help="seconds at rest")
    parser.add_argument("--times", type=int, default=9, help="how often each answer is measured")
    parser.add_argument("--patience", type=float, default=1800.0, help="seconds until everything has to be seen")
    parser.add_argument("--no-board", action="store_true", help="without a browser")
    parser.add_argument("--json", help="write the figures here")
    args = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    report = Report()
    scene = Region(args)
    try:
        report.keep("settled_seconds", round(settle(scene, args)))
        watcher(scene, args, report)
        commands(scene, args, report)
        api(scene, args, report)
        if not args.no_board:
            board(scene, args, report)
    finally:
        scene.stop()
        print(report.table(), flush=True)
    about = {"when": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"), "cores": os.cpu_count(),
             "machine": platform.machine(), "database": "MariaDB" if args.mariadb else "SQLite", "load_average": os.getloadavg()[0],
             "hosts": args.hosts, "instances": args.hosts * args.each}
    if args.json:
        report.write(args.json, about)
    reached, missed = report.counts()
    print("%d passed, %d failed" % (reached, missed))
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
