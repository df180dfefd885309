// Tables: sorted by value, filtered by text and by method, shown in pages, exported as CSV and LaTeX.

const PAGE_ROWS = 100;

/** All tables of the page. One becomes interactive when it comes into view, and only those in view are redrawn. */
const tables = {
  made: new Map(),
  inView: new Set(),
  stale: new Set(),
  onRow: {},
  /** Take over the tables of the document; data is by their keys. */
  start(data, latex) {
    const watch = new IntersectionObserver((entries) => {
      for (const { target, isIntersecting } of entries) {
        const { table: key } = target.parentElement.dataset;
        if (isIntersecting) this.inView.add(key);
        else this.inView.delete(key);
        if (!isIntersecting) continue;
        if (!this.made.has(key)) this.made.set(key, new DataTable(target.parentElement, data[key], latex));
        else if (this.stale.delete(key)) this.made.get(key).update();
      }
    }, { rootMargin: "300px" });
    for (const scroll of document.querySelectorAll("details.table > .scroll")) watch.observe(scroll);
    methods.listeners.push(() => this.update());
  },
  update() {
    for (const [key, table] of this.made) {
      if (this.inView.has(key)) table.update();
      else this.stale.add(key);
    }
  },
  /** Call a function with the number of a table's row when it is clicked. */
  openRows(key, open) {
    this.onRow[key] = open;
    this.made.get(key)?.draw();
  },
};

class DataTable {
  /** @param details The element of the table. @param data What Python stored of it. */
  constructor(details, data, latex) {
    this.key = details.dataset.table;
    this.data = data;
    this.latex = latex;
    this.columns = data.columns.map((column) => {
      const values = Object.values(column.data)[0] ?? [];
      return { ...column, values, best: new Set(column.best), shown: column.texts ?? values };
    });
    this.rows = this.columns[0].values.map((_, row) => row);
    this.sorted = { column: -1, descending: false };
    this.page = 0;
    this.filter = "";
    this.body = details.querySelector("tbody");
    this.scroll = details.querySelector(".scroll");
    details.querySelector(".more")?.remove();
    this.headers = [...details.querySelectorAll("thead th")];
    this.headers.forEach((header, at) => this.makeSortable(header, at));
    this.scroll.before(this.tools(details));
    this.pager = make("div", { className: "pager" });
    this.scroll.after(this.pager);
    this.update();
  }

  makeSortable(header, at) {
    const sort = button(header.textContent, () => this.sort(at));
    header.replaceChildren(sort);
    header.setAttribute("aria-sort", "none");
  }

  tools(details) {
    const name = details.querySelector("summary").textContent;
    const input = make("input", { type: "search", placeholder: "Filter", "aria-label": `Filter ${name}` });
    input.addEventListener("input", () => {
      this.filter = input.value.toLowerCase();
      this.page = 0;
      this.update();
      say(`${this.visible.length} rows`);
    });
    return make("div", { className: "tools" }, input,
      this.count = make("span", { className: "count" }),
      button("CSV", () => this.save("csv", this.csv()), { title: "The rows shown, in full precision" }),
      button("LaTeX", () => this.save("tex", this.tex()), { title: "The rows shown, as they are displayed" }));
  }

  /** Sort by a column: numbers from high to low first, then from low to high, then as planned. */
  sort(at) {
    const first = Boolean(this.columns[at].texts);
    const { column, descending } = this.sorted;
    if (column !== at) this.sorted = { column: at, descending: first };
    else if (descending === first) this.sorted = { column: at, descending: !first };
    else this.sorted = { column: -1, descending: false };
    this.headers.forEach((header, index) => {
      const state = index !== this.sorted.column ? "none" : this.sorted.descending ? "descending" : "ascending";
      header.setAttribute("aria-sort", state);
    });
    this.page = 0;
    this.update();
  }

  /** Find the visible rows in their order, and draw them. */
  update() {
    const label = this.columns[0].values;
    this.visible = this.rows.filter((row) =>
      (!this.data.follows || methods.shows(label[row])) && (!this.filter || this.text(row).includes(this.filter)));
    if (this.sorted.column >= 0) this.visible.sort(this.order());
    this.draw();
  }

