#!/usr/bin/env python3
"""The breaking machine: machine.py [--seed N] [--seconds N | --minutes N]

Clients issue commands and repeat each until it is answered; streams are followed and taken up again; meanwhile everything
else is killed, stopped and cut. In the end the log must hold each acknowledged command exactly once and nothing else, no
trace of a refused one, each stream must have brought each event that its reader may see exactly once and in order, as it
is in the log, and `verify` must be clean. The seed decides what each client sends and which faults strike in which order
(plan.py); it is printed, with a digest of that plan, and repeats it.
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
import plan  # noqa: E402
from courant import Stack, until  # noqa: E402

ANSWER_WITHIN = 90  # seconds after the last fault, for anything that is still asked
LONG = 6  # seconds: longer than a session waits for a lock (innodb_lock_wait_timeout)

# The events of each command, the last of them at the position of the answer.
EVENTS = {"create": ["article.created", "article.revision_created"],
          "create public": ["article.created", "article.revision_created", "article.published"],
          "update": ["article.updated", "article.revision_created"], "publish": ["article.published"]}


class Wrong(Exception):
    """The system did what it must not."""


class Sent:
    """A command and what became of it."""

    def __init__(self, kind, path, payload, marker=None, article=None, version=None):
        self.kind, self.path, self.payload, self.marker = kind, path, payload, marker
        self.article, self.version = article, version
        self.key, self.answer, self.tries, self.seconds = None, None, 0, 0.0

    @property
    def done(self):
        return self.answer.status < 300

    @property
    def headers(self):
        named = {} if self.version is None else {"If-Match": f'"v{self.version}"'}
        return {"Idempotency-Key": self.key, **named}


class Client(threading.Thread):
    """Sends one command after the other; each until it has a definite answer."""

    def __init__(self, machine, number):
        super().__init__(daemon=True)
        self.machine, self.number = machine, number
        self.steps, self.jitter = plan.commands(machine.seed, number), random.Random()
        self.plain = number % 4 == 0  # every fourth is a user without permissions
        self.http, self.sent, self.fault = None, [], None
        self.own = []  # drafts of our own: (id, version)

    def run(self):
        try:
            self.log_in()
            while not self.machine.ended.is_set():
                self.one(next(self.steps))
        except Exception as fault:
            self.fault = fault

    def log_in(self):
        stack = self.machine.stack

        def ask():
            try:
                answer = stack.log_in(*(("machine", "password of machine") if self.plain else ()))
            except (OSError, http.client.HTTPException):
                return None
            return answer.json["access_token"] if answer.status == 200 else None

        self.http = stack.client(until(ask, ANSWER_WITHIN, "a login"))

    def answered(self, sent, step):
        """Sends a command until the answer is definite: it was done, or it was not."""
        sent.key = f"machine-{self.machine.run}-{self.number}-{step.number}"
        if step.hang_up:
            self.hang_up(sent)
        began = time.monotonic()
        sent.answer = self.ask("POST", sent.path, sent.payload, sent)
        sent.seconds = time.monotonic() - began
        self.sent.append(sent)
        return sent.answer

    def ask(self, method, path, payload=None, sent=None):
        while True:
            if sent is not None:
                sent.tries += 1
            answer = self.attempt(method, path, payload, sent.headers if sent is not None else {})
            if answer is not None and answer.status < 500:
                return answer
            if self.machine.lifted and time.monotonic() > self.machine.lifted + ANSWER_WITHIN:
                raise Wrong(f"no answer to {method} {path} {sent and sent.marker} ({answer and answer.body})")
            time.sleep(self.jitter.uniform(0.005, 0.05))

    def attempt(self, method, path, payload, headers):
        """None where there was no answer, or one that says nothing of the request: the token has expired."""
        try:
            answer = self.http.call(method, path, payload, headers=headers)
        except (OSError, http.client.HTTPException):
            return None
        if answer.status == 401:
            self.log_in()
            return None
        return answer

    def hang_up(self, sent):
        """Goes away without the answer; the command is asked for again while the first try may still run."""
        stack = self.machine.stack
        connection = http.client.HTTPConnection(stack.host, stack.port, timeout=5)
        try:
            connection.request("POST", sent.path, json.dumps(sent.payload), {
                **sent.headers, "Content-Type": "application/json", "Authorization": f"Bearer {self.http.token}"})
            time.sleep(self.jitter.uniform(0, 0.02))
        except (OSError, http.client.HTTPException):
            pass
        finally:
            connection.close()

    def one(self, step):
        marker = f"{self.machine.run} {self.number}.{step.number}"
        {"create": self.create, "update": self.update, "publish": self.publish, "invalid": self.invalid,
         "stale": self.stale, "forbidden": self.forbidden, "log in": lambda *_: self.log_in()}[step.kind](step, marker)

    def create(self, step, marker):
        path = "/api/commands/create_article" if step.by_command else "/api/articles"
        answer = self.answered(Sent("create public" if step.public else "create", path, {
            "title": marker, "content": "x" * step.size, "publish": step.public}, marker), step)
        self.expect(answer, 201)
        if not step.public:
            self.own.append((answer.json["id"], answer.json["version"]))

    def update(self, step, marker):
        """Several clients want to change the same few articles; of those who saw the same version one may."""
        article = step.choose(self.machine.hot)
        version = self.ask("GET", f"/api/articles/{article}").json["version"]
        answer = self.answered(Sent("update", "/api/commands/update_article", {
            "id": article, "title": marker, "content": "y" * step.size}, marker, article, version), step)
        self.expect(answer, 403 if self.plain else 200, 412)

    def publish(self, step, marker):
        if not self.own:
            return self.create(step, marker)
        article, version = self.own.pop(int(step.pick * len(self.own)))
        answer = self.answered(Sent("publish", "/api/commands/publish_article", {"id": article}, None, article, version), step)
        self.expect(answer, 200)

    def invalid(self, step, marker):
        self.expect(self.answered(Sent("invalid", "/api/articles", {
            "title": marker, "content": "", "nothing": 1}, marker), step), 422)

    def stale(self, step, marker):
        article = step.choose(self.machine.hot)
        self.expect(self.answered(Sent("stale", "/api/commands/update_article", {
            "id": article, "title": marker, "content": "z"}, marker, article, 1), step), 403 if self.plain else 412)

    def forbidden(self, step, marker):
        payload = {"username": f"u{self.number}x{step.number}", "email": f"{self.number}.{step.number}@example.org",
                   "password": "a password", "permissions": ["audit_read" if self.plain else "nothing_of_the_kind"]}
        self.expect(self.answered(Sent("forbidden", "/api/commands/register_user", payload, marker), step),
                    403 if self.plain else 422)

    @staticmethod
    def expect(answer, *statuses):
        if answer.status not in statuses:
            raise Wrong(f"{answer.status} where {statuses} was due: {answer.body}")


class Reader(threading.Thread):
    """Follows a stream from a position on, and takes it up again with Last-Event-ID whenever it ends."""

    def __init__(self, machine, name, path, who, restless=False):
        super().__init__(daemon=True)
        self.machine, self.name, self.path, self.who, self.restless = machine, name, path, who, restless
        self.jitter = random.Random()
        self.last = machine.start
        self.events, self.reconnects, self.fault = [], 0, None

    def run(self):
        try:
            while not self.machine.over.is_set():
                try:
                    self.follow()
                except (OSError, http.client.HTTPException):
                    pass  # the connection broke
                self.reconnects += 1
                time.sleep(0.05)
        except Exception as fault:
            self.fault = fault

    def follow(self):
        stack = self.machine.stack
        headers = {"Last-Event-ID": str(self.last)}
        if self.who:
            answer = stack.log_in(*self.who)
            if self.told_to_wait(answer.status):
                return
            headers["Authorization"] = f"Bearer {answer.json['access_token']}"
        # A restless one goes away after a while, wherever that is in a frame.
        restless = self.restless and not self.machine.calm.is_set()
        leave = time.monotonic() + (self.jitter.uniform(0, 3) if restless else 3600)
        connection = http.client.HTTPConnection(stack.host, stack.port, timeout=2 if restless else 15)
        try:
            connection.request("GET", self.path, headers=headers)
            response = connection.getresponse()
            if not self.told_to_wait(response.status):
                self.read(response, leave)
        finally:
            connection.close()

    def told_to_wait(self, status):
        if 200 < status < 500:
            raise Wrong(f"{self.name}: {status} where a stream was due")
        return status != 200

    def read(self, response, leave):
        frame = {}
        while time.monotonic() < leave:
            line = response.readline()
            if not line.endswith(b"\n"):
                return  # it broke off in the midst of a line, or has ended: a frame counts when it is whole
            name, _, value = line.decode().rstrip("\n").partition(": ")
            if line != b"\n":
                frame[name] = value
                continue
            self.take(frame)
            frame = {}

    def take(self, frame):
        """A whole frame; what is wrong with it is wrong with the run."""
        if "id" not in frame:
            return
        position = int(frame["id"])
        if "data" in frame:
            event = json.loads(frame["data"])
            if "position" not in event or event["position"] != position or event.get("type") != frame.get("event"):
                raise Wrong(f"{self.name}: a frame says {frame}")
            self.events.append(event)
        self.last = position

    def admits(self, event):
        if self.path.endswith("all"):
            return True
        if not event["stream"].startswith("article-"):
            return False
        words = event["audience"].split()
        return "public" in words or (self.who is not None and f"user:{self.machine.plain_id}" in words)

    def check(self, events, head):
        """What came is what there is to see, each as it is in the log."""
        expected = [event for event in events if self.admits(event)]
        until(lambda: self.fault or self.last >= head or len(self.events) > len(expected), 60,
              f"the {self.name}'s stream at {head}")
        seen = [event for event in self.events if event["position"] <= head]
        ids, due = [event["position"] for event in seen], [event["position"] for event in expected]
        if ids != due:
            missed, more = sorted(set(due) - set(ids))[:5], sorted(set(ids) - set(due))[:5]
            raise Wrong(f"the {self.name}'s stream: missed {missed}, wrong or forbidden {more}, "
                        f"in order: {ids == sorted(ids)}, repeated: {len(ids) - len(set(ids))}")
        for there, event in zip(seen, expected):
            for name in "id", "type", "stream", "version", "timestamp", "data":
                if there[name] != event[name]:
                    raise Wrong(f"the {self.name}'s stream has at {event['position']} {there}, the log {event}")


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
    """Strikes one fault after the other, as planned. Two of them, for the servers and for what they do, strike at once."""

    def __init__(self, machine, kinds):
        super().__init__(daemon=True)
        self.machine, self.stack, self.kinds = machine, machine.stack, kinds
        self.steps, self.jitter = plan.faults(machine.seed, kinds), random.Random()
        self.struck, self.fault = collections.Counter(), None
        self.means = {
            "kill the pool": self.kill_pool, "restart the pool": lambda step: self.restart("fcgi"), "reload the pool": self.reload_pool,
            "reload the notifier": self.reload_notifier, "kill nginx": self.kill_nginx, "reload nginx": self.reload_nginx,
            "delete the bus": self.delete_bus, "stop mariadb for long": lambda step: self.pause("mariadb", LONG),
            "kill a worker": self.kill_worker, "kill all workers": self.kill_workers,
            "stop a worker": lambda step: self.stop_worker(step, step.dice.uniform(0.2, 3)),
            "stop a worker for long": lambda step: self.stop_worker(step, LONG),
            "cut a commit": self.cut_commit, "cut connections": self.cut_idle, "hold the log for long": self.hold_log}

    def run(self):
        try:
            while not self.machine.calm.wait(self.jitter.uniform(0.05, 0.8)):
                step = next(self.steps)
                # What a fault needs, such as a database, the others may have taken away for a moment.
                while not self.machine.calm.is_set() and self.strike(step) is False:
                    time.sleep(0.1)
        except Exception as fault:
            self.fault = fault

    def strike(self, step):
        word, _, name = step.kind.partition(" ")
        if step.kind in self.means:
            done = self.means[step.kind](step)
        elif word == "exit":
            done = self.plant(step, name)
        else:
            means = {"kill": self.kill, "restart": self.restart,
                     "stop": lambda name: self.pause(name, step.dice.uniform(0.2, 2.5))}
            done = means[word](name.removeprefix("the "))
        if done is not False:
            self.struck[step.kind] += 1
        return done

    def root(self, text):
        """The words of the answer; None where the server cannot say."""
        done = subprocess.run(["mariadb", "--no-defaults", "-S", self.stack.env["COURANT_DB_SOCKET"], "-uroot", "-N", "-B",
                               "--delimiter=//", "-e", text], capture_output=True, text=True, timeout=60)
        return done.stdout.split() if done.returncode == 0 else None

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
        return until(some, 60, "workers")

    def kill_worker(self, step):
        self.send(step.choose(self.workers()), signal.SIGKILL)

    def kill_workers(self, step):
        for pid in self.workers():
            self.send(pid, signal.SIGKILL)

    def stop_worker(self, step, seconds):
        pid = step.choose(self.workers())
        self.send(pid, signal.SIGSTOP)
        time.sleep(seconds)
        self.send(pid, signal.SIGCONT)

    def kill_pool(self, step):
        workers = self.workers()
        self.send(self.stack.pid("fcgi"), signal.SIGKILL)
        for pid in workers:
            self.send(pid, signal.SIGKILL)
        time.sleep(step.dice.uniform(0, 0.5))
        self.stack.dev("start", "fcgi")

    def reload_pool(self, step):
        self.workers()  # where there are some, the pool is listening to signals
        self.send(self.stack.pid("fcgi"), signal.SIGHUP)

    def reload_notifier(self, step):
        with self.machine.notifier:
            if self.stack.stopped("notifier"):
                return False
            self.send(self.stack.pid("notifier"), signal.SIGHUP)

    def kill_nginx(self, step):
        """With its workers, who would live on without it."""
        pid = self.stack.pid("nginx")
        for victim in [pid, *open(f"/proc/{pid}/task/{pid}/children").read().split()]:
            self.send(int(victim), signal.SIGKILL)
        until(lambda: self.stack.stopped("nginx"), 20, "the end of nginx")
        time.sleep(step.dice.uniform(0, 0.5))
        self.stack.dev("start", "nginx")

    def reload_nginx(self, step):
        self.send(self.stack.pid("nginx"), signal.SIGHUP)

    def kill(self, name):
        with self.machine.notifier:
            self.send(self.stack.pid(name), signal.SIGKILL)
            time.sleep(self.jitter.uniform(0, 1))
            until(lambda: self.stack.stopped(name), 20, f"the end of {name}")
            self.machine.start_server(name)

    def restart(self, name):
        """In order: SIGTERM, its end, and again."""
        with self.machine.notifier:
            self.stack.dev("stop", name)
            self.machine.start_server(name)

    def pause(self, name, seconds):
        pid = self.stack.pid(name)
        self.send(pid, signal.SIGSTOP)
        time.sleep(seconds)
        self.send(pid, signal.SIGCONT)

    def delete_bus(self, step):
        """The JetStream directory is gone."""
        self.stack.dev("stop", "nats")
        shutil.rmtree(f"{self.stack.dir}/nats")
        self.stack.dev("start", "nats")

    def hold_log(self, step):
        """Somebody has the lock that all writers share, for longer than they wait for it."""
        return bool(self.root("BEGIN NOT ATOMIC DECLARE p BIGINT; START TRANSACTION; SELECT position INTO p FROM "
                              f"courant.log_head FOR UPDATE; DO SLEEP({LONG}); ROLLBACK; SELECT p; END"))

    def cut_commit(self, step):
        """The server looks for a command that is being committed, and kills its connection there."""
        found = self.root("BEGIN NOT ATOMIC DECLARE c BIGINT; DECLARE n INT DEFAULT 0; WHILE c IS NULL AND n < 20000 DO "
                          "SELECT id INTO c FROM information_schema.processlist WHERE user = 'courant' AND state = 'Commit' "
                          "LIMIT 1; SET n = n + 1; END WHILE; KILL c; SELECT c; END")
        return bool(found and found[0] != "NULL")

    def cut_idle(self, step):
        found = self.root("SELECT id FROM information_schema.processlist WHERE user = 'courant'")
        for number in found or []:
            if step.dice.random() < 0.5:
                self.root(f"KILL {number}")
        return bool(found)

    def plant(self, step, point):
        path = os.path.join(self.stack.faults, point)
        open(path, "w").close()
        until(lambda: not os.path.exists(path) or self.machine.calm.is_set(), 60, f"somebody to come by {point}")
        if os.path.exists(path):
            os.unlink(path)
            return False
        if point in ("position-taken", "event-inserted") and step.public:
            for number in self.root("SELECT id FROM information_schema.processlist WHERE state = 'User sleep'") or []:
                self.root(f"KILL {number}")
        return True


class Machine:
    def __init__(self, seed, seconds):
        self.seed, self.seconds, self.stack = seed, seconds, Stack()
        self.run = f"m{seed}t{int(time.time())}"
        self.ended, self.calm, self.over, self.lifted = threading.Event(), threading.Event(), threading.Event(), None
        self.notifier = threading.Lock()  # of whoever ends and starts it
        self.met = self.faults_met()

    def faults_met(self):
        return open(f"{self.stack.dir}/log/notifier.log", errors="replace").read().count("the fault point")

    def notifier_met_fault(self):
        """Since it was asked the last time."""
        before, self.met = self.met, self.faults_met()
        return self.met > before

    def start_server(self, name):
        """Again, where a fault point ends the notifier while it starts."""
        while True:
            if name == "notifier":
                self.met = self.faults_met()
            try:
                return self.stack.dev("start", name)
            except subprocess.CalledProcessError:
                if name != "notifier" or not self.notifier_met_fault():
                    raise

    def prepare(self):
        admin = self.stack.admin()
        self.stack.user("machine")
        self.plain_id, self.admin_id = (self.stack.sql(f"SELECT id FROM users WHERE username = '{name}'")[0][0]
                                        for name in ("machine", self.stack.env["COURANT_ADMIN_USER"]))
        self.hot = [admin.article(f"hot {n}").json["id"] for n in range(plan.HOT)]
        self.start = self.stack.head

    def work(self):
        self.clients = [Client(self, number) for number in range(plan.CLIENTS)]
        admin = (self.stack.env["COURANT_ADMIN_USER"], self.stack.env["COURANT_ADMIN_PASSWORD"])
        plain = ("machine", "password of machine")
        self.readers = [Reader(self, "administrator", "/events?topic=all", admin), Reader(self, "anonymous", "/events", None),
                        Reader(self, "plain user", "/events?topic=articles", plain),
                        Reader(self, "another anonymous", "/events?topic=articles", None),
                        *(Reader(self, f"restless {n}", "/events", None, True) for n in range(6)),
                        *(Reader(self, f"restless plain user {n}", "/events?topic=articles", plain, True) for n in range(2))]
        self.faults = [Faults(self, plan.SERVERS), Faults(self, plan.STEPS)]
        self.supervisor = Supervisor(self)
        for thread in *self.readers, *self.clients, *self.faults, self.supervisor:
            thread.start()
        began = time.monotonic()
        until(lambda: self.is_enough(time.monotonic() - began) or any(thread.fault for thread in self.threads()),
              self.seconds * 3 + 10, "the time")
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

    def is_enough(self, spent):
        """The time is over; on a machine so slow that some faults have not struck by then, it is some more."""
        return spent > self.seconds * (3 if self.seconds >= 60 and self.missing() else 1)

    def missing(self):
        return sorted(kind for faults in self.faults for kind in faults.kinds if not faults.struck[kind])

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
        """Each event belongs to one command that was acknowledged, or is a login or a canary; so no other left any."""
        at, versions = {event["position"]: event for event in events}, set()
        for sent in self.sent():
            if not sent.done:
                continue
            self.check_events(sent, at)
            if sent.version is not None:
                if (sent.article, sent.version) in versions:
                    raise Wrong(f"two commands changed version {sent.version} of {sent.article}")
                versions.add((sent.article, sent.version))
        people = {f"user-{self.plain_id}", f"user-{self.admin_id}"}
        unasked = [event for event in at.values()
                   if (event["type"] != "user.logged_in" or event["stream"] not in people) and
                   (event["type"], event["metadata"]["source"]) != ("canary.sent", "notifier")]
        if unasked:
            raise Wrong(f"nobody was told that these were done: {unasked[:5]}")

    def check_events(self, sent, at):
        """Takes away those of one command, which end at the position that was answered."""
        types, last = EVENTS[sent.kind], sent.answer.position
        found = [at.pop(last - n, None) for n in reversed(range(len(types)))]
        if [event and event["type"] for event in found] != types:
            raise Wrong(f"{sent.kind} {sent.marker or sent.article}, answered with {sent.answer.status} and position {last}, "
                        f"is in the log as {found}")
        stream = f"article-{sent.answer.json['id']}"
        for n, event in enumerate(found):
            version = sent.answer.json["version"] - len(types) + 1 + n
            if (event["stream"], event["version"]) != (stream, version) or event["metadata"]["user_id"] not in (
                    self.plain_id, self.admin_id):
                raise Wrong(f"{sent.kind} {sent.marker}: {event} is not version {version} of {stream}")
        if sent.marker and found[0]["data"].get("title", sent.marker) != sent.marker:
            raise Wrong(f"{sent.kind} {sent.marker} is in the log as {found[0]}")

    def check_articles(self):
        for article in self.hot:
            changes = [sent for sent in self.sent() if sent.article == article and sent.answer.status == 200]
            now = self.clients[-1].ask("GET", f"/api/articles/{article}").json
            last = max(changes, key=lambda sent: sent.answer.json["version"], default=None)
            if last is not None and last.answer.json != now:
                raise Wrong(f"{article} is {now}, the last change that was acknowledged made {last.answer.json}")

    def check_streams(self, events):
        head = events[-1]["position"] if events else self.start
        for reader in self.readers:
            reader.check(events, head)
        self.over.set()
        self.supervisor.join(ANSWER_WITHIN)
        self.check_threads()

    def check_replays(self):
        dice = random.Random(f"{self.seed} replays")
        for client in self.clients:
            done = [sent for sent in client.sent if sent.done]
            for sent in dice.sample(done, min(5, len(done))):
                again = client.ask("POST", sent.path, sent.payload, sent)
                if (again.status, again.body, again.position) != (sent.answer.status, sent.answer.body, sent.answer.position):
                    raise Wrong(f"{sent.kind} {sent.marker} has another answer when it is asked again: {again.body}")

    def check_that_it_broke(self):
        acknowledged = sum(sent.done for sent in self.sent())
        if acknowledged < self.seconds:
            raise Wrong(f"only {acknowledged} commands were acknowledged")
        if self.seconds >= 60 and self.missing():
            raise Wrong(f"these faults did not strike: {self.missing()}")

    def say(self):
        sent = self.sent()
        by_status = collections.Counter(command.answer.status for command in sent)
        print(f"commands {len(sent)}: " + ", ".join(f"{status} × {count}" for status, count in sorted(by_status.items())))
        print(f"tries    {sum(command.tries for command in sent)}; the longest command took "
              f"{max((command.seconds for command in sent), default=0):.1f} s")
        print("faults   " + ", ".join(f"{kind} × {count}" for faults in self.faults
                                      for kind, count in sorted(faults.struck.items())))
        print(f"notifier {self.supervisor.count} times ended by a fault point and started again")
        print("streams  " + ", ".join(f"{reader.name}: {len(reader.events)} events, {reader.reconnects} times taken up again"
                                      for reader in self.readers))


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=int(os.environ.get("COURANT_SEED") or random.randrange(10**6)))
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--minutes", type=float, default=float(os.environ.get("COURANT_MACHINE_MINUTES") or 0))
    wish = parser.parse_args()
    seconds = wish.minutes * 60 or wish.seconds
    print(f"seed {wish.seed}, {seconds:.0f} s, plan {plan.digest(wish.seed)}", flush=True)
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
