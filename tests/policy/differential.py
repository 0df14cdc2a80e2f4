#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Asks the real oslo.policy and our evaluator the same questions, and compares the answers.

With --record FILE it writes the questions and oslo.policy's answers instead, for the tests that need no Python.

One difference is intended: what cannot be parsed (a check without a colon, a rule that is not defined) lets nobody in
with us, not even below `not`, where oslo.policy turns its "no" into a "yes". So we may deny where oslo.policy allows,
if it complained of such a thing; never the other way round. Where oslo.policy fails with an exception there is nothing
to compare.
"""
import argparse
import json
import logging
import random
import re
import subprocess
import sys
import warnings

from oslo_config import cfg
from oslo_policy import policy

warnings.simplefilter("ignore")


@policy.register("is_admin")
class IsAdmin(policy.Check):
    """The check that the Instance-HA service adds: a boolean of the caller."""

    def __init__(self, kind, match):
        super().__init__(kind, match)
        self.wanted = match.lower() == "true"

    def __call__(self, target, creds, enforcer):
        return creds["is_admin"] == self.wanted


class Complaints(logging.Handler):
    """Notes whether anything was not understood."""

    heard = False

    def emit(self, record):
        if record.levelno >= logging.WARNING:
            self.heard = True


COMPLAINTS = Complaints()
logging.getLogger("oslo_policy").addHandler(COMPLAINTS)
logging.getLogger("oslo_policy").propagate = False
CONF = cfg.ConfigOpts()
CONF([], project="none", default_config_files=[], default_config_dirs=[])
ENFORCER = policy.Enforcer(CONF, use_conf=False)
sys.setrecursionlimit(400)


def refers_to_nothing(rules):
    """Whether a rule refers to one that is not there. oslo.policy does not see those below `not`."""
    words = re.findall(r"rule:([a-z]+)", json.dumps(rules))
    return "default" not in rules and any(word not in rules for word in words)


def oslo(question):
    """allow, deny or raised; and whether there was something that could not be understood."""
    COMPLAINTS.heard = refers_to_nothing(question["rules"])
    try:
        rules = policy.Rules.load(json.dumps(question["rules"]), "default")
        ENFORCER.set_rules(rules, overwrite=True, use_conf=False)
        ENFORCER.check_rules()
        answer = "allow" if ENFORCER.enforce(question["ask"], question["target"], dict(question["caller"])) else "deny"
    except Exception:  # noqa: whatever it is, the request has failed
        return "raised", True
    return answer, COMPLAINTS.heard


ROLES = ["admin", "member", "reader", "Admin", "masakari_monitor", "service"]
NAMES = ["a", "b", "c", "d", "default", "nowhere"]
IDS = ["u1", "u2", "p1", "p2", "None", ""]
ATTRIBUTES = ["user_id", "project_id", "domain_id", "system_scope", "roles", "service_roles", "is_admin_project", "number",
              "token.user.id", "token.groups", "token.groups.id", "token.user.id.x", "missing", "missing.x", "null"]
TARGETS = ["user_id", "project_id", "flag", "number", "ratio", "empty", "missing"]
LITERALS = ["'admin'", '"admin"', "True", "False", "None", "1", "0x10", "1.5", "-3", "1_000", "'None'", "1e3"]


def right(rng):
    return rng.choice([
        lambda: "%%(%s)s" % rng.choice(TARGETS), lambda: rng.choice(IDS), lambda: rng.choice(ROLES),
        lambda: rng.choice(["True", "False", "16", "1.5", "-3", "1000", "1000.0", "7"]),
        lambda: "x-%%(%s)s" % rng.choice(TARGETS), lambda: "%%%%(%s)s" % rng.choice(TARGETS)])()


def check(rng):
    return rng.choice([
        lambda: "role:" + rng.choice(ROLES), lambda: "role:%%(%s)s" % rng.choice(TARGETS),
        lambda: "rule:" + rng.choice(NAMES), lambda: "rule:" + rng.choice(NAMES[:4]),
        lambda: "is_admin:" + rng.choice(["True", "true", "False", "1"]),
        lambda: rng.choice(ATTRIBUTES) + ":" + right(rng), lambda: rng.choice(ATTRIBUTES) + ":" + right(rng),
        lambda: rng.choice(LITERALS) + ":" + right(rng), lambda: rng.choice(["@", "!", "@", "!", "word", "'text'"])])()


def expression(rng, depth=0):
    kind = rng.random()
    if depth > 3 or kind < 0.35:
        return check(rng)
    if kind < 0.5:
        return "%s %s" % (rng.choice(["not", "NOT", "Not"]), expression(rng, depth + 1))
    if kind < 0.65:
        return "(%s)" % expression(rng, depth + 1)
    words = [expression(rng, depth + 1)]
    for _ in range(rng.randint(1, 3)):
        words += [rng.choice(["and", "or", "AND", "Or"]), expression(rng, depth + 1)]
    return rng.choice([" ", "  ", "\t"]).join(words)


def noise(rng):
    pieces = ["(", ")", " ", "and", "or", "not", "role:admin", "@", "!", "'", '"', ":", "%(x)s", "%", "a", "((", "))", "\n"]
    return "".join(rng.choice(pieces) for _ in range(rng.randint(0, 12)))


def rule(rng):
    kind = rng.random()
    if kind < 0.75:
        return expression(rng)
    if kind < 0.85:
        return [rng.choice([check(rng), [check(rng) for _ in range(rng.randint(0, 3))]]) for _ in range(rng.randint(0, 3))]
    if kind < 0.9:
        return rng.choice(["", " ", "@", "!", None])
    return noise(rng)


def question(rng):
    names = rng.sample(NAMES[:5], rng.randint(1, 5))
    maybe = lambda *values: rng.choice(values)  # noqa: E731
    caller = {
        "user_id": maybe("u1", "u2"), "project_id": maybe("p1", "p2", None), "domain_id": maybe(None, "d1"),
        "system_scope": maybe(None, "all"), "roles": rng.sample(ROLES, rng.randint(0, 3)), "is_admin": maybe(True, False),
        "is_admin_project": maybe(True, False), "service_roles": rng.sample(ROLES, rng.randint(0, 1)), "number": maybe(7, 16),
        "token": {"user": {"id": maybe("u1", "u2")}, "groups": [{"id": "u1"}, {"id": maybe("p1", "x")}]},
    }
    target = {"user_id": maybe("u1", "u2"), "project_id": maybe("p1", None), "flag": maybe(True, False),
              "number": maybe(1, 16, 7), "ratio": maybe(1.5, 1000.0), "empty": ""}
    return {"rules": {name: rule(rng) for name in names}, "ask": rng.choice(names + ["nowhere"]), "caller": caller,
            "target": target}


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--evaluator", help="our evaluator (api/policy/examples/evaluate.rs, built)")
    parser.add_argument("--record", help="write questions and answers to this file instead")
    parser.add_argument("--count", type=int, default=10000)
    parser.add_argument("--seed", type=lambda text: random.randrange(2 ** 32) if text == "random" else int(text), default=1,
                        help="a number, or `random` to look for what no one has looked at (default 1)")
    args = parser.parse_args()
    rng = random.Random(args.seed)
    questions = [question(rng) for _ in range(args.count)]
    answers = [oslo(one) for one in questions]
    if args.record:
        with open(args.record, "w", encoding="utf-8") as f:
            for one, (answer, complained) in zip(questions, answers):
                f.write(json.dumps(dict(one, answer=answer, complained=complained), sort_keys=True, separators=(",", ":")) + "\n")
        return 0
    done = subprocess.run([args.evaluator], input="".join(json.dumps(one) + "\n" for one in questions),
                          stdout=subprocess.PIPE, text=True, check=True, timeout=120)
    ours = done.stdout.split()
    if len(ours) != len(questions):
        print("%d answers to %d questions" % (len(ours), len(questions)))
        print("0 passed, 1 failed")
        return 1
    tally, wrong = {}, 0
    for one, (theirs, complained), answer in zip(questions, answers, ours):
        stricter = complained and (theirs, answer) == ("allow", "deny")
        key = "not compared, oslo.policy raised" if theirs == "raised" else \
            "same: " + answer if theirs == answer else "stricter, as meant" if stricter else "WRONG"
        tally[key] = tally.get(key, 0) + 1
        if key == "WRONG":
            wrong += 1
            if wrong <= 5:
                print("oslo.policy: %s, ours: %s\n%s" % (theirs, answer, json.dumps(one, indent=1)))
    print("seed %d: %s" % (args.seed, ", ".join("%s %d" % item for item in sorted(tally.items()))))
    # What was never seen was not tested.
    enough = min(tally.get("same: allow", 0), tally.get("same: deny", 0)) >= args.count // 10
    if not enough:
        print("too few answers of one kind: the questions are no good")
    failed = wrong + (not enough)
    print("%d passed, %d failed" % (args.count - tally.get("not compared, oslo.policy raised", 0) - wrong, failed))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
