"""What a stream is about, and for whom; limits, ends and resets; what an operator sees."""

import http.client
import json
import os
import re
import resource
import signal
import socket
import subprocess
import threading
import time
import urllib.error
import urllib.request
from urllib.parse import urlparse

import pytest

from courant import ROOT, Stream, until
from test_4_accounts import Person


def raw_get(stack, path, headers=None, port=None):
    """Status, headers and the whole body of an answer that ends by itself."""
    connection = http.client.HTTPConnection(stack.host, port or stack.port, timeout=20)
    connection.request("GET", path, headers=headers or {})
    answer = connection.getresponse()
    body = answer.read().decode()
    connection.close()
    return answer.status, dict(answer.getheaders()), body


def status_of(stack, path, token=None):
    return raw_get(stack, path, {"Authorization": f"Bearer {token}"} if token else {})[0]


def later(stack, path="/events", headers=None, port=None):
    """The milliseconds after which this client is told to come back; None when it was served or refused for good."""
    connection = http.client.HTTPConnection(stack.host, port or stack.port, timeout=20)
    connection.request("GET", path, headers=headers or {})
    answer = connection.getresponse()
    first = b""
    while not first.endswith(b"\n\n"):
        first += answer.read1(1000)
    found = re.fullmatch(r"retry: (\d+)\n\n", first.decode())
    answer.close()
    connection.close()
    return int(found[1]) if answer.status == 200 and found else None


def metrics(stack):
    with urllib.request.urlopen(stack.env["COURANT_STATUS_URL"] + "/metrics", timeout=20) as answer:
        assert answer.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
        lines = answer.read().decode().splitlines()
    return {line.rsplit(" ", 1)[0].removeprefix("courant_notifier_"): float(line.rsplit(" ", 1)[1])
            for line in lines if not line.startswith("#")}


@pytest.fixture
def configure(stack):
    """Options of [notifier] that hold from now on, by SIGHUP; those of before come back afterwards."""
    path = stack.env["COURANT_CONFIG"]
    before = open(path).read()
    log = f"{stack.dir}/log/notifier.log"

    def set(text, said="the configuration was read anew"):
        count = open(log).read().count(said)
        with open(path, "w") as file:
            file.write(before + "[notifier]\n" + text)
        stack.signal("notifier", signal.SIGHUP)
        until(lambda: open(log).read().count(said) > count, what=said)

    yield set
    set("")
    with open(path, "w") as file:
        file.write(before)


# ---- topics

def test_one_article_one_author_one_account(stack, admin):
    ann, bob = Person(stack, "top"), Person(stack, "top")
    after = stack.head
    first, second, other = ann.client.article("First"), ann.client.article("Second"), bob.client.article("Other")
    draft = ann.client.article("A draft", publish=False)
    ann.client.post("/api/auth/tokens", {"name": "n", "scopes": ["read"]})
    last = stack.head
    ids = {name: answer.json["id"] for name, answer in (("first", first), ("second", second), ("other", other), ("draft", draft))}

    def streams(query, token=None):
        stream = Stream(stack, f"/events?{query}&after={after}", token)
        stream.wait_for(last)
        stream.close()
        assert stream.ids == sorted(set(stream.ids))
        return {frame[2]["stream"].split("-", 1)[1] for frame in stream.events}

    assert streams(f"topic=article:{ids['first']}") == {ids["first"]}
    assert streams(f"topic=author:{ann.id}") == {ids["first"], ids["second"]}
    assert streams(f"topic=author:{ann.id}", ann.client.token) == {ids["first"], ids["second"], ids["draft"]}
    assert streams(f"topic=author:{ann.id}", bob.client.token) == {ids["first"], ids["second"]}
    assert streams(f"topic=article:{ids['draft']}") == streams(f"topic=article:{ids['draft']}", bob.client.token) == set()
    assert streams(f"topic=user:{ann.id}", ann.client.token) == streams(f"topic=user:{ann.id}", admin.token) == {ann.id}
    assert streams("topic=links", ann.client.token) == set()
    assert streams(f"topic=article:{ids['other']}&topic=user:{ann.id}&topic=article:{ids['first']}", ann.client.token) == {
        ids["other"], ids["first"], ann.id}
    assert streams(f"topic=articles&topic=article:{ids['first']}") == {ids["first"], ids["second"], ids["other"]}


