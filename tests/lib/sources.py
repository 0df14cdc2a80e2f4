"""Shared code of the source checks."""
import os
import re

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def is_test(path):
    """Returns true if the file contains only tests and their helpers."""
    return bool(re.search(r"(^|/)(tests?|testing)(/|\.rs$)", path))


def read(path):
    with open(os.path.join(ROOT, path), encoding="utf-8") as f:
        return f.read()
