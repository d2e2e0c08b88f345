"""A scheduler that never gives up: it subscribes again with its id, and tells the oracle all."""

import collections
import http.client
import json
import random
import socket
import threading
import time

from oracle import Task
from scheduler import task as task_info

CALL_PATIENCE = 1.5
SUBSCRIBE_PATIENCE = 3.0
FAILOVER_TIMEOUT = 600.0
GRACE = {"grace_period": {"nanoseconds": 500_000_000}}
# The marker keeps the shell from being replaced by its last command.
COMMANDS = {
    "exit": "exit 0",
    "short": "sleep 0.7; exit 0",
    "fail": "sleep 0.3; exit 3",
    "long": "sleep 1000; exit 0",
    "stubborn": "trap '' TERM; while :; do sleep 0.2; done",
    "parent": "sleep 1000 & sleep 0.5; exit 0",
}


class Session:
    """One subscription and its event stream."""

    def __init__(self, framework):
        self.framework = framework
        self.stream_id = None
        self.over = False
        self.socket = socket.create_connection(("127.0.0.1", framework.port), SUBSCRIBE_PATIENCE)

    def subscribe(self):
        info = dict(self.framework.info)
        call = {"type": "SUBSCRIBE", "subscribe": {"framework_info": info}}
        if self.framework.id:
            info["id"] = call["framework_id"] = {"value": self.framework.id}
        body = json.dumps(call).encode()
        self.socket.sendall(
            b"POST /api/v1/scheduler HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
            b"Accept: application/json\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
        self.stream = self.socket.makefile("rb")
        status = self.stream.readline()
        if b" 200 " not in status:
            if status:
                self.framework.note(f"SUBSCRIBE is answered with {status!r}")
            raise OSError("not subscribed")
        for line in iter(self.stream.readline, b"\r\n"):
            name, colon, value = line.decode().partition(":")
            if not colon:
                raise OSError("cut off in the headers")
            if name.lower() == "mesos-stream-id":
                self.stream_id = value.strip()
        first = next(self.records(), None)
        if first is None or first["type"] != "SUBSCRIBED":
            raise OSError(f"instead of SUBSCRIBED came {first}")
        self.socket.settimeout(None)
        return first["subscribed"]["framework_id"]["value"]

    def records(self):
        """Events until the stream ends in whatever way."""
        pending = b""
        while True:
            size = self.stream.readline()
            if not size.endswith(b"\r\n") or int(size, 16) == 0:
                return
            chunk = self.stream.read(int(size, 16) + 2)
            if len(chunk) < int(size, 16) + 2:
                return
            pending += chunk[:-2]
            while b"\n" in pending:
                head, rest = pending.split(b"\n", 1)
                if len(rest) < int(head):
                    break
                record, pending = rest[:int(head)], rest[int(head):]
                yield json.loads(record)

    def read(self):
        try:
            for event in self.records():
                if not self.over:
                    self.framework.heard(self, event)
                if self.over:
                    break
        except (OSError, ValueError):
            pass
        self.framework.ended(self)

    def close(self):
        self.over = True
        try:
            self.socket.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self.socket.close()


class Framework:
    """A framework with one scheduler: what it wants, what it knows, and its calls in order."""

    def __init__(self, number, port, oracle, run_name, seed):
        self.name = f"scheduler-{number}"
        self.number, self.port, self.oracle, self.run_name = number, port, oracle, run_name
        self.dice = random.Random(f"{seed} {number}")
        # Tasks of every other framework end with their agent.
        self.info = {"user": "root", "name": self.name, "failover_timeout": FAILOVER_TIMEOUT,
                     "checkpoint": number % 2 == 0,
                     "roles": ["*"], "capabilities": [{"type": "PARTITION_AWARE"},
                                                      {"type": "MULTI_ROLE"}]}
        self.id = None
        self.session = None
        self.stopped = False
        self.pause_until = self.hoard_until = 0.0
        self.tasks = {}
        self.wanted = collections.deque()
        self.used_offers = collections.deque(maxlen=5)
        self.changed = threading.Condition()
        self.calls = collections.deque()
        self.subscribing = threading.Lock()
        self.threads = [threading.Thread(target=one, daemon=True)
                        for one in (self.keep_subscribed, self.make_calls)]

    def note(self, text):
        self.oracle.note(f"{self.name} {text}")

    def start(self):
        for thread in self.threads:
            thread.start()

    def keep_subscribed(self):
        while not self.stopped:
            with self.changed:
                if self.session or time.monotonic() < self.pause_until:
                    self.changed.wait(0.05)
                    continue
            if not self.subscribe():
                time.sleep(self.dice.uniform(0.05, 0.4))

    def subscribe(self):
        """Opens a new stream, which takes the place of the present one."""
        with self.subscribing:
            return self._subscribe()

    def _subscribe(self):
        session = None
        try:
            session = Session(self)
            framework_id = session.subscribe()
        except (OSError, ValueError):
            if session:
                session.close()
            return False
        if self.id not in (None, framework_id):
            self.oracle.fail(f"{self.name} was {self.id} and is now {framework_id}")
        with self.changed:
            self.id, self.session = framework_id, session
        self.note(f"subscribed as {framework_id}")
        threading.Thread(target=session.read, daemon=True).start()
        return True

    def ended(self, session):
        with self.changed:
            if session is self.session:
                self.session = None
                self.note("lost its stream")
            self.changed.notify_all()

    def drop(self, seconds=0.0):
        """Closes the stream and stays away for a while."""
        with self.changed:
            self.pause_until = time.monotonic() + seconds
            session, self.session = self.session, None
        if session:
            session.close()

    def fail_over(self, overlap):
        old = self.session
        if old and self.subscribe():
            threading.Timer(overlap, old.close).start()

    def heard(self, session, event):
        kind = event["type"]
        if kind == "UPDATE":
            status = event["update"]["status"]
            self.oracle.updated(self.name, status)
            if "uuid" in status:
                self.call("ACKNOWLEDGE", acknowledge={
                    "agent_id": status["agent_id"], "task_id": status["task_id"],
                    "uuid": status["uuid"]})
        elif kind == "OFFERS":
            for offer in event["offers"]["offers"]:
                self.oracle.offered(self.name, offer["id"]["value"])
                self.answer(session, offer)
        elif kind == "ERROR":
            self.note(f"hears ERROR {event['error']['message']!r}")
            session.over = True
            # A late SUBSCRIBE of ours may have taken over from a newer one.
            if event["error"]["message"] != "Framework failed over":
                self.oracle.fail(f"{self.name}: ERROR on its stream: {event}")

    def answer(self, session, offer):
        wait = self.hoard_until - time.monotonic()
        if wait > 0:
            threading.Timer(wait, self.answer, (session, offer)).start()
            return
        infos = []
        held = {one["name"]: one["scalar"]["value"] for one in offer["resources"]
                if "scalar" in one}
        room = min(int(held.get("cpus", 0) / 0.1 + 1e-6), int(held.get("mem", 0) / 32 + 1e-6), 4)
        with self.changed:
            if session is not self.session:
                return
            while self.wanted and len(infos) < room:
                infos.append(self.new_task(self.wanted.popleft(), offer))
        if infos:
            self.launch(offer, infos)
        else:
            self.call("DECLINE", decline={"offer_ids": [offer["id"]],
                                          "filters": {"refuse_seconds": 1.0}})

    def new_task(self, kind, offer):
        task_id = f"{self.name}-{len(self.tasks)}-{kind}"
        marker = f": {self.run_name}/{task_id};"
        info = task_info(task_id, f"{marker} {COMMANDS[kind]}", kill_policy=GRACE,
                         agent_id=offer["agent_id"])
        task = Task(task_id, kind, offer["agent_id"]["value"])
        with self.oracle.lock:
            self.tasks[task_id] = self.oracle.tasks[task_id] = task
        return info

    def launch(self, offer, infos):
        self.used_offers.append(offer)
        names = [info["name"] for info in infos]
        self.note(f"launches {', '.join(names)} with {offer['id']['value']}")
        self.call("ACCEPT", [self.tasks[name] for name in names], accept={
            "offer_ids": [offer["id"]], "filters": {"refuse_seconds": 0.5},
            "operations": [{"type": "LAUNCH", "launch": {"task_infos": infos}}]})

    def reuse(self):
        """Launches on an offer that was used before, which must come to nothing."""
        if self.used_offers:
            offer = self.dice.choice(self.used_offers)
            self.launch(offer, [self.new_task("long", offer)])

    def open_tasks(self):
        with self.oracle.lock:
            return [task for task in self.tasks.values() if task.is_open()]

    def kill(self, count):
        tasks = [task for task in self.open_tasks() if task.accept == "accepted"]
        for task in self.dice.sample(tasks, min(count, len(tasks))):
            self.kill_task(task)

    def kill_task(self, task):
        self.call("KILL", [task], kill={"task_id": {"value": task.id},
                                        "agent_id": {"value": task.agent_id}})

    def reconcile(self, also_unknown=False):
        """Asks for tasks of which the master has certainly heard."""
        tasks = [task for task in self.open_tasks() if also_unknown or task.accept == "accepted"]
        if tasks:
            self.call("RECONCILE", tasks, reconcile={"tasks": [
                {"task_id": {"value": task.id}, "agent_id": {"value": task.agent_id}}
                for task in tasks]})

    def call(self, kind, tasks=(), **fields):
        with self.changed:
            self.calls.append((kind, tasks, fields, self.session))
            self.changed.notify_all()

    def make_calls(self):
        """Makes one call after another, so that their order is known."""
        while True:
            with self.changed:
                while not self.calls and not self.stopped:
                    self.changed.wait(0.2)
                if self.stopped:
                    return
                kind, tasks, fields, session = self.calls.popleft()
                present = self.session
            # An answer to an offer goes with the stream that brought the offer.
            outcome = "refused"
            if kind in ("KILL", "RECONCILE"):
                with self.oracle.lock:
                    for task in tasks:
                        task.answers_due += 1
            if present and (session is present or kind not in ("ACCEPT", "DECLINE")):
                outcome = self.send(present, kind, fields)
            with self.oracle.lock:
                for task in tasks if kind == "ACCEPT" else ():
                    task.accept = outcome

    def send(self, session, kind, fields):
        body = json.dumps({"type": kind, "framework_id": {"value": self.id}, **fields})
        headers = {"Content-Type": "application/json", "Mesos-Stream-Id": session.stream_id}
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=CALL_PATIENCE)
        try:
            connection.request("POST", "/api/v1/scheduler", body, headers)
            answer = connection.getresponse()
            text = answer.read()
        except (OSError, http.client.HTTPException) as error:
            self.note(f"{kind} has no answer: {error!r}")
            return "unknown"
        finally:
            connection.close()
        if answer.status == 202:
            return "accepted"
        self.note(f"{kind} is answered with {answer.status} {text!r}")
        # The stream may be an old one, or the master has been restarted or does not lead any more.
        if answer.status not in (307, 400, 403, 503):
            self.oracle.fail(f"{self.name}: {kind} is answered with {answer.status} {text!r}")
        return "refused"

    def close(self):
        self.stopped = True
        self.drop()
        for thread in self.threads:
            thread.join(10)