def test_an_author_is_followed_through_all_that_happens(stack):
    """Each event of an article that was public once, to whoever follows its author, as by the topic of all articles."""
    ann, after = Person(stack, "top"), stack.head
    live = {topic: Stream(stack, f"/events?topic={topic}&after={after}") for topic in ("articles", f"author:{ann.id}")}
    made = ann.client.article("Comes and goes", publish=False)
    where, version = made.headers["location"], made.headers["etag"]
    for path, body in ("/publish", None), ("", {"title": "Changed"}), ("/unpublish", None), ("/publish", None):
        answer = ann.client.call("PATCH" if body else "POST", where + path, body, headers={"If-Match": version})
        assert answer.status == 200, answer.body
        version = answer.headers["etag"]
        for reader in live.values():  # what is withdrawn by the time that it is sent is withheld
            reader.wait_for(answer.position)
    last = ann.client.call("DELETE", where, headers={"If-Match": version}).position
    stream = f"article-{made.json['id']}"
    names = {}
    for topic, reader in live.items():
        reader.wait_for(last)
        reader.close()
        names[topic] = [frame[1] for frame in reader.events if frame[2]["stream"] == stream]
    assert names["articles"] == names[f"author:{ann.id}"]
    assert [name for name in names["articles"] if name.endswith("ed") and "revision" not in name] == [
        f"article.{what}" for what in ("published", "updated", "unpublished", "published", "deleted")]
    for token in None, ann.client.token:
        seen = {}
        for topic in "articles", f"author:{ann.id}", f"article:{made.json['id']}":
            reader = Stream(stack, f"/events?topic={topic}&after={after}", token)
            reader.wait_for(last)
            reader.close()
            seen[topic] = [(frame[0], frame[1]) for frame in reader.events if frame[2]["stream"] == stream]
        assert seen[f"author:{ann.id}"] == seen["articles"] == seen[f"article:{made.json['id']}"]
        # What is gone is told of, but no longer what it was called.
        assert [name for _, name in seen["articles"]].count("article.published") == (2 if token else 0)
        assert {"article.unpublished", "article.deleted"} <= {name for _, name in seen["articles"]}


def test_a_program_follows_on_when_its_user_changes_the_password(stack, admin):
    ann = Person(stack, "top")
    token = ann.client.post("/api/auth/tokens", {"name": "follows", "scopes": ["read"]}).json["token"]
    stream = Stream(stack, f"/events?topic=articles&topic=user:{ann.id}&after={stack.head}", token)
    done = ann.client.call("PUT", f"{ann.where}/password", {"password": "another long one", "current_password": ann.password})
    assert done.status in (200, 204), done.body
    last = admin.article("Afterwards").position
    stream.wait_for(last)
    assert not stream.ended.is_set()
    stream.close()
    assert "user.password_changed" in [frame[1] for frame in stream.events]


def test_who_may_follow_what(stack, admin):
    ann, bob = Person(stack, "top"), Person(stack, "top")
    audit = admin.token
    readers = {None: 401, ann.client.token: 200, bob.client.token: 403, audit: 200}
    for token, expected in readers.items():
        assert head_status(stack, f"/events?topic=user:{ann.id}", token) == expected
        assert head_status(stack, f"/events?topic=articles&topic=user:{ann.id}", token) == expected
        assert head_status(stack, "/events?topic=links", token) == (401 if token is None else 200)
        assert head_status(stack, "/events?topic=all", token) == (401 if token is None else 200 if token == audit else 403)
        assert head_status(stack, f"/events?topic=author:{ann.id}&topic=article:{ann.id}", token) == 200
    for topic in "", "x", "article", "article:", "article:x", "articles:1", f"user-{ann.id}", f"user:{ann.id} ", "a" * 300:
        assert head_status(stack, f"/events?topic={topic}".replace(" ", "%20"), audit) == 422, topic
    assert head_status(stack, "/events?" + "&".join(["topic=all"] * 20), audit) == 200
    assert head_status(stack, "/events?" + "&".join(["topic=all"] * 21), audit) == 422


