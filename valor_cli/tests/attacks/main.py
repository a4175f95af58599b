"""Plays what modules, scripts, libraries, servers, clients and files can do to the program, and bounds what it costs.

    main.py PROGRAM LIBRARY DENO [NAME...]

`.ci/attacks` builds the three and calls this. LIBRARY is the test fixture `misbehaving`. Each attack prints what it
measured, and the first bound that does not hold ends it; all others are played nevertheless. The bounds are several
times what a quiet machine of two cores needs: they are there to find what grows without an end.
"""

import json, os, resource, signal, socket, sys, threading, time
from stage import *

ATTACKS = []
HELLO = wasm("hello", guest())


def attack(play):
    ATTACKS.append(play)
    return play


# ---- what the host holds for a vlugin ----

MEMORY = 250  # MiB that the host may have at most, for one vlugin with `limits.host_memory` at its default


def flood(*floods, bound=MEMORY, limits=(), **definition):
    """Each of these requests several times; the host lives, and holds no more than that."""
    for name, wat in floods:
        with Server(wasm(name, wat, cpu=10, **definition), HELLO, limits=limits) as server:
            answers = [server.get(f"/{name}")[0] for _ in range(5)]
            hold(f"{name}: {answers}", set(answers) <= {200, 500, 502, 504})
            hold(f"{name}: the others are not served", server.get("/hello") == (200, b"ok"))
            below(f"{name}: MiB", server.memory(), bound)


NOTHING = "(i32.const 0) (i32.const 0)"
LINE = f"(call $log (i32.const 3) {NOTHING} (i32.const {LARGE}) (i32.const {30 * MIB}) {NOTHING} (i32.const 0))"


@attack
def modules_that_have_the_host_hold_much():
    ask, abort = f"(call $ask (i32.const {30 * MIB}))", f"(call $abort {NUMBER})"
    write = f"(call $write (global.get $id) (i32.const {LARGE}) (i32.const {30 * MIB}) (i32.const 4))"
    flood(
        ("fetches", guest(again(40, ask) + OK, pages=600)),
        ("taken_back", guest(again(40, ask + abort) + OK, pages=600)),
        ("small", guest(again(400000, "(call $ask (i32.const 0))") + OK)),
        ("timers", guest(again(400000, "(call $timer (global.get $n) (f64.const 9e15))") + OK)),
        ("wakes", guest(again(400000, "(call $wake)") + OK)),
        ("behind", guest(BEGIN + again(40, write), pages=600)),
        ("lines", guest(again(10, LINE) + OK, pages=600)),
    )


@attack
def modules_in_a_process_that_may_have_little():
    """Under a limit of the system's, what one module begins does not end the process."""
    few = [(resource.RLIMIT_DATA, 1500 * MIB)]
    flood(
        ("fetches", guest(again(60, f"(call $ask (i32.const {50 * MIB}))") + OK, pages=900)),
        ("timers", guest(again(4000000, "(call $timer (global.get $n) (f64.const 9e15))") + OK)),
        limits=few,
    )
    with Server(HELLO, limits=[(resource.RLIMIT_AS, 4000 * MIB)]) as server:
        hold("few addresses", server.get("/hello") == (200, b"ok"))


@attack
def clients_that_do_not_read():
    whole = f"(call $respond (global.get $id) (i32.const 1024) (i32.const {50 * MIB}))"
    with Server(wasm("whole", guest(whole, pages=900)), HELLO) as server:
        clients = []
        for _ in range(30):
            client = socket.socket()
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            client.connect(("127.0.0.1", server.port))
            client.sendall(b"GET /whole HTTP/1.1\r\nHost: x\r\n\r\n")
            clients.append(client)
        time.sleep(3)
        below("MiB", server.memory(), MEMORY)
        for client in clients:
            client.close()
        until("it is released", lambda: server.memory("VmRSS") < 150)
        hold("another request", server.get("/hello") == (200, b"ok"))


# ---- what neighbours cost ----

SPIN = guest("(loop $x (br $x))")
FILL = f"(memory.fill (i32.const {LARGE}) (i32.const 7) (i32.const {56 * MIB}))"
RANDOM = f"(call $random (i32.const {LARGE}) (i32.const {56 * MIB}))"
NOBODY = f"(call $respond (i32.const 77) (i32.const 1024) (i32.const {56 * MIB}))"
for_ever = lambda what: guest(f"(loop $x {what} (br $x))", pages=900)


