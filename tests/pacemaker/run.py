"""A real Pacemaker cluster dies in every way it knows, and every notification of every bridge is counted.

Three control nodes and two remotes in network namespaces, a bridge on each, and a recorder in the place of the API that
knows the truth: a report of a running host as NORMAL, or of a host without power as STARTED, is false. Names begin with the weakness of
the Python monitor that they show to be mended.
"""
import argparse
import base64
import json
import os
import re
import shutil
import signal
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(os.path.dirname(HERE), "client"), HERE]

from checks import Checks  # noqa: E402
from field import Field, wait  # noqa: E402


class Story:
    """The reports since the start of the chapter, and the time until each fencing was accepted."""

    def __init__(self, field, checks):
        self.field, self.checks = field, checks
        self.seen = 0
        self.took = {"member": [], "remote": []}

    def since(self):
        return [(post["host"], post["event"], post["status"]) for post in self.field.accepted()[self.seen:]]

    def until(self, expected, seconds, what):
        """Waits for the expected reports; the end of the chapter shows additional ones."""
        wait(lambda: all(self.since().count(one) >= expected.count(one) for one in expected), what, seconds)

    def fenced(self, node, since, seconds=90, kind="member"):
        """The node was fenced and that was told: notes how long the latter took."""
        at = wait(lambda: self.field.fenced_at(node, since), "fencing of " + node, seconds)
        told = wait(lambda: [post for post in self.field.accepted()[self.seen:]
                             if post["host"] == node and post["status"] == "NORMAL" and post["event"] == "STOPPED"],
                    "report of " + node, 30)
        if kind:
            self.took[kind].append(told[0]["at"] - at)
        return told[0]

    def chapter(self, name, expected):
        told = sorted(self.since())
        self.seen = len(self.field.accepted())
        self.checks.equal(name, told, sorted(expected))


def stopped(node):
    return (node, "STOPPED", "NORMAL")


def unknown(node):
    return (node, "STOPPED", "UNKNOWN")


def started(node):
    return (node, "STARTED", "NORMAL")


def quiet(story, seconds):
    """Waits for a time without reports; the end of the chapter shows any."""
    time.sleep(seconds)


def power_pulled(story, field, checks, node="cmp1", kind="member"):
    began = time.time()
    field.kit("kill", node)
    post = story.fenced(node, began, kind=kind)
    evidence = json.loads(base64.b64decode(post["evidence"]))
    checks.that("evidence names node, action and time", evidence["target"] == node and evidence["action"] == "off"
                and evidence["kind"] == "pacemaker_fence", evidence)
    body = re.fullmatch(r'\{"notification": \{"type": "COMPUTE_HOST", "hostname": "%s", "generated_time": '
                        r'"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{6})?", "payload": \{"event": "STOPPED", '
                        r'"cluster_status": "OFFLINE", "host_status": "NORMAL"\}\}\}' % node, post["body"])
    checks.that("the body is upstream's, byte for byte", body is not None, post["body"])
    # The cluster tries to reconnect: the node flaps between online and offline.
    quiet(story, 20)
    story.chapter("power pulled: one STOPPED, and no STARTED while the node flaps", [stopped(node)])
    field.back(node)
    field.bridge(node)
    story.until([started(node)], 60, "STARTED of " + node)
    wait(lambda: all(field.told(control, node) == "started" for control in field.controls),
         "bridge on each control node that knows it", 10)
    quiet(story, 3)
    story.chapter("a host that is back is reported once", [started(node)])


def link_cut(story, field, checks):
    began = time.time()
    field.kit("deny", "cmp2")
    field.kit("cut", "cmp2")
    field.kit("wait", "cmp2", "lost", "90", seconds=120)
    story.until([unknown("cmp2")], 60, "UNKNOWN of cmp2")
    quiet(story, 15)
    story.chapter("link cut and fencing refused: never NORMAL, once UNKNOWN", [unknown("cmp2")])
    field.kit("allow", "cmp2")
    post = story.fenced("cmp2", began, 60)
    took = post["at"] - field.fenced_at("cmp2", began)
    checks.that("reported within 5 s of the success (%.2f s)" % took, took < 5, took)
    quiet(story, 5)
    story.chapter("fencing allowed: one NORMAL", [stopped("cmp2")])
    field.kit("heal", "cmp2")
    field.back("cmp2")
    field.bridge("cmp2")
    story.until([started("cmp2")], 60, "STARTED of cmp2")
    story.chapter("and one STARTED", [started("cmp2")])


