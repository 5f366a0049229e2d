"""courantctl, as an operator uses it."""

import json
import os
import shutil
import subprocess

import pytest

from courant import ROOT, Session, until
from test_4_accounts import Person


@pytest.fixture
def migrations(tmp_path):
    return shutil.copytree(f"{ROOT}/sql/migrations", tmp_path / "migrations")


def test_usage(stack):
    assert stack.ctl("--help").returncode == 0
    assert stack.ctl("--version").stdout.startswith("courantctl ")
    for args in ([], ["nonsense"], ["migrate", "x"], ["user"], ["user", "add"], ["user", "add", "x"], ["verify", "x"]):
        done = stack.ctl(*args)
        assert done.returncode == 2 and "usage" in done.stderr


@pytest.mark.parametrize("lines, word", [
    ("[database]\nsockett = x", "there is no option sockett in [database]"), ("[fcgi]\nworkers = many", "fcgi.workers"),
    ("[fcgi]\nworkers = 0", "from 1 to"), ("hello", "neither"), ("[database]\npassword_file = /nowhere", "/nowhere"),
    ("[http]\norigins = https://a.example https://b.example/", "https://b.example/"), ("[http]\norigins = b.example", "b.example")])
def test_bad_configuration_names_the_line(stack, tmp_path, lines, word):
    path = tmp_path / "courant.conf"
    path.write_text(lines + "\n")
    done = stack.ctl("verify", config=str(path))
    assert done.returncode == 2 and word in done.stderr


def test_events(stack, admin):
    before = stack.head
    made = admin.article("Printed")
    stream = f"article-{made.json['id']}"

    def events(*args):
        done = stack.ctl("events", *args)
        assert done.returncode == 0, done.stderr
        return [json.loads(line) for line in done.stdout.split("\n")[:-1]]

    assert [event["position"] for event in events()] == list(range(1, made.position + 1))
    assert [event["type"] for event in events("--after", str(before))] == [
        "article.created", "article.revision_created", "article.published"]
    assert [event["version"] for event in events("--stream", stream)] == [1, 2, 3]
    assert {event["type"] for event in events("--type", "user.registered")} == {"user.registered"}
    assert events("--after", str(made.position)) == []
    for args in (["--after", "x"], ["--after"], ["--nothing"]):
        assert stack.ctl("events", *args).returncode == 2


def test_events_of_a_log_that_is_shorter(stack):
    done = stack.ctl("events", "--after", str(stack.head + 1000), "--follow")
    assert done.returncode == 1 and f"the log ends at position {stack.head}" in done.stderr


