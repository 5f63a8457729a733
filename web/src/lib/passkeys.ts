// Passkeys: what the service asks an authenticator, and what that says, as the service takes it.
import { Problem, send } from './api';

/** Whether this browser makes passkeys for this page: it must be reached under a name. */
export const possible =
  typeof PublicKeyCredential !== 'undefined' && isSecureContext && !/^[\d.]+$|^\[/.test(location.hostname);

interface Challenge {
  challenge: string;
  rp_id: string;
}

interface Making extends Challenge {
  user: string;
  handle: string;
  known: string[];
  algorithms: number[];
}

/** Bytes in base 64 for addresses. */
function text(bytes: ArrayBuffer): string {
  const letters = Array.from(new Uint8Array(bytes), (byte) => String.fromCharCode(byte)).join('');
  return btoa(letters).replaceAll('+', '-').replaceAll('/', '_').replaceAll('=', '');
}

function bytes(text: string): Uint8Array<ArrayBuffer> {
  return Uint8Array.from(atob(text.replaceAll('-', '+').replaceAll('_', '/')), (letter) => letter.charCodeAt(0));
}

async function ask<T>(path: string): Promise<T> {
  return (await (await send('POST', path)).json()) as T;
}

/** What the authenticator says; whoever turns it down, or has none, hears that. */
async function said<T>(ask: Promise<Credential | null>): Promise<{ credential: PublicKeyCredential; response: T }> {
  const turnedDown = new Problem(0, 'no_passkey', 'no passkey was shown', 'try again, or sign in with name and password');
  let credential: Credential | null;
  try {
    credential = await ask;
  } catch (error) {
    if ((error as DOMException).name === 'InvalidStateError') {
      throw new Problem(0, 'has_passkey', 'this authenticator has a passkey of yours already', 'use that one');
    }
    throw turnedDown;
  }
  if (!(credential instanceof PublicKeyCredential)) {
    throw turnedDown;
  }
  return { credential, response: credential.response as T };
}

/** Makes a passkey for whoever is signed in. */
export async function make(label: string): Promise<void> {
  const asked = await ask<Making>('/v1/passkeys/challenge');
  const publicKey: PublicKeyCredentialCreationOptions = {
    challenge: bytes(asked.challenge),
    rp: { id: asked.rp_id, name: 'Hansard' },
    user: { id: bytes(asked.handle), name: asked.user, displayName: asked.user },
    pubKeyCredParams: asked.algorithms.map((alg) => ({ type: 'public-key', alg })),
    excludeCredentials: asked.known.map((id) => ({ type: 'public-key', id: bytes(id) })),
    authenticatorSelection: { residentKey: 'required', userVerification: 'required' },
    attestation: 'none',
  };
  const { response } = await said<AuthenticatorAttestationResponse>(navigator.credentials.create({ publicKey }));
  await send('POST', '/v1/passkeys', {
    label,
    challenge: asked.challenge,
    client_data: text(response.clientDataJSON),
    attestation: text(response.attestationObject),
  });
}

/** Signs in with a passkey. */
export async function signIn(): Promise<void> {
  const asked = await ask<Challenge>('/v1/sign-in/passkey/challenge');
  const publicKey: PublicKeyCredentialRequestOptions = {
    challenge: bytes(asked.challenge),
    rpId: asked.rp_id,
    userVerification: 'required',
  };
  const { credential, response } = await said<AuthenticatorAssertionResponse>(navigator.credentials.get({ publicKey }));
  await send('POST', '/v1/sign-in/passkey', {
    challenge: asked.challenge,
    credential: text(credential.rawId),
    handle: response.userHandle ? text(response.userHandle) : null,
    client_data: text(response.clientDataJSON),
    data: text(response.authenticatorData),
    signature: text(response.signature),
  });
}
