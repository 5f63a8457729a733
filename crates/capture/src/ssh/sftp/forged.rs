//! Clients that would have the record say something else than what happened, against a server as OpenSSH's is:
//! one request after the other, its handles the least number that is free.

use std::collections::{BTreeMap, VecDeque};

use proptest::prelude::*;

use super::tests::{begun, fields, id, packet, status, string};
use super::*;

fn open(n: u32, path: &str) -> Vec<u8> {
    packet(
        kind::OPEN,
        &[&id(n), &string(path.as_bytes()), &id(0x1a), &id(0)],
    )
}

fn named(kind: u8, n: u32, name: &str) -> Vec<u8> {
    packet(kind, &[&id(n), &string(name.as_bytes())])
}

fn write(n: u32, handle: &[u8], bytes: &[u8]) -> Vec<u8> {
    packet(
        kind::WRITE,
        &[&id(n), &string(handle), &[0; 8], &string(bytes)],
    )
}

fn read(n: u32, handle: &[u8]) -> Vec<u8> {
    packet(kind::READ, &[&id(n), &string(handle), &[0; 8], &id(1000)])
}

fn data(n: u32, bytes: &[u8]) -> Vec<u8> {
    packet(kind::DATA, &[&id(n), &string(bytes)])
}

fn stopped<T: std::fmt::Debug>(done: Result<T, Stop>, why: &str) {
    let stop = done.unwrap_err();
    assert!(stop.0.contains(why), "{stop:?}");
}

/// Of what is left to say, what is said of this path.
fn rest(sftp: &mut Sftp, path: &str) -> Fields {
    let rest = sftp.over();
    let of_path = |body: &Body| Some(fields(body)).filter(|said| said.text("path") == Some(path));
    rest.iter().find_map(of_path).unwrap()
}

#[test]
fn an_answer_to_looking_is_not_taken_for_that_of_another_request() {
    for second in [open(7, "/secret"), named(kind::REMOVE, 7, "/victim")] {
        let mut sftp = begun();
        let both = [named(kind::STAT, 7, "/none"), second.clone()].concat();
        stopped(sftp.up(&both), "two requests have one number");
        // The other way round, and in two pieces.
        let mut sftp = begun();
        sftp.up(&second).unwrap();
        stopped(
            sftp.up(&named(kind::STAT, 7, "/none")),
            "two requests have one number",
        );
    }
    // A number that has its answer is free again.
    let mut sftp = begun();
    sftp.up(&named(kind::STAT, 7, "/none")).unwrap();
    assert_eq!(sftp.down(&status(7, 2)).unwrap(), []);
    sftp.up(&named(kind::REMOVE, 7, "/victim")).unwrap();
    let said = sftp.down(&status(7, 0)).unwrap();
    assert_eq!(fields(&said[0]).get("success"), Some(&true.into()));
}

#[test]
fn nothing_is_written_by_a_handle_that_was_guessed() {
    for second in [
        write(2, &[0; 4], b"unseen"),
        packet(kind::CLOSE, &[&id(2), &string(&[0; 4])]),
        packet(kind::FSETSTAT, &[&id(2), &string(&[0; 4]), &id(0)]),
        packet(
            kind::EXTENDED,
            &[
                &id(2),
                &string(b"copy-data"),
                &string(&[0; 4]),
                &[0; 16],
                &string(&[0; 4]),
            ],
        ),
    ] {
        let mut sftp = begun();
        let both = [open(1, "/dropped"), second].concat();
        stopped(sftp.up(&both), "has not given out");
        let said = rest(&mut sftp, "/dropped");
        assert_eq!(said.text("error"), Some(NOT_SEEN));
        assert_eq!(said.get("success"), None);
    }
}

