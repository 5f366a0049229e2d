"""Every route, and who may: a route without a row here fails."""

import pytest

from courant import until
from test_1_openapi import FOLLOWED, routes
from test_4_accounts import Person
from test_4_auth import session_of

import re

OTHER = "01a208b3-259a-715e-b9fb-b4a77b7b190d"
WHO = ("anonymous", "other", "owner", "edit", "delete", "admin", "audit", "revoked", "expired", "read", "write", "edit-token")

# What each of WHO is answered, in that order. «draft»: the owner's draft. A dash: not asked.
# The last three are API tokens: of the owner with read, of the owner with read and write, and of an editor with read, write
# and article_edit_any.
BAD = "401 401"
TABLE = {
    ("GET", "/api/articles"): f"200 200 200 200 200 200 200 {BAD} 200 200 200",
    ("POST", "/api/articles"): f"401 201 201 201 201 201 201 {BAD} 403 201 201",
    ("GET", "/api/articles/{}"): f"404 404 200 200 404 404 404 {BAD} 200 200 200",
    ("PUT", "/api/articles/{}"): f"401 404 200 200 404 404 404 {BAD} 403 200 200",
    ("PATCH", "/api/articles/{}"): f"401 404 200 200 404 404 404 {BAD} 403 200 200",
    ("DELETE", "/api/articles/{}"): f"401 404 204 403 404 404 404 {BAD} 403 204 403",
    ("POST", "/api/articles/{}/publish"): f"401 404 200 200 404 404 404 {BAD} 403 200 200",
    ("POST", "/api/articles/{}/unpublish"): f"401 404 409 409 404 404 404 {BAD} 403 409 409",
    ("GET", "/api/articles/{}/revisions"): f"404 404 200 200 404 404 404 {BAD} 200 200 200",
    ("GET", "/api/articles/{}/revisions/{}"): f"404 404 200 200 404 404 404 {BAD} 200 200 200",
    ("GET", "/api/articles/{}/revisions/{}/diff"): f"404 404 404 404 404 404 404 {BAD} 404 404 404",
    ("POST", "/api/articles/{}/revisions/{}/restore"): f"401 404 200 200 404 404 404 {BAD} 403 200 200",
    ("GET", "/api/commands"): f"200 200 200 200 200 200 200 {BAD} 200 200 200",
    ("POST", "/api/commands/{}"): f"401 201 201 201 201 201 201 {BAD} 403 201 201",
    ("POST", "/api/users"): f"422 422 422 422 422 422 422 {BAD} 403 422 422",
    ("GET", "/api/users/{}"): f"401 404 200 404 404 200 404 {BAD} 200 200 404",
    ("PUT", "/api/users/{}"): f"401 404 200 404 404 200 404 {BAD} 403 403 403",
    ("DELETE", "/api/users/{}"): f"401 404 204 404 404 204 404 {BAD} 403 403 403",
    ("PUT", "/api/users/{}/password"): f"401 404 422 404 404 200 404 {BAD} 403 403 403",
    ("PUT", "/api/users/{}/permissions"): f"401 404 403 404 404 200 404 {BAD} 403 403 403",
    ("POST", "/api/auth/login"): "401 401 401 401 401 401 401 401 401 401 401 401",
    ("POST", "/api/auth/refresh"): "401 401 401 401 401 401 401 401 401 401 401 401",
    ("POST", "/api/auth/logout"): f"401 204 204 204 204 204 204 {BAD} 403 403 403",
    ("GET", "/api/auth"): f"401 200 200 200 200 200 200 {BAD} 200 200 200",
    ("GET", "/api/auth/sessions"): f"401 200 200 200 200 200 200 {BAD} 403 403 403",
    ("DELETE", "/api/auth/sessions/{}"): f"401 404 204 404 404 204 404 {BAD} 403 403 403",
    ("GET", "/api/auth/tokens"): f"401 200 200 200 200 200 200 {BAD} 403 403 403",
    ("POST", "/api/auth/tokens"): f"401 201 201 201 201 201 201 {BAD} 403 403 403",
    ("DELETE", "/api/auth/tokens/{}"): f"401 404 204 404 404 204 404 {BAD} 403 403 403",
    ("GET", "/api/auth/invitations"): f"401 403 403 403 403 200 403 {BAD} 403 403 403",
    ("DELETE", "/api/auth/invitations/{}"): f"401 403 403 403 403 204 403 {BAD} 403 403 403",
    ("POST", "/api/auth/invitations"): f"401 403 403 403 403 201 403 {BAD} 403 403 403",
    ("GET", "/api/events"): f"401 403 403 403 403 403 200 {BAD} 403 403 403",
    ("GET", "/events"): f"200 200 200 200 200 200 200 {BAD} 200 200 200",
    ("GET", "/feed.atom"): "200 200 200 200 200 200 200 200 200 200 200 200",
    ("GET", "/livez"): "200 200 200 200 200 200 200 200 200 200 200 200",
    ("GET", "/readyz"): "200 200 200 200 200 200 200 200 200 200 200 200",
}

