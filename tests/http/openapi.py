"""Whether an answer is one that docs/openapi.yaml describes: its operation, status, type, headers and body."""

import datetime
import functools
import json
import os
import re
import xml.etree.ElementTree as xml
from urllib.parse import unquote_to_bytes

import yaml
from jsonschema import Draft202012Validator, FormatChecker, RefResolver

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


OF_THE_WEB_SERVER = {416, 501, 505}  # which it may say of any path


class Undescribed(AssertionError):
    """An answer that is not as the document says."""


# What any answer may have, by HTTP itself or by http/finish.c.
GENERIC = {"server", "date", "content-type", "content-length", "connection", "transfer-encoding", "vary", "x-content-type-options",
           "content-security-policy", "referrer-policy", "access-control-allow-origin", "access-control-expose-headers",
           "access-control-allow-methods", "access-control-allow-headers", "access-control-max-age"}

FORMATS = FormatChecker(formats=())


def format(name, raises=()):
    """The library leaves out what it has no other library for."""
    return FORMATS.checks(name, raises)


@format("uuid")
def is_uuid(value):
    return not isinstance(value, str) or re.fullmatch(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}", value)


@format("date-time", ValueError)
def is_time(value):
    """As Courant writes them: in UTC, with microseconds or with none."""
    return not isinstance(value, str) or bool(datetime.datetime.strptime(value, "%Y-%m-%dT%H:%M:%S.%fZ" if "." in value else "%Y-%m-%dT%H:%M:%SZ"))


@format("uri-reference")
def is_reference(value):
    return not isinstance(value, str) or re.fullmatch(r"([A-Za-z0-9._~:/?#\[\]@!$&'()*+,;=-]|%[0-9A-Fa-f]{2})+", value)


ATOM = "{http://www.w3.org/2005/Atom}"


def check_atom(body, wrong):
    """What RFC 4287, sections 4.1.1 and 4.1.2, wants of a feed and its entries, and that nothing is in it twice."""
    feed = xml.fromstring(body)
    if feed.tag != f"{ATOM}feed":
        wrong("it is no feed")
    entries = feed.findall(f"{ATOM}entry")
    for element in [feed, *entries]:
        for name in ("id", "title", "updated"):
            if len(element.findall(ATOM + name)) != 1 or (name != "title" and not element.findtext(ATOM + name)):
                wrong(f"{element.tag} has not one {name}")
        if not FORMATS.conforms(element.findtext(f"{ATOM}updated"), "date-time"):
            wrong("updated is no time")
    for entry in entries:
        if not (entry.findtext(f"{ATOM}author/{ATOM}name") or feed.findtext(f"{ATOM}author/{ATOM}name")):
            wrong("an entry has no author")
        if entry.find(f"{ATOM}content") is None and entry.find(f"{ATOM}link[@rel='alternate']") is None:
            wrong("an entry has neither content nor an alternate link")
    if feed.find(f"{ATOM}link[@rel='self']") is None:
        wrong("there is no link to itself")
    if len({entry.findtext(f"{ATOM}id") for entry in entries}) != len(entries):
        wrong("two entries have one id")