def beside(server, name, count, path="/hello"):
    """The times of another vlugin while so many requests run."""
    bad = threads(lambda _: server.get(f"/{name}"), count)
    time.sleep(0.2)
    median, longest = server.times(path, 20, bad)
    below(f"{count} {name}: ms, median", median, 100)
    below(f"{count} {name}: ms, longest", longest, 2000)
    for it in bad:
        it.join()


@attack
def modules_that_compute():
    bad = {"spin": SPIN, "fill": for_ever(FILL), "random": for_ever(RANDOM), "nobody": for_ever(NOBODY)}
    bad |= {"wakes": guest("(call $wake)", poll="(call $wake)")}
    plugins = [wasm(name, wat, cpu=3, timeout=4, instances=4) for name, wat in bad.items()]
    with Server(HELLO, *plugins, args=["--workers", "2"]) as server:
        for name in bad:
            beside(server, name, 4)


@attack
def limits_of_time():
    """`limits.cpu` counts what the host does for a module."""
    bad = {"spin": SPIN, "fill": for_ever(FILL), "random": for_ever(RANDOM), "nobody": for_ever(NOBODY)}
    with Server(*[wasm(name, wat, cpu=0.1) for name, wat in bad.items()]) as server:
        for name in bad:
            began = time.monotonic()
            hold(f"{name} ends", server.get(f"/{name}")[0] == 504)
            below(f"{name}: s", time.monotonic() - began, 5)


@attack
def libraries_that_block():
    library = {"type": "native", "name": "blocks", "path": LIBRARY, "limits": {"timeout": 60}}
    # There are 64 spare threads: with more than that, others wait.
    for count in 10, 60:
        with Server(library, HELLO, args=["--workers", "2"]) as server:
            beside(server, "blocks/block?n=3000", count)


SCRIPT = """
const source = "data:text/javascript,";
const later = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
let ports = [];
const post = MessagePort.prototype.postMessage;
MessagePort.prototype.postMessage = function (...all) { ports.push(this); return post.apply(this, all); };
export default { async fetch(request, env) {
  const { pathname } = new URL(request.url);
  switch (pathname) {
    case "/loop": for (;;);
    case "/nested": for (let i = 0; i < 4; i++) new Worker(source + "for(;;);", { type: "module" }); break;
    case "/memory": for (let all = []; ; ) all.push(new Array(1e5).fill(Math.random()));
    case "/workers": {
      for (let i = 0; i < 300; i++) new Worker(source + "setInterval(()=>{},1000)", { type: "module" });
      await later(5000);
      break;
    }
    case "/lines": {
      const bytes = new Uint8Array(65536).fill(10);
      for (const end = Date.now() + 4000; Date.now() < end; await later(0)) {
        for (let i = 0; i < 20; i++) Deno.stdout.writeSync(bytes);
      }
      break;
    }
    case "/large": {
      const text = "x".repeat(60e6);
      for (const port of ports) post.call(port, text);
      console.log(text);
      console.error(new Error(text));
      break;
    }
    case "/flood": {
      const line = "x".repeat(1000);
      const all = () => { for (const port of ports) post.call(port, "pong"); console.log(line); };
      setTimeout(() => { for (;;) all(); }, 10);
      break;
    }
    case "/ask": {
      let refused = 0;
      for (let i = 0; i < 3000; i++) fetch(env.config + "/hang").catch(() => refused++);
      await later(4000);
      return new Response(`${refused}`);
    }
    case "/call": {
      const body = () => new ReadableStream({ pull: () => new Promise(() => {}) });
      const call = () => env.call("echo", "/echo", { method: "POST", body: body(), duplex: "half" });
      for (let i = 0; i < 1100; i++) call().catch(() => {});
      await later(3000);
      break;
    }
    case "/throw": await fetch("http://10.1.2.3:81/inner"); break;
    case "/pass": {
      try {
        let size = 0;
        const { body } = await fetch(env.config + request.headers.get("x-to"));
        for await (const part of body) if ((size += part.length) > 50e6) break;
        return new Response(`${size}`);
      } catch (error) { return new Response(`threw ${error.message}`); }
    }
    case "/through": return await env.call("hello", "/");
  }
  return new Response("ok");
} };
"""