def head_status(stack, path, token=None):
    return stack.client(token).call("HEAD", path).status


def test_a_cookie_of_https(stack):
    """Behind https cookies have another name; the proxy says that it was https."""
    person = Person(stack, "tls")
    cookie = {"Cookie": f"__Host-courant_access={person.client.token}"}
    port = stack.notifier[1]
    assert raw_get(stack, "/events?topic=links", cookie, port)[0] == 401
    status, _, body = raw_get(stack, f"/events?topic=user:{person.id}x", {**cookie, "X-Forwarded-Proto": "https"}, port)
    assert status == 422, body
    connection = http.client.HTTPConnection(stack.host, port, timeout=10)
    connection.request("HEAD", "/events?topic=links", headers={**cookie, "X-Forwarded-Proto": "https"})
    assert connection.getresponse().status == 200


# ---- positions

def test_a_position_from_the_future(stack, admin):
    head = stack.head
    until(lambda: metrics(stack)["position"] >= head, what="the notifier")
    for headers, query in ({}, f"?after={head + 1000}"), ({"Last-Event-ID": str(10**17)}, ""):
        stream = Stream(stack, f"/events{query}", headers=headers)
        until(lambda: stream.frames, what="a frame")
        position, name, data = stream.frames[0]
        assert name == "reset" and data == {"position": position} and head <= position <= stack.head
        made = admin.article("After the reset")
        until(lambda: made.position in [frame[0] for frame in stream.frames], what="the event after the reset")
        stream.socket.shutdown(socket.SHUT_RDWR)
        stream.join(10)
    assert metrics(stack)["resets_total"] >= 2


def test_a_position_of_a_moment_ago_is_no_reset(stack, admin):
    """What a writer has just been told may be news to the notifier."""
    for n in range(30):
        position = admin.article(f"A moment ago {n}").position
        stream = Stream(stack, f"/events?after={position}")
        assert stream.frames[0][1] is None, stream.frames
        assert stream.frames[0][0] == position
        stream.close()


# ---- limits and ends

def test_places_by_address(stack, configure):
    configure("clients_address = 3\n")
    mine = {"X-Forwarded-For": "198.51.100.7"}
    port = stack.notifier[1]
    site = type("Address", (), {"host": stack.host, "port": port})
    held = [Stream(site, "/events", headers=mine) for _ in range(3)]
    before = metrics(stack)['refusals_total{reason="address"}']
    assert 5000 <= later(stack, headers=mine, port=port) <= 15000
    assert metrics(stack)['refusals_total{reason="address"}'] == before + 1
    assert later(stack, headers={"X-Forwarded-For": "198.51.100.8"}, port=port) is None
    # What a client says of itself counts for nothing: the last entry is the proxy's.
    assert later(stack, headers={"X-Forwarded-For": "203.0.113.1, 198.51.100.7"}, port=port) is not None
    held.pop().close()
    until(lambda: later(stack, headers=mine, port=port) is None, what="the place that is free again")
    for stream in held:
        stream.close()


