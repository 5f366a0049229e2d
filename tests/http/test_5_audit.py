"""The audit trail: which events each filter finds, in pages, for whom, and within which bounds."""

import datetime
import itertools
import json
import threading
import time
import urllib.parse

import pytest

from courant import Stream
from test_4_accounts import Person

NOBODY = "01a208b3-259a-715e-b9fb-b4a77b7b190d"
HOSTILE = ["' OR '1'='1", "x' UNION SELECT 1 -- ", "\"; DROP TABLE events; --", "1 OR 1=1", "?", "%", "\\", "article-%", "NULL", "", "é",
           "a" * 65, "article-" + "a" * 60, "user-x'", "article.a' OR type <> '", "0x41", "1; SELECT SLEEP(9)"]


def ask(client, **query):
    text = urllib.parse.urlencode({name.rstrip("_"): value for name, value in query.items()})
    answer = client.get(f"/api/events?{text}")
    assert answer.status == 200, answer.body
    assert answer.headers["cache-control"] == "private, no-cache"
    return answer


def everything(client, after=0, **query):
    """All pages, one behind the other."""
    found, pages = [], 0
    while after is not None:
        page = ask(client, after=after, **query).json
        assert len(page["items"]) <= int(query.get("limit", 20))
        assert all(item["position"] > after for item in page["items"])
        assert page["next"] is None or page["next"] >= max([after + 1, *(item["position"] for item in page["items"])])
        found, after, pages = found + page["items"], page["next"], pages + 1
    positions = [item["position"] for item in found]
    assert positions == sorted(set(positions))
    return found


def positions(items):
    return [item["position"] for item in items]


@pytest.fixture(scope="module")
def auditor(stack, admin):
    person = Person(stack, "aud")
    assert admin.call("PUT", person.where + "/permissions", {"permissions": ["audit_read"]}, headers={"If-Match": "*"}).status == 200
    return person


@pytest.fixture(scope="module")
def scene(stack, admin, auditor):
    """What two people do with three articles: where it begins and ends, and the events of it."""
    before = stack.head
    ann, ben = Person(stack, "ann"), Person(stack, "ben")
    articles = []
    for who, title in (ann, "One"), (ben, "Two"), (ann, "Three"):
        made = who.client.article(title).json
        articles.append(f"article-{made['id']}")
        for number in range(3):
            answer = who.client.call("PATCH", f"/api/articles/{made['id']}", {"title": f"{title} {number}"}, headers={"If-Match": "*"})
            assert answer.status == 200, answer.body
    upto = stack.head
    items = [item for item in everything(auditor.client, before, limit=100) if item["position"] <= upto]
    assert positions(items) == list(range(before + 1, upto + 1))
    return {"before": before, "upto": upto, "items": items, "articles": articles, "ann": ann, "ben": ben}


def test_items_are_what_a_stream_shows(stack, auditor, scene):
    stream = Stream(stack, f"/events?topic=all&after={scene['before']}", auditor.client.token)
    stream.wait_for(scene["upto"])
    stream.close()
    assert scene["items"] == [data for id, _, data in stream.events if id <= scene["upto"]]
    assert all(item["metadata"]["source"] for item in scene["items"])
    answer = ask(auditor.client, after=scene["before"], limit=3)
    assert answer.json["items"] == scene["items"][:3] and answer.json["next"] == scene["before"] + 3
    assert answer.position == stack.head


def test_pages_have_each_position_once(stack, auditor, scene):
    for limit in 1, 7, 100:
        found = everything(auditor.client, scene["before"], limit=limit)
        assert found[:len(scene["items"])] == scene["items"]
    head = stack.head
    assert positions(everything(auditor.client, limit=100)) == list(range(1, head + 1))
    last = ask(auditor.client, after=head).json
    assert last == {"items": [], "next": None} and ask(auditor.client, after=head + 10**9).json == last
    assert ask(auditor.client).json["items"][0]["position"] == 1 and len(ask(auditor.client).json["items"]) == 20


def test_pages_of_a_log_that_grows(stack, auditor):
    """Whoever goes on where a page ended misses nothing of what others write meanwhile."""
    begin = after = stack.head
    clients = [Person(stack, f"grow{number}").client for number in range(3)]
    faults = []

    def write(client):
        try:
            for number in range(15):
                client.article(f"Growing {number}")
        except BaseException as fault:
            faults.append(fault)

    writers = [threading.Thread(target=write, args=(client,)) for client in clients]
    for writer in writers:
        writer.start()
    found = []
    while any(writer.is_alive() for writer in writers):
        answer = ask(auditor.client, after=after, limit=7)
        found += positions(answer.json["items"])
        after = found[-1] if found else begin
        assert answer.json["next"] == (after if after < answer.position else None)
    found += positions(everything(auditor.client, after))
    assert not faults and found == list(range(begin + 1, stack.head + 1))


