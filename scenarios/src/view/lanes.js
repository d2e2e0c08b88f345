// Drawing the lanes and the overview. Only what lies in the window is drawn, and of events that
// share a pixel only one.

const ROW = 19;
const NAMES = 178;
const AXIS = 24;
const FAINT = 0.1;

/** The colours of the style sheet. */
function colors() {
  const style = getComputedStyle(document.documentElement);
  return new Proxy({}, { get: (_, name) => style.getPropertyValue("--" + name).trim() });
}

function fit(canvas) {
  const ratio = window.devicePixelRatio || 1;
  const [width, height] = [canvas.clientWidth, canvas.clientHeight];
  if (canvas.width !== Math.round(width * ratio) || canvas.height !== Math.round(height * ratio)) {
    canvas.width = Math.round(width * ratio);
    canvas.height = Math.round(height * ratio);
  }
  const pen = canvas.getContext("2d");
  pen.setTransform(ratio, 0, 0, ratio, 0, 0);
  pen.clearRect(0, 0, width, height);
  return { pen, width, height };
}

function seconds(micros, digits = 6) {
  return (micros / 1e6).toFixed(digits);
}

class Lanes {
  constructor(model, view) {
    this.model = model;
    this.view = view;
    this.canvas = document.getElementById("lanes");
    this.overview = document.getElementById("overview");
    this.drawn = { events: 0, arrows: 0 };
    this.overviewSpans = this.mergedSpans();
  }

  x(time) {
    const { from, to } = this.view;
    return NAMES + ((time - from) / (to - from)) * (this.width - NAMES);
  }

  time(x) {
    const { from, to } = this.view;
    return from + ((x - NAMES) / (this.width - NAMES)) * (to - from);
  }

  y(row) {
    return AXIS + row * ROW - this.view.scroll;
  }

  draw() {
    const { pen, width, height } = fit(this.canvas);
    Object.assign(this, { pen, width, height, color: this.readColors() });
    this.drawn = { events: 0, arrows: 0 };
    this.names = [];
    pen.font = "11px system-ui, sans-serif";
    pen.textBaseline = "middle";
    pen.save();
    pen.beginPath();
    pen.rect(NAMES, AXIS, width - NAMES, height - AXIS);
    pen.clip();
    this.drawRows();
    this.drawLives();
    this.drawSpans();
    this.drawArrows();
    this.drawEvents();
    this.drawViolation();
    this.drawSelected();
    pen.restore();
    this.drawNames();
    this.drawAxis();
    this.drawOverview();
  }

  /** The style sheet's colours, read once a frame: looking each up for each event is slow. */
  readColors() {
    const names = ["back", "panel", "line", "text", "faint", "host", "process", "process-edge",
      "message", "bytes", "connection", "begin", "finish", "fault", "log", "warn", "disk", "note",
      "select", "down", "cut", "slow", "pause"];
    const all = colors();
    return Object.fromEntries(names.map((name) => [name, all[name]]));
  }

  isRowVisible(row) {
    const y = this.y(row);
    return y + ROW > AXIS && y < this.height;
  }

  drawRows() {
    const { pen, color } = this;
    this.model.rows.forEach((row, index) => {
      if (row.slot >= 0 || !this.isRowVisible(index)) return;
      pen.fillStyle = color.host;
      pen.fillRect(NAMES, this.y(index), this.width, ROW);
      pen.fillStyle = color.line;
      pen.fillRect(NAMES, Math.round(this.y(index)), this.width, 1);
    });
  }

  drawLives() {
    const { pen, color, view } = this;
    for (const life of this.model.lives) {
      const stop = life.stop ?? this.model.end;
      if (stop < view.from || life.start > view.to || !this.isRowVisible(life.row)) continue;
      const left = Math.max(this.x(life.start), NAMES - 2);
      const right = Math.max(Math.min(this.x(stop), this.width + 2), left + 1);
      pen.fillStyle = color.process;
      pen.fillRect(left, this.y(life.row) + 3, right - left, ROW - 6);
      if (right - left > 3) {
        pen.fillStyle = color["process-edge"];
        pen.fillRect(left, this.y(life.row) + 3, 1.5, ROW - 6);
      }
      const name = `${life.process} ${life.command}`;
      if (right - left > 90) this.label(name, left + 5, right, life.row);
    }
  }

  label(text, left, right, row) {
    const { pen, color } = this;
    const room = Math.floor((right - left) / 6.2);
    pen.fillStyle = color.faint;
    const shown = text.length > room ? text.slice(0, room - 1) + "…" : text;
    pen.fillText(shown, left, this.y(row) + ROW / 2);
  }

