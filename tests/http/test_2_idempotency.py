"""The same command again gives the same answer, and happens once."""

import http.client
import os
import threading

BODY = {"title": "Once", "content": "x", "publish": True}


def post(client, key, body=BODY):
    return client.post("/api/articles", body, headers={"Idempotency-Key": key})


def test_a_repeat_is_answered_as_the_first_time(stack, admin):
    first = post(admin, "repeat-1")
    head = stack.head
    again = post(stack.admin(), "repeat-1")
    assert (first.status, again.status) == (201, 201)
    assert again.body == first.body and again.position == first.position
    for name in ("etag", "location", "content-type"):
        assert again.headers[name] == first.headers[name]
    assert again.headers["idempotency-replayed"] == "true" and "idempotency-replayed" not in first.headers
    assert stack.head == head


def test_another_request_with_the_same_key_is_refused(stack, admin):
    post(admin, "other-1")
    head = stack.head
    assert "another request" in post(admin, "other-1", {**BODY, "title": "Two"}).problem(422)["detail"]
    assert stack.head == head


def test_keys_belong_to_their_user(stack, admin):
    first = post(admin, "shared-key")
    other = post(stack.user("ann"), "shared-key")
    assert other.status == 201 and other.json["id"] != first.json["id"]


def test_a_refusal_is_not_kept(stack, admin):
    post(admin, "refused-1", {}).problem(422)
    assert post(admin, "refused-1").status == 201


def test_bad_keys(stack, admin):
    head = stack.head
    for key in ("x" * 256, "a b", "é".encode().decode("latin-1")):
        post(admin, key).problem(400)
    assert stack.head == head


def test_expired_keys_are_forgotten(stack, admin):
    first = post(admin, "old-1")
    stack.sql("UPDATE commands SET created_at = created_at - INTERVAL 25 HOUR WHERE idempotency_key = 'old-1'")
    again = post(admin, "old-1")
    assert again.status == 201 and again.json["id"] != first.json["id"]
    assert stack.sql("SELECT COUNT(*) FROM commands WHERE idempotency_key = 'old-1'") == [["1"]]


