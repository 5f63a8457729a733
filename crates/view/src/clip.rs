//! A stretch of a recording as a recording of its own, for whoever may see that and no more.
//!
//! A clip begins with the screen as it was at its first moment. It is a copy to look at: evidence is
//! the recording that it was cut from, which its header names.

use std::collections::VecDeque;

use hansard_core::event::Stream;
use hansard_core::{Body, Event, Session, SessionId};
use sha2::{Digest as _, Sha256};

use crate::codec::{DecodeError, Decoder};
use crate::screen::Screen;

/// Longest piece of the first screen in one event, bytes: as a capture hands output over.
const PIECE_BYTES_MAX: usize = 32 * 1024;

/// Hands out what happened between two moments of a recording. Holds one screen of it.
pub struct Clip<D> {
    of: D,
    from_ns: u64,
    until_ns: u64,
    screen: Screen,
    /// Something was shown at a terminal before the first moment.
    has_shown: bool,
    has_begun: bool,
    is_over: bool,
    /// The header, until it is known that there is something of the stretch.
    header: Option<Body>,
    /// When the last event was that came before the first moment.
    last_ns: u64,
    ready: VecDeque<(u64, Body)>,
    next_seq: u64,
}

impl<D: Decoder> Clip<D> {
    /// From `from_ns` to `until_ns`, both included, nanoseconds since the recording's start. The
    /// header's identifier is made of the recording's and these moments, so that the same clip has
    /// the same one; the recording is its parent. Where nothing happened between them it has a header and
    /// the last screen before them; where the recording had ended before, nothing at all
    /// ([`Self::ended_before_ns`]).
    pub fn new(of: D, from_ns: u64, until_ns: u64) -> Self {
        Self {
            of,
            from_ns,
            until_ns,
            screen: Screen::default(),
            has_shown: false,
            has_begun: false,
            is_over: false,
            header: None,
            last_ns: 0,
            ready: VecDeque::new(),
            next_seq: 0,
        }
    }

    /// How long the recording is, where it had ended before the first moment: then nothing was handed out.
    /// Known once there is nothing more.
    #[must_use]
    pub fn ended_before_ns(&self) -> Option<u64> {
        let is_behind = self.is_over && self.header.is_some();
        is_behind.then_some(self.last_ns)
    }

    /// Whether anything was handed out.
    #[must_use]
    pub fn has_begun(&self) -> bool {
        self.next_seq > 0
    }

    fn take(&mut self, event: Event) {
        match event.body {
            Body::Start(session) => {
                let session = self.header(*session);
                self.header = Some(Body::Start(Box::new(session)));
                if self.from_ns == 0 {
                    self.begin();
                }
            }
            body if event.at_ns < self.from_ns => {
                self.last_ns = event.at_ns;
                self.pass(&body);
            }
            _ if event.at_ns > self.until_ns => self.finish(),
            body => {
                self.begin();
                let at_ns = event.at_ns.saturating_sub(self.from_ns);
                let body = match body {
                    Body::Gap(mut gap) => {
                        gap.from_ns = gap.from_ns.saturating_sub(self.from_ns);
                        Body::Gap(gap)
                    }
                    body => body,
                };
                self.ready.push_back((at_ns, body));
            }
        }
    }

    fn header(&self, of: Session) -> Session {
        let start_utc_ns = of.start_utc_ns.saturating_add(self.from_ns);
        let mut hash = Sha256::new();
        hash.update(of.id.as_bytes());
        hash.update(self.from_ns.to_le_bytes());
        hash.update(self.until_ns.to_le_bytes());
        let mut random = [0; 10];
        for (to, from) in random.iter_mut().zip(hash.finalize()) {
            *to = from;
        }
        Session {
            id: SessionId::new_v7(start_utc_ns / 1_000_000, random),
            parent: Some(of.id),
            start_utc_ns,
            ..of
        }
    }

