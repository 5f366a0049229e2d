"""No query looks at more than its answer: EXPLAIN of every statement that the workers send while all of it is used, and what
the server counts for pages."""

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
    root(stack, "INSERT IGNORE INTO commands (actor, idempotency_key, digest, event_id, status, headers, body, created_at) "
                "SELECT 'many', CONCAT('many-', position), digest, id, 204, '', '', UTC_TIMESTAMP(6) FROM events WHERE position <= 5000")
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
    assert stack.client().post("/api/auth/logout", {"refresh_token": person.another().refresh}).status == 204
    made = person.client.post("/api/auth/tokens", {"name": "t", "scopes": ["read"]}).json
    assert stack.client(made["token"]).get("/api/auth").status == 200
    for path in "/api/auth", "/api/auth/sessions", "/api/auth/tokens", person.where:
        assert person.client.get(path).status == 200
    session = [item["id"] for item in person.client.get("/api/auth/sessions").json["items"] if not item["current"]]
    for path in [f"/api/auth/sessions/{id}" for id in session] + [f"/api/auth/tokens/{made['id']}"]:
        assert person.client.call("DELETE", path).status == 204
    name, own = f"exp{stack.head}", {"password": "long enough", "current_password": person.password}
    assert person.client.call("PUT", person.where + "/password", own).status == 200
    assert admin.get(f"/api/auth/tokens?user={person.id}").status == 200
    out = admin.post("/api/auth/invitations", {}).json["id"]
    assert admin.get("/api/auth/invitations").status == 200 and admin.call("DELETE", f"/api/auth/invitations/{out}").status == 204
    assert person.client.call("PUT", person.where, {"username": name, "email": f"{name}@example.org"}, headers={"If-Match": "*"}).status == 200
    assert admin.call("PUT", person.where + "/password", {"password": "long enough"}).status == 200
    assert admin.call("PUT", person.where + "/permissions", {"permissions": ["audit_read"]}, headers={"If-Match": "*"}).status == 200
    assert admin.call("DELETE", person.where, headers={"If-Match": "*"}).status == 204


def statements(text):
    """The SELECTs, UPDATEs and DELETEs of a statement; those within a compound one each for itself."""
    text = re.sub(r"^SET STATEMENT max_statement_time = \d+ FOR ", "", text)
    if not text.startswith("BEGIN NOT ATOMIC"):
        return [text] if re.match(r"(SELECT|UPDATE|DELETE)\b", text) else []
    parts = re.split(r";\s*", text)
    return [part for part in parts if re.match(r"(SELECT|UPDATE|DELETE)\b", part) and "@" not in part and not re.search(r"\bINTO p\b|\bzrebuild_", part)]


# The rows of one user, which are all there at once: with values that do not exist the server looks at no table at all.
HERS = {"sessions": ["id", "user_id"], "refresh_tokens": ["hash", "session_id"], "api_tokens": ["id", "hash", "user_id"],
        "users": ["id", "username"], "credentials": ["user_id"], "seal_keys": ["id"], "commands": ["actor", "idempotency_key", "about"],
        "articles": ["id", "slug"], "articles_tags": ["id"], "articles_search": ["id"], "signing_keys": ["kid"],
        "invitations": ["id", "hash", "inviter"]}
# One, or a handful; of invitations as many as the administrator has out.
SOME_ROWS = {"signing_keys", "rebuilds", "schema_migrations", "log_head", "log_fence", "invitations"}
OPTIMIZED_AWAY = {"SELECT COALESCE(MAX(number), ?) FROM schema_migrations"}

# What the workers ask and change, by the tables that the plan has; one that is missing was not looked at.
EXPECTED = {
    "DELETE api_tokens", "DELETE articles_search", "DELETE articles_tags", "DELETE commands",
    "DELETE credentials", "DELETE refresh_tokens", "DELETE seal_keys", "DELETE sessions",
    "SELECT api_tokens", "SELECT api_tokens users", "SELECT articles", "SELECT articles articles_search",
    "SELECT articles articles_search articles_tags", "SELECT articles articles_tags", "SELECT articles users",
    "SELECT commands events", "SELECT credentials", "SELECT credentials users", "SELECT events", "SELECT log_head", "SELECT refresh_tokens", "SELECT refresh_tokens sessions", "SELECT refresh_tokens sessions users",
    "SELECT schema_migrations", "SELECT seal_keys", "SELECT sessions", "SELECT sessions signing_keys users", "SELECT signing_keys", "SELECT users",
    "UPDATE articles", "UPDATE credentials", "UPDATE log_fence", "UPDATE log_head", "UPDATE refresh_tokens", "UPDATE sessions", "UPDATE users"}