def test_fifty_at_once_are_one(stack, admin):
    before, answers = stack.head, []

    def write():
        answers.append(post(stack.client(admin.token), "race-1"))

    threads = [threading.Thread(target=write) for _ in range(50)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {answer.status for answer in answers} == {201}
    assert len({answer.body for answer in answers}) == 1
    assert sum("idempotency-replayed" not in answer.headers for answer in answers) == 1
    assert stack.head == before + 3


def test_what_changed_nothing_is_kept_too(stack, admin):
    stack.user("ann")
    user = stack.sql("SELECT id FROM users WHERE username = 'ann'")[0][0]

    def allow(permissions):
        return admin.call("PUT", f"/api/users/{user}/permissions", {"permissions": permissions},
                          headers={"If-Match": "*", "Idempotency-Key": "nothing-1"})

    first = allow([])
    assert first.status == 200 and "idempotency-replayed" not in first.headers
    head = stack.head
    assert "another request" in allow(["audit_read"]).problem(422)["detail"]
    stack.user("bob").post("/api/articles", {"title": "Meanwhile", "content": "x"})
    again = allow([])
    assert again.status == 200 and again.headers["idempotency-replayed"] == "true" and again.body == first.body
    assert again.position == first.position <= head


def register(stack, name, password="a long password", key="register", address="127.0.0.1"):
    client = stack.client()
    client.connection = http.client.HTTPConnection(stack.host, stack.port, timeout=60, source_address=(address, 0))
    return client.post("/api/users", {"username": name, "email": f"{name}@example.org", "password": password},
                       headers={"Idempotency-Key": key})


def test_a_password_change_is_repeated_after_a_lost_answer(stack):
    """The old password is right no longer: that the repeat brings it is no guess."""
    name = f"lost{stack.head}"
    client, password = stack.user(name), f"password of {name}"
    where = f"/api/users/{client.get('/api/auth').json['id']}/password"

    def change(new, key):
        return client.call("PUT", where, {"password": new, "current_password": password}, headers={"Idempotency-Key": key})

    first = change("another password", name)
    head, again = stack.head, change("another password", name)
    assert (first.status, again.status) == (200, 200) and again.body == first.body and again.headers["idempotency-replayed"] == "true"
    assert again.headers["ratelimit"] == first.headers["ratelimit"] and stack.head == head
    assert "another request" in change("a third password", name).problem(422)["detail"]
    change("another password", name + "b").problem(403)


def test_an_invitation_is_repeated_after_a_lost_answer(stack, admin):
    path = os.path.join(stack.dir, "courant.local.conf")
    before, name = open(path).read(), f"inv{stack.head}"
    try:
        with open(path, "w") as file:
            file.write(before + "[auth]\nregistration = invitation\n")
        stack.dev("up")
        body = {"username": name, "email": f"{name}@example.org", "password": "long enough",
                "invitation": admin.post("/api/auth/invitations", {}).json["invitation"]}
        first, again = (stack.client().post("/api/users", body, headers={"Idempotency-Key": name}) for _ in range(2))
        assert (first.status, again.status) == (201, 201) and again.body == first.body
        stack.client().post("/api/users", body, headers={"Idempotency-Key": name + "b"}).problem(401)
    finally:
        with open(path, "w") as file:
            file.write(before)
        stack.dev("up")


def test_what_may_be_seen_no_longer_is_not_repeated(stack, admin):
    name = f"edit{stack.head}"
    editor, draft = stack.user(name), admin.article("A draft", publish=False)
    user = f"/api/users/{editor.get('/api/auth').json['id']}/permissions"

    def allow(*permissions):
        assert admin.call("PUT", user, {"permissions": list(permissions)}, headers={"If-Match": "*"}).status == 200

    def change():
        return editor.call("PATCH", draft.headers["location"], {"title": "Edited"}, headers={"If-Match": '"v2"', "Idempotency-Key": name})

    allow("article_edit_any")
    first, again = change(), change()
    assert first.status == 200 and again.body == first.body
    allow()
    assert "Edited" not in str(change().problem(404))
    allow("article_edit_any")
    assert change().body == first.body


def test_a_key_stands_for_the_password_too(stack, admin):
    name = key = f"idem{stack.head}"
    first = register(stack, name, key=key)
    again = register(stack, name, key=key)
    assert (first.status, again.status) == (201, 201) and again.body == first.body and again.headers["idempotency-replayed"] == "true"
    assert "another request" in register(stack, name, "a long Password", key).problem(422)["detail"]
    where, head = first.headers["location"] + "/password", stack.head
    statuses = [admin.call("PUT", where, {"password": password}, headers={"Idempotency-Key": key}).status
                for password in ("one password", "one password", "two passwords")]
    assert statuses == [200, 200, 422] and stack.head == head + 1
    assert stack.log_in(name, "one password").status == 200 and stack.log_in(name, "two passwords").status == 401


def test_what_is_kept_of_a_password_differs_by_key(stack):
    """A digest that is the same for the same password could be looked up."""
    names = [f"salt{stack.head}{n}" for n in "ab"]
    for name in names:
        assert register(stack, name, key=name).status == 201
    kept = stack.sql(f"SELECT HEX(digest) FROM commands WHERE idempotency_key IN ('{names[0]}', '{names[1]}')")
    assert len(kept) == 2 and kept[0] != kept[1]


def test_keys_of_nobody_belong_to_their_address(stack):
    key = f"nobody{stack.head}"
    first = register(stack, key, key=key)
    other = register(stack, f"{key}b", key=key, address="127.0.0.2")
    assert (first.status, other.status) == (201, 201) and other.json["id"] != first.json["id"]
    assert register(stack, f"{key}b", key=key, address="127.0.0.2").body == other.body
    register(stack, f"{key}b", key=key).problem(422)


def test_calls_that_show_a_secret_take_no_key(stack, admin):
    calls = {"/api/auth/login": {"username": "x", "password": "y"}, "/api/auth/refresh": {"refresh_token": "x"},
             "/api/auth/tokens": {"name": "n", "scopes": ["read"]}, "/api/auth/invitations": {}}
    head = stack.head
    for path, body in calls.items():
        assert "secret" in admin.post(path, body, headers={"Idempotency-Key": "shown-twice"}).problem(400)["detail"], path
        assert "visible" in admin.post(path, body, headers={"Idempotency-Key": "a b"}).problem(400)["detail"], path
    assert stack.head == head


def test_what_is_gone_once_it_is_done(stack, admin):
    """A session or a token is not there any more when its end is asked for again."""
    name = f"gone{stack.head}"
    register(stack, name, key=name)
    mine = stack.client(stack.log_in(name, "a long password").json["access_token"])
    other = stack.client(stack.log_in(name, "a long password").json["access_token"])
    session = next(item["id"] for item in mine.get("/api/auth/sessions").json["items"] if not item["current"])
    token = mine.post("/api/auth/tokens", {"name": "n", "scopes": ["read"]}).json["id"]
    for number, path in enumerate((f"/api/auth/tokens/{token}", f"/api/auth/sessions/{session}")):
        headers = {"Idempotency-Key": f"{name}-{number}"}
        mine.call("DELETE", path, headers={"Idempotency-Key": "a b"}).problem(400)
        first, again = (mine.call("DELETE", path, headers=headers) for _ in range(2))
        assert (first.status, again.status) == (204, 204) and again.position == first.position
        assert again.headers["idempotency-replayed"] == "true" and "idempotency-replayed" not in first.headers
        mine.call("DELETE", path).problem(404)
        mine.call("DELETE", path[:-1] + ("0" if path[-1] != "0" else "1"), headers=headers).problem(422)
    assert other.get("/api/auth").status == 401
    token = mine.post("/api/auth/tokens", {"name": "n", "scopes": ["read"]}).json["id"]
    done = mine.call("DELETE", f"/api/auth/tokens/{token}", headers={"Prefer": "respond-async"})
    assert done.status == 202 and done.json["id"] == token
    mine.post("/api/auth/logout", headers={"Idempotency-Key": "a b"}).problem(400)
    assert mine.post("/api/auth/logout").status == 204