  drawSpans() {
    const { model } = this;
    for (const shade of model.shades) {
      const box = this.spanBox(shade.start, shade.stop, shade.kind);
      if (!box) continue;
      const { host } = shade;
      this.pen.fillRect(box.left, this.y(host.row), box.width, (host.lastRow - host.row + 1) * ROW);
      const label = [...shade.labels].join(", ");
      if (box.width > 50) this.label(label, box.left + 4, box.left + box.width, host.row);
    }
    for (const span of model.spans) {
      const box = span.life && this.spanBox(span.start, span.stop ?? model.end, span.kind);
      if (box) this.pen.fillRect(box.left, this.y(span.life.row) + 3, box.width, ROW - 6);
    }
  }

  /** Where a span lies, with the pen ready to fill it; null when that is outside of the window. */
  spanBox(start, stop, kind) {
    const { pen, color, view } = this;
    if (stop < view.from || start > view.to) return null;
    const left = Math.max(this.x(start), NAMES);
    pen.fillStyle = color[kind];
    return { left, width: Math.max(Math.min(this.x(stop), this.width) - left, 1) };
  }

  /** The moment at which a rule was broken. */
  drawViolation() {
    const { violation } = this.model;
    if (!violation) return;
    this.pen.fillStyle = this.color.fault;
    this.pen.fillRect(this.x(violation.time) - 1, AXIS, 2, this.height);
  }

  drawArrows() {
    const { view } = this;
    const seen = new Set();
    for (const arrow of this.model.arrows) {
      if (!GROUPS[arrow.group].shown || arrow.start > view.to || arrow.stop < view.from) continue;
      const [x0, x1] = [this.x(arrow.start), this.x(arrow.stop)];
      const [y0, y1] = [arrow.from, arrow.to].map((event) => this.y(event.row) + ROW / 2);
      if (Math.max(y0, y1) < AXIS || Math.min(y0, y1) > this.height) continue;
      const bright = view.isBright(arrow.from) || view.isBright(arrow.to);
      const key = `${Math.round(x0)} ${Math.round(x1)} ${y0} ${y1} ${bright} ${arrow.group}`;
      if (seen.has(key)) continue;
      seen.add(key);
      this.drawArrow(arrow, { x0, y0, x1, y1 }, bright);
    }
  }

  drawArrow(arrow, { x0, y0, x1, y1 }, bright) {
    const { pen, color } = this;
    const strength = this.isRoomy() ? 0.8 : 0.4;
    pen.globalAlpha = bright ? strength : FAINT;
    pen.strokeStyle = pen.fillStyle = color[GROUPS[arrow.group].color];
    pen.lineWidth = 1;
    pen.beginPath();
    pen.moveTo(x0, y0);
    pen.lineTo(x1, y1);
    pen.stroke();
    const turn = Math.atan2(y1 - y0, x1 - x0);
    pen.beginPath();
    pen.moveTo(x1, y1);
    for (const side of [-0.4, 0.4]) {
      pen.lineTo(x1 - 7 * Math.cos(turn + side), y1 - 7 * Math.sin(turn + side));
    }
    pen.fill();
    pen.globalAlpha = 1;
    this.drawn.arrows += 1;
    const isNamed = arrow.group === "messages" && bright && this.isRoomy();
    if (isNamed) this.nameArrow(arrow, x0, y0, x1, y1);
  }

  /** Whether messages are few enough in the window for their names. */
  isRoomy() {
    return this.view.to - this.view.from < 500 * this.width;
  }

  /** Writes a message's name beside its arrow, near the head, if no other name is there. */
  nameArrow(arrow, x0, y0, x1, y1) {
    const { pen, color } = this;
    const name = arrow.from.text.split(" ", 1)[0];
    const reach = Math.min(26 / Math.max(Math.abs(y1 - y0), 1), 0.5);
    const [x, y] = [x1 + (x0 - x1) * reach + 6, y1 + (y0 - y1) * reach];
    const box = { left: x, right: x + pen.measureText(name).width + 4, top: y - 6, bottom: y + 6 };
    const meets = (other) => box.left < other.right && other.left < box.right
      && box.top < other.bottom && other.top < box.bottom;
    if (this.names.some(meets)) return;
    this.names.push(box);
    pen.fillStyle = color.back;
    pen.globalAlpha = 0.75;
    pen.fillRect(box.left - 1, box.top, box.right - box.left, box.bottom - box.top);
    pen.globalAlpha = 1;
    pen.fillStyle = color.message;
    pen.fillText(name, x, y);
  }

