"""What holds for every answer: headers, preconditions, preferences, origins; and each article command in full."""

import json
import re
import urllib.error
import urllib.request

import pytest

from test_4_accounts import Person

MERGE = {"Content-Type": "application/merge-patch+json"}


def etag(answer):
    return {"If-Match": answer.headers["etag"]}


def test_put_patch_and_restore(admin):
    made = admin.article("First", subtitle="s", lead="l", content="one\n\ntwo", tags=["a"])
    where = made.headers["location"]
    put = admin.call("PUT", where, {"title": "Second", "content": "other"}, headers=etag(made))
    assert put.status == 200 and put.headers["etag"] == '"v5"' and put.position > made.position
    assert [put.json[name] for name in ("title", "subtitle", "lead", "content", "tags", "version")] == [
        "Second", "", "", "other", [], 5]
    assert put.json["slug"] == made.json["slug"]  # it was public: its address stays
    patched = admin.call("PATCH", where, {"lead": "new", "tags": ["x", "y"], "subtitle": None}, headers={**etag(put), **MERGE})
    assert patched.status == 200
    assert {**put.json, "lead": "new", "tags": ["x", "y"], "version": 7, "updated_at": patched.json["updated_at"]} == patched.json
    assert admin.call("PATCH", where, {"title": None}, headers={**etag(patched), **MERGE}).problem(422)["errors"] == [
        {"pointer": "/title", "detail": "must be a string"}]
    restored = admin.post(f"{where}/revisions/1/restore", headers=etag(patched))
    assert restored.status == 200
    for name in "title", "subtitle", "lead", "content", "tags", "html":
        assert restored.json[name] == made.json[name]
    admin.post(f"{where}/revisions/99/restore", headers=etag(restored)).problem(404)
    admin.post(f"{where}/revisions/0/restore", headers=etag(restored)).problem(404)
    admin.post(f"{where}/revisions/1/restore", {"revision": 2}, headers=etag(restored)).problem(422)
    assert admin.get(where).headers["etag"] == restored.headers["etag"]


def test_the_slug_of_a_draft_follows_its_title(admin):
    mark = re.sub(r"\W", "", str(admin.article().json["id"][-6:]))
    made = admin.article(f"Работа {mark}", publish=False)
    # Digits of its id, always, and many: without them it would tell whether somebody else has a draft of this title.
    assert made.json["slug"] == f"rabota-{mark}-{made.json['id'][-12:]}"
    again = admin.call("PATCH", made.headers["location"], {"title": f"Über {mark}"}, headers=etag(made))
    assert again.json["slug"] == f"uber-{mark}-{made.json['id'][-12:]}"
    same = admin.call("PATCH", made.headers["location"], {"title": f"Über {mark}!"}, headers=etag(again))
    assert same.json["slug"] == again.json["slug"]
    public = admin.post(made.headers["location"] + "/publish", headers=etag(same))
    assert public.status == 200 and public.json["status"] == "published" and public.json["slug"] == f"uber-{mark}"
    twin = admin.article(f"Über {mark}!")
    assert twin.json["slug"] == f"uber-{mark}-{twin.json['id'][-4:]}"
    last = admin.call("PATCH", made.headers["location"], {"title": "Quite another"}, headers=etag(public))
    assert last.json["slug"] == f"uber-{mark}"
    assert admin.get(f"/api/articles/uber-{mark}").json == last.json
    for title in "!!!", "😀", "01a2071b-f843-7645-a001-b20b639515c1", "x" * 200, "A b " * 50:
        slug = admin.article(title, publish=False).json["slug"]
        assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", slug) and len(slug) <= 94
        assert admin.get(f"/api/articles/{slug}").json["slug"] == slug


