"""What a stranger can make of names and headers: nothing that reaches a terminal, a header or a log line as it is."""

import fcntl
import os
import pty
import signal
import subprocess
import termios

import pytest

from courant import until
from test_4_accounts import Person

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
        while part := os.read(ours, 65536):
            out += part
            if left and out.endswith(b": "):
                line = left.pop(0)
                os.write(ours, line.encode() + b"\n" * (line != "\x03"))
    except OSError:  # the other end is closed
        pass
    assert running.wait(20) == status, out
    os.close(ours)
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


def test_courantctl_overwrites_what_it_frees(stack):
    running = subprocess.Popen([stack.env["COURANT_CTL"], "--config", stack.env["COURANT_CONFIG"], "events", "--follow", "--after", str(stack.head)],
                               stdout=subprocess.DEVNULL)
    try:
        until(lambda: b"glibc.malloc.perturb=165" in open(f"/proc/{running.pid}/environ", "rb").read(), what="the setting")
    finally:
        running.terminate()
        running.wait(20)
