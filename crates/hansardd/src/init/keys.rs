//! Keys and certificates from `hansard-identity`: a new cluster's, or those of a host that joins one.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use hansard_identity::host_identity::HostKeys;
use hansard_identity::join::JoinResponse;
use hansard_identity::registry::{Denied, Enrolment};
use hansard_identity::tls::{CaPin, Trusted, joining_config};
use hansard_identity::{Authority, HostIdentity, Registry};
use hansard_record::Environment;
use hansard_record::forward::{Endpoint, post};
use rustls::pki_types::ServerName;
use rustls::time_provider::DefaultTimeProvider;

use super::{Identity, Joining, Keys};
use crate::config::{Config, HostPort, Labels};
use crate::data_dir::DataDir;
use crate::failure::{Failure, STATUS_FAILED, STATUS_NOT_READY, STATUS_WRONG_USE};

/// Longest time that one address of a service has to answer.
const JOIN_TIME: Duration = Duration::from_secs(20);

/// Where a join is asked for.
const JOIN_PATH: &str = "/v1/join";

/// Longest sentence of a service's refusal that is shown, characters.
const REFUSAL_CHARS_MAX: usize = 300;

/// The authority's directory in the one of keys.
#[must_use]
pub fn authority_dir(keys: &Path) -> PathBuf {
    keys.join("authority")
}

/// The directory of hosts and tokens in the one of keys.
#[must_use]
pub fn registry_dir(keys: &Path) -> PathBuf {
    keys.join("registry")
}

/// The directory of this machine's own keys in the one of keys.
#[must_use]
pub fn host_dir(keys: &Path) -> PathBuf {
    keys.join("host")
}

/// This machine's own keys and certificates.
///
/// # Errors
/// [`STATUS_NOT_READY`] when they are not there, not certified, or do not fit each other.
pub fn identity(dir: &DataDir) -> Result<HostIdentity, Failure> {
    let next =
        "bring the keys back from where they went, or make a new machine with `hansardd init`";
    match HostIdentity::open(&host_dir(&dir.keys())) {
        Ok(Some(identity)) => Ok(identity),
        Ok(None) => Err(Failure::new(
            STATUS_NOT_READY,
            "this machine's keys are not certified",
            next,
        )),
        Err(e) => {
            let what = e.to_string();
            let what = hansard_view::escape_for_humans(&what);
            Err(Failure::new(STATUS_NOT_READY, what, next))
        }
    }
}

/// Makes and certifies keys.
pub struct ClusterKeys {
    environment: Environment,
    labels: Labels,
    server_names: Vec<String>,
}

impl ClusterKeys {
    /// For the machine of this configuration.
    #[must_use]
    pub fn new(config: &Config, environment: Environment) -> Self {
        Self {
            environment,
            labels: config.node.labels.clone(),
            server_names: config.server_names(),
        }
    }

    fn random(&self) -> Arc<dyn hansard_identity::random::Random> {
        let random = Arc::clone(&self.environment.random);
        Arc::new(move |bytes: &mut [u8]| random.fill(bytes))
    }
}

impl Keys for ClusterKeys {
    fn found(&self, dir: &Path, cluster: &str, node: &str) -> Result<Identity, Failure> {
        let utc_ns = self.environment.clock.utc_ns();
        let random = self.random();
        let authority = authority_dir(dir);
        // An init that was interrupted has left the authority it had made.
        let authority = match Authority::open(&authority) {
            Ok(there) => there,
            Err(_) => Authority::create(&authority, cluster, utc_ns, &*random).map_err(sorted)?,
        };
        if authority.cluster() != cluster {
            let cluster = authority.cluster();
            let what = format!("an interrupted init has made the authority of cluster {cluster}");
            let next = "give that name, or choose another data_dir";
            return Err(Failure::new(STATUS_NOT_READY, what, next));
        }
        let (pin, authority_der) = (CaPin(authority.fingerprint()), authority.own().der.clone());
        let registry = registry_dir(dir);
        Registry::create(&registry).map_err(sorted)?;
        let opened = Registry::open(&registry, Arc::new(authority), Arc::clone(&random));
        let (registry, _) = opened.map_err(sorted)?;
        let keys = HostKeys::create(&host_dir(dir), &*random).map_err(sorted)?;
        let enrolled = registry.enrol(
            &Enrolment {
                name: node.to_owned(),
                labels: owned(&self.labels),
                server_names: self.server_names.clone(),
                tls_key: keys.tls().public(),
                recorder_key: keys.recorder().public(),
            },
            utc_ns,
        );
        let enrolled = enrolled.map_err(|Denied { failure, .. }| sorted(failure))?;
        keys.store(&enrolled.answer, &authority_der, utc_ns)
            .map_err(sorted)?;
        Ok(Identity {
            id: enrolled.answer.id,
            cluster: cluster.to_owned(),
            facts: vec![("authority".to_owned(), pin.to_string())],
        })
    }

