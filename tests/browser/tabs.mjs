// web/courant-events.js in node, where the hub is in the page: who refreshes the session when the one that is asked does not answer.
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';

globalThis.location = { href: 'http://localhost/' };
let fresh;
globalThis.fetch = async () => {
  if (!fresh) {
    return { status: 401, headers: new Headers({ 'WWW-Authenticate': 'Bearer error="invalid_token"' }), json: async () => ({ detail: 'over' }) };
  }
  const body = new ReadableStream({ start: (stream) => stream.enqueue(new TextEncoder().encode('id: 5\n\n')) });
  return { status: 200, headers: new Headers({ 'Content-Type': 'text/event-stream' }), body };
};

// Node would take the file for CommonJS by its name. Each time it is another page.
const source = await readFile(new URL('../../web/courant-events.js', import.meta.url), 'utf8');
const later = globalThis.setTimeout;
let pages = 0;

async function follow(seconds, ask) {
  const text = Buffer.from(`${source}\n// ${++pages}`).toString('base64');
  const { subscribe } = await import(`data:text/javascript;base64,${text}`);
  const asked = { first: 0, second: 0 };
  fresh = false;
  await new Promise((ok, not) => {
    later(() => not(new Error(`nobody refreshed the session: ${JSON.stringify(asked)}`)), seconds * 1000);
    const on = { status: (status) => status === 'live' && ok() };
    subscribe('articles', { after: 5, on, refresh: async () => { asked.first++; fresh = true; return { ok: true, status: 200 }; } });
    const second = subscribe('articles', { after: 5, refresh: () => { asked.second++; ask(second); return new Promise(() => {}); } });
  });
  assert.deepEqual(asked, { first: 1, second: 1 });
}

// One that ends instead: the other is asked at once.
await follow(2, (subscription) => subscription.close());

// A tab that is frozen: the next time.
globalThis.setTimeout = (act, delay, ...rest) => later(act, delay / 100, ...rest);
await follow(20, () => {});
console.log('the other tab was asked, twice');
process.exit();
