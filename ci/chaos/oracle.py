"""What must hold, judged from outside: by what schedulers were told, what runs, and `/state`."""

import collections
import threading
import time

RANKS = {"TASK_STAGING": 0, "TASK_STARTING": 1, "TASK_RUNNING": 2, "TASK_KILLING": 3}
END = 4
TERMINAL = {"TASK_FINISHED", "TASK_FAILED", "TASK_KILLED", "TASK_ERROR", "TASK_LOST",
            "TASK_DROPPED", "TASK_GONE", "TASK_GONE_BY_OPERATOR"}
# Told by somebody who saw the process end.
SEEN_TO_END = {"TASK_FINISHED", "TASK_FAILED", "TASK_KILLED"}
# Nobody will ever know more, when the agent has not come back.
UNKNOWABLE = {"TASK_UNREACHABLE", "TASK_UNKNOWN"}
EVENTS_SHOWN = 60


class Violation(Exception):
    """Something that a correct cluster cannot do."""


class Task:
    """A task as its framework knows it."""

    def __init__(self, task_id, kind, agent_id):
        self.id = task_id
        self.kind = kind
        self.agent_id = agent_id
        # What became of ACCEPT: "sent", "accepted", "refused" or "unknown".
        self.accept = "sent"
        self.rank = -1
        self.last = None
        self.end = None
        self.end_at = None
        self.uuids = []
        # How far it had come in the last update that was the agent's: one with a uuid.
        self.update_rank = -1
        # Whether its agent has told that it runs.
        self.ran = False
        # So many questions about it may still be answered with what the master knew then.
        self.answers_due = 0

    def is_open(self):
        return self.end is None and self.accept != "refused"

    def is_settled(self, agents, recovered):
        """Ended; or on an agent that is gone; or on one whose return a new master still awaits."""
        lost = self.last in UNKNOWABLE and self.agent_id not in agents
        return not self.is_open() or lost or self.agent_id in recovered


class Oracle:
    """Collects facts from all threads and keeps the first violation."""

    def __init__(self):
        self.lock = threading.RLock()
        self.start = time.monotonic()
        self.events = []
        self.tasks = {}
        self.offers = set()
        # Tasks of which a process was seen.
        self.seen = set()
        self.violation = None
        self.counts = collections.Counter()

    def note(self, text):
        with self.lock:
            self.events.append(f"{time.monotonic() - self.start:9.3f} {text}")

    def story(self):
        """The last events, and all of the tasks that the violation names."""
        with self.lock:
            names = {task_id for task_id in self.tasks if task_id in (self.violation or "")}
            early = [event for event in self.events[:-EVENTS_SHOWN]
                     if names.intersection(event.replace(",", " ").split())]
            return early + ["    ..."] + self.events[-EVENTS_SHOWN:]

    def fail(self, text):
        with self.lock:
            self.note(f"VIOLATION: {text}")
            self.violation = self.violation or text

    def check(self):
        if self.violation:
            raise Violation(self.violation)

    def check_eyes(self):
        """That nothing was found must not be because nobody could see."""
        lasting = [task.id for task in self.tasks.values()
                   if task.kind in ("long", "stubborn") and task.ran]
        if not self.counts["states"] or (lasting and not self.seen):
            raise Violation(f"looked at {self.counts['states']} states and saw no process, "
                            f"not even of {lasting}")

    def offered(self, framework, offer_id):
        with self.lock:
            self.counts["offers"] += 1
            if offer_id in self.offers:
                self.fail(f"offer {offer_id} was made twice, now to {framework}")
            self.offers.add(offer_id)

    def updated(self, framework, status):
        """Takes a status that a framework was told."""
        with self.lock:
            task_id, state = status["task_id"]["value"], status["state"]
            reason = status.get("reason", "-")
            uuid = status.get("uuid")
            self.note(f"{framework} hears {task_id} {state} {reason} {status.get('message', '')!r}"
                      f" {(uuid or 'no uuid')[:8]}")
            task = self.tasks.get(task_id)
            if task is None:
                return self.fail(f"{state} of {task_id}, which nobody has launched")
            if task.accept == "refused":
                return self.fail(f"{state} of {task_id}, whose ACCEPT was refused")
            self.counts[state] += 1
            if uuid and uuid in task.uuids:
                if uuid != task.uuids[-1]:
                    self.fail(f"{task_id}: an older update with {state} was repeated")
                return None
            if uuid:
                task.uuids.append(uuid)
            self._advance(task, state, reason, uuid)
            task.last = state
            return None

    def _advance(self, task, state, reason, uuid):
        rank = END if state in TERMINAL else RANKS.get(state)
        if task.end:
            # The master may know the end before the agent's own update of it has come.
            known = state == task.end and (not uuid or task.update_rank < END)
            late_answer = reason == "REASON_RECONCILIATION" and task.answers_due > 0
            if not known and (uuid or not late_answer):
                self.fail(f"{task.id}: {state} after the terminal {task.end}")
        elif rank is not None and (rank < task.rank or (uuid and rank <= task.update_rank)):
            self.fail(f"{task.id}: {state} after {task.last}")
        elif rank == END:
            task.end, task.end_at = state, time.monotonic()
        if reason == "REASON_RECONCILIATION":
            task.answers_due -= 1
        task.rank = max(task.rank, rank or 0)
        task.ran |= bool(uuid) and state == "TASK_RUNNING"
        if uuid:
            task.update_rank = max(task.update_rank, rank or 0)

    def processes(self, began, roots):
        """`roots`: the processes of each task id, looked up after `began`."""
        with self.lock:
            self.seen.update(roots)
            for task_id, pids in roots.items():
                task = self.tasks.get(task_id)
                if task is None or task.accept == "refused":
                    self.fail(f"processes {pids} of {task_id}, which was not launched")
                elif len(pids) > 1:
                    self.fail(f"{task_id} runs more than once: processes {pids}")
                elif task.end in SEEN_TO_END and task.end_at < began:
                    late = time.monotonic() - task.end_at
                    self.fail(f"{task_id} still runs as {pids}, {late:.2f} s after {task.end}")

    def state(self, state):
        """Resources in the master's `/state` add up."""
        self.counts["states"] += 1
        sums = collections.defaultdict(float)
        for framework in state["frameworks"]:
            for task in framework["tasks"]:
                if task["state"] not in TERMINAL | {"TASK_UNREACHABLE"}:
                    for name in ("cpus", "mem"):
                        sums[task["slave_id"], name] += task["resources"][name]
        for agent in state["slaves"]:
            for name in ("cpus", "mem", "disk"):
                total, used = agent["resources"][name], agent["used_resources"][name]
                offered = agent["offered_resources"][name]
                if used + offered > total + 1e-6 or min(used, offered) < 0:
                    self.fail(f"agent {agent['id']}: {used} used + {offered} offered "
                              f"of {total} {name}")
                listed = sums[agent["id"], name]
                if name != "disk" and abs(listed - used) > 1e-6:
                    self.fail(f"agent {agent['id']}: tasks hold {listed} {name}, "
                              f"but {used} are used")
