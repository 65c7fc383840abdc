// The page: what is shown, and what happens to it.

import { makeAnswers } from "./answers.js";
import { chosenFiles, droppedFiles } from "./dropped.js";
import { followKeys, listKeys } from "./keys.js";
import { showMessages, showStatus } from "./messages.js";
import { makeOverlay } from "./overlay.js";
import { followPointer } from "./pointer.js";
import { receive, showRejected } from "./receive.js";
import * as server from "./server.js";
import { drawStrip, sliceAt } from "./strip.js";
import { hounsfieldAt, isOnScreen, loadAhead, makeViewport, setWindow, showSeries, windowOf } from "./viewport.js";

const $ = (selector) => document.querySelector(selector);
const state = { study: null, series: 0, slice: 0, label: 0, loaded: false, probabilities: null, pointed: null, map: false };
let model, viewport, overlay, showAnswers;

const slices = () => state.study?.series[state.series].slices ?? [];
const shownSlice = () => ({ ...slices()[state.slice], address: server.sliceAddress(state.study.number, state.series, state.slice) });

async function start() {
  model = await server.model();
  state.label = model.labels.length - 1;
  $("#model").textContent = `model ${model.name}`;
  $("#thresholds").textContent = `Thresholds: ${model.thresholds_chosen}.`;
  $("#calibration").textContent = `Calibration of the probabilities: ${model.calibration}.`;
  viewport = makeViewport($("#viewport"), drawn, failed);
  overlay = makeOverlay($("#overlay"), viewport, showStatus);
  $("#map-tools").hidden = !model.has_maps;
  showAnswers = makeAnswers($("#answers tbody"), model.labels, model.thresholds, { choose: chooseLabel, go: goTo });
  makeButtons();
  followPointer($("#viewport"), pointer);
  followKeys(keys);
  listKeys($("#keys dl"), keys, mouse);
  for (const label of model.labels) $("#names").append(nameOf(label));
  const study = await server.openStudy();
  if (study) {
    const files = Object.keys(study.rejected).length + study.series.reduce((sum, one) => sum + one.slices.length, 0);
    showRejected(reasonsOf(study), files, study);
    await openStudy(study);
  }
}

const reasonsOf = (study) => Object.entries(study.rejected).map(([name, why]) => `${name}: ${why}`);

function nameOf(label) {
  const name = document.createElement("span");
  name.textContent = label;
  return name;
}

// What is shown

async function openStudy(study) {
  state.study = study;
  $("#drop").hidden = true;
  for (const part of ["#scan", "#strip-note", "#answers", "#series"]) $(part).hidden = false;
  $("#series ul").replaceChildren(...study.series.map(seriesItem));
  await openSeries(study.first);
}

function seriesItem(series, number) {
  const item = document.createElement("li");
  const button = document.createElement("button");
  button.type = "button";
  const thickness = series.thickness_mm ? `, ${series.thickness_mm} mm` : "";
  button.textContent = `${series.description} (${series.slices.length} slices${thickness})`;
  button.addEventListener("click", () => openSeries(number).catch(failed));
  item.append(button);
  for (const text of series.notes) {
    const note = document.createElement("p");
    note.textContent = text;
    item.append(note);
  }
  return item;
}

async function openSeries(number) {
  const study = state.study;
  const isShown = () => state.study === study && state.series === number;
  const slice = Math.floor(study.series[number].slices.length / 2);
  Object.assign(state, { series: number, slice, probabilities: null, loaded: false });
  $("#series ul").childNodes.forEach((item, place) =>
    item.querySelector("button").setAttribute("aria-pressed", String(place === number)),
  );
  showSlice();
  const all = slices().map((one, place) => ({ ...one, address: server.sliceAddress(study.number, number, place) }));
  await showSeries(viewport, all, slice);
  if (!isShown()) return;
  state.loaded = true;
  chooseWindow(state.window);
  goTo(state.slice);
  loadAhead();
  showStatus("The model is reading the series…");
  const probabilities = await server.probabilities(study.number, number).finally(() => showStatus(""));
  if (!isShown()) return;
  state.probabilities = probabilities;
  showSlice();
}

