"""Lists, tags, search, revisions and the feed: what each reader finds, and what not."""

import re
import xml.etree.ElementTree as ElementTree

import pytest

ATOM = "{http://www.w3.org/2005/Atom}"


def titles(client, query):
    answer = client.get(f"/api/articles?limit=100&{query}")
    assert answer.status == 200, answer.body
    return [item["title"] for item in answer.json["items"]]


@pytest.fixture(scope="module")
def shelf(stack, admin):
    """A tag of its own, and articles of two authors under it."""
    ann, ben = stack.user("ann"), stack.user("ben")
    tag = f"shelf-{stack.head}"
    for author, name in (ann, "ann"), (ben, "ben"):
        for status in "public", "draft":
            for number in range(2):
                author.article(f"{name} {status} {number}", publish=status == "public", tags=[tag, "more", f"{name}'s"],
                               content=f"A quokka of {name}, {status} {number}: Größe, naïve ÉTÉ.", lead=f"lead{tag.replace('-', '')}")
    return {"tag": tag, "ann": ann, "ben": ben, "word": f"lead{tag.replace('-', '')}",
            "ann_id": ann.get("/api/auth").json["id"], "ben_id": ben.get("/api/auth").json["id"]}


ANN_PUBLIC, BEN_PUBLIC = ["ann public 1", "ann public 0"], ["ben public 1", "ben public 0"]
ANN_DRAFT, BEN_DRAFT = ["ann draft 1", "ann draft 0"], ["ben draft 1", "ben draft 0"]


@pytest.mark.parametrize("by", ["tag", "q", "both"])
def test_who_sees_what(stack, admin, shelf, by):
    query = {"tag": f"tag={shelf['tag']}", "q": f"q={shelf['word']}", "both": f"tag={shelf['tag']}&q={shelf['word']}"}[by]
    nobody, ann, ben = stack.client(), shelf["ann"], shelf["ben"]
    assert titles(nobody, query) == BEN_PUBLIC + ANN_PUBLIC
    assert titles(ann, query) == BEN_PUBLIC + ANN_DRAFT + ANN_PUBLIC
    assert titles(admin, query) == BEN_DRAFT + BEN_PUBLIC + ANN_DRAFT + ANN_PUBLIC
    for client, drafts in (nobody, []), (ann, ANN_DRAFT), (admin, BEN_DRAFT + ANN_DRAFT):
        assert titles(client, query + "&status=draft") == drafts
        assert titles(client, query + "&status=published") == BEN_PUBLIC + ANN_PUBLIC
    of_ann, of_ben = f"{query}&author={shelf['ann_id']}", f"{query}&author={shelf['ben_id']}"
    assert titles(nobody, of_ann) == titles(ben, of_ann) == ANN_PUBLIC
    assert titles(ann, of_ann) == titles(admin, of_ann) == ANN_DRAFT + ANN_PUBLIC
    assert titles(ann, of_ben) == BEN_PUBLIC and titles(ann, of_ben + "&status=draft") == []
    assert titles(ann, of_ann + "&status=draft") == ANN_DRAFT
    # In pages of one.
    found, path = [], f"/api/articles?limit=1&{query}"
    while path:
        page = ann.get(path)
        found += [item["title"] for item in page.json["items"]]
        link = page.headers.get("link")
        assert (link is None) == (page.json["next"] is None)
        path = link and link.split(">")[0].lstrip("<")
    assert found == BEN_PUBLIC + ANN_DRAFT + ANN_PUBLIC


