"""Logging in, tokens, cookies."""

import base64
import json
import time

import pytest

from courant import Stream

ARTICLE = {"title": "T", "content": "C"}


def test_login_is_an_event_without_secrets(stack):
    answer = stack.log_in()
    assert answer.status == 200 and answer.json["token_type"] == "Bearer" and answer.json["expires_in"] == 900
    assert "audit_read" in answer.json["user"]["permissions"]
    assert "no-store" in answer.headers["cache-control"]
    row = stack.sql(f"SELECT type, stream, data, metadata FROM events WHERE position = {answer.position}")[0]
    assert row[0] == "user.logged_in" and row[1] == f"user-{answer.json['user']['id']}"
    everything = "\n".join("\t".join(row) for row in stack.sql("SELECT data, metadata FROM events WHERE stream LIKE 'user-%'"))
    for secret in (stack.env["COURANT_ADMIN_PASSWORD"], answer.json["access_token"], "$argon2id$"):
        assert secret not in everything


def test_login_by_email(stack):
    assert stack.log_in("ADMIN@example.org").status == 200


@pytest.mark.parametrize("name, password", [("admin", "wrong password"), ("nobody-there", "wrong password"),
                                            ("admin", ""), ("", "x"), ("' OR ''='", "x"), ("admin\0", "x")])
def test_wrong_logins(stack, name, password):
    before = stack.head
    answer = stack.client().post("/api/auth/login", {"username": name, "password": password})
    if name and password and "\0" not in name:
        assert answer.problem(401)["detail"] == "The name or the password is wrong."
        assert answer.headers["www-authenticate"].startswith("Bearer")
    else:
        answer.problem(422)
    assert stack.head == before


def test_who_am_i(stack, admin):
    assert admin.get("/api/auth").json["username"] == "admin"
    stack.client().get("/api/auth").problem(401)


def refused(stack, client):
    before = stack.head
    answer = client.post("/api/articles", ARTICLE)
    answer.problem(401)
    assert answer.headers["www-authenticate"].startswith("Bearer")
    # Wrong credentials never count as none, not where none are needed either.
    client.get("/api/articles").problem(401) if client.token else None
    assert stack.head == before


def test_no_token(stack):
    refused(stack, stack.client())


def test_good_token_of_the_same_form(stack):
    """So that the refusals below are for the reason that each of them names."""
    answer = stack.client(stack.token()).get("/api/articles")
    assert answer.problem(401)["detail"] == "The session is over."


def test_expired_and_future_tokens(stack):
    now = int(time.time())
    refused(stack, stack.client(stack.token(exp=now - 1)))
    refused(stack, stack.client(stack.token(iat=now + 600, exp=now + 900)))


@pytest.mark.parametrize("header", [{"alg": "none", "typ": "JWT"}, {"alg": "HS512", "typ": "JWT"}, {"alg": "HS256"},
                                    {"alg": "HS256", "typ": "JWT", "kid": "x"}, {"alg": "HS256", "typ": "JWT", "kid": "0123456789abcdef"}])
def test_tokens_with_another_header(stack, header):
    refused(stack, stack.client(stack.token(header=header)))


def test_forged_tokens(stack):
    refused(stack, stack.client(stack.token(key=b"x" * 32)))
    token = stack.token()
    refused(stack, stack.client(token[:-2]))
    refused(stack, stack.client(token + "A"))
    refused(stack, stack.client("x"))
    refused(stack, stack.client("a" * 6000))
    head, body, signature = token.split(".")
    refused(stack, stack.client(f"{head}.{body}x.{signature}"))
    refused(stack, stack.client(f"{head}.{body}."))


def test_another_scheme(stack, admin):
    stack.client().get("/api/articles", headers={"Authorization": "Basic YWRtaW46eA=="}).problem(401)


def test_cookies(stack, admin):
    login = stack.log_in()
    assert "refresh_token" not in login.json
    access, refresh = login.cookies
    for cookie, name in (access, "courant_access"), (refresh, "courant_refresh"):
        assert cookie.startswith(name + "=") and "HttpOnly" in cookie and "SameSite=Lax" in cookie and "Path=/;" in cookie
        assert "Secure" not in cookie
    cookie = access.split(";")[0]
    client = stack.client()
    assert client.get("/api/auth", headers={"Cookie": cookie}).status == 200
    before = stack.head
    for headers in ({}, {"Origin": "http://evil.example"}, {"Sec-Fetch-Site": "cross-site"}, {"Sec-Fetch-Site": "same-site"},
                    {"Sec-Fetch-Site": "none"}, {"Origin": "null"}):
        client.post("/api/articles", ARTICLE, headers={"Cookie": cookie, **headers}).problem(403)
    assert stack.head == before
    for headers in ({"Origin": stack.env["COURANT_URL"]}, {"Sec-Fetch-Site": "same-origin"}):
        assert client.post("/api/articles", ARTICLE, headers={"Cookie": cookie, **headers}).status == 201


def test_a_bad_cookie_is_taken_away(stack):
    answer = stack.client().get("/api/articles", headers={"Cookie": "courant_access=x.y.z"})
    answer.problem(401)
    assert "Max-Age=0" in answer.headers["set-cookie"]


def session_of(token):
    """The claims of a real token that say whose it is."""
    body = token.split(".")[1]
    claims = json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))
    assert sorted(claims) == ["exp", "iat", "sid", "sub"]
    return {"sub": claims["sub"], "sid": claims["sid"]}


def test_stream_ends_with_its_session(stack):
    token = stack.token(**session_of(stack.log_in().json["access_token"]), exp=int(time.time()) + 3)
    stream = Stream(stack, "/events?topic=all", token=token)
    assert stream.ended.wait(15)
    assert stream.frames[-1][1] == "session-expired"


def test_long_passwords_and_odd_headers(stack):
    for length, statuses in (257, {422}), (10**6, {413, 422}):
        for path, body in ("/api/auth/login", {"username": "admin"}), ("/api/users", {"username": "long", "email": "l@example.org"}):
            assert stack.client().post(path, {**body, "password": "x" * length}).status in statuses
    for odd in "Bearer", "Bearer ", "Bearer \t", "bearer x y", "Bearer ....", "Bearer cat_", "Basic x", "Bearer " + "." * 9000:
        assert stack.client().get("/api/articles", headers={"Authorization": odd}).status in (400, 401)
    # A session is named by who begins it: what a client brings is of no account.
    first = stack.client().post("/api/auth/login", {"username": stack.env["COURANT_ADMIN_USER"],
                                                    "password": stack.env["COURANT_ADMIN_PASSWORD"]},
                                headers={"Cookie": "courant_access=fixed; courant_refresh=fixed"})
    assert first.status == 200 and "fixed" not in "".join(first.cookies)
    assert session_of(first.json["access_token"])["sid"] != session_of(stack.log_in().json["access_token"])["sid"]
