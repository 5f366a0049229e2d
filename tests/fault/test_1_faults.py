"""What breaks, and how it heals."""

import json
import os
import re
import signal
import socket
import threading
import time
import urllib.request

import pytest

import fastcgi
from courant import Nats, Session, Stream, until


@pytest.fixture(autouse=True)
def clean_afterwards(stack):
    yield
    until(lambda: stack.client().get("/readyz").status == 200, what="the stack")
    until(lambda: stack.bus_last == stack.head, 30, "the bus")
    assert "clean" in stack.verify()


class Fault:
    """A crash that waits for the next worker that comes by this point."""

    def __init__(self, stack, name):
        self.stack, self.workers = stack, set(stack.workers())
        self.path = os.path.join(stack.faults, name)
        open(self.path, "w").close()

    def strikes(self):
        """Until a worker has died of it and another one is in its place."""
        until(lambda: not os.path.exists(self.path), what="the crash")
        until(lambda: len(now := set(self.stack.workers())) == len(self.workers) and now != self.workers,
              what="another worker")


def test_killed_between_commit_and_publish_then_a_command(stack, admin):
    """The next command publishes first what the dead worker left."""
    stack.dev("stop", "notifier")  # so that no tail heals it before
    fault = Fault(stack, "before-publish")
    lost = admin.article("Left behind")
    fault.strikes()
    assert stack.bus(lost.position) is None
    healed = admin.article("The next")
    until(lambda: stack.bus_last >= healed.position, 5, "the bus")
    for position in range(lost.position - 2, healed.position + 1):
        assert stack.bus(position)["position"] == position
    stack.dev("start", "notifier")


@pytest.mark.parametrize("point", ["before-publish", "mid-publish", "after-commit"])
def test_killed_around_publishing_then_quiet(stack, admin, point):
    """One second of quiet puts the missing events on the bus and on the streams, in order."""
    start = stack.head
    stream = Stream(stack, f"/events?topic=all&after={start}", admin.token)
    until(lambda: stack.bus_last == start, what="the bus")
    fault = Fault(stack, point)
    answer = stack.client(admin.token).post("/api/articles", {"title": "Then silence", "content": "x"})
    # Killed before it could answer, the command is in the log all the same; its client cannot know.
    assert answer.status == (503 if point == "after-commit" else 201)
    fault.strikes()
    end = start + 2
    until(lambda: stack.head == end, what="the commit")
    stream.wait_for(end, 5)
    until(lambda: stack.bus_last == end, 5, "the bus")
    stream.close()
    assert stream.ids == [start + 1, start + 2]


def test_killed_in_the_midst_of_a_batch(stack, admin):
    """One of three events is on the bus, and nobody is there to go on: the others come behind it, once each."""
    stack.dev("stop", "notifier")
    # The pool knows where the bus is; what the notifier has published of late it did not.
    start, pool = admin.article("Before").position, stack.pid("fcgi")
    until(lambda: stack.bus_last == start, 30, "the bus")
    fault = Fault(stack, "mid-publish")
    os.kill(pool, signal.SIGSTOP)  # so that the one who publishes has no successor
    try:
        end = admin.article("Three events").position
        assert end == start + 3
        until(lambda: not os.path.exists(fault.path), what="the crash")
        until(lambda: stack.bus_last > start, what="the first message")
        assert stack.bus_last == start + 1
    finally:
        os.kill(pool, signal.SIGCONT)
    fault.strikes()
    until(lambda: stack.bus_last == end, 20, "the rest")
    types = [stack.bus(position)["type"] for position in range(start + 1, end + 1)]
    assert types == ["article.created", "article.revision_created", "article.published"]
    stack.dev("start", "notifier")


def waiting(stack):
    """The transactions that wait for a lock, by their connections. The server does not look anew within a tenth of a second."""
    return dict(stack.root("DO SLEEP(0.15); SELECT trx_mysql_thread_id, trx_id FROM information_schema.innodb_trx WHERE trx_state = 'LOCK WAIT'"))


