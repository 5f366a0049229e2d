"""Any sequence of calls by several users agrees with a small model of what articles are.

Hypothesis makes the sequences and shrinks what fails. Nothing may answer 5xx."""

import itertools
import os
import re

import hypothesis.strategies as st
from hypothesis import HealthCheck, settings
from hypothesis.stateful import Bundle, RuleBasedStateMachine, rule, run_state_machine_as_test

LIMITS = {"title": (1, 200), "subtitle": (0, 200), "lead": (0, 1000), "content": (1, 10000)}
WRITERS = ["ann", "ben", "admin"]
READERS = WRITERS + ["nobody"]

# A word is found by its beginning in what is published, and within others in drafts.
PHRASES = ["qalpha qbeta", "Qalphabet", "qbeta, qgämma"]
SEARCHES = {"qalpha": {0, 1}, "QALPHABET": {1}, "qgamma": {2}, "qbeta qalpha": {0}, "qbeta": {0, 2}, "qdelta": set()}
ODD = [None, 0, 1.5, True, {}, {"title": None}, [], [1], ["a", None], "ok"]
BROKEN = [b"", b"{", b'{"title":}', b'{"title":"a",}', b'{"title":"a"}x', b"nul", b'{"title":"\xff"}', b"[" * 33 + b"]" * 33]
NO_OBJECT = [b"[]", b"null", b'"x"', b"1"]

any_text = st.text(st.characters(blacklist_categories=["Cs"]), max_size=30)
odd_text = st.one_of(any_text, st.sampled_from(["", "\0", "a\0b", "é e\u0301 \u202e \U0001f468\u200d\U0001f469 \ufeff \uffff", "x" * 201, "😀" * 200]))
tags = st.lists(st.one_of(any_text, st.sampled_from(["a", "b", "", "x" * 41])), max_size=4)
members = st.fixed_dictionaries({}, optional={
    "title": odd_text, "subtitle": odd_text, "lead": odd_text, "content": odd_text, "tags": tags})
good = st.fixed_dictionaries({"title": st.text(st.characters(blacklist_categories=["Cs"], blacklist_characters="\0"), min_size=1, max_size=20),
                              "content": any_text.map(lambda text: text.replace("\0", "") or "x")},
                             optional={"lead": st.one_of(any_text.map(lambda text: text.replace("\0", "")), st.sampled_from(PHRASES)),
                                       "tags": st.lists(st.sampled_from(["a", "b", "ü"]), unique=True, max_size=3)})
odd_members = st.dictionaries(st.sampled_from([*LIMITS, "tags", "colour", "version"]), st.sampled_from(ODD), min_size=1, max_size=3)
if_match = st.sampled_from(["right", "right", "right", "any", "stale", "none", "weak"])


def is_good(body, whole):
    for name, (least, most) in LIMITS.items():
        if name in body and not (least <= len(body[name]) <= most and "\0" not in body[name]):
            return False
        if whole and name in ("title", "content") and name not in body:
            return False
    found = body.get("tags", [])
    return len(set(found)) == len(found) and all(1 <= len(tag) <= 40 and "\0" not in tag for tag in found)


def merged(patch):
    """What a merge patch sets; None where it is at fault. Null stands for what a member is without."""
    empty = {"subtitle": "", "lead": "", "tags": []}
    values = {name: empty.get(name) if value is None else value for name, value in patch.items()}
    fits = all(isinstance(value, str) and least <= len(value) <= most for name, value in values.items() if name in LIMITS
               for least, most in [LIMITS[name]])
    fits = fits and all(isinstance(tag, str) for tag in values.get("tags", [])) if isinstance(values.get("tags", []), list) else False
    return values if fits and set(values) <= {*LIMITS, "tags"} else None


