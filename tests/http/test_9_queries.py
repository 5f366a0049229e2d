"""No query looks at more than its answer: EXPLAIN of every statement that the workers send while all of it is used."""

import json
import os
import re
import subprocess

import pytest

from test_4_accounts import Person


@pytest.fixture(scope="module")
def many(stack, admin):
    """Enough rows that an index is worth it to the optimizer."""
    if int(stack.sql("SELECT COUNT(*) FROM articles")[0][0]) < 5000:
        subprocess.run([os.environ["COURANT_TEST_WRITERS"], stack.env["COURANT_CONFIG"], "8", "700"], check=True, capture_output=True)
    for number in range(150):
        admin.article(f"Explained {number}", publish=number % 3 > 0, tags=["explained", f"n{number % 7}"])
    root(stack, "ANALYZE TABLE articles, articles_tags, articles_search, events, users, commands, sessions, refresh_tokens, api_tokens")


def root(stack, text, database=None):
    done = subprocess.run(["mariadb", "--no-defaults", "-S", stack.env["COURANT_DB_SOCKET"], "-uroot", "-N", "-B", "--raw",
                           database or stack.env["COURANT_DB_NAME"], "-e", text], capture_output=True, text=True, errors="replace")
    assert done.returncode == 0, done.stderr
    return [line for line in done.stdout.split("\n") if line]


def use_everything(stack, admin):
    me, nobody, ann = admin.get("/api/auth").json["id"], stack.client(), stack.user("ann")
    made = admin.article("To be read", tags=["explained"])
    where = made.headers["location"]
    for client in nobody, ann, admin:
        for query in ("", "tag=explained", "q=explained", "q=explained&tag=n1", "status=draft", "status=published", "status=draft&q=ex",
                      f"author={me}", f"author={me}&tag=explained", f"author={me}&status=draft", f"author={me}&q=read",
                      "status=draft&tag=explained", "limit=2"):
            page = client.get(f"/api/articles?{query}")
            assert page.status == 200
            if page.json["next"]:
                assert client.get(page.headers["link"].split(">")[0].lstrip("<")).status == 200
        for path in ("", "?version=2", "?at=2100-01-01T00:00:00Z", "/revisions", "/revisions/1", "/revisions/1/diff"):
            client.get(where + path)
        client.get(f"/api/articles/{made.json['slug']}")
        client.get("/feed.atom")
    times = "from=2026-01-01T00:00:00Z&to=2100-01-01T00:00:00Z"
    for query in ("", "after=9", "type=article.deleted", times, f"stream=article-{made.json['id']}", f"user={me}", f"user={me}&type=article.deleted",
                  f"stream=article-{made.json['id']}&after=9&type=article.created&user={me}&{times}"):
        assert admin.get(f"/api/events?{query}").status == 200
    key = {"Idempotency-Key": f"explained-{made.json['id']}"}
    changed = admin.call("PATCH", where, {"lead": "l", "tags": ["other"]}, headers={"If-Match": made.headers["etag"], **key})
    changed = admin.post(where + "/revisions/1/restore", headers={"If-Match": changed.headers["etag"]})
    changed = admin.post(where + "/unpublish", headers={"If-Match": changed.headers["etag"]})
    changed = admin.post(where + "/publish", headers={"If-Match": changed.headers["etag"]})
    assert admin.call("DELETE", where, headers={"If-Match": changed.headers["etag"]}).status == 204
    use_accounts(stack, admin)
    admin.article("Explained again", publish=False)
    assert nobody.get("/readyz").status == 200