    /// What came before: the screen that it left is all that is kept of it.
    fn pass(&mut self, body: &Body) {
        self.screen.apply(body);
        let stream = match body {
            Body::Data { stream, .. } => Some(*stream),
            _ => None,
        };
        self.has_shown |= stream == Some(Stream::Output);
    }

    /// The header, and the screen at the first moment. A program without a terminal has none.
    fn begin(&mut self) {
        if std::mem::replace(&mut self.has_begun, true) {
            return;
        }
        if let Some(header) = self.header.take() {
            self.ready.push_back((0, header));
        }
        if self.from_ns == 0 {
            return;
        }
        let (cols, rows) = self.screen.size();
        self.ready.push_back((0, Body::Resize { cols, rows }));
        if self.has_shown {
            for piece in self.screen.dump_bytes().chunks(PIECE_BYTES_MAX) {
                let (stream, bytes) = (Stream::Output, piece.to_vec());
                self.ready.push_back((0, Body::Data { stream, bytes }));
            }
        }
    }

    fn finish(&mut self) {
        self.begin();
        self.is_over = true;
    }
}

impl<D: Decoder> Decoder for Clip<D> {
    fn next_event(&mut self) -> Result<Option<Event>, DecodeError> {
        loop {
            if let Some((at_ns, body)) = self.ready.pop_front() {
                let seq = self.next_seq;
                self.next_seq += 1;
                return Ok(Some(Event { seq, at_ns, body }));
            }
            if self.is_over {
                return Ok(None);
            }
            match self.of.next_event()? {
                Some(event) => self.take(event),
                // Of nothing at all, or of what ended before the first moment, there is no clip.
                None => self.is_over = true,
            }
        }
    }

    fn take_notices(&mut self) -> Vec<String> {
        self.of.take_notices()
    }

    fn is_damaged(&self) -> bool {
        self.of.is_damaged()
    }
}

#[cfg(test)]
mod tests {
    use hansard_core::event::Gap;

    use super::*;
    use crate::Import;

    struct Given(VecDeque<Event>);

    impl Decoder for Given {
        fn next_event(&mut self) -> Result<Option<Event>, DecodeError> {
            Ok(self.0.pop_front())
        }
    }

    fn id(number: u64) -> SessionId {
        SessionId::new_v7(number, [0; 10])
    }

    #[test]
    fn the_same_clip_has_the_same_identifier() {
        let of = |from_ns| match clip(vec![(10, shown("a"))], from_ns, 20).remove(0).body {
            Body::Start(session) => session.id,
            body => panic!("{body:?}"),
        };
        assert_eq!(of(5), of(5));
        assert_ne!(of(5), of(6));
    }

    fn shown(text: &str) -> Body {
        Body::Data {
            stream: Stream::Output,
            bytes: text.as_bytes().to_vec(),
        }
    }

    fn events(bodies: Vec<(u64, Body)>) -> Vec<Event> {
        let import = Import {
            id: id(1),
            start_utc_ns: 1_000,
            recorder: "test".to_owned(),
            rec: None,
        };
        let start = (0, Body::Start(Box::new(import.session("test"))));
        let all = std::iter::once(start).chain(bodies).enumerate();
        all.map(|(seq, (at_ns, body))| Event {
            seq: seq as u64,
            at_ns,
            body,
        })
        .collect()
    }

    fn clip(bodies: Vec<(u64, Body)>, from_ns: u64, until_ns: u64) -> Vec<Event> {
        let given = Given(events(bodies).into());
        let mut clip = Clip::new(given, from_ns, until_ns);
        let mut next = || clip.next_event().unwrap();
        std::iter::from_fn(&mut next).collect()
    }

