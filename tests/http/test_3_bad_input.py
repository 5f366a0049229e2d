"""Bad input gets the answers of the contract, and nothing of it reaches the log."""

import socket

import pytest

GOOD = {"title": "T", "content": "C"}


@pytest.fixture(autouse=True)
def nothing_reaches_the_log(stack, admin):
    before = stack.head
    yield
    assert stack.head == before


@pytest.mark.parametrize("body", [
    b"", b" ", b"{", b'{"title":"a","content":"b"', b'{"title":"a","content":"b",}', b"{'title':'a'}", b"[1,2", b"nul",
    b'{"title":"a","content":"b"} x', b'{"title":"a","content":"b"}{}', b'{"title":NaN,"content":"b"}', b'/* c */ {}',
    b'{"title":"\xff","content":"b"}', b'{"title":"\\ud800","content":"b"}', b'{"title":"a\nb","content":"b"}',
    b'{"title":"a","title":"b","content":"c"}', b'{"title":"a","t\\u0069tle":"b","content":"c"}',
    b'{"title\\u0000z":"a","content":"c"}', b"[" * 33 + b"]" * 33, b"\xef\xbb\xbf{}", b"\x00",
    b'{"title":"a","content":"' + b"\xed\xa0\x80" + b'"}'])
def test_broken_json(admin, body):
    problem = admin.post("/api/articles", body, headers={"Content-Type": "application/json"}).problem(400)
    assert "JSON" in problem["detail"]


@pytest.mark.parametrize("body, pointers", [
    ([], [""]), ("x", None), (1, None),
    ({}, ["/title", "/content"]),
    ({"title": "", "content": ""}, ["/title", "/content"]),
    ({"title": None, "content": 1}, ["/title", "/content"]),
    ({**GOOD, "tags": "a"}, ["/tags"]),
    ({**GOOD, "tags": ["a", 1, "", "x" * 41, {}]}, ["/tags/1", "/tags/2", "/tags/3", "/tags/4"]),
    ({**GOOD, "tags": [f"t{n}" for n in range(21)]}, ["/tags"]),
    ({**GOOD, "tags": ["t", "u", "t"]}, ["/tags/2"]),
    ({**GOOD, "publish": "yes"}, ["/publish"]),
    ({**GOOD, "lead": "x" * 1001, "subtitle": "x" * 201}, ["/subtitle", "/lead"]),
    ({**GOOD, "id": "x", "a/b~c": 1}, ["/id", "/a~1b~0c"]),
    ({**GOOD, "title": "a\0b"}, ["/title"]),
])
def test_wrong_types_and_missing_fields(admin, body, pointers):
    import json
    problem = admin.post("/api/articles", json.dumps(body)).problem(422)
    if pointers is not None:
        assert sorted(fault["pointer"] for fault in problem["errors"]) == sorted(pointers)
    assert all(fault["detail"] for fault in problem["errors"])


def test_body_over_the_limit(admin):
    assert "262144" in admin.post("/api/articles", b'{"title":"' + b"x" * 300000 + b'"}').problem(413)["detail"]
    admin.post("/api/articles", b"x" * 1100000).problem(413)
    assert admin.get("/livez").status == 200


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "application/jsonx", "application/xml"])
def test_other_media_types(admin, kind):
    admin.post("/api/articles", b'{"title":"a","content":"b"}', headers={"Content-Type": kind}).problem(415)


@pytest.mark.parametrize("path", ["/api", "/api/", "/api/article", "/api/articles/", "/api/articles/x/y", "/api/../api/x",
                                  "/api//articles", "/nowhere", "/api/articles%2Fx", "/api/auth/login/"])
def test_unknown_paths(admin, path):
    admin.get(path).problem(404)


@pytest.mark.parametrize("id", ["no--such", "01a2071b-f843-7645-a001-b20b639515ff", "%27%20OR%201=1--", "a" * 300, "%F0%9F%98%80"])
def test_unknown_articles(admin, id):
    admin.get(f"/api/articles/{id}").problem(404)


def test_bad_targets(admin):
    for path in ("/api/%", "/api/%zz", "/api/%ff", "/api/articles/%c0%af"):
        assert admin.get(path).status == 400
    assert admin.get("/api/" + "a" * 5000).status == 414


