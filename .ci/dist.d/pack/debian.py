"""A small root folder of Debian's packages, for the image and for checks in an old Debian.

apt downloads the packages and checks their signatures. The machine's own lists and packages stay as they are, so any
suite and any processor will do.
"""

import pathlib
import shutil
import subprocess

KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"


def packages(suite, arch, names, cache):
    """The files of packages, without what they depend on, in the order of `names`."""
    folder = pathlib.Path(cache) / f"{suite}-{arch}"
    (folder / "lists/partial").mkdir(parents=True, exist_ok=True)
    targets = ["apt-get", "indextargets", "Created-By: Packages", "Label: Debian", "--format", "$(REPO_URI)"]
    places = sorted(set(subprocess.run(targets, check=True, text=True, stdout=subprocess.PIPE).stdout.split()))
    if not places:
        raise SystemExit("apt has no source with Debian's packages: add one, the image is made of them")
    sources = folder / "sources.list"
    sources.write_text("".join(f"deb [arch={arch} signed-by={KEYRING}] {uri} {suite} main\n" for uri in places))
    options = ("Dir::Etc::SourceList=" + str(sources), "Dir::Etc::SourceParts=/dev/null",
               f"Dir::State::Lists={folder}/lists", "Dir::State::status=/dev/null", "Dir::Cache::pkgcache=",
               "Dir::Cache::srcpkgcache=", "APT::Sandbox::User=root", f"APT::Architecture={arch}",
               f"APT::Architectures::={arch}")
    apt = ["apt-get", "-qq", *(word for option in options for word in ("-o", option))]
    # A machine whose sources have never been updated does not have the lists of its own suite; these are separate.
    subprocess.run([*apt, "update"], check=True)
    files = []
    for name in names:
        for old in folder.glob(f"{name}_*.deb"):
            old.unlink()
        subprocess.run([*apt, "download", name], check=True, cwd=folder)
        files += folder.glob(f"{name}_*.deb")
    return files


def cached(suite, arch, names, cache):
    """The files that `packages` has downloaded last."""
    folder = pathlib.Path(cache) / f"{suite}-{arch}"
    return [file for name in names for file in folder.glob(f"{name}_*.deb")]


def root(folder, files):
    """Unpacks packages into a folder, without their scripts."""
    for file in files:
        subprocess.run(["dpkg-deb", "--extract", file, folder], check=True)


def control(file):
    """What a package says about itself."""
    return subprocess.run(["dpkg-deb", "--field", file], check=True, stdout=subprocess.PIPE).stdout


def authorities(folder):
    """The certificates of ca-certificates, joined in one file as its script does."""
    folder = pathlib.Path(folder)
    found = sorted((folder / "usr/share/ca-certificates/mozilla").glob("*.crt"))
    bundle = folder / "etc/ssl/certs/ca-certificates.crt"
    bundle.parent.mkdir(parents=True, exist_ok=True)
    bundle.write_bytes(b"".join(file.read_bytes().rstrip() + b"\n" for file in found))


def without(folder, *paths):
    for path in paths:
        shutil.rmtree(pathlib.Path(folder) / path, ignore_errors=True)
