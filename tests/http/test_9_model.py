"""Any sequence of calls by several users agrees with a small model of what articles are.

Hypothesis makes the sequences and shrinks what fails. Nothing may answer 5xx."""

import os
import re

import hypothesis.strategies as st
from hypothesis import HealthCheck, settings
from hypothesis.stateful import Bundle, RuleBasedStateMachine, rule, run_state_machine_as_test

LIMITS = {"title": (1, 200), "subtitle": (0, 200), "lead": (0, 1000), "content": (1, 10000)}
WRITERS = ["ann", "ben", "admin"]
READERS = WRITERS + ["nobody"]

any_text = st.text(st.characters(blacklist_categories=["Cs"]), max_size=30)
odd_text = st.one_of(any_text, st.sampled_from(["", "\0", "a\0b", "é e\u0301 \u202e \U0001f468\u200d\U0001f469 \ufeff \uffff", "x" * 201, "😀" * 200]))
tags = st.lists(st.one_of(any_text, st.sampled_from(["a", "b", "", "x" * 41])), max_size=4)
members = st.fixed_dictionaries({}, optional={
    "title": odd_text, "subtitle": odd_text, "lead": odd_text, "content": odd_text, "tags": tags})
good = st.fixed_dictionaries({"title": st.text(st.characters(blacklist_categories=["Cs"], blacklist_characters="\0"), min_size=1, max_size=20),
                              "content": any_text.map(lambda text: text.replace("\0", "") or "x")},
                             optional={"lead": any_text.map(lambda text: text.replace("\0", "")),
                                       "tags": st.lists(st.sampled_from(["a", "b", "ü"]), unique=True, max_size=3)})
if_match = st.sampled_from(["right", "right", "right", "any", "stale", "none", "weak"])


def is_good(body, whole):
    for name, (least, most) in LIMITS.items():
        if name in body and not (least <= len(body[name]) <= most and "\0" not in body[name]):
            return False
        if whole and name in ("title", "content") and name not in body:
            return False
    found = body.get("tags", [])
    return len(set(found)) == len(found) and all(1 <= len(tag) <= 40 and "\0" not in tag for tag in found)