BODIES = {
    ("POST", "/api/articles"): {"title": "t", "content": "c"}, ("PUT", "/api/articles/{}"): {"title": "t", "content": "c"},
    ("PATCH", "/api/articles/{}"): {"title": "t"}, ("POST", "/api/commands/{}"): {"title": "t", "content": "c"},
    ("POST", "/api/users"): {}, ("PUT", "/api/users/{}/password"): {"password": "long enough"},
    ("PUT", "/api/users/{}/permissions"): {"permissions": []}, ("POST", "/api/auth/login"): {"username": "x", "password": "y"},
    ("POST", "/api/auth/tokens"): {"name": "n", "scopes": ["read"]},
}


def test_every_route_has_a_row():
    assert set(TABLE) == routes()
    assert all(len(row.split()) == len(WHO) for row in TABLE.values())


@pytest.fixture
def cast(stack, admin):
    """Who asks; all anew for each row, for some rows end sessions and accounts."""
    def person(prefix, *permissions):
        made = Person(stack, prefix)
        if permissions:
            assert admin.call("PUT", made.where + "/permissions", {"permissions": list(permissions)}, headers={"If-Match": "*"}).status == 200
        return made

    def api_token(of, *scopes):
        return stack.client(of.client.post("/api/auth/tokens", {"name": "t", "scopes": list(scopes)}).json["token"])

    owner, editor, revoked = person("own"), person("edi", "article_edit_any"), person("rev")
    assert revoked.client.post("/api/auth/logout").status == 204
    expired = stack.token(**session_of(owner.client.token), exp=1700000000, iat=1699999000)
    spare = owner.another().client
    return {"owner_person": owner, "spare": spare, "anonymous": stack.client(), "other": person("oth").client, "owner": owner.client,
            "edit": editor.client, "delete": person("del", "article_delete_any").client,
            "admin": person("adm", "user_admin").client, "audit": person("aud", "audit_read").client,
            "revoked": revoked.client, "expired": stack.client(expired), "read": api_token(owner, "read"),
            "write": api_token(owner, "read", "write"), "edit-token": api_token(editor, "read", "write", "article_edit_any")}


@pytest.mark.parametrize("method, path", sorted(set(TABLE) - FOLLOWED))
def test_who_may(stack, cast, method, path):
    owner, spare = cast["owner_person"], cast["spare"]
    expected = dict(zip(WHO, TABLE[method, path].split()))
    for who in sorted(WHO, key=lambda who: expected[who] in ("200", "201", "204")):  # refusals first: they change nothing
        name = f"acc{stack.head}"
        body = BODIES.get((method, path))
        if (method, path) == ("PUT", "/api/users/{}"):
            body = {"username": name, "email": f"{name}@example.org"}
        if path.startswith("/api/articles/{}"):
            made = spare.article("A draft", publish=False).json["id"]
            parts = [made, "2" if path.endswith("diff") else "1"]
        elif path.startswith("/api/commands/"):
            parts = ["create_article"]
        elif path == "/api/auth/sessions/{}":
            session = owner.another()
            parts = [session_of(session.client.token)["sid"]]
        elif path == "/api/auth/tokens/{}":
            parts = [spare.post("/api/auth/tokens", {"name": "gone", "scopes": ["read"]}).json["id"]]
        elif path == "/api/auth/invitations/{}":
            parts = [stack.admin().post("/api/auth/invitations", {}).json["id"]]
        elif path.startswith("/api/users/"):
            target = owner
            if method == "DELETE" and expected[who] == "204" and who != "owner" or path.endswith("/password") and who == "admin":
                target = Person(stack, "tar")  # the owner is needed yet
            parts = [target.id]
        else:
            parts = []
        where = re.sub(r"\{\}", lambda _: parts.pop(0), path)
        headers = {"If-Match": "*"} if path.startswith(("/api/articles/{}", "/api/users/{}")) and method != "GET" else {}
        answer = cast[who].call(method, where, body, headers=headers)
        assert str(answer.status) == expected[who], (who, method, where, answer.status, answer.body)


def test_who_may_follow(stack, cast):
    from courant import Stream
    for who, status in zip(WHO, TABLE["GET", "/events"].split()):
        if status == "200":
            stream = Stream(stack, "/events", token=cast[who].token)
            until(lambda: stream.frames, what="the stream")
            stream.close()
        else:
            cast[who].get("/events").problem(int(status))
    for who, status in ("anonymous", 401), ("other", 403), ("edit", 403), ("admin", 403), ("write", 403):
        cast[who].get("/events?topic=all").problem(status)
    Stream(stack, "/events?topic=all", token=cast["audit"].token).close()
