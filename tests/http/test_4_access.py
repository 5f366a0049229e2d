"""Every route and every command, and who may: one without a row here fails."""

import re

import pytest

from courant import Client, Stream, until
from test_1_openapi import FOLLOWED, routes
from test_4_accounts import Person
from test_4_auth import session_of

ROLES = {"edit": "article_edit_any", "delete": "article_delete_any", "link": "link_edit_any", "admin": "user_admin", "audit": "audit_read"}
# Scopes of API tokens: of the owner, and of who has the permission that is named last.
TOKENS = {"read": ("owner", "read"), "write": ("owner", "read", "write"), "write-only": ("owner", "write"),
          "edit-token": ("edit", "read", "write", "article_edit_any"), "admin-token": ("admin", "read", "write", "user_admin"),
          "audit-token": ("audit", "read", "audit_read")}
# Of the owner too: cookies with requests of this site, and with those of another one.
WHO = ("anonymous", "other", "owner", *ROLES, "revoked", "expired", *TOKENS, "cookie", "cross-site")

# What each of WHO is answered, in that order. «draft»: the owner's draft. A dash: not asked.
BAD = "401 401"
TABLE = {
    ("GET", "/api/articles"): f"200 200 200 200 200 200 200 200 {BAD} 200 200 403 200 200 200 200 200",
    ("POST", "/api/articles"): f"401 201 201 201 201 201 201 201 {BAD} 403 201 201 201 201 403 201 403",
    ("GET", "/api/articles/{}"): f"404 404 200 200 404 404 404 404 {BAD} 200 200 403 200 404 404 200 200",
    ("PUT", "/api/articles/{}"): f"401 404 200 200 404 404 404 404 {BAD} 403 200 200 200 404 403 200 403",
    ("PATCH", "/api/articles/{}"): f"401 404 200 200 404 404 404 404 {BAD} 403 200 200 200 404 403 200 403",
    ("DELETE", "/api/articles/{}"): f"401 404 204 403 404 404 404 404 {BAD} 403 204 204 403 404 403 204 403",
    ("POST", "/api/articles/{}/publish"): f"401 404 200 200 404 404 404 404 {BAD} 403 200 200 200 404 403 200 403",
    ("POST", "/api/articles/{}/unpublish"): f"401 404 409 409 404 404 404 404 {BAD} 403 409 409 409 404 403 409 403",
    ("GET", "/api/articles/{}/revisions"): f"404 404 200 200 404 404 404 404 {BAD} 200 200 403 200 404 404 200 200",
    ("GET", "/api/articles/{}/revisions/{}"): f"404 404 200 200 404 404 404 404 {BAD} 200 200 403 200 404 404 200 200",
    ("GET", "/api/articles/{}/revisions/{}/diff"): f"404 404 404 404 404 404 404 404 {BAD} 404 404 403 404 404 404 404 404",
    ("POST", "/api/articles/{}/revisions/{}/restore"): f"401 404 200 200 404 404 404 404 {BAD} 403 200 200 200 404 403 200 403",
    ("GET", "/api/commands"): f"200 200 200 200 200 200 200 200 {BAD} 200 200 403 200 200 200 200 200",
    ("POST", "/api/commands/{}"): f"401 201 201 201 201 201 201 201 {BAD} 403 201 201 201 201 403 201 403",
    ("POST", "/api/users"): f"201 201 201 201 201 201 201 201 {BAD} 403 201 201 201 201 403 201 403",
    ("GET", "/api/users/{}"): f"401 404 200 404 404 404 200 404 {BAD} 200 200 403 404 200 404 200 200",
    ("PUT", "/api/users/{}"): f"401 404 200 404 404 404 200 404 {BAD} 403 403 403 403 403 403 200 403",
    ("DELETE", "/api/users/{}"): f"401 404 204 404 404 404 204 404 {BAD} 403 403 403 403 403 403 - 403",
    ("PUT", "/api/users/{}/password"): f"401 404 200 404 404 404 200 404 {BAD} 403 403 403 403 403 403 - 403",
    ("PUT", "/api/users/{}/permissions"): f"401 404 403 404 404 404 200 404 {BAD} 403 403 403 403 403 403 403 403",
    ("POST", "/api/auth/login"): f"401 401 401 401 401 401 401 401 401 401 401 401 401 401 401 401 401 401",
    ("POST", "/api/auth/refresh"): f"401 401 401 401 401 401 401 401 401 401 401 401 401 401 401 401 200 403",
    ("POST", "/api/auth/logout"): f"401 204 204 204 204 204 204 204 {BAD} 403 403 403 403 403 403 204 403",
    ("GET", "/api/auth"): f"401 200 200 200 200 200 200 200 {BAD} 200 200 403 200 200 200 200 200",
    ("GET", "/api/auth/sessions"): f"401 200 200 200 200 200 200 200 {BAD} 403 403 403 403 403 403 200 200",
    ("DELETE", "/api/auth/sessions/{}"): f"401 404 204 404 404 404 204 404 {BAD} 403 403 403 403 403 403 204 403",
    ("GET", "/api/auth/tokens"): f"401 200 200 200 200 200 200 200 {BAD} 403 403 403 403 403 403 200 200",
    ("POST", "/api/auth/tokens"): f"401 201 201 201 201 201 201 201 {BAD} 403 403 403 403 403 403 201 403",
    ("DELETE", "/api/auth/tokens/{}"): f"401 404 204 404 404 404 204 404 {BAD} 403 403 403 403 403 403 204 403",
    ("GET", "/api/auth/invitations"): f"401 403 403 403 403 403 200 403 {BAD} 403 403 403 403 403 403 403 403",
    ("DELETE", "/api/auth/invitations/{}"): f"401 403 403 403 403 403 204 403 {BAD} 403 403 403 403 403 403 403 403",
    ("POST", "/api/auth/invitations"): f"401 403 403 403 403 403 201 403 {BAD} 403 403 403 403 403 403 403 403",
    ("GET", "/api/events"): f"401 403 403 403 403 403 403 200 {BAD} 403 403 403 403 403 200 403 403",
    ("GET", "/events"): f"200 200 200 200 200 200 200 200 {BAD} 200 200 403 200 200 200 200 200",
    ("GET", "/feed.atom"): " ".join(["200"] * len(WHO)),
    ("GET", "/livez"): " ".join(["200"] * len(WHO)),
    ("GET", "/readyz"): " ".join(["200"] * len(WHO)),
}