#[test]
fn nothing_is_read_by_a_handle_that_was_guessed_or_is_closed() {
    let mut sftp = begun();
    sftp.up(&[open(1, "/secret"), read(2, b"h")].concat())
        .unwrap();
    sftp.down(&packet(kind::HANDLE, &[&id(1), &string(b"h")]))
        .unwrap();
    stopped(sftp.down(&data(2, b"secret")), "not known to be open");
    // Whatever is asked behind that is not passed on, for nobody reads what becomes of it.
    stopped(sftp.up(&named(kind::REMOVE, 3, "/a")), "not read any more");
    assert_eq!(
        rest(&mut sftp, "/secret").text("error"),
        Some("it was not closed")
    );
    // Honest clients that read ahead ask for more of what they have closed, and get none.
    let mut sftp = begun();
    sftp.up(&open(1, "/a")).unwrap();
    sftp.down(&packet(kind::HANDLE, &[&id(1), &string(b"h")]))
        .unwrap();
    let late = [packet(kind::CLOSE, &[&id(2), &string(b"h")]), read(3, b"h")];
    sftp.up(&late.concat()).unwrap();
    assert_eq!(sftp.down(&status(2, 0)).unwrap().len(), 1);
    assert_eq!(sftp.down(&status(3, 4)).unwrap(), []);
}

#[test]
fn what_waits_when_a_file_is_closed_is_that_files_whoever_has_its_handle_then() {
    let mut sftp = begun();
    let handle = |n: u32| packet(kind::HANDLE, &[&id(n), &string(b"h")]);
    sftp.up(&open(1, "/first")).unwrap();
    sftp.down(&handle(1)).unwrap();
    let close = packet(kind::CLOSE, &[&id(4), &string(b"h")]);
    let asked = [
        read(2, b"h"),
        write(3, b"h", b"abc"),
        close,
        open(5, "/second"),
    ];
    sftp.up(&asked.concat()).unwrap();
    // A server of another make: several at a time.
    assert_eq!(sftp.down(&status(4, 0)).unwrap(), []);
    assert_eq!(sftp.down(&handle(5)).unwrap(), []);
    assert_eq!(sftp.down(&status(3, 3)).unwrap(), []);
    let said = sftp.down(&data(2, b"12345")).unwrap();
    let first = fields(&said[0]);
    assert_eq!(first.text("path"), Some("/first"));
    assert_eq!(first.get("tx"), Some(&5_u64.into()));
    assert_eq!(first.get("rx"), Some(&3_u64.into()));
    assert_eq!(first.text("error"), Some("permission denied"));
    let second = rest(&mut sftp, "/second");
    assert_eq!(second.get("tx"), Some(&0_u64.into()));
    assert_eq!(second.text("error"), Some("it was not closed"));
}

#[test]
fn another_version_than_the_third_is_stopped_wherever_it_comes_from() {
    let init = || packet(kind::INIT, &[&id(6)]);
    let version = |n| packet(kind::VERSION, &[&id(n)]);
    let mut silent = Sftp::default();
    stopped(silent.up(&open(3, "/a")), "does not begin with a version");
    stopped(
        Sftp::default().down(&version(3)),
        "before the server's version",
    );
    let mut hasty = Sftp::default();
    stopped(
        hasty.up(&[init(), open(3, "/a")].concat()),
        "before the server's version",
    );
    for n in [0, 2, 4, 6] {
        let mut other = Sftp::default();
        other.up(&init()).unwrap();
        stopped(other.down(&version(n)), "only version 3");
        stopped(other.up(&open(1, "/a")), "not read any more");
    }
    let mut garbled = Sftp::default();
    garbled.up(&init()).unwrap();
    stopped(garbled.down(&status(3, 0)), "before the server's version");
    let select = [&id(1)[..], &string(b"version-select"), &string(b"6")].concat();
    stopped(
        begun().up(&packet(kind::EXTENDED, &[&select])),
        "another version",
    );
    // Neither side begins anew, and version 6 has requests that the third has not: 21 is its link.
    stopped(begun().up(&init()), "version 3 does not have");
    stopped(begun().up(&named(21, 1, "/a")), "version 3 does not have");
    stopped(begun().down(&version(3)), "version 3 does not have");
}

