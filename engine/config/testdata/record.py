#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Asks oslo.config what it makes of each case and writes the answers to oslo.json.

Run it after adding a case: pip install oslo.config && python3 record.py
The Rust tests compare our reader with the recorded answers, so they need no Python.
"""
import json
import os
import pathlib
import sys
import tempfile

from oslo_config import cfg

STR, INT, BOOL, LIST, MULTI, FLOAT = "str", "int", "bool", "list", "multi", "float"


def case(name, *files, read=("DEFAULT", "a", STR), more=(), env=None, alias=None):
    return {"name": name, "files": list(files), "read": list(read), "more": [list(m) for m in more],
            "env": env or {}, "alias": alias}


D = "[DEFAULT]\n"
CASES = [
    case("equal sign", D + "a = b\n"),
    case("colon", D + "a: b\n"),
    case("first separator counts", D + "a = b:c=d\n"),
    case("first separator counts, colon", D + "a:b=c\n"),
    case("no blanks", D + "a=b"),
    case("spaces inside stay", D + "a = b  c\n"),
    case("tabs around", D + "a\t=\tb\t\n"),
    case("empty value", D + "a =\n"),
    case("double quotes go", D + 'a = "b c"\n'),
    case("single quotes go", D + "a = ' b '\n"),
    case("one layer of quotes goes", D + "a = '\"b\"'\n"),
    case("unlike quotes stay", D + "a = \"b'\n"),
    case("a lone quote is empty", D + 'a = "\n'),
    case("quotes inside stay", D + 'a = b "c" d\n'),
    case("no inline comment hash", D + "a = b # c\n"),
    case("no inline comment semicolon", D + "a = b ; c\n"),
    case("comment hash", D + "# a = x\na = b\n"),
    case("comment semicolon", D + "; a = x\na = b\n"),
    case("continuation", D + "a = b\n  c\n"),
    case("continuation with tab", D + "a = b\n\tc\n"),
    case("continuation of an empty first line", D + "a =\n  b\n  c\n"),
    case("indented comment joins the value", D + "a = b\n  # c\n"),
    case("blank line ends a value", D + "a = b\n\n  c\n"),
    case("comment ends a value", D + "a = b\n# x\n  c\n"),
    case("line of blanks ends a value", D + "a = b\n   \n  c\n"),
    case("continuation first", D + "  c\n"),
    case("quotes of the first line only", D + 'a = "b"\n  "c"\n'),
    case("crlf", "[DEFAULT]\r\na = b\r\n"),
    case("lone cr", "[DEFAULT]\ra = b\r"),
    case("no newline at the end", D + "a = b"),
    case("last value wins", D + "a = b\na = c\n"),
    case("section opened twice", D + "a = b\n[x]\na = d\n[DEFAULT]\na = c\n"),
    case("later file wins", D + "a = b\n", D + "a = c\n"),
    case("later file without the option", D + "a = b\n", D + "z = c\n"),
    case("section case", "[GROUP]\na = b\n", read=("group", "a", STR)),
    case("section case, DEFAULT", "[default]\na = b\n"),
    case("option case", D + "A = b\n"),
    case("value before a section", "a = b\n"),
    case("section without end", "[DEFAULT\na = b\n"),
    case("section with comment", "[DEFAULT] # x\na = b\n"),
    case("empty section name", "[]\na = b\n"),
    case("no separator", D + "a\n"),
    case("empty key", D + "= b\n"),
    case("not ascii", D + "a = b\u00fc\u4e2d\n"),
    case("bool true", D + "a = true\n", read=("DEFAULT", "a", BOOL)),
    case("bool TRUE", D + "a = TRUE\n", read=("DEFAULT", "a", BOOL)),
    case("bool 1", D + "a = 1\n", read=("DEFAULT", "a", BOOL)),
    case("bool on", D + "a = On\n", read=("DEFAULT", "a", BOOL)),
    case("bool yes", D + "a = yes\n", read=("DEFAULT", "a", BOOL)),
    case("bool false", D + "a = False\n", read=("DEFAULT", "a", BOOL)),
    case("bool 0", D + "a = 0\n", read=("DEFAULT", "a", BOOL)),
    case("bool off", D + "a = off\n", read=("DEFAULT", "a", BOOL)),
    case("bool no", D + "a = NO\n", read=("DEFAULT", "a", BOOL)),
    case("bool other number", D + "a = 2\n", read=("DEFAULT", "a", BOOL)),
    case("bool y", D + "a = y\n", read=("DEFAULT", "a", BOOL)),
    case("bool empty", D + "a =\n", read=("DEFAULT", "a", BOOL)),
    case("int", D + "a = 42\n", read=("DEFAULT", "a", INT)),
    case("int quoted", D + "a = '42'\n", read=("DEFAULT", "a", INT)),
    case("int sign", D + "a = -7\n", read=("DEFAULT", "a", INT)),
    case("int plus", D + "a = +7\n", read=("DEFAULT", "a", INT)),
    case("int zeros", D + "a = 007\n", read=("DEFAULT", "a", INT)),
    case("int underscore", D + "a = 1_000\n", read=("DEFAULT", "a", INT)),
    case("int bad underscore", D + "a = 1__0\n", read=("DEFAULT", "a", INT)),
    case("int fraction", D + "a = 1.5\n", read=("DEFAULT", "a", INT)),
    case("int hex", D + "a = 0x10\n", read=("DEFAULT", "a", INT)),
    case("int unit", D + "a = 10s\n", read=("DEFAULT", "a", INT)),
    case("int comment", D + "a = 10 # ten\n", read=("DEFAULT", "a", INT)),
    case("float", D + "a = 1.5\n", read=("DEFAULT", "a", FLOAT)),
    case("list", D + "a = b, c ,d\n", read=("DEFAULT", "a", LIST)),
    case("list empty", D + "a =\n", read=("DEFAULT", "a", LIST)),
    case("list trailing commas", D + "a = b,,\n", read=("DEFAULT", "a", LIST)),
    case("list hole", D + "a = b,,c\n", read=("DEFAULT", "a", LIST)),
    case("list quotes are no grouping", D + "a = b, 'c,d'\n", read=("DEFAULT", "a", LIST)),
    case("list over lines", D + "a = b,\n  c,\n  d\n", read=("DEFAULT", "a", LIST)),
    case("multi", D + "a = b\na = c\n", read=("DEFAULT", "a", MULTI)),
    case("multi over files", D + "a = b\na = c\n", D + "a = d\n", read=("DEFAULT", "a", MULTI)),
    case("multi keeps commas", D + "a = b,c\n", read=("DEFAULT", "a", MULTI)),
    case("variable", D + "z = 1\na = x$z\n", more=[("DEFAULT", "z", STR)]),
    case("variable in braces", D + "z = 1\na = ${z}y\n", more=[("DEFAULT", "z", STR)]),
    case("variable set later", D + "a = $z\nz = 1\n", more=[("DEFAULT", "z", STR)]),
    case("variable of a variable", D + "a = $z\nz = $y\ny = 1\n",
         more=[("DEFAULT", "z", STR), ("DEFAULT", "y", STR)]),
    case("variable of a group", D + "a = $g.z\n[g]\nz = 1\n", more=[("g", "z", STR)]),
    case("variable of a group in braces", D + "a = ${g.z}/x\n[g]\nz = 1\n", more=[("g", "z", STR)]),
    case("variable of the own group", D + "z = 1\n[g]\nz = 2\na = $z\n", read=("g", "a", STR),
         more=[("g", "z", STR), ("DEFAULT", "z", STR)]),
    case("variable falls back to DEFAULT", D + "z = 1\n[g]\na = $z\n", read=("g", "a", STR),
         more=[("DEFAULT", "z", STR)]),
    case("variable with DEFAULT named", D + "z = 1\n[g]\na = ${DEFAULT.z}\n", read=("g", "a", STR),
         more=[("DEFAULT", "z", STR)]),
    case("escaped dollar", D + "a = x$$z\n"),
    case("backslash dollar", D + "a = x\\$z\n"),
    case("dollar before a digit", D + "a = x$1\n"),
    case("dollar at the end", D + "a = x$\n"),
    case("dollar before a blank", D + "a = x$ y\n"),
    case("dollar brace unclosed", D + "a = ${z\n"),
    case("unknown variable", D + "a = pa$word\n"),
    case("variable unset", D + "a = x${z}y\n", more=[("DEFAULT", "z", STR)]),
    case("dot belongs to the name", D + "z = 1\na = $z.db\n", more=[("DEFAULT", "z", STR)]),
    case("loop", D + "a = $z\nz = $a\n", more=[("DEFAULT", "z", STR)]),
    case("variable in a list", D + "z = 1\na = x,$z\n", read=("DEFAULT", "a", LIST), more=[("DEFAULT", "z", STR)]),
    case("variable as number", D + "z = 1\na = ${z}0\n", read=("DEFAULT", "a", INT), more=[("DEFAULT", "z", STR)]),
    case("environment beats file", D + "a = b\n", env={"OS_DEFAULT__A": "c"}),
    case("environment of a group", "[g]\na = b\n", read=("g", "a", STR), env={"OS_G__A": "c"}),
    case("environment is expanded", D + "z = 1\n", env={"OS_DEFAULT__A": "x$z"}, more=[("DEFAULT", "z", STR)]),
    case("environment keeps quotes", D, env={"OS_DEFAULT__A": "'c'"}),
    case("environment is case sensitive", D + "a = b\n", env={"os_default__a": "c"}),
    case("alias", D + "old = b\n", alias="old"),
    case("name beats alias in one file", D + "a = c\nold = b\n", alias="old"),
    case("alias in a later file beats the name", D + "a = c\n", D + "old = b\n", alias="old"),
    case("nothing set", D),
    case("empty file", ""),
]

OPTS = {STR: cfg.StrOpt, INT: cfg.IntOpt, BOOL: cfg.BoolOpt, LIST: cfg.ListOpt, MULTI: cfg.MultiStrOpt, FLOAT: cfg.FloatOpt}


def answer(one):
    with tempfile.TemporaryDirectory() as folder:
        args = []
        for number, text in enumerate(one["files"]):
            path = pathlib.Path(folder, f"{number}.conf")
            path.write_bytes(text.encode())
            args += ["--config-file", str(path)]
        conf = cfg.ConfigOpts()
        section, name, kind = one["read"]
        old = [cfg.DeprecatedOpt(one["alias"])] if one["alias"] else []
        conf.register_opt(OPTS[kind](name, deprecated_opts=old), group=None if section == "DEFAULT" else section)
        for other_section, other, other_kind in one["more"]:
            conf.register_opt(OPTS[other_kind](other), group=None if other_section == "DEFAULT" else other_section)
        os.environ.update(one["env"])
        try:
            conf(args, project="x", default_config_files=[], default_config_dirs=[])
            return {"value": getattr(conf if section == "DEFAULT" else getattr(conf, section), name)}
        except (Exception, SystemExit) as error:
            return {"error": type(error).__name__}
        finally:
            for key in one["env"]:
                del os.environ[key]


def main():
    for one in CASES:
        one["oslo"] = answer(one)
    out = pathlib.Path(__file__).with_name("oslo.json")
    out.write_text(json.dumps(CASES, indent=1, ensure_ascii=False) + "\n")
    sys.stderr.write(f"{len(CASES)} cases\n")


if __name__ == "__main__":
    main()