    #[test]
    fn a_character_that_is_cut_by_the_first_moment_is_whole() {
        let data = |bytes: &[u8]| Body::Data {
            stream: Stream::Output,
            bytes: bytes.to_vec(),
        };
        let (first, rest) = ("A日".as_bytes().split_at(2), "B".as_bytes());
        let bodies = vec![(1, data(first.0)), (20, data(&[first.1, rest].concat()))];
        let mut screen = Screen::default();
        clip(bodies, 10, 30)
            .iter()
            .for_each(|event| screen.apply(&event.body));
        assert_eq!(screen.text(), "A日B\n");
    }

    #[test]
    fn it_begins_with_the_screen_and_keeps_the_times() {
        let gap = Gap {
            from_ns: 40,
            ..Gap::default()
        };
        let got = clip(
            vec![
                (10, Body::Resize { cols: 20, rows: 5 }),
                (20, shown("before\r\n")),
                (50, shown("in it")),
                (60, Body::Gap(gap)),
                (61, shown("behind")),
            ],
            50,
            60,
        );
        let numbers: Vec<_> = got.iter().map(|event| (event.seq, event.at_ns)).collect();
        assert_eq!(numbers, [(0, 0), (1, 0), (2, 0), (3, 0), (4, 10)]);
        let Body::Start(session) = &got[0].body else {
            panic!("{:?}", got[0]);
        };
        assert_eq!(session.parent, Some(id(1)));
        assert_ne!(session.id, id(1));
        assert_eq!(session.start_utc_ns, 1_050);
        assert_eq!(got[1].body, Body::Resize { cols: 20, rows: 5 });
        let mut screen = Screen::default();
        got.iter().for_each(|event| screen.apply(&event.body));
        assert_eq!(screen.text(), "before\nin it\n");
        let Body::Gap(gap) = &got[4].body else {
            panic!("{:?}", got[4]);
        };
        assert_eq!(gap.from_ns, 0);
    }

    #[test]
    fn from_the_start_it_adds_nothing() {
        let got = clip(vec![(10, shown("a")), (20, shown("b"))], 0, 10);
        assert_eq!(got.len(), 2);
        assert_eq!(got[1].body, shown("a"));
        assert_eq!(got[1].at_ns, 10);
    }

    #[test]
    fn where_nothing_happened_there_is_the_last_screen() {
        for (from_ns, until_ns) in [(15, 20), (15, 15), (15, 10)] {
            let got = clip(vec![(10, shown("a")), (30, shown("b"))], from_ns, until_ns);
            let mut screen = Screen::default();
            got.iter().for_each(|event| screen.apply(&event.body));
            assert_eq!(screen.text(), "a\n");
            assert_eq!(got.last().unwrap().at_ns, 0);
        }
    }

    #[test]
    fn behind_the_end_there_is_no_clip_and_it_says_how_long_the_recording_is() {
        let of = |from_ns| {
            let given = Given(events(vec![(10, shown("a"))]).into());
            let mut clip = Clip::new(given, from_ns, 200);
            let first = clip.next_event().unwrap();
            while clip.next_event().unwrap().is_some() {}
            (first.is_some(), clip.has_begun(), clip.ended_before_ns())
        };
        assert_eq!(of(11), (false, false, Some(10)));
        assert_eq!(of(10), (true, true, None));
        assert_eq!(of(0), (true, true, None));
    }

    #[test]
    fn a_program_without_a_terminal_has_no_screen_before() {
        let out = |text: &str| Body::Data {
            stream: Stream::Stdout,
            bytes: text.as_bytes().to_vec(),
        };
        let got = clip(vec![(10, out("a")), (20, out("b"))], 20, 20);
        let data: Vec<_> = got.iter().skip(2).map(|event| &event.body).collect();
        assert_eq!(data, [&out("b")]);
    }

    #[test]
    fn of_nothing_there_is_no_clip() {
        let mut clip = Clip::new(Given(VecDeque::new()), 1, 2);
        assert_eq!(clip.next_event().unwrap(), None);
        assert_eq!(clip.ended_before_ns(), None);
    }
}
