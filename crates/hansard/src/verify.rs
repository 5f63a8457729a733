//! `hansard verify`: the verdict on recordings, and who signed them.

use std::io::{self, Read, Write as _};
use std::path::Path;

use hansard_core::SessionId;
use hansard_core::reader::{Damage, ReadError, Tail};
use hansard_core::verify::{Report, Verdict, verify};
use hansard_identity::Principal;
use hansard_view::escape_for_humans;
use hansard_view::source::reading;
use serde_json::json;

use crate::alike;
use crate::cli::{LookArgs, VerifyArgs};
use crate::failure::{Failure, STATUS_DAMAGED, STATUS_UNFINISHED, STATUS_WRONG_USE, shown};
use crate::key::hex;
use crate::moment;
use crate::progress::{Meter, Progress};
use crate::service::{Asked, Service};
use crate::session;
use crate::source::{not_a_recording, open_recording};
use crate::trust::{Anchors, Trust};

/// Checks all files; the worst verdict is the exit status.
pub(crate) fn run(args: &VerifyArgs) -> Result<u8, Failure> {
    let anchors = Anchors::read(args.trust.iter().map(AsRef::as_ref))?;
    let mut worst = 0;
    for path in &args.files {
        let status = match check(path, &args.look) {
            Ok(report) => {
                let trust = anchors.judge(&report);
                if args.json {
                    writeln!(io::stdout(), "{}", as_json(path, &report, &trust))?;
                } else if !args.quiet {
                    write!(io::stdout(), "{}", as_text(path, &report, &trust))?;
                }
                status(&report, &trust)
            }
            Err(failure) => {
                if args.json {
                    let error = failure.to_string();
                    writeln!(
                        io::stdout(),
                        "{}",
                        json!({ "file": path.to_string_lossy(), "verdict": "error", "error": error })
                    )?;
                }
                let _ = writeln!(io::stderr(), "{failure}");
                failure.status
            }
        };
        worst = worse(worst, status);
    }
    Ok(worst)
}

/// Damage is worse than what is no recording, that worse than what is unfinished.
fn worse(a: u8, b: u8) -> u8 {
    [STATUS_DAMAGED, STATUS_WRONG_USE, STATUS_UNFINISHED]
        .into_iter()
        .find(|s| [a, b].contains(s))
        .unwrap_or(0)
}

fn check(path: &Path, look: &LookArgs) -> Result<Report, Failure> {
    if let Some(session) = session::named(path) {
        return check_kept(path, session, look);
    }
    let (reader, total): (Box<dyn Read>, _) = if path.as_os_str() == "-" {
        (Box::new(io::stdin().lock()), None)
    } else {
        let (file, len) = open_recording(path)?;
        let reader = reading(file).map_err(|e| Failure::about(path, &e))?;
        (reader, Some(len))
    };
    check_bytes(path, reader, total)
}

/// Checks a recording's bytes.
fn check_bytes(path: &Path, reader: Box<dyn Read>, total: Option<u64>) -> Result<Report, Failure> {
    let meter = Meter::new(Progress::new("checking", total));
    verify(meter.reading(reader)).map_err(|error| match error {
        ReadError::Io(error) => Failure::about(path, &error),
        ReadError::NotARecording if total == Some(0) || alike::of_file(path).is_some() => {
            not_a_recording(path)
        }
        ReadError::NotARecording => Failure::new(
            STATUS_WRONG_USE,
            format!("{}: not a Hansard recording", shown(path)),
        )
        .hint("only Hansard's own format is sealed; `hansard info` reads the others"),
        other => Failure::new(STATUS_WRONG_USE, format!("{}: {other}", shown(path))),
    })
}

/// Checks a session of the service here, from its bytes; and whether they are all that the service
/// has archived, which the bytes alone cannot tell. A service that hides the newest part of a
/// recording would have to lie about its archive, too: note the head down elsewhere
/// (docs/verify.md) where that matters.
fn check_kept(path: &Path, session: SessionId, look: &LookArgs) -> Result<Report, Failure> {
    let id = session.to_string();
    let asked = Asked::get(&["sessions", &id, "verify"]).with("reason", look.reason.as_deref());
    let kept = Service::new(&look.service)?.document(&asked)?;
    let mut report = match session::recording(session, look)? {
        Some(bytes) => check_bytes(path, Box::new(bytes), None)?,
        None => Report::nothing(),
    };
    let (sealed, sent) = (report.segments, report.session.as_ref().map(|s| s.id));
    let head = report.head.as_ref().map(|digest| hex(digest));
    let mut differs = |what: String| {
        report.verdict = Verdict::Damaged;
        report.damages_count += 1;
        report.damages.push(Damage {
            offset: report.intact_bytes,
            segment: None,
            frame: None,
            what,
            resumed_at: None,
        });
    };
    // A sound recording of something else is no evidence of this.
    if let Some(other) = sent.filter(|other| *other != session) {
        differs(format!("the service sent the recording of session {other}"));
    }
    let newest = kept.get("archived_segment").and_then(|n| n.as_u64());
    let archived = kept.get("archived_head").and_then(|head| head.as_str());
    // Of a session with lost segments fewer are there than its newest one's number says.
    let is_head = archived.is_some() && archived == head.as_deref();
    if let Some(newest) = newest.filter(|newest| *newest >= sealed && !is_head) {
        differs(format!(
            "the service has archived segment {newest}, and what it sends ends before"
        ));
    }
    let is_newest = newest.and_then(|newest| newest.checked_add(1)) == Some(sealed);
    if is_newest && archived.is_some() && !is_head {
        differs("its last segment is another than the newest that the service archived".to_owned());
    }
    let differences = kept.get("differences").and_then(|d| d.as_array());
    for difference in differences.into_iter().flatten() {
        let what = difference.get("what").and_then(|w| w.as_str());
        let what = escape_for_humans(what.unwrap_or("a segment is not what was archived"));
        differs(format!("at the service: {what}"));
    }
    Ok(report)
}

