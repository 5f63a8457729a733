//! The web server of a running service.

use std::net::IpAddr;
use std::sync::{Arc, PoisonError};

use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio::sync::watch;

use super::{Door, Kept};
use crate::api::Api;
use crate::config::Web as Configured;
use crate::failure::{Failure, STATUS_WRONG_USE};
use crate::run::Closer;
use crate::run::opening::listen;
use crate::web::attempts::Attempts;
use crate::web::oidc::flow::Flow;
use crate::web::oidc::settings;
use crate::web::origin::Origins;
use crate::web::tls::Shown;
use crate::web::{Parts, Web, serve, sign_in};

/// What browsers connect to, opened before anything is said about it.
pub(super) struct Browsing {
    listener: TcpListener,
    tls: Option<Shown>,
    oidc: Flow,
    origins: Origins,
    trusted_proxies: Vec<IpAddr>,
}

impl Browsing {
    /// Opens it, where it is switched on.
    pub(super) fn open(door: &Door<'_>, runtime: &Runtime) -> Result<Option<Self>, Failure> {
        let Some(web) = &door.start.config.serve.web else {
            return Ok(None);
        };
        let tls = web.tls.as_ref().map(Shown::open).transpose();
        let tls = tls.map_err(|wrong| {
            let what = format!("serve.web.tls.{}: {}", wrong.key, wrong.what);
            Failure::new(STATUS_WRONG_USE, what, wrong.next)
        })?;
        let oidc = providers(door, web)?;
        let listener = listen(runtime, "serve.web.listen", web.listen)?;
        // Where the kernel chose the port, only this says which.
        let address = listener.local_addr().unwrap_or(web.listen);
        let origins = Origins::new(&web.origin, address, tls.is_some());
        let journal = &door.start.journal;
        journal.info("web", &[("listen", &address), ("origin", &origins.first())]);
        Ok(Some(Self {
            listener,
            tls,
            oidc,
            origins,
            trusted_proxies: web.trusted_proxies.clone(),
        }))
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
        kept: Kept,
        (runtime, stop): (&Runtime, &watch::Receiver<bool>),
        closers: &mut Vec<Closer>,
    ) -> Result<(), Failure> {
        let people = kept.people.der();
        let acceptor = self.tls.as_ref().map(|tls| tls.acceptor(people));
        let acceptor = acceptor.transpose();
        let acceptor = acceptor.map_err(|why| {
            let what = format!("serve.web.tls: {why}");
            Failure::new(STATUS_WRONG_USE, what, "see that the two files go together")
        })?;
        let attempts = Arc::new(Attempts::default());
        let web = Web::new(Parts {
            api,
            users: kept.users,
            shares: kept.shares,
            admit: door.admit(),
            locks: Some(Arc::new(kept.locked)),
            challenges: kept.challenges,
            signed_in: kept.signed_in,
            people: Some(kept.people),
            oidc: self.oidc,
            random: door.random(),
            audit: door.audit(),
            log: door.log(),
            clock: Arc::clone(&door.environment.clock),
            attempts: Arc::clone(&attempts),
            places: kept.places,
            devices: kept.devices,
            origins: self.origins,
            trusted_proxies: self.trusted_proxies,
        });
        let listening = (self.listener, acceptor);
        runtime.spawn(serve::serve(listening, Arc::new(web), stop.clone()));
        if let Some(tls) = self.tls {
            runtime.spawn(tls.watch((door.audit(), door.log()), stop.clone()));
        }
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
        Ok(())
    }
}

/// The providers that vouch for people, by the rules of the configuration in force.
fn providers(door: &Door<'_>, web: &Configured) -> Result<Flow, Failure> {
    let in_force = Arc::clone(door.in_force);
    let rules = move |name: &str, issuer: &str| {
        let config = in_force.read().unwrap_or_else(PoisonError::into_inner);
        settings::rules(&config, name, issuer)
    };
    let clock = Arc::clone(&door.environment.clock);
    let flow = Flow::new(&web.oidc, Arc::new(rules), door.random(), clock);
    let next = "see docs/web.md";
    flow.map_err(|what| Failure::new(STATUS_WRONG_USE, what, next))
}
