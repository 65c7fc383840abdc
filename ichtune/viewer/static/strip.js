// The strip along the scan: a row per label, a bar per slice, whose height is the probability.

const ROW = 30; // CSS pixels, also in viewer.css
const GAP = 5;

/** Draws the probabilities [slice][label] on a canvas, with the shown slice and the chosen label marked. */
export function drawStrip(canvas, { probabilities, thresholds, slices, slice, label }) {
  const width = canvas.clientWidth;
  const height = ROW * thresholds.length;
  const scale = window.devicePixelRatio || 1;
  canvas.width = Math.round(width * scale);
  canvas.height = Math.round(height * scale);
  const pen = canvas.getContext("2d");
  pen.scale(scale, scale);
  const colour = coloursOf(canvas);
  const step = width / slices;
  thresholds.forEach((threshold, row) => {
    const top = row * ROW + GAP;
    const high = ROW - GAP;
    pen.fillStyle = row === label ? colour("--strip-chosen") : colour("--strip");
    pen.fillRect(0, top, width, high);
    if (probabilities) {
      probabilities.forEach((of, place) => {
        drawBar(pen, colour, { left: place * step, step, top, high, value: of[row], threshold });
      });
    }
    drawThreshold(pen, colour("--threshold"), width, top + high * (1 - threshold));
  });
  drawPlace(pen, colour("--place"), slice * step, step, height);
}

/** The slice at a horizontal place of the strip, in CSS pixels from its left edge. */
export function sliceAt(canvas, x, slices) {
  return Math.min(slices - 1, Math.max(0, Math.floor((x / canvas.clientWidth) * slices)));
}

function coloursOf(element) {
  const style = getComputedStyle(element);
  return (name) => style.getPropertyValue(name);
}

function drawBar(pen, colour, { left, step, top, high, value, threshold }) {
  const wide = Math.max(1, step - (step > 4 ? 1 : 0));
  const tall = Math.max(1, high * value);
  const present = value >= threshold;
  pen.fillStyle = colour(present ? "--present" : "--absent");
  pen.fillRect(left, top + high - tall, wide, tall);
  if (present) {
    pen.beginPath();
    pen.arc(left + wide / 2, top - 1, Math.min(2.5, Math.max(1, wide / 2)), 0, 2 * Math.PI);
    pen.fill();
  }
}

function drawThreshold(pen, colour, width, y) {
  pen.strokeStyle = colour;
  pen.lineWidth = 1;
  pen.setLineDash([3, 3]);
  pen.beginPath();
  pen.moveTo(0, y);
  pen.lineTo(width, y);
  pen.stroke();
  pen.setLineDash([]);
}

function drawPlace(pen, colour, left, step, height) {
  pen.strokeStyle = colour;
  pen.lineWidth = 2;
  pen.strokeRect(left - (step < 4 ? 2 : 0), 1, Math.max(step, 4), height - 2);
}
