// The divider between the two videos: dragged with mouse or finger anywhere on the picture, or moved by keys.

const KEY_STEP = 2; // percent; ten with shift

class Divider {
  constructor(picture, handle) {
    this.picture = picture;
    this.handle = handle;
    this.describe = () => "";
    picture.addEventListener("pointerdown", (event) => this.begin(event));
    picture.addEventListener("pointermove", (event) => this.drag(event));
    picture.addEventListener("pointerup", (event) => this.end(event));
    picture.addEventListener("pointercancel", () => {
      this.pointer = null;
    });
    handle.addEventListener("keydown", (event) => this.key(event));
    this.set(50);
  }

  set(percent) {
    this.percent = clamp(percent, 0, 100);
    this.picture.style.setProperty("--split", `${this.percent}%`);
    this.handle.setAttribute("aria-valuenow", String(Math.round(this.percent)));
    this.handle.setAttribute("aria-valuetext", `${Math.round(this.percent)} %${this.describe()}`);
  }

  begin(event) {
    if (event.button !== 0) return;
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
    // these keys step frames elsewhere on the page
    event.stopPropagation();
  }
}
