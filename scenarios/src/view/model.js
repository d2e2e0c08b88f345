"use strict";
// What a trace says: rows, lives of processes, arrows, spans.

const GROUPS = {
  messages: { color: "message", kinds: ["send", "receive"], shown: true },
  processes: {
    color: "begin", kinds: ["start", "exit", "signal", "launch", "listen"], shown: true,
  },
  faults: {
    color: "fault", shown: true,
    kinds: ["violation", "crash", "boot", "pause", "resume", "cut", "heal", "slow", "normal", "reset-all",
      "reset", "fail", "disk", "clock", "fault", "tail", "bandwidth", "flips", "requests", "trap",
      "hold", "release", "silence", "flip", "name", "address", "crash-at", "oom", "launches",
      "behaviour", "mend"],
  },
  notes: { color: "note", kinds: [], shown: true },
  logs: { color: "log", kinds: ["log"], shown: true },
  debug: { color: "log", kinds: [], shown: false },
  connections: { color: "connection", kinds: ["connect", "accept", "close"], shown: false },
  bytes: { color: "bytes", kinds: ["data", "end"], shown: false },
  disks: { color: "disk", kinds: ["write", "sync"], shown: false },
};

// Channels that more than one pair of processes uses: there the latest message is meant.
const SHARED_CHANNELS = ["scheduler", "executor"];

// Faults that last until the same words come with a value that means none. Others that last have
// lines of their own.
const LASTING = ["tail", "bandwidth", "flips", "hold", "connecting", "slow-disk", "fail-disk",
  "timer-slack", "drift", "clock", "behave", "launches"];
const NONE = ["off", "none", "normal", "0", "0s"];

const GROUP_OF_KIND = new Map(
  Object.entries(GROUPS).flatMap(([name, group]) => group.kinds.map((kind) => [kind, name])));

/** The group of an event; kinds that nobody knows are the scenario's own. */
function groupOf(kind, text, host) {
  if (kind === "log" && text.startsWith("DEBUG")) return "debug";
  if (host === "fault") return "faults";
  return GROUP_OF_KIND.get(kind) || "notes";
}

/** Builds everything that is drawn from the trace's rows [time, host, process, kind, text]. */
class Model {
  constructor(trace) {
    this.hosts = trace.hosts.map((name) => ({ name, boots: 0, processes: new Map(), slots: [] }));
    this.byName = new Map(this.hosts.map((host) => [host.name, host]));
    this.lives = [];
    this.spans = [];
    this.arrows = [];
    this.connections = new Map();
    this.pendingSends = new Map();
    this.openSpans = new Map();
    this.violation = null;
    this.entities = new Entities();
    this.events = trace.events.map(([time, host, process, kind, text], index) => ({
      index, time, host: this.hosts[host], process, kind: trace.kinds[kind], text, life: null,
      group: groupOf(trace.kinds[kind], text, trace.hosts[host]), arrow: null,
    }));
    this.end = this.events.length ? this.events[this.events.length - 1].time : 0;
    for (const event of this.events) this.add(event);
    this.finish();
  }

  add(event) {
    event.life = event.process ? event.host.processes.get(event.process) || null : null;
    const take = {
      boot: this.boot, crash: this.crash, start: this.start, exit: this.exit,
      pause: this.pause, resume: this.resume, cut: this.cut, heal: this.heal, slow: this.slow,
      normal: this.normal, disk: this.disk, connect: this.connect, accept: this.accept,
      fail: this.disconnect, close: this.disconnect, reset: this.disconnect,
      data: this.data, end: this.data, send: this.send, receive: this.receive, mend: this.mend,
      violation: this.fail,
    }[event.kind];
    // A fault that was injected is told in its own words, and again by what it changed.
    if (event.host.name === "fault") this.injected(event);
    else if (take) take.call(this, event);
    this.entities.add(event);
  }

  // Hosts and processes.

  boot(event) {
    event.host.boots += 1;
    this.close("down " + event.host.name, event);
  }