def test_events_follow(stack, admin):
    command = [stack.env["COURANT_CTL"], "--config", stack.env["COURANT_CONFIG"], "events", "--follow", "--after",
               str(stack.head)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        made = admin.article("Followed")
        positions = [json.loads(process.stdout.readline())["position"] for _ in range(3)]
        process.terminate()
    assert positions == list(range(made.position - 2, made.position + 1))


def test_the_password_of_the_bus_is_not_said(stack, tmp_path):
    path = tmp_path / "courant.conf"
    path.write_text(open(stack.env["COURANT_CONFIG"]).read() + "\n[nats]\nurl = nats://me:secretly@127.0.0.1:1\n")
    for args in ["bus", "status"], ["verify"]:
        done = stack.ctl(*args, config=str(path))
        assert done.returncode == 2 and "127.0.0.1:1 cannot be reached" in done.stderr, done.stderr
        assert "secretly" not in done.stdout + done.stderr


def test_migrate(stack, migrations):
    assert "up to date" in stack.ctl("migrate").stdout
    count = len(os.listdir(migrations))
    dry = stack.ctl("migrate", "--dry-run", "--from", str(migrations))
    assert f"0 of {count} to apply" in dry.stdout
    more = f"{count + 1:03}_more.sql"
    (migrations / more).write_text("CREATE TABLE IF NOT EXISTS more (id INT PRIMARY KEY);")
    dry = stack.ctl("migrate", "--dry-run", "--from", str(migrations))
    assert f"1 of {count + 1} to apply" in dry.stdout and f"to apply  {more}" in dry.stdout
    assert stack.sql("SHOW TABLES LIKE 'more'") == []


def test_migrate_refuses_a_changed_file(stack, migrations):
    path = migrations / "002_accounts.sql"
    path.write_text(path.read_text() + "\n")
    for args in (["--dry-run"], []):
        done = stack.ctl("migrate", "--from", str(migrations), *args)
        assert done.returncode == 1 and "002_accounts.sql was changed" in done.stderr


def test_migrate_refuses_a_missing_file(stack, migrations):
    last = max(os.listdir(migrations))
    os.remove(migrations / last)
    done = stack.ctl("migrate", "--from", str(migrations))
    assert done.returncode == 1 and last in done.stderr and "missing" in done.stderr
    os.remove(migrations / "001_log.sql")
    done = stack.ctl("migrate", "--from", str(migrations))
    assert done.returncode == 2 and "001 is missing" in done.stderr


def test_user_add(stack):
    name = f"carol{stack.head}"
    done = stack.ctl("user", "add", name, "--email", f"{name}@example.org")
    assert done.returncode == 0
    password = next(line.split()[1] for line in done.stdout.splitlines() if line.startswith("password"))
    assert stack.log_in(name, password).json["user"]["permissions"] == []
    before = stack.head
    assert "username is taken" in stack.ctl("user", "add", name.upper(), "--email", "c2@example.org").stderr
    assert "email is taken" in stack.ctl("user", "add", "carol2", "--email", f"{name}@EXAMPLE.org").stderr
    assert "password" in stack.ctl("user", "add", "dave", "--email", "d@example.org", "--password-stdin", input="short").stderr
    assert "address" in stack.ctl("user", "add", "dave", "--email", "nothing").stderr
    assert "username" in stack.ctl("user", "add", "d@ve", "--email", "d@example.org").stderr
    assert stack.head == before


@pytest.mark.parametrize("change, back, word", [
    ("UPDATE articles SET title = CONCAT(title, '!') WHERE id = '{id}'",
     "UPDATE articles SET title = LEFT(title, CHAR_LENGTH(title) - 1) WHERE id = '{id}'", "read model articles, {id}"),
    ("UPDATE events SET data = REPLACE(data, 'title\":\"T', 'title\":\"t') WHERE position = {position}",
     "UPDATE events SET data = REPLACE(data, 'title\":\"t', 'title\":\"T') WHERE position = {position}", "position {position}"),
    ("UPDATE events SET position = 4000000000 WHERE position = {position}",
     "UPDATE events SET position = {position} WHERE position = 4000000000", "position {position} is missing"),
    ("UPDATE events SET hash = REVERSE(hash) WHERE position = {position}",
     "UPDATE events SET hash = REVERSE(hash) WHERE position = {position}", "position {position}: the hash"),
    ("UPDATE articles_tags SET tag = CONCAT(tag, '!') WHERE id = '{id}'",
     "UPDATE articles_tags SET tag = LEFT(tag, CHAR_LENGTH(tag) - 1) WHERE id = '{id}'", "(articles_tags)"),
    ("UPDATE articles_search SET content = UPPER(content) WHERE id = '{id}'",
     "UPDATE articles_search s JOIN articles a ON a.id = s.id SET s.content = a.content WHERE s.id = '{id}'", "(articles_search)"),
    ("INSERT INTO articles_tags SELECT 'zzz', tag, status, author_id FROM articles_tags LIMIT 1",
     "DELETE FROM articles_tags WHERE id = 'zzz'", "without it"),
    ("UPDATE articles SET rest = CONCAT(rest, ' ') WHERE id = '{id}'",
     "UPDATE articles SET rest = TRIM(rest) WHERE id = '{id}'", "column rest"),
    ("UPDATE articles SET title = CONCAT(title, CHAR(0)) WHERE id = '{id}'",
     "UPDATE articles SET title = REPLACE(title, CHAR(0), '') WHERE id = '{id}'", "column title"),
    ("UPDATE events SET audience = CONCAT(audience, CHAR(0), 'x') WHERE position = {position}",
     "UPDATE events SET audience = LEFT(audience, LENGTH(audience) - 2) WHERE position = {position}", "position {position}: the event is damaged"),
    ("INSERT INTO events SELECT position + 1, 'ghost', 'ghost', 1, type, audience, data, metadata, recorded_at, digest, hash "
     "FROM events ORDER BY position DESC LIMIT 1", "DELETE FROM events WHERE id = 'ghost'", "but log_head is at"),
    ("UPDATE log_head SET hash = REVERSE(hash)", "UPDATE log_head SET hash = REVERSE(hash)", "log_head"),
    ("INSERT INTO users SELECT 'zzz', '', 'zzz', 'zzz', '', 1, NOW(6), NOW(6), NULL, NULL, NULL", "DELETE FROM users WHERE id = 'zzz'",
     "read model users, zzz: the row is at version 1, which is not in the log"),
    ("UPDATE users SET id = CONCAT('x', SUBSTR(id, 2)) WHERE username = 'admin'",
     "UPDATE users SET id = CONCAT('0', SUBSTR(id, 2)) WHERE username = 'admin'", "read model users"),
])
def test_verify_names_the_first_difference(stack, admin, change, back, word):
    made = admin.article("Tampered with", tags=["t"])
    names = {"id": made.json["id"], "position": made.position - 2}
    stack.sql(change.format(**names))
    try:
        done = stack.ctl("verify")
    finally:
        stack.sql(back.format(**names))
    assert done.returncode == 1, done.stdout + done.stderr
    assert word.format(**names) in done.stdout
    assert "clean" in stack.verify()


def test_user_commands(stack):
    name = f"dora{stack.head}"
    first = stack.ctl("user", "add", name, "--email", f"{name}@example.org").stdout
    password = next(line.split()[1] for line in first.splitlines() if line.startswith("password"))
    client = stack.client(stack.log_in(name, password).json["access_token"])
    id = client.get("/api/auth").json["id"]
    assert f"{id}  {name}" in stack.ctl("user", "list").stdout
    for who in name, f"{name}@example.org", id:
        assert "may      audit_read" in stack.ctl("user", "grant", who, "audit_read").stdout
    assert client.get("/api/auth").json["permissions"] == ["audit_read"]
    assert "nothing" in stack.ctl("user", "revoke", name, "audit_read").stdout
    assert client.get("/api/auth").json["permissions"] == []
    assert "there is no permission" in stack.ctl("user", "grant", name, "root").stderr
    sessions = json.loads(stack.ctl("session", "list", name).stdout)
    assert len(sessions) == 1
    assert stack.ctl("session", "revoke", sessions[0]["id"]).returncode == 0
    client.get("/api/auth").problem(401)
    assert stack.ctl("session", "revoke", sessions[0]["id"]).returncode == 1
    done = stack.ctl("user", "passwd", name, "--password-stdin", input="another password\n")
    assert done.returncode == 0 and "another password" not in done.stdout
    stack.client().post("/api/auth/login", {"username": name, "password": password}).problem(401)
    assert stack.log_in(name, "another password").status == 200
    assert stack.ctl("user", "erase", name).returncode == 0
    assert stack.log_in(name, "another password").status == 401 and name not in stack.ctl("user", "list").stdout
    for args in (["list", "x"], ["passwd"], ["grant", name], ["erase"], ["invite", "x"], ["nothing"], []):
        assert stack.ctl("user", *args).returncode == 2
    assert stack.ctl("user", "erase", "nobody").returncode == 1
    assert stack.ctl("session", "x", "y").returncode == 2


def test_two_operators_grant_at_once(stack):
    """Neither takes away what the other has given, after both have read what there was."""
    person, words = Person(stack, "two"), ["article_edit_any", "article_delete_any", "audit_read"]
    for action, left in ("grant", words), ("revoke", []):
        with Session(stack) as session:
            session.run(f"START TRANSACTION; SELECT id FROM users WHERE id = '{person.id}' FOR UPDATE")
            command = [stack.env["COURANT_CTL"], "--config", stack.env["COURANT_CONFIG"], "user", action, person.name]
            running = [subprocess.Popen([*command, word], stdout=subprocess.PIPE, stderr=subprocess.PIPE) for word in words]
            # INNODB_TRX would not do: who reads it often is always given the same.
            waiting = "SELECT COUNT(*) FROM information_schema.PROCESSLIST WHERE USER = 'courant' AND INFO LIKE 'SELECT%FROM users%FOR UPDATE'"
            until(lambda: stack.root(waiting) == [["3"]], what="all of them")
            session.run("ROLLBACK")
        for done in running:
            out, err = done.communicate(timeout=30)
            assert done.returncode == 0, err
        now = stack.sql(f"SELECT permissions FROM users WHERE id = '{person.id}'")[0][0]
        assert sorted(now.split()) == sorted(left)


@pytest.mark.parametrize("mode", ["closed", "invitation"])
def test_registration_modes(stack, admin, mode):
    path = os.path.join(stack.dir, "courant.local.conf")
    before = open(path).read()

    def register(**more):
        name = f"inv{stack.head}"
        return stack.client().post("/api/users", {"username": name, "email": f"{name}@example.org", "password": "long enough", **more})

    try:
        with open(path, "w") as file:
            file.write(before + f"[auth]\nregistration = {mode}\n")
        stack.dev("up")
        assert mode in register().problem(401)["detail"]
        scopes = {"name": "t", "scopes": ["read", "write", "user_admin"]}
        token = stack.client(admin.post("/api/auth/tokens", scopes).json["token"])
        name = f"tok{stack.head}"
        assert mode in token.post("/api/users", {"username": name, "email": f"{name}@example.org", "password": "long enough"}).problem(403)["detail"]
        code = stack.ctl("user", "invite", "--days", "1").stdout.split()[0]
        api = admin.post("/api/auth/invitations", {"expires_in": 600})
        assert api.status == 201
        if mode == "closed":
            register(invitation=code).problem(401)
        else:
            for bad in "x", code[:-1], code[:-1] + ("A" if code[-1] != "A" else "B"):
                assert "invitation" in register(invitation=bad).problem(401)["detail"]
            for invitation in code, api.json["invitation"]:
                assert register(invitation=invitation).status == 201
                assert "not valid" in register(invitation=invitation).problem(401)["detail"]
        stack.user("ann").post("/api/auth/invitations", {}).problem(403)
        name = f"adm{stack.head}"
        assert admin.post("/api/users", {"username": name, "email": f"{name}@example.org", "password": "long enough"}).status == 201
    finally:
        with open(path, "w") as file:
            file.write(before)
        stack.dev("up")
