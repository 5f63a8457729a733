"""A line that is long but not narrow: what goes in at one end comes out at the other so much later, each way, however
much it is (own code). A process of its own, on loopback.

    python3 delayline.py TO_PORT MS     # prints the port that it listens at
"""
import collections
import os
import socket
import subprocess
import sys
import threading
import time

# Bytes that are under way one way at most, far above what any window lets through.
UNDER_WAY_MAX = 512 << 20
PIECE = 1 << 18


class Way:
    """One direction of one connection: one thread reads and notes when, another writes when it is time."""

    def __init__(self, source, sink, delay):
        self.source, self.sink, self.delay = source, sink, delay
        self.pieces, self.bytes, self.change = collections.deque(), 0, threading.Condition()
        for work in (self.take, self.give):
            threading.Thread(target=work, daemon=True).start()

    def take(self):
        piece = b"-"
        while piece:
            try:
                piece = self.source.recv(PIECE)
            except OSError:
                piece = b""
            with self.change:
                while self.bytes > UNDER_WAY_MAX:
                    self.change.wait()
                self.pieces.append((time.monotonic() + self.delay, piece))
                self.bytes += len(piece)
                self.change.notify()

    def give(self):
        while True:
            with self.change:
                while not self.pieces:
                    self.change.wait()
                due, piece = self.pieces.popleft()
                self.bytes -= len(piece)
                self.change.notify()
            time.sleep(max(0.0, due - time.monotonic()))
            try:
                if not piece:
                    self.sink.shutdown(socket.SHUT_WR)
                    return
                self.sink.sendall(piece)
            except OSError:
                return


def serve(to_port, delay):
    door = socket.create_server(("127.0.0.1", 0), backlog=64)
    print(door.getsockname()[1], flush=True)
    while True:
        near, _ = door.accept()
        # The handshake takes no time here; what is said after it does.
        far = socket.create_connection(("127.0.0.1", to_port))
        for one in (near, far):
            one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        Way(near, far, delay)
        Way(far, near, delay)


class Line:
    """One before a port, until it is closed; `port` is where it begins."""

    def __init__(self, to_port, ms):
        self.process = subprocess.Popen([sys.executable, os.path.abspath(__file__), str(to_port), str(ms)],
                                        stdout=subprocess.PIPE, stdin=subprocess.DEVNULL)
        self.port = int(self.process.stdout.readline())

    def close(self):
        self.process.kill()
        self.process.wait()


if __name__ == "__main__":
    serve(int(sys.argv[1]), float(sys.argv[2]) / 1e3)
