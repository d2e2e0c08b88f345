"""The simulator's plans, played on real daemons: as much of one as can be done for real.

`orrery sim plan SEED` prints such a plan, and `scenarios/regressions/` holds some. Steps that only a
simulated world can take, such as a disk that rots or a host without power, are left out and named,
and so are settings that only shorten a run. Time is as long as the plan says.

A plan with `elections zookeeper` is played before real ZooKeeper servers, as many as the simulator has.
Agents and masters then reach each server by a link of their own, and each master by one for all: what
is to be cut between a master and one agent, framework or other master is left out.
"""

import re

from plan import Plan, Step

UNITS = {"ns": 1e-9, "us": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
# What a task of the simulator is called here, for the first word of its script.
SCRIPTS = {"nothing": "exit", "long": "long", "stubborn": "stubborn", "parent": "parent"}
# How many ZooKeeper servers the simulator has.
SERVERS = 3
# Time after the last step for its fault to end.
AFTER = 2.0


def seconds(text):
    number, unit = re.fullmatch(r"([0-9.]+)([a-z]+)", text).groups()
    return float(number) * UNITS[unit]


def translate(text):
    """The plan that a text of the simulator's comes to here, and the lines that are left out."""
    shape = {"masters": 1, "agents": 2, "framework": 0}
    steps, left_out, end, servers = [], [], 0.0, 0
    for line in filter(None, (line.partition("#")[0].strip() for line in text.splitlines())):
        word, *rest = line.split()
        if word == "at":
            at, (what, lasting) = seconds(rest[0]), _lasting(rest[1:])
            fault = _election_fault if servers else _fault
            found = [_operation(what)] if what[0] == "framework" else fault(what, lasting)
            if None in found:
                left_out.append(line)
                continue
            steps += [Step(at, step[0], tuple(step[1:])) for step in found]
            end = max(end, at + lasting)
        elif word in ("masters", "agents"):
            shape[word] = int(rest[0])
        elif word == "framework":
            shape["framework"] += 1
        elif word == "elections" and rest[0] == "zookeeper":
            servers = SERVERS
    if shape["masters"] != 1 and not servers:
        left_out.append(f"masters {shape['masters']}: one is started")
        shape["masters"] = 1
    steps.sort(key=lambda step: step.at)
    return Plan(shape["agents"], shape["framework"], end + AFTER, tuple(steps), shape["masters"],
                servers), left_out


def _lasting(words):
    """What happens, and for how many seconds."""
    if len(words) > 2 and words[-2] == "for":
        return words[:-2], seconds(words[-1])
    return words, 0.0


def _operation(words):
    _, number, verb, *rest = words
    if verb == "launch":
        kind = SCRIPTS.get(rest[1]) or ("short" if rest[3] == "0" else "fail")
        return "launch", number, rest[0], kind
    if verb == "kill":
        return "kill", number, rest[0]
    if verb == "reconcile":
        return "reconcile", number
    if verb == "abuse" and rest[0] == "used":
        return "reuse", number
    if verb == "fail-over":
        return "failover", number, f"{seconds(rest[0]):g}"
    return None


def _fault(words, lasting):
    """The steps that a fault comes to here; None among them where that cannot be done."""
    return [_single(words, lasting)]


def _election_fault(words, lasting):
    """The same where the masters meet in ZooKeeper."""
    verb, *rest = words
    time = f"{lasting:g}"
    if verb == "kill-executor" or verb in ("kill", "pause") and re.match("agent|sched", rest[0]):
        return [_single(words, lasting)]
    if verb in ("kill", "pause") and re.match("master|zookeeper", rest[0]):
        return [("crash" if verb == "kill" else "pause", rest[0], time)]
    if verb == "isolate" and re.match("master|zookeeper", rest[0]):
        return [("cut", rest[0], "both", time)]
    if verb == "partition":
        pairs = [(one, other) for one in rest[0].split(",") for other in rest[1].split(",")]
        return [_on_link("cut", _server_link(*pair), rest[2:], time) for pair in pairs]
    if verb in ("cut", "latency", "break", "hold"):
        return [_on_link(verb, _server_link(rest[0], rest[1]), rest[2:], time)]
    return [None]


def _single(words, lasting):
    verb, *rest = words
    time = f"{lasting:g}"
    if verb in ("kill", "pause") and len(rest) == 2:
        broken = "crash" if verb == "kill" else "pause"
        place = _place(rest[0])
        if rest[1] == "mesos-executor" and place and place.startswith("agent-"):
            place = f"executor@{place.partition('-')[2]}"
        if place and place.startswith("scheduler-"):
            # What is left of a scheduler that dies is its stream, which ends.
            return ("drop", place.partition("-")[2], time) if verb == "kill" else None
        return (broken, place, time) if place else None
    if verb == "kill-executor":
        return "crash", f"executor@{rest[0].partition('-')[2]}", time
    if verb == "isolate":
        return ("cut", rest[0], "both", time) if _place(rest[0]) not in (None, "master") else None
    if verb in ("cut", "latency", "break", "hold"):
        return _on_link(verb, _master_link(rest[0], rest[1]), rest[2:], time)
    return None


def _on_link(verb, way, rest, time):
    """A fault of what travels one way on a link; None where there is no such link."""
    if way is None:
        return None
    link, direction = way
    if verb == "cut":
        return "cut", link, "both" if rest[0] == "both-ways" else direction, time
    if verb == "hold":
        return "hold", link, direction, time
    if verb == "latency":
        most = seconds(rest[0].rpartition("..")[2])
        return "delay", link, f"{most * 1000:.0f}", time
    if rest[1] == "reset":
        return "reset", link
    return ("halfclose", link, direction) if rest[1] == "end" else None


def _place(host):
    if host == "master-0":
        return "master"
    return host if re.fullmatch(r"(agent|scheduler)-[0-9]+", host) else None


def _server_link(one, other):
    """The link between two hosts of which one is a ZooKeeper server, and the way from the first to
    the second on it."""
    clients = r"(master|agent)-[0-9]+"
    if re.fullmatch(clients, one) and other.startswith("zookeeper-"):
        return f"{one}>{other}", "up"
    if re.fullmatch(clients, other) and one.startswith("zookeeper-"):
        return f"{other}>{one}", "down"
    return None


def _master_link(one, other):
    """The same of the only master and an agent or a framework."""
    if _place(one) == "master" and _place(other) not in (None, "master"):
        return other, "down"
    if _place(other) == "master" and _place(one) not in (None, "master"):
        return one, "up"
    return None
