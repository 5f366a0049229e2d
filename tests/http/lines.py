"""Lines of a log as `courantctl import` takes them, with digests and hashes that are right."""

import hashlib
import json
import time
import uuid

AUTHOR = "01a2071b-f843-7645-a001-b20b639515c1"
AUDIENCE = f"user:{AUTHOR} permission:article_edit_any"


class Log:
    """A log that goes on behind a position, or from the start."""

    def __init__(self, position=0, hash="00" * 32):
        self.lines, self.position, self.hash, self.versions = [], position, hash, {}

    def add(self, stream, type, data, schema=1, audience=AUDIENCE, version=None, id=None):
        self.position += 1
        self.versions[stream] = version or self.versions.get(stream, 0) + 1
        metadata = json.dumps({"schema": schema, "user_id": AUTHOR}, separators=(",", ":"))
        data = json.dumps(data, separators=(",", ":"))
        moment = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime()) + f".{self.position % 1000000:06}Z"
        event = {"id": id or str(uuid.UUID(int=uuid.uuid4().int & ~(0xf << 76) | 7 << 76)), "type": type, "stream": stream,
                 "version": self.versions[stream], "position": self.position, "timestamp": moment}
        parts = [event["id"], stream, str(event["version"]), type, audience, moment, data, metadata]
        digest = hashlib.sha256("".join(f"{len(part.encode())}:{part}," for part in parts).encode()).digest()
        self.hash = hashlib.sha256(bytes.fromhex(self.hash) + digest).hexdigest()
        line = json.dumps(event, separators=(",", ":"))[:-1]
        self.lines.append(f'{line},"data":{data},"metadata":{metadata},"audience":"{audience}","digest":"{digest.hex()}",'
                          f'"hash":"{self.hash}"}}\n')
        return event

    @property
    def text(self):
        return "".join(self.lines)

    def article(self, number, content="Some text.", slug=None, **more):
        """A draft: article.created alone. Its id, which is returned, and slug are made of the number."""
        article = str(uuid.UUID(int=(0x01a2071bf8437645a001 << 48) + number))
        self.add(f"article-{article}", "article.created",
                 {"id": article, "title": f"Article {number}", "subtitle": "", "lead": "", "content": content, "tags": ["made"],
                  "slug": slug or f"article-{number}", "author": {"id": AUTHOR}}, 2, **more)
        return article
