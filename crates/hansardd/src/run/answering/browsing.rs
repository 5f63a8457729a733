//! The web server of a running service.

use std::sync::Arc;

use hansard_identity::{Shares, Users};
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio::sync::watch;

use super::Door;
use crate::api::Api;
use crate::behind::Locked;
use crate::failure::Failure;
use crate::run::Closer;
use crate::run::opening::listen;
use crate::web::attempts::Attempts;
use crate::web::challenges::Challenges;
use crate::web::origin::Origins;
use crate::web::signed_in::SignedIn;
use crate::web::{Parts, Web, serve, sign_in};

/// What browsers connect to, opened before anything is said about it.
pub(super) struct Browsing {
    listener: TcpListener,
    origins: Origins,
}

impl Browsing {
    /// Opens it, where it is switched on.
    pub(super) fn open(door: &Door<'_>, runtime: &Runtime) -> Result<Option<Self>, Failure> {
        let Some(web) = &door.start.config.serve.web else {
            return Ok(None);
        };
        let listener = listen(runtime, "serve.web.listen", web.listen)?;
        // Where the kernel chose the port, only this says which.
        let address = listener.local_addr().unwrap_or(web.listen);
        let origins = Origins::new(&web.origin, address);
        let journal = &door.start.journal;
        journal.info("web", &[("listen", &address), ("origin", &origins.first())]);
        Ok(Some(Self { listener, origins }))
    }

    /// What people open in their browser.
    pub(super) fn origin(&self) -> &str {
        self.origins.first()
    }

    /// Answers from now on.
    pub(super) fn serve(
        self,
        door: &Door<'_>,
        api: Api,
        (users, shares, challenges, locked): (Arc<Users>, Arc<Shares>, Arc<Challenges>, Locked),
        (runtime, stop): (&Runtime, &watch::Receiver<bool>),
        closers: &mut Vec<Closer>,
    ) {
        let random = Arc::clone(&door.environment.random);
        let fill = move |bytes: &mut [u8]| random.fill(bytes);
        let attempts = Arc::new(Attempts::default());
        let web = Web::new(Parts {
            api,
            users,
            shares,
            locks: Some(Arc::new(locked)),
            challenges,
            audit: door.audit(),
            log: door.log(),
            clock: Arc::clone(&door.environment.clock),
            signed_in: Arc::new(SignedIn::new(Arc::new(fill))),
            attempts: Arc::clone(&attempts),
            origins: self.origins,
        });
        runtime.spawn(serve::serve(self.listener, Arc::new(web), stop.clone()));
        let (audit, log) = (door.audit(), door.log());
        let close = move || {
            let times = attempts.left();
            if times > 0
                && let Err(why) = audit(sign_in::left(times))
            {
                log(&format!(
                    "refused attempts could not be put on record: {why}"
                ));
            }
        };
        closers.push(("attempts to sign in", Box::new(close)));
    }
}
