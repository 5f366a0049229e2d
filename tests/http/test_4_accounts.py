"""Accounts: sessions and their refresh, API tokens, passwords, permissions, invitations, and erasure."""

import json
import os
import subprocess
import threading

import pytest

from courant import held_up, until

OTHER = "01a208b3-259a-715e-b9fb-b4a77b7b190d"


@pytest.fixture
def person(stack):
    """A new user: (client, id, name, password)."""
    return Person(stack)


class Person:
    def __init__(self, stack, prefix="kim"):
        self.stack, self.name, self.password = stack, f"{prefix}{stack.head}", "a password of kim"
        self.client = stack.client()
        made = self.client.post("/api/users", {"username": self.name, "email": f"{self.name}@example.org",
                                               "password": self.password})
        assert made.status == 201, made.body
        self.id, self.where = made.json["id"], made.headers["location"]
        self.log_in()

    def log_in(self):
        answer = self.stack.client().post("/api/auth/login", {"username": self.name, "password": self.password, "cookies": False})
        assert answer.status == 200 and not answer.cookies, answer.body
        self.refresh, self.client = answer.json["refresh_token"], self.stack.client(answer.json["access_token"])
        return self

    def another(self):
        other = object.__new__(Person)
        other.__dict__.update(self.__dict__)
        return other.log_in()

    def alive(self):
        return self.client.get("/api/auth").status == 200


def refresh(stack, token):
    return stack.client().post("/api/auth/refresh", {"refresh_token": token})


def events_of(stack, id):
    return [(row[0], json.loads(row[1])) for row in
            stack.sql(f"SELECT type, data FROM events WHERE stream = 'user-{id}' ORDER BY version")]


def test_all_faults_of_a_registration_at_once(stack):
    answer = stack.client().post("/api/users", {"username": "a b", "email": "x", "password": "short", "permissions": ["root", "x y"]})
    pointers = [fault["pointer"] for fault in answer.problem(422)["errors"]]
    assert sorted(pointers) == ["/email", "/email", "/password", "/permissions/0", "/permissions/1", "/username"]
    stack.client().post("/api/users", {"username": "a＠b", "email": "a@b", "password": "long enough"}).problem(422)


def test_a_stranger_learns_of_no_account_by_its_id(stack, person):
    """By commands too: the same for one that is there and for one that never was."""
    unknown = "01a2071b-f843-7645-a001-b20b639515c1"
    for name, more in (("erase_user", {}), ("set_permissions", {"permissions": []}), ("change_password", {"password": "long enough"}),
                       ("update_user", {"username": "quiteother", "email": "quite@example.org"})):
        answers = [stack.client().post(f"/api/commands/{name}", {"id": id, **more}, headers={"If-Match": "*"}) for id in (person.id, unknown)]
        assert [answer.status for answer in answers] == [401, 401], name
        assert len({answer.json["detail"] for answer in answers}) == 1


def test_refresh_rotates(stack, person):
    first = refresh(stack, person.refresh)
    assert first.status == 200 and first.json["refresh_token"] != person.refresh and not first.cookies
    second = refresh(stack, first.json["refresh_token"])
    assert second.status == 200 and stack.client(second.json["access_token"]).get("/api/auth").json["id"] == person.id
    assert person.alive()
    # A token that was used before: two have had it.
    refresh(stack, person.refresh).problem(401)
    refresh(stack, second.json["refresh_token"]).problem(401)
    assert not person.alive() and stack.client(second.json["access_token"]).get("/api/auth").status == 401
    assert events_of(stack, person.id)[-1][0] == "user.session_revoked"
    for token in "x", "crt_" + "A" * 43, person.refresh[:-1], person.refresh + "A":
        refresh(stack, token).problem(401)


def test_refresh_by_cookie(stack):
    login = stack.log_in()
    cookie = login.cookies[1].split(";")[0]
    for headers in {}, {"Origin": "http://evil.example"}, {"Sec-Fetch-Site": "cross-site"}:
        stack.client().call("POST", "/api/auth/refresh", headers={"Cookie": cookie, **headers}).problem(403)
    answer = stack.client().call("POST", "/api/auth/refresh", headers={"Cookie": cookie, "Sec-Fetch-Site": "same-origin"})
    assert answer.status == 200 and "refresh_token" not in answer.json and len(answer.cookies) == 2
    assert answer.cookies[1].split(";")[0] != cookie
    again = stack.client().call("POST", "/api/auth/refresh", headers={"Cookie": cookie, "Sec-Fetch-Site": "same-origin"})
    again.problem(401)
    assert all("Max-Age=0" in line for line in again.cookies) and len(again.cookies) == 2


