//! Every index passes the suite; blocks are bounded and come back as they were; what is damaged is
//! begun anew.

use std::path::{Path, PathBuf};

use super::block::{
    BLOCK_TEXT_BYTES, BLOCK_TEXTS_MAX, FLICKER_NS, SESSION_TEXT_BYTES_MAX, SPANS_MAX,
};
use super::conformance::{Rig, suite};
use super::held::HELD_BYTES_MAX;
use super::search::{Limits, search};
use super::wire::{NotABlock, Packed, pack};
use super::*;
use hansard_view::question::Question;
use hansard_view::text::{Step, Text, What};

impl Rig for MemoryIndex {
    fn index(&self) -> &dyn Index {
        self
    }

    fn crash(&mut self) {
        self.lose_power();
    }
}

/// A directory that goes when it is dropped.
pub(super) struct Scratch(PathBuf);

impl Scratch {
    pub(super) fn path(&self) -> &Path {
        &self.0
    }

    pub(super) fn new() -> Self {
        use std::sync::atomic::{AtomicU32, Ordering};
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!(
            "hansard-index-{}-{}",
            std::process::id(),
            COUNT.fetch_add(1, Ordering::Relaxed)
        );
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

struct OnDisk {
    index: Option<TantivyIndex>,
    dir: Scratch,
}

impl Rig for OnDisk {
    fn index(&self) -> &dyn Index {
        self.index.as_ref().unwrap()
    }

    fn crash(&mut self) {
        drop(self.index.take());
        let (index, why) = TantivyIndex::open(&self.dir.0).unwrap();
        assert_eq!(why, None);
        self.index = Some(index);
    }
}

fn on_disk() -> OnDisk {
    let dir = Scratch::new();
    let index = Some(TantivyIndex::open(&dir.0).unwrap().0);
    OnDisk { index, dir }
}

fn unpack(packed: &[u8], texts: &str) -> Result<Block, NotABlock> {
    Packed::of(packed, texts)?.unpack()
}

#[test]
fn the_index_in_memory_passes() {
    suite(&MemoryIndex::new);
}

#[test]
fn the_index_on_disk_passes() {
    suite(&on_disk);
}

/// As when an archive is read again: nobody commits while there is something to read.
#[test]
fn more_than_may_wait_is_taken() {
    let rig = on_disk();
    let index = rig.index();
    let mut writer = BlockWriter::new(whose());
    let (mut put, mut bytes) = (0u32, 0);
    while bytes < HELD_BYTES_MAX * 3 / 2 {
        let line = format!("{bytes} {}", "=".repeat(4000));
        bytes += line.len();
        if let Some(full) = writer.push(text(&line, 1, 2)) {
            index.put(full).unwrap();
            put += 1;
        }
    }
    index.put(writer.finish()).unwrap();
    index.commit().unwrap();
    let kept = index.kept(whose().session).unwrap();
    assert_eq!((kept.blocks, kept.is_whole), (put + 1, true));
    assert_eq!(index.size().held, 0);
}

fn whose() -> Whose {
    Whose {
        session: SessionId::new_v7(5, [1; 10]),
        user: "anna".to_owned(),
        host: "web1".to_owned(),
        kind: "terminal".to_owned(),
        start_utc_ns: 1_000,
    }
}

fn text(text: &str, first_ns: u64, last_ns: u64) -> Text {
    Text {
        what: What::Shown,
        text: text.to_owned(),
        first_ns,
        last_ns,
        steps: Vec::new(),
        is_concealed: false,
        is_blended: false,
        is_cut: false,
    }
}

#[test]
fn a_text_that_comes_again_is_kept_once_with_its_times() {
    let mut writer = BlockWriter::new(whose());
    let far = FLICKER_NS * 10;
    assert!(writer.push(text("status", 0, 100)).is_none());
    // Drawn again at once, and much later.
    assert!(writer.push(text("status", 150, 300)).is_none());
    for n in 1..200 {
        assert!(writer.push(text("status", far * n, far * n + 1)).is_none());
    }
    let block = writer.finish();
    assert_eq!(block.entries.len(), 1);
    let spans = &block.entries[0].spans;
    assert_eq!(spans.len(), SPANS_MAX);
    assert_eq!((spans[0].first_ns, spans[0].last_ns), (0, 300));
    assert_eq!(spans[SPANS_MAX - 1].last_ns, far * 199 + 1);
}

#[test]
fn blocks_are_bounded_whatever_comes() {
    for line in ["x".to_owned(), "y".repeat(4000), "é".repeat(100)] {
        let mut writer = BlockWriter::new(whose());
        let mut blocks = Vec::new();
        for n in 0..10_000u64 {
            blocks.extend(writer.push(text(&format!("{line}{n}"), n, n)));
        }
        blocks.push(writer.finish());
        let numbers: Vec<u32> = blocks.iter().map(|block| block.number).collect();
        assert_eq!(numbers, (0..blocks.len() as u32).collect::<Vec<_>>());
        let texts: usize = blocks.iter().map(|block| block.entries.len()).sum();
        assert_eq!(texts, 10_000);
        for block in &blocks {
            let bytes = block.texts.len() - block.entries.len();
            assert!(bytes <= BLOCK_TEXT_BYTES.max(line.len() + 8));
            assert!(block.entries.len() <= BLOCK_TEXTS_MAX);
        }
        let last = blocks.last().unwrap();
        assert!(last.is_last && !last.is_open);
    }
}

#[test]
fn a_session_that_shows_too_much_is_capped_and_says_so() {
    let mut writer = BlockWriter::new(whose());
    let line = "z".repeat(4000);
    let mut kept = 0;
    for n in 0..(SESSION_TEXT_BYTES_MAX / 4000 + 100) {
        let full = writer.push(text(&format!("{n:x}{line}"), n, n));
        kept += full.map_or(0, |block| block.texts.len() - block.entries.len());
    }
    let mut command = text("rm -rf", 1, 1);
    command.what = What::Command;
    assert!(kept as u64 <= SESSION_TEXT_BYTES_MAX + BLOCK_TEXT_BYTES as u64);
    let full = writer.push(command);
    let last = writer.finish();
    assert!(last.is_capped);
    let in_last = last.entries().any(|(_, text)| text == "rm -rf");
    assert!(in_last, "{}", full.is_some());
}

#[test]
fn a_block_comes_back_as_it_was_and_damage_is_seen() {
    let mut writer = BlockWriter::new(whose());
    for n in 0..300u64 {
        let mut line = text(
            // A command may have line feeds inside.
            &format!("line é{} {}", "\n\n".repeat((n % 7) as usize / 6), n % 200),
            n * FLICKER_NS * 3,
            n * FLICKER_NS * 3 + 7,
        );
        line.is_concealed = n % 3 == 0;
        line.is_cut = n % 5 == 0;
        line.what = What::ALL[(n % 6) as usize];
        line.steps = (0..n as u32 % 4)
            .map(|k| Step {
                chars: k + 1,
                at_ns: line.first_ns + u64::from(k),
            })
            .collect();
        assert!(writer.push(line).is_none());
    }
    for block in [writer.open(vec![text("standing", 1, 2)]), writer.finish()] {
        let (packed, texts) = pack(&block);
        assert_eq!(unpack(&packed, &texts), Ok(block));
        let changed = texts.replacen("line", "lime", 1);
        assert!(unpack(&packed, &changed).is_err());
        assert!(unpack(&packed, &texts[..texts.len() - 1]).is_err());
        for cut in 0..packed.len() {
            assert!(unpack(&packed[..cut], &texts).is_err(), "cut at {cut}");
        }
        for at in 0..packed.len() {
            let mut changed = packed.clone();
            changed[at] ^= 0x10;
            assert!(
                unpack(&changed, &texts).is_err()
                    || unpack(&changed, &texts) == unpack(&packed, &texts),
                "byte {at}"
            );
        }
    }
}

fn files(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => found.extend(files(&path)),
            false => found.push(path),
        }
    }
    found.sort();
    found
}

