"""The table at the top of docs/certainty.md: one row for each case, as the last run of it has measured."""
import datetime
import os
import re

HEAD = """# What is certain, and how it was measured

Real guests, on real hypervisors that failed; Tachi recovered them. `tests/run --region` writes this table, and takes every number from the
disks of the guests: each guest appends a record to its disk every 100 ms and waits until the disk has it. The
[checker](../tests/region/ledger.py) knows nothing of Tachi.

| case | fault | guests down for, in seconds | lost writes | two writers | boots not asked for | written after the host was off | when (UTC) |
|---|---|---|---|---|---|---|---|
"""


def write(page, name, what, verdicts):
    text = HEAD
    if os.path.exists(page):
        with open(page, encoding="utf-8") as file:
            text = file.read()
    row = "| %s | %s | %s | %d | %d | %d | %d | %s |\n" % (
        name, what, ", ".join("%.1f" % gap for verdict in verdicts for gap in verdict["downtime"])
        or "0 (longest pause %.1f)" % max(verdict["pause"] for verdict in verdicts),
        *(sum(len(verdict[key]) for verdict in verdicts) for key in ("lost", "two_writers")),
        sum(verdict["boots"] - verdict["boots_asked"] for verdict in verdicts), sum(len(verdict["after_off"]) for verdict in verdicts),
        datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%d %H:%M"))
    # The first table of the page is ours.
    rows = re.search(r"^\|---.*\n(\|.*\n)*", text, re.M)
    kept = [row if line.startswith("| %s |" % name) else line for line in rows.group().splitlines(keepends=True)]
    if row not in kept:
        kept.append(row)
    text = text[:rows.start()] + "".join(kept) + text[rows.end():]
    with open(page, "w", encoding="utf-8") as file:
        file.write(text)
