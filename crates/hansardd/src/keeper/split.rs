//! A sealed segment's bytes as the parts they are.

use hansard_core::SessionId;
use hansard_core::frame::{Frame, Part};
use hansard_core::reader::{Item, Reader};
use hansard_core::seal::Seal;

/// The parts of this segment, which was checked when it was archived. What is damaged since ends
/// them: the second answer says what is wrong.
pub(crate) fn split(session: SessionId, bytes: &[u8]) -> (Vec<Part>, Option<String>) {
    let mut reader = Reader::resume(bytes, 0).skip_decoding();
    let mut parts = Vec::new();
    let cut = |from: u64, to: u64| {
        let range = usize::try_from(from).ok()?..usize::try_from(to).ok()?;
        bytes.get(range).map(<[u8]>::to_vec)
    };
    loop {
        match reader.next_item() {
            Ok(Item::Frame(frame)) => {
                let end = frame.offset.saturating_add(frame.stored_bytes);
                let Some(bytes) = cut(frame.offset, end) else {
                    return (parts, Some("a frame beyond its end".to_owned()));
                };
                parts.push(Part::Frame(Frame {
                    session,
                    segment: frame.segment,
                    index: frame.index,
                    bytes,
                }));
            }
            Ok(Item::Seal(seal)) => {
                if let Some(bytes) = cut(seal.offset, seal.end) {
                    parts.push(Part::Seal(Seal {
                        session,
                        segment: seal.segment,
                        bytes,
                    }));
                }
                return (parts, None);
            }
            Ok(Item::Damage(damage)) => return (parts, Some(damage.to_string())),
            Ok(Item::End(_)) => return (parts, Some("it has no seal".to_owned())),
            Err(e) => return (parts, Some(e.to_string())),
        }
    }
}
