"""The same command again gives the same answer, and happens once."""

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
                          headers={"Idempotency-Key": "nothing-1"})

    first = allow([])
    assert first.status == 200 and "idempotency-replayed" not in first.headers
    head = stack.head
    assert "another request" in allow(["audit_read"]).problem(422)["detail"]
    stack.user("bob").post("/api/articles", {"title": "Meanwhile", "content": "x"})
    again = allow([])
    assert again.status == 200 and again.headers["idempotency-replayed"] == "true" and again.body == first.body
    assert again.position == first.position <= head
