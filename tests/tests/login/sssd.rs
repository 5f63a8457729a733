//! Accounts whom Debian's SSSD matches: it says `tlog-rec-session` is their shell, which `hansard host
//! enable sssd` made the recorder. SSSD serves accounts of `/etc/passwd` and of a directory of its own,
//! on a machine made of this one's tree, with `/usr/bin`, `/etc` and SSSD's state of its own.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Child, Output, Stdio};
use std::time::{Duration, Instant};

use hansard_tests::{copy_program, hansard, skipped};

use crate::outer::PATIENCE;
use crate::place::{BEN, CARL, Place, must};

/// Whom only SSSD knows, with `/bin/dash` as their shell.
const DORA: &str = "hansard-dora";
const EMIL: &str = "hansard-emil";
const FRED: &str = "hansard-fred";
const PEOPLE: [(&str, u32); 3] = [(DORA, 64_021), (EMIL, 64_022), (FRED, 64_023)];
/// Emil's group.
const CREW: &str = "hansard-crew";

const CONF: &str = "[sssd]
services = nss, pam
domains = machine, directory
[nss]
memcache_timeout = 0
[domain/machine]
id_provider = proxy
proxy_lib_name = files
proxy_pam_target = sssd-nobody
[domain/directory]
id_provider = files
passwd_files = /etc/sssd/people
group_files = /etc/sssd/groups
fallback_to_nss = false
";

