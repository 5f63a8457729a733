// Playing a recording: the screen at a moment, and what changes after it, fetched a stretch at a time.
import { get, Problem } from './api';
import { Picture, type Frame } from './picture.svelte';

/** Something that happened besides what the screen shows. */
export interface Happening {
  at_ns: number;
  ei: number;
  lane: string;
  label: string;
}

/** A recording at a glance. */
export interface Timeline {
  duration_ns: number;
  whole: boolean;
  output: number[];
  idle: [number, number][];
  happenings: Happening[];
  left_out: number;
  damages: number;
}

interface Frames {
  frames: Frame[];
  until_ns: number;
  next_ns: number | null;
}

export const SPEEDS = [0.25, 0.5, 1, 1.5, 2, 4, 8, 16];

/** How much is fetched at once, milliseconds of watching. */
const AHEAD_MS = 20_000;
/** What an idle stretch is shortened to, milliseconds. */
const IDLE_KEPT_MS = 400;

export class Player {
  readonly picture = new Picture();
  /** The moment that is shown, milliseconds since the start. */
  at = $state(0);
  playing = $state(false);
  speed = $state(1);
  skipIdle = $state(false);
  waiting = $state(false);
  timeline = $state.raw<Timeline | null>(null);
  problem = $state<Problem | null>(null);

  private frames: Frame[] = [];
  /** Up to where frames are held, milliseconds. */
  private until = 0;
  private isLast = false;
  private fetching: AbortController | null = null;
  private clock = 0;
  private timer = 0;
  private over = false;

  /** `shown`: the stretch that may be seen, milliseconds; without it all may. */
  constructor(
    readonly sid: string,
    private readonly shown: { from: number; until: number } = { from: 0, until: Infinity },
  ) {}

  /** How long the recording is, milliseconds. */
  get duration(): number {
    return (this.timeline?.duration_ns ?? 0) / 1e6;
  }

  /** The last moment that is shown, milliseconds. */
  get last(): number {
    return Math.min(this.shown.until, this.duration);
  }

  /** Fetches what there is to know of the whole, and shows the first moment. */
  async open(at: number) {
    try {
      this.timeline = await get<Timeline>(`/v1/sessions/${this.sid}/timeline`);
      this.problem = null;
      await this.seek(at);
    } catch (error) {
      this.problem = error as Problem;
    }
  }

  /** Shows this moment, and goes on from it if it plays. */
  async seek(to: number) {
    // Whole milliseconds, as they are asked for; at the end behind the last event, not before it.
    // What a link says in seconds is a whole number of them but for the last digits of a product.
    this.at = Math.ceil(Math.min(Math.max(this.shown.from, to), this.last) - 1e-3);
    this.frames = [];
    this.until = this.at;
    this.isLast = false;
    this.fetching?.abort();
    this.fetching = null;
    await this.more();
  }

  /** Fetches the next stretch; of an empty one its first frame is the screen at that moment. */
  private async more() {
    if (this.fetching || this.isLast || this.over) {
      return;
    }
    const breakOff = new AbortController();
    this.fetching = breakOff;
    const from = Math.ceil(this.until);
    try {
      const parameters = { from_ms: from, until_ms: from + Math.ceil(AHEAD_MS * Math.max(1, this.speed)) };
      const path = `/v1/sessions/${this.sid}/frames`;
      const got = await get<Frames>(path, parameters, breakOff.signal);
      this.frames.push(...got.frames);
      this.until = Math.max(from + 1, Math.ceil(got.until_ns / 1e6));
      this.isLast = got.next_ns === null;
      this.problem = null;
      this.paint();
    } catch (error) {
      if (!breakOff.signal.aborted) {
        this.problem = error as Problem;
        this.pause();
      }
    } finally {
      if (this.fetching === breakOff) {
        this.fetching = null;
      }
    }
  }

  /** Paints everything up to now. */
  private paint() {
    let due = 0;
    while ((this.frames[due]?.at_ns ?? Infinity) / 1e6 <= this.at + 0.5) {
      due += 1;
    }
    // What a later frame paints as a whole need not be painted before.
    if (due > 0) {
      const taken = this.frames.splice(0, due);
      const whole = taken.findLastIndex((frame) => frame.size);
      this.picture.apply(taken.slice(Math.max(0, whole)));
    }
  }

  play() {
    if (this.playing || this.over) {
      return;
    }
    if (this.at >= this.last) {
      void this.seek(0);
    }
    this.playing = true;
    this.clock = performance.now();
    this.timer = requestAnimationFrame((now) => this.tick(now));
  }

  pause() {
    this.playing = false;
    this.waiting = false;
    cancelAnimationFrame(this.timer);
  }

  toggle() {
    if (this.playing) {
      this.pause();
    } else {
      this.play();
    }
  }

  private tick(now: number) {
    // A page that was hidden goes on where it was, and does not run after the time it missed.
    const passed = Math.min(250, now - this.clock);
    this.clock = now;
    this.advance(passed * this.speed);
    if (this.at >= this.last) {
      this.pause();
    }
    if (this.playing) {
      this.timer = requestAnimationFrame((next) => this.tick(next));
    }
  }

  private advance(by: number) {
    let to = this.at + by;
    if (this.skipIdle) {
      const at_ns = this.at * 1e6;
      const idle = this.timeline?.idle.find(([from, until]) => from + IDLE_KEPT_MS * 1e6 <= at_ns && at_ns < until);
      to = idle ? Math.max(to, idle[1] / 1e6) : to;
    }
    to = Math.min(to, this.last);
    this.waiting = to > this.until && !this.isLast;
    if (this.waiting && to - this.until > AHEAD_MS) {
      void this.seek(to);
      return;
    }
    this.at = this.waiting ? Math.max(this.at, this.until) : to;
    this.paint();
    if (this.until - this.at < (AHEAD_MS / 2) * Math.max(1, this.speed)) {
      void this.more();
    }
  }

  /** To the next happening, or to the one before. */
  mark(by: 1 | -1): Happening | undefined {
    const [at_ns, near] = [this.at * 1e6, 200e6];
    const all = this.timeline?.happenings ?? [];
    const next = by > 0 ? all.find((one) => one.at_ns > at_ns + near) : all.findLast((one) => one.at_ns < at_ns - near);
    if (next) {
      void this.seek(next.at_ns / 1e6);
    }
    return next;
  }

  /** One faster or slower. */
  shift(by: number) {
    const n = SPEEDS.indexOf(this.speed) + by;
    this.speed = SPEEDS[Math.min(Math.max(0, n), SPEEDS.length - 1)] ?? 1;
  }

  /** Nobody watches any more. */
  end() {
    this.over = true;
    this.pause();
    this.fetching?.abort();
  }
}
