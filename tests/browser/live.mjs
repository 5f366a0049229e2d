// Two windows of the page in headless Chromium: one logs in and writes, the other shows it within a second.
import assert from 'node:assert/strict';
import { createRequire } from 'node:module';
import { join } from 'node:path';

const { COURANT_URL, COURANT_ADMIN_USER, COURANT_ADMIN_PASSWORD, COURANT_TEST_NODE, COURANT_TEST_PICTURES } = process.env;
const { chromium } = createRequire(join(COURANT_TEST_NODE, 'package.json'))('playwright-core');

const browser = await chromium.launch({
  executablePath: '/usr/bin/chromium',
  args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
    '--disable-component-update', '--disable-sync'],
});

async function open(name) {
  const page = await (await browser.newContext({ viewport: { width: 800, height: 900 } })).newPage();
  const faults = [];
  page.on('pageerror', (error) => faults.push(`${name}: ${error}`));
  await page.goto(`${COURANT_URL}/`);
  await page.locator('#connection.live').waitFor();
  return { page, faults };
}

async function logIn(page, password) {
  await page.fill('#login [name=username]', COURANT_ADMIN_USER);
  await page.fill('#login [name=password]', password);
  await page.click('#login button');
}

async function write(page, title, publish) {
  await page.fill('#write [name=title]', title);
  await page.fill('#write [name=lead]', 'A lead with <b>markup</b> that stays text');
  await page.fill('#write [name=content]', 'The text.');
  await page.fill('#write [name=tags]', 'one, two');
  await page.setChecked('#write [name=publish]', publish);
  await page.click('#write button');
}

try {
  const writer = await open('writer');
  const reader = await open('reader');
  assert.equal(await writer.page.locator('#write-section').isVisible(), false, 'nobody writes without a login');

  await logIn(writer.page, 'not the password');
  await writer.page.locator('#login .fault', { hasText: 'wrong' }).waitFor();
  await logIn(writer.page, COURANT_ADMIN_PASSWORD);
  await writer.page.locator('#write-section').waitFor();
  await writer.page.locator('#connection.live').waitFor();

  const secret = `A draft ${Date.now()}`;
  await write(writer.page, secret, false);
  await writer.page.locator('#articles h3', { hasText: secret }).waitFor();

  const title = `Over the wire ${Date.now()} é😀`;
  await write(writer.page, title, true);
  const sent = Date.now();
  await reader.page.locator('#articles h3', { hasText: title }).waitFor({ timeout: 1000 });
  console.log(`the other window showed it after at most ${Date.now() - sent} ms`);
  await writer.page.locator('#articles h3', { hasText: title }).waitFor();

  assert.equal(await reader.page.locator('#articles h3', { hasText: secret }).count(), 0, 'a draft is its author\'s');
  assert.equal(await reader.page.locator('#articles li', { hasText: title }).count(), 1, 'shown once');
  assert.equal(await reader.page.locator('#articles b').count(), 0, 'markup in a title or lead stays text');

  const links = await reader.page.locator('footer a, link[rel=alternate]').evaluateAll((all) => all.map((each) => each.href));
  assert.equal(links.length, 3);
  for (const link of links) assert.ok((await fetch(link)).ok, link);

  await reader.page.reload();
  await reader.page.locator('#articles h3', { hasText: title }).waitFor();

  // The access token runs out: the page goes on by the refresh token, once for all its calls.
  const context = writer.page.context();
  const cookies = await context.cookies();
  assert.deepEqual(cookies.map((cookie) => cookie.name).sort(), ['courant_access', 'courant_refresh']);
  assert.ok(cookies.every((cookie) => cookie.httpOnly && cookie.sameSite === 'Lax'));
  await context.clearCookies({ name: 'courant_access' });
  await write(writer.page, `Refreshed ${title}`, true);
  await reader.page.locator('#articles h3', { hasText: `Refreshed ${title}` }).waitFor();
  await writer.page.reload();
  await writer.page.locator('#logout').waitFor();
  await writer.page.click('#logout');
  await writer.page.locator('#login-section').waitFor();
  assert.deepEqual((await context.cookies()).map((cookie) => cookie.name), []);
  assert.equal(await writer.page.locator('#articles h3', { hasText: secret }).count(), 0, 'the draft goes with the session');
  if (COURANT_TEST_PICTURES) {
    await writer.page.screenshot({ path: join(COURANT_TEST_PICTURES, 'writer.png') });
    await reader.page.screenshot({ path: join(COURANT_TEST_PICTURES, 'reader.png') });
  }
  assert.deepEqual([...writer.faults, ...reader.faults], []);
} finally {
  await browser.close();
}
