"""The four monitors of one compute, beside a libvirtd and what a cluster has once said."""
import os

from guests import Monitor, until

RECORDED = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "monitors", "pacemaker", "tests", "recorded")
KINDS = ("host", "process", "instance", "introspective")


class Compute:
    def __init__(self, binary, folder, kit, api, options=()):
        self.programs, self.state = os.path.join(folder, "programs"), os.path.join(folder, "cluster")
        os.makedirs(self.programs, exist_ok=True)
        # The programs are the cluster's, not ours.
        for name, ending in (("crm_mon", "xml"), ("cibadmin", "cib.xml")):
            program = os.path.join(self.programs, name)
            with open(program, "w", encoding="ascii") as f:
                f.write("#!/bin/sh\nexec cat '%s.%s'\n" % (self.state, ending))
            os.chmod(program, 0o755)
        self.cluster("001-all-up")
        processes = os.path.join(folder, "process_list.yaml")
        if not os.path.exists(processes):
            with open(processes, "w", encoding="ascii") as f:
                f.write(entry("libvirtd", "true", "true"))
        options = [("process", "process_list_path", processes), ("DEFAULT", "hostname", "cmp1"),
                   ("host", "disable_ipmi_check", "true"), *options]
        uri = kit.uri(read_only=False)
        self.monitors = [Monitor(binary, kind, os.path.join(folder, kind), api, uri, options) for kind in KINDS]

    def cluster(self, state):
        """What the cluster says from now on."""
        for ending in ("xml", "cib.xml"):
            link = "%s.%s" % (self.state, ending)
            os.symlink(os.path.join(RECORDED, "%s.%s" % (state, ending)), link + ".new")
            os.rename(link + ".new", link)

    def start(self):
        for monitor in self.monitors:
            monitor.start(self.programs)
        for monitor in self.monitors:
            until("the %s monitor to be well" % monitor.kind, lambda m=monitor: m.health() and m.health()["healthy"], 60)
        return self

    def unwell(self):
        return [monitor.kind for monitor in self.monitors if not (monitor.health() or {}).get("healthy")]

    def cpu(self):
        """Seconds of a core so far, without those of the programs."""
        return sum(monitor.cpu() for monitor in self.monitors)

    def pss(self):
        """MiB that they take of the machine's memory; a page of the binary that all four use counts once."""
        return sum(monitor.pss() for monitor in self.monitors)

    def largest(self):
        return max(monitor.rss() for monitor in self.monitors)

    def memory(self):
        shares = ", ".join("%s %.1f, alone %.1f" % (m.kind, m.pss(), m.rss()) for m in self.monitors)
        return "%.1f MiB together (%s)" % (self.pss(), shares)


def entry(name, start, restart):
    """Of process_list.yaml."""
    return ("- process_name: %s\n  start_command: '%s'\n  pre_start_command:\n  post_start_command:\n  restart_command: '%s'\n"
            "  pre_restart_command:\n  post_restart_command:\n  run_as_root: false\n" % (name, start, restart))
