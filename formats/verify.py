#!/usr/bin/python3
"""A second reader for Hansard recordings, written from formats/segment.md alone.

    verify.py verify FILE...   one line for each file: verdict, segments, frames, events, signer
    verify.py events FILE      every sound event, one JSON object a line

Exit status: 0 complete, 1 unfinished, 3 damaged, 2 not a recording this reader can read, or wrong
use. Of several files the worst counts, by 3 > 2 > 1 > 0. `events` writes the verdict to standard
error and exits likewise.

Needs Python 3.11 with `cryptography` and `zstandard` (Debian: python3-cryptography,
python3-zstandard). The numbers in the comments are the sections of segment.md.

How it works: Recording.read() walks over the records one by one. Whatever is wrong raises Damage,
bytes that end inside a record raise Torn. Integrity (length, head check, checksum) is decided
before any content is decoded. Never more than one frame is in memory, and its size is checked
before it is read (stored) or decompressed (raw).
"""

import base64, hashlib, json, os, stat, sys, uuid
from struct import pack

import zstandard
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

MAGIC, VERSION, FRAME, SEAL, MIB = b"\x89HNSD\r\n\x1a", 1, b"\xf7", b"\x9c", 1 << 20
MAX_PAYLOAD, MAX_SEAL = 2 * MIB, 65_535  # 6.1, in the order of the table
MAX_FRAME_RAW, MAX_SEGMENT_RAW, MAX_WINDOW = 4 * MIB, 256 * MIB, 8 * MIB
MAX_EVENTS, MAX_BODY, MAX_FRAMES = 65_536, MIB, 1_048_576
MAX_FIELDS, MAX_DEPTH = 4_096, 4
ZSTD_BLOCK = 128 << 10  # RFC 8878, 3.1.1.2.4: no block holds more
U32, U64 = (1 << 32) - 1, (1 << 64) - 1

# Messages: {field number: type}, where a number as type stands for so many bytes.
HEADER = {1: 16, 2: "number", 3: "number", 4: "number", 5: 32, 6: "number"}
STATEMENT = {1: 16, 2: "number", 3: "number", 4: "number", 5: "number", 6: 32, 7: 32, 8: "number"}
SESSION = {1: 16, 2: 16, 3: "text", 4: "bytes", 5: "bytes", 6: "bytes", 7: "number", 8: "number",
           9: "bytes", 10: 32, 11: "text"}
VALUE = {1: "text", 2: "bytes", 3: "number", 4: "number", 5: "number", 6: "bytes"}

FACTS = {2: "auth", 3: "channel", 4: "command", 5: "file", 6: "network", 7: "process",
         8: "transfer", 9: "request", 10: "admin"}
STREAMS = {0x10: "output", 0x11: "stdout", 0x12: "stderr", 0x13: "stdin", 0x14: "keystrokes"}
START, END, RESIZE = 0x01, 0x0E, 0x0F
OTHERS = {  # kind: family and, by field number from 1, name, type and default
    0x0B: ("clock", ("utc_ns", "number", 0), ("quality", "number", 0), ("reason", "text", "")),
    0x0C: ("mark", ("label", "text", "")),
    0x0D: ("gap", ("cause", "text", ""), ("from_ns", "number", 0), ("events", "number", None),
           ("bytes", "number", None), ("bytes_max", "number", None)),
    END: ("end", ("reason", "text", ""), ("exit_status", "number", None), ("signal", "text", None)),
    RESIZE: ("resize", ("cols", "number", 0), ("rows", "number", 0)),
}
QUALITY = {1: "synchronised", 2: "unsynchronised"}  # all others: unknown
ON_LOSS = {0: "end", 1: "hold", 2: "continue"}
SWITCHES = ("stdin", "keystrokes", "stdout", "stderr", "passwords", "forwarding", "files", "strict")
TERMS = ("idle_ms_max", "bulk_bytes_max", "version", "rule")

