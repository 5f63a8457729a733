//! `hansard cert`: SSH certificates for people, and the keys that sign them.

use std::ffi::OsString;
use std::fs::OpenOptions;
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use hansard_view::escape_for_humans;
use serde_json::json;

use crate::cli::{CertArgs, CertCommand, SignArgs};
use crate::failure::{Failure, STATUS_WRONG_USE, shown};
use crate::listing::{text, time};
use crate::service::{Asked, Service};

/// Longest public key's file that is read, bytes; a longer one is none.
const KEY_FILE_BYTES_MAX: u64 = 16 * 1024;

/// Issues certificates, or says who signs them.
pub(crate) fn run(args: &CertArgs) -> Result<u8, Failure> {
    match &args.command {
        CertCommand::Sign(args) => sign(args)?,
        CertCommand::Authority { host, service } => {
            let found = Service::new(service)?.document(&Asked::get(&["ssh", "authorities"]))?;
            let which = if *host { "host" } else { "user" };
            writeln!(io::stdout(), "{}", escape_for_humans(&text(&found, which)))?;
        }
    }
    Ok(0)
}

fn sign(args: &SignArgs) -> Result<(), Failure> {
    let mut key = String::new();
    let file = std::fs::File::open(&args.key).map_err(|e| Failure::about(&args.key, &e))?;
    let read = file.take(KEY_FILE_BYTES_MAX).read_to_string(&mut key);
    read.map_err(|e| Failure::about(&args.key, &e))?;
    // Named by mistake, it would leave this machine.
    if key.contains("PRIVATE KEY") {
        let what = format!("{} is a private key; nothing was sent", shown(&args.key));
        let next = format!("name its public half: {}.pub", shown(&args.key));
        return Err(Failure::new(STATUS_WRONG_USE, what).hint(next));
    }
    let wish = json!({
        "user": args.user.as_ref().or(args.login.first()),
        "logins": args.login,
        "key": key.trim(),
        "ttl_s": args.ttl,
        "source_addresses": args.from,
        "command": args.run,
    });
    let made =
        Service::new(&args.service)?.document(&Asked::post(&["ssh", "certificates"], &wish))?;
    let line = format!("{}\n", escape_for_humans(&text(&made, "certificate")));
    let out = args.out.clone().unwrap_or_else(|| beside(&args.key));
    // ssh(1) takes the certificate beside a key by this name; an older one is replaced.
    let written = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o644)
        .open(&out)
        .and_then(|mut file| file.write_all(line.as_bytes()));
    written.map_err(|e| Failure::about(&out, &e))?;
    writeln!(
        io::stdout(),
        "{}",
        escape_for_humans(&out.to_string_lossy())
    )?;
    let _ = writeln!(
        io::stderr(),
        "hansard: certificate {} holds until {}",
        escape_for_humans(&text(&made, "serial")),
        escape_for_humans(&time(&made, "expires")),
    );
    Ok(())
}

/// `id_ed25519-cert.pub` of `id_ed25519.pub`, where ssh(1) looks for it.
fn beside(key: &Path) -> PathBuf {
    let mut name: OsString = key.file_stem().unwrap_or_default().to_owned();
    name.push("-cert.pub");
    key.with_file_name(name)
}
