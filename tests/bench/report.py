"""The table, the JSON, and whether every target was reached."""
import json
import os


class Report:
    def __init__(self):
        self.rows, self.measured, self.load_before = [], {}, round(os.getloadavg()[0], 2)

    def keep(self, name, value):
        self.measured[name] = value

    def row(self, what, value, unit, target, reached, note=""):
        self.rows.append({"what": what, "value": value, "unit": unit, "target": target, "reached": bool(reached), "note": note})

    def at_least(self, what, value, unit, target, note=""):
        self.row(what, round(value, 1), unit, ">= %.1f" % target, value >= target, note)

    def below(self, what, value, unit, target, note=""):
        self.row(what, round(value, 2), unit, "< %g" % target, value < target, note)

    def none(self, what, value, note=""):
        self.row(what, value, "", "0", value == 0, note)

    def table(self, since=0):
        lines = ["%-58s %12s %-6s %12s  %-7s %s" % ("what", "measured", "", "target", "", "")]
        for r in self.rows[since:]:
            lines.append("%-58s %12s %-6s %12s  %-7s %s" % (
                r["what"], r["value"], r["unit"], r["target"], "ok" if r["reached"] else "MISSED", r["note"]))
        return "\n".join(lines)

    def write(self, path, about):
        with open(path, "w", encoding="utf-8") as f:
            json.dump({**about, "load_before": self.load_before, "targets": self.rows, "measured": self.measured}, f, indent=1)
            f.write("\n")

    def counts(self):
        reached = sum(r["reached"] for r in self.rows)
        return reached, len(self.rows) - reached
