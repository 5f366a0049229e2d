"""What a stranger can make of names and headers: nothing that reaches a terminal, a header or a log line as it is."""

import fcntl
import json
import os
import pty
import select
import signal
import socket
import subprocess
import termios
import time

import pytest

import fastcgi
from courant import Stream, until
from test_4_accounts import Person
from test_4_keys import own_id

UNSEEN = ["\x1b[2J", "\x07", "\x7f", "\u009b31m", "\u202e", "\u2066", "\u200b", "\u00ad", "\u2028", "\u2029", "\ufeff", "\u3164", "\U000e0041"]


@pytest.fixture(scope="module")
def person(stack):
    return Person(stack, "hos")


@pytest.mark.parametrize("unseen", UNSEEN)
def test_a_name_or_an_address_shows(stack, admin, person, unseen):
    head = stack.head
    body = {"username": f"x{unseen}y", "email": f"x{unseen}@example.org", "password": "long enough"}
    for answer in (stack.client().post("/api/users", body), stack.client().post("/api/commands/register_user", body),
                   person.client.call("PUT", person.where, {**body, "password": None}, headers={"If-Match": "*"})):
        pointers = {fault["pointer"] for fault in answer.problem(422)["errors"]}
        assert {"/username", "/email"} <= pointers
        assert not any(character in answer.body.decode() for character in unseen if not character.isascii())
    if "\0" not in unseen:
        done = stack.ctl("user", "add", f"x{unseen}y", "--email", "x@example.org")
        assert done.returncode == 1 and "username" in done.stderr and unseen not in done.stderr
    assert stack.head == head


@pytest.mark.parametrize("name", ["\u00a0\u00a0", "\u3000x", "\u0301\u0302", "a\u2003b", "\u3164\u3164"])
def test_a_name_is_more_than_space(stack, name):
    answer = stack.client().post("/api/users", {"username": name, "email": f"s{stack.head}@example.org", "password": "long enough"})
    assert [fault["pointer"] for fault in answer.problem(422)["errors"]] == ["/username"]


def test_names_in_any_script(stack):
    for number, name in enumerate(["Ádám", "東京", "हिन्दी", "😀"]):
        name = f"{name}{stack.head}"
        assert stack.client().post("/api/users", {"username": name, "email": f"n{number}x{stack.head}@example.org", "password": "long enough"}).status == 201


def at_a_terminal(stack, *args, typed=(), status=0):
    """What courantctl writes there. typed: what somebody types, each line when there is a prompt."""
    ours, theirs = pty.openpty()
    running = subprocess.Popen([stack.env["COURANT_CTL"], "--config", stack.env["COURANT_CONFIG"], *args],
                               stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True,
                               preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0))
    os.close(theirs)
    out, left = b"", list(typed)
    try:
        while select.select([ours], [], [], 20)[0] and (part := os.read(ours, 65536)):
            out += part
            if left and out.endswith(b": "):
                line = left.pop(0)
                os.write(ours, line.encode() + b"\n" * (line != "\x03"))
    except OSError:  # the other end is closed
        pass
    finally:
        os.close(ours)  # which ends what still waits for it
    assert running.wait(20) == status, out
    return out.decode()


def test_what_is_old_is_shown_escaped(stack, admin):
    """Rows from before there was a rule, and what a rule does not say: titles, and what a client calls itself."""
    person = Person(stack, "esc")
    evil = "ev\x1b[31m\u202e\u009bil"
    stack.sql(f"UPDATE users SET username = '{evil}{stack.head}', email = '{evil}@example.org' WHERE id = '{person.id}'")
    try:
        outputs = [stack.ctl("user", "list").stdout, stack.ctl("user", "grant", person.id, "audit_read").stdout,
                   at_a_terminal(stack, "user", "list")]
        for output in outputs:
            assert "ev\\u001b[31m\\u202e\\u009bil" in output and not set("\x1b\u202e\u009b") & set(output)
    finally:
        stack.sql(f"UPDATE users SET username = '{person.name}', email = '{person.name}@example.org' WHERE id = '{person.id}'")
    agent = "a\u202eb\u009bc"
    stack.client().post("/api/auth/login", {"username": person.name, "password": person.password}, headers={"User-Agent": agent.encode()})
    listed = stack.ctl("session", "list", person.name).stdout
    assert "a\\u202eb\\u009bc" in listed and not set("\u202e\u009b") & set(listed)
    made = admin.article("t\u202e\u009bt", publish=False)
    where = ["events", "--after", str(made.position - 2), "--type", "article.created"]
    seen = at_a_terminal(stack, *where)
    assert "t\\u202e\\u009bt" in seen and not set("\u202e\u009b") & set(seen)
    assert "t\u202e\u009bt" in stack.ctl(*where).stdout, "to a program it is as it was written"


