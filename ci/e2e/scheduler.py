"""A scheduler on a bare socket: sees every byte of the event stream as it comes."""

import json
import socket
import threading
import uuid

from cluster import post_json, wait_for


class Scheduler:
    """Subscribes, collects events, and checks the framing of chunks and records as it reads."""

    def __init__(self, url, name="e2e", framework_id=None, **info):
        self.url = url
        self.events = []
        self.seen = []
        self.changed = threading.Condition()
        host, port = url.removeprefix("http://").split(":")
        framework = {"user": "root", "name": name, **info}
        call = {"type": "SUBSCRIBE", "subscribe": {"framework_info": framework}}
        if framework_id:
            framework["id"] = {"value": framework_id}
            call["framework_id"] = {"value": framework_id}
        body = json.dumps(call).encode()
        self.socket = socket.create_connection((host, int(port)))
        self.socket.sendall((
            "POST /api/v1/scheduler HTTP/1.1\r\nHost: {}\r\nContent-Type: application/json\r\n"
            "Accept: application/json\r\nContent-Length: {}\r\n\r\n"
        ).format(host, len(body)).encode() + body)
        self.stream = self.socket.makefile("rb")
        status = self.stream.readline().split()[1]
        assert status == b"200", status
        self.headers = {}
        for line in iter(self.stream.readline, b"\r\n"):
            name_, _, value = line.decode().partition(":")
            self.headers[name_.lower()] = value.strip()
        assert self.headers["transfer-encoding"] == "chunked", self.headers
        self.stream_id = self.headers["mesos-stream-id"]
        uuid.UUID(self.stream_id)
        threading.Thread(target=self.read, daemon=True).start()
        self.id = self.wait("SUBSCRIBED")["subscribed"]["framework_id"]["value"]

    def read(self):
        pending = b""
        while True:
            size = self.stream.readline()
            length = int(size, 16) if size.strip() else 0
            if length == 0:
                with self.changed:
                    self.events.append({"type": "CLOSED"})
                    self.seen.append(self.events[-1])
                    self.changed.notify_all()
                return
            pending += self.stream.read(length)
            assert self.stream.read(2) == b"\r\n"
            while b"\n" in pending:
                head, rest = pending.split(b"\n", 1)
                if len(rest) < int(head):
                    break
                record, pending = rest[:int(head)], rest[int(head):]
                assert b"\n" not in record, "a record must be one line"
                with self.changed:
                    self.events.append(json.loads(record))
                    self.seen.append(self.events[-1])
                    self.changed.notify_all()

    def wait(self, kind, match=lambda event: True, patience=30):
        """The first event of a kind that matches, however long ago it came; it is taken out."""
        def look():
            for event in self.events:
                if event["type"] == kind and match(event):
                    self.events.remove(event)
                    return event
            return None

        with self.changed:
            found = self.changed.wait_for(look, 0) or None
            if not found:
                found = [None]
                self.changed.wait_for(lambda: found.__setitem__(0, look()) or found[0], patience)
                found = found[0]
        assert found, f"no {kind} came; events: {self.events}"
        return found

    def offer(self):
        return self.wait("OFFERS")["offers"]["offers"][0]

    def call(self, kind, **fields):
        call = {"type": kind, "framework_id": {"value": self.id}, **fields}
        status, _, body = post_json(self.url + "/api/v1/scheduler", call,
                                    {"Mesos-Stream-Id": self.stream_id})
        assert status in (200, 202), (status, body)

    def launch(self, offer, tasks, refuse_seconds=1000.0):
        for task in tasks:
            task["agent_id"] = offer["agent_id"]
        self.call("ACCEPT", accept={
            "offer_ids": [offer["id"]],
            "operations": [{"type": "LAUNCH", "launch": {"task_infos": tasks}}],
            "filters": {"refuse_seconds": refuse_seconds}})

    def status(self, task_id, state):
        """Waits for a task's state, acknowledging everything that comes before."""
        while True:
            event = self.wait("UPDATE",
                              lambda event: event["update"]["status"]["task_id"]["value"] == task_id)
            status = event["update"]["status"]
            if "uuid" in status:
                self.call("ACKNOWLEDGE", acknowledge={
                    "agent_id": status["agent_id"], "task_id": status["task_id"],
                    "uuid": status["uuid"]})
            if status["state"] == state:
                return status
            assert status["state"] in ("TASK_STARTING", "TASK_RUNNING", "TASK_KILLING"), status

    def close(self):
        self.socket.shutdown(socket.SHUT_RDWR)
        self.socket.close()


def task(name, command, cpus=0.1, mem=32, **more):
    return {
        "name": name, "task_id": {"value": name}, "command": {"shell": True, "value": command},
        "resources": [
            {"name": "cpus", "type": "SCALAR", "scalar": {"value": cpus}},
            {"name": "mem", "type": "SCALAR", "scalar": {"value": mem}}],
        **more}


__all__ = ["Scheduler", "task", "wait_for"]
