// The activation map over the slice: one colour, the more opaque the higher the activation.

import { cornersOf } from "./viewport.js";

const COLOUR = [255, 120, 0];

/** Makes a picture of a map (uint8, 0 to 255 for 0 to 1) with `rows` and `columns`. */
export function pictureOf(map, rows, columns) {
  const picture = new OffscreenCanvas(columns, rows);
  const image = new ImageData(columns, rows);
  for (let at = 0; at < map.length; at++) image.data.set([...COLOUR, map[at]], 4 * at);
  picture.getContext("2d").putImageData(image, 0, 0);
  return picture;
}

/** Draws a picture where the viewport shows its slice; clears the canvas if there is none. */
export function drawOverlay(canvas, viewport, picture, opacity) {
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
