"""What every package of a release has in common: the version, the time, the targets and the files.

Each maker of a package (`archives`, `deb`, `wheel`, `npm`, `image`) takes a `Release` and reads nothing else, so that
the same commit gives the same bytes.
"""

import dataclasses
import pathlib
import tomllib

ROOT = pathlib.Path(__file__).resolve().parents[3]
FILES = pathlib.Path(__file__).resolve().parents[1] / "files"
# The oldest glibc that the programs for Linux run with: Debian 11 has it.
GLIBC = "2.31"
# What a program may have, in bytes: nobody should have to download more.
MOST = 25 << 20


@dataclasses.dataclass(frozen=True)
class Target:
    """A machine that there is a program for, as each kind of package calls it."""

    triple: str
    wheel: str
    # Of the npm package, and of Node.js: platform and processor.
    npm: tuple[str, str]
    # What Debian and OCI call the processor. Both are None on Windows.
    deb: str | None
    oci: str | None

    @property
    def program(self):
        return "valor_cli.exe" if "windows" in self.triple else "valor_cli"


_glibc = GLIBC.replace(".", "_")
TARGETS = {
    target.triple: target
    for target in (
        Target("x86_64-unknown-linux-gnu", f"manylinux_{_glibc}_x86_64", ("linux", "x64"), "amd64", "amd64"),
        Target("aarch64-unknown-linux-gnu", f"manylinux_{_glibc}_aarch64", ("linux", "arm64"), "arm64", "arm64"),
        Target("x86_64-pc-windows-gnu", "win_amd64", ("win32", "x64"), None, None),
    )
}


@dataclasses.dataclass(frozen=True)
class Release:
    """A commit's release. `programs` has the program of each target, `extra` the files that go with all of them."""

    commit: str
    epoch: int
    out: pathlib.Path
    programs: dict[str, pathlib.Path]
    # Completions for shells, by file name, and the licences of dependencies, by target.
    completions: dict[str, bytes]
    licences: dict[str, bytes]

    @property
    def targets(self):
        return [TARGETS[triple] for triple in self.programs]

    def program(self, target):
        return self.programs[target.triple].read_bytes()

    def documents(self, target):
        """What the licences ask for, and what a reader looks for first."""
        names = ("README.md", "CHANGELOG.md", "LICENSE-APACHE", "LICENSE-MIT")
        return {name: (ROOT / name).read_bytes() for name in names} | {
            "LICENSES-THIRD-PARTY.txt": self.licences[target.triple]
        }

    @staticmethod
    def sample():
        """A plugins.json and a folder that it serves."""
        return {str(file.relative_to(FILES / "sample")): file.read_bytes() for file in files_below(FILES / "sample")}


def files_below(folder):
    return sorted(file for file in folder.rglob("*") if file.is_file())


_workspace = tomllib.loads((ROOT / "Cargo.toml").read_text())["workspace"]["package"]
VERSION = _workspace["version"]
AUTHOR = _workspace["authors"][0]
LICENCE = _workspace["license"]
HOMEPAGE = _workspace["homepage"]
REPOSITORY = _workspace["repository"]
DOCUMENTATION = _workspace["documentation"]
SUMMARY = tomllib.loads((ROOT / "valor_cli/Cargo.toml").read_text())["package"]["description"]
