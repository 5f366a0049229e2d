"""One command from the browser to the log, to NATS, to a live stream."""

import subprocess

from courant import Stream, until


def test_curl_alone(stack, tmp_path):
    """With curl alone: log in, open a stream, write, read back; the event arrives, and is on the bus at its position."""
    url = stack.env["COURANT_URL"]

    def curl(*args):
        return subprocess.run(["curl", "-sS", *args], check=True, capture_output=True, text=True).stdout

    login = ('{"username":"%s","password":"%s"}' % (stack.env["COURANT_ADMIN_USER"], stack.env["COURANT_ADMIN_PASSWORD"]))
    token = curl("-X", "POST", "-H", "Content-Type: application/json", "-d", login,
                 f"{url}/api/auth/login").split('"access_token":"')[1].split('"')[0]
    frames = tmp_path / "frames"
    with open(frames, "w") as out:
        stream = subprocess.Popen(["curl", "-sSN", f"{url}/events"], stdout=out)
    try:
        until(lambda: "id: " in frames.read_text(), what="the stream's first bytes")
        head = curl("-i", "-X", "POST", "-H", f"Authorization: Bearer {token}", "-H", "Content-Type: application/json",
                    "-d", '{"title":"By curl","content":"text","publish":true}', f"{url}/api/articles")
        assert " 201 " in head.splitlines()[0]
        location = head.split("Location: ")[1].split()[0]
        assert '"title":"By curl"' in curl(f"{url}{location}")
        text = until(lambda: "article.created" in frames.read_text() and frames.read_text(), 5, "article.created")
        frame = next(frame for frame in text.split("\n\n") if "event: article.created" in frame)
        position = int(frame.split("id: ")[1].split()[0])
    finally:
        stream.kill()
        stream.wait()
    message = until(lambda: stack.bus(position), 5, "the message on the bus")
    assert message["position"] == position
    assert message["type"] == "article.created"
    assert message["stream"] == "article-" + location.rsplit("/", 1)[1]


def test_frame(stack, admin):
    """A frame is what api.md says, on one line, and its id is the log's position."""
    stream = Stream(stack, token=admin.token)
    made = admin.article("Framed \n é 😀", tags=["x"])
    events = stream.wait_for(made.position)
    stream.close()
    assert [name for _, name, _ in events] == ["article.created", "article.revision_created", "article.published"]
    for number, (id, name, data) in enumerate(events):
        assert list(data) == ["id", "type", "stream", "version", "position", "timestamp", "data", "metadata"]
        assert (data["position"], data["type"], data["version"]) == (id, name, number + 1)
        assert data["metadata"]["session_id"] and data["metadata"]["trace_id"]
    assert events[0][2]["data"]["title"] == "Framed \n é 😀"
    assert events[-1][0] == made.position
    row = stack.sql(f"SELECT id, type, stream, version FROM events WHERE position = {made.position}")[0]
    assert row == [events[-1][2][key] if key != "version" else "3" for key in ("id", "type", "stream", "version")]


def test_trace_goes_through(stack, admin):
    trace = "4bf92f3577b34da6a3ce929d0e0e4736"
    made = admin.post("/api/articles", {"title": "Traced", "content": "x"},
                      headers={"traceparent": f"00-{trace}-00f067aa0ba902b7-01"})
    metadata = stack.sql(f"SELECT metadata FROM events WHERE position = {made.position}")[0][0]
    assert f'"trace_id":"{trace}"' in metadata
    refused = admin.post("/api/articles", {}, headers={"traceparent": f"00-{trace}-00f067aa0ba902b7-01"})
    assert refused.problem(422)["trace_id"] == trace


def test_verify_is_clean(stack):
    assert "clean" in stack.verify()
