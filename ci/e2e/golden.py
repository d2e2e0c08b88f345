"""Our answers against answers recorded from a real Mesos 1.12: status, headers, keys and types.

`golden/` holds one recorded answer per file: the request, the status, the headers that matter and
the body (or `records`, the events of a stream), lists cut down to the elements that differ in
their look. `body_as` names another answer with the same body, `{sandbox}` stands for an executor's
folder, `body_base64` for bytes, `ended` tells whether the server ended the stream.

This script brings a real master and agent into the recorded situation, sends the very same requests
and compares what the answers look like; values, order and wording are our own. Differences that are
meant stand, each with its reason, in golden_differences.py. Then facts.py asks what no recorded
answer shows.

Not asked, because nothing answers it yet: quota, weights, maintenance, machine/up, the master's own
log as a file, task groups and their executor, the operator's event stream.
"""

import base64
import gzip
import json
import os
import re
import sys

import facts
from cluster import Cluster, get_json, wait_for
from exchange import Answer, exchange
from golden_differences import ALLOWED, METRICS_NOT_BUILT
from scheduler import Scheduler, task
from shapes import Shape, differences

HERE = os.path.dirname(os.path.abspath(__file__))
RESOURCES = "cpus:4;mem:8192;disk:20000;ports:[31000-32000]"
HEADERS = ("Allow", "Content-Disposition", "Content-Encoding", "Content-Type",
           "Transfer-Encoding")
UNVERSIONED = [{"type": "RESERVATION_REFINEMENT"}, {"type": "PARTITION_AWARE"}]
MULTI_ROLE = [{"type": "MULTI_ROLE"}, *UNVERSIONED]


class Differences:
    """Collects differences, and knows which of the allowed ones were needed."""

    def __init__(self):
        self.found = []
        self.used = set()

    def add(self, answer, difference):
        for entry in ALLOWED:
            if matches(entry[0], answer) and matches(entry[1], difference):
                self.used.add(entry)
                return
        self.found.append(f"{answer}: {difference}")

    def report(self):
        unused = [f"allowed but not seen: {entry[0]}: {entry[1]}"
                  for entry in ALLOWED if entry not in self.used]
        for line in self.found + unused:
            print(line)
        assert not self.found and not unused, f"{len(self.found + unused)} differences"


def matches(pattern, text):
    return re.fullmatch(".*".join(map(re.escape, pattern.split("*"))), text)


def recorded(folder):
    """The recorded answers of a folder by name."""
    found = {}
    for name in sorted(os.listdir(os.path.join(HERE, "golden", folder))):
        with open(os.path.join(HERE, "golden", folder, name), encoding="utf-8") as file:
            found[name.removesuffix(".json")] = json.load(file)
    return found


def compare(name, theirs, ours, found):
    """Compares one answer with its record, which may borrow its body from another record."""
    def differ(difference):
        found.add(name, difference)

    if ours.status != theirs["status"]:
        differ(f"status {ours.status} instead of {theirs['status']}")
        return
    for header in HEADERS:
        expected, seen = theirs["headers"].get(header), ours.headers.get(header.lower())
        if expected != seen:
            differ(f"header {header} is {seen!r} instead of {expected!r}")
    for header in ("Mesos-Stream-Id", "Location"):
        if (header in theirs["headers"]) != (header.lower() in ours.headers):
            differ(f"header {header} is there or not")
    body = ours.body
    if ours.headers.get("content-encoding") == "gzip":
        body = gzip.decompress(body)
    if "records" in theirs:
        if ours.ended != theirs["ended"]:
            differ("the stream ended" if ours.ended else "the stream did not end")
        compare_records(theirs["records"], ours.records(), differ)
    elif "body" in theirs:
        compare_json(name, theirs["body"], json.loads(body), differ)
    elif theirs.get("body_text") == "cb(…)":
        json.loads(re.fullmatch(rb"cb\((.*)\)", body, re.DOTALL).group(1))
    elif theirs["headers"].get("Transfer-Encoding"):
        pass  # a stream of protobuf records
    elif ("body_text" in theirs) != bool(body) and theirs["request"]["method"] != "HEAD":
        differ(f"the body is {body!r}")


def compare_json(name, theirs, ours, differ):
    if "metrics" in name and "v1" not in name:
        compare_metrics(theirs, ours, differ)
    elif name.endswith("files_debug"):
        compare_key_kinds(theirs, ours, differ)
    else:
        for difference in differences(Shape(theirs), Shape(ours)):
            differ(difference)


