//! `hansard play`: a recording, played in this terminal.
//!
//! Recorded bytes never reach the terminal: they go to an emulator, whose screen is painted with a
//! few sequences of our own (`play/sequences.rs` lists them).
//!
//! - `reel`: the recording, where it stands, and how to get elsewhere
//! - `timeline`: which moment it is, with speed, pauses and the idle limit
//! - `player`: the loop; `commands`: what the keys do; `finder`: searching
//! - `picture`, `status`, `notice`, `help`, `prompt`: what there is to see
//! - `deeds`: what was really done, beside the screen
//! - `canvas`, `paint`, `sequences`: how it gets onto the terminal; `terminal`: taken and restored
//! - `growing`: a tlog that is played while it is written
//! - `keys`: what was pressed; `live`: a session that happens now, in the same picture

mod canvas;
mod commands;
mod deeds;
mod finder;
mod growing;
mod help;
mod keys;
mod live;
mod notice;
mod paint;
#[cfg(test)]
mod paint_tests;
mod picture;
mod player;
mod prompt;
mod reel;
mod sequences;
mod status;
mod terminal;
mod timeline;

use crate::cli::PlayArgs;
use crate::failure::{Failure, STATUS_WRONG_USE};
use crate::follow::Ear;
use timeline::{SPEED_MAX, SPEED_MIN};

/// Plays the recording until the viewer has had enough; then says what could not be played.
pub(crate) fn run(args: &PlayArgs) -> Result<u8, Failure> {
    if !(SPEED_MIN..=SPEED_MAX).contains(&args.speed) {
        let message = format!(
            "--speed {}: it goes from {SPEED_MIN} to {SPEED_MAX}",
            args.speed
        );
        return Err(Failure::new(STATUS_WRONG_USE, message));
    }
    let keys = terminal::find_keys()?;
    let reel = reel::Reel::open(args)?;
    let (status, reel) = terminal::perform(&keys, |stage| {
        player::Player::new(args, reel, stage).run(args.at)
    })?;
    // Whoever was ended by a signal may have a terminal that takes nothing any more.
    match status {
        0 => reel.finish(args.follow),
        _ => Ok(status),
    }
}

/// Shows a session as it happens until the viewer has had enough.
pub(crate) fn watch(ear: &Ear) -> Result<u8, Failure> {
    let keys = terminal::find_keys()?;
    terminal::perform(&keys, |stage| live::Live::new(ear, stage).run())
}

/// Panics after the first picture if a test asks for it: there is no other way to see what a
/// fault leaves behind. Not in programs that people get.
#[cfg(debug_assertions)]
#[allow(clippy::panic)]
fn fault_for_tests() {
    match std::env::var("HANSARD_TEST_FAULT").as_deref() {
        Ok("panic") => panic!("a test asked for this"),
        Ok("abort") => {
            rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::ABORT)
                .unwrap_or(())
        }
        _ => {}
    }
}

#[cfg(not(debug_assertions))]
fn fault_for_tests() {}