def test_slugs_that_somebody_takes_on_purpose(admin):
    draft = admin.article("One", publish=False)
    id, mark = draft.json["id"], draft.json["id"][-12:]
    for tail in "", id[-4:], id[-8:], id[-12:]:
        admin.article(f"taken {mark} {tail}")
    put = admin.call("PATCH", f"/api/articles/{id}", {"title": f"taken {mark}"}, headers=etag(draft))
    assert re.fullmatch(f"taken-{mark}-[0-9a-f]{{12}}", put.json["slug"])
    # What looks like an id could not be found.
    draft = admin.article("Two", publish=False)
    put = admin.call("PATCH", draft.headers["location"], {"title": f"{draft.json['id'][:-13]}"}, headers=etag(draft))
    assert put.status == 200 and put.json["slug"] == f"article-{draft.json['id']}"
    assert admin.get(f"/api/articles/{put.json['slug']}").json == put.json


def test_publish_unpublish_delete(stack, admin):
    ann, nobody = stack.user("ann"), stack.client()
    made = ann.article("Up and down", publish=False)
    where = made.headers["location"]
    ann.post(where + "/unpublish", headers=etag(made)).problem(409)
    up = ann.post(where + "/publish", {}, headers=etag(made))
    assert nobody.get(where).json == up.json
    ann.post(where + "/publish", headers=etag(up)).problem(409)
    down = ann.post(where + "/unpublish", headers=etag(up))
    assert down.json["status"] == "draft" and down.json["published_at"] is None
    nobody.get(where).problem(404)
    nobody.call("DELETE", where, headers=etag(down)).problem(401)
    stack.user("ben").call("DELETE", where, headers=etag(down)).problem(404)
    up = ann.post(where + "/publish", headers=etag(down))
    stack.user("ben").call("DELETE", where, headers=etag(up)).problem(403)
    ann.call("DELETE", where).problem(428)
    gone = ann.call("DELETE", where, headers=etag(up))
    assert gone.status == 204 and gone.body == b"" and gone.position > up.position
    for client in nobody, ann, admin:
        client.get(where).problem(410)
        client.get(f"/api/articles/{up.json['slug']}").problem(410)
        client.get(where + "?version=3").problem(410)
        client.get(where + "/revisions").problem(410)
        assert made.json["id"] not in client.get("/api/articles?limit=100").body.decode()
    ann.call("PUT", where, {"title": "a", "content": "b"}, headers={"If-Match": "*"}).problem(410)
    assert ann.article("Up and down").json["slug"] != up.json["slug"]
    # A draft that is deleted was never there for others.
    draft = ann.article("A deleted draft", publish=False)
    assert ann.call("DELETE", draft.headers["location"], headers=etag(draft)).status == 204
    nobody.get(draft.headers["location"]).problem(404)
    ann.get(draft.headers["location"]).problem(410)


def test_only_who_may_delete_any(stack, admin):
    made = stack.user("ann").article("For the administrator to delete")
    assert admin.call("DELETE", made.headers["location"], headers=etag(made)).status == 204


@pytest.mark.parametrize("rule", ["- " * 66, "* " * 70, "text\n\n" + "-" * 100 + "\n\nmore", "- " * 66 + "\r\n\r\nmore"])
def test_a_long_rule_is_one(admin, rule):
    html = admin.article("Ruled", content=rule, publish=False).json["html"]
    assert "<hr />" in html and "<pre>" not in html and "<li>" not in html


def test_what_is_to_be_made_has_no_version(admin):
    for match in "*", '"v1"':
        answer = admin.post("/api/articles", {"title": "a", "content": "b"}, headers={"If-Match": match})
        assert answer.problem(412) and "etag" not in answer.headers


def test_items_past_the_most_are_looked_at_too(admin):
    tags = [f"t{number}" for number in range(21)] + [5, "", "t0", "x" * 41]
    problem = admin.post("/api/articles", {"title": "a", "content": "b", "tags": tags}).problem(422)
    assert [error["pointer"] for error in problem["errors"]] == ["/tags", "/tags/21", "/tags/22", "/tags/23", "/tags/24"]


