"""The log as a whole: out and in, rebuilt, and in its older form. On databases of their own."""

import hashlib
import http.client
import json
import os
import pty
import shutil
import signal
import socket
import subprocess
import threading
import time

import pytest

import fastcgi
from courant import ROOT, Nats, Session, Stream, until
from lines import Log
from test_4_accounts import Person

FIXTURE = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "fixtures", "log-schema-1.jsonl")


class Site:
    """A database and a stream of the bus of its own, on the stack's servers."""

    def __init__(self, stack, name, folder):
        self.stack, self.name = stack, name
        self.config = str(folder / "courant.conf")
        self.root(f"DROP DATABASE IF EXISTS {name}; CREATE DATABASE {name} CHARACTER SET utf8mb4; "
                  f"GRANT ALL ON {name}.* TO courant@localhost")
        text = open(stack.env["COURANT_CONFIG"]).read().replace("name = courant\n", f"name = {name}\n")
        text = text.replace("[nats]\n", f"[nats]\nstream = {name}\nsubject = {name}.events\n")
        with open(self.config, "w") as file:
            file.write(text)
        assert self.ctl("migrate").returncode == 0
        # An earlier run may have left its stream.
        assert self.ctl("bus", "rebuild", "--force").returncode == 0

    def root(self, text):
        done = subprocess.run(["mariadb", "--no-defaults", "-S", self.stack.env["COURANT_DB_SOCKET"], "-uroot", "-N", "-B",
                               "--default-character-set=utf8mb4", "-e", text], check=True, capture_output=True)
        return done.stdout.decode("utf-8", "backslashreplace")  # hashes are bytes

    def sql(self, text):
        return [line.split("\t") for line in self.root(f"USE {self.name}; {text}").splitlines()]

    def ctl(self, *args, input=None):
        return self.stack.ctl(*args, input=input, config=self.config)

    def log(self):
        """What goes on where the log ends."""
        position, hash = self.sql("SELECT position, LOWER(HEX(hash)) FROM log_head")[0]
        return Log(int(position), hash)

    def lines(self):
        done = self.ctl("export")
        assert done.returncode == 0, done.stderr
        return done.stdout.splitlines(keepends=True)

    def content(self):
        """Everything that an import could change; a rebuild counts itself in log_head.names."""
        tables = ("events", "articles", "users")
        return [self.root(f"SELECT * FROM {self.name}.{table} ORDER BY 1") for table in tables] + [
            self.root(f"SELECT position, hash FROM {self.name}.log_head")]


@pytest.fixture
def site(stack, tmp_path):
    site = Site(stack, "courant_site", tmp_path)
    yield site
    site.root(f"DROP DATABASE {site.name}")


@pytest.fixture
def old(site):
    """A site with the log that an older Courant wrote, in which article.published had schema 1."""
    done = site.ctl("import", FIXTURE)
    assert done.returncode == 0, done.stderr
    assert site.ctl("bus", "rebuild").returncode == 0
    return site


# ---- export and import

def test_round_trip(site, old):
    exported = "".join(old.lines())
    assert exported == open(FIXTURE).read()
    positions = [json.loads(line)["position"] for line in exported.splitlines()]
    assert positions == list(range(1, len(positions) + 1))
    assert "clean" in old.ctl("verify").stdout


def test_the_stacks_own_log_goes_round(stack, admin, site, tmp_path):
    admin.article("Exported 😀")
    path = str(tmp_path / "log.jsonl")
    assert stack.ctl("export", path).returncode == 0
    assert not [name for name in os.listdir(tmp_path) if ".part" in name]
    # What is sealed is readable where the keys are, which are not in the log.
    site.root("INSERT INTO courant_site.seal_keys SELECT * FROM courant.seal_keys")
    done = site.ctl("import", path)
    assert done.returncode == 0, done.stderr
    assert site.ctl("bus", "rebuild").returncode == 0
    assert "".join(site.lines()) == open(path).read()
    for table in "events", "articles", "users":
        assert site.root(f"SELECT * FROM courant_site.{table} ORDER BY 1") == site.root(f"SELECT * FROM courant.{table} ORDER BY 1")
    assert "clean" in site.ctl("verify").stdout


def test_an_export_is_whole_or_is_not_there(stack, old, tmp_path):
    path = tmp_path / "log.jsonl"
    with Session(stack, old.name) as session:
        session.run("LOCK TABLES events WRITE")  # so that it does not end
        running = subprocess.Popen([stack.env["COURANT_CTL"], "--config", old.config, "export", str(path)], stderr=subprocess.DEVNULL)
        until(lambda: list(tmp_path.glob("log.jsonl.part-*")), what="its part")
        running.kill()
        running.wait(20)
    left = list(tmp_path.glob("log.jsonl.part-*"))
    assert not path.exists() and len(left) == 1
    assert old.ctl("export", str(path)).returncode == 0
    assert path.read_text() == open(FIXTURE).read() and list(tmp_path.glob("log.jsonl.part-*")) == left
    assert path.stat().st_mode & 0o777 == 0o600, "there are drafts in it"


@pytest.mark.parametrize("type, data", [("article.revision_created", {"revision": 1}), ("article.published", {"slug": "x"}),
                                        ("article.deleted", {}), ("article.updated", {"title": "x"})])
