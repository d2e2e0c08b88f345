"""What a run does and when, drawn from a seed; as text, one timed line for each step.

    4.210 cut agent-1 both 2.5          bytes vanish; connections of that time never recover
    5.003 hold scheduler-0 up 1.0       bytes wait and go on later
    6.120 delay agent-0 150 4.0         each piece comes 150 ms later
    7.000 reset agent-2                 all connections end with RST
    7.500 halfclose scheduler-1 down    the master's side seems to have finished speaking
    8.000 crash master 1.5              kill -9, and the same again after 1.5 s
    9.100 pause executor@1 3.0          SIGSTOP, later SIGCONT
    9.900 launch 0 3 stubborn           framework 0 wants three more tasks
   11.000 failover 1 0.5                the id is taken over; the old stream stays for 0.5 s

What travels up goes to the master. Where masters meet in ZooKeeper (`masters=3 zookeepers=3`) places
are also master-0, zookeeper-1 and so on; links are master-0>zookeeper-1, which leads up to the
server, and others>master-0; and a place that is named instead means all links to it and from it. The
place `leader` is whichever master leads then.

    8.000 crash zookeeper-2 1.5
    9.000 cut master-0>zookeeper-1 both 3.0
    9.500 cut zookeeper-1 both 3.0      nobody reaches the server
   10.000 crash leader 1.0

A plan can also be written by hand and given with `--plan`.
"""

import random
from dataclasses import dataclass

CALM = 1.5
KINDS = ("exit", "short", "fail", "long", "long", "stubborn", "parent")
FAULTS = ("crash", "pause", "cut", "hold", "delay", "reset", "halfclose")
OPERATIONS = ("launch", "launch", "launch", "kill", "kill", "reuse", "reconcile", "failover",
              "drop", "hoard")
# The number of words that follow each verb.
WORDS = {"launch": 3, "kill": 2, "reuse": 1, "reconcile": 1, "failover": 2, "drop": 2, "hoard": 2,
         "crash": 2, "pause": 2, "cut": 3, "hold": 3, "delay": 3, "reset": 1, "halfclose": 2}


@dataclass(frozen=True)
class Step:
    """At a time in seconds from the start, a verb and what belongs to it."""

    at: float
    verb: str
    words: tuple

    def __str__(self):
        return f"{self.at:9.3f} {self.verb} {' '.join(self.words)}"


@dataclass(frozen=True)
class Plan:
    agents: int
    frameworks: int
    seconds: float
    steps: tuple
    masters: int = 1
    # None: there is one master.
    zookeepers: int = 0

    def __str__(self):
        head = f"shape agents={self.agents} frameworks={self.frameworks} seconds={self.seconds:g}"
        if self.zookeepers:
            head += f" masters={self.masters} zookeepers={self.zookeepers}"
        return "\n".join([head, *map(str, self.steps)])


def parse(text):
    """The plan that a text says; fails with the line that it cannot understand."""
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    shape = dict(word.split("=") for word in lines[0].split()[1:])
    steps = []
    for line in lines[1:]:
        at, verb, *words = line.split()
        if len(words) != WORDS.get(verb):
            raise SystemExit(f"plan: not a step: {line.strip()!r}")
        steps.append(Step(float(at), verb, tuple(words)))
    steps.sort(key=lambda step: step.at)
    return Plan(int(shape["agents"]), int(shape["frameworks"]), float(shape["seconds"]),
                tuple(steps), int(shape.get("masters", 1)), int(shape.get("zookeepers", 0)))


def draw(seed, seconds, agents, zookeepers=0):
    """The plan of a seed. Each seed has weights of its own, so that runs differ in kind."""
    dice = random.Random(seed)
    frameworks = dice.randint(1, 3)
    steps = [Step(dice.uniform(0, CALM), "launch", (str(number), "3", dice.choice(KINDS)))
             for number in range(frameworks)]
    for _ in range(int(seconds * dice.uniform(0.5, 1.2))):
        steps.append(_operation(dice, dice.uniform(CALM, seconds), frameworks))
    weights = [dice.choice((0, 1, 1, 3)) for _ in FAULTS]
    weights[dice.randrange(len(FAULTS))] += 1
    for _ in range(int(seconds * dice.uniform(0.1, 1.0))):
        verb = dice.choices(FAULTS, weights)[0]
        at = dice.uniform(CALM, seconds)
        if zookeepers and dice.random() < 0.7:
            steps.append(_election_fault(dice, verb, at, zookeepers))
        elif not zookeepers or verb in ("crash", "pause"):
            steps.append(_fault(dice, verb, at, agents, frameworks, zookeepers))
    steps.sort(key=lambda step: step.at)
    masters = zookeepers or 1
    # As the text says it, so that a printed plan is the same plan.
    return parse(str(Plan(agents, frameworks, seconds, tuple(steps), masters, zookeepers)))


def _operation(dice, at, frameworks):
    verb = dice.choice(OPERATIONS)
    words = [str(dice.randrange(frameworks))]
    if verb == "launch":
        words += [str(dice.randint(1, 4)), dice.choice(KINDS)]
    elif verb == "kill":
        words += [str(dice.randint(1, 3))]
    elif verb in ("failover", "drop", "hoard"):
        words += [f"{dice.uniform(0, 3):.2f}"]
    return Step(at, verb, tuple(words))


def _election_fault(dice, verb, at, count):
    """A fault of a master, of a ZooKeeper server, or of the ways to them."""
    server, master = f"zookeeper-{dice.randrange(count)}", f"master-{dice.randrange(count)}"
    lasting = f"{dice.uniform(0.05, dice.choice((0.5, 3, 8))):.2f}"
    if verb in ("crash", "pause"):
        return Step(at, verb, (dice.choice(("leader", master, server)), lasting))
    link = dice.choice(("leader", server, f"{master}>{server}"))
    direction = dice.choice(("up", "down", "both"))
    words = {"cut": (direction, lasting), "hold": (direction, lasting),
             "delay": (str(dice.randint(5, 600)), lasting), "reset": (),
             "halfclose": (dice.choice(("up", "down")),)}
    return Step(at, verb, (link, *words[verb]))


def _fault(dice, verb, at, agents, frameworks, zookeepers):
    agent = dice.randrange(agents)
    lasting = f"{dice.uniform(0.05, dice.choice((0.5, 3, 8))):.2f}"
    link = dice.choice((f"agent-{agent}", f"agent-{agent}",
                        f"scheduler-{dice.randrange(frameworks)}"))
    direction = dice.choice(("up", "down", "both"))
    if verb in ("crash", "pause"):
        places = ("master", f"agent-{agent}", f"executor@{agent}")
        place = dice.choice(places[1:] if zookeepers else places)
        words = (place, lasting)
    elif verb in ("cut", "hold"):
        words = (link, direction, lasting)
    elif verb == "delay":
        words = (link, str(dice.randint(5, 600)), lasting)
    elif verb == "reset":
        words = (link,)
    else:
        words = (link, dice.choice(("up", "down")))
    return Step(at, verb, words)
