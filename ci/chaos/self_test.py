"""The judge judged: histories that a correct cluster cannot give must be found, good ones not."""

import os
import socket
import sys
import time
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(HERE), "e2e"))

import plan as plans  # noqa: E402
import simulated  # noqa: E402
from oracle import Oracle, Task  # noqa: E402
from proxy import Proxy  # noqa: E402


def told(*updates, accept="accepted", answers_due=0):
    """The violation after a task's updates, each a state with a uuid or `None`."""
    oracle = Oracle()
    task = oracle.tasks["t"] = Task("t", "long", "agent")
    task.accept, task.answers_due = accept, answers_due
    for state, uuid in updates:
        status = {"task_id": {"value": "t"}, "state": f"TASK_{state}"}
        status.update({"uuid": uuid} if uuid else {"reason": "REASON_RECONCILIATION"})
        oracle.updated("scheduler", status)
    return oracle.violation


class Updates(unittest.TestCase):
    LIFE = [("STARTING", "a"), ("RUNNING", "b"), ("FINISHED", "c")]

    def test_lives_that_are_legal(self):
        for life in (self.LIFE, self.LIFE + [("FINISHED", "c")], self.LIFE + [("FINISHED", None)],
                     [("STARTING", "a"), ("STARTING", "a"), ("FAILED", "b")],
                     [("FINISHED", None), ("FINISHED", "c")],
                     [("RUNNING", None), ("RUNNING", "b"), ("UNREACHABLE", None),
                      ("RUNNING", None), ("KILLED", "c")]):
            self.assertIsNone(told(*life), life)
        self.assertIsNone(told(*self.LIFE, ("GONE", None), answers_due=1))
        self.assertIsNotNone(told(*self.LIFE, *[("GONE", None)] * 2, answers_due=1))

    def test_lives_that_are_not(self):
        for life in (self.LIFE + [("KILLED", "d")], self.LIFE + [("FINISHED", "d")],
                     self.LIFE + [("RUNNING", None)], self.LIFE + [("RUNNING", "b")],
                     self.LIFE + [("GONE", None)], self.LIFE + [("UNREACHABLE", None)],
                     [("RUNNING", "a"), ("STARTING", "b")], [("RUNNING", "a"), ("RUNNING", "b")],
                     [("RUNNING", None), ("STARTING", "a")]):
            self.assertIsNotNone(told(*life), life)
        self.assertIsNotNone(told(("STARTING", "a"), accept="refused"))


class Simulated(unittest.TestCase):
    TEXT = """# A sentence.
agents 3
framework careful
framework hoarder checkpoint on
at 1s framework 0 launch 8 nothing
at 1500ms framework 1 launch 2 short 250ms 3
at 2999ms cut master-0 agent-0 one-way for 30s
at 3s cut agent-1 master-0 both-ways for 500ms
at 4s kill master-0 mesos-master for 100ms
at 5s pause agent-2 mesos-agent for 2s
at 6s bit-rot agent-0 /x 1 2 for 1s
at 7s framework 1 fail-over 1500ms
"""

    def test_what_can_be_done_for_real_is_done(self):
        plan, left_out = simulated.translate(self.TEXT)
        self.assertEqual((plan.agents, plan.frameworks), (3, 2))
        self.assertEqual(left_out, ["at 6s bit-rot agent-0 /x 1 2 for 1s"])
        told = [f"{step.at:g} {step.verb} {' '.join(step.words)}" for step in plan.steps]
        self.assertEqual(told, [
            "1 launch 0 8 exit", "1.5 launch 1 2 fail", "2.999 cut agent-0 down 30",
            "3 cut agent-1 both 0.5", "4 crash master 0.1", "5 pause agent-2 2",
            "7 failover 1 1.5"])
        self.assertEqual(str(plans.parse(str(plan))), str(plan))


    ELECTION = """masters 3
elections zookeeper
agents 2
framework launcher
at 1s kill zookeeper-1 zookeeper for 2s
at 2s pause master-0 mesos-master for 3s
at 3s cut master-1 zookeeper-2 both-ways for 4s
at 4s partition master-0,agent-1 zookeeper-0 one-way for 1s
at 5s break zookeeper-1 agent-0 all reset
at 6s isolate zookeeper-0 for 500ms
at 7s cut master-0 agent-0 both-ways for 1s
at 8s expire-sessions zookeeper-0 all
at 9s kill agent-0 mesos-agent for 1s
"""

    def test_a_plan_with_zookeeper_is_played_before_real_servers(self):
        plan, left_out = simulated.translate(self.ELECTION)
        self.assertEqual((plan.masters, plan.zookeepers), (3, 3))
        self.assertEqual(left_out, ["at 7s cut master-0 agent-0 both-ways for 1s",
                                    "at 8s expire-sessions zookeeper-0 all"])
        told = [f"{step.at:g} {step.verb} {' '.join(step.words)}" for step in plan.steps]
        self.assertEqual(told, [
            "1 crash zookeeper-1 2", "2 pause master-0 3", "3 cut master-1>zookeeper-2 both 4",
            "4 cut master-0>zookeeper-0 up 1", "4 cut agent-1>zookeeper-0 up 1",
            "5 reset agent-0>zookeeper-1", "6 cut zookeeper-0 both 0.5", "9 crash agent-0 1"])
        self.assertEqual(str(plans.parse(str(plan))), str(plan))


