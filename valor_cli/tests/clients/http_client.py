"""A thousand requests by http.client on one connection: python3 - HOST PORT REQUESTS"""

import http.client
import sys

host, port, requests = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
connection = http.client.HTTPConnection(host, port, timeout=60)


def ask(method, path, **more):
    connection.request(method, path, **more)
    response = connection.getresponse()
    body = response.read()
    assert response.status == 200, (response.status, body)
    assert not response.will_close, path
    return response, body


ask("GET", "/hello")
socket = connection.sock
for number in range(1, requests):
    body = bytes([number % 256]) * (number * 7)
    kind = number % 5
    if kind == 0:
        _, answer = ask("GET", f"/hello/{number}?x")
        assert answer == b"OK response from a plugin"
    elif kind == 1:
        response, answer = ask("HEAD", "/hello")
        assert answer == b"" and response.getheader("content-length") == "25"
    elif kind == 2:
        _, answer = ask("POST", "/echo", body=body)
        assert answer == body
    elif kind == 3:
        pieces = (body[at:at + 1000] for at in range(0, len(body), 1000))
        _, answer = ask("PUT", "/echo", body=pieces, encode_chunked=True,
                        headers={"Transfer-Encoding": "chunked"})
        assert answer == body
    else:
        _, answer = ask("DELETE", "/echo", headers={"X-Request-Id": str(number)})
        assert answer == b""
assert connection.sock is socket, "another connection was made"
print(requests)