def compare_records(theirs, ours, differ):
    """Compares the events of a stream, those of a kind together."""
    def kinds(records):
        found = {}
        for record in records:
            state = record.get("update", {}).get("status", {}).get("state", "")
            found.setdefault(f"{record['type']} {state}".strip(), []).append(record)
        return found

    theirs, ours = kinds(theirs), kinds(ours)
    for kind in sorted(set(theirs) | set(ours)):
        if kind not in ours or kind not in theirs:
            differ(f"event {kind}: " + ("missing" if kind in theirs else "not in Mesos' stream"))
            continue
        for difference in differences(Shape(*theirs[kind]), Shape(*ours[kind])):
            differ(f"event {kind}: {difference}")


def compare_metrics(theirs, ours, differ):
    """Every recorded metric must be there, unless it is not built; all have fractions."""
    def general(names):
        names = (re.sub(r"[0-9a-f-]{36}-[0-9]{4}", "ID", name) for name in names)
        return {re.sub(r"roles/.*?/(?=shares|active|suppressed|resources)", "roles/ROLE/", name)
                for name in names}

    for name in sorted(general(theirs) - general(ours)):
        if not any(matches(pattern, name) for pattern, _ in METRICS_NOT_BUILT):
            differ(f"metric {name}: missing")
    for name, value in ours.items():
        if not isinstance(value, float):
            differ(f"metric {name}: {value} has no fraction")


def compare_key_kinds(theirs, ours, differ):
    """Compares paths, with whatever is an id or a name in them left out."""
    def general(paths):
        return {re.sub(r"runs/[0-9a-f-]{36}$", "runs/ID",
                       re.sub(r"(slaves|frameworks|executors)/[^/]+", r"\1/ID",
                              re.sub(r"^/.*?(?=/slaves)", "WORK", path))) for path in paths}

    for path in sorted(general(theirs) ^ general(ours)):
        differ(f"{path}: " + ("missing" if path in general(theirs) else "not in Mesos' answer"))


class Situation:
    """What ran on the recorded cluster: finished frameworks, and one with tasks and an offer."""

    def __init__(self, cluster):
        self.cluster = cluster
        self.streams = {}
        self.streams["sched1"] = self.command_tasks()
        self.plain()
        self.streams["sched-customexec"], self.executor = self.custom_executor()
        self.labelled = self.group(["gone-0", "gone-1"])
        for name in ("gone-0", "gone-1"):
            self.labelled.call("KILL", kill={"task_id": {"value": name}})
            self.labelled.status(name, "TASK_KILLED")
        self.end(self.labelled)
        self.running = None

    def end(self, scheduler):
        """Tears a framework down, once an offer came that shows what its tasks gave back."""
        scheduler.call("TEARDOWN")
        scheduler.wait("CLOSED")

    def plain(self):
        """A framework of one role, as mesos-execute is one, that leaves an end unacknowledged."""
        scheduler = Scheduler(self.cluster.url, "plain", role="*", hostname="localhost",
                              capabilities=UNVERSIONED)
        tasks = [task("exec-test", "true"), task("exec-bad", "exit 3")]
        scheduler.launch(scheduler.offer(), tasks, refuse_seconds=0)
        scheduler.status("exec-test", "TASK_FINISHED")
        scheduler.status("exec-bad", "TASK_RUNNING")
        scheduler.wait("UPDATE", in_state("TASK_FAILED"))
        self.end(scheduler)

    def command_tasks(self):
        scheduler = Scheduler(self.cluster.url, "commands", roles=["*"], principal="test",
                              capabilities=MULTI_ROLE)
        scheduler.launch(scheduler.offer(), [task("cap-0", "sleep 0.2"), task("cap-1", "true")],
                         refuse_seconds=0)
        for name in ("cap-0", "cap-1"):
            scheduler.status(name, "TASK_FINISHED")
        scheduler.call("RECONCILE", reconcile={"tasks": []})
        scheduler.offer()
        self.end(scheduler)
        return scheduler

    def custom_executor(self):
        """A framework with an executor of its own, which leaves an end unacknowledged too."""
        scheduler = Scheduler(self.cluster.url, "custom", roles=["*"], capabilities=MULTI_ROLE)
        executor = custom("capexec")
        scheduler.launch(scheduler.offer(), [executor_task(
            "cap-0", executor, data=base64.b64encode(b"hello").decode())], refuse_seconds=0)
        scheduler.status("cap-0", "TASK_RUNNING")
        scheduler.wait("MESSAGE")
        scheduler.wait("UPDATE", in_state("TASK_FINISHED"))
        scheduler.offer()
        executors = self.agent_executors(scheduler.id)
        sandbox = executors[0]["directory"]
        self.end(scheduler)
        wait_for("the executor to be shut down", lambda: "SHUTDOWN" in read(sandbox, "stream.json"))
        return scheduler, sandbox

    def group(self, names):
        """Tasks of one executor, in a role below another, with everything optional set."""
        labels = {"labels": [{"key": "k", "value": "v"}]}
        scheduler = Scheduler(
            self.cluster.url, "group", roles=["eng/web"], failover_timeout=3600, checkpoint=True,
            labels=labels, capabilities=[*MULTI_ROLE, {"type": "REVOCABLE_RESOURCES"},
                                         {"type": "SHARED_RESOURCES"}, {"type": "REGION_AWARE"}])
        executor = custom("default")
        kill = {"grace_period": {"nanoseconds": 1000000000}}
        check = {"type": "COMMAND", "command": {"value": "true"}, "interval_seconds": 1,
                 "delay_seconds": 0, "grace_period_seconds": 1}
        scheduler.launch(scheduler.offer(), [
            executor_task(name, executor, labels=labels, health_check=check, kill_policy=kill)
            for name in names], refuse_seconds=0)
        for name in names:
            scheduler.status(name, "TASK_RUNNING")
        return scheduler

    def start(self):
        """Leaves two tasks running and everything else on offer."""
        self.running = self.group(["grp-0", "grp-1"])
        self.running.offer()
        self.sandbox = self.agent_executors(self.running.id)[0]["directory"]

    def agent_executors(self, framework_id):
        frameworks = get_json(self.cluster.agents[0] + "/state")["frameworks"]
        return [executor for framework in frameworks if framework["id"] == framework_id
                for executor in framework["executors"] + framework["completed_executors"]]


