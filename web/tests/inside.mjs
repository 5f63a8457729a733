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
});
