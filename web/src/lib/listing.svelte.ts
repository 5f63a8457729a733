// A listing that is fetched page by page, as far as somebody looks.
import { page, type Problem } from './api';

/** Rows of a page. */
const PAGE_ROWS = 200;

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

  /** Looks at the first page again, by itself: what is new is put in front, what changed is replaced. */
  async refresh() {
    const { signal } = this.breakOff;
    if (this.loading || signal.aborted) {
      return;
    }
    try {
      const first = { ...this.filters, limit: PAGE_ROWS };
      const got = await page<T>(this.path, this.name, first, signal, 'page');
      if (signal.aborted) {
        return;
      }
      const fresh = new Map(got.rows.map((row) => [this.key(row), row]));
      const known = new Set(this.rows.map(this.key));
      const added = got.rows.filter((row) => !known.has(this.key(row)));
      this.rows = [...added, ...this.rows.map((row) => fresh.get(this.key(row)) ?? row)];
      this.problem = null;
    } catch (error) {
      if (!signal.aborted) {
        this.problem = error as Problem;
      }
    }
  }

  /** Nobody looks any more. */
  end() {
    this.breakOff.abort();
  }
}
