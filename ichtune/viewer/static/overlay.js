// The activation map over the slice: one colour, the more opaque the higher the activation.

import { activationMap, Refused } from "./server.js";
import { cornersOf } from "./viewport.js";

const COLOUR = [255, 120, 0];
const KEPT = 100; // maps that are remembered, of 256 KiB each for a slice of 512 x 512

/** An overlay on a canvas above the viewport; `said` is called with what there is to say about the map. */
export function makeOverlay(canvas, viewport, said) {
  const pictures = new Map();
  let wanted = null;
  let asking = false;
  let opacity = 0.6;
  let spoke = false;

  function say(text) {
    if (text || spoke) said(text);
    spoke = Boolean(text);
  }

  /** Asks for the map that is wanted, one after the other, since the wish may have changed meanwhile. */
  async function ask() {
    if (asking) return;
    asking = true;
    try {
      while (wanted && !pictures.has(wanted.key)) {
        const { key, address, label, slice } = wanted;
        const map = await activationMap(address, label);
        pictures.set(key, { picture: pictureOf(map, slice), empty: !map.some(Boolean) });
        if (pictures.size > KEPT) pictures.delete(pictures.keys().next().value);
      }
    } catch (error) {
      if (!(error instanceof Refused)) throw error;
      say(`no map: ${error.message}`);
      wanted = null;
    } finally {
      asking = false;
    }
    draw();
  }

  function draw() {
    const found = wanted && pictures.get(wanted.key);
    drawPicture(canvas, viewport, found?.picture, opacity);
    canvas.dataset.shown = found ? wanted.key : "";
    if (wanted) say(!found ? "computing the map…" : found.empty ? "map: nothing here speaks for the label" : "");
  }

  return {
    draw,
    /** Shows the map of a slice, { address, rows, columns }, for a label, or none. */
    want(slice, label) {
      wanted = slice && { key: `${slice.address}/${label}`, address: slice.address, label, slice };
      if (!wanted) say("");
      draw();
      if (wanted) ask();
    },
    setOpacity(value) {
      opacity = value;
      draw();
    },
  };
}

function pictureOf(map, { rows, columns }) {
  const picture = new OffscreenCanvas(columns, rows);
  const image = new ImageData(columns, rows);
  for (let at = 0; at < map.length; at++) image.data.set([...COLOUR, map[at]], 4 * at);
  picture.getContext("2d").putImageData(image, 0, 0);
  return picture;
}

/** Draws a picture where the viewport shows its slice; clears the canvas if there is none. */
function drawPicture(canvas, viewport, picture, opacity) {
  const scale = window.devicePixelRatio || 1;
  canvas.width = Math.round(canvas.clientWidth * scale);
  canvas.height = Math.round(canvas.clientHeight * scale);
  if (!picture) return;
  const [left, top, right, bottom] = cornersOf(viewport);
  const pen = canvas.getContext("2d");
  pen.scale(scale, scale);
  pen.globalAlpha = opacity;
  pen.drawImage(picture, left, top, right - left, bottom - top);
}
