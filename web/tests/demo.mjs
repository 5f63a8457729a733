// Looks at the demo's service in Chromium as somebody would who was given the link; started by
// scripts/demo_web.sh. With SHOTS=DIR it keeps the pictures of the README.
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { chromium } from 'playwright-core';

const { ORIGIN, NAME, PASSWORD, WORD, LINK, CHROMIUM, SHOTS } = process.env;

/** How long anything may take, on a machine that does other things besides. */
const WITHIN = 60_000;

const browser = await chromium.launch({ executablePath: CHROMIUM, args: ['--no-sandbox', '--disable-gpu'] });

async function open(options) {
  const context = await browser.newContext({ viewport: { width: 1280, height: 760 }, ...options });
  context.setDefaultTimeout(WITHIN);
  return context.newPage();
}

const shot = async (page, name) => SHOTS && page.screenshot({ path: join(SHOTS, `${name}.png`) });
const screen = (page) => page.locator('.stage .glass').first();
const shows = (page, text) => screen(page).getByText(text).first().waitFor();

try {
  const page = await open({ colorScheme: 'dark' });
  await page.goto(LINK);
  await page.getByLabel('Name').fill(NAME);
  await page.getByLabel('Password').fill(PASSWORD);
  await page.getByRole('button', { name: 'Sign in' }).click();
  await shows(page, WORD);
  await shot(page, 'player-dark');

  await page.getByRole('link', { name: 'Sessions' }).click();
  await page.getByRole('listitem').filter({ hasText: 'a book' }).first().waitFor();
  await page.getByRole('listitem').filter({ hasText: 'top -d 1' }).filter({ hasText: 'live' }).first().waitFor();
  await shot(page, 'list');

  await page.getByRole('link', { name: 'Search' }).click();
  await page.getByLabel('What was shown, typed, run or told of').fill(WORD);
  await page.keyboard.press('Enter');
  await page.locator('mark').first().waitFor();
  await shot(page, 'search');
  await page.locator('a.hit').first().click();
  await shows(page, WORD);
  await page.locator('body').press('Home');
  await screen(page).getByText(WORD).waitFor({ state: 'detached' });
  await page.getByLabel('Speed').selectOption('16×');
  await page.getByRole('button', { name: 'Play' }).click();
  await page.getByRole('button', { name: 'Play' }).waitFor();
  const words = 'signed in at the link, listed, searched, jumped to it, scrubbed back, played to the end';

  const state = await page.context().storageState();
  const light = await open({ colorScheme: 'light', storageState: state });
  await light.goto(LINK);
  await shows(light, WORD);
  await shot(light, 'player-light');
  await light.goto(`${ORIGIN}/sessions`);
  await light.getByRole('listitem').filter({ hasText: 'top -d 1' }).first().click();
  await shows(light, 'load average');
  await light.getByRole('status').filter({ hasText: 'live' }).waitFor();
  await shot(light, 'live');
  const phone = await open({ viewport: { width: 390, height: 800 }, colorScheme: 'dark', storageState: state });
  await phone.goto(LINK);
  await shows(phone, WORD);
  assert.ok(await phone.evaluate(() => document.documentElement.scrollWidth <= innerWidth));
  await shot(phone, 'phone');
  console.log(`${words}; watched a session as it happens`);
} finally {
  await browser.close();
}