def test_places_by_account_and_in_all(stack, configure, admin):
    person = Person(stack, "pla")
    bearer = {"Authorization": f"Bearer {person.client.token}"}
    until(lambda: metrics(stack)["streams"] == 0, what="the end of other streams")
    configure("clients_user = 2\n")
    held = [Stream(stack, token=person.client.token) for _ in range(2)]
    assert later(stack, headers=bearer) is not None and later(stack) is None
    configure("clients = 2\n")
    until(lambda: metrics(stack)["streams"] == 2, what="two streams")
    assert later(stack) is not None
    configure("")
    assert later(stack, headers=bearer) is None
    for stream in held:
        assert not stream.ended.is_set()
        stream.close()


def test_an_ended_access_cookie_is_not_nobody(stack):
    """A browser has forgotten it; the other cookie says that there is somebody, who is to ask for another."""
    for headers in {"Cookie": "courant_refresh=x"}, {"Cookie": "__Host-courant_refresh=x", "X-Forwarded-Proto": "https"}:
        status, answered, body = raw_get(stack, "/events", headers, stack.notifier[1])
        assert status == 401 and "invalid_token" in answered["WWW-Authenticate"] and "refresh" in json.loads(body)["detail"]
    assert head_status(stack, "/events") == 200


def test_a_full_house_is_ready(stack, configure):
    """What looks whether events arrive takes no client's place, and says no untruth when there is none."""
    until(lambda: metrics(stack)["streams"] == 0, what="the end of other streams")
    configure("clients = 1\ncanary_s = 1\n")
    held = Stream(stack)
    assert later(stack) is not None
    canaries = metrics(stack)["canaries_total"]
    until(lambda: ready(stack)[0] == 200 and metrics(stack)["canaries_total"] > canaries, what="a canary")
    assert metrics(stack)["streams"] == 1
    # Who does not know the word is a client like any other.
    assert later(stack, headers={"Courant-Canary": "0" * 32}, port=stack.notifier[1]) is not None
    held.close()


def test_no_descriptors_left(stack, admin):
    """Those that are there go on; those that come wait; the log is not filled with it."""
    pid, complaint = stack.pid("notifier"), "no clients are taken until some have gone"
    log = f"{stack.dir}/log/notifier.log"
    stream, said = Stream(stack), open(log).read().count(complaint)
    soft, hard = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    waiting = []
    try:
        used = set(map(int, os.listdir(f"/proc/{pid}/fd")))
        third = [number for number in range(soft) if number not in used][2]
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (third + 1, hard))  # so three are left
        for _ in range(8):
            one = socket.create_connection(stack.notifier, timeout=30)
            one.sendall(b"GET /events HTTP/1.1\r\nHost: x\r\n\r\n")
            waiting.append(one)
        until(lambda: open(log).read().count(complaint) > said, what="a word in the log")
        for n in range(5):
            began, made = time.monotonic(), admin.article(f"While it is full {n}")
            stream.wait_for(made.position)
            assert time.monotonic() - began < 1 * stack.slow
        assert open(log).read().count(complaint) == said + 1
    finally:
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (soft, hard))
    for one in waiting:
        assert one.recv(15) == b"HTTP/1.1 200 OK"
        one.close()
    stream.close()


def test_connections_that_ask_for_nothing(stack, configure):
    """Beyond a number of them nobody more is taken in; an operator is."""
    configure("clients = 1\n")
    log, complaint = f"{stack.dir}/log/notifier.log", "there are too many connections"
    said, idle = open(log).read().count(complaint), []
    try:
        for _ in range(1010):
            idle.append(socket.create_connection(stack.notifier, timeout=30))
        until(lambda: open(log).read().count(complaint) > said, what="a word in the log")
        assert metrics(stack)["connections"] <= 1010
        with urllib.request.urlopen(stack.env["COURANT_STATUS_URL"] + "/livez", timeout=20) as answer:
            assert answer.status == 200
    finally:
        for one in idle:
            one.close()
    until(lambda: metrics(stack)["connections"] < 100, 30, "the end of them")
    assert head_status(stack, "/events") == 200


