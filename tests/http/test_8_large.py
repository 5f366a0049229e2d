"""Events as large as the limits allow, and many of them: whoever reads the log takes as much as there is room for."""

import os
import signal
import subprocess

import pytest

from courant import Stream, until
from lines import AUTHOR, AUDIENCE, Log
from test_8_log import Site, a_notifier

COUNT, SHOWN, LONG = 24, 2, 850_000


def large_articles(log, first):
    """Large events, then as many small ones that touch the same large rows. Some are published at the end."""
    ids = [log.article(first + number, f"Article {number}. " + "words " * (LONG // 6),
                       audience=f"public {AUDIENCE}" if number < SHOWN else AUDIENCE) for number in range(COUNT)]
    for id in ids:
        log.add(f"article-{id}", "article.revision_created", {"id": id, "revision": 1})
    for id in ids[:SHOWN]:
        log.add(f"article-{id}", "article.published", {"id": id, "published_at": "2026-01-31T12:00:00.000001Z"}, 2,
                audience=f"public {AUDIENCE}")
    return log


@pytest.fixture
def large(stack, tmp_path):
    site = Site(stack, "courant_large", tmp_path)
    with open(site.config, "a") as file:
        file.write("[articles]\ncontent_limit = 1000000\n[fcgi]\nbody_limit = 917504\n")
    yield site
    site.root(f"DROP DATABASE {site.name}")
    Site(stack, site.name, tmp_path)  # which deletes the stream too
    site.root(f"DROP DATABASE {site.name}")


def fill(site, first):
    head, hash = site.sql("SELECT position, LOWER(HEX(hash)) FROM log_head")[0]
    log = large_articles(Log(int(head), hash), first)
    done = site.ctl("import", input=log.text)
    assert done.returncode == 0, done.stderr
    return log


def run_measured(site, *args):
    """What a command said, and the most memory that it had, in MB."""
    with subprocess.Popen([site.stack.env["COURANT_CTL"], "--config", site.config, *args], stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True) as process:
        said = process.stdout.read()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0, said
    return said, usage.ru_maxrss / 1024


def test_large_events_everywhere(large):
    """A notifier that was stopped meanwhile catches up; the log is verified, rebuilt, put on the bus, and goes out."""
    with a_notifier(large) as notifier:
        before = large.sql("SELECT position FROM log_head")[0][0]
        live = Stream(notifier.at, "/events")
        # By the log, and the bus is filled by whoever reads on; then by the bus.
        for first in 0, COUNT:
            notifier.process.send_signal(signal.SIGSTOP)
            try:
                log = fill(large, first)
                assert first == 0 or large.ctl("bus", "rebuild").returncode == 0
            finally:
                notifier.process.send_signal(signal.SIGCONT)
            live.wait_for(log.position, 30)
            until(lambda: "in step" in large.ctl("bus", "status").stdout, 30, "the bus in step")
        live.close()
        old = Stream(notifier.at, f"/events?after={before}")
        events = [event for event in old.wait_for(log.position, 30) if event[1] != "canary.sent"]
        old.close()
        assert [event[1] for event in events] == 2 * (["article.created"] * SHOWN + ["article.published"] * SHOWN)
        assert sum(len(event[2]["data"].get("content", "")) > LONG - 10 for event in events) == 2 * SHOWN

    for args, word in [(["verify"], f"{2 * COUNT} of {2 * COUNT} rows"),
                       (["rebuild", "articles"], f"articles: {2 * COUNT} rows compared, 0 different")]:
        said, memory = run_measured(large, *args)
        assert word in said, said
        assert memory < 350 or large.stack.slow > 1, (args, memory)
    assert "".join(large.lines()).endswith(log.text)