def use_accounts(stack, admin):
    for number in range(30):
        person = Person(stack, f"exp{number}x")
    again = person.another()
    assert stack.client().post("/api/auth/refresh", {"refresh_token": again.refresh}).status == 200
    assert stack.client().post("/api/auth/refresh", {"refresh_token": again.refresh}).status == 401
    made = person.client.post("/api/auth/tokens", {"name": "t", "scopes": ["read"]}).json
    assert stack.client(made["token"]).get("/api/auth").status == 200
    for path in "/api/auth", "/api/auth/sessions", "/api/auth/tokens", person.where:
        assert person.client.get(path).status == 200
    session = [item["id"] for item in person.client.get("/api/auth/sessions").json["items"] if not item["current"]]
    for path in [f"/api/auth/sessions/{id}" for id in session] + [f"/api/auth/tokens/{made['id']}"]:
        assert person.client.call("DELETE", path).status == 204
    name = f"exp{stack.head}"
    assert person.client.call("PUT", person.where, {"username": name, "email": f"{name}@example.org"}).status == 200
    assert admin.call("PUT", person.where + "/password", {"password": "long enough"}).status == 200
    assert admin.call("PUT", person.where + "/permissions", {"permissions": ["audit_read"]}).status == 200
    assert admin.call("DELETE", person.where).status == 204


def statements(text):
    """The SELECTs, UPDATEs and DELETEs of a statement; those within a compound one each for itself."""
    if not text.startswith("BEGIN NOT ATOMIC"):
        return [text] if re.match(r"(SELECT|UPDATE|DELETE|INSERT)\b", text) else []
    parts = re.split(r";\s*", text)
    return [part for part in parts if re.match(r"(SELECT|UPDATE|DELETE)\b", part) and "@" not in part and not re.search(r"\bINTO p\b", part)]


def test_no_query_scans(stack, admin, many):
    root(stack, "SET GLOBAL log_output = 'TABLE'; TRUNCATE mysql.general_log; SET GLOBAL general_log = ON", "mysql")
    try:
        use_everything(stack, admin)
    finally:
        root(stack, "SET GLOBAL general_log = OFF", "mysql")
    logged = root(stack, "SELECT DISTINCT REPLACE(argument, '\\n', ' ') FROM mysql.general_log WHERE command_type = 'Execute' "
                         "AND user_host LIKE 'courant%'", "mysql")
    root(stack, "TRUNCATE mysql.general_log", "mysql")
    seen, faults = {}, []
    for text in logged:
        for statement in statements(text):
            # The log has the values of most executions, not of all.
            statement = re.sub(r"\bLIMIT \?", "LIMIT 20", re.sub(r"\b(version\s*(?:=|<|>|<=|>=)) \?", r"\1 3", statement))
            statement = re.sub(r"(?<![\w'])\?(?![\w'])", "'x'", statement)
            # Hashes, as bytes: any of them will do.
            statement = re.sub(r"'(?:[^'\\]|\\.|'')*'", lambda text: text[0] if text[0].isprintable() and "\\" not in text[0] else "'x'",
                               statement)
            form = re.sub(r"'(?:[^'\\]|\\.|'')*'|\b\d+\b", "?", statement)
            seen.setdefault(form, statement)
    for form, statement in seen.items():
        if re.search(r"\b(log_head|log_fence|schema_migrations|GET_LOCK|rebuilds|signing_keys)\b", form) and " articles" not in form:
            continue  # of one row, or a handful
        plan = json.loads("".join(root(stack, f"EXPLAIN FORMAT=JSON {statement}")), strict=False)
        for table in tables(plan):
            name, access = table.get("table_name", ""), table.get("access_type")
            if access in ("ALL", "index") and not name.startswith("<") and name not in ("one", "found", "log_head", "schema_migrations"):
                faults.append(f"{access} of {name}: {form[:300]}")
    assert len(seen) > 30 and any("MATCH" in form for form in seen) and any("UNION" in form for form in seen)
    assert faults == [], "\n".join(faults)


def tables(plan):
    if isinstance(plan, dict):
        if "table_name" in plan:
            yield plan
        for value in plan.values():
            yield from tables(value)
    elif isinstance(plan, list):
        for value in plan:
            yield from tables(value)
