"""FastCGI as a web server speaks it, as far as one request on a connection of its own."""

import json
import socket

import openapi

BEGIN, END, PARAMS, STDIN, STDOUT = 1, 3, 4, 5, 6


def record(kind, data=b""):
    return bytes([1, kind, 0, 1]) + len(data).to_bytes(2, "big") + b"\0\0" + data


def request(method, path, headers, length):
    """All that comes before the body. headers: with their names as HTTP has them."""
    pairs = {"REQUEST_METHOD": method, "REQUEST_URI": path, "CONTENT_LENGTH": str(length),
             **{("" if name == "Content-Type" else "HTTP_") + name.upper().replace("-", "_"): value
                for name, value in headers.items()}}
    raw = [(name.encode(), value.encode()) for name, value in pairs.items()]
    params = b"".join(bytes([len(name)]) + (len(value) | 0x80000000).to_bytes(4, "big") + name + value for name, value in raw)
    return record(BEGIN, b"\0\1\0\0\0\0\0\0") + record(PARAMS, params) + record(PARAMS)


class Answer:
    def __init__(self, text):
        head, _, self.body = text.partition(b"\r\n\r\n")
        lines = [line.partition(": ") for line in head.decode().split("\r\n")]
        self.headers = {name.lower(): value for name, _, value in lines}
        self.status = int(self.headers.pop("status", "200").split()[0])

    @property
    def json(self):
        return json.loads(self.body)


class Client:
    """Asks the pool that listens at a socket. The answers are checked against docs/openapi.yaml."""

    def __init__(self, path, token=None):
        self.path, self.token = path, token

    def call(self, method, path, body=None, headers=None):
        headers = dict(headers or {})
        data = b"" if body is None else json.dumps(body).encode()
        if body is not None:
            headers["Content-Type"] = "application/json"
        if self.token:
            headers["Authorization"] = f"Bearer {self.token}"
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(30)
            connection.connect(self.path)
            connection.sendall(request(method, path, headers, len(data)) + (record(STDIN, data) if data else b"") + record(STDIN))
            answer = Answer(self.read(connection.makefile("rb")))
        openapi.check(method, path, answer.status, answer.headers, answer.body)
        return answer

    @staticmethod
    def read(stream):
        text = b""
        while True:
            head = stream.read(8)
            assert len(head) == 8, "the worker hung up"
            data = stream.read(int.from_bytes(head[4:6], "big"))
            stream.read(head[6])
            if head[1] == END:
                return text
            if head[1] == STDOUT:
                text += data

    def get(self, path, **more):
        return self.call("GET", path, **more)

    def post(self, path, body=None, **more):
        return self.call("POST", path, body, **more)