class Articles(RuleBasedStateMachine):
    articles = Bundle("articles")
    keys = itertools.count()

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

    def change(self, article, answer, wanted, writes=False, **values):
        assert answer.status == wanted, (answer.status, answer.body)
        if wanted >= 400:
            answer.problem(wanted)
            if wanted == 412:
                assert answer.headers["etag"] == f'"v{article["version"]}"'
            return False
        before = article["version"]
        article.update(values)
        article["public"] = article["status"] == "published" or (article["status"] == "deleted" and article["public"])
        if writes:
            article["texts"].append({"said": self.said(article), "public": article["status"] == "published"})
        elif article["status"] == "published":
            article["texts"][-1]["public"] = True
        for version in range(before + 1, article["version"] + 1):
            article["versions"][version] = {**self.said(article), "status": article["status"]}
        return True

    def edit(self, article, answer, wanted, **values):
        """What says the same as before makes no revision."""
        moves = any(article[name] != value for name, value in values.items())
        return self.change(article, answer, wanted, **values, version=article["version"] + 2 * moves, writes=moves)

    @staticmethod
    def said(article):
        return {name: article[name] for name in (*LIMITS, "tags")}

    def sees_drafts(self, who, article):
        return who in ("admin", article["author"])

    def status_of_read(self, who, article):
        return 404 if not self.sees(who, article) else 410 if article["status"] == "deleted" else 200

    def sees_revision(self, who, article, number):
        return 1 <= number <= len(article["texts"]) and (self.sees_drafts(who, article) or article["texts"][number - 1]["public"])

    def made(self, body, who, publish):
        """A new article, as the model knows it."""
        article = {"subtitle": "", "lead": "", "tags": [], **body, "author": who, "status": "published" if publish else "draft",
                   "public": publish, "version": 3 if publish else 2, "kept": False, "slug": None}
        said = self.said(article)
        article["texts"] = [{"said": said, "public": publish}]
        article["versions"] = {1: {**said, "status": "draft"}, 2: {**said, "status": "draft"}}
        if publish:
            article["versions"][3] = {**said, "status": "published"}
        return article

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
        self.known[id] = self.made(body, who, publish)
        self.check(self.known[id], answer.json)
        return id

    @rule(target=articles, who=st.sampled_from(WRITERS), body=good, publish=st.booleans())
    def create_with_a_key(self, who, body, publish):
        """The same again is answered as before; something else is not done."""
        client, headers = self.clients[who], {"Idempotency-Key": f"model-{next(self.keys)}-{os.getpid()}"}
        first, again = (client.post("/api/articles", {**body, "publish": publish}, headers=headers) for _ in range(2))
        assert (first.status, again.status) == (201, 201) and first.body == again.body and first.position == again.position
        assert "idempotency-replayed" not in first.headers and again.headers["idempotency-replayed"] == "true"
        client.post("/api/articles", {**body, "publish": not publish}, headers=headers).problem(422)
        id = first.json["id"]
        self.known[id] = self.made(body, who, publish)
        self.check(self.known[id], first.json)
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
        if self.edit(article, answer, status, **{"subtitle": "", "lead": "", "tags": [], **body}):
            self.check(article, answer.json)

    @rule(id=articles, who=st.sampled_from(READERS), body=members, kind=if_match)
    def patch(self, id, who, body, kind):
        article = self.known[id]
        status = 401 if who == "nobody" else 422 if not is_good(body, False) else self.expected(who, article, kind) or 200
        answer = self.clients[who].call("PATCH", f"/api/articles/{id}", body,
                                        headers={**self.headers(article, kind), "Content-Type": "application/merge-patch+json"})
        if self.edit(article, answer, status, **body):
            self.check(article, answer.json)

    @rule(id=articles, who=st.sampled_from(READERS), body=odd_members, kind=if_match)
    def patch_oddly(self, id, who, body, kind):
        article, values = self.known[id], merged(body)
        status = 401 if who == "nobody" else 422 if values is None else self.expected(who, article, kind) or 200
        answer = self.clients[who].call("PATCH", f"/api/articles/{id}", body,
                                        headers={**self.headers(article, kind), "Content-Type": "application/merge-patch+json"})
        if self.edit(article, answer, status, **(values or {})):
            self.check(article, answer.json)

    @rule(id=articles, who=st.sampled_from(READERS), body=st.sampled_from(BROKEN + NO_OBJECT), method=st.sampled_from(["PUT", "PATCH"]))
    def send_what_is_no_json(self, id, who, body, method):
        status = 401 if who == "nobody" else 400 if body in BROKEN else 422
        self.clients[who].call(method, f"/api/articles/{id}", body, headers=self.headers(self.known[id], "right")).problem(status)

    @rule(id=articles, who=st.sampled_from(WRITERS), body=good)
    def replace_with_a_key(self, id, who, body):
        """A repeat is answered as the first time although its version is stale by then."""
        article, client = self.known[id], self.clients[who]
        headers = {**self.headers(article, "right"), "Idempotency-Key": f"model-{next(self.keys)}-{os.getpid()}"}
        first, again = (client.call("PUT", f"/api/articles/{id}", body, headers=headers) for _ in range(2))
        assert again.status == first.status
        if self.edit(article, first, self.expected(who, article, "right") or 200, **{"subtitle": "", "lead": "", "tags": [], **body}):
            assert again.body == first.body and again.headers["idempotency-replayed"] == "true"
            self.check(article, first.json)

    @rule(id=articles, who=st.sampled_from(READERS), kind=if_match, up=st.booleans())
    def publish(self, id, who, kind, up):
        article = self.known[id]
        status = self.expected(who, article, kind) or (409 if (article["status"] == "published") == up else 200)
        answer = self.clients[who].post(f"/api/articles/{id}/{'publish' if up else 'unpublish'}", headers=self.headers(article, kind))
        if self.change(article, answer, status, status="published" if up else "draft", version=article["version"] + 1):
            self.check(article, answer.json)
            self.look_at_revisions(id, "nobody")  # what was a draft until now

    @rule(id=articles, who=st.sampled_from(READERS), kind=if_match, number=st.integers(0, 4))
    def restore(self, id, who, kind, number):
        article = self.known[id]
        there = 1 <= number <= len(article["texts"])
        status = 401 if who == "nobody" else 404 if number == 0 else self.expected(who, article, kind) or (200 if there else 404)
        answer = self.clients[who].post(f"/api/articles/{id}/revisions/{number}/restore", headers=self.headers(article, kind))
        said = article["texts"][number - 1]["said"] if there else {}
        if self.change(article, answer, status, **said, version=article["version"] + 2, writes=True):
            self.check(article, answer.json)

    @rule(id=articles, who=st.sampled_from(READERS), kind=if_match)
    def delete(self, id, who, kind):
        article = self.known[id]
        answer = self.clients[who].call("DELETE", f"/api/articles/{id}", headers=self.headers(article, kind))
        self.change(article, answer, self.expected(who, article, kind) or 204, status="deleted", version=article["version"] + 1)

    @rule(id=articles, who=st.sampled_from(READERS))
    def read(self, id, who):
        article, client = self.known[id], self.clients[who]
        status = self.status_of_read(who, article)
        head = client.call("HEAD", f"/api/articles/{id}")
        assert head.status == status and head.body == b"" and head.headers.get("etag") == (f'"v{article["version"]}"' if status == 200 else None)
        assert "PATCH" in client.call("OPTIONS", f"/api/articles/{id}").headers["allow"]
        for name in id, article["slug"]:
            answer = client.get(f"/api/articles/{name}")
            assert answer.status == status, answer.body
            if status == 200:
                self.check(article, answer.json)
                assert client.get(f"/api/articles/{name}", headers={"If-None-Match": answer.headers["etag"]}).status == 304

    @rule(id=articles, who=st.sampled_from(READERS), back=st.sampled_from([-1, 0, 1, 1, 2, 2, 3, 4, 6]))
    def read_as_it_was(self, id, who, back):
        article = self.known[id]
        version = article["version"] - back
        then = article["versions"].get(version)
        status = 422 if version < 1 else self.status_of_read(who, article)
        if status == 200 and (then is None or (then["status"] != "published" and not self.sees_drafts(who, article))):
            status = 404
        answer = self.clients[who].get(f"/api/articles/{id}?version={version}")
        assert answer.status == status, (answer.status, answer.body)
        if status == 200:
            assert {name: answer.json[name] for name in then} == then and answer.json["version"] == version
            assert answer.headers["etag"] == f'"v{version}"'

    @rule(id=articles, who=st.sampled_from(READERS))
    def read_revisions(self, id, who):
        self.look_at_revisions(id, who)

    def look_at_revisions(self, id, who):
        article, client = self.known[id], self.clients[who]
        status = self.status_of_read(who, article)
        answer = client.get(f"/api/articles/{id}/revisions?limit=100")
        assert answer.status == status
        if status == 200:
            shown = [number for number in range(len(article["texts"]), 0, -1) if self.sees_revision(who, article, number)]
            assert [(item["revision"], item["title"]) for item in answer.json["items"]] == [
                (number, article["texts"][number - 1]["said"]["title"]) for number in shown]
            for item in answer.json["items"]:
                then = client.get(f"/api/articles/{id}?version={item['version']}")
                assert then.status == 200 and {name: then.json[name] for name in (*LIMITS, "tags")} == article["texts"][item["revision"] - 1]["said"]

    @rule(id=articles, who=st.sampled_from(READERS), number=st.integers(1, 5), other=st.one_of(st.none(), st.integers(1, 5)))
    def compare_revisions(self, id, who, number, other):
        article, client = self.known[id], self.clients[who]
        status = self.status_of_read(who, article)
        if status == 200 and not self.sees_revision(who, article, number):
            status = 404
        one = client.get(f"/api/articles/{id}/revisions/{number}")
        assert one.status == status
        if status == 200:
            assert {name: one.json[name] for name in (*LIMITS, "tags")} == article["texts"][number - 1]["said"]
        before = other
        if other is None:
            before = max([0, *(earlier for earlier in range(1, number) if self.sees_revision(who, article, earlier))])
        if status == 200 and before > 0 and not self.sees_revision(who, article, before):
            status = 404
        answer = client.get(f"/api/articles/{id}/revisions/{number}/diff" + (f"?with={other}" if other else ""))
        assert answer.status == status, (answer.status, answer.body)
        if status == 200:
            assert (answer.json["from"], answer.json["to"]) == (before, number)
            same = before > 0 and article["texts"][before - 1]["said"] == article["texts"][number - 1]["said"]
            assert (answer.json["diff"] == "") == same

    @rule(who=st.sampled_from(READERS), words=st.sampled_from(sorted(SEARCHES)), author=st.sampled_from([None, "ann", "ben"]))
    def search(self, who, words, author):
        query = f"q={words.replace(' ', '+')}" + (f"&author={self.ids[author]}" if author else "")
        phrases = [PHRASES[number] for number in SEARCHES[words]]
        self.list_of(who, query, lambda article: article["lead"] in phrases and author in (None, article["author"]))

    @rule(who=st.sampled_from(READERS), author=st.sampled_from(["ann", "ben"]), status=st.sampled_from(["draft", "published", None]))
    def list_of_an_author(self, who, author, status):
        self.list_of(who, f"author={self.ids[author]}" + (f"&status={status}" if status else ""),
                     lambda article: article["author"] == author and status in (None, article["status"]))

    @rule(who=st.sampled_from(READERS), query=st.sampled_from(["", "status=draft", "status=published", "tag=a", "tag=%C3%BC&status=draft"]))
    def list(self, who, query):
        self.list_of(who, query, lambda article: ("status=" not in query or f"status={article['status']}" in query)
                     and ("tag=a" not in query or "a" in article["tags"]) and ("%C3%BC" not in query or "ü" in article["tags"]))

    def list_of(self, who, query, fits):
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
                  if article["status"] != "deleted" and self.sees(who, article) and fits(article)]
        assert [item["id"] for item in ours] == wanted
        for item in ours:
            assert "content" not in item and "html" not in item
            self.check(self.known[item["id"]], item)


def test_articles_agree_with_the_model(stack, admin):
    Articles.clients = {"ann": stack.user("ann"), "ben": stack.user("ben"), "admin": admin, "nobody": stack.client()}
    Articles.ids = {name: client.get("/api/auth").json["id"] for name, client in Articles.clients.items() if client.token}
    run_state_machine_as_test(Articles, settings=settings(
        max_examples=int(os.environ.get("COURANT_EXAMPLES", 200 // stack.slow)), stateful_step_count=30, deadline=None, database=None,
        derandomize=False, print_blob=True, suppress_health_check=list(HealthCheck)))
    assert "clean" in stack.verify()
