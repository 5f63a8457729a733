//! Who is answered while others ask for more than their share.

use std::pin::Pin;
use std::sync::Mutex;
use std::sync::atomic::AtomicBool;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::HttpBody;
use axum::http::StatusCode;
use http_body_util::BodyExt as _;
use hyper::body::Frame;
use hyper::service::Service as _;
use hyper_util::service::TowerToHyperService;
use tokio::runtime::Runtime;
use tokio::sync::Semaphore;

use super::super::answers::blocking;
use super::super::limits::{AGAIN, REQUESTS_MAX, REQUESTS_OF_ADMINS, REQUESTS_OF_ONE_MAX};
use super::super::refusals::REFUSALS_WINDOW;
use super::super::role::{Peer, Visitor};
use super::*;

/// Long enough for whatever this machine does beside, and shorter than a body may take to arrive.
const SOON: Duration = Duration::from_secs(8);

/// A body that never comes; each that is waited for is one more permit.
struct Never(Arc<Semaphore>, bool);

impl HttpBody for Never {
    type Data = Bytes;
    type Error = std::io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, std::io::Error>>> {
        if !std::mem::replace(&mut self.1, true) {
            self.0.add_permits(1);
        }
        Poll::Pending
    }
}

/// A body that comes when somebody sends it; that it is waited for is one more permit.
struct Later(
    Arc<Semaphore>,
    Option<tokio::sync::oneshot::Receiver<Bytes>>,
    bool,
);

impl HttpBody for Later {
    type Data = Bytes;
    type Error = std::io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, std::io::Error>>> {
        if !std::mem::replace(&mut self.2, true) {
            self.0.add_permits(1);
        }
        let Some(coming) = &mut self.1 else {
            return Poll::Ready(None);
        };
        let came = Future::poll(Pin::new(coming), context);
        if came.is_ready() {
            self.1 = None;
        }
        came.map(|came| came.ok().map(|bytes| Ok(Frame::data(bytes))))
    }
}

/// Whoever has this number, and whoever has the role of root.
const LOCKED: u32 = 666;

#[derive(Default)]
struct OneIsLocked {
    not_yet: Arc<AtomicBool>,
}

impl Locks for OneIsLocked {
    fn locked(&self, who: &Lockable) -> Option<String> {
        if self.not_yet.load(Ordering::SeqCst) {
            return None;
        }
        let account = format!("user{LOCKED}");
        let is_named = who.user == account && who.login == account;
        (is_named || who.roles == ["admin"]).then(|| "you are locked: ask the desk".to_owned())
    }
}

/// The API of one or two routes: root administers, everybody else is a user.
fn api(handlers: BTreeMap<Op, Handler>) -> Router {
    api_with(handlers, Arc::default(), OneIsLocked::default())
}

/// Roles of accounts that have others.
type Roles = Arc<Mutex<BTreeMap<u32, Option<Role>>>>;

/// The same, with these roles and locks.
fn api_with(handlers: BTreeMap<Op, Handler>, roles: Roles, locks: OneIsLocked) -> Router {
    let doors = Doors {
        admit: Arc::new(move |peer| {
            let default = if peer.uid == 0 {
                Role::Admin
            } else {
                Role::User
            };
            let given = roles.lock().unwrap().get(&peer.uid).copied();
            Known {
                user: Some(format!("user{}", peer.uid)),
                role: given.unwrap_or(Some(default)),
            }
        }),
        audit: Arc::new(|_| Ok(())),
        log: Arc::new(|_| {}),
        locked: Some(Arc::new(locks)),
        owns: Arc::new(|_, _| Ok(true)),
        refusals: Arc::new(Refusals::new(REFUSALS_WINDOW)),
        elsewhere: None,
    };
    router(handlers, doors, "test".to_owned())
}

/// Answers at once.
fn at_once() -> Handler {
    Arc::new(|_| Box::pin(async { Ok(Response::new(Body::empty())) }))
}

async fn asked(api: &Router, uid: u32, (verb, path): (&str, &str), body: Body) -> Response<Body> {
    let peer = Peer {
        uid,
        gid: uid,
        pid: None,
    };
    let request = Request::builder().method(verb).uri(path);
    let mut request = request.body(body).unwrap();
    request.extensions_mut().insert(Asker::Process(peer));
    let Ok(response) = TowerToHyperService::new(api.clone()).call(request).await;
    response
}

