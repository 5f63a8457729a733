//! Every key there is. What stands above a key is what `docs/configuration.md` says of it.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;

use hansard_core::policy::OnLoss;

use super::access::{Access, TargetLabels, TargetSignIn};
use super::exports::Export;
use super::key::section;
use super::shells::Shells;
use super::value::{HostPort, Labels, Size, Span};
use super::web::Web;

/// Port of metrics and health.
const METRICS_PORT: u16 = 3081;

/// Port of the SSH server.
const SSH_PORT: u16 = 3022;

/// Port of the SSH proxy.
const PROXY_PORT: u16 = 3023;

section! {
    /// The whole file.
    Config {
        /// Who this machine is, and where it keeps things.
        node: Node = Node::default();
        /// What is recorded here.
        capture: Capture = Capture::default();
        /// Sends what is recorded here to a service, and keeps it only until the service has it for
        /// good. Not together with `store`.
        forward: Option<Forward> = None;
        /// Keeps recordings for good, on this machine's disk. Not together with `forward`.
        store: Option<Store> = None;
        /// What people may over SSH, where the cluster's authority is on this machine (docs/access.md).
        access: Access = Access::default();
        /// What can be reached: by hosts, by people, by monitoring.
        serve: Serve = Serve::default();
        /// Sending on to others what is recorded.
        export: Export = Export::default();
    }
}

section! {
    /// Who this machine is, and where it keeps things.
    Node {
        /// The name that recordings and lists show for this machine. Empty: the system's host name.
        name: String = String::new();
        /// Labels of this machine, by which retention and roles may choose: `env: production`. At
        /// most 32; a name has at most 64 letters, digits and `-._/`, a value 256 bytes.
        labels: Labels = Labels::new();
        /// Where everything durable is: spool, archive, catalog, event log, keys. Made by
        /// `hansardd init`, for the daemon's user only, and held by one process.
        data_dir: PathBuf = PathBuf::from("/var/lib/hansard");
        /// Where the sockets are: `capture.sock` for programs that hand their session over,
        /// `admin.sock` for `hansard`. Emptied by a restart of the machine.
        runtime_dir: PathBuf = PathBuf::from("/run/hansard");
        /// How much may wait in the spool, that is, is on this disk and not yet kept for good by the
        /// archive or the service. When it is full, sessions are held back, ended or go on with a
        /// gap, as `on_loss` says; nothing that is in it is given up.
        spool_bytes_max: Size = Size::gib(1), in [Size::mib(16), Size::gib(1024)];
        /// Size of one of the spool's files. A file is removed as a whole, when everything in it is
        /// kept for good elsewhere.
        spool_file_bytes_max: Size = Size::mib(64), in [Size::mib(1), Size::gib(4)];
        /// How long a stop may take: sessions are sealed, and what can be archived is. What is not
        /// done then waits in the spool, which loses nothing.
        stop_within: Span = Span::seconds(30), in [Span::seconds(1), Span::seconds(600)] => live;
    }
}

section! {
    /// What is recorded here.
    Capture {
        /// Sessions that programs on this machine hand over at `capture.sock`: `hansard rec` without
        /// `--out`, `hansard-shell`.
        local: Option<Local> = None;
        /// Logins: accounts whose login shell is `hansard-shell` hand their terminal over at
        /// `capture.sock`, and the daemon holds it. What is kept of them is what `local` says, or a
        /// central policy; needs `local`, and capabilities (docs/shell.md).
        shell: Option<Shell> = None;
        /// Host events: what the processes of a session really did, as the kernel saw it, in the
        /// session's own recording. Needs `local`, a kernel that allows it and capabilities
        /// (docs/host-events.md). The keys are those of Teleport's `enhanced_recording`.
        host: Option<Host> = None;
        /// An SSH server on this machine, in the daemon: people sign in with a certificate and run
        /// programs as an account, and everything they do is recorded. What is kept of them is what
        /// `local` says, or a central policy; needs `local`, and root (docs/ssh-node.md).
        ssh: Option<Ssh> = None;
        /// An SSH proxy: people sign in here and go on to other machines, on which nothing of Hansard is
        /// installed, and everything that passes is recorded. What is kept of it is what `local` says, or a
        /// central policy; needs `local`, and the cluster's authority on this machine (docs/ssh-proxy.md).
        proxy: Option<Proxy> = None;
    }
}

