//! `hansard policy`: who is recorded, and how.

use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::path::Path;

use hansard_view::escape_for_humans;
use serde_json::{Value as Json, json};

use crate::cli::{PolicyArgs, PolicyCommand, TestArgs};
use crate::failure::{Failure, STATUS_WRONG_USE, shown};
use crate::listing::text;
use crate::service::{Asked, Service};

/// Longest text of a policy that is sent, in bytes; a longer file is refused, as the service would.
const TEXT_BYTES_MAX: u64 = 1024 * 1024;

/// Shows, sets or tries out the policy.
pub(crate) fn run(args: &PolicyArgs) -> Result<u8, Failure> {
    match &args.command {
        PolicyCommand::Get {
            version,
            json,
            service,
        } => {
            let version = version.map(|version| version.to_string());
            let asked = Asked::get(&["policy"]).with("version", version.as_deref());
            let policy = Service::new(service)?.document(&asked)?;
            show(&policy, *json)?;
        }
        PolicyCommand::Set {
            file,
            if_version,
            reason,
            json,
            service,
        } => {
            let reason = reason.as_deref().unwrap_or_default();
            let wish = json!({ "text": read(file)?, "reason": reason });
            let asked = Asked::put(&["policy"], &wish, *if_version).of_file(file);
            let policy = Service::new(service)?.document(&asked)?;
            if *json {
                writeln!(io::stdout(), "{policy}")?;
            } else {
                writeln!(
                    io::stdout(),
                    "policy {} decides from the next login on",
                    text(&policy, "version")
                )?;
            }
        }
        PolicyCommand::Test(args) => test(args)?,
    }
    Ok(0)
}

fn show(policy: &Json, json: bool) -> Result<(), Failure> {
    if json {
        writeln!(io::stdout(), "{policy}")?;
        return Ok(());
    }
    if policy.get("version").and_then(Json::as_u64) == Some(0) {
        let _ = writeln!(
            io::stderr(),
            "hansard: no policy was set; each host decides by its configuration"
        );
        return Ok(());
    }
    let _ = writeln!(
        io::stderr(),
        "hansard: version {}, set {} by {}",
        text(policy, "version"),
        escape_for_humans(&text(policy, "set")),
        escape_for_humans(&text(policy, "set_by")),
    );
    // The text as it was set, so that it can be edited and set again.
    let words = policy.get("text").and_then(Json::as_str);
    write!(io::stdout(), "{}", words.unwrap_or_default())?;
    Ok(())
}

fn test(args: &TestArgs) -> Result<(), Failure> {
    let mut login = json!({
        "user": args.user,
        "groups": args.groups,
        "kind": args.kind,
    });
    let words = args.file.as_deref().map(read).transpose()?;
    let more = [
        ("uid", args.uid.map(Json::from)),
        ("host", args.host.clone().map(Json::from)),
        ("text", words.map(Json::from)),
    ];
    if let Some(login) = login.as_object_mut() {
        for (name, value) in more {
            login.extend(value.map(|value| (name.to_owned(), value)));
        }
    }
    let mut asked = Asked::post(&["policy", "test"], &login);
    if let Some(file) = &args.file {
        asked = asked.of_file(file);
    }
    let decided = Service::new(&args.service)?.document(&asked)?;
    if args.json {
        writeln!(io::stdout(), "{decided}")?;
        return Ok(());
    }
    let is = |name: &str| decided.get(name).and_then(Json::as_bool) == Some(true);
    let by = match decided.get("rule").and_then(Json::as_str) {
        None | Some("") => "no rule: scope and defaults".to_owned(),
        Some(rule) => format!("rule {}", escape_for_humans(rule)),
    };
    let recorded = if is("recorded") {
        "recorded"
    } else {
        "not recorded"
    };
    writeln!(io::stdout(), "{recorded}, by {by}")?;
    for (name, value) in decided.as_object().into_iter().flatten() {
        if !matches!(name.as_str(), "recorded" | "rule" | "host_known") {
            let words = value
                .as_str()
                .map_or_else(|| value.to_string(), str::to_owned);
            writeln!(io::stdout(), "  {name}: {}", escape_for_humans(&words))?;
        }
    }
    if !is("host_known") {
        let _ = writeln!(
            io::stderr(),
            "hansard: no host of that name has joined: decided as if it had no labels"
        );
    }
    Ok(())
}

/// The text of a policy.
fn read(path: &Path) -> Result<String, Failure> {
    let mut bytes = Vec::new();
    // One byte more than allowed tells a file that is too long.
    let most = TEXT_BYTES_MAX.saturating_add(1);
    let read = match path.as_os_str() == "-" {
        true => io::stdin().lock().take(most).read_to_end(&mut bytes),
        false => File::open(path).and_then(|file| file.take(most).read_to_end(&mut bytes)),
    };
    read.map_err(|e| Failure::about(path, &e))?;
    if bytes.len() as u64 > TEXT_BYTES_MAX {
        let what = format!("a policy has at most {TEXT_BYTES_MAX} bytes");
        return Err(
            Failure::new(STATUS_WRONG_USE, what).hint("put users into groups, hosts under labels")
        );
    }
    // It would be a policy that says nothing, in the place of the one that was meant.
    if bytes.trim_ascii().is_empty() {
        let what = format!("{}: there is no policy in it", shown(path));
        return Err(Failure::new(STATUS_WRONG_USE, what)
            .hint("docs/policy.md says what may stand in one; `{}` is one that says nothing"));
    }
    String::from_utf8(bytes).map_err(|e| {
        let at = e.utf8_error().valid_up_to();
        Failure::new(STATUS_WRONG_USE, format!("not UTF-8 at byte {at}"))
    })
}
