"""Hosts on one machine: a network namespace for each, all on one bridge, so that one can be cut off."""

import itertools
import os
import subprocess

NETWORKS = itertools.count()


def ip(*arguments):
    subprocess.run(["ip", *arguments], check=True, stdout=subprocess.DEVNULL)


class Network:
    """A bridge, and hosts on it. Needs to be root."""

    def __init__(self):
        # Two runs on one machine do not meet: the number of the process is in all names.
        self.mark = f"{os.getpid() % 10000}{next(NETWORKS)}"
        self.third = os.getpid() % 250
        self.bridge = f"ob{self.mark}"
        self.hosts = []
        ip("link", "add", self.bridge, "type", "bridge")
        ip("addr", "add", f"{self.address(1)}/24", "dev", self.bridge)
        ip("link", "set", self.bridge, "up")

    def address(self, number):
        return f"10.77.{self.third}.{number}"

    def host(self, name):
        host = Host(self, name, len(self.hosts))
        self.hosts.append(host)
        return host

    def close(self):
        for host in self.hosts:
            host.close()
        ip("link", "del", self.bridge)


class Host:
    """A namespace with one address."""

    def __init__(self, network, name, number):
        self.name, self.ip = name, network.address(number + 10)
        self.namespace = f"on{network.mark}-{name}"
        self.link = f"ov{network.mark}{number}"
        inside = f"oi{network.mark}{number}"
        ip("netns", "add", self.namespace)
        ip("link", "add", self.link, "type", "veth", "peer", "name", inside)
        ip("link", "set", inside, "netns", self.namespace)
        ip("link", "set", self.link, "master", network.bridge)
        ip("link", "set", self.link, "up")
        ip("-n", self.namespace, "addr", "add", f"{self.ip}/24", "dev", inside)
        ip("-n", self.namespace, "link", "set", inside, "up")
        ip("-n", self.namespace, "link", "set", "lo", "up")

    def prefix(self):
        """What a command line begins with that is to run here."""
        return ["ip", "netns", "exec", self.namespace]

    def cut(self):
        """Nothing reaches it and nothing leaves it; its connections do not notice."""
        ip("link", "set", self.link, "down")

    def heal(self):
        ip("link", "set", self.link, "up")

    def close(self):
        subprocess.run(["ip", "netns", "del", self.namespace], check=False)
        subprocess.run(["ip", "link", "del", self.link], check=False, stderr=subprocess.DEVNULL)
