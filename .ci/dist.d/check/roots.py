"""Roots that a program runs in as a user who is nobody special, and where nothing can be written except in /tmp."""

import os
import pathlib
import subprocess

from pack import debian

NOBODY = 65532
# What is mounted in a root: nothing of the machine's files except a few devices.
MOUNT = """
set -e
mount --bind "$0" "$0"
mount -t proc proc "$0/proc"
for device in null zero random urandom; do mount --bind "/dev/$device" "$0/dev/$device"; done
mount -o remount,bind,ro "$0"
mount -t tmpfs -o mode=1777,exec tmpfs "$0/tmp"
exec chroot --userspec={user} "$0" "$@"
"""


def prepare(root):
    """Adds the places that are mounted over."""
    root = pathlib.Path(root)
    root.chmod(0o755)
    for folder in ("proc", "dev", "tmp"):
        (root / folder).mkdir(exist_ok=True)
    for device in ("null", "zero", "random", "urandom"):
        (root / "dev" / device).touch()


def debian_11(folder, arch, cache):
    """A root with nothing but the libraries that Debian 11 has for every program."""
    files = debian.packages("bullseye", arch, ("base-files", "libc6", "libgcc-s1"), cache)
    debian.root(folder, files)
    prepare(folder)


def inside(root, *command, user=NOBODY):
    """A command that becomes `command` in a root that is read-only; signals reach it."""
    script = MOUNT.replace("{user}", f"{user}:{user}")
    # Without the machine's environment: HOME leads nowhere there.
    return ["env", "-i", f"PATH={os.defpath}:/usr/sbin:/sbin", "unshare", "--mount", "sh", "-c", script, str(root),
            *command]


def extract(archive, folder, *options):
    pathlib.Path(folder).mkdir(parents=True, exist_ok=True)
    subprocess.run(["tar", "--extract", "--file", archive, "--directory", folder, *options], check=True)
