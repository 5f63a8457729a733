// What a search found, and how a line of it is shown.
import { inSeconds, plain } from './words';

/** A line that is an answer. */
export interface Hit {
  at_ns: number;
  time: string;
  from_ns: number;
  until_ns: number;
  times: number;
  in: 'shown' | 'typed' | 'command' | 'event';
  source: string;
  text: string;
  places: [number, number][];
  concealed: boolean;
  same_colour: boolean;
  cut: boolean;
}

/** A session with answers. */
export interface FoundSession {
  sid: string;
  kind: string;
  user: string;
  server_hostname: string;
  session_start: string;
  hits: Hit[];
  more_hits: boolean;
  index_complete: boolean;
}

/** An answer. */
export interface Found {
  sessions: FoundSession[];
  complete: boolean;
  next: string | null;
  gave_up: boolean;
  index_complete: boolean;
}

/** A piece of a line, and whether it was asked for. */
export interface Piece {
  text: string;
  asked: boolean;
}

/** Characters of a line that are shown. */
const SHOWN_CHARS = 240;
/** Characters that are shown before what was asked for, in a line that is longer than is shown. */
const BEFORE_CHARS = 60;

/** A line in pieces, cut around the first place at which it has what was asked for. */
export function pieces(hit: Hit): Piece[] {
  const chars = Array.from(hit.text);
  const blank = chars.findIndex((char) => char.trim() !== '');
  const first = hit.places[0]?.[0] ?? 0;
  const from = first > SHOWN_CHARS - BEFORE_CHARS ? first - BEFORE_CHARS : Math.min(Math.max(0, blank), first);
  const until = Math.min(chars.length, from + SHOWN_CHARS);
  const found: Piece[] = [];
  const add = (start: number, end: number, asked: boolean) => {
    if (end > start) {
      found.push({ text: plain(chars.slice(start, end).join('')), asked });
    }
  };
  if (from > 0 && from > blank) {
    found.push({ text: '…', asked: false });
  }
  let at = from;
  for (const [start, end] of hit.places.toSorted((a, b) => a[0] - b[0])) {
    const begin = Math.min(Math.max(at, start), until);
    const close = Math.min(Math.max(begin, end), until);
    add(at, begin, false);
    add(begin, close, true);
    at = close;
  }
  add(at, until, false);
  if (until < chars.length) {
    found.push({ text: '…', asked: false });
  }
  return found;
}

/** The place of a moment: the player opens on the first millisecond at which it was there, with this beside it. */
export function moment(sid: string, hit: Hit, beside?: 'transcript'): string {
  return `/sessions/${sid}#t=${inSeconds(hit.at_ns / 1e6)}${beside ? `&beside=${beside}` : ''}`;
}

/** What a line is and who says so, in words. */
export function kind(hit: Hit): string {
  const sources: Record<string, string> = {
    event: 'recorded',
    osc133: 'marked by the shell',
    prompt: 'looks like one',
  };
  switch (hit.in) {
    case 'shown':
      return 'screen';
    case 'typed':
      return 'typed';
    case 'command':
      return `command (${sources[hit.source] ?? hit.source})`;
    default:
      return hit.in;
  }
}