def test_a_stream_begins_with_what_can_begin_one(site, type, data):
    log, before = site.log(), site.content()
    log.article(1)
    log.add("article-01a2071b-f843-7645-a001-b20b639515c9", type, data, 2 if type == "article.published" else 1)
    done = site.ctl("import", input=log.text)
    assert done.returncode == 1 and "line 2" in done.stderr and "cannot be the first" in done.stderr, done.stderr
    assert site.content() == before


def test_an_import_that_is_a_deadlocks_victim_leaves_nothing(old):
    log, before = old.log(), old.content()
    id = old.sql("SELECT id FROM articles ORDER BY id LIMIT 1")[0][0]
    version = int(old.sql(f"SELECT MAX(version) FROM events WHERE stream = 'article-{id}'")[0][0])
    for number in range(3):
        log.add(f"article-{id}", "article.revision_created", {"revision": 90 + number}, version=version + 1 + number)
    with Session(old.stack, old.name) as session:
        # What has written more is not the victim.
        session.run("CREATE TABLE heavy (n INT PRIMARY KEY); START TRANSACTION; INSERT INTO heavy SELECT seq FROM seq_1_to_2000; "
                    f"SELECT id FROM articles WHERE id = '{id}' FOR UPDATE")
        running = subprocess.Popen([old.stack.env["COURANT_CTL"], "--config", old.config, "import"], text=True,
                                   stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        running.stdin.write(log.text)
        running.stdin.close()
        waiting = "SELECT COUNT(*) FROM information_schema.processlist WHERE info LIKE 'DELETE FROM articles%'"
        until(lambda: old.root(waiting) == "1\n", what="the import that waits for the article")
        session.run("SELECT position FROM log_head FOR UPDATE")
        assert running.wait(20) == 2
        said = running.stderr.read()
        session.run("ROLLBACK; DROP TABLE heavy")
    assert "nothing was imported" in said and "eadlock" in said, said
    assert old.content() == before and "clean" in old.ctl("verify").stdout


def test_an_import_that_waits_for_its_lines_holds_up_nobody(old):
    log = old.log()
    log.article(7)
    running = subprocess.Popen([old.stack.env["COURANT_CTL"], "--config", old.config, "import"], text=True,
                               stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    until(lambda: old.root(f"SELECT COUNT(*) FROM information_schema.processlist WHERE db = '{old.name}'") == "1\n", what="its connection")
    began = time.monotonic()
    assert old.ctl("user", "add", "between", "--email", "b@example.org", "--password-stdin", input="a password\n").returncode == 0
    assert time.monotonic() - began < 4 * old.stack.slow
    before = old.content()
    out, said = running.communicate(log.text, timeout=20)
    assert running.returncode == 2 and "the log has grown" in said and "nothing was imported" in said, said
    assert old.content() == before


def test_an_import_reads_no_terminal(old):
    ours, theirs = pty.openpty()
    done = subprocess.run([old.stack.env["COURANT_CTL"], "--config", old.config, "import"], stdin=theirs, capture_output=True, text=True, timeout=20)
    os.close(ours)
    os.close(theirs)
    assert done.returncode == 2 and "terminal" in done.stderr


def test_names_that_an_import_changes_are_seen(old):
    """Workers remember names, and ask anew by this count."""
    names, log = old.sql("SELECT names FROM log_head"), old.log()
    log.article(7)
    assert old.ctl("import", input=log.text).returncode == 0
    assert old.sql("SELECT names FROM log_head") != names


def test_an_import_goes_on_where_the_log_ends(site):
    lines = open(FIXTURE).readlines()
    for part in lines[:7], lines[7:8], lines[8:]:
        done = site.ctl("import", input="".join(part))
        assert done.returncode == 0, done.stderr
    assert site.lines() == lines and site.ctl("bus", "rebuild").returncode == 0
    assert "clean" in site.ctl("verify").stdout


def changed(lines, number, old, new):
    assert old in lines[number - 1]
    return [*lines[:number - 1], lines[number - 1].replace(old, new), *lines[number:]]


@pytest.mark.parametrize("harm, line, word", [
    (lambda lines: changed(lines, 10, "First", "first"), 10, "digest"),
    (lambda lines: changed(lines, 12, '"hash":"', '"hash":"0'), 12, "hash"),
    (lambda lines: changed(lines, 5, '"version":', '"version":1'), 5, "digest"),
    (lambda lines: lines[:4] + lines[5:], 5, "position 6, but 5 is"),
    (lambda lines: lines[:4] + [lines[3]] + lines[4:], 5, "position 4, but 5 is"),
    (lambda lines: lines[1:], 1, "position 2, but 1 is"),
    (lambda lines: lines[:6] + ["\n"] + lines[6:], 7, "JSON"),
    (lambda lines: lines[:6] + ["nonsense\n"], 7, "JSON"),
    (lambda lines: lines[:-1] + [lines[-1][:-9]], 20, "cut off"),
    (lambda lines: lines[:-1] + [lines[-1][:-1]], 20, "cut off"),
    (lambda lines: lines[:3] + [lines[3].replace('"type"', '"typo"')] + lines[4:], 4, "not an event"),
])
def test_a_broken_log_is_refused_with_its_line(site, harm, line, word):
    before = site.content()
    done = site.ctl("import", input="".join(harm(open(FIXTURE).readlines())))
    assert done.returncode == 1
    assert f"line {line}" in done.stderr and word in done.stderr and "nothing was imported" in done.stderr
    assert site.content() == before


def test_a_log_is_not_imported_onto_another(old):
    before = old.content()
    done = old.ctl("import", FIXTURE)
    assert done.returncode == 1 and "line 1" in done.stderr and "position 1, but 21 is" in done.stderr
    assert old.content() == before


@pytest.mark.parametrize("of", ["the log", "the same lines"])
@pytest.mark.parametrize("what", ["version", "version of a row", "id", "slug"])
def test_what_comes_twice_is_named_at_its_line(site, of, what):
    """Among lines that are right, before it and behind it."""
    log = Log()
    for number in range(3):
        log.article(number)
        log.add(f"canary-{number}", "canary.sent", {}, audience="public")
    first = json.loads(log.lines[0])
    if of == "the log":
        assert site.ctl("import", input=log.text).returncode == 0
        log = site.log()
    for number in range(10, 13):
        log.article(number)
    if what == "version":
        log.add("canary-1", "canary.sent", {}, audience="public", version=1)
    elif what == "version of a row":
        log.add(first["stream"], "article.created", first["data"], 2, version=1)
    elif what == "id":
        log.article(20, id=first["id"])
    else:
        log.article(20, slug="article-0")
    line = len(log.lines)
    for number in range(30, 33):
        log.article(number)
    before = site.content()
    done = site.ctl("import", input=log.text)
    assert done.returncode == 1 and f"line {line}:" in done.stderr, done.stderr
    assert site.content() == before


@pytest.mark.parametrize("what", ["title", "slug", "audience"])
def test_what_a_table_does_not_take_is_named_at_its_line(site, what):
    log = Log()
    for number in range(80):
        log.article(number)
    if what == "slug":
        log.article(100, slug="s" * 121)
    elif what == "audience":
        log.article(100, audience="a" * 3000)
    else:
        log.add("article-" + (id := log.article(100)), "article.updated",
                {"id": id, "title": "t" * 300, "subtitle": "", "lead": "", "content": "x", "tags": []})
    line = len(log.lines)
    for number in range(110, 150):
        log.article(number)
    before = site.content()
    done = site.ctl("import", input=log.text)
    assert done.returncode == 1 and f"line {line}:" in done.stderr, done.stderr
    assert site.content() == before


def test_a_version_that_does_not_follow_is_named_at_its_line(site):
    log = Log()
    for stream, version in ("canary-1", 1), ("canary-1", 2), ("canary-2", 1), ("canary-1", 4), ("canary-1", 5):
        log.add(stream, "canary.sent", {}, audience="public", version=version)
    done = site.ctl("import", input=log.text)
    assert done.returncode == 1 and "line 4: position 4: version 4 of canary-1" in done.stderr, done.stderr


def test_files_that_cannot_be_used(old, tmp_path):
    assert old.ctl("import", str(tmp_path / "none")).returncode == 2
    assert old.ctl("export", str(tmp_path / "none" / "log")).returncode == 2
    done = old.ctl("export", "/dev/full")
    assert done.returncode == 2 and "the output cannot be written" in done.stderr and not os.path.isfile("/dev/full")
    # What a name leads to is written, and keeps its rights.
    (tmp_path / "log").write_text("of before\n")
    (tmp_path / "log").chmod(0o640)
    (tmp_path / "link").symlink_to("log")
    assert old.ctl("export", str(tmp_path / "link")).returncode == 0
    assert (tmp_path / "link").is_symlink() and (tmp_path / "log").read_text() == open(FIXTURE).read()
    assert (tmp_path / "log").stat().st_mode & 0o777 == 0o640
    os.mkfifo(tmp_path / "pipe")
    with subprocess.Popen(["cat", str(tmp_path / "pipe")], stdout=subprocess.PIPE, text=True) as reader:
        assert old.ctl("export", str(tmp_path / "pipe")).returncode == 0
        assert reader.stdout.read() == open(FIXTURE).read()


# ---- older forms

def test_an_older_form_is_read_as_todays(old):
    """On every way: the rows of the import, the rebuild, verify. The log itself stays as it was written."""
    published = [json.loads(line) for line in old.lines() if '"type":"article.published"' in line]
    assert len(published) == 2
    for event in published:
        assert list(event["data"]) == ["id"] and "schema" not in event["metadata"]
        row = old.sql(f"SELECT DATE_FORMAT(published_at, '%Y-%m-%dT%H:%i:%s.%fZ') FROM articles WHERE id = '{event['data']['id']}'")
        assert row == [[event["timestamp"]]]
    assert "0 different" in old.ctl("rebuild", "--check").stdout


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Running:
    """A program of Courant's that runs on a site's database."""

    def __init__(self, site, program, conf):
        with open(site.config, "a") as file:
            file.write(conf)
        self.process = subprocess.Popen([os.path.join(site.stack.env["COURANT_DEV_PREFIX"], "sbin", program),
                                         "--config", site.config])

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(60)


def a_notifier(site, conf=""):
    port, status = free_port(), free_port()
    running = Running(site, "courant-notifier", f"[notifier]\nlisten = 127.0.0.1:{port}\nstatus_listen = 127.0.0.1:{status}\n"
                      f"canary_s = 86400\n{conf}")
    running.at = type("Address", (), {"host": "127.0.0.1", "port": port})
    until(lambda: is_ready(status), 30, "the notifier")
    return running


def shows_todays_form(stream, lines):
    """All that is published in these lines of a log, as today's events."""
    published = [json.loads(line) for line in lines if '"type":"article.published"' in line]
    stream.wait_for(json.loads(lines[-1])["position"])
    seen = [frame[2] for frame in stream.events if frame[1] == "article.published"]
    stream.close()
    assert published and [event["position"] for event in seen] == [event["position"] for event in published]
    for event in seen:
        assert event["data"]["published_at"] == event["timestamp"]


def behind(last, lines):
    """The same events as what comes behind the last of another log."""
    position, hash, moved = json.loads(last)["position"], json.loads(last)["hash"], []
    for line in lines:
        event = json.loads(line)
        position += 1
        hash = hashlib.sha256(bytes.fromhex(hash + event["digest"])).hexdigest()
        for name, value in ("position", position), ("hash", hash):
            old = json.dumps({name: event[name]}, separators=(",", ":"))[1:-1]
            assert line.count(old) == 1
            line = line.replace(old, json.dumps({name: value}, separators=(",", ":"))[1:-1])
        moved.append(line)
    return moved


# What comes later nobody sees who is not logged in.
PUBLIC_UNTIL = 17


def test_streams_of_the_past_show_todays_form(old):
    with a_notifier(old) as notifier:
        shows_todays_form(Stream(notifier.at, "/events?after=0"), old.lines()[:PUBLIC_UNTIL])


@pytest.mark.parametrize("conf", ["", "[nats]\nurl = nats://127.0.0.1:1\n"], ids=["bus", "no bus"])
def test_streams_that_run_show_todays_form(site, conf):
    """What comes while somebody listens goes through the tail, beside a bus and without one."""
    lines = open(FIXTURE).readlines()
    assert site.ctl("import", input="".join(lines[:14])).returncode == 0
    with a_notifier(site, conf) as notifier:
        stream = Stream(notifier.at, "/events")
        # Behind what the notifier has written to see whether it is ready.
        more = behind(site.lines()[-1], lines[14:PUBLIC_UNTIL])
        done = site.ctl("import", input="".join(more))
        assert done.returncode == 0, done.stderr
        shows_todays_form(stream, more)


@pytest.fixture
def editor(old, tmp_path):
    """A client of an administrator, of a pool that serves the old log."""
    assert old.ctl("user", "add", "editor", "--email", "editor@example.org", "--admin", "--password-stdin",
                   input="password of editor").returncode == 0
    path = str(tmp_path / "fcgi.sock")
    with Running(old, "courant-fcgi", f"[fcgi]\nlisten = unix:{path}\nworkers = 1\n"):
        client = fastcgi.Client(path)
        until(lambda: answers(client), 30, "the pool")
        login = client.post("/api/auth/login", {"username": "editor", "password": "password of editor", "cookies": False})
        assert login.status == 200, login.body
        yield fastcgi.Client(path, login.json["access_token"])


def answers(client):
    try:
        return client.get("/readyz").status == 200
    except OSError:
        return False


def test_the_past_is_shown_in_todays_form(old, editor):
    """?version=, ?at=, revisions and restoring, of articles that were published in the older form."""
    for line in old.lines():
        event = json.loads(line)
        if event["type"] != "article.published":
            continue
        path = f"/api/articles/{event['data']['id']}"
        then = editor.get(f"{path}?version={event['version']}")
        assert then.status == 200 and then.json["status"] == "published"
        assert then.json["published_at"] == event["timestamp"] and then.json["version"] == event["version"]
        assert editor.get(f"{path}?at={event['timestamp']}").json == then.json == editor.get(path).json
        assert editor.get(f"{path}?version={event['version'] - 1}").json["status"] == "draft"
        revisions = editor.get(f"{path}/revisions").json["items"]
        assert [revision["revision"] for revision in revisions] == [1]
        assert editor.get(f"{path}/revisions/1").json["content"] == then.json["content"]

        named = {"If-Match": f'"v{event["version"]}"'}
        changed = editor.post("/api/commands/update_article", {
            "id": event["data"]["id"], "title": "Changed", "content": "By today's form."}, headers=named)
        assert changed.status == 200 and changed.json["published_at"] == event["timestamp"]
        restored = editor.post(f"{path}/revisions/1/restore", headers={"If-Match": f'"v{changed.json["version"]}"'})
        assert restored.status == 200
        for name in "title", "subtitle", "lead", "content", "tags", "published_at", "status":
            assert restored.json[name] == then.json[name]
        assert editor.get(f"{path}?version={event['version']}").json == then.json
    assert old.ctl("bus", "rebuild").returncode == 0
    assert "clean" in old.ctl("verify").stdout and "0 different" in old.ctl("rebuild", "--check").stdout


def is_ready(port):
    """Before it follows the log it tells every client to come back."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", "/readyz")
        return connection.getresponse().status == 200
    except OSError:
        return False
    finally:
        connection.close()


def test_a_newer_form_is_refused(old):
    """A log that a newer Courant wrote is not half understood."""
    line = json.loads(old.lines()[-1])
    event = {"id": "01a207b0-94ce-70dd-aa3a-a4b760f01e99", "type": "article.published", "stream": "article-x", "version": 1,
             "position": 21, "timestamp": line["timestamp"], "data": {}, "metadata": {"schema": 3}, "audience": "public"}
    parts = [event["id"], event["stream"], "1", event["type"], "public", event["timestamp"], "{}", '{"schema":3}']
    digest = hashlib.sha256("".join(f"{len(part)}:{part}," for part in parts).encode()).digest()
    event["digest"] = digest.hex()
    event["hash"] = hashlib.sha256(bytes.fromhex(line["hash"]) + digest).hexdigest()
    done = old.ctl("import", input=json.dumps(event, separators=(",", ":")) + "\n")
    assert done.returncode == 1 and "line 1" in done.stderr and "schema 3" in done.stderr


# ---- rebuild

KEYS = ("SELECT table_name, index_name, seq_in_index, column_name, non_unique, index_type FROM information_schema.statistics "
        "WHERE table_schema = DATABASE() ORDER BY 1, 2, 3")


def test_rebuild_repairs(old):
    assert "clean" in old.ctl("verify").stdout
    before, keys = old.content(), old.sql(KEYS)
    ids = [row[0] for row in old.sql("SELECT id FROM articles ORDER BY id")]
    old.sql(f"UPDATE articles SET title = 'Harmed' WHERE id = '{ids[0]}'; DELETE FROM articles WHERE id = '{ids[1]}'; "
            "INSERT INTO users SELECT 'zzz', '', 'zzz', 'zzz', '', 1, NOW(6), NOW(6), NULL, NULL, NULL")
    check = old.ctl("rebuild", "--check")
    assert check.returncode == 1 and "nothing was changed" in check.stdout
    for word in f"articles, {ids[0]}: column title", f"articles, {ids[1]}: the row is missing", "users, zzz: the row is not in the log":
        assert f"DIFFERENT {word}" in check.stdout
    assert old.ctl("verify").returncode == 1
    done = old.ctl("rebuild", "articles")
    assert done.returncode == 0 and "2 different" in done.stdout and "users" not in done.stdout
    refused = old.ctl("rebuild")  # a row that the log knows nothing of may be all there is
    assert refused.returncode == 1 and "users: what row zzz holds is not in the log" in refused.stderr
    assert old.ctl("rebuild", "--force").returncode == 0
    assert old.content() == before and "clean" in old.ctl("verify").stdout and old.sql(KEYS) == keys
    assert [row for row in old.sql("SHOW TABLES") if row[0].startswith("zrebuild_")] == []
    assert old.sql("SELECT COUNT(*) FROM rebuilds") == [["0"]]


def rebuild_and_kill(site, after):
    """kill -9 of a rebuild that has folded more than that; the position that it has noted."""
    with Session(site.stack, site.name) as other:
        # Whoever has the row's lock keeps the rebuild from noting the next step.
        other.send("SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED// BEGIN NOT ATOMIC DECLARE p BIGINT DEFAULT 0; "
                   "DECLARE t DATETIME DEFAULT SYSDATE() + INTERVAL 60 SECOND; REPEAT COMMIT; "
                   "START TRANSACTION; SET p = (SELECT position FROM rebuilds WHERE model = 'articles' FOR UPDATE); "
                   f"UNTIL p > {after} OR SYSDATE() > t END REPEAT; SELECT p; END")
        with subprocess.Popen([site.stack.env["COURANT_CTL"], "--config", site.config, "rebuild"]) as process:
            (position,), = other.result()
            process.kill()
            assert process.wait(20) == -signal.SIGKILL
        other.run("ROLLBACK")
    return int(position)


def test_rebuild_is_taken_up_where_it_was_killed(site):
    """kill -9 while it folds, and again: what was folded is not folded again, and the end is the same."""
    generate(site, 10000)
    before = site.content()
    first = rebuild_and_kill(site, 0)
    assert site.content() == before
    second = rebuild_and_kill(site, first)
    assert site.content() == before and 0 < first < second < 10000
    done = site.ctl("rebuild")
    assert done.returncode == 0 and f"taken up at position {second}," in done.stdout, done.stdout + done.stderr
    assert done.stdout.count(" 0 different") == 2
    assert site.content() == before and "clean" in site.ctl("verify").stdout


def test_rebuild_is_not_taken_up_over_a_migration(old, tmp_path):
    """What was begun has the form of the tables from before."""
    folder = shutil.copytree(f"{ROOT}/sql/migrations", tmp_path / "migrations")
    (folder / f"{len(os.listdir(folder)) + 1:03}_longer.sql").write_text(
        "ALTER TABLE articles MODIFY slug VARCHAR(130) CHARACTER SET ascii COLLATE ascii_bin NULL;")
    assert rebuild_and_kill(old, 0) == 20
    assert old.ctl("migrate", "--from", str(folder)).returncode == 0
    done = old.ctl("rebuild")
    assert done.returncode == 0 and "taken up" not in done.stdout, done.stdout + done.stderr
    assert old.sql("SELECT column_type FROM information_schema.columns WHERE table_schema = DATABASE() AND "
                   "table_name = 'articles' AND column_name = 'slug'") == [["varchar(130)"]]


@pytest.mark.parametrize("point", ["rebuild-forgotten", "rebuild-locked", "rebuild-renamed"])
def test_rebuild_is_killed_after_it_was_taken_up(stack, old, point):
    """While the tables change places, by a run that an earlier one has left something to."""
    before = old.content()
    assert rebuild_and_kill(old, 0) == 20
    open(os.path.join(stack.faults, point), "w").close()
    assert old.ctl("rebuild").returncode == -signal.SIGKILL
    assert not os.path.exists(os.path.join(stack.faults, point)) and old.content() == before
    done = old.ctl("rebuild")
    assert done.returncode == 0 and done.stdout.count(" 0 different") == 2, done.stdout + done.stderr
    assert old.content() == before and "clean" in old.ctl("verify").stdout


def generate(site, events):
    program = os.path.join(os.path.dirname(os.environ["COURANT_TEST_WRITERS"]), "bench_generate")
    made = subprocess.run([program, str(events)], check=True, capture_output=True, text=True).stdout
    done = site.ctl("import", input=made)
    assert done.returncode == 0, done.stderr
    assert site.ctl("bus", "rebuild").returncode == 0


def test_rebuild_while_others_write(stack, admin):
    """No command fails, and what they write is in the new tables."""
    ended, failures, positions = threading.Event(), [], []

    def write(number):
        client, made = stack.client(admin.token), None
        while not ended.is_set():
            if made is None:
                made = client.post("/api/articles", {"title": f"Beside {number}", "content": "x"})
            else:
                made = client.post("/api/commands/update_article", {"id": made.json["id"], "title": "Again", "content": "y"},
                                   headers={"If-Match": made.headers["etag"]})
            if made.status not in (200, 201):
                failures.append(made.body)
                made = None
            else:
                positions.append(made.position)
            if len(positions) % 5 == number:
                made = None

    def permit(person):
        """And accounts, whose table sorts after all others."""
        client, granted = stack.client(admin.token), False
        while not ended.is_set():
            granted = not granted
            made = client.call("PUT", person.where + "/permissions", {"permissions": ["audit_read"] if granted else []}, headers={"If-Match": "*"})
            if made.status != 200 or made.json["permissions"] != ["audit_read"] * granted:
                failures.append(made.body)

    threads = [threading.Thread(target=write, args=(number,), daemon=True) for number in range(4)]
    threads += [threading.Thread(target=permit, args=(Person(stack, "per"),), daemon=True) for _ in range(4)]
    for thread in threads:
        thread.start()
    try:
        for _ in range(6):
            count = len(positions)
            done = stack.ctl("rebuild")
            assert done.returncode == 0 and done.stdout.count(" 0 different") == 2, done.stdout + done.stderr
            until(lambda: len(positions) > count + 20, 20, "commands after a rebuild")
            assert stack.ctl("verify").returncode == 0
    finally:
        ended.set()
    for thread in threads:
        thread.join(30)
    assert failures == []
    assert "clean" in stack.verify()


def test_rebuild_waits_for_a_long_transaction_and_commands_do_not(stack, admin):
    """One that reads the tables, such as a dump or a verify."""
    made = admin.article("Read for long")
    with Session(stack) as session:
        session.run("START TRANSACTION WITH CONSISTENT SNAPSHOT; SELECT COUNT(*) FROM articles")
        running = subprocess.Popen([stack.env["COURANT_CTL"], "--config", stack.env["COURANT_CONFIG"], "rebuild", "articles"],
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        waiting = "SELECT COUNT(*) FROM information_schema.processlist WHERE info LIKE 'LOCK TABLES articles%'"
        until(lambda: stack.root(waiting) != [["0"]], 60, "the rebuild that waits")
        slowest, end = 0, time.monotonic() + 7
        while time.monotonic() < end:
            began = time.monotonic()
            assert stack.client().get(made.headers["location"]).status == 200
            slowest = max(slowest, time.monotonic() - began)
        assert running.poll() is None and slowest < 2 * stack.slow, slowest
        assert stack.sql("SELECT COUNT(*) FROM rebuilds WHERE model = 'articles'") == [["1"]], "it could be taken up"
        session.run("COMMIT")
    out, said = running.communicate(timeout=60)
    assert running.returncode == 0 and " 0 different" in out, out + said


def test_rebuild_makes_nothing_of_a_damaged_log(old):
    before = old.content()
    position = old.sql("SELECT position FROM events WHERE type = 'article.created' LIMIT 1")[0][0]
    old.sql(f"UPDATE events SET data = REPLACE(data, '\"title\":\"', '\"title\":\"X') WHERE position = {position}")
    done = old.ctl("rebuild", "articles")
    assert done.returncode == 1 and f"position {position}: the event does not match its digest" in done.stderr, done.stdout + done.stderr
    done = old.ctl("export")
    assert done.returncode == 1 and f"position {position}: the event does not match its digest" in done.stderr
    assert old.content()[1:] == before[1:]


def test_rebuild_names_what_is_missing_and_what_is_too_much(old):
    old.sql("INSERT INTO articles_tags (id, tag, status, author_id) VALUES ('zzz', 'a', 'draft', 'u'), ('', 'a', 'draft', 'u')")
    done = old.ctl("rebuild", "--check")
    assert done.returncode == 1 and "articles, zzz: its rows in articles_tags" in done.stdout and "articles, : its rows" in done.stdout, done.stdout
    old.sql("DELETE FROM articles_tags WHERE id IN ('', 'zzz'); DELETE FROM events WHERE position = 12")
    done = old.ctl("rebuild", "--check")
    assert done.returncode == 1 and "position 12 is missing from the log" in done.stderr, done.stdout + done.stderr


def test_rebuild_what_is_not_there(old):
    done = old.ctl("rebuild", "nothing")
    assert done.returncode == 2 and "there is no read model nothing" in done.stderr


# ---- verify

def test_verify_from_a_position(old):
    for start in 1, 2, 15, 20, 21:
        done = old.ctl("verify", "--from", str(start))
        assert done.returncode == 0 and f"positions {start} to 20" in done.stdout, done.stdout + done.stderr
    assert old.ctl("verify", "--from", "22").returncode != 0
    assert old.ctl("verify", "--from", "0").returncode == 2
    old.sql("UPDATE events SET data = REPLACE(data, 'First', 'first') WHERE type = 'article.created' ORDER BY position LIMIT 1")
    broken = old.ctl("verify")
    assert broken.returncode == 1
    position = int(broken.stdout.split("position ")[1].split(":")[0])
    assert old.ctl("verify", "--from", str(position + 3)).returncode == 0
    assert old.ctl("verify", "--from", str(position)).returncode == 1


def test_verify_from_a_position_finds_rows_ahead_of_the_log(old):
    """Also those of streams that end before it: such a row is of no event at all."""
    assert "clean" in old.ctl("verify", "--from", "15").stdout
    old.sql("UPDATE articles SET version = version + 5 ORDER BY id LIMIT 1")
    for start in "1", "15", "21":
        done = old.ctl("verify", "--from", start)
        assert done.returncode == 1 and "which is not in the log" in done.stdout, done.stdout + done.stderr


def test_verify_looks_before_the_first_position_and_at_all_columns(old):
    assert "clean" in old.ctl("verify").stdout
    old.sql("ALTER TABLE articles_tags ADD COLUMN more INT NULL")
    done = old.ctl("verify")
    assert done.returncode == 1 and "articles_tags has columns that no event makes" in done.stdout, done.stdout
    old.sql("ALTER TABLE articles_tags DROP COLUMN more")
    old.sql("INSERT INTO events (position, id, stream, version, type, audience, data, metadata, recorded_at, digest, hash) SELECT 0, "
            "'01a207b0-966d-703d-9027-aaeef33e4c7f', stream, version + 50, type, audience, data, metadata, recorded_at, digest, hash "
            "FROM events WHERE position = 20")
    done = old.ctl("verify")
    assert done.returncode == 1 and "position 0 is in the log" in done.stdout, done.stdout
    old.sql("DELETE FROM events WHERE position = 0; UPDATE log_head SET position = 9223372036854775807")
    done = old.ctl("verify")
    assert done.returncode == 1, done.stdout + done.stderr


def test_two_rebuilds_of_one_database(old, stack):
    """The second is refused; one of another database is not."""
    with Session(stack, old.name) as other:
        assert other.run("SELECT GET_LOCK(CONCAT(DATABASE(), '.rebuild'), 0)") == [["1"]]
        done = old.ctl("rebuild", "--check")
        assert done.returncode == 2 and "another rebuild is at work" in done.stderr
        assert stack.ctl("rebuild", "--check").returncode == 0
    assert old.ctl("rebuild", "--check").returncode == 0


def append(site, *args, **more):
    """An event that no program of this version has written: digest, hash and head are right. Its position."""
    log = site.log()
    event = log.add(*args, **more)
    whole = json.loads(log.lines[0])
    data, metadata = (json.dumps(whole[name], separators=(",", ":")) for name in ("data", "metadata"))
    site.sql(f"""INSERT INTO events (position, id, stream, version, type, audience, data, metadata, recorded_at, digest, hash)
             VALUES ({log.position}, '{event["id"]}', '{event["stream"]}', {event["version"]}, '{event["type"]}',
             '{whole["audience"]}', '{data}', '{metadata}', '{event["timestamp"][:-1].replace("T", " ")}',
             UNHEX('{whole["digest"]}'), UNHEX('{log.hash}'));
             UPDATE log_head SET position = {log.position}, hash = UNHEX('{log.hash}')""")
    return log.position


@pytest.mark.parametrize("event, word", [
    (("article-x", "article.praised", {}), "there is no projection for article.praised"),
    (("poll-1", "poll.opened", {}), "there is no read model for poll-1"),
    (("article-x", "article.created", {}, 9), "schema 9"),
    (("article-x", "article.created", {"id": "x"}, 2), "lacks a member"),
])
def test_verify_finds_what_it_cannot_fold(old, event, word):
    position = append(old, *event)
    append(old, "canary-1", "canary.sent", {}, audience="public")
    done = old.ctl("verify")
    assert done.returncode == 1 and f"position {position}" in done.stdout and word in done.stdout, done.stdout + done.stderr


def test_verify_counts_versions_where_there_are_no_rows(old):
    for number in 1, 2, 3:
        append(old, "canary-1", "canary.sent", {}, audience="public", version=number)
    append(old, "canary-2", "canary.sent", {}, audience="public")
    assert "clean" in old.ctl("verify").stdout
    position = append(old, "canary-1", "canary.sent", {}, audience="public", version=5)
    append(old, "canary-3", "canary.sent", {}, audience="public")
    for start in 1, position:
        done = old.ctl("verify", "--from", str(start))
        assert done.returncode == 1 and f"position {position}: version 5 of canary-1" in done.stdout, done.stdout


def test_verify_of_a_bus_that_a_limit_has_shortened(old):
    """What is left of it is compared."""
    nats = Nats(old.stack.env["COURANT_NATS_URL"])
    config = nats.ask(f"$JS.API.STREAM.INFO.{old.name}")["config"]
    done = nats.ask(f"$JS.API.STREAM.UPDATE.{old.name}", json.dumps({**config, "max_msgs": 5}).encode())
    nats.close()
    assert done["state"]["first_seq"] == 16
    for start in "1", "18":
        assert "clean" in old.ctl("verify", "--from", start).stdout
    old.sql("DELETE FROM events WHERE position = 20; UPDATE log_head SET position = 19, "
            "hash = (SELECT hash FROM events WHERE position = 19)")
    append(old, "canary-1", "canary.sent", {}, audience="public")
    done = old.ctl("verify", "--from", "20")
    assert done.returncode == 1 and "position 20: the bus holds something else there" in done.stdout, done.stdout


# ---- events

def test_events_says_that_a_position_is_missing(old):
    old.sql("DELETE FROM events WHERE position = 10")
    for more in [], ["--follow"]:
        done = old.ctl("events", *more)
        assert done.returncode == 1 and "position 10 is missing from the log" in done.stderr
        assert [json.loads(line)["position"] for line in done.stdout.splitlines()] == list(range(1, 10))
    assert old.ctl("events", "--after", "10").stdout.count("\n") == 10
    assert old.ctl("events", "--after", "20").returncode == old.ctl("events", "--after", "21").returncode == 0


def test_events_awaits_what_is_not_visible_yet(old):
    """A row that a reader does not see though the head says that it is there."""
    expected = old.ctl("events").stdout
    old.sql("CREATE TABLE hidden AS SELECT position, id, stream, version, type, audience, data, metadata, recorded_at, digest, "
            "hash FROM events WHERE position = 10; DELETE FROM events WHERE position = 10")
    with subprocess.Popen([old.stack.env["COURANT_CTL"], "--config", old.config, "events"], stdout=subprocess.PIPE,
                          text=True) as process:
        said = [process.stdout.readline() for _ in range(9)]
        old.sql("INSERT INTO events (position, id, stream, version, type, audience, data, metadata, recorded_at, digest, hash) "
                "SELECT * FROM hidden")
        said += process.stdout.readlines()
        assert process.wait(20) == 0
    assert "".join(said) == expected


def test_verify_could_not_look(old):
    with open(old.config, "a") as file:
        file.write("[nats]\nurl = nats://127.0.0.1:1\n")
    done = old.ctl("verify")
    assert done.returncode == 2 and "cannot be reached" in done.stderr and "clean" not in done.stdout
    # What can be looked at is: a difference there comes first.
    assert "positions 1 to 20" in done.stdout and "model    articles" in done.stdout
    old.sql("UPDATE articles SET title = 'Forged' LIMIT 1")
    done = old.ctl("verify")
    assert done.returncode == 1 and "DIFFERENT read model articles" in done.stdout


# ---- the bus

def test_bus_status_and_rebuild(site):
    lines = open(FIXTURE).readlines()
    assert site.ctl("import", input="".join(lines[:12])).returncode == 0
    for args, word in [(["verify"], "DIFFERENT the bus has no stream"), (["bus", "status"], "there is no stream")]:
        done = site.ctl(*args)  # and no stream is made by either
        assert done.returncode == 1 and word in done.stdout
    assert site.ctl("bus", "rebuild").returncode == 0
    assert site.ctl("import", input="".join(lines[12:])).returncode == 0
    done = site.ctl("bus", "status")
    assert done.returncode == 1 and "behind by 8" in done.stdout
    assert site.ctl("bus", "rebuild").returncode == 0
    done = site.ctl("bus", "status")
    assert done.returncode == 0 and "in step" in done.stdout and "sequences 1 to 20" in done.stdout
    assert "20 messages" in site.ctl("verify").stdout


def test_a_bus_ahead_of_the_log(old):
    """The database restored from an old copy: the bus is not touched until an operator says so."""
    assert old.ctl("bus", "rebuild").returncode == 0
    old.root(f"DROP DATABASE {old.name}; CREATE DATABASE {old.name} CHARACTER SET utf8mb4")
    assert old.ctl("migrate").returncode == 0
    assert old.ctl("import", input="".join(open(FIXTURE).readlines()[:12])).returncode == 0
    for _ in range(2):
        for args in ["bus", "status"], ["bus", "rebuild"], ["verify"]:
            done = old.ctl(*args)
            assert done.returncode == 1 and "ahead of the log" in done.stdout + done.stderr, done
    done = old.ctl("bus", "rebuild", "--force")
    assert done.returncode == 0 and "sequence 20" in done.stdout
    assert "in step" in old.ctl("bus", "status").stdout and "clean" in old.ctl("verify").stdout
