"""The version of what is made from this tree: that of Cargo.toml for its release, and for every other commit one that names the commit and sorts
after those of the commits before it."""
import os
import subprocess
import tomllib

from crates import REPO


def git(*words):
    done = subprocess.run(["git", *words], cwd=REPO, capture_output=True, text=True, check=False, env=dict(os.environ, TZ="UTC"))
    return done.stdout.strip() if done.returncode == 0 else ""


def release():
    with open(os.path.join(REPO, "Cargo.toml"), "rb") as f:
        return tomllib.load(f)["workspace"]["package"]["version"]


def commit():
    """The short id of the last commit, with `.dirty` behind it if files differ from it; nothing outside of git."""
    # A folder below another project's repository has that one's commits.
    if os.path.realpath(git("rev-parse", "--show-toplevel") or "/") != os.path.realpath(REPO):
        return ""
    dirty = git("status", "--porcelain", "--untracked-files=no")
    return git("rev-parse", "--short=9", "HEAD") + (".dirty" if dirty else "")


def version():
    """`0.9.0` where the tag `v0.9.0` stands and outside of git, else `0.9.0+git20261127143644.263d31511`: the commit's time in UTC, and its id."""
    base, at = release(), commit()
    if not at or (git("tag", "--points-at", "HEAD", "--list", "v" + base) and not at.endswith(".dirty")):
        return base
    return "%s+git%s.%s" % (base, git("log", "-1", "--format=%cd", "--date=format-local:%Y%m%d%H%M%S"), at)
