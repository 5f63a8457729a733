//! A film as a GIF (GIF89a): pictures of which each paints over what changed.

use super::canvas::{Canvas, Rect, TRANSPARENT, palette};
use super::{FILM_BYTES_MAX, FilmError};

/// Bits of a colour's number.
const COLOR_BITS: u8 = 8;

/// Codes beside the colours: begin anew, and the end.
const CLEAR: u16 = 1 << COLOR_BITS;
const END: u16 = CLEAR + 1;

/// Codes that there can be: 12 bits.
const CODES_MAX: u16 = 4096;

/// Unit of a picture's time, nanoseconds.
const UNIT_NS: u64 = 10_000_000;

/// A film that is being made: its pictures, and what the last one showed.
pub(super) struct Gif {
    pictures: Vec<u8>,
    /// Width and height of the largest picture, pixels.
    size: (u16, u16),
    /// Those of the first one.
    first: (u16, u16),
    waiting: Option<Waiting>,
    shown: Canvas,
    packer: Packer,
}

/// A picture that waits for the next one: only that says how long it is shown.
struct Waiting {
    since_ns: u64,
    part: Rect,
    pixels: Vec<u8>,
}

impl Gif {
    pub(super) fn new() -> Self {
        Self {
            pictures: Vec::new(),
            size: (0, 0),
            first: (0, 0),
            waiting: None,
            shown: Canvas::default(),
            packer: Packer::new(),
        }
    }

    /// Whether there is no picture yet.
    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_none()
    }

    /// The next picture, from this moment of the film on. One that shows nothing new is none.
    pub(super) fn shoot(&mut self, canvas: &Canvas, film_ns: u64) -> Result<(), FilmError> {
        let Some((part, pixels)) = canvas.since(&self.shown) else {
            return Ok(());
        };
        self.write_waiting(film_ns)?;
        let (width, height) = canvas.size();
        if self.first == (0, 0) {
            self.first = (width, height);
        }
        self.size = (self.size.0.max(width), self.size.1.max(height));
        self.shown.clone_from(canvas);
        self.waiting = Some(Waiting {
            since_ns: film_ns,
            part,
            pixels,
        });
        Ok(())
    }

    /// The file. The last picture is shown up to this moment of the film.
    pub(super) fn end(mut self, film_ns: u64) -> Result<Vec<u8>, FilmError> {
        self.write_waiting(film_ns)?;
        let mut file = b"GIF89a".to_vec();
        file.extend(self.size.0.to_le_bytes());
        file.extend(self.size.1.to_le_bytes());
        // 256 colours for all pictures; the ground is the default one.
        file.extend([0xf7, 16, 0]);
        file.extend(palette().as_flattened());
        // Plays again and again.
        file.extend(b"\x21\xff\x0bNETSCAPE2.0\x03\x01\0\0\0");
        if self.first != self.size {
            // Where the screen grows later, the rest is ground from the beginning.
            let (width, height) = self.size;
            let ground = Canvas::blank(width, height);
            if let Some((part, pixels)) = ground.since(&Canvas::default()) {
                file.extend(picture(part, 2, &self.packer.pack(&pixels)));
            }
        }
        if file.len().saturating_add(self.pictures.len()) > FILM_BYTES_MAX {
            return Err(FilmError::TooLarge);
        }
        file.append(&mut self.pictures);
        file.push(0x3b);
        Ok(file)
    }

    /// Writes the picture that waits: it is shown up to this moment of the film.
    fn write_waiting(&mut self, until_ns: u64) -> Result<(), FilmError> {
        let Some(Waiting {
            since_ns,
            part,
            pixels,
        }) = self.waiting.take()
        else {
            return Ok(());
        };
        // Moments are rounded, not lengths: so errors do not add up.
        let shown = (until_ns / UNIT_NS).saturating_sub(since_ns / UNIT_NS);
        let shown = u16::try_from(shown).unwrap_or(u16::MAX);
        let packed = self.packer.pack(&pixels);
        self.pictures.extend(picture(part, shown, &packed));
        if self.pictures.len() > FILM_BYTES_MAX {
            return Err(FilmError::TooLarge);
        }
        Ok(())
    }
}

/// A picture in the file: where, for how many hundredths of a second, its pixels as they are packed.
fn picture(part: Rect, hundredths: u16, packed: &[u8]) -> Vec<u8> {
    // It stays; one colour lets through what was there.
    let mut bytes = vec![0x21, 0xf9, 4, 0x05];
    bytes.extend(hundredths.to_le_bytes());
    bytes.extend([TRANSPARENT, 0, 0x2c]);
    for number in [part.x, part.y, part.width, part.height] {
        bytes.extend(number.to_le_bytes());
    }
    bytes.extend([0, COLOR_BITS]);
    for piece in packed.chunks(255) {
        bytes.push(u8::try_from(piece.len()).unwrap_or(255));
        bytes.extend(piece);
    }
    bytes.push(0);
    bytes
}

/// LZW as GIF has it: codes of 9 to 12 bits, the lowest first.
struct Packer {
    /// The code of each known code followed by each colour; 0: none.
    next: Vec<u16>,
}

impl Packer {
    fn new() -> Self {
        Self {
            next: vec![0; usize::from(CODES_MAX) << COLOR_BITS],
        }
    }

    fn pack(&mut self, pixels: &[u8]) -> Vec<u8> {
        let mut bits = Bits::default();
        let (mut size, mut count) = (COLOR_BITS + 1, END + 1);
        self.next.fill(0);
        bits.put(CLEAR, size);
        let mut pixels = pixels.iter();
        let Some(first) = pixels.next() else {
            bits.put(END, size);
            return bits.finish();
        };
        let mut code = u16::from(*first);
        for pixel in pixels {
            let place = (usize::from(code) << COLOR_BITS) | usize::from(*pixel);
            let Some(next) = self.next.get_mut(place) else {
                break;
            };
            if *next != 0 {
                code = *next;
                continue;
            }
            bits.put(code, size);
            if count < CODES_MAX {
                *next = count;
                // Whoever reads knows a code one step later, and takes longer ones from then on.
                if count == 1 << size {
                    size += 1;
                }
                count += 1;
            } else {
                bits.put(CLEAR, size);
                self.next.fill(0);
                (size, count) = (COLOR_BITS + 1, END + 1);
            }
            code = u16::from(*pixel);
        }
        bits.put(code, size);
        // The reader has one more code by then, for which this may be too short.
        if count == 1 << size && size < 12 {
            size += 1;
        }
        bits.put(END, size);
        bits.finish()
    }
}

#[derive(Default)]
struct Bits {
    bytes: Vec<u8>,
    held: u32,
    count: u8,
}

impl Bits {
    fn put(&mut self, code: u16, size: u8) {
        self.held |= u32::from(code) << self.count;
        self.count += size;
        while self.count >= 8 {
            self.bytes.push(self.held.to_le_bytes()[0]);
            self.held >>= 8;
            self.count -= 8;
        }
    }

    fn finish(mut self) -> Vec<u8> {
        if self.count > 0 {
            self.bytes.push(self.held.to_le_bytes()[0]);
        }
        self.bytes
    }
}