/// Whoever is in a group of the directory may look.
const SECTIONS: &str = "capture:
  local: {notice: \"\"}
  shell: {shell: /bin/sh}
store:
  pack_age: 1s
serve:
  admin: {roles: {auditor: {groups: [hansard-crew]}}}";

/// Debian's tlog gives its name up, as `dpkg-divert` would have it, and SSSD's state is empty.
const SETUP: &str = r#"
mount -t tmpfs -o mode=755 tmpfs /var/lib/sss
mkdir -p -m 755 /var/lib/sss/mc /var/lib/sss/pipes /var/lib/sss/pubconf/krb5.include.d
mkdir -p -m 700 /var/lib/sss/db /var/lib/sss/pipes/private /var/lib/sss/keytabs
mount -t tmpfs -o mode=700 tmpfs /var/log/sssd
mkdir "$1/over"
mount -t tmpfs -o mode=755 tmpfs "$1/over"
mkdir "$1/over/upper" "$1/over/work"
mount -t overlay -o "lowerdir=/usr/bin,upperdir=$1/over/upper,workdir=$1/over/work" overlay /usr/bin
rm -f /usr/bin/tlog-rec-session
sed -i 's/^passwd:.*/passwd: sss files/; s/^group:.*/group: sss files/' /etc/nsswitch.conf
"#;

/// SSSD, until this is dropped.
struct Sssd(Child);

impl Sssd {
    /// Starts it; it answers for its accounts when this is back.
    fn start(place: &Place) -> Self {
        let mut command = place.run(&["sssd", "-i", "--logger=stderr"]);
        let log = fs::File::create(place.scratch.join("sssd.log")).unwrap();
        command.stdin(Stdio::null()).stdout(Stdio::null());
        let sssd = Self(command.stderr(log).spawn().unwrap());
        let since = Instant::now();
        for name in [FRED, CARL] {
            while shell_of(place, name).is_empty() {
                let log = fs::read_to_string(place.scratch.join("sssd.log"));
                assert!(since.elapsed() < PATIENCE, "{name} is unknown: {log:?}");
                std::thread::sleep(Duration::from_millis(50));
            }
        }
        sssd
    }

    /// What the notice of `enable` asks for.
    fn restart(self, place: &Place) -> Self {
        drop(self);
        // Whom a group matched it remembers until then.
        must(&mut place.run(&["sh", "-c", "rm /var/lib/sss/db/cache_*"]));
        Self::start(place)
    }
}

impl Drop for Sssd {
    fn drop(&mut self) {
        // It ends its children then, which it does not when it is killed.
        if let Ok(pid) = i32::try_from(self.0.id())
            && let Some(pid) = rustix::process::Pid::from_raw(pid)
        {
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
        }
        let _ = self.0.wait();
    }
}

/// The login shell that SSSD alone gives.
fn shell_of(place: &Place, name: &str) -> String {
    let asked = place.run(&["getent", "passwd", "-s", "sss", name]).output();
    let said = String::from_utf8(asked.unwrap().stdout).unwrap();
    let shell = said.trim_end().rsplit(':').next().unwrap_or_default();
    shell.to_owned()
}

/// A machine on which SSSD is installed, and its configuration written.
fn machine(name: &str) -> Option<Place> {
    for program in [
        "/usr/sbin/sssd",
        "/usr/lib/x86_64-linux-gnu/sssd/libsss_proxy.so",
    ] {
        if !Path::new(program).exists() {
            skipped(&format!("no {program} (scripts/needs.sh test)"));
            return None;
        }
    }
    let mut place = Place::with(name, "", "{shell: /bin/sh}")?;
    let dir = place.scratch.path().to_str().unwrap().to_owned();
    must(&mut place.run(&["sh", "-euc", SETUP, "sh", &dir]));
    let etc = place.scratch.join("etc");
    let (mut people, mut groups, mut shadow) = (String::new(), String::new(), String::new());
    for (user, uid) in PEOPLE {
        let home = place.home(user);
        fs::create_dir(&home).unwrap();
        std::os::unix::fs::chown(&home, Some(uid), Some(uid)).unwrap();
        fs::write(home.join(".profile"), format!("PS1='{user}> '\n")).unwrap();
        people += &format!("{user}:*:{uid}:{uid}::{}:/bin/dash\n", home.display());
        groups += &format!("{user}:x:{uid}:\n");
        shadow += &format!("{user}:*:19000:0:99999:7:::\n");
    }
    groups += &format!("{CREW}:x:64030:{EMIL}\n");
    fs::create_dir_all(etc.join("sssd")).unwrap();
    fs::write(etc.join("sssd/people"), people).unwrap();
    fs::write(etc.join("sssd/groups"), groups).unwrap();
    fs::write(etc.join("sssd/sssd.conf"), CONF).unwrap();
    let mode = fs::Permissions::from_mode(0o600);
    fs::set_permissions(etc.join("sssd/sssd.conf"), mode).unwrap();
    // SSSD has no passwords of its own kind of files; without a line here nobody logs in.
    let mut file = fs::File::options()
        .append(true)
        .open(etc.join("shadow"))
        .unwrap();
    file.write_all(shadow.as_bytes()).unwrap();
    // It reads where accounts are once.
    place.daemon.stop();
    place.daemon.configure("desk", SECTIONS);
    place.daemon.start();
    Some(place)
}

/// `hansard host enable sssd WORDS`, which asks the daemon whether it serves logins.
fn enable(place: &Place, words: &[&str]) {
    let (hansard, recorder) = (hansard(), place.scratch.join("bin/hansard-shell"));
    let mut all = vec![
        hansard.to_str().unwrap(),
        "host",
        "enable",
        "--program",
        recorder.to_str().unwrap(),
        "sssd",
    ];
    all.extend(words);
    must(&mut place.run(&all));
}

#[test]
fn whom_sssd_matches_is_recorded() {
    let Some(place) = machine("login-sssd") else {
        return;
    };
    enable(&place, &["--user", CARL, "--user", DORA, "--group", CREW]);
    let sssd = Sssd::start(&place);
    shells_are(&place, [true, true, true, false]);
    // One of `/etc/passwd`, where the shell is another; one of the directory, whose shell SSSD
    // tells in the environment, on a terminal; one by a group.
    assert_eq!(who(&place, CARL), "hansard-carl\n/usr/bin/bash\n");
    let mut screen = place.su(DORA);
    screen.expect("hansard-dora> ");
    screen.type_in(b"readlink /proc/$$/exe; echo ty''ped; exit 5\r");
    screen.expect("\r\n/usr/bin/dash\r\n");
    screen.expect("typed\r");
    assert_eq!(screen.wait(), 5);
    assert_eq!(who(&place, EMIL), "hansard-emil\n/usr/bin/dash\n");
    assert_eq!(who(&place, FRED), "hansard-fred\n/usr/bin/dash\n");
    let rows = place.sessions(3);
    for (row, user, shown) in [
        (&rows[0], CARL, "/usr/bin/bash"),
        (&rows[1], DORA, "typed"),
        (&rows[2], EMIL, "/usr/bin/dash"),
    ] {
        let events = place.events(row);
        for what in [format!(r#""login":"{user}""#), shown.to_owned()] {
            assert!(events.contains(&what), "{what} is not in {events}");
        }
    }

    // Everybody but these.
    let but = ["--exclude-user", FRED, "--exclude-user", EMIL];
    enable(&place, &[&["--scope", "all"], but.as_slice()].concat());
    let sssd = sssd.restart(&place);
    shells_are(&place, [true, true, false, false]);
    for user in [EMIL, FRED, CARL, DORA] {
        assert!(who(&place, user).starts_with(user));
    }
    let rows = place.sessions(5);
    let users = rows[3..].iter().map(|row| place.events(row));
    for (events, user) in users.zip([CARL, DORA]) {
        assert!(events.contains(&format!(r#""login":"{user}""#)), "{events}");
    }

    // Everybody but the members of this group.
    enable(&place, &["--scope", "all", "--exclude-group", CREW]);
    let _sssd = sssd.restart(&place);
    shells_are(&place, [true, true, false, true]);
    for user in [EMIL, FRED] {
        assert!(who(&place, user).starts_with(user));
    }
    let rows = place.sessions(6);
    let events = place.events(&rows[5]);
    assert!(events.contains(&format!(r#""login":"{FRED}""#)), "{events}");
}

/// Roles at the admin socket are given by groups that only SSSD knows.
#[test]
fn a_group_of_the_directory_has_a_role() {
    let Some(place) = machine("login-sssd-roles") else {
        return;
    };
    let _sssd = Sssd::start(&place);
    let program = place.scratch.join("bin/hansard");
    copy_program(hansard(), &program);
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    let list = format!("{} ls", program.display());
    let ls = |user| {
        let mut command = place.run(&["su", user, "-c", &list]);
        command.env("HANSARD_RUNTIME_DIR", "/run/hansard");
        command.stdin(Stdio::null()).output().unwrap()
    };
    must(&mut place.run(&["su", BEN, "-c", "true"]));
    place.sessions(1);
    let (of_fred, of_emil) = (ls(FRED), ls(EMIL));
    let listed = |done: &Output| String::from_utf8_lossy(&done.stdout).contains(BEN);
    assert!(!listed(&of_fred), "{of_fred:?}");
    assert!(listed(&of_emil), "{of_emil:?}");
}

/// Whether SSSD names the recorder as the shell of Carl, Dora, Emil and Fred.
fn shells_are(place: &Place, recorded: [bool; 4]) {
    for (user, recorded) in [CARL, DORA, EMIL, FRED].into_iter().zip(recorded) {
        let shell = match (recorded, user) {
            (true, _) => "/usr/bin/tlog-rec-session",
            (false, CARL) => "/bin/bash",
            (false, _) => "/bin/dash",
        };
        // It reads the directory's files while it answers already.
        let since = Instant::now();
        while shell_of(place, user) != shell {
            assert!(since.elapsed() < PATIENCE, "{user} has not {shell}");
            must(&mut place.run(&["id", user]));
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

/// Who a command of a login is, and in which shell.
fn who(place: &Place, user: &str) -> String {
    // The shell itself would become its last command.
    let command = "id -un; readlink /proc/$$/exe; true";
    let done = must(place.run(&["su", user, "-c", command]).stdin(Stdio::null()));
    String::from_utf8_lossy(&done.stdout).into_owned()
}
