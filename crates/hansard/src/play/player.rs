//! The play: what is due is shown, keys and signals are answered, nothing is waited for in vain.

use std::time::{Duration, Instant};

use hansard_core::reader::Tail;
use hansard_shell::Woken;
use rustix::process::Signal;

use super::finder::{Finder, Finding, Way};
use super::keys::{Key, Keyboard};
use super::notice::{self, Notice, quoted};
use super::picture::{self, Scene, Window};
use super::prompt::Prompt;
use super::reel::{Ahead, Reel};
use super::status::{State, Status};
use super::terminal::Stage;
use super::timeline::Timeline;
use crate::cli::PlayArgs;
use crate::failure::Failure;
use crate::moment::{self, Moment};

/// At most sixty pictures a second.
const PICTURE_EVERY: Duration = Duration::from_micros(16_667);
/// The position is shown anew this often while nothing else changes.
const TICK: Duration = Duration::from_millis(200);
/// A recording at whose end we are is looked at for more this often.
const FOLLOW_EVERY: Duration = Duration::from_millis(50);
/// While the end of a growing recording is not in sight, it is looked for this often.
const LOOK_AHEAD_EVERY: Duration = Duration::from_secs(1);
/// Longest that events are gone past before keys are looked at.
const TURN: Duration = Duration::from_millis(12);
/// Exit status of a program ended by a signal, less the signal's number.
const STATUS_SIGNAL: u8 = 128;

/// What the line at the bottom is used for, and what the keys do.
pub(super) enum Mode {
    Watching,
    Asking(Prompt),
    Help,
}

/// A text that is or was searched for.
#[derive(Default)]
pub(super) struct Sought {
    pub(super) needle: Option<String>,
    pub(super) finder: Option<Finder>,
    /// The event of the match that was found last.
    pub(super) found_seq: Option<u64>,
    /// Nothing was found from here on, and it goes on from the beginning.
    pub(super) wraps: bool,
}

/// A recording being played to somebody.
pub(super) struct Player<'a> {
    pub(super) reel: Reel,
    pub(super) stage: &'a mut Stage,
    pub(super) timeline: Timeline,
    pub(super) mode: Mode,
    pub(super) notice: Option<Notice>,
    /// How the recording ends, once that was seen.
    ending: Option<String>,
    pub(super) sought: Sought,
    pub(super) window: Window,
    pub(super) line_shown: bool,
    /// Host events stand beside the screen.
    pub(super) deeds_shown: bool,
    /// What the `i` key switches to.
    pub(super) idle_limit: Duration,
    /// There is nothing more to play.
    pub(super) ended: bool,
    /// At the end of a recording that still grows.
    pub(super) live: bool,
    following: bool,
    keyboard: Keyboard,
    started: Instant,
    /// Something changed since the last picture.
    pub(super) stale: bool,
    pictured: Option<Duration>,
    damages: u64,
    /// When the way through an empty stretch or the next look for more is due.
    again: Option<Duration>,
    next_due: Option<Duration>,
    /// When to look how long a growing recording has become.
    look_ahead_due: Option<Duration>,
}

/// How long a pause is let last where only the key asks for a limit.
const IDLE_LIMIT_DEFAULT: Duration = Duration::from_secs(2);

/// Longest idle limit that can be asked for: a day.
const IDLE_LIMIT_SECONDS_MAX: f64 = 86_400.0;

impl<'a> Player<'a> {
    pub(super) fn new(args: &PlayArgs, reel: Reel, stage: &'a mut Stage) -> Self {
        let limit = args.idle_limit.map(|seconds| {
            let seconds = if seconds.is_nan() { 0.0 } else { seconds };
            Duration::from_secs_f64(seconds.clamp(0.0, IDLE_LIMIT_SECONDS_MAX))
        });
        let mut timeline = Timeline::new(0, args.speed, limit, Duration::ZERO);
        timeline.set_paused(args.paused, Duration::ZERO);
        Self {
            reel,
            stage,
            timeline,
            mode: Mode::Watching,
            notice: None,
            ending: None,
            sought: Sought::default(),
            window: Window::default(),
            line_shown: true,
            deeds_shown: args.events,
            idle_limit: limit.unwrap_or(IDLE_LIMIT_DEFAULT),
            ended: false,
            live: false,
            following: args.follow,
            keyboard: Keyboard::default(),
            started: Instant::now(),
            stale: true,
            pictured: None,
            damages: 0,
            again: None,
            next_due: None,
            look_ahead_due: args.follow.then_some(LOOK_AHEAD_EVERY),
        }
    }

    /// Plays until the viewer has had enough; answers the exit status, and gives the recording back.
    pub(super) fn run(mut self, from: Option<Moment>) -> Result<(u8, Reel), Failure> {
        match from {
            Some(moment) => self.go_to(moment.at_ns())?,
            None if self.following => self.go_to(u64::MAX)?,
            None => {}
        }
        loop {
            let now = self.now();
            self.go_on(now)?;
            self.show(now)?;
            let woken = self.stage.wait(self.sleep(self.now()))?;
            if let Some(status) = self.wake(&woken)? {
                return Ok((status, self.reel));
            }
        }
    }

