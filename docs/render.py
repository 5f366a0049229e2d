#!/usr/bin/env python3
"""Makes one page of HTML of an OpenAPI document: render.py OPENAPI.yaml PAGE.html. No script, no styles of its own."""

import html
import json
import os
import re
import sys

import yaml

METHODS = ("get", "post", "put", "patch", "delete")


def esc(text):
    return html.escape(str(text), quote=True)


def code(text):
    return f"<code>{esc(text)}</code>"


def slug(text):
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")


def paragraphs(text):
    return "".join(f"<p>{esc(part.strip())}</p>\n" for part in text.strip().split("\n\n"))


def table(caption, heads, rows):
    """rows: lists of cells that are HTML already; the first cell is the row's head."""
    if not rows:
        return ""
    out = [f"<table>\n<caption>{esc(caption)}</caption>\n<thead><tr>"]
    out += [f'<th scope="col">{esc(head)}</th>' for head in heads]
    out.append("</tr></thead>\n<tbody>\n")
    for first, *others in rows:
        out.append(f'<tr><th scope="row">{first}</th>' + "".join(f"<td>{cell}</td>" for cell in others) + "</tr>\n")
    return "".join(out) + "</tbody>\n</table>\n"


class Page:
    def __init__(self, document):
        self.document = document

    def resolve(self, node):
        while "$ref" in node:
            target = self.document
            for part in node["$ref"].removeprefix("#/").split("/"):
                target = target[part.replace("~1", "/").replace("~0", "~")]
            node = target
        return node

    def type_of(self, schema):
        """A schema in a few words; a link where it has a name."""
        if "$ref" in schema:
            name = schema["$ref"].rpartition("/")[2]
            return f'<a href="#schema-{slug(name)}">{esc(name)}</a>'
        for kind in ("anyOf", "oneOf"):
            if kind in schema:
                return " or ".join(self.type_of(item) for item in schema[kind])
        if "const" in schema:
            return code(json.dumps(schema["const"]))
        if "enum" in schema:
            return " or ".join(code(value) for value in schema["enum"])
        if "contentSchema" in schema:
            return f"frames, each with {self.type_of(schema['contentSchema'])} as its data"
        kinds = schema.get("type", "anything")
        words = " or ".join(kinds) if isinstance(kinds, list) else kinds
        if "items" in schema:
            words = words.replace("array", "array of ") if words == "array" else words + ", items: "
            return esc(words) + self.type_of(schema["items"])
        return esc(words)

    def limits_of(self, schema):
        names = {"minLength": "at least {} in length", "maxLength": "at most {} in length", "minimum": "from {}",
                 "maximum": "to {}", "minItems": "at least {} items", "maxItems": "at most {} items",
                 "default": "{} if it is left out", "pattern": "matches {}", "format": "format {}"}
        words = [text.format(schema[name] if name != "default" else json.dumps(schema[name]))
                 for name, text in names.items() if name in schema]
        if schema.get("uniqueItems"):
            words.append("each item once")
        return esc(", ".join(words))

    def about(self, text, schema):
        limits = "" if "$ref" in schema else self.limits_of(schema)
        return esc(text) + (f' <span class="limits">({limits})</span>' if limits else "")

    def parameters(self, operation):
        rows = []
        for item in map(self.resolve, operation.get("parameters", [])):
            needed = "required" if item.get("required") else "optional"
            rows.append([code(item["name"]), esc(item["in"]), needed, self.type_of(item["schema"]),
                         self.about(item["description"], item["schema"])])
        return table("Parameters", ["Name", "In", "Needed", "Type", "Meaning"], rows)

    def examples(self, media):
        if "example" in media:
            yield "Example", media["example"]
        for name, more in media.get("examples", {}).items():
            yield f"Example: {more.get('summary', name)}", more["value"]

    def media(self, content):
        """What is in a body; the same schema and examples under several types are shown once."""
        out, groups = [], []
        for kind, media in content.items():
            same = next((group for group in groups if group[1] == media), None)
            same[0].append(kind) if same else groups.append(([kind], media))
        for kinds, media in groups:
            out.append(f"<p>{' or '.join(map(code, kinds))}: {self.type_of(media['schema'])}</p>\n")
            for name, value in self.examples(media):
                text = value if isinstance(value, str) else json.dumps(value, indent=2, ensure_ascii=False)
                out.append(f'<figure>\n<figcaption>{esc(name)}</figcaption>\n<pre><code>{esc(text)}</code></pre>\n'
                           "</figure>\n")
        return "".join(out)

    def headers(self, response):
        rows = []
        for name, item in response.get("headers", {}).items():
            item = self.resolve(item)
            rows.append([code(name), "always" if item.get("required") else "sometimes", esc(item["description"])])
        return table("Headers", ["Name", "There", "Meaning"], rows)

    def response(self, status, response, anchor):
        """A response that has a name is shown with the others of that kind, once."""
        if "$ref" in response and int(status) >= 400:
            name = response["$ref"].rpartition("/")[2]
            text = esc(self.resolve(response)["description"])
            return f'<li><a href="#response-{slug(name)}">{status}</a> {text}</li>\n'
        whole = self.resolve(response)
        return (f'<h4 id="{anchor}-{status}">{status}: {esc(whole["description"])}</h4>\n' + self.headers(whole) +
                self.media(whole.get("content", {})))

    def security(self, operation):
        needs = operation.get("security", self.document.get("security", []))
        if not needs:
            return "<p>No access token is needed.</p>\n"
        if {} in needs:
            return "<p>An access token may be sent.</p>\n"
        return "<p>An access token is needed.</p>\n"

    def operation(self, path, method, operation):
        anchor = slug(operation["operationId"])
        out = [f'<section aria-labelledby="{anchor}">\n<h3 id="{anchor}">{code(method.upper() + " " + path)}</h3>\n',
               f"<p><strong>{esc(operation['summary'])}</strong> {esc(operation['description'])}</p>\n",
               self.security(operation), self.parameters(operation)]
        if "requestBody" in operation:
            body = self.resolve(operation["requestBody"])
            needed = "required" if body.get("required") else "optional"
            out.append(f'<h4 id="{anchor}-body">Body ({needed})</h4>\n<p>{esc(body["description"])}</p>\n')
            out.append(self.media(body["content"]))
        shown = {status: self.response(status, response, anchor) for status, response in operation["responses"].items()}
        out += [text for text in shown.values() if not text.startswith("<li>")]
        refusals = [text for text in shown.values() if text.startswith("<li>")]
        if refusals:
            out.append(f'<h4 id="{anchor}-problems">Problems</h4>\n<ul>\n{"".join(refusals)}</ul>\n')
        return "".join(out) + "</section>\n"

    def by_tag(self):
        for tag in self.document["tags"]:
            yield tag, [(path, method, operations[method]) for path, operations in self.document["paths"].items()
                        for method in METHODS if method in operations and tag["name"] in operations[method]["tags"]]

    def problems(self):
        out = ['<section aria-labelledby="problems">\n<h2 id="problems">Problems</h2>\n']
        for name, response in self.document["components"]["responses"].items():
            media = response.get("content", {}).get("application/problem+json")
            if media:
                example = media["example"]
                out.append(f'<h3 id="response-{slug(name)}">{example["status"]} {esc(example["title"])}: '
                           f"{esc(name)}</h3>\n"
                           f"<p>{esc(response['description'])}</p>\n" + self.headers(response) +
                           self.media(response["content"]))
        return "".join(out) + "</section>\n"

    def schema(self, name, schema):
        required = schema.get("required", [])
        rows = []
        for member, item in schema.get("properties", {}).items():
            text = item.get("description") or self.resolve(item).get("description", "")
            rows.append([code(member), "always" if member in required else "optional", self.type_of(item),
                         self.about(text, item)])
        text = f'<h3 id="schema-{slug(name)}">{esc(name)}</h3>\n<p>{self.about(schema["description"], schema)}</p>\n'
        if not rows:
            text += f"<p>Type: {self.type_of(schema)}</p>\n"
        return text + table("Members", ["Name", "There", "Type", "Meaning"], rows)

    def contents(self):
        out = ['<nav aria-label="Contents">\n<h2>Contents</h2>\n<ul>\n<li><a href="#everywhere">Everywhere</a></li>\n']
        for tag, operations in self.by_tag():
            out.append(f'<li><a href="#tag-{slug(tag["name"])}">{esc(tag["name"])}</a>\n<ul>\n')
            for path, method, operation in operations:
                out.append(f'<li><a href="#{slug(operation["operationId"])}">{code(method.upper() + " " + path)}</a> '
                           f'{esc(operation["summary"])}</li>\n')
            out.append("</ul>\n</li>\n")
        return "".join(out) + ('<li><a href="#problems">Problems</a></li>\n<li><a href="#schemas">Schemas</a></li>\n'
                               "</ul>\n</nav>\n")

    def everywhere(self):
        info, components = self.document["info"], self.document["components"]
        rows = [[code(name), esc(item["type"]), esc(item["description"])]
                for name, item in components["securitySchemes"].items()]
        return ('<section aria-labelledby="everywhere">\n<h2 id="everywhere">Everywhere</h2>\n' +
                paragraphs(info["description"]) + table("Ways to send an access token", ["Name", "Type", "How"], rows) +
                "</section>\n")

    def render(self):
        info = self.document["info"]
        out = ['<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
               '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
               f'<title>{esc(info["title"])}: the HTTP interface</title>\n'
               '<link rel="icon" href="/icon.svg" type="image/svg+xml">\n'
               '<link rel="stylesheet" href="/docs/docs.css">\n</head>\n<body>\n'
               '<a class="skip" href="#content">Skip to the content</a>\n<header>\n'
               f'<h1>{esc(info["title"])}: the HTTP interface</h1>\n<p>{esc(info.get("summary", ""))} '
               'The same for programs: <a href="/docs/openapi.yaml">openapi.yaml</a>.</p>\n</header>\n',
               self.contents(), '<main id="content">\n', self.everywhere()]
        for tag, operations in self.by_tag():
            anchor = f"tag-{slug(tag['name'])}"
            out.append(f'<section aria-labelledby="{anchor}">\n<h2 id="{anchor}">{esc(tag["name"])}</h2>\n'
                       f'<p>{esc(tag["description"])}</p>\n')
            out += [self.operation(*item) for item in operations]
            out.append("</section>\n")
        out += [self.problems(), '<section aria-labelledby="schemas">\n<h2 id="schemas">Schemas</h2>\n']
        out += [self.schema(name, schema) for name, schema in self.document["components"]["schemas"].items()]
        return "".join(out) + "</section>\n</main>\n</body>\n</html>\n"


def main():
    if len(sys.argv) != 3:
        sys.exit("usage: render.py OPENAPI.yaml PAGE.html")
    with open(sys.argv[1], encoding="utf-8") as file:
        page = Page(yaml.safe_load(file)).render()
    with open(sys.argv[2] + ".new", "w", encoding="utf-8") as file:
        file.write(page)
    os.replace(sys.argv[2] + ".new", sys.argv[2])


if __name__ == "__main__":
    main()
