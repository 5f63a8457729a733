//! `hansard ssh`, `scp` and `ssh-config`: Debian's own clients, told where to go, with which certificate, and
//! whom to believe; and for commands without a terminal one of our own, which is quick over long distances.
//!
//! - `own`: that client; `resolved`: what ssh(1) would do; `believed`: who hosts are; `spoken`: a command's bytes

mod believed;
mod own;
mod resolved;
mod spoken;

use std::ffi::OsString;
use std::io::{self, Write as _};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::Command;

use serde_json::Value as Json;

use crate::cli::{ClientArgs, SshConfigArgs};
use crate::failure::{Failure, STATUS_WRONG_USE};
use crate::listing::text;
use crate::login::home::{CERTIFICATE, Home, KEY, KNOWN_HOSTS, SSH_CONFIG};
use crate::login::now_s;

/// What the proxy is called in configurations.
const PROXY: &str = "hansard-proxy";

/// The port of nodes.
const NODE_PORT: u64 = 3022;

/// Runs ssh(1) or scp(1) in the place of this program.
pub(crate) fn run(program: &str, args: &ClientArgs) -> Result<u8, Failure> {
    let (home, _) = signed_in()?;
    let mut more: Vec<OsString> = Vec::new();
    if args.node {
        more.extend(["-o", "ProxyJump=none"].map(OsString::from));
        let port = if program == "ssh" { "-p" } else { "-P" };
        let says_port = |arg: &OsString| arg.to_string_lossy().starts_with(port);
        if !args.args.iter().any(says_port) {
            more.extend(["-o".into(), format!("Port={NODE_PORT}").into()]);
        }
    }
    if program == "ssh"
        && let Some(status) = own::run(&home, &more, &args.args)
    {
        return Ok(status);
    }
    let mut client = Command::new(program);
    client.arg("-F").arg(home.path(SSH_CONFIG)).args(more);
    let error = client.args(&args.args).exec();
    let what = format!("{program} cannot be run: {error}");
    Err(Failure::new(STATUS_WRONG_USE, what).hint("apt-get install openssh-client"))
}

/// Prints what ssh_config(5) needs, for plain ssh, scp, rsync and all that call them.
pub(crate) fn config(args: &SshConfigArgs) -> Result<u8, Failure> {
    let (home, login) = signed_in()?;
    let mut patterns = args.hosts.clone();
    if patterns.is_empty() {
        patterns = targets(&login);
    }
    if patterns.is_empty() && names(&login, "node").is_empty() {
        let what = "the service names no hosts that are reached through it";
        return Err(
            Failure::new(STATUS_WRONG_USE, what).hint("name them: hansard ssh-config 'web*'")
        );
    }
    write!(io::stdout(), "{}", written(&home, &login, &patterns)?)?;
    Ok(0)
}

/// The login there is, if its certificate still holds.
fn signed_in() -> Result<(Home, Json), Failure> {
    let home = Home::find()?;
    let next = "sign in: `hansard login`";
    let login = home
        .login()?
        .ok_or_else(|| Failure::new(STATUS_WRONG_USE, "nobody is signed in").hint(next))?;
    let until_s = login.get("until_s").and_then(Json::as_u64).unwrap_or(0);
    match until_s > now_s() {
        true => Ok((home, login)),
        false => Err(Failure::new(STATUS_WRONG_USE, "the certificate is over").hint(next)),
    }
}

/// The configuration of `hansard ssh`: every host through the proxy, if there is one; whoever's own
/// configuration says the rest.
pub(crate) fn own_config(home: &Home, login: &Json) -> Result<String, Failure> {
    let config = written(home, login, &["*".to_owned()])?;
    Ok(format!("{config}Match all\nInclude ~/.ssh/config\n"))
}

/// Blocks for hosts with these names. In ssh_config(5) the first that says something counts.
fn written(home: &Home, login: &Json, patterns: &[String]) -> Result<String, Failure> {
    let proxy = proxy(login);
    let nodes = names(login, "node");
    let mut all: Vec<&str> = Vec::new();
    let mut out =
        String::from("# Written by hansard; it holds until `hansard login` writes it anew.\n");
    if let Some((host, port)) = &proxy {
        let user = text(login, "user");
        let user = word(&user)?;
        out.push_str(&format!(
            "Host {PROXY}\n  HostName {}\n  Port {port}\n  User {user}\n  ProxyJump none\n",
            word(host)?
        ));
        all.push(PROXY);
    }
    let node_port = login.pointer("/node/port").and_then(Json::as_u64);
    if let (false, Some(port)) = (nodes.is_empty(), node_port) {
        let names = words(&nodes)?;
        out.push_str(&format!("Host {names}\n  Port {port}\n  ProxyJump none\n"));
        all.extend(nodes.iter().map(String::as_str));
    }
    if !patterns.is_empty() && proxy.is_some() {
        out.push_str(&format!("Host {}\n  ProxyJump {PROXY}\n", words(patterns)?));
    }
    all.extend(patterns.iter().map(String::as_str));
    let all: Vec<String> = all.into_iter().map(str::to_owned).collect();
    out.push_str(&format!("Host {}\n", words(&all)?));
    if let Some(account) = account(login) {
        out.push_str(&format!("  User {}\n", word(&account)?));
    }
    for (key, name) in [
        ("IdentityFile", KEY),
        ("CertificateFile", CERTIFICATE),
        ("UserKnownHostsFile", KNOWN_HOSTS),
    ] {
        out.push_str(&format!("  {key} {}\n", quoted(&home.path(name))?));
    }
    out.push_str("  IdentitiesOnly yes\n  StrictHostKeyChecking yes\n");
    Ok(out)
}

