// The page around the lanes: filter, details, list, mouse and keys.

const LIST_ROW = 18;
const LEAST_WINDOW = 20;

const element = (id) => document.getElementById(id);

/** An element with text and children; text never becomes markup. */
function make(tag, text = "", ...children) {
  const made = document.createElement(tag);
  made.textContent = text;
  made.append(...children);
  return made;
}

/** What is shown: the window of time, the filter's matches, the selected event. */
class View {
  constructor(model) {
    this.model = model;
    this.start();
    this.scroll = 0;
    this.selected = null;
    this.moment = null;
    this.matches = null;
    this.listed = [];
  }

  /** What is shown at first: the whole run, or the part with the faults in it when what comes after
      them is much longer. */
  start() {
    this.whole();
    const isOver = ({ kind, host }) => kind === "mend" && host.name === "network";
    const over = this.model.events.find(isOver);
    if (over && over.time * 1.3 < this.model.end / 2) this.to = over.time * 1.3;
  }

  whole() {
    this.from = -0.01 * (this.model.end || 1);
    this.to = 1.01 * (this.model.end || 1);
  }

  isBright(event) {
    return this.matches === null || this.matches[event.index] === 1;
  }

  /** Marks the events that hold every word of `text` and concern `entity`, if one is given. */
  filter(text, entity = null) {
    const words = text.toLowerCase().split(/\s+/).filter(Boolean);
    const { events, entities } = this.model;
    const isAny = !words.length && !entity;
    const concerns = entity ? entities.concerns(entity) : () => true;
    this.matches = isAny ? null : new Uint8Array(events.length);
    for (const event of isAny ? [] : events) {
      event.words ??= `${placeOf(event)} ${event.kind} ${event.text}`.toLowerCase();
      const holds = words.every((word) => event.words.includes(word));
      if (holds && concerns(event)) this.matches[event.index] = 1;
    }
    this.list();
  }

  list() {
    const isListed = (event) => GROUPS[event.group].shown && this.isBright(event);
    this.listed = this.model.events.filter(isListed);
  }

  zoom(factor, around) {
    const { from, to } = this;
    const span = Math.max((to - from) * factor, LEAST_WINDOW);
    const widest = 1.2 * Math.max(this.model.end, LEAST_WINDOW);
    this.from = around - ((around - from) / (to - from)) * Math.min(span, widest);
    this.to = this.from + Math.min(span, widest);
    this.keepInside();
  }

  move(by) {
    this.from += by;
    this.to += by;
    this.keepInside();
  }

  center(time) {
    if (time < this.from || time > this.to) this.move(time - (this.from + this.to) / 2);
  }

  keepInside() {
    const half = (this.to - this.from) / 2;
    const middle = Math.min(Math.max((this.from + this.to) / 2, 0), this.model.end);
    [this.from, this.to] = [middle - half, middle + half];
  }
}

function placeOf(event) {
  return event.process ? `${event.host.name}/${event.process}` : event.host.name;
}

/** Breaks long JSON and debugging forms into indented lines. */
function pretty(text) {
  if (text.length < 100) return text;
  let [out, depth, quoted] = ["", 0, false];
  for (let index = 0; index < text.length; index += 1) {
    const letter = text[index];
    if (quoted && letter === "\\") {
      out += letter + (text[index += 1] ?? "");
      continue;
    }
    if (letter === '"') quoted = !quoted;
    const isEmpty = "{[".includes(letter) && /^\s*[}\]]/.test(text.slice(index + 1, index + 4));
    if (quoted || isEmpty) out += letter;
    else if ("{[".includes(letter)) out += letter + "\n" + "  ".repeat(depth += 1);
    else if ("}]".includes(letter) && !/[{[]\s*$/.test(out)) {
      out = out.trimEnd() + "\n" + "  ".repeat(depth = Math.max(depth - 1, 0)) + letter;
    } else if (letter === "," && depth) out += ",\n" + "  ".repeat(depth);
    else if (letter !== " " || !/\n *$/.test(out)) out += letter;
  }
  return out;
}

class Page {
  constructor(trace) {
    this.model = new Model(trace);
    this.view = new View(this.model);
    this.lanes = new Lanes(this.model, this.view);
    this.redrawing = false;
    this.listening = null;
    element("title").textContent = trace.title;
    document.title = trace.title;
    const hasMessages = this.model.arrows.some((arrow) => arrow.group === "messages");
    if (!hasMessages) GROUPS.bytes.shown = GROUPS.connections.shown = true;
    this.makeGroups();
    this.makeEntities();
    this.tellViolation();
    this.bind();
    this.refilter();
  }

  redraw() {
    if (this.redrawing) return;
    this.redrawing = true;
    requestAnimationFrame(() => {
      this.redrawing = false;
      this.keepScroll();
      this.lanes.draw();
      this.drawList();
    });
  }

  keepScroll() {
    const most = this.model.rows.length * ROW - (element("lanes").clientHeight - AXIS) + ROW;
    this.view.scroll = Math.max(0, Math.min(this.view.scroll, most));
  }

