"""An agent daemon that dies, is upgraded or is booted again, seen on real processes.

    python3 ci/e2e/agent_recovery.py [CASE …]      ROUNDS=N changes how often the agent is killed
"""

import glob
import os
import random
import signal
import sys
import time

from cluster import Cluster, get_json, wait_for
from scheduler import Scheduler, task

RESOURCES = "cpus:16;mem:16384;disk:0;ports:[]"
FLAGS = ["--registration_backoff_factor=50ms"]
TERMINAL = ("TASK_FINISHED", "TASK_FAILED", "TASK_KILLED", "TASK_LOST", "TASK_DROPPED", "TASK_GONE")


class Watcher:
    """Acknowledges every update, and remembers the states of each task in their order."""

    def __init__(self, scheduler):
        self.scheduler = scheduler
        self.states = {}
        self.uuids = set()

    def look(self):
        with self.scheduler.changed:
            updates = [event for event in self.scheduler.events if event["type"] == "UPDATE"]
            for event in updates:
                self.scheduler.events.remove(event)
        for event in updates:
            status = event["update"]["status"]
            if "uuid" not in status:
                raise AssertionError(f"the master made this up: {status}")
            self.scheduler.call("ACKNOWLEDGE", acknowledge={
                "agent_id": status["agent_id"], "task_id": status["task_id"],
                "uuid": status["uuid"]})
            # An acknowledgement may die with the agent: then the same update comes again.
            if status["uuid"] not in self.uuids:
                self.uuids.add(status["uuid"])
                self.states.setdefault(status["task_id"]["value"], []).append(status["state"])
        return self.states

    def wait(self, name, state, patience=30):
        wait_for(f"{name} to be {state}: {self.states.get(name)}",
                 lambda: state in self.look().get(name, ()), patience)


class Setting:
    """A master, an agent that can be started again, and a framework that checkpoints."""

    def __init__(self, **info):
        self.cluster = Cluster(agents=0)
        self.port, self.runs = 0, 0
        self.resources = RESOURCES
        self.start()
        info = {"checkpoint": True, "failover_timeout": 1000.0, **info}
        self.scheduler = Scheduler(self.cluster.url, "recovery", **info)
        self.watcher = Watcher(self.scheduler)
        self.marks = os.path.join(self.cluster.folder, "marks")
        os.makedirs(self.marks)

    def __enter__(self):
        return self

    def __exit__(self, kind, error, trace):
        if error is not None:
            print(f"--- agent ---\n{self.agent.output()[-4000:]}")
        self.agent.stop(signal.SIGUSR1 if self.agent.process.poll() is None else signal.SIGTERM)
        self.cluster.close()

    def begin(self, *flags):
        self.runs += 1
        url = self.cluster.url.removeprefix("http://")
        return self.cluster.daemon(f"agent.{self.runs}", [
            "agent", f"--master={url}", "--ip=127.0.0.1", f"--port={self.port}",
            f"--work_dir={self.cluster.folder}/agent", f"--resources={self.resources}",
            *FLAGS, *flags])

    def start(self, *flags):
        self.agent = self.begin(*flags)
        self.port = int(self.agent.address("agent").rpartition(":")[2])
        wait_for("the agent to register", lambda: self.cluster.registered() == 1)
        self.id = get_json(self.cluster.url + "/state")["slaves"][0]["id"]

    def kill(self):
        self.agent.stop(signal.SIGKILL)
        wait_for("the master to notice", lambda: self.cluster.registered() == 0)

    def launch(self, tasks):
        offer = self.scheduler.offer()
        while offer["id"]["value"] in self.rescinded():
            offer = self.scheduler.offer()
        self.scheduler.launch(offer, tasks, refuse_seconds=0.0)

    def rescinded(self):
        with self.scheduler.changed:
            return {event["rescind"]["offer_id"]["value"] for event in self.scheduler.seen
                    if event["type"] == "RESCIND"}

    def updates(self):
        """The states that the framework was told, repeated ones too."""
        with self.scheduler.changed:
            return [event["update"]["status"]["state"] for event in self.scheduler.seen
                    if event["type"] == "UPDATE"]

    def marked(self, name, command, **more):
        """A task that leaves a line in a file each time it is started."""
        return task(name, f"echo $$ >> {self.marks}/{name}; {command}", **more)

    def pids(self, name):
        try:
            with open(os.path.join(self.marks, name), encoding="utf-8") as file:
                return [int(line) for line in file]
        except FileNotFoundError:
            return []

    def lives(self, name):
        pids = self.pids(name)
        assert len(pids) <= 1, f"{name} was started {len(pids)} times"
        return bool(pids) and os.path.exists(f"/proc/{pids[0]}/cwd")

    def meta(self, *parts):
        return os.path.join(self.cluster.folder, "agent/meta", *parts)


