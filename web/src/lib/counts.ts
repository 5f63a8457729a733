// How many events there are, by time and by value.

/** The values of one kind. */
export interface Facet {
  values: { value: string; count: number }[];
  others: number;
}

/** By what events are told apart. */
export type By = 'event' | 'user' | 'host' | 'kind' | 'outcome';

/** An answer. */
export interface EventCounts {
  total: number;
  from: string;
  bucket_ms: number;
  buckets: number[];
  time_exact: boolean;
  looked_at: number;
  counted_from: string | null;
  by: Record<By, Facet>;
}

/** A number with its thousands told apart; an estimate with a sign before it. */
export function many(count: number, exact: boolean): string {
  return `${exact ? '' : '≈ '}${count.toLocaleString('en')}`;
}

/** Where stretches begin and the last one ends, UTC milliseconds. */
export function edge(counts: EventCounts, bucket: number): number {
  return Date.parse(counts.from) + bucket * counts.bucket_ms;
}