def test_logout_and_sessions(stack, person, admin):
    other, third = person.another(), person.another()
    listed = person.client.get("/api/auth/sessions").json["items"]
    assert len(listed) == 3 and [item["current"] for item in listed] == [False, False, True]
    theirs = {item["id"] for item in listed}
    gone = other.client.post("/api/auth/logout")
    assert gone.status == 204 and len(gone.cookies) == 2
    assert not other.alive() and person.alive() and third.alive()
    refresh(stack, other.refresh).problem(401)
    left = person.client.get("/api/auth/sessions").json["items"]
    third_id = [item["id"] for item in left if not item["current"]][0]
    stranger = stack.user("ann")
    stranger.call("DELETE", f"/api/auth/sessions/{third_id}").problem(404)
    person.client.call("DELETE", f"/api/auth/sessions/{OTHER}").problem(404)
    assert third.alive()
    assert person.client.call("DELETE", f"/api/auth/sessions/{third_id}").status == 204
    assert not third.alive() and person.alive()
    mine = person.client.get("/api/auth/sessions").json["items"]
    assert len(mine) == 1 and mine[0]["id"] in theirs
    assert admin.call("DELETE", f"/api/auth/sessions/{mine[0]['id']}").status == 204
    assert not person.alive()
    kinds = [kind for kind, _ in events_of(stack, person.id)]
    assert kinds == ["user.registered"] + ["user.logged_in"] * 3 + ["user.logged_out"] + ["user.session_revoked"] * 2


def test_password(stack, person, admin):
    other, where = person.another(), person.where + "/password"
    faults = person.client.call("PUT", where, {"password": "short"}).problem(422)["errors"]
    assert sorted(fault["pointer"] for fault in faults) == ["/current_password", "/password"]
    person.client.call("PUT", where, {"password": "another password", "current_password": "wrong"}).problem(403)
    person.client.call("PUT", where, {"password": "short", "current_password": person.password}).problem(422)
    stack.user("ann").call("PUT", where, {"password": "another password", "current_password": person.password}).problem(404)
    assert other.alive()
    done = person.client.call("PUT", where, {"password": "another password", "current_password": person.password})
    assert done.status == 200 and done.json["id"] == person.id
    assert person.alive() and not other.alive()
    refresh(stack, other.refresh).problem(401)
    stack.client().post("/api/auth/login", {"username": person.name, "password": person.password}).problem(401)
    assert admin.call("PUT", where, {"password": "by the administrator"}).status == 200
    assert not person.alive()
    person.password = "by the administrator"
    assert person.log_in().alive()


def test_permissions_hold_at_once(stack, person, admin):
    draft = admin.article("Not kim's", publish=False).headers["location"]
    assert person.client.get(draft).status == 404
    where = person.where + "/permissions"
    person.client.call("PUT", where, {"permissions": ["user_admin"]}).problem(403)
    granted = admin.call("PUT", where, {"permissions": ["audit_read", "article_edit_any"]}, headers={"If-Match": "*"})
    assert granted.status == 200 and sorted(granted.json["permissions"]) == ["article_edit_any", "audit_read"]
    assert person.client.get(draft).status == 200
    same = admin.call("PUT", where, {"permissions": ["article_edit_any", "audit_read"]}, headers={"If-Match": granted.headers["etag"]})
    assert same.status == 200 and same.headers["etag"] == granted.headers["etag"]
    assert admin.call("PUT", where, {"permissions": []}, headers={"If-Match": same.headers["etag"]}).json["permissions"] == []
    assert person.client.get(draft).status == 404
    assert [kind for kind, _ in events_of(stack, person.id)][2:] == ["user.permission_granted"] * 2 + ["user.permission_revoked"] * 2


