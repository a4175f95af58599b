"""Debian packages, made by dpkg-deb: every Debian has it, and the package needs nothing that cargo-deb adds to it."""

import email.utils
import os
import pathlib
import subprocess
import tempfile

from .archives import gzipped
from .release import AUTHOR, GLIBC, HOMEPAGE, SUMMARY, VERSION

# Where each shell of Debian looks, for the completions that `valor_cli completions` prints.
COMPLETIONS = {
    "valor_cli.bash": "usr/share/bash-completion/completions/valor_cli",
    "_valor_cli": "usr/share/zsh/vendor-completions/_valor_cli",
    "valor_cli.fish": "usr/share/fish/vendor_completions.d/valor_cli.fish",
}

# Debian has the text of the Apache licence once for all packages.
COPYRIGHT = """\
Valor is licensed under the Apache License, Version 2.0 (/usr/share/common-licenses/Apache-2.0), or under the licence
that follows, at your option. LICENSES-THIRD-PARTY.txt.gz has the licences of what is linked into the program.

"""


def debs(release):
    """`valor_cli_VERSION_ARCH.deb` for each Linux."""
    for target in release.targets:
        if target.deb is not None:
            deb(release, target)


def deb(release, target):
    documents = release.documents(target)
    doc = "usr/share/doc/valor-cli"
    time = email.utils.formatdate(release.epoch)
    changes = f"valor-cli ({VERSION}) unstable; urgency=medium\n\n  * CHANGELOG.md.gz says what changed.\n\n -- "
    files = {
        "usr/bin/valor_cli": release.program(target),
        f"{doc}/README.md": documents["README.md"],
        f"{doc}/CHANGELOG.md.gz": gzipped(documents["CHANGELOG.md"]),
        f"{doc}/changelog.gz": gzipped(f"{changes}{AUTHOR}  {time}\n".encode()),
        f"{doc}/LICENSES-THIRD-PARTY.txt.gz": gzipped(documents["LICENSES-THIRD-PARTY.txt"]),
        f"{doc}/copyright": COPYRIGHT.encode() + documents["LICENSE-MIT"],
    }
    files |= {COMPLETIONS[name]: data for name, data in release.completions.items() if name in COMPLETIONS}
    files |= {f"usr/share/valor-cli/sample/{path}": data for path, data in release.sample().items()}
    size = sum(len(data) for data in files.values()) // 1024 + 1
    control = f"""\
Package: valor-cli
Version: {VERSION}
Architecture: {target.deb}
Maintainer: {AUTHOR}
Installed-Size: {size}
Depends: libc6 (>= {GLIBC}), libgcc-s1
Recommends: ca-certificates
Section: web
Priority: optional
Homepage: {HOMEPAGE}
Description: {SUMMARY.split(":")[0]}
 {SUMMARY.split(": ", 1)[1]}.
"""
    with tempfile.TemporaryDirectory() as folder:
        root = pathlib.Path(folder)
        # A umask of the caller must not show in the package.
        root.chmod(0o755)
        for path, data in (files | {"DEBIAN/control": control.encode()}).items():
            file = root / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(data)
            file.chmod(0o755 if path.startswith("usr/bin/") else 0o644)
        for path in sorted(root.rglob("*")):
            if path.is_dir():
                path.chmod(0o755)
        # dpkg-deb sets all times that are later than this one to it. xz on one thread, as its blocks differ otherwise.
        subprocess.run(
            ["dpkg-deb", "--root-owner-group", "-Zxz", "--threads-max=1", "--build", root,
             release.out / f"valor_cli_{VERSION}_{target.deb}.deb"],
            check=True, stdout=subprocess.DEVNULL, env=os.environ | {"SOURCE_DATE_EPOCH": str(release.epoch)},
        )
