#!/usr/bin/python3
"""Records real programs on a pty, each with other contents, keys and another size of the terminal.

Usage: programs.py DIR COUNT SEED

Writes DIR/NNN-PROGRAM.cast (asciicast v2), and prints a line of JSON for each: the file, the program, and
the phrase that was planted to be seen, if there is one. Programs that this machine lacks are passed over,
and named in the last line. A program is given its next key when it has been quiet for a while; nothing
waits for a particular output, so a slow machine makes slower recordings and no failures.
"""

import concurrent.futures
import fcntl
import json
import os
import pty
import random
import select
import shutil
import signal
import struct
import subprocess
import sys
import termios
import time

QUIET_S = 0.12
STEP_MAX_S = 1.5
WHOLE_MAX_S = 20.0
# Recordings at a time: programs mostly wait for their next key.
AT_ONCE = 6

WORDS = (
    "amber basin cedar delta ember fjord grove haven inlet jetty kiosk lemon mango novel ocean pearl "
    "quartz river stone tulip umber velvet willow yarrow zephyr table index schema query error warning "
    "permission denied connection refused timeout replica primary backup restore drop alter select"
).split()


class Recording:
    """A program on a pty, and what it showed."""

    def __init__(self, argv, cwd, size, env):
        self.size = size
        self.events = []
        self.began = time.monotonic()
        self.ended = False
        pid, self.fd = pty.fork()
        if pid == 0:
            self.resize_fd(0, size)
            os.chdir(cwd)
            try:
                os.execvpe(argv[0], argv, env)
            except OSError:
                pass
            os._exit(127)
        self.pid = pid

    @staticmethod
    def resize_fd(fd, size):
        fcntl.ioctl(fd, termios.TIOCSWINSZ, struct.pack("HHHH", size[1], size[0], 0, 0))

    def now(self):
        return time.monotonic() - self.began

    def look(self, quiet=QUIET_S):
        """Takes in what is shown until nothing is for a while."""
        until = time.monotonic() + STEP_MAX_S
        while not self.ended and time.monotonic() < until:
            if not select.select([self.fd], [], [], quiet)[0]:
                return
            try:
                data = os.read(self.fd, 4096)
            except OSError:
                data = b""
            if not data:
                self.ended = True
                return
            self.events.append((self.now(), "o", data))

    def begin(self):
        """Until it shows something, which takes a while where much else goes on."""
        while not self.ended and not self.events and self.now() < WHOLE_MAX_S:
            self.look(0.5)
        self.look()
        return self

    def whole(self):
        """Until it ends by itself."""
        while not self.ended and self.now() < WHOLE_MAX_S:
            self.look(0.5)
        return self

    def keys(self, text):
        if not self.ended and self.now() < WHOLE_MAX_S:
            try:
                os.write(self.fd, text.encode())
            except OSError:
                self.ended = True
        self.look()

    def typed(self, text):
        for char in text:
            self.keys_quick(char)
        self.look()

    def keys_quick(self, text):
        if not self.ended and self.now() < WHOLE_MAX_S:
            try:
                os.write(self.fd, text.encode())
            except OSError:
                self.ended = True
        self.look(0.01)

    def resize(self, size):
        if not self.ended:
            self.resize_fd(self.fd, size)
            self.events.append((self.now(), "r", f"{size[0]}x{size[1]}".encode()))
        self.look()

    def end(self):
        self.look()
        if not self.ended:
            os.kill(self.pid, signal.SIGHUP)
            self.look()
        try:
            os.kill(self.pid, signal.SIGKILL)
        except OSError:
            pass
        os.close(self.fd)
        os.waitpid(self.pid, 0)

    def write(self, path):
        """As asciicast v2, whose text is Unicode: a character that came in two reads is in the later."""
        held = b""
        with open(path, "w", encoding="utf-8") as out:
            head = {"version": 2, "width": self.size[0], "height": self.size[1], "timestamp": 1700000000}
            out.write(json.dumps(head) + "\n")
            for at, kind, data in self.events:
                if kind == "o":
                    data = held + data
                    whole = len(data)
                    for back in range(1, min(4, len(data)) + 1):
                        lead = data[-back]
                        if lead >= 0xC0:
                            need = 2 if lead < 0xE0 else 3 if lead < 0xF0 else 4
                            whole = len(data) - back if need > back else whole
                            break
                        if lead < 0x80:
                            break
                    data, held = data[:whole], data[whole:]
                text = data.decode("utf-8", "replace")
                if text:
                    out.write(json.dumps([round(at, 6), kind, text]) + "\n")


