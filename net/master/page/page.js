// The master's page: asks `/state` every two seconds and shows what it says.

import {
  child, decimal, drawBar, drawId, drawState, drawTime, durationText, element, fillTable, fillTerms,
  resourceText, setAttribute, setText, timeText,
} from "./draw.js";
import { addressOf, fragment, setState } from "./viewer.js";

const POLL_MILLISECONDS = 2000;
const PATIENCE_MILLISECONDS = 5000;
const COMPLETED_TASKS_MAX = 100;

const STATES = ["STAGING", "STARTING", "RUNNING", "KILLING", "UNREACHABLE", "FINISHED", "FAILED",
  "KILLED", "LOST", "ERROR", "DROPPED", "GONE", "GONE_BY_OPERATOR", "UNKNOWN"]
  .map((state) => `TASK_${state}`);
const STANDARD_RESOURCES = ["cpus", "mem", "disk"];

// ---- The state ----

/** The tables of tasks, in their order on the page. */
const TASK_TABLES = {
  active: taskTable("active-tasks", "Active tasks"),
  unreachable: taskTable("unreachable-tasks", "Unreachable tasks"),
  completed: taskTable("completed-tasks", "Completed tasks"),
};

let state = null;

function taskTable(id, title) {
  const table = element("task-table").content.cloneNode(true).querySelector("table");
  table.id = id;
  setText(table.querySelector(".title"), title);
  return element("tasks").appendChild(table);
}

function show(newState) {
  state = newState;
  const name = state.cluster || "Orrery";
  setText(element("cluster"), name);
  setText(document.querySelector("title"), name === "Orrery" ? name : `${name} – Orrery`);
  const tasks = collectTasks();
  showMaster();
  showSummary(tasks);
  showAgents();
  showFrameworks();
  showTasks(tasks);
  element("main").hidden = false;
}

/** All tasks, the latest first: by their first status, completed ones by their last. */
function collectTasks() {
  const all = [...state.frameworks, ...state.completed_frameworks];
  const list = (key) => all.flatMap((framework) => framework[key] ?? []);
  const completed = list("completed_tasks");
  completed.sort((a, b) => taskTime(b) - taskTime(a));
  const active = list("tasks");
  // One without a status was launched just now.
  const begin = (task) => task.statuses?.[0]?.timestamp ?? Number.MAX_VALUE;
  active.sort((a, b) => begin(b) - begin(a));
  return { active, unreachable: list("unreachable_tasks"), completed };
}

/** When a task came into its state: 0 before its first status. */
function taskTime(task) {
  const statuses = task.statuses ?? [];
  const last = statuses.findLast((status) => status.state === task.state) ?? statuses.at(-1);
  return last?.timestamp ?? 0;
}

function showMaster() {
  const leader = state.leader_info
    ? `${state.leader_info.hostname}:${state.leader_info.port}` : state.leader?.split("@").pop();
  const now = Date.now() / 1000;
  fillTerms(element("master"), [
    ["Master", state.id],
    ["Leader", leader ? `${leader}${state.leader === state.pid ? " (this master)" : ""}` : "none"],
    ["Version", state.version],
    ["Up for", durationText(now - state.start_time)],
  ]);
}

function showSummary(tasks) {
  const agents = [["active", state.activated_slaves], ["inactive", state.deactivated_slaves],
    ["unreachable", state.unreachable_slaves]];
  const recovered = state.recovered_slaves?.length ?? 0;
  if (recovered > 0) agents.push(["to come back", recovered]);
  fillTerms(element("agent-counts"), agents);
  const active = state.frameworks.filter((framework) => framework.active).length;
  fillTerms(element("framework-counts"), [["active", active],
    ["inactive", state.frameworks.length - active],
    ["completed", state.completed_frameworks.length]]);
  const counts = new Map(["TASK_STAGING", "TASK_RUNNING", "TASK_FINISHED"].map((it) => [it, 0]));
  for (const task of Object.values(tasks).flat()) {
    counts.set(task.state, (counts.get(task.state) ?? 0) + 1);
  }
  const ordered = [...counts].sort(([a], [b]) => STATES.indexOf(a) - STATES.indexOf(b));
  fillTerms(element("task-counts"), ordered.map(([name, count]) => [name, decimal.format(count)]));
  const names = STANDARD_RESOURCES.concat(sum("resources", "gpus") > 0 ? ["gpus"] : []);
  fillTerms(element("resources"), names.map((name) => [name, (cell) => drawBar(cell, name, {
    used: sum("used_resources", name),
    offered: sum("offered_resources", name),
    total: sum("resources", name),
  })]));
}

function sum(kind, name) {
  return state.slaves.reduce((total, agent) => total + (agent[kind]?.[name] ?? 0), 0);
}

function showAgents() {
  const bar = (name) => (cell, agent) => drawBar(cell, name, {
    used: agent.used_resources[name] ?? 0,
    offered: agent.offered_resources[name] ?? 0,
    total: agent.resources[name] ?? 0,
  });
  fillTable(element("agents"), state.slaves, (agent) => agent.id, [
    (cell, agent) => drawId(cell, agent.id),
    (cell, agent) => setText(cell, `${agent.hostname}:${portOf(agent)}`),
    (cell, agent) => drawState(cell, agentState(agent)),
    (cell, agent) => drawTime(cell, agent.reregistered_time ?? agent.registered_time),
    ...STANDARD_RESOURCES.map(bar),
    (cell, agent) => setText(cell, otherResources(agent)),
    (cell, agent) => setText(cell, Object.entries(agent.attributes ?? {})
      .map(([name, value]) => `${name}: ${value}`).join(", ")),
  ]);
}

const portOf = (agent) => agent.port ?? addressOf(agent).split(":").pop();

