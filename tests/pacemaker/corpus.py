#!/usr/bin/env python3
"""Judges the CIBs of Pacemaker's own scheduler tests and compares with the results that Pacemaker expects.

    corpus.py --monitor target/debug/tachi-monitor --scheduler pacemaker-2.1.5/cts/scheduler [--verbose]

Three scenes of each CIB, none of which starts a cluster (crm_mon and crm_simulate read files):

  as it is        nothing was ever fenced
  told            the history holds a success of "off" for each node that is not up: it counts only where Pacemaker takes the node for
                  cleanly offline, and one of the CIB's devices can have switched its power
  after           the state that crm_simulate reaches from here, with a success for each node that it has fenced

"up" is wrong for a node that Pacemaker shows as offline, unclean or pending, or is going to fence. "fenced" is wrong for a node that nobody
has fenced, that is unclean, or that only devices can have fenced which switch no power. Ends with `N passed, M failed`.
"""
import argparse
import collections
import concurrent.futures
import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ET

TABLE = pathlib.Path(__file__).parents[2] / "clients/agents/src/table.rs"
UP, DOWN, GUEST = "up", "down", "guest"
# Cleanly offline, as far as Pacemaker is concerned.
CLEAN = "clean"


def power_agents():
    """The agents of our table that switch power; read, not linked."""
    text = TABLE.read_text().split("const CYCLE_BY_DEFAULT")[0]
    return set(re.findall(r'"([^"]+)"', text))


def section(summary, title):
    found = re.search(r"^%s:\n(.*?)(?=^\S|\Z)" % re.escape(title), summary, re.M | re.S)
    return found.group(1) if found else ""


def nodes_of(text):
    """Each node's state, as a summary of the scheduler shows it."""
    states = {}
    head = text.split("Full List of Resources")[0]
    for kind, names in re.findall(r"\* (Online|OFFLINE|RemoteOnline|RemoteOFFLINE|GuestOnline|GuestOFFLINE): \[ (.*?) \]", head):
        for name in names.split():
            name = name.split(":")[0] if kind.startswith("Guest") else name
            states[name] = GUEST if kind.startswith("Guest") else UP if kind.endswith("Online") else CLEAN
    for kind, name, state in re.findall(r"\* (Node|RemoteNode|GuestNode) (\S+?): (.*)", head):
        if kind == "GuestNode":
            states[name.split(":")[0]] = GUEST
        elif "UNCLEAN" in state or "pending" in state:
            states[name] = DOWN
        elif "OFFLINE" in state or "offline" in state:
            states[name] = CLEAN
        else:
            states[name] = UP
    return states


def expected(summary):
    before = nodes_of(section(summary, "Current cluster status"))
    after = nodes_of(section(summary, "Revised Cluster Status"))
    wanted = set(re.findall(r"^\s+\* Fence \((?:reboot|off)\) (\S+)", section(summary, "Transition Summary"), re.M))
    done = set(re.findall(r"^\s+\* Fencing (\S+) \((?:reboot|off)\)", section(summary, "Executing Cluster Transition"), re.M))
    return before, after, wanted, done


def agents_of(cib):
    """The agents of the CIB's fencing devices, without regard to which node they are for."""
    templates = {one.get("id"): one for one in cib.iter("template")}
    found = set()
    for primitive in cib.iter("primitive"):
        kind = templates.get(primitive.get("template"), primitive)
        if kind.get("class") == "stonith":
            found.add(kind.get("type"))
    return found


def option(cib, name):
    return [one.get("value") for one in cib.iter("nvpair") if one.get("name") == name]


def crm_mon(path):
    env = dict(os.environ, CIB_file=str(path), TZ="UTC", LC_ALL="C")
    run = subprocess.run(["crm_mon", "--output-as=xml", "-1"], env=env, capture_output=True, text=True, timeout=60)
    return run.stdout if run.returncode == 0 else None


def told(mon, names, action="off"):
    """The same output with successes for these nodes, a moment old."""
    tree = ET.fromstring(mon)
    stamp = tree.find("summary/last_update").get("time")
    seconds = int(subprocess.run(["date", "-u", "-d", stamp, "+%s"], capture_output=True, text=True, check=True).stdout)
    old = tree.find("fence_history")
    if old is not None:
        tree.remove(old)
    history = ET.Element("fence_history", status="0")
    for name in sorted(names):
        ET.SubElement(history, "fence_event", action=action, target=name, client="c.1", origin="a", status="success",
                      delegate="b", completed=str(seconds - 20))
    tree.insert(list(tree).index(tree.find("status")), history)
    return ET.tostring(tree, encoding="unicode"), seconds


def quorate(mon):
    """A cluster without quorum is not judged. Which nodes are up does not depend on it, so that all are given it."""
    return mon.replace('with_quorum="false"', 'with_quorum="true"').replace('present="false"', 'present="true" with_quorum="true"')


def with_quorum(cib, to):
    tree = ET.parse(cib)
    tree.getroot().set("have-quorum", "1")
    tree.write(to)
    return to


