//! The keys, over the picture.

use hansard_view::Style;

use super::canvas::Canvas;

/// Keys and what they do.
const KEYS: &[(&str, &str)] = &[
    ("Space", "pause, go on; at the end, from the beginning"),
    ("q  Ctrl-C", "quit"),
    ("+  -  Backspace", "twice, half as fast; as it was"),
    ("→  ←", "5 seconds forward, back"),
    ("↑  ↓", "1 minute forward, back"),
    ("PgUp  PgDn", "10 minutes forward, back"),
    ("0 … 9", "to that tenth of the recording"),
    ("Home  End", "to the beginning, the end"),
    (".  ,", "the next, the previous step"),
    ("]  [", "the next, the previous marker"),
    ("}  {", "the next, the previous gap"),
    ("t", "go to a moment"),
    ("/", "search what stood on the screen"),
    ("n  N", "the next, the previous match"),
    ("i", "limit idle time, or not"),
    ("h j k l  z", "look aside; follow the cursor again"),
    ("e", "what was really done beside the screen, or not"),
    ("s", "show this line at the bottom, or not"),
    ("Ctrl-L  Ctrl-Z", "paint again; stop"),
];

/// Columns of the keys.
const KEY_COLS: usize = 18;

/// Draws the help in the middle, as much of it as fits.
pub(super) fn draw(canvas: &mut Canvas, room_rows: usize) {
    let (cols, _) = canvas.size();
    let longest = KEYS
        .iter()
        .map(|(_, what)| what.chars().count())
        .max()
        .unwrap_or(0);
    let wide = (KEY_COLS + longest + 4).min(cols);
    let high = (KEYS.len() + 2).min(room_rows);
    let (left, top) = ((cols - wide) / 2, room_rows.saturating_sub(high) / 2);
    let plain = Style {
        inverse: true,
        ..Style::default()
    };
    let strong = Style {
        bold: true,
        ..plain
    };
    for row in 0..high {
        canvas.bar(left, top + row, wide, plain);
    }
    let title = " Any key goes back ";
    canvas.text(left + 2, top, wide.saturating_sub(2), title, strong);
    for ((keys, what), row) in KEYS.iter().zip(1..high) {
        canvas.text(
            left + 2,
            top + row,
            wide.saturating_sub(2).min(KEY_COLS),
            keys,
            strong,
        );
        let col = 2 + KEY_COLS;
        canvas.text(left + col, top + row, wide.saturating_sub(col), what, plain);
    }
}
