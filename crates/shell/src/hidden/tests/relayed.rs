//! A terminal that only passes keys on: what is stored is what its screen answered.

use super::*;

/// A terminal that passes keys on, at made-up times.
struct Scene {
    typed: Typed,
    now: Instant,
    stored: Vec<u8>,
}

impl Scene {
    fn new() -> Self {
        let mut scene = Self {
            typed: Typed::new(Prompts::default()),
            now: Instant::now(),
            stored: Vec::new(),
        };
        scene.shows(b"$ ");
        scene
    }

    /// So much later, with what a recorder does meanwhile.
    fn later(&mut self, ms: u64) -> &mut Self {
        let until = self.now + Duration::from_millis(ms);
        while let Some(at) = self.typed.look_again(self.now).filter(|at| *at < until) {
            self.now = at;
            self.typed.look(Raw);
            self.stored.extend(self.typed.released(at));
        }
        self.now = until;
        self
    }

    fn shows(&mut self, bytes: &[u8]) -> &mut Self {
        self.typed.shown(bytes, self.now);
        self
    }

    fn types(&mut self, bytes: &[u8]) -> &mut Self {
        self.typed.typed(bytes, Raw, self.now);
        self
    }

    /// Keys one by one, each answered by what this says of it soon after.
    fn answered(&mut self, keys: &[u8], gap_ms: u64, answer: impl Fn(u8) -> Vec<u8>) -> &mut Self {
        for key in keys {
            self.later(gap_ms).types(&[*key]);
            let bytes = answer(*key);
            if !bytes.is_empty() {
                self.later(15).shows(&bytes);
            }
        }
        self
    }

    /// Keys that nothing answers.
    fn silent(&mut self, keys: &[u8], gap_ms: u64) -> &mut Self {
        self.answered(keys, gap_ms, |_| Vec::new())
    }

    /// What is stored when the session ends later on.
    fn stored(&mut self) -> String {
        self.later(3000);
        let rest = self.typed.rest(Raw);
        self.stored.extend(rest);
        assert_eq!(self.typed.held_bytes, 0);
        String::from_utf8(self.stored.clone()).unwrap()
    }
}

fn echo(key: u8) -> Vec<u8> {
    vec![key]
}

/// What an editor shows of a key that moves its cursor.
fn moved(_: u8) -> Vec<u8> {
    b"\x1b[23;63H5,1\x1b[5;1H".to_vec()
}

const SECRET: &[u8] = b"hunter2-Kanari";
const CLOCK: &[u8] = b"\x1b[24;1H[0] 0:bash*   12:34:56 23-Nov-26\x1b[1;3H";

#[test]
fn a_line_typed_at_a_shell_behind_a_relay_is_stored() {
    let mut scene = Scene::new();
    scene.answered(b"ls -l", 120, echo).later(80).types(b"\r");
    scene.later(20).shows(b"\r\ntotal 0\r\n$ ");
    // It is on the screen: nothing is to be waited for.
    assert_eq!(scene.typed.released(scene.now), b"ls -l\r");
    // So is one that is completed, of which the screen has more than was typed.
    scene.later(2000).answered(b"cd /et", 150, echo);
    scene.later(100).types(b"\t").later(10).shows(b"c/");
    scene.later(400).types(b"\r").later(10).shows(b"\r\n$ ");
    assert_eq!(scene.stored(), "cd /et\t\r");
}

#[test]
fn of_a_silent_prompt_behind_a_relay_nothing_is_stored_however_it_is_typed() {
    for gap_ms in [5, 40, 150, 600, 1700, 8000] {
        for end in [&b"\r"[..], b"\n", b"\x04", b"\x03"] {
            let mut scene = Scene::new();
            scene.answered(b"./ask", 100, echo).types(b"\r");
            scene.later(30).shows(b"\r\nmagic word? ").later(900);
            scene.silent(SECRET, gap_ms).later(gap_ms).types(end);
            scene.later(5).shows(b"\r\nopened\r\n$ ").later(1500);
            scene.answered(b"ls", 100, echo).types(b"\r").shows(b"\r\n");
            assert_eq!(scene.stored(), "./ask\rls\r", "{gap_ms} {end:?}");
        }
    }
    // With some letters taken back, and a wrong key.
    let mut scene = Scene::new();
    scene
        .silent(b"hunt\x7f\x7f\x1b[Anter2\x15sesame", 200)
        .types(b"\r");
    scene.later(5).shows(b"\r\n");
    assert_eq!(scene.stored(), "");
}