def test_a_change_of_an_account_names_its_version(stack, person, admin):
    """Of two who have seen the same one is told so; another password is none that anybody sees."""
    seen = admin.get(person.where).headers["etag"]
    name = {"username": f"{person.name}-b", "email": f"{person.name}@example.org"}
    calls = ("PUT", person.where, name), ("PUT", person.where + "/permissions", {"permissions": ["audit_read"]}), ("DELETE", person.where, None)
    for method, where, body in calls:
        head = stack.head
        admin.call(method, where, body).problem(428)
        stale = admin.call(method, where, body, headers={"If-Match": '"v1"'})
        assert stale.problem(412) and stale.headers["etag"] == seen and stack.head == head
        done = admin.call(method, where, body, headers={"If-Match": seen})
        assert done.status == (200 if body else 204)
        if body:
            seen = done.headers["etag"]
            assert admin.get(person.where).headers["etag"] == seen and admin.get(person.where).json == done.json


def test_users_see_only_themselves(stack, person, admin):
    mine = person.client.get(person.where)
    assert mine.status == 200 and mine.json["email"] == f"{person.name}@example.org" and mine.headers["cache-control"] == "no-store"
    assert admin.get(person.where).json == mine.json
    stranger = stack.user("ann")
    for where in person.where, f"/api/users/{OTHER}":
        assert stranger.get(where).problem(404)["detail"] == "There is no such user."
        stack.client().get(where).problem(401)
        for method, more in ("PUT", ""), ("PUT", "/password"), ("PUT", "/permissions"), ("DELETE", ""):
            body = {"": {"username": "xx", "email": "x@y"}, "/password": {"password": "long enough", "current_password": "x"},
                    "/permissions": {"permissions": []}}[more] if method == "PUT" else None
            assert stranger.call(method, where + more, body).problem(404)["detail"] == "There is no such user."
            stack.client().call(method, where + more, body).problem(401)


def test_a_name_changes_everywhere_at_once(stack, person):
    made = person.client.article("By kim")
    where, new = made.headers["location"], f"kimberly{stack.head}"
    assert person.client.get(where).json["author"]["username"] == person.name
    done = person.client.call("PUT", person.where, {"username": new, "email": f"{new}@example.org"}, headers={"If-Match": "*"})
    assert done.status == 200 and done.json["username"] == new
    for _ in range(40):  # by every worker
        assert stack.client().get(where).json["author"]["username"] == new
    assert person.client.call("PATCH", where, {"title": "Again"}, headers={"If-Match": "*"}).json["author"]["username"] == new
    stack.user("ann")
    person.client.call("PUT", person.where, {"username": "ANN", "email": f"{new}@example.org"}, headers={"If-Match": "*"}).problem(409)
    stack.client().post("/api/auth/login", {"username": person.name, "password": person.password}).problem(401)
    person.name = new
    assert person.log_in().alive()
    assert stack.verify()


def test_api_tokens(stack, person, admin):
    admin.call("PUT", person.where + "/permissions", {"permissions": ["article_edit_any", "audit_read"]}, headers={"If-Match": "*"})
    where = "/api/auth/tokens"
    for body in {"name": "x"}, {"name": "x", "scopes": []}, {"name": "", "scopes": ["read"]}, {"name": "x", "scopes": ["root"]}, \
            {"name": "x", "scopes": ["read"], "expires_in": 0}, {"name": "x", "scopes": ["read"], "expires_in": 10**12}:
        person.client.post(where, body).problem(422)
    made = person.client.post(where, {"name": "reader", "scopes": ["read"]})
    assert made.status == 201 and made.headers["cache-control"] == "no-store"
    reader = stack.client(made.json["token"])
    assert reader.get("/api/auth").json == {"id": person.id, "username": person.name, "permissions": []}
    reader.post("/api/articles", {"title": "a", "content": "b"}).problem(403)
    reader.post("/api/commands/create_article", {"title": "a", "content": "b"}).problem(403)
    writer = stack.client(person.client.post(where, {"name": "w", "scopes": ["read", "write", "article_edit_any"]}).json["token"])
    assert writer.get("/api/auth").json["permissions"] == ["article_edit_any"]
    wrote = writer.article("By a token")
    assert wrote.json["author"]["id"] == person.id
    marks = json.loads(stack.sql(f"SELECT metadata FROM events WHERE position = {wrote.position}")[0][0])
    assert marks["source"] == "api_token" and marks["user_id"] == person.id
    assert marks["session_id"] in [item["id"] for item in person.client.get(where).json["items"] if item["name"] == "w"]
    own = person.client.article("By a session")
    assert json.loads(stack.sql(f"SELECT metadata FROM events WHERE position = {own.position}")[0][0])["source"] == "http"
    for method, path, body in ("POST", where, {"name": "x", "scopes": ["read"]}), ("GET", where, None), ("GET", "/api/auth/sessions", None), \
            ("POST", "/api/auth/logout", None), ("DELETE", person.where, None), \
            ("PUT", person.where + "/password", {"password": "long enough", "current_password": person.password}), \
            ("PUT", person.where, {"username": "xx", "email": "x@y"}), ("DELETE", f"/api/auth/tokens/{made.json['id']}", None), \
            ("POST", "/api/commands/erase_user", {"id": person.id}), ("POST", "/api/commands/update_user", {"id": person.id, "username": "xx", "email": "x@y"}):
        writer.call(method, path, body).problem(403)
    listed = person.client.get(where).json["items"]
    assert [item["name"] for item in listed] == ["w", "reader"] and all("token" not in item for item in listed)
    stack.user("ann").call("DELETE", f"{where}/{made.json['id']}").problem(404)
    assert person.client.call("DELETE", f"{where}/{made.json['id']}").status == 204
    reader.get("/api/articles").problem(401)
    for token in "cat_x", made.json["token"][:-1], "cat_" + "A" * 43:
        stack.client(token).get("/api/articles").problem(401)
    short = stack.client(person.client.post(where, {"name": "s", "scopes": ["read"], "expires_in": 1}).json["token"])
    assert short.get("/api/auth").status == 200
    until(lambda: short.get("/api/auth").status == 401, what="its end")