def test_streams_end_for_their_age(stack, configure, admin):
    configure("stream_age_s = 4\n")
    after = stack.head
    streams = [Stream(stack, f"/events?after={after}") for _ in range(20)]
    begun = time.monotonic()
    for stream in streams:
        assert stream.ended.wait(10)
        assert stream.frames[-1][0] is None and stream.frames[-1][1] is None  # retry, and the end
    assert time.monotonic() - begun < 8 and metrics(stack)["streams_aged_total"] >= 20
    made = admin.article("While nobody followed")
    again = Stream(stack, "/events", headers={"Last-Event-ID": str(streams[0].frames[-2][0])})
    again.wait_for(made.position)
    again.close()


def test_a_faulty_configuration_changes_nothing(stack, configure):
    configure("heartbeat_s = soon\n", "the configuration stays as it was")
    assert head_status(stack, "/events") == 200
    configure("[log]\nlevel = error\n[http]\norigins = no-origin\n", "the configuration stays as it was")
    log = f"{stack.dir}/log/notifier.log"
    ended = open(log).read().count("ended")
    stack.dev("stop", "notifier")
    assert open(log).read().count("ended") > ended, "it says so at the level of before"
    configure_at_rest = open(stack.env["COURANT_CONFIG"]).read().partition("[notifier]\n[log]")[0]
    with open(stack.env["COURANT_CONFIG"], "w") as file:
        file.write(configure_at_rest)
    stack.dev("start", "notifier")
    configure("status_listen = 127.0.0.1:1\n", "they hold from the next start")


