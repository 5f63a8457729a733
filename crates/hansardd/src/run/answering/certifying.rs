//! Issuing certificates to people, by the roles of the configuration in force.

use std::sync::{Arc, PoisonError};

use hansard_identity::PeopleAuthority;
use hansard_identity::name::check_server_name;
use hansard_identity::random::Random;
use hansard_identity::ssh::SshAuthorities;

use super::{Answering, Kept};
use crate::api::certificates::Reached;
use crate::behind::{Certified, Definitions};
use crate::config::Config;
use crate::failure::Failure;
use crate::init::keys::authority_dir;

impl Answering<'_> {
    /// The authority that certifies people; made where there is none yet.
    pub(super) fn people(&self) -> Result<Arc<PeopleAuthority>, Failure> {
        let random = self.door.random();
        let directory = authority_dir(&self.dir.keys());
        let now_ns = self.door.environment.clock.utc_ns();
        let opened = PeopleAuthority::open(&directory, &self.door.cluster, now_ns, &*random);
        opened.map(Arc::new).map_err(unusable)
    }

    /// The roles of the configuration in force.
    pub(super) fn definitions(&self) -> Definitions {
        let in_force = Arc::clone(self.door.in_force);
        Arc::new(move || {
            let config = in_force.read().unwrap_or_else(PoisonError::into_inner);
            config.access.definitions()
        })
    }

    pub(super) fn certified(&self, kept: &Kept) -> Result<Certified, Failure> {
        let source = Arc::clone(&self.door.environment.random);
        let random: Arc<dyn Random> = Arc::new(move |bytes: &mut [u8]| source.fill(bytes));
        let directory = authority_dir(&self.dir.keys());
        let authorities = SshAuthorities::open(&directory, &*random).map_err(unusable)?;
        Ok(Certified {
            authorities,
            clock: Arc::clone(&self.door.environment.clock),
            random,
            users: Arc::clone(&kept.users),
            people: Arc::clone(&kept.people),
            definitions: self.definitions(),
            locked: Some(self.locked.clone()),
            reached: reached(&self.door.start.config),
        })
    }
}

fn unusable(failure: hansard_identity::Failure) -> Failure {
    crate::run::ssh_node::keyless(&failure, "see the keys in data_dir: `hansardd doctor`")
}

/// The proxy and the node of this machine, as clients find them; not where the kernel chooses the port.
fn reached(config: &Config) -> [Option<Reached>; 2] {
    let (proxy, node) = (&config.capture.proxy, &config.capture.ssh);
    let named = |names: &[String]| -> Vec<String> {
        if !names.is_empty() {
            return names.to_vec();
        }
        let own = config.node_name().to_lowercase();
        check_server_name(&own).map(|()| own).into_iter().collect()
    };
    let proxy = proxy.as_ref().map(|proxy| Reached {
        port: proxy.listen.port(),
        names: named(&proxy.names),
        targets: proxy.targets.clone(),
    });
    let node = node.as_ref().map(|node| Reached {
        port: node.listen.port(),
        names: named(&node.names),
        targets: Vec::new(),
    });
    [proxy, node].map(|at| at.filter(|at| at.port != 0))
}
