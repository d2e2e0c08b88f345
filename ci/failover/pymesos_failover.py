#!/usr/bin/env python3
"""Unmodified pymesos keeps its framework and its tasks while leading masters die.

It finds the leader through ZooKeeper with kazoo, a client that others wrote. Needs to be root, and
the Python environment that ci/e2e/install_pymesos makes.
"""

import threading
import time

from services import Cluster, wait_for
from pymesos import MesosSchedulerDriver, Scheduler

ROUNDS = 3


class Test(Scheduler):
    """Wants one more long task after each failover."""

    def __init__(self):
        self.lock = threading.Lock()
        self.wanted = []
        self.states = {}
        self.ids = []
        self.masters = []
        self.errors = []

    def registered(self, driver, framework_id, master_info):
        self.ids.append(framework_id["value"])
        self.masters.append(master_info["hostname"])

    def reregistered(self, driver, master_info):
        self.masters.append(master_info["hostname"])

    def resourceOffers(self, driver, offers):
        with self.lock:
            wanted, self.wanted = self.wanted, []
        for offer in offers:
            tasks = [self.task(offer, name) for name in wanted]
            wanted = []
            if tasks:
                driver.launchTasks(offer["id"], tasks, {"refuse_seconds": 0.5})
            else:
                driver.declineOffer(offer["id"], {"refuse_seconds": 0.5})

    @staticmethod
    def task(offer, name):
        return {
            "task_id": {"value": name}, "name": name, "agent_id": offer["agent_id"],
            "command": {"shell": True, "value": "exec sleep 1000"},
            "resources": [{"name": "cpus", "type": "SCALAR", "scalar": {"value": 0.1}},
                          {"name": "mem", "type": "SCALAR", "scalar": {"value": 32}}]}

    def statusUpdate(self, driver, update):
        self.states.setdefault(update["task_id"]["value"], []).append(update["state"])

    def error(self, driver, message):
        self.errors.append(message)

    def launch(self, name):
        with self.lock:
            self.wanted.append(name)

    def last(self, name):
        return self.states.get(name, [None])[-1]


def main():
    cluster = Cluster(with_zookeeper=True, agents=2)
    try:
        scheduler = Test()
        framework = {"user": "root", "name": "pymesos", "hostname": "localhost",
                     "failover_timeout": 3600, "checkpoint": True}
        driver = MesosSchedulerDriver(scheduler, framework, cluster.where)
        thread = threading.Thread(target=driver.run, daemon=True)
        thread.start()
        for number in range(ROUNDS + 1):
            name = f"task-{number}"
            scheduler.launch(name)
            wait_for(f"{name} to run", lambda: scheduler.last(name) == "TASK_RUNNING", 60)
            if number == ROUNDS:
                break
            leader = wait_for("a leader", cluster.leader, 60)
            start = time.monotonic()
            leader.kill()
            known = len(scheduler.masters)
            wait_for("pymesos to subscribe again", lambda: len(scheduler.masters) > known, 60)
            print(f"{leader.name} died; pymesos is subscribed again after "
                  f"{time.monotonic() - start:.1f} s, at {scheduler.masters[-1]}")
            leader.start()
        assert len(set(scheduler.ids)) == 1, scheduler.ids
        assert not scheduler.errors, scheduler.errors
        for number in range(ROUNDS + 1):
            assert scheduler.last(f"task-{number}") == "TASK_RUNNING", scheduler.states
            driver.killTask({"value": f"task-{number}"})
        wait_for("all tasks to be killed", lambda: all(
            scheduler.last(f"task-{number}") == "TASK_KILLED" for number in range(ROUNDS + 1)), 60)
        driver.stop()
        thread.join(20)
        assert not thread.is_alive(), "the driver did not stop"
    except BaseException:
        cluster.logs(15)
        raise
    finally:
        cluster.close()
    print(f"pymesos kept {scheduler.ids[0]} over {ROUNDS} failovers, and all of its tasks")


if __name__ == "__main__":
    main()
