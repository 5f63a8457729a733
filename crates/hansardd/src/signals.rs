//! Signals as values: a thread that sleeps until one comes, and says which.

use std::io;
use std::sync::mpsc::sync_channel;

use tokio::signal::unix::{SignalKind, signal};

/// What the service manager or a person wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signal {
    /// SIGTERM or SIGINT: end in order. A second one is the same wish again.
    Stop,
    /// SIGHUP: read the configuration again.
    Reload,
}

/// Starts the thread. When this returns, no signal ends the process on its own any more. `tell`
/// answers whether anybody listens still; if not, the thread ends.
///
/// # Errors
/// What the system says; then signals do what they usually do.
pub fn listen(tell: impl Fn(Signal) -> bool + Send + 'static) -> io::Result<()> {
    let (ready, is_ready) = sync_channel(1);
    std::thread::Builder::new()
        .name("signals".to_owned())
        .spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_io()
                .build();
            let outcome = runtime.and_then(|runtime| {
                runtime.block_on(async {
                    let mut terminate = signal(SignalKind::terminate())?;
                    let mut interrupt = signal(SignalKind::interrupt())?;
                    let mut hangup = signal(SignalKind::hangup())?;
                    let _ = ready.send(Ok(()));
                    loop {
                        let what = tokio::select! {
                            _ = terminate.recv() => Signal::Stop,
                            _ = interrupt.recv() => Signal::Stop,
                            _ = hangup.recv() => Signal::Reload,
                        };
                        if !tell(what) {
                            return Ok(());
                        }
                    }
                })
            });
            if let Err(e) = outcome {
                let _ = ready.send(Err(e));
            }
        })?;
    is_ready
        .recv()
        .unwrap_or_else(|_| Err(io::ErrorKind::BrokenPipe.into()))
}
