#!/usr/bin/env python3
"""The breaking machine: machine.py [--seed N] [--seconds N | --minutes N]

Clients issue commands and repeat each until it is answered; streams are followed and taken up again; meanwhile everything
else is killed, stopped and cut. In the end the log must hold each acknowledged command exactly once and no refused one,
each stream must have brought each position that its reader may see exactly once and in order, and `verify` must be
clean. The seed decides what each client sends and which faults strike in which order; it is printed, and repeats the run.
"""

import argparse
import collections
import http.client
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "http"))
from courant import Stack, until  # noqa: E402

CLIENTS, HOT = 8, 4
ANSWER_WITHIN = 90  # seconds after the last fault, for anything that is still asked


class Wrong(Exception):
    """The system did what it must not."""


class Sent:
    """A command and what became of it."""

    def __init__(self, kind, path, payload, marker=None, article=None, version=None):
        self.kind, self.path, self.payload, self.marker = kind, path, payload, marker
        self.article, self.version = article, version
        self.key, self.answer, self.tries, self.seconds = None, None, 0, 0.0


class Client(threading.Thread):
    """Sends one command after the other; each until it has a definite answer."""

    def __init__(self, machine, number):
        super().__init__(daemon=True)
        self.machine, self.number, self.count = machine, number, 0
        self.dice = random.Random(f"{machine.seed} client {number}")
        self.name_of_user = None if number % 4 else "machine"  # every fourth is a plain user
        self.http, self.sent, self.fault = None, [], None
        self.own = []  # drafts of our own: (id, version)

    def run(self):
        try:
            self.log_in()
            while not self.machine.ended.is_set():
                self.one()
        except Exception as fault:
            self.fault = fault

    def log_in(self):
        stack = self.machine.stack

        def ask():
            try:
                answer = stack.log_in(*(("machine", "password of machine") if self.name_of_user else ()))
            except (OSError, http.client.HTTPException):
                return None
            return answer.json["access_token"] if answer.status == 200 else None

        self.http = stack.client(until(ask, ANSWER_WITHIN, "a login"))

    def answered(self, sent):
        """Sends a command until the answer is definite: it was done, or it was not."""
        self.count += 1
        sent.key = f"machine {self.machine.run} {self.number} {self.count}".replace(" ", "-")
        headers = {"Idempotency-Key": sent.key}
        if sent.version is not None:
            headers["If-Match"] = f'"v{sent.version}"'
        if self.dice.random() < 0.03:
            self.hang_up(sent, headers)
        began = time.monotonic()
        while sent.answer is None:
            sent.tries += 1
            answer = self.attempt("POST", sent.path, sent.payload, headers)
            if answer is not None and answer.status < 500:
                sent.answer, sent.seconds = answer, time.monotonic() - began
            elif self.machine.lifted and time.monotonic() > self.machine.lifted + ANSWER_WITHIN:
                raise Wrong(f"no answer to {sent.kind} {sent.marker} ({answer and answer.body})")
            else:
                time.sleep(self.dice.uniform(0.005, 0.05))
        self.sent.append(sent)
        return sent.answer

    def attempt(self, method, path, payload=None, headers=None):
        try:
            answer = self.http.call(method, path, payload, headers=dict(headers or {}))
        except (OSError, http.client.HTTPException):
            return None
        if answer.status == 401:
            self.log_in()
            return None
        return answer

    def hang_up(self, sent, headers):
        """Goes away without the answer; the command is asked for again while the first try may still run."""
        stack = self.machine.stack
        connection = http.client.HTTPConnection(stack.host, stack.port, timeout=5)
        try:
            connection.request("POST", sent.path, json.dumps(sent.payload),
                               {**headers, "Content-Type": "application/json", "Authorization": f"Bearer {self.http.token}"})
            time.sleep(self.dice.uniform(0, 0.02))
        except (OSError, http.client.HTTPException):
            pass
        finally:
            connection.close()

    def get(self, path):
        while True:
            answer = self.attempt("GET", path)
            if answer is not None and answer.status < 500:
                return answer
            if self.machine.lifted and time.monotonic() > self.machine.lifted + ANSWER_WITHIN:
                raise Wrong(f"no answer to GET {path}")
            time.sleep(0.02)

    def one(self):
        marker = f"{self.machine.run} {self.number}.{self.count}"
        kind = self.dice.choices(["create", "update", "publish", "invalid", "stale", "forbidden", "log in"],
                                 [40, 40, 8, 4, 4, 3, 1])[0]
        {"create": self.create, "update": self.update, "publish": self.publish, "invalid": self.invalid,
         "stale": self.stale, "forbidden": self.forbidden, "log in": lambda marker: self.log_in()}[kind](marker)

    def create(self, marker):
        public = self.dice.random() < 0.5
        path = self.dice.choice(["/api/articles", "/api/commands/create_article"])
        answer = self.answered(Sent("create", path, {"title": marker, "content": "x" * self.dice.randint(1, 2000),
                                                     "publish": public}, marker))
        self.expect(answer, 201)
        if not public:
            self.own.append((answer.json["id"], answer.json["version"]))

    def update(self, marker):
        """Several clients want to change the same few articles; of those who saw the same version one may."""
        article = self.dice.choice(self.machine.hot)
        version = self.get(f"/api/articles/{article}").json["version"]
        answer = self.answered(Sent("update", "/api/commands/update_article", {
            "id": article, "title": marker, "content": "y" * self.dice.randint(1, 500)}, marker, article, version))
        self.expect(answer, 403 if self.name_of_user else 200, 412)

    def publish(self, marker):
        if not self.own:
            return self.create(marker)
        article, version = self.own.pop(self.dice.randrange(len(self.own)))
        answer = self.answered(Sent("publish", "/api/commands/publish_article", {"id": article}, None, article, version))
        self.expect(answer, 200)

    def invalid(self, marker):
        answer = self.answered(Sent("invalid", "/api/articles", {"title": marker, "content": "", "nothing": 1}, marker))
        self.expect(answer, 422)

    def stale(self, marker):
        article = self.dice.choice(self.machine.hot)
        answer = self.answered(Sent("stale", "/api/commands/update_article", {"id": article, "title": marker, "content": "z"},
                                    marker, article, 1))
        self.expect(answer, 403 if self.name_of_user else 412)

    def forbidden(self, marker):
        payload = {"username": f"u{self.number}x{self.count}", "email": f"{self.number}.{self.count}@example.org",
                   "password": "a password", "permissions": ["audit_read" if self.name_of_user else "nothing_of_the_kind"]}
        answer = self.answered(Sent("forbidden", "/api/commands/register_user", payload))
        self.expect(answer, 403 if self.name_of_user else 422)

    @staticmethod
    def expect(answer, *statuses):
        if answer.status not in statuses:
            raise Wrong(f"{answer.status} where {statuses} was due: {answer.body}")