section! {
    /// The SSH server of this machine.
    Ssh {
        /// Address to listen at.
        listen: SocketAddr = SocketAddr::new(IpAddr::V6(Ipv6Addr::UNSPECIFIED), SSH_PORT);
        /// Names and addresses under which clients reach this machine; they stand in its host
        /// certificate, where the cluster's authority is on this machine. Empty: its name. At most 64.
        names: Vec<String> = Vec::new();
        /// Public keys of authorities whose users' certificates let in, each as a line of a `.pub`
        /// file. Those of a cluster whose authority is on this machine need not be written here. At
        /// most 1000.
        user_authorities: Vec<String> = Vec::new();
        /// Let in only certificates that say what their holder's roles give, as `hansard login` gets them: none
        /// of `hansard cert sign`, and no plain keys.
        roles_only: bool = false;
        /// Let in plain keys, too, that stand in an account's `.ssh/authorized_keys`.
        authorized_keys: bool = false;
        /// Where those are: below an account's home, or a whole path; `%u` is the account's name. The file
        /// and its directory must be the account's or root's, and nobody else's to write to.
        authorized_keys_file: String = ".ssh/authorized_keys".to_owned();
        /// Whether the system's modules (PAM) decide about accounts and open sessions: the service's name, a file
        /// in `/etc/pam.d`; `auto`: `hansard` if there is such a file, otherwise `sshd`; `off`: neither, and
        /// accounts are judged by shadow(5) and `/etc/nologin` alone. Only for a daemon that is root.
        pam: String = "auto".to_owned();
        /// Let in whoever answers what `pam`'s service asks (`auth` modules: a password, a code), too; never root,
        /// and nobody where `roles_only` is on.
        keyboard_interactive: bool = false;
        /// Variables that clients may set, by name, or by its beginning and a `*`. Never `PATH`, `LD_*`
        /// and the like. At most 1000.
        accept_env: Vec<String> = vec!["LANG".to_owned(), "LC_*".to_owned()];
        /// Where clients may connect to from this machine (`ssh -L`, `-D`, `-W`), as `HOST:PORT`: a name,
        /// `*.NAME`, an address, a network (`192.0.2.0/24`, `[2001:db8::/32]`) or `*`; a number, a range or
        /// `*`. Nowhere, as shipped. At most 1000.
        forward_to: Vec<String> = Vec::new();
        /// Where clients may have this machine listen for them (`ssh -R`), in the same form. At most 1000.
        forward_listen: Vec<String> = Vec::new();
        /// Sockets that clients may connect to or listen at: whole paths, or beginnings with a `*` behind.
        /// At most 1000.
        forward_sockets: Vec<String> = Vec::new();
        /// Let programs use the agent of whoever started them (`ssh -A`).
        forward_agent: bool = false;
        /// Let programs open windows at the client (`ssh -X`).
        forward_x11: bool = false;
        /// Sessions that may be inside a forward, where nothing of them is seen but that they are there:
        /// `ssh`, `rdp`, `postgres`, `mysql`.
        forward_nested: Vec<String> = Vec::new();
        /// How long somebody may take to sign in before the connection is closed.
        login_grace: Span = Span::seconds(60), in [Span::seconds(1), Span::seconds(600)];
        /// Most connections at a time. One more is closed, and that is an event.
        connections_max: u32 = 500, in [1, 100_000];
    }
}

