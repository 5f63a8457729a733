// A terminal's screen as the service paints it: rows of runs. There is no emulator here and no control
// sequence: nothing that was recorded can ask this page for anything.

/** `[foreground, background, marks]`. */
export type Style = [number | string | null, number | string | null, string];
/** `[column, columns, text, style]`. */
export type Run = [number, number, string, Style?];

/** What changed on the screen. */
export interface Frame {
  at_ns: number;
  size?: [number, number];
  cursor: [number, number] | null;
  rows: [number, Run[]][];
}

/** Most rows that are painted, whatever is said. */
const ROWS_MAX = 500;

export class Picture {
  cols = $state(80);
  rows = $state.raw<Run[][]>([]);
  cursor = $state.raw<[number, number] | null>(null);

  /** Paints a change over what is there. */
  apply(frames: Frame[]) {
    let rows = this.rows;
    for (const frame of frames) {
      if (frame.size) {
        this.cols = frame.size[0];
        rows = Array.from({ length: Math.min(frame.size[1], ROWS_MAX) }, () => []);
      } else if (rows === this.rows) {
        rows = [...rows];
      }
      for (const [n, runs] of frame.rows) {
        if (n < rows.length) {
          rows[n] = runs;
        }
      }
      this.cursor = frame.cursor;
    }
    this.rows = rows;
  }

  /** The screen as text. */
  get text(): string {
    const lines = this.rows.map((runs) => {
      let line = '';
      let column = 0;
      for (const [at, columns, text] of runs) {
        line += ' '.repeat(Math.max(0, at - column)) + text;
        column = at + columns;
      }
      return line;
    });
    return lines.join('\n').trimEnd();
  }
}
