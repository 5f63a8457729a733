//! What the keeper knows of one session: which part comes next, and where its chain ends.

use hansard_core::frame::{Place, SegmentHeader};
use hansard_core::seal::NO_PREDECESSOR;
use hansard_record::forward::wire::Stored;
use hansard_record::order::Spot;
use hansard_store::archive::SegmentId;
use hansard_store::chain::{Alarm, AlarmKind, Tip, continues};

use crate::tee::Source;

/// One session. Forgotten when nothing of it is in the spool: the catalog knows it.
pub(super) struct Work {
    /// The part that comes next.
    pub(super) expect: Spot,
    /// Segments up to this one were archived before anything was read here.
    archived: Option<u32>,
    /// Where its chain ends, with segments that are sealed and not archived yet.
    pub(super) tip: Option<Tip>,
    pub(super) state: State,
    /// Segments that are sealed and not settled.
    pub(super) unsettled: u32,
    /// The segment before which others are lost for good.
    pub(super) lost_before: Option<u32>,
    pub(super) source: Source,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    /// Its parts come in order.
    Fine,
    /// A part is missing, and others are there behind it.
    Holed,
    /// A part in the spool cannot be read: nothing can be done in this life.
    Lame,
    /// Its parts are put aside.
    Aside,
}

/// How a part stands to what was read of its session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stands {
    /// The next one.
    Next,
    /// Of a segment that was archived before.
    Repeat,
    /// It was read.
    Done,
    /// Something is missing before it.
    TooEarly,
    /// To be put aside.
    Aside,
    /// To be left where it is.
    Lame,
}

/// The first part of a segment.
pub(super) fn opening(segment: u32) -> Spot {
    Spot {
        segment,
        place: Place::Frame(0),
    }
}

/// The receipt for a segment, of which this is known. Of a deleted session only its last segment is.
pub(super) fn receipt((session, segment): SegmentId, tip: Option<&Tip>) -> Stored {
    let of_it = tip.filter(|tip| tip.number == segment);
    Stored {
        session,
        segment,
        digest: of_it.map(|tip| tip.digest),
    }
}

/// What a segment's parts come behind; `None` for the first.
pub(super) fn before(segment: u32) -> Option<Spot> {
    segment.checked_sub(1).map(|segment| Spot {
        segment,
        place: Place::Seal,
    })
}

impl Work {
    /// A session whose archived segments end so.
    pub(super) fn new(tip: Option<Tip>, source: Source) -> Self {
        let next = tip.map_or(0, |tip| tip.number.saturating_add(1));
        Self {
            expect: opening(next),
            archived: tip.map(|tip| tip.number),
            tip,
            state: State::Fine,
            unsettled: 0,
            lost_before: None,
            source,
        }
    }

    pub(super) fn stands(&self, spot: Spot) -> Stands {
        match self.state {
            State::Aside => return Stands::Aside,
            State::Lame => return Stands::Lame,
            State::Fine | State::Holed => {}
        }
        match spot.cmp(&self.expect) {
            std::cmp::Ordering::Equal => Stands::Next,
            std::cmp::Ordering::Greater if is_seal_of(spot, self.expect) => Stands::Next,
            std::cmp::Ordering::Greater => Stands::TooEarly,
            _ if self
                .archived
                .is_some_and(|archived| spot.segment <= archived) =>
            {
                Stands::Repeat
            }
            _ => Stands::Done,
        }
    }

    /// Whether nothing of it is in anybody's hands, so that it may be forgotten.
    pub(super) fn is_idle(&self) -> bool {
        self.state == State::Fine && self.unsettled == 0 && self.expect.place == Place::Frame(0)
    }

    /// Whether a segment that begins so continues the chain, as far as its beginning tells.
    pub(super) fn check_opening(&self, header: &SegmentHeader) -> Result<(), Alarm> {
        let wrong = |kind, what: &str| {
            Err(Alarm {
                kind,
                session: header.session,
                segment: header.number,
                what: what.to_owned(),
            })
        };
        let (digest, next_seq, last_ns) = match &self.tip {
            Some(tip) if tip.is_final => {
                return wrong(AlarmKind::AfterEnd, "the session has ended before it");
            }
            Some(tip) if self.lost_before == Some(header.number) => {
                return match continues(tip, header.first_seq, header.base_ns) {
                    true => Ok(()),
                    false => wrong(
                        AlarmKind::BrokenChain,
                        "its events begin before the newest segment's end",
                    ),
                };
            }
            Some(tip) => (tip.digest, tip.next_seq, tip.last_ns),
            None => (NO_PREDECESSOR, 0, 0),
        };
        if header.predecessor != digest {
            return wrong(
                AlarmKind::BrokenChain,
                "it continues another segment than the newest",
            );
        }
        if (header.first_seq, header.base_ns) != (next_seq, last_ns) {
            return wrong(
                AlarmKind::BrokenChain,
                "its events do not continue the newest segment's",
            );
        }
        Ok(())
    }
}

/// Whether `spot` is the seal of the segment whose next frame was expected: a segment with at least
/// one frame may end at any time.
fn is_seal_of(spot: Spot, expect: Spot) -> bool {
    let has_frames = !matches!(expect.place, Place::Frame(0) | Place::Seal);
    spot.place == Place::Seal && spot.segment == expect.segment && has_frames
}