  crash(event) {
    for (const life of event.host.processes.values()) this.endLife(life, event);
    event.host.processes.clear();
    this.open("down " + event.host.name, event, "down", [event.host], "down");
  }

  start(event) {
    const life = {
      host: event.host, process: event.process, command: event.text, start: event.time,
      stop: null, slot: 0, row: 0, pauses: [],
    };
    life.slot = event.host.slots.findIndex((other) => other.stop !== null);
    if (life.slot < 0) life.slot = event.host.slots.length;
    event.host.slots[life.slot] = life;
    event.host.processes.set(event.process, life);
    event.life = life;
    this.lives.push(life);
  }

  exit(event) {
    if (event.life) this.endLife(event.life, event);
    event.host.processes.delete(event.process);
  }

  endLife(life, event) {
    life.stop = event.time;
    this.close("pause " + life.host.name + life.process, event);
  }

  pause(event) {
    const key = "pause " + event.host.name + event.process;
    const span = this.open(key, event, "pause", [event.host], "paused");
    span.life = event.life;
    if (event.life) event.life.pauses.push(span);
  }

  resume(event) {
    this.close("pause " + event.host.name + event.process, event);
  }

  // Faults that last.

  open(key, event, kind, hosts, label) {
    this.close(key, event);
    const span = { kind, hosts, label, start: event.time, stop: null, life: null, event };
    this.openSpans.set(key, span);
    this.spans.push(span);
    return span;
  }

  close(key, event) {
    const span = this.openSpans.get(key);
    if (span) span.stop = event.time;
    this.openSpans.delete(key);
  }

  injected(event) {
    const words = event.text.split(" ");
    if (!LASTING.includes(event.kind) || words[0] !== event.kind) return;
    const hosts = words.map((word) => this.byName.get(word)).filter(Boolean);
    const key = ["injected", event.kind, ...hosts.map((host) => host.name)].join(" ");
    if (words.some((word) => NONE.includes(word))) this.close(key, event);
    else this.open(key, event, "slow", hosts, event.text);
  }

  /** All faults of a host are over, or of the network. */
  mend(event) {
    const isNetwork = event.host.name === "network";
    for (const [key, span] of [...this.openSpans]) {
      const isOwn = span.hosts.every((host) => host === event.host);
      const isMended = isNetwork ? span.hosts.length > 1 : isOwn;
      if (/^(injected|disk) /.test(key) && isMended) this.close(key, event);
    }
  }

  ways(text) {
    const [from, , to] = text.split(" ");
    return [from, to].map((name) => this.byName.get(name)).filter(Boolean);
  }

  cut(event) {
    this.open("cut " + event.text, event, "cut", this.ways(event.text), "cut " + event.text);
  }

  heal(event) {
    this.close("cut " + event.text, event);
  }

  slow(event) {
    const way = event.text.split(" ").slice(0, 3).join(" ");
    this.open("slow " + way, event, "slow", this.ways(way), "slow " + event.text);
  }

  normal(event) {
    this.close("slow " + event.text.split(" ").slice(0, 3).join(" "), event);
  }

  disk(event) {
    const [name, value] = event.text.split(" ");
    const key = "disk " + name + event.host.name;
    if (name === "stall") {
      const span = this.open(key, event, "slow", [event.host], "disk stalls");
      span.stop = Number(value) / 1000;
      this.openSpans.delete(key);
    } else if (name === "full" || name === "read-only") {
      if (value === "1") this.open(key, event, "slow", [event.host], "disk is " + name);
      else this.close(key, event);
    }
  }

  /** The rule that was broken, with which the trace of a run that failed ends. */
  fail(event) {
    this.violation = event;
  }

  // Connections and what travels on them.

  connection(event) {
    const number = event.text.split(" ", 1)[0];
    let found = this.connections.get(number);
    if (!found) {
      found = { number, ends: [], start: event.time, stop: null };
      this.connections.set(number, found);
    }
    return found;
  }

