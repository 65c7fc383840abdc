// The slice on the screen: Cornerstone's stack viewport, fed with the Hounsfield units that the server read.

import { Enums, RenderingEngine, cache, imageLoader, init, metaData, utilities } from "./vendor/cornerstone.js";
import { pixels } from "./server.js";

const SCHEME = "ichtune";
const slices = new Map();
const idOf = ({ address }) => `${SCHEME}:${address}`;

/** Makes the viewport in an element; `changed` is called whenever it has drawn, `failed` if it can't load a slice. */
export function makeViewport(element, changed, failed) {
  init({ rendering: { webGlContextCount: 1 } });
  imageLoader.registerImageLoader(SCHEME, (id) => ({
    promise: load(id).catch((error) => {
      if (slices.has(id)) failed(error); // else another series is shown by now
      throw error;
    }),
  }));
  metaData.addProvider(described, 1);
  const engine = new RenderingEngine("engine");
  engine.enableElement({ viewportId: "slices", element, type: Enums.ViewportType.STACK });
  element.addEventListener(Enums.Events.IMAGE_RENDERED, changed);
  new ResizeObserver(() => engine.resize(true, true)).observe(element);
  return engine.getViewport("slices");
}

/** Shows a series' slices, each as { address, rows, columns, pixel_mm }, from one of them on. */
export async function showSeries(viewport, series, at) {
  cache.purgeCache();
  slices.clear();
  series.forEach((slice, number) => slices.set(idOf(slice), { ...slice, number }));
  await viewport.setStack(series.map(idOf), at);
}

/** Whether the slice of an address is what is on the screen. */
export function isOnScreen(viewport, address) {
  return viewport.getCornerstoneImage()?.imageId === idOf({ address });
}

/** Loads the slices that aren't loaded yet, so that scrolling need not wait for them. */
export async function loadAhead() {
  for (const id of [...slices.keys()]) {
    if (!slices.has(id)) return; // another series is shown by now
    await imageLoader.loadAndCacheImage(id).catch(() => {});
  }
}

export function setWindow(viewport, { center, width }) {
  viewport.setProperties({ voiRange: { lower: center - width / 2, upper: center + width / 2 } });
  viewport.render();
}

export function windowOf(viewport) {
  const { lower, upper } = viewport.getProperties().voiRange;
  return { center: (lower + upper) / 2, width: upper - lower };
}

/** The image's corners on the viewport's canvas in CSS pixels, [left, top, right, bottom]. */
export function cornersOf(viewport) {
  const { dimensions } = viewport.getImageData();
  const { imageData } = viewport.getImageData();
  const at = (column, row) => viewport.worldToCanvas(imageData.indexToWorld([column, row, 0]));
  return [...at(-0.5, -0.5), ...at(dimensions[0] - 0.5, dimensions[1] - 0.5)];
}

/** The Hounsfield units at a place of the canvas; undefined outside the image. */
export function hounsfieldAt(viewport, place) {
  const [left, top, right, bottom] = cornersOf(viewport);
  const { dimensions, scalarData } = viewport.getImageData();
  const column = Math.floor(((place[0] - left) / (right - left)) * dimensions[0]);
  const row = Math.floor(((place[1] - top) / (bottom - top)) * dimensions[1]);
  const inside = column >= 0 && row >= 0 && column < dimensions[0] && row < dimensions[1];
  return inside ? scalarData[row * dimensions[0] + column] : undefined;
}

async function load(id) {
  const { address, rows, columns, pixel_mm } = slices.get(id);
  const hu = await pixels(address);
  let [low, high] = [hu[0], hu[0]];
  for (const value of hu) {
    if (value < low) low = value;
    if (value > high) high = value;
  }
  const manager = utilities.VoxelManager.createImageVoxelManager({
    width: columns,
    height: rows,
    numberOfComponents: 1,
    scalarData: hu,
  });
  return {
    imageId: id,
    minPixelValue: low,
    maxPixelValue: high,
    slope: 1,
    intercept: 0,
    windowCenter: 40,
    windowWidth: 80,
    voiLUTFunction: "LINEAR_EXACT",
    voxelManager: manager,
    getPixelData: () => hu,
    rows,
    columns,
    height: rows,
    width: columns,
    color: false,
    rgba: false,
    numberOfComponents: 1,
    columnPixelSpacing: pixel_mm ?? 1,
    rowPixelSpacing: pixel_mm ?? 1,
    invert: false,
    photometricInterpretation: "MONOCHROME2",
    dataType: "Int16Array",
    sizeInBytes: hu.byteLength,
  };
}

function described(type, id) {
  const slice = slices.get(id);
  if (!slice) return undefined;
  const { rows, columns, number } = slice;
  const side = slice.pixel_mm ?? 1;
  switch (type) {
    case "imagePixelModule":
      return {
        rows,
        columns,
        pixelRepresentation: 1,
        bitsAllocated: 16,
        bitsStored: 16,
        highBit: 15,
        photometricInterpretation: "MONOCHROME2",
        samplesPerPixel: 1,
      };
    case "imagePlaneModule":
      return {
        rows,
        columns,
        rowPixelSpacing: side,
        columnPixelSpacing: side,
        rowCosines: [1, 0, 0],
        columnCosines: [0, 1, 0],
        imageOrientationPatient: [1, 0, 0, 0, 1, 0],
        imagePositionPatient: [0, 0, number],
        frameOfReferenceUID: "series",
      };
    case "generalSeriesModule":
      return { modality: "CT" };
    default:
      return undefined;
  }
}
