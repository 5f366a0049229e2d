"""A database that was restored from an old copy: the bus and whoever follows it belong to another history."""

import os
import socket

import pytest
from courant import Stream, until


def log_of(stack, name):
    return open(os.path.join(stack.dir, "log", f"{name}.log")).read()


def go_back(stack, position, articles):
    """What a restored copy would look like."""
    hash = stack.sql(f"SELECT HEX(hash) FROM events WHERE position = {position}")[0][0]
    ids = ", ".join(f"'{article}'" for article in articles)
    stack.sql(f"DELETE FROM events WHERE position > {position}; DELETE FROM articles WHERE id IN ({ids}); "
              f"DELETE FROM articles_tags WHERE id IN ({ids}); DELETE FROM articles_search WHERE id IN ({ids}); "
              f"UPDATE log_head SET position = {position}, hash = UNHEX('{hash}')")


def test_a_restored_database(stack, admin):
    """Nobody publishes to the bus of another history, also when the log has grown past it, until it is made anew."""
    head = stack.head
    until(lambda: stack.bus_last == head, 30, "the bus")
    lost = [admin.article(f"Lost {n}") for n in range(3)]
    end = lost[-1].position
    until(lambda: stack.bus_last == end, 30, "the bus")
    alien = stack.bus(head + 1)
    for name in "notifier", "fcgi":
        stack.dev("stop", name)
    go_back(stack, head, [answer.json["id"] for answer in lost])
    alarms = log_of(stack, "fcgi").count("nothing is published")
    for name in "fcgi", "notifier":
        stack.dev("start", name)
    admin = stack.admin()

    admin.article("In the new history")
    until(lambda: log_of(stack, "fcgi").count("nothing is published") > alarms, 20, "the workers' alarm")
    assert "ahead of the log" in log_of(stack, "fcgi")
    until(lambda: "ahead of the log" in log_of(stack, "notifier"), 20, "the notifier's alarm")
    while stack.head <= end + 10:
        admin.article("On and on")
    # The log has passed the bus; the bus is still another history's.
    until(lambda: "another event than the log" in log_of(stack, "notifier"), 30, "the notifier's other alarm")
    for args in ["bus", "status"], ["bus", "rebuild"], ["verify"]:
        done = stack.ctl(*args)
        assert done.returncode == 1, done.stdout + done.stderr
    assert stack.bus_last == end and stack.bus(head + 1) == alien
    assert stack.client().get("/readyz").status == 200 and admin.article("Still served").position == stack.head

    done = stack.ctl("bus", "rebuild", "--force")
    assert done.returncode == 0, done.stderr
    last = admin.article("Published again").position
    until(lambda: stack.bus_last >= last, 20, "the bus")
    assert stack.bus(head + 1)["id"] != alien["id"]
    assert "clean" in stack.verify()


def test_streams_over_a_restored_database(stack, admin):
    """The notifier runs on: its clients are sent away, and told that the log is another one when they come back."""
    head = stack.head
    lost = [admin.article(f"Lost {n}") for n in range(3)]
    end = lost[-1].position
    until(lambda: stack.bus_last == end, 30, "the bus")
    stream = Stream(stack, f"/events?after={head}")
    stream.wait_for(end)
    stack.dev("stop", "fcgi")
    go_back(stack, head, [answer.json["id"] for answer in lost])
    assert stream.ended.wait(20) and stream.frames[-1] == (None, None, None)
    again = Stream(stack, "/events", headers={"Last-Event-ID": str(end)})
    assert again.frames[0] == (head, "reset", {"position": head})
    stack.dev("start", "fcgi")
    first = stack.admin().article("In the new history")
    until(lambda: first.position in [frame[0] for frame in again.frames], 20, "the new history")
    # Nor does a client that was never ahead get what was lost, out of memory or off the bus.
    third = Stream(stack, f"/events?after={head}")
    third.wait_for(first.position)
    third.close()
    assert third.ids == list(range(head + 1, first.position + 1))
    assert {data["stream"] for _, _, data in third.events} == {f"article-{first.json['id']}"}
    again.socket.shutdown(socket.SHUT_RDWR)
    assert stack.ctl("bus", "rebuild", "--force").returncode == 0
    last = stack.admin().article("Published again").position
    until(lambda: stack.bus_last >= last, 20, "the bus")
    assert "clean" in stack.verify()


