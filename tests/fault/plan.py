"""What a run of the breaking machine will do: the commands of each client and the faults, in their order, by the seed alone.

Nothing here looks at a clock or at a stack. Whoever carries a step out draws what depends on the moment, such as how long
to wait, from a generator of that step (`dice`), so that it can never change which steps come next."""

import hashlib
import itertools
import random

CLIENTS, HOT = 8, 4
IN_DIGEST = 200  # steps of each list

COMMANDS = {"create": 40, "update": 40, "publish": 8, "invalid": 4, "stale": 4, "forbidden": 3, "log in": 1}
SERVERS = ["kill the pool", "restart the pool", "reload the pool", "kill the notifier", "restart the notifier",
           "reload the notifier", "stop the notifier", "kill nats", "restart nats", "stop nats", "kill mariadb",
           "restart mariadb", "stop mariadb", "kill nginx", "reload nginx", "delete the bus", "stop mariadb for long"]
STEPS = ["kill a worker", "kill all workers", "stop a worker", "cut a commit", "cut connections", "exit before-commit",
         "exit after-commit", "exit before-publish", "exit mid-publish", "exit position-taken", "exit event-inserted",
         "stop a worker for long", "hold the log for long"]
ONCE = {"delete the bus", "stop mariadb for long", "stop a worker for long", "hold the log for long"}


class Step:
    """kind: what to do; the rest of a command is drawn here too, as numbers that mean the same in every run."""

    def __init__(self, seed, who, number, kind):
        self.kind, self.number = kind, number
        self.dice = random.Random(f"{seed} {who} {number}")
        plan = random.Random(f"{seed} {who} {number} plan")
        self.public, self.by_command, self.hang_up = plan.random() < 0.5, plan.random() < 0.5, plan.random() < 0.03
        self.size, self.pick = plan.randint(1, 2000), plan.random()

    def choose(self, things):
        """The same one of as many things."""
        return things[int(self.pick * len(things))]

    def __str__(self):
        return f"{self.kind} {self.public} {self.by_command} {self.hang_up} {self.size} {self.pick}"


def commands(seed, client):
    """Without end: what a client sends, one after the other."""
    dice = random.Random(f"{seed} client {client}")
    for number in itertools.count():
        yield Step(seed, f"client {client}", number, dice.choices(list(COMMANDS), COMMANDS.values())[0])


def faults(seed, kinds):
    """Without end: each kind once in random order, then all again, save those that strike once in a run."""
    dice, number, deck = random.Random(f"{seed} {kinds[0]}"), itertools.count(), list(kinds)
    while True:
        dice.shuffle(deck)
        for kind in deck:
            yield Step(seed, kinds[0], next(number), kind)
        deck = [kind for kind in kinds if kind not in ONCE]


def digest(seed):
    """The same for two runs that do the same."""
    found = hashlib.sha256()
    for steps in *(commands(seed, client) for client in range(CLIENTS)), faults(seed, SERVERS), faults(seed, STEPS):
        for step in itertools.islice(steps, IN_DIGEST):
            found.update(f"{step}\n".encode())
    return found.hexdigest()[:16]
