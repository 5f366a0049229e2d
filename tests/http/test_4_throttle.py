"""Limits on logins and registrations, whose address counts, and the bound on argon2id."""

import os
import resource
import signal
import statistics
import threading
import time

import pytest

from courant import until
from test_4_accounts import Person


@pytest.fixture(scope="module")
def limited(stack):
    """Small limits, for the pool of these tests. X-Forwarded-For is believed: nginx is on loopback."""
    path = os.path.join(stack.dir, "courant.local.conf")
    before = open(path).read()

    def set(**options):
        lines = {"login_account": 3, "login_address": 0, "register_address": 0, "update_account": 0, "update_address": 0,
                 "argon2_concurrent": 16, "proxies": "", **options}
        with open(path, "w") as file:
            file.write(before + "[throttle]\n" + "".join(f"{name} = {lines[name]}\n" for name in
                                                         ("login_account", "login_address", "register_address", "update_account", "update_address")) +
                       f"[auth]\nargon2_concurrent = {lines['argon2_concurrent']}\n"
                       f"argon2_ops = {lines.get('ops', 1)}\nargon2_memory = {lines.get('memory', 8388608)}\n[http]\ntrusted_proxies = {lines['proxies']}\n"
                       f"insecure_cookies = {lines.get('insecure', 'no')}\n[auth]\nsession_max_s = {lines.get('session_max', 15552000)}\n")
        stack.dev("up")

    yield set
    with open(path, "w") as file:
        file.write(before)
    stack.dev("up")


def log_in(stack, name, password="wrong password", **headers):
    return stack.client().post("/api/auth/login", {"username": name, "password": password,
                                                   "cookies": "X-Forwarded-For" not in headers or "X-Forwarded-Proto" in headers}, headers=headers)


def test_an_account_is_held_back_whether_it_is_there_or_not(stack, limited):
    limited()
    person = Person(stack, "lim")
    answers = {}
    for name in person.name, f"nobody{stack.head}":
        answers[name] = [log_in(stack, name) for _ in range(5)]  # by whichever workers
        assert [answer.status for answer in answers[name]] == [401] * 3 + [429] * 2
        assert 1 <= int(answers[name][3].headers["retry-after"]) <= 20
        assert [answer.headers["ratelimit"].split(";")[1] for answer in answers[name]] == ["r=2", "r=1", "r=0", "r=0", "r=0"]
        assert answers[name][0].headers["ratelimit-policy"] == '"login-account";q=3;w=60'
    for one, other in zip(*answers.values()):
        assert {key: value for key, value in one.json.items() if key != "trace_id"} == \
               {key: value for key, value in other.json.items() if key != "trace_id"}
        assert set(one.headers) == set(other.headers)
    # The right password is of no use meanwhile, and other forms of the name are the same account.
    log_in(stack, person.name, person.password).problem(429)
    log_in(stack, person.name.upper(), person.password).problem(429)
    for other in person.name.replace("l", "ĺ"), person.name.replace("l", "l\u00ad"), person.name + "\u06de", "\u108d" + person.name:
        log_in(stack, other, person.password).problem(429)


def test_an_account_has_no_more_tries_by_its_other_name(stack, limited):
    limited()
    person = Person(stack, "way")
    email = f"{person.name}@example.org"
    for first, others in (email, [person.name, person.name.upper(), person.id]), (person.name, [email, email.upper()]):
        limited(login_account=3, register_address=first.count("@"))  # another pool, with nothing counted
        assert [log_in(stack, first).status for _ in range(4)] == [401] * 3 + [429]
        for other in others:
            answer = log_in(stack, other, person.password)
            if other == person.id:  # is a name like any other
                answer.problem(401)
                continue
            # Not even the password that is right; and nobody is told that it is the same account.
            answer.problem(401)
            assert answer.headers["ratelimit"].split(";")[0] == '"login-account"' and "r=0" not in answer.headers["ratelimit"]
            assert answer.headers["ratelimit-policy"] == '"login-account";q=3;w=60'
        # As said with the current password, which is tried no more often.
        body = {"password": "long enough", "current_password": "x"}
        person.client.call("PUT", person.where + "/password", body).problem(429)
    # A login is no such try by either.
    limited(login_account=3, register_address=2)
    for name in [person.name, email] * 4:
        assert log_in(stack, name, person.password).status == 200


