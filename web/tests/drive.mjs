// Chromium, as tests lead it: what a page must never do is counted, whatever a test looks for.
import assert from 'node:assert/strict';
import { createHmac } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { chromium } from 'playwright-core';

const { ORIGIN, PASSWORD, PROVIDER, TOTP, CHROMIUM, SHOTS } = process.env;

/** How long anything may take, on a machine that does other things besides. */
const WITHIN = 60_000;

/** The code that an authenticator shows now (RFC 6238). */
export function code(now = Date.now()) {
  const bits = [...TOTP].map((c) => 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567'.indexOf(c).toString(2).padStart(5, '0')).join('');
  const key = Buffer.from(bits.match(/.{8}/g).map((byte) => parseInt(byte, 2)));
  const step = Buffer.alloc(8);
  step.writeBigUInt64BE(BigInt(Math.floor(now / 30_000)));
  const tag = createHmac('sha1', key).update(step).digest();
  const at = tag.at(-1) & 15;
  return String((tag.readUInt32BE(at) & 0x7fffffff) % 1e6).padStart(6, '0');
}

const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');

/** Whether people who see, hear or move otherwise can use the page as it is now. */
export async function accessible(page, name) {
  await page.evaluate(axe);
  const found = await page.evaluate(() => window.axe.run());
  const serious = found.violations.filter((one) => ['serious', 'critical'].includes(one.impact));
  const words = serious.map((one) => `${one.id}: ${one.nodes.map((node) => node.html.slice(0, 160)).join(' | ')}`);
  assert.deepEqual(words, [], `${name} is accessible`);
}

const browser = await chromium.launch({ executablePath: CHROMIUM, args: ['--no-sandbox', '--disable-gpu'] });
const faults = [];
const foreign = [];
const expected = ['the server responded with a status of 4'];

/** What the console may say from now on. */
export function expect(words) {
  expected.push(words);
}

export async function open(options = {}) {
  const context = await browser.newContext({ viewport: { width: 1360, height: 820 }, ...options });
  context.setDefaultTimeout(WITHIN);
  const page = await context.newPage();
  // A breach of the page's policy is an error of the console.
  page.on('console', (message) => {
    const isExpected = expected.some((words) => message.text().includes(words));
    if (message.type() === 'error' && !isExpected) {
      faults.push(message.text());
    }
  });
  page.on('pageerror', (error) => faults.push(String(error)));
  page.on('dialog', (dialog) => {
    faults.push(`dialog: ${dialog.message()}`);
    void dialog.dismiss();
  });
  page.on('request', (request) => {
    const ours = [ORIGIN, ...(PROVIDER ?? '').split(' ')].filter((origin) => origin);
    if (!ours.some((origin) => request.url().startsWith(origin))) {
      foreign.push(request.url());
    }
  });
  return page;
}

export async function step(name, act) {
  await act();
  console.log(`ok ${name}`);
}

export async function shot(page, name) {
  if (SHOTS) {
    await page.screenshot({ path: join(SHOTS, `${name}.png`) });
  }
}

export async function signIn(page, user, withCode) {
  await page.getByLabel('Name').fill(user);
  await page.getByLabel('Password').fill(PASSWORD);
  if (withCode) {
    await page.getByLabel('Code').fill(code());
  }
  await page.getByRole('button', { name: 'Sign in', exact: true }).click();
}

/** Waits until a question about the page has this answer. */
export async function until(what, ask, wanted) {
  const since = Date.now();
  let got = await ask();
  while (!wanted(got)) {
    assert.ok(Date.now() - since < WITHIN, `${what}: ${JSON.stringify(got)}`);
    await new Promise((go) => setTimeout(go, 50));
    got = await ask();
  }
  return got;
}

/** Leads it, and ends it whatever comes of that. */
export async function lead(act) {
  try {
    await act();
    assert.deepEqual(faults, [], 'the console has no errors');
    assert.deepEqual(foreign, [], 'nothing is asked of anybody else');
  } finally {
    await browser.close();
  }
}