  drawEvents() {
    const { events } = this.model;
    const { view } = this;
    const taken = new Set();
    const draw = (wanted) => {
      for (let index = firstAt(events, view.from); index < events.length; index += 1) {
        const event = events[index];
        if (event.time > view.to) break;
        if (!GROUPS[event.group].shown || view.isBright(event) !== wanted) continue;
        if (!this.isRowVisible(event.row)) continue;
        const x = this.x(event.time);
        const key = (event.row * 8192 + Math.round(x)) * 16 + GROUP_NUMBERS[event.group];
        if (taken.has(key)) continue;
        taken.add(key);
        this.drawEvent(event, x, wanted);
      }
    };
    // What the filter leaves is drawn first, so that nothing faint takes its pixel.
    draw(true);
    if (view.matches) draw(false);
  }

  drawEvent(event, x, bright) {
    const { pen } = this;
    const middle = this.y(event.row) + ROW / 2;
    pen.globalAlpha = bright ? 1 : FAINT;
    pen.fillStyle = this.colorOf(event);
    if (event.group === "messages") {
      pen.fillRect(x - 1.5, middle - 1.5, 3, 3);
    } else if (event.group === "faults" || event.group === "processes") {
      pen.beginPath();
      pen.moveTo(x, middle - 5);
      pen.lineTo(x + 4, middle);
      pen.lineTo(x, middle + 5);
      pen.lineTo(x - 4, middle);
      pen.fill();
    } else if (event.group === "notes") {
      pen.beginPath();
      pen.arc(x, middle, 3.5, 0, 7);
      pen.fill();
    } else {
      const lift = event.group === "logs" || event.group === "debug" ? -7 : 3;
      pen.fillRect(x - 0.75, middle + lift, 1.5, 5);
    }
    pen.globalAlpha = 1;
    this.drawn.events += 1;
  }

  colorOf(event) {
    const { color } = this;
    if (event.kind === "log" && event.text.startsWith("ERROR")) return color.fault;
    if (event.kind === "log" && event.text.startsWith("WARN")) return color.warn;
    if (event.kind === "exit" || event.kind === "signal") return color.finish;
    if (["heal", "resume", "boot", "normal"].includes(event.kind)) return color.begin;
    return color[GROUPS[event.group].color];
  }

  drawSelected() {
    const { pen, color, view } = this;
    const { selected } = view;
    const time = selected ? selected.time : view.moment;
    if (time === null) return;
    const x = this.x(time);
    pen.fillStyle = color.select;
    pen.globalAlpha = 0.35;
    pen.fillRect(x - 0.5, AXIS, 1, this.height);
    pen.globalAlpha = 1;
    if (!selected) return;
    pen.strokeStyle = color.select;
    pen.lineWidth = 1.5;
    pen.beginPath();
    pen.arc(x, this.y(selected.row) + ROW / 2, 7, 0, 7);
    pen.stroke();
    const { arrow } = selected;
    if (arrow) {
      pen.beginPath();
      pen.moveTo(this.x(arrow.start), this.y(arrow.from.row) + ROW / 2);
      pen.lineTo(this.x(arrow.stop), this.y(arrow.to.row) + ROW / 2);
      pen.stroke();
    }
  }

  drawNames() {
    const { pen, color } = this;
    pen.fillStyle = color.panel;
    pen.fillRect(0, 0, NAMES, this.height);
    const middle = (this.view.from + this.view.to) / 2;
    this.model.rows.forEach((row, index) => {
      if (!this.isRowVisible(index)) return;
      const y = this.y(index) + ROW / 2;
      if (row.slot < 0) {
        pen.fillStyle = color.text;
        pen.font = "600 12px system-ui, sans-serif";
        pen.fillText(row.label, 10, y, NAMES - 16);
      } else {
        const life = this.lifeNear(row, middle);
        pen.fillStyle = color.faint;
        pen.font = "11px system-ui, sans-serif";
        pen.fillText(life ? `${life.process} ${life.command}`.slice(0, 25) : "", 22, y, NAMES - 28);
      }
    });
    pen.fillStyle = color.line;
    pen.fillRect(NAMES - 1, 0, 1, this.height);
  }

  /** The process that a row's name stands for: one of the window, best one in its middle. */
  lifeNear(row, middle) {
    let best = null;
    for (const life of this.model.lives) {
      if (life.host !== row.host || life.slot !== row.slot) continue;
      const stop = life.stop ?? Infinity;
      if (stop < this.view.from || life.start > this.view.to) continue;
      if (!best || life.start <= middle) best = life;
    }
    return best;
  }

