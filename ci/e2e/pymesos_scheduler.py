"""A scheduler on unmodified pymesos against a real master and agent: tasks finish, one is killed,
messages go both ways, and the framework is torn down."""

import os
import sys
import threading

from cluster import Cluster, get_json, wait_for
from pymesos import MesosSchedulerDriver, Scheduler, decode_data, encode_data

HERE = os.path.dirname(os.path.abspath(__file__))
TASKS = {"quick-0": "0", "quick-1": "0.2", "quick-2": "0", "endless": "-1"}


class Test(Scheduler):
    def __init__(self):
        self.waiting = dict(TASKS)
        self.states = {}
        self.answers = []
        self.errors = []
        self.done = threading.Event()

    def registered(self, driver, framework_id, master_info):
        self.framework_id = framework_id["value"]

    def resourceOffers(self, driver, offers):
        for offer in offers:
            if not self.waiting:
                driver.declineOffer(offer["id"], {"refuse_seconds": 1000})
                continue
            tasks = [self.task(driver, offer, name, data) for name, data in self.waiting.items()]
            self.waiting = {}
            driver.launchTasks(offer["id"], tasks)

    @staticmethod
    def task(driver, offer, name, data):
        def resources(cpus, mem):
            return [{"name": "cpus", "type": "SCALAR", "scalar": {"value": cpus}},
                    {"name": "mem", "type": "SCALAR", "scalar": {"value": mem}}]

        command = f"exec {sys.executable} {HERE}/pymesos_executor.py"
        return {
            "task_id": {"value": name}, "name": name, "agent_id": offer["agent_id"],
            "resources": resources(0.1, 32), "data": encode_data(data.encode()),
            "executor": {
                "executor_id": {"value": "echo"}, "type": "CUSTOM",
                "framework_id": {"value": driver.framework_id},
                "command": {"shell": True, "value": command}, "resources": resources(0.1, 64)}}

    def statusUpdate(self, driver, update):
        name, state = update["task_id"]["value"], update["state"]
        self.states.setdefault(name, []).append(state)
        if name == "endless" and state == "TASK_RUNNING":
            driver.sendFrameworkMessage({"value": "echo"}, update["agent_id"],
                                        encode_data(b"hello"))
        ends = [states[-1] for states in self.states.values()]
        if sorted(ends) == ["TASK_FINISHED"] * 3 + ["TASK_KILLED"]:
            self.done.set()

    def frameworkMessage(self, driver, executor_id, agent_id, message):
        self.answers.append(decode_data(message))
        driver.killTask({"value": "endless"})

    def error(self, driver, message):
        self.errors.append(message)
        self.done.set()


def main():
    with Cluster() as cluster:
        scheduler = Test()
        framework = {"user": "root", "name": "pymesos", "hostname": "localhost"}
        driver = MesosSchedulerDriver(scheduler, framework, cluster.url.removeprefix("http://"))
        thread = threading.Thread(target=driver.run, daemon=True)
        thread.start()
        assert scheduler.done.wait(60), f"states: {scheduler.states}, errors: {scheduler.errors}"
        assert not scheduler.errors, scheduler.errors
        assert scheduler.answers == [b"echo: hello"], scheduler.answers
        framework_id = scheduler.framework_id
        driver.stop()
        thread.join(20)
        assert not thread.is_alive(), "the driver did not stop"

        def completed():
            state = get_json(cluster.url + "/state")
            return [one["id"] for one in state["completed_frameworks"]] == [framework_id]

        wait_for("the framework to be torn down", completed)
        wait_for("the executor to end", lambda: not get_json(cluster.agents[0] + "/state")["frameworks"])
    print("pymesos: tasks", {name: states[-1] for name, states in scheduler.states.items()})


if __name__ == "__main__":
    main()
