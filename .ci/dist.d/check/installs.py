"""Installs packages as a user would: an archive, a Debian package, a wheel, and npm packages.

Those for Linux run in a root with Debian 11's libc, those for ARM64 in qemu. There, scripts are left out: Deno would
start as a program for ARM64 too.
"""

import dataclasses
import os
import pathlib
import shutil
import subprocess

from pack import debian
from pack.release import VERSION, Target

from . import roots, served

QEMU = "/usr/bin/qemu-aarch64-static"


@dataclasses.dataclass(frozen=True)
class Site:
    """A release, and what to serve with one target's program."""

    release: pathlib.Path
    cache: pathlib.Path
    built: pathlib.Path
    deno: pathlib.Path
    target: Target
    commit: str

    @property
    def emulated(self):
        return self.target.triple.startswith("aarch64")

    def vlugins(self, folder):
        """Writes what is served, and returns the answers."""
        library = "hello_plugin.dll" if "windows" in self.target.triple else "libhello_plugin.so"
        return served.write(folder, self.built / self.target.triple / "debug" / library,
                            self.built / "wasm32-unknown-unknown/release/greet.wasm", script=not self.emulated)

    def serve_inside(self, root, program, user=roots.NOBODY):
        """Serves in a root what `vlugins` writes there."""
        answers = self.vlugins(root / "app")
        (root / "usr/bin").mkdir(parents=True, exist_ok=True)
        start, deno = [program], []
        if self.emulated:
            shutil.copy(QEMU, root / "usr/bin/qemu")
            start = ["/usr/bin/qemu", program]
        else:
            shutil.copy(self.deno, root / "usr/bin/deno")
            deno = ["--deno", "/usr/bin/deno"]
        served.versions(roots.inside(root, *start, user=user), VERSION, self.commit)
        run = [*start, "run", "-p", "/app/plugins.json", *deno]
        served.serve(roots.inside(root, *run, user=user), answers)
        return f"{len(answers)} answers" + (" in qemu, without a script" if self.emulated else "")


def archive(site, root):
    """The archive, unpacked into a prefix."""
    roots.debian_11(root, site.target.deb, site.cache / "debian")
    name = f"valor_cli-{VERSION}-{site.target.triple}"
    roots.extract(site.release / f"{name}.tar.gz", root / "opt")
    return site.serve_inside(root, f"/opt/{name}/valor_cli")


def deb(site, root):
    """The Debian package, installed by dpkg, which checks that what it depends on is there."""
    names = ("base-files", "libc6", "libgcc-s1")
    roots.debian_11(root, site.target.deb, site.cache / "debian")
    database = root / "var/lib/dpkg"
    for folder in ("updates", "info"):
        (database / folder).mkdir(parents=True)
    installed = debian.cached("bullseye", site.target.deb, names, site.cache / "debian")
    status = [b"Status: install ok installed\n" + debian.control(file) for file in installed]
    (database / "status").write_bytes(b"\n".join(status))
    for name in ("base-files", f"libc6:{site.target.deb}", f"libgcc-s1:{site.target.deb}"):
        (database / f"info/{name}.list").touch()
    package = site.release / f"valor_cli_{VERSION}_{site.target.deb}.deb"
    subprocess.run(["dpkg", f"--root={root}", "--force-architecture", "--force-not-root", "--install", package],
                   check=True, stdout=subprocess.DEVNULL)
    said = served.said(["dpkg", f"--root={root}", "--verify", "valor-cli"])
    assert not said, said
    for path in ("bash-completion/completions/valor_cli", "doc/valor-cli/copyright", "valor-cli/sample/plugins.json"):
        assert (root / "usr/share" / path).is_file(), path
    return site.serve_inside(root, "/usr/bin/valor_cli")


def wheel(site, folder):
    """The wheel, installed by pip into an empty environment."""
    environment = folder / "environment"
    subprocess.run(["/usr/bin/python3", "-m", "venv", environment], check=True)
    file = site.release / f"valor_cli-{VERSION}-py3-none-{site.target.wheel}.whl"
    pip = [environment / "bin/pip", "install", "--quiet", "--no-index", "--disable-pip-version-check", file]
    subprocess.run(pip, check=True)
    return on_path(site, folder, environment / "bin")


def npm(site, folder):
    """The npm packages, installed from their files and without a registry."""
    project = folder / "project"
    project.mkdir()
    (project / "package.json").write_text('{ "private": true }\n')
    names = ("valor_cli", f"valor_cli-{'-'.join(site.target.npm)}")
    files = [site.release / f"{name}-{VERSION}.tgz" for name in names]
    subprocess.run(["npm", "install", "--offline", "--no-audit", "--no-fund", "--loglevel", "error", *files],
                   check=True, cwd=project, stdout=subprocess.DEVNULL,
                   env=os.environ | {"npm_config_cache": str(folder / "npm")})
    assert served.said(["npx", "--no-install", "valor_cli", "-V"], cwd=project).strip() == f"valor_cli {VERSION}"
    return on_path(site, folder, project / "node_modules/.bin")


def on_path(site, folder, bin):
    """Serves with the program that is found on a PATH beginning with `bin`."""
    answers = site.vlugins(folder / "app")
    path = f"{bin}{os.pathsep}{os.environ['PATH']}"
    assert shutil.which("valor_cli", path=path) == str(bin / "valor_cli")
    environment = os.environ | {"PATH": path}
    served.versions([bin / "valor_cli"], VERSION, site.commit, env=environment)
    run = [bin / "valor_cli", "run", "-p", folder / "app/plugins.json", "--deno", site.deno]
    served.serve(run, answers, env=environment)
    return f"{len(answers)} answers"