/// Status and words of the answer.
async fn ask(api: &Router, uid: u32, what: (&str, &str), body: Body) -> (u16, String) {
    let response = asked(api, uid, what, body).await;
    let status = response.status().as_u16();
    let words = response.into_body().collect().await.unwrap().to_bytes();
    (status, String::from_utf8_lossy(&words).into_owned())
}

fn run<F: Future>(test: F) -> F::Output {
    let runtime = Runtime::new().unwrap();
    let out = runtime
        .block_on(async { timeout(SOON, test).await })
        .expect("answered soon");
    runtime.shutdown_background();
    out
}

const LOCK: (&str, &str) = ("POST", "/v1/locks");
const STATUS: (&str, &str) = ("GET", "/v1/status");

#[test]
fn whoever_sends_no_body_keeps_nobody_out() {
    let api = api(BTreeMap::from([
        (Op::SavedKeep, at_once()),
        (Op::LockMake, at_once()),
    ]));
    run(async {
        let waited = Arc::new(Semaphore::new(0));
        // More accounts than there are places.
        for uid in 1000..=1000 + u32::try_from(REQUESTS_MAX).unwrap() {
            let (api, body) = (api.clone(), Body::new(Never(Arc::clone(&waited), false)));
            tokio::spawn(async move { ask(&api, uid, ("POST", "/v1/saved"), body).await });
        }
        let most = u32::try_from(REQUESTS_MAX).unwrap();
        let _all = waited.acquire_many(most).await.unwrap();
        for uid in [0, 7] {
            let asked = match uid {
                0 => LOCK,
                _ => ("POST", "/v1/saved"),
            };
            let (status, words) = ask(&api, uid, asked, Body::from("{}")).await;
            assert_eq!(status, StatusCode::OK, "{uid}: {words}");
        }
    });
}

#[test]
fn where_no_body_is_wanted_none_is_waited_for() {
    let api = api(BTreeMap::from([(Op::Status, at_once())]));
    run(async {
        let body = || Body::new(Never(Arc::new(Semaphore::new(0)), false));
        let (status, words) = ask(&api, 1000, STATUS, body()).await;
        assert_eq!(status, StatusCode::BAD_REQUEST);
        assert!(words.contains("this takes no body"), "{words}");
        assert_eq!(ask(&api, 1000, STATUS, Body::empty()).await.0, 200);
    });
}

#[test]
fn one_asks_so_much_at_once_and_some_places_are_kept_for_administrators() {
    let (begun, going) = (Arc::new(Semaphore::new(0)), Arc::new(Semaphore::new(0)));
    let slow: Handler = {
        let (begun, going) = (Arc::clone(&begun), Arc::clone(&going));
        Arc::new(move |call| {
            let (begun, going) = (Arc::clone(&begun), Arc::clone(&going));
            Box::pin(async move {
                begun.add_permits(1);
                let _ = going.acquire().await;
                drop(call);
                Ok(Response::new(Body::empty()))
            })
        })
    };
    let api = api(BTreeMap::from([
        (Op::Status, slow),
        (Op::LockMake, at_once()),
    ]));
    let hold = async |uid, most: usize| {
        for _ in 0..most {
            let api = api.clone();
            tokio::spawn(async move { ask(&api, uid, STATUS, Body::empty()).await });
        }
        begun
            .acquire_many(u32::try_from(most).unwrap())
            .await
            .unwrap()
            .forget();
    };
    run(async {
        hold(1000, REQUESTS_OF_ONE_MAX).await;
        let (status, words) = ask(&api, 1000, STATUS, Body::empty()).await;
        assert_eq!(status, 503);
        assert!(words.contains("too many requests of yours"), "{words}");
        let left = REQUESTS_MAX - REQUESTS_OF_ADMINS - REQUESTS_OF_ONE_MAX;
        for n in 0..left / REQUESTS_OF_ONE_MAX {
            hold(1001 + u32::try_from(n).unwrap(), REQUESTS_OF_ONE_MAX).await;
        }
        let (status, words) = ask(&api, 2000, STATUS, Body::empty()).await;
        assert_eq!(status, 503);
        assert!(words.contains("too many requests are"), "{words}");
        assert_eq!(ask(&api, 0, LOCK, Body::from("{}")).await.0, 200);
        // Those are their own to take.
        hold(0, REQUESTS_OF_ADMINS).await;
        assert_eq!(ask(&api, 0, LOCK, Body::from("{}")).await.0, 503);
        going.close();
        // Places come back.
        while ask(&api, 1000, STATUS, Body::empty()).await.0 != 200 {
            tokio::task::yield_now().await;
        }
    });
}

