//! Holding a login until it is over, and bringing its recording to its end.

use hansard_core::SessionId;
use hansard_core::event::End;
use hansard_core::policy::OnEnd;
use hansard_record::Recorder;
use hansard_record::handoff::FromDaemon;
use hansard_shell::{Held, OnItsWay, Options, Over};

use super::kept::Kept;
use super::stub::Stub;
use crate::host::Watched;
use crate::local::{Happening, Shared};
use crate::registry::{Ended, Line};
use crate::who::Listed;

/// A login that is held.
pub(super) struct Holding {
    pub(super) id: SessionId,
    pub(super) options: Options,
    pub(super) on_end: OnEnd,
    pub(super) recorder: Recorder,
    pub(super) listed: Option<Listed>,
    /// Where it outlives this daemon.
    pub(super) kept: Option<Kept>,
    /// What its processes do, where that is recorded.
    pub(super) watched: Option<Watched>,
}

impl Holding {
    /// Holds what was granted, with what was typed into it while nobody held it, if somebody did before; why it was not is
    /// told as the session's end. The recording has its end when this returns, or another daemon goes on with it.
    pub(super) fn until_over(
        self,
        shared: &Shared,
        mut stub: Stub<'_>,
        granted: Result<(Held, Option<Vec<u8>>), String>,
    ) -> Happening {
        let Self {
            id,
            options,
            on_end,
            recorder,
            listed,
            kept,
            watched,
        } = self;
        let over = match granted {
            Ok((held, untyped)) => {
                let over = match untyped {
                    None => held.run(&recorder, &options, &mut stub),
                    Some(untyped) => held.run_on(&recorder, &options, &mut stub, &untyped),
                };
                over.unwrap_or_else(|e| Over::Away(e.to_string()))
            }
            Err(why) => Over::Away(why),
        };
        let over = match (over, kept) {
            (Over::Paused(on_its_way), Some(kept)) => {
                drop(listed);
                if let Some(watched) = watched {
                    watched.stay();
                }
                return pause(shared, stub, (id, recorder), (kept, on_its_way));
            }
            // Whatever it was, nobody is to find it any more.
            (over, kept) => {
                drop(kept);
                over
            }
        };
        // The terminal is given back, whatever the way out, before anybody is told anything.
        stub.hold = None;
        drop(listed);
        let program = stub.program;
        if let Some(process) = stub.kills {
            // One whose program was not waited for: what is delivered is told, and this done, before.
            process.kill_below();
        }
        // The registry's handle goes first: closing waits for nobody who follows.
        let ended = shared.registry.finish(id);
        let outcome = end_of(over).map(|end| because(end, ended));
        if let (OnEnd::Kill, Some(mut program)) = (on_end, program) {
            program.kill();
        }
        drop(watched);
        finish(shared, Some(stub.line), (id, recorder), outcome)
    }
}

/// Everything is made durable and left as it is; where the policy goes on without that and it could not be, the next
/// daemon writes a gap. A crash in here leaves what a kill before it
/// leaves: the next daemon goes on, with a gap.
fn pause(
    shared: &Shared,
    mut stub: Stub<'_>,
    (id, recorder): (SessionId, Recorder),
    (kept, on_its_way): (Kept, OnItsWay),
) -> Happening {
    let is_durable = match recorder.settle() {
        Ok(is_durable) => is_durable,
        Err(lost) => {
            stub.hold = None;
            drop(kept);
            let outcome = Err(lost.to_string());
            return finish(shared, Some(stub.line), (id, recorder), outcome);
        }
    };
    drop(recorder);
    // It stays taken, and its note: who goes on finds it so.
    if let Some(hold) = stub.hold.take() {
        hold.leave();
    }
    let noted = shared.means.open.paused(id);
    let why = noted
        .and_then(|()| kept.pause(on_its_way, is_durable))
        .err();
    match why {
        None => Happening::Paused { session: id },
        Some(e) => Happening::Lost {
            session: id,
            why: format!("it could not be left to the next start: {e}"),
        },
    }
}

fn because(end: End, ended: Option<Ended>) -> End {
    match ended {
        Some(ended) => End {
            reason: ended.to_string(),
            ..end
        },
        None => end,
    }
}

/// Brings the recording to its end, and tells whoever is still there.
pub(super) fn finish(
    shared: &Shared,
    line: Option<&Line>,
    (id, recorder): (SessionId, Recorder),
    outcome: Result<End, String>,
) -> Happening {
    let outcome = outcome.and_then(|end| {
        let reason = end.reason.clone();
        let closed = recorder.close(end).map_err(|lost| lost.to_string());
        closed.map(|_| reason)
    });
    drop(recorder);
    match outcome {
        Ok(reason) => {
            // Complete and durable: there is nothing to revive.
            let _ = shared.means.open.end(id);
            let session = id;
            Happening::Ended { session, reason }
        }
        Err(why) => {
            let _ = line.map(|line| line.say(&FromDaemon::Lost(why.clone())));
            Happening::Lost { session: id, why }
        }
    }
}

/// What the recording says of its end; an error is why it has none.
fn end_of(over: Over) -> Result<End, String> {
    let because = |reason: &str| End {
        reason: reason.to_owned(),
        ..End::default()
    };
    match over {
        Over::Program(end) => Ok(end),
        Over::Away(why) => Ok(because(&why)),
        Over::Hangup => Ok(because("hangup")),
        Over::Lost(lost) => Err(lost.to_string()),
        // Nobody lets go who has nobody to leave it to.
        Over::Paused(_) => Ok(because(crate::local::THE_DAEMON_STOPS)),
    }
}
