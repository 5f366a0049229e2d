// The page: a list that changes as the log does, a form to log in, a form to write.
//
// The list is read once, with the log position that it reflects; the stream goes on from exactly there. Each event then
// names an article, which is read again: what the list shows is always what the server holds.

import { renew, subscribe } from '/courant-events.js';

const $ = (selector) => document.querySelector(selector);

async function call(method, path, body) {
  try {
    return await send(method, path, body);
  } catch (error) {
    if (error.status !== 401 || path === '/api/auth/login' || !hasSession()) throw error;
    return goOn(() => send(method, path, body));
  }
}

// The access token lives for minutes; the refresh token, of which each is good for one use, gives the next. All windows of
// the browser share them, so one at a time asks, and looks first whether another one has done it.
async function goOn(again) {
  return navigator.locks.request('courant-refresh', async () => {
    try {
      return await again();
    } catch (error) {
      if (error.status !== 401) throw error;
    }
    try {
      await send('POST', '/api/auth/refresh');
    } catch (error) {
      if (error.status === 401) noteSession(false);
      throw error;
    }
    return again();
  });
}

// Only that there is one: what it is stays in cookies that scripts do not see.
const hasSession = () => localStorage.getItem('courant-session') !== null;
const noteSession = (there) => (there ? localStorage.setItem('courant-session', '1') : localStorage.removeItem('courant-session'));

async function send(method, path, body) {
  const response = await fetch(path, {
    method,
    headers: body === undefined ? {} : { 'Content-Type': 'application/json' },
    body: body === undefined ? undefined : JSON.stringify(body),
  });
  const answer = response.status === 204 ? null : await response.json();
  if (!response.ok) {
    const faults = (answer.errors ?? []).map((fault) => `${fault.pointer.slice(1)} ${fault.detail}`);
    throw Object.assign(new Error(faults.length > 0 ? faults.join('\n') : answer.detail), { status: response.status });
  }
  return { answer, position: response.headers.get('Courant-Position') };
}

// ---- the list ----

const shown = new Map(); // id → list item
let older = null;

function textElement(name, text, className = '') {
  const element = document.createElement(name);
  element.textContent = text;
  element.className = className;
  return element;
}

function fill(item, article) {
  const time = new Date(article.published_at ?? article.created_at).toLocaleString();
  const state = article.status === 'draft' ? ' · draft' : '';
  const tags = article.tags.map((tag) => ` #${tag}`).join('');
  item.dataset.version = article.version;
  item.replaceChildren(
    textElement('h3', article.title),
    ...(article.lead === '' ? [] : [textElement('p', article.lead)]),
    textElement('p', `${article.author.username ?? 'anonymous'} · ${time}${state}${tags}`, 'meta'),
  );
}

// Identifiers rise with time, so the newest stands first.
function show(article, isNew) {
  let item = shown.get(article.id);
  if (item !== undefined && Number(item.dataset.version) >= article.version) return;
  if (item === undefined) {
    item = document.createElement('li');
    item.dataset.id = article.id;
    const next = [...$('#articles').children].find((other) => other.dataset.id < article.id) ?? null;
    $('#articles').insertBefore(item, next);
    shown.set(article.id, item);
    if (isNew) item.classList.add('new');
  }
  fill(item, article);
  $('#empty').hidden = true;
}

async function refresh(id) {
  try {
    const { answer } = await call('GET', `/api/articles/${id}`);
    show(answer, true);
  } catch (error) {
    if (error.status !== 404 && error.status !== 410) throw error;
    shown.get(id)?.remove();
    shown.delete(id);
    $('#empty').hidden = shown.size > 0 || older !== null;
  }
}

async function readPage(cursor) {
  const query = cursor === null ? '' : `?cursor=${encodeURIComponent(cursor)}`;
  const { answer, position } = await call('GET', `/api/articles${query}`);
  for (const article of answer.items) show(article, false);
  older = answer.next;
  $('#more').hidden = older === null;
  $('#empty').hidden = shown.size > 0;
  return position;
}

$('#more').addEventListener('click', () => readPage(older).catch((error) => say(`no answer: ${error.message}`, false)));

// ---- the stream ----

let stream = null;

function say(text, live) {
  $('#connection').textContent = text;
  $('#connection').classList.toggle('live', live);
}

const STATUS = { connecting: 'connecting…', waiting: 'reconnecting…', live: 'live' };

function follow(position) {
  stream?.close();
  const changed = (event) => refresh(event.data.id).catch(() => start());
  stream = subscribe('articles', {
    after: position,
    refresh: () => goOn(() => send('GET', '/api/auth')),
    on: {
      'article.created': changed,
      'article.updated': changed,
      'article.published': changed,
      'article.unpublished': changed,
      'article.deleted': changed,
      status: (status) => { if (status in STATUS) say(STATUS[status], status === 'live'); },
      // Nothing of what only somebody may see stays for a moment longer.
      'session-expired': () => { setUser(null); $('#articles').replaceChildren(); start(); },
      reset: () => start(),
      denied: ({ detail }) => { say(`no stream: ${detail}`, false); setTimeout(start, 3000); },
    },
  });
}

let starting = null;

function start() {
  starting ??= begin().finally(() => { starting = null; });
  return starting;
}

async function begin() {
  try {
    await whoAmI();
    $('#articles').replaceChildren();
    shown.clear();
    follow(await readPage(null));
  } catch (error) {
    say(`no answer: ${error.message}`, false);
    setTimeout(start, 3000);
  }
}

// ---- the forms ----

let reader; // whom the stream is for; undefined until it is known

function setUser(user) {
  const id = user?.id ?? null;
  if (reader !== undefined && reader !== id) renew();
  reader = id;
  $('#login-section').hidden = user !== null;
  $('#write-section').hidden = user === null;
  $('#who').hidden = user === null;
  $('#name').textContent = user?.username ?? '';
}

async function whoAmI() {
  try {
    const { answer } = await call('GET', '/api/auth');
    setUser(answer);
  } catch (error) {
    if (error.status !== 401) throw error;
    setUser(null);
  }
}

function onSubmit(form, action) {
  const fault = form.querySelector('.fault');
  form.addEventListener('submit', async (event) => {
    event.preventDefault();
    const button = form.querySelector('button');
    button.disabled = true;
    fault.hidden = true;
    try {
      await action(new FormData(form));
      form.reset();
    } catch (error) {
      fault.textContent = error.message;
      fault.hidden = false;
      if (error.status === 401 && form.id !== 'login') setUser(null);
    } finally {
      button.disabled = false;
    }
  });
}

onSubmit($('#login'), async (form) => {
  await call('POST', '/api/auth/login', { username: form.get('username'), password: form.get('password') });
  noteSession(true);
  await starting; // one that began before the login knows nothing of it
  await start();
});

$('#logout').addEventListener('click', async () => {
  try {
    await call('POST', '/api/auth/logout');
  } catch (error) {
    if (error.status !== 401) return say(`no answer: ${error.message}`, false);
  }
  noteSession(false);
  await starting;
  await start();
});

onSubmit($('#write'), async (form) => {
  const { answer } = await call('POST', '/api/articles', {
    title: form.get('title'),
    lead: form.get('lead'),
    content: form.get('content'),
    tags: form.get('tags').split(',').map((tag) => tag.trim()).filter((tag) => tag !== ''),
    publish: form.get('publish') !== null,
  });
  show(answer, true);
});

start();