#[test]
fn whoever_is_locked_is_answered_nothing_and_root_is_not_shut_out_by_any_lock() {
    let api = api(BTreeMap::from([(Op::Status, at_once())]));
    run(async {
        let (status, words) = ask(&api, LOCKED, STATUS, Body::empty()).await;
        assert_eq!(status, 403);
        assert!(words.contains("\"code\":\"locked\""), "{words}");
        assert!(words.contains("you are locked: ask the desk"), "{words}");
        for uid in [0, LOCKED + 1] {
            assert_eq!(ask(&api, uid, STATUS, Body::empty()).await.0, 200, "{uid}");
        }
    });
}

#[test]
fn what_goes_on_ends_when_whoever_asked_may_not_have_it_any_more() {
    const FOLLOW: (&str, &str) = (
        "GET",
        "/v1/sessions/019a0000-0000-7000-8000-000000000000/follow",
    );
    let endless: Handler = Arc::new(|_| {
        Box::pin(async {
            let never = Never(Arc::new(Semaphore::new(0)), false);
            Ok(Response::new(Body::new(never)))
        })
    });
    let handlers = BTreeMap::from([(Op::Follow, endless)]);
    let (roles, not_yet) = (Roles::default(), Arc::new(AtomicBool::new(true)));
    let locks = OneIsLocked {
        not_yet: Arc::clone(&not_yet),
    };
    let api = api_with(handlers, Arc::clone(&roles), locks);
    // Of these, one loses all roles, one the role that let them see all; the third is locked.
    let (gone, lower) = (1000, 1001);
    roles.lock().unwrap().insert(lower, Some(Role::Auditor));
    run(async {
        let follow = async |uid| {
            let response = asked(&api, uid, FOLLOW, Body::empty()).await;
            assert_eq!(response.status(), 200, "{uid}");
            response.into_body()
        };
        let mut kept = follow(1002).await;
        let mut all = [
            follow(gone).await,
            follow(lower).await,
            follow(LOCKED).await,
        ];
        for body in &mut all {
            assert!(timeout(AGAIN / 4, body.frame()).await.is_err());
        }
        {
            let mut roles = roles.lock().unwrap();
            roles.insert(gone, None);
            roles.insert(lower, Some(Role::User));
        }
        not_yet.store(false, Ordering::SeqCst);
        for body in &mut all {
            assert!(body.frame().await.unwrap().is_err());
        }
        assert!(timeout(AGAIN, kept.frame()).await.is_err());
    });
}

/// Takes a role, or a lock, from somebody whose request waits.
type Takes<'a> = (u32, &'a dyn Fn());

