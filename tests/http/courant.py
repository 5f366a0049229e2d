"""What the tests know of a running stack: its HTTP interface, its streams, its database and its bus.

Requests are sent by Python's own library: each as it is written here, byte for byte where that matters. Every answer is
checked against docs/openapi.yaml."""

import base64
import hashlib
import hmac
import http.client
import json
import os
import select
import signal
import socket
import subprocess
import threading
import time
from urllib.parse import urlparse

import openapi

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def until(condition, seconds=15, what="the condition"):
    """Waits for a condition and returns its value; a test never sleeps for a fixed time."""
    end = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        assert time.monotonic() < end, f"{what} did not come true within {seconds} s"
        time.sleep(0.01)


class Answer:
    def __init__(self, response, body):
        self.status = response.status
        self.headers = {name.lower(): value for name, value in response.getheaders()}
        self.cookies = [value for name, value in response.getheaders() if name.lower() == "set-cookie"]
        self.body = body

    @property
    def json(self):
        return json.loads(self.body)

    @property
    def position(self):
        return int(self.headers["courant-position"])

    def problem(self, status):
        """Asserts that this is a problem of that status, whole and in its right type."""
        assert self.status == status, (self.status, self.body)
        assert self.headers["content-type"] == "application/problem+json"
        problem = self.json
        assert problem["status"] == status
        assert problem["title"] and problem["detail"] and problem["type"] and len(problem["trace_id"]) == 32
        for leak in ("SQL", "SELECT", "/home", "mariadb", ".c:", "courant-fcgi"):
            assert leak not in problem["detail"]
        return problem


class Client:
    """A connection of one thread; token: sent as Bearer, cookie: as it is."""

    def __init__(self, stack, token=None):
        self.stack, self.token = stack, token
        self.connection = None

    def call(self, method, path, body=None, headers=None, token=None):
        headers = dict(headers or {})
        if isinstance(body, (dict, list)):
            body = json.dumps(body)
        if isinstance(body, str):
            body = body.encode()
        if body is not None and "Content-Type" not in headers:
            headers["Content-Type"] = "application/json"
        token = token or self.token
        if token:
            headers["Authorization"] = f"Bearer {token}"
        # nginx closes what was idle for a minute or so, and all when it ends: then there is something to read.
        if self.connection is not None and self.connection.sock and select.select([self.connection.sock], [], [], 0)[0]:
            self.connection.close()
            self.connection = None
        if self.connection is None:
            self.connection = http.client.HTTPConnection(self.stack.host, self.stack.port, timeout=60)
        try:
            self.connection.request(method, path, body=body, headers=headers)
            response = self.connection.getresponse()
            answer = Answer(response, response.read())
        except Exception:
            self.connection.close()
            self.connection = None
            raise
        openapi.check(method, path, answer.status, answer.headers, answer.body)
        return answer

    def get(self, path, **more):
        return self.call("GET", path, **more)

    def post(self, path, body=None, **more):
        return self.call("POST", path, body, **more)

    def article(self, title="A title", publish=True, **more):
        answer = self.post("/api/articles", {"title": title, "content": "Some text.", "publish": publish, **more})
        assert answer.status == 201, answer.body
        return answer


class Stream(threading.Thread):
    """Follows /events in a thread. frames: (id, event, data) in the order they came; data is None where a frame had none."""

    def __init__(self, stack, path="/events", token=None, headers=None):
        super().__init__(daemon=True)
        self.frames, self.fault, self.opened = [], None, threading.Event()
        self.connection = http.client.HTTPConnection(stack.host, stack.port, timeout=120)
        headers = dict(headers or {})
        if token:
            headers["Authorization"] = f"Bearer {token}"
        self.connection.request("GET", path, headers=headers)
        self.response = self.connection.getresponse()
        self.socket = self.connection.sock or self.response.fp.raw._sock
        assert self.response.status == 200, self.response.read()
        openapi.check("GET", path, 200, Answer(self.response, None).headers, None)
        self.ended = threading.Event()
        self.start()
        until(lambda: self.opened.is_set() or self.ended.is_set(), what="the stream's first frame")

    def run(self):
        frame = {}
        try:
            for line in self.response:
                line = line.decode().rstrip("\n")
                if line == "":
                    if frame:
                        self.frames.append((int(frame["id"]) if "id" in frame else None, frame.get("event"),
                                            json.loads(frame["data"]) if "data" in frame else None))
                        self.opened.set()
                    frame = {}
                elif not line.startswith(":"):
                    name, _, value = line.partition(":")
                    frame[name] = value[1:] if value.startswith(" ") else value
        except Exception as fault:  # the test that closed us expects it
            self.fault = fault
        self.ended.set()

    @property
    def events(self):
        return [frame for frame in list(self.frames) if frame[2] is not None]

    @property
    def ids(self):
        return [frame[0] for frame in self.events]

    def wait_for(self, position, seconds=20):
        until(lambda: any(frame[0] is not None and frame[0] >= position for frame in list(self.frames)), seconds,
              f"position {position} on the stream (it is at {self.frames[-1:]})")
        return self.events

    def close(self):
        try:
            self.socket.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self.join(10)
        self.connection.close()
        for _, _, event in self.events:
            openapi.check_event(event)


