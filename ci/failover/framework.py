"""A framework that follows the leading master, launches tasks, and keeps count of all it is told."""

import http.client
import json
import socket
import threading
import time

from services import leader_told_by

TERMINAL = {"TASK_FINISHED", "TASK_FAILED", "TASK_KILLED", "TASK_LOST", "TASK_ERROR", "TASK_GONE",
            "TASK_DROPPED", "TASK_GONE_BY_OPERATOR"}


class Framework:
    """Subscribes wherever the leader is; wants tasks until it is closed."""

    def __init__(self, cluster):
        self.cluster = cluster
        self.lock = threading.RLock()
        self.changed = threading.Condition(self.lock)
        self.wanted = []
        self.commands = {}
        self.states = {}
        self.updates = {}
        self.lost = set()
        self.agents = {}
        self.id = None
        self.offers_at = []
        self.session = None
        self.closed = False
        self.errors = []
        self.info = {"user": "root", "name": "failover", "failover_timeout": 3600.0,
                     "checkpoint": True, "capabilities": [{"type": "PARTITION_AWARE"}]}
        self.leader = None
        self.calls = None
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()
        threading.Thread(target=self.watch, daemon=True).start()

    def launch(self, name, command):
        with self.lock:
            self.wanted.append((name, command))
            self.commands[name] = command

    def run(self):
        while not self.closed:
            for master in self.cluster.masters:
                leader = leader_told_by(master)
                if leader:
                    try:
                        self.follow(leader)
                    except (OSError, ValueError, http.client.HTTPException):
                        pass
            time.sleep(0.02)

    def watch(self):
        """Leaves a leader that was replaced, whose connection may not have noticed."""
        while not self.closed:
            time.sleep(0.1)
            leader = self.leader
            for master in self.cluster.masters:
                if leader and master.address != leader and leader_told_by(master) == master.address:
                    if self.leader == leader:
                        self.hang_up()
                    break

    def hang_up(self):
        if self.session:
            try:
                self.session.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def follow(self, leader):
        """One subscription, from its beginning to its end."""
        host, port = leader.split(":")
        call = {"type": "SUBSCRIBE", "subscribe": {"framework_info": dict(self.info)}}
        if self.id:
            call["subscribe"]["framework_info"]["id"] = call["framework_id"] = {"value": self.id}
        body = json.dumps(call).encode()
        with socket.create_connection((host, int(port)), 1.0) as stream:
            stream.settimeout(45.0)
            self.session, self.leader = stream, leader
            stream.sendall(
                b"POST /api/v1/scheduler HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
                b"Accept: application/json\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
            reader = stream.makefile("rb")
            if b" 200 " not in reader.readline():
                return
            stream_id = None
            for line in iter(reader.readline, b"\r\n"):
                name, _, value = line.decode().partition(":")
                if name.lower() == "mesos-stream-id":
                    stream_id = value.strip()
            calls = Calls(leader, stream_id)
            try:
                for event in records(reader):
                    self.take(calls, event)
            finally:
                self.leader = self.calls = None

    def take(self, calls, event):
        kind = event["type"]
        with self.lock:
            if kind == "SUBSCRIBED":
                self.id = event["subscribed"]["framework_id"]["value"]
                calls.framework_id = self.id
                self.calls = calls
                self.reconcile(lambda state: state not in TERMINAL)
            elif kind == "OFFERS":
                self.offers_at.append(time.monotonic())
                # A launch that was on its way when a master died got lost or not; as long as the
                # agent is not back, nobody can say.
                self.reconcile(lambda state: state == "LAUNCHED")
                for offer in event["offers"]["offers"]:
                    self.answer(calls, offer)
            elif kind == "UPDATE":
                self.update(calls, event["update"]["status"])
            elif kind == "ERROR":
                self.errors.append(event["error"]["message"])
            self.changed.notify_all()

    def reconcile(self, wanted):
        tasks = [{"task_id": {"value": name}, "agent_id": {"value": agent}}
                 for name, agent in self.agents.items() if wanted(self.states.get(name))]
        if tasks:
            self.calls.send("RECONCILE", reconcile={"tasks": tasks})

    def answer(self, calls, offer):
        room = next(one["scalar"]["value"] for one in offer["resources"] if one["name"] == "cpus")
        share = min(int(room / 0.1), 50, -(-len(self.wanted) // 2))
        tasks, self.wanted = self.wanted[:share], self.wanted[share:]
        infos = []
        for name, command in tasks:
            self.agents[name] = offer["agent_id"]["value"]
            self.states[name] = "LAUNCHED"
            infos.append({
                "name": name, "task_id": {"value": name}, "agent_id": offer["agent_id"],
                "command": {"shell": True, "value": command},
                "resources": [{"name": "cpus", "type": "SCALAR", "scalar": {"value": 0.1}},
                              {"name": "mem", "type": "SCALAR", "scalar": {"value": 16}}]})
        operations = [{"type": "LAUNCH", "launch": {"task_infos": infos}}] if infos else []
        calls.send("ACCEPT", accept={"offer_ids": [offer["id"]], "operations": operations,
                                     "filters": {"refuse_seconds": 0.2}})

    def update(self, calls, status):
        name, state = status["task_id"]["value"], status["state"]
        before = self.states.get(name)
        uuid = status.get("uuid")
        if uuid:
            calls.send("ACKNOWLEDGE", acknowledge={
                "agent_id": status["agent_id"], "task_id": status["task_id"], "uuid": uuid})
            if uuid in self.lost:
                return
        if state in ("TASK_DROPPED", "TASK_GONE", "TASK_UNKNOWN") and before == "LAUNCHED":
            # It got lost on its way, to the master or to an agent that died, and is wanted again.
            self.lost.add(uuid)
            del self.states[name], self.agents[name]
            self.wanted.append((name, self.commands[name]))
            return
        if uuid:
            seen = self.updates.setdefault(name, [])
            if uuid not in [known for known, _ in seen]:
                seen.append((uuid, state))
        if before in TERMINAL and state != before:
            self.errors.append(f"{name} is {state} after {before}")
        self.states[name] = state

    def kill_all(self):
        """Asks for the end of every task that runs; to be called again until all have ended."""
        with self.lock:
            running = [name for name, state in self.states.items() if state not in TERMINAL]
            for name in running:
                try:
                    if self.calls:
                        self.calls.send("KILL", kill={"task_id": {"value": name}})
                except (OSError, ValueError, http.client.HTTPException):
                    return

    def close(self):
        self.closed = True
        self.hang_up()
        self.thread.join(5)


class Calls:
    """Calls on one subscription, one after the other on a connection of their own."""

    def __init__(self, leader, stream_id):
        self.leader, self.stream_id, self.framework_id = leader, stream_id, None
        self.connection = http.client.HTTPConnection(leader, timeout=3.0)

    def send(self, kind, **fields):
        call = {"type": kind, "framework_id": {"value": self.framework_id}, **fields}
        headers = {"Content-Type": "application/json", "Mesos-Stream-Id": self.stream_id}
        self.connection.request("POST", "/api/v1/scheduler", json.dumps(call), headers)
        response = self.connection.getresponse()
        text = response.read()
        if response.status not in (200, 202):
            raise ValueError(f"{kind}: {response.status} {text!r}")


def records(reader):
    """Events until the stream ends."""
    pending = b""
    while True:
        size = reader.readline()
        if not size.endswith(b"\r\n") or int(size, 16) == 0:
            return
        length = int(size, 16)
        chunk = reader.read(length + 2)
        if len(chunk) < length + 2:
            return
        pending += chunk[:-2]
        while b"\n" in pending:
            head, rest = pending.split(b"\n", 1)
            if len(rest) < int(head):
                break
            yield json.loads(rest[:int(head)])
            pending = rest[int(head):]