def in_state(state):
    return lambda event: event["update"]["status"]["state"] == state


def custom(name):
    """An executor, without what the master adds to it: its framework and its role."""
    command = f"exec {sys.executable} {HERE}/golden_executor.py"
    disk = {"name": "disk", "type": "SCALAR", "scalar": {"value": 16}}
    return {"type": "CUSTOM", "executor_id": {"value": name},
            "command": {"shell": True, "value": command},
            "resources": [*task("", None)["resources"], disk]}


def executor_task(name, executor, **more):
    """A task that only its executor knows what to do with."""
    described = task(name, None, executor=executor, **more)
    del described["command"]
    return described


def read(folder, name):
    with open(os.path.join(folder, name), encoding="utf-8") as file:
        return file.read()


def read_lines(folder, name):
    return [json.loads(line) for line in read(folder, name).splitlines()]


def compare_streams(situation, found):
    """The streams of schedulers and of an executor, and what the executor was started with."""
    records = recorded("streams")
    for name, scheduler in situation.streams.items():
        compare(name, records[name], Answer.of_stream(scheduler.headers, scheduler.seen), found)
    head, *events = read_lines(situation.executor, "stream.json")
    compare("executor", records["executor"], Answer.of_stream(head["headers"], events), found)
    for answer in read_lines(situation.executor, "answers.json"):
        seen = (answer["status"], "Content-Type" in answer["headers"], answer["body"])
        if seen != (202, False, ""):
            found.add(f"executor {answer['call']}", f"answer is {seen}")
    theirs = set(records["executor.environment"])
    ours = set(read_lines(situation.executor, "environment.json")[0])
    for name in sorted(theirs ^ ours):
        found.add("executor environment",
                  f"{name}: " + ("missing" if name in theirs else "not in Mesos' environment"))


def compare_answers(folder, cluster, found, names=None, **fields):
    for name, theirs in recorded(folder).items():
        if names and name not in names:
            continue
        if "body_as" in theirs:
            theirs["body"] = recorded(folder)[theirs["body_as"]]["body"]
        to_agent = name.startswith("agent.") or "executor" in theirs["request"]["path"]
        kinds = {record["type"] for record in theirs.get("records", [])}
        ours = exchange(cluster.agents[0] if to_agent else cluster.url, theirs["request"],
                        until=kinds, **fields)
        compare(name, theirs, ours, found)


def main():
    found = Differences()
    with Cluster(RESOURCES, master_flags=["--hostname=127.0.0.1"],
                 agent_flags=["--hostname=127.0.0.1", "--attributes=rack:r1;zone:z1"]) as cluster:
        situation = Situation(cluster)
        compare_streams(situation, found)
        compare_answers("streams", cluster, found,
                        names=("sched.protobuf.subscribe", "sched.protobuf-in.json-out"))
        compare_answers("scheduler-errors", cluster, found)
        situation.start()
        compare_answers("running", cluster, found, sandbox=situation.sandbox)
        compare_answers("operator", cluster, found)
        found.report()
        facts.check(cluster, situation.running, situation.sandbox)
        situation.running.call("TEARDOWN")
    print("golden: ok")


if __name__ == "__main__":
    main()
