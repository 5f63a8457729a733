"""Where SSH is measured: an account, Debian's sshd, an OpenSSH host that leads on to it, and a daemon that is node and
proxy, all on loopback (own code). Needs root, and a mount namespace of its own (see `alone`)."""
import json
import os
import shutil
import socket
import subprocess
import sys
import time

from benchdaemon import Running

USER, UID = "hansard-bench", 64023
SSHD = "/usr/sbin/sshd"
# Both have them, and the library has no other of OpenSSH's defaults that is as quick.
CIPHER, KEX = os.environ.get("SSH_BENCH_CIPHER", "aes128-gcm@openssh.com"), "curve25519-sha256"
DAEMON = """node: {name: bench, data_dir: %(at)s/data, runtime_dir: %(at)s/run}
capture:
  local: {notice: '', sessions_max: 10000}
  ssh: {listen: '127.0.0.1:%(node)d', names: ['127.0.0.1'], connections_max: 5000}
  proxy: {listen: '127.0.0.1:%(proxy)d', names: ['127.0.0.1'], targets: ['127.0.0.1:*'], first_use: true}
store: {}
serve: {admin: {}%(web)s}
"""
LOGIN = """Host hansard-proxy
  HostName 127.0.0.1
  Port %(port)d
  ProxyJump none
Host *
  ProxyJump hansard-proxy
  IdentityFile "%(at)s/key"
  CertificateFile "%(at)s/key-cert.pub"
  UserKnownHostsFile "%(at)s/known_hosts"
  IdentitiesOnly yes
  StrictHostKeyChecking yes
"""


def alone():
    """Goes on in a mount namespace that is this process's own."""
    if os.geteuid() != 0:
        raise SystemExit("needs root: it starts daemons that become other accounts")
    if not os.environ.get("SSH_BENCH_INSIDE"):
        os.environ["SSH_BENCH_INSIDE"] = "1"
        os.execvp("unshare", ["unshare", "--mount", "--propagation", "private", sys.executable, *sys.argv])


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def until_open(port):
    since = time.monotonic()
    while time.monotonic() - since < 20:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
            return
        except OSError:
            time.sleep(0.02)
    raise SystemExit("nobody listens at %d" % port)


class Sshd:
    """Debian's, with its settings as shipped, but for the certificate that lets in."""

    def __init__(self, where, name, port, *lines):
        self.port = port
        config = os.path.join(where, name + ".config")
        with open(config, "w") as f:
            f.write("\n".join(["Port %d" % port, "ListenAddress 127.0.0.1", "HostKey %s/host" % where, "PidFile none",
                               "TrustedUserCAKeys %s/ca.pub" % where, "UsePAM yes", "PrintMotd no",
                               "KbdInteractiveAuthentication no", "AcceptEnv LANG LC_*", "StrictModes no",
                               "MaxStartups 1000:30:2000", "MaxSessions 100",
                               "Subsystem sftp /usr/lib/openssh/sftp-server", *lines, ""]))
        self.process = subprocess.Popen([SSHD, "-D", "-e", "-f", config], stdin=subprocess.DEVNULL, start_new_session=True,
                                        stderr=open(os.path.join(where, name + ".log"), "a"))
        until_open(port)

    def cpu(self):
        return tree_cpu(self.process.pid)

    def stop(self):
        self.process.terminate()
        self.process.wait()


def tree_cpu(pid):
    """CPU seconds of a process and of all it has waited for."""
    with open("/proc/%d/stat" % pid) as f:
        fields = f.read().rsplit(")", 1)[1].split()
    return sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")


