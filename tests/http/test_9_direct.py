"""The switch [features]: rows written without events, then adopted into the log."""

import json
import os

import pytest

from courant import Stream, until
from test_4_accounts import Person, remembered
from test_4_keys import keys_kept  # noqa: F401, a fixture


@pytest.fixture
def mode(stack):
    """Calls set(**features) and restarts the workers with them; in the end everything is as it was."""
    path = os.path.join(stack.dir, "courant.local.conf")
    before = open(path).read()

    def set(**features):
        with open(path, "w") as file:
            file.write(before + "[features]\n" + "".join(f"{name} = {value}\n" for name, value in features.items()))
        stack.dev("up")

    yield set
    with open(path, "w") as file:
        file.write(before)
    stack.dev("up")
    stack.ctl("adopt")
    assert "clean" in stack.verify()


def update(client, article, title):
    return client.post("/api/commands/update_article", {"id": article["id"], "title": title, "content": "x"},
                       headers={"If-Match": f'"v{article["version"]}"'})


def events(stack, article):
    return [json.loads(line) for line in stack.ctl("events", "--stream", f"article-{article['id']}").stdout.splitlines()]


def rows(stack, *articles):
    return [stack.sql(f"SELECT * FROM articles WHERE id = '{article['id']}'") for article in articles]


def test_direct_then_adopted_then_rebuilt_are_the_same_rows(stack, admin, mode):
    logged = admin.article("Written with events", tags=["a", "b c"]).json
    mode(articles="direct")
    admin = stack.admin()
    assert "direct mode" in stack.ctl("rebuild", "articles").stderr
    head = stack.head
    created = admin.article("Written without <events> – 😀 \"quoted\" \\ /", publish=False, lead="l\nm").json
    public = admin.article("Public without events").json
    changed = update(admin, logged, "Changed without events")
    assert changed.status == 200 and changed.json["version"] == logged["version"] + 2
    created = update(admin, created, "Twice 😀").json
    assert stack.head == head and changed.position == head
    # The same answers as with events.
    for article in created, public, changed.json:
        assert admin.get(f"/api/articles/{article['id']}").json == article
    assert update(admin, logged, "Stale").status == 412
    done = stack.ctl("verify")
    assert done.returncode == 1 and "read model articles" in done.stdout
    before = rows(stack, created, public, logged)

    mode(articles="event")
    refused = update(stack.admin(), created, "Too early")
    assert refused.status == 503 and rows(stack, created, public, logged) == before
    # A rebuild would lose what only the rows hold.
    done = stack.ctl("rebuild")
    assert done.returncode == 1 and "courantctl adopt articles" in done.stderr, done.stdout + done.stderr
    assert rows(stack, created, public, logged) == before
    done = stack.ctl("adopt", "articles")
    assert done.returncode == 0 and "adopted  articles: 3 rows" in done.stdout, done.stdout + done.stderr
    assert "adopted  articles: 0 rows" in stack.ctl("adopt").stdout
    assert rows(stack, created, public, logged) == before
    assert "clean" in stack.verify()
    rebuilt = stack.ctl("rebuild")
    assert rebuilt.returncode == 0 and rebuilt.stdout.count(" 0 different") == 2
    assert rows(stack, created, public, logged) == before

    imported = events(stack, created)
    assert [(event["type"], event["version"]) for event in imported] == [("article.imported", created["version"])]
    assert imported[0]["metadata"]["source"] == "courantctl" and imported[0]["audience"].startswith("user:")
    assert events(stack, public)[0]["audience"].startswith("public user:")
    assert [event["version"] for event in events(stack, logged)] == [1, 2, 3, 5]
    # And on with events.
    after = update(stack.admin(), created, "With events again")
    assert after.status == 200 and stack.head == after.position
    assert stack.client().get(f"/api/articles/{logged['id']}?version=3").json["title"] == "Written with events"
    assert stack.client().get(f"/api/articles/{logged['id']}?version=5").json == changed.json
    assert stack.client().get(f"/api/articles/{logged['id']}?version=4").status == 404
    # What was adopted was so since it was written, also when there is more by now.
    assert update(stack.admin(), public, "Public with events").status == 200
    assert stack.client().get(f"/api/articles/{public['id']}?at={public['updated_at']}").json == public
    assert stack.client().get(f"/api/articles/{logged['id']}?at={changed.json['updated_at']}").json == changed.json


@pytest.mark.parametrize("when", ["direct", "event"])
def test_a_migration_derives_what_has_no_events(stack, admin, mode, when):
    """It cannot be rebuilt from the log; a rebuild of what the migration has changed would lose it."""
    mode(articles="direct")
    made = stack.admin().article("Derived again", content="some *words*").json
    before = rows(stack, made)
    mode(articles=when)
    stack.sql(f"UPDATE articles SET summary = '', rest = '', extra = 'x' WHERE id = '{made['id']}'; DELETE FROM articles_search WHERE id = '{made['id']}'; "
              "REPLACE INTO rebuilds (model, position, program) VALUES ('migration:articles', 0, ''), ('migration:users', 0, '')")
    done = stack.ctl("migrate")
    assert done.returncode == 0 and "derived  articles" in done.stdout and "users: " in done.stdout, done.stdout + done.stderr
    assert rows(stack, made) == before and stack.sql("SELECT COUNT(*) FROM rebuilds WHERE model LIKE 'migration%'") == [["0"]]
    assert stack.client().get(f"/api/articles/{made['id']}").json == made
    assert made["id"] in [item["id"] for item in stack.client().get("/api/articles?q=derived").json["items"]]