function goTo(slice) {
  if (!slices().length) return;
  state.slice = Math.min(slices().length - 1, Math.max(0, slice));
  if (state.loaded) {
    viewport
      .setImageIdIndex(state.slice)
      .then(() => setWindow(viewport, state.window)) // without WebGL, a new slice's window is 1 HU narrower
      .catch(() => {}); // makeViewport reports it
  }
  showSlice();
}

function showSlice() {
  const { slice, probabilities } = state;
  const z = slices()[slice].z_mm;
  $("#where").textContent = `slice ${slice + 1} of ${slices().length}${z === null ? "" : `, z ${z.toFixed(1)} mm`}`;
  document.querySelectorAll(".side").forEach((mark, edge) => {
    mark.textContent = slices()[slice].sides?.[edge] ?? "";
  });
  $("#answers h2").textContent = `Slice ${slice + 1}`;
  showAnswers(state);
  const strip = $("#strip");
  drawStrip(strip, { ...state, thresholds: model.thresholds, slices: slices().length });
  strip.setAttribute("aria-valuemin", 1);
  strip.setAttribute("aria-valuemax", slices().length);
  strip.setAttribute("aria-valuenow", slice + 1);
  const value = probabilities?.[slice][state.label].toFixed(2);
  strip.setAttribute("aria-valuetext", `slice ${slice + 1}${value ? `, ${model.labels[state.label]} ${value}` : ""}`);
  $("#names").childNodes.forEach((name, number) => name.classList.toggle("chosen", number === state.label));
  dimWhatIsBehind();
  overlay.want(state.map && probabilities && state.loaded ? shownSlice() : null, state.label);
}

function drawn() {
  showReadout();
  dimWhatIsBehind();
  overlay.draw();
}

/** A slice that is still on the screen while its successor loads must not pass for it. */
function dimWhatIsBehind() {
  const isRight = slices().length && isOnScreen(viewport, shownSlice().address);
  $("#frame").classList.toggle("behind", !isRight);
}

function showReadout() {
  if (!state.loaded) return;
  const { center, width } = windowOf(viewport);
  const hu = state.pointed && hounsfieldAt(viewport, state.pointed);
  const pointed = hu === null || hu === undefined ? "" : `, ${hu} HU here`;
  $("#shown").textContent = `window ${Math.round(center)}/${Math.round(width)}${pointed}`;
}

// What happens

function chooseLabel(label) {
  state.label = label;
  if (slices().length) showSlice();
}

function chooseWindow(window) {
  state.window = window;
  if (state.loaded) {
    setWindow(viewport, window);
    showReadout();
  }
  for (const button of $("#windows").children) {
    button.setAttribute("aria-pressed", String(button.dataset.name === window.name));
  }
}

function toggleMap() {
  state.map = !state.map;
  $("#map").setAttribute("aria-pressed", String(state.map));
  $("#map-note").hidden = !state.map;
  if (slices().length) showSlice();
}

function nextPresent(step) {
  const { probabilities, label } = state;
  if (!probabilities) return;
  for (let slice = state.slice + step; probabilities[slice]; slice += step) {
    if (probabilities[slice][label] >= model.thresholds[label]) return goTo(slice);
  }
  showStatus(`no ${step > 0 ? "later" : "earlier"} slice reaches the threshold of ${model.labels[label]}`);
}

function zoom(factor) {
  viewport.setZoom(Math.min(20, Math.max(0.2, viewport.getZoom() * factor)));
  viewport.render();
}

function move(x, y) {
  const [left, top] = viewport.getPan();
  viewport.setPan([left + x, top + y]);
  viewport.render();
}

function reset() {
  viewport.resetCamera();
  chooseWindow(model.windows[0]);
}

const whenOpen = (act) => (...given) => state.loaded && act(...given);

