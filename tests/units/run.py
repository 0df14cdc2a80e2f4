#!/usr/bin/env python3
"""What packages bring beside the binaries: units, users, presets; and that they are made of the same bytes each time."""
import argparse
import hashlib
import importlib
import itertools
import os
import re
import shutil
import subprocess
import sys
import tempfile

REPO = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
PACKAGING = os.path.join(REPO, "packaging")
# Masakari's (Debian's) names, each with ours.
SERVER = {"masakari-api.service": "tachi-api.service", "masakari-engine.service": "tachi-engine.service",
          "masakari-api.socket": "tachi-api.socket"}
MONITORS = {"masakari-host-monitor.service": "tachi-host-monitor.service",
            "masakari-instance-monitor.service": "tachi-instance-monitor.service",
            "masakari-process-monitor.service": "tachi-process-monitor.service",
            "masakari-introspective-instance-monitor.service": "tachi-introspective-monitor.service"}
GUARD = "tachi-boot-guard.service"
# systemd's measure of what a service could do.
MOST_EXPOSED = 1.5
# The programs that stand for ours are this machine's.
ANY = "2.999"


class Checks:
    passed = failed = 0

    def that(self, name, good, why=""):
        if good:
            self.passed += 1
            print("ok      " + name)
        else:
            self.failed += 1
            print("FAILED  %s\n%s" % (name, why))


def read(*path):
    with open(os.path.join(PACKAGING, *path), encoding="utf-8") as f:
        return f.read()


def tried(*words, **more):
    return subprocess.run(words, capture_output=True, text=True, check=False, timeout=300, **more)


def options(text):
    """Every assignment of a unit, by name."""
    found = {}
    for line in text.splitlines():
        if "=" in line and not line.startswith("#"):
            name, value = line.split("=", 1)
            found.setdefault(name, []).append(value)
    return found


def test_deploy02_the_units_have_upstreams_names(check):
    there = set(os.listdir(os.path.join(PACKAGING, "systemd")))
    wanted = {*SERVER, *MONITORS, GUARD}
    check.that("the units are all there, and no other", there == wanted, there ^ wanted)
    for unit, alias in {**SERVER, **MONITORS}.items():
        check.that("%s is also %s" % (unit, alias), options(read("systemd", unit)).get("Alias") == [alias])


def test_deploy03_a_unit_that_ends_is_started_again_for_ever(check):
    for unit in (*SERVER, *MONITORS):
        if unit.endswith(".socket"):
            continue
        found = options(read("systemd", unit))
        check.that(unit + " has no start limit", found.get("StartLimitIntervalSec") == ["0"] and "StartLimitBurst" not in found)
        files = found.get("ConditionPathExists", [])
        check.that(unit + " waits for its configuration", len(files) == 2 and all(one.startswith("|/etc/") for one in files), files)


def verified(check, work):
    """With the binary replaced by one that is there: `verify` looks for it."""
    paths = []
    for unit in sorted({*SERVER, *MONITORS, GUARD}):
        paths.append(os.path.join(work, unit))
        with open(paths[-1], "w", encoding="utf-8") as f:
            f.write(re.sub(r"/usr/bin/tachi(-monitor)?\b", "/bin/true", read("systemd", unit)))
    done = tried("systemd-analyze", "verify", "--man=no", *paths)
    # Complaints about units of this machine are not ours.
    ours = [line for line in done.stderr.splitlines() if "tachi" in line or "masakari" in line]
    check.that("systemd-analyze verify has nothing to say of ours", not ours, done.stderr)
    for path in paths:
        if path.endswith(".service"):
            done = tried("systemd-analyze", "security", "--offline=yes", path)
            level = re.search(r"exposure level for \S+: ([0-9.]+)", done.stdout)
            good = level and float(level.group(1)) <= MOST_EXPOSED
            check.that("%s is exposed by %s at most" % (os.path.basename(path), MOST_EXPOSED), good, done.stdout[-500:] + done.stderr)


def users(check, work):
    """Each package's users and groups are made in a root of their own, and the units name no other."""
    for package, units in (("tachi", SERVER), ("tachi-monitors", [*MONITORS, GUARD])):
        root = os.path.join(work, "root-" + package)
        os.makedirs(os.path.join(root, "etc"))
        done = tried("systemd-sysusers", "--root=" + root, os.path.join(PACKAGING, "sysusers.d", package + ".conf"))
        check.that("systemd-sysusers takes the users of " + package, done.returncode == 0, done.stderr)
        known = set()
        for name in ("passwd", "group"):
            path = os.path.join(root, "etc", name)
            if os.path.exists(path):
                with open(path, encoding="utf-8") as f:
                    known |= {line.split(":")[0] for line in f}
        for unit in units:
            found = options(read("systemd", unit))
            named = {word for option in ("User", "Group", "SupplementaryGroups") for value in found.get(option, []) for word in value.split()}
            check.that("the users of %s are made" % unit, named <= known, named - known)
        preset = read("presets", "90-%s.preset" % package)
        missing = [unit for unit in units if not re.search("^(en|dis)able %s$" % re.escape(unit), preset, re.M)]
        check.that("the presets of %s name every unit" % package, not missing, missing)


