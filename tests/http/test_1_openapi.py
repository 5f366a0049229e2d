"""docs/openapi.yaml describes what there is, and its examples are right. Every answer to the other tests is checked
against it too, in Client.call."""

import os
import re

import pytest

from openapi import ROOT, Undescribed, document, escape

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


LIVE = {"content-type": "application/json", "cache-control": "no-store"}


@pytest.mark.parametrize("method, path, status, headers, body", [
    ("GET", "/livez", 200, LIVE, b'{"status":"dead"}'),
    ("GET", "/livez", 200, LIVE, b'{"status":"live","a":1}'),
    ("GET", "/livez", 200, {"content-type": "text/html", "cache-control": "no-store"}, b'{"status":"live"}'),
    ("GET", "/livez", 200, {"content-type": "application/json"}, b'{"status":"live"}'),
    ("HEAD", "/livez", 200, LIVE, b'{"status":"live"}'),
    ("GET", "/livez", 418, {}, b""), ("GET", "/nowhere", 200, {}, b""), ("OPTIONS", "/livez", 204, {}, b""),
    ("GET", "/livez", 500, {"content-type": "text/html"}, b"<p>")])
def test_what_is_not_described_is_noticed(method, path, status, headers, body):
    document().check("GET", "/livez", 200, LIVE, b'{"status":"live"}')
    with pytest.raises(Undescribed):
        document().check(method, path, status, headers, body)
