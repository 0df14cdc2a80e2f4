"""wrk, and what it measured. `in flight` is its number of connections: each sends its next request when it has an answer."""
import json
import os
import subprocess

HERE = os.path.dirname(os.path.abspath(__file__))


class Measured:
    def __init__(self, line, body=None):
        m = json.loads(line)
        self.requests, self.seconds = m["requests"], m["micros"] / 1e6
        self.refused = m["status"]
        self.broken = m["connect"] + m["read"] + m["write"] + m["timeout"]
        self.good = self.requests - self.refused
        self.per_second = self.good / self.seconds
        self.p50, self.p90, self.p99, self.max = (m[k] / 1000 for k in ("p50", "p90", "p99", "max"))
        # An answer that is shorter than the one looked at beforehand is no answer.
        self.whole = body is None or m["bytes"] >= self.requests * body

    def json(self):
        return {"per_second": round(self.per_second, 1), "requests": self.requests, "refused": self.refused,
                "broken": self.broken, "whole": self.whole, "p50_ms": self.p50, "p90_ms": self.p90, "p99_ms": self.p99,
                "max_ms": self.max, "seconds": round(self.seconds, 2)}

    def __str__(self):
        return "%8.1f/s   p50 %8.2f ms   p99 %8.2f ms   max %8.2f ms   %d requests, %d refused, %d broken%s" % (
            self.per_second, self.p50, self.p99, self.max, self.requests, self.refused, self.broken,
            "" if self.whole else ", answers too short")


def wrk(url, token, in_flight, seconds, script=None, body=None, **environment):
    command = ["wrk", "--threads", "1", "--connections", str(in_flight), "--duration", "%ds" % seconds, "--timeout", "30s",
               "--header", "X-Auth-Token: " + token, "--script", os.path.join(HERE, "report.lua")]
    if script:
        # wrk takes one script; the measure's own comes first, and reads the report.
        combined = environment.pop("scratch")
        with open(combined, "w", encoding="utf-8") as out:
            for name in (script, "report.lua"):
                with open(os.path.join(HERE, name), encoding="utf-8") as f:
                    out.write(f.read() + "\n")
        command[-1] = combined
    done = subprocess.run([*command, url], env=dict(os.environ, **{k: str(v) for k, v in environment.items()}),
                          stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=seconds + 90, check=False)
    lines = [line for line in done.stdout.splitlines() if line.startswith("{")]
    if done.returncode != 0 or len(lines) != 1:
        raise SystemExit("wrk failed:\n%s%s" % (done.stdout, done.stderr))
    return Measured(lines[0], body)
