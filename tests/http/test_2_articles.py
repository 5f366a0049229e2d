"""Writing and reading articles."""

import json

import pytest

from courant import until


def test_create_and_read_back(stack, admin):
    text = "é e\u0301 😀 \u202eright to left \ufdfd \U0001f468\u200d\U0001f469\u200d\U0001f467 \"\\/\b\f\n\r\t\x7f\u2028"
    made = admin.article(text[:60], subtitle=text, lead=text, content=text * 3, tags=["ä", "b c"])
    article = made.json
    assert made.headers["location"] == f"/api/articles/{article['id']}"
    assert made.headers["etag"] == f'"v{article["version"]}"'
    got = stack.client().get(made.headers["location"])
    assert got.status == 200 and got.json == article and got.headers["etag"] == made.headers["etag"]
    assert got.position >= made.position
    assert (article["title"], article["subtitle"], article["content"]) == (text[:60], text, text * 3)
    assert article["tags"] == ["ä", "b c"] and article["status"] == "published"
    assert article["author"]["username"] == "admin"
    assert article["published_at"] == article["created_at"] and article["created_at"].endswith("Z")


def test_limits_count_code_points(admin):
    assert admin.article("😀" * 200).status == 201
    problem = admin.post("/api/articles", {"title": "😀" * 201, "content": "x"}).problem(422)
    assert problem["errors"] == [{"pointer": "/title", "detail": "must have at most 200 characters, has 201"}]
    assert admin.article(content="😀" * 10000).status == 201
    admin.post("/api/articles", {"title": "x", "content": "x" * 10001}).problem(422)


def test_drafts_are_their_authors(stack, admin):
    ann, bob = stack.user("ann"), stack.user("bob")
    draft = ann.article("Of Ann", publish=False)
    where = draft.headers["location"]
    assert draft.json["status"] == "draft" and draft.json["published_at"] is None
    assert ann.get(where).status == admin.get(where).status == 200
    bob.get(where).problem(404)
    stack.client().get(where).problem(404)
    for client, sees in ((ann, True), (admin, True), (bob, False), (stack.client(), False)):
        ids = [article["id"] for article in client.get("/api/articles?limit=100").json["items"]]
        assert (draft.json["id"] in ids) == sees


@pytest.mark.parametrize("who", ["nobody", "ann", "admin"])
def test_pages_neither_skip_nor_repeat(stack, admin, who):
    for number in range(7):
        admin.article(f"Page {number}", publish=number % 2 == 0)
    client = {"nobody": stack.client(), "ann": stack.user("ann"), "admin": admin}[who]
    whole, path = [], "/api/articles?limit=3"
    while path:
        page = client.get(path)
        assert page.status == 200 and page.position > 0
        whole += page.json["items"]
        assert all("content" not in article for article in page.json["items"])
        assert len(page.json["items"]) == 3 or page.json["next"] is None
        link = page.headers.get("link", "")
        assert (page.json["next"] is None) == (link == "")
        path = link.split(">")[0].lstrip("<") if link else None
        if len(whole) == 3:
            admin.article("In the midst of paging")
        if len(whole) > 60:
            break
    ids = [article["id"] for article in whole]
    assert ids == sorted(ids, reverse=True) and len(ids) == len(set(ids))
    if path is None:
        visible = "1 = 1" if who == "admin" else "status = 'published'" + (
            " OR status = 'draft' AND author_id = (SELECT id FROM users WHERE username = 'ann')" if who == "ann" else "")
        expected = [row[0] for row in stack.sql(f"SELECT id FROM articles WHERE ({visible}) AND id <= '{ids[0]}'")]
        assert sorted(expected) == sorted(ids)


def test_not_modified(stack, admin):
    made = admin.article()
    where, etag = made.headers["location"], made.headers["etag"]
    for value in (etag, f'"v1", {etag}', "*", f"W/{etag}"):
        answer = admin.get(where, headers={"If-None-Match": value})
        assert (answer.status, answer.body, answer.headers["etag"]) == (304, b"", etag)
    assert admin.get(where, headers={"If-None-Match": '"v99"'}).status == 200


def test_head_and_options(admin):
    where = admin.article().headers["location"]
    whole, head = admin.get(where), admin.call("HEAD", where)
    assert (head.status, head.body) == (200, b"")
    assert head.headers["content-length"] == str(len(whole.body)) and head.headers["etag"] == whole.headers["etag"]
    options = admin.call("OPTIONS", where)
    assert options.status == 204 and options.headers["allow"] == "GET, HEAD, PUT, PATCH, DELETE, OPTIONS"


def test_empty_list_has_a_position(stack):
    oldest = stack.sql("SELECT MIN(id) FROM articles")[0][0]
    from courant import base64url
    page = stack.client().get(f"/api/articles?cursor={base64url(oldest.encode())}")
    assert page.json == {"items": [], "next": None} and page.position > 0


def test_stored_once_is_kept_as_it_was(stack, admin):
    """What the event holds is what the answer said."""
    made = admin.article("Kept", lead="l")
    data = json.loads(stack.sql(f"SELECT data FROM events WHERE position = {made.position - 2}")[0][0].replace("\\\\", "\\"))
    assert {key: data[key] for key in ("id", "title", "lead", "content", "tags")} == {
        key: made.json[key] for key in ("id", "title", "lead", "content", "tags")}
    # A name is the user's, who may change it or have it erased.
    assert data["author"] == {"id": made.json["author"]["id"]} and made.json["author"]["username"] == "admin"
    until(lambda: stack.bus_last >= made.position, what="the bus")
