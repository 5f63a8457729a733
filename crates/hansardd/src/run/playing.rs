//! The part that plays recordings, and makes long ones ready for it.

use std::sync::Arc;

use super::Closer;
use super::opening::no_thread;
use crate::behind::Recorded;
use crate::data_dir::DataDir;
use crate::failure::Failure;
use crate::player::Player;
use crate::player::ahead::{Endings, start};

/// Opens what is kept for playing, and begins to add to it.
pub(super) fn play(
    dir: &DataDir,
    recordings: Arc<Recorded>,
    endings: Arc<Endings>,
    closers: &mut Vec<Closer>,
) -> Result<Arc<Player>, Failure> {
    let (copies, keyframes) = (dir.player(), dir.keyframes());
    let player = Player::new(recordings, &copies, &keyframes);
    let player = Arc::new(player.map_err(|e| Failure::about(&copies, &e))?);
    let running = start(Arc::clone(&player), endings).map_err(no_thread)?;
    closers.push(("player", Box::new(move || running.stop())));
    Ok(player)
}
