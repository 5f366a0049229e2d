"""Lists, tags, search, revisions and the feed: what each reader finds, and what not."""

import re
import time
import urllib.parse
import xml.etree.ElementTree as ElementTree

import pytest

from courant import Session, until
from test_4_accounts import Person

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
    for bad in "", "+++", "%22%2A", "_", "a+" * 9, "x" * 201:
        nobody.get(f"/api/articles?q={bad}").problem(422)


def test_a_search_has_an_end(stack, shelf):
    """However long it would take."""
    with Session(stack) as session:
        session.run("LOCK TABLES articles_search WRITE")
        began = time.monotonic()
        stack.client().get(f"/api/articles?q={shelf['word']}").problem(503)
        assert time.monotonic() - began < 8
        session.run("UNLOCK TABLES")
    assert titles(stack.client(), f"q={shelf['word']}") == BEN_PUBLIC + ANN_PUBLIC


LONG = "donaudampfschifffahrtselektrizitätenhauptbetriebswerkbauunterbeamtengesellschaftsvorsitzender"
HARD = {
    "AI": "AI is the state of the art, _really_.",
    "École": "Près de l\u2019école de snake_case.",
    "Long": f"Ein {LONG}.",
    "Tokyo": "私は東京都に住んでいます。デ\u30fcタ",
    "Siam": "ประเทศไทยมหาวิทยาลัย",
    "Mixed": "MariaDB入門とGalera活用、𠮷野家で",
    "Marks": "か\u3099っこう, e\u0301t",
    # Letters since Unicode 5.0, of which the database's FULLTEXT knows nothing.
    "New": "ဒါက မြန်မာစာ ဖြစ်ပါတယ်. ഞാൻ അവർ വരും. ॲप. HAUPTSTRAẞE. ᏣᎳᎩ ꭰꭹꮝꭹ. Გამარჯობა x\u06dey",
}
HARD_FINDS = [
    ("AI", ["AI"]), ("ai is of", ["AI"]), ("state of the art", ["AI"]), ("ai xy", []), ("real", ["AI"]), ("really", ["AI"]),
    ("L\u2019ÉCOLE", ["École"]), ("l'ecole de", ["École"]), ("case", ["École"]), ("snake_case", ["École"]),
    (LONG, ["Long"]), (LONG.upper(), ["Long"]), (LONG[:81], ["Long"]), (LONG[:40], ["Long"]), (LONG[1:], []),
    ("東京", ["Tokyo"]), ("東京都", ["Tokyo"]), ("京都", ["Tokyo"]), ("都", ["Tokyo"]), ("住んでいます", ["Tokyo"]), ("す", ["Tokyo"]),
    ("都京", []), ("データ", ["Tokyo"]), ("東京 住ん", ["Tokyo"]), ("私は東京都に住んでいます", ["Tokyo"]),
    ("ไทย", ["Siam"]), ("มหาวิทยาลัย", ["Siam"]), ("ยไท", []),
    ("入門", ["Mixed"]), ("galera", ["Mixed"]), ("mariadb", ["Mixed"]), ("Galera活用", ["Mixed"]), ("𠮷野家", ["Mixed"]), ("𠮷", ["Mixed"]), ("野", ["Mixed"]),
    ("မြန်မာ", ["New"]), ("ဖြစ်ပါတယ်", ["New"]), ("മြ", []), ("ഞാൻ", ["New"]), ("അവർ ഞാൻ", ["New"]), ("ॲप", ["New"]), ("hauptstraße", ["New"]),
    ("HAUPTSTRAẞE", ["New"]), ("hauptstra", ["New"]), ("ᏣᎳᎩ", ["New"]), ("ꮳꮃꭹ", ["New"]), ("ᎠᎩᏍᎩ", ["New"]), ("ꭰꭹꮝ", ["New"]),
    ("გამარჯობა", ["New"]), ("ᲒᲐᲛᲐᲠᲯᲝᲑᲐ", ["New"]), ("x y", ["New"]),
    ("がっこう", ["Marks"]), ("か\u3099っこう", ["Marks"]), ("ét", ["Marks"]),
]


@pytest.fixture(scope="module")
def hard(stack):
    """Words that FULLTEXT does not index, each in an article that is published and in a draft."""
    ann, tag = stack.user("ann"), f"hard-{stack.head}"
    for publish in True, False:
        for title, content in HARD.items():
            ann.article("-", lead=title, content=content, publish=publish, tags=[tag])
    return {"tag": tag, "ann": ann, "ann_id": ann.get("/api/auth").json["id"]}


@pytest.mark.parametrize("text,found", HARD_FINDS)
def test_words_that_are_not_indexed(stack, hard, text, found):
    def leads(query):
        answer = stack.client().get(f"/api/articles?limit=100&q={urllib.parse.quote(text)}&{query}")
        assert answer.status == 200, answer.body
        return [item["lead"] for item in answer.json["items"]]

    assert leads(f"tag={hard['tag']}") == found
    assert leads(f"author={hard['ann_id']}&tag={hard['tag']}&status=published") == found
    assert leads("tag=none") == leads(f"tag={hard['tag']}&status=draft") == []


