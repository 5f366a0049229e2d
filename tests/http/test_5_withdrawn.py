"""What was published and is no longer: replays show it to whom drafts are shown, from memory and from the log alike."""

import http.client
import os
import re
import subprocess

import pytest

from courant import ROOT, Stream, until

CONTENT = ["article.created", "article.revision_created"]
CHANGED = ["article.updated", "article.revision_created"]


def member(stack, admin, *permissions):
    name = f"w{os.urandom(6).hex()}"
    answer = admin.post("/api/commands/register_user", {"username": name, "email": f"{name}@example.org",
                                                        "password": f"password of {name}", "permissions": list(permissions)})
    assert answer.status == 201, answer.body
    return stack.client(stack.log_in(name, f"password of {name}").json["access_token"])


@pytest.fixture(scope="module")
def readers(stack, admin):
    """Those who see no drafts, and those who do; the author is the last."""
    return ([stack.client(), member(stack, admin), member(stack, admin, "article_delete_any")],
            [member(stack, admin, "article_edit_any"), member(stack, admin, "audit_read"), member(stack, admin)])


def from_memory(stack, admin):
    pass


def from_the_log(stack, admin):
    """More than the hub's 1 MB holds: each of these takes some 20 kB of it."""
    for _ in range(70):
        last = admin.article("Much more", content="x" * 10000).position
    stream = Stream(stack, f"/events?after={last - 1}")
    stream.wait_for(last)
    stream.close()


def from_the_log_of_a_new_notifier(stack, admin):
    stack.dev("stop", "notifier")
    stack.dev("start", "notifier")


@pytest.fixture(params=[from_memory, from_the_log, from_the_log_of_a_new_notifier], ids=lambda wait: wait.__name__)
def wait(request, stack, admin):
    return lambda: request.param(stack, admin)


def types(stack, reader, after, upto, article, header=False):
    path, headers = ("/events", {"Last-Event-ID": str(after)}) if header else (f"/events?after={after}", None)
    stream = Stream(stack, path, reader.token, headers)
    stream.wait_for(upto, 60)
    stream.close()
    ids = [id for id in stream.ids if id <= upto]
    assert ids == sorted(set(ids))
    return [name for id, name, data in stream.events if id <= upto and data["stream"] == f"article-{article['id']}"]


def check(stack, admin, readers, after, article, others, insiders):
    """What a replay brings of the article to those who see no drafts, and to those who do."""
    upto = admin.article("And live").position
    for expected, some in zip((others, insiders), readers):
        for reader in some:
            for header in False, True:
                assert types(stack, reader, after, upto, article, header) == expected


def command(client, name, article, **payload):
    return client.post(f"/api/commands/{name}", {"id": article["id"], **payload},
                       headers={"If-Match": f'"v{article["version"]}"'})


def done(client, name, article, **payload):
    answer = command(client, name, article, **payload)
    assert answer.status == 200, answer.body
    return answer.json


def test_unpublished_and_published_again(stack, admin, readers, wait):
    author, after = readers[1][-1], stack.head
    article = author.article("Published too early", content="What nobody was to know yet.").json
    article = done(author, "update_article", article, title="Published too early", content="Still not.")
    seen = [*CONTENT, "article.published", *CHANGED]
    wait()
    check(stack, admin, readers, after, article, seen, seen)

    article = done(author, "unpublish_article", article)
    article = done(author, "update_article", article, title="A draft again", content="Corrected.")
    wait()
    check(stack, admin, readers, after, article, ["article.unpublished"], [*seen, "article.unpublished", *CHANGED])

    article = done(author, "publish_article", article)
    wait()
    check(stack, admin, readers, after, article, [*seen, "article.unpublished", "article.published"],
          [*seen, "article.unpublished", *CHANGED, "article.published"])