@pytest.mark.parametrize("point, inserted", [("position-taken", 0), ("event-inserted", 1)])
def test_killed_in_the_midst_of_the_append(stack, admin, point, inserted):
    """The worker is dead and its connection too: the log and its head are as before, and the next one gets the position."""
    def head():
        return stack.sql("SELECT position, HEX(hash) FROM log_head")

    before, start = head(), stack.head
    fault = Fault(stack, point)
    with Session(stack) as other:
        # What it is to insert next is taken, so it comes no further.
        other.run("START TRANSACTION// INSERT INTO events (position, id, stream, version, type, audience, data, metadata, "
                  f"recorded_at, digest, hash) SELECT {start + 1 + inserted}, REVERSE(id), 'held', 1, type, audience, data, "
                  f"metadata, recorded_at, digest, hash FROM events WHERE position = {start}")
        answer = stack.client(admin.token).post("/api/articles", {"title": f"Cut off {point}", "content": "x"})
        assert answer.status == 503
        victim, = until(lambda: waiting(stack), what="the append to wait")
        assert head() == before
        stack.root(f"KILL {victim}")
        until(lambda: not waiting(stack), what="its end")
        other.run("ROLLBACK")
    fault.strikes()
    assert head() == before
    assert stack.sql(f"SELECT COUNT(*) FROM events WHERE position > {start}") == [["0"]]
    assert stack.sql(f"SELECT COUNT(*) FROM articles WHERE title = 'Cut off {point}'") == [["0"]]
    assert admin.article("The next", publish=False).position == start + 2


@pytest.mark.parametrize("point", ["position-taken", "event-inserted"])
def test_killed_while_the_server_appends(stack, admin, point):
    """The worker is dead, its connection is not: the server goes on. Whoever asks again gets what it has done, once."""
    start = stack.head

    def post():
        return stack.client(admin.token).post("/api/articles", {"title": "Gone on", "content": "x"},
                                              headers={"Idempotency-Key": f"{point}-{start}"})

    fault = Fault(stack, point)
    first = post()
    fault.strikes()
    assert first.status == 503
    assert {(answer.status, answer.position) for answer in (post(), post(), post())} == {(201, start + 2)}
    assert stack.head == start + 2


def post_in_thread(client, path, payload, **headers):
    answers = []
    thread = threading.Thread(target=lambda: answers.append(client.post(path, payload, headers=headers)), daemon=True)
    thread.start()

    def answer():
        thread.join(60)
        return answers[0]

    return answer


def test_a_lock_that_others_hold_for_long(stack, admin):
    """1205, a lock that is waited for in vain: the command is tried again until it is done, once."""
    start = stack.head
    with Session(stack) as other:
        other.run("START TRANSACTION// SELECT position FROM log_head FOR UPDATE")
        answer = post_in_thread(admin, "/api/articles", {"title": f"Patient {start}", "content": "x"})
        (_, first), = until(lambda: waiting(stack).items(), what="the command to wait")
        # Longer than a session waits: then it waits in another transaction.
        until(lambda: waiting(stack) and first not in waiting(stack).values(), 30, "another try")
        assert stack.head == start
        other.run("ROLLBACK")
    assert answer().status == 201 and answer().position == start + 2
    assert stack.sql(f"SELECT COUNT(*) FROM articles WHERE title = 'Patient {start}'") == [["1"]]


def test_a_deadlock(stack, admin):
    """1213: of two that wait for each other the command is the one that is rolled back; it is done when it can be."""
    def deadlocks():
        return int(stack.root("SHOW GLOBAL STATUS LIKE 'Innodb_deadlocks'")[0][1])

    article = admin.article("Contended").json
    start, before = stack.head, deadlocks()
    with Session(stack) as other:
        # Who has changed more rows is not the one that is chosen.
        other.run("START TRANSACTION// INSERT INTO rebuilds SELECT CONCAT('weight ', seq), 0, '' FROM seq_1_to_5000// "
                  "SELECT position FROM log_head FOR UPDATE")
        answer = post_in_thread(admin, "/api/commands/update_article", {"id": article["id"], "title": "Done", "content": "x"},
                                **{"If-Match": f'"v{article["version"]}"'})
        until(lambda: waiting(stack), what="the command to wait with the article locked")
        assert other.run(f"SELECT id FROM articles WHERE id = '{article['id']}' FOR UPDATE") == [[article["id"]]]
        assert deadlocks() == before + 1 and stack.head == start
        other.run("ROLLBACK")
    assert answer().status == 200 and answer().json["title"] == "Done"
    assert answer().position == stack.head == start + 2