@pytest.fixture(scope="module")
def hers(stack, many):
    """Literals of what exists: {table: {column: literal}}."""
    person = Person(stack, "exp")
    made = person.client.post("/api/articles", {"title": "Hers", "content": "x", "tags": ["explained"], "publish": True},
                              headers={"Idempotency-Key": f"hers-{person.id}"})
    token = person.client.post("/api/auth/tokens", {"name": "n", "scopes": ["read"]})
    assert (made.status, token.status, stack.admin().post("/api/auth/invitations", {}).status) == (201, 201, 201)
    of_user = f"user_id = '{person.id}'"
    where = {"sessions": of_user, "api_tokens": of_user, "users": f"id = '{person.id}'", "credentials": of_user,
             "seal_keys": f"id = '{person.id}'", "commands": f"actor = '{person.id}'", "signing_keys": "TRUE", "invitations": "inviter IS NOT NULL",
             "refresh_tokens": f"session_id IN (SELECT id FROM sessions WHERE {of_user})",
             **dict.fromkeys(("articles", "articles_tags", "articles_search"), f"id = '{made.json['id']}'")}
    found = {}
    for table, columns in HERS.items():
        row = root(stack, f"SELECT {', '.join(f'HEX({column})' for column in columns)} FROM {table} WHERE {where[table]} LIMIT 1")[0]
        found[table] = {column: f"x'{value}'" if column == "hash" else f"'{bytes.fromhex(value).decode()}'"
                        for column, value in zip(columns, row.split("\t"))}
    return found


def names(statement):
    """{alias or table: table} of a statement."""
    found = {}
    for table, alias in re.findall(r"\b(?:FROM|JOIN|UPDATE) (\w+)(?: AS (\w+))?", statement):
        found[alias or table] = table
    return found


VALUE = r"(?:'(?:[^'\\]|\\.|'')*'|\?)"


def bound(statement, hers):
    """The statement with values of rows that exist: those of others may be gone by now, and the log has hashes as bytes."""
    tables = names(statement)
    # A name without an alias is of the first table of the query that it stands in.
    changed, _, where = statement.partition(" WHERE ") if statement.startswith("UPDATE") else ("", "", statement)
    last = []

    def value(match):
        whole, first, alias, column, operator = match[0], match[1], match[2], match[3], match[4]
        if first:
            last[:] = [first]
            return whole
        table = tables.get(alias) if alias else last[-1] if last else next(iter(tables.values()))
        literal = hers.get(table, {}).get(column)
        return f"{alias + '.' if alias else ''}{column} {operator} {literal if operator == '=' else f'({literal})'}" if literal else whole

    where = re.sub(rf"\bFROM (\w+)|\b(?:(\w+)\.)?(\w+) (=|IN) (?:{VALUE}|\({VALUE}(?:,\s*{VALUE})*\))", value, where)
    where = re.sub(r"\bLIMIT \?", "LIMIT 20", where)
    where = re.sub(r"(position|version|_at) (>=?) \?", lambda at: f"{at[1]} {at[2]} " + ("'2000-01-01'" if at[1] == "_at" else "0"), where)
    where = re.sub(r"(position|version|_at) (<=?) \?", lambda at: f"{at[1]} {at[2]} " + ("'2100-01-01'" if at[1] == "_at" else "1000"), where)
    where = re.sub(r"\? IS NULL", "'x' IS NULL", where)
    where = re.sub(r"id (<>|<) \?", r"id \1 'g'", where)
    where = re.sub(r"CONCAT\(_ascii'user-', (?:'x'|\?)\)", f"CONCAT(_ascii'user-', {hers['users']['id']})", where)
    return (re.sub(VALUE, "'x'", changed) + " WHERE " if changed else "") + where


