//! Whatever was on the terminal, what is painted is what was to be shown, and nothing else is
//! written.

use hansard_view::{Cell, Screen};

use super::canvas::Canvas;
use super::paint::paint;

/// Pseudo-random numbers from a seed (xorshift).
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % sides as u64) as usize
    }
}

/// Bytes that leave interesting screens behind.
fn noise(dice: &mut Dice) -> Vec<u8> {
    const PIECES: &[&str] = &[
        "hello",
        "界",
        "🎉",
        "e\u{301}",
        "\u{fe0f}",
        "\u{202e}",
        "\u{9f}",
        "x",
        " ",
        "\t",
        "│",
        "é",
        "\r\n",
        "\n",
        "\x1b[2J",
        "\x1b[K",
        "\x1b[1K",
        "\x1b[31m",
        "\x1b[m",
        "\x1b[1;4;38;5;200;48;2;1;2;3m",
        "\x1b[7m",
        "\x1b[44m",
        "\x1b[H",
        "\x1b[5;7H",
        "\x1b[3;1H",
        "\x1b[2@",
        "\x1b[2P",
        "\x1b[L",
        "\x1b[M",
        "\x1b[?25l",
        "\x1b[?25h",
        "\x1b[?1049h",
        "\x1b[?1049l",
        "界界界界界",
        "\x1b[9;2m",
        "wide界",
    ];
    (0..dice.roll(60))
        .flat_map(|_| PIECES[dice.roll(PIECES.len())].bytes())
        .collect()
}

fn picture(screen: &Screen) -> Canvas {
    let (cols, rows) = screen.size();
    let mut canvas = Canvas::new(cols.into(), rows.into());
    for (row, cells) in screen.cells().enumerate() {
        canvas.put(0, row, cells);
    }
    canvas.cursor = screen
        .cursor()
        .map(|(col, row)| (col.min(usize::from(cols) - 1), row));
    canvas
}

/// What may stand on the terminal in place of a cell.
fn as_sent(cell: Cell) -> Cell {
    Cell {
        ch: super::sequences::harmless(cell.ch),
        ..cell
    }
}

fn assert_shows(terminal: &Screen, canvas: &Canvas, seed: u64) {
    for (row, cells) in terminal.cells().enumerate() {
        let want: Vec<Cell> = canvas.row(row).iter().copied().map(as_sent).collect();
        let have: Vec<Cell> = cells.collect();
        assert_eq!(have, want, "row {row}, seed {seed}");
    }
    assert_eq!(terminal.cursor(), canvas.cursor, "seed {seed}");
}

#[test]
fn painting_over_anything_gives_the_picture() {
    for seed in 1..3000u64 {
        let mut dice = Dice(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let (cols, rows) = (1 + dice.roll(14) as u16, 1 + dice.roll(6) as u16);
        let mut recorded = Screen::new(cols, rows);
        let mut terminal = Screen::new(cols, rows);
        terminal.feed(&noise(&mut dice));
        terminal.feed(super::sequences::ENTER);
        let mut shown: Option<Canvas> = None;
        for _ in 0..6 {
            recorded.feed(&noise(&mut dice));
            let mut canvas = picture(&recorded);
            // Something of the player's own over it, as the help is.
            if dice.roll(3) == 0 {
                let (col, row) = (dice.roll(cols.into()), dice.roll(rows.into()));
                canvas.text(
                    col,
                    row,
                    dice.roll(8),
                    "ov界er",
                    hansard_view::Style::default(),
                );
            }
            let mut out = Vec::new();
            paint(shown.as_ref(), &canvas, &mut out);
            terminal.feed(&out);
            assert_shows(&terminal, &canvas, seed);
            let mut nothing = Vec::new();
            paint(Some(&canvas), &canvas, &mut nothing);
            assert!(nothing.is_empty());
            shown = Some(canvas);
        }
    }
}

#[test]
fn small_changes_cost_few_bytes() {
    let mut screen = Screen::new(80, 24);
    screen.feed("\x1b[32mlong line of text\r\n".repeat(20).as_bytes());
    let before = picture(&screen);
    screen.feed(b"$");
    let mut out = Vec::new();
    paint(Some(&before), &picture(&screen), &mut out);
    assert_eq!(
        String::from_utf8(out).unwrap(),
        "\x1b[21;1H\x1b[0;32m$\x1b[21;2H"
    );
    let before = picture(&screen);
    screen.feed(b"\x1b[m\x1b[2J");
    let mut out = Vec::new();
    paint(Some(&before), &picture(&screen), &mut out);
    assert!(out.len() < 400, "{}", out.len());
}