def names_of(client, path):
    """Of all pages of three."""
    names, path = [], path + ("&" if "?" in path else "?") + "limit=3"
    while path:
        page = client.get(path)
        assert page.status == 200 and len(page.json["items"]) <= 3
        names += [item.get("name", item["id"]) for item in page.json["items"]]
        path = page.json["next"] and page.headers["link"].split(">")[0].lstrip("<")
    return names


def test_tokens_and_sessions_have_pages(stack, person):
    where, most = "/api/auth/tokens", 100
    for number in range(most):
        assert person.client.post(where, {"name": str(number), "scopes": ["read"]}).status == 201
    assert str(most) in person.client.post(where, {"name": "too many", "scopes": ["read"]}).problem(409)["detail"]
    assert names_of(person.client, where) == [str(number) for number in reversed(range(most))]
    assert len(person.client.get(where).json["items"]) == 20
    made = person.client.get(where).json["items"][0]["id"]
    assert person.client.call("DELETE", f"{where}/{made}").status == 204
    assert person.client.post(where, {"name": "again", "scopes": ["read"]}).status == 201
    others = [person.another() for _ in range(6)]
    assert len(set(names_of(person.client, "/api/auth/sessions"))) == 7 and all(other.alive() for other in others)
    for path in where, "/api/auth/sessions":
        for query in "limit=0", "limit=101", "limit=x", "cursor=x", "cursor=MQ":
            person.client.get(f"{path}?{query}").problem(422)
    assert len(json.loads(stack.ctl("token", "list", person.name).stdout)) == most


def test_tokens_of_others(stack, person, admin):
    """Who administers accounts, or operates the site, finds and ends them; so does another password that they set."""
    def make(name):
        made = person.client.post("/api/auth/tokens", {"name": name, "scopes": ["read"]}).json
        return made["id"], stack.client(made["token"])

    listed = f"/api/auth/tokens?user={person.id}"
    id, token = make("first")
    for client in stack.user("ann"), token:
        client.get(listed).problem(404 if client is not token else 403)
        client.call("DELETE", f"/api/auth/tokens/{id}").problem(404 if client is not token else 403)
    admin.get(f"/api/auth/tokens?user={OTHER}").problem(404)
    admin.get("/api/auth/tokens?user=x").problem(404)
    assert [item["id"] for item in admin.get(listed).json["items"]] == [id] == [item["id"] for item in person.client.get(listed).json["items"]]
    assert admin.call("DELETE", f"/api/auth/tokens/{id}").status == 204
    token.get("/api/auth").problem(401)
    assert events_of(stack, person.id)[-1] == ("user.token_revoked", {"token_id": id})
    id, token = make("second")
    assert [item["name"] for item in json.loads(stack.ctl("token", "list", person.name).stdout)] == ["second"]
    assert stack.ctl("token", "revoke", id).returncode == 0 and stack.ctl("token", "revoke", id).returncode == 1
    token.get("/api/auth").problem(401)
    for args in ["list"], ["revoke"], ["x", "y"], []:
        assert stack.ctl("token", *args).returncode == 2
    _, token = make("third")
    new = {"password": "of one's own", "current_password": person.password}
    assert person.client.call("PUT", person.where + "/password", new).status == 200 and token.get("/api/auth").status == 200
    assert admin.call("PUT", person.where + "/password", {"password": "of the administrator"}).status == 200
    token.get("/api/auth").problem(401)
    person.password = "of the administrator"
    person.log_in()
    _, token = make("fourth")
    assert stack.ctl("user", "passwd", person.name, "--password-stdin", input="of the operator").returncode == 0
    token.get("/api/auth").problem(401)


