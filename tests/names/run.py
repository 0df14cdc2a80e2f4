#!/usr/bin/env python3
"""Masakari's programs, and ours under their names: the same words give the same exit code, and what scripts read.

Upstream's are the ones from PyPI, in their two environments. Where we differ on purpose the row says what and why.
"""
import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from concurrent.futures import ThreadPoolExecutor

sys.path.append(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from ports import free_port

HEAD = "13adff5efb9a"
MONITORS = ("masakari-hostmonitor", "masakari-instancemonitor", "masakari-processmonitor",
            "masakari-introspectiveinstancemonitor")
# Program, its words, ours where it differs on purpose: (code, why).
COMMANDS = [
    ("masakari-api", ["--version"], None),
    ("masakari-api", ["--config-file", "/nowhere.conf"], None),
    ("masakari-api", ["--nonsense"], None),
    ("masakari-engine", ["--help"], None),
    ("masakari-engine", ["--config-file", "/nowhere.conf", "--debug", "--log-file", "/dev/null"], None),
    ("masakari-engine", ["word"], None),
    ("masakari-manage", [], None),
    ("masakari-manage", ["--version"], None),
    ("masakari-manage", ["nothing"], None),
    ("masakari-manage", ["db", "nothing"], None),
    ("masakari-manage", ["db"], (2, "a traceback there; what is missing is usage")),
    ("masakari-manage", ["--config-file", "/nowhere.conf", "db", "sync"], None),
    ("masakari-manage", ["@conf", "db", "version"], None),
    ("masakari-manage", ["@conf", "db", "sync"], None),
    ("masakari-manage", ["@conf", "db", "version"], None),
    ("masakari-manage", ["@conf", "--nodebug", "db", "sync"], None),
    ("masakari-manage", ["@conf", "db", "sync", "3"], None),
    ("masakari-manage", ["@conf", "db", "sync", "c6214ca60943"], None),
    ("masakari-manage", ["@conf", "db", "purge"], None),
    ("masakari-manage", ["@conf", "db", "purge", "--age_in_days", "1", "--max_rows", "5"], None),
    ("masakari-manage", ["@conf", "db", "purge", "--age_in_days=-1"], None),
    ("masakari-manage", ["@conf", "db", "purge", "--age_in_days", "99999999"], None),
    ("masakari-manage", ["@conf", "db", "purge", "--max_rows", "0"], None),
    ("masakari-manage", ["@conf", "db", "purge", "--max_rows", "x"], None),
    ("masakari-status", [], None),
    ("masakari-status", ["upgrade"], None),
    ("masakari-status", ["upgrade", "nothing"], (2, "whatever the word is, it checks there")),
    ("masakari-status", ["--config-file", "/nowhere.conf", "upgrade", "check"],
     (255, "1 means warnings; upstream's own documents give 255 for what could not be checked")),
    ("masakari-status", ["@conf", "upgrade", "check"], (2, "we ask Nova too, and there is none")),
    ("masakari-status", ["@conf", "upgrade", "check", "--json"], (2, "we ask Nova too, and there is none")),
] + [(program, words, None) for program in MONITORS
     for words in (["--version"], ["--config-file", "/nowhere.conf"], ["--nonsense"])
     if program == MONITORS[0] or words == ["--nonsense"]]
# What scripts look for in both, by the words.
TOLD = {
    ("masakari-manage", "db", "purge", "--age_in_days=-1"): "Must supply a non-negative value for age.",
    ("masakari-manage", "db", "purge", "--age_in_days", "99999999"): "Maximal age is count of days since epoch.",
    ("masakari-manage", "db", "purge", "--max_rows", "0"): "Must supply value greater than 0 for max_rows.",
    ("masakari-manage",): "Available categories:\n\tdb",
}


class Side:
    """One of the two, with a database of its own."""

    def __init__(self, work, programs):
        self.programs = programs
        self.conf = []
        for number in (1, 2):
            path = os.path.join(work, "%d.conf" % number)
            # The second file wins.
            url = "sqlite:///" + os.path.join(work, "masakari.sqlite" if number == 2 else "wrong.sqlite")
            with open(path, "w", encoding="utf-8") as f:
                f.write("[DEFAULT]\nstate_path = %s\n[database]\nconnection = %s\n[taskflow]\nconnection = %s\n"
                        "[oslo_policy]\npolicy_file = policy.yaml\n" % (work, url, url))
            self.conf += ["--config-file", path]
        self.work = work

    def run(self, program, words):
        words = [one for word in words for one in (self.conf if word == "@conf" else [word])]
        return subprocess.run([os.path.join(self.programs, program), *words], capture_output=True, text=True, check=False,
                              stdin=subprocess.DEVNULL, timeout=120, env=dict(os.environ, HOME=self.work))


class Checks:
    passed = failed = 0

    def note(self, name, wrong):
        if wrong:
            self.failed += 1
            print("FAILED  %s: %s" % (name, wrong))
        else:
            self.passed += 1
            print("ok      %s" % name)


def all_of(side):
    # A database is touched by one command at a time.
    return [side.run(program, words) for program, words, _ in COMMANDS]


def last_line(text):
    return text.strip().splitlines()[-1] if text.strip() else ""


def compared(row, theirs, ours):
    """What is wrong, or nothing."""
    program, words, differs = row
    wanted = differs[0] if differs else theirs.returncode
    if ours.returncode != wanted:
        return "exit %d, theirs %d:\n%s%s" % (ours.returncode, theirs.returncode, ours.stdout, ours.stderr)
    if differs and theirs.returncode == differs[0]:
        return "the row says that we differ, and we do not"
    told = TOLD.get((program, *(word for word in words if word != "@conf")))
    if told:
        for who, done in (("theirs", theirs), ("ours", ours)):
            if told not in done.stdout + done.stderr:
                return "%s says no %r:\n%s%s" % (who, told, done.stdout, done.stderr)
    if "version" in words and last_line(theirs.stdout) != last_line(ours.stdout):
        return "%r, theirs %r" % (last_line(ours.stdout), last_line(theirs.stdout))
    if "--version" in words and not last_line(ours.stdout)[:1].isdigit():
        return "no bare version: %r" % ours.stdout
    if "--json" in words:
        both = [json.loads(last_line(done.stdout)) for done in (theirs, ours)]
        if both[1]["name"] != both[0]["name"] or both[0]["checks"][0] not in both[1]["checks"]:
            return "%s, theirs %s" % (both[1], both[0])
    if ours.returncode == 2 and program != "masakari-status" and words and "--help" not in ours.stderr \
            and "Usage" not in ours.stderr and "/nowhere.conf" not in ours.stderr:
        return "no usage:\n%s%s" % (ours.stdout, ours.stderr)
    return ""


def waited(process, ready, seconds=30):
    for _ in range(seconds * 20):
        if process.poll() is not None:
            return "ended with %d" % process.returncode
        if ready():
            return ""
        time.sleep(0.05)
    return "not ready within %d s" % seconds


def answers(url):
    def ready():
        try:
            with urllib.request.urlopen(url, timeout=2) as answer:
                return answer.status == 200
        except OSError:
            return False
    return ready


def service(ours, work, program, option, ready_for, section=""):
    """A service under its name: starts with two files, is ready, logs where --log-dir says, ends with 0."""
    port = free_port()
    first, second = os.path.join(work, program + "-1.conf"), os.path.join(work, program + "-2.conf")
    with open(first, "w", encoding="utf-8") as f:
        f.write("[DEFAULT]\nstate_path = %s\nauth_strategy = noauth2\nos_privileged_user_name = nova\n"
                "os_privileged_user_password = p\nos_privileged_user_tenant = services\n"
                "os_privileged_user_auth_url = http://127.0.0.1:1/v3\n" % work)
    with open(second, "w", encoding="utf-8") as f:
        f.write("%s\n%s\n" % (section, option % port))
    logs = os.path.join(work, program + "-logs")
    os.makedirs(logs)
    process = subprocess.Popen([os.path.join(ours, program), "--config-file", first, "--config-file=" + second, "--debug",
                                "--log-dir", logs], stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
                               env=dict(os.environ, XDG_STATE_HOME=work))
    try:
        wrong = waited(process, answers(ready_for % port))
        if not wrong and not any(os.path.getsize(os.path.join(logs, name)) for name in os.listdir(logs)):
            wrong = "no log in %s" % logs
        if not wrong and program.startswith("masakari-") and "monitor" not in program \
                and os.listdir(logs) != [program + ".log"]:
            wrong = "the log is %s" % os.listdir(logs)
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            code = process.wait(timeout=30)
        except subprocess.TimeoutExpired:
            process.kill()
            code = "not at all"
    said = process.stderr.read()
    return (wrong or ("" if code == 0 else "ended with %s" % code)) and "%s %s\n%s" % (wrong, code, said)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tachi", required=True)
    parser.add_argument("--monitor", required=True)
    parser.add_argument("--upstream", required=True, help="folder of upstream's programs")
    parser.add_argument("--upstream-monitors", required=True, help="folder of upstream's monitors")
    args = parser.parse_args()
    checks = Checks()
    with tempfile.TemporaryDirectory(prefix="tachi-names.") as work:
        ours, theirs = os.path.join(work, "ours"), os.path.join(work, "theirs")
        for folder in (ours, theirs):
            os.makedirs(os.path.join(folder, "bin"))
        for program in sorted({program for program, _, _ in COMMANDS}):
            monitor = program in MONITORS
            source = args.monitor if monitor else args.tachi
            os.symlink(os.path.abspath(source), os.path.join(ours, "bin", program))
            source = args.upstream_monitors if monitor else args.upstream
            os.symlink(os.path.join(os.path.abspath(source), program), os.path.join(theirs, "bin", program))
        with ThreadPoolExecutor(2) as pool:
            there, here = pool.map(all_of, [Side(theirs, os.path.join(theirs, "bin")), Side(ours, os.path.join(ours, "bin"))])
        for row, done, mine in zip(COMMANDS, there, here):
            checks.note(" ".join([row[0], *row[1]]), compared(row, done, mine))
        words = ["masakari-manage", "--config-file", os.path.join(ours, "2.conf"), "db", "version"]
        done = subprocess.run([args.tachi, *words], capture_output=True, text=True, check=False)
        checks.note("tachi masakari-manage", "" if done.stdout.strip() in (HEAD, "None") and done.returncode == 0 else done)
        run = os.path.join(ours, "bin")
        checks.note("masakari-api serves", service(run, ours, "masakari-api",
                                                   "[DEFAULT]\nmasakari_api_listen = 127.0.0.1\nmasakari_api_listen_port = %d",
                                                   "http://127.0.0.1:%d/healthcheck"))
        checks.note("masakari-engine looks for work", service(run, ours, "masakari-engine",
                                                              "[engine]\nmetrics_listen = 127.0.0.1:%d",
                                                              "http://127.0.0.1:%d/healthz"))
        for program, name in zip(MONITORS, ("host", "instance", "process", "introspective")):
            checks.note(program + " watches", service(
                run, ours, program, "[monitor]\n" + name + "_listen = 127.0.0.1:%d", "http://127.0.0.1:%d/metrics",
                section="[api]\nauth_url = http://127.0.0.1:1/\nusername = u\npassword = p\nproject_name = p\n"
                        "user_domain_name = d\nproject_domain_name = d"))
    print("%d passed, %d failed" % (checks.passed, checks.failed))
    return 1 if checks.failed else 0


if __name__ == "__main__":
    sys.exit(main())