@attack
def scripts_that_loop_and_grow():
    with Server(script("bad", SCRIPT, cpu=0.5, timeout=20), script("good", SCRIPT), HELLO) as server:
        survived = (200, 502, 504)
        ends = {"loop": [504], "memory": [502], "workers": survived, "nested": [200], "large": survived, "flood": [200]}
        for what, statuses in ends.items():
            status = server.get(f"/bad/{what}")[0]
            hold(f"{what} answers {status}", status in statuses)
            if what in ("nested", "flood"):
                until(f"{what} is ended", lambda: "without a pause" in server.said().split(f"/bad/{what}")[-1])
            hold(f"{what}: the other script", server.get("/good/") == (200, b"ok"))
            until(f"{what}: it is started again", lambda: server.get("/bad/")[0] == 200)
        below("MiB", server.memory(), 150)
        below("bytes of the log", server.log.stat().st_size, MIB)


@attack
def what_a_script_prints():
    """Lines without an end cost others little."""
    with Server(script("bad", SCRIPT, cpu=8), script("good", SCRIPT), HELLO) as server:
        beside(server, "bad/lines", 1, "/good/through")
        below("MiB", server.memory(), 150)
        below("bytes of the log", server.log.stat().st_size, 4 * MIB)


@attack
def processes_end_with_the_program():
    for how in signal.SIGKILL, signal.SIGTERM:
        with Server(script("bad", SCRIPT, cpu=10)) as server:
            hung = threads(lambda _: server.get("/bad/loop", timeout=2), 1)
            time.sleep(0.3)
            children = server.children()
            hold("a Deno runs", children)
            server.process.send_signal(how)
            server.process.wait(PATIENCE)
            until("its Deno has ended", lambda: not any(map(lives, children)))


# ---- what clients, servers and callers cost ----

HEAD = b"POST /%s HTTP/1.1\r\nHost: x\r\n"
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
CEASELESS = {
    "fields": (HEAD, b"x-a: b\r\n" * 1000),
    "extension": (CHUNKED + b"1;", b"e" * 65536),
    "extensions": (CHUNKED, b"1;eeeeeeee\r\nA\r\n" * 2000),
    "chunks": (CHUNKED, b"1\r\nA\r\n" * 4000),
    "trailers": (CHUNKED + b"0\r\n", b"x-a: b\r\n" * 1000),
    "pipeline": (b"", b"GET /hello HTTP/1.1\r\nHost: x\r\n\r\n" * 500),
}


@attack
def clients_that_never_cease():
    """What they send costs others little, and the host holds none of it."""
    echo = {"type": "native", "name": "echo", "path": LIBRARY}
    with Server(HELLO, echo, args=["--workers", "2"]) as server:
        for name, (first, piece) in CEASELESS.items():

            def send(number):
                with socket.create_connection(("127.0.0.1", server.port), timeout=10) as client:
                    client.sendall(first.replace(b"%s", [b"hello", b"echo/echo"][number % 2]))
                    end = time.monotonic() + 5
                    while time.monotonic() < end:
                        client.sendall(piece)

            bad = threads(send, 4)
            median, longest = server.times("/hello", 4)
            below(f"{name}: ms, median", median, 100)
            below(f"{name}: ms, longest", longest, 2000)
            for it in bad:
                it.join()
        below("MiB", server.memory(), 150)


@attack
def a_server_that_never_answers():
    """With 1024 descriptors, files and clients are served whatever vlugins fetch."""
    held = []
    port = upstream(lambda connection: (held.append(connection), connection.recv(1), time.sleep(PATIENCE)))
    asks = script("asks", SCRIPT, timeout=20) | {"config": f"http://127.0.0.1:{port}"}
    target = f"http://127.0.0.1:{port}/hang".encode()
    module = wasm("module", guest(again(6000, "(call $ask (i32.const 0))") + OK, fetches=target))
    with Server(asks, module, HELLO, limits=[(resource.RLIMIT_NOFILE, 1024)]) as server:
        bad = threads(lambda number: server.get(["/asks/ask", "/module"][number]), 2)
        time.sleep(1)
        server.times("/hello", 5, bad)
        below("descriptors", len(os.listdir(f"/proc/{server.process.pid}/fd")), 900)
        for it in bad:
            it.join()
        hold("afterwards", server.get("/hello") == (200, b"ok"))