  connect(event) {
    this.connection(event).ends[0] = event;
  }

  accept(event) {
    const found = this.connection(event);
    found.ends[1] = event;
    if (found.ends[0]) this.arrow("connections", found.ends[0], event);
  }

  disconnect(event) {
    const found = this.connection(event);
    if (found.stop === null) found.stop = event.time;
  }

  data(event) {
    if (!event.text.startsWith("#")) return;
    const found = this.connection(event);
    const at = /sent=(\d+)\.(\d{6})/.exec(event.text);
    const isOwn = (end) => end && end.host === event.host && end.process === event.process;
    const peer = isOwn(found.ends[0]) ? found.ends[1] : found.ends[0];
    if (!at || !peer) return;
    this.arrow("bytes", peer, event, Number(at[1]) * 1e6 + Number(at[2]));
  }

  send(event) {
    const sends = this.pendingSends.get(event.text) || [];
    sends.push(event);
    this.pendingSends.set(event.text, sends);
  }

  receive(event) {
    const sends = this.pendingSends.get(event.text);
    if (!sends || !sends.length) return;
    const shared = SHARED_CHANNELS.includes(event.text.split(" ", 2)[1]);
    this.arrow("messages", shared ? sends.pop() : sends.shift(), event);
  }

  arrow(group, from, to, start = from.time) {
    const arrow = { group, from, to, start, stop: to.time };
    to.arrow = arrow;
    if (group !== "bytes") from.arrow = arrow;
    this.arrows.push(arrow);
  }

  // Rows, once all is known.

  finish() {
    // The names that nobody booted are no machines: the scenario, the network as a whole.
    const voices = this.hosts.filter((host) => !host.boots && host.name !== "world");
    voices.sort((one, other) => one.name.localeCompare(other.name, "en"));
    // Machines with few processes come first, so that arrows between them cross little.
    const machines = this.hosts.filter((host) => host.boots);
    machines.sort((one, other) => one.slots.length - other.slots.length);
    this.rows = [];
    for (const host of [...voices, ...machines]) {
      host.row = this.rows.length;
      this.rows.push({ host, slot: -1, label: host.name });
      host.slots.forEach((_, slot) => this.rows.push({ host, slot, label: "" }));
      host.lastRow = this.rows.length - 1;
    }
    for (const life of this.lives) life.row = life.host.row + 1 + life.slot;
    for (const event of this.events) {
      event.row = event.life ? event.life.row : event.host.row ?? 0;
    }
    this.shades = this.hosts.flatMap((host) => this.shadesOf(host));
  }

  /** What is shaded on a host: of faults of one kind that overlap, all as one, or many of them would
      hide what they lie over. */
  shadesOf(host) {
    const shades = new Map();
    const spans = this.spans.filter((span) => !span.life && span.hosts.includes(host));
    spans.sort((one, other) => one.start - other.start);
    for (const { kind, label, start, stop } of spans) {
      const last = shades.get(kind)?.at(-1);
      const end = stop ?? this.end;
      if (last && start <= last.stop) {
        last.stop = Math.max(last.stop, end);
        last.labels.add(label);
      } else {
        shades.set(kind, [...shades.get(kind) || [], { host, kind, start, stop: end,
          labels: new Set([label]) }]);
      }
    }
    return [...shades.values()].flat();
  }

  /** What was the case at a time. */
  stateAt(time) {
    const holds = (one) => one.start <= time && (one.stop === null || one.stop > time);
    const connections = [...this.connections.values()].filter((one) => one.ends[1] && holds(one));
    const connected = new Map();
    for (const { ends } of connections) {
      const pair = ends.map((end) => end?.host.name ?? "?").join(" → ");
      connected.set(pair, (connected.get(pair) || 0) + 1);
    }
    return {
      alive: this.lives.filter(holds),
      spans: this.spans.filter(holds),
      connections: connections.length,
      connected,
    };
  }
}
