"""Checks a release, as `.ci/dist-check` describes. It calls this:

    python3 -m check RELEASE CACHE BUILT DENO

BUILT is cargo's target folder with the vlugins to serve.
"""

import functools
import pathlib
import sys
import tempfile

from pack.release import TARGETS, VERSION

from . import files, installs, image, windows


def main(release, cache, built, deno):
    release, cache, built = map(pathlib.Path, (release, cache, built))
    programs = files.programs(release)
    commit = files.commit(release)
    checks = [("sums and signatures", functools.partial(files.sums, release)),
              ("lists of contents", functools.partial(files.lists, release, programs))]
    for triple, program in programs.items():
        same = functools.partial(files.same, release, triple, program)
        checks.append((f"the same program everywhere, {triple}", same))
        target = TARGETS[triple]
        site = installs.Site(release, cache, built, pathlib.Path(deno), target, commit)
        if "linux" in triple:
            checks.append((f"for an old glibc, {triple}", functools.partial(files.old_glibc, program)))
            for install in (installs.archive, installs.deb, image.image):
                checks.append((f"{install.__name__}, {triple}", functools.partial(install, site)))
        if triple == "x86_64-unknown-linux-gnu":
            for install in (installs.wheel, installs.npm):
                checks.append((f"{install.__name__}, {triple}", functools.partial(install, site)))
        if "windows" in triple:
            checks.append((f"archive in Wine, {triple}", functools.partial(windows.archive, site)))
    for name, check in checks:
        with tempfile.TemporaryDirectory() as folder:
            note = check(pathlib.Path(folder))
        print(f"{name}: {note or 'good'}", flush=True)
    print(f"valor_cli {VERSION}: {len(checks)} passed, 0 failed")


main(*sys.argv[1:])
