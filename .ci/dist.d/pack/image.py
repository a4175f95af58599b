"""The container image, as an OCI layout in a tar file. It is made without a daemon: an image is files and their sums.

The first layer has the packages of Debian that the program and native vlugins need, the second one Valor. The image's
user is nobody special, there is no shell, and nothing in it has to be writable.
"""

import datetime
import hashlib
import json
import pathlib
import stat
import tarfile
import tempfile
import io

from . import debian
from .archives import gzipped, tar
from .release import DOCUMENTATION, HOMEPAGE, LICENCE, REPOSITORY, SUMMARY, VERSION, files_below

# Newer than Debian 11: vlugins that are built on today's systems need its glibc.
SUITE = "trixie"
PACKAGES = ("base-files", "libc6", "libgcc-s1", "ca-certificates")
USER = 65532
UNNEEDED = ("usr/share/man", "usr/share/locale", "usr/share/lintian", "usr/share/base-files",
            "usr/share/ca-certificates", "etc/update-motd.d")


def image(release, cache):
    """`valor_cli-VERSION-oci.tar`, for each Linux."""
    targets = [target for target in release.targets if target.oci]
    if not targets:
        return
    layout = Layout()
    manifests = []
    for target in targets:
        manifest = one(layout, release, target, cache)
        manifests.append(manifest | {"platform": {"os": "linux", "architecture": target.oci}})
    index = {"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": manifests}
    top = layout.blob(index, index["mediaType"])
    top["annotations"] = {"org.opencontainers.image.ref.name": VERSION}
    layout.files["index.json"] = encoded(index | {"manifests": [top]})
    layout.files["oci-layout"] = encoded({"imageLayoutVersion": "1.0.0"})
    (release.out / f"valor_cli-{VERSION}-oci.tar").write_bytes(tar(layout.files, release.epoch))


class Layout:
    """An OCI layout that is being put together."""

    def __init__(self):
        self.files = {"blobs": None, "blobs/sha256": None}

    def blob(self, content, media):
        """Adds bytes, or a value as JSON, and returns its descriptor."""
        data = content if isinstance(content, bytes) else encoded(content)
        digest = hashlib.sha256(data).hexdigest()
        self.files[f"blobs/sha256/{digest}"] = data
        return {"mediaType": media, "digest": f"sha256:{digest}", "size": len(data)}


def encoded(value):
    return json.dumps(value, indent=1).encode()


def one(layout, release, target, cache):
    """The manifest of the image for one target."""
    created = datetime.datetime.fromtimestamp(release.epoch, datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    below, versions = base(release, target, cache)
    layers = [below, valor(release, target)]
    labels = {
        "org.opencontainers.image.title": "valor_cli", "org.opencontainers.image.description": SUMMARY,
        "org.opencontainers.image.version": VERSION, "org.opencontainers.image.revision": release.commit,
        "org.opencontainers.image.created": created, "org.opencontainers.image.licenses": LICENCE,
        "org.opencontainers.image.url": HOMEPAGE, "org.opencontainers.image.source": REPOSITORY,
        "org.opencontainers.image.documentation": DOCUMENTATION,
        "org.opencontainers.image.base.name": f"Debian {SUITE}: {versions}",
    }
    config = {
        "created": created, "architecture": target.oci, "os": "linux",
        "config": {
            "User": f"{USER}:{USER}", "WorkingDir": "/srv", "ExposedPorts": {"8080/tcp": {}},
            "Entrypoint": ["/usr/bin/valor_cli"],
            "Cmd": ["run", "-p", "/etc/valor/plugins.json", "--addr", "0.0.0.0:8080"],
            "Env": ["PATH=/usr/local/bin:/usr/bin:/bin"], "StopSignal": "SIGTERM", "Labels": labels,
        },
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{hashlib.sha256(layer).hexdigest()}" for layer in layers]},
        "history": [
            {"created": created, "created_by": f"Debian {SUITE}: {versions}"},
            {"created": created, "created_by": f"valor_cli {VERSION}"},
        ],
    }
    manifest = {
        "schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": layout.blob(config, "application/vnd.oci.image.config.v1+json"),
        "layers": [layout.blob(gzipped(layer), "application/vnd.oci.image.layer.v1.tar+gzip") for layer in layers],
    }
    return layout.blob(manifest, manifest["mediaType"])


def base(release, target, cache):
    """The layer with Debian's packages, and their versions."""
    files = debian.packages(SUITE, target.deb, PACKAGES, cache)
    with tempfile.TemporaryDirectory() as temporary:
        root = pathlib.Path(temporary)
        debian.root(root, files)
        debian.authorities(root)
        debian.without(root, *UNNEEDED)
        for document in files_below(root / "usr/share/doc"):
            if document.name != "copyright":
                document.unlink()
        # Scanners read here which packages an image without dpkg has.
        versions = []
        for file in files:
            write(root, f"var/lib/dpkg/status.d/{file.name.split('_')[0]}", debian.control(file).decode())
            versions.append("=".join(file.name.split("_")[:2]).replace("%3a", ":"))
        write(root, "etc/passwd", f"root:x:0:0:root:/:/sbin/nologin\nvalor:x:{USER}:{USER}:valor:/:/sbin/nologin\n")
        write(root, "etc/group", f"root:x:0:\nvalor:x:{USER}:\n")
        write(root, "etc/nsswitch.conf", "passwd: files\ngroup: files\nhosts: files dns\n")
        return folder_as_tar(root, release.epoch), " ".join(versions)


def valor(release, target):
    """The layer with the program and a sample to serve."""
    files = {"usr/bin/valor_cli": release.program(target), "etc/valor": None, "usr/share/doc/valor-cli": None}
    files |= {f"etc/valor/{path}": data for path, data in release.sample().items()}
    files |= {f"usr/share/doc/valor-cli/{path}": data for path, data in release.documents(target).items()}
    return tar(files, release.epoch, {"usr/bin/valor_cli": 0o755})


def write(root, path, text):
    file = root / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)


def folder_as_tar(root, epoch):
    """A layer with everything below a folder: files, folders and links, each owned by root."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.GNU_FORMAT) as archive:
        for path in sorted(root.rglob("*")):
            info = tarfile.TarInfo(str(path.relative_to(root)))
            info.mtime = epoch
            info.uname = info.gname = "root"
            found = path.lstat().st_mode
            info.mode = stat.S_IMODE(found)
            if stat.S_ISLNK(found):
                info.type, info.linkname, info.mode = tarfile.SYMTYPE, str(path.readlink()), 0o777
                archive.addfile(info)
            elif stat.S_ISDIR(found):
                info.type = tarfile.DIRTYPE
                archive.addfile(info)
            elif stat.S_ISREG(found):
                info.size = path.stat().st_size
                with path.open("rb") as file:
                    archive.addfile(info, file)
    return out.getvalue()