def test_the_current_password_is_not_to_be_guessed(stack, limited):
    limited()
    person, body = Person(stack, "gue"), {"password": "long enough", "current_password": "x"}
    answers = [person.client.call("PUT", person.where + "/password", body).status for _ in range(5)]
    assert answers == [403] * 3 + [429] * 2
    other = Person(stack, "gue")
    for _ in range(5):
        done = other.client.call("PUT", other.where + "/password", {"password": other.password, "current_password": other.password})
        assert done.status == 200


def test_cookies_over_https(stack, limited):
    """A proxy that we trust says so; from anybody else the header counts for nothing."""
    person = Person(stack, "tls")
    for proxies, secure in ("", False), ("127.0.0.1", True):
        limited(proxies=proxies)
        answer = log_in(stack, person.name, person.password, **{"X-Forwarded-Proto": "https"})
        assert answer.status == 200 and len(answer.cookies) == 2
        for line in answer.cookies:
            assert line.startswith("__Host-courant_") == secure and ("; Secure" in line) == secure
            assert "Path=/;" in line and "Domain" not in line and "HttpOnly" in line and "SameSite=Lax" in line
        cookie = answer.cookies[0].split(";")[0]
        headers = {"Cookie": cookie, "X-Forwarded-Proto": "https"}
        assert stack.client().get("/api/auth", headers=headers).status == 200
        # Without the prefix, which any other host of the domain can set, it is none of ours.
        bare = {"Cookie": cookie.removeprefix("__Host-"), "X-Forwarded-Proto": "https"}
        assert stack.client().get("/api/auth", headers=bare).status == (401 if secure else 200)


def test_what_could_not_be_tried_does_not_count(stack, limited):
    """A want of memory is no wrong password, and like a database that is away no failed login."""
    limited()
    person = Person(stack, "mem")
    if stack.slow == 1:  # a sanitizer needs memory of its own
        limits = {pid: resource.prlimit(pid, resource.RLIMIT_AS) for pid in stack.workers()}
        for pid in limits:
            size = int(open(f"/proc/{pid}/statm").read().split()[0]) * 4096
            resource.prlimit(pid, resource.RLIMIT_AS, (size + 4000000, limits[pid][1]))
        try:
            for password in [person.password, "wrong password"] * 3:
                answer = log_in(stack, person.name, password)
                assert answer.problem(503) and answer.headers["retry-after"] == "1"
        finally:
            for pid, limit in limits.items():
                resource.prlimit(pid, resource.RLIMIT_AS, limit)
        answer = log_in(stack, person.name)
        assert answer.status == 401 and answer.headers["ratelimit"].split(";")[1] == "r=2"
        assert log_in(stack, person.name, person.password).status == 200
    stack.dev("stop", "mariadb")
    for _ in range(6):
        log_in(stack, person.name).problem(503)
    stack.dev("start", "mariadb")
    until(lambda: stack.client().get("/readyz").status == 200, what="the database")
    assert log_in(stack, person.name, person.password).status == 200