def planned_stop(story, field, _checks):
    role = ["crm_resource", "--resource", "cmp1", "--meta", "--set-parameter", "target-role", "--parameter-value"]
    field.kit("exec", field.dc(), *role, "Stopped")
    field.kit("wait", "cmp1", "clean-offline", "60", seconds=90)
    quiet(story, 15)
    field.kit("exec", field.dc(), *role, "Started")
    field.kit("wait", "cmp1", "up", "60", seconds=90)
    quiet(story, 8)
    story.chapter("a planned stop, with an old success in the history: nothing", [])


def daemon_stopped(story, field, _checks):
    began = time.time()
    field.kit("exec", "cmp1", "pkill", "-TERM", "-x", "pacemaker-remot", check=False)
    story.fenced("cmp1", began)
    quiet(story, 3)
    story.chapter("the remote daemon stopped: the cluster fences the machine, and that is reported", [stopped("cmp1")])
    field.back("cmp1")
    field.bridge("cmp1")
    story.until([started("cmp1")], 60, "STARTED of cmp1")
    story.chapter("and its return", [started("cmp1")])


def dc_killed(story, field, checks):
    # A bridge that dies at the moment of the API's answer cannot announce the answer, so the report is repeated.
    quiet(story, 2)
    dc = field.dc()
    began = time.time()
    field.kit("kill", dc)
    # The bridge that was first in line has died with it: another takes over.
    post = story.fenced(dc, began, kind=None)
    took = post["at"] - field.fenced_at(dc, began)
    checks.that("the DC and its bridge die: reported by another within 10 s (%.2f s)" % took, took < 10, took)
    quiet(story, 15)
    story.chapter("the DC killed: it alone is told, no host that was connected through it", [stopped(dc)])
    wait(lambda: field.fenced_at(dc, began), "fencing of " + dc)
    field.back(dc)
    field.bridge(dc)
    story.until([started(dc)], 90, "STARTED of " + dc)
    wait(field.all_up, "a whole cluster", 120, 1)
    story.chapter("and its return", [started(dc)])


def api_away(story, field, checks, seconds):
    field.away(True)
    began = time.time()
    field.kit("kill", "cmp2")
    at = wait(lambda: field.fenced_at("cmp2", began), "fencing of cmp2")
    wait(lambda: [post for post in field.posts() if post["code"] == 503 and post["host"] == "cmp2"], "an attempt", 30)
    teller = [node for node in field.controls + field.computes
              if os.path.exists(os.path.join(field.work, "state-" + node, "host", "spool"))
              and any(os.path.getsize(os.path.join(field.work, "state-" + node, "host", "spool", name))
                      for name in os.listdir(os.path.join(field.work, "state-" + node, "host", "spool")))]
    time.sleep(seconds / 2)
    # Killed with the report in its spool, and started again.
    for node in field.controls:
        field.kill_bridge(node)
        field.bridge(node)
    time.sleep(seconds / 2)
    checks.that("nothing was accepted meanwhile (spools: %s)" % ", ".join(teller), not story.since(), story.since())
    field.away(False)
    story.until([stopped("cmp2")], 30, "report of cmp2")
    quiet(story, 10)
    first = [post for post in field.posts() if post["host"] == "cmp2" and post["code"] == 503][-1]
    told = [post for post in field.accepted() if post["host"] == "cmp2"][-1]
    checks.equal("with the time of the event, not of the delivery", told["generated"][:19], first["generated"][:19])
    checks.that("dated within 5 s of the fencing", abs(generated(told) - at) < 5, (told["generated"], at))
    story.chapter("the API away for %d s and every bridge of a control node killed: one" % seconds, [stopped("cmp2")])
    field.back("cmp2")
    field.bridge("cmp2")
    story.until([started("cmp2")], 60, "STARTED of cmp2")
    story.chapter("and its return", [started("cmp2")])


