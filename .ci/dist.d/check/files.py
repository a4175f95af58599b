"""What can be seen of a release without running it: sums, signatures, programs, lists of what is in it."""

import json
import re
import subprocess
import tarfile
import tempfile
import zipfile
import pathlib

from pack.release import GLIBC, MOST, TARGETS, VERSION


def programs(release):
    """The program of each archive, by target."""
    found = {}
    for triple, target in TARGETS.items():
        name = f"valor_cli-{VERSION}-{triple}"
        if (file := release / f"{name}.tar.gz").exists():
            with tarfile.open(file) as archive:
                found[triple] = archive.extractfile(f"{name}/{target.program}").read()
        elif (file := release / f"{name}.zip").exists():
            with zipfile.ZipFile(file) as archive:
                found[triple] = archive.read(f"{name}/{target.program}")
    if not found:
        raise SystemExit(f"{release} has no archive of version {VERSION}")
    return found


def commit(release):
    """The commit that the image's labels name; empty without an image, which a release for Windows alone lacks."""
    if not (file := release / f"valor_cli-{VERSION}-oci.tar").exists():
        return ""
    with tarfile.open(file) as layout:
        def read(descriptor):
            return json.load(layout.extractfile("blobs/" + descriptor["digest"].replace(":", "/")))

        index = read(json.load(layout.extractfile("index.json"))["manifests"][0])
        config = read(read(index["manifests"][0])["config"])
        return config["config"]["Labels"]["org.opencontainers.image.revision"]


def sums(release, _):
    subprocess.run(["sha256sum", "--check", "--quiet", "SHA256SUMS"], check=True, cwd=release)
    listed = {line.split("  ", 1)[1] for line in (release / "SHA256SUMS").read_text().splitlines()}
    signed = (release / "valor.pub").exists()
    others = {file.name for file in release.iterdir() if file.suffix != ".minisig"} - listed
    assert others == {"SHA256SUMS"} | ({"valor.pub"} if signed else set()), f"not in SHA256SUMS: {others}"
    if not signed:
        return "the sums are right; nothing is signed"
    for name in [*listed, "SHA256SUMS"]:
        subprocess.run(["minisign", "-V", "-q", "-p", "valor.pub", "-m", name], check=True, cwd=release)
    return f"the sums are right, and {len(listed) + 1} files are signed"


def same(release, triple, program, folder):
    """Each package for a target has the program of its archive, which is stripped and not too large."""
    assert len(program) <= MOST, f"{len(program)} bytes"
    target = TARGETS[triple]
    (file := folder / target.program).write_bytes(program)
    sections = subprocess.run(["objdump", "--section-headers", file], check=True, text=True, capture_output=True).stdout
    assert ".debug_info" not in sections and ".symtab" not in sections, "it is not stripped"
    for place in ("/root/", "/home/", f"{release.parent}/"):
        assert place.encode() not in program, f"it contains the path of a file of this machine: {place}"
    with zipfile.ZipFile(release / f"valor_cli-{VERSION}-py3-none-{target.wheel}.whl") as wheel:
        assert wheel.read(f"valor_cli-{VERSION}.data/scripts/{target.program}") == program, "the wheel differs"
    with tarfile.open(release / f"valor_cli-{'-'.join(target.npm)}-{VERSION}.tgz") as package:
        assert package.extractfile(f"package/bin/{target.program}").read() == program, "the npm package differs"
    if target.deb:
        deb = release / f"valor_cli_{VERSION}_{target.deb}.deb"
        subprocess.run(["dpkg-deb", "--extract", deb, folder / "deb"], check=True)
        assert (folder / "deb/usr/bin/valor_cli").read_bytes() == program, "the Debian package differs"
    return f"{len(program) / (1 << 20):.1f} MiB, stripped"


def old_glibc(program, folder):
    """No symbol is from a glibc that is newer than promised."""
    (folder / "program").write_bytes(program)
    said = subprocess.run(["readelf", "--wide", "--version-info", folder / "program"], check=True, text=True,
                          capture_output=True).stdout
    number = lambda version: tuple(map(int, version.split(".")))
    newest = max(re.findall(r"GLIBC_([0-9.]+)", said), key=number)
    assert number(newest) <= number(GLIBC), f"it needs glibc {newest}"
    return f"it needs glibc {newest}"


def lists(release, programs, _):
    """The list of components names the program and what is linked into it, and the licences are in the archives."""
    for triple in programs:
        bill = json.loads((release / f"valor_cli-{VERSION}-{triple}.cdx.json").read_text())
        assert bill["bomFormat"] == "CycloneDX" and bill["metadata"]["component"]["version"] == VERSION
        names = {component["name"] for component in bill["components"]}
        assert {"valor_runtime", "wasmtime", "rustls", "clap"} <= names, f"{triple}: {sorted(names)}"
        assert not {"proptest", "snapbox"} & names, "it names what only tests use"
    return f"{len(names)} components"