section! {
    /// The SSH proxy.
    Proxy {
        /// Address to listen at.
        listen: SocketAddr = SocketAddr::new(IpAddr::V6(Ipv6Addr::UNSPECIFIED), PROXY_PORT);
        /// Names and addresses under which clients reach the proxy; they stand in its host certificate.
        /// Empty: this machine's name. At most 64.
        names: Vec<String> = Vec::new();
        /// Public keys of more authorities whose users' certificates let in, each as a line of a `.pub`
        /// file. At most 1000.
        user_authorities: Vec<String> = Vec::new();
        /// Let in only certificates that say what their holder's roles give, as `hansard login` gets them.
        roles_only: bool = false;
        /// Labels of the machines that it leads to, by which roles choose. Where several give a machine the same
        /// label the first counts. At most 1000.
        target_labels: Vec<TargetLabels> = Vec::new();
        /// How it signs in at the machines that it leads to; the first that has one counts. Where none has it, with a
        /// certificate of the cluster's authority. At most 1000.
        target_sign_in: Vec<TargetSignIn> = Vec::new();
        /// Where it leads, as `HOST:PORT`: a name, `*.NAME`, an address, a network (`192.0.2.0/24`,
        /// `[2001:db8::/32]`) or `*`; a number, a range or `*`. Nowhere, as shipped. At most 1000.
        targets: Vec<String> = Vec::new();
        /// Public keys of more authorities whose host certificates say who a target is. The cluster's own is
        /// believed. At most 1000.
        host_authorities: Vec<String> = Vec::new();
        /// Believe the first key that a target without a certificate shows, and keep it in `known_hosts` of
        /// the data directory. Off: only what is written there is believed. A key that is another than the
        /// one there is refused either way. While it is on, a kept password is given only to targets whose host
        /// key an authority certified.
        first_use: bool = false;
        /// Variables that clients may set, by name, or by its beginning and a `*`; the target has a say, too.
        /// At most 1000.
        accept_env: Vec<String> = vec!["LANG".to_owned(), "LC_*".to_owned()];
        /// Where clients may connect to from targets (`ssh -L`, `-D`, `-W`), as in `targets`, but judged by
        /// the name alone that is asked for. Nowhere, as shipped. At most 1000.
        forward_to: Vec<String> = Vec::new();
        /// Where clients may have targets listen for them (`ssh -R`), in the same form. At most 1000.
        forward_listen: Vec<String> = Vec::new();
        /// Sockets of targets that clients may connect to or listen at: whole paths, or beginnings with a `*`
        /// behind. At most 1000.
        forward_sockets: Vec<String> = Vec::new();
        /// Let programs on targets use the agent of whoever started them (`ssh -A`).
        forward_agent: bool = false;
        /// Let programs open windows at the client (`ssh -X`).
        forward_x11: bool = false;
        /// Sessions that may be inside a forward, where nothing of them is seen but that they are there:
        /// `ssh`, `rdp`, `postgres`, `mysql`.
        forward_nested: Vec<String> = Vec::new();
        /// How long somebody may take to sign in before the connection is closed.
        login_grace: Span = Span::seconds(60), in [Span::seconds(1), Span::seconds(600)];
        /// Most connections at a time. One more is closed, and that is an event.
        connections_max: u32 = 500, in [1, 100_000];
    }
}

section! {
    /// Sessions of this machine.
    Local {
        /// What happens to a session while its record cannot be made durable: `hold` it back for at
        /// most `hold`, then end it; `end` it at once; or let it `continue` with a gap in the
        /// record, an alarm event and a metric.
        on_loss: OnLoss = OnLoss::Hold;
        /// Longest time that a session is held back before it is ended.
        hold: Span = Span::seconds(30), in [Span::millis(100), Span::seconds(3600)];
        /// Nothing is shown to the user before it is durable. Costs a sync of the disk for
        /// every answer of a program.
        strict: bool = false;
        /// What the user is told when recording begins. Empty: nothing, which is not lawful
        /// everywhere.
        notice: String = hansard_core::policy::NOTICE_SHIPPED.to_owned();
        /// Keep what is piped into a program (no terminal).
        stdin: bool = true;
        /// Keep what is typed at a terminal, passwords aside: what a terminal hides is never kept.
        keystrokes: bool = false;
        /// Keep what a program shows on a terminal or writes to a pipe.
        stdout: bool = true;
        /// Keep what a program writes to standard error when that is a pipe of its own.
        stderr: bool = true;
        /// How long nothing may happen in a session before it is ended. 0: for ever.
        idle_limit: Span = Span::seconds(0), in [Span::seconds(0), Span::days(365)];
        /// Kill what a login leaves running, instead of leaving it without a terminal.
        kill_remains: bool = false;
        /// Most sessions at a time, and 128 of one user; a fifth of the places is kept for users who have fewer
        /// than 8. One more is refused, with the reason, and the refusal is an event.
        sessions_max: u32 = 1000, in [1, 100_000];
    }
}