def generated(post):
    from field import parse
    return parse(post["generated"] + "+00:00")


def bridges_down(story, field, _checks):
    for node in list(field.bridges):
        field.kill_bridge(node)
    began = time.time()
    field.kit("kill", "cmp1")
    wait(lambda: field.fenced_at("cmp1", began), "fencing of cmp1")
    quiet(story, 3)
    for node in field.controls + ["cmp2"]:
        field.bridge(node)
    story.until([stopped("cmp1")], 30, "report of cmp1")
    quiet(story, 10)
    story.chapter("every bridge killed, a host dies, the bridges return: reported once", [stopped("cmp1")])
    for node in field.controls + ["cmp2"]:
        field.kill_bridge(node)
        field.bridge(node)
    quiet(story, 10)
    story.chapter("and not again when they return once more", [])
    field.back("cmp1")
    field.bridge("cmp1")
    story.until([started("cmp1")], 60, "STARTED of cmp1")
    story.chapter("and its return", [started("cmp1")])


def tool_hangs(story, field, checks):
    """`crm_mon` stops answering on the DC's node: the bridge there becomes blind and another reports."""
    dc = field.dc()
    field.kit("exec", dc, "sh", "-c", "ln -sf /run/sbin/crm_mon /run/crm_mon.real; "
              "printf '#!/bin/sh\\nexec sleep 1000\\n' >/run/slow; chmod 755 /run/slow; ln -sfn /run/slow /usr/sbin/crm_mon")
    log = os.path.join(field.work, "bridge-%s.log" % dc)
    before = os.path.getsize(log)

    def blind():
        with open(log, encoding="utf-8", errors="replace") as file:
            file.seek(before)
            return "has not answered within" in file.read()
    began = time.monotonic()
    wait(blind, "blind bridge", 15)
    checks.that("crm_mon hangs: blind after %.1f s" % (time.monotonic() - began), True)
    killed = time.time()
    field.kit("kill", "cmp2")
    story.fenced("cmp2", killed, kind=None)
    field.kit("exec", dc, "ln", "-sfn", "/run/sbin/crm_mon", "/usr/sbin/crm_mon")
    quiet(story, 15)
    story.chapter("another bridge reports, and the first does not repeat it", [stopped("cmp2")])
    field.back("cmp2")
    field.bridge("cmp2")
    story.until([started("cmp2")], 60, "STARTED of cmp2")
    story.chapter("and its return", [started("cmp2")])


def remotes_only(story, field, checks, rounds):
    """No bridge on any control node, no alerts: what the charms deploy."""
    for node in field.controls:
        field.kill_bridge(node, signal.SIGTERM)
    # Those on remotes stood by; they have noticed after one `standby_interval`.
    quiet(story, 7)
    for _ in range(rounds):
        began = time.time()
        field.kit("kill", "cmp1")
        story.fenced("cmp1", began, kind="remote")
        quiet(story, 2)
        story.chapter("bridges on remotes only: one STOPPED", [stopped("cmp1")])
        field.back("cmp1")
        field.bridge("cmp1")
        story.until([started("cmp1")], 60, "STARTED of cmp1")
        story.chapter("and its return", [started("cmp1")])
    for node in field.controls:
        field.bridge(node)
    wait(lambda: all(field.watching(node) for node in field.controls), "watching bridges", 30)


def quorum_lost(story, field, _checks):
    others = [node for node in field.controls if node != "ctl1"]
    for node in others:
        field.kit("deny", node)
    field.kit("deny", "cmp1")
    field.kit("deny", "cmp2")
    for node in others:
        field.kit("cut", node)
    wait(lambda: 'with_quorum="false"' in field.mon("ctl1"), "loss of the quorum", 60, 0.5)
    quiet(story, 30)
    story.chapter("quorum lost and every remote looks offline: nothing", [])


