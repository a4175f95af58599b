"""Runs the image without a daemon: its layers are unpacked one over the other, and its command starts in the result."""

import gzip
import hashlib
import json
import tarfile

from pack.release import FILES, VERSION

from . import roots, served


def image(site, folder):
    """The image as its configuration says: user, command and environment. Then with vlugins."""
    with tarfile.open(site.release / f"valor_cli-{VERSION}-oci.tar") as layout:
        def blob(descriptor):
            data = layout.extractfile("blobs/" + descriptor["digest"].replace(":", "/")).read()
            algorithm, digest = descriptor["digest"].split(":")
            assert hashlib.new(algorithm, data).hexdigest() == digest and len(data) == descriptor["size"]
            return data

        assert json.load(layout.extractfile("oci-layout")) == {"imageLayoutVersion": "1.0.0"}
        (top,) = json.load(layout.extractfile("index.json"))["manifests"]
        entries = json.loads(blob(top))["manifests"]
        (entry,) = [it for it in entries if it["platform"]["architecture"] == site.target.oci]
        manifest = json.loads(blob(entry))
        config = json.loads(blob(manifest["config"]))
        root = folder / "root"
        for layer, diff in zip(manifest["layers"], config["rootfs"]["diff_ids"], strict=True):
            data = gzip.decompress(blob(layer))
            assert f"sha256:{hashlib.sha256(data).hexdigest()}" == diff
            (file := folder / "layer.tar").write_bytes(data)
            roots.extract(file, root)
    roots.prepare(root)
    settings = config["config"]
    user = int(settings["User"].split(":")[0])
    assert user != 0, "it runs as root"
    assert settings["Labels"]["org.opencontainers.image.version"] == VERSION
    said = site.serve_inside(root, settings["Entrypoint"][0], user)
    # The command as it is, except for the address: another program may have the port.
    command = [*settings["Entrypoint"], *settings["Cmd"]]
    assert command[-2:] == ["--addr", "0.0.0.0:8080"]
    start = ["/usr/bin/qemu"] if site.emulated else []
    page = (FILES / "sample/site/index.html").read_text()
    served.serve(roots.inside(root, *start, *command[:-2], user=user), {"/": page})
    return f"{said}, and the sample's"