def test_no_cookies_over_plain_http(stack, limited):
    """But to this very machine: everybody on the way could read them."""
    person, other = Person(stack, "pla"), {"Host": "courant.example"}
    body = {"username": person.name, "password": person.password}
    cookie = stack.client().post("/api/auth/login", body).cookies[1].split(";")[0]
    same = {"Cookie": cookie, "Sec-Fetch-Site": "same-origin"}
    for insecure in "no", "yes":
        limited(proxies="127.0.0.1", insecure=insecure)
        for host in "localhost", f"LOCALHOST:{stack.port}", "127.0.0.7", "[::1]:80":
            assert len(stack.client().post("/api/auth/login", body, headers={"Host": host}).cookies) == 2
        secure = stack.client().post("/api/auth/login", body, headers={**other, "X-Forwarded-Proto": "https"})
        assert secure.status == 200 and all("; Secure" in line for line in secure.cookies)
        assert stack.client().post("/api/auth/login", {**body, "cookies": False}, headers=other).status == 200
        for answer in (stack.client().post("/api/auth/login", body, headers=other),
                       stack.client().post("/api/auth/login", {**body, "cookies": True}, headers=other),
                       stack.client().call("POST", "/api/auth/refresh", headers={**other, **same})):
            if insecure == "yes":
                assert answer.status == 200 and len(answer.cookies) == 2
                continue
            fault = answer.problem(422)["errors"][0]
            assert not answer.cookies and "http.trusted_proxies" in fault["detail"] and '"cookies": false' in fault["detail"]
            assert fault["pointer"] in ("/cookies", "")


def test_a_session_has_an_end(stack, limited):
    """However often it is refreshed."""
    limited()
    person = Person(stack, "end")

    def refresh():
        answer = stack.client().post("/api/auth/refresh", {"refresh_token": person.refresh})
        if answer.status == 200:
            person.refresh, person.client = answer.json["refresh_token"], stack.client(answer.json["access_token"])
        return answer

    def left():
        return int(stack.sql(f"SELECT TIMESTAMPDIFF(SECOND, UTC_TIMESTAMP(), expires_at) FROM sessions WHERE user_id = '{person.id}'")[0][0])

    assert refresh().status == 200 and 2591000 < left() <= 2592000
    stack.sql(f"UPDATE sessions SET created_at = UTC_TIMESTAMP(6) - INTERVAL 15551000 SECOND WHERE user_id = '{person.id}'")
    assert refresh().status == 200 and 900 < left() <= 1000
    # As after so many seconds more.
    stack.sql("UPDATE sessions SET created_at = created_at - INTERVAL 1001 SECOND, expires_at = expires_at - INTERVAL 1001 SECOND "
              f"WHERE user_id = '{person.id}'")
    refresh().problem(401)
    assert not person.alive()
    refresh().problem(401)
    stack.sql(f"DELETE FROM sessions WHERE user_id = '{person.id}'")
    limited(session_max=100)
    person.log_in()
    assert 0 < left() <= 100


def test_success_does_not_count(stack, limited):
    limited()
    person = Person(stack, "suc")
    for _ in range(6):
        assert log_in(stack, person.name, person.password).status == 200
    for _ in range(3):
        log_in(stack, person.name).problem(401)
    log_in(stack, person.name).problem(429)


def test_a_limit_passes(stack, limited):
    limited(login_account=60)
    name = f"pass{stack.head}"
    while log_in(stack, name).status == 401:
        pass
    answer = log_in(stack, name)
    assert answer.status == 401 or int(answer.headers["retry-after"]) == 1
    # A try that is refused takes none of what comes back.
    until(lambda: log_in(stack, name).status == 401, 5, "another try")


def test_an_address_is_held_back(stack, limited):
    limited(login_account=0, login_address=4)
    statuses = [log_in(stack, f"{number}x{stack.head}", **{"X-Forwarded-For": f"192.0.2.{number}"}).status for number in range(6)]
    assert statuses == [401] * 4 + [429] * 2, "the header of anybody counts for nothing"
    limited(login_account=0, login_address=2, proxies="127.0.0.1, 10.0.0.0/8")
    for forwarded, status in (("192.0.2.1", 401), ("192.0.2.2", 401), ("192.0.2.1, 10.1.2.3", 401), ("192.0.2.1", 429),
                              ("198.51.100.9, 192.0.2.1", 429), ("192.0.2.1, 192.0.2.3", 401), ("2001:db8::1", 401),
                              ("2001:db8::2", 401), ("2001:db8::3", 429), ("2001:db8:0:1::3", 401)):
        assert log_in(stack, f"y{stack.head}", **{"X-Forwarded-For": forwarded}).status == status, forwarded


