"use strict";
// Parallel coordinates: a line a trial, an axis a setting; axes can be brushed, and the table below follows.
(() => {
  const source = document.getElementById("parallel-data");
  if (!source) return;
  const { axes, trials } = JSON.parse(source.textContent);
  const chart = document.getElementById("parallel-chart");
  const tip = document.getElementById("parallel-tip");
  const count = document.getElementById("parallel-count");
  const clear = document.getElementById("parallel-clear");
  const table = document.querySelector("table.trials");
  const rows = new Map([...table.tBodies[0].rows].map((row) => [Number(row.dataset.trial), row]));

  const height = 494, top = 84, length = 340, side = 52, absent = -0.1, lowest = -0.14;
  const width = Math.max(chart.clientWidth, 2 * side + 66 * (axes.length - 1));
  const gap = (width - 2 * side) / Math.max(axes.length - 1, 1);
  const x = (axis) => side + axis * gap;
  const y = (place) => top + (1 - (place ?? absent)) * length;
  // Viridis without its yellow, which white paper swallows; from the worst to the best.
  const colours = [[122, 209, 81], [34, 168, 132], [42, 120, 142], [65, 68, 135], [68, 1, 84]];

  function colour(share) {
    if (share === null) return "#999999";
    const place = Math.min(Math.max(share, 0), 1) * (colours.length - 1);
    const below = Math.min(Math.floor(place), colours.length - 2);
    return `rgb(${colours[below].map((low, i) => Math.round(low + (colours[below + 1][i] - low) * (place - below)))})`;
  }

  function element(parent, name, attributes, text) {
    const made = document.createElementNS("http://www.w3.org/2000/svg", name);
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    if (text !== undefined) made.textContent = text;
    parent.append(made);
    return made;
  }

  const svg = element(chart, "svg", { width, height, viewBox: `0 0 ${width} ${height}`, role: "group", "aria-label": "Parallel coordinates of all trials" });
  const behind = element(svg, "g", { "stroke-opacity": 0.35 });
  const lines = element(svg, "g", { "stroke-opacity": trials.length > 200 ? 0.4 : 0.75 }); // many hide each other
  const paths = trials.map(({ places }) => {
    const line = places.map((place, axis) => `${x(axis).toFixed(1)},${y(place).toFixed(1)}`).join("L");
    return element(lines, "path", { class: "trial", stroke: colour(places.at(-1)), d: `M${line}` });
  });
  const scale = element(svg, "linearGradient", { id: "scores", x1: 0, y1: 1, x2: 0, y2: 0 });
  colours.forEach((_, stop) => element(scale, "stop", { offset: stop / (colours.length - 1), "stop-color": colour(stop / (colours.length - 1)) }));
  element(svg, "rect", { x: x(axes.length - 1) + 5, y: y(1), width: 8, height: length, fill: "url(#scores)" });
  const hot = element(svg, "path", { class: "hot", d: "" });
  if (trials.some((trial) => trial.places.slice(0, -1).includes(null))) {
    element(svg, "text", { class: "quiet", x: 0, y: y(absent) + 24 }, "– where the recipe does not have the setting");
  }
  const brushes = new Map(); // axis -> [low, high], as places
  const drawn = axes.map(drawAxis);

  function drawAxis({ name, ticks }, axis) {
    const group = element(svg, "g", { tabindex: 0, role: "slider", "aria-label": `keep by ${name}`, "aria-valuemin": 0, "aria-valuemax": 100, "aria-valuenow": 0, "aria-valuetext": "all", transform: `translate(${x(axis)},0)` });
    element(group, "rect", { class: "hit", x: -18, y: y(1) - 8, width: 36, height: y(lowest) - y(1) + 16 });
    element(group, "line", { class: "axis", y1: y(1), y2: y(0) });
    for (const [place, text] of ticks) {
      element(group, "line", { class: "tick", x1: -4, y1: y(place), y2: y(place) });
      element(group, "text", { class: "label", x: -7, y: y(place) + 4, "text-anchor": "end" }, shortened(text, (gap - 8) / 5.6));
    }
    if (trials.some((trial) => trial.places[axis] === null)) {
      element(group, "text", { class: "label quiet", y: y(absent) + 4, "text-anchor": "middle" }, "–");
    }
    const own = name.split(".").at(-1), down = 36 * (axis % 2); // by turns a step lower, so that long names fit
    element(group, "text", { y: 16 + down, class: "quiet", "text-anchor": "middle" }, shortened(name.slice(0, -own.length - 1), gap / 3.2));
    element(group, "text", { y: 30 + down, "text-anchor": "middle", "font-weight": 650 }, shortened(own, gap / 3.4));
    const brush = element(group, "rect", { class: "brush", x: -9, width: 18, visibility: "hidden" });
    group.addEventListener("keydown", (event) => byKey(event, axis));
    return { group, brush };
  }

  function shortened(text, most) {
    return text.length > most ? text.slice(0, Math.max(most - 1, 1)) + "…" : text;
  }

  function isIn(trial) {
    return [...brushes].every(([axis, [low, high]]) => {
      const place = trial.places[axis] ?? absent;
      return low <= place && place <= high;
    });
  }

  function update() {
    let kept = 0;
    for (let index = trials.length - 1; index >= 0; index--) { // so that the best is on top
      const within = isIn(trials[index]);
      kept += within;
      (within ? lines : behind).append(paths[index]);
      paths[index].classList.toggle("out", !within);
      rows.get(index).classList.toggle("picked", within && brushes.size > 0);
      rows.get(index).hidden = !within;
    }
    drawn.forEach(({ group, brush }, axis) => {
      const [low, high] = brushes.get(axis) ?? [lowest, 1];
      brush.setAttribute("visibility", brushes.has(axis) ? "visible" : "hidden");
      brush.setAttribute("y", y(high));
      brush.setAttribute("height", y(low) - y(high));
      group.setAttribute("aria-valuenow", Math.round(100 * Math.max(low, 0)));
      group.setAttribute("aria-valuetext", brushes.has(axis) ? `from ${Math.round(100 * low)} to ${Math.round(100 * high)} % of the axis, ${kept} trials` : "all");
    });
    count.textContent = brushes.size ? `${kept} of ${trials.length} trials chosen.` : `${trials.length} trials.`;
    clear.hidden = brushes.size === 0;
  }

  function keep(axis, low, high) {
    brushes.set(axis, [Math.max(low, lowest), Math.min(high, 1)]);
    update();
  }

  function showAll() {
    brushes.clear();
    update();
  }

  function byKey(event, axis) {
    const step = { ArrowUp: 0.05, ArrowDown: -0.05 }[event.key];
    if (event.key === "Escape") showAll();
    if (step === undefined) return;
    event.preventDefault();
    const [low, high] = brushes.get(axis) ?? [lowest, 1];
    if (event.shiftKey) keep(axis, low, Math.max(high + step, low));
    else keep(axis, Math.min(low + step, high), high);
  }

  function light(index, event) {
    document.querySelector("tr.hot")?.classList.remove("hot");
    hot.setAttribute("d", index < 0 ? "" : paths[index].getAttribute("d"));
    tip.hidden = index < 0 || !event;
    if (index < 0) return;
    rows.get(index).classList.add("hot");
    if (event) describe(trials[index], event);
  }

  function describe(trial, event) {
    const list = document.createElement("dl");
    axes.forEach(({ name }, axis) => {
      if (trial.places[axis] === null && axis < axes.length - 1) return;
      list.append(Object.assign(document.createElement("dt"), { textContent: name }), Object.assign(document.createElement("dd"), { textContent: trial.texts[axis] }));
    });
    tip.replaceChildren(Object.assign(document.createElement("b"), { textContent: trial.name }), list);
    const box = tip.parentElement.getBoundingClientRect();
    const [left, above] = [event.clientX - box.left, event.clientY - box.top];
    tip.style.left = `${Math.max(0, left + 16 + tip.offsetWidth > box.width ? left - 16 - tip.offsetWidth : left + 16)}px`;
    tip.style.top = `${Math.max(0, above - 20)}px`;
  }

  function point(event) {
    const at = new DOMPoint(event.clientX, event.clientY).matrixTransform(svg.getScreenCTM().inverse());
    return { at, place: 1 - (at.y - top) / length };
  }

  function nearest({ x: across, y: down }) {
    const axis = Math.min(Math.max(Math.floor((across - side) / gap), 0), Math.max(axes.length - 2, 0));
    const share = Math.min(Math.max((across - x(axis)) / gap, 0), 1);
    let [found, least] = [-1, 10]; // of lines that are as near, the one on top
    trials.forEach((trial, index) => {
      if (paths[index].classList.contains("out")) return;
      const from = y(trial.places[axis]);
      const away = Math.abs(from + (y(trial.places[axis + 1]) - from) * share - down);
      if (away < least - 1) [found, least] = [index, away];
    });
    return found;
  }

  let drag = null; // the axis and the place where it began
  svg.addEventListener("pointerdown", (event) => {
    const axis = drawn.findIndex(({ group }) => group.contains(event.target));
    if (axis < 0) return light(nearest(point(event).at), event);
    drag = { axis, from: point(event).place };
    svg.setPointerCapture(event.pointerId);
    light(-1);
  });
  svg.addEventListener("pointermove", (event) => {
    const { at, place } = point(event);
    if (!drag) return light(nearest(at), event);
    if (Math.abs(place - drag.from) > 0.01) keep(drag.axis, Math.min(place, drag.from), Math.max(place, drag.from));
  });
  svg.addEventListener("pointerup", () => (drag = null));
  svg.addEventListener("pointercancel", () => (drag = null));
  svg.addEventListener("pointerleave", () => light(-1));
  svg.addEventListener("dblclick", showAll);
  clear.addEventListener("click", showAll);
  table.addEventListener("pointerover", (event) => {
    const row = event.target.closest("tr[data-trial]");
    light(row ? Number(row.dataset.trial) : -1);
  });
  table.addEventListener("pointerleave", () => light(-1));
  update();
})();
