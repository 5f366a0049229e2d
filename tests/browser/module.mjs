// web/courant-events.js in headless Chromium: tabs of one browser behind a proxy that counts their streams, cuts them and lies.
import assert from 'node:assert/strict';
import http from 'node:http';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';

const { COURANT_URL, COURANT_ADMIN_USER, COURANT_ADMIN_PASSWORD, COURANT_TEST_NODE } = process.env;
const { chromium } = createRequire(join(COURANT_TEST_NODE, 'package.json'))('playwright-core');

// ---- the stack, by the direct way ----

async function call(path, body, token, headers = {}) {
  const response = await fetch(`${COURANT_URL}${path}`, {
    method: body === undefined ? 'GET' : 'POST',
    headers: { 'Content-Type': 'application/json', ...headers, ...(token && { Authorization: `Bearer ${token}` }) },
    body: body && JSON.stringify(body),
  });
  assert.ok(response.ok, `${path}: ${response.status}`);
  return { answer: await response.json(), position: Number(response.headers.get('Courant-Position')) };
}

const credentials = { username: COURANT_ADMIN_USER, password: COURANT_ADMIN_PASSWORD };
const token = (await call('/api/auth/login', { ...credentials, cookies: false })).answer.access_token;
const admin = (await call('/api/auth', undefined, token)).answer.id;
const now = async () => (await call('/api/articles?limit=1')).position;

let written = 0;
async function write(count = 1) {
  let last;
  for (let i = 0; i < count; i++) last = await call('/api/articles', { title: `Module ${++written} é😀`, content: 'x', publish: true }, token);
  return last;
}

// What a stream that nobody cuts says from one position to another.
async function truth(after, upto, topic = 'articles') {
  const found = [];
  const abort = new AbortController();
  const response = await fetch(`${COURANT_URL}/events?topic=${topic}&after=${after}`, { signal: abort.signal, headers: { Authorization: `Bearer ${token}` } });
  let rest = '';
  for await (const text of response.body.pipeThrough(new TextDecoderStream())) {
    const lines = (rest + text).split('\n');
    rest = lines.pop();
    for (const line of lines) if (line.startsWith('data: ')) found.push(JSON.parse(line.slice(6)));
    if (found.at(-1)?.position >= upto) break;
  }
  return found.filter((event) => event.position <= upto);
}

// ---- the proxy ----

const proxy = {
  streams: new Set(), // that are open: {url, response, hung}
  asked: [], // the query of each request for a stream
  refreshes: 0,
  answer: null, // a function from the query to a status instead of a stream, or undefined
  everything: false, // the server gives more than was asked for: what is whose, the module must know
  hang: false, // the next streams stay silent
  over: false, // there is no session to refresh
  drop: null, // a function: whether a frame does not come through
};

const PAGE = '<!doctype html><title>A page</title>';

const server = http.createServer((request, response) => {
  if (request.url === '/page') {
    response.setHeader('Content-Security-Policy', "default-src 'self'");
    response.setHeader('Content-Type', 'text/html');
    return response.end(PAGE);
  }
  const stream = request.url.startsWith('/events') ? { url: new URL(request.url, COURANT_URL), response, hung: proxy.hang } : null;
  const headers = { ...request.headers };
  let path = request.url;
  if (request.url === '/api/auth/refresh') {
    proxy.refreshes++;
    response.statusCode = proxy.over ? 401 : 204;
    return response.end();
  }
  if (stream) {
    proxy.asked.push(stream.url.searchParams);
    const status = proxy.answer?.(stream.url.searchParams);
    if (status !== undefined) {
      response.writeHead(status, { 'Content-Type': 'application/problem+json', ...(proxy.over && { 'WWW-Authenticate': 'Bearer realm="courant", error="invalid_token"' }) });
      return response.end(JSON.stringify({ status, detail: `The proxy says ${status}.` }));
    }
    if (proxy.everything) {
      path = `/events?topic=all${stream.url.searchParams.has('after') ? `&after=${stream.url.searchParams.get('after')}` : ''}`;
      headers.authorization = `Bearer ${token}`;
      delete headers.cookie;
    }
    proxy.streams.add(stream);
    response.on('close', () => proxy.streams.delete(stream));
  }
  const onward = http.request(COURANT_URL + path, { method: request.method, headers }, (answer) => {
    response.writeHead(answer.statusCode, answer.headers);
    if (!stream) return answer.pipe(response);
    answer.on('data', (chunk) => {
      // The server's retry is seconds: a test need not wait for them.
      let text = chunk.toString('latin1').replace(/^retry: \d+$/m, 'retry: 20');
      if (proxy.drop) text = text.split(/(?<=\n\n)/).filter((frame) => !proxy.drop(frame)).join('');
      if (!stream.hung) response.write(Buffer.from(text, 'latin1'));
      stream.begun = true;
    });
    answer.on('end', () => response.end());
    answer.on('error', () => response.destroy());
  });
  onward.on('error', () => response.destroy());
  response.on('close', () => onward.destroy());
  request.pipe(onward);
});
await new Promise((ok) => { server.listen(0, '127.0.0.1', ok); });
const origin = `http://127.0.0.1:${server.address().port}`;