class Articles(RuleBasedStateMachine):
    articles = Bundle("articles")

    def __init__(self):
        super().__init__()
        self.known = {}  # id: what it is

    # ---- what the model says

    def sees(self, who, article):
        return article["public"] or who in ("admin", article["author"])

    def expected(self, who, article, header):
        """The status of a change before its payload is looked at: None where all is well."""
        if who == "nobody":
            return 401
        if not self.sees(who, article):
            return 404
        if article["status"] == "deleted":
            return 410
        if who not in ("admin", article["author"]):
            return 403
        return {"none": 428, "stale": 412, "weak": 412}.get(header)

    def headers(self, article, kind):
        version = article["version"]
        return {"right": {"If-Match": f'"v{version}"'}, "any": {"If-Match": "*"}, "none": {}, "weak": {"If-Match": f'W/"v{version}"'},
                "stale": {"If-Match": f'"v{version - 1}"'}}[kind]

    def change(self, article, answer, wanted, **values):
        assert answer.status == wanted, (answer.status, answer.body)
        if wanted >= 400:
            answer.problem(wanted)
            if wanted == 412:
                assert answer.headers["etag"] == f'"v{article["version"]}"'
            return False
        article.update(values)
        article["public"] = article["status"] == "published" or (article["status"] == "deleted" and article["public"])
        return True

    def check(self, article, got):
        assert got["version"] == article["version"] and got["status"] == article["status"]
        for name in (*LIMITS, "tags"):
            if name in got:
                assert got[name] == article[name], name  # code point for code point
        assert (got["published_at"] is None) == (article["status"] == "draft")
        assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", got["slug"])
        if article["kept"]:
            assert got["slug"] == article["slug"]
        article["slug"], article["kept"] = got["slug"], article["kept"] or article["status"] == "published"

    # ---- what users do

    @rule(target=articles, who=st.sampled_from(WRITERS), body=good, publish=st.booleans())
    def create(self, who, body, publish):
        answer = self.clients[who].post("/api/articles", {**body, "publish": publish})
        assert answer.status == 201, answer.body
        id = answer.json["id"]
        self.known[id] = {"subtitle": "", "lead": "", "tags": [], **body, "author": who, "status": "published" if publish else "draft",
                          "public": publish, "version": 3 if publish else 2, "revisions": 1, "kept": False, "slug": None}
        self.check(self.known[id], answer.json)
        return id

    @rule(who=st.sampled_from(READERS), body=members)
    def create_anything(self, who, body):
        status = 401 if who == "nobody" else 201 if is_good(body, True) else 422
        answer = self.clients[who].post("/api/articles", body)
        assert answer.status == status, (answer.status, answer.body)
        if status == 201:
            assert self.clients[who].call("DELETE", answer.headers["location"], headers={"If-Match": "*"}).status == 204

    @rule(id=articles, who=st.sampled_from(READERS), body=members, kind=if_match)
    def replace(self, id, who, body, kind):
        article = self.known[id]
        # The payload is looked at first: a request that could never be right says so to whoever is logged in.
        status = 401 if who == "nobody" else 422 if not is_good(body, True) else self.expected(who, article, kind) or 200
        answer = self.clients[who].call("PUT", f"/api/articles/{id}", body, headers=self.headers(article, kind))
        if self.change(article, answer, status, **{"subtitle": "", "lead": "", "tags": [], **body},
                       version=article["version"] + 2, revisions=article["revisions"] + 1):
            self.check(article, answer.json)

    @rule(id=articles, who=st.sampled_from(READERS), body=members, kind=if_match)
    def patch(self, id, who, body, kind):
        article = self.known[id]
        status = 401 if who == "nobody" else 422 if not is_good(body, False) else self.expected(who, article, kind) or 200
        answer = self.clients[who].call("PATCH", f"/api/articles/{id}", body,
                                        headers={**self.headers(article, kind), "Content-Type": "application/merge-patch+json"})
        if self.change(article, answer, status, **body, version=article["version"] + 2, revisions=article["revisions"] + 1):
            self.check(article, answer.json)

    @rule(id=articles, who=st.sampled_from(READERS), kind=if_match, up=st.booleans())
    def publish(self, id, who, kind, up):
        article = self.known[id]
        status = self.expected(who, article, kind) or (409 if (article["status"] == "published") == up else 200)
        answer = self.clients[who].post(f"/api/articles/{id}/{'publish' if up else 'unpublish'}", headers=self.headers(article, kind))
        if self.change(article, answer, status, status="published" if up else "draft", version=article["version"] + 1):
            self.check(article, answer.json)

    @rule(id=articles, who=st.sampled_from(READERS), kind=if_match, number=st.integers(0, 4))
    def restore(self, id, who, kind, number):
        article = self.known[id]
        there = 1 <= number <= article["revisions"]
        status = 401 if who == "nobody" else 404 if number == 0 else self.expected(who, article, kind) or (200 if there else 404)
        was = self.clients["admin"].get(f"/api/articles/{id}/revisions/{number}")
        answer = self.clients[who].post(f"/api/articles/{id}/revisions/{number}/restore", headers=self.headers(article, kind))
        said = {name: was.json[name] for name in (*LIMITS, "tags")} if was.status == 200 else {}
        if self.change(article, answer, status, **said, version=article["version"] + 2, revisions=article["revisions"] + 1):
            self.check(article, answer.json)

    @rule(id=articles, who=st.sampled_from(READERS), kind=if_match)
    def delete(self, id, who, kind):
        article = self.known[id]
        answer = self.clients[who].call("DELETE", f"/api/articles/{id}", headers=self.headers(article, kind))
        self.change(article, answer, self.expected(who, article, kind) or 204, status="deleted", version=article["version"] + 1)

    @rule(id=articles, who=st.sampled_from(READERS))
    def read(self, id, who):
        article, client = self.known[id], self.clients[who]
        status = 404 if not self.sees(who, article) else 410 if article["status"] == "deleted" else 200
        for name in id, article["slug"]:
            answer = client.get(f"/api/articles/{name}")
            assert answer.status == status, answer.body
            if status == 200:
                self.check(article, answer.json)
                assert client.get(f"/api/articles/{name}", headers={"If-None-Match": answer.headers["etag"]}).status == 304
        assert client.get(f"/api/articles/{id}/revisions").status == status

    @rule(who=st.sampled_from(READERS), query=st.sampled_from(["", "status=draft", "status=published", "tag=a", "tag=%C3%BC&status=draft"]))
    def list(self, who, query):
        found, path = [], f"/api/articles?limit=5&{query}"
        oldest = min(self.known, default=None)
        while path and oldest:
            page = self.clients[who].get(path)
            assert page.status == 200
            found += page.json["items"]
            if not page.json["items"] or page.json["items"][-1]["id"] < oldest:
                break
            path = page.headers["link"].split(">")[0].lstrip("<") if page.json["next"] else None
        ours = [item for item in found if item["id"] in self.known]
        wanted = [id for id, article in sorted(self.known.items(), reverse=True)
                  if article["status"] != "deleted" and self.sees(who, article)
                  and ("status=" not in query or f"status={article['status']}" in query)
                  and ("tag=a" not in query or "a" in article["tags"]) and ("%C3%BC" not in query or "ü" in article["tags"])]
        assert [item["id"] for item in ours] == wanted
        for item in ours:
            assert "content" not in item and "html" not in item
            self.check(self.known[item["id"]], item)


def test_articles_agree_with_the_model(stack, admin):
    Articles.clients = {"ann": stack.user("ann"), "ben": stack.user("ben"), "admin": admin, "nobody": stack.client()}
    run_state_machine_as_test(Articles, settings=settings(
        max_examples=int(os.environ.get("COURANT_EXAMPLES", 200 // stack.slow)), stateful_step_count=30, deadline=None, database=None,
        derandomize=False, print_blob=True, suppress_health_check=list(HealthCheck)))
    assert "clean" in stack.verify()
