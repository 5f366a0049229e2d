"""After a session of everything, none of its secrets is in the log, on the bus, in a table, a file or a process."""

import base64
import os
import re
import subprocess
import urllib.request

from courant import Stream, until
from test_4_accounts import Person


STEP = 1 << 24


def memory(pid):
    """What a core dump of the process would hold."""
    with open(f"/proc/{pid}/maps") as maps, open(f"/proc/{pid}/mem", "rb", 0) as mem:
        for line in maps:
            span, modes, *_ = line.split()
            if "w" not in modes:
                continue
            start, end = (int(part, 16) for part in span.split("-"))
            if end - start > 1 << 30:
                continue  # what a sanitizer notes of addresses
            for at in range(start, end, STEP):
                try:
                    mem.seek(at)
                    yield line.strip(), mem.read(min(STEP + 4096, end - at))
                except (OSError, ValueError):
                    pass


def raw(secret):
    """The random bytes that a text of the form «crt_…» stands for; None for another."""
    match = re.fullmatch(r"c[a-z]{2}_([A-Za-z0-9_-]{43})", secret)
    return base64.urlsafe_b64decode(match[1] + "=") if match else None


def dump(stack, *options):
    return subprocess.run(["mariadb-dump", "--no-defaults", "--hex-blob", *options, "-S", stack.env["COURANT_DB_SOCKET"], "-uroot", "courant"],
                          check=True, capture_output=True).stdout


def keys_of(stack, person):
    """{table: {name: what only that table holds}}: as bytes, and as digits."""
    columns = {"signing_keys": "SELECT HEX(secret) FROM signing_keys", "credentials": "SELECT HEX(password_hash) FROM credentials",
               "seal_keys": f"SELECT HEX(secret) FROM seal_keys WHERE id = '{person.id}'"}
    found = {}
    for table, query in columns.items():
        values = [bytes.fromhex(row[0]) for row in stack.sql(query)][-3:]
        assert values and all(len(value) >= 32 for value in values)
        found[table] = {f"{number} of {table}, as {form}": value if form == "bytes" else value.hex().encode()
                        for number, value in enumerate(values) for form in ("bytes", "digits")}
    return found


def test_no_secret_is_left_anywhere(stack, admin):
    person = Person(stack, "sec")
    secrets = {"password": person.password, "refresh": person.refresh, "access": person.client.token}
    again = stack.client().post("/api/auth/refresh", {"refresh_token": person.refresh}).json
    secrets.update(refresh2=again["refresh_token"], access2=again["access_token"])
    made = person.client.post("/api/auth/tokens", {"name": "n", "scopes": ["read", "write"]}).json
    secrets["api"] = made["token"]
    token = stack.client(made["token"])
    token.article("By a token")
    stream = Stream(stack, "/events", token=made["token"])
    until(lambda: stream.frames, what="the stream")
    stream.close()
    Stream(stack, "/events", token=again["access_token"]).close()
    secrets["wrong"] = "a wrong password that nobody has"
    stack.client().post("/api/auth/login", {"username": person.name, "password": secrets["wrong"]}).problem(401)
    secrets["new"] = "the next password of sec"
    assert person.client.call("PUT", person.where + "/password", {"password": secrets["new"], "current_password": secrets["password"]},
                              headers={"Idempotency-Key": f"pw{stack.head}"}).status == 200
    secrets["invitation"] = admin.post("/api/auth/invitations", {}).json["invitation"]
    secrets["body"] = "a password in a body that is refused"
    stack.client().post("/api/users", {"username": "x", "email": "y", "password": secrets["body"]}).problem(422)
    stack.client().call("POST", "/api/auth/login", '{"username":"x","password":"%s"' % secrets["body"]).problem(400)
    login = stack.log_in(person.name, secrets["new"])
    secrets.update(cookie=login.cookies[1].split(";")[0].split("=")[1], access3=login.json["access_token"])
    stack.client().get("/api/auth", headers={"Cookie": login.cookies[0].split(";")[0]})
    signatures = {name: value.split(".")[-1] if value.count(".") == 2 else value for name, value in secrets.items()}
    needles = {name: value.encode() for name, value in signatures.items()}

    kept_keys = {}

    def look(where, data, lower=False):
        for name, needle in needles.items():
            at = data.find(needle.lower() if lower else needle)
            assert at < 0, f"{name} is in {where}: {data[max(0, at - 60):at + len(needle) + 20]}"

    needles.update({f"{name}, as bytes": raw(value) for name, value in secrets.items() if raw(value)})
    needles.update({f"{name}, as hexadecimal digits": needle.hex().encode() for name, needle in list(needles.items())})
    whole = dump(stack).lower()
    look("the tables", whole, lower=True)
    for kept, keys in keys_of(stack, person).items():
        needles.update(keys)
        look(f"a table other than {kept}", dump(stack, f"--ignore-table=courant.{kept}").lower(), lower=True)
        assert any(key.lower() in whole for key in keys.values()), "what is looked for would be found"
        for name in keys:
            kept_keys[name] = needles.pop(name)
    needles.update(kept_keys)
    for args in (["export", "-"], ["events"], ["verify"], ["user", "list"], ["session", "list", person.name], ["key", "list"], ["key", "rotate"],
                 ["bus", "status"], ["rebuild", "--check", "users"], ["migrate"], ["user", "grant", person.name, "audit_read"]):
        done = stack.ctl(*args)
        assert done.returncode == 0, (args, done.stderr)
        look(f"courantctl {args}", (done.stdout + done.stderr).encode())
    for page in "/metrics", "/readyz":
        answer = urllib.request.urlopen(f"http://127.0.0.1:{int(stack.env['COURANT_DEV_PORT']) + 3}{page}").read()
        assert len(answer) > 20
        look(page, answer)
    for folder in "log", "nats":
        for at, _, files in os.walk(f"{stack.dir}/{folder}"):
            for file in files:
                look(f"{at}/{file}", open(f"{at}/{file}", "rb").read())
    for name in kept_keys:
        needles.pop(name)  # a process that signs has them
    fcgi = stack.pid("fcgi")
    for pid in fcgi, *stack.workers(), stack.pid("notifier"):
        for at, part in memory(pid):
            look(f"process {pid} at {at}", part)
