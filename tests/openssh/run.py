#!/usr/bin/python3
"""Runs those of OpenSSH's own tests that concern a server against Hansard's node.

run.py            all that `list` names
run.py --share    those with a star
run.py NAME...    these

Needs Debian's openssh-tests, root, and HANSARDD_BIN. Says what each test said if it fails.
"""

import importlib.machinery
import importlib.util
import os
import re
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor

HERE = os.path.dirname(os.path.abspath(__file__))
REGRESS = "/usr/lib/openssh/regress"
# Tests sleep more than they work.
AT_A_TIME = 4
# Longer than the longest takes on a machine that has other things to do.
TEST_MAX_S = 600
# These listen at the same ports.
SAME_PORTS = {"forwarding", "multiplex"}
# What lets in: everything but RSA and DSA.
KEYS = [
    "ssh-ed25519",
    "sk-ssh-ed25519@openssh.com",
    "ecdsa-sha2-nistp256",
    "ecdsa-sha2-nistp384",
    "ecdsa-sha2-nistp521",
    "sk-ecdsa-sha2-nistp256@openssh.com",
]
LINE = re.compile(r"(run|cut|not)\s+(\*?)\s*(\S+)\s+(.*)")


class Test:
    def __init__(self, how, star, name, rest):
        self.how, self.is_share, self.name = how, bool(star), name
        self.cut, _, self.why = rest.partition(" -- ") if how == "cut" else ("", "", rest)

    def script(self, regress):
        """The script, as much of it as is run."""
        path = os.path.join(regress, self.name + ".sh")
        if not self.cut:
            return path
        begins, _, count = self.cut.partition("@")
        with open(path) as file:
            lines = file.readlines()
        at = [n for n, line in enumerate(lines) if line.startswith(begins)]
        assert at, f"{self.name}: no line begins with {begins}"
        with open(path, "w") as file:
            file.writelines(lines[: at[int(count or 1) - 1]])
        return path


def listed():
    tests = []
    with open(os.path.join(HERE, "list")) as file:
        for line in file:
            if line.strip() and not line.startswith("#"):
                found = LINE.match(line.strip())
                assert found, f"list: {line}"
                tests.append(Test(*found.groups()))
    with open(os.path.join(REGRESS, "Makefile")) as file:
        text = file.read().replace("\\\n", " ")
    all_there = set(re.search(r"^LTESTS=(.*)$", text, re.M).group(1).split())
    here = [test.name for test in tests]
    problems = [f"list: {name} is missing" for name in sorted(all_there - set(here))]
    problems += [f"list: {name} is no test" for name in sorted(set(here) - all_there)]
    problems += [f"list: {name} stands twice" for name in sorted({n for n in here if here.count(n) > 1})]
    assert not problems, problems
    return tests


def offered(port):
    """What a node offers: key exchanges, ciphers and codes, as it says itself."""
    with socket.create_connection(("127.0.0.1", port)) as line:
        line.sendall(b"SSH-2.0-asks\r\n")
        stream = line.makefile("rb")
        stream.readline()
        (length,) = struct.unpack(">I", stream.read(4))
        packet = stream.read(length)
    lists, at = [], 1 + 1 + 16
    for _ in range(10):
        (length,) = struct.unpack_from(">I", packet, at)
        lists.append(packet[at + 4 : at + 4 + length].decode().split(","))
        at += 4 + length
    return {"kex": lists[0], "ciphers": lists[2], "macs": lists[4], "keys": KEYS}


def shim():
    """The program that stands for sshd, as a module."""
    loader = importlib.machinery.SourceFileLoader("shim", os.path.join(HERE, "sshd"))
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader("shim", loader))
    sys.dont_write_bytecode = True
    loader.exec_module(module)
    return module


def wrapped(place, name):
    """One of our programs with what it has to know: tests start it in sessions, too, where no variable leads."""
    path = os.path.join(place, name)
    known = " ".join(f"{key}='{os.environ[key]}'" for key in ("HANSARD_SHIM", "HANSARDD_BIN"))
    with open(path, "w") as file:
        file.write(f'#!/bin/sh\n{known} exec {os.path.join(HERE, name)} "$@"\n')
    os.chmod(path, 0o755)
    return path