class Maker:
    """One recording: its dice, its directory, its planted phrase."""

    def __init__(self, root, number, seed):
        self.dice = random.Random(f"{seed}/{number}")
        self.number = number
        self.dir = os.path.join(root, f"work-{number:03}")
        os.makedirs(self.dir)
        self.planted = f"planted {self.word()} number {number} {self.word()}"
        self.size = (self.dice.randint(60, 140), self.dice.randint(14, 44))
        self.env = {
            "PATH": "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin",
            "TERM": self.dice.choice(["xterm-256color", "xterm", "screen-256color", "linux"]),
            "LANG": "C.UTF-8",
            "LC_ALL": "C.UTF-8",
            "HOME": self.dir,
            "PS1": "work> ",
            "GIT_CONFIG_NOSYSTEM": "1",
            "TMUX_TMPDIR": self.dir,
        }

    def word(self):
        return self.dice.choice(WORDS)

    def line(self):
        return " ".join(self.word() for _ in range(self.dice.randint(3, 22)))

    def file(self, lines, name="book.txt", planted_at=None):
        """A file with the planted phrase somewhere."""
        planted_at = self.dice.randrange(lines) if planted_at is None else planted_at
        path = os.path.join(self.dir, name)
        with open(path, "w", encoding="utf-8") as out:
            for n in range(lines):
                out.write(f"{n + 1}. {self.planted if n == planted_at else self.line()}\n")
        return path

    def start(self, *argv):
        return Recording(list(argv), self.dir, self.size, self.env).begin()

    def shell(self):
        return self.start("bash", "--noprofile", "--norc", "-i")

    def run(self, command):
        """A command at a prompt."""
        recording = self.shell()
        recording.typed(command + "\r")
        recording.look(0.5)
        return recording


def vim(maker):
    editor = "vim.tiny" if shutil.which("vim.tiny") else "vim"
    recording = maker.start(editor, "-u", "NONE", maker.file(120, planted_at=3))
    for _ in range(maker.dice.randint(3, 8)):
        recording.keys(maker.dice.choice(["\x06", "\x02", "G", "gg", "/drop\r", "n", "dd", "u", "10j", "\x04", "J"]))
    recording.keys("ggO")
    recording.typed(maker.planted)
    recording.keys("\x1b")
    recording.resize((maker.size[0] - 7, maker.size[1] - 2))
    recording.keys(":q!\r")
    return recording


def less(maker):
    recording = maker.start("less", *maker.dice.choice([[], ["-S"], ["-N"], ["-i", "-N"]]), maker.file(300, planted_at=200))
    for _ in range(maker.dice.randint(3, 9)):
        recording.keys(maker.dice.choice(["f", "b", "j", "k", "G", "g", "/error\r", "n", "d", "u"]))
    recording.keys("g")
    recording.keys(f"/{maker.planted}\r")
    recording.keys("q")
    return recording


def more(maker):
    recording = maker.start("more", maker.file(90, planted_at=2))
    for _ in range(maker.dice.randint(2, 6)):
        recording.keys(maker.dice.choice([" ", "\r", "d"]))
    recording.keys("q")
    return recording


def top(maker):
    maker.planted = None
    recording = maker.start("top", "-d", "0.4")
    for _ in range(maker.dice.randint(3, 6)):
        recording.look(0.5)
        recording.keys(maker.dice.choice(["M", "P", "c", "1", "t", "m", "i", "x", "\x1b[B"]))
    recording.keys("q")
    return recording


