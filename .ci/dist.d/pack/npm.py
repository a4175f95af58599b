"""npm packages: `valor_cli`, which starts the program, and one with the program for each platform.

npm installs of the optional dependencies only the one whose `os`, `cpu` and `libc` fit. No script runs at installation.
"""

import json

from .archives import tar_gz
from .release import DOCUMENTATION, FILES, HOMEPAGE, LICENCE, REPOSITORY, ROOT, SUMMARY, VERSION


def name(target):
    return "valor_cli-{}-{}".format(*target.npm)


def packages(release):
    """`NAME-VERSION.tgz` for each package."""
    common = {"version": VERSION, "license": LICENCE, "homepage": HOMEPAGE,
              "repository": {"type": "git", "url": f"git+{REPOSITORY}.git"}}
    licences = {name: (ROOT / name).read_bytes() for name in ("LICENSE-APACHE", "LICENSE-MIT")}
    platforms = []
    for target in release.targets:
        platform, cpu = target.npm
        described = {"name": name(target), "description": f"The program valor_cli for {platform} on {cpu}"} | common
        described |= {"os": [platform], "cpu": [cpu]} | ({"libc": ["glibc"]} if platform == "linux" else {})
        described |= {"preferUnplugged": True}
        program = f"bin/{target.program}"
        write(release, described, {program: release.program(target)} | release.documents(target), {program})
        platforms.append(name(target))
    described = {"name": "valor_cli", "description": SUMMARY} | common | {
        "documentation": DOCUMENTATION,
        "keywords": ["http", "server", "plugin", "webassembly", "wasi", "rust"],
        "bin": {"valor_cli": "bin/valor_cli.js"},
        "engines": {"node": ">=18"},
        "optionalDependencies": {name: VERSION for name in platforms},
    }
    files = {"bin/valor_cli.js": (FILES / "npm.js").read_bytes(), "README.md": (FILES / "npm.md").read_bytes()}
    write(release, described, files | licences, {"bin/valor_cli.js"})


def write(release, described, files, executable):
    files = files | {"package.json": (json.dumps(described, indent=2) + "\n").encode()}
    files = {f"package/{path}": data for path, data in files.items()}
    modes = {f"package/{path}": 0o755 for path in executable}
    data = tar_gz(files, release.epoch, modes)
    (release.out / f"{described['name']}-{VERSION}.tgz").write_bytes(data)
