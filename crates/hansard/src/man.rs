//! Man pages and shell completion, made from the command line's own description.

use std::io::Write as _;
use std::path::Path;

use clap::CommandFactory as _;

use crate::cli::Cli;
use crate::failure::{Failure, STATUS_WRONG_USE, shown};

/// `hansard completions SHELL`.
pub(crate) fn completions(shell: clap_complete::Shell) -> Result<u8, Failure> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "hansard", &mut script);
    std::io::stdout().write_all(&script)?;
    Ok(0)
}

/// `hansard man DIRECTORY`: one page for the program and one for each command.
pub(crate) fn pages(directory: &Path) -> Result<u8, Failure> {
    std::fs::create_dir_all(directory).map_err(|e| match directory.is_dir() {
        false if directory.exists() => {
            let what = format!("{}: is no directory", shown(directory));
            Failure::new(STATUS_WRONG_USE, what).hint("name one, or one that can be made")
        }
        _ => Failure::about(directory, &e),
    })?;
    pages_of(directory, Cli::command(), "hansard")?;
    Ok(0)
}

/// The page of a command, and those of its commands: two levels deep.
fn pages_of(directory: &Path, command: clap::Command, name: &str) -> Result<(), Failure> {
    for inner in command.get_subcommands() {
        let name = format!("{name}-{}", inner.get_name());
        pages_of(directory, inner.clone(), &name)?;
    }
    page(directory, command, name)
}

fn page(directory: &Path, command: clap::Command, name: &str) -> Result<(), Failure> {
    let path = directory.join(format!("{name}.1"));
    let mut text = Vec::new();
    // clap keeps names for the life of the program; there are two dozen.
    let command = command.name(String::leak(name.to_owned()) as &'static str);
    clap_mangen::Man::new(command).render(&mut text)?;
    std::fs::write(&path, text).map_err(|e| Failure::about(&path, &e))
}
