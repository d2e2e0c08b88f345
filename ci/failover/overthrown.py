#!/usr/bin/env python3
"""Leaders whose node in real ZooKeeper servers is removed by somebody, again and again.

Each time another master leads, and every master names it: the one that was overthrown hears of its
successor, perhaps before it hears that it does not lead any more. Then a node is closed, and whoever
looks for a master there with a wrong password ends and says why. Needs to be root, and the release
build.
"""

import re
import subprocess
import sys

from services import ORRERY, Cluster, leader_told_by, wait_for

ZKCLI = "/usr/share/zookeeper/bin/zkCli.sh"
ROUNDS = 5


def zookeeper(cluster, *command):
    """What ZooKeeper's own client prints."""
    server = cluster.zookeepers[0]
    return subprocess.run([*server.host.prefix(), ZKCLI, "-server", server.address, *command],
                          env=server.environment(), check=True, capture_output=True,
                          text=True).stdout


def overthrow(cluster):
    """Removes the leader's node, and returns what all masters then agree upon."""
    nodes = sorted(re.findall(r"json\.info_\d+", zookeeper(cluster, "ls", "/mesos")))
    before = cluster.leader()
    zookeeper(cluster, "delete", f"/mesos/{nodes[0]}")

    def successor():
        told = {leader_told_by(master) for master in cluster.masters}
        return told.pop() if len(told) == 1 and before.address not in told else None

    return wait_for("all masters to name the next one", successor)


def refused(cluster, url):
    """What `orrery execute` says of masters that it may not look for."""
    host = cluster.zookeepers[0].host
    ended = subprocess.run([*host.prefix(), ORRERY, "execute", f"--master={url}", "--name=x",
                            "--command=true"], capture_output=True, text=True, timeout=30)
    assert ended.returncode == 1, ended
    return ended.stderr.strip().splitlines()[-1]


def main():
    cluster = Cluster(True, agents=0)
    try:
        wait_for("a leader", cluster.leader)
        for _ in range(ROUNDS):
            print(f"all masters name {overthrow(cluster)}")
        zookeeper(cluster, "create", "/closed", "")
        zookeeper(cluster, "setAcl", "/closed", "digest:somebody:x:cdrwa")
        server = cluster.zookeepers[0].address
        reason = refused(cluster, f"zk://somebody:wrong@{server}/closed")
        assert "the credentials are missing or wrong" in reason, reason
        assert "wrong@" not in reason, "a password is nobody's business"
        print(reason)
    except BaseException:
        cluster.logs()
        raise
    finally:
        cluster.close()


if __name__ == "__main__":
    sys.exit(main())
