// Leads Chromium as somebody without an account who was given a link, and as the auditor who gives one.
// Started by `cargo test -p hansard-tests --test web`.
import assert from 'node:assert/strict';
import { accessible, lead, open, shot, signIn, step, until } from './drive.mjs';

const { ORIGIN, SESSION, OTHER, EXPIRED, STRETCH, FROM_MS, UNTIL_MS } = process.env;

const shows = (page, text) => page.locator('.stage .glass').first().getByText(text).first().waitFor();

await lead(async () => {
  let link = '';
  const auditor = await open();

  await step('an auditor makes a link in the player', async () => {
    await auditor.goto(`${ORIGIN}/sessions/${SESSION}`);
    await signIn(auditor, 'ada', false);
    await auditor.getByRole('tab', { name: 'Share' }).click();
    await auditor.getByLabel('For', { exact: true }).fill('<b>Ms Outside</b>');
    await auditor.getByLabel('Reason, for the record').fill('yearly audit');
    await auditor.getByRole('button', { name: 'Make a link' }).click();
    link = await auditor.getByTestId('link').textContent();
    assert.ok(link.startsWith(`${ORIGIN}/shared#hansard-link-`), link);
    await auditor.getByRole('list', { name: 'Links' }).getByText('<b>Ms Outside</b>').waitFor();
    await accessible(auditor, 'sharing');
  });

  await step('the link opens the player without an account, with the name across it', async () => {
    const page = await open();
    const asked = [];
    page.on('request', (request) => asked.push(new URL(request.url())));
    await page.goto(link);
    await page.getByTestId('clock').waitFor();
    await page.locator('body').press('End');
    await shows(page, 'after words');
    await page.getByRole('img', { name: '<b>Ms Outside</b>' }).waitFor();
    assert.match(await page.locator('.watermark text').first().textContent(), /^<b>Ms Outside<\/b> · \d{4}-/);
    // Nothing of what is behind a sign-in is asked for or offered, and the secret is in no address.
    const paths = asked.map((url) => url.pathname).filter((path) => path.startsWith('/v1/'));
    const its = [`/v1/sessions/${SESSION}`, `/v1/sessions/${SESSION}/timeline`, `/v1/sessions/${SESSION}/frames`];
    assert.deepEqual([...new Set(paths)].filter((path) => path !== '/v1/shared' && !its.includes(path)), []);
    assert.ok(asked.every((url) => !url.search.includes('hansard-link')));
    assert.equal(await page.getByRole('navigation').count(), 0);
    for (const name of ['Download', 'Copy text', 'Copy link', 'Terminate', 'Sign out']) {
      assert.equal(await page.getByText(name).count(), 0, name);
    }
    await shot(page, 'shared');
    await accessible(page, 'a shared session');
    // The keyboard plays as it does elsewhere.
    await page.locator('body').press('Home');
    await page.getByTestId('clock').getByText(/^0:00/).waitFor();
    await page.getByLabel('Speed').selectOption('16×');
    await page.locator('body').press(' ');
    await shows(page, 'after words');
    // Another page of the application is not opened by it.
    await page.goto(`${ORIGIN}/sessions/${OTHER}`);
    await page.getByRole('button', { name: 'Sign in' }).waitFor();
    await page.context().close();
  });

  await step('a link to a stretch begins and ends there', async () => {
    const page = await open();
    await page.goto(STRETCH);
    await shows(page, 'inside words');
    await page.locator('body').press('Home');
    await shows(page, 'inside words');
    await page.locator('body').press('End');
    await page.getByText('You are shown').waitFor();
    const text = await page.locator('.stage .glass').first().textContent();
    assert.ok(text.includes('inside words') && !text.includes('after words'), text);
    assert.ok(Number(FROM_MS) > 0);
    await page.context().close();
  });

  await step('a stretch that is chosen in the player begins and ends at the very moments', async () => {
    const moment = (ms) => `${ORIGIN}/sessions/${SESSION}#t=${(Number(ms) / 1000).toFixed(3)}`;
    const choose = async (ms, words, name) => {
      await auditor.goto('about:blank');
      await auditor.goto(moment(ms));
      await shows(auditor, words);
      await auditor.getByRole('tab', { name: 'Share' }).click();
      await auditor.getByRole('button', { name: `${name} here` }).click();
      return auditor.getByLabel(name, { exact: true }).inputValue();
    };
    const to = await choose(UNTIL_MS, 'after words', 'Until');
    // The first millisecond behind what must not be seen.
    const from = await choose(FROM_MS, 'inside words', 'From');
    assert.match(`${from} ${to}`, /^\d+:\d\d\.\d{3} \d+:\d\d\.\d{3}$/);
    await shot(auditor, 'share-moments');
    await auditor.getByLabel('For', { exact: true }).fill('Mx Exact');
    await auditor.getByLabel('Until', { exact: true }).fill(to);
    await auditor.getByRole('button', { name: 'Make a link' }).click();
    const page = await open();
    const answers = [];
    page.on('response', (response) => {
      if (response.url().includes('/frames?')) {
        // Of one that is broken off, at the latest by the page's end, there is nothing to be seen.
        answers.push(response.text().catch(() => ''));
      }
    });
    await page.goto(await auditor.getByTestId('link').textContent());
    await shows(page, 'inside words');
    await page.locator('body').press('End');
    await shows(page, 'after words');
    await page.locator('body').press('Home');
    await shows(page, 'inside words');
    await page.getByText(`You are shown ${from} to ${to} of it`).waitFor();
    const told = await until('three answers', () => Promise.all(answers), (all) => all.filter(Boolean).length >= 3);
    assert.ok(told.every((text) => !text.includes('before words')), told.join('\n'));
    await shot(page, 'shared-moments');
    await page.context().close();
  });

  await step('a link that is revoked ends at the next moment that is asked for', async () => {
    const page = await open();
    await page.goto(link);
    await page.getByTestId('clock').waitFor();
    await auditor.getByRole('button', { name: 'Revoke the link for <b>Ms Outside</b>' }).click();
    await auditor.getByText('revoked').waitFor();
    await page.locator('body').press('End');
    await page.getByRole('alert').getByText('the link was revoked').waitFor();
    assert.equal(await page.locator('.stage').count(), 0);
    await page.reload();
    await page.getByRole('alert').getByText('the link was revoked').waitFor();
    await page.context().close();
  });

  await step('a link that has expired, or is none, opens nothing', async () => {
    const page = await open();
    await page.goto(EXPIRED);
    await page.getByRole('alert').getByText('the link has expired').waitFor();
    assert.equal(await page.locator('.stage').count(), 0);
    await page.goto(`${ORIGIN}/shared`);
    await page.getByRole('alert').getByText('there is no such link').waitFor();
    await accessible(page, 'a link that is none');
    await page.context().close();
  });
});