def scripts(check, work, out):
    """The scripts of the packages are shell."""
    for package in ("tachi", "tachi-monitors"):
        deb = [name for name in os.listdir(out) if name.startswith(package + "_")][0]
        control = os.path.join(work, "control-" + package)
        done = tried("dpkg-deb", "-e", os.path.join(out, deb), control)
        for script in ("preinst", "postinst", "prerm", "postrm"):
            done = tried("sh", "-n", os.path.join(control, script))
            check.that("%s of %s is shell" % (script, package), done.returncode == 0, done.stderr)
            if shutil.which("shellcheck"):
                done = tried("shellcheck", "-s", "sh", os.path.join(control, script))
                check.that("shellcheck has nothing to say of %s of %s" % (script, package), done.returncode == 0, done.stdout)
        with open(os.path.join(control, "conffiles"), encoding="utf-8") as f:
            check.that("the configuration of %s is kept" % package, f.read().split() == ["/etc/logrotate.d/" + package])
        fields = tried("dpkg-deb", "-f", os.path.join(out, deb), "Conflicts", "Replaces", "Provides").stdout
        theirs = "python3-masakari" if package == "tachi" else "python3-masakari-monitors"
        check.that("%s takes the place of %s" % (package, theirs), fields.count(theirs + "\n") == 2, fields)


def apart(check, out):
    """A host that is controller and hypervisor has both packages."""
    listed = []
    for package in ("tachi", "tachi-monitors"):
        deb = [name for name in os.listdir(out) if name.startswith(package + "_")][0]
        lines = tried("dpkg-deb", "-c", os.path.join(out, deb)).stdout.splitlines()
        listed.append({line.split()[5] for line in lines if not line.startswith("d")})
    check.that("no file is in both packages", listed[0] and not listed[0] & listed[1], listed[0] & listed[1])


def stubs(work, folder, program="/bin/true"):
    """Programs that stand for ours."""
    path = os.path.join(work, folder)
    os.mkdir(path)
    for name in ("tachi", "tachi-monitor"):
        shutil.copy(program, os.path.join(path, name))
    return path


def test_deploy09_a_binary_that_needs_more_than_the_packages_say_is_refused(check, work):
    binaries, out = stubs(work, "newer"), os.path.join(work, "out-newer")
    done = tried(os.path.join(PACKAGING, "build"), "--binaries", binaries, "--out", out, "--glibc", "2.2")
    check.that("a binary that needs a newer glibc is refused", done.returncode == 1 and "needs glibc" in done.stderr, done.stderr)
    check.that("and no package is made of it", not os.path.exists(out))
    done = tried(os.path.join(PACKAGING, "build"), "--binaries", stubs(work, "other", "/bin/ls"), "--out", out, "--glibc", ANY)
    check.that("one that needs a library of others is refused", done.returncode == 1 and "libselinux" in done.stderr, done.stderr)
    done = tried(os.path.join(PACKAGING, "build"), "--binaries", binaries, "--out", out, "--glibc", "new")
    check.that("a version that is none is refused", done.returncode == 1 and "--glibc new" in done.stderr, done.stderr)
    done = tried(os.path.join(PACKAGING, "build"), "--binaries", binaries, "--out", out, "--glibc", ANY, "--kind", "deb")
    newest = re.search(r"tachi, \w+: needs glibc ([0-9.]+)", done.stdout)
    check.that("the requirements of a binary are printed", newest, done.stdout + done.stderr)
    deb = [name for name in os.listdir(out) if name.startswith("tachi_")][0]
    depends = tried("dpkg-deb", "-f", os.path.join(out, deb), "Depends").stdout
    check.that("and the package depends on it", newest and "libc6 (>= %s)" % newest.group(1) in depends, depends)


def shipped(check, out):
    """The documents that an operator needs without a network are on the controller."""
    deb = [name for name in os.listdir(out) if name.startswith("tachi_")][0]
    listed = {line.split()[-1].lstrip(".") for line in tried("dpkg-deb", "-c", os.path.join(out, deb)).stdout.splitlines()}
    docs = os.path.join(PACKAGING, "..", "docs")
    pages = ["findings/" + name for name in os.listdir(os.path.join(docs, "findings"))] + ["three-in-the-morning.md", "alerts.md", "recovery.md"]
    wanted = {"/usr/share/doc/tachi/" + page for page in pages}
    wanted |= {"/usr/share/doc/tachi/examples/" + name for name in ("tachi.rules.yml", "grafana.json", "masakari.conf", "fencing.toml")}
    wanted |= {"/usr/share/man/man1/tachi-status.1.gz", "/usr/share/bash-completion/completions/tachi"}
    check.that("the package has the pages, the alerts, the board of Grafana, man pages and completions", wanted <= listed, wanted - listed)
    check.that("and no decision, and no record of test runs", not [name for name in listed if "/adr/" in name or name.endswith("/test-runs.md")])


