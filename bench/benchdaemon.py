"""`hansardd` as a bench starts, watches and stops it (own code)."""
import os
import socket
import subprocess
import time


class Running:
    """A daemon with a configuration of the bench's own: `config` names the file, `program` what is run."""

    def __init__(self, where, program):
        self.where, self.program, self.process = where, program, None
        self.config = os.path.join(where, "hansard.yaml")

    def init(self):
        subprocess.run([self.program, "init", "--config", self.config, "--cluster", "bench"], check=True,
                       stdout=subprocess.DEVNULL)

    def start(self):
        """Until it says that it is ready. In a session of its own, as a service manager starts it: the scheduler shares
        processors among sessions first, and this one is not to share with whoever measures."""
        at = os.path.join(self.where, "notify")
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as ready:
            if os.path.exists(at):
                os.unlink(at)
            ready.bind(at)
            ready.settimeout(60)
            self.process = subprocess.Popen([self.program, "run", "--config", self.config],
                                            env=dict(os.environ, NOTIFY_SOCKET=at), stdin=subprocess.DEVNULL,
                                            start_new_session=True,
                                            stderr=open(os.path.join(self.where, "log"), "a"))
            while b"READY=1" not in ready.recv(4096):
                pass

    def stop(self):
        self.process.terminate()
        self.process.wait()

    def cpu(self):
        """CPU time that it has taken, seconds."""
        with open("/proc/%d/stat" % self.process.pid) as f:
            fields = f.read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def settle(self, looks=3, pause=0.2):
        """Until it has nothing left to do of the run before; how much CPU time it had taken then."""
        quiet = 0
        while quiet < looks:
            before = self.cpu()
            time.sleep(pause)
            quiet = quiet + 1 if self.cpu() - before <= 0.01 else 0
        return self.cpu()
