//! The application in a browser: its port, its address, its certificate.

use std::net::SocketAddr;
use std::os::unix::net::UnixStream;

use super::{Line, Verdict, port};
use crate::config::{Config, Finding, Level};
use crate::web::files;
use crate::web::origin::Origins;

/// What is found under this name.
const ABOUT: &str = "web";

/// Its port, what is wrong with the files that it is given, and where people reach it. That it is reached
/// from elsewhere in the open, and what cannot be an origin, the configuration's own check refuses before.
pub(super) fn lines(config: &Config) -> Vec<Line> {
    let Some(web) = &config.serve.web else {
        return Vec::new();
    };
    let mut lines = vec![listening(config, web.listen)];
    let found = files::findings(config);
    let is_sound = found.is_empty();
    lines.extend(found.into_iter().map(line));
    if is_sound {
        let origins = Origins::new(&web.origin, web.listen, web.tls.is_some());
        let by = match &web.tls {
            Some(_) => "TLS of its own, whose certificate holds for it",
            None => match origins.is_https() {
                true => "TLS of a proxy before it, which is not looked at",
                false => "plain HTTP, on this machine only",
            },
        };
        let what = format!("{} is what people open; {by}", origins.first());
        lines.push(Line::ok(ABOUT, hansard_view::escape_for_humans(&what)));
    }
    lines
}

/// Its port. Whoever answers there while the daemon does not is another program.
fn listening(config: &Config, listen: SocketAddr) -> Line {
    let found = port(ABOUT, listen);
    let admin = config.node.runtime_dir.join("admin.sock");
    if found.verdict != Verdict::Ok || UnixStream::connect(admin).is_ok() {
        return found;
    }
    let what = format!("{listen} is taken by another program: the daemon does not run");
    Line::new(Verdict::Fail, ABOUT, what, "see who has it: ss -tlnp")
}

fn line(finding: Finding) -> Line {
    let verdict = match finding.level {
        Level::Error => Verdict::Fail,
        Level::Warning => Verdict::Warn,
    };
    let what = format!("{}: {}", finding.key, finding.what);
    Line::new(verdict, ABOUT, what, finding.next)
}
