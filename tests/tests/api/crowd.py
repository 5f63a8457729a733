"""Connects again and again, says what it was told to say, and keeps all of it open: SOCKET COUNT CLOSED.

Prints how many were closed as soon as that are at least CLOSED, and ends with its input."""

import select
import socket
import sys

path, count, closed = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
HALF = b"POST /v1/saved HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\n\r\n"

poll = select.poll()
held = []
for _ in range(count):
    one = socket.socket(socket.AF_UNIX)
    one.connect(path)
    try:
        one.sendall(HALF)
    except OSError:
        pass
    poll.register(one, 0)
    held.append(one)

over = set()
while len(over) < closed:
    over.update(fd for fd, _ in poll.poll())
    for fd in over:
        try:
            poll.unregister(fd)
        except KeyError:
            pass
print(len(over), flush=True)
sys.stdin.read()