def same_bytes(check, work):
    """Twice, at other times, in other folders, with another umask."""
    binaries = stubs(work, "binaries")
    sums = []
    for number, mask in ((1, 0o022), (2, 0o077)):
        out = os.path.join(work, "out-%d" % number)
        os.utime(os.path.join(binaries, "tachi"), (number * 1000, number * 1000))
        done = tried(os.path.join(PACKAGING, "build"), "--binaries", binaries, "--out", out, "--glibc", ANY, preexec_fn=lambda m=mask: os.umask(m),
                     cwd=work, env=dict(os.environ, SOURCE_DATE_EPOCH="1790000000"))
        if done.returncode:
            check.that("packaging/build makes packages", False, done.stdout + done.stderr)
            return
        with open(os.path.join(out, "SHA256SUMS"), encoding="utf-8") as f:
            sums.append(f.read())
    check.that("packaging/build makes deb and rpm of both", len(sums[0].splitlines()) == 4, sums[0])
    check.that("the same bytes twice", sums[0] == sums[1], "%s\n%s" % tuple(sums))
    for line in sums[0].splitlines():
        digest, name = line.split()
        with open(os.path.join(work, "out-1", name), "rb") as f:
            check.that("the sum of %s is right" % name, hashlib.sha256(f.read()).hexdigest() == digest)
    scripts(check, work, os.path.join(work, "out-1"))
    shipped(check, os.path.join(work, "out-1"))
    apart(check, os.path.join(work, "out-1"))
    empty = os.path.join(work, "nothing")
    os.mkdir(empty)
    done = tried(os.path.join(PACKAGING, "build"), "--binaries", empty, "--out", os.path.join(work, "out-3"))
    check.that("a folder without binaries is refused", done.returncode == 1 and "no tachi" in done.stderr, done.stderr)


def test_deploy18_a_version_names_its_commit_and_sorts_by_it(check, work):
    """Whoever installs the package of a later commit gets it; its release sorts before what comes after it."""
    sys.path.insert(0, os.path.join(PACKAGING, "lib"))
    versions = importlib.import_module("versions")
    folder = os.path.join(work, "history")
    os.mkdir(folder)
    here, versions.REPO = versions.REPO, folder
    try:
        with open(os.path.join(folder, "Cargo.toml"), "w", encoding="utf-8") as f:
            f.write('[workspace.package]\nversion = "0.9.0"\n')
        check.that("outside of git it is Cargo.toml's", versions.version() == "0.9.0", versions.version())

        def git(*words, date="2026-11-27T00:00:00Z"):
            env = dict(os.environ, GIT_COMMITTER_DATE=date, GIT_AUTHOR_DATE=date, GIT_CONFIG_GLOBAL="/dev/null")
            done = subprocess.run(["git", "-c", "user.name=t", "-c", "user.email=t@t", *words], cwd=folder, env=env, capture_output=True, check=False)
            check.that("git " + words[0], done.returncode == 0, done.stderr)

        git("init", "-q")
        git("add", ".")
        git("commit", "-q", "-m", "released")
        git("tag", "v0.9.0")
        made = [versions.version()]
        check.that("with its tag it is the release", made[0] == "0.9.0", made[0])
        # The second is later by its clock and looks earlier by its zone.
        for number, date in enumerate(("2026-11-27T14:36:44+00:00", "2026-11-27T09:36:45-05:00", "2026-11-28T00:00:00+09:00")):
            git("commit", "-q", "--allow-empty", "-m", str(number), date=date)
            made.append(versions.version())
        check.that("each commit has its own, with its time and id", re.fullmatch(r"0\.9\.0\+git20261127143644\.[0-9a-f]{9}", made[1]), made)
        for first, second in itertools.pairwise(made):
            check.that("dpkg: %s is before %s" % (first, second), tried("dpkg", "--compare-versions", first + "-1", "lt", second + "-1").returncode == 0)
            if shutil.which("rpm"):
                said = tried("rpm", "--eval", '%%{lua: print(rpm.vercmp("%s", "%s"))}' % (first, second)).stdout.strip()
                check.that("rpm: %s is before %s" % (first, second), said == "-1", said)
        with open(os.path.join(folder, "Cargo.toml"), "a", encoding="utf-8") as f:
            f.write("# changed\n")
        check.that("what differs from its commit says so", versions.version() == made[-1] + ".dirty", versions.version())
        os.mkdir(os.path.join(folder, "inside"))
        versions.REPO = os.path.join(folder, "inside")
        check.that("another project's commits do not count", not versions.commit(), versions.commit())
    finally:
        versions.REPO = here


def main():
    argparse.ArgumentParser(description=__doc__).parse_args()
    check = Checks()
    test_deploy02_the_units_have_upstreams_names(check)
    test_deploy03_a_unit_that_ends_is_started_again_for_ever(check)
    with tempfile.TemporaryDirectory(prefix="tachi-units.") as work:
        verified(check, work)
        users(check, work)
        test_deploy09_a_binary_that_needs_more_than_the_packages_say_is_refused(check, work)
        same_bytes(check, work)
        test_deploy18_a_version_names_its_commit_and_sorts_by_it(check, work)
    print("%d passed, %d failed" % (check.passed, check.failed))
    return 1 if check.failed else 0


if __name__ == "__main__":
    sys.exit(main())