/// Where the proxy is: where the login says, or the first name that the service says, or where the service is.
fn proxy(login: &Json) -> Option<(String, u64)> {
    let said = login.pointer("/proxy/port").and_then(Json::as_u64);
    let own = text(login, "proxy_address");
    if !own.is_empty() {
        return Some(match own.rsplit_once(':') {
            Some((host, port)) if port.parse::<u16>().is_ok() => {
                let host = host.trim_start_matches('[').trim_end_matches(']');
                (host.to_owned(), port.parse().unwrap_or(3023))
            }
            _ => (own, said.unwrap_or(3023)),
        });
    }
    let server = crate::service::host_of(&text(login, "server"));
    let name = names(login, "proxy").into_iter().next();
    Some((name.or(server)?, said?))
}

/// Names in a host certificate of the service's machine.
fn names(login: &Json, which: &str) -> Vec<String> {
    let names = login.pointer(&format!("/{which}/names"));
    let names = names.and_then(Json::as_array);
    let names = names.into_iter().flatten().filter_map(Json::as_str);
    names.map(str::to_owned).collect()
}

/// Where the proxy leads, as far as patterns of ssh_config(5) can say it: no networks.
fn targets(login: &Json) -> Vec<String> {
    let rules = login.pointer("/proxy/targets").and_then(Json::as_array);
    let rules = rules.into_iter().flatten().filter_map(Json::as_str);
    let hosts = rules.filter_map(|rule| Some(rule.rsplit_once(':')?.0));
    let hosts = hosts.filter(|host| !host.contains('/'));
    let mut hosts: Vec<String> = hosts
        .map(|host| {
            host.trim_start_matches('[')
                .trim_end_matches(']')
                .to_owned()
        })
        .collect();
    hosts.dedup();
    hosts
}

/// The account that is gone to unless another is named: the person's own, or the first.
fn account(login: &Json) -> Option<String> {
    let user = text(login, "user");
    let logins = login.get("logins").and_then(Json::as_array);
    let logins: Vec<&str> = logins
        .into_iter()
        .flatten()
        .filter_map(Json::as_str)
        .collect();
    let own = logins.iter().find(|login| **login == user);
    own.or(logins.first()).map(|login| (*login).to_owned())
}

/// What stands in a configuration as it is: the service's words must not say anything else there.
fn word(text: &str) -> Result<&str, Failure> {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-._*?!:+@".contains(c);
    match !text.is_empty() && text.chars().all(is_plain) {
        true => Ok(text),
        false => {
            let shown = hansard_view::escape_for_humans(text).into_owned();
            let what = format!("{shown:?} cannot stand in ssh's configuration");
            Err(Failure::new(STATUS_WRONG_USE, what).hint("letters, digits and -._*?!:+@ can"))
        }
    }
}

fn words(all: &[String]) -> Result<String, Failure> {
    let all: Result<Vec<&str>, Failure> = all.iter().map(|one| word(one)).collect();
    Ok(all?.join(" "))
}

/// A path in quotes, with what ssh would replace in it said twice.
fn quoted(path: &Path) -> Result<String, Failure> {
    let text = path
        .to_str()
        .filter(|text| !text.contains(['"', '\n', '\\', '$']));
    let text = text.ok_or_else(|| {
        let what = format!(
            "{} cannot stand in ssh's configuration",
            crate::failure::shown(path)
        );
        Failure::new(STATUS_WRONG_USE, what).hint("set HANSARD_HOME to a plainer path")
    })?;
    Ok(format!("\"{}\"", text.replace('%', "%%")))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn login() -> Json {
        json!({
            "server": "https://hansard.example.org", "user": "anna", "logins": ["deploy", "anna"],
            "proxy": { "port": 3023, "names": [], "targets": ["*.example.org:22", "10.0.0.0/8:22", "[2001:db8::1]:22"] },
            "node": { "port": 3022, "names": ["gate"] },
        })
    }

    #[test]
    fn what_the_service_says_can_only_name_hosts() {
        assert_eq!(
            proxy(&login()),
            Some(("hansard.example.org".to_owned(), 3023))
        );
        assert_eq!(targets(&login()), ["*.example.org", "2001:db8::1"]);
        assert_eq!(account(&login()).as_deref(), Some("anna"));
        let home = std::env::temp_dir();
        let home = Home::of(home);
        let patterns = targets(&login());
        let text = written(&home, &login(), &patterns).unwrap();
        for part in [
            "Host hansard-proxy\n  HostName hansard.example.org\n  Port 3023\n  User anna\n",
            "Host gate\n  Port 3022\n  ProxyJump none\n",
            "Host *.example.org 2001:db8::1\n  ProxyJump hansard-proxy\n",
            "Host hansard-proxy gate *.example.org 2001:db8::1\n  User anna\n",
        ] {
            assert!(text.contains(part), "{part}\n{text}");
        }
        for (pointer, value) in [
            ("/user", json!("anna\n  ProxyCommand sh")),
            ("/proxy/names", json!(["x -oProxyCommand=sh"])),
            ("/node/names", json!(["a\nHost *"])),
            ("/logins", json!(["a b"])),
        ] {
            let mut hostile = login();
            *hostile.pointer_mut(pointer).unwrap() = value;
            assert!(written(&home, &hostile, &patterns).is_err(), "{pointer}");
        }
        let mut named = login();
        named["proxy_address"] = json!("[2001:db8::7]:4023");
        assert_eq!(proxy(&named), Some(("2001:db8::7".to_owned(), 4023)));
    }
}
