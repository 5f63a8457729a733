//! A session that happens now, on this terminal: the picture of a play, without its time.

use std::time::{Duration, Instant};

use hansard_core::{Body, Event};
use hansard_view::Screen;
use rustix::process::Signal;

use super::commands::{PAN_COLS, PAN_ROWS};
use super::keys::{Key, Keyboard};
use super::notice::{self, Notice};
use super::picture::{self, Scene, Window};
use super::player::status_of;
use super::status::{State, Status};
use super::terminal::Stage;
use crate::failure::Failure;
use crate::follow::{Ear, Heard};

/// At most sixty pictures a second.
const PICTURE_EVERY: Duration = Duration::from_micros(16_667);
/// The service is listened to this often.
const LISTEN_EVERY: Duration = Duration::from_millis(20);
/// Longest that events are gone past before keys are looked at.
const TURN: Duration = Duration::from_millis(12);

const KEYS: &str = "q leaves  h j k l look aside  z follows the cursor  s this line";

/// Somebody who watches.
pub(super) struct Live<'a> {
    ear: &'a Ear,
    stage: &'a mut Stage,
    screen: Screen,
    at_ns: u64,
    /// How it ended.
    ending: Option<String>,
    notice: Option<Notice>,
    window: Window,
    line_shown: bool,
    keyboard: Keyboard,
    started: Instant,
    stale: bool,
    pictured: Option<Duration>,
}

impl<'a> Live<'a> {
    pub(super) fn new(ear: &'a Ear, stage: &'a mut Stage) -> Self {
        Self {
            ear,
            stage,
            screen: Screen::default(),
            at_ns: 0,
            ending: None,
            notice: None,
            window: Window::default(),
            line_shown: true,
            keyboard: Keyboard::default(),
            started: Instant::now(),
            stale: true,
            pictured: None,
        }
    }

    /// Watches until the viewer has had enough; answers the exit status. What it ended with stays to
    /// be seen.
    pub(super) fn run(mut self) -> Result<u8, Failure> {
        loop {
            let more = self.listen()?;
            self.show()?;
            let wait = match (self.ending.is_some(), more) {
                (false, true) => Duration::ZERO,
                _ => LISTEN_EVERY,
            };
            if let Some(status) = self.wake(wait)? {
                return Ok(status);
            }
        }
    }

    /// Takes what was told; answers whether there may be more.
    fn listen(&mut self) -> Result<bool, Failure> {
        let turn = Instant::now();
        while self.ending.is_none() {
            let Some(heard) = self.ear.now()? else {
                return Ok(false);
            };
            self.stale = true;
            match heard {
                Heard::Event(event) => self.event(&event),
                Heard::Screen { at_ns, size, dump } => {
                    self.at_ns = at_ns;
                    self.screen = Screen::new(size.0, size.1);
                    self.screen.feed(dump.as_bytes());
                }
                Heard::Lost(what) => {
                    let text = format!("a part cannot be read: {what}");
                    self.notice = Some(Notice::long(text, self.started.elapsed()));
                }
                Heard::Over(why) => {
                    let why = why.unwrap_or_else(|| "the session ended".to_owned());
                    self.ending = Some(why);
                }
            }
            if turn.elapsed() >= TURN {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn event(&mut self, event: &Event) {
        self.at_ns = event.at_ns;
        self.screen.apply(&event.body);
        if let Body::End(_) = event.body {
            self.ending = Some(notice::of_the_end(Some(event), None));
        }
        let notice = notice::of(event, self.started.elapsed());
        let heavier = |there: &Notice| there.weighty;
        if let Some(notice) = notice
            && (notice.weighty || !self.notice.as_ref().is_some_and(heavier))
        {
            self.notice = Some(notice);
        }
    }

    fn show(&mut self) -> Result<(), Failure> {
        let now = self.started.elapsed();
        if self
            .notice
            .as_ref()
            .is_some_and(|notice| notice.until <= now)
        {
            self.notice = None;
            self.stale = true;
        }
        let early = self
            .pictured
            .is_some_and(|at| now.saturating_sub(at) < PICTURE_EVERY);
        if !self.stale || early || !self.stage.is_ready() {
            return Ok(());
        }
        let notice = self.notice.as_ref().map(|notice| notice.text.as_str());
        let ended = self.ending.is_some();
        let status = self.line_shown.then(|| Status {
            state: if ended { State::Ended } else { State::Live },
            position_ns: self.at_ns,
            last_ns: self.at_ns,
            growing: !ended,
            speed: 1.0,
            idle_limit: None,
            notice: notice.or(self.ending.as_deref()),
            points_ns: &[],
            hidden: None,
        });
        let scene = Scene {
            screen: &self.screen,
            sought: None,
            status,
            prompt: None,
            help: false,
            deeds: None,
        };
        let picture = picture::draw(self.stage.size(), &mut self.window, scene);
        self.stage.show(picture)?;
        self.stale = false;
        self.pictured = Some(now);
        Ok(())
    }

    /// Waits for keys and signals at most this long, and answers them; the exit status if that was
    /// the end.
    fn wake(&mut self, wait: Duration) -> Result<Option<u8>, Failure> {
        let woken = self.stage.wait(Some(wait))?;
        if let Some(signal) = woken.ending {
            return Ok(Some(status_of(signal)));
        }
        if woken.stop {
            self.stage.stop()?;
            self.stale = true;
        }
        if woken.continued {
            self.stage.retake()?;
            self.stale = true;
        }
        if woken.resized {
            self.stage.repaint();
            self.stale = true;
        }
        let now = self.started.elapsed();
        let mut keys: Vec<Key> = self.keyboard.expire(now).into_iter().collect();
        if woken.keys {
            let mut bytes = [0; 1024];
            let read = self.stage.read_keys(&mut bytes)?;
            let read = bytes.get(..read).unwrap_or_default();
            keys.extend(self.keyboard.feed(read, now));
        } else if woken.gone {
            return Ok(Some(status_of(Signal::HUP)));
        }
        for key in keys {
            self.stale = true;
            if self.key(key, now)? {
                return Ok(Some(0));
            }
        }
        Ok(None)
    }

    fn key(&mut self, key: Key, now: Duration) -> Result<bool, Failure> {
        match key {
            Key::Char('q' | 'Q') | Key::Ctrl('c' | 'd') => return Ok(true),
            Key::Ctrl('z') => self.stage.stop()?,
            Key::Ctrl('l') => self.stage.repaint(),
            Key::Char('h') | Key::Left => self.window.pan(-PAN_COLS, 0),
            Key::Char('l') | Key::Right => self.window.pan(PAN_COLS, 0),
            Key::Char('k') | Key::Up => self.window.pan(0, -PAN_ROWS),
            Key::Char('j') | Key::Down => self.window.pan(0, PAN_ROWS),
            Key::Char('z') => self.window.release(),
            Key::Char('s') => self.line_shown = !self.line_shown,
            Key::Char('?') => self.notice = Some(Notice::short(KEYS, now)),
            _ => {}
        }
        Ok(false)
    }
}