def test_a_refusal_after_a_lost_commit(stack, admin):
    """The connection is lost in the commit, and another command is there before the next try: that is refused, as it is."""
    article = admin.article("Wanted by two").json
    with Session(stack) as other:
        other.run("START TRANSACTION// SELECT position FROM log_head FOR UPDATE")

        def write(title):
            return post_in_thread(stack.client(admin.token), "/api/commands/update_article",
                                  {"id": article["id"], "title": title, "content": "x"}, **{"If-Match": f'"v{article["version"]}"'})

        first = write("First")
        victim, = until(lambda: waiting(stack), what="the first to wait for the log")
        second = write("Second")
        until(lambda: len(waiting(stack)) == 2, what="the second to wait for the article")
        stack.root(f"KILL {victim}")
        until(lambda: victim not in waiting(stack) and len(waiting(stack)) == 2, what="the first to try again")
        other.run("ROLLBACK")
    assert second().status == 200
    assert first().status == 412 and first().headers["etag"] == f'"v{article["version"] + 2}"', first().body
    assert admin.get(f"/api/articles/{article['id']}").json["title"] == "Second"


def test_killed_before_commit_leaves_no_trace(stack, admin):
    start = stack.head
    fault = Fault(stack, "before-commit")
    assert stack.client(admin.token).post("/api/articles", {"title": "Never", "content": "x"}).status == 503
    fault.strikes()
    assert stack.head == start
    assert stack.sql("SELECT COUNT(*) FROM articles WHERE title = 'Never'") == [["0"]]


@pytest.mark.parametrize("point", ["before-commit", "after-commit", "before-publish", "mid-publish"])
def test_retried_until_answered_is_once(stack, admin, point):
    """With an Idempotency-Key a client may ask again after any crash: the command happens once."""
    start = stack.head

    def post():
        return stack.client(admin.token).post("/api/articles", {"title": "Once", "content": "x"},
                                              headers={"Idempotency-Key": f"{point}-{start}"})

    fault = Fault(stack, point)
    first = post()
    fault.strikes()
    answers = [post() for _ in range(5)]
    assert first.status == (503 if point.endswith("commit") else 201)
    assert [answer.status for answer in answers] == [201] * 5
    assert len({answer.body for answer in answers}) == 1
    assert first.status == 503 or first.body == answers[0].body
    assert stack.head == start + 2


def lines(stack, name):
    return open(os.path.join(stack.dir, "log", f"{name}.log")).read().splitlines()


def notifier_ready(stack):
    try:
        with urllib.request.urlopen(stack.env["COURANT_STATUS_URL"] + "/readyz", timeout=20) as answer:
            return answer.status == 200
    except OSError:
        return False