class Reader(threading.Thread):
    """Follows a stream from a position on, and takes it up again with Last-Event-ID whenever it ends."""

    def __init__(self, machine, name, path, who, restless=False):
        super().__init__(daemon=True)
        self.machine, self.name, self.path, self.who, self.restless = machine, name, path, who, restless
        self.dice = random.Random(f"{machine.seed} {name}")
        self.start_at = self.last = machine.start
        self.ids, self.reconnects, self.fault, self.connection = [], 0, None, None

    def run(self):
        try:
            while not self.machine.over.is_set():
                try:
                    self.follow()
                except (OSError, http.client.HTTPException, ValueError, AttributeError):
                    pass  # the connection broke, perhaps in the midst of a line; a frame counts when it is whole
                self.reconnects += 1
                time.sleep(0.05)
        except Exception as fault:
            self.fault = fault

    def follow(self):
        stack = self.machine.stack
        headers = {"Last-Event-ID": str(self.last)}
        if self.who:
            answer = stack.log_in(*self.who)
            if answer.status != 200:
                return
            headers["Authorization"] = f"Bearer {answer.json['access_token']}"
        # A restless one goes away after a while, wherever that is in a frame.
        restless = self.restless and not self.machine.calm.is_set()
        leave = time.monotonic() + (self.dice.uniform(0, 3) if restless else 3600)
        self.connection = http.client.HTTPConnection(stack.host, stack.port, timeout=2 if restless else 15)
        self.connection.request("GET", self.path, headers=headers)
        response = self.connection.getresponse()
        if response.status != 200:
            response.read()
            return
        frame = {}
        for line in response:
            if time.monotonic() > leave:
                response.close()
                self.connection.close()
                return
            line = line.decode().rstrip("\n")
            name, _, value = line.partition(": ")
            if line != "":
                frame[name] = value
                continue
            if "id" in frame:
                self.last = int(frame["id"])
                if "data" in frame:
                    self.ids.append(self.last)
                    if json.loads(frame["data"])["position"] != self.last:
                        raise Wrong(f"{self.name}: a frame's id is not its position")
            frame = {}

    def admits(self, event):
        if self.path.endswith("all"):
            return True
        if not event["stream"].startswith("article-"):
            return False
        words = event["audience"].split()
        return "public" in words or (self.who is not None and f"user:{self.machine.plain_id}" in words)


