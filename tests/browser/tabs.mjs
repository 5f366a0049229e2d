// web/courant-events.js in node, where the hub is in the page: a subscription whose refresh never answers holds up no other.
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';

const later = globalThis.setTimeout;
globalThis.setTimeout = (act, delay, ...rest) => later(act, delay / 100, ...rest);
globalThis.location = { href: 'http://localhost/' };

let fresh = false;
globalThis.fetch = async () => {
  if (!fresh) {
    return { status: 401, headers: new Headers({ 'WWW-Authenticate': 'Bearer error="invalid_token"' }), json: async () => ({ detail: 'over' }) };
  }
  const body = new ReadableStream({ start: (stream) => stream.enqueue(new TextEncoder().encode('id: 5\n\n')) });
  return { status: 200, headers: new Headers({ 'Content-Type': 'text/event-stream' }), body };
};

// Node would take the file for CommonJS by its name.
const source = await readFile(new URL('../../web/courant-events.js', import.meta.url), 'base64');
const { subscribe } = await import(`data:text/javascript;base64,${source}`);
const asked = { first: 0, second: 0 };
const live = new Promise((ok, not) => {
  later(() => not(new Error(`nobody refreshed the session: ${JSON.stringify(asked)}`)), 20000);
  const on = { status: (status) => status === 'live' && ok() };
  subscribe('articles', { after: 5, on, refresh: async () => { asked.first++; fresh = true; return { ok: true, status: 200 }; } });
  subscribe('articles', { after: 5, refresh: () => { asked.second++; return new Promise(() => {}); } }); // a tab that is frozen
});
await live;
assert.deepEqual(asked, { first: 1, second: 1 });
console.log('the other tab was asked');
process.exit();
