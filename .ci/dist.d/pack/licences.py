"""The licences of everything that is linked into the program: their owners ask that binaries carry them."""

import collections
import json
import pathlib
import re
import subprocess

from .release import ROOT

NAMES = re.compile(r"^(un)?licen[cs]e|^copying|^notice|^copyright", re.IGNORECASE)
HEAD = """\
valor_cli contains the Rust standard library (MIT OR Apache-2.0) and these crates. The texts of their
licences follow, each one once.

"""


def of(triple):
    """The crates of the program for a target, and the texts of their licences."""
    command = ["cargo", "metadata", "--locked", "--offline", "--format-version", "1", "--filter-platform", triple]
    metadata = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, cwd=ROOT).stdout)
    packages = {package["id"]: package for package in metadata["packages"]}
    nodes = {node["id"]: node for node in metadata["resolve"]["nodes"]}
    (start,) = (id for id, package in packages.items() if package["name"] == "valor_cli")
    reached, todo = set(), [start]
    while todo:
        id = todo.pop()
        if id in reached:
            continue
        reached.add(id)
        for dependency in nodes[id]["deps"]:
            if any(kind["kind"] is None for kind in dependency["dep_kinds"]):
                todo.append(dependency["pkg"])
    crates = [packages[id] for id in reached if packages[id]["source"]]
    crates.sort(key=lambda it: (it["name"], it["version"]))
    texts = collections.defaultdict(list)
    lines = []
    for crate in crates:
        name = f"{crate['name']} {crate['version']}"
        lines.append(f"{name}: {crate['license'] or 'see below'}")
        for file in sorted(pathlib.Path(crate["manifest_path"]).parent.iterdir()):
            if NAMES.match(file.name) and file.is_file():
                texts[file.read_text(errors="replace").strip()].append(name)
    parts = [HEAD + "\n".join(lines) + "\n"]
    for text, names in texts.items():
        parts.append(f"\n{'-' * 80}\n{', '.join(dict.fromkeys(names))}\n{'-' * 80}\n\n{text}\n")
    return "".join(parts).encode()
