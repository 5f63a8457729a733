//! One picture: the recorded screen, as much of it as fits, and the line at the bottom.

use hansard_view::{Color, Screen, Style};

use super::canvas::Canvas;
use super::deeds::{self, Deeds};
use super::help;
use super::prompt::Prompt;
use super::status::{self, Status};

/// Which part of the recorded screen is shown where it does not fit.
#[derive(Debug, Default, Clone)]
pub(super) struct Window {
    left: usize,
    top: usize,
    /// The viewer chose it; otherwise it goes where the cursor is.
    fixed: bool,
}

impl Window {
    /// Moves by these columns and rows, and stays there.
    pub(super) fn pan(&mut self, cols: isize, rows: isize) {
        self.fixed = true;
        self.left = self.left.saturating_add_signed(cols);
        self.top = self.top.saturating_add_signed(rows);
    }

    /// Goes where the cursor is from now on.
    pub(super) fn release(&mut self) {
        self.fixed = false;
    }

    /// Finds its place for a screen of this size in a room of that size.
    fn settle(&mut self, screen: &Screen, room: (usize, usize)) {
        let (cols, rows) = screen.size();
        let (cols, rows) = (usize::from(cols), usize::from(rows));
        if let (false, Some((col, row))) = (self.fixed, screen.cursor()) {
            self.left = follow(self.left, col.min(cols - 1), room.0);
            self.top = follow(self.top, row, room.1);
        }
        self.left = self.left.min(cols.saturating_sub(room.0));
        self.top = self.top.min(rows.saturating_sub(room.1));
    }
}

/// The nearest beginning of a window of this length that holds the place.
fn follow(begin: usize, place: usize, len: usize) -> usize {
    begin.min(place).max((place + 1).saturating_sub(len))
}

/// What a picture is made of.
pub(super) struct Scene<'a> {
    pub(super) screen: &'a Screen,
    /// Text to be shown where it stands on the screen.
    pub(super) sought: Option<&'a str>,
    /// The line at the bottom, if it is to be there.
    pub(super) status: Option<Status<'a>>,
    pub(super) prompt: Option<&'a Prompt>,
    pub(super) help: bool,
    /// What was really done, if that is to stand beside the screen.
    pub(super) deeds: Option<&'a Deeds>,
}

/// Draws the picture for a terminal of this size.
pub(super) fn draw(size: (usize, usize), window: &mut Window, scene: Scene<'_>) -> Canvas {
    let mut canvas = Canvas::new(size.0, size.1);
    let (cols, rows) = canvas.size();
    let has_line = (scene.status.is_some() || scene.prompt.is_some()) && rows > 1;
    let room_rows = rows - usize::from(has_line);
    let beside = scene.deeds.map_or(0, |_| deeds::cols_of(cols));
    let room = (cols - beside, room_rows);
    window.settle(scene.screen, room);
    draw_screen(&mut canvas, room, window, scene.screen);
    if let Some(sought) = scene.sought {
        mark(&mut canvas, room.1, sought);
    }
    if let Some(done) = scene.deeds {
        deeds::draw(&mut canvas, room.1, done);
    }
    if scene.help {
        help::draw(&mut canvas, room.1);
    }
    if has_line {
        if let Some(prompt) = scene.prompt {
            status::draw_prompt(&mut canvas, rows - 1, prompt);
        } else if let Some(mut line) = scene.status {
            line.hidden = hidden(scene.screen, room);
            status::draw(&mut canvas, rows - 1, &line);
        }
    }
    canvas
}

fn draw_screen(canvas: &mut Canvas, room: (usize, usize), window: &Window, screen: &Screen) {
    for (row, cells) in screen.cells().skip(window.top).take(room.1).enumerate() {
        canvas.put(0, row, cells.skip(window.left));
    }
    let (cols, rows) = screen.size();
    let (cols, rows) = (usize::from(cols), usize::from(rows));
    canvas.cursor = screen.cursor().and_then(|(col, row)| {
        let col = col.min(cols - 1).checked_sub(window.left)?;
        let row = row.checked_sub(window.top)?;
        (col < room.0 && row < room.1).then_some((col, row))
    });
    edge(canvas, room, (cols, rows));
}

/// Shows where the recorded screen ends, if it does.
fn edge(canvas: &mut Canvas, room: (usize, usize), size: (usize, usize)) {
    let faint = Style {
        faint: true,
        ..Style::default()
    };
    if size.0 < room.0 {
        for row in 0..size.1.min(room.1) {
            canvas.text(size.0, row, 1, "│", faint);
        }
    }
    if size.1 < room.1 {
        canvas.text(
            0,
            size.1,
            size.0.min(room.0),
            &"─".repeat(size.0.min(room.0)),
            faint,
        );
        canvas.text(size.0, size.1, 1, "┘", faint);
    }
}

