"""Real ZooKeeper servers: what they are configured with, and how one is started."""

import os

SERVER = "/usr/share/zookeeper/bin/zkServer.sh"
# Sessions may be as short as two ticks.
SETTINGS = ["tickTime=500", "initLimit=20", "syncLimit=10", "admin.enableServer=false",
            "maxClientCnxns=0", "4lw.commands.whitelist=*"]


class Address:
    """Where a server is reached by clients, by its followers, and for elections."""

    def __init__(self, ip, client=2181, followers=2888, elections=3888):
        self.ip, self.client, self.followers, self.elections = ip, client, followers, elections


def configure(folder, number, servers):
    """Writes the files of server `number`, counted from 0, into its folder; `servers` are the
    addresses of all."""
    own = servers[number]
    lines = [*SETTINGS, f"clientPort={own.client}", f"clientPortAddress={own.ip}",
             f"dataDir={folder}"]
    lines += [f"server.{index + 1}={one.ip}:{one.followers}:{one.elections}"
              for index, one in enumerate(servers)]
    os.makedirs(folder, exist_ok=True)
    with open(os.path.join(folder, "zoo.cfg"), "w", encoding="utf-8") as file:
        file.write("\n".join(lines) + "\n")
    with open(os.path.join(folder, "myid"), "w", encoding="utf-8") as file:
        file.write(str(number + 1))


def arguments(folder):
    """What `SERVER` is called with."""
    return ["start-foreground", os.path.join(folder, "zoo.cfg")]


def environment(folder):
    """What a server needs beside the usual environment."""
    return {"ZOO_LOG_DIR": folder, "JVMFLAGS": "-Xmx128m -XX:+UseSerialGC",
            "ZOO_LOG4J_PROP": "WARN,CONSOLE"}