def test_a_password_where_there_was_none(stack, person, admin):
    for set in (lambda password: admin.call("PUT", person.where + "/password", {"password": password}).status == 200,
                lambda password: stack.ctl("user", "passwd", person.name, "--password-stdin", input=password).returncode == 0):
        stack.sql(f"DELETE FROM credentials WHERE user_id = '{person.id}'")
        assert stack.log_in(person.name, person.password).status == 401
        person.client.call("PUT", person.where + "/password", {"password": "long enough", "current_password": person.password})\
            .problem(403 if person.alive() else 401)
        person.password = f"set{stack.head} anew"
        assert set(person.password) and person.log_in().alive()


def test_invitations_are_found_and_ended(stack, person, admin):
    where = "/api/auth/invitations"

    def out():
        return [item["id"] for item in admin.get(f"{where}?limit=100").json["items"]]

    def allow(*permissions):
        assert admin.call("PUT", person.where + "/permissions", {"permissions": list(permissions)}, headers={"If-Match": "*"}).status == 200

    allow("user_admin")
    made = [person.client.post(where, {}).json["id"] for _ in range(5)]
    assert events_of(stack, person.id)[-1] == ("user.invitation_created", {"invitation_id": made[-1]})
    assert names_of(admin, where)[:5] == made[::-1]
    assert {item["inviter"] for item in admin.get(f"{where}?limit=5").json["items"]} == {person.id}
    key = {"Idempotency-Key": f"invitation-{person.id}"}
    assert [admin.call("DELETE", f"{where}/{made[0]}", headers=key).status for _ in range(2)] == [204, 204]
    admin.call("DELETE", f"{where}/{made[0]}").problem(404)
    admin.call("DELETE", f"{where}/x").problem(404)
    assert stack.sql("SELECT type, data FROM events ORDER BY position DESC LIMIT 1") == [["user.invitation_revoked", '{"invitation_id":"%s"}' % made[0]]]
    # They end with their inviter: as one, and altogether.
    allow("user_admin", "audit_read")
    assert set(made[1:]) <= set(out())
    allow("audit_read")
    assert not set(made) & set(out())
    allow("user_admin")
    last = person.client.post(where, {}).json["id"]
    assert last in out()
    assert admin.call("DELETE", person.where, headers={"If-Match": "*"}).status == 204
    assert last not in out()
    # An operator has no account; the event is there all the same.
    code, text = stack.ctl("user", "invite").stdout.splitlines()
    id = text.split()[-1]
    row = stack.sql("SELECT type, stream, data, audience FROM events ORDER BY position DESC LIMIT 1")[0]
    assert row == ["invitation.created", f"invitation-{id}", '{"invitation_id":"%s"}' % id, "permission:user_admin"]
    assert admin.get(f"{where}?limit=1").json["items"][0]["inviter"] is None
    assert admin.call("DELETE", f"{where}/{id}").status == 204 and id not in out()
    assert "clean" in stack.verify() and code not in stack.ctl("export", "-").stdout


