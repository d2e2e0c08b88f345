"""The daemons of a highly available cluster, each on a host of its own, each restartable."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import urllib.request

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "e2e"))

import zookeeper  # noqa: E402
from cluster import ORRERY, wait_for  # noqa: E402
from hosts import Network  # noqa: E402

AGENT_RESOURCES = "cpus:64;mem:65536;disk:1024;ports:[]"


class Redirects(urllib.request.HTTPRedirectHandler):
    """Redirects are answers here."""

    def redirect_request(self, *_):
        return None


OPENER = urllib.request.build_opener(Redirects)


def leader_told_by(master, patience=0.5):
    """The host and port of the leader as one master knows it; None when it knows none."""
    try:
        with OPENER.open(f"http://{master.address}/redirect", timeout=patience):
            return None
    except urllib.error.HTTPError as error:
        location = error.headers.get("Location") if error.code == 307 else None
        return location.removeprefix("//") if location else None
    except OSError:
        return None


class Service:
    """A process on a host that is started, killed and started again with the same folder."""

    def __init__(self, cluster, name, port):
        self.cluster, self.name = cluster, name
        self.host = cluster.network.host(name)
        self.address = f"{self.host.ip}:{port}"
        self.folder = os.path.join(cluster.folder, name)
        os.makedirs(self.folder, exist_ok=True)
        self.process = None

    def command(self):
        raise NotImplementedError

    def start(self):
        log = open(os.path.join(self.cluster.folder, f"{self.name}.log"), "ab")
        self.process = subprocess.Popen(
            [*self.host.prefix(), *self.command()], stdout=log, stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL, start_new_session=True, env=self.environment())
        log.close()

    def environment(self):
        return {key: value for key, value in os.environ.items() if not key.startswith("MESOS_")}

    def send(self, number):
        self.process.send_signal(number)

    def kill(self):
        self.send(signal.SIGKILL)
        self.process.wait()

    def stop(self):
        if self.process and self.process.poll() is None:
            self.send(signal.SIGCONT)
            self.send(signal.SIGTERM)
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                self.kill()


class ZooKeeper(Service):
    def __init__(self, cluster, number):
        super().__init__(cluster, f"zk-{number}", 2181)
        self.number = number

    def configure(self, servers):
        addresses = [zookeeper.Address(one.host.ip) for one in servers]
        zookeeper.configure(self.folder, self.number, addresses)

    def command(self):
        return [zookeeper.SERVER, *zookeeper.arguments(self.folder)]

    def environment(self):
        return {**super().environment(), **zookeeper.environment(self.folder)}

    def send(self, number):
        # The script starts a Java of its own, in its session.
        os.killpg(self.process.pid, number)


class Master(Service):
    def __init__(self, cluster, number):
        super().__init__(cluster, f"master-{number}", 5050)

    def command(self):
        return [ORRERY, "master", f"--ip={self.host.ip}", "--port=5050", f"--hostname={self.host.ip}",
                f"--work_dir={self.folder}", "--quorum=2", *self.cluster.master_flags()]


class LogReplica(Service):
    """A replica of the masters' log that is no master."""

    def __init__(self, cluster, number):
        super().__init__(cluster, f"replica-{number}", 5052)

    def command(self):
        return [ORRERY, "log", "replica", f"--path={self.folder}", "--quorum=2", "--initialize",
                f"--address={self.address}", f"--zk={self.cluster.where}",
                f"--zk_session_timeout={self.cluster.session_timeout}"]


class LogTool(Service):
    """A tool of the log, called as Mesos' own is; with its replica it joins one of three."""

    def __init__(self, cluster, name, tool, znode, *more):
        super().__init__(cluster, name, 0)
        self.call = [tool, f"--znode={znode}", *more]

    def command(self):
        tool, *more = self.call
        servers = ",".join(one.address for one in self.cluster.zookeepers)
        return [ORRERY, "log", tool, f"--path={self.folder}", "--quorum=2", "--initialize",
                f"--servers={servers}", *more]


class Agent(Service):
    def __init__(self, cluster, number):
        super().__init__(cluster, f"agent-{number}", 5051)

    def command(self):
        return [ORRERY, "agent", f"--ip={self.host.ip}", "--port=5051",
                f"--work_dir={self.folder}", f"--resources={AGENT_RESOURCES}",
                f"--master={self.cluster.where}", "--registration_backoff_factor=100ms"]


class Cluster:
    """Masters and replicas of their log, three together; agents; and three ZooKeeper servers unless
    the masters vote by themselves."""

    def __init__(self, with_zookeeper, agents=5, session_timeout="4secs", replicas=0):
        self.folder = tempfile.mkdtemp(prefix="orrery-failover-")
        self.network = Network()
        self.session_timeout = session_timeout
        servers = range(3 if with_zookeeper else 0)
        self.zookeepers = [ZooKeeper(self, number) for number in servers]
        self.masters = [Master(self, number) for number in range(3 - replicas)]
        self.replicas = [LogReplica(self, number) for number in range(replicas)]
        self.agents = [Agent(self, number) for number in range(agents)]
        if with_zookeeper:
            servers = ",".join(one.address for one in self.zookeepers)
            self.where = f"zk://{servers}/mesos"
        else:
            self.where = ",".join(one.address for one in self.masters)
        try:
            for one in self.zookeepers:
                one.configure(self.zookeepers)
            for one in self.services():
                one.start()
            wait_for("a leader", self.leader, 60)
        except BaseException:
            self.close()
            raise

    def add_agent(self):
        """One agent more, which is started."""
        agent = Agent(self, len(self.agents))
        self.agents.append(agent)
        agent.start()
        return agent

    def services(self):
        return [*self.zookeepers, *self.masters, *self.replicas, *self.agents]

    def master_flags(self):
        timing = ["--agent_ping_timeout=3secs", "--max_agent_ping_timeouts=10"]
        if self.zookeepers:
            return [f"--zk={self.where}", f"--zk_session_timeout={self.session_timeout}", *timing]
        return [f"--peers={self.where}", *timing]

    def leader(self):
        """The master that leads, if one says so of itself."""
        for master in self.masters:
            if leader_told_by(master) == master.address:
                return master
        return None

    def logs(self, lines=40):
        for one in self.services():
            path = os.path.join(self.folder, f"{one.name}.log")
            if os.path.exists(path):
                with open(path, encoding="utf-8", errors="replace") as file:
                    text = "".join(file.readlines()[-lines:])
                print(f"--- {one.name} ---\n{text}")

    def close(self, keep=False):
        for one in reversed(self.services()):
            one.stop()
        self.network.close()
        if keep:
            print(f"logs are kept in {self.folder}")
        else:
            shutil.rmtree(self.folder, ignore_errors=True)
