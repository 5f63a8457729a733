//! The line at the bottom: where the play is, how it goes, and what there is to know.

use std::time::Duration;

use hansard_view::Style;

use super::canvas::Canvas;
use super::prompt::Prompt;
use crate::moment;

/// Narrowest progress bar that says anything.
const BAR_COLS_MIN: usize = 12;

const SECOND_NS: u64 = 1_000_000_000;

/// How the play goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    Playing,
    Paused,
    /// At the end of a recording that still grows.
    Live,
    /// At the end.
    Ended,
    Searching,
}

impl State {
    fn word(self) -> &'static str {
        match self {
            Self::Playing => "▶ playing",
            Self::Paused => "‖ paused",
            Self::Live => "● live",
            Self::Ended => "■ end",
            Self::Searching => "… searching",
        }
    }
}

/// Everything the line can say.
pub(super) struct Status<'a> {
    pub(super) state: State,
    pub(super) position_ns: u64,
    pub(super) last_ns: u64,
    /// More may come.
    pub(super) growing: bool,
    pub(super) speed: f64,
    pub(super) idle_limit: Option<Duration>,
    /// What happened or is to be known just now; escaped.
    pub(super) notice: Option<&'a str>,
    /// Moments of marks and gaps.
    pub(super) points_ns: &'a [u64],
    /// What of the recorded screen does not fit, in words.
    pub(super) hidden: Option<String>,
}

/// Speed as people say it.
pub(super) fn speed_word(speed: f64) -> String {
    if speed >= 1.0 {
        // Two digits behind the point, and none that say nothing.
        let text = format!("{speed:.2}");
        return format!("{}×", text.trim_end_matches('0').trim_end_matches('.'));
    }
    let halves: &[(f64, &str)] = &[(0.5, "½"), (0.25, "¼"), (0.125, "⅛"), (0.0625, "1/16")];
    match halves
        .iter()
        .find(|(factor, _)| (factor - speed).abs() < 1e-9)
    {
        Some((_, word)) => format!("{word}×"),
        None => format!("{speed:.3}×"),
    }
}

fn base() -> Style {
    Style {
        inverse: true,
        ..Style::default()
    }
}

fn strong() -> Style {
    Style {
        bold: true,
        ..base()
    }
}

/// Draws the line.
pub(super) fn draw(canvas: &mut Canvas, row: usize, status: &Status<'_>) {
    let (cols, _) = canvas.size();
    canvas.bar(0, row, cols, base());
    let room = |col: usize| cols.saturating_sub(col);
    let mut col = 3 + canvas.text(1, row, room(1), status.state.word(), strong());
    let notice_cols = status.notice.map_or(0, |notice| notice.chars().count() + 2);
    let time = time(status);
    // Narrow terminals show what happened rather than when: it stands there for seconds only.
    if notice_cols == 0 || col + time.chars().count() + notice_cols < cols {
        col += canvas.text(col, row, room(col), &time, base()) + 2;
    }
    let right = right(status, room(col).saturating_sub(notice_cols + 1));
    let right_col = cols.saturating_sub(right.chars().count() + 1).max(col);
    canvas.text(right_col, row, room(right_col), &right, base());
    match status.notice {
        Some(notice) => {
            canvas.text(col, row, room(col).saturating_sub(1), notice, strong());
        }
        None => bar(canvas, row, col, right_col.saturating_sub(col + 2), status),
    }
}

/// Position and duration.
fn time(status: &Status<'_>) -> String {
    // Whole seconds while they pass: tenths would only flicker.
    let passing = matches!(status.state, State::Playing | State::Live);
    let shown = |ns: u64| {
        moment::show(if passing {
            ns / SECOND_NS * SECOND_NS
        } else {
            ns
        })
    };
    let more = if status.growing { "+" } else { "" };
    format!(
        "{} / {}{more}",
        shown(status.position_ns),
        shown(status.last_ns)
    )
}

/// What stands at the right end: as much as there is room for, the way to the help longest.
fn right(status: &Status<'_>, room: usize) -> String {
    let mut parts = vec![speed_word(status.speed)];
    if let Some(limit) = status.idle_limit {
        parts.push(format!("idle ≤ {} s", limit.as_secs_f64()));
    }
    parts.extend(status.hidden.clone());
    parts.push("? help".to_owned());
    while !parts.is_empty() && parts.join("  ").chars().count() > room {
        parts.remove(0);
    }
    parts.join("  ")
}