def test_a_token_makes_no_administrator(stack, admin):
    """Nor is it taken for its user's session where accounts are opened."""
    made = admin.post("/api/auth/tokens", {"name": "t", "scopes": ["read", "write", "user_admin"]}).json
    token, name = stack.client(made["token"]), f"made{stack.head}"
    body = {"username": name, "email": f"{name}@example.org", "password": "long enough"}
    head = stack.head
    for permissions in ["user_admin"], ["audit_read"], []:
        for path in "/api/users", "/api/commands/register_user":
            token.post(path, {**body, "permissions": permissions}).problem(403)
    assert stack.head == head
    answer = token.post("/api/users", body)
    assert answer.status == 201 and "ratelimit" in answer.headers and answer.json["permissions"] == []
    assert "ratelimit" not in admin.post("/api/users", {**body, "username": f"{name}b", "email": f"b{name}@example.org"}).headers


def test_erasure(stack, person, admin):
    """Nothing in the log, in a table, on the bus or in an export says who it was."""
    where = person.client.article("Stays").headers["location"]
    token = person.client.post("/api/auth/tokens", {"name": "t", "scopes": ["read"]}).json["token"]
    stack.user("ann").call("DELETE", person.where, headers={"If-Match": "*"}).problem(404)
    assert person.client.call("DELETE", person.where, headers={"If-Match": "*", "Idempotency-Key": f"erase{stack.head}"}).status == 204
    assert not person.alive()
    refresh(stack, person.refresh).problem(401)
    stack.client(token).get("/api/articles").problem(401)
    stack.client().post("/api/auth/login", {"username": person.name, "password": person.password}).problem(401)
    for _ in range(20):
        assert stack.client().get(where).json["author"] == {"id": person.id, "username": None}
    admin.get(person.where).problem(410)
    admin.call("DELETE", person.where, headers={"If-Match": "*"}).problem(410)
    admin.call("PUT", person.where + "/password", {"password": "long enough"}).problem(410)
    assert "clean" in stack.verify()
    assert stack.ctl("rebuild", "--check", "users").returncode == 0
    dump = subprocess.run(["mariadb-dump", "--no-defaults", "-S", stack.env["COURANT_DB_SOCKET"], "-uroot", "courant"],
                          check=True, capture_output=True).stdout
    assert person.id.encode() in dump and person.name.encode() not in dump
    assert person.name not in stack.ctl("export", "-").stdout
    again = stack.client().post("/api/users", {"username": person.name, "email": f"{person.name}@example.org", "password": "long enough"})
    assert again.status == 201 and again.json["id"] != person.id
    assert stack.client().get("/feed.atom").status == 200


def remembered(stack, *names):
    """How many remembered answers hold one of these names."""
    return [stack.sql(f"SELECT COUNT(*) FROM commands WHERE CONCAT(headers, body) LIKE '%{name}%'")[0][0] for name in names]


def test_erasure_reaches_the_answers_of_others(stack, person, admin):
    """What an administrator and an editor were answered, also where nothing had changed, names the user no longer."""
    made = person.client.article("Edited by others", publish=False)
    where, key = made.headers["location"], {"If-Match": "*", "Idempotency-Key": f"others-{person.id}"}
    assert admin.call("PUT", person.where + "/permissions", {"permissions": []}, headers=key).status == 200
    for number, (method, path, body) in enumerate([("PUT", where, {"title": "t", "content": "c"}), ("PATCH", where, {"title": "t"}),
                                                   ("PATCH", where, {"title": "u"}), ("POST", where + "/publish", None)]):
        answer = admin.call(method, path, body, headers={**key, "Idempotency-Key": f"{number}-{person.id}"})
        assert answer.status == 200 and answer.json["author"]["username"] == person.name
    person.client.post("/api/articles", {"title": "t", "content": "c"}, headers={"Idempotency-Key": f"own-{person.id}"})
    assert remembered(stack, person.name) != ["0"]
    assert admin.call("DELETE", person.where, headers={**key, "Idempotency-Key": f"erase-{person.id}"}).status == 204
    assert remembered(stack, person.name, f"{person.name}@example.org") == ["0", "0"]
    assert admin.call("PATCH", where, {"title": "v"}, headers={**key, "Idempotency-Key": f"later-{person.id}"}).json["author"]["username"] is None


