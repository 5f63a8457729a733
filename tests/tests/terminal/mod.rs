//! A terminal for programs that insist on one, and somebody who types at it.

use std::process::{Command, Output, Stdio};

/// Runs a program on a terminal of 80 × 24, each time waiting for a text before doing what comes
/// next, and copies what the terminal shows to standard output.
const HANDS: &str = r#"
import fcntl, json, os, select, signal, struct, sys, termios, time
command, steps = json.loads(sys.argv[1])
fd, theirs = os.openpty()
def size(cols, rows):
    fcntl.ioctl(fd, termios.TIOCSWINSZ, struct.pack('HHHH', rows, cols, 0, 0))
size(80, 24)
pid = os.fork()
if pid == 0:
    os.setsid()
    fcntl.ioctl(theirs, termios.TIOCSCTTY, 0)
    for each in 0, 1, 2:
        os.dup2(theirs, each)
    os.closerange(3, 256)
    os.execvp(command[0], command)
os.close(theirs)
seen, done, until = b'', 0, time.time() + 20
while True:
    if time.time() > until:
        os.kill(pid, signal.SIGKILL)
        sys.exit('timed out after ' + repr(seen))
    if select.select([fd], [], [], 0.05)[0]:
        try:
            piece = os.read(fd, 65536)
        except OSError:
            break
        if not piece:
            break
        seen += piece
    if steps and steps[0][0].encode() in seen[done:]:
        wanted, typed, cols, rows = steps.pop(0)
        done = seen.index(wanted.encode(), done) + len(wanted.encode())
        if cols:
            size(cols, rows)
        os.write(fd, typed.encode())
status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
sys.stdout.buffer.write(seen)
sys.exit(status if status >= 0 else 128 - status)
"#;

/// What somebody does once this text was shown: gives the terminal another size, and types.
pub(crate) type Step<'a> = (&'a str, &'a str, Option<(u16, u16)>);

/// Runs a program on a terminal; its output is what the terminal showed.
pub(crate) fn on_terminal(command: &[&str], steps: &[Step<'_>]) -> Output {
    let steps: Vec<_> = steps
        .iter()
        .map(|(shown, typed, size)| {
            let (cols, rows) = size.unwrap_or_default();
            serde_json::json!([shown, typed, cols, rows])
        })
        .collect();
    let what = serde_json::json!([command, steps]).to_string();
    Command::new("python3")
        .args(["-c", HANDS, &what])
        .env("SHELL", "/bin/sh")
        .env("TERM", "xterm")
        .env("LC_ALL", "C.UTF-8")
        .stdin(Stdio::null())
        .output()
        .unwrap()
}