  makeGroups() {
    const counts = {};
    for (const event of this.model.events) counts[event.group] = (counts[event.group] || 0) + 1;
    for (const [name, group] of Object.entries(GROUPS)) {
      if (!counts[name]) continue;
      const box = make("input");
      Object.assign(box, { type: "checkbox", checked: group.shown, name });
      const swatch = make("i");
      swatch.style.background = `var(--${group.color})`;
      const label = make("label", "", box, swatch, name);
      label.title = `${counts[name]} events`;
      box.addEventListener("change", () => {
        group.shown = box.checked;
        this.refilter();
      });
      element("groups").append(label);
    }
  }

  /** A choice of everything that the trace knows by name. */
  makeEntities() {
    this.entities = [];
    for (const [name, list] of this.model.entities.groups()) {
      const options = list.map((entity) => {
        const option = make("option", entity.name);
        option.value = this.entities.push(entity) - 1;
        return option;
      });
      const group = make("optgroup", "", ...options);
      group.label = name;
      if (list.length) element("entity").append(group);
    }
  }

  /** A run that failed says so, ahead of all that happened in it. */
  tellViolation() {
    const { violation } = this.model;
    if (!violation) return;
    const button = element("violation");
    button.hidden = false;
    button.textContent = `✗ ${seconds(violation.time, 3)} s  ${violation.text}`;
    button.addEventListener("click", () => this.select(violation, true));
  }

  refilter() {
    this.view.filter(element("filter").value, this.entities[element("entity").value]);
    const all = this.model.events.length.toLocaleString("en");
    const shown = this.view.listed.length.toLocaleString("en");
    element("count").textContent = `${shown} of ${all} events`;
    element("spacer").style.height = `${this.view.listed.length * LIST_ROW}px`;
    this.scrollList();
    this.redraw();
  }