def test_no_answer_is_remembered_after_the_erasure(stack, person, admin):
    """Of a command that had read the name before."""
    made = person.client.article("Edited meanwhile", publish=False)
    key = {"If-Match": "*", "Idempotency-Key": f"meanwhile-{person.id}"}
    calls = [lambda: admin.call("PATCH", made.headers["location"], {"title": "t"}, headers=key),
             lambda: person.client.post("/api/articles", {"title": "t", "content": "c"}, headers={"Idempotency-Key": f"own-{person.id}"})]
    answers = held_up(stack, f"SELECT id FROM users WHERE id = '{person.id}'", "BEGIN NOT ATOMIC%", calls,
                      f"UPDATE users SET erased_at = UTC_TIMESTAMP(6), username = NULL, email = NULL WHERE id = '{person.id}'")
    try:
        assert sorted(answer.status for answer in answers) == [200, 403]
        assert remembered(stack, person.name) == ["0"]
    finally:
        stack.sql(f"UPDATE users SET erased_at = NULL, username = '{person.name}', email = '{person.name}@example.org' WHERE id = '{person.id}'")


def test_erasure_reaches_what_a_killed_rebuild_has_left(stack, person, admin):
    open(os.path.join(stack.faults, "rebuild-forgotten"), "w").close()
    assert stack.ctl("rebuild", "users").returncode < 0
    stack.sql("DROP TABLE zrebuild_old_users; CREATE TABLE zrebuild_old_users AS SELECT * FROM zrebuild_users")
    held = f"SELECT COUNT(*) FROM zrebuild{{}}_users WHERE CONCAT_WS(' ', sealed, username, email) LIKE '%{person.name}%'"
    assert stack.sql(held.format("")) == stack.sql(held.format("_old")) == [["1"]]
    assert admin.call("DELETE", person.where, headers={"If-Match": "*"}).status == 204
    assert stack.sql(held.format("")) == stack.sql(held.format("_old")) == [["0"]]
    assert " 0 different" in stack.ctl("rebuild", "users").stdout


def test_two_change_an_account_from_before_there_were_keys(stack, person, admin):
    """Each finds no key and makes the first one."""
    stack.sql(f"DELETE FROM seal_keys WHERE id = '{person.id}'")
    def change(client, name):
        return client.call("PUT", person.where, {"username": name, "email": f"{name}@example.org"}, headers={"If-Match": "*"})

    calls = [lambda client=client, n=n: change(client, f"{person.name}{n}") for n, client in enumerate([person.client, stack.client(admin.token)])]
    answers = held_up(stack, f"SELECT id FROM users WHERE id = '{person.id}'", "%FROM users WHERE%FOR UPDATE", calls)
    assert [answer.status for answer in answers] == [200, 200], [answer.body for answer in answers]
    assert admin.get(person.where).json["username"] in (f"{person.name}0", f"{person.name}1")


def test_an_account_that_is_unchanged_is_not_sent_again(stack, person, admin):
    seen = person.client.get(person.where)
    again = person.client.get(person.where, headers={"If-None-Match": seen.headers["etag"]})
    assert again.status == 304 and again.headers["etag"] == seen.headers["etag"] and again.headers["cache-control"] == "no-store"
    person.another()
    assert person.client.get(person.where, headers={"If-None-Match": seen.headers["etag"]}).status == 200
    stack.user("ann").get(person.where, headers={"If-None-Match": "*"}).problem(404)


@pytest.mark.parametrize("how", [{}, {"Prefer": "respond-async"}])
def test_what_ends_the_own_session_takes_the_cookies_away(stack, person, admin, how):
    other = person.another()
    ids = [item["id"] for item in person.client.get("/api/auth/sessions").json["items"] if not item["current"]]
    assert not person.client.call("DELETE", f"/api/auth/sessions/{ids[0]}", headers=how).cookies and not other.alive()
    own = [item["id"] for item in person.client.get("/api/auth/sessions").json["items"]][0]
    assert len(person.client.call("DELETE", f"/api/auth/sessions/{own}", headers=how).cookies) == 2
    person.log_in()
    other = Person(stack, "oth")
    assert not admin.call("DELETE", other.where, headers={"If-Match": "*", **how}).cookies
    answer = person.client.post("/api/commands/erase_user", {"id": person.id}, headers={"If-Match": "*", **how})
    assert answer.status in (202, 204) and len(answer.cookies) == 2 and all("Max-Age=0" in line for line in answer.cookies)