@pytest.mark.parametrize("method, path, allow", [
    ("DELETE", "/api/articles", "GET, HEAD, POST, OPTIONS"), ("PUT", "/api/articles", "GET, HEAD, POST, OPTIONS"),
    ("POST", "/livez", "GET, HEAD, OPTIONS"), ("GET", "/api/auth/login", "POST, OPTIONS"),
    ("BREW", "/api/articles", "GET, HEAD, POST, OPTIONS"), ("POST", "/events", "GET, HEAD, OPTIONS")])
def test_wrong_methods(admin, method, path, allow):
    answer = admin.call(method, path)
    answer.problem(405)
    assert answer.headers["allow"] == allow


@pytest.mark.parametrize("query", ["limit=0", "limit=101", "limit=x", "limit=-1", "limit=", "limit=1e1", "cursor=x",
                                   "cursor=", "cursor=%20", "cursor=" + "QQ" * 30])
def test_bad_pages(admin, query):
    problem = admin.get(f"/api/articles?{query}").problem(422)
    assert problem["errors"][0]["pointer"] == "?" + query.split("=")[0]


def test_body_shorter_than_announced(stack, admin):
    """The web server gives up on a body that ends early; the worker is there for the next one."""
    with socket.create_connection((stack.host, stack.port), timeout=10) as raw:
        raw.sendall(b"POST /api/articles HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nAuthorization: Bearer "
                    + admin.token.encode() + b"\r\nContent-Length: 100\r\n\r\n{\"title\":\"half")
        raw.shutdown(socket.SHUT_WR)
        assert b" 201 " not in raw.recv(4096)
    assert admin.get("/livez").status == 200


def test_chunked_body(stack, admin):
    stack.raw(b"POST /api/articles HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n"
              b"Authorization: Bearer " + admin.token.encode() + b"\r\n\r\n9\r\n{\"title\":\r\n3\r\n\"\"}\r\n0\r\n\r\n").problem(422)


TRACE = "69af61a749aa8fa8f3fdf982600b3bd3"


@pytest.mark.parametrize("status, request_line, fields", [
    (400, "GARBAGE", ""), (400, "OPTIONS * HTTP/1.1", ""), (400, "GET /livez HTTP/1.1", "X: " + "a" * 40000),
    (405, "POST /index.html HTTP/1.1", "Content-Length: 0"), (405, "TRACE /livez HTTP/1.1", ""),
    (413, "POST /api/articles HTTP/1.1", "Content-Length: 99999999"), (413, "POST /events HTTP/1.1", "Content-Length: 99999999"),
    (414, f"GET /api/{'a' * 9000} HTTP/1.1", ""), (416, "GET /index.html HTTP/1.1", "Range: bytes=99999999-"),
    (501, "GET /livez HTTP/1.1", "Transfer-Encoding: gzip"), (505, "GET /livez HTTP/3.0", "")])
def test_what_the_web_server_refuses_itself(stack, status, request_line, fields):
    """Problems like all others, under the trace that the request names where it could be read."""
    text = f"{request_line}\r\nHost: x\r\ntraceparent: 00-{TRACE}-00f067aa0ba902b7-01\r\n{fields}{fields and chr(13) + chr(10)}\r\n"
    answer = stack.raw(text.encode())
    problem = answer.problem(status)
    assert problem["trace_id"] == TRACE or status in (400, 414, 505)
    assert answer.headers["referrer-policy"].endswith("same-origin") and "Authorization" in answer.headers["vary"]
    assert "frame-ancestors 'none'" in answer.headers["content-security-policy"] and answer.headers["cache-control"] == "no-store"
    assert ("allow" in answer.headers) == (status == 405)


@pytest.mark.parametrize("parent", [f"ff-{TRACE}-00f067aa0ba902b7-01", f"00-{'0' * 32}-00f067aa0ba902b7-01", f"00-{TRACE}-{'0' * 16}-01",
                                    f"00-{TRACE.upper()}-00f067aa0ba902b7-01", f"00-{TRACE}-00f067aa0ba902b7-01-x", f"00-{TRACE}", "x"])
def test_traces_that_are_none(stack, parent):
    for path in "/nowhere", "/index.html":
        answer = stack.raw(f"POST {path} HTTP/1.1\r\nHost: x\r\ntraceparent: {parent}\r\nContent-Length: 0\r\n\r\n".encode())
        assert TRACE not in answer.problem(404 if path == "/nowhere" else 405)["trace_id"]


def test_a_body_that_is_null(stack, admin):
    for path in "/api/articles", "/api/commands/create_article", "/api/auth/login", "/api/users":
        assert admin.call("POST", path, "null").problem(422)["errors"] == [{"pointer": "", "detail": "must be an object"}]