/// A recording signed by somebody else is not evidence, however intact it is.
fn status(report: &Report, trust: &Trust) -> u8 {
    match trust {
        Trust::Untrusted(_) => STATUS_DAMAGED,
        Trust::Unchecked | Trust::Key | Trust::Certified(_) => report.verdict.exit_status(),
    }
}

fn as_text(path: &Path, report: &Report, trust: &Trust) -> String {
    let file = shown(path);
    let until = moment::show(report.intact_ns);
    let mut text = match report.verdict {
        Verdict::Complete => format!("{file}: complete and intact, {until}\n"),
        Verdict::Unfinished => {
            format!(
                "{file}: unfinished, intact up to {until} (byte {})\n",
                report.intact_bytes
            )
        }
        Verdict::Damaged => {
            format!(
                "{file}: damaged; intact up to {until} (byte {})\n",
                report.intact_bytes
            )
        }
    };
    text.push_str(&format!(
        "  {} events in {} sealed segments, {} events not sealed\n",
        report.events,
        report.segments,
        report.events - report.events_sealed
    ));
    for damage in &report.damages {
        text.push_str(&format!("  {damage}"));
        match damage.resumed_at {
            Some(offset) => text.push_str(&format!("; sound again from byte {offset}\n")),
            None => text.push_str("; nothing sound behind it\n"),
        }
    }
    let listed = report.damages.len() as u64;
    if report.damages_count > listed {
        text.push_str(&format!(
            "  and {} more places\n",
            report.damages_count - listed
        ));
    }
    match report.tail {
        Tail::Complete => {}
        Tail::NoEnd => text.push_str("  it ends after a seal, without the session's end\n"),
        Tail::Unsealed => text.push_str(
            "  its last events are not sealed: guarded against accident, not against intruders\n",
        ),
        Tail::Torn { offset } => text.push_str(&format!(
            "  it breaks off inside the record at byte {offset}\n"
        )),
    }
    if report.gaps > 0 {
        text.push_str(&format!("  {} gaps were recorded\n", report.gaps));
    }
    push_signers(&mut text, report, trust);
    text
}

/// Who signed, and whether that is somebody whom the caller trusts.
fn push_signers(text: &mut String, report: &Report, trust: &Trust) {
    match report.signers.as_slice() {
        [] => text.push_str("  nothing is signed\n"),
        signers => {
            let keys: Vec<String> = signers.iter().map(|key| hex(key)).collect();
            text.push_str(&format!(
                "  signer {} ({})\n",
                keys.join(", "),
                trust.as_str()
            ));
        }
    }
    match trust {
        Trust::Unchecked | Trust::Key => {}
        Trust::Certified(peer) => text.push_str(&format!("  signed by {peer}\n")),
        Trust::Untrusted(why) => text.push_str(&format!("  not signed by whom you trust: {why}\n")),
    }
}

fn as_json(path: &Path, report: &Report, trust: &Trust) -> serde_json::Value {
    let damages: Vec<_> = report
        .damages
        .iter()
        .map(|d| json!({ "offset": d.offset, "segment": d.segment, "frame": d.frame, "what": d.what, "resumed_at": d.resumed_at }))
        .collect();
    let signed_by = match trust {
        Trust::Certified(peer) => Some(json!({
            "cluster": peer.cluster,
            "kind": if matches!(peer.principal, Principal::Service(_)) { "service" } else { "host" },
            "id": peer.principal.id().map(|id| id.to_string()),
            "name": peer.name,
        })),
        _ => None,
    };
    let signer_error = match trust {
        Trust::Untrusted(why) => Some(why),
        _ => None,
    };
    json!({
        "file": path.to_string_lossy(),
        "verdict": report.verdict.as_str(),
        "sid": report.session.as_ref().map(|s| s.id.to_string()),
        "signers": report.signers.iter().map(|key| hex(key)).collect::<Vec<_>>(),
        "signer": trust.as_str(),
        "signed_by": signed_by,
        "signer_error": signer_error,
        "segments": report.segments,
        "frames": report.frames,
        "events": report.events,
        "events_sealed": report.events_sealed,
        "intact_bytes": report.intact_bytes,
        "intact_ns": report.intact_ns,
        "raw_bytes": report.raw_bytes,
        "gaps": report.gaps,
        "head": report.head.as_ref().map(|digest| hex(digest)),
        "damages": damages,
        "damages_count": report.damages_count,
    })
}
