//! `hansardd init`: makes the data directory, keys and stores, explicitly and once. Nothing else in
//! the daemon does.

use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::sync::Arc;

use hansard_record::Environment;
use hansard_record::spool::{Spool, SpoolOptions};
use hansard_store::blob::fs::FsBlobs;
use hansard_store::catalog::sqlite::SqliteCatalog;

use crate::config::{Config, HostPort};
use crate::data_dir::{DataDir, Mark};
use crate::failure::{Failure, STATUS_FAILED, STATUS_WRONG_USE};

pub mod keys;

/// The cluster of a machine that is alone, if nobody says otherwise.
pub const CLUSTER: &str = "local";

/// Where this machine's identity comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// A new cluster, whose authority is made here.
    Found {
        /// Its name.
        cluster: String,
    },
    /// An existing cluster, which is joined with a token.
    Join {
        /// The service's addresses.
        service: Vec<HostPort>,
        /// The token, as an administrator gave it. A secret: never shown, never kept.
        token: String,
        /// Digest of the authority's certificate, as an administrator gave it.
        ca_pin: String,
    },
}

/// Who this machine is from now on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// Its identifier.
    pub id: String,
    /// Its cluster.
    pub cluster: String,
    /// What the person who called should know, as `authority sha256:…`; a name and a value each.
    pub facts: Vec<(String, String)>,
}

/// Makes keys, or gets them certified.
///
/// - Both MUST be repeatable: after a crash at any point, the same call finishes what was begun, with
///   the keys that are there.
/// - Neither may replace a key or a certificate that is whole.
/// - Keys MUST be readable by this user only, and durable when the call returns.
pub trait Keys {
    /// Makes the authority of a new cluster in `dir`, and this machine's own keys, certified.
    ///
    /// # Errors
    /// What to tell the person who called.
    fn found(&self, dir: &Path, cluster: &str, node: &str) -> Result<Identity, Failure>;

    /// Makes this machine's keys in `dir`, and has them certified by the service.
    ///
    /// # Errors
    /// What to tell the person who called; never with the token in it.
    fn join(&self, dir: &Path, join: &Joining<'_>) -> Result<Identity, Failure>;
}

/// What is needed to join.
#[derive(Clone, Copy)]
pub struct Joining<'a> {
    /// The service's addresses, to be tried in this order.
    pub service: &'a [HostPort],
    /// The token.
    pub token: &'a str,
    /// Digest of the authority's certificate.
    pub ca_pin: &'a str,
    /// This machine's name.
    pub node: &'a str,
}

/// Makes everything; answers what was made.
///
/// # Errors
/// As [`DataDir::make`], and what keys or stores say.
pub fn init(
    config: &Config,
    origin: &Origin,
    keys: &dyn Keys,
    environment: &Environment,
) -> Result<(Mark, Identity), Failure> {
    let joins = matches!(origin, Origin::Join { .. });
    if joins && config.store.is_some() {
        let what =
            "a machine that keeps recordings (store) founds its cluster, and does not join one";
        let next = "leave out --join, or replace `store` by `forward` in the configuration";
        return Err(Failure::new(STATUS_WRONG_USE, what, next));
    }
    if !joins && config.store.is_none() {
        let what = "a machine that sends its recordings (forward) must join the service's cluster";
        let next =
            "make a token there with `hansard token create`, and give --join, --token, --ca-pin";
        return Err(Failure::new(STATUS_WRONG_USE, what, next));
    }
    let dir = DataDir::new(&config.node.data_dir);
    let node = config.node_name();
    let was = std::fs::metadata(&config.node.data_dir).map(|there| there.mode() & 0o777);
    let mut made = None;
    let mark = dir.make(&holder("init"), |dir| {
        let identity = match origin {
            Origin::Found { cluster } => keys.found(&dir.keys(), cluster, &node),
            Origin::Join {
                service,
                token,
                ca_pin,
            } => keys.join(
                &dir.keys(),
                &Joining {
                    service,
                    token,
                    ca_pin,
                    node: &node,
                },
            ),
        }?;
        stores(config, dir, environment)?;
        let utc_ns = environment.clock.utc_ns();
        let mark = Mark::new(identity.id.clone(), identity.cluster.clone(), utc_ns);
        made = Some(identity);
        Ok(mark)
    })?;
    let none = || Failure::new(STATUS_FAILED, "no identity was made", "");
    let mut made: Identity = made.ok_or_else(none)?;
    if let Ok(was) = was
        && was & 0o077 != 0
    {
        let what = format!("others could reach it (mode {was:o}); its mode is 700 now");
        made.facts.push(("data_dir".to_owned(), what));
    }
    Ok((mark, made))
}

/// Opens every store once, which makes it.
fn stores(config: &Config, dir: &DataDir, environment: &Environment) -> Result<(), Failure> {
    let who = holder("init");
    let disk = Arc::clone(&environment.disk);
    let options = SpoolOptions {
        holder: who.clone(),
        ..SpoolOptions::default()
    };
    Spool::open(&dir.spool(), disk, options).map_err(|e| Failure::about(&dir.spool(), &e))?;
    if config.store.is_some() {
        FsBlobs::open(&dir.archive(), &who).map_err(|e| Failure::about(&dir.archive(), &e))?;
        SqliteCatalog::open(&dir.catalog(), &who)
            .map_err(|e| Failure::new(STATUS_FAILED, e.to_string(), ""))?;
    }
    Ok(())
}

/// Who holds a lock, for whoever tries next.
#[must_use]
pub fn holder(command: &str) -> String {
    format!("hansardd {command}, process {}", std::process::id())
}
