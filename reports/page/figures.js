// Figures by plotly, which is unpacked after the tables can be read. A figure is drawn once it comes into view.

const PERCENT = new Set(["val_accuracy", "train_accuracy", "density"]);
const NAMES = {
  val_accuracy: "validation accuracy (%)", val_loss: "validation loss", train_loss: "training loss",
  density: "density (%)", lr: "learning rate",
};

let library = null;
/** Unpack plotly once. */
function plotly() {
  library ??= block("plotly").then((text) => {
    document.head.append(make("script", { textContent: text }));
    return window.Plotly;
  });
  return library;
}

/** All figures of the page: each is drawn in view, and again when methods or colours change. */
const plots = {
  drawn: new Map(),
  waiting: new Map(),
  watch: new IntersectionObserver((entries) => {
    for (const entry of entries) if (entry.isIntersecting) plots.draw(entry.target);
  }, { rootMargin: "300px" }),
  /** Draw a figure when it comes into view; describe() returns its traces and layout. */
  add(element, describe) {
    this.waiting.set(element, describe);
    this.watch.observe(element);
  },
  async draw(element) {
    const describe = this.waiting.get(element);
    if (!describe) return;
    this.waiting.delete(element);
    this.watch.unobserve(element);
    const Plotly = await plotly();
    if (!element.offsetWidth) return void this.add(element, describe); // hidden by now: it has no width to be drawn in
    this.drawn.set(element, () => {
      const { traces, layout } = describe();
      return Plotly.react(element, traces, themed(layout), {
        displaylogo: false, responsive: true, modeBarButtons: [["toImage", "zoom2d", "pan2d", "resetScale2d"]],
      });
    });
    await this.drawn.get(element)();
    element.classList.add("drawn");
  },
  /** Draw what has not come into view: on paper everything does. */
  drawAll() {
    for (const element of [...this.waiting.keys()]) if (element.isConnected) this.draw(element);
  },
  /** Fade all methods but one in the figures of all methods; null: none is faded. */
  highlight(label) {
    for (const element of this.drawn.keys()) {
      if (!element.closest(".figures")) continue;
      const opacity = element.data.map(({ name }) => (label === null || name === plain(label) ? 1 : 0.12));
      window.Plotly.restyle(element, { opacity });
    }
  },
  redraw() {
    for (const [element, draw] of this.drawn) {
      if (element.isConnected) draw();
      else this.drawn.delete(element);
    }
  },
};

function isDark() {
  const chosen = document.documentElement.dataset.theme;
  return chosen ? chosen === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
}

/** Return a colour of the style sheet. */
function ink(name) {
  const probe = document.body.appendChild(make("i"));
  probe.style.color = `var(--${name})`;
  const colour = getComputedStyle(probe).color;
  probe.remove();
  return colour;
}

function axesOf(layout) {
  return Object.keys(layout).filter((key) => /^[xy]axis\d*$/.test(key));
}

/** Return a layout with the page's colours and fonts. */
function themed(layout) {
  const [text, grid, paper] = [ink("ink"), ink("rule"), ink("paper")];
  const axis = { gridcolor: grid, linecolor: ink("faint"), zerolinecolor: grid, ticks: "outside",
    tickcolor: ink("faint"), showline: true };
  const axes = axesOf(layout);
  return {
    paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)", showlegend: false, hovermode: "closest",
    margin: { l: 56, r: 14, t: 14, b: 48 }, height: 420,
    modebar: { bgcolor: "rgba(0,0,0,0)", color: ink("faint"), activecolor: text },
    hoverlabel: { bgcolor: paper, bordercolor: grid, font: { color: text } },
    ...layout,
    font: { family: getComputedStyle(document.body).fontFamily, size: 13, color: text },
    ...Object.fromEntries(axes.map((key) => {
      const title = { ...layout[key].title, font: { size: 13, ...layout[key].title?.font } };
      return [key, { ...axis, ...layout[key], title }];
    })),
  };
}

/** Escape what plotly takes as markup. */
function plain(text) {
  return String(text).replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
}

function pm(mean, interval, digits = 2) {
  return `${mean.toFixed(digits)}${Number.isFinite(interval) ? ` ± ${interval.toFixed(digits)}` : ""}`;
}

function share(value) {
  return Number(value.toPrecision(3)).toString();
}

