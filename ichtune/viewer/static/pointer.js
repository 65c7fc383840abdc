// The mouse and fingers on the viewport: drag to window, wheel to scroll, Shift and drag to move, Ctrl and wheel to zoom.

const HU_PER_PIXEL = 1;
const NOTCH = 40; // what the wheel of a mouse turns at least; a touchpad sends many small turns

/** Calls `act` with what is done: window(center, width), move(x, y), zoom(factor), scroll(slices), point([x, y] or null). */
export function followPointer(element, act) {
  const held = new Map();
  let turned = 0;

  element.addEventListener("pointerdown", (event) => {
    element.setPointerCapture(event.pointerId);
    held.set(event.pointerId, event);
    event.preventDefault();
    element.focus({ preventScroll: true });
  });
  element.addEventListener("pointermove", (event) => {
    const { left, top } = element.getBoundingClientRect();
    act.point([event.clientX - left, event.clientY - top]);
    const before = held.get(event.pointerId);
    if (!before) return;
    const [x, y] = [event.clientX - before.clientX, event.clientY - before.clientY];
    if (held.size === 2) {
      const other = [...held.values()].find((one) => one.pointerId !== event.pointerId);
      act.zoom(distance(event, other) / distance(before, other));
      act.move(x / 2, y / 2);
    } else if (event.shiftKey || event.buttons === 4) {
      act.move(x, y);
    } else {
      act.window(y * HU_PER_PIXEL, x * HU_PER_PIXEL);
    }
    held.set(event.pointerId, event);
  });
  for (const end of ["pointerup", "pointercancel"]) {
    element.addEventListener(end, (event) => held.delete(event.pointerId));
  }
  element.addEventListener("pointerleave", () => act.point(null));
  element.addEventListener(
    "wheel",
    (event) => {
      event.preventDefault();
      if (event.ctrlKey) {
        act.zoom(event.deltaY < 0 ? 1.1 : 1 / 1.1);
        return;
      }
      turned += event.deltaY * (event.deltaMode === WheelEvent.DOM_DELTA_LINE ? NOTCH : 1);
      const slices = Math.trunc(turned / NOTCH);
      if (slices) act.scroll(Math.sign(slices));
      turned = slices ? 0 : turned;
    },
    { passive: false },
  );
}

function distance(one, other) {
  return Math.max(1, Math.hypot(one.clientX - other.clientX, one.clientY - other.clientY));
}