#[test]
fn an_answer_is_to_something_and_of_its_kind() {
    let handle = |n| packet(kind::HANDLE, &[&id(n), &string(b"h")]);
    stopped(begun().down(&status(1, 0)), "to nothing");
    for (asked, answer) in [
        (open(1, "/a"), data(1, b"x")),
        (open(1, "/a"), packet(kind::ATTRS, &[&id(1), &id(0)])),
        (named(kind::STAT, 1, "/a"), handle(1)),
        (named(kind::STAT, 1, "/a"), data(1, b"x")),
        (
            named(kind::REMOVE, 1, "/a"),
            packet(kind::NAME, &[&id(1), &id(0)]),
        ),
        (named(kind::EXTENDED, 1, "new@example.com"), handle(1)),
    ] {
        let mut sftp = begun();
        sftp.up(&asked).unwrap();
        stopped(sftp.down(&answer), "of a kind that its request has not");
    }
    let mut twice = begun();
    twice.up(&[open(1, "/a"), open(2, "/b")].concat()).unwrap();
    twice.down(&handle(1)).unwrap();
    stopped(twice.down(&handle(2)), "one handle");
    assert_eq!(rest(&mut twice, "/b").get("success"), Some(&false.into()));
    // OpenSSH answers this one of its own with a name.
    let mut own = begun();
    own.up(&named(kind::EXTENDED, 1, "expand-path@openssh.com"))
        .unwrap();
    own.down(&packet(kind::NAME, &[&id(1), &id(0)])).unwrap();
}

#[test]
fn what_was_asked_for_and_never_answered_is_told_of() {
    let mut sftp = begun();
    let asked = [
        named(kind::REMOVE, 1, "/victim"),
        named(kind::STAT, 2, "/a"),
    ];
    sftp.up(&asked.concat()).unwrap();
    let said = sftp.over();
    assert_eq!(said.len(), 2, "{said:?}");
    let victim = fields(&said[0]);
    assert_eq!(victim.text("path"), Some("/victim"));
    assert_eq!(victim.text("error"), Some(NOT_SEEN));
    assert_eq!(victim.get("success"), None);
}

#[test]
fn a_copy_on_the_server_names_both_files_and_leaves_no_digest() {
    let mut sftp = begun();
    for (n, path, handle) in [(1, "/from", b"f"), (2, "/to", b"t")] {
        sftp.up(&open(n, path)).unwrap();
        sftp.down(&packet(kind::HANDLE, &[&id(n), &string(handle)]))
            .unwrap();
    }
    let copy = packet(
        kind::EXTENDED,
        &[
            &id(3),
            &string(b"copy-data"),
            &string(b"f"),
            &[0; 16],
            &string(b"t"),
            &[0; 8],
        ],
    );
    sftp.up(&[write(4, b"t", b"some"), copy].concat()).unwrap();
    sftp.down(&status(4, 0)).unwrap();
    let said = sftp.down(&status(3, 0)).unwrap();
    let copied = fields(&said[0]);
    assert_eq!(copied.text("message"), Some("copy-data"));
    assert_eq!(copied.text("path"), Some("/from"));
    assert_eq!(copied.text("target_path"), Some("/to"));
    assert_eq!(copied.get("success"), Some(&true.into()));
    assert_eq!(rest(&mut sftp, "/to").text("sha256"), None);
}

/// What happens next: the client asks, the server does what is its turn, or its next answer passes.
#[derive(Debug, Clone)]
enum Step {
    Asks {
        what: u8,
        number: u32,
        handle: u8,
        len: u8,
    },
    Serves,
    Answers,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => (0..8_u8, 0..6_u32, 0..3_u8, 1..50_u8).prop_map(|(what, number, handle, len)| {
            Step::Asks { what, number, handle, len }
        }),
        2 => Just(Step::Serves),
        2 => Just(Step::Answers),
    ]
}

/// What really became of a path.
#[derive(Debug, Default, PartialEq, Eq)]
struct Truth {
    is_open: Option<bool>,
    is_removed: Option<bool>,
    written: u64,
    /// Bytes that got to the client.
    read: u64,
}

/// A request, as the server gets it.
#[derive(Debug, Clone)]
struct Asked {
    what: u8,
    number: u32,
    handle: u8,
    len: u8,
    path: String,
}