def test_a_password_at_a_terminal(stack):
    person, word = Person(stack, "pty"), "typed, and not shown"
    for typed, status in ([word, word], 0), ([word, word + "!"], 1), ([word, "\x03"], -signal.SIGINT), (["short", "short"], 1):
        before = stack.sql(f"SELECT password_hash FROM credentials WHERE user_id = '{person.id}'")
        seen = at_a_terminal(stack, "user", "passwd", person.name, "--password-stdin", typed=typed, status=status)
        assert not any(line in seen for line in typed if line != "\x03") and seen.count(": ") >= 2
        assert (stack.sql(f"SELECT password_hash FROM credentials WHERE user_id = '{person.id}'") != before) == (status == 0)
    assert stack.log_in(person.name, word).status == 200
    name = f"{person.name}b"
    assert word not in at_a_terminal(stack, "user", "add", name, "--email", f"{name}@example.org", "--password-stdin", typed=[word, word])
    assert stack.log_in(name, word).status == 200
    # From a program it is one line, as before.
    done = stack.ctl("user", "passwd", name, "--password-stdin", input="from a program\nand more\n")
    assert done.returncode == 0 and stack.log_in(name, "from a program").status == 200


def test_a_signal_before_the_answer_is_waited_for(stack):
    """It comes while the terminal is halted, before the prompt is out; so it always is before the program waits for an answer."""
    person = Person(stack, "sig")
    ours, theirs = pty.openpty()
    try:
        termios.tcflow(theirs, termios.TCOOFF)
        running = subprocess.Popen([stack.env["COURANT_CTL"], "--config", stack.env["COURANT_CONFIG"], "user", "passwd", person.name,
                                    "--password-stdin"], stdin=theirs, stdout=theirs, stderr=theirs)
        status = f"/proc/{running.pid}/status"
        until(lambda: any(line.startswith("SigCgt:") and int(line.split()[1], 16) & 1 << (signal.SIGINT - 1) for line in open(status)),
              what="a handler of the signal")
        running.send_signal(signal.SIGINT)
        time.sleep(0.1)
        termios.tcflow(theirs, termios.TCOON)
        assert running.wait(20) == -signal.SIGINT
        assert termios.tcgetattr(theirs)[3] & termios.ECHO, "the terminal is as it was"
    finally:
        os.close(ours)
        os.close(theirs)
    assert stack.log_in(person.name, person.password).status == 200


