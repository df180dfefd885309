// Start the page: colours, tabs, tables, and then what needs more data.

/** Switch between light and dark; the choice is kept where the browser allows it. */
function startTheme() {
  const root = document.documentElement;
  const stored = () => {
    try {
      return localStorage.getItem("switchbench-theme");
    } catch {
      return null;
    }
  };
  if (stored()) root.dataset.theme = stored();
  document.getElementById("theme").addEventListener("click", () => {
    root.dataset.theme = isDark() ? "light" : "dark";
    try {
      localStorage.setItem("switchbench-theme", root.dataset.theme);
    } catch {
      // a browser that stores nothing for files
    }
    plots.redraw();
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => plots.redraw());
}

/** Show one task at a time, by tabs that arrow keys move between. */
function startTabs() {
  const panels = [...document.querySelectorAll(".task")];
  if (panels.length < 2) return;
  const tabs = panels.map((panel) =>
    button(panel.querySelector("h3").textContent, () => select(panels.indexOf(panel)), { role: "tab", "aria-controls": panel.id }));
  const select = (chosen) => tabs.forEach((tab, at) => {
    tab.setAttribute("aria-selected", String(at === chosen));
    tab.tabIndex = at === chosen ? 0 : -1;
    panels[at].hidden = at !== chosen;
  });
  const list = make("div", { className: "tabs", role: "tablist", "aria-label": "Tasks" }, ...tabs);
  list.addEventListener("keydown", (event) => {
    const by = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!by) return;
    const next = (tabs.indexOf(document.activeElement) + by + tabs.length) % tabs.length;
    select(next);
    tabs[next].focus();
  });
  panels.forEach((panel) => panel.setAttribute("role", "tabpanel"));
  document.querySelector(".tasks").before(list);
  select(0);
}

/** Make the legends switch methods on and off everywhere. */
function startLegends() {
  for (const legend of document.querySelectorAll(".legend")) {
    const buttons = [...legend.querySelectorAll(".method")];
    const labels = buttons.map((each) => each.dataset.method);
    for (const each of buttons) {
      const label = each.dataset.method;
      each.title = "Click: show or hide. Double click: only this method.";
      for (const event of ["pointerenter", "focus"]) each.addEventListener(event, () => plots.highlight(label));
      for (const event of ["pointerleave", "blur"]) each.addEventListener(event, () => plots.highlight(null));
      each.addEventListener("click", () => methods.toggle(label));
      each.addEventListener("dblclick", () => methods.hideAllBut([label], labels));
    }
    legend.append(
      button("all", () => methods.hideAllBut(labels, labels), { className: "every" }),
      button("none", () => methods.hideAllBut([], labels), { className: "every" }));
    methods.listeners.push(() => {
      for (const each of buttons) each.setAttribute("aria-pressed", String(methods.shows(each.dataset.method)));
    });
  }
  methods.listeners.push(() => plots.redraw());
}

/** Draw the pictures of the search, whose descriptions are in the page. */
async function startSearch() {
  for (const store of document.querySelectorAll("figure.picture > script")) {
    const title = store.parentElement.querySelector("figcaption").textContent;
    const element = make("div", { className: "plot", role: "img", "aria-label": title });
    store.replaceWith(element);
    const { data, layout } = JSON.parse(await inflated(store.textContent));
    for (const key of axesOf(layout)) {
      // Names of options may be long; and plotly cannot draw the line of an empty panel's axis.
      Object.assign(layout[key], { automargin: true, showline: false });
    }
    plots.add(element, () => ({
      traces: data,
      layout: { showlegend: true, ...layout, title: undefined, margin: { l: 80, r: 40, t: 60, b: 60 } },
    }));
  }
}

/** Print in the light, with every table open and every figure drawn. */
function startPrinting() {
  const root = document.documentElement;
  let before = {};
  addEventListener("beforeprint", () => {
    const closed = [...document.querySelectorAll("details:not([open])")];
    const hidden = [...document.querySelectorAll('[role="tabpanel"][hidden]')];
    before = { theme: root.dataset.theme, closed, hidden };
    for (const details of closed) details.open = true;
    for (const panel of hidden) panel.hidden = false; // a hidden figure has no width to be drawn in
    root.dataset.theme = "light";
    plots.redraw();
    plots.drawAll();
  });
  addEventListener("afterprint", () => {
    for (const details of before.closed) details.open = false;
    for (const panel of before.hidden) panel.hidden = true;
    if (before.theme) root.dataset.theme = before.theme;
    else delete root.dataset.theme;
    plots.redraw();
  });
}

async function start() {
  document.documentElement.classList.add("scripting");
  startTheme();
  startTabs();
  startLegends();
  startPrinting();
  const [data, rows] = (await Promise.all([block("data"), block("tables-data")])).map((text) => JSON.parse(text));
  tables.start(rows, data.latex);
  const panels = [...document.querySelectorAll(".task")].map((panel) => [Number(panel.dataset.task), panel.querySelector(".figures")]);
  for (const [at, figures] of panels) figures.append(new AccuracyFigure(data.tasks[at], data.styles).figure);
  const trials = new Trials(JSON.parse(await block("trials-data")));
  for (const [at, figures] of panels) {
    if (trials.quantities.length) figures.append(new CurvesFigure(data.tasks[at], at, data.styles, trials).figure);
  }
  const panel = new TrialPanel(trials, data.tasks, data.styles);
  tables.openRows("trials", (row) => panel.open(row));
  startSearch();
  document.documentElement.dataset.ready = "yes";
  if (document.getElementById("plotly")) window.requestIdleCallback?.(plotly); // before a figure comes into view
}

start();