ODD = {
    "1xx": (b"", b"HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n" * 500),
    "fields": (b"HTTP/1.1 200 OK\r\n", b"x-a: " + b"b" * 1000 + b"\r\n"),
    "field": (b"HTTP/1.1 200 OK\r\nx: ", b"b" * 65536),
    "extension": (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1;", b"e" * 65536),
    "trailers": (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n", b"x-a: b\r\n" * 1000),
    "endless": (b"HTTP/1.1 200 OK\r\n\r\n", b"z" * MIB),
}


@attack
def servers_with_odd_answers():
    def answer(connection):
        target = connection.recv(65536).split()[1].decode()[1:]
        first, piece = ODD[target]
        connection.sendall(first)
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            connection.sendall(piece)

    asks = script("asks", SCRIPT, timeout=10) | {"config": f"http://127.0.0.1:{upstream(answer)}"}
    with Server(asks, HELLO) as server:
        for name in ODD:
            began = time.monotonic()
            status, body = server.get("/asks/pass", headers={"x-to": f"/{name}"})
            # A vlugin's own time may be over first.
            is_read = status == 200 and (name == "endless") == body.isdigit()
            hold(f"{name}: {status} {body}", is_read or (status, name) == (504, "1xx"))
            below(f"{name}: s", time.monotonic() - began, 25)
        below("MiB", server.memory(), 150)


@attack
def a_caller_that_takes_all_places():
    echo = {"type": "native", "name": "echo", "path": LIBRARY}
    with Server(script("calls", SCRIPT), echo) as server:
        bad = threads(lambda _: server.get("/calls/call"), 1)
        time.sleep(1)
        hold("another client of it", server.get("/echo/")[0] == 200)
        bad[0].join()


@attack
def what_strangers_are_told():
    broken = script("broken", "throw new Error('postgres://admin:hunter2@10.1.2.3/prod');")
    with Server(script("asks", SCRIPT), broken, args=["--keep-going"]) as server:
        told = [server.get("/_health"), server.get("/broken"), server.get("/asks/throw")]
        hold(f"{told}", not any(word in body for _, body in told for word in (b"hunter2", b"10.1.2.3", b"allow")))
        hold(f"the log has it: {server.said()}", "hunter2" in server.said() and "10.1.2.3" in server.said())


# ---- what is loaded ----


def each(count, what):
    return "".join(what.replace("N", str(number + 1)) for number in range(count))


def bombs():
    """Functions that are small, and much to compile."""
    set, get = "(local.set N (i32.load (local.get 0)))", "(i32.store (local.get 0) (local.get N))"
    of = lambda locals, body: f"(func (param i32) {'(local i32)' * locals} {body})"
    leave = "(block (br_if 0 (i32.load (local.get 0))) "
    grow = "(local.set N (i32.add (local.get N) (i32.const 1)))"
    add = lambda at: f"(i32.add (local.get {at * 7 % 3000 + 1}) (i32.const {at}))"
    change = "".join(f"(if (local.get 0) (then (local.set {at % 3000 + 1} {add(at)})))" for at in range(20000))
    table = f"(block (br_table {' '.join(map(str, range(400)))} (local.get 0)))"
    return {
        "functions": "(func)" * 200000,
        "joins": of(3000, change),
        "around": of(300, each(300, set) + leave * 200 + each(300, set) + ")" * 200 + each(300, get)),
        "loops": of(2000, "(loop " * 300 + each(2000, grow) + "(br_if 0 (local.get 0)))" * 300),
        "values": of(2000, each(2000, set) + "(if (local.get 0) (then (nop)))" * 40000 + each(2000, get)),
        "targets": of(1, "(block " * 400 + table * 300 + ")" * 400),
    }


@attack
def modules_that_are_much_to_compile():
    folder = folder_of()
    for name, functions in bombs().items():
        assembled(folder, name, guest(functions=functions))
        file = folder / f"{name}.json"
        file.write_text(json.dumps({"plugins": [{"type": "wasm", "name": name, "path": f"{name}.wasm"}]}))
        code, said, seconds, most = run("check", "-p", str(file), seconds=120)
        hold(f"{name}: {code} {said[-500:]}", code == 0 or "Valor compiles at most" in said)
        below(f"{name} ({'refused' if code else 'compiled'}): s", seconds, 30)
        below(f"{name}: MiB", most, 1000)
    with Server(HELLO, args=["-w", "--plugin-dir", str(folder)]) as server:
        put = lambda name: server.put({"type": "wasm", "name": name, "path": str(folder / f"{name}.wasm")})
        posts = threads(lambda _: [put(name) for name in bombs()], 1)
        below("ms of others meanwhile, median", server.times("/hello", 60, posts)[0], 100)


@attack
def modules_that_never_begin():
    for_good = "(loop $x (br $x))"
    bad = {
        "start": guest(functions=f"(func $s {for_good}) (start $s)"),
        "initialize": guest(functions=f'(func (export "_initialize") {for_good})'),
        "init": guest(init=for_good),
    }
    folder = folder_of()
    with Server(HELLO, args=["-w", "--plugin-dir", str(folder)]) as server:
        for name, wat in bad.items():
            began = time.monotonic()
            status, body = server.put({"type": "wasm", "name": name, "path": str(assembled(folder, name, wat))})
            hold(f"{name}: {status} {body}", status == 422 and b"limits.cpu" in body)
            below(f"{name}: s", time.monotonic() - began, 20)


@attack
def definitions_and_files():
    folder = folder_of()
    os.mkfifo(folder / "pipe.json")
    with open(folder / "sparse.json", "wb") as file:
        file.truncate(3 << 30)
    faults = json.dumps({"plugins": [{"type": f"x{at}"} for at in range(20000)]})
    names = {"deep": "[" * 1000000, "keys": '{"a":' * 200000, "faults": faults}
    for name, said in names.items():
        (folder / f"{name}.json").write_text(said)
    for file in [*(str(folder / f"{name}.json") for name in [*names, "pipe", "sparse"]), "/dev/zero"]:
        code, said, seconds, most = run("check", "-p", file)
        hold(f"{file}: {code} {said[-300:]}", code == 1 and len(said) < 100000)
        below(f"{os.path.basename(file)}: s", seconds, 15)
        below(f"{os.path.basename(file)}: MiB", most, 200)


@attack
def names_that_come_and_go():
    folder = folder_of()
    file = str(assembled(folder, "module", guest()))
    with Server(HELLO, args=["-w", "--plugin-dir", str(folder)]) as server:
        before = len(server.get("/_metrics")[1])
        for number in range(500):
            name = f"n{number}"
            hold(name, server.put({"type": "wasm", "name": name, "path": file})[0] == 201)
            hold(name, server.get(f"/{name}")[0] == 200)
            server.get(f"/_plugins/{name}", "DELETE", headers={"host": "localhost"})
        below("bytes of metrics more", len(server.get("/_metrics")[1]) - before, 4096)
        below("MiB", server.memory(), 200)


@attack
def changes_without_end():
    """plugins.json changes and breaks, again and again, and no request fails."""
    plugins = [HELLO, script("good", SCRIPT)]
    with Server(*plugins) as server:
        failed = []
        done = threading.Event()

        def ask(_):
            while not done.is_set():
                status, _ = server.get("/hello")
                if status != 200:
                    failed.append(status)

        clients = threads(ask, 2)
        for number in range(100):
            if number % 7:
                server.write([HELLO | {"config": number}, plugins[1] | {"config": number // 20}])
            else:
                server.file.write_text("{broken")
            server.process.send_signal(signal.SIGHUP)
            time.sleep(0.02)
        time.sleep(2)
        done.set()
        for it in clients:
            it.join()
        hold(f"{failed}", not failed)
        below("MiB", server.memory(), 300)
        until("one Deno runs", lambda: len(server.children()) <= 1)


failures = 0
for play in ATTACKS:
    if sys.argv[4:] and play.__name__ not in sys.argv[4:]:
        continue
    print(play.__name__.replace("_", " "), flush=True)
    try:
        play()
    except (Failed, OSError, http.client.HTTPException) as error:
        failures += 1
        print(f"FAILED: {error!r}", flush=True)
sys.exit(f"{failures} attacks got through" if failures else None)