#[test]
fn an_index_that_is_damaged_or_of_another_version_is_begun_anew() {
    let mut rig = on_disk();
    let mut writer = BlockWriter::new(whose());
    assert!(writer.push(text("an apple", 1, 2)).is_none());
    rig.index().put(writer.finish()).unwrap();
    rig.index().commit().unwrap();
    rig.index.as_ref().unwrap().check().unwrap();
    drop(rig.index.take());
    let sound = files(&rig.dir.0);
    assert!(sound.len() > 3, "{sound:?}");
    // Each file in turn, one byte changed: opening or checking sees it, or it says nothing.
    let mut seen = 0;
    for path in &sound {
        let bytes = std::fs::read(path).unwrap();
        if bytes.is_empty() {
            continue;
        }
        let mut changed = bytes.clone();
        let middle = changed.len() / 2;
        changed[middle] ^= 0xff;
        std::fs::write(path, &changed).unwrap();
        let copy = Scratch::new();
        for file in files(&rig.dir.0) {
            let to = copy.0.join(file.strip_prefix(&rig.dir.0).unwrap());
            std::fs::create_dir_all(to.parent().unwrap()).unwrap();
            std::fs::copy(&file, to).unwrap();
        }
        let (index, why) = TantivyIndex::open(&copy.0).unwrap();
        let checked = index.check();
        seen += usize::from(why.is_some() || checked.is_err());
        if why.is_some() {
            assert_eq!(index.size().blocks, 0);
        }
        drop(index);
        std::fs::write(path, &bytes).unwrap();
    }
    assert!(seen >= 3, "{seen} of {}", sound.len());
    std::fs::create_dir(rig.dir.0.join("v0")).unwrap();
    let (index, why) = TantivyIndex::open(&rig.dir.0).unwrap();
    assert_eq!(why.as_deref(), Some("it was of another version"));
    // Ours is what it was.
    assert_eq!(index.size().blocks, 1);
    assert!(matches!(
        TantivyIndex::open(&rig.dir.0),
        Err(IndexError::Retry(_))
    ));
}