def test_words(stack, shelf):
    nobody, word = stack.client(), shelf["word"]
    assert titles(nobody, f"q={word}+quokka") == titles(nobody, f"q={word.upper()}+QUOKKA") == BEN_PUBLIC + ANN_PUBLIC
    assert titles(nobody, f"q={word}+quok") == BEN_PUBLIC + ANN_PUBLIC  # the beginning of a word
    assert titles(nobody, f"q={word}+gr%C3%B6sse") == titles(nobody, f"q={word}+GRO%CC%88SSE") == BEN_PUBLIC + ANN_PUBLIC
    assert titles(nobody, f"q={word}+naive") == BEN_PUBLIC + ANN_PUBLIC and titles(nobody, f"q={word}+ete") == BEN_PUBLIC + ANN_PUBLIC
    assert titles(nobody, f"q={word}+wombat") == []
    assert titles(nobody, f"q={word}+%2B%2D%3C%3E%28%29%7E%2A%22%40+quokka") == BEN_PUBLIC + ANN_PUBLIC  # operators are none
    assert titles(shelf["ann"], f"q={word}+ETE&status=draft") == ANN_DRAFT
    for bad in "", "+++", "%22%2A", "a+" * 9, "x" * 201:
        nobody.get(f"/api/articles?q={bad}").problem(422)


@pytest.mark.parametrize("query", ["status=deleted", "status=", "author=x", "author=", "tag=", "limit=0", "limit=020",
                                   "cursor=!!!!", "tag=" + "x" * 201])
def test_bad_queries(admin, query):
    problem = admin.get(f"/api/articles?{query}").problem(422)
    assert problem["errors"][0]["pointer"] == "?" + query.split("=")[0]


@pytest.mark.parametrize("query", ["cursor=%00", "tag=%FF", "nothing=%zz", "%C3=1"])
def test_queries_that_are_no_text(admin, query):
    admin.get(f"/api/articles?{query}").problem(400)


def test_the_next_page_is_one_link(admin):
    answer = admin.get('/api/articles?limit=1&x=>;rel="stylesheet",</evil&y=%3E')
    assert re.fullmatch(r'</api/articles\?limit=1&x=%3E;rel=%22stylesheet%22,%3C/evil&y=%3E&cursor=[\w-]+>; rel="next"',
                        answer.headers["link"])


def test_search_follows_changes(stack, admin):
    nobody, word = stack.client(), f"zebra{stack.head}"
    made = admin.article("Followed", content=f"A {word} here.")
    assert titles(nobody, f"q={word}") == ["Followed"]
    changed = admin.call("PATCH", made.headers["location"], {"content": f"An {word}other."}, headers={"If-Match": "*"})
    assert titles(nobody, f"q={word}other") == ["Followed"]
    changed = admin.post(made.headers["location"] + "/unpublish", headers={"If-Match": changed.headers["etag"]})
    assert titles(nobody, f"q={word}") == [] and titles(admin, f"q={word}") == ["Followed"]
    changed = admin.post(made.headers["location"] + "/publish", headers={"If-Match": changed.headers["etag"]})
    assert titles(nobody, f"q={word}") == ["Followed"]
    admin.call("DELETE", made.headers["location"], headers={"If-Match": changed.headers["etag"]})
    assert titles(nobody, f"q={word}") == titles(admin, f"q={word}") == []


