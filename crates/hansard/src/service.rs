//! The service, as commands ask it: HTTP over its admin socket, or at its web server.
//!
//! - `answer`: documents, and what is said when there is none
//! - `stream`: answers that go on, as bytes and as lines
//! - `place`: where it is; `asked`: requests, written so that nothing in a value is taken for something else
//! - `table`: answers for people; `when`: times as people write them

mod answer;
mod asked;
mod place;
mod stream;
mod table;
mod when;

use std::env;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use serde_json::Value as Json;
use tokio::runtime::Runtime;
use tokio::time::timeout;

pub(crate) use asked::Asked;
pub(crate) use place::host_of;
use place::{Place, Web};
pub(crate) use stream::{Lines, Stream};
pub(crate) use table::{Align, Column, Table};
pub(crate) use when::{Time, long_s};

use crate::cli::ServiceArgs;
use crate::failure::{Failure, STATUS_WRONG_USE, shown};
use crate::login::home::{Home, PERSON, PERSON_KEY};

/// Where the daemon's sockets are unless something else is said.
const RUNTIME_DIR: &str = "/run/hansard";

/// How long the service may take to begin its answer: longer than it gives itself.
const ANSWER_MAX: Duration = Duration::from_secs(90);

/// A service, and how it is reached. A connection is made for each request.
#[derive(Clone)]
pub(crate) struct Service {
    place: Rc<Place>,
    runtime: Rc<Runtime>,
}

impl Service {
    /// The service of `--socket`, of `$HANSARD_RUNTIME_DIR`, or of this machine.
    pub(crate) fn new(args: &ServiceArgs) -> Result<Self, Failure> {
        if args.remote {
            return Self::of_login();
        }
        let socket = args.socket.clone().unwrap_or_else(|| {
            let directory = env::var_os("HANSARD_RUNTIME_DIR").filter(|d| !d.is_empty());
            let directory = directory.map_or_else(|| PathBuf::from(RUNTIME_DIR), PathBuf::from);
            directory.join("admin.sock")
        });
        Self::of(Place::Socket(socket))
    }

    /// The service whose web server this is, and which authorities are believed about it; those of the system
    /// unless others are named.
    pub(crate) fn at(server: &str, authorities: Option<&Path>) -> Result<Self, Failure> {
        Self::of(Place::Web(Box::new(Web::new(server, authorities, None)?)))
    }

    /// The service of the last login, with the certificate of it.
    fn of_login() -> Result<Self, Failure> {
        let home = Home::find()?;
        let again = |what: &str| {
            Failure::new(STATUS_WRONG_USE, what).hint("sign in again: `hansard login`")
        };
        let login = home.login()?.ok_or_else(|| again("nobody is signed in"))?;
        let until_s = login.get("until_s").and_then(Json::as_u64).unwrap_or(0);
        if until_s <= crate::login::now_s() {
            return Err(again("the login is over"));
        }
        if login.get("is_known") != Some(&Json::Bool(true)) {
            let what = "the server of the login is reached without TLS, where nobody can be known";
            return Err(Failure::new(STATUS_WRONG_USE, what)
                .hint("sign in at its https:// address, or ask it on its own machine"));
        }
        let named = |name: &str| login.get(name).and_then(Json::as_str);
        let ca = named("ca").map(Path::new);
        let files = [home.path(PERSON), home.path(PERSON_KEY)];
        let web = Web::new(named("server").unwrap_or_default(), ca, Some(&files))?;
        Self::of(Place::Web(Box::new(web)))
    }

    fn of(place: Place) -> Result<Self, Failure> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|e| Failure::new(STATUS_WRONG_USE, format!("no event loop: {e}")))?;
        Ok(Self {
            place: Rc::new(place),
            runtime: Rc::new(runtime),
        })
    }

    /// Whether there is a socket at all.
    pub(crate) fn is_there(&self) -> bool {
        match &*self.place {
            Place::Socket(path) => path.exists(),
            Place::Web(_) => true,
        }
    }

    /// Sends a request; its answer's head is there when this returns.
    fn send(&self, asked: &Asked) -> Result<Response<Incoming>, Failure> {
        let request = Request::builder()
            .method(asked.method())
            .uri(asked.target())
            .header("host", "localhost")
            .header("content-type", "application/json");
        let request = match asked.if_match() {
            Some(version) => request.header("if-match", version),
            None => request,
        };
        let mut request = request
            .body(Full::new(Bytes::from(asked.body().to_owned())))
            .map_err(|e| Failure::new(STATUS_WRONG_USE, format!("not a request: {e}")))?;
        self.place.introduce(&mut request);
        let answer = self.runtime.block_on(async {
            let stream = self.place.connect().await?;
            let cut = |e: hyper::Error| self.cut(&e);
            let (mut sender, connection) =
                http1::handshake(TokioIo::new(stream)).await.map_err(cut)?;
            // It ends with the answer, or when nobody reads that any more.
            tokio::spawn(connection);
            match timeout(ANSWER_MAX, sender.send_request(request)).await {
                Ok(answer) => answer.map_err(cut),
                Err(_) => Err(self.silent()),
            }
        })?;
        self.place.hear(&answer);
        Ok(answer)
    }

    fn cut(&self, error: &dyn std::fmt::Display) -> Failure {
        let name = self.place.name();
        Failure::new(
            STATUS_WRONG_USE,
            format!("{name}: the connection was cut: {error}"),
        )
        .hint("the service may have stopped; `systemctl status hansardd` says, then try again")
    }

    fn silent(&self) -> Failure {
        let name = self.place.name();
        Failure::new(STATUS_WRONG_USE, format!("{name}: no answer"))
            .hint("the service hangs or is very busy; its log says more")
    }
}

fn unreachable(socket: &Path, error: &std::io::Error) -> Failure {
    let path = shown(socket);
    match error.kind() {
        std::io::ErrorKind::NotFound | std::io::ErrorKind::ConnectionRefused => {
            Failure::new(STATUS_WRONG_USE, format!("{path}: no service listens there")).hint(
                "start it (`systemctl start hansardd`), or name its socket with --socket PATH or HANSARD_RUNTIME_DIR",
            )
        }
        std::io::ErrorKind::PermissionDenied => {
            Failure::new(STATUS_WRONG_USE, format!("{path}: you may not connect to it"))
                .hint("its directory is closed to your account; an administrator can open it")
        }
        _ => Failure::about(socket, error),
    }
}