const cut = () => { for (const stream of proxy.streams) stream.response.socket.destroy(); };

async function until(what, condition, seconds = 30) {
  for (const end = Date.now() + seconds * 1000; !(await condition());) {
    if (Date.now() > end) assert.fail(`not within ${seconds} s: ${what}`);
    await pause(10); // between two looks
  }
}

// The proxy hears of the end of a connection a little after the tabs do.
const streams = (count, what = 'streams') => until(`${what}: ${count}`, () => proxy.streams.size === count);

async function inject(text) {
  await until('a stream that has begun', () => proxy.streams.size === 1 && [...proxy.streams][0].begun);
  for (const stream of proxy.streams) stream.response.write(text);
}

// ---- the tabs ----

const browser = await chromium.launch({
  executablePath: '/usr/bin/chromium',
  args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
    '--disable-component-update', '--disable-sync'],
});
const faults = [];

async function inContext(without, test) {
  Object.assign(proxy, { asked: [], refreshes: 0, answer: null, everything: false, hang: false, over: false, drop: null });
  const context = await browser.newContext();
  await context.addInitScript((names) => { for (const name of names) delete globalThis[name]; }, without);
  context.on('page', (page) => page.on('pageerror', (error) => faults.push(String(error))));
  try {
    await test(async () => {
      const page = await context.newPage();
      await page.goto(`${origin}/page`);
      return page;
    });
  } finally {
    await context.close();
  }
  await until('no stream is left of a browser that is gone', () => proxy.streams.size === 0);
}

// A subscription in a page, under a name; what it was told is in window.told[name].
function follow(page, topics, options = {}, name = 'one') {
  return page.evaluate(async ([topics, options, name]) => {
    const { subscribe } = await import('/courant-events.js');
    const told = { events: [], status: [], other: [] };
    const on = {
      event: (event) => told.events.push(event.position),
      status: (status) => told.status.push(status),
      reset: (position) => told.other.push(['reset', position]),
      'session-expired': () => told.other.push(['session-expired']),
      denied: ({ status }) => told.other.push(['denied', status]),
      gap: ({ stream, from, to }) => told.other.push(['gap', stream, from, to]),
    };
    window.told = { ...window.told, [name]: told };
    window.subs = { ...window.subs, [name]: subscribe(topics, { ...options, on }) };
  }, [topics, options, name]);
}
const told = (page, name = 'one') => page.evaluate((name) => window.told[name], name);
const status = async (page, name) => (await told(page, name)).status.at(-1);
const live = (pages) => until('all are live', async () => (await Promise.all(pages.map((page) => status(page)))).every((each) => each === 'live'));
const reach = (page, position, name) => until(`position ${position}`, async () => (await told(page, name)).events.at(-1) >= position);
const positions = (events) => events.map((event) => event.position);

async function allGot(pages, after, upto, topic) {
  const expected = positions(await truth(after, upto, topic));
  for (const page of pages) {
    await reach(page, expected.at(-1));
    assert.deepEqual((await told(page)).events, expected, 'each position once, in order');
  }
}

// Tabs share one connection and miss nothing, whatever becomes of it.
async function share(open) {
  const after = await now();
  await write();
  const pages = [await open(), await open(), await open()];
  for (const page of pages) await follow(page, 'articles', { after });
  await live(pages);
  await streams(1, 'three tabs, one connection');

  for (let i = 0; i < 12; i++) {
    const writing = write(2);
    if (Math.random() < 0.7) cut();
    await writing;
    if (Math.random() < 0.5) cut();
  }
  proxy.answer = () => 503;
  const refusals = proxy.asked.length;
  cut();
  await write(2);
  await until('it asks again after a 503', () => proxy.asked.length > refusals + 1);
  proxy.answer = null;
  await allGot(pages, after, (await write()).position);
  await streams(1, 'still one');
  assert.equal(proxy.refreshes, 0, 'no status told of a session');
  return { pages, after };
}