def test_registrations_are_held_back(stack, limited, admin):
    limited(register_address=2)
    body = {"username": f"reg{stack.head}", "email": f"reg{stack.head}@example.org", "password": "x"}
    for path, status in ("/api/users", 422), ("/api/commands/register_user", 422), ("/api/users", 429), ("/api/commands/register_user", 429):
        answer = stack.client().post(path, body)
        assert answer.status == status and answer.headers["ratelimit-policy"] == '"register-address";q=2;w=3600'
    body["password"] = "long enough"
    assert admin.post("/api/users", body).status == 201


def test_names_are_not_to_be_tried_out(stack, limited, admin):
    """Who may change a name is told which are taken: not without end, by whichever path."""
    limited(update_account=3, update_address=5)
    person, other = Person(stack, "nam"), Person(stack, "nam")
    taken = {"username": stack.env["COURANT_ADMIN_USER"], "email": f"{person.name}@example.org"}

    def ask(who, number):
        if number % 2:
            return who.client.call("PUT", who.where, taken, headers={"If-Match": "*"})
        return who.client.post("/api/commands/update_user", {"id": who.id, **taken}, headers={"If-Match": "*"})

    answers = [ask(person, number) for number in range(5)]
    assert [answer.status for answer in answers] == [409] * 3 + [429] * 2
    assert answers[0].headers["ratelimit-policy"] == '"update-account";q=3;w=3600, "update-address";q=5;w=3600'
    assert answers[0].headers["ratelimit"].startswith('"update-account";r=2;') and int(answers[4].headers["retry-after"]) > 600
    # What another account of the same client has left; and nobody's try counts for no account.
    assert ask(other, 1).problem(429) and ask(other, 1).headers["ratelimit"].startswith('"update-address"')
    assert stack.client().post("/api/commands/update_user", {"id": person.id, **taken}, headers={"If-Match": "*"}).status == 429
    for _ in range(7):
        assert admin.call("PUT", person.where, taken, headers={"If-Match": "*"}).status == 409
    admin.call("PUT", person.where, {**taken, "username": person.name}, headers={}).problem(428)


@pytest.mark.parametrize("bad", ["300.1.1.1", "10.0.0.0/33", "example.org", "::/129", "10.0.0.0/"])
def test_a_proxy_that_is_none(stack, tmp_path, bad):
    path = tmp_path / "courant.conf"
    path.write_text(f"[http]\ntrusted_proxies = 127.0.0.1 {bad}\n")
    done = stack.ctl("verify", config=str(path))
    assert done.returncode == 2 and bad in done.stderr and "trusted_proxies" in done.stderr


def resident(pid):
    """Bytes of memory that are a process's own."""
    pages = open(f"/proc/{pid}/statm").read().split()
    return (int(pages[1]) - int(pages[2])) * 4096


def asleep(pids):
    return {pid for pid in pids if "nanosleep" in open(f"/proc/{pid}/wchan").read()}


