// Tasks, agents and frameworks: by which names a trace speaks of them, and what was known of them
// at a time. All of it comes from the messages that the daemons exchange.

/** The JSON of a message, which stands behind its name and channel; null when it has none. */
function contentOf(text) {
  const start = text.indexOf("{");
  try {
    return JSON.parse(text.slice(start));
  } catch {
    return null;
  }
}

/** The last of `list`, which is ordered by time, that is not later than `time`. */
function latest(list, time) {
  let found = null;
  for (const one of list) {
    if (one.time > time) break;
    found = one;
  }
  return found;
}

class Entities {
  constructor() {
    this.tasks = new Map();
    this.agents = new Map();
    this.frameworks = new Map();
  }

  /** Takes what a message says. */
  add(event) {
    const [name, channel] = event.text.split(" ", 2);
    const take = {
      "send ACCEPT": this.launched, "receive UPDATE": this.updated, "receive RunTask": this.ran,
      "receive SUBSCRIBED": this.subscribed, "receive Registered": this.registered,
      "receive Reregistered": this.registered,
    }[`${event.kind} ${name}`];
    if (take) take.call(this, event, channel);
  }

  entity(kind, name) {
    let found = kind.get(name);
    if (!found) {
      found = { name, words: new Set([name]), hosts: new Set(), known: [] };
      kind.set(name, found);
    }
    return found;
  }

  task(id) {
    const task = this.entity(this.tasks, id);
    task.told ??= [];
    return task;
  }

  launched(event) {
    const { accept, framework_id: framework } = contentOf(event.text) || {};
    for (const operation of accept?.operations || []) {
      const group = operation.launch_group?.task_group?.tasks;
      for (const info of operation.launch?.task_infos || group || []) {
        const task = this.task(info.task_id.value);
        task.launched ??= event.time;
        task.framework ??= framework?.value;
      }
    }
  }

  /** An agent was told to run a task. */
  ran(event) {
    for (const [, id] of event.text.matchAll(/task_id: TaskId \{ value: "((?:[^"\\]|\\.)*)"/g)) {
      const task = this.task(id);
      task.launched ??= event.time;
      task.agent ??= event.host;
    }
  }

  /** An agent hears from an executor, or a scheduler from the master. */
  updated(event, channel) {
    const status = contentOf(event.text)?.update?.status;
    if (!status?.task_id) return;
    const task = this.task(status.task_id.value);
    task.launched ??= event.time;
    const list = channel === "executor" ? task.known : task.told;
    list.push({ time: event.time, state: status.state });
  }

  subscribed(event) {
    const id = contentOf(event.text)?.subscribed?.framework_id?.value;
    if (!id) return;
    const framework = this.entity(this.frameworks, event.host.name);
    framework.hosts.add(event.host);
    framework.words.add(id);
    framework.known.push({ time: event.time, state: `subscribed as ${id}` });
  }

  registered(event) {
    const id = /agent_id: Some\(AgentId \{ value: "([^"]*)"/.exec(event.text);
    if (!id) return;
    const agent = this.entity(this.agents, event.host.name);
    agent.hosts.add(event.host);
    agent.words.add(id[1]);
    agent.known.push({ time: event.time, state: `registered as ${id[1]}` });
  }

  /** What the filter offers: lists of entities by what they are. */
  groups() {
    const all = { tasks: this.tasks, agents: this.agents, frameworks: this.frameworks };
    const byName = (one, other) => one.name.localeCompare(other.name, "en", { numeric: true });
    return Object.entries(all).map(([name, kind]) => [name, [...kind.values()].sort(byName)]);
  }

  /** A test for events that concern an entity: on its host, or with one of its names. */
  concerns(entity) {
    const escaped = [...entity.words].map((word) => word.replace(/[^\w-]/g, "\\$&"));
    const names = new RegExp(`(?<![\\w-])(?:${escaped.join("|")})(?![\\w-])`, "u");
    return (event) => entity.hosts.has(event.host) || names.test(event.text);
  }

  /** What was known at a time: a line for each agent, framework and task. */
  at(time) {
    const known = (one) => ({ name: one.name, about: latest(one.known, time)?.state });
    const lines = (kind) => [...kind.values()].map(known).filter((one) => one.about);
    const tasks = [...this.tasks.values()].filter((task) => task.launched <= time);
    return {
      agents: lines(this.agents),
      frameworks: lines(this.frameworks),
      tasks: tasks.map((task) => this.taskAt(task, time)),
    };
  }

  taskAt(task, time) {
    const told = latest(task.told, time);
    const known = latest(task.known, time);
    const parts = [told ? told.state : "launched, nothing told yet"];
    if (known && known.state !== told?.state) parts.push(`its agent knows ${known.state}`);
    if (task.agent) parts.push(`on ${task.agent.name}`);
    const over = /TASK_(FINISHED|FAILED|KILLED|ERROR|LOST|DROPPED|GONE)/;
    return { name: task.name, about: parts.join(", "), over: over.test(told?.state) };
  }
}
