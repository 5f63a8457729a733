//! A network of our own: a namespace for the service and one for each host, joined by a wire that
//! can be cut. Nothing of it is outside of its namespaces, and nothing of it is left afterwards.

use std::fs;
use std::path::Path;
use std::process::{self, Command, Output};
use std::sync::atomic::{AtomicU32, Ordering};

use hansard_tests::skipped;

/// Hosts of a network.
pub(crate) const HOSTS: usize = 2;

/// What begins the names of our namespaces; the process and the namespace of its number come next.
const PREFIX: &str = "hansard-wire-";

/// What is done to the wire of a host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The service's end is switched off.
    Down,
    /// Three of ten packets are lost, in both directions.
    Loss,
    /// Nothing arrives at the service.
    OneWayUp,
    /// Nothing arrives at the host.
    OneWayDown,
}

/// The namespaces; removed when dropped, also by a panic.
pub(crate) struct Net {
    service: String,
    hosts: Vec<String>,
}

impl Net {
    /// Makes them; `None` where that is not possible, after saying so.
    pub(crate) fn new() -> Option<Self> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        if !has("ip", &["netns", "list"]) || !has("iptables", &["--version"]) {
            skipped("needs root, and ip and iptables (iproute2, iptables)");
            return None;
        }
        remove_orphans();
        let n = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = |of: &str| format!("{PREFIX}{}-{}-{n}-{of}", process::id(), pid_namespace());
        // From here on, whatever happens, dropping it removes what was made.
        let net = Self {
            service: name("service"),
            hosts: (0..HOSTS)
                .map(|host| name(&format!("host{host}")))
                .collect(),
        };
        for name in net.names() {
            let made = run("ip", &["netns", "add", name]);
            if !made.status.success() {
                let why = String::from_utf8_lossy(&made.stderr).into_owned();
                skipped(&format!("no network namespaces here: {}", why.trim()));
                return None;
            }
            must("ip", &["-n", name, "link", "set", "lo", "up"]);
        }
        for (host, name) in net.hosts.iter().enumerate() {
            let (service, wire) = (net.service.as_str(), wire(host));
            let add = [
                "link", "add", &wire, "type", "veth", "peer", "name", "up0", "netns",
            ];
            must("ip", &[&["-n", service][..], &add, &[name]].concat());
            let addresses = [
                (service, wire.as_str(), service_address(host)),
                (name, "up0", format!("10.97.{host}.2")),
            ];
            for (at, device, address) in addresses {
                let address = format!("{address}/30");
                must("ip", &["-n", at, "address", "add", &address, "dev", device]);
                must("ip", &["-n", at, "link", "set", device, "up"]);
            }
        }
        Some(net)
    }

    fn names(&self) -> impl Iterator<Item = &String> {
        self.hosts.iter().chain([&self.service])
    }

    /// What stands before a program that runs where the service is.
    pub(crate) fn at_service(&self) -> Vec<String> {
        inside(&self.service)
    }

    /// What stands before a program that runs where a host is.
    pub(crate) fn at_host(&self, host: usize) -> Vec<String> {
        inside(&self.hosts[host])
    }

    /// Disturbs a host's wire until [`Net::mend`].
    pub(crate) fn disturb(&self, host: usize, fault: Fault) {
        let wire = wire(host);
        let (into, out) = (["INPUT", "-i", &wire], ["OUTPUT", "-o", &wire]);
        let three_of_ten = [
            "-m",
            "statistic",
            "--mode",
            "random",
            "--probability",
            "0.3",
        ];
        match fault {
            Fault::Down => must("ip", &["-n", &self.service, "link", "set", &wire, "down"]),
            Fault::Loss => {
                self.drop_packets(&into, &three_of_ten);
                self.drop_packets(&out, &three_of_ten);
            }
            Fault::OneWayUp => self.drop_packets(&into, &[]),
            Fault::OneWayDown => self.drop_packets(&out, &[]),
        }
    }

    fn drop_packets(&self, which: &[&str], how: &[&str]) {
        let rule = [&["-w", "10", "-A"], which, how, &["-j", "DROP"]].concat();
        let at = ["netns", "exec", &self.service, "iptables"];
        must("ip", &[&at[..], &rule].concat());
    }

    /// Takes back whatever disturbs a host's wire. (Rules of other hosts' wires, too.)
    pub(crate) fn mend(&self, host: usize) {
        must(
            "ip",
            &["-n", &self.service, "link", "set", &wire(host), "up"],
        );
        let flush = ["netns", "exec", &self.service, "iptables", "-w", "10", "-F"];
        must("ip", &flush);
    }
}

impl Drop for Net {
    fn drop(&mut self) {
        for name in self.names() {
            run("ip", &["netns", "del", name]);
        }
    }
}

/// The service's address on the wire to this host.
pub(crate) fn service_address(host: usize) -> String {
    format!("10.97.{host}.1")
}

/// The service's end of the wire to a host.
fn wire(host: usize) -> String {
    format!("host{host}")
}

fn inside(name: &str) -> Vec<String> {
    ["ip", "netns", "exec", name].map(str::to_owned).to_vec()
}

/// Which processes see our number as ours. Names of networks are seen by others, too: a test that runs
/// in a container beside us must not take us for dead.
fn pid_namespace() -> String {
    let link = fs::read_link("/proc/self/ns/pid").unwrap();
    let link = link.to_string_lossy();
    link.chars().filter(char::is_ascii_digit).collect()
}

/// Namespaces of a process that was killed before it could remove them.
fn remove_orphans() {
    let listed = run("ip", &["netns", "list"]);
    for line in String::from_utf8_lossy(&listed.stdout).lines() {
        let name = line.split_whitespace().next().unwrap_or_default();
        let Some(mut of) = name.strip_prefix(PREFIX).map(|rest| rest.split('-')) else {
            continue;
        };
        if let (Some(pid), Some(space)) = (of.next(), of.next())
            && space == pid_namespace()
            && !Path::new("/proc").join(pid).exists()
        {
            run("ip", &["netns", "del", name]);
        }
    }
}

fn has(program: &str, args: &[&str]) -> bool {
    let done = Command::new(program).args(args).output();
    is_root() && done.is_ok_and(|done| done.status.success())
}

/// Whether this process is the superuser, as the kernel says.
fn is_root() -> bool {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let uid = status.lines().find_map(|line| line.strip_prefix("Uid:"));
    uid.and_then(|ids| ids.split_whitespace().nth(1)) == Some("0")
}

fn run(program: &str, args: &[&str]) -> Output {
    Command::new(program).args(args).output().unwrap()
}

fn must(program: &str, args: &[&str]) {
    let done = run(program, args);
    let why = String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success(), "{program} {args:?}: {why}");
}