def test_revisions(stack, admin):
    ann, ben, nobody = stack.user("ann"), stack.user("ben"), stack.client()
    made = ann.article("One", publish=False, content="a\nb\nc", tags=["t"])
    where = made.headers["location"]
    second = ann.call("PATCH", where, {"content": "a\nB\nc"}, headers={"If-Match": made.headers["etag"]})
    public = ann.post(where + "/publish", headers={"If-Match": second.headers["etag"]})
    third = admin.call("PATCH", where, {"title": "Three"}, headers={"If-Match": public.headers["etag"]})
    down = ann.post(where + "/unpublish", headers={"If-Match": third.headers["etag"]})
    nobody.get(where + "/revisions").problem(404)
    fourth = ann.call("PATCH", where, {"title": "Four"}, headers={"If-Match": down.headers["etag"]})
    ann.post(where + "/publish", headers={"If-Match": fourth.headers["etag"]})
    fifth = ann.call("PATCH", where, {"title": "Five"}, headers={"If-Match": "*"})
    all_of = [(5, fifth), (4, fourth), (3, third), (2, second), (1, made)]
    for client, numbers in (ann, [5, 4, 3, 2, 1]), (admin, [5, 4, 3, 2, 1]), (ben, [5, 4, 3, 2]), (nobody, [5, 4, 3, 2]):
        items = client.get(where + "/revisions").json["items"]
        assert [item["revision"] for item in items] == numbers
        for number, answer in all_of:
            one = client.get(f"{where}/revisions/{number}")
            assert (one.status == 200) == (number in numbers), (number, one.status)
            if one.status == 200:
                for name in "title", "subtitle", "lead", "content", "tags":
                    assert one.json[name] == answer.json[name]
                assert one.json["version"] == answer.json["version"] and one.json["created_at"] == answer.json["updated_at"]
        pages, path = [], f"{where}/revisions?limit=2"
        while path:
            page = client.get(path)
            pages += [item["revision"] for item in page.json["items"]]
            link = page.headers.get("link")
            path = link and link.split(">")[0].lstrip("<")
        assert pages == numbers
    names = {item["revision"]: item["author"] and item["author"]["username"] for item in ann.get(where + "/revisions").json["items"]}
    assert names == {5: "ann", 4: "ann", 3: "admin", 2: "ann", 1: "ann"}
    assert nobody.get(where + "/revisions/3").json["author"] is None  # who edited is not for everybody
    diff = ann.get(where + "/revisions/2/diff").json
    assert diff["from"] == 1 and diff["to"] == 2
    assert diff["diff"].splitlines()[:2] == ["--- revision-1", "+++ revision-2"]
    assert "-b" in diff["diff"].splitlines() and "+B" in diff["diff"].splitlines()
    assert "+title: Five" in ann.get(where + "/revisions/5/diff?with=1").json["diff"]
    assert ann.get(where + "/revisions/2/diff?with=2").json["diff"] == ""
    nobody.get(where + "/revisions/2/diff").problem(404)  # against a draft that was never public
    assert "-title: Four" in nobody.get(where + "/revisions/5/diff").json["diff"]


def test_many_revisions(admin):
    made = admin.article("Often", publish=False)
    where = made.headers["location"]
    for number in range(60):
        assert admin.call("PATCH", where, {"lead": str(number)}, headers={"If-Match": "*"}).status == 200
    assert admin.get(f"{where}/revisions/31").json["lead"] == "29"
    first = admin.get(f"{where}/revisions?limit=40").json
    assert [item["revision"] for item in first["items"]] == list(range(61, 21, -1)) and first["next"]


def test_feed(stack, admin):
    odd = "A < B & \"C\" ]]> \x01 \ufffe é 😀"
    made = admin.article(odd, lead="l & m", content="*x* & <b>")
    answer = stack.client().get("/feed.atom")
    assert answer.status == 200 and answer.headers["content-type"] == "application/atom+xml; charset=utf-8"
    feed = ElementTree.fromstring(answer.body)
    entries = feed.findall(f"{ATOM}entry")
    assert 1 <= len(entries) <= 20 and feed.find(f"{ATOM}title").text == "Courant"
    entry = entries[0]
    assert entry.find(f"{ATOM}id").text == f"urn:uuid:{made.json['id']}"
    assert entry.find(f"{ATOM}title").text == odd.replace("\x01", "").replace("\ufffe", "")
    assert entry.find(f"{ATOM}content").text == made.json["html"] and entry.find(f"{ATOM}summary").text == "l & m"
    assert entry.find(f"{ATOM}author/{ATOM}name").text == "admin"
    assert entry.find(f"{ATOM}published").text == made.json["published_at"]
    assert entry.find(f"{ATOM}link").get("href") == f"{stack.env['COURANT_URL']}/api/articles/{made.json['id']}"
    stamps = [one.find(f"{ATOM}published").text for one in entries]
    assert stamps == sorted(stamps, reverse=True)
    late = admin.article("Published late", publish=False)
    admin.article("In between")
    admin.post(late.headers["location"] + "/publish", headers={"If-Match": "*"})
    first = ElementTree.fromstring(stack.client().get("/feed.atom").body).find(f"{ATOM}entry")
    assert first.find(f"{ATOM}title").text == "Published late"
    forged = stack.client().get("/feed.atom", headers={"Host": "a\"><b"})
    assert b"<b" not in forged.body
