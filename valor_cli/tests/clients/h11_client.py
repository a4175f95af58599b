"""A thousand requests by h11 on one connection: python3 - HOST PORT REQUESTS"""

import socket
import sys

try:
    import h11
except ImportError:
    sys.exit("h11 is missing: install the package python3-h11, or run .ci/tools")

host, port, requests = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
connection = h11.Connection(our_role=h11.CLIENT)
wire = socket.create_connection((host, port), timeout=60)


def event():
    while True:
        found = connection.next_event()
        if found is not h11.NEED_DATA:
            return found
        connection.receive_data(wire.recv(65536))


def send(what):
    data = connection.send(what)
    if data:
        wire.sendall(data)


def ask(method, target, headers=(), pieces=(), trailers=()):
    send(h11.Request(method=method, target=target, headers=[("Host", host), *headers]))
    if ("Expect", "100-continue") in headers:
        interim = event()
        assert isinstance(interim, h11.InformationalResponse), interim
        assert interim.status_code == 100
    for piece in pieces:
        send(h11.Data(data=piece))
    send(h11.EndOfMessage(headers=trailers))
    response = event()
    assert isinstance(response, h11.Response) and response.status_code == 200, response
    body, end = b"", event()
    while isinstance(end, h11.Data):
        body, end = body + end.data, event()
    assert isinstance(end, h11.EndOfMessage), end
    connection.start_next_cycle()
    return dict(response.headers), body, list(end.headers)


for number in range(requests):
    body = bytes([number % 256]) * (number * 7 + 1)
    pieces = [body[at:at + 1000] for at in range(0, len(body), 1000)]
    length = ("Content-Length", str(len(body)))
    kind = number % 5
    if kind == 0:
        _, answer, _ = ask("GET", f"/hello/{number}")
        assert answer == b"OK response from a plugin"
    elif kind == 1:
        headers, answer, _ = ask("HEAD", "/hello")
        assert answer == b"" and headers[b"content-length"] == b"25"
    elif kind == 2:
        _, answer, _ = ask("POST", "/echo", [length], pieces)
        assert answer == body
    elif kind == 3:
        chunked = ("Transfer-Encoding", "chunked")
        _, answer, _ = ask("POST", "/echo", [chunked], pieces, [("X-Sum", "1")])
        assert answer == body
    else:
        _, answer, _ = ask("POST", "/echo", [length, ("Expect", "100-continue")], pieces)
        assert answer == body
wire.close()
print(requests)
