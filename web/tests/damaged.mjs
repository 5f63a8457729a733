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
    await until('how long it is', () => page.getByTestId('clock').textContent(), (text) => / \/ (?!0:00)\d+:\d\d/.test(text));
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

  await step('a copy that cannot say what is not in it has that said beside it', async () => {
    await page.getByRole('tab', { name: 'Export' }).click();
    const format = page.getByLabel('Format');
    const lacking = page.getByRole('status').getByText('Not in it is what is damaged.');
    assert.equal(await lacking.count(), 0, 'the evidence itself lacks nothing that a copy could');
    await format.selectOption('raw');
    await lacking.getByText('A file of this format does not say so.').waitFor();
    await format.selectOption('jsonl');
    await until('what is said of JSON', () => lacking.textContent(), (text) => !text.includes('does not say so'));
    await accessible(page, 'a copy of a damaged recording');
    await shot(page, 'damaged-export');
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

  await step('a session that goes no further and has no end is not shown as one that goes on', async () => {
    const other = await open();
    // What the service would say of one whose host is gone.
    const gone = (row) => (row.sid === LIVE ? { ...row, ended: false, no_end: 'its host is not connected' } : row);
    const changed = (pattern, change) =>
      other.route(pattern, async (route) => {
        const response = await route.fetch();
        await route.fulfill({ response, json: change(await response.json()) });
      });
    await changed(/\/v1\/sessions(\?.*)?$/, (all) => ({ ...all, sessions: all.sessions?.map(gone) }));
    await changed(new RegExp(`/v1/sessions/${LIVE}(\\?.*)?$`), gone);
    await other.goto(`${ORIGIN}/sessions`);
    await signIn(other, 'ada', false);
    const row = other.locator(`a[href="/sessions/${LIVE}"]`);
    await row.getByText('no end').waitFor();
    assert.equal(await row.getByText('live', { exact: true }).count(), 0);
    assert.equal(await row.locator('.state').getAttribute('title'), 'no end: its host is not connected');
    await accessible(other, 'a list with a session that has no end');
    await row.click();
    await other.getByRole('status').getByText('No end: its host is not connected.').waitFor();
    // It is played as far as it is there.
    await other.getByTestId('clock').waitFor();
    await other.getByRole('tab', { name: 'Facts' }).click();
    await other.getByRole('definition').getByText('no end: its host is not connected').waitFor();
    await other.getByRole('tab', { name: 'Export' }).click();
    await other.getByLabel('Format').selectOption('ttyrec');
    await other.getByText('Not in it is an end: the recording has none, so far or for ever. A file of this format does not say so.').waitFor();
    await accessible(other, 'a session that has no end');
    await shot(other, 'no-end');
    await other.context().close();
  });
});
