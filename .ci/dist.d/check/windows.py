"""Runs the program for Windows in Wine, with what `.ci/windows` has prepared there."""

import os
import shutil
import subprocess
import zipfile

from pack.release import ROOT, VERSION

from . import served


def archive(site, folder):
    """The zip file, unpacked into a folder."""
    wine_dir = site.cache / "wine"
    wine_dir.mkdir(exist_ok=True)
    wine = shutil.which("wine64") or "/usr/lib/wine/wine64"
    environment = os.environ | {"WINEPREFIX": str(wine_dir / "prefix"), "WINEDEBUG": "-all", "WINEPATH": str(wine_dir)}
    subprocess.run(["x86_64-w64-mingw32-gcc", "-shared", "-o", wine_dir / "bcryptprimitives.dll",
                    ROOT / ".ci/process_prng.c", "-ladvapi32"], check=True)
    name = f"valor_cli-{VERSION}-{site.target.triple}"
    with zipfile.ZipFile(site.release / f"{name}.zip") as archive:
        archive.extractall(folder)
    program = folder / name / "valor_cli.exe"
    answers = site.vlugins(folder / "app")
    windows = lambda path: "Z:" + str(path).replace("/", "\\")
    served.versions([wine, program], VERSION, site.commit, env=environment)
    deno = subprocess.run([ROOT / ".ci/windows-deno", wine_dir], check=True, text=True, stdout=subprocess.PIPE).stdout
    run = [wine, program, "run", "-p", windows(folder / "app/plugins.json"), "--deno", windows(deno.strip())]
    # Wine does not pass a signal on.
    served.serve(run, answers, ends=False, env=environment)
    return f"{len(answers)} answers"
