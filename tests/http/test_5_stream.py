"""The notifier: nothing missed, nothing repeated, nothing leaked."""

import http.client
import socket
import time

import pytest

from courant import Stream, until
from test_5_topics import metrics


def status_of(stack, path, headers=None):
    connection = http.client.HTTPConnection(stack.host, stack.port, timeout=10)
    connection.request("GET", path, headers=headers or {})
    response = connection.getresponse()
    status = response.status
    connection.close()
    return status


def test_resume_from_any_position(stack, admin):
    positions = [admin.article(f"Resume {n}").position for n in range(5)]
    until(lambda: stack.bus_last >= positions[-1], what="the bus")
    first = positions[0]
    for stream in (Stream(stack, f"/events?topic=all&after={first}", admin.token),
                   Stream(stack, "/events?topic=all", admin.token, {"Last-Event-ID": str(first)}),
                   Stream(stack, "/events?topic=all&after=1", admin.token, {"Last-Event-ID": str(first)})):
        stream.wait_for(positions[-1])
        more = admin.article("And live").position
        stream.wait_for(more)
        stream.close()
        assert stream.ids == list(range(first + 1, more + 1))


def test_the_whole_log_from_the_log(stack, admin):
    """A notifier that has just started has nothing in memory: all of it comes from the log, and goes over to live."""
    stack.dev("stop", "notifier")
    for n in range(40):
        admin.article(f"While nobody listens {n}")
    stack.dev("start", "notifier")
    stream = Stream(stack, "/events?topic=all&after=0", admin.token)
    stream.wait_for(stack.head, 60)
    more = admin.article("And live").position
    stream.wait_for(more)
    stream.close()
    assert stream.ids == list(range(1, more + 1))


def test_snapshot_then_stream(stack, admin):
    """A list and a stream from its position give each article once."""
    page = stack.client().get("/api/articles?limit=1")
    stream = Stream(stack, f"/events?after={page.position}")
    made = admin.article("After the snapshot")
    stream.wait_for(made.position)
    stream.close()
    assert [data["data"]["id"] for _, name, data in stream.events if name == "article.created"] == [made.json["id"]]


def test_drafts_and_accounts_stay_private(stack, admin):
    ann, bob = stack.user("ann"), stack.user("bob")
    after = stack.head
    draft = ann.article("A secret of Ann's", publish=False)
    public = bob.article("Public")
    expected = {None: 0, bob.token: 0, ann.token: 2, admin.token: 2}
    for token, drafts in expected.items():
        for path in (f"/events?after={after}", f"/events?after={after}&topic=articles"):
            stream = Stream(stack, path, token)
            events = stream.wait_for(public.position)
            stream.close()
            assert len([data for _, _, data in events if data["stream"] == f"article-{draft.json['id']}"]) == drafts
            assert not [name for _, name, _ in events if name.startswith("user.")]
            shown = [bool(data["metadata"]) for _, _, data in events if data["stream"].endswith(public.json["id"])]
            assert shown == [token in (bob.token, admin.token)] * 3


def test_who_may_follow_what(stack, admin):
    bearer = {"Authorization": f"Bearer {admin.token}"}
    assert status_of(stack, "/events?topic=all") == 401
    assert status_of(stack, "/events?topic=all", {"Authorization": f"Bearer {stack.user('ann').token}"}) == 403
    assert status_of(stack, "/events", {"Authorization": "Bearer x"}) == 401
    assert status_of(stack, "/events?topic=nothing", bearer) == 422
    for query in ("after=x", "after=-1", "after=1e3", "after=99999999999999999999"):
        assert status_of(stack, f"/events?{query}") == 422
    assert status_of(stack, "/events", {"Last-Event-ID": "abc"}) == 422


def test_first_bytes_and_headers(stack, admin):
    made = admin.article("The last before it")
    until(lambda: metrics(stack)["position"] >= made.position, what="the event")
    stream = Stream(stack)
    assert stream.frames[0][:2] == (stack.head, None) and int(stream.response.headers["Courant-Position"]) == stack.head
    assert stream.response.headers["Cache-Control"] == "no-store"
    stream.close()


def test_heartbeats_move_the_cursor(stack, admin):
    """Someone who may not see an event learns its position all the same, with no data."""
    stream = Stream(stack)
    draft = admin.article("Not for all", publish=False)
    end = time.monotonic() + 30
    while not any(id == draft.position and data is None for id, _, data in list(stream.frames)):
        assert time.monotonic() < end, stream.frames
        stream.ended.wait(0.1)
    stream.close()
    assert stream.events == []


def test_a_slow_reader_loses_nothing(stack, admin):
    """It stops reading while more comes than sockets and memory hold for it; then it reads on."""
    after = stack.head
    raw = socket.socket()
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    raw.settimeout(60)
    raw.connect(stack.notifier)
    raw.sendall(b"GET /events?topic=all HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer " + admin.token.encode() + b"\r\n\r\n")
    got = b""
    while b"id: " not in got:
        got += raw.recv(1000)
    before = metrics(stack)
    last = [admin.article("Much", content="x" * 10000).position for _ in range(150)][-1]
    fast = Stream(stack, f"/events?topic=all&after={after}", admin.token)
    fast.wait_for(last)
    fast.close()
    assert metrics(stack)["slow_total"] > before["slow_total"]
    while f"\nid: {last}\n".encode() not in got:
        more = raw.recv(65536)
        assert more, "the stream ended"
        got += more
    raw.close()
    assert metrics(stack)["catchups_total"] > before["catchups_total"], "it was never behind what is in memory"
    ids = [int(line[4:]) for line in got.split(b"\n") if line.startswith(b"id: ")]
    assert ids[1:] == fast.ids and fast.ids == list(range(after + 1, last + 1))


@pytest.mark.parametrize("bytes_sent", [b"GET /events", b"\x16\x03\x01\x02\x00", b"GET / HTTP/1.1\r\nX: " + b"a" * 20000,
                                        b"POST /events HTTP/1.1\r\n\r\n", b"GET /nowhere HTTP/1.1\r\n\r\n"])
def test_nonsense_harms_nobody(stack, bytes_sent):
    with socket.socket() as raw:
        raw.settimeout(20)
        raw.connect(stack.notifier)
        try:
            raw.sendall(bytes_sent)
            raw.shutdown(socket.SHUT_WR)
            answer = raw.recv(100)
        except OSError:
            answer = b""
        assert answer == b"" or answer.startswith((b"HTTP/1.1 4",))
    Stream(stack).close()


def test_head_of_a_stream(stack):
    answer = stack.client().call("HEAD", "/events")
    assert answer.status == 200 and answer.headers["content-type"] == "text/event-stream" and answer.body == b""
    assert answer.headers["x-content-type-options"] == "nosniff" and answer.position >= 0


def test_a_head_of_what_is_refused_has_no_body(stack):
    for target, status in (b"/events?topic=all", b"401"), (b"/events?topic=x", b"422"), (b"/nothing", b"404"):
        with socket.create_connection(stack.notifier, timeout=20) as raw:
            raw.sendall(b"HEAD " + target + b" HTTP/1.1\r\nHost: x\r\n\r\n")
            answer = b""
            while chunk := raw.recv(4096):
                answer += chunk
        head, body = answer.split(b"\r\n\r\n", 1)
        assert head.startswith(b"HTTP/1.1 " + status) and body == b"" and b"Courant-Position: " in head


def test_a_long_target(stack):
    stack.client().get("/events?after=1&x=" + "a" * 5000).problem(414)
