#!/usr/bin/env python3
"""A replica of the masters' log that is no master, found through real ZooKeeper servers.

Two masters and `orrery log replica --zk` keep the registry. With one master dead the other one still
leads, since the replica votes: an agent that comes then is admitted, and the replica has it on its
disk. One replica more is refused. Then the tools are called as Mesos' own are, for a log that is no
master's. Needs to be root, and the release build.
"""

import json
import os
import re
import signal
import subprocess
import sys
import urllib.request

from services import ORRERY, Cluster, LogReplica, LogTool, wait_for


def output(service):
    with open(f"{service.folder}.log", encoding="utf-8", errors="replace") as file:
        return file.read()


def agents_of(master):
    """The ids of the agents that a leading master has admitted."""
    try:
        with urllib.request.urlopen(f"http://{master.address}/slaves", timeout=1) as answer:
            return [agent["id"] for agent in json.load(answer)["slaves"]]
    except OSError:
        return []


def replicas_known_to(master):
    """How many replicas the log of a master works with."""
    try:
        with urllib.request.urlopen(f"http://{master.address}/metrics/snapshot",
                                    timeout=1) as answer:
            return json.load(answer).get("registrar/log/ensemble_size")
    except OSError:
        return None


def read(replica):
    return subprocess.run([ORRERY, "log", "read", f"--path={replica.folder}"], check=True,
                          capture_output=True, text=True).stdout


def measure(cluster):
    """Two replicas and a benchmark, which is the third, meet in a node of their own."""
    znode = "/elsewhere/replicas"
    replicas = [LogTool(cluster, f"tool-{number}", "replica", znode) for number in range(2)]
    trace, times = (os.path.join(cluster.folder, name) for name in ("trace", "times"))
    with open(trace, "w", encoding="utf-8") as file:
        file.write("100B\n2KB\n" * 50)
    flags = ["--type=zero", f"--input={trace}", f"--output={times}", "--writers=1"]
    benchmark = LogTool(cluster, "benchmark", "benchmark", znode, *flags)
    tools = [*replicas, benchmark]
    try:
        for one in tools:
            one.start()
        assert benchmark.process.wait(60) == 0, output(benchmark)
        with open(times, encoding="utf-8") as file:
            lines = file.readlines()
        sizes = [re.fullmatch(r"[0-9.]+ Appended (\d+) bytes in [0-9.]+ ms\n", line)[1]
                 for line in lines]
        assert sizes == ["100", "2048"] * 50, lines
        benchmark.start()
        assert benchmark.process.wait(60) != 0
        assert "the log holds entries up to position" in output(benchmark), output(benchmark)
        for one in replicas:
            one.send(signal.SIGTERM)
            assert one.process.wait(10) == 0, output(one)
        held = [read(one).count("APPEND") for one in replicas]
        assert min(held) >= 99, held  # the last entry is told with the next one
    finally:
        for one in tools:
            one.stop()
    print("a benchmark appended to a log of three, and would not to one that is in use")


def main():
    cluster = Cluster(True, agents=0, session_timeout="2secs", replicas=1)
    try:
        replica = cluster.replicas[0]
        wait_for("the replica to vote", lambda: "The replica votes." in output(replica))
        follower = next(one for one in cluster.masters if one is not cluster.leader())
        follower.kill()
        leader = wait_for("a leader", cluster.leader)
        agent = cluster.add_agent()
        agent_id = wait_for("the agent to be admitted", lambda: agents_of(leader))[0]
        print(f"{agent_id} is admitted by one master and the replica")

        one_more = LogReplica(cluster, 1)
        follower.start()
        wait_for("the master to be back", lambda: replicas_known_to(follower) == 3)
        one_more.start()
        assert one_more.process.wait(60) != 0
        refusal = output(one_more).strip().splitlines()[-1]
        assert "--quorum is 2, but 4 masters have joined in ZooKeeper" in refusal, refusal
        print(f"one more is refused: {refusal}")

        replica.send(signal.SIGTERM)
        assert replica.process.wait(10) == 0
        held = read(replica)
        # The beginning of each entry is shown, in which the agent's hostname stands.
        assert held.startswith("VOTING") and agent.host.ip in held, held
        print("the replica has stopped in order and holds it")
        measure(cluster)
    except BaseException:
        cluster.logs()
        raise
    finally:
        cluster.close()


if __name__ == "__main__":
    sys.exit(main())
