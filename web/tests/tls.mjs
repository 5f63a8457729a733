// Leads Chromium through signing in where the service speaks TLS itself. Started by
// `cargo test -p hansard-tests --test web`; who vouches for the certificate other clients of that test check.
import assert from 'node:assert/strict';
import { lead, open, signIn, step } from './drive.mjs';

const { ORIGIN } = process.env;

await lead(async () => {
  const page = await open({ ignoreHTTPSErrors: true });

  await step('signing in works, with a cookie for this host by HTTPS only', async () => {
    await page.goto(`${ORIGIN}/account`);
    await signIn(page, 'ada', false);
    await page.getByRole('button', { name: 'Sign out' }).waitFor();
    const cookies = await page.context().cookies(ORIGIN);
    const ours = cookies.map(({ name, httpOnly, secure, sameSite }) => [name, httpOnly, secure, sameSite]);
    // Who is signed in, and that somebody was in this browser.
    const named = ['__Host-hansard_browser', '__Host-hansard_session'];
    const wanted = named.map((name) => [name, true, true, 'Strict']);
    assert.deepEqual(ours.toSorted(), wanted);
  });

  await step('the page is in a secure context, so that passkeys can be made', async () => {
    assert.equal(await page.evaluate(() => isSecureContext), true);
    await page.getByRole('button', { name: 'Add a passkey' }).waitFor();
  });
});