class Corpus:
    def __init__(self, monitor, scheduler, verbose):
        self.monitor, self.scheduler, self.verbose = monitor, scheduler, verbose
        self.power = power_agents()

    def judge(self, folder, mon, cib, names, seconds):
        (folder / "mon.xml").write_text(mon)
        words = [self.monitor, "host", "explain", "-f", "json", "--crm-mon", str(folder / "mon.xml"), "--cib", str(cib)]
        for name in names:
            words += ["--last-up", "%s=%d" % (name, seconds - 60)]
        run = subprocess.run(words, capture_output=True, text=True, timeout=60)
        if not run.stdout:
            raise RuntimeError(run.stderr)
        return {name: (one["verdict"], one["reason"]) for name, one in json.loads(run.stdout)["nodes"].items()}

    def case(self, stem):
        """Counts of verdicts, and what is wrong."""
        counts, wrong = collections.Counter(), []
        cib = original = self.scheduler / "xml" / (stem + ".xml")
        summary = (self.scheduler / "summary" / (stem + ".summary")).read_text(errors="replace")
        before, after, wanted, done = expected(summary)
        mon = crm_mon(cib)
        if mon is None or "<summary" not in mon or not before:
            counts["not shown"] += 1
            return counts, wrong
        tree = ET.parse(cib).getroot()
        mon = quorate(mon)
        powerful = bool(agents_of(tree) & self.power) or bool(option(tree, "stonith-watchdog-timeout"))
        names = [one.get("name") for one in ET.fromstring(mon).find("nodes")]
        with tempfile.TemporaryDirectory() as place:
            folder = pathlib.Path(place)
            cib = with_quorum(cib, folder / "cib.xml")
            quiet, seconds = told(mon, [])
            self.compare("as it is", stem, self.judge(folder, quiet, cib, names, seconds), before, wanted, set(), powerful, counts, wrong)
            gone = {name for name, state in before.items() if state in (DOWN, CLEAN)} | wanted
            shown, seconds = told(mon, gone)
            clean = {name for name in gone if before.get(name) == CLEAN and name not in wanted}
            self.compare("told", stem, self.judge(folder, shown, cib, names, seconds), before, wanted, clean, powerful, counts, wrong)
            out = folder / "after.xml"
            env = dict(os.environ, TZ="UTC", LC_ALL="C")
            subprocess.run(["crm_simulate", "-S", "-x", str(original), "-O", str(out)], env=env, capture_output=True, timeout=120)
            mon = crm_mon(out) if out.exists() else None
            if mon and "<summary" in mon and after:
                out = with_quorum(out, out)
                mon = quorate(mon)
                shown, seconds = told(mon, done)
                names = [one.get("name") for one in ET.fromstring(mon).find("nodes")]
                judged = self.judge(folder, shown, out, names, seconds)
                self.compare("after", stem, judged, after, set(), done, powerful, counts, wrong)
        return counts, wrong

    def compare(self, scene, stem, judged, states, wanted, proven, powerful, counts, wrong):
        for name, (verdict, reason) in judged.items():
            counts["%s: %s" % (scene, verdict)] += 1
            state = states.get(name)
            # What the summary does not list is a guest under a resource's name, or nothing that runs.
            bad = None
            if verdict == "up" and (state in (DOWN, CLEAN) or name in wanted):
                bad = "up, and Pacemaker has it %s%s" % (state, ", to be fenced" if name in wanted else "")
            if verdict == "fenced":
                if name not in proven:
                    bad = "fenced, but the history has no fencing (or it is %s)" % state
                elif not powerful:
                    bad = "fenced, and no device of the CIB switches power"
                elif state == DOWN or name in wanted:
                    bad = "fenced, and Pacemaker has it unclean"
            if verdict == "planned" and name in wanted:
                bad = "taken out in order, and Pacemaker is going to fence it"
            if bad:
                wrong.append("%s, %s: %s is called %s (%s)" % (stem, scene, name, bad, reason))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--monitor", required=True)
    parser.add_argument("--scheduler", required=True, type=pathlib.Path)
    parser.add_argument("--only")
    parser.add_argument("--verbose", action="store_true")
    args = parser.parse_args()
    corpus = Corpus(args.monitor, args.scheduler, args.verbose)
    stems = sorted(one.stem for one in (args.scheduler / "xml").glob("*.xml"))
    stems = [stem for stem in stems if (args.scheduler / "summary" / (stem + ".summary")).exists()]
    if args.only:
        stems = [stem for stem in stems if re.search(args.only, stem)]
    counts, failed = collections.Counter(), 0
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        for stem, (seen, wrong) in zip(stems, pool.map(corpus.case, stems)):
            counts.update(seen)
            failed += bool(wrong)
            for line in wrong:
                print("FAIL", line)
    for what, count in sorted(counts.items()):
        print("%6d  %s" % (count, what))
    print("%d passed, %d failed" % (len(stems) - failed, failed))
    return 1 if failed or not stems else 0


if __name__ == "__main__":
    sys.exit(main())
