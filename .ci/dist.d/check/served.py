"""The vlugins that each installed program serves, and their answers."""

import json
import pathlib
import re
import shutil
import signal
import subprocess
import time
import urllib.request

SCRIPT = 'export default { fetch: () => new Response("OK response from a script") };\n'
PAGE = "<h1>OK response from a folder</h1>\n"
ANSWERS = {
    "/hello": "OK response from a plugin",
    "/greet?who=Zoe": "Hello, Zoe! You are number 1.",
    "/script": "OK response from a script",
    "/site/": PAGE,
}


def write(folder, hello, module, script=True):
    """Writes a plugins.json and the files it names, for everybody to read; returns the answers to expect."""
    folder = pathlib.Path(folder)
    (folder / "site").mkdir(parents=True)
    shutil.copy(hello, folder)
    shutil.copy(module, folder)
    (folder / "script.js").write_text(SCRIPT)
    (folder / "site/index.html").write_text(PAGE)
    plugins = [
        {"type": "native", "name": "hello", "path": pathlib.Path(hello).name},
        # In an emulator, compiling takes longer.
        {"type": "wasm", "name": "greet", "path": pathlib.Path(module).name, "limits": {"compile": 10}},
        {"type": "files", "name": "site", "path": "site"},
    ]
    answers = dict(ANSWERS)
    if script:
        plugins.append({"type": "js", "name": "script", "path": "script.js"})
    else:
        del answers["/script"]
    (folder / "plugins.json").write_text(json.dumps({"plugins": plugins}))
    for path in [folder, *folder.rglob("*")]:
        path.chmod(0o755)
    return answers


def said(command, **options):
    """What a command prints."""
    done = subprocess.run(command, text=True, capture_output=True, **options)
    if done.returncode != 0:
        raise SystemExit(f"{command}: {done.returncode}\n{done.stdout}{done.stderr}")
    return done.stdout


def versions(command, version, commit, **options):
    """Checks what a program says about itself."""
    assert said([*command, "-V"], **options).strip() == f"valor_cli {version}", command
    long = said([*command, "--version"], **options)
    for part in (f"valor_cli {version}", commit, "native 1.0", "wasmtime", "Deno"):
        assert part in long, f"no {part} in {long}"


def serve(command, answers, ends=True, patience=120, **options):
    """Starts `command`, compares its answers, and ends it: with SIGTERM, after which its exit code must be 0."""
    server = subprocess.Popen([*command, "--addr", "127.0.0.1:0"], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              text=True, stdin=subprocess.DEVNULL, **options)
    try:
        url = None
        for line in server.stdout:
            if found := re.match(r"listening on (http://\S+)", line):
                url = found[1]
                break
        if url is None:
            raise SystemExit(f"{command}: it does not listen\n{server.stderr.read()}")
        for path, expected in answers.items():
            with urllib.request.urlopen(url + path, timeout=patience) as response:
                answer = response.read().decode()
            assert answer == expected, f"{command}: {path} answers {answer!r}"
        if ends:
            server.send_signal(signal.SIGTERM)
            code = server.wait(timeout=patience)
            assert code == 0, f"{command}: it ended with {code}\n{server.stderr.read()}"
    finally:
        if server.poll() is None:
            server.kill()
            server.wait()


def eventually(what, holds, patience=60):
    """Waits until something holds that must happen."""
    end = time.monotonic() + patience
    while not holds():
        if time.monotonic() > end:
            raise SystemExit(f"not within {patience} s: {what}")
        time.sleep(0.1)