section! {
    /// Logins of this machine.
    Shell {
        /// The shell of accounts whose own entry in the user database is `hansard-shell`. Like all
        /// shells that are started, it must stand in `/etc/shells`; where it does not, `/bin/sh` is.
        shell: PathBuf = PathBuf::from("/bin/bash");
        /// Shells of some of these accounts, by name: `anna: /bin/zsh`. At most 1000.
        shells: Shells = Shells::default();
    }
}

section! {
    /// Host events.
    Host {
        /// Whether they are recorded. Where they cannot be, the daemon does not start.
        enabled: bool = false;
        /// Programs that are started and how they end, and calls that change what a process may do.
        command: bool = true;
        /// Files that are opened and changed.
        disk: bool = true;
        /// Connections.
        network: bool = true;
        /// Logins, failed logins, `sudo` and `su` of this host, whatever records their sessions: in the
        /// host's own recording. Heard in the kernel's audit stream, or where it is silent, in the
        /// system's journal. At most 600 a minute.
        access: bool = true;
        /// Follow logins that no recorder holds, too, as sessions of their own: of `sshd` and of the console
        /// as they are. Nothing that they show is kept, only host events. Nobody tells those who log in;
        /// where that has to be, tell them otherwise (`Banner`, `/etc/issue`, `/etc/motd`).
        logins: bool = false;
        /// Names of the programs that let people in, as their files are called, which must be root's.
        /// What they start for somebody begins such a session. At most 64.
        login_programs: Vec<String> = ["sshd", "sshd-session", "sshd-auth", "login", "dropbear"]
            .map(str::to_owned)
            .to_vec();
        /// Pages of 4096 bytes that wait between kernel and daemon at least. The three are added up,
        /// and no ring is smaller than 16 MiB or larger than 1 GiB. When it is full, events are lost,
        /// counted, and the recording has a gap.
        command_buffer_size: u32 = 8, in [1, 262_144];
        /// The same for files.
        disk_buffer_size: u32 = 128, in [1, 262_144];
        /// The same for connections.
        network_buffer_size: u32 = 8, in [1, 262_144];
        /// Files that are opened below these directories are not told: at most 256. Known by what the
        /// directory is when the daemon starts, not by its name, and on its own file system only; what
        /// else is done to them is told. A session says what it left out, and how often.
        exclude_paths: Vec<PathBuf> = Vec::new();
        /// Programs, by their files, whose own files and connections are not told: at most 256. That
        /// they are started, and how they end, is. Whoever can run code in such a program can hide
        /// behind it.
        exclude_programs: Vec<PathBuf> = Vec::new();
        /// Pin the kernel's programs: they stay when the daemon ends, and what happens until the next one starts
        /// is told then. Where they cannot be, the daemon does not start. Off: they end with it.
        pinned: bool = false;
        /// Where they are pinned: a directory of a bpf file system.
        pin_dir: PathBuf = PathBuf::from("/sys/fs/bpf/hansard");
        /// Taken so that a configuration of Teleport's works, and not used: processes are followed
        /// by themselves, in whatever control group they are.
        cgroup_path: PathBuf = PathBuf::from("/cgroup2");
    }
}

section! {
    /// Sending to a service.
    Forward {
        /// The service's addresses, `host:port` (port 3025 if there is none), tried in this order.
        /// Required.
        service: Vec<HostPort> = Vec::new();
        /// The name that the service's certificate must have. Empty: the host of each
        /// address.
        server_name: String = String::new();
        /// Longest pause before the next attempt to reach the service. Pauses double from a quarter
        /// of a second up to this, each shortened at random by up to a half.
        retry_max: Span = Span::seconds(30), in [Span::seconds(1), Span::seconds(600)];
        /// Most bytes that are sent and not yet answered. More wait in the spool.
        in_flight_max: Size = Size::mib(8), in [Size::kib(512), Size::mib(256)];
    }
}

