"""The real side: daemons that are killed, stopped and started anew, and what else runs."""

import json
import os
import re
import shutil
import signal
import tempfile
import time

from cluster import Daemon, request

RESOURCES = "cpus:1;mem:512;disk:100;ports:[]"
MASTER_FLAGS = ["--agent_ping_timeout=1secs", "--max_agent_ping_timeouts=3",
                "--offer_timeout=4secs", "--allocation_interval=200ms"]
AGENT_FLAGS = ["--registration_backoff_factor=100ms", f"--resources={RESOURCES}",
               "--executor_registration_timeout=15secs"]


def processes():
    """Number, parent, session, command line and folder of every process that can be looked at."""
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{name}/stat", encoding="utf-8", errors="replace") as file:
                fields = file.read().rpartition(")")[2].split()
            with open(f"/proc/{name}/cmdline", "rb") as file:
                line = file.read().replace(b"\0", b" ").decode(errors="replace").strip()
            folder = os.readlink(f"/proc/{name}/cwd")
        except OSError:
            continue
        if fields[0] not in "ZX":
            yield int(name), int(fields[1]), int(fields[3]), line, folder


def send(pid, number):
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        pass


class Service:
    """A daemon that comes back at the same address with the same folder each time it is started."""

    def __init__(self, machine, role, name, arguments):
        self.machine, self.role, self.name, self.arguments = machine, role, name, arguments
        self.port = 0
        self.runs = 0
        self.daemon = None
        self.paused = 0
        self.start()

    def start(self):
        self.runs += 1
        self.paused = 0
        arguments = [self.role, "--ip=127.0.0.1", f"--port={self.port}",
                     f"--work_dir={self.machine.folder}/{self.name}", *self.arguments]
        self.daemon = Daemon(self.machine.folder, f"{self.name}.{self.runs}", arguments)
        self.machine.daemons.append(self.daemon)
        if not self.port:
            self.port = int(self.daemon.address(self.role).rpartition(":")[2])

    def is_up(self):
        return self.daemon is not None

    def kill(self):
        self.daemon.stop(signal.SIGKILL)
        self.daemon = None

    def look(self):
        """Fails when it has ended by itself. Its port may be in somebody's hands for a moment."""
        if self.daemon and self.daemon.process.poll() is not None:
            output = self.daemon.output()
            if "in use" not in output or self.daemon.addresses(self.role):
                raise AssertionError(f"{self.name} has ended by itself: {output[-2000:]}")
            time.sleep(0.1)
            self.start()

    def pause(self):
        self.paused += 1
        send(self.daemon.process.pid, signal.SIGSTOP)

    def resume(self):
        self.paused -= 1
        if self.daemon and not self.paused:
            send(self.daemon.process.pid, signal.SIGCONT)


class Machine:
    """A folder, a master and agents; everything that runs because of them can be found."""

    def __init__(self, run_name):
        self.folder = tempfile.mkdtemp(prefix="orrery-chaos-")
        self.run_name = run_name
        self.daemons = []
        self.master = None
        self.agents = []

    def start_master(self):
        self.master = Service(self, "master", "master", MASTER_FLAGS)
        self.url = f"http://127.0.0.1:{self.master.port}"

    def add_agent(self, port):
        number = len(self.agents)
        flags = [f"--master=127.0.0.1:{port}", *AGENT_FLAGS]
        self.agents.append(Service(self, "agent", f"agent-{number}", flags))

    def services(self):
        return [self.master, *self.agents] if self.master else []

    def state(self):
        status, _, body = request(self.url + "/state")
        if status == 503:
            raise OSError("the master has not read its registry yet")
        assert status == 200, (status, body)
        return json.loads(body)

    def ours(self):
        """All processes that belong to the run, whatever they call themselves."""
        return [one for one in processes() if self.folder in one[3] or self.folder in one[4]]

    def in_sandboxes(self):
        """Executors, tasks and whatever they have left behind."""
        return [one for one in self.ours() if "/runs/" in one[4]]

    def executors(self, agent):
        folder = f"{self.folder}/agent-{agent}/"
        return sorted(pid for pid, _, session, _, cwd in self.ours()
                      if pid == session and cwd.startswith(folder))

    def task_processes(self):
        """The topmost processes of each task: whatever they have started has their command line
        for a moment too."""
        pattern = re.compile(rf": {self.run_name}/([\w-]+);")
        found = {}
        for pid, parent, _, line, _ in processes():
            match = pattern.search(line)
            if match and line.startswith("sh -c"):
                found[pid] = (parent, match.group(1))
        roots = {}
        for pid, (parent, task_id) in found.items():
            if found.get(parent, (0, None))[1] != task_id:
                roots.setdefault(task_id, []).append(pid)
        return roots

    def panics(self):
        return [f"{daemon.name}: {line}" for daemon in self.daemons
                for line in daemon.output().splitlines() if "panicked at" in line]

    def close(self):
        for daemon in self.daemons:
            daemon.process.kill()
        for pid, *_ in self.ours():
            if pid != os.getpid():
                send(pid, signal.SIGKILL)
        for daemon in self.daemons:
            daemon.process.wait()
            daemon.log.close()
        shutil.rmtree(self.folder, ignore_errors=True)
