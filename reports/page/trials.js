// The details of a trial: its config, its curves, its error.

/** The stored trials, by column. */
class Trials {
  constructor(data) {
    Object.assign(this, data);
    let total = 0;
    this.starts = this.lengths.map((length) => (total += length) - length);
    const known = Object.keys(this.curves).filter((name) => name !== "step");
    const first = ["val_accuracy", "density", "train_loss", "val_loss"].filter((name) => known.includes(name));
    this.quantities = [...first, ...known.filter((name) => !first.includes(name))];
  }

  /** Return the steps and the values of one curve of a trial; shares in %. */
  curve(trial, name) {
    const [from, to] = [this.starts[trial], this.starts[trial] + this.lengths[trial]];
    const scale = PERCENT.has(name) ? 100 : 1;
    const values = this.curves[name].slice(from, to).map((value) => (value === null ? null : scale * number(value)));
    return { step: this.curves.step.slice(from, to), values };
  }
}

/** The panel that opens beside the page. */
class TrialPanel {
  constructor(trials, tasks, styles) {
    Object.assign(this, { trials, tasks, styles });
    this.dialog = document.getElementById("trial");
    this.dialog.addEventListener("click", (event) => {
      if (event.target === this.dialog) this.dialog.close(); // the backdrop
    });
  }

  open(trial) {
    const { trials } = this;
    const facts = trials.facts;
    const target = number(trials.target[trial]);
    const title = [trials.label[trial], Number.isNaN(target) ? "" : `target ${share(target)}`, `seed ${facts.seed[trial]}`];
    const close = button("Close", () => this.dialog.close(), { className: "close" });
    const parts = [
      make("header", {}, make("h2", { id: "trial-title" }, title.filter(Boolean).join(", ")), close),
      make("p", { className: "scope" }, `${this.tasks[trials.task[trial]].title} · trial ${facts.trial_id[trial]} · ${facts.status[trial]}`),
    ];
    if (facts.error?.[trial]) parts.push(make("h3", {}, "Error"), make("pre", { className: "error" }, facts.error[trial]));
    const plot = make("div", { className: "plot", role: "img", "aria-label": "Curves of the training" });
    if (trials.lengths[trial]) parts.push(make("h3", {}, "Curves"), plot);
    parts.push(make("h3", {}, "Values"), this.values(trial));
    for (const [name, heading] of [["config", "Config"], ["density_layers", "Density by layer"], ["found", "What the method found"], ["versions", "Versions"]]) {
      const text = trials[name]?.[trial];
      if (text) parts.push(make("h3", {}, heading), make("pre", { className: name, tabIndex: 0 }, formatted(text)));
    }
    this.dialog.replaceChildren(...parts);
    this.dialog.showModal();
    this.dialog.scrollTop = 0;
    if (trials.lengths[trial]) plots.add(plot, () => this.describe(trial));
  }

  values(trial) {
    const list = make("dl");
    for (const [name, values] of Object.entries(this.trials.facts)) {
      const value = values[trial];
      if (value === null || value === "" || name === "error") continue;
      list.append(make("div", {}, make("dt", {}, name.replaceAll("_", " ")), make("dd", {}, String(value))));
    }
    return list;
  }

  /** One panel for each quantity, over the same steps. */
  describe(trial) {
    const style = this.styles[this.trials.label[trial]];
    const colour = isDark() ? style.dark : style.light;
    const names = this.trials.quantities.filter((name) => this.trials.curve(trial, name).values.some((each) => each !== null));
    const layout = { height: 60 + 130 * names.length, margin: { l: 60, r: 12, t: 10, b: 44 } };
    const traces = names.map((name, at) => {
      const { step, values } = this.trials.curve(trial, name);
      const part = 1 / names.length;
      const last = at === names.length - 1;
      const suffix = at ? at + 1 : "";
      layout[`xaxis${suffix}`] = { matches: at ? "x" : undefined, anchor: `y${suffix}`, showticklabels: last,
        title: { text: last ? "step" : "" } };
      layout[`yaxis${suffix}`] = { domain: [1 - (at + 0.86) * part, 1 - at * part], anchor: `x${suffix}`, nticks: 4,
        title: { text: (NAMES[name] ?? plain(name)).replace(/^(validation|training|learning) /, "$1<br>"), font: { size: 11 } } };
      return { x: step, y: values, xaxis: `x${suffix}`, yaxis: `y${suffix}`, mode: "lines+markers", marker: { size: 4 },
        line: { color: colour, width: 1.5 }, hovertemplate: "step %{x}: %{y:.5g}<extra></extra>" };
    });
    return { traces, layout };
  }
}

/** Return JSON with indents; other text as it is. */
function formatted(text) {
  try {
    return JSON.stringify(JSON.parse(text), null, 2);
  } catch {
    return text;
  }
}
