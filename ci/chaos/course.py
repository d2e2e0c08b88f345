"""The course of one run: calm, faults by the plan, healing, convergence, fresh work, the end."""

import heapq
import itertools
import os
import shutil
import signal
import tempfile
import threading
import time

from cluster import wait_for
from framework import Framework
from machine import Machine, send
from oracle import Oracle, Violation
from proxy import Proxy

TICK = 0.05
LOOK_EVERY = 0.25
# Time for what was held back to arrive, before tasks of unknown fate are asked for.
QUIET = 2.0
CONVERGENCE = 90.0
ASK_EVERY = 3.0
# An executor that never met its agent gives up after a minute.
LAST_PROCESS = 75.0


class Course:
    """Carries out one plan."""

    def __init__(self, seed, plan):
        self.plan = plan
        self.oracle = Oracle()
        self.name = f"chaos-{os.getpid()}-{seed}"
        self.queue = []
        self.numbers = itertools.count()
        self.repairs = []
        self.figures = {}
        self.back_times = []
        self.watching = True
        self.kept = None
        self.proxy = Proxy()
        self.machine = Machine(self.name)
        self.frameworks = []
        self.seed = seed

    def run(self):
        self.build()
        watchers = [threading.Thread(target=self.watch, args=(look,), daemon=True)
                    for look in (self.look_at_processes, self.look_at_state)]
        for watcher in watchers:
            watcher.start()
        try:
            self.follow_plan()
            self.heal()
            self.converge()
            self.fresh_work()
            self.all_is_free()
        finally:
            self.watching = False
            for watcher in watchers:
                watcher.join(40)
        self.oracle.check()
        self.oracle.check_eyes()
        self.stop()

    def build(self):
        target = self.build_election() if self.plan.zookeepers else self.build_master()
        self.frameworks = [
            Framework(number, self.proxy.add(f"scheduler-{number}", target), self.oracle,
                      self.name, self.seed)
            for number in range(self.plan.frameworks)]
        for framework in self.frameworks:
            framework.start()
        self.wait("the first subscriptions", lambda: all(one.id for one in self.frameworks))
        self.wait("the agents", self.all_agents_are_back)

    def build_master(self):
        """One master, which each agent reaches by a link of its own; returns its address."""
        self.machine.start_master()
        target = ("127.0.0.1", self.machine.masters[0].port)
        for number in range(self.plan.agents):
            port = self.proxy.add(f"agent-{number}", target)
            self.machine.add_agent(f"127.0.0.1:{port}")
        return target

    def build_election(self):
        """Masters that meet in ZooKeeper, and agents that find them there. Each has a link of its
        own to each server, and each master one by which all others reach it. Returns where the
        leader is reached."""
        self.machine.start_zookeepers(self.plan.zookeepers)

        def servers(client):
            ports = [self.proxy.add(f"{client}>{one.name}", ("127.0.0.1", one.port))
                     for one in self.machine.zookeepers]
            return f"zk://{','.join(f'127.0.0.1:{port}' for port in ports)}/mesos"

        for number in range(self.plan.masters):
            name = f"master-{number}"
            port = self.proxy.add(f"others>{name}", None)
            self.machine.add_master(self.plan.masters, servers(name), port)
            self.proxy.aim(f"others>{name}", ("127.0.0.1", self.machine.masters[number].port))
        for number in range(self.plan.agents):
            self.machine.add_agent(servers(f"agent-{number}"))
        self.wait("a leader", self.machine.leader)
        return "127.0.0.1", self.port_of(self.machine.leader())

    def port_of(self, master):
        """Where others reach a master."""
        if not self.machine.advertised:
            return master.port
        return self.machine.advertised[self.machine.masters.index(master)]

    def follow(self, leader):
        """New connections of the schedulers go to whoever leads."""
        target = ("127.0.0.1", self.port_of(leader))
        for framework in self.frameworks:
            if self.proxy.links[framework.name].target != target:
                self.oracle.note(f"* {framework.name} is told of {leader.name}")
                self.proxy.aim(framework.name, target)

    def wait(self, what, condition, patience=30.0):
        """Waits as long as nothing is wrong."""
        def look():
            self.oracle.check()
            self.run_due()
            for service in self.machine.services():
                service.look()
            return condition()
        began = time.monotonic()
        wait_for(what, look, patience)
        return time.monotonic() - began

    def at(self, when, what):
        heapq.heappush(self.queue, (when, next(self.numbers), what))

    def run_due(self):
        while self.queue and self.queue[0][0] <= time.monotonic():
            heapq.heappop(self.queue)[2]()

    def follow_plan(self):
        start = self.oracle.start = time.monotonic()
        for step in self.plan.steps:
            self.at(start + step.at, lambda step=step: self.take(step))
        end = start + self.plan.seconds
        while time.monotonic() < end:
            self.oracle.check()
            self.run_due()
            for service in self.machine.services():
                service.look()
            time.sleep(TICK)

    def take(self, step):
        self.oracle.note(f"* {step.verb} {' '.join(step.words)}")
        if step.verb in ("crash", "pause"):
            self.break_process(step.verb, *step.words)
        elif step.verb in ("cut", "hold", "delay", "reset", "halfclose"):
            self.break_link(step.verb, *step.words)
        else:
            self.operate(step.verb, self.frameworks[int(step.words[0])], *step.words[1:])

    def operate(self, verb, framework, *words):
        if verb == "launch":
            framework.wanted.extend([words[1]] * int(words[0]))
            framework.call("REVIVE")
        elif verb == "kill":
            framework.kill(int(words[0]))
        elif verb == "failover":
            threading.Thread(target=framework.fail_over, args=(float(words[0]),),
                             daemon=True).start()
        elif verb == "drop":
            framework.drop(float(words[0]))
        elif verb == "hoard":
            framework.hoard_until = time.monotonic() + float(words[0])
        else:
            getattr(framework, verb)()

    def repair_after(self, seconds, repair):
        """Mends once: after its time, or when everything is healed."""
        self.repairs.append(repair)

        def mend():
            if repair in self.repairs:
                self.repairs.remove(repair)
                repair()

        self.at(time.monotonic() + float(seconds), mend)

    def break_link(self, verb, name, *words):
        name = self.present(name)
        end = self.proxy.fail(name, verb, words)
        if end is None:
            return

        def repair():
            self.oracle.note(f"* {verb} of {name} ends")
            end()
            if verb == "cut" and name.startswith("scheduler"):
                # Its heartbeats have stayed away; it does not wait for three of them here.
                self.frameworks[int(name.partition("-")[2])].drop()

        self.repair_after(words[-1], repair)

    def break_process(self, verb, place, seconds):
        place = self.present(place)
        if place.startswith("executor@"):
            return self.break_executor(verb, int(place.partition("@")[2]), seconds)
        service = self.service(place)
        if not service.is_up():
            return None
        if verb == "pause":
            service.pause()
            daemon = service.daemon
            return self.repair_after(seconds, lambda: daemon is service.daemon
                                     and service.resume())
        service.kill()
        return self.repair_after(seconds, lambda: self.restart(service))

    def present(self, place):
        """What a place is called at present: the leader is one of the masters, the first of them
        while there is none."""
        return (self.machine.leader() or self.machine.masters[0]).name \
            if place == "leader" else place

    def service(self, place):
        kind, _, number = place.partition("-")
        services = {"agent": self.machine.agents, "master": self.machine.masters,
                    "zookeeper": self.machine.zookeepers}
        return services[kind][int(number or 0)]

    def restart(self, service):
        self.oracle.note(f"* {service.name} is started again")
        service.start()
        if [service] == self.machine.masters:
            self.time_return(service.daemon, time.monotonic())

    def time_return(self, daemon, began):
        """Measures how long it takes until the agents are back, if nothing else is broken."""
        def look():
            if self.repairs or daemon is not self.machine.masters[0].daemon:
                return
            if self.all_agents_are_back():
                self.back_times.append(time.monotonic() - began)
            else:
                self.at(time.monotonic() + TICK, look)
        self.at(began + TICK, look)

    def break_executor(self, verb, agent, seconds):
        service = self.machine.agents[agent]
        pids = self.machine.executors(agent)
        if not pids or not service.is_up() or service.paused:
            return
        pid = self.frameworks[0].dice.choice(pids)
        self.oracle.note(f"* {verb} executor {pid} of {len(pids)}")
        if verb == "crash":
            send(pid, signal.SIGKILL)
            return
        send(pid, signal.SIGSTOP)
        self.repair_after(seconds, lambda: send(pid, signal.SIGCONT))

    def watch(self, look):
        while self.watching and not self.oracle.violation:
            try:
                look()
            except Exception as error:  # The main thread reports it.
                self.oracle.fail(f"cannot look: {error!r}")
            time.sleep(LOOK_EVERY)

    def look_at_processes(self):
        began = time.monotonic()
        self.oracle.processes(began, self.machine.task_processes())

    def look_at_state(self):
        state = self.try_state()
        if state:
            self.oracle.state(state)

    def try_state(self):
        leader = self.machine.leader()
        if not leader or not leader.is_up() or leader.paused:
            return None
        self.follow(leader)
        try:
            return self.machine.state(leader)
        except OSError:
            return None

    def all_agents_are_back(self):
        state = self.try_state()
        return bool(state) and int(state["activated_slaves"]) == self.plan.agents

    def heal(self):
        self.oracle.note("* everything is healed")
        self.run_due()
        while self.repairs:
            self.repairs.pop()()
        for framework in self.frameworks:
            framework.wanted.clear()
            framework.hoard_until = framework.pause_until = 0.0
        self.figures["agents back"] = self.wait("all agents to be back", self.all_agents_are_back,
                                                CONVERGENCE)
        self.figures["schedulers back"] = self.wait(
            "all schedulers to be back", lambda: all(one.session for one in self.frameworks))

    def converge(self):
        quiet = time.monotonic() + QUIET
        self.wait("quiet", lambda: time.monotonic() > quiet)
        asked = [0.0]

        def settled():
            open_tasks = self.open_tasks()
            if open_tasks and time.monotonic() > asked[0] + ASK_EVERY:
                asked[0] = time.monotonic()
                for framework in self.frameworks:
                    for task in framework.open_tasks():
                        framework.kill_task(task)
                    framework.reconcile(also_unknown=True)
            return not open_tasks

        try:
            self.figures["tasks settled"] = self.wait("all tasks to end", settled, CONVERGENCE)
        except AssertionError:
            names = [f"{task.id} (ACCEPT {task.accept}, told {task.last}, {task.agent_id})"
                     for task in self.open_tasks()]
            raise Violation(f"tasks that never end: {'; '.join(names)}") from None

    def open_tasks(self):
        state = self.try_state()
        # An agent that is about to be given up, or about to return, is none that is gone.
        if not state or int(state["activated_slaves"]) != self.plan.agents:
            return [task for framework in self.frameworks for task in framework.open_tasks()]
        agents = {agent["id"] for agent in state["slaves"]}
        recovered = {agent["id"] for agent in state["recovered_slaves"]}
        return [task for framework in self.frameworks for task in framework.open_tasks()
                if not task.is_settled(agents, recovered)]

    def fresh_work(self):
        before = {framework: len(framework.tasks) for framework in self.frameworks}
        for framework in self.frameworks:
            framework.wanted.append("exit")
            framework.call("REVIVE")

        def done():
            fresh = [list(framework.tasks.values())[count:]
                     for framework, count in before.items()]
            for task in itertools.chain(*fresh):
                if task.end not in (None, "TASK_FINISHED"):
                    raise Violation(f"the fresh task {task.id} ended with {task.end}")
            return all(tasks and all(task.end for task in tasks) for tasks in fresh)

        self.figures["fresh work"] = self.wait("fresh tasks to finish", done)

    def all_is_free(self):
        def free(kind):
            state = self.try_state()
            return state and not any(
                agent[kind][name] for agent in state["slaves"] for name in ("cpus", "mem", "disk"))

        self.wait("no resources to be used", lambda: free("used_resources"))
        self.wait("no process in a sandbox to be left", lambda: not self.machine.in_sandboxes(),
                  LAST_PROCESS)
        for framework in self.frameworks:
            framework.close()
        self.wait("no resources to be offered", lambda: free("offered_resources"))

    def stop(self):
        for service in reversed(self.machine.services()):
            code = service.stop()
            if code != 0:
                raise Violation(f"{service.name} ended with {code}")
            service.daemon = None
        panics = self.machine.panics()
        if panics:
            raise Violation(f"panics: {panics}")
        self.figures["last process"] = self.wait(
            "all processes to be gone", lambda: not self.machine.ours(), LAST_PROCESS)

    def summary(self):
        counts = self.oracle.counts
        parts = [f"{len(self.oracle.tasks)} tasks", f"{len(self.oracle.seen)} seen as processes",
                 f"{counts['offers']} offers", f"{counts['states']} states"]
        parts += [f"{counts[name]} {name[5:]}" for name in sorted(counts) if name[:5] == "TASK_"]
        parts += [f"{name} {seconds:.1f} s" for name, seconds in self.figures.items()]
        parts += [f"after a master's restart {seconds:.2f} s" for seconds in self.back_times]
        return ", ".join(parts)

    def keep_logs(self):
        """Copies what the daemons wrote to a folder that stays."""
        self.kept = tempfile.mkdtemp(prefix=f"{self.name}-logs-")
        for daemon in self.machine.daemons:
            shutil.copy(daemon.log_path, self.kept)
        return self.kept

    def close(self):
        for framework in self.frameworks:
            framework.close()
        self.machine.close()
        self.proxy.close()