def idle(field, checks, seconds=120):
    """What a bridge costs where nothing happens: first in line on a control node, standing by on a remote."""
    nodes = field.controls + field.computes
    before = {node: field.seconds_of_cpu(node) for node in nodes}
    time.sleep(seconds)
    shares = {}
    for node in nodes:
        shares[node] = [(now - then) * 100 / seconds for now, then in zip(field.seconds_of_cpu(node), before[node])]
    text = ", ".join("%s %.2f + %.2f" % (node, *shares[node]) for node in nodes)
    checks.that("idle, in percent of a core, own + Pacemaker's programs: " + text,
                all(own < 0.1 for own, _ in shares.values()), shares)


def p99(values):
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * 0.99))]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--monitor", required=True)
    parser.add_argument("--long", action="store_true")
    parser.add_argument("--rounds", type=int, default=0)
    parser.add_argument("--only", default="")
    parser.add_argument("--keep", action="store_true")
    given = parser.parse_args()
    rounds = given.rounds or (20 if given.long else 2)
    os.environ.setdefault("FIXTURE_TTL", "7200" if given.long else "1800")
    work = tempfile.mkdtemp(prefix="tp.")
    os.chmod(work, 0o755)
    checks = Checks()
    field = Field(os.path.abspath(given.monitor), work, "tp%d" % (os.getpid() % 10000))
    story = Story(field, checks)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    chapters = [
        ("idle", lambda: idle(field, checks) if given.long or "idle" in given.only else None),
        ("power", lambda: [power_pulled(story, field, checks) for _ in range(rounds)]),
        ("link", lambda: link_cut(story, field, checks)),
        ("planned", lambda: planned_stop(story, field, checks)),
        ("daemon", lambda: daemon_stopped(story, field, checks)),
        ("api", lambda: api_away(story, field, checks, 600 if given.long else 30)),
        ("bridges", lambda: bridges_down(story, field, checks)),
        ("hang", lambda: tool_hangs(story, field, checks)),
        ("dc", lambda: dc_killed(story, field, checks)),
        ("remotes", lambda: remotes_only(story, field, checks, rounds)),
        ("quorum", lambda: quorum_lost(story, field, checks)),
    ]
    try:
        field.record()
        for node in field.controls + field.computes:
            field.bridge(node)
        wait(lambda: all(field.watching(node) for node in field.controls + field.computes), "watching bridges", 60)
        for name, chapter in chapters:
            if given.only and name not in given.only.split(","):
                continue
            try:
                chapter()
            except (AssertionError, OSError) as error:
                checks.that("%s: %s" % (name, error), False, story.since())
                story.seen = len(field.accepted())
                wait(field.all_up, "a whole cluster", 120, 1)
        accepted = field.accepted()
        false = [post for post in accepted if (post["status"] == "NORMAL") and (post["on"] == (post["event"] == "STOPPED"))]
        codes = [post["code"] for post in field.posts()]
        checks.equal("notifications: %d accepted, %d known to the letter (409), %d refused (503); false ones" % (
            len(accepted), codes.count(409), codes.count(503)), false, [])
        for kind, limit in (("member", 1.0), ("remote", 3.0)):
            took = story.took[kind]
            if took:
                checks.that("fence agent done to notification accepted, %s: %s (n=%d, p50 %.2f s, p99 %.2f s, budget %.0f s)" % (
                    kind, "bridge on control nodes" if kind == "member" else "bridges on remotes only", len(took),
                    sorted(took)[len(took) // 2], p99(took), limit), p99(took) < limit, sorted(took))
    except BaseException:
        for name in sorted(os.listdir(work)):
            if name.endswith(".log"):
                with open(os.path.join(work, name), encoding="utf-8", errors="replace") as file:
                    print("--- %s\n%s" % (name, "".join(file.readlines()[-20:])))
        raise
    finally:
        if not given.keep:
            field.stop()
            shutil.rmtree(work, ignore_errors=True)
    return checks.end()


if __name__ == "__main__":
    sys.exit(main())
