// Signing in at a provider of OpenID Connect: the way there, and what came back in the address bar.
import { get, Problem, send } from './api';
import { route } from './route.svelte';

/** Somebody who vouches for people. */
export interface Provider {
  name: string;
  display: string;
}

const CALLBACK = '/sign-in/oidc';
const WANTED = 'wanted';

export async function providers(): Promise<Provider[]> {
  return (await get<{ providers: Provider[] }>('/v1/sign-in/oidc')).providers;
}

/** Leaves for a provider; what was wanted is shown after the way back. */
export async function leave(provider: Provider): Promise<void> {
  const answer = await send('POST', '/v1/sign-in/oidc', { provider: provider.name });
  const { address } = (await answer.json()) as { address: string };
  if (!route.path.startsWith('/sign-in')) {
    sessionStorage.setItem(WANTED, route.path + route.search + route.hash);
  }
  location.assign(address);
}

/** Whether a provider sent the browser back: of several each has its name behind the way back. */
export const cameBack = (): boolean =>
  (route.path === CALLBACK || route.path.startsWith(`${CALLBACK}/`)) && route.search !== '';

/** Hands on what the provider sent, which counts once, and forgets it. */
export async function finish(): Promise<void> {
  const back = route.query;
  const provider = route.parts[2] ?? null;
  route.say('/sign-in');
  const wanted = sessionStorage.getItem(WANTED) ?? '/sessions';
  sessionStorage.removeItem(WANTED);
  const state = back.get('state');
  if (state === null) {
    throw new Problem(0, 'stale', 'the provider did not say which attempt this is', 'try again from here');
  }
  const [code, error, issuer] = ['code', 'error', 'iss'].map((name) => back.get(name));
  await send('POST', '/v1/sign-in/oidc/callback', { state, provider, code, error, issuer });
  // Whatever stands there was written by this page; two slashes would lead elsewhere all the same.
  route.say(/^\/(?!\/)/.test(wanted) ? wanted : '/sessions');
}
