//! `hansard login` and `logout`: who signs in gets a certificate for a key that is made here, for as long as
//! their roles say.
//!
//! - `key`: the key and its certificate; `agent`: who keeps it for ssh(1); [`home`]: what stays in files
//!
//! Signing in ends with a ticket that the service knows, and the certificate is asked for with it: another way to
//! sign in (a browser, OpenID Connect) only has to come to such a ticket.

mod agent;
pub(crate) mod home;
mod key;

use std::io::{self, Write as _};

use hansard_record::Environment;
use hansard_view::escape_for_humans;
use serde_json::{Value as Json, json};

use crate::cli::{LoginArgs, LogoutArgs};
use crate::failure::{Failure, STATUS_WRONG_USE};
use crate::listing::{text, time};
use crate::service::{Asked, Service};
use agent::Agent;
use home::{CERTIFICATE, Home, KEY, KNOWN_HOSTS, LOGIN, PERSON, PERSON_KEY, PUBLIC, SSH_CONFIG};
use key::{Certificate, Key};

/// Signs in.
pub(crate) fn run(args: &LoginArgs) -> Result<u8, Failure> {
    let home = Home::find()?;
    let before = home.login().ok().flatten().unwrap_or_default();
    let server = args
        .server
        .clone()
        .unwrap_or_else(|| text(&before, "server"));
    if server.is_empty() {
        let what = "no server is named";
        return Err(Failure::new(STATUS_WRONG_USE, what).hint("name it: --server https://…"));
    }
    let user = args
        .user
        .clone()
        .or_else(|| Some(text(&before, "user")).filter(|u| !u.is_empty()));
    let account = || std::env::var("USER").ok().filter(|user| !user.is_empty());
    let user = user.or_else(account).ok_or_else(|| {
        Failure::new(STATUS_WRONG_USE, "nobody is named").hint("say who you are: --user NAME")
    })?;
    let service = Service::at(&server, args.ca.as_deref())?;
    let (password, code) = crate::secret::credentials(&user)?;
    let (key, check) = fresh()?;
    by_password(&service, (&user, &password, &code))?;
    let wish = json!({ "key": key.line(), "ttl_s": args.ttl });
    let made = service.document(&Asked::post(&["ssh", "certificates", "own"], &wish));
    let person = person(&service, made.is_ok(), (&server, args.ttl));
    // The ticket is not needed any more, whatever came of it; one that stays ends by itself.
    let _ = service.document(&Asked::post(&["sign-out"], &json!({})));
    let made = made?;
    let line = text(&made, "certificate");
    let certificate = Certificate::read(&line, &key).ok_or_else(|| {
        Failure::new(
            STATUS_WRONG_USE,
            "the service's answer is no certificate for the key that was made",
        )
    })?;
    let comment = format!("hansard {user}");
    let in_agent = match args.no_agent {
        true => false,
        false => given_to_agent(&key, &certificate, &comment),
    };
    let person = person?;
    let authority = text(&made, "host_authority");
    let mut files = vec![
        (PUBLIC, format!("{} {comment}\n", key.line())),
        (CERTIFICATE, format!("{line} {comment}\n")),
        (KNOWN_HOSTS, format!("@cert-authority * {authority}\n")),
    ];
    files.extend((!in_agent).then(|| (KEY, key.file(&comment, check))));
    let is_known = person.is_some();
    let pair = |(key, certificate)| [(PERSON_KEY, key), (PERSON, certificate)];
    files.extend(person.into_iter().flat_map(pair));
    let mut login = made;
    if let Some(fields) = login.as_object_mut() {
        fields.insert("server".to_owned(), json!(server));
        fields.insert("in_agent".to_owned(), json!(in_agent));
        fields.insert("until_s".to_owned(), json!(certificate.until_s));
        fields.insert("proxy_address".to_owned(), json!(args.proxy));
        fields.insert("is_known".to_owned(), json!(is_known));
        // As it is found from anywhere.
        let ca = args.ca.as_ref().map(std::path::absolute).transpose()?;
        fields.insert("ca".to_owned(), json!(ca));
    }
    files.push((SSH_CONFIG, crate::ssh::own_config(&home, &login)?));
    files.push((LOGIN, format!("{login}\n")));
    keep(&home, &files)?;
    say(&login, args.json)
}

/// Keeps a login in the place of the one before, whichever that is by now.
fn keep(home: &Home, files: &[(&str, String)]) -> Result<(), Failure> {
    home.make()?;
    let held = home.hold()?;
    forget(home, &home.login().ok().flatten().unwrap_or_default());
    home.replace(files, &held)
}

/// A certificate with which the web server knows who asks, and its key, both as files in PEM. Without TLS there is
/// nobody who could be shown it.
fn person(
    service: &Service,
    is_let_in: bool,
    (server, ttl_s): (&str, u64),
) -> Result<Option<(String, String)>, Failure> {
    if !is_let_in || !server.starts_with("https://") {
        return Ok(None);
    }
    let (key, _) = fresh()?;
    let wish = json!({ "key": key.hex(), "ttl_s": ttl_s.min(PERSON_LIFE_S_MAX) });
    let made = service.document(&Asked::post(&["certificates", "own"], &wish))?;
    Ok(Some((key.pkcs8(), text(&made, "certificate"))))
}

