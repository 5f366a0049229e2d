"""/api/commands: one registry, the same checks for every command, and the version that a client has seen."""

import json
import threading
import time

import pytest


def send(client, kind, payload, version=None, **headers):
    if version is not None:
        headers["If-Match"] = f'"v{version}"'
    return client.post(f"/api/commands/{kind}", payload, headers=headers)


def draft(client, title="A draft"):
    answer = send(client, "create_article", {"title": title, "content": "x"})
    assert answer.status == 201
    return answer


def test_commands_are_listed_with_their_schemas(stack):
    items = {item["type"]: item for item in stack.client().get("/api/commands").json["items"]}
    assert sorted(items) == ["change_password", "create_article", "delete_article", "erase_user", "patch_article", "publish_article",
                             "register_user", "restore_revision", "set_permissions", "unpublish_article", "update_article",
                             "update_user"]
    update = items["update_article"]
    assert update["if_match"] is True and items["create_article"]["if_match"] is False
    assert update["schema"]["required"] == ["id", "title", "content"]
    assert update["schema"]["additionalProperties"] is False
    assert update["schema"]["properties"]["title"] == {"type": "string", "minLength": 1, "maxLength": 200}
    assert update["schema"]["properties"]["tags"]["maxItems"] == 20


def test_a_command_answers_like_its_own_path(stack, admin):
    payload = {"title": "By its name", "content": "x", "publish": True}
    by_name, by_path = send(admin, "create_article", payload), admin.post("/api/articles", payload)
    for answer in by_name, by_path:
        assert answer.status == 201 and answer.headers["etag"] == '"v3"'
        assert answer.headers["location"] == f"/api/articles/{answer.json['id']}"
        assert admin.get(answer.headers["location"]).json == answer.json


def test_there_is_no_such_command(stack, admin):
    for kind in "nothing", "log_in", "create_article/x", "":
        assert send(admin, kind, {}).status == 404
    assert admin.get("/api/commands/create_article").status == 405


def test_every_fault_at_once(stack, admin):
    before = stack.head
    answer = send(admin, "update_article", {"id": "x", "title": "", "more": 1})
    assert answer.status == 422
    assert [fault["pointer"] for fault in answer.json["errors"]] == ["/id", "/title", "/content", "/more"]
    assert stack.head == before


def test_update_and_publish(stack, admin):
    made = draft(admin, "Before")
    answer = send(admin, "update_article", {"id": made.json["id"], "title": "After", "content": "y", "tags": ["t"]}, 2)
    assert answer.status == 200 and answer.headers["etag"] == '"v4"' and answer.position == made.position + 2
    assert (answer.json["title"], answer.json["tags"], answer.json["lead"]) == ("After", ["t"], "")
    answer = send(admin, "publish_article", {"id": made.json["id"]}, 4)
    assert answer.status == 200 and answer.json["status"] == "published" and answer.json["published_at"]
    assert send(admin, "publish_article", {"id": made.json["id"]}, 5).status == 409
    assert stack.client().get(f"/api/articles/{made.json['id']}").json == answer.json
    events = [json.loads(line) for line in stack.ctl("events", "--stream", f"article-{made.json['id']}").stdout.splitlines()]
    assert [(event["version"], event["type"]) for event in events] == [
        (1, "article.created"), (2, "article.revision_created"), (3, "article.updated"), (4, "article.revision_created"),
        (5, "article.published")]
    assert [event["data"].get("revision") for event in events] == [None, 1, None, 2, None]


def test_the_version_that_was_seen(stack, admin):
    made = draft(admin)
    payload = {"id": made.json["id"], "title": "Mine", "content": "x"}
    before = stack.head
    assert send(admin, "update_article", payload).status == 428
    for version in 1, 3, 99:
        answer = send(admin, "update_article", payload, version)
        assert answer.status == 412 and answer.headers["etag"] == '"v2"'
    for match in "v2", '"v2", "v3"', '"v2', "v2\"", "**", '"':
        assert send(admin, "update_article", payload, **{"If-Match": match}).status == 400
    # An ETag that is none of ours, or a weak one, matches nothing.
    for match in '"2"', '"v0"', 'W/"v2"', '"v"', '"v99999999999999999999"', '""':
        answer = send(admin, "update_article", payload, **{"If-Match": match})
        assert answer.status == 412 and answer.headers["etag"] == '"v2"', match
    assert stack.head == before
    assert send(admin, "update_article", payload, 2).status == 200
    assert send(admin, "update_article", payload, **{"If-Match": "*"}).status == 200


