"""docs/openapi.yaml describes what there is, and its examples are right. Every answer to the other tests is checked
against it too, in Client.call."""

import os
import re

import pytest

from openapi import FORMATS, ROOT, Undescribed, document, escape

FOLLOWED = {("GET", "/events")}  # by the notifier


def routes():
    """The table of routes, with the name of a parameter left out."""
    text = open(f"{ROOT}/handlers/app.c", encoding="utf-8").read()
    return {(method, re.sub(r"\{\w+\}", "{}", path))
            for method, path in re.findall(r'^    \{"([A-Z]+)", "([^"]+)", ROUTE_', text, re.MULTILINE)} | FOLLOWED


def test_every_route_is_described_and_nothing_else():
    described = {(method, re.sub(r"\{\w+\}", "{}", path)) for method, path, _ in document().operations()}
    assert described == routes()


def bodies(node, pointer="#"):
    """The pointer of each media type that has examples, and those."""
    if isinstance(node, list):
        for index, item in enumerate(node):
            yield from bodies(item, f"{pointer}/{index}")
    elif isinstance(node, dict):
        for kind, media in node.get("content", {}).items() if isinstance(node.get("content"), dict) else ():
            if isinstance(media, dict) and "schema" in media:
                yield f"{pointer}/content/{escape(kind)}", media
        for name, item in node.items():
            if name not in ("example", "examples"):
                yield from bodies(item, f"{pointer}/{escape(name)}")


def test_every_body_has_an_example_that_fits():
    found = list(bodies(document().whole))
    assert len(found) > 30
    for pointer, media in found:
        examples = [media["example"]] if "example" in media else [more["value"] for more in media["examples"].values()]
        for example in examples:
            faults = [fault.message for fault in document().validator(f"{pointer}/schema").iter_errors(example)]
            assert not faults, (pointer, faults)


def test_every_object_says_all_of_its_members():
    def walk(node, where):
        if isinstance(node, dict):
            assert node.get("type") != "object" or "additionalProperties" in node, where
            for name, item in node.items():
                walk(item, f"{where}/{name}")

    walk(document().whole["components"]["schemas"], "")


FEED = {"content-type": "application/atom+xml", "cache-control": "no-cache", "courant-position": "0", "etag": f'"{"0" * 32}"'}
ENTRY = ("<entry><id>urn:uuid:1</id><title>t</title><updated>2026-01-31T12:00:00.000000Z</updated><author><name>ann</name></author>"
         "<content>x</content></entry>")
ATOM = ('<feed xmlns="http://www.w3.org/2005/Atom"><id>x</id><title>t</title><updated>2026-01-31T12:00:00.000000Z</updated>'
        '<link rel="self" href="x"/>%s</feed>')


def test_a_feed_is_read():
    document().check("GET", "/feed.atom", 200, FEED, (ATOM % ENTRY).encode())
    for entries in (ENTRY + ENTRY, ENTRY.replace("<title>t</title>", ""), ENTRY.replace("<name>ann</name>", ""),
                    ENTRY.replace("<content>x</content>", ""), ENTRY.replace("12:00", "24:00")):
        with pytest.raises(Undescribed):
            document().check("GET", "/feed.atom", 200, FEED, (ATOM % entries).encode())


@pytest.mark.parametrize("pointer, good, bad", [
    ("Id", "01a208b4-99ba-74d5-98b3-34146484db42", "01a208b4-99ba-44d5-98b3-34146484db42"),
    ("Time", "2026-01-31T12:00:00.000000Z", "2026-02-31T12:00:00.000000Z")])
def test_formats_are_looked_at(pointer, good, bad):
    validator = document().validator(f"#/components/schemas/{pointer}")
    assert list(validator.iter_errors(good)) == [] and list(validator.iter_errors(bad)) != []


def test_every_format_is_known():
    used = set(re.findall(r"^ +format: (\S+)$", open(f"{ROOT}/docs/openapi.yaml", encoding="utf-8").read(), re.MULTILINE))
    assert used and used <= set(FORMATS.checkers)


LIVE = {"content-type": "application/json", "cache-control": "no-store", "courant-position": "0"}


@pytest.mark.parametrize("method, path, status, headers, body", [
    ("GET", "/livez", 200, LIVE, b'{"status":"dead"}'),
    ("GET", "/livez", 200, LIVE, b'{"status":"live","a":1}'),
    ("GET", "/livez", 200, {**LIVE, "content-type": "text/html"}, b'{"status":"live"}'),
    ("GET", "/livez", 200, {"content-type": "application/json", "courant-position": "0"}, b'{"status":"live"}'),
    ("GET", "/livez", 200, {"content-type": "application/json", "cache-control": "no-store"}, b'{"status":"live"}'),
    ("GET", "/livez", 200, {**LIVE, "x-more": "1"}, b'{"status":"live"}'),
    ("HEAD", "/livez", 200, LIVE, b'{"status":"live"}'),
    ("GET", "/livez", 418, {}, b""), ("GET", "/nowhere", 200, {}, b""), ("OPTIONS", "/livez", 204, {}, b""),
    ("GET", "/livez", 500, {"content-type": "text/html"}, b"<p>")])
def test_what_is_not_described_is_noticed(method, path, status, headers, body):
    document().check("GET", "/livez", 200, LIVE, b'{"status":"live"}')
    with pytest.raises(Undescribed):
        document().check(method, path, status, headers, body)
