// Leads Chromium to each of two providers of OpenID Connect and back. Started by `cargo test -p hansard-tests
// --test web`, with providers of its own.
import assert from 'node:assert/strict';
import { lead, open, step } from './drive.mjs';

const { ORIGIN } = process.env;

await lead(async () => {
  for (const name of ['honest', 'hostile']) {
    await step(`whoever goes to the ${name} one comes back from it`, async () => {
      const page = await open();
      await page.goto(`${ORIGIN}/sessions`);
      await page.getByRole('button', { name: `Sign in with The ${name} one` }).click();
      await page.getByRole('heading', { name: 'Who are you?' }).waitFor();
      const asked = new URL(page.url()).searchParams;
      assert.equal(asked.get('redirect_uri'), `${ORIGIN}/sign-in/oidc/${name}`);
      await page.getByRole('link', { name: 'Yes, it is me' }).click();
      await page.getByRole('button', { name: 'Sign out' }).waitFor();
      assert.equal(page.url(), `${ORIGIN}/sessions`);
      await page.context().close();
    });
  }
});
