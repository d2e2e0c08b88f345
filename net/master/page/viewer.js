// The files of a task: finds its sandbox, and shows the end of its stdout or stderr as it grows.
//
// The part of the page's address after `#` says which file is shown, so that links to a file are
// links like any other. Only a task's agent knows where the sandbox is.

import { decimal, element, make, setAttribute, setText } from "./draw.js";

const FOLLOW_MILLISECONDS = 1000;
const PATIENCE_MILLISECONDS = 5000;

// An agent hands out no more than this at once.
const PIECE_BYTES = 65536;
// How much of a file's end is read when the viewer opens or falls behind, and how much text it
// keeps. The rest is in the download.
const BACKLOG_BYTES = 4 * PIECE_BYTES;
const SHOWN_CHARACTERS = 1 << 20;

/** What the master said last: where tasks and agents are looked up. */
let state = null;
/** The file that the viewer shows. */
let open = null;

/** `slave(1)@host:port` is how an agent names itself. */
export const addressOf = (agent) => agent.pid.split("@").pop();

/** The outermost container of a task; its sandbox is named after it. */
function containerOf(task) {
  const withContainer = (task.statuses ?? [])
    .findLast((status) => status.container_status?.container_id);
  let container = withContainer?.container_status.container_id;
  while (container?.parent) container = container.parent;
  return container?.value ?? "";
}

/** The part of the page's address that opens a file of a task. */
export function fragment(file, task) {
  const parts = [file, task.framework_id, task.id, containerOf(task)];
  return `#${parts.map(encodeURIComponent).join("/")}`;
}

/** The file that the page's address names, if it does. */
function wantedLog() {
  let parts;
  try {
    parts = location.hash.slice(1).split("/").map(decodeURIComponent);
  } catch {
    return null;
  }
  const [file, frameworkId, taskId, container] = parts;
  if (!["stdout", "stderr"].includes(file) || !taskId) return null;
  return { file, frameworkId, taskId, container, hash: location.hash, end: 0, partial: false };
}

// An agent is of another origin and answers with a script (JSONP). It runs in a frame without
// the page's origin, so that a lying agent can fill its own frame only.
const FRAME = `<!doctype html><script>
  addEventListener("message", ({ data }) => {
    window.answer = (value) => parent.postMessage({ value }, "*");
    const script = document.createElement("script");
    script.onerror = () => parent.postMessage({}, "*");
    script.src = data;
    document.head.append(script);
  });
</script>`;

function agentUrl(address, path, parameters) {
  const query = Object.entries(parameters)
    .map(([name, value]) => `${name}=${encodeURIComponent(value)}`).join("&");
  return `${location.protocol}//${address}/${path}?${query}`;
}

/** What an agent's endpoint answers. */
function ask(address, path, parameters) {
  const frame = make("iframe");
  frame.setAttribute("sandbox", "allow-scripts");
  frame.hidden = true;
  frame.srcdoc = FRAME;
  const url = agentUrl(address, path, { ...parameters, jsonp: "answer" });
  let receive;
  let timer;
  const answer = new Promise((resolve, reject) => {
    const fail = () => reject(new Error(`The agent at ${address} does not answer to /${path}.`));
    receive = ({ source, data }) => {
      if (source !== frame.contentWindow) return;
      if (data?.value) resolve(data.value);
      else fail();
    };
    timer = setTimeout(fail, PATIENCE_MILLISECONDS);
    frame.onload = () => frame.contentWindow.postMessage(url, "*");
    addEventListener("message", receive);
    document.body.append(frame);
  });
  return answer.finally(() => {
    clearTimeout(timer);
    removeEventListener("message", receive);
    frame.remove();
  });
}

/** Where the agent keeps the file: only the agent knows. */
async function locate(log) {
  const all = [...state.frameworks, ...state.completed_frameworks];
  const task = all.filter((framework) => framework.id === log.frameworkId)
    .flatMap((one) => [...one.tasks, ...one.unreachable_tasks, ...one.completed_tasks.toReversed()])
    .find((one) => one.id === log.taskId && (!log.container || containerOf(one) === log.container));
  if (!task) throw new Error("The master does not know this task.");
  const agent = state.slaves.find((one) => one.id === task.slave_id);
  if (!agent) throw new Error("The task's agent is not registered.");
  const address = addressOf(agent);
  const known = await ask(address, "state", {});
  const executors = [...known.frameworks, ...known.completed_frameworks]
    .filter((framework) => framework.id === task.framework_id)
    .flatMap((one) => [...one.executors, ...one.completed_executors.toReversed()]);
  const container = containerOf(task);
  // A task without an executor of its own has one of the same id.
  const executor = executors.find((one) => one.container === container)
    ?? executors.find((one) => one.id === (task.executor_id || task.id));
  if (!executor) throw new Error("The agent has no sandbox for this task.");
  // The default executor gives each task of its group a folder.
  const folder = executor.type === "DEFAULT" ? `/tasks/${task.id}` : "";
  log.path = `${executor.directory}${folder}/${log.file}`;
  log.address = address;
}

