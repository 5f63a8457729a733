// Colours of a run, for the style sheet and for a still.
import type { Style } from './picture.svelte';

/** The 256 colours beyond the first 16, which the style sheet has. */
function color(of: number | string | null): string | undefined {
  if (of === null || typeof of === 'string') {
    return of ?? undefined;
  }
  if (of < 16) {
    return `var(--c${of})`;
  }
  if (of >= 232) {
    const grey = 8 + 10 * (of - 232);
    return `rgb(${grey} ${grey} ${grey})`;
  }
  const level = (n: number) => (n === 0 ? 0 : 55 + 40 * n);
  const n = of - 16;
  return `rgb(${level(Math.floor(n / 36))} ${level(Math.floor(n / 6) % 6)} ${level(n % 6)})`;
}

export function front(style: Style | undefined): string | undefined {
  if (!style) {
    return undefined;
  }
  return style[2].includes('v') ? (color(style[1]) ?? 'var(--screen)') : color(style[0]);
}

export function back(style: Style | undefined): string | undefined {
  if (!style) {
    return undefined;
  }
  return style[2].includes('v') ? (color(style[0]) ?? 'var(--screen-text)') : color(style[1]);
}
