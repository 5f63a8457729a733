// Leads Chromium through a long recording and says in one line of JSON how long each thing took.
// Started by bench/browser.py.
import { createRequire } from 'node:module';
import { memory } from './browser_memory.mjs';

const { ORIGIN, PASSWORD, SESSION, SEEKS, CHROMIUM, WINDOW } = process.env;
const { chromium } = createRequire(new URL('../web/package.json', import.meta.url))('playwright-core');

/** Longest anything may take, milliseconds. */
const WITHIN = 300_000;

/** Runs in the page before anything of it: when something was pressed, and when the screen was other than before. */
function watch() {
  const log = { pressed: 0, shown: 0, text: '' };
  const pressed = () => {
    log.pressed = performance.now();
    log.shown = 0;
  };
  addEventListener('pointerdown', pressed, { capture: true });
  const look = () => {
    const text = document.querySelector('.stage .glass')?.textContent ?? '';
    if (text.trim() && text !== log.text) {
      log.text = text;
      // With the frame that brings it to the glass.
      requestAnimationFrame(() => {
        if (!log.shown) {
          log.shown = performance.now();
          console.debug(`shown after ${log.shown - log.pressed}`);
        }
      });
    }
  };
  new MutationObserver(look).observe(document, { childList: true, subtree: true, characterData: true });
}

const size = { viewport: { width: 1360, height: 820 } };
const browser = await chromium.launch({ executablePath: CHROMIUM, args: ['--no-sandbox', '--disable-gpu'] });

async function open(options) {
  const context = await browser.newContext({ ...size, ...options });
  context.setDefaultTimeout(WITHIN);
  await context.addInitScript(watch);
  return context.newPage();
}

/** Whether this is the page's word that the screen is another one. */
const isShown = (message) => message.text().startsWith('shown after ');

/** How long it was from what this presses, or from the navigation, to a screen that is other than before. The page says so by
 * itself: whoever asks it runs a script in it meanwhile, of 30 ms the first time. */
async function shown(page, press) {
  const said = page.waitForEvent('console', isShown);
  await press();
  return Number((await said).text().split(' ').pop());
}

/** In a new window of a browser that is signed in: nothing is loaded, and nothing is in its cache. */
async function inNewWindow(signedIn) {
  const page = await open({ storageState: await signedIn.context().storageState() });
  return { cold: await shown(page, () => page.goto(`${ORIGIN}/sessions/${SESSION}`, { waitUntil: 'commit' })) };
}

/** Moments from a fixed seed, each pressed on the timeline. */
async function seek(page) {
  const bar = page.locator('[role=slider][aria-valuetext]').first();
  await page.waitForFunction(() => Number(document.querySelector('[role=slider][aria-valuetext]')?.ariaValueMax) > 60);
  const box = await bar.boundingBox();
  const seeks = [];
  let dice = 20261122;
  for (let n = 0; n < Number(SEEKS); n += 1) {
    dice = (dice * 1103515245 + 12345) % 2147483648;
    await page.mouse.move(box.x + 1 + (dice / 2147483648) * (box.width - 2), box.y + box.height / 2);
    const press = async () => {
      await page.mouse.down();
      await page.mouse.up();
    };
    seeks.push(await shown(page, press));
    // Now before and now after what follows the moment is fetched.
    await page.waitForTimeout(100 + (dice % 400));
  }
  return seeks;
}

async function inOpenPage(page) {
  const link = page.locator(`a[href="/sessions/${SESSION}"]`).first();
  const warm = await shown(page, () => link.click());
  const seeks = await seek(page);
  const largest = await memory(browser);
  const session = await page.context().newCDPSession(page);
  await session.send('HeapProfiler.collectGarbage');
  const heap = (await session.send('Runtime.getHeapUsage')).usedSize / 1048576;
  await page.goto(`${ORIGIN}/sessions`);
  return { warm, seeks, ...largest, heap, again: await shown(page, () => link.click()) };
}

try {
  const page = await open();
  await page.goto(ORIGIN);
  await page.getByLabel('Name').fill('viewer');
  await page.getByLabel('Password').fill(PASSWORD);
  await page.getByRole('button', { name: 'Sign in', exact: true }).click();
  await page.locator(`a[href="/sessions/${SESSION}"]`).first().waitFor();
  console.log(JSON.stringify(WINDOW === 'new' ? await inNewWindow(page) : await inOpenPage(page)));
} finally {
  await browser.close();
}
