// Moments and days as the browser's own fields have them: in this browser's zone, in which an hour may come twice.

/** A moment (RFC 3339) as such a field shows it; nothing of what is none. */
export function shown(text: string | null): string {
  const date = text ? new Date(text) : null;
  if (!date || Number.isNaN(date.getTime())) {
    return '';
  }
  return new Date(date.getTime() - date.getTimezoneOffset() * 60_000).toISOString().slice(0, 19);
}

/** What a field says, in UTC: of one that still shows `told`, that very moment, and not another one that looks the same. */
export function meant(field: string, told: string | null): string {
  // The browser may leave out seconds that are none.
  const same = told && field && Date.parse(field) === Date.parse(shown(told));
  const date = new Date(same ? told : field);
  return Number.isNaN(date.getTime()) ? '' : date.toISOString();
}

/** Where a day begins, in UTC, or the one so many days later: a day may have 23 hours, or 25. */
export function midnight(day: string, later = 0): string {
  const date = new Date(`${day}T00:00:00`);
  date.setDate(date.getDate() + later);
  date.setHours(0, 0, 0, 0);
  return Number.isNaN(date.getTime()) ? '' : date.toISOString();
}
