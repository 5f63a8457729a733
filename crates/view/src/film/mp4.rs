//! A film as MP4: what the machine's ffmpeg makes of the GIF, through two pipes and no file.

use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use super::{FILM_BYTES_MAX, FilmError};

/// Seconds of processor time that ffmpeg may take; then it ends, and there is no film.
const CPU_SECONDS_MAX: &str = "300";

/// Longest that ffmpeg may take, whatever it waits for; then it is ended, and there is no film.
pub const WALL_MAX: Duration = Duration::from_secs(600);

/// How often whoever waits for its end looks, once all it had to say was read.
const LOOK: Duration = Duration::from_millis(5);

/// Pictures in a second.
const RATE: &str = "fps=20";

/// Bytes of ffmpeg's complaints that are kept.
const SAID_BYTES_MAX: u64 = 2048;

/// Ends with the work, however that ends.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // It has ended by itself where all went well.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Where ffmpeg is: the first of that name that `PATH` leads to.
///
/// # Errors
/// `NoFfmpeg`.
pub fn ffmpeg() -> Result<PathBuf, FilmError> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut there = std::env::split_paths(&path).map(|dir| dir.join("ffmpeg"));
    there.find(|at| at.is_file()).ok_or(FilmError::NoFfmpeg)
}

/// Makes an MP4 of a GIF.
pub(super) fn of(gif: Vec<u8>) -> Result<Vec<u8>, FilmError> {
    made(&mut command(&ffmpeg()?), gif, WALL_MAX)
}

/// What this program makes of a GIF, if it does so in time.
pub(super) fn made(
    command: &mut Command,
    gif: Vec<u8>,
    at_most: Duration,
) -> Result<Vec<u8>, FilmError> {
    let until = Instant::now() + at_most;
    let child = command.spawn().map_err(FilmError::Io)?;
    let mut running = Running(child);
    let pipes = (
        running.0.stdin.take(),
        running.0.stdout.take(),
        running.0.stderr.take(),
    );
    let (Some(mut to), Some(from), Some(complaints)) = pipes else {
        return Err(FilmError::Io(io::ErrorKind::BrokenPipe.into()));
    };
    // Where it takes no more, its status says why.
    let writer = std::thread::spawn(move || drop(to.write_all(&gif)));
    let listener = std::thread::spawn(move || {
        let (mut said, mut complaints) = (Vec::new(), complaints);
        let heard = complaints.by_ref().take(SAID_BYTES_MAX);
        let _ = { heard }.read_to_end(&mut said);
        // Whoever complains at length must not wait for somebody to listen.
        let _ = io::copy(&mut complaints, &mut io::sink());
        said
    });
    let (ends, end) = channel();
    let ending = std::thread::spawn(move || ended(running, &end, until));
    let mut film = Vec::new();
    let most = FILM_BYTES_MAX as u64;
    let read = from.take(most.saturating_add(1)).read_to_end(&mut film);
    if read.is_ok() && film.len() as u64 > most {
        let _ = ends.send(());
        return Err(FilmError::TooLarge);
    }
    drop(ends);
    let fault = |_| FilmError::Io(io::Error::other("whoever waits for its end has a fault"));
    let status = ending.join().map_err(fault)?.map_err(FilmError::Io)?;
    let _ = writer.join();
    let said = listener.join().unwrap_or_default();
    let Some(status) = status else {
        return Err(FilmError::TooSlow);
    };
    read.map_err(FilmError::Io)?;
    if status.success() && !film.is_empty() {
        return Ok(film);
    }
    let said = String::from_utf8_lossy(&said);
    let last = said.lines().last().unwrap_or_default().trim().to_owned();
    Err(FilmError::Ffmpeg(format!("{status}: {last}")))
}

/// How it ended; `None` if it was ended: in time it did not end by itself, or nobody wants any more of it.
/// The channel is closed when all that it makes was read.
fn ended(
    mut running: Running,
    end: &Receiver<()>,
    until: Instant,
) -> io::Result<Option<ExitStatus>> {
    let left = until.saturating_duration_since(Instant::now());
    if end.recv_timeout(left) != Err(RecvTimeoutError::Disconnected) {
        return Ok(None);
    }
    loop {
        match running.0.try_wait()? {
            Some(status) => return Ok(Some(status)),
            None if Instant::now() >= until => return Ok(None),
            None => std::thread::sleep(LOOK),
        }
    }
}

fn command(ffmpeg: &Path) -> Command {
    let mut command = Command::new(ffmpeg);
    command
        .args(["-nostdin", "-hide_banner", "-loglevel", "error"])
        .args(["-timelimit", CPU_SECONDS_MAX, "-threads", "1"])
        // It reads what comes through its pipe as a GIF, and opens nothing else. `async` keeps 4 MiB of that in
        // memory: where its reader of GIF has found the end of a picture it goes back to its beginning, and of
        // a picture of more than some 30 KiB, which a full screen is, a pipe alone has no beginning any more.
        .args(["-protocol_whitelist", "async,pipe"])
        .args(["-f", "gif", "-i", "async:pipe:0"])
        // As often as makes each picture of the GIF one and its time right: players are not good at any
        // other than an even rate. No sound; what every player can.
        .args(["-vf", RATE, "-an", "-c:v", "libx264", "-bf", "0"])
        .args(["-preset", "veryfast", "-crf", "18", "-pix_fmt", "yuv420p"])
        .args(["-threads", "1", "-map_metadata", "-1"])
        // In pieces, since nothing can be written again behind a pipe.
        .args(["-movflags", "+frag_keyframe+empty_moov+default_base_moof"])
        .args(["-f", "mp4", "pipe:1"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}