def test_a_restart_sends_all_away_and_loses_nothing(stack, admin):
    after = stack.head
    raw = []
    for _ in range(40):
        one = socket.create_connection(stack.notifier, timeout=20)
        one.sendall(b"GET /events HTTP/1.1\r\nHost: x\r\nLast-Event-ID: %d\r\n\r\n" % after)
        while b"\n\n" not in one.recv(4096).split(b"\r\n\r\n", 1)[-1]:
            pass
        raw.append(one)
    stream = Stream(stack, f"/events?after={after}")
    position = admin.article("Before the restart").position
    stream.wait_for(position)
    restart = subprocess.Popen([f"{ROOT}/dev", "stop", "notifier"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    told = []
    for one in raw:
        text = b""
        while chunk := one.recv(65536):
            text += chunk
        told.append(int(re.search(rb"retry: (\d+)\n\n$", text)[1]))
        one.close()
    assert stream.ended.wait(10) and restart.wait(20) == 0
    assert all(1000 <= ms <= 60000 for ms in told) and len(set(told)) > 20  # spread
    missed = admin.article("During the restart").position
    # The browser does not give up meanwhile: the web server says 200, and when to come back.
    status, headers, body = raw_get(stack, "/events")
    assert status == 200 and headers["Content-Type"] == "text/event-stream" and re.fullmatch(r"retry: \d+\n\n", body)
    stack.dev("start", "notifier")
    again = Stream(stack, "/events", headers={"Last-Event-ID": str(stream.ids[-1])})
    again.wait_for(missed)
    again.close()
    assert [n for n in stream.ids + again.ids if n <= missed] == list(range(after + 1, missed + 1))


# ---- what an operator sees

def test_the_status_is_not_for_the_public(stack):
    site, status = stack.notifier[1], urlparse(stack.env["COURANT_STATUS_URL"]).port
    for path in "/livez", "/readyz", "/metrics":
        assert raw_get(stack, path, port=site)[0] == 404
        assert raw_get(stack, path, port=status)[0] == 200
    assert raw_get(stack, "/events", port=status)[0] == 404
    assert raw_get(stack, "/metrics")[0] == 404


def test_metrics_are_in_form(stack, admin):
    stream = Stream(stack)
    before = metrics(stack)
    stream.wait_for(admin.article("Counted").position)
    now = metrics(stack)
    assert now["deliveries_total"] >= before["deliveries_total"] + 3 and now["sent_bytes_total"] > before["sent_bytes_total"]
    assert now["streams"] >= 1 and now["connections"] >= now["streams"] and now["loops"] >= 1
    until(lambda: metrics(stack)["position"] == metrics(stack)["log_position"] == stack.head, what="the end of the log")
    now = metrics(stack)
    assert now["lag_positions"] == 0 and now["lag_seconds"] == 0
    stream.close()
    with urllib.request.urlopen(stack.env["COURANT_STATUS_URL"] + "/metrics") as answer:
        text = answer.read().decode()
    assert text.endswith("\n")
    types, seen = {}, []
    for line in text.splitlines():
        found = re.fullmatch(r"# (HELP|TYPE) (courant_notifier_\w+) (.+)|(courant_notifier_\w+)(\{\w+=\"\w+\"\})? (\S+)", line)
        assert found, line
        if found[1] == "TYPE":
            assert found[2] not in types and found[3] in ("counter", "gauge")
            types[found[2]] = found[3]
        elif found[4]:
            assert found[4] in types
            assert (found[4], found[5]) not in seen
            seen.append((found[4], found[5]))
            float(found[6])


def ready(stack):
    try:
        with urllib.request.urlopen(stack.env["COURANT_STATUS_URL"] + "/readyz", timeout=20) as answer:
            return answer.status, json.loads(answer.read())
    except urllib.error.HTTPError as error:
        return error.code, json.loads(error.read())


def test_a_canary_crosses_all_of_it(stack, configure):
    configure("canary_s = 1\n")
    canaries = lambda: int(stack.sql("SELECT COUNT(*) FROM events WHERE type = 'canary.sent'")[0][0])
    ready(stack)
    before = canaries()
    until(lambda: ready(stack)[0] == 200 and canaries() > before, what="another canary")
    status, answer = ready(stack)
    assert status == 200 and answer["status"] == "ready" and answer["by"] == "bus" and 0 < answer["canary_ms"] < 3000
    assert metrics(stack)["canaries_total"] > 0
    assert "clean" in stack.verify()
    stream = Stream(stack, "/events?after=0")
    stream.wait_for(stack.head)
    stream.close()
    assert not [name for _, name, _ in stream.events if name.startswith("canary")]


def test_a_busy_log_is_no_lag(stack, admin):
    """What was written a moment ago is on its way at most looks; none of it is there for long."""
    ended, lags = threading.Event(), []

    def write():
        client = stack.client(admin.token)
        while not ended.is_set():
            client.post("/api/articles", {"title": "Busy", "content": "x"})

    threads = [threading.Thread(target=write) for _ in range(6)]
    for thread in threads:
        thread.start()
    try:
        end = time.monotonic() + 8
        while time.monotonic() < end:
            lags.append(metrics(stack)["lag_seconds"])
            time.sleep(0.3)
    finally:
        ended.set()
        for thread in threads:
            thread.join()
    assert max(lags) < 3 * stack.slow, lags


def test_it_is_ready_only_while_events_arrive(stack, configure):
    configure("canary_s = 1\n")
    stack_head = stack.head
    assert ready(stack)[0] == 200
    stack.dev("stop", "nats")
    try:
        until(lambda: ready(stack)[1].get("by") == "log", what="the log instead of the bus")
        stack.dev("stop", "mariadb")
        try:
            status, problem = ready(stack)
            assert status == 503 and problem["detail"] == "The database cannot be asked."
            # Strangers who come meanwhile fill no log.
            log = f"{stack.dir}/log/notifier.log"
            before = open(log).read().count("asking for the log's end")
            for _ in range(60):
                head_status(stack, f"/events?after={stack_head + 1000000}", None)
            assert open(log).read().count("asking for the log's end") - before <= 4
        finally:
            stack.dev("start", "mariadb")
    finally:
        stack.dev("start", "nats")
    until(lambda: ready(stack)[1].get("by") == "bus", 30, "the bus again")