/// Longest life of such a certificate, seconds: a day.
const PERSON_LIFE_S_MAX: u64 = 24 * 3600;

/// The ticket of somebody who knows a password, and has a code.
fn by_password(
    service: &Service,
    (user, password, code): (&str, &str, &str),
) -> Result<(), Failure> {
    let wish = json!({ "user": user, "password": password, "code": code.trim() });
    service
        .document(&Asked::post(&["sign-in"], &wish))
        .map(drop)
}

/// A new key, and four bytes more that say nothing.
fn fresh() -> Result<(Key, [u8; 4]), Failure> {
    let mut random = [0u8; 36];
    let filled = Environment::real().random.fill(&mut random);
    filled.map_err(|e| Failure::new(STATUS_WRONG_USE, format!("no randomness for a key: {e}")))?;
    let (mut seed, mut check) = ([0; 32], [0; 4]);
    let (first, second) = random.split_at(32);
    seed.copy_from_slice(first);
    check.copy_from_slice(second);
    Ok((Key::new(seed), check))
}

/// Whether an agent has the key now, for as long as the certificate holds.
fn given_to_agent(key: &Key, certificate: &Certificate, comment: &str) -> bool {
    let Some(mut agent) = Agent::of_session() else {
        return false;
    };
    let left_s = certificate.until_s.saturating_sub(now_s());
    let life_s = u32::try_from(left_s).unwrap_or(u32::MAX).max(1);
    match agent.keep(key, certificate, (comment, life_s)) {
        Ok(()) => true,
        Err(why) => {
            let _ = writeln!(
                io::stderr(),
                "hansard: the agent at SSH_AUTH_SOCK does not keep the key ({why}); it goes into a file"
            );
            false
        }
    }
}

/// Seconds since 1970.
pub(crate) fn now_s() -> u64 {
    Environment::real().clock.utc_ns() / 1_000_000_000
}

/// Takes the key of a login out of the agent.
fn forget(home: &Home, login: &Json) {
    let lines = [PUBLIC, CERTIFICATE].map(|name| std::fs::read_to_string(home.path(name)));
    if login.get("in_agent") == Some(&json!(true))
        && let Some(mut agent) = Agent::of_session()
    {
        for line in lines.into_iter().flatten() {
            let blob = line.split_ascii_whitespace().nth(1);
            let blob = blob.and_then(hansard_view::jsonl::base64::decode);
            // One whose time is over the agent has forgotten already.
            let _ = blob.map(|blob| agent.forget(&blob));
        }
    }
}

fn say(login: &Json, json: bool) -> Result<u8, Failure> {
    if json {
        writeln!(io::stdout(), "{login}")?;
        return Ok(0);
    }
    let list = |name: &str| {
        let all = login.get(name).and_then(Json::as_array);
        let all = all.into_iter().flatten().filter_map(Json::as_str);
        escape_for_humans(&all.collect::<Vec<_>>().join(", ")).into_owned()
    };
    writeln!(
        io::stdout(),
        "signed in as {} until {}: roles {}, accounts {}",
        escape_for_humans(&text(login, "user")),
        escape_for_humans(&time(login, "expires")),
        list("roles"),
        list("logins"),
    )?;
    let _ = writeln!(
        io::stderr(),
        "hansard: `hansard ssh HOST` goes there; `hansard ssh-config` is for ssh, scp and others"
    );
    Ok(0)
}

/// Signs out: the key is gone, and nothing can be done with its certificate any more.
pub(crate) fn out(args: &LogoutArgs) -> Result<u8, Failure> {
    let home = Home::find()?;
    let was = match home.is_there() {
        true => {
            let _held = home.hold()?;
            // A file that cannot be read is taken away as well.
            forget(&home, &home.login().ok().flatten().unwrap_or_default());
            home.clear()?
        }
        false => false,
    };
    match (args.json, was) {
        (true, _) => writeln!(io::stdout(), "{}", json!({ "signed_out": was }))?,
        (false, true) => writeln!(io::stdout(), "signed out")?,
        (false, false) => writeln!(io::stdout(), "nobody was signed in")?,
    }
    Ok(0)
}

/// What `hansard status` says of the login; `None` without one.
pub(crate) fn status() -> Option<Json> {
    let login = Home::find().ok()?.login().ok()??;
    let until_s = login.get("until_s").and_then(Json::as_u64).unwrap_or(0);
    let holds = until_s > now_s();
    let mut said = json!({ "holds": holds });
    for name in [
        "server", "user", "expires", "roles", "logins", "in_agent", "is_known",
    ] {
        if let (Some(fields), Some(value)) = (said.as_object_mut(), login.get(name)) {
            fields.insert(name.to_owned(), value.clone());
        }
    }
    Some(said)
}