class Damage(Exception): """Bytes that no sound recording can hold."""
class Torn(Exception): """The bytes end inside a record, and are right as far as they go."""
class Foreign(Damage): """A sound seal of another key."""
class Refused(Exception): """It cannot be read, damaged or not: no recording, another version."""

def bad(condition, why):
    if condition:
        raise Damage(why)

def up_to(most, what): return lambda number: bad(number > most, f"{what} exceeds {most}")

def sha256(*parts):
    return hashlib.sha256(b"".join(parts)).digest()

# ---------------------------------------------------------------------------- primitives (2)
def varint(buf, pos):
    """The varint at pos and the place behind it (2.1)."""
    value = shift = 0
    while True:
        bad(pos >= len(buf), "a varint is cut off")
        byte = buf[pos]
        pos += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            bad(byte == 0 and shift, "a varint is not minimal")
            bad(value > U64, "a varint exceeds 64 bits")
            return value, pos
        shift += 7
        bad(shift > 63, "a varint exceeds 64 bits")

def varints(buf, pos, count):
    """A list of count varints from pos on and the place behind them."""
    run = buf[pos:pos + count]
    if len(run) == count and run.isascii():  # all of one byte each: by far the most usual lengths
        return list(run), pos + count
    values = []
    for _ in range(count):
        value, pos = varint(buf, pos)
        values.append(value)
    return values, pos

def message(buf):
    """The fields of a message (2.2), one after another: number and value (int or bytes)."""
    pos, end = 0, len(buf)
    while pos < end:
        key, pos = varint(buf, pos)
        bad(not 8 <= key <= U32, "a message has a field number out of range")
        bad(key & 7 not in (0, 2), "a message has a field of another type than 0 and 2")
        value, pos = varint(buf, pos)
        if key & 7 == 2:
            bad(value > end - pos, "a field is longer than its message")
            pos += value
            value = buf[pos - value:pos]
        yield key >> 3, value

def typed(value, kind):
    """Checks a known field's type (see HEADER) and makes a string of a text."""
    bad(isinstance(value, int) != (kind == "number"), "a field has another type than its own")
    bad(isinstance(kind, int) and len(value) != kind, "a field is not as long as it must be")
    if kind == "text":
        try:
            return value.decode("utf-8")
        except UnicodeDecodeError:
            raise Damage("a text is not UTF-8") from None
    return value

def record(buf, schema, required=(), each=None):
    """A message as {number: value}, of two fields the last one; each is checked by each[number]."""
    found = {}
    for number, value in message(buf):
        if number in schema:
            found[number] = typed(value, schema[number])
            (each or {}).get(number, bool)(found[number])
    for number in required:
        bad(number not in found, f"the required field {number} is absent")
    return found

# ---------------------------------------------------------------------------- bodies (5)
def b64(value):
    return base64.b64encode(value).decode("ascii")

def uuid_text(value):
    return str(uuid.UUID(bytes=value))

def plain_value(buf, depth=0):
    """A value (5.3); depth is how many lists are around it."""
    found = None
    for number, value in message(buf):
        bad(found, "a value has more than one field")
        bad(number not in VALUE, "a value is of an unknown type")
        found = number, typed(value, VALUE[number])
    bad(not found, "a value has no field")
    number, value = found
    if number == 2:
        return {"base64": b64(value)}
    if number == 4:
        return (value >> 1) ^ -(value & 1)
    if number == 5:
        bad(value > 1, "a truth value is neither 0 nor 1")
        return value == 1
    if number == 6:
        bad(depth == MAX_DEPTH, "lists nest too deep")
        elements = []
        for number, element in message(value):
            bad(number != 1, "a list has a field other than 1")
            bad(len(elements) == MAX_FIELDS, "a list has too many elements")
            elements.append(plain_value(typed(element, "bytes"), depth + 1))
        return elements
    return value

