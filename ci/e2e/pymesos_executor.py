"""A custom executor on pymesos: runs a task in a thread and echoes messages."""

import sys
import threading
import time

from pymesos import Executor, MesosExecutorDriver, decode_data, encode_data


class Echo(Executor):
    def launchTask(self, driver, task):
        threading.Thread(target=self.run, args=(driver, task), daemon=True).start()

    def run(self, driver, task):
        self.update(driver, task["task_id"], "TASK_RUNNING")
        seconds = float(decode_data(task["data"]))
        if seconds >= 0:
            time.sleep(seconds)
            self.update(driver, task["task_id"], "TASK_FINISHED")

    def killTask(self, driver, task_id):
        self.update(driver, task_id, "TASK_KILLED")

    def frameworkMessage(self, driver, message):
        driver.sendFrameworkMessage(encode_data(b"echo: " + decode_data(message)))

    @staticmethod
    def update(driver, task_id, state):
        driver.sendStatusUpdate({"task_id": task_id, "state": state, "timestamp": time.time()})


if __name__ == "__main__":
    import logging

    logging.basicConfig(level=logging.DEBUG, stream=sys.stderr)
    MesosExecutorDriver(Echo()).run()
