//! Parts of segments that were archived before: after a start, or because a sender has not heard.
//! Each is compared with what is archived, and forgotten when it is the same.

use hansard_core::frame::Part;
use hansard_record::order::Spot;
use hansard_record::spool::Pending;
use hansard_store::archive::SegmentId;
use hansard_store::chain::Tip;
use hansard_store::{AlarmKind, ArchiveError};

use super::setting_aside::Put;
use super::work::receipt;
use super::{Keeper, Matter, Raised, split};

/// Such parts that wait to be compared; at as many the keeper reads no further.
pub(super) const REPEATS_MAX: usize = 65_536;

/// Segments that are compared in one step.
const SEGMENTS_PER_STEP: usize = 32;

/// What comparing came to.
enum Compared {
    /// They are in the archive, byte for byte; where the chain ends after them.
    Same(Tip),
    /// Another part is in the place of this one.
    Differs(Spot),
    /// The archive does not have the segment as it was.
    Lost(String),
}

impl Keeper {
    pub(super) fn compare_repeats(&mut self, now_ns: u64) {
        if self.repeats.is_empty() || !self.comparing.may_try(now_ns) {
            return;
        }
        for _ in 0..SEGMENTS_PER_STEP {
            let Some((segment, parts)) = self.repeats.pop_first() else {
                break;
            };
            self.repeats_len = self.repeats_len.saturating_sub(parts.len());
            let done = match self.compare(segment, &parts) {
                Ok(Compared::Same(tip)) => self.forget_repeats(segment, &tip, &parts),
                Ok(Compared::Differs(spot)) => {
                    let what = format!("{spot} is in the archive with other bytes");
                    let matter = Matter::Chain(AlarmKind::Fork);
                    self.condemn(segment.0, segment.1, matter, &what);
                    true
                }
                Ok(Compared::Lost(why)) => self.keep_better_copy(segment, &parts, &why),
                Err(e) => {
                    self.figures.trouble = Some(e.to_string());
                    false
                }
            };
            if !done {
                self.repeats_len = self.repeats_len.saturating_add(parts.len());
                self.repeats.insert(segment, parts);
                self.comparing.failed(now_ns);
                return;
            }
        }
        self.comparing.succeeded();
    }

    fn compare(
        &self,
        (session, number): SegmentId,
        parts: &[Pending],
    ) -> Result<Compared, ArchiveError> {
        let why = match self.stores.archive.segment(session, number)? {
            Some((row, Ok(bytes))) if row.number == number => {
                let archived = split(session, &bytes).0;
                return Ok(self.compare_with(Tip::from(&row), &archived, parts));
            }
            Some((row, Err(wrong))) if row.number == number => wrong.what,
            _ => "the segment was given up when the catalog was built anew".to_owned(),
        };
        // What was deleted for good was archived before: whoever still has it may forget it.
        match self.stores.archive.tombstone(session)? {
            Some(tombstone) => Ok(Compared::Same(Tip::from(&tombstone))),
            None => Ok(Compared::Lost(why)),
        }
    }

    fn compare_with(&self, tip: Tip, archived: &[Part], parts: &[Pending]) -> Compared {
        for pending in parts {
            let Ok(part) = self.stores.spool.read(pending) else {
                // Damaged here and sound there, or gone already: nothing is lost by forgetting it.
                continue;
            };
            let same = |there: &&Part| Spot::of(there) == pending.spot;
            if archived.iter().find(same) != Some(&part) {
                return Compared::Differs(pending.spot);
            }
        }
        Compared::Same(tip)
    }

    /// Answers whether they may be forgotten, and are.
    fn forget_repeats(&mut self, segment: SegmentId, tip: &Tip, parts: &[Pending]) -> bool {
        if let Err(why) = (self.hooks.before_forget)(segment.0, tip) {
            self.figures.trouble = Some(why);
            return false;
        }
        (self.hooks.settled)(receipt(segment, Some(tip)));
        self.figures.segments = self.figures.segments.saturating_add(1);
        let spots: Vec<_> = parts.iter().map(|p| (p.session, p.spot)).collect();
        self.stores.spool.forget(&spots);
        let is_over = self
            .sessions
            .get(&segment.0)
            .is_some_and(|work| work.tip.is_some_and(|tip| tip.is_final));
        if is_over {
            self.live.is_over(segment.0);
        }
        true
    }

    /// What came is all there is of the segment: it must not be forgotten.
    fn keep_better_copy(&mut self, segment: SegmentId, parts: &[Pending], why: &str) -> bool {
        let (session, number) = segment;
        let kept = match self.put_files(parts) {
            Put::Done => Some(self.stores.aside.place_of(session)),
            Put::Full(_) => None,
            Put::Failed(why) => {
                self.figures.trouble = Some(why);
                return false;
            }
        };
        let is_kept = kept.is_some();
        self.raise(&Raised {
            matter: Matter::ArchiveDamaged,
            session: Some(session),
            segment: Some(number),
            what: format!("segment {number} came again, and the archive does not have it: {why}"),
            kept,
        });
        if is_kept {
            let spots: Vec<_> = parts.iter().map(|p| (p.session, p.spot)).collect();
            self.stores.spool.forget(&spots);
        }
        true
    }
}