/** Takes a new state, and opens the file that the page's address names. */
export function setState(newState) {
  state = newState;
  followAddress();
}

/** Opens or closes the viewer as the page's address says. */
function followAddress() {
  if (!state) return;
  const wanted = wantedLog();
  if (wanted?.hash === open?.hash) return;
  open = wanted;
  if (!wanted) {
    element("viewer").close();
    return;
  }
  setText(element("viewer-title"), `${wanted.file} of ${wanted.taskId}`);
  setText(element("viewer-size"), "");
  setText(element("viewer-notice"), "Asking the agent");
  element("viewer-output").replaceChildren();
  element("viewer-download").hidden = true;
  if (!element("viewer").open) element("viewer").showModal();
  follow(wanted);
}

/** Reads on at the end of the file for as long as the viewer shows it. */
async function follow(log) {
  try {
    if (!document.hidden) {
      if (!log.path) await locate(log);
      if (open === log) showDownload(log);
      await readOn(log);
    }
  } catch (error) {
    if (open === log) setText(element("viewer-notice"), error.message);
  }
  if (open === log) setTimeout(follow, FOLLOW_MILLISECONDS, log);
}

function showDownload(log) {
  const link = element("viewer-download");
  setAttribute(link, "href", agentUrl(log.address, "files/download", { path: log.path }));
  link.hidden = false;
}

async function readOn(log) {
  const { offset: size } = await ask(log.address, "files/read", { path: log.path, offset: -1 });
  if (size < log.end || size - log.end > BACKLOG_BYTES) {
    // The file was cut, or has grown faster than it can be shown: begin anew near its end.
    log.end = Math.max(0, size - BACKLOG_BYTES);
    log.partial = log.end > 0;
    log.skipLine = log.partial;
    if (open === log) element("viewer-output").replaceChildren();
  }
  while (log.end < size && open === log) {
    const length = Math.min(size - log.end, PIECE_BYTES);
    const parameters = { path: log.path, offset: log.end, length };
    const { data } = await ask(log.address, "files/read", parameters);
    const [text, bytes] = wholeCharacters(data, length);
    if (open !== log || bytes === 0) break;
    log.end += bytes;
    append(log, text);
  }
  if (open !== log) return;
  setText(element("viewer-size"), `${decimal.format(size)} bytes`);
  const part = log.partial ? "Only the end is shown; the download has the whole file." : "";
  setText(element("viewer-notice"), size === 0 ? "The file is empty so far." : part);
}

/**
 * The text of a piece and its length in bytes, without a last character that the piece cuts in
 * two (it comes with the next piece). An agent puts U+FFFD in place of half a character.
 */
function wholeCharacters(data, length) {
  const whole = data.slice(0, -1);
  if (!data.endsWith("\uFFFD") || whole.includes("\uFFFD")) return [data, length];
  return [whole, new TextEncoder().encode(whole).length];
}

function append(log, text) {
  const output = element("viewer-output");
  const atEnd = output.scrollHeight - output.scrollTop - output.clientHeight < 8;
  if (log.skipLine) {
    // The first line shown is a whole one, if there is one.
    text = text.slice(text.indexOf("\n") + 1);
    log.skipLine = false;
  }
  if (!output.firstChild) output.append("");
  output.firstChild.appendData(text);
  const surplus = output.firstChild.length - SHOWN_CHARACTERS;
  if (surplus > 0) {
    output.firstChild.deleteData(0, surplus);
    log.partial = true;
  }
  if (atEnd) output.scrollTop = output.scrollHeight;
}

addEventListener("hashchange", followAddress);
element("viewer").addEventListener("close", () => {
  if (!open) return;
  open = null;
  history.pushState(null, "", location.pathname + location.search);
});
