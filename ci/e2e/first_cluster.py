"""The first issue's promises, seen on real daemons: offers, tasks, files, bad input, bad flags."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time

from cluster import ORRERY, Cluster, Daemon, get_json, post_json, request, wait_for
from scheduler import Scheduler, task


def scalars(offer):
    return {one["name"]: one["scalar"]["value"] for one in offer["resources"] if "scalar" in one}


def two_task_example():
    """4 CPUs and 4 GB; <2, 1 GB> and <1, 2 GB> from one offer leave <1, 1 GB> to another."""
    with Cluster(resources="cpus:4;mem:4096;disk:0;ports:[]") as cluster:
        first = Scheduler(cluster.url, "first")
        offer = first.offer()
        assert scalars(offer) == {"cpus": 4.0, "mem": 4096.0}, offer
        first.launch(offer, [task("one", "sleep 100", 2, 1024), task("two", "sleep 100", 1, 2048)])
        first.status("one", "TASK_RUNNING")
        first.status("two", "TASK_RUNNING")
        second = Scheduler(cluster.url, "second")
        assert scalars(second.offer()) == {"cpus": 1.0, "mem": 1024.0}
        first.close()
        second.close()


def tasks_and_files():
    """A task's life, its output through the agent's endpoints, kill with and without grace."""
    with Cluster() as cluster:
        scheduler = Scheduler(cluster.url, "tasks")
        scheduler.wait("HEARTBEAT")
        ignoring = "trap '' TERM; echo stubborn; while true; do sleep 0.1; done"
        scheduler.launch(scheduler.offer(), [
            task("good", "echo out; echo err >&2"), task("bad", "exit 3"),
            task("long", "sleep 1000"),
            task("stubborn", ignoring, kill_policy={"grace_period": {"nanoseconds": 10 ** 9}}),
            task("children", "sleep 1000 & sleep 1001 & wait")])
        scheduler.status("good", "TASK_FINISHED")
        failed = scheduler.status("bad", "TASK_FAILED")
        assert failed["message"] == "Command exited with status 3", failed
        for name in ("long", "stubborn", "children"):
            scheduler.status(name, "TASK_RUNNING")
        agent = cluster.agents[0]
        executors = [one for framework in get_json(agent + "/slave(1)/state")["frameworks"]
                     for one in framework["executors"] + framework["completed_executors"]]
        folders = {one["id"]: one["directory"] for one in executors}

        def stubborn_output():
            return get_json(f"{agent}/files/read?path={folders['stubborn']}/stdout&offset=0")["data"]

        wait_for("the stubborn task to speak", lambda: "stubborn" in stubborn_output())
        for name in ("long", "stubborn", "children"):
            scheduler.call("KILL", kill={"task_id": {"value": name}})
            scheduler.status(name, "TASK_KILLED")
        good = folders["good"]
        assert get_json(f"{agent}/files/read?path={good}/stderr&offset=0")["data"].endswith("err\n")
        names = [os.path.basename(one["path"])
                 for one in get_json(f"{agent}/files/browse?path={good}")]
        assert {"stdout", "stderr"} <= set(names), names
        _, headers, body = request(f"{agent}/files/download?path={good}/stdout")
        assert body.endswith(b"out\n") and "attachment" in headers["Content-Disposition"]
        assert re.search(r"/slaves/.+/frameworks/.+/executors/good/runs/[0-9a-f-]{36}$", good), good
        latest = os.path.join(os.path.dirname(good), "latest")
        assert os.path.realpath(latest) == os.path.realpath(good)
        wait_for("no process to be left", lambda: not left_over(r"sleep 100[01]$"))
        scheduler.close()


def left_over(pattern):
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/cmdline", "rb") as file:
                line = file.read().replace(b"\0", b" ").decode(errors="replace").strip()
        except OSError:
            continue
        if re.search(pattern, line) and int(pid) != os.getpid():
            found.append(line)
    return found


def execute():
    """`orrery execute`, also as mesos-execute: prints every status, tells by its exit code."""
    with Cluster() as cluster, tempfile.TemporaryDirectory() as folder:
        link = os.path.join(folder, "mesos-execute")
        os.symlink(ORRERY, link)
        master = cluster.url.removeprefix("http://")
        good = subprocess.run(
            [link, f"--master={master}", "--name=good", "--command=test $GREETING = hello",
             '--env={"GREETING": "hello"}', "--resources=cpus:0.5;mem:64"],
            capture_output=True, text=True, timeout=60)
        assert good.returncode == 0, good
        for line in ("Subscribed with ID", "Submitted task 'good' to agent",
                     "Received status update TASK_RUNNING for task 'good'",
                     "Received status update TASK_FINISHED for task 'good'"):
            assert line in good.stdout, (line, good.stdout)
        bad = subprocess.run(
            [ORRERY, "execute", f"--master={master}", "--name=bad", "--command=false"],
            capture_output=True, text=True, timeout=60)
        assert bad.returncode == 1 and "TASK_FAILED" in bad.stdout, bad


def test_framework():
    with Cluster() as cluster:
        program = os.path.join(os.path.dirname(ORRERY), "test_framework")
        run = subprocess.run([program, "--master=" + cluster.url.removeprefix("http://")],
                             capture_output=True, text=True, timeout=90)
        assert run.returncode == 0, run
        assert "Registered" in run.stdout and "Received offer" in run.stdout, run.stdout
        for number in range(5):
            assert f"Launching task {number} using offer" in run.stdout, run.stdout
            assert f"Task {number} is in state TASK_FINISHED" in run.stdout, run.stdout


def bad_input():
    """Each mistake gets its own status and a text that says what was wrong."""
    with Cluster() as cluster:
        url = cluster.url + "/api/v1/scheduler"
        subscribe = {"type": "SUBSCRIBE", "subscribe": {"framework_info": {"user": "u", "name": "n"}}}
        json_type = {"Content-Type": "application/json"}
        protobuf = {"Content-Type": "application/x-protobuf"}
        scheduler = Scheduler(cluster.url, "good")
        framework = {"framework_id": {"value": scheduler.id}}
        revive = json.dumps({"type": "REVIVE", **framework}).encode()
        cases = [
            ("malformed JSON", request(url, b'{"type', json_type), 400),
            ("malformed protobuf", request(url, b"\xff\xff\xff", protobuf), 400),
            ("unknown call type", post_json(url, {"type": "FOO"}), 400),
            ("call type UNKNOWN", post_json(url, {"type": "UNKNOWN"}), 501),
            ("no content type", raw(cluster.url, "POST", "/api/v1/scheduler", [], b"{}"), 400),
            ("wrong content type", request(url, b"{}", {"Content-Type": "text/plain"}), 415),
            ("charset", request(url, b"{}",
                                {"Content-Type": "application/json; charset=utf-8"}), 415),
            ("not acceptable", post_json(url, subscribe, {"Accept": "text/html"}), 406),
            ("GET", request(url), 405),
            ("stream id on SUBSCRIBE", post_json(url, subscribe, {"Mesos-Stream-Id": "x"}), 400),
            ("missing stream id", request(url, revive, json_type), 400),
            ("foreign stream id", request(url, revive, {**json_type, "Mesos-Stream-Id": "x"}), 400),
            ("unknown framework", post_json(url, {"type": "REVIVE",
                                                  "framework_id": {"value": "nosuch"}}), 400),
            ("missing field", post_json(url, {"type": "SUBSCRIBE",
                                              "subscribe": {"framework_info": {"user": "u"}}}), 400),
            ("unknown path", request(cluster.url + "/nosuch"), 404),
            ("unknown executor", post_json(cluster.agents[0] + "/api/v1/executor", {
                "type": "SUBSCRIBE", "executor_id": {"value": "x"}, "framework_id": {"value": "y"},
                "subscribe": {}}), 400),
            ("body over the limit", oversized(cluster.url), 413),
        ]
        for name, (status, _, body), expected in cases:
            assert status == expected, (name, status, body)
            assert body or expected == 404, f"{name}: the answer says nothing"
        offer = scheduler.offer()
        scheduler.launch(offer, [task("big", "true", cpus=1000)])
        status = scheduler.wait("UPDATE")["update"]["status"]
        assert (status["state"], status["reason"]) == ("TASK_ERROR", "REASON_TASK_INVALID"), status
        scheduler.launch(offer, [task("late", "true")])
        status = scheduler.wait("UPDATE")["update"]["status"]
        assert (status["state"], status["reason"]) == ("TASK_LOST", "REASON_INVALID_OFFERS"), status
        garbage(cluster.url)
        assert get_json(cluster.url + "/state")["activated_slaves"] == 1.0
        scheduler.close()


def raw(url, method, path, headers, body):
    """A request with exactly these headers."""
    host, port = url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port))) as connection:
        lines = [f"{method} {path} HTTP/1.1", "Host: x", "Connection: close",
                 f"Content-Length: {len(body)}", *headers, "", ""]
        connection.sendall("\r\n".join(lines).encode() + body)
        answer = connection.makefile("rb").read()
    head, _, content = answer.partition(b"\r\n\r\n")
    return int(head.split()[1]), {}, content


def oversized(url):
    """Announces more than the limit; the answer comes before the body was sent."""
    host, port = url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port))) as connection:
        connection.sendall(b"POST /api/v1/scheduler HTTP/1.1\r\nHost: x\r\n"
                           b"Content-Type: application/json\r\nContent-Length: 99999999999\r\n\r\n{")
        line = connection.makefile("rb").readline()
        return int(line.split()[1]), {}, line


def garbage(url):
    """Bytes that are no HTTP, and HTTP/2 that lies: the daemon must live on."""
    host, port = url.removeprefix("http://").split(":")
    for noise in (b"\x00" * 100, b"GET / HTTP/9.9\r\n\r\n", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\nnonsense",
                  b"POST /api/v1/scheduler HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"):
        with socket.create_connection((host, int(port))) as connection:
            connection.sendall(noise)
            connection.shutdown(socket.SHUT_WR)
            connection.settimeout(10)
            try:
                while connection.recv(4096):
                    pass
            except OSError:
                pass


def bad_flags():
    """Exit code 1 and one clear line."""
    with socket.socket() as taken, tempfile.TemporaryDirectory() as folder:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        blocked = os.path.join(folder, "file")
        open(blocked, "w").close()
        master = ["master", "--ip=127.0.0.1", "--port=0", f"--work_dir={folder}/m"]
        agent = ["agent", "--master=127.0.0.1:1", "--ip=127.0.0.1", "--port=0"]
        cases = [
            (master + ["--nosuch=1"], "nosuch"),
            (master + ["--port=x"], "port"),
            (master[:3] + [f"--work_dir={blocked}/m"], blocked),
            (["master", "--ip=127.0.0.1", f"--port={port}", f"--work_dir={folder}/m"], str(port)),
            (master + ["--zk=zk://127.0.0.1:2181/mesos"], "quorum"),
            (master + ["--zk=127.0.0.1:2181", "--quorum=1"], "zk"),
            (master + ["--peers=127.0.0.1:1,127.0.0.1:2"], "peers"),
            (agent + [f"--work_dir={blocked}/a"], blocked),
            (agent + [f"--work_dir={folder}/a", "--resources=cpus:x"], "resources"),
            (["nosuch"], "nosuch"),
        ]
        for arguments, word in cases:
            run = subprocess.run([ORRERY] + arguments, capture_output=True, text=True, timeout=30,
                                 env={"PATH": os.environ["PATH"], "ORRERY_LOG": "error"})
            lines = [line for line in run.stderr.splitlines() if line.strip()]
            assert run.returncode == 1, (arguments, run)
            assert len(lines) == 1 and word in lines[0], (arguments, lines)


def local():
    """`orrery local` runs a whole cluster, and Ctrl-C leaves nothing running."""
    folder = tempfile.mkdtemp()
    daemon = Daemon(folder, "local", ["local", "--agents=2", "--port=0"],
                    environment={"MESOS_RESOURCES": "cpus:2;mem:1024"})
    url = "http://" + daemon.address("master")
    wait_for("two agents", lambda: get_json(url + "/state")["activated_slaves"] == 2.0)
    scheduler = Scheduler(url, "local")
    scheduler.launch(scheduler.offer(), [task("sleeper", "sleep 31415")])
    scheduler.status("sleeper", "TASK_RUNNING")
    assert left_over("sleep 31415")
    assert daemon.stop(signal.SIGINT) == 0, daemon.output()
    wait_for("no process to be left", lambda: not left_over("sleep 31415"), 5)


def names():
    """Called by another name, the executable is another program."""
    with tempfile.TemporaryDirectory() as folder:
        for name in ("mesos-master", "mesos-agent", "mesos-slave", "mesos-local", "mesos-execute"):
            link = os.path.join(folder, name)
            os.symlink(ORRERY, link)
            run = subprocess.run([link, "--help"], capture_output=True, text=True, timeout=30)
            assert run.returncode == 0 and name.replace("slave", "") in run.stdout + name, (name, run)
            assert "--" in run.stdout, run
        value = os.path.join(folder, "cluster")
        with open(value, "w") as file:
            file.write("from-a-file")
        daemon = Daemon(folder, "m", ["--ip=127.0.0.1", "--port=0", f"--work_dir={folder}/m"],
                        environment={"MESOS_CLUSTER": f"file://{value}"},
                        argv0=os.path.join(folder, "mesos-master"))
        state = get_json("http://" + daemon.address("master") + "/master/state.json")
        assert state["cluster"] == "from-a-file", state
        daemon.stop()


def curl():
    """What a person sees who asks with curl."""
    with Cluster() as cluster:
        call = '{"type":"SUBSCRIBE","subscribe":{"framework_info":{"user":"root","name":"curl"}}}'
        run = subprocess.run(
            ["curl", "-sN", "--max-time", "4", "-H", "Content-Type: application/json",
             "-H", "Accept: application/json", "-d", call, cluster.url + "/api/v1/scheduler"],
            capture_output=True, timeout=30)
        rest, kinds = run.stdout, []
        while rest:
            head, _, rest = rest.partition(b"\n")
            kinds.append(json.loads(rest[:int(head)])["type"])
            rest = rest[int(head):]
        assert kinds[:3] == ["SUBSCRIBED", "HEARTBEAT", "OFFERS"], kinds


CASES = [two_task_example, tasks_and_files, execute, test_framework, bad_input, bad_flags, local,
         names, curl]


def main():
    chosen = [case for case in CASES if not sys.argv[1:] or case.__name__ in sys.argv[1:]]
    for case in chosen:
        start = time.monotonic()
        case()
        print(f"{case.__name__}: ok ({time.monotonic() - start:.1f} s)", flush=True)


if __name__ == "__main__":
    main()
