//! The role that sends what is recorded here to a service.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use hansard_capture::registry::Registry as Running;
use hansard_core::Body;
use hansard_core::event::Fact;
use hansard_core::fields::Fields;
use hansard_identity::HostIdentity;
use hansard_identity::join::{JoinResponse, RenewRequest};
use hansard_identity::tls::{LiveCertificate, client_config};
use hansard_record::Environment;
use hansard_record::forward::{
    Alarm, Connect, Control, Endpoint, ForwardOptions, Forwarder, Hooks, PolicyPost, Status, post,
};
use hansard_record::open_sessions::OpenSessions;
use hansard_record::quarantine::Quarantine;
use hansard_record::spool::Spool;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use rustls::time_provider::DefaultTimeProvider;
use tokio::sync::oneshot;

use super::facts::Facts;
use super::opening::no_thread;
use super::reaching::tell;
use super::{Closer, Start};
use crate::config::{Forward, HostPort};
use crate::data_dir::DataDir;
use crate::failure::{Failure, STATUS_FAILED, STATUS_NOT_READY};

/// How long a stopping daemon goes on sending what it has just closed, if the service is there.
const DRAIN: Duration = Duration::from_secs(5);

/// How often it looks whether that is done.
const DRAIN_LOOK: Duration = Duration::from_millis(20);

/// Longest time that one address of a service has to answer a renewal.
const RENEW_TIME: Duration = Duration::from_secs(20);

/// What sending stands on.
pub(super) struct Sending<'a> {
    pub(super) start: &'a Start,
    pub(super) dir: &'a DataDir,
    pub(super) environment: &'a Environment,
    pub(super) spool: &'a Spool,
    pub(super) identity: HostIdentity,
    pub(super) open: &'a OpenSessions,
    pub(super) facts: &'a Facts,
    /// What is recorded here, once that has begun.
    pub(super) running: &'a Arc<OnceLock<Running>>,
    /// Where the service's policy goes.
    pub(super) policy: Option<PolicyPost>,
}

impl Sending<'_> {
    /// Begins to send; answers what it tells about itself.
    pub(super) fn send(
        self,
        forward: &Forward,
        closers: &mut Vec<Closer>,
    ) -> Result<Arc<Status>, Failure> {
        let identity = &self.identity;
        let certificate = LiveCertificate::new(
            identity.tls_certificate(),
            identity.authority(),
            identity.keys().tls(),
        );
        let certificate = Arc::new(certificate.map_err(unusable)?);
        let tls = |own| client_config(identity.authority(), own, Arc::new(DefaultTimeProvider));
        let (mine, nobody) = (tls(Some(Arc::clone(&certificate))), tls(None));
        let (mine, nobody) = (mine.map_err(unusable)?, nobody.map_err(unusable)?);
        let endpoints = endpoints(forward, &Arc::new(mine))?;
        let strangers = endpoints_of(&endpoints, &Arc::new(nobody));
        let forwarder = Forwarder::new(
            self.spool,
            Quarantine::new(&self.dir.quarantine(), Arc::clone(&self.environment.disk)),
            in_turn(endpoints),
            Arc::clone(&self.environment.random),
            options(forward),
            self.hooks(),
        );
        let forwarder = match &self.policy {
            Some(post) => forwarder.with_policy(post.clone()),
            None => forwarder,
        };
        let status = forwarder.status();
        let (start, environment, told) = (self.start, self.environment, Arc::clone(&status));
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("sending")
            .enable_all()
            .build()
            .map_err(no_thread)?;
        let (stop, stopped) = oneshot::channel::<()>();
        let running = runtime.spawn(forwarder.run(async {
            // Dropped or told: both are the end.
            let _ = stopped.await;
        }));
        // Ends with the runtime.
        runtime.spawn(tell(Arc::clone(&status), start.journal.clone()));
        let close = move || {
            drain(&told);
            drop(stop);
            let _ = runtime.block_on(running);
            runtime.shutdown_timeout(Duration::from_secs(1));
        };
        closers.push(("sending", Box::new(close)));
        let ask = ask_over(strangers)?;
        super::renewing::renew(start, environment, self.identity, certificate, ask, closers)?;
        Ok(status)
    }

    fn hooks(&self) -> Hooks {
        let (facts, journal) = (self.facts.clone(), self.start.journal.clone());
        let running = Arc::clone(self.running);
        let live = Arc::clone(self.running);
        let (open, spool) = (self.open.clone(), self.spool.clone());
        Hooks {
            control: Box::new(move |control| {
                let Some(running) = running.get() else {
                    return;
                };
                // One that has ended meanwhile needs nothing any more.
                let _ = match control {
                    Control::Follow { session, on } => running.set_followed(session, on),
                    Control::End {
                        session,
                        reason,
                        by,
                    } => running.end(session, &reason, &by),
                };
            }),
            alarm: Arc::new(move |alarm| {
                journal.error(
                    "the service does not take a session",
                    &[("what", &alarm.why)],
                );
                // What makes room sends, and is waiting for this.
                facts.mention(raised(&alarm));
            }),
            live: Box::new(move || {
                let sessions = live.get().map(Running::list).unwrap_or_default();
                sessions
                    .into_iter()
                    .map(|running| running.session)
                    .collect()
            }),
            before_forget: Arc::new(move |session, segment| open.settled(&spool, session, segment)),
        }
    }
}