def htop(maker):
    maker.planted = None
    recording = maker.start("htop", "-d", "4")
    for _ in range(maker.dice.randint(3, 6)):
        recording.look(0.5)
        recording.keys(maker.dice.choice(["\x1b[B", "t", "H", "\x1b[6~", "P", "M"]))
    recording.keys("q")
    return recording


def tmux(maker):
    recording = maker.start("tmux", "-f", "/dev/null", "new", "bash", "--noprofile", "--norc", "-i")
    recording.typed(f"echo {maker.planted}\r")
    recording.keys("\x02" + maker.dice.choice(['"', "%"]))
    recording.typed(f"for i in 1 2 3 4 5; do echo $i {maker.line()}; done\r")
    recording.keys("\x02o")
    recording.typed("ls -la\r")
    recording.keys("\x02d")
    recording.end()
    subprocess.run(["tmux", "kill-server"], env=maker.env, check=False, capture_output=True)
    return recording


def git(maker):
    def call(*args):
        subprocess.run(["git", "-c", "user.name=Ada", "-c", "user.email=ada@example.org", *args],
                       cwd=maker.dir, env=maker.env, check=True, capture_output=True)

    call("init", "-q", "-b", "main")
    for n in range(maker.dice.randint(4, 12)):
        maker.file(30, planted_at=n)
        call("add", "book.txt")
        call("commit", "-q", "-m", f"{maker.line()[:60]}\n\n{maker.line()}")
    maker.env["LESS"] = "R"
    command = maker.dice.choice(["log -p --color", "log --stat --color", "show --color", "diff --color HEAD~2", "blame book.txt"])
    recording = maker.start("git", *command.split())
    for _ in range(maker.dice.randint(2, 8)):
        recording.keys(maker.dice.choice(["f", "j", "b", "d"]))
    recording.keys("q")
    maker.planted = None
    return recording


def psql(maker):
    maker.planted = None
    maker.env["PAGER"] = "less"
    recording = maker.shell()
    recording.typed(maker.dice.choice(["psql --help", "psql --help=commands", "psql --help=variables"]) + "\r")
    recording.look(0.4)
    recording.typed("psql -h /nowhere\r")
    recording.look(0.4)
    return recording


def sqlite3(maker):
    recording = maker.start("sqlite3", "-interactive", ":memory:")
    recording.typed(f".mode {maker.dice.choice(['box', 'column', 'table', 'list'])}\r")
    recording.typed("create table river (id integer, note text);\r")
    for n in range(maker.dice.randint(3, 9)):
        recording.keys(f"insert into river values ({n}, '{maker.line()[:50]}');\r")
    recording.keys(f"insert into river values (99, '{maker.planted}');\r")
    recording.keys("select * from river;\r")
    recording.keys("\x04")
    return recording


def apt(maker):
    maker.planted = None
    package = maker.dice.choice(["bash", "coreutils", "less", "python3", "libc6", "vim-tiny"])
    return maker.run(maker.dice.choice([f"apt-cache policy {package}", f"apt-cache show {package}", f"apt-cache depends {package}"]))


def shell(maker):
    recording = maker.shell()
    recording.typed(f"echo {maker.planted}\r")
    for _ in range(maker.dice.randint(2, 6)):
        command = maker.dice.choice([
            "ls -la --color /etc | head -40", "ps aux | head -30", "df -h", "free -m", "id", "env | sort",
            "find /usr/share/doc -maxdepth 1 | head -60", "seq -s ' ' 300", "cat /etc/passwd", "ip addr",
            "printf '\\033[8mhidden %s\\033[0m\\n' words", "printf '世界 日本語 %s\\n' テスト",
        ])
        recording.typed(command)
        recording.keys(maker.dice.choice(["\r", "\x01\x05\r", " # x\x17\r", "\x02\x02\x06\r"]))
    recording.keys("\x1b[A\x1b[A\r")
    recording.typed("exit\r")
    return recording


def python(maker):
    recording = maker.start("/usr/bin/python3", "-q", "-i", "-S", "-E")
    recording.typed(f"print('{maker.planted}')\r")
    recording.typed(f"for i in range({maker.dice.randint(5, 60)}): print(i, '{maker.word()}', i * 29)\r\r")
    recording.typed("1 / 0\r")
    recording.keys("\x04")
    return recording