impl Asked {
    fn packet(&self) -> Vec<u8> {
        let handle = [self.handle];
        match self.what {
            0 | 1 => open(self.number, &self.path),
            2 => named(kind::REMOVE, self.number, &self.path),
            3 => named(kind::STAT, self.number, &self.path),
            4 => read(self.number, &handle),
            5 => packet(kind::CLOSE, &[&id(self.number), &string(&handle)]),
            _ => write(self.number, &handle, &vec![7; self.len.into()]),
        }
    }
}

/// An answer on its way, and how much of which file goes to the client by it.
type Answered = (Vec<u8>, Option<(String, u64)>);

/// A server as OpenSSH's, with what has really happened.
#[derive(Debug, Default)]
struct Server {
    asked: VecDeque<Asked>,
    answers: VecDeque<Answered>,
    open: BTreeMap<u8, String>,
    truth: BTreeMap<String, Truth>,
}

impl Server {
    fn serve(&mut self) {
        let Some(asked) = self.asked.pop_front() else {
            return;
        };
        let Asked {
            number,
            handle,
            len,
            path,
            ..
        } = asked;
        // Half of all paths are none that anything can be done to.
        let is_good = len % 2 == 0;
        let file = self.open.get(&handle).cloned();
        let mut passes = None;
        let answer = match (asked.what, file) {
            (0 | 1, _) => {
                self.truth.entry(path.clone()).or_default().is_open = Some(is_good);
                let free = (0..=u8::MAX).find(|n| !self.open.contains_key(n)).unwrap();
                match is_good {
                    true => {
                        self.open.insert(free, path);
                        packet(kind::HANDLE, &[&id(number), &string(&[free])])
                    }
                    false => status(number, 2),
                }
            }
            (2, _) => {
                self.truth.entry(path).or_default().is_removed = Some(is_good);
                status(number, if is_good { 0 } else { 2 })
            }
            (3, _) if is_good => packet(kind::ATTRS, &[&id(number), &id(0)]),
            (4, Some(file)) => {
                passes = Some((file, len.into()));
                data(number, &vec![7; len.into()])
            }
            (5, Some(_)) => {
                self.open.remove(&handle);
                status(number, 0)
            }
            (6.., Some(file)) => {
                self.truth.entry(file).or_default().written += u64::from(len);
                status(number, 0)
            }
            _ => status(number, 4),
        };
        self.answers.push_back((answer, passes));
    }
}

/// A client, a server, and what reads along between them.
struct Run {
    sftp: Sftp,
    server: Server,
    said: Vec<Body>,
    /// Why nothing more goes up, and down.
    stops: [Option<Stop>; 2],
}

impl Run {
    fn new() -> Self {
        Self {
            sftp: begun(),
            server: Server::default(),
            said: Vec::new(),
            stops: [None, None],
        }
    }

    fn ask(&mut self, asked: Asked) {
        if self.stops[0].is_some() {
            return;
        }
        match self.sftp.up(&asked.packet()) {
            Ok(said) => {
                self.said.extend(said);
                self.server.asked.push_back(asked);
            }
            Err(stop) => self.stops[0] = Some(stop),
        }
    }

    fn answer(&mut self) -> Option<Answered> {
        if self.stops[1].is_some() {
            return None;
        }
        let (answer, passes) = self.server.answers.pop_front()?;
        match self.sftp.down(&answer) {
            Ok(said) => self.said.extend(said),
            Err(stop) => {
                self.stops[1] = Some(stop);
                return None;
            }
        }
        if let Some((file, len)) = &passes {
            self.server.truth.entry(file.clone()).or_default().read += len;
        }
        Some((answer, passes))
    }

    /// Whether a file is being opened, of which the client has not heard yet.
    fn opens(&self) -> bool {
        let is_handle = |(answer, _): &Answered| answer[4] == kind::HANDLE;
        self.server.asked.iter().any(|asked| asked.what < 2)
            || self.server.answers.iter().any(is_handle)
    }

