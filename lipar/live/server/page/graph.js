// The kept fraction of the last blocks as a small graph.

const BLOCKS = 60;

export class Graph {
  constructor(canvas) {
    this.canvas = canvas;
    this.values = [];
    new ResizeObserver(() => this.draw()).observe(canvas);
    window.matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.draw());
  }

  add(value) {
    this.values.push(value);
    if (this.values.length > BLOCKS) this.values.shift();
    const [low, high] = [Math.min(...this.values), Math.max(...this.values)].map((part) => Math.round(100 * part));
    this.canvas.setAttribute("aria-label", `Kept fraction of the last ${this.values.length} blocks: ${low} to ${high} %`);
    this.draw();
  }

  clear() {
    this.values = [];
    this.draw();
  }

  draw() {
    const { canvas, values } = this;
    const { width, height } = canvas.getBoundingClientRect();
    const ratio = window.devicePixelRatio;
    Object.assign(canvas, { width: Math.round(width * ratio), height: Math.round(height * ratio) });
    const context = canvas.getContext("2d");
    context.scale(ratio, ratio);
    const colour = (name) => getComputedStyle(canvas).getPropertyValue(name);
    const y = (value) => 1 + (height - 2) * (1 - value);
    context.strokeStyle = colour("--line");
    for (const level of [0, 0.5, 1]) line(context, [[0, y(level)], [width, y(level)]]);
    const bar = width / BLOCKS;
    context.fillStyle = colour("--accent");
    values.forEach((value, index) => {
      const left = width - (values.length - index) * bar;
      context.fillRect(left, y(value), Math.max(bar - 1, 1), height - 1 - y(value));
    });
  }
}

function line(context, points) {
  context.beginPath();
  for (const [x, y] of points) context.lineTo(x, y);
  context.stroke();
}