def test_every_combination_of_filters(auditor, scene):
    items = scene["items"]
    middle = items[len(items) // 2]["timestamp"], items[-3]["timestamp"]
    choices = {
        "stream": [None, scene["articles"][0], scene["articles"][1], f"user-{scene['ann'].id}", f"article-{NOBODY}"],
        "type": [None, "article.updated", "article.created", "article.nothing"],
        "user": [None, scene["ann"].id, scene["ben"].id, NOBODY],
        "from_": [None, middle[0]],
        "to": [None, middle[1]],
    }
    tests = {
        "stream": lambda item, value: item["stream"] == value,
        "type": lambda item, value: item["type"] == value,
        "user": lambda item, value: item["metadata"].get("user_id") == value,
        "from_": lambda item, value: item["timestamp"] >= value,
        "to": lambda item, value: item["timestamp"] < value,
    }
    for values in itertools.product(*choices.values()):
        query = {name: value for name, value in zip(choices, values) if value is not None}
        expected = [item for item in items if all(tests[name](item, value) for name, value in query.items())]
        for after, limit in (scene["before"], 100), (items[9]["position"], 3):
            found = [item for item in everything(auditor.client, after, limit=limit, **query) if item["position"] <= scene["upto"]]
            assert found == [item for item in expected if item["position"] > after], query
    assert len(everything(auditor.client, stream=scene["articles"][0], type="article.updated", user=scene["ann"].id)) == 3


def test_times_are_exact(auditor, scene):
    moments = [item["timestamp"] for item in scene["items"]]
    at = moments[10]
    step = datetime.timedelta(microseconds=1)
    moved = {sign: (datetime.datetime.strptime(at, "%Y-%m-%dT%H:%M:%S.%fZ") + sign * step).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
             for sign in (-1, 1)}

    def found(**query):
        return {item["position"] for item in everything(auditor.client, scene["before"], limit=100, **query)
                if item["position"] <= scene["upto"]}

    here = {item["position"] for item in scene["items"] if item["timestamp"] == at}
    after, before = found(from_=moved[1]), found(to=at)
    assert here and not here & after and not here & before
    assert found(from_=at) == here | after and found(to=moved[1]) == here | before
    assert found(from_=at, to=moved[1]) == here and found(from_=at, to=at) == set() and found(from_=moved[-1], to=at) <= before
    whole = at[:19] + "Z"
    assert found(from_=whole) | found(to=whole) == set(positions(scene["items"])) and not found(from_=whole) & found(to=whole)
    for past in "0000-01-01T00:00:00Z", "1969-12-31T23:59:59.999999Z", "2000-01-01T00:00:00Z":
        assert found(from_=past) == set(positions(scene["items"])) and found(to=past) == set()
    for future in "2999-01-01T00:00:00Z", "9999-12-31T23:59:59.999999Z":
        assert found(to=future) == set(positions(scene["items"])) and found(from_=future) == set()
        assert ask(auditor.client, from_=future).json == {"items": [], "next": None}


@pytest.mark.parametrize("query, pointers", [
    ("limit=0", ["?limit"]), ("limit=101", ["?limit"]), ("limit=abc", ["?limit"]), ("limit=-1", ["?limit"]), ("limit=", ["?limit"]),
    ("after=-1", ["?after"]), ("after=abc", ["?after"]), ("after=", ["?after"]), ("after=1.5", ["?after"]), ("after=" + "9" * 30, ["?after"]),
    ("stream=x", ["?stream"]), ("stream=Article-1", ["?stream"]), ("stream=-1", ["?stream"]), ("type=article", ["?type"]),
    ("type=article.", ["?type"]), ("user=kim", ["?user"]), (f"user={NOBODY.upper()}", ["?user"]),
    ("from=2026-01-31", ["?from"]), ("from=2026-01-31T12:00:00", ["?from"]), ("from=2026-01-31T12:00:00+01:00", ["?from"]), ("to=9999-12-31T23:59:59-01:00", ["?to"]),
    ("to=2026-02-30T12:00:00Z", ["?to"]), ("to=now", ["?to"]), ("to=", ["?to"]),
    ("from=2026-02-01T00:00:00Z&to=2026-01-31T00:00:00Z", ["?to"]),
    ("limit=x&after=x&stream=x&type=x&user=x&from=x&to=x", ["?limit", "?after", "?stream", "?type", "?user", "?from", "?to"])])
def test_faults_are_named(auditor, query, pointers):
    problem = auditor.client.get(f"/api/events?{query}").problem(422)
    assert sorted(fault["pointer"] for fault in problem["errors"]) == sorted(pointers)


@pytest.mark.parametrize("name", ["after", "stream", "type", "user", "from", "to", "limit"])
def test_sql_is_a_text_like_any_other(stack, auditor, name):
    before, began = stack.head, time.monotonic()
    for text in HOSTILE:
        problem = auditor.client.get(f"/api/events?{name}={urllib.parse.quote(text)}").problem(422)
        assert [fault["pointer"] for fault in problem["errors"]] == [f"?{name}"]
    for text in "article-null", "user-x", "events-1":
        assert ask(auditor.client, stream=text).json == {"items": [], "next": None}
    assert stack.head == before and time.monotonic() - began < 8


def test_who_may(stack, admin, auditor):
    def api_token(*scopes):
        made = auditor.client.post("/api/auth/tokens", {"name": "t", "scopes": list(scopes)})
        assert made.status == 201, made.body
        return stack.client(made.json["token"])

    stack.client().get("/api/events").problem(401)
    stack.client("wrong").get("/api/events").problem(401)
    person = Person(stack, "mal")
    for permissions in [], ["article_edit_any", "article_delete_any", "link_edit_any", "user_admin"]:
        assert admin.call("PUT", person.where + "/permissions", {"permissions": permissions}, headers={"If-Match": "*"}).status == 200
        for query in "", "?limit=0", f"?user={person.id}", f"?stream=user-{person.id}":
            person.client.get(f"/api/events{query}").problem(403)
    for scopes, status in (["read", "audit_read"], 200), (["read"], 403), (["audit_read"], 403), (["read", "write"], 403):
        assert api_token(*scopes).get("/api/events").status == status, scopes
    assert admin.call("PUT", person.where + "/permissions", {"permissions": ["audit_read"]}, headers={"If-Match": "*"}).status == 200
    assert person.client.get("/api/events").status == 200 and person.client.call("HEAD", "/api/events").body == b""
    assert admin.call("PUT", person.where + "/permissions", {"permissions": []}, headers={"If-Match": "*"}).status == 200
    person.client.get("/api/events").problem(403)


def test_what_was_withdrawn_is_there(stack, admin, auditor):
    made = admin.article("Withdrawn", content="Said in public, and taken back.").json
    for path in f"/api/articles/{made['id']}/unpublish", None:
        answer = (admin.post(path, headers={"If-Match": "*"}) if path else
                  admin.call("DELETE", f"/api/articles/{made['id']}", headers={"If-Match": "*"}))
        assert answer.status in (200, 204)
    found = everything(auditor.client, stream=f"article-{made['id']}")
    assert [item["type"] for item in found] == ["article.created", "article.revision_created", "article.published",
                                                "article.unpublished", "article.deleted"]
    assert found[0]["data"]["content"] == "Said in public, and taken back."


def test_who_was_erased_is_not_named(stack, auditor):
    person = Person(stack, "erasedname")
    article = person.client.article("Stays").json["id"]
    before = ask(auditor.client, stream=f"user-{person.id}", limit=100)
    assert person.client.call("DELETE", person.where, headers={"If-Match": "*"}).status == 204
    for answer in (before, ask(auditor.client, stream=f"user-{person.id}", limit=100), ask(auditor.client, user=person.id, limit=100),
                   ask(auditor.client, stream=f"article-{article}")):
        assert answer.json["items"] and person.name.encode() not in answer.body
    assert everything(auditor.client, stream=f"user-{person.id}")[-1]["type"] == "user.erased"


def test_older_events_are_shown_in_todays_form(stack, admin, auditor):
    made = admin.article("Of an older Courant").json
    where = f"WHERE stream = 'article-{made['id']}' AND type = 'article.published'"
    position, data, metadata = stack.sql(f"SELECT position, data, metadata FROM events {where}")[0]
    older = {name: value for name, value in json.loads(metadata).items() if name != "schema"}
    stack.sql(f"UPDATE events SET data = '{{\"id\":\"{made['id']}\"}}', metadata = '{json.dumps(older)}' {where}")
    try:
        item = ask(auditor.client, stream=f"article-{made['id']}", type="article.published").json["items"][0]
    finally:
        stack.sql(f"UPDATE events SET data = '{data}', metadata = '{metadata}' {where}")
    assert item["position"] == int(position) and item["data"]["published_at"] == item["timestamp"]


def test_what_is_behind_the_head_is_not_shown(stack, auditor):
    """The log ends where log_head says: what a reader could see behind a gap is not committed in order yet."""
    head = stack.head
    stack.sql("INSERT INTO events (position, id, stream, version, type, audience, data, metadata, recorded_at, digest, hash) SELECT "
              f"{head} + 2, '{NOBODY}', 'audit-gap', 1, 'audit.gap', 'public', '{{}}', '{{}}', UTC_TIMESTAMP(6), digest, hash FROM "
              f"events WHERE position = {head}")
    try:
        for query in {"after": head - 1}, {"after": head - 1, "type": "audit.gap"}, {"stream": "audit-gap"}:
            answer = ask(auditor.client, **query)
            assert head + 2 not in positions(answer.json["items"]) and answer.json["next"] is None and answer.position == head
    finally:
        stack.sql(f"DELETE FROM events WHERE position = {head + 2}")


LONG = 20500
FILLER = "01a208b3-259a-715e-b9fb-b4a77b7b19ff"


@pytest.fixture(scope="module")
def long_log(stack, auditor):
    """Many more events of one stream and one user, some seconds out of order, of which one is of another type and the first ones
    are large. What follows the log stands still meanwhile, and then they are gone again."""
    stack.dev("stop", "notifier")
    stack.dev("stop", "nats")
    head = stack.head
    try:
        stack.sql("INSERT INTO events (position, id, stream, version, type, audience, data, metadata, recorded_at, digest, hash) SELECT "
                  f"{head} + seq, CONCAT('01a208b3-259a-715e-8000-', LPAD(seq, 12, '0')), 'audit-{FILLER}', seq * 3, "
                  f"IF(seq = {LONG - 100}, 'audit.rare', 'audit.filler'), 'public', IF(seq <= 60, CONCAT('{{\"a\":\"', REPEAT('a', 100000), '\"}}'), '{{}}'), '{{\"user_id\":\"{FILLER}\"}}', "
                  "UTC_TIMESTAMP(6) + INTERVAL seq + MOD(seq * 7919, 40) SECOND, REPEAT('x', 32), REPEAT('x', 32) "
                  f"FROM seq_1_to_{LONG}; UPDATE log_head SET position = position + {LONG}")
        yield head
    finally:
        stack.sql(f"UPDATE log_head SET position = {head}; DELETE FROM events WHERE position > {head}")
        stack.dev("start", "nats")
        stack.dev("start", "notifier")
    assert "clean" in stack.verify()


def test_work_for_a_page_is_bounded(stack, auditor, long_log):
    """How much is looked at for one page is also a matter of time: at least one chunk, at most ten."""
    rare = long_log + LONG - 100
    for chunk, query in ((2000, {}), (500, {"stream": f"audit-{FILLER}"}), (500, {"user": FILLER}),
                         (500, {"stream": f"audit-{FILLER}", "user": FILLER})):
        page = ask(auditor.client, after=long_log, type="audit.rare", **query).json
        assert page["items"] == [] and page["next"] - long_log in range(chunk, 10 * chunk + 1, chunk), (query, page)
        for limit in 1, 20:
            assert positions(everything(auditor.client, long_log, type="audit.rare", limit=limit, **query)) == [rare]
    assert ask(auditor.client, stream=f"audit-{FILLER}", user=auditor.id).json["next"] <= long_log + 5000
    assert everything(auditor.client, stream=f"audit-{FILLER}", user=auditor.id) == []


def test_a_page_in_the_midst_of_a_stream(auditor, long_log):
    for query in ({"stream": f"audit-{FILLER}"}, {"user": FILLER}, {}):
        for after in 1, 2, 4999, 5000, 12345, LONG - 3, LONG - 2, LONG - 1, LONG:
            found = positions(ask(auditor.client, after=long_log + after, limit=2, **query).json["items"])
            assert found == [long_log + n for n in range(after + 1, min(after + 2, LONG) + 1)], (query, after)


def test_a_page_has_some_megabytes_at_most(auditor, long_log):
    answer = ask(auditor.client, after=long_log, limit=100)
    count = len(answer.json["items"])
    assert 1 < count < 60 and answer.json["next"] == long_log + count and len(answer.body) < 5 << 20
    again = ask(auditor.client, after=answer.json["next"], limit=100)
    found = positions(answer.json["items"] + again.json["items"])
    assert len(found) > 60 and found == list(range(long_log + 1, long_log + len(found) + 1))


def test_times_that_are_out_of_order(stack, auditor, long_log):
    rows = stack.sql(f"SELECT position, recorded_at FROM events WHERE position > {long_log} AND type = 'audit.filler'")
    recorded = {int(position): moment.replace(" ", "T") + "Z" for position, moment in rows}
    for begin, end in (1, 60), (7000, 7100), (19000, 19900), (20000, LONG):
        low, high = recorded[long_log + begin], recorded[long_log + end]
        expected = sorted(position for position, moment in recorded.items() if low <= moment < high)
        assert expected != list(range(long_log + begin, long_log + end))
        for query in {}, {"stream": f"audit-{FILLER}"}, {"user": FILLER}, {"type": "audit.filler"}:
            found = everything(auditor.client, limit=100, from_=low, to=high, **query)
            assert [position for position in positions(found) if position in recorded] == expected, (begin, query)
