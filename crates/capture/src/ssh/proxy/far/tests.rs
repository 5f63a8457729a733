//! What a target says that no OpenSSH would say.

use std::time::Duration;

use russh::keys::ssh_key::private::Ed25519Keypair;
use russh::keys::{PrivateKey, PublicKeyOrCertificate};
use russh::server::{self, Auth, ChannelOpenHandle};
use russh::{ChannelId, client};
use tokio::io::AsyncReadExt as _;

use super::*;

/// Far more than may wait.
const SAID: usize = 1024 * 1024;

/// A server that says everything on the stream for errors.
struct Odd;

impl server::Handler for Odd {
    type Error = russh::Error;

    async fn auth_none(&mut self, _: &str) -> Result<Auth, russh::Error> {
        Ok(Auth::Accept)
    }

    async fn channel_open_session(
        &mut self,
        _: Channel<server::Msg>,
        reply: ChannelOpenHandle,
        _: &mut server::Session,
    ) -> Result<(), russh::Error> {
        reply.accept().await;
        Ok(())
    }

    async fn shell_request(
        &mut self,
        channel: ChannelId,
        session: &mut server::Session,
    ) -> Result<(), russh::Error> {
        session.channel_success(channel)?;
        session.extended_data(channel, 1, vec![b'e'; SAID])?;
        session.data(channel, b"out".to_vec())?;
        session.eof(channel)?;
        session.close(channel)
    }
}

struct Believes;

impl client::Handler for Believes {
    type Error = russh::Error;

    async fn check_server_key(&mut self, _: &PublicKeyOrCertificate) -> Result<bool, Self::Error> {
        Ok(true)
    }
}

/// A channel in which the odd one's shell is to be started.
async fn opened() -> (client::Handle<Believes>, Channel<Msg>) {
    let (ours, theirs) = tokio::io::duplex(64 * 1024);
    let config = server::Config {
        keys: vec![PrivateKey::from(Ed25519Keypair::from_seed(&[7; 32]))],
        ..server::Config::default()
    };
    tokio::spawn(async move {
        let running = server::run_stream(Arc::new(config), theirs, Odd).await;
        running.unwrap().await.unwrap();
    });
    let config = Arc::new(client::Config::default());
    let mut handle = client::connect_stream(config, ours, Believes)
        .await
        .unwrap();
    assert!(handle.authenticate_none("anna").await.unwrap().success());
    let channel = handle.channel_open_session().await.unwrap();
    (handle, channel)
}

#[test]
fn what_comes_for_errors_is_shown_by_a_terminal_and_gives_its_room_back() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let told = runtime.unwrap().block_on(async {
        let (_handle, channel) = opened().await;
        channel.request_shell(false).await.unwrap();
        let (read, write) = channel.split();
        let bridge = Bridge {
            write,
            over: Arc::default(),
            room: Semaphore::new(128 * 1024),
            controls: Arc::default(),
        };
        let (ours, theirs) = StdUnixStream::pair().unwrap();
        let [mut ours, theirs] = [ours, theirs].map(|end| {
            end.set_nonblocking(true).unwrap();
            UnixStream::from_std(end).unwrap()
        });
        let (from, to) = theirs.into_split();
        tokio::spawn(async move { bridge.run(read, from, [Some(to), None]).await });
        let mut told = Vec::new();
        let reading = timeout(Duration::from_secs(60), ours.read_to_end(&mut told));
        reading.await.expect("it hangs").unwrap();
        told
    });
    assert_eq!(told.len(), SAID + 3);
    assert!(told.ends_with(b"eout"));
}
