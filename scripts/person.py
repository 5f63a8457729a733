#!/usr/bin/python3
"""Plays a person at a terminal: runs a program on a pty, waits for what it shows, types.

Usage: person.py [--size 100x30] [--saw FILE] STEPS CMD [ARG...]

STEPS is a file with one step a line (blank lines and lines with # are passed over):
    wait TEXT      until TEXT is shown (after what was waited for before), 20 s at most
    type TEXT      key by key; \\r is Enter, \\e is Escape
    size COLSxROWS the window gets another size
    pause SECONDS  the person looks at the screen
    sign FILE      makes this file, for another person to see
    await FILE     until another person made this file, 20 s at most
The program is then given 20 s to end; its exit status is the person's. --saw keeps every byte that
the terminal was sent. Needs no terminal of its own.
"""

import argparse
import errno
import fcntl
import os
import pty
import select
import struct
import sys
import termios
import time

PATIENCE_S = 20.0
KEY_S = 0.02


class Person:
    def __init__(self, command, size):
        self.saw = bytearray()
        self.waited = 0
        self.ended = False
        pid, fd = pty.fork()
        if pid == 0:
            self.resize(0, size)
            os.environ["TERM"] = "xterm-256color"
            try:
                os.execvp(command[0], command)
            except OSError as error:
                sys.stderr.write(f"{command[0]}: {error}\n")
            os._exit(127)
        self.pid, self.fd = pid, fd

    @staticmethod
    def resize(fd, size):
        cols, rows = (int(n) for n in size.split("x"))
        fcntl.ioctl(fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, cols, 0, 0))

    def look(self, seconds):
        """Takes in what is shown, for at most this long; returns whether anything was."""
        if self.ended or not select.select([self.fd], [], [], max(0.0, seconds))[0]:
            return False
        try:
            shown = os.read(self.fd, 65536)
        except OSError as error:
            if error.errno != errno.EIO:
                raise
            shown = b""
        self.ended = not shown
        self.saw += shown
        return bool(shown)

    def pause(self, seconds):
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0 and not self.ended:
            self.look(left)

    def wait(self, text):
        wanted = text.encode()
        until = time.monotonic() + PATIENCE_S
        while (at := self.saw.find(wanted, self.waited)) < 0:
            if self.ended or time.monotonic() > until:
                tail = bytes(self.saw[self.waited :])[-2000:]
                why = "the program ended" if self.ended else f"not within {PATIENCE_S:.0f} s"
                sys.exit(f"person: waited for {text!r}: {why}; shown instead: {tail!r}")
            self.look(until - time.monotonic())
        self.waited = at + len(wanted)

    def await_sign(self, path):
        until = time.monotonic() + PATIENCE_S
        while not os.path.exists(path):
            if self.ended or time.monotonic() > until:
                sys.exit(f"person: nobody made {path}")
            self.pause(KEY_S)

    def type(self, text):
        for key in text.replace("\\r", "\r").replace("\\e", "\x1b"):
            os.write(self.fd, key.encode())
            self.pause(KEY_S)

    def step(self, line):
        verb, _, rest = line.partition(" ")
        if verb == "wait":
            self.wait(rest)
        elif verb == "type":
            self.type(rest)
        elif verb == "size":
            self.resize(self.fd, rest)
        elif verb == "pause":
            self.pause(float(rest))
        elif verb == "sign":
            open(rest, "x", encoding="utf-8").close()
        elif verb == "await":
            self.await_sign(rest)
        else:
            sys.exit(f"person: no such step: {line}")

    def leave(self):
        """Sees the program to its end; its exit status, as a shell would give it."""
        until = time.monotonic() + PATIENCE_S
        while not self.ended:
            if time.monotonic() > until:
                sys.exit(f"person: the program did not end: {bytes(self.saw)[-2000:]!r}")
            self.look(until - time.monotonic())
        code = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        return code if code >= 0 else 128 - code


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", default="100x30")
    parser.add_argument("--saw")
    parser.add_argument("steps")
    parser.add_argument("command", nargs=argparse.REMAINDER)
    args = parser.parse_args()
    with open(args.steps, encoding="utf-8") as file:
        steps = [s for s in file.read().splitlines() if s.strip() and not s.startswith("#")]
    person = Person(args.command, args.size)
    try:
        for line in steps:
            person.step(line)
        status = person.leave()
    finally:
        if args.saw:
            with open(args.saw, "wb") as file:
                file.write(person.saw)
    sys.exit(status)


if __name__ == "__main__":
    main()