    /// To the end, and what is said in all.
    fn over(&mut self) -> BTreeMap<String, Vec<Fields>> {
        while !self.server.asked.is_empty() {
            self.server.serve();
        }
        while self.answer().is_some() {}
        self.said.extend(self.sftp.over());
        let mut said = BTreeMap::<String, Vec<Fields>>::new();
        for fields in self.said.iter().map(fields) {
            let path = fields.text("path").unwrap_or_default().to_owned();
            said.entry(path).or_default().push(fields);
        }
        said
    }
}

/// Holds what was said of a path against what became of it.
fn hold(path: &str, truth: &Truth, said: &[Fields], is_whole: bool) -> Result<(), TestCaseError> {
    prop_assert_eq!(said.len(), 1, "{} {:?}", path, said);
    let said = &said[0];
    let number = |name| match said.get(name) {
        Some(hansard_core::Value::Uint(n)) => *n,
        other => panic!("{name}: {other:?}"),
    };
    let success = match said.get("success") {
        Some(hansard_core::Value::Bool(is)) => Some(*is),
        _ => None,
    };
    if let Some(is_removed) = truth.is_removed {
        let is_true = success == Some(is_removed) || (success.is_none() && !is_whole);
        prop_assert!(is_true, "{} {:?} {:?}", path, truth, said);
    }
    if let Some(is_open) = truth.is_open {
        let is_refused = said.text("error") == Some("no such file");
        let is_true = is_refused != is_open || (success.is_none() && !is_whole);
        prop_assert!(is_true, "{} {:?} {:?}", path, truth, said);
        prop_assert_eq!(number("tx"), truth.read, "{} {:?}", path, said);
        prop_assert_eq!(number("rx"), truth.written, "{} {:?}", path, said);
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..Default::default() })]

    /// Whatever numbers and handles a client makes up: what is said is what happened.
    #[test]
    fn no_client_makes_the_record_say_what_did_not_happen(
        steps in proptest::collection::vec(step(), 1..60),
    ) {
        let mut run = Run::new();
        for (n, step) in steps.into_iter().enumerate() {
            match step {
                Step::Asks { what, number, handle, len } => run.ask(Asked {
                    what, number, handle, len, path: format!("/{n}"),
                }),
                Step::Serves => run.server.serve(),
                Step::Answers => drop(run.answer()),
            }
        }
        let said = run.over();
        let is_whole = run.stops[1].is_none();
        for (path, truth) in &run.server.truth {
            hold(path, truth, said.get(path).map_or(&[], Vec::as_slice), is_whole)?;
        }
    }

    /// One that keeps to the protocol is never stopped, however much it asks for at once.
    #[test]
    fn an_honest_client_is_never_stopped(
        steps in proptest::collection::vec(step(), 1..120),
    ) {
        let mut run = Run::new();
        let (mut known, mut closed) = (Vec::new(), Vec::new());
        for (n, step) in steps.into_iter().enumerate() {
            match step {
                Step::Asks { what, handle, len, .. } => {
                    let pick = |known: &[u8]| known.get(usize::from(handle)).copied();
                    let handle = match (what, pick(&known)) {
                        (0..4, _) => 0,
                        (_, Some(handle)) => handle,
                        // Its read-ahead is late, and the handle is nobody's yet.
                        (4, None) if !run.opens() => match pick(&closed) {
                            Some(handle) => handle,
                            None => continue,
                        },
                        _ => continue,
                    };
                    if what == 5 {
                        known.retain(|known| *known != handle);
                        closed.push(handle);
                    }
                    let number = u32::try_from(n).unwrap();
                    run.ask(Asked { what, number, handle, len, path: format!("/{n}") });
                }
                Step::Serves => run.server.serve(),
                Step::Answers => {
                    if let Some((answer, _)) = run.answer() && answer[4] == kind::HANDLE {
                        let handle = answer[answer.len() - 1];
                        closed.retain(|closed| *closed != handle);
                        known.push(handle);
                    }
                }
            }
        }
        let said = run.over();
        prop_assert_eq!(&run.stops, &[None, None]);
        for (path, truth) in &run.server.truth {
            hold(path, truth, said.get(path).map_or(&[], Vec::as_slice), true)?;
        }
    }
}
