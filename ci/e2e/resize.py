"""The number of masters changes, as docs/high-availability.md says, and the registry stays.

    python3 ci/e2e/resize.py

One master, then three, five, three others of these, one of which is replaced by a new one, and
that one alone. An agent was admitted by the first one and never comes back; every leader after it
must know it.
"""

import json
import os
import shutil
import socket
import subprocess
import tempfile

from cluster import ORRERY, Daemon, request, wait_for


def free_ports(count):
    """Ports that nobody had a moment ago; a list of masters must be known before they start."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


class Masters:
    def __init__(self):
        self.folder = tempfile.mkdtemp(prefix="orrery-resize-")
        self.addresses = [f"127.0.0.1:{port}" for port in free_ports(6)]
        self.running, self.starts = {}, 0

    def log(self, number):
        return os.path.join(self.folder, f"master-{number}", "replicated_log")

    def tool(self, name, number):
        return subprocess.run([ORRERY, "log", name, f"--path={self.log(number)}"], check=True,
                              capture_output=True, text=True).stdout

    def start(self, *numbers):
        """All of these, and no others."""
        self.stop()
        peers = ",".join(self.addresses[number] for number in numbers)
        for number in numbers:
            self.starts += 1
            flags = [f"--peers={peers}"] if len(numbers) > 1 else []
            host, port = self.addresses[number].split(":")
            self.running[number] = Daemon(self.folder, f"master-{number}-{self.starts}", [
                "master", f"--ip={host}", f"--port={port}",
                f"--work_dir={self.folder}/master-{number}", *flags])

    def stop(self, *numbers):
        for number in numbers or list(self.running):
            assert self.running.pop(number).stop() == 0

    def agents(self):
        """The agents in the registry of the leader, to which every master redirects."""
        for number in self.running:
            try:
                status, _, body = request(f"http://{self.addresses[number]}/slaves")
            except OSError:
                continue
            if status == 200:
                agents = json.loads(body)
                return [one["id"] for one in agents["slaves"] + agents["recovered_slaves"]]
        return None

    def wait_until_equal(self, *numbers):
        """Until each holds all that the others hold: the first line says so."""
        def equal():
            # Not the promise: the last one may not have reached all.
            ends = {self.tool("read", one).splitlines()[0].split(", ", 2)[2] for one in numbers}
            return len(ends) == 1 and all("0 missing" in end for end in ends)
        wait_for(f"masters {numbers} to hold the same", equal)

    def close(self):
        for daemon in self.running.values():
            daemon.stop()
        shutil.rmtree(self.folder, ignore_errors=True)


def admitted(masters):
    """The id of an agent that registers once and never again."""
    agent = Daemon(masters.folder, "agent", [
        "agent", f"--master={masters.addresses[0]}", "--ip=127.0.0.1", "--port=0",
        f"--work_dir={masters.folder}/agent", "--resources=cpus:1;mem:32;disk:0;ports:[]",
        "--registration_backoff_factor=50ms"])
    try:
        return wait_for("the agent to be admitted", masters.agents)[0]
    finally:
        # SIGTERM would unregister it.
        agent.process.kill()
        agent.stop()


def main():
    masters = Masters()
    try:
        masters.start(0)
        agent = admitted(masters)

        def known(what):
            agents = wait_for(f"a leader of {what}", masters.agents, 60)
            assert agents == [agent], (what, agents)
            print(f"{what}: the leader knows {agent}")

        masters.stop()
        masters.tool("initialize", 1)
        masters.start(0, 1, 2)
        known("one master that became three")
        masters.wait_until_equal(0, 1, 2)
        masters.start(0, 1, 2, 3, 4)
        known("three that became five")
        masters.wait_until_equal(0, 1, 2, 3, 4)
        masters.stop(1, 2)
        known("three that were left of five")
        masters.wait_until_equal(0, 3, 4)
        masters.start(0, 3, 4)
        known("five that became three")
        masters.wait_until_equal(0, 3, 4)
        masters.start(0, 4, 5)
        known("three of which one was replaced")
        masters.wait_until_equal(0, 4, 5)
        masters.start(5)
        known("three that became one")
    except BaseException:
        for daemon in masters.running.values():
            print(f"--- {daemon.name} ---\n{daemon.output()[-3000:]}")
        raise
    finally:
        masters.close()


if __name__ == "__main__":
    main()
