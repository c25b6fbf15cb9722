// The divider between source and result: dragged with mouse or finger anywhere on the picture, or moved by keys.

const KEY_STEP = 2; // percent; ten with shift

/** Events: `moved`. */
export class Divider extends EventTarget {
  constructor(picture, handle) {
    super();
    this.picture = picture;
    this.handle = handle;
    picture.addEventListener("pointerdown", (event) => this.begin(event));
    picture.addEventListener("pointermove", (event) => this.drag(event));
    picture.addEventListener("pointerup", (event) => this.end(event));
    picture.addEventListener("pointercancel", () => {
      this.pointer = null;
    });
    handle.addEventListener("keydown", (event) => this.key(event));
  }

  set(percent) {
    this.percent = Math.min(Math.max(percent, 0), 100);
    const shown = Math.round(this.percent);
    this.picture.style.setProperty("--split", `${this.percent}%`);
    this.handle.setAttribute("aria-valuenow", String(shown));
    this.handle.setAttribute("aria-valuetext", `source ${shown} %, result ${100 - shown} %`);
    this.dispatchEvent(new Event("moved"));
  }

  begin(event) {
    // in the other views there is nothing to divide
    if (event.button !== 0 || !this.handle.offsetParent) return;
    this.pointer = event.pointerId;
    this.picture.setPointerCapture(event.pointerId);
    // a finger may be about to scroll the page, which ends in `pointercancel`
    if (event.pointerType !== "touch") this.moveTo(event);
    this.handle.focus({ preventScroll: true, focusVisible: false });
    event.preventDefault();
  }

  drag(event) {
    if (event.pointerId === this.pointer) this.moveTo(event);
  }

  end(event) {
    if (event.pointerId !== this.pointer) return;
    this.moveTo(event);
    this.pointer = null;
  }

  moveTo(event) {
    const { left, width } = this.picture.getBoundingClientRect();
    this.set((100 * (event.clientX - left)) / width);
  }

  key(event) {
    if (event.ctrlKey || event.altKey || event.metaKey) return;
    const step = event.shiftKey ? 5 * KEY_STEP : KEY_STEP;
    const moves = {
      ArrowLeft: this.percent - step,
      ArrowDown: this.percent - step,
      ArrowRight: this.percent + step,
      ArrowUp: this.percent + step,
      Home: 0,
      End: 100,
    };
    if (!(event.key in moves)) return;
    this.set(moves[event.key]);
    event.preventDefault();
  }
}
