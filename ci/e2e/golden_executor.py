"""A custom executor on a bare socket, for golden.py.

It leaves what it saw in its sandbox: the environment, the stream with its headers, and the answers
to its calls, each as JSON. A task whose data says `hello` sends a message and finishes at once;
every other runs until it is killed, as if in a container of its own and with a health check.
"""

import base64
import http.client
import json
import os
import uuid

FRAMEWORK = {"value": os.environ["MESOS_FRAMEWORK_ID"]}
EXECUTOR = {"value": os.environ["MESOS_EXECUTOR_ID"]}
ENDPOINT = os.environ["MESOS_AGENT_ENDPOINT"]
JSON = {"Content-Type": "application/json", "Accept": "application/json"}


def note(name, value):
    with open(name, "a", encoding="utf-8") as file:
        file.write(json.dumps(value) + "\n")


def post(kind, **fields):
    call = {"type": kind, "executor_id": EXECUTOR, "framework_id": FRAMEWORK, **fields}
    connection = http.client.HTTPConnection(ENDPOINT)
    connection.request("POST", "/api/v1/executor", json.dumps(call), JSON)
    return connection.getresponse()


def call(kind, **fields):
    answer = post(kind, **fields)
    note("answers.json", {"call": kind, "status": answer.status,
                          "headers": dict(answer.getheaders()), "body": answer.read().decode()})


def update(task_id, state, **more):
    call("UPDATE", update={"status": {
        "task_id": task_id, "state": state, "source": "SOURCE_EXECUTOR", "executor_id": EXECUTOR,
        "uuid": base64.b64encode(uuid.uuid4().bytes).decode(), **more}})


def launch(task, container):
    if base64.b64decode(task.get("data", "")) == b"hello":
        said = {"message": "from an executor", "data": "ZA=="}
        update(task["task_id"], "TASK_RUNNING", **said)
        call("MESSAGE", message={"data": base64.b64encode(b"hi framework").decode()})
        update(task["task_id"], "TASK_FINISHED", **said)
        return
    nested = {"container_id": {"value": str(uuid.uuid4()), "parent": container}}
    update(task["task_id"], "TASK_STARTING", container_status=nested)
    update(task["task_id"], "TASK_RUNNING", container_status=nested, healthy=True,
           reason="REASON_TASK_HEALTH_CHECK_STATUS_UPDATED")


def main():
    note("environment.json", dict(os.environ))
    stream = post("SUBSCRIBE", subscribe={})
    container = None
    note("stream.json", {"status": stream.status, "headers": dict(stream.getheaders())})
    while True:
        length = b""
        while not length.endswith(b"\n"):
            byte = stream.read(1)
            if not byte:
                return
            length += byte
        event = json.loads(stream.read(int(length)))
        note("stream.json", event)
        if event["type"] == "SUBSCRIBED":
            container = event["subscribed"]["container_id"]
        elif event["type"] == "LAUNCH":
            launch(event["launch"]["task"], container)
        elif event["type"] == "KILL":
            update(event["kill"]["task_id"], "TASK_KILLED")
        elif event["type"] == "SHUTDOWN":
            return


if __name__ == "__main__":
    main()