def timed(client, count):
    times = []
    for number in range(count):
        before = time.monotonic()
        client.article(f"Timed {number}", publish=False)
        times.append(time.monotonic() - before)
    return sorted(times)[count // 2], max(times)


def test_nats_stopped_and_started(stack, admin):
    """Commands answer in the same time, streams deliver; started again, the bus catches up by itself."""
    timed(admin, 30)
    with_bus, _ = timed(admin, 60)
    start = stack.head
    stream = Stream(stack, f"/events?topic=all&after={start}", admin.token)
    said = {name: len(lines(stack, name)) for name in ("fcgi", "notifier")}
    stack.dev("stop", "nats")
    without, worst = timed(admin, 60)
    print(f"median with the bus {with_bus * 1000:.1f} ms, without {without * 1000:.1f} ms, worst {worst * 1000:.1f} ms")
    assert without < with_bus * 1.5 + 0.002 and worst < 0.5 * stack.slow
    sent = time.monotonic()
    last = admin.article("While the bus is down").position
    stream.wait_for(last, 5)
    assert time.monotonic() - sent < 1 * stack.slow
    for name, count in said.items():
        until(lambda: any("NATS cannot be reached" in line for line in lines(stack, name)[count:]), what="the warning")
    stack.dev("start", "nats")
    until(lambda: stack.bus_last == last, 20, "the bus to catch up by itself")
    for name, count in said.items():
        until(lambda: any("NATS is there again" in line for line in lines(stack, name)[count:]), what="the good news")
        assert sum("cannot be reached" in line for line in lines(stack, name)[count:]) == 1
    more = admin.article("With the bus again").position
    stream.wait_for(more)
    stream.close()
    assert stream.ids == list(range(start + 1, more + 1))


def test_the_bus_comes_back_to_a_busy_log(stack, admin):
    """The notifier goes back to the bus while writing never pauses, and stops asking the database."""
    start, ended, positions = stack.head, threading.Event(), []
    stream = Stream(stack, f"/events?topic=all&after={start}", admin.token)

    def write():
        client = stack.client(admin.token)
        while not ended.is_set():
            positions.append(client.article("Busy", publish=False).position)

    def fences():
        return int(stack.sql("SELECT count FROM log_fence")[0][0])

    def live():
        """A hundred events without one commit of the notifier's own."""
        before, count = fences(), len(positions)
        until(lambda: len(positions) >= count + 50, 20, "more events")
        return fences() == before

    thread = threading.Thread(target=write)
    thread.start()
    try:
        stack.dev("stop", "nats")
        before = fences()
        until(lambda: fences() > before, what="the notifier to read the log")
        stack.dev("start", "nats")
        until(live, 30, "the notifier to follow the bus")
    finally:
        ended.set()
        thread.join()
    stream.wait_for(positions[-1])
    stream.close()
    assert stream.ids == list(range(start + 1, positions[-1] + 1))


def test_nats_hangs(stack, admin):
    """A bus that does not answer costs a pool one wait a second, and no event."""
    start = stack.head
    stream = Stream(stack, f"/events?topic=all&after={start}", admin.token)
    stack.signal("nats", signal.SIGSTOP)
    try:
        began = time.monotonic()
        positions = [admin.article(f"Hanging {n}").position for n in range(200)]
        spent = time.monotonic() - began
        stream.wait_for(positions[-1], 20)
    finally:
        stack.signal("nats", signal.SIGCONT)
    stream.close()
    assert stream.ids == list(range(start + 1, positions[-1] + 1))
    print(f"200 commands took {spent:.2f} s while the bus hung")
    assert spent < 3 * stack.slow


def test_a_bus_that_takes_nothing(stack, admin):
    """Full, say: commands and streams go on, the notifier stays ready; who fills it by hand is told."""
    start = stack.head
    until(lambda: stack.bus_last == start, 20, "the bus")
    name = stack.env["COURANT_NATS_STREAM"]

    def limit(most):
        nats = Nats(stack.env["COURANT_NATS_URL"])
        config = nats.ask(f"$JS.API.STREAM.INFO.{name}")["config"]
        config.update(discard="new" if most > 0 else "old", max_msgs=most)
        answer = nats.ask(f"$JS.API.STREAM.UPDATE.{name}", json.dumps(config).encode())
        nats.close()
        assert "error" not in answer, answer

    limit(start)
    try:
        stream = Stream(stack, f"/events?topic=all&after={start}", admin.token)
        positions = [admin.article(f"Refused by the bus {n}").position for n in range(20)]
        stream.wait_for(positions[-1], 10)
        stream.close()
        stack.dev("stop", "notifier")
        stack.dev("start", "notifier")
        until(lambda: notifier_ready(stack), 10, "the notifier to be ready")
        assert stack.bus_last == start
        for args in ["bus", "rebuild"], ["bus", "status"]:
            done = stack.ctl(*args)
            assert done.returncode != 0, done.stdout
        assert f"takes nothing after {start}" in stack.ctl("bus", "rebuild").stderr
    finally:
        limit(-1)
    until(lambda: stack.bus_last == stack.head, 20, "the bus to catch up by itself")
    assert stream.ids == list(range(start + 1, positions[-1] + 1))


def test_a_stream_of_another_subject(stack, admin):
    """Its name is ours; what we publish goes nowhere. That is said, and nobody turns."""
    start, name = stack.head, stack.env["COURANT_NATS_STREAM"]
    until(lambda: stack.bus_last == start, 20, "the bus")

    def take(subjects):
        nats = Nats(stack.env["COURANT_NATS_URL"])
        config = nats.ask(f"$JS.API.STREAM.INFO.{name}")["config"]
        before, config["subjects"] = config["subjects"], subjects
        answer = nats.ask(f"$JS.API.STREAM.UPDATE.{name}", json.dumps(config).encode())
        nats.close()
        assert "error" not in answer, answer
        return before

    before = take(["elsewhere.>"])
    try:
        last = admin.article("To nowhere").position
        done = stack.ctl("bus", "rebuild")
        assert done.returncode == 2 and "nats.subject" in done.stderr, done.stdout + done.stderr
        until(lambda: any("nats.subject" in line for line in lines(stack, "fcgi")[-50:]), 20, "the warning")
    finally:
        take(before)
    until(lambda: stack.bus_last >= last, 20, "the bus to catch up by itself")


def test_a_database_hangs_under_the_notifier(stack, admin):
    """Whoever would have to wait for it is told to come back; what needs no database goes on; an end is not held up."""
    made = admin.article("Before it hangs")
    until(lambda: stack.bus_last >= made.position, what="the bus")
    stack.dev("stop", "notifier")
    stack.dev("start", "notifier")  # nothing is in its memory
    stack.signal("mariadb", signal.SIGSTOP)
    try:
        began = time.monotonic()
        asking = []
        for headers in (f"Authorization: Bearer {admin.token}", f"Last-Event-ID: {made.position + 1000}"):
            for _ in range(3):
                one = socket.create_connection(stack.notifier, timeout=30)
                one.sendall(f"GET /events HTTP/1.1\r\nHost: x\r\n{headers}\r\n\r\n".encode())
                asking.append(one)
        old = Stream(stack, f"/events?after={made.position - 3}")
        old.wait_for(made.position, 5 * stack.slow)  # by the bus, past those who wait
        for one in asking:
            answer = b""
            while chunk := one.recv(4096):
                answer += chunk
            assert answer.startswith(b"HTTP/1.1 200 OK") and re.search(rb"\r\n\r\nretry: \d+\n\n$", answer), answer
            one.close()
        assert time.monotonic() - began < 9
        began = time.monotonic()
        stack.dev("stop", "notifier")
        assert time.monotonic() - began < 9
        assert old.ended.wait(5)
        old.close()
    finally:
        stack.signal("mariadb", signal.SIGCONT)
        stack.dev("up")


def test_a_database_that_takes_no_changes(stack, admin):
    """Such as a primary that has become a replica: nothing was changed, the same again may do, and by another connection."""
    made, key = admin.article("Before"), {"Idempotency-Key": f"read-only-{stack.head}"}
    connections = "SELECT id FROM information_schema.processlist WHERE user = 'courant' ORDER BY id"
    before = stack.root(connections)
    stack.root("SET GLOBAL read_only = 1")
    try:
        for _ in range(8):
            problem = admin.post("/api/articles", {"title": "Not now", "content": "x"}, headers=key).problem(503)
            assert "nothing was changed" in problem["detail"]
        assert stack.client().get(made.headers["location"]).status == 200
    finally:
        stack.root("SET GLOBAL read_only = 0")
    done = admin.post("/api/articles", {"title": "Not now", "content": "x"}, headers=key)
    assert done.status == 201 and stack.root(connections) != before
    assert "clean" in stack.verify()


def test_a_worker_is_stopped(stack, admin):
    """Whatever it held, the others publish without it; only who waits for an answer of its own waits."""
    start = stack.head
    stream = Stream(stack, f"/events?topic=all&after={start}", admin.token)
    ended, positions = threading.Event(), []

    def write():
        client = stack.client(admin.token)
        while not ended.is_set():
            try:
                positions.append(client.article("Stopping", publish=False).position)
            except OSError:
                pass

    threads = [threading.Thread(target=write, daemon=True) for _ in range(8)]
    for thread in threads:
        thread.start()
    stopped = stack.workers()[::6]
    try:
        until(lambda: len(positions) > 50, what="some writes")
        for pid in stopped:
            os.kill(pid, signal.SIGSTOP)
        count = len(positions)
        until(lambda: len(positions) > count + 50, 20, "writes beside the stopped workers")
        stream.wait_for(positions[-1], 10)
    finally:
        for pid in stopped:
            os.kill(pid, signal.SIGCONT)
        ended.set()
    for thread in threads:
        thread.join(60)
    end = stack.head
    stream.wait_for(end, 10)
    stream.close()
    assert stream.ids == list(range(start + 1, end + 1))


def test_stream_of_the_bus_is_lost(stack, admin):
    """JetStream's files are gone: the bus is filled from the log, from 1 on."""
    start = stack.head
    stream = Stream(stack, f"/events?topic=all&after={start}", admin.token)
    stack.dev("stop", "nats")
    import shutil
    shutil.rmtree(f"{stack.dir}/nats")
    stack.dev("start", "nats")
    last = admin.article("After the loss").position
    stream.wait_for(last)
    until(lambda: stack.bus_last == last, 60, "the bus to be filled")
    stream.close()
    assert stream.ids == list(range(start + 1, last + 1))


def test_killed_workers_are_replaced(stack, admin):
    before = set(stack.workers())
    for pid in before:
        os.kill(pid, signal.SIGKILL)
    until(lambda: len(stack.workers()) == len(before) and not before & set(stack.workers()), 15, "new workers")
    until(lambda: stack.client().get("/livez").status == 200, what="an answer")


def test_reload_replaces_workers_one_by_one(stack, admin):
    """SIGHUP: all workers are new, and nobody is refused meanwhile: what changes something the web server does not send again."""
    failures, ended = [], threading.Event()

    def write():
        client = stack.client(admin.token)
        while not ended.is_set():
            for status in client.get("/api/articles?limit=1").status, client.post("/api/articles", {"title": "Meanwhile", "content": "x"}).status:
                if status not in (200, 201):
                    failures.append(status)

    threads = [threading.Thread(target=write) for _ in range(6)]
    for thread in threads:
        thread.start()
    try:
        before = set(stack.workers())
        stack.signal("fcgi", signal.SIGHUP)
        # A worker with a busy connection may take four seconds to end.
        until(lambda: len(stack.workers()) == len(before) and not before & set(stack.workers()), 150, "the replacement")
    finally:
        ended.set()
        for thread in threads:
            thread.join()
    assert failures == []


def test_terminated_during_an_upload(stack, admin):
    """A worker that is told to end while a body arrives reads it to its end and answers."""
    body = b'{"title":"Uploaded","content":"' + b"x" * 9000 + b'"}'
    head = fastcgi.request("POST", "/api/articles", {
        "Content-Type": "application/json", "Authorization": f"Bearer {admin.token}"}, len(body))
    with socket.socket(socket.AF_UNIX) as raw:
        raw.settimeout(30)
        raw.connect(stack.env["COURANT_FCGI_SOCKET"])
        raw.sendall(head + fastcgi.record(fastcgi.STDIN, body[:4000]))
        workers = stack.workers()
        # Idle workers wait in a poll; this one is in the midst of a read.
        busy = until(lambda: [pid for pid in workers if open(f"/proc/{pid}/syscall").read().split()[0] == "0"], 15,
                     "a worker that reads")
        os.kill(busy[0], signal.SIGTERM)
        raw.sendall(fastcgi.record(fastcgi.STDIN, body[4000:]) + fastcgi.record(fastcgi.STDIN))
        answer = b""
        while b"Uploaded" not in answer:
            more = raw.recv(65536)
            assert more, answer
            answer += more
    assert b"Status: 201" in answer
    until(lambda: len(stack.workers()) == len(workers) and stack.client().get("/livez").status == 200, 20, "new workers")


def test_notifier_restarts(stack, admin):
    """A browser that comes back with its Last-Event-ID misses nothing."""
    start = stack.head
    stream = Stream(stack, f"/events?topic=all&after={start}", admin.token)
    seen = admin.article("Before").position
    stream.wait_for(seen)
    stack.signal("notifier")
    assert stream.ended.wait(10)
    missed = admin.article("Meanwhile").position
    stack.dev("start", "notifier")
    again = Stream(stack, "/events?topic=all", admin.token, {"Last-Event-ID": str(stream.ids[-1])})
    again.wait_for(missed)
    again.close()
    # What proves that the new one is ready may come behind.
    assert [n for n in stream.ids + again.ids if n <= missed] == list(range(start + 1, missed + 1))


def test_a_stream_outlives_the_database(stack, admin):
    """A stream that catches up while the database is away goes on when it is back, however long that took."""
    for n in range(5):
        admin.article(f"Before the outage {n}")
    stack.dev("stop", "notifier")
    stack.dev("start", "notifier")  # with nothing in memory
    head = stack.head
    stack.dev("stop", "nats")
    stack.dev("stop", "mariadb")
    try:
        stream = Stream(stack, "/events?after=0")
        # Who somebody is, nobody can say meanwhile: come back later.
        later = Stream(stack, "/events?topic=all&after=0", admin.token)
        assert later.ended.wait(10) and later.events == []
        ended = time.monotonic() + 4  # longer than a heartbeat of this stack
        until(lambda: time.monotonic() > ended, what="an outage")
        assert stream.events == []
    finally:
        stack.dev("start", "mariadb")
        stack.dev("start", "nats")
    stream.wait_for(head, 20)
    stream.close()
    fresh = Stream(stack, "/events?after=0")
    fresh.wait_for(head, 20)
    fresh.close()
    assert stream.ids == fresh.ids and len(stream.ids) >= 15
    whole = Stream(stack, "/events?topic=all&after=0", admin.token)
    whole.wait_for(head, 20)
    whole.close()
    assert whole.ids == list(range(1, head + 1))


def metric(stack, name):
    """One line of the notifier's /metrics."""
    with urllib.request.urlopen(stack.env["COURANT_STATUS_URL"] + "/metrics") as answer:
        return next(float(line.split()[-1]) for line in answer.read().decode().splitlines() if line.startswith(name + " "))


def test_old_events_come_from_the_bus(stack, admin):
    """While the database is away a client that comes back with an old position is served all the same."""
    stack.dev("stop", "notifier")
    stack.dev("start", "notifier")
    head = stack.head
    until(lambda: stack.bus_last == head and metric(stack, "courant_notifier_bus"), 20, "the bus")
    stack.dev("stop", "mariadb")
    try:
        stream = Stream(stack, "/events?after=0")
        stream.wait_for(head, 20)
        stream.close()
        assert metric(stack, 'courant_notifier_reads_total{from="bus"}') > 0
        assert metric(stack, 'courant_notifier_reads_total{from="log"}') == 0
    finally:
        stack.dev("start", "mariadb")
    from_log = Stream(stack, "/events?after=0")
    from_log.wait_for(head, 20)
    from_log.close()
    assert stream.events == from_log.events


def test_reads_outlive_their_connections(stack, admin):
    """A connection that the database has closed meanwhile costs a reader nothing."""
    for _ in range(3):
        for row in stack.sql("SELECT id FROM information_schema.processlist WHERE user = 'courant' AND command = 'Sleep'"):
            try:
                stack.sql(f"KILL {row[0]}")
            except Exception:
                pass  # it was the one of our own question
        assert {stack.client().get("/api/articles?limit=1").status for _ in range(40)} == {200}


def test_database_killed(stack, admin):
    """What was acknowledged is there after a crash of the database; what was said to have changed nothing is not."""
    start, acknowledged, refused, ended = stack.head, [], [], threading.Event()
    stream = Stream(stack, f"/events?topic=all&after={start}", admin.token)

    def write(number):
        client, n = stack.client(admin.token), 0
        while not ended.is_set():
            n += 1
            try:
                answer = client.post("/api/articles", {"title": f"Crash {start} {number}.{n}", "content": "x"})
            except OSError:
                continue
            assert answer.status in (201, 503), answer.body
            if answer.status == 201:
                acknowledged.append((answer.position, answer.json["id"]))
            elif "nothing was changed" in answer.json["detail"]:
                refused.append(f"Crash {start} {number}.{n}")

    threads = [threading.Thread(target=write, args=(number,), daemon=True) for number in range(4)]
    for thread in threads:
        thread.start()
    until(lambda: len(acknowledged) > 40, what="some writes")
    stack.signal("mariadb")
    until(lambda: "running" not in stack.dev("status").stdout.splitlines()[0], what="the end of the database")
    stack.dev("start", "mariadb")
    count = len(acknowledged)
    until(lambda: len(acknowledged) > count + 40, 60, "writes after the crash")
    ended.set()
    for thread in threads:
        thread.join()
    there = {(int(position), stream_name[8:]) for position, stream_name in stack.sql(
        f"SELECT position, stream FROM events WHERE position > {start} AND version = 2")}
    assert set(acknowledged) <= there
    assert not set(refused) & {row[0] for row in stack.sql("SELECT title FROM articles")}
    end = stack.head
    stream.wait_for(end, 30)
    stream.close()
    assert stream.ids == list(range(start + 1, end + 1))


def test_a_pool_begun_without_its_database(stack, admin):
    """Its answers name a position as soon as the database is there, also those that read nothing."""
    head = stack.head
    stack.dev("stop", "mariadb")
    stack.dev("stop", "fcgi")
    stack.dev("start", "fcgi")
    unknown = urllib.request.urlopen(f"http://{stack.host}:{stack.port}/livez", timeout=20)
    assert unknown.status == 200 and "Courant-Position" not in unknown.headers
    stack.dev("start", "mariadb")
    until(lambda: "Courant-Position" in urllib.request.urlopen(f"http://{stack.host}:{stack.port}/livez", timeout=20).headers,
          what="the position")
    assert stack.client().get("/livez").position >= head


def test_fifty_retries_of_one_key_while_workers_are_killed(stack, admin):
    """Whatever dies, one article: each retry says the same."""
    key = f"fifty-{admin.article('Before').json['id']}"
    body, ended, answers = {"title": "One of fifty", "content": "x", "publish": True}, threading.Event(), []

    def kill():
        while not ended.is_set():
            for pid in stack.workers()[1:]:
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    pass
                if ended.wait(0.02):
                    return

    def retry():
        client = stack.client(admin.token)
        for _ in range(400):
            try:
                answer = client.post("/api/articles", body, headers={"Idempotency-Key": key})
            except OSError:
                continue
            if answer.status < 500:
                answers.append(answer)
                return

    killer = threading.Thread(target=kill, daemon=True)
    threads = [threading.Thread(target=retry, daemon=True) for _ in range(50)]
    for thread in [killer, *threads]:
        thread.start()
    for thread in threads:
        thread.join(120)
    ended.set()
    killer.join(10)
    until(lambda: stack.client().get("/readyz").status == 200, 30, "the workers")
    assert len(answers) == 50 and {answer.status for answer in answers} == {201}, {answer.status for answer in answers}
    assert len({answer.body for answer in answers}) == 1 and len({answer.position for answer in answers}) == 1
    assert stack.sql("SELECT COUNT(*) FROM articles WHERE title = 'One of fifty' AND id = "
                     f"'{answers[0].json['id']}'") == [["1"]]
    assert stack.sql(f"SELECT COUNT(*) FROM commands WHERE idempotency_key = '{key}'") == [["1"]]
    assert "clean" in stack.verify()
