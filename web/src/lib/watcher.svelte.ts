// A session as it happens.
import { lines, Problem } from './api';
import { Picture, type Frame } from './picture.svelte';
import type { Happening } from './player.svelte';

type Line =
  | ({ family: 'frame' } & Frame)
  | ({ family: 'happening' } & Happening)
  | { family: 'heartbeat' }
  | { family: 'lost'; reason: string }
  | { family: 'over'; reason: string | null };

/** Happenings that are held; older ones go. */
const HAPPENINGS_MAX = 500;

export class Watcher {
  readonly picture = new Picture();
  at = $state(0);
  happenings = $state.raw<Happening[]>([]);
  over = $state(false);
  reason = $state('');
  problem = $state<Problem | null>(null);
  private readonly breakOff = new AbortController();

  constructor(readonly sid: string) {}

  async watch() {
    try {
      for await (const line of lines<Line>(`/v1/sessions/${this.sid}/watch`, this.breakOff.signal)) {
        this.take(line);
      }
      this.over = true;
    } catch (error) {
      if (!this.breakOff.signal.aborted) {
        this.problem =
          error instanceof Problem ? error : new Problem(0, 'cut', 'the live view was cut', 'load the page again');
      }
    }
  }

  private take(line: Line) {
    if (line.family === 'frame') {
      this.picture.apply([line]);
      this.at = line.at_ns / 1e6;
    } else if (line.family === 'happening') {
      this.happenings = [...this.happenings.slice(-HAPPENINGS_MAX), line];
    } else if (line.family === 'over') {
      this.over = true;
      this.reason = line.reason ?? '';
    } else if (line.family === 'lost') {
      this.reason = line.reason;
    }
  }

  end() {
    this.breakOff.abort();
  }
}