def form_of(statement):
    return re.sub(r"\(\?(, ?\?)+\)", "(?)", re.sub(rf"\bx{VALUE}|{VALUE}|\b\d+\b|\bNULL\b", "?", statement))


@pytest.fixture(scope="module")
def asked(stack, admin, hers):
    """{form: a statement} of all that the workers have sent while all of it was used."""
    root(stack, "SET GLOBAL log_output = 'TABLE'; TRUNCATE mysql.general_log; SET GLOBAL general_log = ON", "mysql")
    try:
        # The log has the values of what was prepared since it is on.
        stack.dev("stop", "fcgi")
        stack.dev("start", "fcgi")
        use_everything(stack, admin)
    finally:
        root(stack, "SET GLOBAL general_log = OFF", "mysql")
    logged = root(stack, "SELECT DISTINCT REPLACE(argument, '\\n', ' ') FROM mysql.general_log WHERE command_type = 'Execute' "
                         "AND user_host LIKE 'courant%'", "mysql")
    root(stack, "TRUNCATE mysql.general_log", "mysql")
    seen = {}
    for text in logged:
        for statement in statements(text):
            statement = bound(statement, hers)
            form = form_of(statement)
            # The one with the fewest values that are not known.
            if form not in seen or statement.count("?") < seen[form].count("?"):
                seen[form] = statement
    return seen


def test_no_query_scans(stack, asked):
    faults, kinds = [], set()
    for form, statement in asked.items():
        assert not re.search(r"(?<![\w'])\?(?![\w'])", statement), f"which value fits here? {statement}"
        plan = json.loads("".join(root(stack, f"EXPLAIN FORMAT=JSON {statement}")), strict=False)
        of = names(statement)
        found = [(of.get(table["table_name"], table["table_name"]), table.get("access_type")) for table in tables(plan)]
        real = sorted({name for name, _ in found if not name.startswith("<")})
        if not real and form not in OPTIMIZED_AWAY:
            faults.append(f"no table in the plan of: {statement[:300]} {json.dumps(plan)}")
        kinds.add(" ".join([statement.split()[0], *(real or ["schema_migrations"])]))
        faults += [f"{access} of {name}: {form[:300]}" for name, access in found
                   if access in ("ALL", "index") and not name.startswith("<") and name not in SOME_ROWS]
    assert faults == [], "\n".join(faults)
    assert EXPECTED <= kinds, f"not asked: {EXPECTED - kinds}; new: {kinds - EXPECTED}"
    assert any("MATCH" in form for form in asked) and any("UNION" in form for form in asked)


def rows_read(stack, statement):
    """How many rows the server has stepped through for it."""
    return int(root(stack, f"FLUSH STATUS; {statement}; SELECT SUM(VARIABLE_VALUE) FROM information_schema.SESSION_STATUS WHERE "
                           "VARIABLE_NAME IN ('Handler_read_next', 'Handler_read_prev', 'Handler_read_rnd_next')")[-1].split(".")[0])


def test_a_page_reads_no_more_than_it_shows(stack, asked):
    """Of tables with thousands of rows; a list of two ranges reads each of them, what they give together, and that again."""
    assert rows_read(stack, "SELECT id FROM articles WHERE content = 'is nowhere'") > 4000
    pages = [statement for statement in asked.values() if re.search(r"LIMIT 2[01]$|LIMIT 21\) AS k JOIN", statement)
             and "MATCH" not in statement and "CONCAT_WS" not in statement]  # a search looks through all drafts of its reader
    articles = [statement for statement in pages if set(names(statement).values()) & {"articles", "articles_tags"}]
    events = [statement for statement in pages if set(names(statement).values()) == {"events"}]
    assert len(articles) > 10 and len(events) == 3
    for most, some in (6 * 21, articles), (2000 + 21, events):  # the audit trail looks at some thousands of events at a time
        for statement in some:
            assert rows_read(stack, statement) <= most, statement


def tables(plan):
    if isinstance(plan, dict):
        if "table_name" in plan:
            yield plan
        for value in plan.values():
            yield from tables(value)
    elif isinstance(plan, list):
        for value in plan:
            yield from tables(value)