/// How far it is, with a tick for every mark and gap.
fn bar(canvas: &mut Canvas, row: usize, col: usize, room: usize, status: &Status<'_>) {
    if room < BAR_COLS_MIN || status.last_ns == 0 {
        return;
    }
    let place = |at_ns: u64| {
        let part = u128::from(at_ns.min(status.last_ns)) * room.saturating_sub(1) as u128;
        usize::try_from(part / u128::from(status.last_ns)).unwrap_or(0)
    };
    let here = place(status.position_ns);
    let mut cells: Vec<char> = (0..room)
        .map(|n| if n < here { '━' } else { '─' })
        .collect();
    for at_ns in status.points_ns {
        if let Some(slot) = cells.get_mut(place(*at_ns)) {
            *slot = '┿';
        }
    }
    if let Some(slot) = cells.get_mut(here) {
        *slot = '█';
    }
    let text: String = cells.into_iter().collect();
    canvas.text(col, row, room, &text, base());
}

/// Draws a question instead of the line, with the cursor behind what has been typed.
pub(super) fn draw_prompt(canvas: &mut Canvas, row: usize, prompt: &Prompt) {
    let (cols, _) = canvas.size();
    canvas.bar(0, row, cols, base());
    let col = 1 + canvas.text(
        1,
        row,
        cols.saturating_sub(2),
        prompt.question.label(),
        strong(),
    );
    let room = cols.saturating_sub(col + 1);
    // The end of a long text is what is being typed. Wide characters are counted twice at worst.
    let chars: Vec<char> = prompt.text.chars().collect();
    let mut from = chars.len().saturating_sub(room);
    loop {
        let text: String = chars.iter().skip(from).collect();
        let text = hansard_view::escape_for_humans(&text).into_owned();
        let used = canvas.text(col, row, room + 1, &text, base());
        if used <= room || from >= chars.len() {
            canvas.bar(col + used, row, cols.saturating_sub(col + used), base());
            canvas.cursor = Some((col + used, row));
            return;
        }
        from += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::super::prompt::Question;
    use super::*;

    fn line(status: &Status<'_>, cols: usize) -> String {
        let mut canvas = Canvas::new(cols, 1);
        draw(&mut canvas, 0, status);
        canvas
            .row(0)
            .iter()
            .filter(|c| c.width > 0)
            .map(|c| c.ch)
            .collect()
    }

    fn status<'a>(notice: Option<&'a str>) -> Status<'a> {
        Status {
            state: State::Playing,
            position_ns: 61_500_000_000,
            last_ns: 120_000_000_000,
            growing: false,
            speed: 2.0,
            idle_limit: Some(Duration::from_secs(2)),
            notice,
            points_ns: &[30_000_000_000],
            hidden: None,
        }
    }

    #[test]
    fn everything_is_said_where_there_is_room() {
        let text = line(&status(None), 80);
        assert!(text.starts_with(" ▶ playing  1:01 / 2:00  ━"), "{text}");
        assert!(text.ends_with("─  2×  idle ≤ 2 s  ? help "), "{text}");
        assert!(text.contains('┿') && text.contains('█'), "{text}");
        let text = line(&status(Some("marker: here")), 80);
        assert!(text.contains("2:00  marker: here "), "{text}");
    }

    #[test]
    fn it_fits_any_width() {
        for cols in 1..100 {
            let text = line(
                &status(Some(
                    "a notice that is rather long, longer than there is room",
                )),
                cols,
            );
            assert_eq!(text.chars().count(), cols);
        }
        assert!(line(&status(None), 40).ends_with("? help "));
    }

    #[test]
    fn speeds_in_words() {
        for (speed, word) in [
            (1.0, "1×"),
            (64.0, "64×"),
            (1.5, "1.5×"),
            (0.5, "½×"),
            (0.0625, "1/16×"),
            (0.3, "0.300×"),
        ] {
            assert_eq!(speed_word(speed), word);
        }
    }

    #[test]
    fn a_prompt_shows_the_end_of_what_is_typed() {
        for (typed, shown) in [
            ("abc", " search: abc  "),
            ("0123456789", " search: 6789 "),
            ("a界界界", " search: 界界 "),
        ] {
            let mut canvas = Canvas::new(14, 1);
            let prompt = Prompt {
                question: Question::Search,
                text: typed.to_owned(),
            };
            draw_prompt(&mut canvas, 0, &prompt);
            let text: String = canvas
                .row(0)
                .iter()
                .filter(|c| c.width > 0)
                .map(|c| c.ch)
                .collect();
            assert_eq!(text, shown);
            assert_eq!(
                canvas.cursor.map(|(col, _)| col),
                Some(
                    13.min(
                        9 + shown
                            .trim_start_matches(" search: ")
                            .trim_end()
                            .chars()
                            .map(|c| if c == '界' { 2 } else { 1 })
                            .sum::<usize>()
                    )
                )
            );
        }
    }
}