/// Waits until everything is archived or in vain.
fn drain(status: &Status) {
    let until = Instant::now() + DRAIN;
    while Instant::now() < until {
        let now = status.snapshot();
        if now.pending_parts == 0 || now.connected_for.is_none() {
            return;
        }
        std::thread::sleep(DRAIN_LOOK);
    }
}

fn options(forward: &Forward) -> ForwardOptions {
    let usual = ForwardOptions::default();
    ForwardOptions {
        retry: (usual.retry.0.min(forward.retry_max.0), forward.retry_max.0),
        window_bytes: forward.in_flight_max.0,
        ..usual
    }
}

fn endpoints(forward: &Forward, tls: &Arc<ClientConfig>) -> Result<Vec<Endpoint>, Failure> {
    let endpoint = |address: &HostPort| {
        let (key, name) = match forward.server_name.as_str() {
            "" => ("forward.service", address.host.as_str()),
            name => ("forward.server_name", name),
        };
        let server_name = ServerName::try_from(name.to_owned()).map_err(|_| {
            let what = format!("{key}: {name}: a certificate cannot have that name");
            let next = "give the service's DNS name or address";
            Failure::new(STATUS_NOT_READY, what, next)
        })?;
        Ok(Endpoint {
            addresses: vec![address.to_string()],
            server_name,
            tls: Arc::clone(tls),
        })
    };
    forward.service.iter().map(endpoint).collect()
}

fn endpoints_of(endpoints: &[Endpoint], tls: &Arc<ClientConfig>) -> Vec<Endpoint> {
    let with = |endpoint: &Endpoint| Endpoint {
        tls: Arc::clone(tls),
        ..endpoint.clone()
    };
    endpoints.iter().map(with).collect()
}

/// One address after the other, a next one for each attempt.
fn in_turn(endpoints: Vec<Endpoint>) -> Connect {
    let next = AtomicUsize::new(0);
    Arc::new(move || {
        let n = next.fetch_add(1, Ordering::Relaxed);
        let which = n.checked_rem(endpoints.len()).unwrap_or(0);
        let endpoint = endpoints.get(which).cloned();
        endpoint.ok_or_else(|| "no address of a service is configured".to_owned())
    })
}

/// Renews over the network. Who asks shows no certificate: the old one may be over, and the recorder
/// key's proof says who it is.
fn ask_over(endpoints: Vec<Endpoint>) -> Result<super::renewing::Ask, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(no_thread)?;
    Ok(Box::new(move |request: RenewRequest| {
        let body = serde_json::to_vec(&request).map_err(|e| e.to_string())?;
        let mut why = "no address of a service is configured".to_owned();
        for endpoint in &endpoints {
            let asked = post(endpoint, "/v1/renew", body.clone(), RENEW_TIME);
            match runtime.block_on(asked) {
                Ok((200, answer)) => match serde_json::from_slice::<JoinResponse>(&answer) {
                    Ok(response) => return Ok(response),
                    Err(e) => why = format!("the answer is none of this version: {e}"),
                },
                Ok((status, answer)) => {
                    why = format!("status {status}: {}", String::from_utf8_lossy(&answer));
                }
                Err(e) => why = e.to_string(),
            }
        }
        Err(why)
    }))
}

fn raised(alarm: &Alarm) -> Body {
    let fields = Fields::new()
        .with("alarm", alarm.kind.as_str())
        .with("recording", alarm.session.to_string())
        .with("reason", alarm.why.as_str());
    Body::Admin(Fact {
        event: "alarm".to_owned(),
        fields,
    })
}

fn unusable(failure: hansard_identity::Failure) -> Failure {
    let what = failure.to_string();
    let next = "let the host join again: `hansardd init --join` in an empty data_dir";
    Failure::new(STATUS_FAILED, hansard_view::escape_for_humans(&what), next)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_certificates_name_is_the_one_that_is_configured() {
        let trusted = hansard_identity::tls::Trusted::Anybody;
        let time = Arc::new(DefaultTimeProvider);
        let (tls, _) = hansard_identity::tls::joining_config(trusted, time).unwrap();
        let tls = Arc::new(tls);
        let named = |server_name: &str| {
            let text = format!(
                "forward: {{service: [a.example, '10.0.0.1:4025'], server_name: '{server_name}'}}"
            );
            let (config, _) = crate::config::Config::parse(&text);
            endpoints(&config.forward.unwrap(), &tls).map(|endpoints| {
                let names = endpoints
                    .iter()
                    .map(|e| e.server_name.to_str().into_owned());
                names.collect::<Vec<_>>()
            })
        };
        assert_eq!(named("").unwrap(), ["a.example", "10.0.0.1"]);
        assert_eq!(named("vault.example").unwrap(), ["vault.example"; 2]);
        let refused = named("no name").unwrap_err();
        assert!(refused.what.contains("forward.server_name"), "{refused:?}");
    }
}