  drawAxis() {
    const { pen, color, view } = this;
    pen.fillStyle = color.panel;
    pen.fillRect(0, 0, this.width, AXIS);
    pen.fillStyle = color.line;
    pen.fillRect(0, AXIS - 1, this.width, 1);
    const rough = ((view.to - view.from) * 110) / (this.width - NAMES);
    const power = 10 ** Math.floor(Math.log10(Math.max(rough, 1)));
    const step = [1, 2, 5, 10].map((factor) => factor * power).find((one) => one >= rough);
    const digits = Math.max(0, 6 - Math.floor(Math.log10(step)));
    pen.font = "11px system-ui, sans-serif";
    for (let time = Math.ceil(view.from / step) * step; time <= view.to; time += step) {
      const x = this.x(time);
      pen.fillStyle = color.line;
      pen.fillRect(x, AXIS - 7, 1, 7);
      pen.fillStyle = color.faint;
      pen.fillText(`${seconds(time, digits)} s`, x + 4, AXIS / 2 - 1);
    }
  }

  drawOverview() {
    const { pen, width, height } = fit(this.overview);
    const { color, model, view } = this;
    const scale = width / Math.max(model.end, 1);
    const counts = new Uint32Array(Math.ceil(width) + 1);
    for (const event of model.events) {
      const isCounted = GROUPS[event.group].shown && view.isBright(event);
      if (isCounted) counts[Math.floor(event.time * scale)] += 1;
    }
    const most = counts.reduce((one, other) => Math.max(one, other), 1);
    for (const { kind, start, stop } of this.overviewSpans) {
      pen.fillStyle = color[kind === "pause" ? "slow" : kind];
      pen.fillRect(start * scale, 0, Math.max((stop - start) * scale, 1), height);
    }
    if (model.violation) {
      pen.fillStyle = color.fault;
      pen.fillRect(model.violation.time * scale - 1, 0, 2, height);
    }
    pen.fillStyle = color.message;
    counts.forEach((count, x) => {
      const tall = count ? Math.max(2, (Math.log1p(count) / Math.log1p(most)) * (height - 8)) : 0;
      pen.fillRect(x, height - tall, 1, tall);
    });
    pen.strokeStyle = color.select;
    pen.lineWidth = 1.5;
    const left = view.from * scale;
    pen.strokeRect(left + 1, 1, Math.max((view.to - view.from) * scale - 2, 3), height - 2);
  }

  /** The spans of each kind over all hosts, those that overlap as one. */
  mergedSpans() {
    const { model } = this;
    const pauses = model.spans.filter((span) => span.life);
    const all = [...model.shades, ...pauses].sort((one, other) => one.start - other.start);
    const merged = [];
    const latest = new Map();
    for (const { kind, start, stop } of all) {
      const last = latest.get(kind);
      const end = stop ?? model.end;
      if (last && start <= last.stop) last.stop = Math.max(last.stop, end);
      else merged.push(latest.set(kind, { kind, start, stop: end }).get(kind));
    }
    return merged;
  }

  /** The event under the mouse, or the one that an arrow under it belongs to. */
  at(x, y) {
    if (x < NAMES || y < AXIS) return null;
    const row = Math.floor((y - AXIS + this.view.scroll) / ROW);
    return this.eventNear(x, row) || this.arrowNear(x, y);
  }

  eventNear(x, row) {
    const { events } = this.model;
    let best = null;
    for (let index = firstAt(events, this.time(x - 7)); index < events.length; index += 1) {
      const event = events[index];
      const distance = Math.abs(this.x(event.time) - x);
      if (event.time > this.time(x + 7)) break;
      if (event.row !== row || !GROUPS[event.group].shown) continue;
      const rank = distance + (this.view.isBright(event) ? 0 : 100);
      if (!best || rank < best.rank) best = { rank, event };
    }
    return best && best.event;
  }

  arrowNear(x, y) {
    let best = null;
    for (const arrow of this.model.arrows) {
      const isOutside = arrow.start > this.view.to || arrow.stop < this.view.from;
      if (!GROUPS[arrow.group].shown || isOutside) continue;
      const [x0, x1] = [this.x(arrow.start), this.x(arrow.stop)];
      const [y0, y1] = [arrow.from, arrow.to].map((event) => this.y(event.row) + ROW / 2);
      const length = Math.hypot(x1 - x0, y1 - y0) || 1;
      const part = ((x - x0) * (x1 - x0) + (y - y0) * (y1 - y0)) / length ** 2;
      if (part < 0 || part > 1) continue;
      const distance = Math.abs((x - x0) * (y1 - y0) - (y - y0) * (x1 - x0)) / length;
      const rank = distance + (this.view.isBright(arrow.to) ? 0 : 100);
      if (distance < 5 && (!best || rank < best.rank)) best = { rank, event: arrow.to };
    }
    return best && best.event;
  }
}

const GROUP_NUMBERS = Object.fromEntries(Object.keys(GROUPS).map((name, index) => [name, index]));

/** The index of the first event at or after a time. */
function firstAt(events, time) {
  let [low, high] = [0, events.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (events[middle].time < time) low = middle + 1;
    else high = middle;
  }
  return low;
}
