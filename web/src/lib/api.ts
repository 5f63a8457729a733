// The service's API, as this page asks it. Answers are data: nothing of them is ever markup.

/** Why the service did not answer as asked: its own words. */
export class Problem extends Error {
  constructor(
    readonly status: number,
    readonly code: string,
    message: string,
    readonly nextStep: string,
  ) {
    super(message);
  }
}

/** Who is signed in. */
export interface You {
  user: string;
  role: 'admin' | 'auditor' | 'reviewer' | 'user';
  /** Who vouches for them, if they are no user of this service, and as whom. */
  provider?: string;
  issuer?: string;
  subject?: string;
}

/** What the service says of itself. */
export interface Status {
  you: You;
  cluster_name?: string;
  server_version?: string;
  [fact: string]: unknown;
}

/** A session, as it is listed. */
export interface Session {
  sid: string;
  parent_sid?: string;
  kind: string;
  user: string;
  login: string;
  server_hostname: string;
  title: string;
  session_start: string;
  last_event: string;
  duration_ns: number;
  ended: boolean;
  /** Why nothing comes of a session that has no end; not there while it goes on, as far as is known. */
  no_end?: string;
  session_stop?: string;
  reason?: string;
  exit_status?: number;
  signal?: string;
  events: number;
  data_bytes: number;
  stored_bytes: number;
  gaps: number;
  recorder_key: string;
}

/** An event, as a flat document. */
export interface EventDocument {
  event: string;
  code?: string;
  uid: string;
  time: string;
  ei: number;
  sid: string;
  user?: string;
  server_hostname?: string;
  success?: boolean;
  [field: string]: unknown;
}

/** A host that joined. */
export interface Host {
  host_id: string;
  node_name: string;
  role: string;
  this_service: boolean;
  labels: Record<string, string>;
  connected: boolean;
  last_seen: string | null;
  certificate_expires: string | null;
  locked: boolean;
  lock_reason: string | null;
  policy_version: number | null;
  policy_trouble: string | null;
}

/** A user who signs in. */
export interface User {
  name: string;
  role: string;
  totp: boolean;
  created: string;
}

/** A browser in which somebody is signed in. */
export interface SignedIn {
  name: string;
  user: string;
  method: string;
  address: string;
  began: string;
  provider: string | null;
}

/** A part of a listing. */
export interface Page<T> {
  rows: T[];
  next: string | null;
}

/** What the page does when nobody is signed in any more. */
let signedOut: () => void = () => {};

export function onSignedOut(act: () => void): void {
  signedOut = act;
}

type Parameters = Record<string, string | number | boolean | null | undefined>;

/** A path with parameters; those without a value are left out. */
export function target(path: string, parameters: Parameters = {}): string {
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(parameters)) {
    if (value !== undefined && value !== null && value !== '') {
      query.set(name, String(value));
    }
  }
  const text = query.toString();
  return text ? `${path}?${text}` : path;
}

async function problem(response: Response): Promise<Problem> {
  try {
    const { error } = await response.json();
    return new Problem(response.status, error.code, error.message, error.next_step);
  } catch {
    return new Problem(response.status, 'unreadable', 'the service gave no reason', 'try again');
  }
}

/** What stands behind the `#` of a link that somebody without an account was given. */
let secret: string | null = null;

/** From now on requests come with this link, and not with whoever is signed in here. */
export function come(link: string): void {
  secret = link;
}

/** Who asks: somebody, or the page by itself, which keeps nobody signed in. */
export type Asks = 'somebody' | 'page';

