//! A film as MP4: what the machine's ffmpeg makes of the GIF, through two pipes and no file.

use std::io::{self, Read, Write};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use super::{FILM_BYTES_MAX, FilmError};

/// Seconds of processor time that ffmpeg may take; then it ends, and there is no film.
const CPU_SECONDS_MAX: &str = "300";

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
    let child = command()?.spawn().map_err(FilmError::Io)?;
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
    let mut film = Vec::new();
    let most = FILM_BYTES_MAX as u64;
    let read = from.take(most.saturating_add(1)).read_to_end(&mut film);
    if read.is_ok() && film.len() as u64 > most {
        return Err(FilmError::TooLarge);
    }
    let status = running.0.wait().map_err(FilmError::Io)?;
    let _ = writer.join();
    let said = listener.join().unwrap_or_default();
    read.map_err(FilmError::Io)?;
    if status.success() && !film.is_empty() {
        return Ok(film);
    }
    let said = String::from_utf8_lossy(&said);
    let last = said.lines().last().unwrap_or_default().trim().to_owned();
    Err(FilmError::Ffmpeg(format!("{status}: {last}")))
}

fn command() -> Result<Command, FilmError> {
    let mut command = Command::new(ffmpeg()?);
    command
        .args(["-nostdin", "-hide_banner", "-loglevel", "error"])
        .args(["-timelimit", CPU_SECONDS_MAX, "-threads", "1"])
        // It reads what comes through its pipe as a GIF, and opens nothing else.
        .args(["-protocol_whitelist", "pipe", "-f", "gif", "-i", "pipe:0"])
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
    Ok(command)
}
