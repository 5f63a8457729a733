// Playing a recording: the screen at a moment, and what changes after it, fetched a stretch at a time.
import { get, Problem } from './api';
import { Picture, type Frame } from './picture.svelte';
import { wholeMs } from './words';

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
  duration_ns: number;
  damages: number;
}

export const SPEEDS = [0.25, 0.5, 1, 1.5, 2, 4, 8, 16];

/** How much is fetched at once, milliseconds of watching. */
const AHEAD_MS = 20_000;
/** How long a moment is looked at before what follows it is fetched, milliseconds: who drags passes many. */
const REST_MS = 200;
/** A moment behind every end, milliseconds. */
const END_MS = 1e12;
/** How far behind a happening it still counts as the one that was just led to, while it plays, milliseconds. */
const NEAR_MS = 200;
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
  /** Places of the recording that are damaged, as far as anybody has met them. */
  damages = $state(0);
  /** How long the recording is, milliseconds; `null` until anything of it has come. */
  private length = $state<number | null>(null);
  /** What became of the screens, and of the timeline. */
  private unshown = $state<Problem | null>(null);
  private unknown = $state<Problem | null>(null);

  private frames: Frame[] = [];
  /** Up to where frames are held, milliseconds. */
  private until = 0;
  private isLast = false;
  private fetching: AbortController | null = null;
  private clock = 0;
  private timer = 0;
  private rest = 0;
  private over = false;
  private isAskedAgain = false;

  /** `shown`: the stretch that may be seen, milliseconds; without it all may. */
  constructor(
    readonly sid: string,
    private readonly shown: { from: number; until: number } = { from: 0, until: Infinity },
  ) {}

  get problem(): Problem | null {
    return this.unshown ?? this.unknown;
  }

  /** Whether anything of the recording has come, and with it how long it is. */
  get ready(): boolean {
    return this.length !== null;
  }

  /** How long the recording is, milliseconds; 0 while that is not known. */
  get duration(): number {
    return this.length ?? 0;
  }

  /** The last moment that is shown, milliseconds; without end while that is not known. */
  get last(): number {
    return Math.min(this.shown.until, this.length ?? Infinity);
  }

  /** Shows the first moment, and fetches meanwhile what there is to know of the whole. */
  async open(at: number) {
    const shown = this.seek(at);
    await this.survey();
    await shown;
  }

  private async survey() {
    try {
      const all = await get<Timeline>(`/v1/sessions/${this.sid}/timeline`);
      this.timeline = all;
      this.is(all.duration_ns);
      this.meet(all.damages);
    } catch (error) {
      // That it could not be had again takes nothing of it away.
      this.unknown = this.timeline ? null : (error as Problem);
    }
  }

  /** So many damaged places were passed over for something that came. */
  meet(damages: number) {
    this.damages = Math.max(this.damages, damages);
    // What was made of the recording before it was damaged is made anew by the service, once somebody met that.
    if (this.damages > 0 && this.timeline?.damages === 0 && !this.isAskedAgain) {
      this.isAskedAgain = true;
      void this.survey();
    }
  }

  /** The recording is so long at least: one that goes on grows. */
  private is(duration_ns: number) {
    if (duration_ns / 1e6 > (this.length ?? -1)) {
      this.length = duration_ns / 1e6;
      this.isLast = false;
    }
  }

  /** Shows this moment, and goes on from it if it plays. */
  async seek(to: number) {
    // Whole milliseconds, as they are asked for; at the end behind the last event, not before it.
    this.at = wholeMs(Math.min(Math.max(this.shown.from, to), this.last, END_MS));
    this.frames = [];
    this.until = this.at;
    this.isLast = false;
    this.fetching?.abort();
    this.fetching = null;
    clearTimeout(this.rest);
    // The screen of the moment comes first: what follows it is more.
    if (await this.more(0)) {
      this.rest = setTimeout(() => void this.more(), this.playing ? 0 : REST_MS);
    }
  }

  /** Fetches the next stretch; of an empty one its first frame is the screen at that moment. Answers whether it came. */
  private async more(ahead = Math.ceil(AHEAD_MS * Math.max(1, this.speed))): Promise<boolean> {
    if (this.fetching || this.isLast || this.over) {
      return false;
    }
    const breakOff = new AbortController();
    this.fetching = breakOff;
    const from = Math.ceil(this.until);
    try {
      const parameters = { from_ms: from, until_ms: from + ahead };
      const path = `/v1/sessions/${this.sid}/frames`;
      const got = await get<Frames>(path, parameters, breakOff.signal);
      this.is(got.duration_ns);
      this.meet(got.damages);
      this.frames.push(...got.frames);
      this.until = Math.max(from + 1, Math.ceil(got.until_ns / 1e6));
      this.isLast = got.next_ns === null;
      this.unshown = null;
      this.paint();
      if (this.at > this.last) {
        // A moment behind the end shows what the end shows; what comes to be there follows the end.
        this.at = this.last;
        this.until = Math.ceil(this.last);
      }
      return true;
    } catch (error) {
      if (!breakOff.signal.aborted) {
        this.unshown = error as Problem;
        this.pause();
      }
      return false;
    } finally {
      if (this.fetching === breakOff) {
        this.fetching = null;
      }
    }
  }

  /** Paints everything up to now, and nothing behind it: who gives this moment away has seen what it shows. */
  private paint() {
    let due = 0;
    while ((this.frames[due]?.at_ns ?? Infinity) / 1e6 <= this.at) {
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
      void this.seek(this.shown.from);
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
      // What is played is painted some hundredths of a second at a time; where it stops, exactly.
      void this.seek(this.at);
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
    const all = this.timeline?.happenings ?? [];
    // Where it is shown, and where we are: a moment that was led to is left by the next step, however near the next one is.
    const moment = (one: Happening) => wholeMs(one.at_ns / 1e6);
    const at = this.playing ? this.at : wholeMs(this.at);
    // What plays has gone on a little before somebody presses again.
    const before = this.playing ? at - NEAR_MS : at;
    const next = by > 0 ? all.find((one) => moment(one) > at) : all.findLast((one) => moment(one) < before);
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
    clearTimeout(this.rest);
    this.pause();
    this.fetching?.abort();
  }
}
