"""Sixteen writers at once: no gap, no repeat, no skipped event, at the readers, on the bus and on a stream."""

import os
import subprocess
import threading

from courant import Stream, until

# Every later test looks through what these have written; under a sanitizer, slowly.
WRITERS, COMMANDS, REQUESTS = 16, 400, 150


def check(stack, stream, start, end):
    stream.wait_for(end, 120)
    stream.close()
    assert stream.ids == list(range(start + 1, end + 1))
    until(lambda: stack.bus_last == end, 30, "the bus")
    assert "clean" in stack.verify()


def test_writers_with_rollbacks(stack, admin):
    start = stack.head
    stream = Stream(stack, f"/events?topic=all&after={start}", admin.token)
    done = subprocess.run([os.environ["COURANT_TEST_WRITERS"], stack.env["COURANT_CONFIG"], str(WRITERS), str(COMMANDS // stack.slow)],
                          capture_output=True, text=True)
    print(done.stdout, done.stderr)
    assert done.returncode == 0, done.stderr
    check(stack, stream, start, stack.head)


def test_writers_over_http(stack, admin):
    start, made, faults = stack.head, [], []
    stream = Stream(stack, f"/events?topic=all&after={start}", admin.token)

    def write(number):
        client = stack.client(admin.token)
        try:
            for n in range(REQUESTS):
                bad = n % 7 == number % 7
                answer = client.post("/api/articles", {"title": "" if bad else f"{number}.{n}", "content": "x"})
                assert answer.status == (422 if bad else 201), (answer.status, answer.body)
                if not bad:
                    made.append(answer.position)
        except Exception as fault:
            faults.append(fault)

    threads = [threading.Thread(target=write, args=(number,)) for number in range(WRITERS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert faults == []
    end = stack.head
    assert end - start == 2 * len(made) and len(set(made)) == len(made)
    check(stack, stream, start, end)
