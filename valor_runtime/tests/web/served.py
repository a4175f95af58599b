"""The folder that `valor_cli web` writes of a plugins.json, served by it: for `example.py` and `components.py`,
whose first argument is the program.
"""

import asyncio, pathlib, re, subprocess, sys, tempfile

program = sys.argv[1]
# It builds, and may have to compile everything.
TO_BUILD = 900


def same(found, wanted):
    if found != wanted:
        raise AssertionError(f"{found!r} instead of {wanted!r}")


class Served:
    """The folder of a plugins.json, written and served."""

    def __init__(self, plugins):
        self.plugins = plugins

    async def __aenter__(self):
        self.dir = tempfile.TemporaryDirectory()
        self.file = pathlib.Path(self.dir.name, "log")
        command = [program, "web", "--build", "-p", self.plugins, "-o", f"{self.dir.name}/dist"]
        with self.file.open("wb") as log:
            self.process = subprocess.Popen([*command, "--serve", "127.0.0.1:0"], stdout=log, stderr=log)
        for _ in range(TO_BUILD * 10):
            if found := re.search(r"^listening on (http://\S+)$", self.log(), re.M):
                self.url = found[1]
                return self
            if self.process.poll() is not None:
                break
            await asyncio.sleep(0.1)
        self.process.kill()
        raise AssertionError(f"it is not served:\n{self.log()}")

    async def __aexit__(self, *_):
        self.process.terminate()
        code = self.process.wait()
        self.dir.cleanup()
        same(code, 0)

    def log(self):
        return self.file.read_text(errors="replace")
