//! What each command does, and says on standard output.

use std::ffi::OsStr;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use clap::CommandFactory as _;
use hansard_record::Environment;
use hansard_store::Archive;
use serde_json::json;

use crate::check::{Surroundings, check, keys};
use crate::cli::{CheckArgs, Cli, Command, ConfigArgs, InitArgs, ReindexArgs, RunArgs};
use crate::config::{ALL_IN_ONE, Config, Finding, HostPort, Level, LoadError, Store};
use crate::data_dir::{DataDir, Held};
use crate::doctor::{Verdict, examine};
use crate::failure::{Failure, STATUS_DONE, STATUS_FAILED, STATUS_WRONG_USE, shown};
use crate::handed::{Store as DescriptorStore, handed_over};
use crate::init::keys::ClusterKeys;
use crate::init::keys::identity;
use crate::init::{Origin, holder, init};
use crate::journal::{Journal, Style};
use crate::notify::Notify;
use crate::owner;
use crate::run::rebuilt::Rebuilt;
use crate::run::{Start, Wake, run};
use crate::{eventlog, signals, stores};

/// Longest token, bytes; what follows is refused.
const TOKEN_BYTES_MAX: u64 = 4096;

/// Does what the command line says; answers the exit status.
///
/// # Errors
/// When it could not be done.
pub fn perform(cli: &Cli, out: &mut dyn Write) -> Result<u8, Failure> {
    match &cli.command {
        Command::Check(args) => say_findings(args, out),
        Command::Init(args) => initialise(args, out),
        Command::Run(args) => start(args),
        Command::Reindex(args) => rebuild(args, out),
        Command::Doctor(args) => say_lines(args, out),
        Command::TlogWriter(args) => match crate::tlog_out::helper::write(args) {
            Ok(()) => Ok(STATUS_DONE),
            Err(e) => {
                let next = "the daemon runs this by itself";
                Err(Failure::new(STATUS_FAILED, e.to_string(), next))
            }
        },
        Command::KeepSession { descriptor } => Ok(hansard_shell::keep_session(descriptor)),
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(*shell, &mut Cli::command(), "hansardd", &mut script);
            out.write_all(&script)?;
            Ok(STATUS_DONE)
        }
        Command::Man { directory } => man(directory),
    }
}

/// The configuration, and everything that contradicts itself in it; an error if it cannot be used.
fn usable(args: &ConfigArgs) -> Result<(Config, Vec<Finding>), Failure> {
    let config = Config::load(args.config.as_deref()).map_err(|e| unloaded(&e))?;
    let around = Surroundings::of_this_machine(&config);
    without_errors(args, config, &around)
}

/// The same, held against these surroundings.
fn without_errors(
    args: &ConfigArgs,
    config: Config,
    around: &Surroundings,
) -> Result<(Config, Vec<Finding>), Failure> {
    let findings = check(&config, around);
    let errors: Vec<String> = findings
        .iter()
        .filter(|finding| finding.level == Level::Error)
        .map(ToString::to_string)
        .collect();
    match errors.is_empty() {
        true => Ok((config, findings)),
        false => {
            let what = format!("{}:\n  {}", shown(&args.path()), errors.join("\n  "));
            let next = "`hansardd check` says everything about it";
            Err(Failure::new(STATUS_WRONG_USE, what, next))
        }
    }
}

/// Why there is no configuration, and what to do.
fn unloaded(error: &LoadError) -> Failure {
    let next = match error {
        LoadError::Wrong(..) => "see docs/configuration.md for every key".to_owned(),
        LoadError::Unreadable(path, e) => match e.kind() {
            io::ErrorKind::NotFound => {
                "see that --config names the file; `hansardd init --all-in-one` writes one to begin with"
                    .to_owned()
            }
            io::ErrorKind::PermissionDenied => format!(
                "the daemon's user must be able to read it; there is no secret in it: chmod 644 {}",
                shown(path)
            ),
            _ => "name a file that can be read, with --config".to_owned(),
        },
    };
    Failure::new(STATUS_WRONG_USE, error.to_string(), next)
}

