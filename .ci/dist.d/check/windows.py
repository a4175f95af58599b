"""Runs the program for Windows in Wine, with what `.ci/windows` has prepared there."""

import os
import pathlib
import shutil
import subprocess
import tempfile
import zipfile

from pack.release import ROOT, VERSION

from . import served


def archive(site, folder):
    """The zip file, unpacked into a folder."""
    wine_dir = site.cache / "wine"
    wine_dir.mkdir(exist_ok=True)
    subprocess.run(["x86_64-w64-mingw32-gcc", "-shared", "-o", wine_dir / "bcryptprimitives.dll",
                    ROOT / ".ci/process_prng.c", "-ladvapi32"], check=True)
    name = f"valor_cli-{VERSION}-{site.target.triple}"
    with zipfile.ZipFile(site.release / f"{name}.zip") as archive:
        archive.extractall(folder)
    program = folder / name / "valor_cli.exe"
    answers = site.vlugins(folder / "app")
    served.versions([wine(), program], VERSION, site.commit, env=environment(wine_dir))
    serve(wine_dir, program, folder / "app", answers)
    return f"{len(answers)} answers"


def kinds(wine_dir, program, library, module):
    """A vlugin of each kind, all of one plugins.json, with a program that was just built. What they do at the same
    time is not the same each time."""
    for _ in range(3):
        with tempfile.TemporaryDirectory() as folder:
            answers = served.write(folder, library, module)
            serve(pathlib.Path(wine_dir), program, pathlib.Path(folder), answers)
    print(f"{len(answers)} kinds of vlugins answer on Windows")


def serve(wine_dir, program, app, answers):
    windows = lambda path: "Z:" + str(path).replace("/", "\\")
    deno = subprocess.run([ROOT / ".ci/windows-deno", wine_dir], check=True, text=True, stdout=subprocess.PIPE).stdout
    run = [wine(), program, "run", "-p", windows(app / "plugins.json"), "--deno", windows(deno.strip())]
    # Wine does not pass a signal on.
    served.serve(run, answers, ends=False, env=environment(wine_dir))


def wine():
    return shutil.which("wine64") or "/usr/lib/wine/wine64"


def environment(wine_dir):
    return os.environ | {"WINEPREFIX": str(wine_dir / "prefix"), "WINEDEBUG": "-all", "WINEPATH": str(wine_dir)}