#[test]
fn a_clock_that_draws_itself_amid_a_secret_releases_nothing() {
    let secret = &SECRET[..7];
    for key_ms in [60, 200, 450, 999, 1100] {
        for clock_ms in [1000, 2000, 15_000] {
            for phase_ms in (0..clock_ms).step_by(usize::try_from(clock_ms / 20).unwrap()) {
                let mut scene = Scene::new();
                let mut clock = 0;
                let mut at = 0;
                let mut advance = |scene: &mut Scene, ms: u64| {
                    let until = at + ms;
                    while clock * clock_ms + phase_ms <= until {
                        let tick = clock * clock_ms + phase_ms;
                        scene.later(tick - at).shows(CLOCK);
                        at = tick;
                        clock += 1;
                    }
                    scene.later(until - at);
                    at = until;
                };
                advance(&mut scene, 4000);
                for key in secret {
                    scene.types(&[*key]);
                    advance(&mut scene, key_ms);
                }
                scene.types(b"\r").shows(b"\r\n");
                let stored = scene.stored();
                assert_eq!(stored, "", "{key_ms} {clock_ms} {phase_ms}");
            }
        }
    }
}

#[test]
fn a_secret_amid_output_of_another_window_is_not_stored() {
    for (key_ms, line_ms) in [(150, 100), (100, 80), (300, 100), (500, 40), (120, 250)] {
        let mut scene = Scene::new();
        let mut line_in = line_ms;
        for key in b"correct horse battery staple" {
            scene.types(&[*key]);
            let mut left = key_ms;
            while line_in <= left {
                scene
                    .later(line_in)
                    .shows(b"\x1b[3;1HGET /index.html 200\x1b[20;1H");
                left -= line_in;
                line_in = line_ms;
            }
            line_in -= left;
            scene.later(left);
        }
        scene.types(b"\r").shows(b"\r\n");
        assert_eq!(scene.stored(), "", "{key_ms} {line_ms}");
    }
}

#[test]
fn keys_of_an_editor_are_stored_before_any_enter() {
    let mut scene = Scene::new();
    scene.shows(b"\x1b[?1049h~\r\n~").later(2000);
    scene.answered(b"jjjj", 200, moved).later(1100);
    scene.later(1).shows(b"");
    assert_eq!(String::from_utf8(scene.stored.clone()).unwrap(), "jjjj");
    // Keys of which only the second does something, in a row with others.
    for command in [&b"dd"[..], b"gg", b"10j", b"dw"] {
        let (last, first) = command.split_last().unwrap();
        scene.silent(first, 180).answered(&[*last], 180, moved);
    }
    scene
        .answered(b":wq", 180, echo)
        .types(b"\r")
        .later(30)
        .shows(b"\"x\" 3L written\r\n$ ");
    assert_eq!(scene.stored(), "jjjjddgg10jdw:wq\r");
}

#[test]
fn a_single_key_is_stored_when_the_session_or_the_program_is_over() {
    let mut scene = Scene::new();
    scene
        .shows(b"(END)")
        .later(5000)
        .answered(b"q", 0, |_| b"\x1b[?1049l".to_vec());
    assert_eq!(scene.later(5000).stored, b"");
    assert_eq!(scene.stored(), "q");
    let mut scene = Scene::new();
    scene
        .later(3000)
        .answered(b"q", 0, |_| b"\x1b[?1049l$ ".to_vec());
    scene
        .later(3000)
        .answered(b"id", 100, echo)
        .types(b"\r")
        .shows(b"\r\n");
    assert_eq!(scene.stored(), "qid\r");
    // The terminal collects lines again.
    let mut scene = Scene::new();
    scene
        .later(3000)
        .answered(b"q", 0, |_| b"\x1b[?1049l".to_vec());
    scene.typed.look(On);
    scene.later(1500);
    assert_eq!(scene.stored, b"q");
    scene.silent(b"1234", 300).typed.look(On);
    assert_eq!(scene.stored(), "q");
}