/// What does not fit, and the keys that look there.
fn hidden(screen: &Screen, room: (usize, usize)) -> Option<String> {
    let (cols, rows) = screen.size();
    let cols = usize::from(cols).saturating_sub(room.0);
    let rows = usize::from(rows).saturating_sub(room.1);
    let count = |n: usize, what: &str| format!("{n} {what}{}", if n == 1 { "" } else { "s" });
    match (cols, rows) {
        (0, 0) => None,
        (0, rows) => Some(format!("+{} (j k)", count(rows, "row"))),
        (cols, 0) => Some(format!("+{} (h l)", count(cols, "col"))),
        (cols, rows) => {
            let (cols, rows) = (count(cols, "col"), count(rows, "row"));
            Some(format!("+{cols}, {rows} (h j k l)"))
        }
    }
}

/// Makes the text stand out wherever it stands.
fn mark(canvas: &mut Canvas, rows: usize, sought: &str) {
    for row in 0..rows {
        let mut text = String::new();
        let mut places = Vec::new();
        for (col, cell) in canvas.row(row).iter().enumerate() {
            if cell.width > 0 {
                places.push((text.len(), col));
                text.push(cell.ch);
            }
        }
        let col_of = |byte: usize| {
            let at = places.partition_point(|(begin, _)| *begin < byte);
            places.get(at).map_or(canvas.size().0, |(_, col)| *col)
        };
        let found: Vec<_> = text
            .match_indices(sought)
            .map(|(at, found)| col_of(at)..col_of(at + found.len()))
            .collect();
        for cols in found {
            canvas.restyle(row, cols, |style| {
                *style = Style {
                    foreground: Some(Color::Indexed(0)),
                    background: Some(Color::Indexed(11)),
                    ..Style::default()
                };
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scene(screen: &Screen) -> Scene<'_> {
        Scene {
            screen,
            sought: None,
            status: None,
            prompt: None,
            help: false,
            deeds: None,
        }
    }

    fn text(canvas: &Canvas, row: usize) -> String {
        canvas
            .row(row)
            .iter()
            .filter(|c| c.width > 0)
            .map(|c| c.ch)
            .collect()
    }

    #[test]
    fn a_small_screen_stands_in_the_corner_with_its_edge() {
        let mut screen = Screen::new(5, 2);
        screen.feed(b"hello\r\nyou");
        let canvas = draw((8, 4), &mut Window::default(), scene(&screen));
        let rows: Vec<String> = (0..4).map(|row| text(&canvas, row)).collect();
        assert_eq!(rows, ["hello│  ", "you  │  ", "─────┘  ", "        "]);
        assert_eq!(canvas.cursor, Some((3, 1)));
    }

    #[test]
    fn a_large_screen_is_clipped_and_the_window_follows_the_cursor() {
        let mut screen = Screen::new(10, 6);
        screen.feed(b"0\r\n1\r\n2\r\n3\r\n4\r\n5123456789");
        let mut window = Window::default();
        let canvas = draw((4, 3), &mut window, scene(&screen));
        assert_eq!(text(&canvas, 2), "6789");
        assert_eq!(canvas.cursor, Some((3, 2)));
        window.pan(-100, -2);
        let canvas = draw((4, 3), &mut window, scene(&screen));
        assert_eq!(
            (0..3).map(|row| text(&canvas, row)).collect::<Vec<_>>(),
            ["1   ", "2   ", "3   "]
        );
        assert_eq!(canvas.cursor, None);
        window.pan(100, 100);
        let canvas = draw((4, 3), &mut window, scene(&screen));
        assert_eq!(text(&canvas, 2), "6789");
        window.release();
        assert_eq!(
            hidden(&screen, (4, 3)).unwrap(),
            "+6 cols, 3 rows (h j k l)"
        );
        assert_eq!(hidden(&screen, (10, 5)).unwrap(), "+1 row (j k)");
        assert_eq!(hidden(&screen, (10, 6)), None);
        screen.feed(b"\x1b[H");
        assert_eq!(text(&draw((4, 3), &mut window, scene(&screen)), 0), "0   ");
    }

    #[test]
    fn what_is_sought_stands_out_also_between_wide_characters() {
        let mut screen = Screen::new(12, 1);
        screen.feed("界 foo 界foo".as_bytes());
        let sought = Some("foo");
        let canvas = draw(
            (12, 1),
            &mut Window::default(),
            Scene {
                sought,
                ..scene(&screen)
            },
        );
        let marked: Vec<usize> = canvas
            .row(0)
            .iter()
            .enumerate()
            .filter(|(_, cell)| cell.style.background.is_some())
            .map(|(col, _)| col)
            .collect();
        assert_eq!(marked, [3, 4, 5, 9, 10, 11]);
        let canvas = draw(
            (12, 1),
            &mut Window::default(),
            Scene {
                sought: Some("界f"),
                ..scene(&screen)
            },
        );
        assert_eq!(
            canvas
                .row(0)
                .iter()
                .filter(|c| c.style.background.is_some())
                .count(),
            3
        );
    }
}