@pytest.mark.parametrize("many", [1, 8], ids=["behind the bus", "past the bus"])
def test_a_database_restored_while_all_run(stack, admin, many):
    """Nothing is stopped: nothing of the new history gets behind the old one, on the bus or in a stream."""
    head = stack.head
    lost = [admin.article(f"Lost {n}") for n in range(3)]
    end = lost[-1].position
    until(lambda: stack.bus_last == end, 30, "the bus")
    alien = stack.bus(head + 1)
    stream = Stream(stack, f"/events?after={head}")
    stream.wait_for(end)
    alarms = log_of(stack, "fcgi").count("nothing is published")
    go_back(stack, head, [answer.json["id"] for answer in lost])
    for n in range(many):
        last = admin.article(f"In the new history {n}").position
    assert (last > end) == (many > 1)
    until(lambda: log_of(stack, "fcgi").count("nothing is published") > alarms, 20, "the workers' alarm")
    assert stream.ended.wait(20)
    assert stream.ids == list(range(head + 1, end + 1))
    assert stack.bus_last == end and stack.bus(head + 1) == alien
    done = stack.ctl("bus", "rebuild", "--force")
    assert done.returncode == 0, done.stderr
    last = admin.article("Published again").position
    until(lambda: stack.bus_last >= last, 20, "the bus")
    assert stack.bus(head + 1)["id"] != alien["id"]
    third = Stream(stack, f"/events?after={head}")
    third.wait_for(last)
    third.close()
    assert third.ids == list(range(head + 1, last + 1))
    assert "clean" in stack.verify()


def test_force_makes_a_bus_anew_whose_end_is_right(stack, admin):
    """A stream that holds a stranger in its middle is told from the log by verify alone; force does not look."""
    admin.article("At the end")
    until(lambda: stack.bus_last == stack.head, 30, "the bus")
    before = stack.bus(1)
    done = stack.ctl("bus", "rebuild", "--force")
    assert done.returncode == 0 and "deleted" in done.stdout and f"filled   {stack.head} events" in done.stdout, done.stdout + done.stderr
    assert stack.bus(1) == before and "clean" in stack.verify()


def test_a_rebuild_that_is_killed(stack, admin):
    """At each of its steps, and again before it is whole: nothing is lost, and the next run is right."""
    made = [admin.article(f"Rebuilt {n}", tags=["rebuilt"]) for n in range(5)]
    before = stack.sql("SELECT COUNT(*), SUM(version) FROM articles")
    for points in (["rebuild-created"], ["rebuild-folded"], ["rebuild-folded", "rebuild-folded"], ["rebuild-forgotten"], ["rebuild-locked"], ["rebuild-renamed"],
                   ["rebuild-renamed", "rebuild-created"], ["rebuild-locked", "rebuild-created", "rebuild-forgotten"]):
        for point in points:
            open(os.path.join(stack.faults, point), "w").close()
            done = stack.ctl("rebuild", "articles")
            assert done.returncode == -9 and not os.path.exists(os.path.join(stack.faults, point)), done.stdout
            assert stack.sql("SELECT COUNT(*), SUM(version) FROM articles") == before
        done = stack.ctl("rebuild", "articles")
        assert done.returncode == 0 and " 0 different" in done.stdout, done.stdout + done.stderr
        assert "clean" in stack.verify()
        assert len(stack.client().get("/api/articles?tag=rebuilt").json["items"]) >= len(made)
    assert stack.sql("SHOW TABLES LIKE 'rebuild\\_%'") == [] and stack.sql("SELECT COUNT(*) FROM rebuilds") == [["0"]]


def test_a_rebuild_of_all_that_is_killed_after_the_first(stack, admin):
    """What is in place is not made again, unless that is what is asked for; a check looks at all of it."""
    def kill(*args):
        open(os.path.join(stack.faults, "rebuild-noted"), "w").close()
        assert stack.ctl("rebuild", *args).returncode == -9

    made = [line.split()[1].rstrip(":") for line in stack.ctl("rebuild").stdout.splitlines() if line.startswith("model")]
    assert len(made) > 1
    kill()
    admin.article("Meanwhile")
    done = stack.ctl("rebuild")
    assert done.returncode == 0 and f"model    {made[0]}: in place already" in done.stdout, done.stdout + done.stderr
    assert "taken up at position" in done.stdout
    assert all(f"model    {name}: in place" not in done.stdout for name in made[1:])
    for args in ["--check"], ["--force"], made[:1], made:
        kill()
        done = stack.ctl("rebuild", *args)
        assert done.returncode == 0 and "in place already" not in done.stdout, done.stdout + done.stderr
    assert "clean" in stack.verify()
    assert stack.sql("SHOW TABLES LIKE 'rebuild\\_%'") == [] and stack.sql("SELECT COUNT(*) FROM rebuilds") == [["0"]]