def kills():
    """kill -9 in a loop: no task is lost or doubled, every update is seen once and in order."""
    rounds, dice = int(os.environ.get("ROUNDS", "12")), random.Random(7)
    with Setting() as setting:
        first = setting.id
        long = [f"long-{number}" for number in range(20)]
        setting.launch([setting.marked(name, "sleep 100000") for name in long])
        for name in long:
            setting.watcher.wait(name, "TASK_RUNNING")
        pids = {name: setting.pids(name) for name in long}
        names = list(long)
        for number in range(rounds):
            brief = {f"{kind}-{number}": dice.uniform(0, 2.5) for kind in ("a", "b", "c", "d")}
            setting.launch([setting.marked(name, f"sleep {seconds:.2f}; exit 0")
                            for name, seconds in brief.items()])
            names += brief
            time.sleep(dice.uniform(0, 0.4))
            setting.kill()
            time.sleep(dice.uniform(0, 2))
            setting.start()
            assert setting.id == first, (first, setting.id)
            setting.watcher.look()
        briefs = [name for name in names if name not in long]
        wait_for("all brief tasks to end", lambda: all(
            setting.watcher.look().get(name, [""])[-1] in TERMINAL for name in briefs))
        # A launch that never reached the agent is told as that, once, and leaves no trace.
        lost = [name for name in briefs if setting.watcher.states[name] == ["TASK_LOST"]]
        for name in briefs:
            assert len(setting.pids(name)) == int(name not in lost), (name, setting.pids(name))
        assert len(lost) < len(briefs) / 2, lost
        assert {name: setting.pids(name) for name in long} == pids
        assert all(setting.lives(name) for name in long)
        for name in long:
            setting.scheduler.call("KILL", kill={"task_id": {"value": name}})
        for name in long:
            setting.watcher.wait(name, "TASK_KILLED")
        for name, states in setting.watcher.look().items():
            if name in lost:
                continue
            expected = ["TASK_STARTING", "TASK_RUNNING"]
            expected.append("TASK_KILLED" if name in long else "TASK_FINISHED")
            assert states == expected, (name, states)
        wait_for("no task to be left", lambda: not any(setting.lives(name) for name in names))
        wait_for("no checkpoint of a framework to be left", lambda: not os.path.exists(
            setting.meta("slaves/latest/frameworks", setting.scheduler.id)))
        print(f"  {rounds} kills, {len(names)} tasks, {len(setting.watcher.uuids)} updates, "
              f"{len(lost)} launches that never arrived")


def layout():
    """What is written down lies where Mesos' tools look for it."""
    with Setting() as setting:
        setting.launch([setting.marked("t", "sleep 100000")])
        setting.watcher.wait("t", "TASK_RUNNING")
        folder = os.path.realpath(setting.meta("slaves/latest"))
        assert os.path.basename(folder) == setting.id
        run = os.path.join(folder, "frameworks", setting.scheduler.id, "executors/t/runs/latest")
        names = ["http.marker", "pids/forked.pid", "tasks/t/task.info", "tasks/t/task.updates",
                 "../../executor.info", "../../../../framework.info", "../../../../framework.pid"]
        wait_for(f"all files of {run}",
                 lambda: all(os.path.exists(os.path.join(run, name)) for name in names))
        with open(setting.meta("boot_id")) as ours, \
                open("/proc/sys/kernel/random/boot_id") as kernels:
            assert ours.read().strip() == kernels.read().strip()
        with open(os.path.join(run, "pids/forked.pid")) as file:
            assert os.path.exists(f"/proc/{int(file.read())}")
        assert os.path.getsize(os.path.join(folder, "slave.info")) > 0


def orphans():
    """An executor that dies while the agent is down leaves nothing behind."""
    with Setting() as setting:
        setting.launch([setting.marked("t", "sleep 100000 & wait")])
        setting.watcher.wait("t", "TASK_RUNNING")
        pid = setting.pids("t")[0]
        with open(f"/proc/{pid}/stat", encoding="utf-8") as file:
            executor = int(file.read().rpartition(")")[2].split()[1])
        setting.kill()
        os.kill(executor, signal.SIGKILL)
        assert setting.lives("t")
        setting.start()
        assert not setting.lives("t"), "what the executor left is ended before the agent registers"
        setting.watcher.wait("t", "TASK_FAILED")


