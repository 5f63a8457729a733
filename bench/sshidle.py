"""People who do nothing: signs in so often on loopback, has something run that waits, says `ready`, and stays until its
input ends (own code). For Debian's python3-asyncssh.

    /usr/bin/python3 sshidle.py PORT LOGIN KEY COUNT exec|pty
"""
import asyncio
import sys
import warnings

warnings.simplefilter("ignore")
import asyncssh  # noqa: E402  (it warns of ciphers that nobody asked for)


async def main(port, login, key, count, kind):
    own, held = asyncssh.read_private_key(key), []
    own = (own, asyncssh.read_certificate(key + "-cert.pub"))
    for _ in range(count):
        one = await asyncssh.connect("127.0.0.1", port, username=login, client_keys=[own], agent_path=None,
                                     known_hosts=None, config=None, encryption_algs=["aes128-gcm@openssh.com", "aes256-gcm@openssh.com"],
                                     kex_algs=["curve25519-sha256"], keepalive_interval=0)
        process = await one.create_process("echo here; exec sleep 100000", term_type="xterm" if kind == "pty" else None)
        if not (await process.stdout.readline()).startswith("here"):
            raise SystemExit("it was refused")
        held.append((one, process))
    print("ready", flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    for one, _ in held:
        one.abort()


asyncio.run(main(int(sys.argv[1]), sys.argv[2], sys.argv[3], int(sys.argv[4]), sys.argv[5]))