const pointer = {
  window: whenOpen((center, width) => {
    const now = windowOf(viewport);
    chooseWindow({ center: now.center + center, width: Math.max(1, now.width + width) });
  }),
  move: whenOpen(move),
  zoom: whenOpen(zoom),
  scroll: (count) => goTo(state.slice + count),
  point: (place) => {
    state.pointed = place;
    showReadout();
  },
};

const keys = [
  { keys: ["ArrowRight", "ArrowDown"], text: "next slice, towards the head", act: () => goTo(state.slice + 1) },
  { keys: ["ArrowLeft", "ArrowUp"], text: "previous slice", act: () => goTo(state.slice - 1) },
  { keys: ["PageDown"], text: "five slices on", act: () => goTo(state.slice + 5) },
  { keys: ["PageUp"], text: "five slices back", act: () => goTo(state.slice - 5) },
  { keys: ["Home"], text: "first slice", act: () => goTo(0) },
  { keys: ["End"], text: "last slice", act: () => goTo(slices().length - 1) },
  { keys: ["n"], text: "next slice that reaches the chosen label’s threshold", act: () => nextPresent(1) },
  { keys: ["p"], text: "previous slice that reaches it", act: () => nextPresent(-1) },
  { keys: ["l"], text: "next label", act: () => chooseLabel((state.label + 1) % model.labels.length) },
  { keys: ["1", "2", "3", "4", "5"], text: "windows", act: (key) => chooseWindow(model.windows[key - 1]) },
  { keys: ["m"], text: "activation map of the chosen label, on or off", act: () => model.has_maps && toggleMap() },
  { keys: ["+"], text: "larger", act: whenOpen(() => zoom(1.2)) },
  { keys: ["-"], text: "smaller", act: whenOpen(() => zoom(1 / 1.2)) },
  { keys: ["r"], text: "reset window, size and place", act: whenOpen(reset) },
  { keys: ["o"], text: "open files", act: () => $("#files").click() },
  { keys: ["?"], text: "this list", act: () => $("#keys").showModal() },
];
const mouse = [
  { name: "drag", text: "window: up and down for the center, left and right for the width" },
  { name: "wheel", text: "scroll" },
  { name: "Shift + drag", text: "move" },
  { name: "Ctrl + wheel", text: "zoom" },
];

function makeButtons() {
  for (const window of model.windows) {
    const button = document.createElement("button");
    Object.assign(button, { type: "button", textContent: window.name, title: `${window.center}/${window.width} HU` });
    button.dataset.name = window.name;
    button.addEventListener("click", () => chooseWindow(window));
    $("#windows").append(button);
  }
  chooseWindow(model.windows[0]);
  $("#reset").addEventListener("click", whenOpen(reset));
  $("#map").addEventListener("click", toggleMap);
  $("#opacity").addEventListener("input", ({ target }) => overlay.setOpacity(target.value / 100));
  $("#show-keys").addEventListener("click", () => $("#keys").showModal());
  $("#messages button").addEventListener("click", () => showMessages(""));
  for (const name of ["files", "folder"]) {
    $(`#open-${name}`).addEventListener("click", () => $(`#${name}`).click());
    $(`#${name}`).addEventListener("change", async ({ target }) => {
      const chosen = chosenFiles(target);
      target.value = "";
      await take(chosen);
    });
  }
  document.addEventListener("dragover", (event) => event.preventDefault());
  document.addEventListener("drop", async (event) => {
    event.preventDefault();
    await take(await droppedFiles(event.dataTransfer));
  });
  followStrip($("#strip"));
}

async function take(files) {
  const study = await receive(files, model.most_bytes);
  if (study) await openStudy(study).catch(failed);
}

function followStrip(strip) {
  const follow = (event) => event.buttons === 1 && goTo(sliceAt(strip, event.offsetX, slices().length));
  strip.addEventListener("pointerdown", (event) => {
    strip.setPointerCapture(event.pointerId);
    follow(event);
  });
  strip.addEventListener("pointermove", follow);
  new ResizeObserver(redraw).observe(strip);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
}

const redraw = () => slices().length && showSlice();

function failed(error) {
  showMessages("Something went wrong", [error.message ?? String(error)]);
}

start().catch(failed);