class Document:
    def __init__(self, path=f"{ROOT}/docs/openapi.yaml"):
        with open(path, encoding="utf-8") as file:
            self.whole = yaml.load(file, getattr(yaml, "CSafeLoader", yaml.SafeLoader))
        self.resolver = RefResolver("", self.whole)
        self.templates = [(self.pattern(path), path) for path in self.whole["paths"]]
        self.templates.sort(key=lambda template: template[1].count("{"))
        self.validator = functools.lru_cache(None)(self.make_validator)
        self.response = functools.lru_cache(None)(self.make_response)

    @staticmethod
    def pattern(path):
        parts = ("[^/]+" if part.startswith("{") else re.escape(part) for part in path.split("/"))
        return re.compile("/".join(parts).encode(), re.DOTALL)

    def at(self, pointer):
        """What a JSON Pointer leads to, through any $ref at its end, and where that is."""
        node = self.resolver.resolve_fragment(self.whole, pointer.removeprefix("#"))
        return self.at(node["$ref"]) if isinstance(node, dict) and "$ref" in node else (node, pointer)

    def make_validator(self, pointer):
        schema, _ = self.at(pointer)
        return Draft202012Validator(schema, resolver=self.resolver, format_checker=FORMATS)

    def make_response(self, pointer, status):
        """The description of one answer: (type, pointer to its schema) of each content, and its headers."""
        try:
            response, pointer = self.at(f"{pointer}/responses/{status}")
        except Exception:
            return None
        content = {kind: f"{pointer}/content/{escape(kind)}/schema" for kind in response.get("content", {})}
        headers = []
        for name in response.get("headers", {}):
            header, where = self.at(f"{pointer}/headers/{name}")
            headers.append((name, header.get("required", False), header["schema"].get("type"), f"{where}/schema"))
        return content, headers

    def operation(self, method, path):
        """The pointer to the description, or to that of what is answered where there is none."""
        segments = [unquote_to_bytes(segment) for segment in path.split("/")]
        if any(b"/" in segment for segment in segments):
            return "#/x-unmatched"
        target = b"/".join(segments)
        for pattern, template in self.templates:
            if not pattern.fullmatch(target):
                continue
            operations = self.whole["paths"][template]
            name = "get" if method == "HEAD" else method.lower()
            if name in operations:
                return f"#/paths/{escape(template)}/{name}"
        return "#/x-unmatched"

    def check(self, method, target, status, headers, body):
        """headers: by their names in small letters; body None: a stream, which is not looked at."""
        path = target.partition("?")[0]
        pointer = self.operation(method, path)

        def wrong(what):
            raise Undescribed(f"{method} {target[:200]} is answered {status}, but {what}: {dict(headers)} {body}")

        if pointer == "#/x-unmatched" and method == "OPTIONS" and status == 204:
            return None if "allow" in headers and not body else wrong("there is no Allow, or a body")
        if pointer == "#/x-unmatched" and method in ("GET", "HEAD") and status in (200, 301, 304) and is_page(path):
            return None
        described = self.response(pointer, str(status))
        if described is None and status in OF_THE_WEB_SERVER:
            described = self.response("#/x-unmatched", str(status))
        if described is None:
            wrong(f"{pointer} does not describe this status")
        content, expected = described
        for name, required, kind, schema in expected:
            value = headers.get(name.lower())
            if value is None and required:
                wrong(f"the header {name} is missing")
            if value is not None:
                value = int(value) if kind == "integer" and value.isdecimal() else value
                for fault in self.validator(schema).iter_errors(value):
                    wrong(f"the header {name}: {fault.message}")
        more = set(headers) - GENERIC - {name.lower() for name, *_ in expected}
        if more and status != 416:  # that of a file keeps the file's
            wrong(f"the headers {sorted(more)} are not described")
        kind = headers.get("content-type", "").partition(";")[0].strip()
        if content and kind not in content:
            wrong(f"the type is not one of {sorted(content)}")
        if not content or method == "HEAD":
            return wrong("there is a body") if body else None
        if body is not None and kind == "application/atom+xml":
            check_atom(body, wrong)
        if body is not None and kind.endswith("json"):
            value = json.loads(body)
            for fault in self.validator(content[kind]).iter_errors(value):
                wrong(f"at {fault.json_path}: {fault.message}")
            if kind == "application/problem+json" and value["status"] != status:
                wrong("the body names another status")
        return None

    def check_event(self, event):
        for fault in self.validator("#/components/schemas/Event").iter_errors(event):
            raise Undescribed(f"an event, at {fault.json_path}: {fault.message}: {event}")

    def operations(self):
        """(method, path, operation) of all that is described."""
        for path, operations in self.whole["paths"].items():
            for method, operation in operations.items():
                yield method.upper(), path, operation


def escape(text):
    return text.replace("~", "~0").replace("/", "~1")


def is_page(path):
    """Whether a file of the page is there; the web server answers with it, and no operation does."""
    file = f"{ROOT}/web{path}"
    return ".." not in path and (os.path.isfile(file) or os.path.isdir(file))


@functools.lru_cache(None)
def document():
    return Document()


def check_event(event):
    document().check_event(event)


def check(method, target, status, headers, body):
    document().check(method, target, status, headers, body)