#[test]
fn what_is_pasted_is_stored_if_it_was_shown() {
    let mut scene = Scene::new();
    scene.types(b"hunter2\r").later(10).shows(b"\r\n$ ");
    scene.later(2000).types(b"hunter2").later(50).shows(CLOCK);
    scene.later(500).types(b"\r").later(10).shows(b"\r\n$ ");
    scene
        .later(2000)
        .types(b"\x1b[200~hunter2\x1b[201~\r")
        .later(10)
        .shows(b"\r\n$ ");
    assert_eq!(scene.later(2000).stored, b"");
    scene
        .types(b"echo a; echo b\r")
        .later(10)
        .shows(b"echo a; echo b\r\na\r\nb\r\n$ ");
    scene
        .later(2000)
        .types(b"\x1b[200~make all\x1b[201~")
        .later(10);
    scene
        .shows(b"\x1b[7mmake all\x1b[27m")
        .later(900)
        .types(b"\r")
        .shows(b"\r\n");
    let shown = "echo a; echo b\r\x1b[200~make all\x1b[201~\r";
    assert_eq!(scene.later(2000).stored, shown.as_bytes());
    // Several lines, of which one is not shown.
    scene
        .types(b"one\rhunter2\rthree\r")
        .later(10)
        .shows(b"one\r\n\r\n")
        .later(20)
        .shows(b"three\r\n");
    assert_eq!(scene.stored(), format!("{shown}one\rthree\r"));
}

#[test]
fn stars_and_dots_answer_no_key() {
    for star in ["*", "•", "\x1b[1m●\x1b[0m"] {
        let mut scene = Scene::new();
        scene.shows(b"magic word? ").later(2000);
        scene.answered(SECRET, 200, |_| star.as_bytes().to_vec());
        scene.later(100).types(b"\r").later(10).shows(b"\r\n$ ");
        assert_eq!(scene.stored(), "", "{star}");
    }
    let mut scene = Scene::new();
    scene
        .later(2000)
        .answered(b"cat *", 150, echo)
        .types(b"\r")
        .shows(b"\r\n");
    assert_eq!(scene.stored(), "cat *\r");
}

#[test]
fn arrows_and_control_keys_are_stored_whatever_the_screen_does() {
    let mut scene = Scene::new();
    scene
        .silent(b"\x02\x1b", 300)
        .types(b"\x1b[A\x1b[A")
        .later(100)
        .types(b"\x1b[<0;10;5M\r");
    assert_eq!(scene.stored(), "\x02\x1b\x1b[A\x1b[A\x1b[<0;10;5M\r");
}

#[test]
fn a_key_that_repeats_is_one() {
    let mut scene = Scene::new();
    scene.later(2000);
    for _ in 0..6 {
        scene
            .types(b"jjjj")
            .later(20)
            .shows(&moved(b'j'))
            .later(100);
    }
    assert_eq!(scene.stored(), "j".repeat(24));
}

#[test]
fn a_run_without_an_end_is_bounded_and_forgotten_to_its_enter() {
    let mut scene = Scene::new();
    for _ in 0..5 * TYPED_OPEN_BYTES_MAX {
        scene.types(b"x");
        assert!(scene.typed.held_bytes <= TYPED_OPEN_BYTES_MAX);
    }
    scene.types(b"tail\r").shows(b"tail\r\n");
    scene.types(b"ls\r").shows(b"ls\r\n");
    assert_eq!(scene.stored(), "ls\r");
    let mut scene = Scene::new();
    let line = [vec![b'x'; 100], vec![b'\r']].concat();
    for _ in 0..10 * TYPED_HELD_BYTES / line.len() {
        scene.types(&line);
        assert!(scene.typed.held_bytes <= TYPED_HELD_BYTES);
    }
    assert_eq!(scene.stored(), "");
}

#[test]
fn while_nobody_types_nothing_is_looked_at() {
    let mut scene = Scene::new();
    scene.answered(b"jj", 200, moved);
    assert!(scene.typed.look_again(scene.now).is_some());
    scene.later(1500);
    assert_eq!(scene.typed.look_again(scene.now), None);
    assert_eq!(scene.typed.held.len(), 2);
}

#[test]
fn a_terminal_behind_it_that_hides_forgets_the_run() {
    let mut scene = Scene::new();
    scene.answered(b"jj", 200, moved);
    scene.typed.look(Off);
    scene.typed.typed(b"hunt", Off, scene.now);
    scene.types(b"er2\r").shows(b"\r\n");
    assert_eq!(scene.stored(), "");
}
