//! Whether the daemon of this machine serves logins: it is asked, for one that only takes sessions
//! handed over answers at the same socket, and refuses every login.

use std::io::{self, Write as _};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use hansard_record::handoff::{FromClient, FromDaemon, OPEN_BYTES_MAX, read_message};

/// How long the daemon may take to answer. At the bound it counts as one that does not.
const PROBE_WAIT_MAX: Duration = Duration::from_secs(10);

/// What the daemon says of logins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Logins {
    /// They are served.
    Served,
    /// They are refused; why, in its words.
    Refused(String),
    /// It does not answer; why, in words.
    Silent(String),
}

/// Asks the daemon at this socket. Nothing is begun or changed.
pub(super) fn ask(socket: &Path) -> Logins {
    match asked(socket) {
        Ok(FromDaemon::Ready) => Logins::Served,
        Ok(FromDaemon::Refused(why)) => Logins::Refused(why),
        Ok(_) => Logins::Refused("its answer is none".to_owned()),
        Err(e) => Logins::Silent(e.to_string()),
    }
}

fn asked(socket: &Path) -> io::Result<FromDaemon> {
    let invalid =
        |what: &dyn std::fmt::Display| io::Error::new(io::ErrorKind::InvalidData, what.to_string());
    let mut stream = UnixStream::connect(socket)?;
    stream.set_read_timeout(Some(PROBE_WAIT_MAX))?;
    stream.set_write_timeout(Some(PROBE_WAIT_MAX))?;
    let mut message = Vec::new();
    FromClient::Probe.encode(&mut message);
    // One connection too many is refused before it is read: the answer counts.
    let sent = stream.write_all(&message);
    match read_message(&mut stream, &mut message, OPEN_BYTES_MAX) {
        Ok(true) => FromDaemon::decode(&message).map_err(|what| invalid(&what.0)),
        Ok(false) => Err(io::ErrorKind::UnexpectedEof.into()),
        Err(e) => sent.and_then(|()| Err(invalid(&e))),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixListener;

    use super::*;

    /// What is made of a daemon that answers this; with nothing it goes.
    fn made_of(answer: Option<FromDaemon>) -> Logins {
        let dir = std::env::temp_dir().join(format!("hansard-probe-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&dir);
        std::fs::create_dir_all(&dir).unwrap();
        let socket = dir.join("capture.sock");
        assert!(matches!(ask(&socket), Logins::Silent(_)));
        let listener = UnixListener::bind(&socket).unwrap();
        let daemon = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut message = Vec::new();
            assert!(read_message(&mut stream, &mut message, OPEN_BYTES_MAX).unwrap());
            assert_eq!(FromClient::decode(&message).unwrap(), FromClient::Probe);
            if let Some(answer) = answer {
                message.clear();
                answer.encode(&mut message);
                stream.write_all(&message).unwrap();
            }
        });
        let made = ask(&socket);
        daemon.join().unwrap();
        std::fs::remove_dir_all(&dir).unwrap();
        made
    }

    #[test]
    fn only_one_that_serves_logins_serves_logins() {
        assert_eq!(made_of(Some(FromDaemon::Ready)), Logins::Served);
        let why = "capture.shell is not configured".to_owned();
        let refused = FromDaemon::Refused(why.clone());
        assert_eq!(made_of(Some(refused)), Logins::Refused(why));
        let other = made_of(Some(FromDaemon::Yielded));
        assert!(matches!(other, Logins::Refused(_)));
        assert!(matches!(made_of(None), Logins::Silent(_)));
    }
}