/// Puts a session of two megabytes whose words are no other's.
fn put_many_words(index: &dyn Index, n: u8) -> SessionId {
    let session = SessionId::from_bytes([n; 16]);
    let mut writer = BlockWriter::new(Whose { session, ..whose() });
    let mut word = u64::from(n);
    for line in 0..8000 {
        let mut shown = String::new();
        for _ in 0..16 {
            word = word.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(1);
            shown.push_str(&format!("{:x} ", word >> 8));
        }
        if let Some(block) = writer.push(text(&shown, line, line)) {
            index.put(block).unwrap();
        }
    }
    index.put(writer.finish()).unwrap();
    session
}

#[test]
fn what_was_forgotten_leaves_the_files() {
    let (disk, alone) = (on_disk(), on_disk());
    let index = disk.index();
    put_many_words(alone.index(), 1);
    alone.index().commit().unwrap();
    let wanted = alone.index().size().bytes;
    let (kept, gone) = (put_many_words(index, 1), put_many_words(index, 2));
    index.commit().unwrap();
    assert!(index.size().bytes > wanted * 3 / 2);
    index.forget(&[gone]).unwrap();
    let since = std::time::Instant::now();
    loop {
        index.commit().unwrap();
        let bytes = index.size().bytes;
        if bytes <= wanted + wanted / 50 {
            break;
        }
        assert!(since.elapsed().as_secs() < 60, "{bytes} of {wanted}");
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    assert!(index.kept(kept).unwrap().is_whole);
    assert_eq!(index.kept(gone).unwrap(), Kept::default());
}

#[test]
fn an_owner_sees_own_sessions_and_no_others() {
    let index = MemoryIndex::new();
    let mut writer = BlockWriter::new(whose());
    assert!(writer.push(text("an apple", 1, 2)).is_none());
    index.put(writer.finish()).unwrap();
    let count = |owner: Option<&str>, question: &str| {
        let question = Question::parse(question, 0).unwrap();
        let asked = search(&index, &question, owner, (None, Limits::default()), &|| {
            false
        });
        asked.unwrap().sessions.len()
    };
    assert_eq!(count(None, "apple"), 1);
    assert_eq!(count(Some("anna"), "apple"), 1);
    assert_eq!(count(Some("anna"), "apple user:anna"), 1);
    assert_eq!(count(Some("ben"), "apple"), 0);
    assert_eq!(count(Some("ben"), "apple user:anna"), 0);
    assert_eq!(count(Some(""), "apple"), 0);
}

#[test]
fn the_moment_is_when_all_that_is_asked_for_stood_there() {
    let index = MemoryIndex::new();
    let mut writer = BlockWriter::new(whose());
    let mut grown = text("make clean all", 100, 900);
    grown.steps = vec![
        Step {
            chars: 4,
            at_ns: 100,
        },
        Step {
            chars: 10,
            at_ns: 200,
        },
        Step {
            chars: 14,
            at_ns: 300,
        },
    ];
    assert!(writer.push(grown).is_none());
    index.put(writer.finish()).unwrap();
    let at = |question: &str| {
        let question = Question::parse(question, 0).unwrap();
        let found = search(&index, &question, None, (None, Limits::default()), &|| {
            false
        });
        found
            .unwrap()
            .sessions
            .first()
            .map(|found| found.hits[0].at_ns)
    };
    assert_eq!(at("make"), Some(100));
    assert_eq!(at("\"make clean\""), Some(200));
    assert_eq!(at("all"), Some(300));
    assert_eq!(at("/cl../"), Some(200));
}