class Nats:
    """The NATS client protocol, as far as a question and its answer."""

    def __init__(self, url):
        at = urlparse(url)
        self.socket = socket.create_connection((at.hostname, at.port), timeout=10)
        self.file = self.socket.makefile("rb")
        self.file.readline()
        self.socket.sendall(b'CONNECT {"verbose":false,"headers":false}\r\nSUB answers.x 1\r\n')

    def ask(self, subject, body=b""):
        self.socket.sendall(b"PUB %s answers.x %d\r\n%s\r\n" % (subject.encode(), len(body), body))
        while True:
            line = self.file.readline()
            assert line, "the NATS server hung up"
            if line.startswith(b"PING"):
                self.socket.sendall(b"PONG\r\n")
            elif line.startswith(b"MSG"):
                size = int(line.split()[-1])
                data = self.file.read(size + 2)[:-2]
                return json.loads(data)

    def close(self):
        self.file.close()
        self.socket.close()


class Session:
    """A connection to a database of the stack that stays open, as root: its transaction and its locks are held."""

    def __init__(self, stack, database="courant"):
        self.client = subprocess.Popen(["mariadb", "--no-defaults", "-S", stack.env["COURANT_DB_SOCKET"], "-uroot", "-N", "-B",
                                        "--unbuffered", "--delimiter=//", database], text=True,
                                       stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.id = self.run("SELECT CONNECTION_ID()")[0][0]

    def send(self, text):
        """Does not wait: result does."""
        self.client.stdin.write(f"{text}//\nSELECT 'done'//\n")
        self.client.stdin.flush()

    def result(self):
        rows = []
        while (line := self.client.stdout.readline()) != "done\n":
            assert line, "the statement failed"
            rows.append(line.rstrip("\n").split("\t"))
        return rows

    def run(self, text):
        self.send(text)
        return self.result()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.client.stdin.close()
        self.client.wait(20)
        self.client.stdout.close()


def held_up(stack, lock, waiting, calls, then="DO 0"):
    """The answers to calls that are all made while this is locked; when each waits for it in such a statement, they go on."""
    answers = []
    threads = [threading.Thread(target=lambda call=call: answers.append(call())) for call in calls]
    with Session(stack) as session:
        session.run(f"START TRANSACTION; {lock} FOR UPDATE")
        for thread in threads:
            thread.start()
        count = f"SELECT COUNT(*) FROM information_schema.processlist WHERE user = 'courant' AND info LIKE '{waiting}'"
        until(lambda: stack.root(count) == [[str(len(calls))]], what="all the calls that wait for the lock")
        session.run(f"{then}; COMMIT")
        for thread in threads:
            thread.join()
    return answers


class Stack:
    """The stack of COURANT_DEV_DIR, which ./dev has started."""

    def __init__(self):
        text = subprocess.run([f"{ROOT}/dev", "env"], check=True, capture_output=True, text=True).stdout
        self.env = dict(line.removeprefix("export ").split("=", 1) for line in text.splitlines())
        self.host, self.port = "127.0.0.1", int(self.env["COURANT_DEV_PORT"])
        self.notifier = ("127.0.0.1", urlparse(self.env["COURANT_NOTIFIER_URL"]).port)
        self.dir = self.env["COURANT_DEV_DIR"]
        self.faults = os.environ.get("COURANT_FAULTS", "")
        self.slow = 4 if "asan" in self.env["COURANT_DEV_PREFIX"] else 1
        self._token, self._until = None, 0

    def dev(self, *args):
        return subprocess.run([f"{ROOT}/dev", *args], check=True, capture_output=True, text=True)

    def ctl(self, *args, input=None, config=None):
        return subprocess.run([self.env["COURANT_CTL"], "--config", config or self.env["COURANT_CONFIG"], *args],
                              capture_output=True, text=True, input=input)

    def verify(self):
        done = self.ctl("verify")
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def sql(self, text):
        done = subprocess.run(["mariadb", "--no-defaults", "-S", self.env["COURANT_DB_SOCKET"], "-ucourant",
                               f"-p{self.env['COURANT_DB_PASSWORD']}", "-N", "-B", self.env["COURANT_DB_NAME"], "-e", text],
                              check=True, capture_output=True, text=True)
        return [line.split("\t") for line in done.stdout.splitlines()]

    def root(self, text):
        """As the database's administrator, in no database."""
        done = subprocess.run(["mariadb", "--no-defaults", "-S", self.env["COURANT_DB_SOCKET"], "-uroot", "-N", "-B", "-e", text],
                              check=True, capture_output=True, text=True)
        return [line.split("\t") for line in done.stdout.splitlines()]

    @property
    def head(self):
        return int(self.sql("SELECT position FROM log_head")[0][0])

    def bus(self, position):
        """The message at a sequence of the stream, or None."""
        nats = Nats(self.env["COURANT_NATS_URL"])
        answer = nats.ask(f"$JS.API.STREAM.MSG.GET.{self.env['COURANT_NATS_STREAM']}", b'{"seq":%d}' % position)
        nats.close()
        return json.loads(base64.b64decode(answer["message"]["data"])) if "message" in answer else None

    @property
    def bus_last(self):
        nats = Nats(self.env["COURANT_NATS_URL"])
        answer = nats.ask(f"$JS.API.STREAM.INFO.{self.env['COURANT_NATS_STREAM']}")
        nats.close()
        return answer["state"]["last_seq"] if "state" in answer else 0  # there is no stream yet

    def client(self, token=None):
        return Client(self, token)

    def raw(self, request, port=None):
        """The answer to these very bytes."""
        method, target = (request.split(b"\r\n")[0].decode("latin-1").split(" ") + [""])[:2]
        with socket.create_connection((self.host, port or self.port), timeout=20) as connection:
            connection.sendall(request)
            response = http.client.HTTPResponse(connection, method=method)
            response.begin()
            answer = Answer(response, response.read())
        openapi.check(method, target, answer.status, answer.headers, answer.body)
        return answer

    def log_in(self, name=None, password=None):
        return self.client().post("/api/auth/login", {
            "username": name or self.env["COURANT_ADMIN_USER"],
            "password": password or self.env["COURANT_ADMIN_PASSWORD"]})

    def admin(self):
        """A client of the administrator; the token is made anew before it expires."""
        if time.monotonic() > self._until:
            self._token = self.log_in().json["access_token"]
            self._until = time.monotonic() + 600
        return self.client(self._token)

    def user(self, name):
        """A client of a user without permissions, who is registered if need be."""
        password = f"password of {name}"
        done = self.ctl("user", "add", name, "--email", f"{name}@example.org", "--password-stdin", input=password)
        assert done.returncode == 0 or "taken" in done.stderr, done.stderr
        return self.client(self.log_in(name, password).json["access_token"])

    def token(self, header=None, key=None, **claims):
        """A token of any form, signed as a real one would be."""
        kid, secret = self.sql("SELECT kid, HEX(secret) FROM signing_keys ORDER BY created_at DESC LIMIT 1")[0]
        now = int(time.time())
        claims = {"sub": "01a2071b-f843-7645-a001-b20b639515c1", "sid": "s", "iat": now - 10, "exp": now + 60, **claims}
        parts = [base64url(json.dumps(part, separators=(",", ":")).encode())
                 for part in (header or {"alg": "HS256", "typ": "JWT", "kid": kid}, claims)]
        signature = hmac.new(key or bytes.fromhex(secret), ".".join(parts).encode(), hashlib.sha256).digest()
        return ".".join([*parts, base64url(signature)])

    def pid(self, name):
        return int(open(f"{os.path.dirname(self.env['COURANT_DB_SOCKET'])}/{name}.pid").read().split()[0])

    def workers(self):
        pid = self.pid("fcgi")
        return [int(word) for word in open(f"/proc/{pid}/task/{pid}/children").read().split()]

    def stopped(self, name):
        return f"{name} stopped" in " ".join(self.dev("status").stdout.split())

    def signal(self, name, number=signal.SIGKILL):
        os.kill(self.pid(name), number)


def base64url(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
