"""Sessions where something goes wrong: the database in the midst of a refresh, a logout without an access token."""

import os
import socket
import threading

import pytest

from courant import held_up, until
from test_4_accounts import Person, events_of, refresh


@pytest.fixture
def person(stack):
    return Person(stack)


class Proxy(threading.Thread):
    """Between the workers and the database; cut: the next COMMIT is passed on, or is not, and its answer never."""

    def __init__(self, path, real):
        super().__init__(daemon=True)
        self.real, self.cut, self.cuts = real, None, 0
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(path)
        self.listener.listen(64)
        self.start()

    def run(self):
        while True:
            try:
                client = self.listener.accept()[0]
            except OSError:
                return
            server = socket.socket(socket.AF_UNIX)
            server.connect(self.real)
            for ends in (client, server), (server, client):
                threading.Thread(target=self.pass_on, args=(*ends, ends[0] is client), daemon=True).start()

    def pass_on(self, source, target, asks):
        try:
            while data := source.recv(1 << 16):
                if asks and self.cut and data.endswith(b"\x03COMMIT"):
                    done, self.cut = self.cut == "done", None
                    self.cuts += 1
                    source.shutdown(socket.SHUT_RDWR)
                    if not done:
                        break
                target.sendall(data)
        except OSError:
            pass
        for end in source, target:
            try:
                end.shutdown(socket.SHUT_RDWR if end is source or not asks else socket.SHUT_WR)
            except OSError:
                pass


@pytest.fixture(scope="module")
def proxy(stack, tmp_path_factory):
    path, local = str(tmp_path_factory.mktemp("proxy") / "db.sock"), os.path.join(stack.dir, "courant.local.conf")
    before, proxy = open(local).read(), Proxy(path, stack.env["COURANT_DB_SOCKET"])
    with open(local, "w") as file:
        file.write(before + f"[database]\nsocket = {path}\n")
    stack.dev("stop", "fcgi")
    stack.dev("up")
    yield proxy
    with open(local, "w") as file:
        file.write(before)
    stack.dev("stop", "fcgi")
    stack.dev("up")
    proxy.listener.close()


@pytest.mark.parametrize("how", ["done", "not done"])
def test_a_refresh_whose_commit_is_lost(stack, proxy, how):
    person = Person(stack, "cut")
    proxy.cut, cuts = how, proxy.cuts
    answer = refresh(stack, person.refresh)
    assert answer.status == 200 and proxy.cuts == cuts + 1
    assert stack.client(answer.json["access_token"]).get("/api/auth").json["id"] == person.id
    assert refresh(stack, answer.json["refresh_token"]).status == 200
    assert stack.sql(f"SELECT COUNT(*) FROM refresh_tokens AS r JOIN sessions AS s ON s.id = r.session_id WHERE s.user_id = '{person.id}'") == [["3"]]


def test_a_refresh_that_cannot_be_answered_spends_nothing(stack, person):
    keys = stack.sql("SELECT kid, HEX(secret), created_at FROM signing_keys")
    stack.sql("DELETE FROM signing_keys")
    try:
        refresh(stack, person.refresh).problem(503)
        login = stack.client().post("/api/auth/login", {"username": person.name, "password": person.password})
        sessions = stack.sql(f"SELECT COUNT(*) FROM sessions WHERE user_id = '{person.id}'")
    finally:
        for kid, secret, created in keys:
            stack.sql(f"INSERT INTO signing_keys (kid, secret, created_at) VALUES ('{kid}', x'{secret}', '{created}')")
    assert login.problem(503) and sessions == [["1"]]
    assert refresh(stack, person.refresh).status == 200 and person.alive()


def log_out(stack, body=None, **headers):
    return stack.client().call("POST", "/api/auth/logout", body, headers={name.replace("_", "-"): value for name, value in headers.items()})


def test_a_logout_without_an_access_token(stack, person):
    other = person.another()
    answer = log_out(stack, {"refresh_token": other.refresh})
    assert answer.status == 204 and len(answer.cookies) == 2
    assert not other.alive() and person.alive()
    log_out(stack, {"refresh_token": other.refresh}).problem(401)
    for body in {"refresh_token": "x"}, {"refresh_token": "crt_" + "A" * 43}, {}:
        log_out(stack, body).problem(401)
    log_out(stack, {"token": person.refresh}).problem(422)
    # One that was used names its session as well.
    assert refresh(stack, person.refresh).status == 200
    assert log_out(stack, {"refresh_token": person.refresh}).status == 204 and not person.alive()


def test_a_logout_by_cookie(stack, person):
    login = stack.client().post("/api/auth/login", {"username": person.name, "password": person.password})
    cookie, access = login.cookies[1].split(";")[0], login.json["access_token"]
    for headers in {}, {"Origin": "http://evil.example"}, {"Sec_Fetch_Site": "cross-site"}:
        log_out(stack, Cookie=cookie, **headers).problem(403)
    log_out(stack, Cookie=cookie, Authorization="Bearer x", Sec_Fetch_Site="same-origin").problem(401)
    assert stack.client(access).get("/api/auth").status == 200
    answer = log_out(stack, Cookie=f"{cookie}; courant_access=x.y.z", Sec_Fetch_Site="same-origin")
    assert answer.status == 204 and all("Max-Age=0" in line for line in answer.cookies) and len(answer.cookies) == 2
    assert stack.client(access).get("/api/auth").status == 401 and person.alive()
    for cookies in cookie, f"{cookie}; courant_access=x.y.z":
        over = log_out(stack, Cookie=cookies, Sec_Fetch_Site="same-origin")
        assert over.problem(401) and any("courant_refresh=;" in line for line in over.cookies)


@pytest.mark.parametrize("what, ended", [("session", {"user.logged_out", "user.session_revoked"}), ("token", {"user.token_revoked"}),
                                         ("invitation", {"user.invitation_revoked"})])
def test_what_several_end_at_once_ends_once(stack, person, admin, what, ended):
    """All of them have found it; then they wait for the lock of the account that it is of."""
    other = person.another()
    if what == "session":
        id = next(item["id"] for item in other.client.get("/api/auth/sessions").json["items"] if item["current"])
        calls = [(other.client, "POST", "/api/auth/logout")] * 2 + [(by, "DELETE", f"/api/auth/sessions/{id}") for by in (person.client, admin)]
    else:
        assert admin.call("PUT", person.where + "/permissions", {"permissions": ["user_admin"]}, headers={"If-Match": "*"}).status == 200
        maker = person.another()
        where = f"/api/auth/{what}s"
        id = maker.client.post(where, {"name": "n", "scopes": ["read"]} if what == "token" else {}).json["id"]
        calls = [(maker.client, "DELETE", f"{where}/{id}")] * 4
    head = stack.head
    answers = held_up(stack, f"SELECT id FROM users WHERE id = '{person.id}'", "%FROM users WHERE%FOR UPDATE",
                      [lambda by=by, call=call: stack.client(by.token).call(*call) for by, *call in calls])
    assert [answer.status for answer in answers] == [204] * 4
    assert len([type for type, data in events_of(stack, person.id) if type in ended and id in data.values()]) == 1
    assert stack.head == head + 1 and "clean" in stack.verify()