class Place:
    def __init__(self, where, program, web=False):
        self.where, self.client, self.budget = where, program, ""
        os.chmod(where, 0o755)
        self.accounts()
        for name in ("user", "host"):
            subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", self.at(name)], check=True)
        self.node, self.proxy, target, hop = (free_port() for _ in range(4))
        self.daemon = Running(where, program + "d")
        with open(self.daemon.config, "w") as f:
            f.write(DAEMON % {"at": where, "node": self.node, "proxy": self.proxy,
                              "web": ", web: {listen: '127.0.0.1:0'}" if web else ""})
        self.daemon.init()
        self.daemon.start()
        self.environment = dict(os.environ, HANSARD_RUNTIME_DIR=os.path.join(where, "run"))
        self.environment.pop("SSH_AUTH_SOCK", None)
        with open(self.at("ca.pub"), "w") as f:
            f.write(self.hansard("cert", "authority"))
        self.hansard("cert", "sign", self.at("user.pub"), "--user", "bench", "--login", USER, "--ttl", "24h")
        # What a hop between two machines is: another ssh, with keys of its own there.
        for suffix in ("", ".pub", "-cert.pub"):
            shutil.copy(self.at("user" + suffix), self.at("hop" + suffix))
            shutil.chown(self.at("hop" + suffix), USER, USER)
        self.sshd = Sshd(where, "sshd", target)
        leads_on = " ".join(self.options("ssh", self.at("hop")) + ["-T", "-p", str(target), USER + "@127.0.0.1"])
        self.hop = Sshd(where, "hop", hop, 'ForceCommand exec %s "$SSH_ORIGINAL_COMMAND"' % leads_on)

    def at(self, name):
        return os.path.join(self.where, name)

    def accounts(self):
        """`/etc` with one account more, and lists of logins of nobody else."""
        subprocess.run(["cp", "-a", "/etc", self.at("etc")], check=True)
        os.makedirs(self.at("home"))
        os.chown(self.at("home"), UID, UID)
        for name, line in (("passwd", "%s:x:%d:%d::%s:/bin/sh" % (USER, UID, UID, self.at("home"))),
                           ("group", "%s:x:%d:" % (USER, UID)), ("shadow", "%s:*:19000:0:99999:7:::" % USER)):
            with open(self.at("etc/" + name), "a") as f:
                f.write(line + "\n")
        subprocess.run(["mount", "--bind", self.at("etc"), "/etc"], check=True)
        for name in ("/run", "/var/log"):
            subprocess.run(["mount", "-t", "tmpfs", "-o", "mode=755", "tmpfs", name], check=True)
        os.makedirs("/run/sshd")
        for name in ("/run/utmp", "/var/log/wtmp", "/var/log/lastlog", "/var/log/btmp"):
            open(name, "w").close()

    def hansard(self, *words, said=""):
        done = subprocess.run([self.client, *words], input=said, capture_output=True, text=True, env=self.environment)
        if done.returncode:
            raise SystemExit("hansard %s: %s" % (" ".join(words), done.stderr))
        return done.stdout

    def options(self, program, key):
        words = [program, "-F", "none", "-i", key]
        for option in ("UserKnownHostsFile=/dev/null", "StrictHostKeyChecking=no", "IdentitiesOnly=yes", "BatchMode=yes",
                       "IdentityAgent=none", "LogLevel=ERROR", "Ciphers=" + CIPHER, "KexAlgorithms=" + KEX,
                       "ForwardX11=no"):
            words += ["-o", option]
        return words

    def ssh(self, way, *words, port=None):
        """The words that run ssh to one of the ways; `port` stands for that of a line before it."""
        ports = {"sshd": self.sshd.port, "node": self.node, "proxy": self.proxy, "hop": self.hop.port}
        user = "%s+127.0.0.1+%d" % (USER, self.sshd.port) if way == "proxy" else USER
        return [*self.options("ssh", self.at("user")), "-p", str(port or ports[way]), "-l", user, "127.0.0.1", *words]

    def own_client(self, way, port):
        """The words that run `hansard ssh` through a line that begins at this port, with what a login leaves. An sshd
        without a certificate it leaves to ssh: none of that here."""
        if way == "sshd":
            return []
        home = self.at("login-" + way)
        os.mkdir(home)
        write = lambda name, text: open(os.path.join(home, name), "w").write(text)
        write("known_hosts", "@cert-authority * " + self.hansard("cert", "authority", "--host"))
        write("login.json", json.dumps({"server": "", "user": "bench", "until_s": int(time.time()) + 86400}))
        write("ssh_config", LOGIN % {"at": home, "port": port})
        for suffix, name in (("", "key"), (".pub", "key.pub"), ("-cert.pub", "key-cert.pub")):
            shutil.copy(self.at("user" + suffix), os.path.join(home, name))
        to = ["--node", "-p", str(port)] if way == "node" else ["-p", str(self.sshd.port)]
        return ["env", "-u", "SSH_AUTH_SOCK", "HANSARD_HOME=" + home, self.client, "ssh", *to, "-l", USER, "127.0.0.1"]

    def cpu(self, way):
        """CPU seconds that everything between client and target, or the server, has taken."""
        if way == "sshd":
            return self.sshd.cpu()
        return self.hop.cpu() if way == "hop" else tree_cpu(self.daemon.process.pid)

    def quiet_cpu(self, way):
        """The same once what a run started has been waited for: sshd's own half ends after its client. The daemon goes
        on with what was recorded: it is asked at once."""
        if way in ("sshd", "hop"):
            server = self.sshd if way == "sshd" else self.hop
            path = "/proc/%d/task/%d/children" % (server.process.pid, server.process.pid)
            while open(path).read().strip():
                time.sleep(0.01)
        else:
            time.sleep(0.05)
        return self.cpu(way)

    def keep(self, budget):
        """So much of a stream is kept from here on; `0B` is all, nothing is as shipped."""
        if budget != self.budget:
            with open(self.at("policy.yaml"), "w") as f:
                f.write("scope: all\n" + (budget and "default: {bulk: %s}\n" % budget))
            self.hansard("policy", "set", self.at("policy.yaml"))
            self.budget = budget

    def settle(self):
        """Nothing that a run before left is still done while the next is measured."""
        self.daemon.settle()
        os.sync()

    def close(self):
        for one in (self.sshd, self.hop, self.daemon):
            one.stop()
