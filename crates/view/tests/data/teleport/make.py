#!/usr/bin/env python3
"""Writes the samples beside it: Teleport recordings made from the documented layout only.

Shares no code with what reads them. Run here; the samples are committed.
"""
import gzip
import io
import json
import struct
import tarfile

SID = "6f1c0a52-9d0b-4c8e-8f8f-0e6a5c1b2d3e"


# Protocol buffers.
def varint(n):
    n &= (1 << 64) - 1
    out = bytearray()
    while n > 127:
        out.append(n & 127 | 128)
        n >>= 7
    return bytes(out + bytes([n]))


def num(field, n):
    return varint(field << 3) + varint(n) if n else b""


def raw(field, data):
    if isinstance(data, str):
        data = data.encode()
    return varint(field << 3 | 2) + varint(len(data)) + data


def meta(ei, event, code="", ms=0):
    seconds = 1700000000 + ms // 1000
    time = num(1, seconds) + num(2, ms % 1000 * 1000000)
    said = num(1, ei) + raw(2, event)
    if code:
        said += raw(3, "00000000-0000-4000-8000-%012d" % ei) + raw(4, code)
    return raw(1, said + raw(5, time) + raw(6, "example.com"))


USER = raw(1, "alice") + raw(2, "root") + raw(14, "access") + raw(14, "auditor")
SESSION = raw(1, SID)
SERVER = raw(1, "default") + raw(2, "node-1") + raw(3, "db7") + raw(5, raw(1, "env") + raw(2, "prod"))
CONNECTION = raw(1, "10.0.0.7:3022") + raw(2, "192.0.2.9:51000") + raw(3, "ssh")
KERNEL = num(1, 5007) + num(2, 2360) + raw(3, "curl")


def one_of(number, message):
    return raw(number, message)


def start(ei=0):
    return one_of(5, meta(ei, "session.start", "T2000I") + raw(2, USER) + raw(3, SESSION) + raw(4, SERVER)
                  + raw(5, CONNECTION) + raw(6, "80:25") + raw(9, "bash") + raw(9, "-l")
                  + raw(10, "node"))


def out(ei, ci, ms, data, offset=0):
    return one_of(7, meta(ei, "print", ms=ms) + num(2, ci) + raw(3, data) + num(4, len(data))
                  + num(5, ms) + num(6, offset))


def resize(ei, ms, size):
    return one_of(9, meta(ei, "resize", "T2002I", ms) + raw(2, USER) + raw(3, SESSION) + raw(6, size))


def command(ei, ms):
    return one_of(11, meta(ei, "session.command", "T4000I", ms) + raw(2, USER) + raw(3, SESSION)
                  + raw(4, SERVER) + raw(5, KERNEL) + num(6, 4985) + raw(7, "/bin/curl")
                  + raw(8, "https://wttr.in") + raw(8, "") + num(9, -2))


def end(ei, ms):
    return one_of(10, meta(ei, "session.end", "T2004I", ms) + raw(2, USER) + raw(3, SESSION)
                  + num(6, 1) + num(7, 1) + raw(8, "alice") + raw(9, num(1, 1700000000)))


def unknown(ei, ms):
    return one_of(222, meta(ei, "join_token.bound_keypair.verify", "TJ", ms) + raw(4, "token"))


# The stream.
def part(records, padding=0, inside=b"", version=1, flags=0):
    body = gzip.compress(b"".join(struct.pack(">I", len(r)) + r for r in records), 6, mtime=0) + inside
    header = struct.pack(">QQQ", version, len(body), padding)
    if version == 2:
        header += bytes([flags]) + bytes(7)
    return header + body + bytes(padding)


def all_events():
    return [start(), out(1, 0, 100, b"$ "), command(2, 250), out(3, 1, 350, b"curl\r\n", 2),
            resize(4, 500, "132:43"), unknown(5, 600), out(6, 2, 700, b"\xff\xe7\x95\x8c", 8), end(7, 900)]


def save(name, data):
    with open(name, "wb") as f:
        f.write(data)


