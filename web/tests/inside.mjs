// Leads Chromium to what is found and what happened within a recording, however close together. Started by
// `cargo test -p hansard-tests --test web listings`.
import assert from 'node:assert/strict';
import { lead, open, signIn, step, until } from './drive.mjs';

const { ORIGIN, MANY } = process.env;

await lead(async () => {
  const page = await open();
  const beside = page.getByRole('complementary', { name: 'Beside the screen' });

  await step('many findings of one moment are each listed once', async () => {
    await page.goto(`${ORIGIN}/sessions/${MANY}#t=0`);
    await signIn(page, 'ada', false);
    await page.getByTestId('clock').waitFor();
    await page.locator('body').press('/');
    await page.getByLabel('Text that stood on the screen').fill('error line');
    await page.keyboard.press('Enter');
    await page.getByRole('status').getByText('302 found', { exact: true }).waitFor();
    const said = await beside.locator('ol .what').allTextContents();
    assert.deepEqual(said, Array.from({ length: 302 }, (_, n) => `error line ${n + 1}.`));
  });

  await step('where not all are listed, that is said', async () => {
    const asked = [];
    const pattern = /\/find\?/;
    const answers = [
      { rows: 10, until_ns: 5_000_000, more_findings: true },
      { rows: 5, until_ns: null, more_findings: false },
      { rows: 1200, until_ns: 7_000_000, more_findings: false },
    ];
    await page.route(pattern, async (route) => {
      asked.push(new URL(route.request().url()).searchParams.get('from_ms'));
      const { rows, ...rest } = answers.shift();
      const findings = Array.from({ length: rows }, (_, n) => ({ at_ns: n, row: null, text: `found ${n}` }));
      await route.fulfill({ json: { findings, complete: rest.until_ns === null, damages: 0, ...rest } });
    });
    const field = page.getByLabel('Text that stood on the screen');
    await field.press('Enter');
    await page.getByRole('status').getByText('15+ found', { exact: true }).waitFor();
    await field.press('Enter');
    await page.getByRole('status').getByText('1000+ found', { exact: true }).waitFor();
    assert.deepEqual(asked, ['0', '5', '0']);
    await page.unroute(pattern);
  });

  await step('happenings that are close together are led to one by one, there and back', async () => {
    const moments = [100, 150, 150.0004, 190.4, 190.6, 250];
    await page.route('**/timeline', async (route) => {
      const response = await route.fetch();
      const happenings = moments.map((ms, ei) => ({ at_ns: Math.round(ms * 1e6), ei, lane: 'others', label: `number ${ei}` }));
      await route.fulfill({ response, json: { ...(await response.json()), happenings } });
    });
    await page.goto('about:blank');
    await page.goto(`${ORIGIN}/sessions/${MANY}#t=0`);
    await until('all of them', () => beside.locator('ol.happenings li').count(), (count) => count === moments.length);
    const body = page.locator('body');
    const goes = async (key, stops) => {
      for (const stop of stops) {
        await body.press(key);
        await until(`${key} to ${stop}`, () => page.url(), (url) => url.endsWith(`#t=${stop}`));
      }
    };
    // What comes within one millisecond is one moment.
    const stops = ['0.100', '0.150', '0.151', '0.191', '0.250'];
    await goes('m', [...stops, stops.at(-1)]);
    await goes('M', [...stops.toReversed().slice(1), stops[0]]);
    await page.unroute('**/timeline');
  });
});