  bind() {
    element("filter").addEventListener("input", () => {
      clearTimeout(this.listening);
      this.listening = setTimeout(() => this.refilter(), 120);
    });
    element("entity").addEventListener("change", () => this.refilter());
    const act = {
      closer: () => this.zoom(0.5), farther: () => this.zoom(2), whole: () => this.view.whole(),
      next: () => this.step(1), previous: () => this.step(-1),
    };
    for (const [id, action] of Object.entries(act)) {
      element(id).addEventListener("click", () => { action(); this.redraw(); });
    }
    document.addEventListener("keydown", (key) => this.key(key, act));
    element("list").addEventListener("scroll", () => this.redraw());
    new ResizeObserver(() => this.redraw()).observe(element("lanes"));
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.redraw());
    this.bindLanes();
    this.bindOverview();
  }

  key(key, act) {
    if (["INPUT", "SELECT"].includes(key.target.tagName) || key.ctrlKey || key.metaKey || key.altKey) return;
    const width = this.view.to - this.view.from;
    const action = {
      n: act.next, N: act.previous, "+": act.closer, "=": act.closer, "-": act.farther,
      0: act.whole, ArrowLeft: () => this.view.move(-width / 5),
      ArrowRight: () => this.view.move(width / 5), "/": () => element("filter").focus(),
    }[key.key];
    if (!action) return;
    key.preventDefault();
    action();
    this.redraw();
  }

  bindLanes() {
    const canvas = element("lanes");
    let held = null;
    canvas.addEventListener("wheel", (wheel) => {
      wheel.preventDefault();
      const { view, lanes } = this;
      const sideways = wheel.shiftKey ? wheel.deltaY : wheel.deltaX;
      if (wheel.offsetX < NAMES) view.scroll += wheel.deltaY;
      else if (sideways) view.move((sideways * (view.to - view.from)) / lanes.width);
      else view.zoom(1.0015 ** wheel.deltaY, lanes.time(wheel.offsetX));
      this.redraw();
    }, { passive: false });
    canvas.addEventListener("pointerdown", (mouse) => {
      held = { x: mouse.offsetX, y: mouse.offsetY, moved: 0 };
      canvas.setPointerCapture(mouse.pointerId);
    });
    canvas.addEventListener("pointermove", (mouse) => {
      if (!held) return this.tip(mouse);
      const [byX, byY] = [mouse.offsetX - held.x, mouse.offsetY - held.y];
      const moved = held.moved + Math.abs(byX) + Math.abs(byY);
      held = { x: mouse.offsetX, y: mouse.offsetY, moved };
      const { view, lanes } = this;
      view.move((-byX * (view.to - view.from)) / (lanes.width - NAMES));
      view.scroll -= byY;
      return this.redraw();
    });
    canvas.addEventListener("pointerup", (mouse) => {
      if (held && held.moved < 4) this.click(mouse.offsetX, mouse.offsetY);
      held = null;
    });
    canvas.addEventListener("pointerleave", () => { element("tip").hidden = true; });
  }

  click(x, y) {
    const event = this.lanes.at(x, y);
    if (event) this.select(event);
    else if (x > NAMES) this.showMoment(this.lanes.time(x));
  }

  bindOverview() {
    const canvas = element("overview");
    const jump = (mouse) => {
      if (!mouse.buttons) return;
      const time = (mouse.offsetX / canvas.clientWidth) * this.model.end;
      this.view.move(time - (this.view.from + this.view.to) / 2);
      this.redraw();
    };
    canvas.addEventListener("pointerdown", (mouse) => {
      canvas.setPointerCapture(mouse.pointerId);
      jump(mouse);
    });
    canvas.addEventListener("pointermove", jump);
  }

  tip(mouse) {
    const event = this.lanes.at(mouse.offsetX, mouse.offsetY);
    const tip = element("tip");
    tip.hidden = !event;
    if (!event) return;
    const text = event.text.length > 200 ? event.text.slice(0, 200) + "…" : event.text;
    tip.textContent = `${seconds(event.time)} ${placeOf(event)} ${event.kind} ${text}`;
    const left = Math.min(mouse.offsetX + 14, element("chart").clientWidth - tip.offsetWidth - 4);
    const below = mouse.offsetY + 16;
    const fits = below + tip.offsetHeight < element("chart").clientHeight;
    tip.style.left = `${left}px`;
    tip.style.top = `${fits ? below : mouse.offsetY - tip.offsetHeight - 8}px`;
  }

  zoom(factor) {
    const { view } = this;
    const { selected } = view;
    const isInside = selected && selected.time >= view.from && selected.time <= view.to;
    view.zoom(factor, isInside ? selected.time : (view.from + view.to) / 2);
  }

  /** Goes to the next or previous event of the list. */
  step(by) {
    const { listed, selected, from } = this.view;
    if (!listed.length) return;
    let index = selected
      ? listed.findIndex((event) => event.index >= selected.index)
      : firstAt(listed, Math.max(from, 0)) - (by > 0 ? 1 : 0);
    if (index < 0) index = listed.length;
    // A selected event that the filter hides lies between two of the list.
    else if (selected && listed[index] !== selected && by > 0) index -= 1;
    this.select(listed[(index + by + listed.length) % listed.length], true);
  }

  select(event, reveal = false) {
    if (!event) return;
    this.view.selected = event;
    if (reveal) this.reveal(event);
    this.showDetails(event);
    this.scrollList();
    this.redraw();
  }

  reveal(event) {
    this.view.center(event.time);
    const y = this.lanes.y(event.row);
    const height = element("lanes").clientHeight;
    if (y < AXIS || y > height - ROW) this.view.scroll += y - height / 2;
  }

  // Details.

  showDetails(event) {
    const box = element("details");
    const { life } = event;
    const place = life ? `${placeOf(event)} ${life.command}` : placeOf(event);
    box.replaceChildren(make("h2", `${event.kind} · ${place}`));
    box.append(make("div", `${seconds(event.time)} s`));
    box.append(make("pre", pretty(event.text)));
    if (event.arrow) box.append(this.describeArrow(event));
    box.append(...describeMoment(this.model, event.time));
    box.scrollTop = 0;
  }

  /** What was the case at a time at which nothing needs to have happened. */
  showMoment(time) {
    const moment = Math.max(0, Math.min(time, this.model.end));
    Object.assign(this.view, { selected: null, moment });
    const box = element("details");
    box.replaceChildren(...describeMoment(this.model, moment));
    box.scrollTop = 0;
    this.redraw();
  }

  describeArrow(event) {
    const { from, to, start, stop } = event.arrow;
    const other = event === from ? to : from;
    const took = ((stop - start) / 1000).toFixed(3);
    const button = make("button", event === from ? "go to its arrival" : "go to its origin");
    button.addEventListener("click", () => this.select(other, true));
    return make("p", `${placeOf(from)} → ${placeOf(to)}, ${took} ms later `, button);
  }

  // The list: only the rows that can be seen exist.

  scrollList() {
    const { listed, selected } = this.view;
    if (!selected) return;
    const index = listed.indexOf(selected);
    const list = element("list");
    const top = index * LIST_ROW;
    const isVisible = top >= list.scrollTop && top + LIST_ROW <= list.scrollTop + list.clientHeight;
    if (index >= 0 && !isVisible) list.scrollTop = top - list.clientHeight / 2;
  }

  drawList() {
    const list = element("list");
    const { listed, selected } = this.view;
    const first = Math.max(0, Math.floor(list.scrollTop / LIST_ROW) - 2);
    const last = Math.min(listed.length, first + Math.ceil(list.clientHeight / LIST_ROW) + 4);
    const rows = [];
    for (let index = first; index < last; index += 1) {
      const event = listed[index];
      const time = make("span", `${seconds(event.time)} `);
      const place = make("span", `${placeOf(event)} `);
      [time.className, place.className] = ["time", "place"];
      const kind = make("b", event.kind);
      const row = make("div", "", time, place, kind, ` ${event.text.slice(0, 160)}`);
      row.className = event === selected ? "row selected" : "row";
      row.style.top = `${index * LIST_ROW}px`;
      row.addEventListener("click", () => this.select(event, true));
      rows.push(row);
    }
    list.replaceChildren(element("spacer"), ...rows);
  }
}

const page = new Page(JSON.parse(element("trace").textContent));