def upgrade():
    """SIGTERM leaves tasks to the next run, SIGUSR1 ends them and the agent's id."""
    with Setting() as setting:
        first = setting.id
        setting.launch([setting.marked("t", "sleep 100000")])
        setting.watcher.wait("t", "TASK_RUNNING")
        assert setting.agent.stop() == 0
        assert setting.lives("t")
        setting.start()
        assert setting.id == first and setting.lives("t")
        setting.agent.process.send_signal(signal.SIGUSR1)
        setting.watcher.wait("t", "TASK_KILLED")
        assert setting.agent.process.wait(30) == 0
        assert not setting.lives("t")
        assert not os.path.lexists(setting.meta("slaves/latest"))
        setting.start()
        assert setting.id != first, setting.id


def reboot():
    """Another boot id: all tasks are reported lost once, and the agent keeps its id."""
    with Setting() as setting:
        first = setting.id
        setting.launch([setting.marked(name, "sleep 100000") for name in ("a", "b")])
        for name in ("a", "b"):
            setting.watcher.wait(name, "TASK_RUNNING")
        setting.kill()
        # One of them alone is taken for damage.
        for path in ("boot_id", "slaves/latest/boot_id"):
            with open(setting.meta(path), "w") as file:
                file.write("another boot")
        for _ in range(2):
            setting.start()
            assert setting.id == first
            assert not setting.lives("a") and not setting.lives("b")
            for name in ("a", "b"):
                setting.watcher.wait(name, "TASK_LOST")
                assert setting.watcher.states[name][-2:] == ["TASK_RUNNING", "TASK_LOST"]
            setting.kill()
        setting.start()


def changes():
    """Fewer resources are refused with advice, and nothing is lost; more are allowed on demand."""
    with Setting() as setting:
        first = setting.id
        setting.launch([setting.marked("t", "sleep 100000")])
        setting.watcher.wait("t", "TASK_RUNNING")
        setting.kill()
        setting.resources = "cpus:8;mem:16384;disk:0;ports:[]"
        for policy in ("equal", "additive"):
            refused = setting.begin(f"--reconfiguration_policy={policy}")
            refused.process.wait(30)
            words = refused.output()
            assert refused.process.returncode == 1, words
            assert "cpus:16" in words and "cpus:8" in words and "meta/slaves/latest" in words, words
            assert setting.lives("t")
        setting.resources = "cpus:32;mem:16384;disk:0;ports:[]"
        refused = setting.begin()
        assert refused.process.wait(30) == 1
        setting.start("--reconfiguration_policy=additive")
        assert setting.id == first and setting.lives("t")
        state = get_json(setting.cluster.url + "/state")
        assert state["slaves"][0]["resources"]["cpus"] == 32, state["slaves"]


def cleanup():
    """--recover=cleanup ends what an earlier run has left, and the next run tells it."""
    with Setting() as setting:
        first = setting.id
        for name in ("a", "b"):
            setting.launch([setting.marked(name, "sleep 100000")])
            setting.watcher.wait(name, "TASK_RUNNING")
        setting.kill()
        # It is for the time before the settings change, so it must not ask for the same ones.
        resources, setting.resources = setting.resources, "cpus:8;mem:16384;disk:0;ports:[]"
        cleaning = setting.begin("--recover=cleanup")
        assert cleaning.process.wait(30) == 0, cleaning.output()
        assert not setting.lives("a") and not setting.lives("b")
        refused = setting.begin()
        assert refused.process.wait(30) == 1, "the agent is still what it was"
        setting.resources = resources
        setting.start()
        assert setting.id == first, (first, setting.id)
        for name in ("a", "b"):
            setting.watcher.wait(name, "TASK_KILLED")
            states = setting.watcher.states[name]
            assert states == ["TASK_STARTING", "TASK_RUNNING", "TASK_KILLED"], (name, states)
        wait_for("no checkpoint of a framework to be left", lambda: not os.path.exists(
            setting.meta("slaves/latest/frameworks", setting.scheduler.id)))


def change(path, how):
    """Changes a file's content; returns what it was."""
    with open(path, "rb") as file:
        before = file.read()
    with open(path, "wb") as file:
        file.write(how(before))
    return before


def flipped(at):
    def flip(content):
        content = bytearray(content)
        content[at] ^= 0x40
        return bytes(content)
    return flip


def emptied(_):
    return b""


def shortened(content):
    return content[:-1]


def records(content):
    """Where each record of a file of updates begins."""
    begins, at = [], 0
    while at < len(content):
        begins.append(at)
        at += 4 + int.from_bytes(content[at:at + 4], "little")
    assert at == len(content), (at, len(content))
    return begins