/** Accuracy against density for one task; by method where there is only one density. */
class AccuracyFigure {
  constructor(task, styles) {
    this.task = task;
    this.styles = styles;
    this.relative = false;
    this.byMethod = task.targets.length === 1;
    const title = `Accuracy ${this.byMethod ? `at density ${share(task.targets[0])}` : "against density"}`;
    this.element = make("div", { className: "plot", role: "img", "aria-label": `${title}: ${task.title}` });
    this.note = make("p", { className: "caption" });
    const kinds = [["Accuracy", false], ["Change to dense", true]];
    this.buttons = kinds.map(([text, relative]) => button(text, () => this.show(relative)));
    const group = make("div", { className: "switch", role: "group", "aria-label": "What the figure shows" }, ...this.buttons);
    const figure = make("figure", { className: "accuracy" },
      make("div", { className: "bar" }, make("h4", {}, title), ...(task.dense === null ? [] : [group])),
      this.element, this.note);
    this.figure = figure;
    this.press();
    plots.add(this.element, () => this.describe());
  }

  show(relative) {
    this.relative = relative;
    this.press();
    plots.drawn.get(this.element)?.();
  }

  press() {
    this.buttons.forEach((each, at) => each.setAttribute("aria-pressed", String(Boolean(at) === this.relative)));
  }

  /** Return [value, half-width] of a point as the figure shows it. */
  shown(label, point) {
    if (!this.relative) return [point.mean, number(point.interval)];
    return label === this.task.dense ? [0, NaN] : [number(point.change), number(point.changeInterval)];
  }

  describe() {
    const lines = this.task.lines.filter(({ label, points }) => methods.shows(label) && points.length);
    const drawn = lines.map(({ label, points }) => ({
      label,
      points: points.filter((point) => point.x > 0 && Number.isFinite(this.shown(label, point)[0])),
    }));
    const range = this.range(drawn);
    const traces = drawn.filter(({ points }) => points.length).map((line) => this.trace(line));
    this.note.textContent = this.notes(lines, drawn, range);
    const ticks = [...new Set([1, ...this.task.targets])];
    const density = { type: "log", title: { text: `density (share of weights kept, scope ${plain(this.task.scope)})` },
      tickvals: ticks, ticktext: ticks.map(share) };
    const yaxis = { title: { text: this.relative ? "change to dense (points)" : "test accuracy (%)" } };
    return {
      traces,
      layout: {
        xaxis: this.byMethod ? { type: "category", automargin: true } : density,
        yaxis: this.byMethod ? yaxis : { ...yaxis, range },
        uirevision: `${this.relative}`,
      },
    };
  }

  trace({ label, points }) {
    const style = this.styles[label];
    const colour = isDark() ? style.dark : style.light;
    const [value, width] = [0, 1].map((at) => points.map((point) => this.shown(label, point)[at]));
    const trace = {
      x: points.map((point) => point.x), y: value, name: plain(label), mode: points.length > 1 ? "lines+markers" : "markers",
      line: { color: colour, width: 1.8, dash: style.dash },
      marker: { color: colour, symbol: style.symbol, size: 8 },
      error_y: { type: "data", array: width.map((each) => (Number.isFinite(each) ? each : 0)), color: colour, thickness: 1, width: 3 },
      text: points.map((point) => this.hover(label, point)), hoverinfo: "text",
    };
    if (this.byMethod) return { ...trace, x: points.map(() => plain(label)), mode: "markers" };
    if (label !== this.task.dense) return trace;
    // Dense: a reference line over all densities.
    const xs = [1, ...this.task.targets];
    return { ...trace, x: xs, y: xs.map(() => value[0]), text: xs.map(() => trace.text[0]), mode: "lines+markers",
      line: { ...trace.line, dash: "dot", width: 1.3 }, marker: { ...trace.marker, opacity: 1, line: { width: 0 }, size: xs.map((_, at) => (at ? 0.1 : 8)) },
      error_y: { ...trace.error_y, array: [trace.error_y.array[0]] } };
  }

  hover(label, point) {
    const target = number(point.target);
    const reached = `density ${share(point.x)}`;
    const change = number(point.change);
    return [
      `<b>${plain(label)}</b>`,
      Number.isNaN(target) ? reached : `target ${share(target)}, ${reached}`,
      `${pm(point.mean, number(point.interval))} %, n = ${point.n}${point.n < point.planned ? ` of ${point.planned}` : ""}`,
      ...(Number.isNaN(change) ? [] : [`${change < 0 ? "" : "+"}${pm(change, number(point.changeInterval))} points to dense`]),
    ].join("<br>");
  }

