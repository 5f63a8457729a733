// The screen at one moment as a picture file, painted here: nothing is asked of the service for it.
import { back, front } from './colors';
import type { Picture, Run } from './picture.svelte';

/** Size of a cell and of its font, pixels: twice what a screen shows, so that it can be printed. */
const CELL = { width: 18, height: 36, font: 30, baseline: 27 };
const MARGIN = 18;
/** Height of the line below the screen that says what this is. */
const CAPTION = 44;

/** A PNG of the screen, with a line below it that says whose moment it is and who took it. */
export async function still(picture: Picture, caption: string, styles: CSSStyleDeclaration): Promise<Blob> {
  const canvas = document.createElement('canvas');
  canvas.width = picture.cols * CELL.width + 2 * MARGIN;
  canvas.height = picture.rows.length * CELL.height + 2 * MARGIN + CAPTION;
  const context = canvas.getContext('2d');
  if (!context) {
    throw new Error('this browser paints no pictures');
  }
  const value = (of: string) => {
    const name = /^var\((.+)\)$/.exec(of)?.[1];
    return name ? styles.getPropertyValue(name).trim() : of;
  };
  context.fillStyle = value('var(--screen)');
  context.fillRect(0, 0, canvas.width, canvas.height);
  picture.rows.forEach((runs, row) => runs.forEach((run) => put(context, run, row, value)));
  context.fillStyle = value('var(--screen-text)');
  context.font = `22px sans-serif`;
  context.fillText(caption, MARGIN, canvas.height - MARGIN, canvas.width - 2 * MARGIN);
  return new Promise((done, failed) =>
    canvas.toBlob((blob) => (blob ? done(blob) : failed(new Error('the picture could not be made'))), 'image/png'),
  );
}

function put(context: CanvasRenderingContext2D, [column, columns, text, style]: Run, row: number, value: (of: string) => string) {
  const [x, y] = [MARGIN + column * CELL.width, MARGIN + row * CELL.height];
  const marks = style?.[2] ?? '';
  const behind = back(style);
  if (behind) {
    context.fillStyle = value(behind);
    context.fillRect(x, y, columns * CELL.width, CELL.height);
  }
  context.globalAlpha = marks.includes('f') ? 0.6 : 1;
  context.fillStyle = value(front(style) ?? 'var(--screen-text)');
  context.font = `${marks.includes('i') ? 'italic ' : ''}${marks.includes('b') ? 'bold ' : ''}${CELL.font}px monospace`;
  // A run is as wide as its cells, whatever the font says.
  const plain = text.length === columns;
  const pieces = plain ? [...text].map((piece, n) => [piece, n] as const) : [[text, 0] as const];
  for (const [piece, n] of pieces) {
    context.fillText(piece, x + n * CELL.width, y + CELL.baseline, plain ? CELL.width : columns * CELL.width);
  }
  if (marks.includes('u')) {
    context.fillRect(x, y + CELL.height - 4, columns * CELL.width, 2);
  }
  if (marks.includes('s')) {
    context.fillRect(x, y + CELL.height / 2, columns * CELL.width, 2);
  }
  context.globalAlpha = 1;
}

/** Gives a file to whoever sits there. */
export function keep(blob: Blob, name: string) {
  const link = document.createElement('a');
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  // Only once the browser has taken it.
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}