/** Sends a request and answers its response, if that is a good one. */
export async function send(
  method: string,
  path: string,
  body?: unknown,
  signal?: AbortSignal,
  asks: Asks = 'somebody',
): Promise<Response> {
  const init: RequestInit = { method, credentials: 'same-origin', cache: 'no-store', redirect: 'error' };
  if (signal) {
    init.signal = signal;
  }
  const headers: Record<string, string> = {};
  if (secret !== null) {
    headers['authorization'] = `Bearer ${secret}`;
    init.credentials = 'omit';
  }
  if (asks === 'page') {
    headers['hansard-by-itself'] = '1';
  }
  if (body !== undefined) {
    init.body = JSON.stringify(body);
    headers['content-type'] = 'application/json';
  }
  init.headers = headers;
  let response: Response;
  try {
    response = await fetch(path, init);
  } catch (error) {
    if (signal?.aborted) {
      throw error;
    }
    throw new Problem(0, 'unreachable', 'the service does not answer', 'see that it runs, then try again');
  }
  if (response.ok) {
    return response;
  }
  const why = await problem(response);
  if (why.code === 'not_signed_in') {
    signedOut();
  }
  throw why;
}

export async function get<T>(
  path: string,
  parameters: Parameters = {},
  signal?: AbortSignal,
  asks: Asks = 'somebody',
): Promise<T> {
  const response = await send('GET', target(path, parameters), undefined, signal, asks);
  return (await response.json()) as T;
}

const ahead = new Map<string, Promise<unknown>>();

/** Asks for what will be wanted as soon as something else is known. */
export function askAhead(path: string): void {
  const answer = get<unknown>(path);
  ahead.set(path, answer);
  // Whoever wants it then asks again, and hears why not.
  answer.catch(() => ahead.delete(path));
}

/** What was asked ahead, which counts once, or what is asked for now. */
export function getAsked<T>(path: string): Promise<T> {
  const answer = ahead.get(path) as Promise<T> | undefined;
  ahead.delete(path);
  return answer ?? get<T>(path);
}

/** One page of a listing. */
export async function page<T>(
  path: string,
  name: string,
  parameters: Parameters,
  signal?: AbortSignal,
  asks: Asks = 'somebody',
): Promise<Page<T>> {
  const answer = await get<Record<string, unknown>>(path, parameters, signal, asks);
  return { rows: (answer[name] ?? []) as T[], next: (answer['next'] ?? null) as string | null };
}

/** The longest line that is taken from a stream, in characters; a longer one ends the stream. */
const LINE_CHARS_MAX = 8 * 1024 * 1024;

/** The lines of an answer that goes on, as JSON, until it ends or is broken off. */
export async function* lines<T>(path: string, signal: AbortSignal): AsyncGenerator<T> {
  const response = await send('GET', path, undefined, signal);
  const reader = response.body?.pipeThrough(new TextDecoderStream()).getReader();
  if (!reader) {
    return;
  }
  let held = '';
  for (;;) {
    const { done, value } = await reader.read();
    if (done) {
      return;
    }
    held += value;
    if (held.length > LINE_CHARS_MAX) {
      await reader.cancel();
      throw new Problem(0, 'too_long', 'the service sent a line that is too long', 'load the page again');
    }
    for (let end = held.indexOf('\n'); end >= 0; end = held.indexOf('\n')) {
      const line = held.slice(0, end);
      held = held.slice(end + 1);
      if (line) {
        yield JSON.parse(line) as T;
      }
    }
  }
}

/** A file that the service makes before it answers; `told` hears which part of it came, of 1. */
export async function file(path: string, signal: AbortSignal, told: (part: number) => void): Promise<Blob> {
  const response = await send('GET', path, undefined, signal);
  const bytes = Number(response.headers.get('content-length'));
  const reader = response.body?.getReader();
  const pieces: Uint8Array<ArrayBuffer>[] = [];
  let came = 0;
  for (let got = await reader?.read(); got?.value; got = await reader?.read()) {
    pieces.push(got.value);
    came += got.value.length;
    told(bytes > 0 ? came / bytes : 1);
  }
  if (came < bytes) {
    throw new Problem(0, 'cut', 'the file was cut', 'try again');
  }
  return new Blob(pieces);
}