  /** Return the range of the axis. Means beyond Tukey's outer fences would flatten the rest, and do not count. */
  range(drawn) {
    const all = drawn.flatMap(({ label, points }) => points.map((point) => this.shown(label, point)[0])).sort((a, b) => a - b);
    if (!all.length) return [0, 101];
    const at = (share) => {
      const place = share * (all.length - 1);
      return all[Math.floor(place)] + (place % 1) * ((all[Math.ceil(place)] ?? 0) - all[Math.floor(place)]);
    };
    const fence = 3 * (at(0.75) - at(0.25));
    const low = Math.max(all[0], at(0.25) - fence);
    const high = Math.min(all.at(-1), at(0.75) + fence);
    const room = 0.12 * (high - low) + 0.3;
    return [low - room, this.relative ? high + room : Math.min(high + room, 101)];
  }

  notes(lines, drawn, [low, high]) {
    const outside = (beyond, extreme) => drawn.flatMap(({ label, points }) => {
      const values = points.map((point) => this.shown(label, point)[0]);
      return values.some(beyond) ? [`${label} (${share(extreme(...values))})`] : [];
    });
    const below = outside((value) => value < low, Math.min);
    const above = outside((value) => value > high, Math.max);
    const cut = drawn.filter(({ label, points }) => points.some((point) => {
      const [value, width] = this.shown(label, point);
      return value >= low && value <= high && (value - width < low || value + width > high);
    })).map(({ label }) => label);
    const elsewhere = drawn.flatMap(({ label, points }) => points
      .filter((point) => point.elsewhere)
      .map(({ x }) => `${label} (${share(x)})`));
    const empty = lines.filter(({ points }) => points.some((point) => !point.x)).map(({ label }) => label);
    return [
      "Mean over seeds and 95 % interval (Student's t).",
      this.relative ? "Differences to the dense control are paired by seed." : "",
      below.length && !this.byMethod ? `Below the range shown: ${below.join(", ")}.` : "",
      above.length && !this.byMethod ? `Above the range shown: ${above.join(", ")}.` : "",
      cut.length && !this.byMethod ? `Intervals that reach beyond the range shown: ${cut.join(", ")}.` : "",
      elsewhere.length && this.byMethod ? `At another density: ${elsewhere.join(", ")}.` : "",
      empty.length ? `Ended at density 0, which the axis lacks: ${empty.join(", ")}.` : "",
    ].filter(Boolean).join(" ");
  }
}

/** The trainings of one task: a line per trial, in the colour of its method. */
class CurvesFigure {
  constructor(task, at, styles, trials) {
    Object.assign(this, { task, at, styles, trials });
    this.element = make("div", { className: "plot", role: "img", "aria-label": `Training curves: ${task.title}` });
    const again = () => plots.drawn.get(this.element)?.();
    const targets = task.targets.map((target) => [String(target), `target ${share(target)}`]);
    this.density = choice("Target density", [...targets, ["", "all targets"]], again);
    this.quantity = choice("What the figure shows", trials.quantities.map((name) => [name, NAMES[name] ?? name]), again);
    this.figure = make("figure", { className: "curves" },
      make("div", { className: "bar" }, make("h4", {}, "Training curves"), this.density, this.quantity),
      this.element,
      make("p", { className: "caption" }, "One line per trial; methods without a target density are always shown."));
    plots.add(this.element, () => this.describe());
  }

  describe() {
    const { trials, at } = this;
    const [name, chosen] = [this.quantity.value, this.density.value];
    const byLabel = new Map(this.task.lines.filter(({ label }) => methods.shows(label)).map(({ label }) => [label, []]));
    trials.task.forEach((task, trial) => {
      const target = trials.target[trial];
      if (task === at && (chosen === "" || target === null || String(target) === chosen) && trials.lengths[trial]) {
        byLabel.get(trials.label[trial])?.push(trial);
      }
    });
    const traces = [...byLabel].filter(([, own]) => own.length).map(([label, own]) => {
      const colour = isDark() ? this.styles[label].dark : this.styles[label].light;
      const trace = { x: [], y: [], text: [], name: plain(label), mode: "lines", hoverinfo: "text", connectgaps: false,
        line: { color: colour, width: 1.1, dash: this.styles[label].dash } };
      for (const trial of own) {
        const { step, values } = trials.curve(trial, name);
        const title = `<b>${plain(label)}</b>, seed ${trials.facts.seed[trial]}`;
        trace.x.push(...step, null);
        trace.y.push(...values, null);
        trace.text.push(...step.map((each, i) => `${title}<br>step ${each}: ${share(values[i] ?? NaN)}`), "");
      }
      return trace;
    });
    return {
      traces,
      layout: { height: 360, xaxis: { title: { text: "step" } }, yaxis: { title: { text: NAMES[name] ?? plain(name) } },
        uirevision: `${name} ${chosen}` },
    };
  }
}
