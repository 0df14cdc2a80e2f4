#!/usr/bin/env python3
"""Reads what guests have written to their disks (guest.c), and says what it proves. Knows nothing of Tachi, Nova or libvirt.

  ledger.py watch FOLDER OUT              a witness: notes each record of FOLDER/*/disk, with the time at which it is first on the disk
  ledger.py check [OPTIONS] DISK...       what the disks tell, as JSON; exit code 1 if two wrote, a write is lost, or a boot is unasked

Two writers, lost writes and boots are read from the disk itself. The witness dates records by one clock (that of a guest is QEMU's, which
begins with a whole second), and knows what was on the disk and is not any more.
"""
import argparse
import json
import os
import signal
import sys
import time
from typing import NamedTuple

SECTOR = 512
# How far the clock of one boot may be off from that of another: both begin with a whole second, and Linux adds half of one.
SKEW = 2.0
# How far a boot's clock may drift from its uptime between two records: nobody sets a guest's clock.
DRIFT = 0.2


class Record(NamedTuple):
    sector: int
    guest: str
    boot: int
    counter: int
    clock: float
    uptime: float


def parse(sector, raw):
    words = raw.rstrip(b"\0").split()
    try:
        if words[0] != b"LEDGER" or len(words) != 6:
            return None
        return Record(sector, words[1].decode("ascii"), int(words[2]), int(words[3]), float(words[4]), float(words[5]))
    except (IndexError, ValueError):
        return None


def read(disk, first=0, patience=2048):
    """The records from a sector on, and what is no record before the last of them. `patience`: a longer hole ends the ledger."""
    records, broken, empty = [], [], []
    with open(disk, "rb") as file:
        file.seek(first * SECTOR)
        sector = first
        while len(empty) < patience:
            raw = file.read(SECTOR)
            if len(raw) < SECTOR:
                break
            record = parse(sector, raw)
            if record:
                records.append(record)
                broken += empty
                empty = []
            else:
                empty.append(sector)
            sector += 1
    return records, broken


def judge(disk, witness=(), boots=1, off=None):
    """`boots`: how many the guest was asked for. `off`: when its host was off; what had begun before may not write after that."""
    records, broken = read(disk)
    twice, lost, late = [], ["sector %d holds no record" % sector for sector in broken], []
    for before, record in zip(records, records[1:]):
        where = "sector %d: boot %d counter %d after boot %d counter %d" % (
            record.sector, record.boot, record.counter, before.boot, before.counter)
        if record.guest != before.guest or record.boot < before.boot:
            twice.append(where)
        elif record.boot == before.boot and (record.counter <= before.counter or record.uptime < before.uptime
                                             or abs(record.clock - record.uptime - before.clock + before.uptime) > DRIFT):
            twice.append(where)
        elif record.boot > before.boot and record.clock < before.clock - SKEW:
            twice.append(where + ", whose clock is %.1f s later" % (before.clock - record.clock))
        if record.boot >= before.boot and record.counter > before.counter + 1:
            lost.append("%s: %d records are missing" % (where, record.counter - before.counter - 1))
    there = {record.sector: record for record in records}
    seen = {}
    for at, record in witness:
        if there.get(record.sector) != record:
            lost.append("sector %d: boot %d counter %d was on the disk and is not any more" % (record.sector, record.boot, record.counter))
        seen[record.sector] = at
    if off is not None:
        begun = {record.boot for at, record in witness if at <= off}
        late = ["boot %d counter %d, %.1f s after its host was off" % (record.boot, record.counter, at - off)
                for at, record in witness if record.boot in begun and at > off]
    return {"guest": records[0].guest if records else None, "records": len(records), "boots": len({r.boot for r in records}),
            "boots_asked": boots, "two_writers": twice, "lost": lost, "after_off": late, "downtime": gaps(records, seen, True),
            "pause": max(gaps(records, seen, False), default=0)}


def gaps(records, seen, boots):
    """Seconds between the last record of a boot and the first one of the next; or between two records of one boot."""
    when = [(record, seen.get(record.sector, record.clock)) for record in records]
    return [round(at - was, 2) for (before, was), (record, at) in zip(when, when[1:]) if (record.boot > before.boot) == boots]


def good(verdict):
    return (verdict["boots"] == verdict["boots_asked"] and verdict["records"] > 0
            and not (verdict["two_writers"] or verdict["lost"] or verdict["after_off"]))


def watch(folder, out):
    ends, stop = {}, []
    signal.signal(signal.SIGTERM, lambda *_: stop.append(True))
    with open(out, "a", encoding="ascii") as file:
        while not stop:
            for name in sorted(os.listdir(folder)):
                disk = os.path.join(folder, name, "disk")
                try:
                    records, _ = read(disk, ends.get(name, 0), 1)
                except OSError:
                    continue
                now = time.time()
                for record in records:
                    file.write(json.dumps([name, now, list(record)]) + "\n")
                    ends[name] = record.sector + 1
            file.flush()
            time.sleep(0.05)


def witnessed(out, name):
    found = []
    with open(out, encoding="ascii") as file:
        for line in file:
            if line.endswith("\n"):
                of, at, record = json.loads(line)
                if of == name:
                    found.append((at, Record(*record)))
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    verbs = parser.add_subparsers(dest="verb", required=True)
    watching = verbs.add_parser("watch")
    watching.add_argument("folder")
    watching.add_argument("out")
    checking = verbs.add_parser("check")
    checking.add_argument("--witness", metavar="FILE", help="what `watch` has written")
    checking.add_argument("--boots", type=int, default=1, help="how many boots were asked for")
    checking.add_argument("--off", type=float, metavar="SECONDS", help="when the first host was off, in seconds since 1970")
    checking.add_argument("disks", nargs="+", metavar="DISK")
    args = parser.parse_args()
    if args.verb == "watch":
        return watch(args.folder, args.out)
    verdicts = {disk: judge(disk, witnessed(args.witness, os.path.basename(os.path.dirname(disk))) if args.witness else (),
                            args.boots, args.off) for disk in args.disks}
    print(json.dumps(verdicts, indent=1))
    return 0 if all(map(good, verdicts.values())) else 1


if __name__ == "__main__":
    sys.exit(main())