def test_two_writers_who_saw_the_same_version(stack, admin):
    made = draft(admin)
    for version in range(2, 22, 2):
        answers = []

        def write(name):
            answers.append(send(stack.client(admin.token), "update_article",
                                {"id": made.json["id"], "title": name, "content": "x"}, version))

        threads = [threading.Thread(target=write, args=(f"{version} {n}",), daemon=True) for n in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
        assert sorted(answer.status for answer in answers) == [200, 412, 412, 412]
        won = next(answer for answer in answers if answer.status == 200)
        assert admin.get(f"/api/articles/{made.json['id']}").json == won.json


def test_who_may(stack, admin):
    ann, ben = stack.user("ann"), stack.user("ben")
    made = draft(ann)
    payload = {"id": made.json["id"], "title": "Not mine", "content": "x"}
    assert send(stack.client(), "create_article", {"title": "t", "content": "x"}).status == 401
    nobody = {**payload, "id": "01a2071b-f843-7645-a001-b20b639515c1"}
    for version in None, 1, 2:  # who may not see a draft does not learn that it is there, or its version
        assert send(ben, "update_article", payload, version).status == 404
        for any in payload, nobody:
            assert send(stack.client(), "update_article", any, version).status == 401
    assert send(ann, "publish_article", {"id": made.json["id"]}, 2).status == 200
    assert send(ben, "update_article", payload, 3).status == 403
    assert send(admin, "update_article", payload, 3).status == 200
    assert send(admin, "update_article", nobody, 1).status == 404


def test_register_by_command(stack):
    name = f"eve{stack.head}"
    payload = {"username": name, "email": f"{name}@example.org", "password": "a long password"}
    answer = send(stack.client(), "register_user", payload)
    assert answer.status == 201 and answer.json["permissions"] == [] and "password" not in answer.json
    assert stack.log_in(name, "a long password").status == 200
    assert send(stack.client(), "register_user", payload).status == 409
    payload["permissions"] = ["audit_read"]
    assert send(stack.client(), "register_user", payload).status == 401
    assert send(stack.user("ann"), "register_user", payload).status == 403
    assert "a long password" not in stack.ctl("events").stdout


def test_repeated_with_the_same_key(stack, admin):
    made = draft(admin)
    payload = {"id": made.json["id"], "title": "Once", "content": "x"}
    first = send(admin, "update_article", payload, 2, **{"Idempotency-Key": f"key-{made.position}"})
    again = send(admin, "update_article", payload, 2, **{"Idempotency-Key": f"key-{made.position}"})
    assert (first.status, first.body, first.position) == (again.status, again.body, again.position)
    assert again.headers["idempotency-replayed"] == "true" and stack.head == first.position


@pytest.fixture(scope="module")
def history(stack):
    """An article and each of its states with the moments around them."""
    client = stack.user("historian")
    states, moments = [], []
    answer = draft(client, "First")
    for number in range(2, 6):
        states.append(answer.json)
        time.sleep(0.002)
        moments.append(stack.sql("SELECT DATE_FORMAT(UTC_TIMESTAMP(6), '%Y-%m-%dT%H:%i:%s.%fZ')")[0][0])
        time.sleep(0.002)
        if number == 4:
            answer = send(client, "publish_article", {"id": answer.json["id"]}, answer.json["version"])
        else:
            answer = send(client, "update_article", {"id": answer.json["id"], "title": f"Number {number}", "content": "é 😀"},
                          answer.json["version"])
    states.append(answer.json)
    return client, states, moments


def test_as_of_a_version(stack, history):
    client, states, _ = history
    path = f"/api/articles/{states[0]['id']}"
    for state in states:
        answer = client.get(f"{path}?version={state['version']}")
        assert answer.status == 200 and answer.json == state and answer.headers["etag"] == f'"v{state["version"]}"'
    assert client.get(f"{path}?version=1").json["title"] == "First"  # in the midst of a command's events
    assert client.get(f"{path}?version={states[-1]['version'] + 1}").status == 404
    for query in "version=0", "version=x", "version=", "at=yesterday", "at=", "version=1&at=2026-01-01T00:00:00Z":
        assert client.get(f"{path}?{query}").status == 422


def test_as_of_a_moment(stack, history):
    client, states, moments = history
    path = f"/api/articles/{states[0]['id']}"
    for state, moment in zip(states, moments):
        assert client.get(f"{path}?at={moment}").json == state
        for form in moment.lower(), moment.replace("Z", "999Z"), moment.replace("Z", "%2B00:00"):
            assert client.get(f"{path}?at={form}").json == state, form
    assert client.get(f"{path}?at=2099-01-01T00:00:00.000000Z").json == states[-1]
    assert client.get(f"{path}?at=2020-01-01T00:00:00.000000Z").status == 404


def test_as_of_leaks_no_draft(stack, history):
    _, states, moments = history
    path = f"/api/articles/{states[0]['id']}"
    for state in states:
        expected = 200 if state["status"] == "published" else 404
        assert stack.client().get(f"{path}?version={state['version']}").status == expected
    assert stack.client().get(f"{path}?at={moments[0]}").status == 404
    hidden = draft(stack.user("historian"))
    assert stack.client().get(f"/api/articles/{hidden.json['id']}?version=1").status == 404


def test_a_long_history(stack, admin):
    """More than one page of events."""
    made = draft(admin)
    version = 2
    for number in range(120):
        answer = send(admin, "update_article", {"id": made.json["id"], "title": f"T{number}", "content": "x"}, version)
        version = answer.json["version"]
    for number in 0, 48, 49, 50, 99, 119:
        assert admin.get(f"/api/articles/{made.json['id']}?version={4 + 2 * number}").json["title"] == f"T{number}"


def test_a_command_without_a_token(stack):
    answer = stack.client().post("/api/commands/create_article", {"title": "Nobody's", "content": "x"})
    answer.problem(401)
    assert answer.headers["www-authenticate"].startswith("Bearer")