# The classic files.
def at(ms):
    seconds, ms = 1600000000 + ms // 1000, ms % 1000
    import datetime
    text = datetime.datetime.fromtimestamp(seconds, datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%S")
    return text + (".%03d" % ms).rstrip("0").rstrip(".") + "Z"


def line(**fields):
    return json.dumps({k.replace("__", "."): v for k, v in fields.items()}, separators=(",", ":"), sort_keys=True) + "\n"


def go_print(ei, ci, ms, at_ms, offset, n):
    # Teleport's own order of names.
    return '{"time":"%s","event":"print","bytes":%d,"ms":%d,"offset":%d,"ei":%d,"ci":%d}\n' % (at(at_ms), n, ms, offset, ei, ci)


def main():
    e = all_events()
    save("one-part.tar", part(e))
    save("padded.tar", part(e[:3], 300) + struct.pack(">QQQ", 1, 0, 40) + bytes(40)
         + part(e[3:5], inside=bytes(77)) + part(e[5:]))
    save("resumed.tar", part(e[:5]) + part(e[3:]))
    save("gap.tar", part(e[:3] + e[6:]))
    save("v2.tar", part(e, version=2))
    save("encrypted.tar", struct.pack(">QQQ", 2, 64, 0) + b"\1" + bytes(7) + b"age-encryption.org/v1\n" + bytes(42))

    who = dict(user="alice", login="root", sid=SID, namespace="default", server_id="node-1")
    chunks = [b"$ ", b"ls\r\n", b"a  b\r\n\xff", b"$ exit\r\n"]
    offsets = [0, 2, 6, 13]
    events = (
        line(event="session.start", ei=0, time=at(0), code="T2000I", uid="u0", size="80:25", addr__remote="192.0.2.9:51000",
             addr__local="10.0.0.7:3022", server_labels={"env": "prod", "a.b": "c"}, initial_command=None, **who)
        + go_print(1, 0, 0, 120, 0, 2)
        + go_print(2, 1, 1330, 1451, 2, 4)
        + line(event="resize", ei=3, time=at(2000), code="T2002I", uid="u3", size="132:43", **who)
        + go_print(4, 2, 2400, 2520, 6, 7)
        + line(event="session.join", ei=5, time=at(2600), code="T2001I", uid="u5", weight=0.5, **who)
        + go_print(6, 3, 3001, 3122, 13, 8)
        + line(event="session.leave", ei=7, time=at(3200), code="T2003I", uid="u7", **who)
        + line(event="session.data", ei=2147483646, time=at(3200), code="T2006I", uid="u8", rx=10, tx=21, **who)
        + line(event="session.end", ei=8, time=at(3250), code="T2004I", uid="u9", enhanced_recording=True, interactive=True,
               participants=["alice"], session_start=at(0), session_stop=at(3250), **who)
    )
    bpf = dict(pid=5007, cgroup_id=2360, login="root", user="alice", sid=SID, server_id="node-1")
    files = {
        f"{SID}-0.events.gz": events,
        f"{SID}-0.chunks.gz": b"".join(chunks),
        f"{SID}-0.session.command-events.gz":
            line(event="session.command", ei=0, time=at(1500), code="T4000I", uid="c0", path="/bin/ls", argv=["-l", ""], program="ls", ppid=1, return_code=0, **bpf)
            + line(event="session.command", ei=1, time=at(2700), code="T4000I", uid="c1", path="/bin/nope", argv=[], program="bash", ppid=1, return_code=-2, **bpf),
        f"{SID}-0.session.disk-events.gz":
            line(event="session.disk", ei=0, time=at(1501), code="T4001I", uid="d0", path="/etc/passwd", flags=2100000, return_code=3, program="ls", **bpf),
        f"{SID}-0.session.network-events.gz":
            line(event="session.network", ei=0, time=at(1502), code="T4002I", uid="n0", src_addr="10.0.0.7", dst_addr="192.0.2.80", dst_port=443, version=4, program="ls", **bpf),
    }
    index = "".join(json.dumps({"file_name": n, "type": ("chunks" if "chunks" in n else n.split(".", 1)[1][:-3].replace("-events", "")),
                                "index": 0, "offset": 0}, separators=(",", ":")) + "\n" for n in files)
    with tarfile.open("classic.tar", "w", format=tarfile.USTAR_FORMAT) as tar:
        for name, data in [(f"{SID}.index", index.encode())] + [
                (n, gzip.compress(d if isinstance(d, bytes) else d.encode(), 1, mtime=0)) for n, d in files.items()]:
            info = tarfile.TarInfo(name)
            info.size, info.mode, info.mtime = len(data), 0o640, 1600000004
            tar.addfile(info, io.BytesIO(data))


if __name__ == "__main__":
    main()
