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

/** What is told of what cannot be shown; more of it is counted. */
const LOST_MAX = 3;

/** Least time between two changes of their list, ms: a kernel that is watched tells hundreds in a second. */
const TELL_EVERY = 100;

export class Watcher {
  readonly picture = new Picture();
  at = $state(0);
  happenings = $state.raw<Happening[]>([]);
  over = $state(false);
  reason = $state('');
  /** What cannot be shown, the last of it, and how much of that there was. */
  lost = $state.raw<string[]>([]);
  lostCount = $state(0);
  problem = $state<Problem | null>(null);
  private readonly breakOff = new AbortController();
  private told: Happening[] = [];
  private timer: ReturnType<typeof setTimeout> | undefined;

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
      this.told.push(line);
      this.timer ??= setTimeout(() => this.tell(), TELL_EVERY);
    } else if (line.family === 'over') {
      this.tell();
      this.over = true;
      this.reason = line.reason ?? '';
    } else if (line.family === 'lost') {
      this.lost = [...this.lost, line.reason].slice(-LOST_MAX);
      this.lostCount += 1;
    }
  }

  /** Lists what happened since the last time. */
  private tell() {
    clearTimeout(this.timer);
    this.timer = undefined;
    this.happenings = [...this.happenings, ...this.told].slice(-HAPPENINGS_MAX);
    this.told = [];
  }

  end() {
    clearTimeout(this.timer);
    this.breakOff.abort();
  }
}
