// Clients that nobody here wrote: the browser's own EventSource, and the package of that name under node. Both follow, through
// the web server, while that is reloaded and the notifier restarted and killed: each gets each event once, in order.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { promisify } from 'node:util';
import { fileURLToPath, pathToFileURL } from 'node:url';

const { COURANT_URL, COURANT_ADMIN_USER, COURANT_ADMIN_PASSWORD, COURANT_TEST_NODE, COURANT_DB_SOCKET } = process.env;
const require = createRequire(join(COURANT_TEST_NODE, 'package.json'));
const { chromium } = require('playwright-core');
const { EventSource } = await import(pathToFileURL(require.resolve('eventsource')));
const dev = join(dirname(fileURLToPath(import.meta.url)), '..', '..', 'dev');
const run = promisify(execFile);
const pid = (name) => Number(readFileSync(join(dirname(COURANT_DB_SOCKET), `${name}.pid`), 'utf8').split(' ')[0]);

async function call(path, body, token) {
  const response = await fetch(`${COURANT_URL}${path}`, {
    method: body === undefined ? 'GET' : 'POST',
    headers: { 'Content-Type': 'application/json', ...(token && { Authorization: `Bearer ${token}` }) },
    body: body && JSON.stringify(body),
  });
  assert.ok(response.ok, `${path}: ${response.status}`);
  return { answer: await response.json(), position: Number(response.headers.get('Courant-Position')) };
}

const credentials = { username: COURANT_ADMIN_USER, password: COURANT_ADMIN_PASSWORD, cookies: false };
const token = (await call('/api/auth/login', credentials)).answer.access_token;
const types = ['article.created', 'article.revision_created', 'article.published'];
const start = (await call('/api/articles?limit=1')).position;

const browser = await chromium.launch({
  executablePath: '/usr/bin/chromium',
  args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
    '--disable-component-update', '--disable-sync'],
});

try {
  const page = await (await browser.newContext()).newPage();
  await page.goto(`${COURANT_URL}/docs/`);
  await page.evaluate(({ types, start }) => {
    window.seen = [];
    window.source = new EventSource(`/events?after=${start}`);
    window.errors = 0;
    window.source.addEventListener('error', () => window.errors++);
    for (const type of types) window.source.addEventListener(type, (event) => window.seen.push([Number(event.lastEventId), JSON.parse(event.data).position]));
  }, { types, start });
  const seen = [];
  let errors = 0;
  const source = new EventSource(`${COURANT_URL}/events?after=${start}`);
  source.addEventListener('error', () => errors++);
  for (const type of types) source.addEventListener(type, (event) => seen.push([Number(event.lastEventId), JSON.parse(event.data).position]));

  const expected = [];
  async function write(count) {
    for (let n = 0; n < count; n++) {
      const { position } = await call('/api/articles', { title: `For any client ${n}`, content: 'x', publish: true }, token);
      expected.push(position - 2, position - 1, position);
    }
  }
  // Until both have come back in vain that often.
  async function tried(times) {
    const before = [errors, await page.evaluate(() => window.errors)], end = Date.now() + 60000;
    while (errors < before[0] + times || (await page.evaluate(() => window.errors)) < before[1] + times) {
      assert.ok(Date.now() < end, 'a client has given up');
      await pause(20);
    }
  }
  const own = () => page.evaluate(() => window.seen);
  async function arrived(what) {
    for (const [name, got] of [['EventSource', own], ['eventsource', async () => seen]]) {
      const end = Date.now() + 60000;
      while ((await got()).at(-1)?.[0] !== expected.at(-1)) {
        assert.ok(Date.now() < end, `${name} is at ${(await got()).at(-1)} and not at ${expected.at(-1)} ${what}`);
        await pause(20);
      }
      assert.deepEqual(await got(), expected.map((n) => [n, n]), `${name} ${what}`);
    }
  }

  await write(3);
  await arrived('from the beginning');
  process.kill(pid('nginx'), 'SIGHUP');
  await write(3);
  await arrived('after the web server was reloaded');
  await run(dev, ['stop', 'notifier']);
  await write(3);
  await tried(2);
  await run(dev, ['start', 'notifier']);
  await arrived('after the notifier was restarted');
  process.kill(pid('notifier'), 'SIGKILL');
  await write(3);
  await run(dev, ['start', 'notifier']);
  await arrived('after the notifier was killed');
  source.close();

  // The cookie of the access token ends with it; the stream that comes back is nobody's only when nobody is there.
  const open = () => page.evaluate(() => new Promise((ok) => {
    const one = new EventSource('/events');
    const end = (what) => { one.close(); ok(what); };
    one.onopen = () => end('open');
    one.onerror = () => end(one.readyState === EventSource.CLOSED ? 'refused' : 'trying');
  }));
  const post = (path, body) => page.evaluate(async ([path, body]) => (await fetch(path, { method: 'POST', headers: { 'Content-Type': 'application/json' }, body })).status, [path, body]);
  assert.equal(await open(), 'open');
  assert.equal(await post('/api/auth/login', JSON.stringify({ ...credentials, cookies: true })), 200);
  assert.equal(await open(), 'open');
  await page.context().clearCookies({ name: 'courant_access' });
  assert.deepEqual((await page.context().cookies()).map((cookie) => cookie.name), ['courant_refresh']);
  assert.equal(await open(), 'refused');
  assert.equal(await post('/api/auth/refresh'), 200);
  assert.equal(await open(), 'open');
  console.log(`${expected.length} events, each once, by two clients; a session goes on as itself`);
} finally {
  await browser.close();
}
