//! Any clients, honest ones and others, against a server as OpenSSH's is: one request after the other, its handles
//! the least number that is free.

use std::collections::{BTreeMap, VecDeque};

use proptest::prelude::*;

use super::forged::{data, named, open, read, write};
use super::tests::{begun, fields, id, packet, status, string};
use super::*;

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