def test_deleted(stack, admin, readers, wait):
    author, after = readers[1][-1], stack.head
    public = author.article("Deleted in public").json
    draft = author.article("Deleted as a draft").json
    other = author.article("Stays").json
    draft = done(author, "unpublish_article", draft)
    for article in public, draft:
        assert command(author, "delete_article", article).status in (200, 204)
    wait()
    seen = [*CONTENT, "article.published"]
    check(stack, admin, readers, after, public, ["article.deleted"], [*seen, "article.deleted"])
    check(stack, admin, readers, after, draft, ["article.unpublished"], [*seen, "article.unpublished", "article.deleted"])
    check(stack, admin, readers, after, other, seen, seen)


def test_a_draft_that_never_was_public_stays_one(stack, admin, readers, wait):
    author, after = readers[1][-1], stack.head
    article = author.article("Written as a draft", publish=False).json
    article = done(author, "publish_article", article)
    wait()
    check(stack, admin, readers, after, article, ["article.published"], [*CONTENT, "article.published"])


def test_who_follows_live_has_seen_it(stack, admin, readers):
    author, stream = readers[1][-1], Stream(stack)
    article = author.article("Seen while it was there").json
    stream.wait_for(stack.head)
    done(author, "unpublish_article", article)
    stream.wait_for(stack.head)
    stream.close()
    assert [name for _, name, data in stream.events if data["stream"] == f"article-{article['id']}"] == [
        *CONTENT, "article.published", "article.unpublished"]


def test_an_audience_of_before_that_names_nobody(stack, admin, readers):
    """Older logs have «public» alone: when it does not count, audit_read is left."""
    editor, auditor, author = readers[1]
    after = stack.head
    article = author.article("Of an older log").json
    # Only the notifier reads it so, for the bus is away: the digest does not fit it, and it is put back.
    stack.dev("stop", "notifier")
    stack.dev("stop", "nats")
    where = f"WHERE stream = 'article-{article['id']}'"
    before = stack.sql(f"SELECT position, audience FROM events {where}")
    stack.sql(f"UPDATE events SET audience = 'public' {where}")
    done(author, "unpublish_article", article)
    try:
        stack.dev("start", "notifier")
        upto = admin.article("And live").position
        seen = {reader: types(stack, reader, after, upto, article) for reader in (stack.client(), editor, author, auditor)}
    finally:
        for position, audience in before:
            stack.sql(f"UPDATE events SET audience = '{audience}' WHERE position = {position}")
        stack.dev("start", "nats")
    until(lambda: stack.bus_last == stack.head, what="the bus")
    withheld = ["article.unpublished"]
    assert list(seen.values()) == [withheld, withheld, withheld, [*CONTENT, "article.published", *withheld]]
    assert "clean" in stack.verify()


def test_no_answer_of_the_database_is_no_leak(stack, admin, readers):
    """A notifier that cannot read what is withdrawn sends nothing; when it can, all of it that is to be seen."""
    author, after = readers[1][-1], stack.head
    article = author.article("While the table is away").json
    article = done(author, "unpublish_article", article)
    upto = admin.article("Stays").position
    path, complaint = f"{stack.dir}/log/notifier.log", "cannot follow the log yet"
    stack.dev("stop", "notifier")
    before = open(path).read().count(complaint)
    stack.sql("RENAME TABLE articles TO articles_away")
    try:
        starting = subprocess.Popen([f"{ROOT}/dev", "start", "notifier"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        until(lambda: open(path).read().count(complaint) > before, 20, "the notifier's complaint")
        connection = http.client.HTTPConnection(stack.host, stack.port, timeout=10)
        connection.request("GET", f"/events?after={after}")
        answer = connection.getresponse()
        body = answer.read().decode()
        assert answer.status == 200 and re.fullmatch(r"retry: \d+\n\n", body), body
    finally:
        stack.sql("RENAME TABLE articles_away TO articles")
    assert starting.wait(30) == 0
    stream = Stream(stack, f"/events?after={after}")
    stream.wait_for(upto)
    stream.close()
    assert stream.ids == list(range(after + 4, upto + 1))
