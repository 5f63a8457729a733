// Leads Chromium to a provider of OpenID Connect and back: who is let in, who is not and why, and how it
// ends. Started by `cargo test -p hansard-tests --test web`, with a provider of its own.
import assert from 'node:assert/strict';
import { accessible, expect, lead, open, shot, signIn, step, until } from './drive.mjs';

const { ORIGIN, PROVIDER, SID } = process.env;

const tell = (what) => fetch(`${PROVIDER}/control`, { method: 'POST', body: JSON.stringify(what) });
const auditor = { preferred_username: 'ada', realm: { roles: ['auditor'] } };

await lead(async () => {
  const page = await open();
  const button = page.getByRole('button', { name: 'Sign in with The <Provider>' });
  const come = async (answer) => {
    await button.click();
    await page.getByRole('heading', { name: 'Who are you?' }).waitFor();
    await page.getByRole('link', { name: answer }).click();
  };
  const signOut = async () => {
    await page.getByRole('button', { name: 'Sign out' }).click();
    await button.waitFor();
  };
  await tell({ claims: auditor });

  await step('each provider has a button where one signs in', async () => {
    await page.goto(`${ORIGIN}/sessions/${SID}#t=0`);
    await button.waitFor();
    await shot(page, 'sign-in-oidc');
    await accessible(page, 'signing in with a provider');
  });

  await step('whoever comes back is signed in, and where they wanted to be', async () => {
    await come('Yes, it is me');
    await page.getByTestId('clock').waitFor();
    assert.equal(page.url(), `${ORIGIN}/sessions/${SID}#t=0`);
    const cookies = await page.context().cookies(ORIGIN);
    const ours = cookies.map(({ name, httpOnly, sameSite }) => [name, httpOnly, sameSite]);
    assert.deepEqual(ours, [['hansard_session', true, 'Strict']]);
  });

  await step('their account says who vouches for them', async () => {
    await page.getByRole('link', { name: 'ada auditor' }).click();
    await page.getByText('The <Provider> vouches for you, as 248289761001').waitFor();
    assert.equal(await page.getByText('Passkeys').count(), 0);
    await accessible(page, 'the account of somebody from outside');
  });

  await step('whoever turns back at the provider is told so', async () => {
    await signOut();
    await come('Never mind');
    await page.getByRole('alert').getByText('The <Provider> did not let you in (access_denied)').waitFor();
    assert.equal(page.url(), `${ORIGIN}/sign-in`);
    await accessible(page, 'signing in, refused');
  });

  await step('whom no rule names is told so', async () => {
    await tell({ claims: { preferred_username: 'bob', groups: ['others'] } });
    await come('Yes, it is me');
    await page.getByRole('alert').getByText('knows you, but nothing gives you a role here').waitFor();
    await page.getByRole('alert').getByText('serve.web.oidc').waitFor();
  });

  await step('what was asked by nobody is answered by nothing', async () => {
    await page.goto(`${ORIGIN}/sign-in/oidc?state=${'A'.repeat(43)}&code=x`);
    await page.getByRole('alert').getByText('this attempt is over').waitFor();
    assert.equal(page.url(), `${ORIGIN}/sign-in`);
  });

  await step('a provider that fails is told of', async () => {
    expect('the server responded with a status of 503');
    await tell({ claims: auditor, fault: '500 token' });
    await come('Yes, it is me');
    await page.getByRole('alert').getByText('The <Provider> cannot be asked now').waitFor();
    await tell({ fault: null });
  });

  await step('an administrator sees who is signed in, and ends it', async () => {
    await come('Yes, it is me');
    await page.getByRole('button', { name: 'Sign out' }).waitFor();
    const other = await open();
    await other.goto(`${ORIGIN}/users`);
    await signIn(other, 'root', false);
    const row = other.getByRole('row').filter({ hasText: 'The <Provider>' });
    await row.getByRole('button', { name: 'End what ada began' }).click();
    await other.getByLabel('Reason').fill('left');
    await other.getByRole('dialog').getByRole('button', { name: 'End' }).click();
    await until('the end of it', () => row.count(), (count) => count === 0);
    await accessible(other, 'users who are signed in');
    await page.goto(`${ORIGIN}/events`);
    await button.waitFor();
  });
});