const tests = {
  async 'three tabs share a worker\'s connection'() {
    await inContext([], async (open) => {
      const { pages, after } = await share(open);

      // A 401 is answered by one refresh, of one tab.
      let refused = 0;
      proxy.answer = () => (refused++ === 0 ? 401 : undefined);
      cut();
      await until('it comes back after a 401', () => proxy.asked.length > 0 && refused === 2 && proxy.streams.size === 1);
      proxy.answer = null;
      assert.equal(proxy.refreshes, 1);
      await inject('event: session-expired\ndata: {}\n\n');
      await until('it asks for a new session', () => proxy.refreshes === 2);
      await allGot(pages, after, (await write()).position);
      for (const page of pages) assert.deepEqual((await told(page)).other, [['session-expired']]);

      // One that comes later catches up without a word twice to the others.
      const late = await open();
      await follow(late, 'articles', { after });
      await allGot([...pages, late], after, (await write()).position);
      await streams(1);

      // Tabs go, by whatever end; the last one closes the connection.
      for (const page of pages.slice(1)) await page.close();
      await late.close();
      await allGot(pages.slice(0, 1), after, (await write()).position);
      await pages[0].evaluate(() => window.subs.one.close());
      await until('nobody listens', () => proxy.streams.size === 0);
      assert.equal(await status(pages[0]), 'ended');
      const before = await write();
      await truth(before.position - 3, before.position); // the notifier has it: now is after it
      await follow(pages[0], 'articles', {}, 'again');
      await until('live again', async () => (await status(pages[0], 'again')) === 'live');
      const last = await write();
      await reach(pages[0], last.position, 'again');
      assert.deepEqual((await told(pages[0], 'again')).events, positions(await truth(last.position - 3, last.position)), 'from now on');
    });
  },

  async 'a tab that is gone without a word is forgotten'() {
    await inContext([], async (open) => {
      const [stays, goes] = [await open(), await open()];
      await follow(stays, 'articles');
      await follow(goes, 'articles');
      await live([stays, goes]);
      await stays.evaluate(() => window.subs.one.close());
      const session = await goes.context().newCDPSession(goes);
      session.send('Page.crash').catch(() => {}); // no handler of the page runs
      await until('its stream is closed', () => proxy.streams.size === 0);
    });
  },

  async 'without SharedWorker a tab leads, and another one after it'() {
    await inContext(['SharedWorker'], async (open) => {
      const { pages, after } = await share(open);
      for (const page of [...pages]) { // whichever of them leads
        pages.splice(pages.indexOf(page), 1);
        const writing = write(3);
        await page.close();
        await writing;
        if (pages.length === 0) break;
        await allGot(pages, after, (await write()).position);
        await streams(1);
      }
    });
  },

  async 'with neither, each tab has a connection'() {
    await inContext(['SharedWorker', 'BroadcastChannel'], async (open) => {
      const after = await now();
      const pages = [await open(), await open()];
      for (const page of pages) await follow(page, 'articles', { after });
      await live(pages);
      await streams(2);
      await allGot(pages, after, (await write(3)).position);
    });
  },

  async 'each tab gets its own topics of one connection'() {
    await inContext([], async (open) => {
      proxy.everything = true;
      const after = await now();
      const first = await write();
      const id = first.answer.id;
      const wishes = ['articles', `article:${id}`, [`user:${admin}`, `article:${id}`], 'all'];
      const pages = [];
      for (const topics of wishes) {
        pages.push(await open());
        await follow(pages.at(-1), topics, { after });
        await until('it catches up', async () => (await told(pages.at(-1))).events.length >= 3);
      }
      await streams(1);
      assert.deepEqual(proxy.asked.at(-1).getAll('topic'), ['all', `article:${id}`, 'articles', `user:${admin}`]);
      assert.equal(proxy.asked.at(-1).get('after'), String(after), 'from the lowest position needed');
      await call('/api/auth/login', { ...credentials, cookies: false }); // an event of the user
      const { position } = await write();
      const events = await truth(after, position, 'all');
      const mine = [
        (event) => event.type.startsWith('article.'),
        (event) => event.stream === `article-${id}`,
        (event) => [`article-${id}`, `user-${admin}`].includes(event.stream),
        () => true,
      ];
      for (const [i, page] of pages.entries()) {
        const expected = positions(events.filter(mine[i]));
        assert.ok(expected.length >= 3);
        if (i !== 1) await reach(page, expected.at(-1));
        assert.deepEqual((await told(page)).events, expected, String(wishes[i]));
      }

      // Which author an event is of, it does not say: that topic has a connection, which tabs share.
      for (const page of pages.slice(0, 2)) await follow(page, `author:${admin}`, {}, 'author');
      await until('live', async () => (await status(pages[0], 'author')) === 'live' && (await status(pages[1], 'author')) === 'live');
      await streams(2);
    });
  },

  async 'a stream whose session is over does not go on as anybody\'s'() {
    await inContext([], async (open) => {
      const pages = [await open(), await open()];
      for (const page of pages) await follow(page, 'articles');
      await live(pages);
      proxy.over = true;
      const asked = proxy.asked.length;
      await inject('event: session-expired\ndata: {}\n\n');
      for (const page of pages) {
        await until('it is told', async () => (await status(page)) === 'denied');
        assert.deepEqual((await told(page)).other, [['session-expired'], ['denied', 401]]);
      }
      await streams(0);
      assert.deepEqual([proxy.refreshes, proxy.asked.length], [1, asked], 'one asks, and nobody comes back');

      // The page may: and whoever never had a session is not asked for one.
      await follow(pages[0], 'articles', { after: await now() }, 'again');
      await reach(pages[0], (await write()).position, 'again');
      let refused = 0;
      await follow(pages[1], 'articles', { after: await now() }, 'first');
      await pages[0].evaluate(() => window.subs.again.close());
      await pages[1].evaluate(() => window.subs.first.close());
      await streams(0);
      proxy.answer = () => (refused++ === 0 ? 401 : undefined);
      await follow(pages[1], 'articles', {}, 'second');
      await until('live', async () => (await status(pages[1], 'second')) === 'live');
      assert.equal(proxy.refreshes, 2);
      // The same where the connection broke meanwhile, and what was sent with the next one is no good.
      proxy.answer = () => 401;
      cut();
      await until('it is told', async () => (await status(pages[1], 'second')) === 'denied');
      assert.equal(proxy.refreshes, 3);
    });
  },

  async 'nobody\'s stream outlives what nobody may follow'() {
    await inContext([], async (open) => {
      const after = await now();
      const pages = [await open(), await open()];
      await follow(pages[0], 'articles', { after });
      await live(pages.slice(0, 1));
      await follow(pages[1], 'all', { after });
      await until('it is told', async () => (await status(pages[1])) === 'denied');
      assert.deepEqual((await told(pages[1])).other, [['denied', 401]]);
      const { position } = await write();
      await reach(pages[0], position);
      await live(pages.slice(0, 1));
      assert.deepEqual((await told(pages[0])).other, []);
    });
  },

  async 'what is lost on the way is read again, or said'() {
    await inContext([], async (open) => {
      const after = await now();
      const [page, other] = [await open(), await open()];
      const { answer } = await write();
      await follow(page, 'articles', { after });
      await follow(other, 'article:01900000-0000-7000-8000-000000000000', { after });
      await live([page, other]);
      await streams(1); // else what is counted below would also be of the one that came before it
      // Once: the version that is missing comes by another connection.
      let lost = 0;
      const update = (n) => call('/api/commands/update_article', { id: answer.id, title: `Lost ${n}`, content: 'x' }, token, { 'If-Match': `"v${version}"` });
      let version = answer.version;
      proxy.drop = (frame) => frame.includes('event: article.updated') && lost++ === 0;
      const first = await update(1);
      await allGot([page], after, first.position);
      assert.equal(lost, 2, 'lost, and brought again');
      version = first.answer.version;
      // Again and again: then the page is told, and nobody else.
      proxy.drop = (frame) => frame.includes('event: article.updated');
      const second = await update(2);
      await reach(page, second.position);
      assert.deepEqual((await told(page)).other, [['gap', `article-${answer.id}`, version + 1, version + 1]]);
      assert.deepEqual((await told(other)).other, []);
      proxy.drop = null;
      // What a reader may not see is no gap.
      version = second.answer.version;
      const command = async (type) => { version = (await call(`/api/commands/${type}`, { id: answer.id }, token, { 'If-Match': `"v${version}"` })).answer.version; };
      await command('unpublish_article');
      version = (await update(3)).answer.version;
      await command('publish_article');
      await reach(page, (await write()).position);
      assert.equal((await told(page)).other.length, 1);
    });
  },

  async 'who is refused does not take the others along'() {
    await inContext([], async (open) => {
      proxy.answer = (query) => (query.getAll('topic').includes('all') ? 403 : undefined);
      const after = await now();
      const pages = [await open(), await open(), await open()];
      for (const page of pages.slice(1)) await follow(page, 'articles', { after });
      await follow(pages[0], 'all', { after });
      await until('it is told', async () => (await status(pages[0])) === 'denied');
      assert.deepEqual((await told(pages[0])).other, [['denied', 403]]);
      await allGot(pages.slice(1), after, (await write()).position);
      await streams(1);

      proxy.answer = () => 401;
      cut();
      await until('all are told', async () => (await status(pages[1])) === 'denied' && (await status(pages[2])) === 'denied');
      assert.equal(proxy.refreshes, 1, 'it has tried');
      const asked = proxy.asked.length;
      await write();
      assert.equal(proxy.asked.length, asked, 'and no more');
    });
  },

  async 'a log that is shorter'() {
    await inContext([], async (open) => {
      const after = await now();
      const page = await open();
      await follow(page, 'articles', { after });
      await page.evaluate(async () => {
        const { snapshotAndFollow } = await import('/courant-events.js');
        window.story = [];
        window.subs.story = snapshotAndFollow('/api/articles', 'articles', {
          snapshot: ({ body, position }) => window.story.push(['snapshot', body.items.length > 0, position]),
          reset: (position) => window.story.push(['reset', position]),
          event: ({ position }) => window.story.push(position),
          status: (status) => { window.storyStatus = status; },
        });
      });
      await live([page]);
      await until('live', () => page.evaluate(() => window.storyStatus === 'live'));
      const { position } = await write();
      await reach(page, position);
      await inject(`event: reset\ndata: {"position": ${after}}\n\n`);
      await until('reset', async () => (await told(page)).other.length > 0);
      assert.deepEqual((await told(page)).other, [['reset', after]]);
      assert.equal(await page.evaluate(() => window.subs.one.position), after);
      await until('a second snapshot', () => page.evaluate(() => window.story.filter((each) => each[0] === 'snapshot').length === 2));
      await until('live', () => page.evaluate(() => window.storyStatus === 'live'));
      const next = await write();
      const story = [['snapshot', true, after], ...positions(await truth(after, position)), ['reset', after], ['snapshot', true, position],
        ...positions(await truth(position, next.position))];
      await until('the rest', () => page.evaluate((count) => window.story.length >= count, story.length));
      assert.deepEqual(await page.evaluate(() => window.story), story);
      await page.evaluate(() => window.subs.story.close());
      assert.equal(await page.evaluate(() => window.storyStatus), 'ended');

      // The line is open from another one's position: the server cannot know of this one's.
      await follow(page, 'articles', { after: next.position + 1000 }, 'ahead');
      await until('live', async () => (await status(page, 'ahead')) === 'live');
      await inject(`id: ${next.position}\n\n`.repeat(2));
      await until('a reset', async () => (await told(page, 'ahead')).other.length > 0);
      assert.deepEqual((await told(page, 'ahead')).other, [['reset', next.position]]);
      await reach(page, (await write()).position, 'ahead');
    });
  },

  async 'silence, and the network that comes back'() {
    await inContext([], async (open) => {
      const after = await now();
      const page = await open();
      proxy.hang = true;
      await follow(page, 'articles', { after, silence: 1500 });
      await until('a silent stream is given up', () => proxy.asked.length >= 2);
      assert.equal(await status(page), 'connecting', 'nothing was heard');
      proxy.hang = false;
      await allGot([page], after, (await write()).position);
      await page.evaluate(() => window.subs.one.close());
      await until('closed', () => proxy.streams.size === 0);

      await follow(page, 'articles', { after }, 'two');
      await until('live', async () => (await status(page, 'two')) === 'live');
      proxy.answer = () => 503;
      await inject('retry: 600000\n\n');
      cut();
      await until('it waits', async () => (await status(page, 'two')) === 'waiting');
      proxy.answer = null;
      await page.evaluate(() => window.dispatchEvent(new Event('online')));
      await until('at once', async () => (await status(page, 'two')) === 'live', 5);
    });
  },
};

try {
  for (const [name, test] of Object.entries(tests)) {
    if (process.argv[2] && !name.includes(process.argv[2])) continue;
    const begun = Date.now();
    await test().catch((error) => { throw new Error(name, { cause: error }); });
    console.log(`${name}: ${Date.now() - begun} ms`);
  }
  assert.deepEqual(faults, []);
} finally {
  await browser.close();
  server.closeAllConnections();
  server.close();
}