function agentState(agent) {
  if (agent.drain_info?.state) return agent.drain_info.state.toLowerCase();
  if (agent.deactivated) return "deactivated";
  return agent.active ? "active" : "inactive";
}

/** Everything but CPUs, memory and disk. */
function otherResources(agent) {
  const others = Object.entries(agent.resources)
    .filter(([name, value]) => value && !STANDARD_RESOURCES.includes(name));
  return resourceText(Object.fromEntries(others));
}

function showFrameworks() {
  const roles = (framework) => (framework.roles ?? [framework.role]).join(", ");
  const identity = [
    (cell, framework) => drawId(cell, framework.id),
    (cell, framework) => setText(cell, framework.name),
    (cell, framework) => setText(cell, framework.user),
    (cell, framework) => setText(cell, roles(framework)),
  ];
  fillTable(element("frameworks"), state.frameworks, (framework) => framework.id, [
    ...identity,
    (cell, framework) => drawState(cell, frameworkState(framework)),
    (cell, framework) =>
      drawTime(cell, framework.reregistered_time ?? framework.registered_time),
    (cell, framework) => setText(cell, taskCounts(framework)),
    (cell, framework) => setText(cell, framework.offers.length),
    (cell, framework) => setText(cell, resourceText(framework.used_resources)),
  ]);
  const completed = state.completed_frameworks.toSorted(
    (a, b) => b.unregistered_time - a.unregistered_time);
  fillTable(element("completed-frameworks"), completed, (framework) => framework.id, [
    ...identity,
    (cell, framework) => drawTime(cell, framework.registered_time),
    (cell, framework) => drawTime(cell, framework.unregistered_time),
    (cell, framework) => setText(cell, framework.completed_tasks.length),
  ]);
  setText(element("completed-frameworks-count"), completed.length);
}

function frameworkState(framework) {
  if (!framework.connected) return framework.recovered ? "recovered" : "disconnected";
  return framework.active ? "active" : "inactive";
}

function taskCounts(framework) {
  const unreachable = framework.unreachable_tasks.length;
  return `${framework.tasks.length} active, ${unreachable ? `${unreachable} unreachable, ` : ""}`
    + `${framework.completed_tasks.length} completed`;
}

function showTasks({ active, unreachable, completed }) {
  const agents = new Map(state.slaves.map((agent) => [agent.id, agent]));
  const frameworks = new Map([...state.completed_frameworks, ...state.frameworks]
    .map((framework) => [framework.id, framework]));
  const named = (cell, id, name) => {
    drawId(cell, id);
    setText(child(cell, 1, "span", "name"), name);
  };
  const columns = [
    (cell, task) => drawId(cell, task.id),
    (cell, task) => setText(cell, task.name),
    (cell, task) => named(cell, task.framework_id, frameworks.get(task.framework_id)?.name),
    (cell, task) => named(cell, task.slave_id, agents.get(task.slave_id)?.hostname),
    (cell, task) => drawState(cell, task.state),
    (cell, task) => drawTime(cell, taskTime(task)),
    (cell, task) => setText(cell, resourceText(task.resources)),
    (cell, task) => drawLinks(cell, task, agents.get(task.slave_id)),
  ];
  const key = (task) => `${task.framework_id} ${task.id}`;
  fillTable(TASK_TABLES.active, active, key, columns);
  fillTable(TASK_TABLES.unreachable, unreachable, key, columns);
  fillTable(TASK_TABLES.completed, completed, key, columns, COMPLETED_TASKS_MAX);
  TASK_TABLES.unreachable.hidden = unreachable.length === 0;
}

function drawLinks(cell, task, agent) {
  ["stdout", "stderr"].forEach((file, index) => {
    const link = child(cell, index, "a", "file");
    setText(link, file);
    setAttribute(link, "href", fragment(file, task));
    setAttribute(link, "aria-label", `${file} of ${task.id}`);
    link.hidden = !agent;
  });
  const note = child(cell, 2, "span", "note");
  setText(note, "the agent is not registered");
  note.hidden = Boolean(agent);
}

// ---- Asking the master ----

let lastAnswer = null;
let timer = null;
let asking = false;

function showConnection(kind, text) {
  document.body.dataset.connection = kind;
  setText(element("connection"), text);
  element("leader-link").hidden = kind !== "follower";
  setText(element("answered"), lastAnswer ? timeText(lastAnswer) : "");
}

function showLost(reason) {
  const last = lastAnswer ? `Its last answer came at ${timeText(lastAnswer)}.` : "";
  showConnection("lost", `${reason} ${last} Asking again every ${POLL_MILLISECONDS / 1000} s.`);
}

/** Asks once; the new state, or null after having shown why there is none. */
async function askMaster() {
  try {
    const signal = AbortSignal.timeout(PATIENCE_MILLISECONDS);
    const answer = await fetch("state", { cache: "no-store", redirect: "manual", signal });
    if (answer.type === "opaqueredirect") {
      showConnection("follower", "This master does not lead.");
      return null;
    }
    if (answer.ok) return await answer.json();
    showLost(`The master answers with status ${answer.status}.`);
  } catch {
    showLost("The master does not answer.");
  }
  return null;
}

async function poll() {
  if (asking) return;
  asking = true;
  clearTimeout(timer);
  try {
    const answer = await askMaster();
    if (answer) {
      lastAnswer = new Date();
      showConnection("good", "Connected");
      show(answer);
      setState(answer);
    }
  } finally {
    asking = false;
    if (!document.hidden) timer = setTimeout(poll, POLL_MILLISECONDS);
  }
}

document.addEventListener("visibilitychange", () => {
  if (document.hidden) clearTimeout(timer);
  else poll();
});
poll();
