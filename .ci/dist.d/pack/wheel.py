"""Python wheels that carry the program: `pip install valor_cli` puts it on the PATH of a virtual environment."""

import base64
import hashlib

from .archives import zipped
from .release import DOCUMENTATION, HOMEPAGE, LICENCE, REPOSITORY, ROOT, SUMMARY, VERSION


def wheels(release):
    """`valor_cli-VERSION-py3-none-PLATFORM.whl` for each target."""
    for target in release.targets:
        info = f"valor_cli-{VERSION}.dist-info"
        documents = release.documents(target)
        licences = sorted(name for name in documents if name.startswith("LICENSE"))
        metadata = [
            "Metadata-Version: 2.4", "Name: valor_cli", f"Version: {VERSION}", f"Summary: {SUMMARY}",
            f"Home-page: {HOMEPAGE}", f"Project-URL: Documentation, {DOCUMENTATION}",
            f"Project-URL: Source, {REPOSITORY}", f"License-Expression: {LICENCE}",
            *(f"License-File: {name}" for name in licences),
            "Requires-Python: >=3.8", "Description-Content-Type: text/markdown", "",
            (ROOT / ".ci/dist.d/files/wheel.md").read_text(),
        ]
        wheel = ["Wheel-Version: 1.0", "Generator: valor", "Root-Is-Purelib: false",
                 f"Tag: py3-none-{target.wheel}", ""]
        program = f"valor_cli-{VERSION}.data/scripts/{target.program}"
        files = {program: release.program(target)}
        files |= {f"{info}/licenses/{name}": documents[name] for name in licences}
        files |= {f"{info}/METADATA": "\n".join(metadata).encode(), f"{info}/WHEEL": "\n".join(wheel).encode()}
        record = [f"{path},sha256={digest(data)},{len(data)}" for path, data in files.items()]
        files[f"{info}/RECORD"] = "\n".join([*record, f"{info}/RECORD,,", ""]).encode()
        name = f"valor_cli-{VERSION}-py3-none-{target.wheel}.whl"
        (release.out / name).write_bytes(zipped(files, release.epoch, {program}))


def digest(data):
    return base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
