// Leads Chromium, with an authenticator in software, through making, using, naming and removing a
// passkey, and through what must not sign anybody in. Started by
// `cargo test -p hansard-tests --test web`.
import assert from 'node:assert/strict';
import { accessible, lead, open, shot, signIn, step } from './drive.mjs';

const { ORIGIN } = process.env;

await lead(async () => {
  const page = await open();
  const devtools = await page.context().newCDPSession(page);
  await devtools.send('WebAuthn.enable');
  const { authenticatorId } = await devtools.send('WebAuthn.addVirtualAuthenticator', {
    options: {
      protocol: 'ctap2',
      transport: 'internal',
      hasResidentKey: true,
      hasUserVerification: true,
      isUserVerified: true,
      automaticPresenceSimulation: true,
    },
  });
  const held = async () => (await devtools.send('WebAuthn.getCredentials', { authenticatorId })).credentials;
  const verified = (isUserVerified) => devtools.send('WebAuthn.setUserVerified', { authenticatorId, isUserVerified });
  const signOut = async () => {
    await page.getByRole('button', { name: 'Sign out' }).click();
    await page.getByRole('button', { name: 'Use a passkey' }).waitFor();
  };

  await step('whoever is signed in makes a passkey', async () => {
    await page.goto(`${ORIGIN}/account`);
    await signIn(page, 'ada', false);
    await page.getByText('You have no passkeys').waitFor();
    await page.getByRole('textbox', { name: 'Name', exact: true }).fill('<i>laptop</i>');
    await page.getByRole('button', { name: 'Add a passkey' }).click();
    await page.getByText('The passkey is kept').waitFor();
    await page.getByRole('cell', { name: '<i>laptop</i>', exact: true }).waitFor();
    assert.equal((await held()).length, 1);
    await shot(page, 'account');
    await accessible(page, 'the account');
  });

  await step('the same authenticator makes no second one', async () => {
    await page.getByRole('textbox', { name: 'Name', exact: true }).fill('again');
    await page.getByRole('button', { name: 'Add a passkey' }).click();
    await page.getByRole('alert').getByText('has a passkey of yours already').waitFor();
  });

  await step('it is called something else', async () => {
    await page.getByRole('button', { name: 'Rename' }).click();
    await page.getByLabel('New name').fill('the laptop');
    await page.getByRole('button', { name: 'Keep' }).click();
    await page.getByRole('cell', { name: 'the laptop', exact: true }).waitFor();
  });

  await step('it signs in by itself, with neither name nor password', async () => {
    await signOut();
    await accessible(page, 'signing in with a passkey');
    await page.getByRole('button', { name: 'Use a passkey' }).click();
    await page.getByRole('cell', { name: 'the laptop', exact: true }).waitFor();
    assert.equal(await page.getByText('never').count(), 0);
  });

  await step('whoever is not verified is not signed in', async () => {
    await signOut();
    await verified(false);
    await page.getByRole('button', { name: 'Use a passkey' }).click();
    await page.getByRole('alert').getByText('no passkey was shown').waitFor();
    await verified(true);
  });

  await step('a copy of it, which counts from before, is refused', async () => {
    const [one] = await held();
    await devtools.send('WebAuthn.removeCredential', { authenticatorId, credentialId: one.credentialId });
    await devtools.send('WebAuthn.addCredential', { authenticatorId, credential: { ...one, signCount: 0 } });
    await page.getByRole('button', { name: 'Use a passkey' }).click();
    await page.getByRole('alert').getByText('is wrong').waitFor();
    await devtools.send('WebAuthn.removeCredential', { authenticatorId, credentialId: one.credentialId });
    await devtools.send('WebAuthn.addCredential', { authenticatorId, credential: { ...one, signCount: 1000 } });
    await page.getByRole('button', { name: 'Use a passkey' }).click();
    await page.getByRole('button', { name: 'Sign out' }).waitFor();
  });

  await step('what an authenticator said counts once', async () => {
    const [first, again] = await page.evaluate(async () => {
      const post = (path, body) =>
        fetch(path, { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) });
      const text = (bytes) => btoa(String.fromCharCode(...new Uint8Array(bytes))).replaceAll('+', '-').replaceAll('/', '_').replaceAll('=', '');
      const asked = await (await post('/v1/sign-in/passkey/challenge')).json();
      const challenge = Uint8Array.from(atob(asked.challenge.replaceAll('-', '+').replaceAll('_', '/')), (c) => c.charCodeAt(0));
      const got = await navigator.credentials.get({ publicKey: { challenge, rpId: asked.rp_id, userVerification: 'required' } });
      const said = {
        challenge: asked.challenge,
        credential: text(got.rawId),
        handle: text(got.response.userHandle),
        client_data: text(got.response.clientDataJSON),
        data: text(got.response.authenticatorData),
        signature: text(got.response.signature),
      };
      return [(await post('/v1/sign-in/passkey', said)).status, (await post('/v1/sign-in/passkey', said)).status];
    });
    assert.deepEqual([first, again], [200, 401]);
  });

  await step('what is removed signs out whom it let in, and nobody else', async () => {
    const other = await open();
    await other.goto(`${ORIGIN}/account`);
    await signIn(other, 'ada', false);
    await other.getByText('signs out everybody whom it let in').waitFor();
    await other.getByRole('button', { name: 'Remove' }).click();
    await other.getByText('You have no passkeys').waitFor();
    await page.goto(`${ORIGIN}/account`);
    await page.getByRole('button', { name: 'Use a passkey' }).waitFor();
  });

  await step('nor does it sign anybody in', async () => {
    await page.getByRole('button', { name: 'Use a passkey' }).click();
    await page.getByRole('alert').getByText('is wrong').waitFor();
  });

  await step('whoever removes the one that let them in is signed out, too', async () => {
    await signIn(page, 'ada', false);
    await page.getByText('You have no passkeys').waitFor();
    await page.getByRole('textbox', { name: 'Name', exact: true }).fill('another');
    await page.getByRole('button', { name: 'Add a passkey' }).click();
    await page.getByText('The passkey is kept').waitFor();
    await signOut();
    await page.getByRole('button', { name: 'Use a passkey' }).click();
    await page.getByRole('button', { name: 'Remove another' }).click();
    await page.getByRole('button', { name: 'Use a passkey' }).waitFor();
    await signIn(page, 'ada', false);
    await page.getByText('You have no passkeys').waitFor();
  });
});