def note_what_is_offered(place):
    key, config = os.path.join(place, "key"), os.path.join(place, "config")
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key], check=True)
    with open(config, "w") as file:
        file.write(f"HostKey {key}\nAuthorizedKeysFile /nowhere\n")
    module = shim()
    for name, words in offered(module.pooled(module.Config(config))).items():
        with open(os.path.join(place, name), "w") as file:
            file.write("\n".join(words) + "\n")


def run(test, number, place, lock):
    """Runs a test; answers what it said if it failed."""
    regress = os.path.join(place, test.name)
    shutil.copytree(REGRESS, regress, symlinks=True)
    env = dict(os.environ)
    env.update(
        TEST_SHELL="sh",
        TEST_SSH_SSH=os.path.join(place, "ssh"),
        TEST_SSH_SSHD=os.path.join(place, "sshd"),
        TEST_SSH_SFTPSERVER="/usr/lib/openssh/sftp-server",
        TEST_SSH_UNSAFE_PERMISSIONS="1",
        TEST_SSH_PORT=str(24000 + 20 * number),
        BUILDDIR=regress,
        OBJ=regress,
        HOME=regress,
    )
    for name in ("SUDO", "SSH_AUTH_SOCK", "DISPLAY"):
        env.pop(name, None)
    words = ["sh", f"{regress}/test-exec.sh", regress, test.script(regress)]
    with lock:
        began = time.monotonic()
        child = subprocess.Popen(
            words,
            cwd=regress,
            env=env,
            stdin=open("/dev/zero"),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            said, _ = child.communicate(timeout=TEST_MAX_S)
        except subprocess.TimeoutExpired:
            os.killpg(child.pid, signal.SIGKILL)
            said = child.communicate()[0] + b"\nit did not end"
    said = said.decode(errors="replace")
    failed = child.returncode != 0 or re.search(r"^(SKIPPED|skipped)", said, re.M)
    print(f"{'FAILED' if failed else 'ok':6} {test.name:20} {time.monotonic() - began:6.1f} s", flush=True)
    if not failed:
        return None
    for log in ("failed-regress.log", "failed-ssh.log"):
        path = os.path.join(regress, log)
        if os.path.exists(path):
            with open(path, errors="replace") as file:
                said += f"\n--- {log}, its end\n" + "".join(file.readlines()[-60:])
    return said


def end_daemons(place):
    for name in os.listdir(place):
        try:
            with open(os.path.join(place, name, "pid")) as file:
                os.kill(int(file.read()), signal.SIGTERM)
        except (OSError, ValueError):
            pass


def main(args):
    if not os.path.isdir(REGRESS):
        sys.exit("run.py: there is no openssh-tests: scripts/needs.sh test")
    if os.geteuid():
        sys.exit("run.py: only root can be all accounts")
    os.environ["HANSARDD_BIN"] = os.path.abspath(os.environ["HANSARDD_BIN"])
    tests = [test for test in listed() if test.how != "not"]
    if args == ["--share"]:
        tests = [test for test in tests if test.is_share]
    elif args:
        tests = [test for test in tests if test.name in args]
    place = tempfile.mkdtemp(prefix="hansard-openssh-")
    os.chmod(place, 0o755)
    os.environ["HANSARD_SHIM"] = os.path.join(place, "shim")
    os.mkdir(os.environ["HANSARD_SHIM"])
    ports, free = threading.Lock(), threading.Semaphore(AT_A_TIME)
    try:
        for name in ("ssh", "sshd"):
            wrapped(place, name)
        note_what_is_offered(os.environ["HANSARD_SHIM"])
        with ThreadPoolExecutor(AT_A_TIME) as pool:
            locks = [ports if test.name in SAME_PORTS else free for test in tests]
            jobs = [pool.submit(run, t, n, place, lock) for n, (t, lock) in enumerate(zip(tests, locks))]
            failed = {test.name: job.result() for test, job in zip(tests, jobs)}
    finally:
        end_daemons(os.environ["HANSARD_SHIM"])
    failed = {name: said for name, said in failed.items() if said is not None}
    for name, said in failed.items():
        print(f"=== {name}\n{said}")
    print(f"{len(tests) - len(failed)} passed, {len(failed)} failed")
    if not failed:
        shutil.rmtree(place)
    return 1 if failed or not tests else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
