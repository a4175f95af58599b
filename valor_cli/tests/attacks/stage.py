"""What the attacks have in common: a `valor_cli` that runs, requests to it, what it takes of the machine, and guests
written by hand (docs/src/guest-abi.md). `main.py` plays them.
"""

import contextlib, http.client, json, os, pathlib, resource, signal, socket, struct, subprocess, sys, tempfile
import threading, time

PROGRAM, LIBRARY, DENO = sys.argv[1:4]
BASE = tempfile.TemporaryDirectory(prefix="valor-attacks-")
MIB = 1 << 20
# How long anything may take that has to happen.
PATIENCE = 60


class Failed(Exception):
    pass


def folder_of():
    return pathlib.Path(tempfile.mkdtemp(dir=BASE.name))


def hold(what, is_so):
    if not is_so:
        raise Failed(what)


def below(what, found, most):
    """A bound, and the line that says what was measured."""
    print(f"    {what}: {found:.4g} (at most {most})")
    hold(f"{what} is {found}, and may be {most}", found <= most)


class Server:
    """`valor_cli run` with these vlugins; its folder is `self.folder`."""

    def __init__(self, *plugins, args=(), limits=(), folder=None):
        self.folder = folder or folder_of()
        self.file = self.folder / "plugins.json"
        self.write(plugins)

        def held():
            for kind, most in limits:
                resource.setrlimit(kind, (most, most))

        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        command = [PROGRAM, "run", "-p", self.file, "--addr", f"127.0.0.1:{self.port}", "--deno", DENO, *args]
        self.log = self.folder / "log"
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log, preexec_fn=held)
        until("it listens", lambda: "listening on" in self.said() or self.process.poll() is not None)
        hold(f"it does not start: {self.said()[-2000:]}", self.is_alive())

    def write(self, plugins):
        self.file.write_text(json.dumps({"plugins": list(plugins)}))

    def said(self):
        return self.log.read_text(errors="replace")

    def is_alive(self):
        return self.process.poll() is None

    def memory(self, key="VmHWM"):
        """MiB at most so far, or (VmRSS) now."""
        for line in open(f"/proc/{self.process.pid}/status"):
            if line.startswith(key):
                return int(line.split()[1]) / 1024
        return 0

    def children(self):
        found = []
        for task in os.listdir(f"/proc/{self.process.pid}/task"):
            found += map(int, open(f"/proc/{self.process.pid}/task/{task}/children").read().split())
        return found

    def get(self, path, method="GET", body=None, headers={}, timeout=PATIENCE):
        client = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)
        try:
            client.request(method, path, body, headers)
            answer = client.getresponse()
            return answer.status, answer.read()
        finally:
            client.close()

    def put(self, definition):
        headers = {"content-type": "application/json", "host": "localhost"}
        return self.get("/_plugins", "POST", json.dumps(definition), headers)

    def times(self, path, seconds=None, beside=None):
        """How long answers take, in ms: the median and the longest, for so long or while threads run."""
        took, end = [], time.monotonic() + (seconds or PATIENCE)
        while time.monotonic() < end and (not beside or any(it.is_alive() for it in beside)):
            began = time.monotonic()
            status, body = self.get(path)
            took.append((time.monotonic() - began) * 1000)
            hold(f"{path} answers {status} {body[:200]}", status == 200)
            time.sleep(0.01)
        took.sort()
        return took[len(took) // 2], took[-1]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.is_alive():
            self.process.send_signal(signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(PATIENCE)
        if self.is_alive():
            self.process.kill()
            self.process.wait()


def until(what, happened):
    end = time.monotonic() + PATIENCE
    while not happened():
        hold(f"it does not come to this: {what}", time.monotonic() < end)
        time.sleep(0.05)


def lives(pid):
    try:
        return open(f"/proc/{pid}/stat").read().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def threads(act, count):
    """So many clients at once, whatever becomes of them."""

    def begin(number):
        with contextlib.suppress(OSError, http.client.HTTPException):
            act(number)

    all = [threading.Thread(target=begin, args=(number,), daemon=True) for number in range(count)]
    for it in all:
        it.start()
    return all


def run(*args, seconds=PATIENCE):
    """The code of the program, what it said, its seconds and its MiB."""
    began, most = time.monotonic(), 0
    with tempfile.TemporaryFile() as out:
        process = subprocess.Popen([PROGRAM, *args], stdout=out, stderr=out, env={**os.environ, "HOME": "/nonexistent"})
        while process.poll() is None:
            with contextlib.suppress(OSError):
                for line in open(f"/proc/{process.pid}/status"):
                    if line.startswith("VmHWM"):
                        most = max(most, int(line.split()[1]) / 1024)
            if time.monotonic() - began > seconds:
                process.kill()
            time.sleep(0.01)
        out.seek(0)
        return process.returncode, out.read().decode(errors="replace"), time.monotonic() - began, most


def upstream(act):
    """A server of TCP whose connections are this function's; gives its port."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=4096)

    def serve():
        while True:
            connection, _ = listener.accept()
            threading.Thread(target=safely, args=(act, connection), daemon=True).start()

    threading.Thread(target=serve, daemon=True).start()
    return listener.getsockname()[1]


def safely(act, connection):
    with connection, contextlib.suppress(OSError):
        act(connection)


# ---- guests ----


def text(data):
    return "".join(f"\\{byte:02x}" for byte in data)


def response(flags=0, body=b""):
    head = struct.pack("<BBHIHBB", 2, 11, 200, 0, 0, 0, 0)
    return struct.pack("<IIQ", len(head), flags, 0) + head + body


def request(target):
    head = struct.pack("<BBHIHBB", 1, 11, 0, len(target), 0, 3, 0) + b"GET" + target
    return struct.pack("<IIQ", len(head), 0, 0) + head


ANSWER = response(body=b"ok")
PIECES = response(flags=1)
# From here on there is memory to copy.
LARGE = 65536
OK = f"(call $respond (global.get $id) (i32.const 1024) (i32.const {len(ANSWER)}))"
BEGIN = f"(call $respond (global.get $id) (i32.const 2048) (i32.const {len(PIECES)}))"
NUMBER = "(i32.or (global.get $n) (i32.const 0x80000000))"


def again(times, what):
    """So many times, `$n` being a new number each time."""
    return f"""(local.set $i (i32.const {times})) (loop $again {what}
      (global.set $n (i32.add (global.get $n) (i32.const 1)))
      (br_if $again (local.tee $i (i32.sub (local.get $i) (i32.const 1)))))"""


def guest(on_request=OK, fetches=b"http://127.0.0.1:9/", pages=4, functions="", init="", poll=""):
    asked = request(fetches)
    return f"""(module
  (import "valor1" "ready" (func $ready (param i32 i32)))
  (import "valor1" "respond" (func $respond (param i32 i32 i32)))
  (import "valor1" "write" (func $write (param i32 i32 i32 i32)))
  (import "valor1" "fetch" (func $fetch (param i32 i32 i32 i32 i32)))
  (import "valor1" "abort" (func $abort (param i32)))
  (import "valor1" "timer" (func $timer (param i32 f64)))
  (import "valor1" "wake" (func $wake))
  (import "valor1" "random" (func $random (param i32 i32)))
  (import "valor1" "log" (func $log (param i32 i32 i32 i32 i32 i32 i32 i32)))
  (memory (export "memory") {pages})
  (global $id (mut i32) (i32.const 0))
  (global $n (mut i32) (i32.const 0))
  (data (i32.const 1024) "{text(ANSWER)}")
  (data (i32.const 2048) "{text(PIECES)}")
  (data (i32.const 4096) "{text(asked)}")
  (func $ask (param $more i32)
    (call $fetch {NUMBER} (i32.const 0) (i32.const 0) (i32.const 4096)
      (i32.add (local.get $more) (i32.const {len(asked)}))))
  (func (export "valor_abi") (result i32) (i32.const 1))
  (func (export "valor_alloc") (param i32) (result i32) (i32.const 8192))
  (func (export "valor_free") (param i32 i32))
  (func (export "valor_init") (param i32 i32) {init} (call $ready (i32.const 0) (i32.const 0)))
  (func (export "valor_request") (param $new i32) (param i32 i32) (local $i i32)
    (global.set $id (local.get $new)) {on_request})
  (func (export "valor_body") (param i32 i32 i32 i32))
  (func (export "valor_fetch_response") (param i32 i32 i32))
  (func (export "valor_writable") (param i32 i32))
  (func (export "valor_timer") (param i32))
  (func (export "valor_cancel") (param i32))
  (func (export "valor_poll") {poll})
  {functions})"""


def assembled(folder, name, wat):
    file = pathlib.Path(folder, f"{name}.wasm")
    file.with_suffix(".wat").write_text(wat)
    subprocess.run(["wasm-as", "-all", file.with_suffix(".wat"), "-o", file], check=True)
    return file


def wasm(name, wat, **limits):
    """The definition of a guest."""
    file = assembled(folder_of(), name, wat)
    return {"type": "wasm", "name": name, "path": str(file), "limits": limits, "allow": ["127.0.0.1"]}


def script(name, source, **limits):
    folder = folder_of()
    (folder / f"{name}.js").write_text(source)
    return {"type": "js", "name": name, "path": str(folder / f"{name}.js"), "limits": limits, "allow": ["127.0.0.1"]}