#[test]
fn what_is_held_back_is_not_done_for_who_may_not_any_more() {
    let done = Arc::new(Semaphore::new(0));
    let does: Handler = {
        let done = Arc::clone(&done);
        Arc::new(move |_| {
            done.add_permits(1);
            Box::pin(async { Ok(Response::new(Body::empty())) })
        })
    };
    let (roles, not_yet) = (Roles::default(), Arc::new(AtomicBool::new(true)));
    let locks = OneIsLocked {
        not_yet: Arc::clone(&not_yet),
    };
    let handlers = BTreeMap::from([(Op::SavedKeep, Arc::clone(&does)), (Op::LockMake, does)]);
    let api = api_with(handlers, Arc::clone(&roles), locks);
    let give = |uid, role| {
        roles.lock().unwrap().insert(uid, role);
    };
    let takes: [(Takes<'_>, &str); 3] = [
        ((1000, &|| give(1000, None)), "/v1/locks"),
        ((1001, &|| give(1001, Some(Role::Auditor))), "/v1/locks"),
        (
            (LOCKED, &|| not_yet.store(false, Ordering::SeqCst)),
            "/v1/saved",
        ),
    ];
    run(async {
        for ((uid, take), path) in takes {
            if uid != LOCKED {
                give(uid, Some(Role::Admin));
            }
            let waited = Arc::new(Semaphore::new(0));
            let (send, sent) = tokio::sync::oneshot::channel();
            let body = Body::new(Later(Arc::clone(&waited), Some(sent), false));
            let api = api.clone();
            let asked = tokio::spawn(async move { ask(&api, uid, ("POST", path), body).await });
            waited.acquire().await.unwrap().forget();
            take();
            send.send(Bytes::from_static(b"{}")).unwrap();
            let (status, words) = asked.await.unwrap();
            assert_eq!(
                (status, done.available_permits()),
                (403, 0),
                "{uid}: {words}"
            );
        }
        // Whoever still may is answered, however late.
        not_yet.store(true, Ordering::SeqCst);
        let asked = ask(&api, 1002, ("POST", "/v1/saved"), Body::from("{}")).await;
        assert_eq!((asked.0, done.available_permits()), (200, 1), "{}", asked.1);
    });
}

#[test]
fn who_is_signed_out_meanwhile_is_refused_in_the_words_of_who_let_them_in() {
    let api = api(BTreeMap::from([(Op::SavedKeep, at_once())]));
    let visitor = Visitor {
        user: "ada".to_owned(),
        role: Role::User,
        standing: hansard_identity::users::Standing::default(),
        address: [127, 0, 0, 1].into(),
        origin: String::new(),
        outside: None,
        is_certified: false,
    };
    let asked = |still: Still, body: Body| {
        let mut request = Request::post("/v1/saved").body(body).unwrap();
        let asker = Asker::Browser(visitor.clone());
        request.extensions_mut().insert(asker);
        request.extensions_mut().insert(still);
        TowerToHyperService::new(api.clone()).call(request)
    };
    let gone = || Still(Arc::new(|| Err(Problem::locked("ask the desk"))));
    let stays = {
        let visitor = visitor.clone();
        Still(Arc::new(move || Ok(Asker::Browser(visitor.clone()))))
    };
    run(async {
        for (still, body, status) in [
            (gone(), "{}", 403),
            (stays, "{}", 200),
            // Nothing was waited for.
            (gone(), "", 200),
        ] {
            let Ok(answer) = asked(still, Body::from(body)).await;
            assert_eq!(answer.status(), status, "{body}");
        }
    });
}

#[test]
fn what_took_long_is_not_handed_to_who_may_not_have_it_any_more() {
    let begun = Arc::new(Semaphore::new(0));
    let slow: Handler = {
        let begun = Arc::clone(&begun);
        Arc::new(move |_| {
            let begun = Arc::clone(&begun);
            Box::pin(async move {
                begun.add_permits(1);
                tokio::time::sleep(AGAIN).await;
                Ok(Response::new(Body::from("secret")))
            })
        })
    };
    let handlers = BTreeMap::from([
        (Op::LockMake, Arc::clone(&slow)),
        (Op::LockRemove, Arc::clone(&slow)),
        (Op::Status, slow),
    ]);
    let roles = Roles::default();
    let api = api_with(handlers, Arc::clone(&roles), OneIsLocked::default());
    run(async {
        // What took something away says only that it did.
        let remove = ("DELETE", "/v1/locks/one");
        for (what, status) in [(LOCK, 403), (STATUS, 403), (remove, 200)] {
            roles.lock().unwrap().insert(0, Some(Role::Admin));
            let api = api.clone();
            let asked = tokio::spawn(async move { ask(&api, 0, what, Body::empty()).await });
            begun.acquire().await.unwrap().forget();
            roles.lock().unwrap().insert(0, None);
            let (answered, words) = asked.await.unwrap();
            assert_eq!(answered, status, "{what:?}: {words}");
            assert_eq!(words.contains("secret"), status == 200, "{what:?}: {words}");
        }
    });
}

#[test]
fn work_that_nobody_waits_for_any_more_keeps_its_place_until_it_ends() {
    let begun = Arc::new(Semaphore::new(0));
    let (end, ended) = std::sync::mpsc::channel::<()>();
    let ended = Mutex::new(ended);
    let works = {
        let begun = Arc::clone(&begun);
        blocking(move |_| {
            begun.add_permits(1);
            // One after another: each takes the end of one.
            let _ = ended.lock().unwrap().recv();
            Ok(serde_json::json!({}))
        })
    };
    let api = api(BTreeMap::from([(Op::Status, works)]));
    run(async {
        let most = u32::try_from(REQUESTS_OF_ONE_MAX).unwrap();
        let clients: Vec<_> = (0..most)
            .map(|_| {
                let api = api.clone();
                tokio::spawn(async move { ask(&api, 1000, STATUS, Body::empty()).await })
            })
            .collect();
        begun.acquire_many(most).await.unwrap().forget();
        for client in clients {
            client.abort();
            assert!(client.await.is_err());
        }
        let (status, words) = ask(&api, 1000, STATUS, Body::empty()).await;
        assert_eq!(status, 503);
        assert!(words.contains("too many requests of yours"), "{words}");
        drop(end);
        while ask(&api, 1000, STATUS, Body::empty()).await.0 != 200 {
            tokio::task::yield_now().await;
        }
    });
}