/// `hansardd check`.
fn say_findings(args: &CheckArgs, out: &mut dyn Write) -> Result<u8, Failure> {
    let findings = match Config::load(args.config.config.as_deref()) {
        Ok(config) => {
            let mut found = check(&config, &Surroundings::of_this_machine(&config));
            found.extend(keys::findings(&config));
            found.sort_by_key(|finding| finding.level);
            found
        }
        Err(LoadError::Wrong(_, findings)) => findings,
        Err(e @ LoadError::Unreadable(..)) => return Err(unloaded(&e)),
    };
    let is_wrong = findings.iter().any(|f| f.level == Level::Error);
    if args.json {
        let rows: Vec<serde_json::Value> = findings
            .iter()
            .map(|f| {
                json!({
                    "level": f.level.as_str(), "key": f.key, "what": f.what, "next": f.next,
                    "line": f.place.map(|p| p.line), "column": f.place.map(|p| p.column),
                })
            })
            .collect();
        writeln!(out, "{}", json!({"ok": !is_wrong, "findings": rows}))?;
    } else {
        for finding in &findings {
            writeln!(out, "{finding}")?;
        }
        let path = args.config.path();
        match (findings.is_empty(), path.exists()) {
            (true, true) => writeln!(out, "{}: nothing to complain of", shown(&path))?,
            (_, true) => {}
            // Somebody may think that what they wrote elsewhere was read.
            (_, false) => writeln!(
                out,
                "{} is not there: this machine's sessions are recorded and kept, as \
                 `hansardd init --all-in-one` writes it down",
                shown(&path)
            )?,
        }
    }
    Ok(if is_wrong {
        STATUS_WRONG_USE
    } else {
        STATUS_DONE
    })
}

/// `hansardd init`.
fn initialise(args: &InitArgs, out: &mut dyn Write) -> Result<u8, Failure> {
    if args.all_in_one {
        write_all_in_one(&args.config, out)?;
    }
    let (config, warnings) = usable(&args.config)?;
    let origin = match args.join.is_empty() {
        true => Origin::Found {
            cluster: args.cluster.clone(),
        },
        false => Origin::Join {
            service: addresses(&args.join)?,
            token: token(args)?,
            ca_pin: args.ca_pin.clone().unwrap_or_default(),
        },
    };
    // With a token the other account would have to read that, too; it is told what to do.
    if let (Some(owner), Origin::Found { cluster }) =
        (owner::another(&config.node.data_dir), &origin)
    {
        let path = args.config.config.iter().map(OsStr::new);
        let mut words = ["init", "--cluster", cluster].map(OsStr::new).to_vec();
        path.for_each(|path| words.extend([OsStr::new("--config"), path]));
        return owner::again_as(owner, &words);
    }
    let environment = Environment::real();
    let keys = ClusterKeys::new(&config, environment.clone());
    let (mark, identity) = init(&config, &origin, &keys, &environment)?;
    for warning in &warnings {
        writeln!(out, "{warning}")?;
    }
    writeln!(out, "data_dir {}", shown(&config.node.data_dir))?;
    writeln!(out, "host {}", mark.id)?;
    writeln!(out, "cluster {}", mark.cluster)?;
    for (name, value) in &identity.facts {
        writeln!(out, "{name} {value}")?;
    }
    Ok(STATUS_DONE)
}

/// Writes the configuration of one machine, where there is none.
fn write_all_in_one(args: &ConfigArgs, out: &mut dyn Write) -> Result<(), Failure> {
    let path = args.path();
    let about = |e: io::Error| Failure::about(&path, &e);
    if let Some(above) = path.parent() {
        fs::create_dir_all(above).map_err(about)?;
    }
    let file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o644)
        .open(&path);
    match file {
        Ok(mut file) => {
            file.write_all(ALL_IN_ONE.as_bytes()).map_err(about)?;
            file.sync_all().map_err(about)?;
            writeln!(out, "config {}", shown(&path))?;
        }
        // What somebody wrote there is left as it is.
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {
            writeln!(out, "config {} is there already, and used", shown(&path))?;
        }
        Err(e) => return Err(about(e)),
    }
    Ok(())
}

fn addresses(texts: &[String]) -> Result<Vec<HostPort>, Failure> {
    let parse = |text: &String| {
        HostPort::parse(text).ok_or_else(|| {
            let what = format!("{} is no address", crate::config::quoted(text));
            Failure::new(
                STATUS_WRONG_USE,
                what,
                "write host:port, as a.example.org:3025",
            )
        })
    };
    texts.iter().map(parse).collect()
}