def test_html_is_safe(admin):
    text = ("# *Hi*\n\n<script>alert(1)</script>\n\n[a](javascript:alert(1)) [b](JaVaScRiPt&colon;x) [c](data:text/html,x) "
            "[d](vbscript:x) ![i](data:image/png;base64,AA) [e](https://example.org/?a=1&b=2) [f](/here) [g](mailto:a@b.c) "
            "[h](<java\tscript:x>) <a href=\"javascript:x\">i</a> <img src=x onerror=alert(1)> <javascript:alert(1)> "
            "[file](file:///etc/passwd)")
    html = admin.article("Safe", content=text).json["html"]
    for bad in "<script", "onerror", "<img src=x":
        assert bad not in html.lower(), html
    for value in re.findall(r'(?:href|src)="([^"]*)"', html):
        assert value == "" or re.match(r"https?://|mailto:|/", value), value
    for good in "<h1><em>Hi</em></h1>", 'href="https://example.org/?a=1&amp;b=2"', 'href="/here"', 'href="mailto:a@b.c"':
        assert good in html, html


@pytest.mark.parametrize("entity", ["&#xFFFE;", "&#65535;", '[a](/b "&#xFFFF;")', "&#xFFFD;", "\ufffe", "&#0;"])
def test_noncharacters_by_entity(admin, entity):
    """cmark writes some of them as bytes that are no UTF-8."""
    made = admin.article("Odd", content=f"one {entity} two")
    assert made.status == 201 and made.json["content"] == f"one {entity} two" and made.json["html"].endswith(" two</p>\n")
    assert admin.get(made.headers["location"]).json == made.json


def test_deep_lists_take_no_time(admin):
    import time
    for text in "- " * 3000 + "x\n" + "\n" * 3990 + "a", "1. " * 2000 + "x\n" + "\n" * 3990, "> " * 2500 + "<b>x\n" * 900:
        began = time.monotonic()
        html = admin.article("Deep", content=text[:10000]).json["html"]
        assert time.monotonic() - began < 1 and html.startswith("<pre>") and "<b>" not in html
    assert "<li>" in admin.article("Not deep", content="- a\n  - b\n    1. c\n> > d\n" * 50).json["html"]


def test_every_answer_names_a_position(stack, admin):
    """Also the first ones of a pool that was just started, which have read nothing."""
    head = stack.head
    for method, path in ("GET", "/nowhere"), ("GET", "/livez"), ("POST", "/api/articles"), ("OPTIONS", "/api/articles"), ("GET", "/api/articles?limit=0"):
        stack.dev("stop", "fcgi")
        stack.dev("start", "fcgi")
        assert stack.client().call(method, path).position >= head, path


def test_prefer_respond_async(admin):
    made = admin.post("/api/articles", {"title": "Later", "content": "x"},
                      headers={"Prefer": "wait=1, respond-async; x=y", "Idempotency-Key": f"async-{admin.article().json['id']}"})
    assert made.status == 202 and made.headers["preference-applied"] == "respond-async"
    assert made.json == {"status": "accepted", "id": made.headers["location"].rsplit("/", 1)[1], "position": made.position}
    article = admin.get(made.headers["location"])
    changed = admin.call("PUT", made.headers["location"], {"title": "Now", "content": "y"},
                         headers={**etag(article), "Prefer": "respond-async"})
    assert changed.status == 202 and changed.json["id"] == article.json["id"] and changed.json["position"] == changed.position
    deleted = admin.call("DELETE", made.headers["location"], headers={"If-Match": "*", "Prefer": "respond-async"})
    assert deleted.status == 202 and deleted.json["position"] == deleted.position
    assert admin.post("/api/articles", {"title": "Now", "content": "x"}, headers={"Prefer": "respond-asynchronously"}).status == 201