def test_short_words_in_pages(stack, hard):
    ann, tag = hard["ann"], hard["tag"]
    for query, count in ("q=AI", 2), ("q=%E6%9D%B1%E4%BA%AC", 2), ("q=AI&status=draft", 1), (f"q=AI&author={hard['ann_id']}", 2):
        found, path = [], f"/api/articles?limit=1&tag={tag}&{query}"
        while path:
            page = ann.get(path)
            found += [(item["lead"], item["status"]) for item in page.json["items"]]
            link = page.headers.get("link")
            path = link and link.split(">")[0].lstrip("<")
        assert len(found) == len(set(found)) == count and len({lead for lead, _ in found}) == 1


def test_short_words_follow_changes(stack, admin):
    nobody, tag = stack.client(), f"short-{stack.head}"
    made = admin.article("Short", content="An ox.", tags=[tag])
    where = made.headers["location"]
    assert titles(nobody, f"tag={tag}&q=ox") == ["Short"]
    admin.call("PATCH", where, {"content": "A 東京都."}, headers={"If-Match": "*"})
    assert titles(nobody, f"tag={tag}&q=ox") == [] and titles(nobody, f"tag={tag}&q=%E4%BA%AC%E9%83%BD") == ["Short"]
    admin.post(where + "/unpublish", headers={"If-Match": "*"})
    assert titles(nobody, f"tag={tag}&q=a") == [] and titles(admin, f"tag={tag}&q=a") == ["Short"]
    admin.post(where + "/publish", headers={"If-Match": "*"})
    assert titles(nobody, f"tag={tag}&q=a") == ["Short"]


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


def test_tags_that_differ_by_a_space(stack, admin):
    tag = f"space-{stack.head}"
    one, two = (admin.article(title, tags=tags) for title, tags in (("One", [tag, f"{tag} "]), ("Two", [f"{tag} "])))
    assert (one.status, two.status) == (201, 201)
    assert titles(admin, f"tag={tag}") == ["One"] and titles(admin, f"tag={tag}%20") == ["Two", "One"]


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
                # For others the second and the fourth came with the publishing after them.
                since = answer.json["version"] + (number in (2, 4) and client in (ben, nobody))
                assert one.json["version"] == since and one.json["created_at"] == answer.json["updated_at"]
                then = client.get(f"{where}?version={since}")
                assert then.status == 200 and then.json["content"] == one.json["content"]
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
    assert nobody.get(where + "/revisions/2/diff").json["from"] == 0  # what was before was never public
    nobody.get(where + "/revisions/2/diff?with=1").problem(404)
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


def test_what_is_remembered_is_never_old(stack, admin):
    """Workers remember what anybody sees; after each change every one of them shows it, whoever made it."""
    person = Person(stack, "rem")
    tag, path = f"rem{stack.head}", "/api/articles/nothing"
    clients = [stack.client() for _ in range(40)]  # some for each worker

    def everywhere(expected):
        end = time.monotonic() + 1.5  # a worker remembers only while the log stands still: for a second
        while time.monotonic() < end:
            for client in clients:
                page = client.get(f"/api/articles?tag={tag}&limit=5")
                assert [(item["title"], item["author"]["username"]) for item in page.json["items"]] == expected
                assert page.position >= stack_head and page.headers["cache-control"] == "no-cache"
                one = client.get(path, headers={"If-None-Match": '"v1"'})
                assert one.status in (404, 410) if expected == [] else one.json["title"] == expected[0][0], one.body
                assert one.position >= stack_head
                if expected:
                    assert one.json["author"]["username"] == expected[0][1]
                    assert client.get(path, headers={"If-None-Match": one.headers["etag"]}).status == 304 or expected[0][1] != person.name

    stack_head = stack.head
    everywhere([])
    made = person.client.article("One", tags=[tag])
    stack_head, path = made.position, f"/api/articles/{made.json['id']}"
    everywhere([("One", person.name)])
    changed = person.client.call("PATCH", f"/api/articles/{made.json['id']}", {"title": "Two"}, {
        "Content-Type": "application/merge-patch+json", "If-Match": made.headers["etag"]})
    everywhere([("Two", person.name)])
    user = person.client.get(f"/api/users/{person.id}")
    name = f"{person.name}x"
    assert person.client.call("PUT", f"/api/users/{person.id}", {"username": name, "email": f"{name}@example.org"},
                              {"If-Match": user.headers["etag"]}).status == 200
    everywhere([("Two", name)])
    hidden = person.client.post(f"{path}/unpublish", headers={"If-Match": changed.headers["etag"]})
    everywhere([])
    assert [item["title"] for item in person.client.get(f"/api/articles?tag={tag}&limit=5").json["items"]] == ["Two"]
    everywhere([])
    shown = person.client.post(f"{path}/publish", headers={"If-Match": hidden.headers["etag"]})
    everywhere([("Two", name)])
    assert stack.ctl("user", "erase", name).returncode == 0
    # What others than the pool write is known to it within a twentieth of a second.
    until(lambda: clients[0].get(path).json["author"]["username"] is None, what="the erasure")
    everywhere([("Two", None)])
    # A row that is not what the log says is remembered too; not beyond the rebuild that makes it good.
    stack.sql(f"UPDATE articles SET summary = REPLACE(summary, 'Two', 'Forged') WHERE id = '{made.json['id']}'")
    admin.article("Another")
    everywhere([("Forged", None)])
    assert stack.ctl("rebuild", "--force", "articles").returncode == 0
    until(lambda: clients[0].get(path).json["title"] == "Two", what="the rebuild")
    everywhere([("Two", None)])
    assert admin.call("DELETE", path, headers={"If-Match": shown.headers["etag"]}).status == 204
    everywhere([])