BODIES = {
    ("POST", "/api/articles"): {"title": "t", "content": "c"}, ("PUT", "/api/articles/{}"): {"title": "t", "content": "c"},
    ("PATCH", "/api/articles/{}"): {"title": "t"}, ("POST", "/api/commands/{}"): {"title": "t", "content": "c"},
    ("PUT", "/api/users/{}/permissions"): {"permissions": []}, ("POST", "/api/auth/login"): {"username": "x", "password": "y"},
    ("POST", "/api/auth/tokens"): {"name": "n", "scopes": ["read"]},
}

# The same for each command that POST /api/commands/{type} takes. What a path asks of all that come by it, a command asks of
# who may do it: so to nobody a draft or an account is not there, but for what is refused to nobody in particular.
COMMANDS = {
    "change_password": f"401 404 200 404 404 404 200 404 {BAD} 403 403 403 403 403 403 - 403",
    "create_article": f"401 201 201 201 201 201 201 201 {BAD} 403 201 201 201 201 403 201 403",
    "delete_article": f"401 404 204 403 404 404 404 404 {BAD} 403 204 204 403 404 403 204 403",
    "erase_user": f"401 404 204 404 404 404 204 404 {BAD} 403 403 403 403 403 403 - 403",
    "patch_article": f"401 404 200 200 404 404 404 404 {BAD} 403 200 200 200 404 403 200 403",
    "publish_article": f"401 404 200 200 404 404 404 404 {BAD} 403 200 200 200 404 403 200 403",
    "register_user": f"201 201 201 201 201 201 201 201 {BAD} 403 201 201 201 201 403 201 403",
    "restore_revision": f"401 404 200 200 404 404 404 404 {BAD} 403 200 200 200 404 403 200 403",
    "set_permissions": f"401 404 403 404 404 404 200 404 {BAD} 403 403 403 403 403 403 403 403",
    "unpublish_article": f"401 404 409 409 404 404 404 404 {BAD} 403 409 409 409 404 403 409 403",
    "update_article": f"401 404 200 200 404 404 404 404 {BAD} 403 200 200 200 404 403 200 403",
    "update_user": f"401 404 200 404 404 404 200 404 {BAD} 403 403 403 403 403 403 200 403",
}


def test_every_route_has_a_row():
    assert set(TABLE) == routes()
    assert all(len(row.split()) == len(WHO) for row in TABLE.values())


def test_every_command_has_a_row(admin):
    assert set(COMMANDS) == {item["type"] for item in admin.get("/api/commands").json["items"]}
    assert all(len(row.split()) == len(WHO) for row in COMMANDS.values())


class ByCookie(Client):
    """A browser of that person's, on a page of this site or of another one."""

    def __init__(self, person, site):
        super().__init__(person.stack)
        login = super().post("/api/auth/login", {"username": person.name, "password": person.password})
        self.headers = {"Cookie": "; ".join(line.split(";")[0] for line in login.cookies), "Sec-Fetch-Site": site}

    def call(self, method, path, body=None, headers=None, token=None):
        return super().call(method, path, body, {**(headers or {}), **getattr(self, "headers", {})}, token)


