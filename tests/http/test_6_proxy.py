"""Streams through nginx as it is configured for sites: HTTP/1.1 and HTTP/2, idle for over a minute, and over its reloads."""

import os
import signal
import socket
import subprocess
import threading
import time
from urllib.parse import urlparse

import pytest

from courant import ROOT, until
from test_5_topics import configure  # noqa: F401


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Followed:
    """A stream that curl reads, by a version of HTTP. lines: with the moments at which they came."""

    def __init__(self, port, version, path):
        self.begun = time.monotonic()
        self.process = subprocess.Popen(["curl", "-sSN", version, "-D", "-", f"http://127.0.0.1:{port}{path}"],
                                        stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        self.lines = []
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def run(self):
        for line in self.process.stdout:
            self.lines.append((time.monotonic() - self.begun, line.decode().rstrip("\r\n")))

    def at(self, start, seconds=20):
        """When a line that begins so came."""
        def found():
            return next((at for at, line in list(self.lines) if line.startswith(start)), None)
        until(lambda: found() is not None or self.process.poll() is not None, seconds, f"«{start}» in {self.lines[-5:]}")
        assert found() is not None, self.lines
        return found()

    @property
    def ids(self):
        ids, data = [], False
        for _, line in list(self.lines):
            if line.startswith("id: "):
                last = int(line[4:])
            if line.startswith("data: "):
                ids.append(last)
        return ids

    def close(self):
        self.process.kill()
        self.process.wait()
        self.thread.join(10)


@pytest.fixture(scope="module")
def web(stack, tmp_path_factory):
    """The site's own configuration, at a port that speaks HTTP/1.1 and at one that speaks HTTP/2."""
    folder = tmp_path_factory.mktemp("web")
    prefix, ports = stack.env["COURANT_DEV_PREFIX"], {"--http1.1": free_port(), "--http2-prior-knowledge": free_port()}
    site = open(f"{prefix}/share/courant/nginx/courant.conf.in").read()
    run = os.path.dirname(stack.env["COURANT_DB_SOCKET"])
    h1, h2 = ports.values()
    for name, value in {"@LISTEN@;": f"127.0.0.1:{h1};\n    listen 127.0.0.1:{h2} http2;", "@FCGI@": f"unix:{run}/fcgi.sock",
                        "@NOTIFIER@": urlparse(stack.env["COURANT_NOTIFIER_URL"]).netloc,
                        "@WEB@": f"{prefix}/share/courant/web"}.items():
        # The head of the file explains the names.
        head, body = site.split("upstream", 1)
        site = head + "upstream" + body.replace(name, value)
    site = site.replace('# "https://app.example" $http_origin;', '"https://app.example" $http_origin;')
    (folder / "courant.conf").write_text(site)
    user = "user root;" if os.geteuid() == 0 else ""
    temp = "\n".join(f"{kind}_temp_path {folder}/{kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
    (folder / "nginx.conf").write_text(f"{user}\ndaemon off; worker_processes 2; pid {folder}/pid; error_log {folder}/error warn;\n"
                                       f"events {{ worker_connections 512; }}\nhttp {{ include /etc/nginx/mime.types; access_log off;\n"
                                       f"{temp}\ninclude {folder}/courant.conf;\n}}\n")
    nginx = subprocess.Popen(["nginx", "-e", f"{folder}/error", "-p", str(folder), "-c", f"{folder}/nginx.conf"])

    def answers(port):
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return True
        except OSError:
            return False
    until(lambda: all(answers(port) for port in ports.values()), what="nginx")
    yield type("Web", (), {"ports": ports, "process": nginx, "folder": folder})
    nginx.terminate()
    nginx.wait(20)


VERSIONS = "--http1.1", "--http2-prior-knowledge"


@pytest.mark.parametrize("version", VERSIONS)
def test_the_first_byte_and_each_event_come_at_once(stack, admin, web, version):
    stream = Followed(web.ports[version], version, "/events")
    assert stream.at("retry: ") < 2 * stack.slow
    assert stream.lines[0][1].startswith("HTTP/2 200" if "2" in version else "HTTP/1.1 200")
    for n in range(5):
        sent = time.monotonic() - stream.begun
        made = admin.article(f"At once {n}")
        assert stream.at(f"id: {made.position}") - sent < 2 * stack.slow
    stream.close()


def test_origins_may_read_what_the_web_server_says(stack, web):
    for origin, allowed in ("https://app.example", True), ("https://other.example", False):
        answer = stack.raw(f"POST /index.html HTTP/1.1\r\nHost: x\r\nOrigin: {origin}\r\nContent-Length: 0\r\n\r\n".encode(),
                           port=web.ports["--http1.1"])
        answer.problem(405)
        assert answer.headers.get("access-control-allow-origin") == (origin if allowed else None)
        assert ("Allow" in answer.headers.get("access-control-expose-headers", "")) == allowed and "Origin" in answer.headers["vary"]


@pytest.mark.parametrize("version", VERSIONS)
def test_a_reload_of_the_web_server_loses_nothing(stack, admin, web, version):
    after = stack.head
    stream = Followed(web.ports[version], version, f"/events?after={after}")
    stream.at("retry: ")
    for n in range(3):
        web.process.send_signal(signal.SIGHUP)
        made = admin.article(f"While it reloads {n}")
        stream.at(f"id: {made.position}")
    other = Followed(web.ports[version], version, f"/events?after={after}")
    other.at(f"id: {made.position}")
    assert stream.ids == other.ids == list(range(after + 1, made.position + 1))
    stream.close()
    other.close()


def test_silence_of_over_a_minute(stack, admin, web, configure):
    """Longer than any proxy's usual patience of 60 s: then a heartbeat, and then an event, on the same streams."""
    configure("heartbeat_s = 90\n")  # or up to a quarter less, each stream at its own time
    streams = [Followed(web.ports[version], version, "/events") for version in VERSIONS]
    for stream in streams:
        stream.at("retry: ")
    draft = admin.article("Nobody sees it", publish=False)
    for stream in streams:
        assert stream.at(f"id: {draft.position}", 120) > 60
    made = admin.article("After the silence")
    for stream in streams:
        stream.at(f"id: {made.position}")
        assert stream.process.poll() is None
        stream.close()