def manual(maker):
    maker.planted = None
    recording = maker.start("man", maker.dice.choice(["bash", "ls", "less", "grep", "sed", "tar", "ps"]))
    recording.look(0.8)
    for _ in range(maker.dice.randint(2, 6)):
        recording.keys(maker.dice.choice([" ", "b", "j", "/file\r", "n"]))
    recording.keys("q")
    return recording


def watch(maker):
    maker.planted = None
    recording = maker.start("watch", "-n", "0.5", maker.dice.choice(["date", "ps | tail -5", "cat /proc/loadavg", "ls -la /proc/self"]))
    for _ in range(maker.dice.randint(2, 5)):
        recording.look(0.6)
    recording.keys("q")
    return recording


def progress(maker):
    script = f"""
import sys, time
for n in range(0, 101, {maker.dice.randint(2, 9)}):
    sys.stdout.write('\\rtransferred %3d%% of {maker.word()} [' % n + '#' * (n // 5) + ']')
    sys.stdout.flush()
    time.sleep(0.01)
print()
print('{maker.planted}')
"""
    return maker.start("/usr/bin/python3", "-c", script).whole()


def curses(maker):
    script = f"""
import curses, random, time
def main(screen):
    dice = random.Random({maker.number})
    curses.curs_set(0)
    for turn in range(12):
        rows, cols = screen.getmaxyx()
        row = dice.randrange(1, rows - 1)
        screen.addnstr(row, dice.randrange(0, 4), 'row %d turn %d {maker.word()} {maker.word()}' % (row, turn), cols - 6)
        if turn == 5:
            screen.addnstr(0, 0, '{maker.planted}', cols - 1)
        if turn == 9:
            screen.scrollok(True)
            screen.scroll(2)
        screen.refresh()
        time.sleep(0.05)
curses.wrapper(main)
"""
    if maker.env["TERM"] == "linux":
        maker.env["TERM"] = "xterm"
    return maker.start("/usr/bin/python3", "-c", script).whole()


def nano(maker):
    recording = maker.start("nano", maker.file(60, planted_at=1))
    recording.keys("\x16")
    recording.typed(maker.word())
    recording.keys("\x18")
    recording.keys("n")
    return recording


PROGRAMS = {
    "vim": (vim, ["vim.tiny", "vim"]),
    "less": (less, ["less"]),
    "top": (top, ["top"]),
    "tmux": (tmux, ["tmux"]),
    "htop": (htop, ["htop"]),
    "git": (git, ["git"]),
    "psql": (psql, ["psql"]),
    "apt": (apt, ["apt-cache"]),
    "shell": (shell, ["bash"]),
    "python": (python, ["python3"]),
    "sqlite3": (sqlite3, ["sqlite3"]),
    "man": (manual, ["man"]),
    "more": (more, ["more"]),
    "watch": (watch, ["watch"]),
    "progress": (progress, ["python3"]),
    "curses": (curses, ["python3"]),
    "nano": (nano, ["nano"]),
}


def record(root, number, seed, name):
    maker = Maker(root, number, seed)
    recording = PROGRAMS[name][0](maker)
    if name != "tmux":
        recording.end()
    path = os.path.join(root, f"{number:03}-{name}.cast")
    recording.write(path)
    shutil.rmtree(maker.dir, ignore_errors=True)
    return {"file": path, "program": name, "planted": maker.planted}


def main():
    root, count, seed = sys.argv[1], int(sys.argv[2]), sys.argv[3]
    there = [name for name, (_, any_of) in PROGRAMS.items() if any(map(shutil.which, any_of))]
    with concurrent.futures.ProcessPoolExecutor(AT_ONCE) as pool:
        todo = [pool.submit(record, root, n, seed, there[n % len(there)]) for n in range(count)]
        for one in todo:
            print(json.dumps(one.result()), flush=True)
    print(json.dumps({"lacking": sorted(set(PROGRAMS) - set(there))}))


if __name__ == "__main__":
    main()
