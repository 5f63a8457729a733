//! Commands by their looks: typed behind something that looks like a prompt.

use super::{Text, What};

/// Endings of what shells ask with.
const PROMPTS: [&str; 6] = ["$ ", "# ", "% ", "> ", "❯ ", "➜ "];

/// Longest prompt, in bytes.
const PROMPT_BYTES_MAX: usize = 160;

/// The command in a line that stood there as what looks like a prompt and then grew.
pub(super) fn guessed_command(line: &Text) -> Option<Text> {
    if line.what != What::Shown || line.steps.len() < 2 {
        return None;
    }
    let ends = PROMPTS.iter().filter_map(|end| {
        let at = line.text.find(end)?;
        (at <= PROMPT_BYTES_MAX).then_some(at + end.len())
    });
    let end = ends.min()?;
    let (prompt, command) = line.text.split_at_checked(end)?;
    // Trailing blanks of a row are not counted.
    let alone = u32::try_from(prompt.trim_end().chars().count()).ok()?;
    let stood = line.steps.iter().any(|step| step.chars == alone);
    let command = command.trim();
    if !stood || command.is_empty() {
        return None;
    }
    let at_ns = line.steps.last().map_or(line.first_ns, |step| step.at_ns);
    let mut guessed = Text::at(What::GuessedCommand, command.to_owned(), at_ns);
    guessed.last_ns = line.last_ns;
    Some(guessed)
}