def plain_fields(buf):
    """A fields message (5.3): an object, or if a name stands twice, a list of names and values."""
    pairs, name = [], None
    for number, value in message(buf):
        bad(number != (1 if name is None else 2), "names and values do not alternate")
        if number == 1:
            bad(len(pairs) == MAX_FIELDS, "there are too many fields")
            name = typed(value, "text")
        else:
            pairs.append((name, plain_value(typed(value, "bytes"))))
            name = None
    bad(name is not None, "a field has a name and no value")
    return dict(pairs) if len({name for name, _ in pairs}) == len(pairs) else pairs

def terms(buf):
    """The policy of a Start."""
    schema = dict.fromkeys(range(1, 14), "number") | {14: "text"}
    return record(buf, schema, each={9: up_to(2, "the policy on loss")})

def plain_session(body):
    """A Start (5.1), as it is printed."""
    f = record(body, SESSION, (1,), dict.fromkeys((4, 5, 6), plain_fields) | {9: terms})
    groups = {name: plain_fields(f.get(number, b""))
              for number, name in ((4, "subject"), (5, "origin"), (6, "target"))}
    p = terms(f.get(9, b""))
    policy = {name: p.get(number) == 1 for number, name in enumerate(SWITCHES, 1)}
    policy |= {"on_loss": ON_LOSS[p.get(9, 0)], "hold_ms_max": p.get(10, 0)}
    policy |= {name: p[n] for n, name in enumerate(TERMS, 11) if p.get(n)}
    return {"id": uuid_text(f[1]), "parent": uuid_text(f[2]) if 2 in f else None,
            "kind": f.get(3, ""), **groups, "start_utc_ns": f.get(7, 0),
            "clock": QUALITY.get(f.get(8), "unknown"), "policy": policy,
            "recorder_key": f.get(10, b"").hex(), "recorder": f.get(11, "")}

def plain_event(kind, body):
    """An event as it is printed, without number and time. Checks all that section 5 says."""
    if kind in STREAMS:
        bad(not body, "an event has empty data")
        try:
            return {"family": "data", "stream": STREAMS[kind], "text": body.decode("utf-8")}
        except UnicodeDecodeError:
            return {"family": "data", "stream": STREAMS[kind], "base64": b64(body)}
    if kind in FACTS:
        f = record(body, {1: "text", 2: "bytes"}, each={2: plain_fields})
        return {"family": FACTS[kind], "event": f.get(1, ""), "fields": plain_fields(f.get(2, b""))}
    if kind == START:
        return {"family": "start", **plain_session(body)}
    if kind in OTHERS:
        family, *schema = OTHERS[kind]
        each = {2: up_to(255, "an exit status")} if kind == END else None
        f = record(body, {n: type for n, (_, type, _) in enumerate(schema, 1)}, each=each)
        bad(kind == RESIZE and max(f.values(), default=0) > 65_535, "a size exceeds 65535")
        event = {name: f.get(n, default) for n, (name, _, default) in enumerate(schema, 1)}
        if "quality" in event:
            event["quality"] = QUALITY.get(event["quality"], "unknown")
        return {"family": family, **event}
    return {"family": "unknown", "kind": kind, "base64": b64(body)}

