// What was the case at a time, as it is told beside the lanes.

// Tasks that have ended are many, and mostly of no interest.
const MOST_ENDED = 30;

function listOf(lines) {
  return lines.length ? make("ul", "", ...lines) : make("div", "none");
}

function named({ name, about }) {
  return make("li", "", make("b", name), ` ${about}`);
}

/** Elements that tell which faults last at `time`, what lives, is connected, and runs. */
function describeMoment(model, time) {
  const state = model.stateAt(time);
  const alive = new Map();
  for (const life of state.alive) {
    const processes = alive.get(life.host.name) || [];
    alive.set(life.host.name, [...processes, `${life.process} ${life.command}`]);
  }
  const processes = [...alive].map(([name, list]) => named({ name, about: list.join(", ") }));
  const connected = [...state.connected].map(([pair, count]) => make("li", `${pair} × ${count}`));
  const { agents, frameworks, tasks } = model.entities.at(time);
  const ended = tasks.filter((task) => task.over);
  const parts = [
    [`At ${seconds(time)} s: faults`, listOf(state.spans.map(describeSpan))],
    [`Tasks: ${tasks.length - ended.length} not ended, as their frameworks were told`,
      listOf(tasks.filter((task) => !task.over).map(named))],
    [`Tasks: ${ended.length} ended`, listOf(ended.slice(-MOST_ENDED).map(named))],
    ["Agents and frameworks", listOf([...agents, ...frameworks].map(named))],
    [`Alive: ${state.alive.length} processes`, listOf(processes)],
    [`Connected: ${state.connections} connections`, listOf(connected)],
  ];
  return parts.flatMap(([title, list]) => [make("h3", title), list]);
}

function describeSpan(span) {
  const who = span.life ? `${span.life.host.name}/${span.life.process}` : span.hosts[0]?.name;
  const about = ["pause", "down"].includes(span.kind) ? `${who} is ${span.label}` : span.label;
  return make("li", `${about}, since ${seconds(span.start, 3)} s`);
}
