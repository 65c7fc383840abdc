// What the page uses of Cornerstone3D.
export { Enums, RenderingEngine, cache, imageLoader, init, metaData, utilities } from "@cornerstonejs/core";
