// Streams of a Courant site for its pages: one connection for all tabs of an origin. docs/streams.md says how to use it.
//
//   Page, one in each tab  ──  Hub: in a SharedWorker, else in the tab that leads, else in the tab itself
//                                └── Line: a connection to /events, from which each Reader (a subscription) takes its own
//
// A cursor is the position up to which a reader has everything. A line begins at the lowest cursor of its readers, and hands
// each what is past its own: so whatever breaks, nobody misses an event, and nobody gets one twice.

const STREAMS_MOST = 1000; // whose last versions are remembered
const PROTOCOL = 'courant-events-2'; // what pages and hubs say to each other: those of another version never meet

// text/event-stream by the bytes. take() gets {retry}, or {id, event, data} at the end of a block that has an id or data:
// EventSource keeps to itself a block with only an id, which is Courant's heartbeat.
export class Parser {
  #decoder = new TextDecoder(); // drops a byte order mark, keeps half a character for later
  #take; #rest = ''; #afterReturn = false; #id; #event = ''; #data = [];
  constructor(take) { this.#take = take; }

  push(bytes) {
    let text = this.#decoder.decode(bytes, { stream: true });
    if (text === '') return;
    if (this.#afterReturn && text[0] === '\n') text = text.slice(1); // the second half of a CRLF
    this.#afterReturn = text.endsWith('\r');
    const lines = (this.#rest + text).split(/\r\n|\r|\n/);
    this.#rest = lines.pop();
    for (const line of lines) this.#line(line);
  }

  #line(line) {
    if (line === '') return this.#end();
    const [, name, value] = /^([^:]*):? ?(.*)$/s.exec(line);
    if (name === 'data') this.#data.push(value);
    else if (name === 'event') this.#event = value;
    else if (name === 'id' && !value.includes('\0')) this.#id = value;
    else if (name === 'retry' && /^[0-9]+$/.test(value)) this.#take({ retry: Number(value) });
  }

  #end() {
    const frame = { id: this.#id, event: this.#event || 'message', data: this.#data.length > 0 ? this.#data.join('\n') : null };
    [this.#id, this.#event, this.#data] = [undefined, '', []];
    if (frame.id !== undefined || frame.data !== null) this.#take(frame);
  }
}

const backoff = (first, failures) => Math.min(Math.max(30000, first), first * 2 ** Math.min(failures, 10)) * (0.5 + Math.random() / 2);
const setOf = (topics) => [...topics].sort().join(' ');

// Events do not say for which topic they were sent. Only an article's first event names its author, so author: has no match here.
function matches(topic, event) {
  if (topic === 'all') return true;
  if (topic === 'articles') return event.type.startsWith('article.');
  return /^(article|user):/.test(topic) && event.stream === topic.replace(':', '-');
}

class Line {
  readers = new Set(); state = 'connecting';
  #topics = []; #position = null; #known = 0; // known: the highest position that was ever seen
  #turn = new AbortController(); #skip = null; #again = false; #running = false; #opened = 0; #heard = 0;
  #retry = 2000; #failures = 0; #pause = 0; #asked = false; #asker = 0; #whom = null; #expired = false; #lived = false; #refused = false; #detail = ''; refreshed = () => {};
  #latest = new Map(); #gap = null; // the last event of each stream; the position before which versions are missing
  constructor(hub, key, own) { Object.assign(this, { hub, key, own }); } // own: of one set of topics; all that comes is for all

  add(reader) {
    this.readers.add(reader);
    reader.line = this;
    if (!this.#running) return this.#run();
    if (this.state === 'waiting') return reader.send({ status: 'waiting' });
    if (this.state === 'live') reader.cursor ??= this.#known;
    const enough = (reader.cursor ?? Infinity) >= (this.#position ?? Infinity) && reader.topics.every((topic) => this.#topics.includes(topic));
    if (enough) reader.send({ status: this.state });
    else this.reopen();
  }

  // Ends the connection or the wait: what follows is another connection, or with no readers nothing.
  reopen() {
    this.#again = true;
    this.#turn.abort();
    this.#skip?.();
  }

  wake(online) {
    const now = Date.now(), silence = Math.min(...[...this.readers].map((reader) => reader.silence));
    if (this.state === 'waiting') this.#skip?.();
    else if (now - this.#heard > silence) this.reopen();
    // Another network: the old connection is dead, and would say so late. All tabs tell of it, at about the same time.
    else if (online && this.state === 'live' && now - this.#opened > 1000) this.reopen();
  }

  async #run() {
    for (this.#running = true; this.readers.size > 0;) {
      this.#again = this.#expired = false;
      const status = await this.#attempt();
      if (this.#again) continue;
      if (this.#expired || (status === 401 && !this.#asked)) {
        this.#asked = !this.#expired;
        this.#say('connecting');
        const { over, failed } = await this.#refresh();
        // What was somebody's stream does not go on as anybody's: whether to follow as such, the page decides.
        if (over && this.#lived && (this.#expired || this.#refused)) return this.hub.end(this, { status: 401, detail: 'The session is over.' });
        if (failed) this.#asked = false; // it may yet work: that the next answer is the same says nothing
        else if (!this.#expired) continue;
      } else if ([401, 403, 414, 422].includes(status)) return this.hub.refuse(this, { status, detail: this.#detail });
      this.#say('waiting');
      const delay = Math.max(this.#pause, backoff(this.#retry, this.#failures++));
      await new Promise((ok) => { const timer = setTimeout(ok, delay); this.#skip = () => { clearTimeout(timer); ok(); }; });
      this.#skip = null;
    }
  }

  // One connection, to its end. Returns the status; 0 where it broke.
  async #attempt() {
    const turn = this.#turn = new AbortController(), readers = [...this.readers];
    const cursors = readers.map((reader) => reader.cursor).filter((cursor) => cursor !== null);
    const topics = [...new Set(readers.flatMap((reader) => reader.topics))].sort();
    if (setOf(topics) !== setOf(this.#topics)) this.#latest.clear(); // what came meanwhile of a new one was not asked for
    this.#topics = topics;
    this.#position = cursors.length > 0 ? Math.min(...cursors) : null;
    this.#opened = this.#heard = Date.now();
    this.#pause = 0;
    this.#say('connecting');
    const query = this.#topics.map((topic) => `topic=${encodeURIComponent(topic).replaceAll('%3A', ':')}`);
    if (this.#position !== null) query.push(`after=${this.#position}`);
    const watch = setInterval(() => this.wake(), Math.min(1000, ...readers.map((reader) => reader.silence / 4)));
    try {
      const response = await fetch(`${readers[0].url}?${query.join('&')}`, { signal: turn.signal, cache: 'no-store', headers: { Accept: 'text/event-stream' } });
      if (response.status !== 200) {
        // What was sent is no good; without that word nothing was sent, and a topic needs it.
        this.#refused = /invalid_token/.test(response.headers.get('WWW-Authenticate') ?? '');
        this.#pause = 1000 * Number(response.headers.get('Retry-After')) || 0;
        this.#detail = await response.json().then((problem) => problem.detail, () => '');
        return response.status;
      }
      if (!response.headers.get('Content-Type')?.startsWith('text/event-stream')) return 0; // some proxy's own page
      const parser = new Parser((frame) => turn.signal.aborted || this.#take(frame));
      for (const body = response.body.getReader(); ;) {
        const { done, value } = await body.read();
        if (done) return 200;
        this.#heard = Date.now();
        parser.push(value);
      }
    } catch {
      return 0;
    } finally {
      clearInterval(watch);
      turn.abort();
    }
  }

  #take({ retry, id, event, data }) {
    if (retry !== undefined) { this.#retry = retry; return; }
    const body = data === null ? null : JSON.parse(data);
    if (event === 'session-expired') {
      this.#expired = true;
      for (const reader of this.readers) reader.send({ expired: true });
      return this.#turn.abort();
    }
    // The log is not the one that the readers know, also those whose cursors are lower.
    if (event === 'reset') return this.#reset(body.position, this.readers);
    if (!/^[0-9]+$/.test(id ?? '')) return;
    const position = Number(id), heartbeat = body === null && this.state === 'live';
    if (position < (this.#position ?? 0) || (body !== null && position === this.#position)) return;
    const gap = body !== null ? this.#gapBefore(body) : null;
    if (gap !== null && this.#gap !== position) {
      this.#gap = position;
      return this.reopen(); // read again from before it
    }
    const concerns = (reader) => this.own || reader.topics.some((topic) => matches(topic, body));
    if (gap !== null) for (const reader of this.readers) if (position > (reader.cursor ?? 0) && concerns(reader)) reader.send({ gap });
    if (body !== null) this.#note(body);
    this.#position = position;
    this.#known = Math.max(this.#known, position);
    for (const reader of this.readers) {
      reader.cursor ??= body === null ? this.#known : position - 1;
      reader.ahead = heartbeat && reader.cursor > position ? reader.ahead + 1 : 0;
      if (position <= reader.cursor) continue;
      reader.cursor = position;
      if (body === null) reader.send({ position });
      else if (concerns(reader)) reader.send({ position, event: body });
    }
    // The server is silent of a cursor past its log where another reader's lower one has opened the line.
    const ahead = heartbeat ? [...this.readers].filter((reader) => reader.ahead > 1) : [];
    if (ahead.length > 0) this.#reset(position, ahead);
    this.#live();
  }

  // The versions of a stream are dense, and all of them are for whoever saw one, save while it is not public.
  #gapBefore({ stream, version, position, type }) {
    const last = this.#latest.get(stream);
    const hides = (name) => /\.(unpublished|deleted)$/.test(name); // then some of what came before it, or comes after, is not shown
    const dense = last === undefined || position <= last.position || version <= last.version + 1 || hides(last.type) || hides(type);
    return dense ? null : { stream, from: last.version + 1, to: version - 1 };
  }

  #note({ stream, version, position, type }) {
    this.#latest.delete(stream);
    this.#latest.set(stream, { version, position, type });
    if (this.#latest.size > STREAMS_MOST) this.#latest.delete(this.#latest.keys().next().value);
  }

  #reset(position, readers) {
    this.#latest.clear();
    this.#position = this.#known = position;
    for (const reader of readers) {
      Object.assign(reader, { cursor: position, ahead: 0 });
      reader.send({ position, reset: true });
    }
    this.#live();
  }

  #live() {
    this.#failures = 0;
    this.#asked = false;
    this.#lived = true;
    this.#say('live');
  }

  #say(status) {
    this.state = status;
    for (const reader of this.readers) {
      if (reader.status !== status) reader.send({ status });
      reader.status = status;
    }
  }

  // By a tab: what the hook does is the page's. One asks, for a refresh token is good for one use. over: there is no session.
  #refresh() {
    return new Promise((ok) => {
      const timer = setTimeout(() => { this.#asker++; this.refreshed({ failed: true }); }, 10000); // a tab that is frozen: then another one
      this.refreshed = (answer) => { clearTimeout(timer); this.#whom = null; ok(answer); };
      this.#ask();
    });
  }

  #ask() {
    const readers = [...this.readers];
    this.#whom = readers.at(-1 - this.#asker % readers.length) ?? null;
    if (this.#whom !== null) this.#whom.send({ refresh: true });
    else this.refreshed({ failed: true });
  }

  // Whoever is gone answers nothing.
  dropped(reader) { if (reader === this.#whom) this.#ask(); }
}

class Hub {
  #readers = new Map(); #lines = new Map(); #tabs = new Set();

  receive(send, { tab, op, id, ...rest }) {
    const name = `${tab} ${id}`, reader = this.#readers.get(name);
    // Whoever gets a tab's lock knows that the tab is gone, whatever ended it.
    if (!this.#tabs.has(tab)) globalThis.navigator?.locks?.request(`${PROTOCOL} ${tab}`, () => this.#leave(tab));
    this.#tabs.add(tab);
    // Who is here already may join a second time, when a leader tells that it leads.
    if (op === 'open' && reader === undefined) this.#join({ ...rest, name, tab, ahead: 0, send: (message) => send({ id, ...message }) });
    else if (op === 'close' && reader !== undefined) this.#drop(reader);
    else if (op === 'refreshed') reader?.line.refreshed(rest);
    else if (op === 'wake') for (const line of this.#lines.values()) line.wake(rest.online);
    else if (op === 'renew') for (const line of this.#lines.values()) line.reopen();
    else if (op === 'bye') this.#leave(tab);
  }

  #join(reader, alone = reader.topics.some((topic) => topic.startsWith('author:')) && !reader.topics.some((topic) => ['all', 'articles'].includes(topic))) {
    const own = `${reader.url} ${setOf(reader.topics)}`, key = alone || this.#lines.has(own) ? own : reader.url;
    if (!this.#lines.has(key)) this.#lines.set(key, new Line(this, key, key === own));
    this.#readers.set(reader.name, reader);
    this.#lines.get(key).add(reader);
  }

  #drop(reader) {
    this.#readers.delete(reader.name);
    reader.line.readers.delete(reader);
    reader.line.dropped(reader);
    if (reader.line.readers.size > 0) return;
    if (this.#lines.get(reader.line.key) === reader.line) this.#lines.delete(reader.line.key);
    reader.line.reopen();
  }

  #leave(tab) {
    this.#tabs.delete(tab);
    for (const reader of [...this.#readers.values()]) if (reader.tab === tab) this.#drop(reader);
  }

  end(line, denied) {
    for (const reader of [...line.readers]) {
      this.#drop(reader);
      reader.send({ denied });
    }
  }

  // One reader's topic may be what the server refuses to all: then each set of topics is asked for alone.
  refuse(line, denied) {
    const readers = [...line.readers], sets = new Set(readers.map((reader) => setOf(reader.topics)));
    for (const reader of readers) {
      this.#drop(reader);
      if (sets.size > 1) this.#join(reader, true);
      else reader.send({ denied });
    }
  }
}

class Page {
  #id = `${Date.now()}${Math.random()}`; // crypto.randomUUID is for secure origins only
  #subs = new Map(); #post = () => {}; #count = 0;

  async start() {
    const locks = globalThis.navigator?.locks;
    // From here to the tab's end; the hub waits for it.
    if (locks) await new Promise((ok) => { locks.request(`${PROTOCOL} ${this.#id}`, () => { ok(); return new Promise(() => {}); }); });
    globalThis.addEventListener?.('pagehide', () => this.#post({ op: 'bye' }));
    globalThis.addEventListener?.('pageshow', (event) => event.persisted && this.#joinAll());
    globalThis.addEventListener?.('online', () => this.#post({ op: 'wake', online: true }));
    globalThis.document?.addEventListener('visibilitychange', () => document.hidden || this.#post({ op: 'wake' }));
    try {
      const worker = new SharedWorker(import.meta.url, { type: 'module', name: PROTOCOL });
      worker.onerror = () => this.#elect(locks);
      worker.port.onmessage = ({ data }) => this.#receive(data);
      this.#post = (message) => worker.port.postMessage({ tab: this.#id, ...message });
      this.#joinAll();
    } catch {
      this.#elect(locks);
    }
  }

  // Whoever gets the lock leads, until its tab ends; then all join the next one, from their cursors.
  #elect(locks) {
    if (!locks || typeof BroadcastChannel === 'undefined') return this.#lead();
    const channel = new BroadcastChannel(PROTOCOL);
    let hub = null;
    channel.onmessage = ({ data }) => {
      if (data.leads) this.#joinAll();
      else if (data.to === this.#id) this.#receive(data);
      else if (data.tab !== undefined) hub?.receive((message) => channel.postMessage({ to: data.tab, ...message }), data);
    };
    this.#post = (message) => channel.postMessage({ tab: this.#id, ...message });
    this.#joinAll();
    locks.request(`${PROTOCOL} leader`, () => {
      hub = this.#lead();
      channel.postMessage({ leads: true });
      return new Promise(() => {});
    });
  }

  #lead() {
    const hub = new Hub();
    this.#post = (message) => hub.receive((answer) => this.#receive(answer), { tab: this.#id, ...message });
    this.#joinAll();
    return hub;
  }

  #joinAll() { for (const [id, sub] of this.#subs) this.#open(id, sub); }
  #open(id, { topics, cursor, silence, url }) { this.#post({ op: 'open', id, topics, cursor, silence, url }); }

  open(sub) {
    const id = ++this.#count;
    this.#subs.set(id, sub);
    this.#open(id, sub);
    return () => { if (this.#subs.delete(id)) this.#post({ op: 'close', id }); };
  }

  renew() { this.#post({ op: 'renew' }); }

  async #receive({ id, status, position, event, reset, expired, denied, refresh, gap }) {
    const sub = this.#subs.get(id);
    if (sub === undefined) return;
    if (refresh) {
      const answer = await Promise.resolve().then(sub.refresh).catch((error) => error);
      const over = [400, 401, 403, 422].includes(answer?.status); // of what says nothing, the next answer will
      this.#post({ op: 'refreshed', id, over, failed: !over && (answer instanceof Error || answer?.ok === false) });
    } else if (denied) {
      this.#subs.delete(id);
      sub.say('denied');
      tell(sub.on, 'denied', denied);
    } else if (expired) tell(sub.on, 'session-expired');
    else if (gap) tell(sub.on, 'gap', gap);
    else if (status !== undefined) sub.say(status);
    else if (reset || position > (sub.cursor ?? -1)) {
      sub.cursor = position;
      if (reset) tell(sub.on, 'reset', position);
      else if (event !== undefined) tell(sub.on, 'event', event);
    }
  }
}

// A fault in a page's handler is the page's: it shows in the console, and the stream goes on.
function tell(on, name, value) {
  const handlers = typeof on === 'function' ? [name === 'event' && on] : [on[name], name === 'event' && on[value.type]];
  for (const handler of handlers) {
    try { if (handler) handler(value); } catch (error) { setTimeout(() => { throw error; }); }
  }
}

async function refreshSession(base) {
  const ask = () => fetch(`${base}/api/auth/refresh`, { method: 'POST', credentials: 'same-origin' });
  return globalThis.navigator?.locks ? navigator.locks.request('courant-refresh', ask) : ask();
}

let page = null;

export function subscribe(topics, { after = null, on = {}, base = '', silence = 45000, refresh = () => refreshSession(base) } = {}) {
  const sub = { topics: [topics].flat(), cursor: after, on, silence, refresh, status: null, url: new URL(`${base}/events`, globalThis.location?.href).href };
  sub.say = (status) => { if (sub.status !== status) tell(on, 'status', sub.status = status); };
  if (page === null) (page = new Page()).start();
  const leave = page.open(sub);
  return {
    get status() { return sub.status ?? 'connecting'; },
    get position() { return sub.cursor; },
    close() { leave(); sub.say('ended'); },
  };
}

// The session is another one: what the stream may show is asked anew. For all tabs, as the cookies are.
export function renew() { page?.renew(); }

export async function snapshot(url, options = {}) {
  const response = await fetch(url, { cache: 'no-cache', ...options });
  if (!response.ok) throw Object.assign(new Error(`${url}: ${response.status}`), { status: response.status });
  const position = response.headers.get('Courant-Position');
  return { body: await response.json(), position: position === null ? null : Number(position) };
}

export function snapshotAndFollow(url, topics, on, { refresh = () => refreshSession(options.base ?? ''), ...options } = {}) {
  let sub = null, ended = false, status = null;
  const say = (next) => { if (next !== status && !(next === 'ended' && !ended)) tell(on, 'status', status = next); };
  async function begin(cache) {
    sub?.close();
    for (let failures = 0, asked = false; !ended; failures++) {
      try {
        say('connecting');
        const found = await snapshot(url, { cache });
        if (ended) return;
        tell(on, 'snapshot', found);
        const reset = (position) => { tell(on, 'reset', position); begin('reload'); };
        sub = subscribe(topics, { ...options, refresh, after: found.position, on: { ...on, reset, status: say } });
        return;
      } catch (error) {
        if (error.status === 401 && !asked) { asked = true; await Promise.resolve().then(refresh).catch(() => {}); continue; }
        if ([401, 403, 410, 422].includes(error.status)) { say('denied'); return tell(on, 'denied', { status: error.status, detail: error.message }); }
        say('waiting');
        await new Promise((ok) => { setTimeout(ok, backoff(1000, failures)); });
      }
    }
  }
  begin('no-cache');
  return { get status() { return status; }, get position() { return sub?.position ?? null; }, close() { ended = true; sub?.close(); say('ended'); } };
}

if (typeof SharedWorkerGlobalScope === 'function' && globalThis instanceof SharedWorkerGlobalScope) {
  const hub = new Hub();
  globalThis.onconnect = ({ ports: [port] }) => { port.onmessage = ({ data }) => hub.receive((message) => port.postMessage(message), data); };
}
