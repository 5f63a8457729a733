// The text of a session around the moment that is shown: some thousand lines of it are held, and what
// is beside them is fetched when somebody looks there.
import { get, type Asks, type Problem } from './api';

/** A line that stood on the screen. */
export interface Line {
  place: string;
  at_ns: number;
  whole_ns: number;
  until_ns: number;
  text: string;
  concealed: boolean;
  same_colour: boolean;
  cut: boolean;
}

interface Page {
  lines: Line[];
  next: string | null;
  index_complete: boolean;
  indexed: boolean;
  gave_up: boolean;
}

/** Lines that are fetched at once. */
const PAGE_LINES = 200;

/** Lines that are held; behind them those farthest away go. */
export const LINES_MAX = 4000;

export class Transcript {
  lines = $state.raw<Line[]>([]);
  loading = $state(false);
  problem = $state<Problem | null>(null);
  /** Whether all text of the session is there to be fetched. */
  indexed = $state(true);
  /** Whether some of it was too much to be kept as text. */
  whole = $state(true);
  /** Where the lines before and behind those that are held are; `null`: there are none. */
  private before: string | null = null;
  private behind: string | null = null;
  private breakOff = new AbortController();

  constructor(readonly sid: string) {}

  private async page(
    order: 'oldest' | 'newest',
    from: { cursor?: string; from_ms?: number },
    signal: AbortSignal,
    asks: Asks = 'somebody',
  ): Promise<Page> {
    const parameters = { ...from, order, limit: PAGE_LINES };
    const page = await get<Page>(`/v1/sessions/${this.sid}/transcript`, parameters, signal, asks);
    this.indexed = page.indexed;
    this.whole = page.index_complete && !page.gave_up;
    return page;
  }

  /** Does something that fetches, unless something else just does. */
  private async fetch(act: (signal: AbortSignal) => Promise<void>) {
    const { signal } = this.breakOff;
    this.loading = true;
    try {
      await act(signal);
      this.problem = null;
    } catch (error) {
      if (!signal.aborted) {
        this.problem = error as Problem;
      }
    } finally {
      if (!signal.aborted) {
        this.loading = false;
      }
    }
  }

  /** Holds the lines around this moment, milliseconds since the start, and no others. */
  async around(at: number, asks: Asks = 'somebody') {
    this.breakOff.abort();
    this.breakOff = new AbortController();
    const from_ms = Math.floor(at) + 1;
    await this.fetch(async (signal) => {
      const [before, behind] = await Promise.all([
        this.page('newest', { from_ms }, signal, asks),
        this.page('oldest', { from_ms }, signal, asks),
      ]);
      this.lines = [...before.lines.toReversed(), ...behind.lines];
      [this.before, this.behind] = [before.next, behind.next];
    });
  }

  /** Fetches what is behind; lines at the other end go where it is too much. */
  async more() {
    const cursor = this.behind;
    if (cursor === null || this.loading) {
      return;
    }
    await this.fetch(async (signal) => {
      const page = await this.page('oldest', { cursor }, signal);
      const all = [...this.lines, ...page.lines];
      const kept = all.slice(-LINES_MAX);
      if (kept.length < all.length) {
        this.before = kept[0]?.place ?? null;
      }
      [this.lines, this.behind] = [kept, page.next];
    });
  }

  /** Whether there are lines before those that are held, and fetching them did not just fail. */
  get hasEarlier(): boolean {
    return this.before !== null && this.problem === null;
  }

  /** Fetches what is before; answers how many lines came. */
  async earlier(): Promise<number> {
    const cursor = this.before;
    let came = 0;
    if (cursor !== null && !this.loading) {
      await this.fetch(async (signal) => {
        const page = await this.page('newest', { cursor }, signal);
        const all = [...page.lines.toReversed(), ...this.lines];
        const kept = all.slice(0, LINES_MAX);
        if (kept.length < all.length) {
          this.behind = all[LINES_MAX]?.place ?? null;
        }
        [this.lines, this.before] = [kept, page.next];
        came = page.lines.length;
      });
    }
    return came;
  }

  /** The last line that had come at this moment, milliseconds; -1: none that is held had. */
  at(ms: number): number {
    const at_ns = ms * 1e6 + 0.5;
    let [low, high] = [0, this.lines.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((this.lines[middle]?.at_ns ?? 0) <= at_ns) {
        low = middle + 1;
      } else {
        high = middle;
      }
    }
    return low - 1;
  }

  /** Whether the lines that are held say which is the last one at this moment, milliseconds. */
  holds(ms: number): boolean {
    const n = this.at(ms);
    const isBefore = n < 0 && this.before !== null;
    const isBehind = n === this.lines.length - 1 && this.behind !== null;
    return !isBefore && !isBehind;
  }

  /** Nobody looks any more. */
  end() {
    this.breakOff.abort();
  }
}