    fn join(&self, dir: &Path, join: &Joining<'_>) -> Result<Identity, Failure> {
        let pin: CaPin = join.ca_pin.parse().map_err(sorted)?;
        let keys = HostKeys::create(&host_dir(dir), &*self.random()).map_err(sorted)?;
        let request = keys.join_request(join.token, join.node, owned(&self.labels), Vec::new());
        let body = serde_json::to_vec(&request)
            .map_err(|e| Failure::new(STATUS_FAILED, e.to_string(), ""))?;
        let (response, authority_der) = ask_all(join.service, pin, &body)?;
        let utc_ns = self.environment.clock.utc_ns();
        keys.store(&response, &authority_der, utc_ns)
            .map_err(sorted)?;
        let opened = HostIdentity::open(&host_dir(dir)).map_err(sorted)?;
        let cluster = opened.map(|identity| identity.cluster().to_owned());
        Ok(Identity {
            id: response.id,
            cluster: cluster.unwrap_or_default(),
            facts: vec![("authority".to_owned(), pin.to_string())],
        })
    }
}

/// Asks one address after the other, until one answers yes or no.
fn ask_all(
    service: &[HostPort],
    pin: CaPin,
    body: &[u8],
) -> Result<(JoinResponse, Vec<u8>), Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|e| Failure::new(STATUS_FAILED, e.to_string(), ""))?;
    let mut unreachable = Vec::new();
    for address in service {
        let (config, believed) =
            joining_config(Trusted::Pinned(pin), Arc::new(DefaultTimeProvider)).map_err(sorted)?;
        let server_name = ServerName::try_from(address.host.clone()).map_err(|_| {
            let what = format!("{address}: a certificate cannot have that name");
            Failure::new(
                STATUS_WRONG_USE,
                what,
                "give the service's DNS name or address",
            )
        })?;
        let endpoint = Endpoint {
            addresses: vec![address.to_string()],
            server_name,
            tls: Arc::new(config),
        };
        let asked = runtime.block_on(post(&endpoint, JOIN_PATH, body.to_vec(), JOIN_TIME));
        match asked {
            Ok((200, answer)) => return understood(address, &answer, believed.der()),
            Ok((status, answer)) if (400..500).contains(&status) => {
                return Err(refused(address, &answer));
            }
            Ok((status, _)) => unreachable.push(format!("{address}: status {status}")),
            Err(e) => unreachable.push(e.to_string()),
        }
    }
    let what = format!("no service let this host join: {}", unreachable.join("; "));
    Err(Failure::new(
        STATUS_FAILED,
        hansard_view::escape_for_humans(&what),
        "check address and --ca-pin, and run the same command again: the token is not used up",
    ))
}

fn understood(
    address: &HostPort,
    answer: &[u8],
    authority_der: Option<Vec<u8>>,
) -> Result<(JoinResponse, Vec<u8>), Failure> {
    let response = serde_json::from_slice(answer).ok();
    response.zip(authority_der).ok_or_else(|| {
        let what = format!("{address}: the answer is none of a service of this version");
        Failure::new(STATUS_FAILED, what, "")
    })
}

/// What the service says in a refusal, which is made to be shown.
fn refused(address: &HostPort, answer: &[u8]) -> Failure {
    let said: Option<serde_json::Value> = serde_json::from_slice(answer).ok();
    let why = said.as_ref().and_then(|said| said.get("error")?.as_str());
    let why: String = why
        .unwrap_or("refused")
        .chars()
        .take(REFUSAL_CHARS_MAX)
        .collect();
    let what = format!("{address}: {}", hansard_view::escape_for_humans(&why));
    Failure::new(
        STATUS_WRONG_USE,
        what,
        "nothing was joined; the same command can be repeated",
    )
}

fn owned(labels: &Labels) -> BTreeMap<String, String> {
    labels.clone()
}

/// An identity's failure, by what the person at the command line does about it.
fn sorted(failure: hansard_identity::Failure) -> Failure {
    use hansard_identity::Failure as Identity;
    let (status, next) = match &failure {
        Identity::Retry(_) => (STATUS_FAILED, "run the same command again"),
        Identity::Malformed(_) | Identity::Token => (STATUS_WRONG_USE, ""),
        Identity::Refused(_) | Identity::Conflict(_) => (STATUS_NOT_READY, ""),
    };
    let what = failure.to_string();
    Failure::new(status, hansard_view::escape_for_humans(&what), next)
}