def test_a_migration_folds_what_has_events(stack, mode):
    """Also where others have none."""
    logged = Person(stack, "fol")
    assert stack.ctl("user", "grant", logged.name, "audit_read").returncode == 0
    mode(accounts="direct")
    unlogged = Person(stack, "fol")
    before = [stack.sql(f"SELECT * FROM users WHERE id = '{person.id}'") for person in (logged, unlogged)]
    stack.sql(f"UPDATE users SET renamed_at = updated_at WHERE id = '{logged.id}'; REPLACE INTO rebuilds (model, position, program) VALUES ('migration:users', 0, '')")
    done = stack.ctl("migrate")
    assert done.returncode == 0 and "derived  users" in done.stdout, done.stdout + done.stderr
    assert [stack.sql(f"SELECT * FROM users WHERE id = '{person.id}'") for person in (logged, unlogged)] == before


def test_a_row_that_cannot_be_adopted_keeps_no_other_back(stack, mode):
    mode(articles="direct")
    first, second = [stack.admin().article(f"Row {number}").json["id"] for number in range(2)]
    stack.sql(f"UPDATE articles SET summary = CONCAT(summary, ' ') WHERE id = '{first}'")
    done = stack.ctl("adopt", "articles")
    assert done.returncode == 1 and "adopted  articles: 1 row\n" in done.stdout
    assert f"article-{first}: no event can make what is in column summary" in done.stderr and "1 row was not adopted" in done.stderr
    assert events(stack, {"id": second})[0]["type"] == "article.imported"
    stack.sql(f"UPDATE articles SET summary = RTRIM(summary) WHERE id = '{first}'")


def test_idempotent_without_events(stack, mode):
    mode(articles="direct")
    admin, key = stack.admin(), {"Idempotency-Key": f"direct-{os.urandom(8).hex()}"}
    title = f"Once without events {key['Idempotency-Key']}"
    payload = {"title": title, "content": "x"}
    answers = [admin.post("/api/articles", payload, headers=key) for _ in range(3)]
    assert {answer.status for answer in answers} == {201} and len({answer.body for answer in answers}) == 1
    assert admin.post("/api/articles", {**payload, "title": "Another"}, headers=key).status == 422
    assert stack.sql(f"SELECT COUNT(*) FROM articles WHERE title = '{title}'") == [["1"]]


def test_accounts_without_events(stack, mode):
    mode(accounts="direct")
    name, head = f"direct{stack.head}", stack.head
    stack.user(name)
    assert stack.log_in(name, f"password of {name}").status == 200
    assert stack.head == head
    mode(accounts="event")
    done = stack.ctl("adopt", "users")
    assert done.returncode == 0 and "adopted  users:" in done.stdout
    assert "clean" in stack.verify()
    assert stack.log_in(name, f"password of {name}").status == 200
    assert "0 different" in stack.ctl("rebuild", "--check", "users").stdout


def test_sessions_end_streams_without_events(stack, mode, keys_kept):
    """No event tells of it: the notifier looks itself, and soon. (With events it does so once a minute, for keys.)"""
    name = f"ends{stack.head}"
    mode(accounts="direct")
    assert stack.ctl("user", "add", name, "--email", f"{name}@example.org", "--password-stdin", input="a password").returncode == 0
    logins = [stack.log_in(name, "a password").json for _ in range(3)]
    clients = [stack.client(login["access_token"]) for login in logins]
    made = clients[0].post("/api/auth/tokens", {"name": "n", "scopes": ["read"]}).json
    out, revoked, stays, token = [Stream(stack, token=each) for each in (*(client.token for client in clients), made["token"])]
    head = stack.head
    assert clients[0].post("/api/auth/logout").status == 204
    sessions = clients[2].get("/api/auth/sessions").json["items"]
    other = next(each["id"] for each in sessions if not each["current"])
    assert clients[2].call("DELETE", f"/api/auth/sessions/{other}").status == 204
    assert clients[2].call("DELETE", f"/api/auth/tokens/{made['id']}").status == 204
    for stream in out, revoked, token:
        assert stream.ended.wait(10), "it goes on"
        assert stream.frames[-1][1] == "session-expired"
    assert not stays.ended.is_set(), stays.frames
    assert stack.ctl("user", "grant", name, "audit_read").returncode == 0
    assert stays.ended.wait(10) and stays.frames[-1] == (None, None, None)  # retry: who it is goes on
    again = Stream(stack, token=clients[2].token)
    assert stack.ctl("key", "rotate", "--now").returncode == 0
    assert again.ended.wait(10) and again.frames[-1][1] == "session-expired"
    assert stack.head == head


def test_erasure_without_events(stack, mode):
    """In direct mode every answer is remembered for a while, with a key or without."""
    mode(accounts="direct", articles="direct")
    admin, person = stack.admin(), Person(stack, "dir")
    name, made = f"{person.name}b", person.client.article("Direct")
    assert person.client.call("PUT", person.where, {"username": name, "email": f"{name}@example.org"}, headers={"If-Match": "*"}).status == 200
    assert admin.call("PATCH", made.headers["location"], {"title": "u"}, headers={"If-Match": "*"}).json["author"]["username"] == name
    assert remembered(stack, person.name) != ["0"]
    assert admin.call("DELETE", person.where, headers={"If-Match": "*"}).status == 204
    assert remembered(stack, person.name) == ["0"]


def test_adopting_what_is_not_there(stack):
    done = stack.ctl("adopt", "nothing")
    assert done.returncode == 2 and "there is no read model nothing" in done.stderr


def test_a_mode_that_is_none(stack, tmp_path):
    path = tmp_path / "courant.conf"
    path.write_text(open(stack.env["COURANT_CONFIG"]).read() + "[features]\narticles = both\n")
    done = stack.ctl("verify", config=str(path))
    assert done.returncode != 0 and "features.articles" in done.stderr and "event direct" in done.stderr
