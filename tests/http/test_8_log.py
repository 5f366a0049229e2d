"""The log as a whole: out and in, rebuilt, and in its older form. On databases of their own."""

import hashlib
import http.client
import json
import os
import random
import signal
import socket
import subprocess
import threading

import pytest

from courant import Stream, until

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

    def lines(self):
        done = self.ctl("export")
        assert done.returncode == 0, done.stderr
        return done.stdout.splitlines(keepends=True)

    def content(self):
        """Everything that an import could change."""
        tables = ("events", "log_head", "articles", "users")
        return [self.root(f"SELECT * FROM {self.name}.{table} ORDER BY 1") for table in tables]


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
    assert not os.path.exists(path + ".part")
    # What is sealed is readable where the keys are, which are not in the log.
    site.root("INSERT INTO courant_site.seal_keys SELECT * FROM courant.seal_keys")
    done = site.ctl("import", path)
    assert done.returncode == 0, done.stderr
    assert "".join(site.lines()) == open(path).read()
    for table in "events", "articles", "users":
        assert site.root(f"SELECT * FROM courant_site.{table} ORDER BY 1") == site.root(f"SELECT * FROM courant.{table} ORDER BY 1")
    assert "clean" in site.ctl("verify").stdout


def test_an_import_goes_on_where_the_log_ends(site):
    lines = open(FIXTURE).readlines()
    for part in lines[:7], lines[7:8], lines[8:]:
        done = site.ctl("import", input="".join(part))
        assert done.returncode == 0, done.stderr
    assert site.lines() == lines and "clean" in site.ctl("verify").stdout


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


def test_files_that_cannot_be_used(old, tmp_path):
    assert old.ctl("import", str(tmp_path / "none")).returncode == 2
    assert old.ctl("export", str(tmp_path / "none" / "log")).returncode == 2
    assert old.ctl("export", "/dev/full").returncode != 0 or not os.path.exists("/dev/full.part")


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


def test_streams_show_todays_form(old):
    """From the log (a stream that begins in the past) and from the tail."""
    port, status = free_port(), free_port()
    with open(old.config, "a") as file:
        file.write(f"[notifier]\nlisten = 127.0.0.1:{port}\nstatus_listen = 127.0.0.1:{status}\n")
    # The last two events come while the notifier runs: by the bus or by the log, but through the tail.
    published = [json.loads(line) for line in old.lines() if '"type":"article.published"' in line]
    program = os.path.join(old.stack.env["COURANT_DEV_PREFIX"], "sbin", "courant-notifier")
    with subprocess.Popen([program, "--config", old.config]) as notifier:
        try:
            site = type("Address", (), {"host": "127.0.0.1", "port": port})
            until(lambda: is_ready(status), 30, "the notifier")
            stream = Stream(site, "/events?after=0")
            stream.wait_for(published[-1]["position"])
            seen = [frame[2] for frame in stream.events if frame[1] == "article.published"]
            stream.close()
        finally:
            notifier.send_signal(signal.SIGTERM)
    assert [event["position"] for event in seen] == [event["position"] for event in published]
    for event in seen:
        assert event["data"]["published_at"] == event["timestamp"]


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

def test_rebuild_repairs(old):
    assert "clean" in old.ctl("verify").stdout
    before = old.content()
    ids = [row[0] for row in old.sql("SELECT id FROM articles ORDER BY id")]
    old.sql(f"UPDATE articles SET title = 'Harmed' WHERE id = '{ids[0]}'; DELETE FROM articles WHERE id = '{ids[1]}'; "
            "INSERT INTO users SELECT 'zzz', '', 'zzz', 'zzz', '', 1, NOW(6), NOW(6), NULL, NULL")
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
    assert old.content() == before and "clean" in old.ctl("verify").stdout
    assert [row for row in old.sql("SHOW TABLES") if row[0].startswith("rebuild_")] == []
    assert old.sql("SELECT COUNT(*) FROM rebuilds") == [["0"]]


def test_rebuild_is_taken_up_where_it_was_killed(stack, site):
    """kill -9 at random moments, over and over: what was folded is not folded again, and the end is the same."""
    generate(site, 20000)
    before = site.content()
    dice, command = random.Random(7), [stack.env["COURANT_CTL"], "--config", site.config, "rebuild"]
    taken_up, runs = 0, 0
    while taken_up < 2 or runs < 10:
        runs += 1
        assert runs < 60, "no run was killed while it folded"
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            try:
                process.wait(dice.uniform(0.02, 0.5) * stack.slow)
            except subprocess.TimeoutExpired:
                process.kill()
            taken_up += "taken up at position" in process.stdout.read()
        assert site.content() == before
    done = site.ctl("rebuild")
    assert done.returncode == 0 and "0 different" in done.stdout
    assert site.content() == before and "clean" in site.ctl("verify").stdout
    print(f"{runs} runs, taken up {taken_up} times")


def generate(site, events):
    program = os.path.join(os.path.dirname(os.environ["COURANT_TEST_WRITERS"]), "bench_generate")
    made = subprocess.run([program, str(events)], check=True, capture_output=True, text=True).stdout
    done = site.ctl("import", input=made)
    assert done.returncode == 0, done.stderr


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

    threads = [threading.Thread(target=write, args=(number,), daemon=True) for number in range(4)]
    for thread in threads:
        thread.start()
    try:
        for _ in range(3):
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


def test_verify_could_not_look(old):
    with open(old.config, "a") as file:
        file.write("[nats]\nurl = nats://127.0.0.1:1\n")
    done = old.ctl("verify")
    assert done.returncode == 2 and "bus" in done.stderr


# ---- the bus

def test_bus_status_and_rebuild(old):
    done = old.ctl("bus", "status")
    assert done.returncode == 1 and "there is no stream" in done.stdout  # nor does verify make one
    assert old.ctl("bus", "rebuild").returncode == 0
    done = old.ctl("bus", "status")
    assert done.returncode == 0 and "in step" in done.stdout and "sequences 1 to 20" in done.stdout
    assert "20 messages" in old.ctl("verify").stdout


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
    assert done.returncode == 0 and "bus is at 12" in done.stdout
    assert "in step" in old.ctl("bus", "status").stdout and "clean" in old.ctl("verify").stdout
