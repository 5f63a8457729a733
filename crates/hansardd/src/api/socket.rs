//! The admin socket: connections whose other end the kernel names.

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
use super::limits::{CONNECTIONS_MAX, STOP_MAX};
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
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    loop {
        let next = async {
            let place = Arc::clone(&places).acquire_owned().await;
            (place, listener.accept().await)
        };
        tokio::select! {
            () = told(&mut stop) => break,
            (place, accepted) = next => match (place, accepted) {
                (Ok(place), Ok((stream, _))) => {
                    tokio::spawn(connection(stream, api.clone(), stop.clone(), place));
                }
                _ => sleep(ACCEPT_PAUSE).await,
            },
        }
    }
    api.stop();
    let all = u32::try_from(CONNECTIONS_MAX).unwrap_or(u32::MAX);
    let _ = timeout(STOP_MAX, places.acquire_many(all)).await;
}

async fn connection(
    stream: UnixStream,
    api: Api,
    stop: watch::Receiver<bool>,
    place: OwnedSemaphorePermit,
) {
    // Whom the kernel does not name nobody knows.
    let Ok(credentials) = stream.peer_cred() else {
        return;
    };
    let peer = Peer {
        uid: credentials.uid(),
        gid: credentials.gid(),
        pid: credentials.pid(),
    };
    let service = TowerToHyperService::new(api.router().layer(Extension(Asker::Process(peer))));
    converse(stream, service, stop, place).await;
}
