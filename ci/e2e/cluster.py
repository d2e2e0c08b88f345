"""Starts real daemons on ports that the system chooses, and stops what it started."""

import json
import os
import re
import shutil
import signal
import subprocess
import tempfile
import time
import urllib.error
import urllib.request

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
ORRERY = os.path.abspath(os.environ.get("ORRERY", os.path.join(ROOT, "target/release/orrery")))
PATIENCE = 30.0


def wait_for(what, condition, patience=PATIENCE):
    """Asks until the answer is true; fails with `what` when it never is."""
    end = time.monotonic() + patience
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"waited {patience} s in vain for {what}")
        time.sleep(0.05)


class Daemon:
    """One process of the executable, with its output in a file."""

    def __init__(self, folder, name, arguments, environment=None, argv0=None):
        self.name = name
        self.log_path = os.path.join(folder, f"{name}.log")
        self.log = open(self.log_path, "wb")
        env = {key: value for key, value in os.environ.items() if not key.startswith("MESOS_")}
        env.update(environment or {})
        self.process = subprocess.Popen(
            [argv0 or ORRERY] + arguments,
            executable=argv0 or ORRERY,
            stdout=self.log,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            env=env,
            start_new_session=True,
        )

    def output(self):
        with open(self.log_path, encoding="utf-8", errors="replace") as log:
            return re.sub(r"\x1b\[[0-9;]*m", "", log.read())

    def addresses(self, role):
        """Addresses that the daemon says it listens on, e.g. for `master` or `agent`."""
        pattern = rf"^{role} listens on (?:http://)?([0-9.]+:[0-9]+)"
        return re.findall(pattern, self.output(), re.MULTILINE)

    def address(self, role):
        def look():
            if self.process.poll() is not None:
                raise AssertionError(f"{self.name} ended: {self.output()}")
            return self.addresses(role)

        return wait_for(f"{self.name} to listen", look)[0]

    def stop(self, how=signal.SIGTERM, patience=PATIENCE):
        if self.process.poll() is None:
            self.process.send_signal(how)
            try:
                self.process.wait(patience)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
                raise AssertionError(f"{self.name} did not stop: {self.output()}")
        self.log.close()
        return self.process.returncode


class Cluster:
    """A master and agents as separate daemons in a folder of their own."""

    def __init__(self, resources="cpus:4;mem:4096;disk:1024;ports:[31000-32000]", agents=1,
                 master_flags=(), agent_flags=()):
        self.folder = tempfile.mkdtemp(prefix="orrery-e2e-")
        self.daemons = []
        self.agents = []
        try:
            self.master = self.daemon("master", [
                "master", "--ip=127.0.0.1", "--port=0", "--cluster=e2e",
                f"--work_dir={self.folder}/master", *master_flags])
            self.url = "http://" + self.master.address("master")
            for index in range(agents):
                self.add_agent(index, resources, agent_flags)
            wait_for("agents to register", lambda: self.registered() == agents)
        except BaseException:
            self.close()
            raise

    def daemon(self, name, arguments, **more):
        daemon = Daemon(self.folder, name, arguments, **more)
        self.daemons.append(daemon)
        return daemon

    def add_agent(self, index, resources, flags=()):
        agent = self.daemon(f"agent-{index}", [
            "agent", f"--master={self.url.removeprefix('http://')}", "--ip=127.0.0.1", "--port=0",
            f"--work_dir={self.folder}/agent-{index}", f"--resources={resources}", *flags])
        self.agents.append("http://" + agent.address("agent"))
        return agent

    def registered(self):
        return int(get_json(self.url + "/state")["activated_slaves"])

    def close(self):
        for daemon in reversed(self.daemons):
            daemon.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def __enter__(self):
        return self

    def __exit__(self, kind, error, trace):
        if error is not None:
            for daemon in self.daemons:
                print(f"--- {daemon.name} ---\n{daemon.output()[-4000:]}")
        self.close()


def request(url, body=None, headers=None, method=None):
    """Status, headers and body of one request; errors of HTTP are answers too."""
    asked = urllib.request.Request(url, data=body, headers=headers or {}, method=method)
    try:
        with urllib.request.urlopen(asked, timeout=PATIENCE) as answer:
            return answer.status, dict(answer.headers), answer.read()
    except urllib.error.HTTPError as error:
        return error.code, dict(error.headers), error.read()


def get_json(url):
    status, _, body = request(url)
    assert status == 200, f"{url}: {status} {body!r}"
    return json.loads(body)


def post_json(url, value, headers=None):
    return request(url, json.dumps(value).encode(), {"Content-Type": "application/json",
                                                     **(headers or {})})