# ---------------------------------------------------------------------------- payloads (4)
class Decompressor:
    """The one zstd frame of a segment, fed payload by payload.

    Blocks are counted off by their headers (RFC 8878, 3.1.1.2) before zstd sees them: so what they
    can become is known before it is allocated, and the frame's end is noticed before it happens.
    """
    def __init__(self):
        self.zstd, self.total = None, 0

    def raw(self, payload):
        out, size, bound, begin, end = [], 0, 0, 0, len(payload)
        pos = 0 if self.zstd else self.open(payload)
        while begin < end:
            if pos == end or bound >= MIB:
                try:
                    out.append(self.zstd.decompress(payload[begin:pos]))
                except zstandard.ZstdError:
                    raise Damage("the payload cannot be decompressed") from None
                size += len(out[-1])
                bad(size > MAX_FRAME_RAW, "a frame is too long decompressed")
                begin, bound = pos, 0
                continue
            head = int.from_bytes(payload[pos:pos + 3], "little")
            kind, length = head >> 1 & 3, head >> 3
            pos += 3 + (1 if kind == 1 else length)
            bad(pos > end, "a payload does not end on a block boundary")
            bad(head & 1, "the zstd frame ends inside the segment")
            bad(kind == 3 or length > ZSTD_BLOCK, "a zstd block is not valid")
            bound += ZSTD_BLOCK if kind == 2 else length
        self.total += size
        bad(self.total > MAX_SEGMENT_RAW, "a segment is too long decompressed")
        return b"".join(out)

    def open(self, payload):
        """Checks the zstd frame's header, 6 bytes where it has no optional parts."""
        bad(len(payload) < 6 or payload[:5] != b"\x28\xb5\x2f\xfd\0",
            "no zstd frame without optional parts begins here")
        base = 1 << 10 + (payload[5] >> 3)
        bad(base + base // 8 * (payload[5] & 7) > MAX_WINDOW, "the zstd window is too big")
        self.zstd = zstandard.ZstdDecompressor(max_window_size=MAX_WINDOW).decompressobj()
        return 6

def columns(raw):
    """The events of a frame's raw bytes: time steps, kinds and bodies."""
    count, pos = varint(raw, 0)
    bad(count == 0, "a frame has no events")
    bad(count > MAX_EVENTS or count * 3 > len(raw), "a frame has too many events")
    steps, pos = varints(raw, pos, count)
    kinds = raw[pos:pos + count]
    lengths, pos = varints(raw, pos + count, count)
    bad(max(lengths) > MAX_BODY, "the body of an event is too long")
    bad(sum(lengths) != len(raw) - pos, "a frame's bodies are not as long as their lengths say")
    bodies = []
    for length in lengths:
        bodies.append(raw[pos:pos + length])
        pos += length
    return steps, kinds, bodies

# ---------------------------------------------------------------------------- recordings (3, 6)
def is_small(point):
    """Whether these 32 bytes are a point of order 8 or less (3.3) of the curve in RFC 8032, 5.1."""
    y, p = int.from_bytes(point, "little") & (1 << 255) - 1, (1 << 255) - 19
    return y * (y * y - 1) * (121_666 * (2 * y * y - 1) - 121_665 * y ** 4) % p == 0

class Segment:
    """The segment being read."""
    def __init__(self, header):
        self.session, self.number = header[1], header[2]
        self.seq, self.time = header[3], header[4]  # of the next event; of the event before it
        self.frames, self.ended, self.zstd = 0, False, Decompressor()
        self.hash = hashlib.sha256(b"hansard segment 1\0" + self.place(U32)[:20] + header[5])

    def place(self, index):
        return self.session + pack("<II", self.number, index)

class Recording:
    """Reads a file once. emit, if given, is called with each sound frame's lines of JSON."""
    def __init__(self, file, emit=None):
        self.file, self.emit = file, emit
        self.size = self.end = os.fstat(file.fileno()).st_size
        self.segments = self.frames = self.events = 0  # sound ones; of segments, the sealed
        self.damage, self.damages = None, 0  # the first: (offset, segment, frame, why); how many
        self.session = self.recorder = self.signer = None  # id, the Start's key, the seals' key
        self.segment = None  # the segment being read; None between two
        self.expected = 0  # the number of the segment that is or should be here
        self.highest = -1  # the highest number of a segment whose opening frame was sound
        self.sealed = (-1, bytes(32), 0, 0)  # last sound seal: number, digest, next event, time
        self.floor = (0, 0)  # event number and time that no later segment may lie before
        self.lost = False  # after damage, until a segment opens again
        self.found = False  # whether an opening frame fitted
        self.final = False  # after the final seal
        self.behind = None  # the end of the record being read, once its head is known to fit

    def at(self, pos, count):
        """Up to count bytes from pos on, as many as there are."""
        self.file.seek(pos)
        return self.file.read(max(0, min(count, self.end - pos)))

    def need(self, pos, count):
        data = self.at(pos, count) if count <= self.end - pos else b""
        if len(data) < count:
            raise Torn
        return data

    # -- one record (3): framing and integrity, no content
    def check(self, pos, expected, why):
        """Check bytes at pos; cut off they are not compared."""
        bad(self.need(pos, len(expected)) != expected, why)
        return expected

    def head(self, start, pos, limit, place, longest, tail):
        """The end of a record's head, length and head check: all the head's bytes, the length.

        Behind the payload stand tail bytes more."""
        data = self.at(pos, longest)
        count = next((n for n, byte in enumerate(data, 1) if byte < 0x80), 0)
        if not count and len(data) < longest:
            raise Torn
        bad(not count, "the payload's length has too many bytes")
        size, _ = varint(data, 0)
        bad(size > limit, "the payload is too long")
        head = self.need(start, pos + count - start)
        check = sha256(b"hansard head 1\0", place, head)[:2]
        head += self.check(pos + count, check, "the head check does not fit")
        self.behind = start + len(head) + size + tail
        return head, size

    def frame_at(self, start, head, size, place):
        """The rest of a frame behind its head: payload, digest, the place behind."""
        pos = start + len(head)
        payload = self.need(pos, size)
        digest = sha256(b"hansard frame 1\0", place, head, payload)
        self.check(pos + size, digest[:8], "the checksum does not fit")
        return payload, digest, pos + size + 8

    def opening_at(self, start):
        """The head of an opening frame: segment header, and the arguments for frame_at."""
        bad(not MAGIC.startswith(self.at(start, 8)), "no segment opens here")
        prefix = self.need(start, 11)
        self.check(start + 11, sha256(b"hansard prefix\0", prefix)[:2],
                   "the prefix check does not fit")
        bad(prefix[8] != VERSION and self.found, f"a segment of format version {prefix[8]}")
        if prefix[8] != VERSION:
            raise Refused(f"format version {prefix[8]} at byte {start}")
        pos = start + 13 + int.from_bytes(prefix[9:], "little")
        header = record(self.need(start + 13, pos - start - 13), HEADER, (1, 2, 3, 4, 5))
        bad(header[2] > U32, "the segment number exceeds 32 bits")
        place = Segment(header).place(0)
        head, size = self.head(start, pos, MAX_PAYLOAD, place, 4, 8)
        if header.get(6, 0):
            raise Refused(f"encrypted (segment {header[2]}, method {header[6]})")
        self.found = True
        return header, (start, head, size, place)

    def other_at(self, start):
        """A frame or seal of the segment being read: its first byte, and its parts."""
        place, kind = self.segment.place(self.segment.frames), self.need(start, 1)
        bad(kind not in (FRAME, SEAL), "neither a frame nor a seal stands here")
        if kind == FRAME:
            bad(self.segment.ended, "a frame follows the recording's End")
            bad(self.segment.frames == MAX_FRAMES, "a segment has too many frames")
            head, size = self.head(start, start + 1, MAX_PAYLOAD, place, 4, 8)
            return kind, self.frame_at(start, head, size, place)
        head, size = self.head(start, start + 1, MAX_SEAL, place, 3, 0)
        bad(size < 64, "a seal is too short for its signature")
        payload = self.need(start + len(head), size)
        return kind, (payload[:-64], payload[-64:], start + len(head) + size)

    # -- order and the chain (6.2)
    def link(self, header):
        """Why a segment header does not fit behind what was read, or None."""
        number, digest, seq, time = self.sealed
        if self.session not in (None, header[1]):
            return "a segment of another session"
        if self.segment:
            return "the segment before has no seal"
        if header[2] != number + 1:
            if not self.lost or header[2] <= self.highest:
                return f"segment {header[2]} instead of {number + 1}"
            if header[3] < self.floor[0] or header[4] < self.floor[1]:
                return "the segment begins before the end of the one before"
        elif header[5] != digest:
            return "the digest of the segment before does not fit"
        elif header[3] != seq:
            return f"the segment begins with event {header[3]} instead of {seq}"
        elif header[4] != time:
            return "the base time is not the time of the event before"
        return None

    def later(self, header):  # may one go on with this segment after damage (6.3)?
        return self.session in (None, header[1]) and header[2] > self.highest

    def opening(self, pos):
        header, parts = self.opening_at(pos)
        frame = self.frame_at(*parts)  # a frame that is cut off is not compared with its place
        why = self.link(header)
        bad(why and not self.later(header), why)
        if why:
            self.note(pos, why)  # sound in itself, so what is wrong is before it: go on here
        self.session, self.expected = header[1], header[2]
        self.highest, self.lost, self.segment = header[2], False, Segment(header)
        return self.content(*frame)

    def content(self, payload, digest, behind):
        """Decodes the payload of a frame whose checksum fits, and counts it in."""
        segment, lines = self.segment, []
        seq, time = segment.seq, segment.time
        steps, kinds, bodies = columns(segment.zstd.raw(payload))
        bad(segment.number == segment.frames == 0 and len(kinds) > 1, "the Start is not alone")
        for step, kind, body in zip(steps, kinds, bodies):
            time += step
            bad(segment.ended, "an event follows the recording's End")
            bad((seq == 0) != (kind == START), "the Start is missing or not the first event")
            bad(time > U64 or seq == U64, "a time or an event's number exceeds 64 bits")
            if self.emit or kind not in STREAMS or not body:
                event = {"seq": seq, "at_ns": time, **plain_event(kind, body)}
                if self.emit:
                    lines.append(json.dumps(event, ensure_ascii=False) + "\n")
                if kind == START:
                    bad(event["id"] != uuid_text(segment.session), "the Start has another id")
                    self.recorder = bytes.fromhex(event["recorder_key"])
            segment.ended = kind == END
            seq += 1
        segment.seq, segment.time = self.floor = seq, time
        segment.frames += 1
        segment.hash.update(digest)
        self.frames += 1
        self.events += len(kinds)
        if self.emit:
            self.emit(lines)
        return behind

    def seal(self, statement, signature, behind):
        segment = self.segment
        number, final = up_to(U32, "a number of a seal"), up_to(1, "the word on the end")
        s = record(statement, STATEMENT, STATEMENT, {2: number, 3: number, 8: final})
        bad(is_small(s[7]) or is_small(signature[:32]), "the seal's signature is not valid")
        try:
            signed = b"hansard seal 1\0" + statement
            Ed25519PublicKey.from_public_bytes(s[7]).verify(signature, signed)
        except (InvalidSignature, ValueError):
            raise Damage("the seal's signature is not valid") from None
        segment.hash.update(pack("<I", segment.frames))
        digest = segment.hash.digest()
        bad(s[1] != segment.session or s[2] != segment.number, "the seal is of another segment")
        bad(s[3] != segment.frames or s[4] != segment.seq, "the seal counts differently")
        bad(s[5] < segment.time, "the seal is from before the segment's last event")
        bad(s[6] != digest, "the seal states another digest")
        bad(s[8] != segment.ended, "the seal is wrong about the recording's end")
        key = self.signer if self.recorder is None else self.recorder
        if key not in (None, s[7]):
            raise Foreign("the seal's key is not the recorder's")
        self.segments += 1
        self.signer, self.final = s[7], s[8] == 1
        self.sealed = (segment.number, digest, segment.seq, segment.time)
        self.segment, self.expected = None, segment.number + 1
        return behind

    # -- the whole (6.3)
    def read(self):
        """The verdict: complete, unfinished or damaged. Raises Refused."""
        pos = 0
        if not self.size:
            raise Refused("not a recording")
        while pos < self.size:
            try:
                pos = self.step(pos)
            except Torn:
                break
            except Damage as damage:
                torn = not isinstance(damage, Foreign) and self.torn_by_zeros(pos)
                following = self.opening_from(pos + (not self.final))
                if torn and following == self.size:
                    break
                self.note(pos, damage)
                self.segment, self.final, self.lost = None, False, True
                self.expected, pos = self.highest + 1, following
        return "damaged" if self.damages else "complete" if self.final else "unfinished"

    def step(self, pos):
        """Reads the record at pos and returns the place behind it."""
        self.behind = None
        bad(self.final, "bytes follow the final seal")
        if self.segment is None or self.at(pos, 1) == MAGIC[:1]:
            return self.opening(pos)
        kind, parts = self.other_at(pos)
        return self.seal(*parts) if kind == SEAL else self.content(*parts)

    def note(self, pos, why):
        frame = self.segment.frames if self.segment else 0
        self.damage = self.damage or (pos, self.expected, frame, str(why))
        self.damages += 1

    def magics(self, pos):
        chunk = MAGIC
        while len(chunk) >= len(MAGIC):
            chunk = self.at(pos, 1 << 16)
            found = chunk.find(MAGIC)
            while found >= 0:
                yield pos + found
                found = chunk.find(MAGIC, found + 1)
            pos += len(chunk) - len(MAGIC) + 1

    def torn_by_zeros(self, pos):
        """Whether the zeros at the file's end make the record at pos a torn one, if no segment
        follows it."""
        if self.final or self.damages or not self.frames:
            return False
        zeros = begin = self.size
        while begin and zeros == begin:
            begin = max(0, begin - 4096)
            zeros = begin + len(self.at(begin, zeros - begin).rstrip(b"\0"))
        sector = -(-zeros // 512) * 512
        reach = max(-(-pos // 512) * 512, (self.behind or 0) - 1)
        return zeros <= pos or sector < self.size and sector <= reach

    def opening_from(self, pos):
        """Where to go on after damage, from pos on: at an opening frame that fits, or the end."""
        alien = not self.found and sum(a == b for a, b in zip(self.at(0, 8), MAGIC)) < 4
        for found in self.magics(pos):
            try:
                if self.later(self.opening_at(found)[0]):
                    if alien and found >= 16 * MIB:
                        break
                    return found
            except (Damage, Torn, Refused):
                pass
        if alien:
            raise Refused("not a recording")
        return self.size

def judge(path, emit=None):
    """Reads a file: exit status and the line that describes it."""
    recording = None
    try:
        with open(path, "rb") as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise Refused("not a regular file")
            recording = Recording(file, emit)
            verdict = recording.read()
    except (OSError, Refused) as error:
        if not recording or not recording.frames:
            return 2, f"refused: {error}"
        verdict = f"refused: {error}"
    signer = recording.signer.hex() if recording.signer else "-"
    line = (f"{verdict}, {recording.segments} segments, {recording.frames} frames, "
            f"{recording.events} events, signer {signer}")
    if recording.damages:
        line += ", damaged at byte {} (segment {}, frame {}): {}".format(*recording.damage)
        line += f" (the first of {recording.damages})" if recording.damages > 1 else ""
    return {"complete": 0, "unfinished": 1, "damaged": 3}.get(verdict, 2), line

def main(args):
    command, paths = args[:1], args[1:]
    if not paths or command not in (["verify"], ["events"]) or command == ["events"] and paths[1:]:
        print("usage: verify.py verify FILE... | verify.py events FILE", file=sys.stderr)
        return 2
    out, to, emit, worst = sys.stdout.buffer, sys.stdout, None, 0
    if command == ["events"]:
        to, emit = sys.stderr, lambda lines: out.write("".join(lines).encode())
    for path in paths:
        status, line = judge(path, emit)
        out.flush()
        print(f"{ascii(path)[1:-1]}: {ascii(line)[1:-1]}", file=to, flush=True)
        worst = max(worst, status)
    return worst

if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except OSError as error:  # standard output is closed or full: nothing more can be said there
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        print(f"verify.py: {error}", file=sys.stderr)
        sys.exit(2)