section! {
    /// The archive, the catalog and the event log.
    Store {
        /// Size at which a pack of segments is full and is written.
        pack_bytes: Size = Size::mib(5), in [Size::kib(64), Size::mib(48)];
        /// Age at which a pack is written though it is not full. Until it is written, senders keep
        /// their copy.
        pack_age: Span = Span::seconds(30), in [Span::seconds(1), Span::seconds(3600)];
        /// How long recordings are kept. The first rule that matches a recording decides; one that
        /// no rule matches is kept for ever. Every removal is an event.
        retention: Vec<Rule> = Vec::new() => live;
        /// The daily files of event documents, `log/SERVICE/YYYY-MM-DD.00:00:00.log`.
        event_log: EventLog = EventLog::default();
    }
}

section! {
    /// How long some recordings are kept.
    Rule {
        /// Labels that the recording's host must have, all of them. Empty: any host.
        labels: Labels = Labels::new();
        /// The kind of session: `terminal`, `exec`, `host`, `service` … Empty: any.
        kind: String = String::new();
        /// The host's name. Empty: any.
        host: String = String::new();
        /// The user who was recorded. Empty: anybody.
        user: String = String::new();
        /// How long after its end a recording is kept, at least; it is removed within a day after. One
        /// without an end may be going on, and is kept for 90 days more. Required.
        keep: Span = Span::seconds(0), in [Span::seconds(0), Span::days(36_500)];
    }
}

section! {
    /// The event log's files.
    EventLog {
        /// Age at which a day's file is compressed (gzip), after it was closed.
        compress_after: Span = Span::days(1), in [Span::seconds(3600), Span::days(3650)] => live;
        /// How long a day's file is kept. It can be made again while the recordings are kept.
        keep: Span = Span::days(365), in [Span::days(1), Span::days(36_500)] => live;
    }
}

section! {
    /// What can be reached.
    Serve {
        /// Takes recordings from hosts that have joined, over TLS with both sides authenticated.
        /// Needs `store`.
        ingest: Option<Ingest> = None;
        /// Metrics for Prometheus at `/metrics`, and `/healthz` and `/readyz`, without
        /// authentication.
        metrics: Option<Metrics> = None;
        /// The socket `admin.sock`, at which `hansard` lists, plays and administrates. Who is at the
        /// other end is what the kernel says.
        admin: Option<Admin> = None;
        /// The application in a browser, and the API for whoever signs in there. Needs `store` and
        /// `serve.admin`: users are made with `hansard user add`.
        web: Option<Web> = None;
    }
}

section! {
    /// Taking recordings from hosts.
    Ingest {
        /// Address to listen at.
        listen: SocketAddr = SocketAddr::new(IpAddr::V6(Ipv6Addr::UNSPECIFIED), super::value::INGEST_PORT);
        /// Names and addresses under which hosts reach this service; they stand in its certificate.
        /// Empty: this machine's name, `localhost`, 127.0.0.1 and ::1. At most 32.
        names: Vec<String> = Vec::new();
        /// Most hosts that are connected at a time. One more is refused and tries again later.
        hosts_max: u32 = 4096, in [1, 100_000];
    }
}

section! {
    /// Metrics and health.
    Metrics {
        /// Address to listen at. Anybody who reaches it may read the metrics, which name no user and
        /// no session; stay on a loopback address or put something with a password before it.
        listen: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), METRICS_PORT);
    }
}

section! {
    /// The socket of administration.
    Admin {
        /// Who has which role on this machine, by the account at the other end of the socket.
        /// Somebody with several roles may what any of them may.
        roles: Roles = Roles::default();
    }
}

section! {
    /// The four roles.
    Roles {
        /// May administrate: tokens, hosts, ending sessions; and see what an auditor sees.
        admin: Members = Members { users: vec!["root".to_owned()], groups: Vec::new() } => live;
        /// May see all recordings and events. Every look is an event.
        auditor: Members = Members::default() => live;
        /// May list all sessions and events, and see what is their own; of others, no recording.
        reviewer: Members = Members::default() => live;
        /// May see what is their own: sessions and events whose user has the name of the account.
        user: Members = Members { users: vec!["*".to_owned()], groups: Vec::new() } => live;
    }
}

section! {
    /// Who has a role.
    Members {
        /// Accounts, by name or number. `*` is everybody. At most 1000.
        users: Vec<String> = Vec::new();
        /// Groups, by name or number: everybody who is in one. At most 1000.
        groups: Vec<String> = Vec::new();
    }
}