/// The token, from wherever it is. It is in no message.
fn token(args: &InitArgs) -> Result<String, Failure> {
    let source: Box<dyn Read> = match (&args.token, &args.token_file) {
        (Some(token), _) => return Ok(token.trim().to_owned()),
        (None, None) => {
            let next = "give --token-file; `hansard token create` at the service makes a token";
            return Err(Failure::new(STATUS_WRONG_USE, "--join needs a token", next));
        }
        (None, Some(path)) if path == Path::new("-") => Box::new(io::stdin()),
        (None, Some(path)) => Box::new(File::open(path).map_err(|e| Failure::about(path, &e))?),
    };
    let mut text = String::new();
    let read = source.take(TOKEN_BYTES_MAX).read_to_string(&mut text);
    match read {
        Ok(_) if !text.trim().is_empty() => Ok(text.trim().to_owned()),
        Ok(_) => Err(Failure::new(STATUS_WRONG_USE, "the token is empty", "")),
        Err(e) => Err(Failure::new(
            STATUS_WRONG_USE,
            format!("the token cannot be read: {}", crate::failure::plain(&e)),
            "",
        )),
    }
}

/// However it ends, the last lines of the log are written, if somebody reads them so soon.
struct LastLines(Journal);

impl Drop for LastLines {
    fn drop(&mut self) {
        self.0.flush(Duration::from_secs(2));
    }
}

/// `hansardd run`.
fn start(args: &RunArgs) -> Result<u8, Failure> {
    let handed = Mutex::new(handed_over());
    let (config, warnings) = usable(&args.config)?;
    let environment = Environment::real();
    let style = args.log.map_or_else(Style::of_stderr, Style::from);
    let journal = Journal::new(style, Box::new(io::stderr()), environment.clock.clone());
    let _last_lines = LastLines(journal.clone());
    for warning in &warnings {
        journal.warning("the configuration is strange", &[("finding", warning)]);
    }
    let notify = Notify::from_environment()
        .map_err(|e| Failure::new(STATUS_WRONG_USE, e.to_string(), ""))?;
    // Without it logins end with the daemon, as they do where there is no manager.
    let store = DescriptorStore::from_environment().unwrap_or_else(|e| {
        journal.warning("the manager keeps no descriptors", &[("error", &e)]);
        None
    });
    let (wake, woken) = channel();
    let by_signal = wake.clone();
    signals::listen(move |signal| by_signal.send(Wake::Signal(signal)).is_ok())
        .map_err(|e| Failure::new(STATUS_FAILED, format!("no signals: {e}"), ""))?;
    run(Start {
        config,
        config_path: args.config.config.clone(),
        journal,
        environment,
        notify,
        store: store.map(Arc::new),
        handed,
        wake,
        woken,
    })
}

/// The full-text index is begun anew by the next start, as one that was never there.
fn forget_texts(dir: &DataDir) -> Result<(), Failure> {
    let removed = hansard_store::index::TantivyIndex::remove(&dir.index());
    removed.map_err(|e| {
        let next = "remove the directory while the daemon is stopped; it is computed";
        Failure::new(crate::failure::STATUS_FAILED, e.to_string(), next)
    })
}

/// `hansardd reindex`.
fn rebuild(args: &ReindexArgs, out: &mut dyn Write) -> Result<u8, Failure> {
    let (config, _) = usable(&args.config)?;
    let Some(store) = &config.store else {
        let what = "this machine keeps no recordings: there is nothing to build a catalog from";
        return Err(Failure::new(
            STATUS_WRONG_USE,
            what,
            "run it where `store` is on",
        ));
    };
    let who = holder("reindex");
    let held = DataDir::new(&config.node.data_dir).hold(&who)?;
    let identity = identity(&held.dir)?;
    let keys = [identity.recorder_key().public()];
    let stores = stores::reindexed(&held.dir, &who, &keys, "somebody asked for it")?;
    forget_texts(&held.dir)?;
    let opened = &stores.opened;
    let (adopted, projected) = (&opened.adopted, &opened.projected);
    let note = Rebuilt::of(&held.dir);
    let failed = |e: io::Error| Failure::about(&held.dir.catalog(), &e);
    let quarantined = adopted.quarantined.saturating_add(projected.quarantined);
    note.keep(
        "catalog.rebuilt",
        &[
            ("segments", adopted.segments.into()),
            ("events", projected.events.into()),
            ("quarantined", quarantined.into()),
            ("lost_segments", adopted.after_loss.into()),
            ("reason", "hansardd reindex".into()),
        ],
    )
    .map_err(failed)?;
    if let Some((_, Some(aside))) = &opened.rebuilt {
        writeln!(out, "the old catalog is {}", shown(aside))?;
    }
    writeln!(
        out,
        "{} packs ({} damaged), {} segments ({} after a loss), {} events, {} quarantined",
        adopted.packs,
        adopted.packs_damaged,
        adopted.segments,
        adopted.after_loss,
        projected.events,
        quarantined,
    )?;
    let recalled = opened.recalled;
    writeln!(
        out,
        "{} sessions are held, {} were deleted by rules or by hand",
        recalled.held, recalled.deleted,
    )?;
    for alarm in &adopted.alarms {
        let alarm = alarm.to_string();
        writeln!(out, "alarm: {}", hansard_view::escape_for_humans(&alarm))?;
    }
    if args.event_log {
        rebuild_log(&held, &stores, store, out)?;
    }
    Ok(STATUS_DONE)
}