    /// The viewer's time.
    pub(super) fn now(&self) -> Duration {
        self.started.elapsed()
    }

    pub(super) fn is_following(&self) -> bool {
        self.following
    }

    /// The moment that the viewer sees.
    pub(super) fn position(&self, now: Duration) -> u64 {
        let last_ns = self.reel.last_ns();
        if let Some(finder) = &self.sought.finder {
            return finder.at_ns();
        }
        if self.ended || self.live {
            last_ns
        } else {
            self.timeline.position(now).min(last_ns)
        }
    }

    /// Does what is due by now.
    fn go_on(&mut self, now: Duration) -> Result<(), Failure> {
        self.again = None;
        self.next_due = None;
        if self
            .notice
            .as_ref()
            .is_some_and(|notice| notice.until <= now)
        {
            self.notice = None;
            self.stale = true;
        }
        self.look_ahead(now);
        if self.sought.finder.is_some() {
            return self.search_on();
        }
        if self.timeline.is_paused() || self.ended {
            return Ok(());
        }
        let turn = Instant::now();
        while turn.elapsed() < TURN {
            match self.reel.ahead()? {
                Ahead::At(at_ns) if self.live => self.pass(at_ns, now)?,
                Ahead::At(at_ns) => match self.timeline.due(at_ns) {
                    Some(due) if due <= now => self.pass(at_ns, now)?,
                    due => {
                        self.next_due = due;
                        return Ok(());
                    }
                },
                Ahead::Unknown => {}
                Ahead::Nothing => {
                    return self.at_the_end(now);
                }
            }
        }
        // More was due than there is time for: the recording's clock waits for us.
        self.timeline.fall_back(self.reel.at_ns(), now);
        self.again = Some(now);
        Ok(())
    }

    /// Finds out how long a growing recording is, where playing it does not.
    fn look_ahead(&mut self, now: Duration) {
        if self.live || self.look_ahead_due.is_none_or(|due| now < due) {
            return;
        }
        let more = self.reel.look_ahead();
        self.look_ahead_due = Some(if more { now } else { now + LOOK_AHEAD_EVERY });
        self.stale = true;
    }

    /// Shows the next event.
    fn pass(&mut self, at_ns: u64, now: Duration) -> Result<(), Failure> {
        let skipped = self.timeline.arrive(at_ns, now);
        if self.live {
            self.timeline.jump(at_ns, now);
        } else if skipped >= 1_000_000_000 {
            let text = format!("{} of nothing skipped", moment::show(skipped));
            self.announce(Notice::short(text, now));
        }
        self.step(now)
    }

    /// Goes past the next event and says what there is to say about it.
    pub(super) fn step(&mut self, now: Duration) -> Result<(), Failure> {
        if let Some(event) = self.reel.advance()?
            && let Some(notice) = notice::of(&event, now)
        {
            self.announce(notice);
        }
        let concealed = self.reel.take_concealed();
        if !concealed.trim().is_empty() {
            let text = format!("printed to be invisible: {}", quoted(&concealed));
            self.announce(Notice::long(text, now));
        }
        self.look_for_damage(now);
        self.stale = true;
        Ok(())
    }

    pub(super) fn look_for_damage(&mut self, now: Duration) {
        let (count, last) = self.reel.damages();
        if count > self.damages {
            self.notice = Some(Notice::long(format!("{last}; passed over"), now));
        }
        self.damages = count;
    }

    /// Says what happened, unless what stands there weighs more.
    fn announce(&mut self, notice: Notice) {
        if notice.weighty || self.notice.as_ref().is_none_or(|there| !there.weighty) {
            self.notice = Some(notice);
        }
    }

    fn at_the_end(&mut self, now: Duration) -> Result<(), Failure> {
        let complete = self.reel.tail() == Some(Tail::Complete);
        if self.following && !complete {
            self.stale |= !self.live;
            self.live = true;
            self.again = Some(now + FOLLOW_EVERY);
            return Ok(());
        }
        self.live = false;
        self.ended = true;
        self.look_ahead_due = None;
        self.stale = true;
        self.look_for_damage(now);
        if self.ending.is_none() {
            let tail = self.reel.tail();
            let last = self.reel.last_event()?;
            self.ending = Some(notice::of_the_end(last.as_ref(), tail));
            // It went back for that, and passes the same damage again.
            self.damages = self.reel.damages().0;
        }
        Ok(())
    }

    /// Does some of the search that is going on.
    fn search_on(&mut self) -> Result<(), Failure> {
        let turn = Instant::now();
        self.again = Some(self.now());
        let (Some(mut finder), Some(needle)) =
            (self.sought.finder.take(), self.sought.needle.clone())
        else {
            return Ok(());
        };
        while turn.elapsed() < TURN {
            match finder.work(&mut self.reel, &needle)? {
                Finding::On => {}
                Finding::Found(found) => return self.found(&needle, &found),
                Finding::Nothing => return self.found_nothing(&needle),
            }
        }
        self.sought.finder = Some(finder);
        Ok(())
    }

