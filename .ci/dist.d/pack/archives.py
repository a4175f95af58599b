"""Archives whose bytes depend only on the files in them: sorted, owned by root, with one time for all.

`archives(release)` writes the archives of a release. The other makers build their packages with `tar_gz` and `zipped`.
"""

import datetime
import gzip
import io
import tarfile
import zipfile

from .release import VERSION


def tar(files, epoch, modes=None):
    """A tar file. `files` maps paths to bytes, or to None for a folder; `modes` has those that are not 644 or 755."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.GNU_FORMAT) as archive:
        for path in sorted(files):
            info = tarfile.TarInfo(path)
            info.mtime = epoch
            info.uname = info.gname = "root"
            info.mode = (modes or {}).get(path, 0o755 if files[path] is None else 0o644)
            if files[path] is None:
                info.type = tarfile.DIRTYPE
                archive.addfile(info)
            else:
                info.size = len(files[path])
                archive.addfile(info, io.BytesIO(files[path]))
    return out.getvalue()


def gzipped(data):
    return gzip.compress(data, compresslevel=9, mtime=0)


def tar_gz(files, epoch, modes=None):
    return gzipped(tar(files, epoch, modes))


def zipped(files, epoch, executable=()):
    """A zip file of files in the given order: a wheel's list of files comes last."""
    time = datetime.datetime.fromtimestamp(epoch, datetime.UTC).timetuple()[:6]
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for path, data in files.items():
            info = zipfile.ZipInfo(path, time)
            info.create_system = 3
            info.external_attr = (0o100755 if path in executable else 0o100644) << 16
            info.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(info, data, compresslevel=9)
    return out.getvalue()


def archives(release):
    """`valor_cli-VERSION-TARGET.tar.gz`, or `.zip` for Windows: one folder of that name, where cargo-binstall looks."""
    for target in release.targets:
        name = f"valor_cli-{VERSION}-{target.triple}"
        files = {f"{name}/{target.program}": release.program(target)}
        files |= {f"{name}/{path}": data for path, data in release.documents(target).items()}
        files |= {f"{name}/completions/{path}": data for path, data in release.completions.items()}
        files |= {f"{name}/sample/{path}": data for path, data in release.sample().items()}
        program = f"{name}/{target.program}"
        if "windows" in target.triple:
            archive, data = f"{name}.zip", zipped(dict(sorted(files.items())), release.epoch, {program})
        else:
            archive, data = f"{name}.tar.gz", tar_gz(files, release.epoch, {program: 0o755})
        (release.out / archive).write_bytes(data)
