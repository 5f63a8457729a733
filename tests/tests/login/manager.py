"""A service manager as far as its descriptor store goes (sd_notify(3): FDSTORE, FDSTOREREMOVE, FDNAME;
sd_listen_fds(3)): keeps what its daemon hands it, and starts it again, with all that, whenever it ends.

Usage: manager.py DIR COMMAND...   DIR/daemon.pid names the daemon; while DIR/hold is there, none is started.
SIGTERM: the daemon, which is told as well, is not started again.
"""

import fcntl
import os
import select
import signal
import socket
import sys
import time

FDSTORE = 64
DIRECTORY, COMMAND = sys.argv[1], sys.argv[2:]
OUTSIDE = os.environ["NOTIFY_SOCKET"]
INSIDE = os.path.join(DIRECTORY, "manager")
stopping = False


def stop(_number, _frame):
    global stopping
    stopping = True


def listening():
    try:
        os.unlink(INSIDE)
    except FileNotFoundError:
        pass
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    sock.bind(INSIDE)
    sock.setblocking(False)
    return sock


def hear(sock, store):
    """Hears everything that has been said."""
    while True:
        try:
            text, fds, _, _ = socket.recv_fds(sock, 65536, 256)
        except BlockingIOError:
            return
        words = dict(line.split("=", 1) for line in text.decode().splitlines())
        name = words.get("FDNAME", "stored")
        if words.get("FDSTOREREMOVE") == "1":
            for fd in store.pop(name, []):
                os.close(fd)
        kept = words.get("FDSTORE") == "1" and sum(map(len, store.values())) < FDSTORE
        for fd in fds:
            os.set_inheritable(fd, False)
            if kept:
                store.setdefault(name, []).append(fd)
            else:
                os.close(fd)
        if "READY" in words or "STOPPING" in words:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as out:
                try:
                    out.sendto(text, OUTSIDE)
                except OSError:
                    pass  # whoever waited for the first start is not there for the next


def start(store):
    pid = os.fork()
    if pid:
        with open(os.path.join(DIRECTORY, "daemon.pid.new"), "w") as out:
            out.write(str(pid))
        os.rename(out.name, os.path.join(DIRECTORY, "daemon.pid"))
        return pid
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    env = dict(os.environ, NOTIFY_SOCKET=INSIDE, FDSTORE=str(FDSTORE))
    handed = [(name, fd) for name, fds in store.items() for fd in fds]
    high = [fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 500) for _, fd in handed]
    for at, fd in enumerate(high):
        os.dup2(fd, 3 + at, inheritable=True)
    if handed:
        env.update(
            LISTEN_PID=str(os.getpid()),
            LISTEN_FDS=str(len(handed)),
            LISTEN_FDNAMES=":".join(name for name, _ in handed),
        )
    os.execvpe(COMMAND[0], COMMAND, env)


def main():
    signal.signal(signal.SIGTERM, stop)
    sock, store = listening(), {}
    hold = os.path.join(DIRECTORY, "hold")
    while True:
        pid = start(store)
        while True:
            select.select([sock], [], [], 0.02)
            hear(sock, store)
            ended, status = os.waitpid(pid, os.WNOHANG)
            if ended:
                hear(sock, store)
                break
        if stopping:
            sys.exit(os.waitstatus_to_exitcode(status) & 0xFF)
        while os.path.exists(hold) and not stopping:
            time.sleep(0.02)


main()
