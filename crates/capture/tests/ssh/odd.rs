//! Requests that no ordinary client makes: what the library refuses by itself, told by the witness.

use crate::paramiko;
use crate::site::Site;

/// Asks for channels, requests and ways to sign in that are none; each must be refused, and the
/// connection must go on.
const SCRIPT: &str = r"
import threading
t = connected()
try:
    t.auth_none(user)
    sys.exit('let in without anything')
except paramiko.BadAuthenticationType:
    pass
def refused(*parts):
    # Its answer is waited for, or the next attempt would take it for its own.
    answered = threading.Event()
    t.auth_handler.auth_event = answered
    t._send_message(message(50, user, 'ssh-connection', *parts))
    assert answered.wait(60)
    t.get_exception()
refused('gssapi-with-mic', 1, b'\x06\x09\x2a\x86\x48\x86\xf7\x12\x01\x02\x02')
refused('hostbased', 'ssh-ed25519', b'key', 'host', user, b'signature')
refused('none')
t.close()
# On another one: this client asks for the service of signing in anew each time, and the node answers that once.
t = connected()
t.auth_publickey(user, own)
for kind in ['no-such-channel@example.com', 'auth-agent@openssh.com', 'forwarded-tcpip']:
    try:
        t.open_channel(kind, ('127.0.0.1', 1), ('127.0.0.1', 2), timeout=60)
        sys.exit('opened: ' + kind)
    except paramiko.ChannelException:
        pass
assert t.global_request('no-such-request@example.com', wait=True) is None
c = t.open_session(timeout=60)
for request, rest in [('eow@openssh.com', []), ('break', [500]), ('xon-xoff', [True]), ('no-such@example.com', [])]:
    t._send_user_message(message(98, c.remote_chanid, request, False, *rest))
c.exec_command('echo still there')
assert c.makefile('rb').read() == b'still there\n'
assert c.recv_exit_status() == 0
c = t.open_session(timeout=60)
c.exec_command('echo heard; cat')
assert c.recv(6) == b'heard\n'
t._send_user_message(message(98, c.remote_chanid, 'eow@openssh.com', False))
c.shutdown_write()
t.close()
print('done')
";

/// Whether it could be asked here.
pub fn ask(site: &Site) -> bool {
    if !paramiko::is_there() {
        return false;
    }
    paramiko::run(site, SCRIPT);
    true
}