  /** Return the function that compares two rows; rows without a value come last. */
  order() {
    const { values, texts } = this.columns[this.sorted.column];
    const sign = this.sorted.descending ? -1 : 1;
    if (!texts) return (a, b) => sign * values[a].localeCompare(values[b], "en", { numeric: true });
    return (a, b) => {
      const [one, other] = [number(values[a]), number(values[b])];
      if (Number.isNaN(one) || Number.isNaN(other)) return Number.isNaN(one) - Number.isNaN(other);
      return one === other ? 0 : one < other ? -sign : sign;
    };
  }

  text(row) {
    this.searched ??= [];
    return (this.searched[row] ??= this.columns.map((column) => column.shown[row]).join("\n").toLowerCase());
  }

  draw() {
    const pages = Math.max(1, Math.ceil(this.visible.length / PAGE_ROWS));
    const start = this.page * PAGE_ROWS;
    this.body.replaceChildren(...this.visible.slice(start, start + PAGE_ROWS).map((row) => this.row(row)));
    const all = this.rows.length;
    const some = this.visible.length < all ? `${this.visible.length.toLocaleString("en")} of ` : "";
    this.count.textContent = `${some}${all.toLocaleString("en")} ${all === 1 ? "row" : "rows"}`;
    const turn = (by) => button(by < 0 ? "← Previous" : "Next →", () => {
      this.page += by;
      this.draw();
      this.scroll.scrollTop = 0;
      (this.pager.querySelector(`.turn${by}:enabled`) ?? this.pager.querySelector("button:enabled"))?.focus();
    }, { disabled: by < 0 ? !this.page : this.page + 1 >= pages, className: `turn${by}` });
    this.pager.replaceChildren(...(pages > 1 ? [turn(-1), `page ${this.page + 1} of ${pages}`, turn(1)] : []));
  }

  row(row) {
    const element = make("tr", {}, ...this.columns.map((column) => {
      const text = column.shown[row];
      const cell = make("td", { className: column.texts ? "number" : "" });
      cell.append(column.best.has(row) ? make("strong", {}, text) : text);
      return cell;
    }));
    const open = tables.onRow[this.key];
    if (open) {
      element.classList.add("opens");
      element.tabIndex = 0;
      element.ariaHasPopup = "dialog";
      element.addEventListener("click", () => open(row));
      element.addEventListener("keydown", (event) => {
        if (event.key !== "Enter") return;
        event.preventDefault(); // or the same key presses the button that gets the focus
        open(row);
      });
    }
    return element;
  }

  /** Return the visible rows as CSV, with all columns of the report's own file. */
  csv() {
    const columns = this.columns.flatMap((column) => Object.entries(column.data));
    const quoted = (value) => {
      const text = value === null ? "" : String(value);
      return /[",\n\r]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
    };
    const lines = [columns.map(([name]) => name), ...this.visible.map((row) => columns.map(([, data]) => data[row]))];
    return lines.map((line) => line.map(quoted).join(",") + "\n").join("");
  }

  /** Return the visible rows as a table for LaTeX with booktabs. */
  tex() {
    const escaped = (text) => [...text.trim().replace(/\s+/g, " ")].map((each) => this.latex[each] ?? each).join("");
    const entry = (column, row) => {
      const text = column.shown[row];
      const signed = column.texts && /^-\d/.test(text);
      const plain = signed ? `$-$${escaped(text.slice(1))}` : escaped(text);
      return column.best.has(row) ? `\\textbf{${plain}}` : plain;
    };
    const lines = this.visible.map((row) => this.columns.map((column) => entry(column, row)).join(" & "));
    return [
      "% needs \\usepackage{booktabs}",
      "\\begin{table}",
      "\\centering",
      `\\caption{${escaped(this.data.caption)}}`,
      `\\begin{tabular}{${this.columns.map((column) => (column.texts ? "r" : "l")).join("")}}`,
      "\\toprule",
      `${this.columns.map((column) => escaped(column.name)).join(" & ")} \\\\`,
      "\\midrule",
      ...lines.map((line) => `${line} \\\\`),
      "\\bottomrule",
      "\\end{tabular}",
      "\\end{table}",
      "",
    ].join("\n");
  }

  save(ending, text) {
    const url = URL.createObjectURL(new Blob([text], { type: "text/plain;charset=utf-8" }));
    make("a", { href: url, download: `${this.data.name}.${ending}` }).click();
    setTimeout(() => URL.revokeObjectURL(url), 10_000);
    say(`${this.data.name}.${ending} saved`);
  }
}