def test_a_header_of_several_lines_is_one(stack, admin):
    made = admin.article("Lines")
    token = f"Host: x\r\nAuthorization: Bearer {admin.token}\r\n"
    body = '{"title":"Two lines","content":"x"}'
    answer = stack.raw(f"POST /api/articles HTTP/1.1\r\n{token}Content-Type: application/json\r\nPrefer: wait=1\r\n"
                       f"Prefer: respond-async\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode())
    assert answer.status == 202 and answer.headers["preference-applied"] == "respond-async"
    # Of two keys none is taken for the one that is meant.
    stack.raw(f"DELETE {made.headers['location']} HTTP/1.1\r\n{token}If-Match: *\r\nIdempotency-Key: a\r\nIdempotency-Key: b\r\n\r\n"
              .encode()).problem(400)


def test_a_delete_is_repeated(admin):
    made = admin.article("Deleted once")
    headers = {**etag(made), "Idempotency-Key": f"delete-{made.json['id']}"}
    first, again = (admin.call("DELETE", made.headers["location"], headers=headers) for _ in range(2))
    assert (first.status, again.status) == (204, 204) and again.headers["idempotency-replayed"] == "true"
    assert first.position == again.position


def test_a_key_stands_for_the_version_too(admin):
    made = admin.article("Twice")
    where, key = made.headers["location"], {"Idempotency-Key": f"version-{made.json['id']}"}
    first = admin.call("PUT", where, {"title": "a", "content": "b"}, headers={**etag(made), **key})
    assert first.status == 200
    admin.call("PUT", where, {"title": "a", "content": "b"}, headers={**etag(first), **key}).problem(422)
    admin.post("/api/articles", {"title": "a", "content": "b"}, headers={"Idempotency-Key": ""}).problem(400)


@pytest.mark.parametrize("path", ["/api/articles", "/api/articles/{id}", "/api/articles/{id}/revisions",
                                  "/api/articles/{id}/revisions/1", "/api/articles/{id}/revisions/1/diff", "/feed.atom"])
def test_head_is_get_without_a_body(admin, path):
    path = path.format(id=admin.article("Headed").json["id"])
    get, head = admin.get(path), admin.call("HEAD", path)
    assert get.status == head.status == 200 and head.body == b""
    for name in get.headers:
        assert name in ("date", "courant-position") or head.headers.get(name) == get.headers[name], name
    assert get.headers["x-content-type-options"] == "nosniff" and "frame-ancestors 'none'" in get.headers["content-security-policy"]
    assert get.headers["referrer-policy"] == "same-origin" and "Authorization" in get.headers["vary"]
    allow = admin.call("OPTIONS", path)
    assert allow.status == 204 and "GET, HEAD" in allow.headers["allow"]


def test_not_modified(stack, admin):
    made = admin.article("Cached")
    where = made.headers["location"]
    for match in '"v3"', 'W/"v3"', '"v1", "v3"', "*":
        answer = admin.get(where, headers={"If-None-Match": match})
        assert answer.status == 304 and answer.body == b"" and answer.headers["etag"] == '"v3"'
        assert answer.headers["cache-control"] == "private, no-cache" and answer.position >= made.position
    for match in '"v2"', '"v33"', "v3", '"v1", "v2"', '""', '"v03"', '"v3-gzip"', '"v3x"', '"v3':
        assert admin.get(where, headers={"If-None-Match": match}).json == made.json
    assert stack.client().get(where).headers["cache-control"] == "no-cache"
    feed = stack.client().get("/feed.atom")
    assert stack.client().get("/feed.atom", headers={"If-None-Match": feed.headers["etag"]}).status == 304


def test_a_renamed_author_is_shown_again(stack):
    """The name is in the answer and no part of the article's version."""
    person = Person(stack, "ren")
    made = person.client.article("By somebody")
    where, tag = made.headers["location"], {"If-None-Match": made.headers["etag"]}
    for path in where, f"{where}?version=3":
        assert person.client.get(path, headers=tag).status == 304
    name = f"{person.name}-new"
    assert person.client.call("PUT", person.where, {"username": name, "email": f"{name}@example.org"}, headers={"If-Match": "*"}).status == 200
    for client in person.client, stack.client():
        for path in where, f"{where}?version=3":
            answer = client.get(path, headers=tag)
            assert answer.status == 200 and answer.json["author"]["username"] == name
            assert answer.headers["etag"] == made.headers["etag"] and "html" in answer.json
        assert client.get(where, headers={"If-None-Match": "*"}).status == 304
    changed = person.client.call("PATCH", where, {"title": "By the same"}, headers={"If-Match": made.headers["etag"], **MERGE})
    assert person.client.get(f"{where}?version=3", headers=tag).json["author"]["username"] == name
    # The same as after a while.
    stack.sql(f"UPDATE users SET renamed_at = renamed_at - INTERVAL 2 MINUTE WHERE id = '{person.id}'")
    other = Person(stack, "ren")
    assert other.client.call("PUT", other.where, {"username": f"{other.name}-b", "email": f"{other.name}@example.org"},
                             headers={"If-Match": "*"}).status == 200  # so that names are looked up again
    assert person.client.get(where, headers={"If-None-Match": changed.headers["etag"]}).status == 304
    stack.sql(f"UPDATE users SET renamed_at = renamed_at + INTERVAL 2 MINUTE WHERE id = '{person.id}'")


def test_media_types(admin):
    made = admin.article("Typed")
    where = made.headers["location"]
    for type in "text/plain", "application/merge-patch+json", "application/jsonx":
        admin.call("PUT", where, b"{}", headers={"Content-Type": type, **etag(made)}).problem(415)
    answer = admin.call("PATCH", where, b"{}", headers={"Content-Type": "text/plain", **etag(made)})
    answer.problem(415)
    assert "application/merge-patch+json" in answer.headers["accept-patch"]
    body = b'{"title":"a","content":"b"}'
    for type in "application/json; charset=latin1", 'application/json;x=y; charset="utf-16"', "application/json; charset=utf-8x":
        admin.post("/api/articles", body, headers={"Content-Type": type}).problem(415)
    for type in "application/json; charset=UTF-8", 'application/json; charset="utf-8"', "application/json; x=y":
        assert admin.post("/api/articles", body, headers={"Content-Type": type}).status == 201
    answer = admin.post("/api/articles", body, headers={"Content-Encoding": "gzip"})
    assert answer.problem(415) and answer.headers["accept-encoding"] == "identity"
    assert admin.post("/api/articles", body, headers={"Content-Encoding": "identity"}).status == 201


def test_a_challenge_says_what_is_wrong(stack):
    """RFC 6750, section 3.1: nothing more where there was no token."""
    for path in "/api/auth", "/events?topic=all":
        none, wrong = stack.client().get(path), stack.client("x").get(path)
        assert none.problem(401) and none.headers["www-authenticate"] == 'Bearer realm="courant"'
        assert wrong.problem(401) and wrong.headers["www-authenticate"] == 'Bearer realm="courant", error="invalid_token"'


def test_a_diff_cannot_be_forged(admin):
    """A member of several lines does not look like several members."""
    made = admin.article("One", lead="x\ntags: [\"forged\"]", tags=["real"])
    diff = admin.get(made.headers["location"] + "/revisions/1/diff").json["diff"].splitlines()
    assert "+lead: x" in diff and '+  tags: ["forged"]' in diff and '+tags: ["forged"]' not in diff and '+tags: ["real"]' in diff


def test_a_feed_keeps_every_character(admin, stack):
    import xml.etree.ElementTree as xml
    title = f"a\rb\r\nc\td <&>\" {stack.head}"
    admin.article(title)
    atom = "{http://www.w3.org/2005/Atom}"
    feed = xml.fromstring(stack.client().get("/feed.atom").body)
    assert title in [entry.findtext(f"{atom}title") for entry in feed.findall(f"{atom}entry")]


def test_origins(stack, admin):
    """Nothing without the option; with it, exactly those."""
    import os
    path = os.path.join(stack.dir, "courant.local.conf")
    before = open(path).read()
    headers = {"Origin": "https://app.example"}
    assert "access-control-allow-origin" not in admin.get("/api/articles", headers=headers).headers
    try:
        with open(path, "w") as file:
            file.write(before + "[http]\norigins = https://app.example http://localhost:3000\n")
        stack.dev("up")
        admin = stack.admin()
        for origin in "https://app.example", "http://localhost:3000":
            answer = admin.get("/api/articles", headers={"Origin": origin})
            assert answer.headers["access-control-allow-origin"] == origin and "Origin" in answer.headers["vary"]
            for name in "ETag", "Link", "Courant-Position", "Location":
                assert name in answer.headers["access-control-expose-headers"]
            assert "access-control-allow-credentials" not in answer.headers
        preflight = stack.client().call("OPTIONS", "/api/articles/x", headers={
            **headers, "Access-Control-Request-Method": "PUT", "Access-Control-Request-Headers": "if-match, authorization"})
        assert preflight.status == 204 and "PUT" in preflight.headers["access-control-allow-methods"]
        assert {"if-match", "authorization", "idempotency-key"} <= set(
            preflight.headers["access-control-allow-headers"].lower().split(", "))
        problem = stack.client().post("/api/articles", {}, headers=headers)
        problem.problem(401)
        assert problem.headers["access-control-allow-origin"] == "https://app.example"
        # What the web server says itself.
        long = stack.client().post("/api/articles", {"title": "t", "content": "x" * 1100000}, headers=headers)
        long.problem(413)
        assert long.headers["access-control-allow-origin"] == "https://app.example"
        document = urllib.request.urlopen(urllib.request.Request(f"{stack.env['COURANT_URL']}/docs/openapi.yaml", headers=headers))
        assert document.headers["content-type"] == "application/yaml"
        assert document.headers["access-control-allow-origin"] == "https://app.example"
        for origin in "https://app.example.evil", "https://app.exampl", "http://app.example", "null", "*":
            assert "access-control-allow-origin" not in admin.get("/api/articles", headers={"Origin": origin}).headers
    finally:
        with open(path, "w") as file:
            file.write(before)
        stack.dev("up")


@pytest.mark.parametrize("path, headers, status", [("/.problem", {}, 404), ("/docs/", {"If-Match": '"x"'}, 412)])
def test_the_web_servers_own_answers_are_problems(stack, path, headers, status):
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(urllib.request.Request(stack.env["COURANT_URL"] + path, headers=headers))
    assert refused.value.code == status and refused.value.headers["content-type"] == "application/problem+json"
    assert json.load(refused.value)["status"] == status


def test_no_500_for_odd_paths(stack, admin):
    for path in ("/api/articles/%00", "/api/articles/%ff", "/api/articles/a/b/c/d/e/f/g/h/i/j/k/l/m", "/api/articles/%2e%2e",
                 "/api/articles/no--such/revisions/1", "/api/articles/no--such/revisions/9999999999999999999/diff", "/api/articles//",
                 "/api/articles/no--such?version=1", "/api/articles/%F0%9F%98%80", "/api/articles/" + "a" * 500):
        assert admin.get(path).status in (400, 404), path
    made = admin.article("Odd")
    for path in ("/revisions/x", "/revisions/-1", "/revisions/9223372036854775807", "/revisions/999999999999999999/diff?with=1",
                 "/revisions/1/diff?with=7"):
        admin.get(made.headers["location"] + path).problem(404)
    admin.get(made.headers["location"] + "/revisions/1/diff?with=x").problem(422)
    admin.get("/api/articles/" + "a" * 9000).problem(414)
    admin.get("/api/articles", headers={"X-Long": "a" * 40000}).problem(400)
