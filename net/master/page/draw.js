// Words, numbers, and elements that are updated in place.
//
// Ids, names and attributes come from strangers: they enter the page as text, never as markup.

export const element = (id) => document.getElementById(id);

// Rows of one table. What is beyond them is counted, not drawn, so that a large cluster's page
// stays usable.
const ROWS_MAX = 500;

export const decimal = new Intl.NumberFormat("en", { maximumFractionDigits: 3 });
const short = new Intl.NumberFormat("en", { maximumSignificantDigits: 3 });

/** Megabytes, as resources are counted, in the unit that reads best. */
function megabytes(value) {
  const units = ["MiB", "GiB", "TiB", "PiB"];
  let unit = 0;
  while (value >= 1024 && unit < units.length - 1) {
    value /= 1024;
    unit += 1;
  }
  return `${value < 1000 ? short.format(value) : decimal.format(Math.round(value))} ${units[unit]}`;
}

export function amount(name, value) {
  if (typeof value !== "number") return value ?? "none";
  return name === "mem" || name === "disk" ? megabytes(value) : decimal.format(value);
}

/** A task's or framework's resources in one line; what it has none of is left out. */
export function resourceText(resources) {
  return Object.entries(resources ?? {})
    .filter(([, value]) => value)
    .sort(([a], [b]) => a.localeCompare(b))
    .map(([name, value]) => `${name} ${amount(name, value)}`)
    .join(", ");
}

const twoDigits = (value) => String(value).padStart(2, "0");

/** Local time, with the day unless it is today. */
export function timeText(date) {
  const time = [date.getHours(), date.getMinutes(), date.getSeconds()].map(twoDigits).join(":");
  if (date.toDateString() === new Date().toDateString()) return time;
  const day = [date.getFullYear(), date.getMonth() + 1, date.getDate()].map(twoDigits).join("-");
  return `${day} ${time}`;
}

export function durationText(seconds) {
  const whole = Math.max(0, Math.floor(seconds));
  const parts = [[Math.floor(whole / 86400), "d"], [Math.floor(whole / 3600) % 24, "h"],
    [Math.floor(whole / 60) % 60, "min"], [whole % 60, "s"]];
  const first = parts.findIndex(([count]) => count > 0);
  if (first < 0) return "0 s";
  return parts.slice(first, first + 2).map(([count, unit]) => `${count} ${unit}`).join(" ");
}

/** Sets a text only when it is another, so that selections survive. */
export function setText(node, text) {
  const string = String(text ?? "");
  if (node.textContent !== string) node.textContent = string;
}

export function setAttribute(node, name, value) {
  if (node.getAttribute(name) !== value) node.setAttribute(name, value);
}

export function make(tag, className = "") {
  const node = document.createElement(tag);
  node.className = className;
  return node;
}

/** The child at a position; made when it is not there yet. */
export function child(parent, index, tag, className = "") {
  return parent.children[index] ?? parent.appendChild(make(tag, className));
}

/**
 * Gives `parent` one child for each item. A child stays the same node for as long as its item's
 * key is there, and keeps focus and selection.
 */
function reconcile(parent, items, keyOf, create, update) {
  const before = new Map([...parent.children].map((node) => [node.key, node]));
  const seen = new Map();
  const nodes = items.map((item) => {
    const key = keyOf(item);
    const count = seen.get(key) ?? 0;
    seen.set(key, count + 1);
    // The same id may stand in a list twice, as that of a task that was run again.
    const unique = `${count} ${key}`;
    const node = before.get(unique) ?? Object.assign(create(), { key: unique });
    before.delete(unique);
    update(node, item);
    return node;
  });
  for (const node of before.values()) node.remove();
  nodes.forEach((node, index) => {
    if (parent.children[index] !== node) parent.insertBefore(node, parent.children[index] ?? null);
  });
}

/** Fills a table: `columns` are functions that draw an item into the cell of that column. */
export function fillTable(table, items, keyOf, columns, shown = ROWS_MAX) {
  const labels = [...table.tHead.rows[0].cells].map((cell) => cell.textContent);
  const createRow = () => {
    const row = make("tr");
    row.setAttribute("role", "row");
    labels.forEach((label, index) => {
      const cell = row.appendChild(make(index === 0 ? "th" : "td"));
      if (index === 0) cell.scope = "row";
      cell.setAttribute("role", index === 0 ? "rowheader" : "cell");
      cell.dataset.label = label;
    });
    return row;
  };
  const updateRow = (row, item) => columns.forEach((draw, index) => draw(row.cells[index], item));
  reconcile(table.tBodies[0], items.slice(0, shown), keyOf, createRow, updateRow);
  const more = items.length > shown ? `, ${shown} are shown` : "";
  setText(table.caption.querySelector(".count"), `${decimal.format(items.length)}${more}`);
}

/** Fills a list of terms: entries are a term and its text, or a function that draws it. */
export function fillTerms(list, entries) {
  const create = () => {
    const group = make("div");
    group.append(make("dt"), make("dd"));
    return group;
  };
  reconcile(list, entries, ([term]) => term, create, (group, [term, value]) => {
    setText(group.children[0], term);
    if (typeof value === "function") value(group.children[1]);
    else setText(group.children[1], value);
  });
}

/** Ids begin with the master's long id; that part is shortened by the style sheet only. */
export function drawId(cell, id) {
  const [, head, tail] = /^([0-9a-f-]{36})(-.+)$/.exec(id) ?? [null, "", id];
  const code = child(cell, 0, "code", "id");
  setText(child(code, 0, "span", "head"), head);
  setText(child(code, 1, "span", "tail"), tail);
  setAttribute(code, "title", id);
}

export function drawTime(cell, seconds) {
  const time = child(cell, 0, "time");
  const date = new Date(seconds * 1000);
  const known = seconds > 0 && !Number.isNaN(date.getTime());
  setText(time, known ? timeText(date) : "");
  setAttribute(time, "datetime", known ? date.toISOString() : "");
  setAttribute(time, "title", known ? date.toString() : "");
}

export function drawState(cell, state) {
  const badge = child(cell, 0, "span");
  badge.className = `state ${state.replace(/\W/g, "-").toLowerCase()}`;
  setText(badge, state);
}

/** A bar of what is used and offered of a total, with the numbers beside it. */
export function drawBar(cell, name, { used, offered, total }) {
  const bar = child(cell, 0, "span", "bar");
  bar.setAttribute("aria-hidden", "true");
  [["used", used], ["offered", offered]].forEach(([kind, value], index) => {
    const part = child(bar, index, "span", kind);
    const percent = total > 0 ? Math.min(100, 100 * value / total) : 0;
    part.style.width = `${percent.toFixed(2)}%`;
  });
  const values = [used, offered, total].map((value) => amount(name, value));
  const numbers = child(cell, 1, "span", "numbers");
  setText(numbers, values.join(" / "));
  setAttribute(cell, "title", `${values[0]} used, ${values[1]} offered, ${values[2]} in total`);
}