/// Writes the event log anew from the archive.
fn rebuild_log(
    held: &Held,
    stores: &stores::Stores,
    store: &Store,
    out: &mut dyn Write,
) -> Result<(), Failure> {
    let (blobs, catalog) = (stores.blobs.clone(), stores.catalog.clone());
    let archive = Archive::new(blobs, catalog, stores::archive_options(store));
    let root = held.dir.log();
    let written = eventlog::rebuild::rebuild(&archive, &*stores.catalog, &root, &held.mark.id);
    let written = written.map_err(|e| Failure::about(&root, &e))?;
    let counts = [
        ("segments", written.segments.into()),
        ("events", written.lines.into()),
        ("lost_segments", written.lost.into()),
        ("reason", "hansardd reindex --event-log".into()),
    ];
    let kept = Rebuilt::of(&held.dir).keep("log.rebuilt", &counts);
    kept.map_err(|e| Failure::about(&root, &e))?;
    writeln!(
        out,
        "event log: {} lines in {} files, of {} segments ({} lost); the old one is beside it",
        written.lines, written.files, written.segments, written.lost,
    )?;
    Ok(())
}

/// `hansardd doctor`.
fn say_lines(args: &CheckArgs, out: &mut dyn Write) -> Result<u8, Failure> {
    let config = Config::load(args.config.config.as_deref()).map_err(|e| unloaded(&e))?;
    let mut around = Surroundings::of_this_machine(&config);
    // A certificate that has expired is one line among the others, and no reason to look at nothing else.
    around
        .files
        .retain(|finding| !finding.key.starts_with("serve.web."));
    let (config, _) = without_errors(&args.config, config, &around)?;
    let lines = examine(&config, &*Environment::real().clock);
    let worst = lines.iter().map(|line| line.verdict).max();
    if args.json {
        let rows: Vec<serde_json::Value> = lines
            .iter()
            .map(|line| {
                json!({
                    "verdict": line.verdict.as_str(), "about": line.about,
                    "what": line.what, "next": line.next,
                })
            })
            .collect();
        let is_ok = worst < Some(Verdict::Fail);
        writeln!(out, "{}", json!({"ok": is_ok, "lines": rows}))?;
    } else {
        for line in &lines {
            write!(
                out,
                "{:4}  {}: {}",
                line.verdict.as_str(),
                line.about,
                line.what
            )?;
            match line.next.as_str() {
                "" => writeln!(out)?,
                next => writeln!(out, "; {next}")?,
            }
        }
    }
    Ok(match worst {
        Some(Verdict::Fail) => STATUS_FAILED,
        _ => STATUS_DONE,
    })
}

/// `hansardd man`: one page for the program and one for each command.
fn man(directory: &Path) -> Result<u8, Failure> {
    fs::create_dir_all(directory).map_err(|e| Failure::about(directory, &e))?;
    let program = Cli::command();
    let mut pages = vec![("hansardd".to_owned(), program.clone())];
    // What the daemon runs by itself is nobody's to look up.
    for command in program.get_subcommands().filter(|it| !it.is_hide_set()) {
        pages.push((format!("hansardd-{}", command.get_name()), command.clone()));
    }
    for (name, command) in pages {
        let path = directory.join(format!("{name}.8"));
        let mut text = Vec::new();
        // clap keeps names for the life of the program; there are a dozen.
        let command = command.name(String::leak(name) as &'static str);
        let page = clap_mangen::Man::new(command).section("8");
        page.render(&mut text)?;
        fs::write(&path, text).map_err(|e| Failure::about(&path, &e))?;
    }
    Ok(STATUS_DONE)
}
