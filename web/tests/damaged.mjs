// Leads Chromium to a recording that is damaged, and to a live view that has lost something. Started by
// `cargo test -p hansard-tests --test web`.
import assert from 'node:assert/strict';
import { accessible, lead, open, shot, signIn, step, until } from './drive.mjs';

const { ORIGIN, DAMAGED, LIVE, LINK } = process.env;

const damaged = (page) => page.getByRole('alert').getByText('The recording is damaged in one place');

await lead(async () => {
  const page = await open();

  await step('a damaged recording says so as soon as anybody meets it, and where', async () => {
    await page.goto(`${ORIGIN}/sessions/${DAMAGED}#t=0`);
    await signIn(page, 'ada', false);
    await page.getByTestId('clock').waitFor();
    await until('how long it is', () => page.getByTestId('clock').textContent(), (text) => /\/ 0:0[1-9]/.test(text));
    await page.getByRole('tab', { name: 'Find' }).click();
    await page.getByLabel('Text that stood on the screen').fill('MARK-');
    await page.keyboard.press('Enter');
    await page.getByRole('status').getByText(/^\d+ found; the recording is damaged, and nothing is found there$/).waitFor();
    await damaged(page).waitFor();
    // The timeline from before the damage is asked for again.
    await page.locator('.lanes').getByText('gaps').waitFor();
    await page.getByRole('tab', { name: 'What happened' }).click();
    const gap = page.getByRole('complementary').getByRole('button', { name: /gaps damaged at byte \d+/ });
    await gap.click();
    await until('the moment before it', () => page.url(), (url) => Number(url.split('#t=')[1]) > 0);
    for (const colorScheme of ['light', 'dark']) {
      await page.emulateMedia({ colorScheme });
      await accessible(page, `a damaged recording, ${colorScheme}`);
      await shot(page, `damaged-${colorScheme}`);
    }
    // Who opens it now is told at once.
    await page.goto('about:blank');
    await page.goto(`${ORIGIN}/sessions/${DAMAGED}#t=0`);
    await damaged(page).waitFor();
  });

  await step('whoever was given a link to it is told, too', async () => {
    const other = await open();
    await other.goto(LINK);
    await damaged(other).waitFor();
    await shot(other, 'damaged-shared');
    await accessible(other, 'a damaged recording that is shared');
    await other.context().close();
  });

  await step('a live view says what it has lost, while it goes on and when it is over', async () => {
    // What the service would send, line by line.
    await page.addInitScript(() => {
      const real = window.fetch;
      const text = new TextEncoder();
      window.fetch = (path, init) => {
        if (!String(path).endsWith('/watch')) {
          return real(path, init);
        }
        const start = (to) => (window.tell = (line) => to.enqueue(text.encode(`${JSON.stringify(line)}\n`)));
        return Promise.resolve(new Response(new ReadableStream({ start })));
      };
    });
    await page.goto(`${ORIGIN}/sessions/${LIVE}`);
    await page.waitForFunction(() => window.tell);
    const tell = (line) => page.evaluate((one) => window.tell(one), line);
    const alert = page.getByRole('alert');
    await tell({ family: 'frame', at_ns: 1e9, size: [20, 5], cursor: [0, 0], rows: [[0, [[0, 5, 'begun']]]] });
    await page.locator('.stage .glass').getByText('begun').waitFor();
    assert.equal(await alert.count(), 0);
    await tell({ family: 'lost', segment: 3, reason: 'segment 3 <b>is gone</b>' });
    await alert.getByText('Not all of it is shown here: segment 3 <b>is gone</b>.').waitFor();
    await page.getByRole('status').getByText('live').waitFor();
    for (const n of [5, 6, 7]) {
      await tell({ family: 'lost', segment: null, reason: `${n} happenings were left out` });
    }
    const words = [5, 6, 7].map((n) => `${n} happenings were left out`).join('; ');
    await alert.getByText(`Not all of it is shown here: ${words}; and 1 more before that.`).waitFor();
    await accessible(page, 'a live view that has lost something');
    await shot(page, 'live-lost');
    await tell({ family: 'over', reason: 'exited' });
    await page.getByRole('status').getByText('The session is over: exited.').waitFor();
    await alert.getByText(words).waitFor();
    await shot(page, 'live-lost-over');
  });
});