def test_argon2_is_bounded(stack, limited):
    """However many log in at once: as many checks as there are places, and most workers go on with other things."""
    memory = 67108864
    limited(login_account=0, argon2_concurrent=1, ops=6, memory=memory)
    for _ in range(50):
        stack.client().get("/api/articles")
    answers, over, before = [], threading.Event(), {pid: resident(pid) for pid in stack.workers()}

    def flood(number):
        while not over.is_set():
            answers.append(log_in(stack, f"b{number}"))
            over.wait(0.3)  # it is not our own load that is measured

    threads = [threading.Thread(target=flood, args=[number]) for number in range(32)]
    for thread in threads:
        thread.start()
    reader, most, waiting = stack.client(), 0, 0
    for _ in range(40):
        assert reader.get("/api/articles").status == 200
        most = max(most, sum(resident(pid) - size > memory / 2 for pid, size in before.items()))
        # Who sleeps in two looks in a row slept between them, all at once; one look takes its time.
        waiting = max(waiting, len(asleep(before) & asleep(before)))
    until(lambda: {answer.status for answer in answers} == {401, 503}, 20, "one that is checked and one that is not")
    over.set()
    for thread in threads:
        thread.join()
    assert {answer.status for answer in answers} == {401, 503} and most <= 1
    assert 1 <= waiting <= len(before) // 4, "so many workers wait, and serve nobody"
    for answer in answers:
        if answer.status == 503:
            assert answer.headers["retry-after"] == "1"
    # A worker that is killed while it hashes does not keep its place.
    before = stack.workers()
    thread = threading.Thread(target=lambda: log_in(stack, "killed"))
    thread.start()
    for pid in before:
        os.kill(pid, signal.SIGKILL)
    try:
        thread.join()
    except Exception:
        pass
    until(lambda: log_in(stack, "after").status == 401, 20, "a place")


def computed(stack):
    """Seconds that the workers have computed for: what they take whatever else the machine does."""
    return sum(int(open(f"/proc/{pid}/schedstat").read().split()[0]) for pid in stack.workers()) / 1e9


def quick_quarter(stack, names, rounds=24):
    """The time of a failed login of each name, in turns: the lower quartile, for other requests may fall into some."""
    spans = {name: [] for name in names}
    for _ in range(rounds):
        for name in names:
            began = computed(stack)
            log_in(stack, name).problem(401)
            spans[name].append(computed(stack) - began)
    return [statistics.quantiles(spans[name], n=4)[0] for name in names]


def alike(stack, names):
    """Whether the times are the same within a fifth; a difference that is there is there every time."""
    for _ in range(4):
        times = quick_quarter(stack, names)
        if max(times) < 1.2 * min(times):
            return
    assert False, dict(zip(names, times))


def test_the_time_does_not_tell(stack, limited):
    """Nor does it after the parameters were raised, which accounts there are that have not logged in since."""
    limited(login_account=0, ops=1, memory=4194304)
    old = Person(stack, "old")
    limited(login_account=0, ops=8)
    new = Person(stack, "tim")
    alike(stack, [f"nobody{stack.head}", new.name, f"{new.name}@example.org", old.name, "nobody@example.org"])
    hash = f"SELECT password_hash FROM credentials WHERE user_id = '{old.id}'"
    assert "m=4096,t=1," in stack.sql(hash)[0][0]
    assert old.log_in().alive() and "m=8192,t=8," in stack.sql(hash)[0][0]
    # So it is for the current password, and where the parameters were lowered it is no quicker.
    limited(login_account=0, ops=4)
    nobody, lowered = quick_quarter(stack, [f"nobody{stack.head}", new.name], 8)
    assert lowered > nobody * 0.9


def test_a_signal_brings_other_parameters(stack, limited):
    """All that a login takes is as the file says from then on, and of a name that is not known too."""
    limited(login_account=0, ops=1, argon2_concurrent=1, memory=33554432)
    person, nobody = Person(stack, "sig"), f"nobody{stack.head}"
    before = quick_quarter(stack, [person.name, nobody], 8)
    path = stack.env["COURANT_CONFIG"]
    conf = open(path).read()
    with open(path, "w") as file:
        file.write(conf.replace("argon2_ops = 1\nargon2_memory = 33554432", "argon2_ops = 8\nargon2_memory = 33554432")
                       .replace("argon2_concurrent = 1\n", "argon2_concurrent = 16\n"))
    workers = set(stack.workers())
    stack.signal("fcgi", signal.SIGHUP)
    until(lambda: not workers & set(stack.workers()), 60, "other workers")
    alike(stack, [person.name, nobody])
    assert min(quick_quarter(stack, [person.name, nobody], 4)) > 2 * max(before)
    answers = []
    threads = [threading.Thread(target=lambda: answers.append(log_in(stack, nobody).status)) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == [401] * 12