class Supervisor(threading.Thread):
    """Starts the notifier again when a fault point has ended it, as an operator's supervisor does: it publishes what the bus
    lacks, so it comes by some of them. Any other end that nobody asked for is a defect."""

    def __init__(self, machine):
        super().__init__(daemon=True)
        self.machine, self.stack, self.count, self.fault = machine, machine.stack, 0, None

    def run(self):
        try:
            while not self.machine.over.wait(0.2):
                with self.machine.notifier:
                    self.look()
        except Exception as fault:
            self.fault = fault

    def look(self):
        if not self.stack.stopped("notifier"):
            return
        if not self.machine.notifier_met_fault():
            raise Wrong("the notifier ended by itself: see the end of its log")
        self.machine.start_server("notifier")
        self.count += 1


class Faults(threading.Thread):
    """Strikes one fault after the other, each kind once in random order, then all again. Two of them, for the servers and
    for what they do, strike at once."""

    def __init__(self, machine, servers):
        super().__init__(daemon=True)
        self.machine, self.stack = machine, machine.stack
        self.dice = random.Random(f"{machine.seed} faults {servers}")
        self.struck, self.fault, self.deck, self.deleted = collections.Counter(), None, [], False
        self.kinds = self.of_servers() if servers else self.of_steps()

    def of_servers(self):
        return {"kill the pool": self.kill_pool, "kill the notifier": lambda: self.kill("notifier"),
                "restart the notifier": lambda: self.restart("notifier"), "stop the notifier": lambda: self.pause("notifier"),
                "kill nats": lambda: self.kill("nats"), "stop nats": lambda: self.pause("nats"),
                "kill mariadb": lambda: self.kill("mariadb"), "stop mariadb": lambda: self.pause("mariadb"),
                "delete the bus": self.delete_bus, "kill nginx": self.kill_nginx, "reload nginx": self.reload_nginx}

    def of_steps(self):
        kinds = {"kill a worker": self.kill_worker, "kill all workers": self.kill_workers, "stop a worker": self.stop_worker,
                 "cut a commit": self.cut_commit, "cut connections": self.cut_idle}
        for point in "before-commit", "after-commit", "before-publish", "mid-publish", "position-taken", "event-inserted":
            kinds[f"exit {point}"] = lambda point=point: self.plant(point)
        return kinds

    def run(self):
        try:
            while not self.machine.calm.wait(self.dice.uniform(0.1, 1.2)):
                if not self.deck:
                    self.deck = sorted(self.kinds)
                    self.dice.shuffle(self.deck)
                kind = self.deck.pop()
                if self.kinds[kind]() is not False:
                    self.struck[kind] += 1
        except Exception as fault:
            self.fault = fault

    def root(self, text):
        return subprocess.run(["mariadb", "--no-defaults", "-S", self.stack.env["COURANT_DB_SOCKET"], "-uroot", "-N", "-B",
                               "--delimiter=//", "-e", text], capture_output=True, text=True, timeout=60).stdout.split()

    @staticmethod
    def send(pid, number):
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            pass

    def workers(self):
        """Those of the moment; the pool may be between two lives."""
        def some():
            try:
                return self.stack.workers()
            except (OSError, ValueError, IndexError):
                return None
        return until(some, 30, "workers")

    def kill_worker(self):
        self.send(self.dice.choice(self.workers()), signal.SIGKILL)

    def kill_workers(self):
        for pid in self.workers():
            self.send(pid, signal.SIGKILL)

    def stop_worker(self):
        pid = self.dice.choice(self.workers())
        self.send(pid, signal.SIGSTOP)
        time.sleep(self.dice.uniform(0.2, 3))
        self.send(pid, signal.SIGCONT)

    def kill_pool(self):
        workers = self.workers()
        self.send(self.stack.pid("fcgi"), signal.SIGKILL)
        for pid in workers:
            self.send(pid, signal.SIGKILL)
        time.sleep(self.dice.uniform(0, 0.5))
        self.stack.dev("start", "fcgi")

    def kill_nginx(self):
        """With its workers, who would live on without it."""
        pid = self.stack.pid("nginx")
        for victim in [pid, *open(f"/proc/{pid}/task/{pid}/children").read().split()]:
            self.send(int(victim), signal.SIGKILL)
        until(lambda: self.stack.stopped("nginx"), 20, "the end of nginx")
        time.sleep(self.dice.uniform(0, 0.5))
        self.stack.dev("start", "nginx")

    def reload_nginx(self):
        self.send(self.stack.pid("nginx"), signal.SIGHUP)

    def kill(self, name):
        with self.machine.notifier:
            self.send(self.stack.pid(name), signal.SIGKILL)
            time.sleep(self.dice.uniform(0, 1))
            until(lambda: self.stack.stopped(name), 20, f"the end of {name}")
            self.machine.start_server(name)

    def restart(self, name):
        with self.machine.notifier:
            self.stack.dev("stop", name)
            self.machine.start_server(name)

    def pause(self, name):
        pid = self.stack.pid(name)
        self.send(pid, signal.SIGSTOP)
        time.sleep(self.dice.uniform(0.2, 2.5))
        self.send(pid, signal.SIGCONT)

    def delete_bus(self):
        """Once in a run: the JetStream directory is gone."""
        if self.deleted:
            return False
        self.deleted = True
        self.stack.dev("stop", "nats")
        shutil.rmtree(f"{self.stack.dir}/nats")
        self.stack.dev("start", "nats")

    def cut_commit(self):
        """The server looks for a command that is being committed, and kills its connection there."""
        found = self.root("BEGIN NOT ATOMIC DECLARE c BIGINT; DECLARE n INT DEFAULT 0; WHILE c IS NULL AND n < 20000 DO "
                          "SELECT id INTO c FROM information_schema.processlist WHERE user = 'courant' AND state = 'Commit' "
                          "LIMIT 1; SET n = n + 1; END WHILE; KILL c; SELECT c; END")
        return bool(found and found[0] != "NULL")

    def cut_idle(self):
        for number in self.root("SELECT id FROM information_schema.processlist WHERE user = 'courant'"):
            if self.dice.random() < 0.5:
                self.root(f"KILL {number}")

    def plant(self, point):
        path = os.path.join(self.stack.faults, point)
        open(path, "w").close()
        until(lambda: not os.path.exists(path) or self.machine.calm.is_set(), 60, f"somebody to come by {point}")
        if os.path.exists(path):
            os.unlink(path)
            return False
        if point in ("position-taken", "event-inserted") and self.dice.random() < 0.5:
            for number in self.root("SELECT id FROM information_schema.processlist WHERE state = 'User sleep'"):
                self.root(f"KILL {number}")
        return True