@pytest.fixture
def cast(stack, admin):
    """Who asks; all anew for each row, for some rows end sessions and accounts."""
    def person(prefix, *permissions):
        made = Person(stack, prefix)
        if permissions:
            assert admin.call("PUT", made.where + "/permissions", {"permissions": list(permissions)}, headers={"If-Match": "*"}).status == 200
        return made

    people = {"owner": person("own"), "other": person("oth"), "revoked": person("rev"),
              **{name: person(name, permission) for name, permission in ROLES.items()}}
    owner = people["owner"]
    assert people["revoked"].client.post("/api/auth/logout").status == 204
    expired = stack.token(**session_of(owner.client.token), exp=1700000000, iat=1699999000)
    tokens = {name: stack.client(people[of].client.post("/api/auth/tokens", {"name": "t", "scopes": scopes}).json["token"])
              for name, (of, *scopes) in TOKENS.items()}
    return {"owner_person": owner, "spare": owner.another().client, "anonymous": stack.client(), "expired": stack.client(expired),
            **{name: made.client for name, made in people.items()}, **tokens,
            "cookie": ByCookie(owner, "same-origin"), "cross-site": ByCookie(owner, "cross-site")}


def in_turn(row):
    """Who is asked, and what is expected; refusals first, for they change nothing."""
    expected = [pair for pair in zip(WHO, row.split()) if pair[1] != "-"]
    return sorted(expected, key=lambda pair: pair[1] in ("200", "201", "204"))


def target_of(stack, owner, who, status, spends):
    """The owner, unless another one is to be spent in the owner's place, who is needed yet."""
    return Person(stack, "tar") if spends and status in ("200", "204") and who != "owner" else owner


def password_body(owner, target, who):
    """What succeeds for the owner leaves the password as it is."""
    return {"password": owner.password, "current_password": owner.password} if target is owner and who == "owner" else {"password": "long enough"}


def user_body(stack, password=False):
    name = f"acc{stack.head}"
    return {"username": name, "email": f"{name}@example.org", **({"password": "long enough"} if password else {})}


@pytest.mark.parametrize("method, path", sorted(set(TABLE) - FOLLOWED))
def test_who_may(stack, cast, method, path):
    owner, spare = cast["owner_person"], cast["spare"]
    for who, status in in_turn(TABLE[method, path]):
        body, parts = BODIES.get((method, path)), []
        if path in ("/api/users", "/api/users/{}") and method in ("POST", "PUT"):
            body = user_body(stack, password=method == "POST")
        if path.startswith("/api/articles/{}"):
            made = spare.article("A draft", publish=False).json["id"]
            parts = [made, "2" if path.endswith("diff") else "1"]
        elif path.startswith("/api/commands/"):
            parts = ["create_article"]
        elif path == "/api/auth/sessions/{}":
            parts = [session_of(owner.another().client.token)["sid"]]
        elif path == "/api/auth/tokens/{}":
            parts = [spare.post("/api/auth/tokens", {"name": "gone", "scopes": ["read"]}).json["id"]]
        elif path == "/api/auth/invitations/{}":
            parts = [stack.admin().post("/api/auth/invitations", {}).json["id"]]
        elif path.startswith("/api/users/"):
            target = target_of(stack, owner, who, status, method == "DELETE" or path.endswith("/password"))
            parts = [target.id]
            if path.endswith("/password"):
                body = password_body(owner, target, who)
        where = re.sub(r"\{\}", lambda _: parts.pop(0), path)
        headers = {"If-Match": "*"} if path.startswith(("/api/articles/{}", "/api/users/{}")) and method != "GET" else {}
        answer = cast[who].call(method, where, body, headers=headers)
        assert str(answer.status) == status, (who, method, where, answer.status, answer.body)


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_who_may_send(stack, cast, name):
    owner, spare = cast["owner_person"], cast["spare"]
    for who, status in in_turn(COMMANDS[name]):
        body = {"title": "t", "content": "c"} if name in ("create_article", "update_article") else {}
        if name == "register_user":
            body = user_body(stack, password=True)
        elif name.endswith(("_article", "_revision")) and name != "create_article":
            body["id"] = spare.article("A draft", publish=False).json["id"]
        elif name != "create_article":
            target = target_of(stack, owner, who, status, name in ("erase_user", "change_password"))
            body = {"update_user": user_body(stack), "change_password": password_body(owner, target, who),
                    "set_permissions": {"permissions": []}}.get(name, {}) | {"id": target.id}
        body |= {"patch_article": {"title": "t"}, "restore_revision": {"revision": 1}}.get(name, {})
        headers = {"If-Match": "*"} if name not in ("create_article", "register_user") else {}
        answer = cast[who].post(f"/api/commands/{name}", body, headers=headers)
        assert str(answer.status) == status, (who, name, answer.status, answer.body)


def test_who_may_follow(stack, cast):
    for who, status in zip(WHO, TABLE["GET", "/events"].split()):
        if status == "200":
            stream = Stream(stack, "/events", token=cast[who].token, headers=getattr(cast[who], "headers", None))
            until(lambda: stream.frames, what="the stream")
            stream.close()
        else:
            cast[who].get("/events").problem(int(status))
    for who, status in ("anonymous", 401), ("other", 403), ("edit", 403), ("admin", 403), ("write", 403), ("admin-token", 403):
        cast[who].get("/events?topic=all").problem(status)
    for who in "audit", "audit-token":
        Stream(stack, "/events?topic=all", token=cast[who].token).close()
