//! The admin socket: connections whose other end the kernel names. No account has all of them, and some
//! are kept for root: whoever may connect must not be able to keep those out who would stop them.

use std::fs;
use std::io;
use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _};
use std::path::Path;
use std::sync::Arc;

use axum::Extension;
use hyper_util::service::TowerToHyperService;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::{sleep, timeout};

use super::Api;
use super::connection::{ACCEPT_PAUSE, converse, told};
use super::limits::{CONNECTIONS, CONNECTIONS_MAX, STOP_MAX};
use super::places::{Place, Places};
use super::role::{Asker, Peer};

/// Opens the socket. What a crash left under its name is removed, unless somebody listens there.
/// Anybody may connect: who may what is decided by the role of whoever does.
///
/// # Errors
/// When somebody listens there, when what is there is no socket, or as the system says.
pub fn listen(path: &Path) -> io::Result<UnixListener> {
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
        Ok(there) if !there.file_type().is_socket() => {
            return Err(io::Error::other("it is there and no socket"));
        }
        Ok(_) => match std::os::unix::net::UnixStream::connect(path) {
            Ok(_) => return Err(io::Error::other("another daemon listens there")),
            Err(_) => fs::remove_file(path)?,
        },
    }
    let listener = UnixListener::bind(path)?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o666))?;
    Ok(listener)
}

/// Answers on the socket until `stop` becomes true. Then streams are cut, and requests get
/// [`STOP_MAX`] to finish.
pub async fn serve(listener: UnixListener, api: Api, mut stop: watch::Receiver<bool>) {
    let going = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let places = Places::new(CONNECTIONS);
    loop {
        tokio::select! {
            () = told(&mut stop) => break,
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    let placed = peer(&stream).and_then(|peer| {
                        let own = places.take(peer.uid, peer.uid == 0).ok()?;
                        let place = Arc::clone(&going).try_acquire_owned().ok()?;
                        Some((peer, (place, own)))
                    });
                    let Some((peer, placed)) = placed else {
                        continue;
                    };
                    tokio::spawn(connection((stream, peer), api.clone(), stop.clone(), placed));
                }
                Err(_) => sleep(ACCEPT_PAUSE).await,
            },
        }
    }
    api.stop();
    let all = u32::try_from(CONNECTIONS_MAX).unwrap_or(u32::MAX);
    let _ = timeout(STOP_MAX, going.acquire_many(all)).await;
}

/// Who is at the other end. Whom the kernel does not name nobody knows.
fn peer(stream: &UnixStream) -> Option<Peer> {
    let credentials = stream.peer_cred().ok()?;
    Some(Peer {
        uid: credentials.uid(),
        gid: credentials.gid(),
        pid: credentials.pid(),
    })
}

async fn connection(
    (stream, peer): (UnixStream, Peer),
    api: Api,
    stop: watch::Receiver<bool>,
    (place, _own): (OwnedSemaphorePermit, Place<u32>),
) {
    let service = TowerToHyperService::new(api.router().layer(Extension(Asker::Process(peer))));
    converse(stream, service, stop, place).await;
}