    fn found_nothing(&mut self, needle: &str) -> Result<(), Failure> {
        let now = self.now();
        self.stale = true;
        if std::mem::take(&mut self.sought.wraps) {
            // Not behind here: from the beginning, and then that is all.
            let here = self.reel.next_seq();
            self.reel.seek_before(0)?;
            let finder = Finder::new(&mut self.reel, needle, Way::Forward, None);
            self.reel.seek_before(here)?;
            self.sought.finder = Some(finder?);
            return Ok(());
        }
        self.notice = Some(Notice::short(format!("no {} there", quoted(needle)), now));
        Ok(())
    }

    /// Shows a picture, if there is a new one to show and it is time.
    fn show(&mut self, now: Duration) -> Result<(), Failure> {
        let ticks = !self.timeline.is_paused() && !self.ended || self.sought.finder.is_some();
        let age = self.pictured.map(|at| now.saturating_sub(at));
        let due = match age {
            None => true,
            Some(age) => self.stale && age >= PICTURE_EVERY || ticks && age >= TICK,
        };
        if !due || !self.stage.is_ready() {
            return Ok(());
        }
        if self.deeds_shown {
            self.reel.know_deeds()?;
        }
        let mut window = self.window.clone();
        let points_ns: Vec<u64> = self.points_of_interest().map(|(at_ns, _)| at_ns).collect();
        let notice = self.notice.as_ref().map(|notice| notice.text.as_str());
        let ending = self.ending.as_deref().filter(|_| self.ended);
        let status = self.line_shown.then(|| Status {
            state: self.state(),
            position_ns: self.position(now),
            last_ns: self.reel.last_ns(),
            growing: self.following && !self.ended,
            speed: self.timeline.speed(),
            idle_limit: self.timeline.idle_limit(),
            notice: notice.or(ending),
            points_ns: &points_ns,
            hidden: None,
        });
        let scene = Scene {
            screen: self.reel.screen(),
            sought: self.sought.needle.as_deref(),
            status,
            prompt: if let Mode::Asking(prompt) = &self.mode {
                Some(prompt)
            } else {
                None
            },
            help: matches!(self.mode, Mode::Help),
            deeds: self.deeds_shown.then(|| self.reel.deeds()),
        };
        let picture = picture::draw(self.stage.size(), &mut window, scene);
        self.window = window;
        self.stage.show(picture)?;
        self.stale = false;
        self.pictured = Some(now);
        super::fault_for_tests();
        Ok(())
    }

    fn state(&self) -> State {
        if self.sought.finder.is_some() {
            State::Searching
        } else if self.ended {
            State::Ended
        } else if self.timeline.is_paused() {
            State::Paused
        } else if self.live {
            State::Live
        } else {
            State::Playing
        }
    }

    /// How long nothing will have to be done, unless keys or signals come.
    fn sleep(&self, now: Duration) -> Option<Duration> {
        let ticks = !self.timeline.is_paused() && !self.ended || self.sought.finder.is_some();
        let picture = self
            .pictured
            .map(|at| at + if self.stale { PICTURE_EVERY } else { TICK });
        let picture = picture.filter(|_| (self.stale || ticks) && self.stage.is_ready());
        let notice = self.notice.as_ref().map(|notice| notice.until);
        [
            self.again,
            self.next_due,
            self.keyboard.deadline(),
            self.look_ahead_due.filter(|_| !self.live),
            notice,
            picture,
        ]
        .into_iter()
        .flatten()
        .min()
        .map(|until| until.saturating_sub(now))
    }

    /// Answers keys and signals; the exit status if that was the end.
    fn wake(&mut self, woken: &Woken) -> Result<Option<u8>, Failure> {
        if let Some(signal) = woken.ending {
            return Ok(Some(status_of(signal)));
        }
        if woken.stop {
            self.stop()?;
        }
        if woken.continued {
            self.stage.retake()?;
            self.stale = true;
        }
        if woken.resized {
            // Also when the size is the same again: terminals move what they show meanwhile.
            self.stage.repaint();
            self.stale = true;
        }
        let now = self.now();
        let mut keys: Vec<Key> = self.keyboard.expire(now).into_iter().collect();
        if woken.keys {
            let mut bytes = [0; 1024];
            let read = self.stage.read_keys(&mut bytes)?;
            keys.extend(
                self.keyboard
                    .feed(bytes.get(..read).unwrap_or_default(), now),
            );
        } else if woken.gone {
            return Ok(Some(status_of(Signal::HUP)));
        }
        for key in keys {
            self.stale = true;
            if self.key(key)? {
                return Ok(Some(0));
            }
        }
        Ok(None)
    }

    /// Stops as Ctrl-Z does. The recording's time stands still meanwhile.
    pub(super) fn stop(&mut self) -> Result<(), Failure> {
        let at_ns = self.timeline.position(self.now());
        self.stage.stop()?;
        self.timeline.jump(at_ns, self.now());
        self.stale = true;
        Ok(())
    }
}

/// As a shell says it.
pub(super) fn status_of(signal: Signal) -> u8 {
    STATUS_SIGNAL.saturating_add(u8::try_from(signal.as_raw()).unwrap_or(0))
}
