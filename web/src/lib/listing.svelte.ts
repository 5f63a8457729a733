// A listing that is fetched page by page, as far as somebody looks.
import { page, type Page, type Problem } from './api';

/** Rows of a page. */
const PAGE_ROWS = 200;

/** Most pages that are fetched to find what is known already; beyond them the list begins anew. */
const REFRESH_PAGES_MAX = 5;

/** Most rows that are held; behind them one filters rather than scrolls. */
export const ROWS_MAX = 200_000;

/** Rows of a listing, and how far they were fetched. */
export class Listing<T> {
  rows = $state.raw<T[]>([]);
  loading = $state(false);
  complete = $state(false);
  problem = $state<Problem | null>(null);
  private next: string | null = null;
  private breakOff = new AbortController();
  /** Of which beginning the first rows are being looked at again. */
  private refreshing: AbortSignal | null = null;

  constructor(
    private readonly path: string,
    private readonly name: string,
    private readonly key: (row: T) => string,
  ) {}

  private filters: Record<string, string> = {};

  /** Begins anew with these filters. */
  async begin(filters: Record<string, string>) {
    this.breakOff.abort();
    this.breakOff = new AbortController();
    this.filters = filters;
    this.rows = [];
    this.next = null;
    this.complete = false;
    this.loading = false;
    await this.more();
  }

  /** Fetches the next page, if there is one and none is under way. */
  async more() {
    if (this.loading || this.complete || this.rows.length >= ROWS_MAX) {
      return;
    }
    this.loading = true;
    this.problem = null;
    const { signal } = this.breakOff;
    try {
      const parameters = { ...this.filters, limit: PAGE_ROWS, cursor: this.next };
      const got = await page<T>(this.path, this.name, parameters, signal);
      this.rows = [...this.rows, ...got.rows];
      this.next = got.next;
      this.complete = got.next === null;
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

  /** Looks at the beginning again, by itself: what is new is put in front, what changed is replaced. */
  async refresh() {
    const { signal } = this.breakOff;
    if (this.loading || this.refreshing === signal || signal.aborted) {
      return;
    }
    this.refreshing = signal;
    try {
      const known = new Set(this.rows.map(this.key));
      const came: T[] = [];
      let next: string | null = null;
      let meets = false;
      // More may have come than a page holds: between what is new and what is known must be no hole.
      const most = known.size > 0 ? REFRESH_PAGES_MAX : 1;
      for (let pages = 0; pages < most; pages += 1) {
        const parameters = { ...this.filters, limit: PAGE_ROWS, cursor: next };
        const got: Page<T> = await page<T>(this.path, this.name, parameters, signal, 'page');
        if (signal.aborted) {
          return;
        }
        came.push(...got.rows);
        next = got.next;
        meets = got.rows.some((row) => known.has(this.key(row)));
        if (meets || next === null) {
          break;
        }
      }
      if (meets) {
        this.join(came);
      } else {
        this.replace(came, next);
      }
      this.problem = null;
    } catch (error) {
      if (!signal.aborted) {
        this.problem = error as Problem;
      }
    } finally {
      if (this.refreshing === signal) {
        this.refreshing = null;
      }
    }
  }

  /** What reaches to what is known: what of it is new stands in front. */
  private join(came: T[]) {
    const fresh = new Map(came.map((row) => [this.key(row), row]));
    const known = new Set(this.rows.map(this.key));
    const added = [...fresh.values()].filter((row) => !known.has(this.key(row)));
    this.rows = [...added, ...this.rows.map((row) => fresh.get(this.key(row)) ?? row)];
  }

  /** Begins anew with this, which reaches to nothing that is known; from its end on it is fetched as far as somebody looks. */
  private replace(came: T[], next: string | null) {
    this.breakOff.abort();
    this.breakOff = new AbortController();
    this.loading = false;
    this.rows = [...new Map(came.map((row) => [this.key(row), row])).values()];
    this.next = next;
    this.complete = next === null;
  }

  /** Nobody looks any more. */
  end() {
    this.breakOff.abort();
  }
}
