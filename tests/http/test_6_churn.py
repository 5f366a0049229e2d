"""Clients come and go, in every way that clients do, by the ten thousands: memory stays where it was."""

import random
import socket
import threading

from courant import until
from test_5_topics import metrics

ROUNDS, THREADS, EACH = 14, 4, 500


def rss(stack):
    """Kilobytes of the notifier."""
    with open(f"/proc/{stack.pid('notifier')}/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmRSS"))


def come_and_go(stack, token, head, number, faults):
    """Half a request, a whole one, a refused one, a stream that is read, one that is not, one far behind, ended cleanly or not."""
    dice = random.Random(number)
    bearer = f"Authorization: Bearer {token}\r\n"
    requests = ["GET /events HTTP/1.1\r\nHost: x\r\n\r\n", "GET /events", "GET /events HTTP/1.1\r\n" + bearer + "\r\n",
                "GET /events?topic=all HTTP/1.1\r\n" + bearer + "\r\n", "GET /events?topic=all HTTP/1.1\r\nHost: x\r\n\r\n",
                f"GET /events?after={dice.randrange(head)} HTTP/1.1\r\n\r\n", f"GET /events?after={head + 10**6} HTTP/1.1\r\n\r\n",
                "GET /events?topic=author:01a2071b-f843-7645-a001-b20b639515c1&topic=articles HTTP/1.1\r\n\r\n",
                "GET /nothing HTTP/1.1\r\n\r\n", "GET /events HTTP/1.1\r\nAuthorization: Bearer x\r\n\r\n", "x" * 17000]
    try:
        for _ in range(EACH):
            one = socket.create_connection(stack.notifier, timeout=30)
            if dice.random() < 0.3:  # without a goodbye
                one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            try:
                one.sendall(dice.choice(requests).encode())
                if dice.random() < 0.6:
                    one.settimeout(dice.choice([0.001, 0.02]))
                    one.recv(dice.choice([10, 5000, 200000]))
            except OSError:
                pass
            one.close()
    except Exception as fault:
        faults.append(fault)


def test_memory_is_flat(stack, admin):
    head, sizes, faults = stack.head, [], []
    # The first rounds fill what is kept (old events, the allocator's own room, which may come late; under a sanitizer what it
    # holds back of freed memory, which breathes: there a leak is what it reports at the end). Then six rounds add nothing.
    while len(sizes) < ROUNDS or sizes[-1] > sizes[-7] * (1.01 if stack.slow == 1 else 1.25) + 256:
        number = len(sizes)
        assert number < 3 * ROUNDS, sizes
        threads = [threading.Thread(target=come_and_go, args=(stack, admin.token, head, number * THREADS + n, faults))
                   for n in range(THREADS)]
        for thread in threads:
            thread.start()
        admin.article(f"Meanwhile {number}")
        for thread in threads:
            thread.join()
        until(lambda: metrics(stack)["connections"] <= 1 and metrics(stack)["streams"] == 0, 60, "the end of all clients")
        until(lambda: metrics(stack)["history_waiting"] == 0, 60, "the end of what they asked for")
        sizes.append(rss(stack))
    assert not faults
    print(f"{len(sizes) * THREADS * EACH} clients; KB after each round: {sizes}")
