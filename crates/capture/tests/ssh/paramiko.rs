//! What paramiko runs: as an ordinary client, and messages that no ordinary client sends.

use std::process::{Command, Stdio};

use crate::clients::{PYTHON, has};
use crate::site::{Site, finished};

/// An ordinary client: runs a command, and moves a file there and back.
pub const EXEC_AND_SFTP: &str = r"
import sys, paramiko
port, user, key, place = sys.argv[1:]
own = paramiko.Ed25519Key.from_private_key_file(key)
own.load_certificate(key + '-cert.pub')
c = paramiko.SSHClient()
c.set_missing_host_key_policy(paramiko.AutoAddPolicy())
c.connect('127.0.0.1', port=int(port), username=user, pkey=own, allow_agent=False, look_for_keys=False)
i, o, e = c.exec_command('printf out; printf err >&2; cat; exit 7')
i.write('given'); i.flush(); i.channel.shutdown_write()
assert (o.read(), e.read(), o.channel.recv_exit_status()) == (b'outgiven', b'err', 7)
open(place + '/up', 'wb').write(b'x' * 100000)
s = c.open_sftp()
s.put(place + '/up', place + '/there')
s.get(place + '/there', place + '/back')
assert open(place + '/back', 'rb').read() == b'x' * 100000
s.close(); c.close()
print('done')
";

/// The beginning of the other scripts: `message` makes one of any number, `connected` a connection.
const OPENING: &str = r"
import sys, paramiko
from paramiko.message import Message
port, user, key = sys.argv[1:]
def message(number, *parts):
    m = Message()
    m.add_byte(bytes([number]))
    for part in parts:
        {bool: m.add_boolean, int: m.add_int}.get(type(part), m.add_string)(part)
    return m
own = paramiko.Ed25519Key.from_private_key_file(key)
own.load_certificate(key + '-cert.pub')
def connected():
    t = paramiko.Transport(('127.0.0.1', int(port)))
    t.start_client(timeout=60)
    return t
";

/// Whether there is one; in CI there has to be.
pub fn is_there() -> bool {
    has(PYTHON, &["-c", "import paramiko"])
}

/// Runs a script with the node's port, the account and the user's key; it must say `done`.
pub fn run(site: &Site, script: &str) {
    let mut client = Command::new(PYTHON);
    client
        .args(["-c", &format!("{OPENING}{script}")])
        .arg(site.address().port().to_string())
        .args([&site.user])
        .arg(site.path("user"))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let out = finished(client.spawn().unwrap());
    assert_eq!(out.stdout, b"done\n", "{out:?}");
}