class Observations(unittest.TestCase):
    def test_processes(self):
        for end, pids, good in ((None, [1], True), (None, [1, 2], False),
                                ("TASK_KILLED", [1], False), ("TASK_LOST", [1], True)):
            oracle = Oracle()
            task = oracle.tasks["t"] = Task("t", "long", "agent")
            task.end, task.end_at = end, time.monotonic() - 1
            oracle.processes(time.monotonic(), {"t": pids})
            self.assertEqual(oracle.violation is None, good, (end, pids))
        oracle = Oracle()
        oracle.processes(0.0, {"unknown": [1]})
        self.assertIsNotNone(oracle.violation)

    def test_offers(self):
        oracle = Oracle()
        oracle.offered("scheduler-0", "O1")
        self.assertIsNone(oracle.violation)
        oracle.offered("scheduler-1", "O1")
        self.assertIsNotNone(oracle.violation)

    def test_sums(self):
        def amount(cpus):
            return {"cpus": cpus, "mem": 0, "disk": 0}
        for used, offered, listed, good in ((0.5, 0.5, 0.5, True), (0.5, 0.6, 0.5, False),
                                            (0.5, 0.0, 0.4, False), (0.5, -0.1, 0.5, False)):
            oracle = Oracle()
            task = {"state": "TASK_RUNNING", "slave_id": "S", "resources": amount(listed)}
            oracle.state({"frameworks": [{"tasks": [task]}], "slaves": [
                {"id": "S", "resources": amount(1), "used_resources": amount(used),
                 "offered_resources": amount(offered)}]})
            self.assertEqual(oracle.violation is None, good, (used, offered, listed))


class Plans(unittest.TestCase):
    def test_a_seed_gives_one_plan_and_its_text_gives_it_back(self):
        verbs = set()
        for seed in range(100):
            drawn = plans.draw(seed, 30, 3)
            self.assertEqual(drawn, plans.draw(seed, 30, 3))
            self.assertEqual(drawn, plans.parse(str(drawn)))
            verbs.update(step.verb for step in drawn.steps)
        self.assertEqual(verbs, set(plans.WORDS))

    def test_so_is_one_before_zookeeper(self):
        places = set()
        for seed in range(100):
            drawn = plans.draw(seed, 30, 3, 3)
            self.assertEqual(drawn, plans.parse(str(drawn)))
            places.update(step.words[0].partition("-")[0] for step in drawn.steps
                          if step.verb in plans.FAULTS)
        self.assertLessEqual({"leader", "zookeeper", "master", "agent"}, places)


class Links(unittest.TestCase):
    """Each fault of a link, on an echoing server."""

    def setUp(self):
        self.proxy = Proxy()
        self.addCleanup(self.proxy.close)
        self.server = socket.create_server(("127.0.0.1", 0))
        self.addCleanup(self.server.close)
        self.port = self.proxy.add("link", self.server.getsockname())

    def connect(self):
        client = socket.create_connection(("127.0.0.1", self.port), timeout=5)
        server = self.server.accept()[0]
        server.settimeout(5)
        self.addCleanup(client.close)
        self.addCleanup(server.close)
        client.sendall(b"hello")
        self.assertEqual(server.recv(5), b"hello")
        return client, server

    def hears_nothing(self, end):
        end.settimeout(0.2)
        with self.assertRaises(TimeoutError):
            end.recv(1)
        end.settimeout(5)

    def test_what_was_cut_never_comes_and_later_connections_work(self):
        client, server = self.connect()
        end = self.proxy.fail("link", "cut", ("up",))
        client.sendall(b"lost")
        self.hears_nothing(server)
        end()
        client.sendall(b"lost too")
        self.hears_nothing(server)
        server.sendall(b"answer")
        self.assertEqual(client.recv(6), b"answer")
        self.connect()

    def test_what_is_held_comes_later(self):
        client, server = self.connect()
        end = self.proxy.fail("link", "hold", ("both",))
        client.sendall(b"late")
        self.hears_nothing(server)
        end()
        self.assertEqual(server.recv(4), b"late")

    def test_delay(self):
        client, server = self.connect()
        self.proxy.fail("link", "delay", ("200", "1"))
        began = time.monotonic()
        client.sendall(b"slow")
        self.assertEqual(server.recv(4), b"slow")
        self.assertGreaterEqual(time.monotonic() - began, 0.2)

    def test_reset_reaches_both_ends(self):
        for end in self.connect():
            self.proxy.fail("link", "reset", ())
            with self.assertRaises(ConnectionResetError):
                end.recv(1)

    def test_half_close_leaves_the_other_direction(self):
        client, server = self.connect()
        self.proxy.fail("link", "halfclose", ("up",))
        self.assertEqual(server.recv(1), b"")
        server.sendall(b"still here")
        self.assertEqual(client.recv(10), b"still here")


if __name__ == "__main__":
    unittest.main()
