// Times, sizes and text as people read them.

/** Characters that steer how text is shown rather than being text: controls, and those that change
 * the direction of what follows. They are shown as what they are. */
const STEERING = /[\p{Cc}\u200e\u200f\u202a-\u202e\u2066-\u2069\u061c\ufeff]/gu;

/** Text of a recording or a name, harmless to look at. */
export function plain(text: unknown): string {
  const shown = typeof text === 'string' ? text : text === undefined || text === null ? '' : JSON.stringify(text);
  return shown.replace(STEERING, (char) => {
    const code = char.codePointAt(0) ?? 0;
    return code < 0x20 ? String.fromCodePoint(0x2400 + code) : `\\u{${code.toString(16)}}`;
  });
}

/** A moment in a recording: `1:02:03`. */
export function clock(seconds: number): string {
  const whole = Math.max(0, Math.floor(seconds));
  const [h, m, s] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60, whole % 60];
  const two = (n: number) => String(n).padStart(2, '0');
  return h > 0 ? `${h}:${two(m)}:${two(s)}` : `${m}:${two(s)}`;
}

/** The first whole millisecond at which this moment is there: rounded up, but for the last digits of a product. */
export function wholeMs(ms: number): number {
  return Math.max(0, Math.ceil(ms - 5e-7));
}

/** A moment as it is given away, which must be none before it: `1:02:03.004`. */
export function exact(ms: number): string {
  const all = wholeMs(ms);
  return `${clock(Math.floor(all / 1000))}.${String(all % 1000).padStart(3, '0')}`;
}

/** The same in seconds, for addresses: `3723.004`. */
export function inSeconds(ms: number): string {
  return (wholeMs(ms) / 1000).toFixed(3);
}

/** The seconds of `1:02:03`, `62.5`, `1m2s`; `null` of anything else. */
export function seconds(text: string): number | null {
  if (/^\d+(\.\d+)?$/.test(text)) {
    return Number(text);
  }
  if (/^(\d+:)?\d{1,2}:\d{1,2}(\.\d+)?$/.test(text)) {
    return text.split(':').reduce((sum, part) => sum * 60 + Number(part), 0);
  }
  const units = /^(?:(\d+)h)?(?:(\d+)m)?(?:(\d+(?:\.\d+)?)s)?$/.exec(text);
  if (!units || text === '') {
    return null;
  }
  return Number(units[1] ?? 0) * 3600 + Number(units[2] ?? 0) * 60 + Number(units[3] ?? 0);
}

/** The first whole millisecond of a stretch from here on; `null` of nothing. */
export function fromMs(text: string): number | null {
  const from = seconds(text.trim());
  return text.trim() === '' || from === null ? null : wholeMs(from * 1000);
}

/** The last whole millisecond of a stretch up to here; `null` of nothing. */
export function untilMs(text: string): number | null {
  const until = seconds(text.trim());
  return text.trim() === '' || until === null ? null : Math.floor(until * 1000 + 5e-7);
}

/** How long something took: `4 s`, `3 min`, `2 h 5 min`. */
export function span(ns: number): string {
  const all = ns / 1e9;
  if (all < 60) {
    return `${all < 10 ? all.toFixed(1) : Math.round(all)} s`;
  }
  const minutes = Math.round(all / 60);
  return minutes < 60 ? `${minutes} min` : `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}

/** Bytes: `12 KiB`. */
export function bytes(count: number): string {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];
  let [n, unit] = [count, 0];
  while (n >= 1024 && unit < units.length - 1) {
    n /= 1024;
    unit += 1;
  }
  return `${n < 10 && unit > 0 ? n.toFixed(1) : Math.round(n)} ${units[unit]}`;
}

/** A time in this browser's zone: `2026-11-21 08:00:03`. */
export function when(text: string | null | undefined): string {
  const date = text ? new Date(text) : null;
  if (!date || Number.isNaN(date.getTime())) {
    return '–';
  }
  const two = (n: number) => String(n).padStart(2, '0');
  const day = `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())}`;
  return `${day} ${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}`;
}