def test_courantctl_overwrites_what_it_frees(stack):
    """Where passwords and tokens come by."""
    running = subprocess.Popen([stack.env["COURANT_CTL"], "--config", stack.env["COURANT_CONFIG"], "user", "passwd",
                                stack.env["COURANT_ADMIN_USER"], "--password-stdin"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)
    try:
        until(lambda: b"glibc.malloc.perturb=165" in open(f"/proc/{running.pid}/environ", "rb").read(), what="the setting")
    finally:
        running.terminate()
        running.wait(20)
        running.stdin.close()


@pytest.fixture
def open_to_all(stack):
    """Every origin may call, every proxy is believed, and all is logged: as much as ever comes back of what was sent."""
    path = os.path.join(stack.dir, "courant.local.conf")
    before = open(path).read()
    with open(path, "w") as file:
        file.write(before + "[http]\norigins = *\ntrusted_proxies = 127.0.0.1\n[log]\nlevel = debug\n")
    stack.dev("up")
    yield
    with open(path, "w") as file:
        file.write(before)
    stack.dev("up")


def ask(stack, method, target, headers, body=b""):
    """The head of an answer to what no web server would let through, byte for byte."""
    path = f"{os.path.dirname(stack.env['COURANT_DB_SOCKET'])}/fcgi.sock"
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(30)
        connection.connect(path)
        connection.sendall(fastcgi.request(method, target, headers, len(body)) + (fastcgi.record(fastcgi.STDIN, body) if body else b"") +
                           fastcgi.record(fastcgi.STDIN))
        return fastcgi.Client.read(connection.makefile("rb")).partition(b"\r\n\r\n")[0]


@pytest.mark.parametrize("evil", ["x\r\nSet-Cookie: evil=1", "x\nEvil: 1", "x\x1b[31m", "x\u009b31m", "x\u2028y", "x\u202ey", "x\x7f"])
def test_nothing_comes_back_as_it_is(stack, open_to_all, evil):
    log = f"{stack.dir}/log/fcgi.log"
    size = os.path.getsize(log)
    headers = {name: evil for name in ("Origin", "User-Agent", "X-Forwarded-For", "X-Forwarded-Proto", "Host", "Cookie", "Referer", "traceparent",
                                       "Idempotency-Key", "If-None-Match", "If-Match", "Prefer", "Accept", "Access-Control-Request-Method")}
    typed = {"Content-Type": "application/json", "Origin": evil, "User-Agent": evil, "X-Forwarded-For": evil}
    body = json.dumps({"username": evil, "email": f"{evil}@example.org", "password": evil + "long enough"}).encode()
    heads = [ask(stack, "GET", "/api/articles?limit=1", {"Origin": evil}), ask(stack, "GET", "/api/articles", headers),
             ask(stack, "GET", f"/api/articles?q={evil}&limit=1", headers), ask(stack, "GET", f"/{evil}", headers),
             ask(stack, "OPTIONS", "/api/articles", headers), ask(stack, "GET", "/feed.atom", headers),
             ask(stack, "POST", "/api/users", typed, body), ask(stack, "POST", "/api/auth/login", typed, body),
             ask(stack, "POST", "/api/auth/login", {**typed, "Content-Type": evil, "Content-Encoding": evil}, body),
             ask(stack, "POST", f"/api/commands/{evil}", typed, body), ask(stack, evil, "/api/articles", headers)]
    for head in heads:
        lines = head.split(b"\r\n")
        assert all(byte in range(0x20, 0x7f) for line in lines for byte in line), head
        assert not any(line.lower().startswith((b"set-cookie: evil", b"evil")) for line in lines), head
    stack.client().get("/livez")
    with open(log, "rb") as file:
        file.seek(size)
        logged = file.read()
    text = logged.decode()
    assert not any(ord(character) < 0x20 and character != "\n" or character in "\x7f\u009b\u2028\u202e" for character in text), text
    assert all(line[:4] == "2026"[:2] + line[2:4] and line[2:4].isdigit() for line in text.splitlines()), text


def test_a_long_password_in_each_place(stack, person):
    for name in "password", "current_password":
        for length, status in (257, 422), (100000, 422), (10**6, 413):
            body = {"password": "long enough", "current_password": person.password, name: "x" * length}
            began = time.monotonic()
            assert person.client.call("PUT", person.where + "/password", body).status == status
            assert time.monotonic() - began < 2 * stack.slow, "as if it were hashed"
    assert person.alive() and stack.log_in(person.name, person.password).status == 200


@pytest.mark.parametrize("headers", [{}, {"Origin": "http://evil.example"}, {"Origin": "https://127.0.0.1"}, {"Sec-Fetch-Site": "cross-site"},
                                     {"Sec-Fetch-Site": "same-site"}, {"Sec-Fetch-Site": "none"}, {"Origin": "null"}])
def test_another_site_does_nothing_with_cookies(stack, headers):
    person = Person(stack, "csr")
    login = stack.client().post("/api/auth/login", {"username": person.name, "password": person.password})
    cookies = "; ".join(line.split(";")[0] for line in login.cookies)
    client, head = stack.client(), stack.head
    for method, path, body in (("POST", "/api/auth/logout", None), ("POST", "/api/auth/refresh", None), ("DELETE", person.where, None),
                               ("PUT", person.where + "/password", {"password": "another password", "current_password": person.password}),
                               ("PUT", person.where, {"username": "xx", "email": "x@y"}), ("DELETE", f"/api/auth/sessions/{own_id(person)}", None),
                               ("POST", "/api/auth/tokens", {"name": "n", "scopes": ["read"]}), ("POST", "/api/auth/invitations", {}),
                               ("POST", "/api/commands/erase_user", {"id": person.id})):
        client.call(method, path, body, headers={"Cookie": cookies, "If-Match": "*", **headers}).problem(403)
    assert stack.head == head and person.alive()
    assert client.post("/api/auth/logout", headers={"Cookie": cookies, "Sec-Fetch-Site": "same-origin"}).status == 204


@pytest.mark.parametrize("args, reopened", [
    (lambda person: ["user", "revoke", person.name, "audit_read"], 403), (lambda person: ["session", "revoke", own_id(person)], 401),
    (lambda person: ["user", "passwd", person.name], 401), (lambda person: ["user", "erase", person.name], 401)])
def test_what_an_operator_takes_away_is_gone_from_open_streams(stack, admin, args, reopened):
    """Before anything later is sent, on a stream that shows all there is."""
    person = Person(stack, "ope")
    permissions = {"permissions": ["audit_read"]}
    assert admin.call("PUT", person.where + "/permissions", permissions, headers={"If-Match": "*"}).status == 200
    # That would end streams too, which the notifier may hear of after they have begun.
    follower, known = Stream(stack, "/events", token=admin.token), admin.article("Known")
    follower.wait_for(known.position)
    follower.close()
    streams = [Stream(stack, "/events?topic=all", token=person.client.token) for _ in range(4)]
    draft = admin.article("Seen", publish=False)
    for stream in streams:
        stream.wait_for(draft.position)
    command = args(person)
    done = stack.ctl(*command)
    assert done.returncode == 0, done.stderr
    after = [admin.article(f"Unseen {number}", publish=False).json["id"] for number in range(5)]
    for stream in streams:
        assert stream.ended.wait(5), command
        seen = {event.get("stream") for _, _, event in stream.events}
        assert f"article-{draft.json['id']}" in seen and not seen & {f"article-{id}" for id in after}
    person.client.get("/events?topic=all").problem(reopened)
