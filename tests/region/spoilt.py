#!/usr/bin/env python3
"""spoilt.py GUEST_FOLDER : ledgers that were spoilt on purpose, each of which ledger.py has to find out."""
import os
import shutil
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.append(os.path.join(HERE, "..", "client"))

import ledger
from checks import Checks


def line(boot, counter, clock, uptime, guest="abc"):
    return ("LEDGER %s %d %d %.3f %.3f\n" % (guest, boot, counter, clock, uptime)).encode().ljust(ledger.SECTOR, b"\0")


def boot(number, first, count, clock):
    return [line(number, first + n, clock + n / 10, 5 + n / 10) for n in range(count)]


class Scratch:
    def __init__(self, folder):
        self.disk = os.path.join(folder, "disk")

    def judge(self, sectors, **more):
        with open(self.disk, "wb") as file:
            file.write(b"".join(sectors) + bytes(ledger.SECTOR * 16))
        return ledger.judge(self.disk, **more)


def made_up(checks, scratch):
    sound = boot(1, 1, 20, 1000) + boot(2, 21, 20, 1010)
    verdict = scratch.judge(sound, boots=2)
    checks.that("a sound ledger of two boots is found to be sound", ledger.good(verdict), verdict)
    checks.equal("and the time between them is told", verdict["downtime"], [8.1])
    late = [(1000 + n / 10 + (3 if n > 9 else 0), ledger.parse(n, raw)) for n, raw in enumerate(sound)]
    checks.equal("a pause of a boot is measured by the witness", scratch.judge(sound, boots=2, witness=late)["pause"], 3.1)
    for name, key, sectors in (
            ("an older boot that writes on after a newer one", "two_writers", sound + boot(1, 21, 3, 1002)),
            ("a boot with the number of another, from the same end", "two_writers", sound[:25] + boot(2, 21, 20, 1011)[5:6] + sound[26:]),
            ("another guest's record", "two_writers", sound[:30] + [line(2, 31, 1011, 6, "xyz")] + sound[31:]),
            ("a newer boot that began before the older one's end", "two_writers", boot(1, 1, 100, 1000) + boot(2, 101, 5, 1004)),
            ("a record that is missing", "lost", sound[:10] + [bytes(ledger.SECTOR)] + sound[11:]),
            ("a record that is torn", "lost", sound[:10] + [b"\xff" * ledger.SECTOR] + sound[11:]),
            ("counters that skip", "lost", sound[:10] + sound[12:])):
        verdict = scratch.judge(sectors, boots=2)
        checks.that(name + " is found", verdict[key] and not ledger.good(verdict), verdict)
    verdict = scratch.judge(sound, boots=1)
    checks.that("a boot that nobody asked for is found", not ledger.good(verdict), verdict)
    witness = [(1000 + n / 10, ledger.parse(n, raw)) for n, raw in enumerate(sound[:20])]
    verdict = scratch.judge(boot(1, 1, 15, 1000) + boot(2, 16, 20, 1010), boots=2, witness=witness)
    checks.that("records that a witness saw, and that are there no more, are found", len(verdict["lost"]) == 5, verdict)
    verdict = scratch.judge(sound, boots=2, witness=witness, off=1001.0)
    checks.that("records that came when their host was off are found", verdict["after_off"] and not ledger.good(verdict), verdict)


def two_guests(checks, guest, folder):
    """Two real guests on one disk, QEMU's locks off; with them, the second is refused."""
    disk = os.path.join(folder, "real")
    shutil.copy(os.path.join(guest, "disk"), disk)

    def start(locking):
        return subprocess.Popen([
            "qemu-system-x86_64", "-accel", "tcg", "-m", "128", "-display", "none", "-nodefaults", "-no-reboot",
            "-kernel", os.path.join(guest, "vmlinuz"), "-initrd", os.path.join(guest, "initrd"), "-append", "quiet panic=-1",
            "-blockdev", "driver=raw,node-name=d,file.driver=file,file.filename=%s,file.locking=%s" % (disk, locking),
            "-device", "virtio-blk-pci,drive=d,share-rw=off"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)

    def records():
        return len(ledger.read(disk)[0])

    running = [start("on")]
    try:
        deadline = time.monotonic() + 120
        while records() < 10 and time.monotonic() < deadline:
            time.sleep(0.2)
        verdict = ledger.judge(disk)
        checks.that("one guest's ledger is sound", ledger.good(verdict), verdict)
        second = start("on")
        running.append(second)
        said = second.communicate(timeout=60)[0].decode(errors="replace")
        checks.that("QEMU's locks refuse a second guest", second.returncode != 0 and "lock" in said, said)
        running += [start("off")]
        while ledger.good(verdict) and time.monotonic() < deadline:
            time.sleep(0.5)
            verdict = ledger.judge(disk, boots=2) if records() and len({r.boot for r in ledger.read(disk)[0]}) > 1 else verdict
        checks.that("two guests that write one disk are found", verdict["two_writers"], verdict)
    finally:
        for process in running:
            process.kill()
            process.wait()


def main():
    checks = Checks()
    with tempfile.TemporaryDirectory() as folder:
        made_up(checks, Scratch(folder))
        two_guests(checks, sys.argv[1], folder)
    return checks.end()


if __name__ == "__main__":
    sys.exit(main())
