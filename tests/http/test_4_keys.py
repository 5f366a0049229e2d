"""Keys that sign, and what ends a stream at once."""

import base64
import time

import pytest

from courant import Stream, until
from test_4_accounts import Person
from test_4_auth import session_of


@pytest.fixture
def person(stack):
    return Person(stack, "kay")


def test_rotation_logs_nobody_out(stack, person):
    old = stack.sql("SELECT kid FROM signing_keys ORDER BY created_at DESC LIMIT 1")[0][0]
    done = stack.ctl("key", "rotate")
    assert done.returncode == 0
    kid = done.stdout.split()[1].rstrip(",")
    listed = stack.ctl("key", "list").stdout
    assert f"{kid}  made" in listed and "signs" in listed.splitlines()[0] and old in listed
    assert person.alive()
    follow = Stream(stack, "/events", token=person.client.token)
    until(lambda: follow.frames, what="the stream's beginning")
    follow.close()
    # A token by the new key is known to workers that have not heard of it.
    for _ in range(20):
        assert person.log_in().alive()
    assert stack.client(stack.token(**session_of(person.client.token))).get("/api/auth").status == 200
    for secret in stack.sql("SELECT HEX(secret) FROM signing_keys"):
        assert secret[0].lower() not in (listed + done.stdout).lower()


@pytest.fixture
def keys_kept(stack):
    """The tokens of the other tests' clients are good again afterwards."""
    before = stack.sql("SELECT kid, HEX(secret), created_at FROM signing_keys")
    yield
    for kid, secret, made in before:
        stack.sql(f"INSERT IGNORE INTO signing_keys VALUES ('{kid}', UNHEX('{secret}'), '{made}')")


def test_rotation_at_once(stack, person, keys_kept):
    assert stack.ctl("key", "rotate", "--now").returncode == 0
    assert len(stack.sql("SELECT kid FROM signing_keys")) == 1
    person.client.get("/api/auth").problem(401)
    person.client.get("/events").problem(401)
    again = stack.client().post("/api/auth/refresh", {"refresh_token": person.refresh})
    assert again.status == 200
    for _ in range(20):  # whichever worker signs, whichever verifies
        assert person.log_in().alive()


def test_many_keys_and_clocks_that_differ(stack, person, keys_kept):
    """However many there are, a token is good as long as its key; and the newest signs, though another claims a later time."""
    stack.sql("INSERT INTO signing_keys SELECT CONCAT('fedc', LPAD(seq, 12, '0')), RANDOM_BYTES(32), UTC_TIMESTAMP(6) - INTERVAL 3 DAY - "
              "INTERVAL seq SECOND FROM seq_1_to_40")
    stack.sql("INSERT INTO signing_keys VALUES ('00000000000000aa', RANDOM_BYTES(32), UTC_TIMESTAMP(6) + INTERVAL 1 HOUR)")
    secret = stack.sql("SELECT HEX(secret) FROM signing_keys WHERE kid = 'fedc000000000040'")[0][0]
    token = stack.token(header={"alg": "HS256", "typ": "JWT", "kid": "fedc000000000040"}, key=bytes.fromhex(secret),
                        **session_of(person.client.token))
    for _ in range(40):  # every worker, which has asked for the newest too
        assert stack.client(token).get("/api/auth").status == 200
        assert person.alive()
    stack.sql("DELETE FROM signing_keys WHERE kid = 'fedc000000000040'")
    for _ in range(20):
        stack.client(token).get("/api/auth").problem(401)
    kid = stack.ctl("key", "rotate").stdout.split()[1].rstrip(",")
    assert stack.ctl("key", "list").stdout.split()[0] == kid
    head = person.log_in().client.token.split(".")[0]
    assert kid.encode() in base64.urlsafe_b64decode(head + "=" * (-len(head) % 4))
    stack.sql("DELETE FROM signing_keys WHERE kid LIKE 'fedc%' OR kid = '00000000000000aa'")
    stack.sql(f"UPDATE signing_keys SET created_at = UTC_TIMESTAMP(6) WHERE kid = '{kid}'")


def test_usage(stack):
    for args in (["key"], ["key", "x"], ["key", "list", "x"], ["key", "rotate", "x"]):
        assert stack.ctl(*args).returncode == 2


@pytest.mark.parametrize("what, word", [
    (lambda stack, admin, person: person.client.post("/api/auth/logout"), "session-expired"),
    (lambda stack, admin, person: person.another().client.call("DELETE", f"/api/auth/sessions/{own_id(person)}"), "session-expired"),
    (lambda stack, admin, person: admin.call("PUT", person.where + "/password", {"password": "another password"}), "session-expired"),
    (lambda stack, admin, person: admin.call("PUT", person.where + "/permissions", {"permissions": ["audit_read"]}, headers={"If-Match": "*"}), None),
    (lambda stack, admin, person: person.client.call("DELETE", person.where, headers={"If-Match": "*"}), "session-expired")])
def test_what_ends_a_stream(stack, admin, person, what, word):
    stream = Stream(stack, "/events", token=person.client.token)
    other = Stream(stack, "/events", token=stack.user("ann").token)
    until(lambda: stream.frames and other.frames, what="both streams")
    began = time.monotonic()
    assert what(stack, admin, person).status in (200, 204)
    assert stream.ended.wait(3) and time.monotonic() - began < 3
    assert (stream.frames[-1][1] == word) or word is None
    admin.article("After it ended")
    assert not other.ended.is_set()
    assert all(event != "article.created" for _, event, _ in stream.frames)
    if word is not None:
        person.client.get("/events").problem(401)
    other.close()


def own_id(person):
    return [item["id"] for item in person.client.get("/api/auth/sessions").json["items"] if item["current"]][0]


def test_a_reset_by_an_administrator_spares_no_stream(stack, admin, person):
    token = person.client.post("/api/auth/tokens", {"name": "s", "scopes": ["read"]}).json["token"]
    streams = [Stream(stack, f"/events?topic=user:{person.id}", token=each) for each in (token, person.client.token)]
    until(lambda: all(stream.frames for stream in streams), what="both streams")
    assert admin.call("PUT", person.where + "/password", {"password": "another password"}).status == 200
    for stream in streams:
        assert stream.ended.wait(3) and stream.frames[-1][1] == "session-expired"


def test_a_stream_by_an_api_token(stack, person):
    made = person.client.post("/api/auth/tokens", {"name": "s", "scopes": ["read"]}).json
    stream = Stream(stack, "/events", token=made["token"])
    until(lambda: stream.frames, what="the stream")
    assert person.client.call("DELETE", f"/api/auth/tokens/{made['id']}").status == 204
    assert stream.ended.wait(3) and stream.frames[-1][1] == "session-expired"
    writer = person.client.post("/api/auth/tokens", {"name": "w", "scopes": ["write"]}).json
    stack.client(writer["token"]).get("/events").problem(403)
    stack.client(made["token"]).get("/events").problem(401)