class Machine:
    def __init__(self, seed, seconds):
        self.seed, self.seconds, self.stack = seed, seconds, Stack()
        self.run = f"m{seed}t{int(time.time())}"
        self.ended, self.calm, self.over, self.lifted = threading.Event(), threading.Event(), threading.Event(), None
        self.notifier = threading.Lock()  # of whoever ends and starts it

    def notifier_met_fault(self):
        return "the fault point" in open(f"{self.stack.dir}/log/notifier.log").readlines()[-1]

    def start_server(self, name):
        """Again, where a fault point ends the notifier while it starts."""
        while True:
            try:
                return self.stack.dev("start", name)
            except subprocess.CalledProcessError:
                if name != "notifier" or not self.notifier_met_fault():
                    raise

    def prepare(self):
        admin = self.stack.admin()
        self.stack.user("machine")
        self.plain_id = self.stack.sql("SELECT id FROM users WHERE username = 'machine'")[0][0]
        self.hot = [admin.article(f"hot {n}").json["id"] for n in range(HOT)]
        self.start = self.stack.head

    def work(self):
        self.clients = [Client(self, number) for number in range(CLIENTS)]
        admin = (self.stack.env["COURANT_ADMIN_USER"], self.stack.env["COURANT_ADMIN_PASSWORD"])
        plain = ("machine", "password of machine")
        self.readers = [Reader(self, "administrator", "/events?topic=all", admin), Reader(self, "anonymous", "/events", None),
                        Reader(self, "plain user", "/events?topic=articles", plain),
                        Reader(self, "another anonymous", "/events?topic=articles", None),
                        *(Reader(self, f"restless {n}", "/events", None, True) for n in range(6)),
                        *(Reader(self, f"restless plain user {n}", "/events?topic=articles", plain, True) for n in range(2))]
        self.faults = [Faults(self, True), Faults(self, False)]
        self.supervisor = Supervisor(self)
        for thread in *self.readers, *self.clients, *self.faults, self.supervisor:
            thread.start()
        ended = time.monotonic() + self.seconds
        until(lambda: time.monotonic() > ended or any(thread.fault for thread in self.threads()),
              self.seconds + 10, "the time")
        self.calm.set()
        for faults in self.faults:
            faults.join(90)
        self.lifted = time.monotonic()
        self.ended.set()
        for client in self.clients:
            client.join(ANSWER_WITHIN + 30)
        self.check_threads()
        if any(thread.is_alive() for thread in (*self.clients, *self.faults)):
            raise Wrong("a client or the faults did not come to an end")

    def threads(self):
        return *self.clients, *self.readers, *self.faults, self.supervisor

    def check_threads(self):
        for thread in self.threads():
            if thread.fault:
                raise Wrong(f"{type(thread).__name__} {thread.name}: {thread.fault!r}")

    def check(self):
        events = [json.loads(line) for line in self.stack.ctl("events", "--after", str(self.start)).stdout.splitlines()]
        self.check_commands(events)
        self.check_articles()
        self.check_streams(events)
        self.check_replays()
        until(lambda: self.stack.bus_last == self.stack.head, 60, "the bus")
        done = self.stack.ctl("verify")
        if done.returncode != 0:
            raise Wrong(f"verify: {done.stdout}{done.stderr}")

    def sent(self):
        return [sent for client in self.clients for sent in client.sent]

    def check_commands(self, events):
        titled, versions = collections.defaultdict(list), set()
        for event in events:
            if event["type"] in ("article.created", "article.updated"):
                titled[event["data"]["title"]].append(event)
        unasked = set(titled) - {sent.marker for sent in self.sent() if sent.answer.status < 300}
        if unasked:
            raise Wrong(f"nobody was told that these were done: {sorted(unasked)[:5]}")
        published = collections.Counter(event["stream"] for event in events if event["type"] == "article.published")
        for sent in self.sent():
            done = sent.answer.status < 300
            found = len(titled[sent.marker]) if sent.marker else None
            if sent.marker and found != (1 if done else 0):
                raise Wrong(f"{sent.kind} {sent.marker}, answered with {sent.answer.status}, is in the log {found} times")
            if sent.kind == "publish" and published[f"article-{sent.article}"] != 1:
                raise Wrong(f"{sent.article} was published {published[f'article-{sent.article}']} times")
            if done and sent.marker and not 1 <= sent.answer.position - titled[sent.marker][0]["position"] <= 2:
                raise Wrong(f"{sent.kind} {sent.marker} is not at the position that was answered")
            if done and sent.version is not None:
                if (sent.article, sent.version) in versions:
                    raise Wrong(f"two commands changed version {sent.version} of {sent.article}")
                versions.add((sent.article, sent.version))

    def check_articles(self):
        for article in self.hot:
            changes = [sent for sent in self.sent() if sent.article == article and sent.answer.status == 200]
            now = self.stack.admin().get(f"/api/articles/{article}").json
            last = max(changes, key=lambda sent: sent.answer.json["version"], default=None)
            if last is not None and last.answer.json != now:
                raise Wrong(f"{article} is {now}, the last change that was acknowledged made {last.answer.json}")

    def check_streams(self, events):
        head = events[-1]["position"] if events else self.start
        for reader in self.readers:
            expected = [event["position"] for event in events if reader.admits(event)]
            until(lambda: reader.last >= head or len(reader.ids) > len(expected), 60, f"the {reader.name}'s stream at {head}")
            seen = [position for position in reader.ids if position <= head]
            if seen != expected:
                missed, more = sorted(set(expected) - set(seen))[:5], sorted(set(seen) - set(expected))[:5]
                raise Wrong(f"the {reader.name}'s stream: missed {missed}, wrong or forbidden {more}, "
                            f"in order: {seen == sorted(seen)}, repeated: {len(seen) - len(set(seen))}")
        self.over.set()
        self.supervisor.join(ANSWER_WITHIN)
        self.check_threads()

    def check_replays(self):
        dice = random.Random(f"{self.seed} replays")
        for client in self.clients:
            done = [sent for sent in client.sent if sent.answer.status < 300]
            for sent in dice.sample(done, min(5, len(done))):
                headers = {"Idempotency-Key": sent.key}
                if sent.version is not None:
                    headers["If-Match"] = f'"v{sent.version}"'
                again = client.attempt("POST", sent.path, sent.payload, headers)
                if again is None or (again.status, again.body, again.position) != (
                        sent.answer.status, sent.answer.body, sent.answer.position):
                    raise Wrong(f"{sent.kind} {sent.marker} has another answer when it is asked again: {again and again.body}")

    def check_that_it_broke(self):
        acknowledged = sum(sent.answer.status < 300 for sent in self.sent())
        if acknowledged < self.seconds:
            raise Wrong(f"only {acknowledged} commands were acknowledged")
        missing = sorted(kind for faults in self.faults for kind in faults.kinds if not faults.struck[kind])
        if self.seconds >= 60 and self.stack.slow == 1 and missing:
            raise Wrong(f"these faults did not strike: {missing}")

    def say(self):
        sent = self.sent()
        by_status = collections.Counter(command.answer.status for command in sent)
        print(f"commands {len(sent)}: " + ", ".join(f"{status} × {count}" for status, count in sorted(by_status.items())))
        print(f"tries    {sum(command.tries for command in sent)}; the longest command took "
              f"{max((command.seconds for command in sent), default=0):.1f} s")
        print("faults   " + ", ".join(f"{kind} × {count}" for faults in self.faults
                                      for kind, count in sorted(faults.struck.items())))
        print(f"notifier {self.supervisor.count} times ended by a fault point and started again")
        print("streams  " + ", ".join(f"{reader.name}: {len(reader.ids)} events, {reader.reconnects} times taken up again"
                                      for reader in self.readers))


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=int(os.environ.get("COURANT_SEED") or random.randrange(10**6)))
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--minutes", type=float, default=float(os.environ.get("COURANT_MACHINE_MINUTES") or 0))
    wish = parser.parse_args()
    seconds = wish.minutes * 60 or wish.seconds
    print(f"seed {wish.seed}, {seconds:.0f} s", flush=True)
    machine = Machine(wish.seed, seconds)
    try:
        machine.prepare()
        machine.work()
        machine.say()
        machine.check()
        machine.check_that_it_broke()
    except (Wrong, AssertionError, TimeoutError) as fault:
        print(f"BROKEN   {fault}\nagain:   tests/fault/machine.py --seed {wish.seed} --seconds {seconds:.0f}", flush=True)
        return 1
    print("whole")
    return 0


if __name__ == "__main__":
    sys.exit(main())