def test_only_another_name_makes_articles_others(stack, person, admin):
    """An article shows its author's name, which is no part of its version."""
    made = person.client.article("By somebody")
    where, key = made.headers["location"], {"If-None-Match": made.headers["etag"]}
    change = lambda name, email: person.client.call("PUT", person.where, {"username": name, "email": email}, headers={"If-Match": "*"})  # noqa: E731
    assert admin.call("PUT", person.where + "/permissions", {"permissions": ["audit_read"]}, headers={"If-Match": "*"}).status == 200
    assert change(person.name, f"other.{person.name}@example.org").status == 200
    stack.dev("stop", "fcgi")  # which forgets the names
    stack.dev("start", "fcgi")
    assert [stack.client().get(where, headers=key).status for _ in range(10)] == [304] * 10
    assert change(f"{person.name}2", f"{person.name}@example.org").status == 200
    answers = [stack.client().get(where, headers=key) for _ in range(10)]
    assert {(answer.status, answer.json["author"]["username"]) for answer in answers} == {(200, f"{person.name}2")}
    assert [data["renamed"] for type, data in events_of(stack, person.id) if type == "user.updated"] == [False, True]
    assert "clean" in stack.verify()


def test_what_is_sealed_is_nowhere_in_the_clear(stack, person):
    data = events_of(stack, person.id)[0][1]
    assert sorted(data) == ["id", "sealed"] and person.name not in json.dumps(data)
    assert person.name not in stack.ctl("events", "--stream", f"user-{person.id}").stdout


def test_two_use_one_refresh_token(stack, person):
    """At the same time: at most one goes on, and the session ends."""
    answers = []
    threads = [threading.Thread(target=lambda: answers.append(refresh(stack, person.refresh).status)) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers.count(200) <= 1 and set(answers) <= {200, 401}
    assert not person.alive()


def test_what_is_past_its_time_is_taken_away(stack, person, admin):
    stack.sql(f"UPDATE sessions SET expires_at = '2020-01-01' WHERE user_id = '{person.id}'")
    assert not person.alive()
    refresh(stack, person.refresh).problem(401)
    count = f"SELECT COUNT(*) FROM sessions WHERE user_id = '{person.id}'"
    for _ in range(40):  # each worker looks once in some hundred commands
        for _ in range(200):
            admin.article("Tidying", publish=False)
        if stack.sql(count) == [["0"]]:
            break
    assert stack.sql(count) == [["0"]]
    assert stack.sql("SELECT COUNT(*) FROM refresh_tokens WHERE session_id NOT IN (SELECT id FROM sessions)") == [["0"]]


def test_what_is_past_its_time_goes_where_nothing_happens(stack, person):
    """A worker that starts takes it away."""
    stack.sql(f"INSERT INTO commands (actor, idempotency_key, digest, event_id, status, headers, body, created_at) VALUES "
              f"('', 'quiet-{person.id}', REPEAT('x', 32), '', 200, '', '', '2020-01-01')")
    stack.dev("stop", "fcgi")
    stack.dev("start", "fcgi")
    until(lambda: stack.sql(f"SELECT COUNT(*) FROM commands WHERE idempotency_key = 'quiet-{person.id}'") == [["0"]], what="the tidying")


@pytest.mark.parametrize("id", ["%C3%A9", "x" * 300, "%F0%9F%98%80", "x'y", "%20", OTHER.upper()])
def test_ids_that_are_none(admin, id):
    admin.get(f"/api/users/{id}").problem(404)
    for method, path in ("PUT", f"/api/users/{id}"), ("DELETE", f"/api/users/{id}"), ("DELETE", f"/api/auth/sessions/{id}"), \
            ("DELETE", f"/api/auth/tokens/{id}"):
        admin.call(method, path, {"username": "xx", "email": "x@y"} if method == "PUT" else None).problem(404)


def test_a_logout_without_a_database_keeps_the_cookie(stack):
    """Otherwise nobody could end the session any more."""
    person = Person(stack, "odb")
    cookie = {"Cookie": f"courant_refresh={person.refresh}", "Sec-Fetch-Site": "same-origin"}
    stack.dev("stop", "mariadb")
    try:
        answer = stack.client().post("/api/auth/logout", headers=cookie)
        answer.problem(503)
        assert not answer.cookies
    finally:
        stack.dev("start", "mariadb")
    until(lambda: stack.client().post("/api/auth/logout", headers=cookie).status == 204, 20, "the logout")
    assert stack.sql(f"SELECT COUNT(*) FROM sessions WHERE user_id = '{person.id}'") == [["0"]]
