"""The real side: daemons that are killed, stopped and started anew, and what else runs."""

import http.client
import json
import os
import re
import shutil
import signal
import socket
import tempfile
import time

import zookeeper
from cluster import Daemon, request, wait_for

RESOURCES = "cpus:1;mem:512;disk:100;ports:[]"
MASTER_FLAGS = ["--agent_ping_timeout=1secs", "--max_agent_ping_timeouts=3",
                "--offer_timeout=4secs", "--allocation_interval=200ms"]
# Of masters that meet in ZooKeeper.
ELECTION_FLAGS = ["--zk_session_timeout=2secs"]
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

    def stop(self):
        """Ends it in order; returns its exit code."""
        return self.daemon.stop()

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


class ZooKeeper(Service):
    """A real ZooKeeper server with the services' verbs."""

    def __init__(self, machine, number, addresses):
        self.folder = f"{machine.folder}/zookeeper-{number}"
        self.address = addresses[number]
        zookeeper.configure(self.folder, number, addresses)
        super().__init__(machine, "zookeeper", f"zookeeper-{number}", [])
        self.port = self.address.client

    def start(self):
        self.runs += 1
        self.paused = 0
        self.daemon = Daemon(self.machine.folder, f"{self.name}.{self.runs}",
                             zookeeper.arguments(self.folder), argv0=zookeeper.SERVER,
                             environment=zookeeper.environment(self.folder))
        self.machine.daemons.append(self.daemon)

    def look(self):
        """A server that was killed finds its port taken for a moment, and is started again."""
        if self.daemon and self.daemon.process.poll() is not None:
            self.start()

    def stop(self):
        """Java ends with the number of the signal."""
        code = self.daemon.stop()
        return 0 if code == 128 + signal.SIGTERM else code


def _listens(port):
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _leader_told_at(port):
    """The port of the leader as a master knows it; None when it knows none or does not answer."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=1)
    try:
        connection.request("GET", "/redirect")
        location = connection.getresponse().headers.get("Location", "")
    except (OSError, http.client.HTTPException):
        return None
    finally:
        connection.close()
    return int(location.rpartition(":")[2]) if location else None


def free_ports(count):
    """Ports that were free just now, each another one."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


class Machine:
    """A folder, masters, agents and what they meet in; everything that runs because of them can be
    found."""

    def __init__(self, run_name):
        self.folder = tempfile.mkdtemp(prefix="orrery-chaos-")
        self.run_name = run_name
        self.daemons = []
        self.zookeepers = []
        self.masters = []
        # The ports by which others know the masters, where they are not the masters' own.
        self.advertised = []
        self.agents = []

    def start_master(self):
        self.masters.append(Service(self, "master", "master", MASTER_FLAGS))

    def start_zookeepers(self, count):
        ports = free_ports(3 * count)
        addresses = [zookeeper.Address("127.0.0.1", *ports[3 * one:3 * one + 3])
                     for one in range(count)]
        self.zookeepers = [ZooKeeper(self, number, addresses) for number in range(count)]
        for one in self.zookeepers:
            wait_for(f"{one.name} to listen", lambda: _listens(one.port))

    def add_master(self, count, servers, port):
        """One of `count` masters that meet before `servers` and is reached by others at `port`."""
        flags = [*MASTER_FLAGS, *ELECTION_FLAGS, f"--zk={servers}", f"--quorum={count // 2 + 1}",
                 "--advertise_ip=127.0.0.1", f"--advertise_port={port}"]
        self.masters.append(Service(self, "master", f"master-{len(self.masters)}", flags))
        self.advertised.append(port)

    def add_agent(self, where):
        number = len(self.agents)
        flags = [f"--master={where}", *AGENT_FLAGS]
        self.agents.append(Service(self, "agent", f"agent-{number}", flags))

    def services(self):
        return [*self.zookeepers, *self.masters, *self.agents]

    def leader(self):
        """The master that says of itself that it leads, if one does."""
        if not self.zookeepers:
            return self.masters[0]
        for master, port in zip(self.masters, self.advertised):
            if master.is_up() and not master.paused and _leader_told_at(master.port) == port:
                return master
        return None

    def state(self, leader):
        status, _, body = request(f"http://127.0.0.1:{leader.port}/state")
        if status == 307:
            raise OSError("it does not lead any more")
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
