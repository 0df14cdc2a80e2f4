"""A folder of packages as a repository for apt and for dnf, and signatures by a key of GnuPG."""
import email.utils
import gzip
import hashlib
import os
import shutil
import subprocess


class Unsigned(Exception):
    """Why there is no signature."""


def gpg(key, *words):
    if not shutil.which("gpg"):
        raise Unsigned("no gpg: apt-get install gnupg")
    done = subprocess.run(["gpg", "--batch", "--yes", "--local-user", key, *words], stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    if done.returncode:
        raise Unsigned("gpg cannot sign with %s: %s" % (key, done.stderr.strip()))
    return done.stdout


def usable(key):
    """Tells before minutes are spent that the key is there and signs."""
    gpg(key, "--output", "/dev/null", "--detach-sign", "/dev/null")


def detached(key, path):
    """PATH.asc beside the file."""
    gpg(key, "--armor", "--output", path + ".asc", "--detach-sign", path)


def public(key, path):
    """The key that the signatures are verified by."""
    with open(path, "w", encoding="utf-8") as f:
        f.write(gpg(key, "--armor", "--export", key))


def digest(path):
    with open(path, "rb") as f:
        return hashlib.file_digest(f, "sha256").hexdigest()


def apt(folder, epoch, key=None):
    """Packages and Release of a flat repository: `deb URL ./`. InRelease if there is a key."""
    stanzas = []
    for name in sorted(os.listdir(folder)):
        if not name.endswith(".deb"):
            continue
        path = os.path.join(folder, name)
        control = subprocess.run(["dpkg-deb", "-f", path], capture_output=True, text=True, check=True).stdout.rstrip("\n")
        stanzas.append("%s\nFilename: ./%s\nSize: %d\nSHA256: %s\n" % (control, name, os.path.getsize(path), digest(path)))
    text = "\n".join(stanzas).encode()
    with open(os.path.join(folder, "Packages"), "wb") as f:
        f.write(text)
    with open(os.path.join(folder, "Packages.gz"), "wb") as f:
        f.write(gzip.compress(text, 9, mtime=0))
    lines = ["Origin: Tachi", "Label: Tachi", "Date: " + email.utils.formatdate(epoch), "SHA256:"]
    for name in ("Packages", "Packages.gz"):
        path = os.path.join(folder, name)
        lines.append(" %s %d %s" % (digest(path), os.path.getsize(path), name))
    release = os.path.join(folder, "Release")
    with open(release, "w", encoding="utf-8") as f:
        f.write("\n".join(lines) + "\n")
    if key:
        gpg(key, "--output", os.path.join(folder, "InRelease"), "--clear-sign", release)


def yum(folder, epoch, tool, key=None):
    """repodata/, by createrepo_c; repomd.xml.asc if there is a key."""
    for name in os.listdir(folder):
        # The lists tell when a package was made.
        if name.endswith(".rpm"):
            os.utime(os.path.join(folder, name), (epoch, epoch))
    done = subprocess.run([tool, "--quiet", "--no-database", "--general-compress-type", "gz", "--revision", str(epoch), "--set-timestamp-to-revision",
                           "--simple-md-filenames", folder], capture_output=True, text=True, check=False)
    if done.returncode:
        raise OSError("createrepo_c: " + done.stderr.strip())
    if key:
        detached(key, os.path.join(folder, "repodata", "repomd.xml"))