def settle(setting):
    """Ends an agent whose files hold all that its journal did: that is empty then.

    They hold two updates of one task and their acknowledgements. An acknowledgement that died
    with the agent is given again to the next run.
    """
    def settled():
        setting.kill()
        told = len(setting.updates())
        setting.start()
        with open(checkpoint(setting, "task.updates"), "rb") as file:
            if len(records(file.read())) == 4:
                return True
        wait_for("the update once more", lambda: len(setting.updates()) > told)
        setting.watcher.look()
        return False
    wait_for("all updates to be acknowledged", settled)
    setting.kill()
    for path in glob.glob(setting.meta("slaves/latest/journal.*")):
        assert os.path.getsize(path) == 0, "something happened at the last moment"


def checkpoint(setting, name):
    """The file of this name, which there is one of."""
    found = glob.glob(setting.meta("slaves/latest/**", name), recursive=True)
    found = {os.path.realpath(path) for path in found}
    assert len(found) == 1, found
    return found.pop()


def damage():
    """Whatever is damaged stops the start, with the file's name, and harms nothing by that."""
    with Setting() as setting:
        first = setting.id
        setting.launch([setting.marked("t", "sleep 100000")])
        setting.watcher.wait("t", "TASK_RUNNING")
        settle(setting)
        for name, how in [
                ("slave.info", emptied), ("slave.info", flipped(20)), ("slave.info", shortened),
                ("framework.info", emptied), ("framework.info", flipped(-1)),
                ("executor.info", emptied), ("executor.info", flipped(30)),
                ("task.info", emptied), ("task.info", shortened), ("forked.pid", shortened),
                ("forked.started", emptied), ("forked.started", flipped(6)),
                ("task.updates", emptied), ("task.updates", shortened),
                # A wrong length in the first record, and the last byte of a checksum.
                ("task.updates", flipped(3)), ("task.updates", flipped(-1))]:
            path = checkpoint(setting, name)
            before = change(path, how)
            refused = setting.begin()
            assert refused.process.wait(30) == 1, (name, how)
            assert name in refused.output() and "--no-strict" in refused.output(), refused.output()
            assert "has changed" not in refused.output(), refused.output()
            if name == "task.updates" and how is not emptied:
                assert "at byte" in refused.output(), refused.output()
            assert setting.lives("t"), (name, how)
            change(path, lambda _: before)
        setting.start()
        assert setting.id == first and setting.lives("t")
        assert setting.watcher.look() == {"t": ["TASK_STARTING", "TASK_RUNNING"]}


def acknowledgement():
    """A damaged acknowledgement has its update repeated; the task runs on and is told in full."""
    with Setting() as setting:
        first = setting.id
        setting.launch([setting.marked("t", "sleep 100000")])
        setting.watcher.wait("t", "TASK_RUNNING")
        settle(setting)
        told = len(setting.updates())
        change(checkpoint(setting, "task.updates"),
               lambda content: flipped(records(content)[-1] + 8)(content))
        setting.start("--no-strict")
        assert setting.id == first
        snapshot = get_json(f"http://127.0.0.1:{setting.port}/metrics/snapshot")
        assert snapshot["slave/recovery_errors"] == 1, snapshot["slave/recovery_errors"]
        wait_for("TASK_RUNNING once more", lambda: len(setting.updates()) > told)
        setting.watcher.look()
        repeated = setting.updates()[told:]
        assert repeated == ["TASK_RUNNING"] and setting.lives("t"), repeated
        # What was left out is mended: the next start need not be told to leave anything out.
        setting.kill()
        setting.start()
        assert setting.id == first and setting.lives("t")
        setting.scheduler.call("KILL", kill={"task_id": {"value": "t"}})
        setting.watcher.wait("t", "TASK_KILLED")
        states = setting.watcher.states["t"]
        assert states == ["TASK_STARTING", "TASK_RUNNING", "TASK_KILLED"], states


def journal():
    """A damaged journal stops the start, unless it is told to leave out what is damaged."""
    with Setting() as setting:
        first = setting.id
        for name in ("a", "b", "c"):
            setting.launch([setting.marked(name, "sleep 100000")])
            setting.watcher.wait(name, "TASK_RUNNING")
        setting.kill()
        change(setting.meta("slaves/latest/journal.1"), flipped(200))
        refused = setting.begin()
        assert refused.process.wait(30) == 1
        assert "journal.1" in refused.output() and "--no-strict" in refused.output()
        setting.start("--no-strict")
        assert setting.id == first


CASES = [kills, layout, orphans, upgrade, reboot, changes, cleanup, damage, acknowledgement,
         journal]


def main():
    chosen = [case for case in CASES if not sys.argv[1:] or case.__name__ in sys.argv[1:]]
    for case in chosen:
        start = time.monotonic()
        case()
        print(f"{case.__name__}: ok ({time.monotonic() - start:.1f} s)", flush=True)


if __name__ == "__main__":
    main()
