"""What the checks of the sources share."""
import os
import re

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def is_test(path):
    """True if the file holds nothing but tests and what they need."""
    return bool(re.search(r"(^|/)(tests?|testing)(/|\.rs$)", path))


def read(path):
    with open(os.path.join(ROOT, path), encoding="utf-8") as f:
        return f.read()
