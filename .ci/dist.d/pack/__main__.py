"""Makes the packages of a release from programs that are built. `.ci/dist` calls it:

    python3 -m pack COMMIT EPOCH OUT CACHE COMPLETIONS TRIPLE=PROGRAM...

COMPLETIONS is a folder with the completions for each shell.
"""

import pathlib
import sys

from . import archives, deb, image, licences, npm, wheel
from .release import MOST, Release


def main(commit, epoch, out, cache, completions, *programs):
    programs = dict(program.split("=", 1) for program in programs)
    release = Release(
        commit=commit,
        epoch=int(epoch),
        out=pathlib.Path(out),
        programs={triple: pathlib.Path(program) for triple, program in programs.items()},
        completions={file.name: file.read_bytes() for file in sorted(pathlib.Path(completions).iterdir())},
        licences={triple: licences.of(triple) for triple in programs},
    )
    for triple, program in release.programs.items():
        size = program.stat().st_size
        print(f"{triple}: {size / (1 << 20):.1f} MiB")
        if size > MOST:
            sys.exit(f"{program}: {size} bytes are more than {MOST}; see the size in docs/src/releases.md")
    archives.archives(release)
    deb.debs(release)
    wheel.wheels(release)
    npm.packages(release)
    image.image(release, cache)


main(*sys.argv[1:])
