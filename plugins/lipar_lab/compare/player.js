// The player: puts together videos, masks, divider and controls. Data: see `lipar_lab/compare/player.py`.

const SHADE = [26, 41, 87, 159]; // as the overlay of `lipar edit`
const GREY = [128, 128, 128, 255];

class Player {
  constructor(root, data) {
    this.root = root;
    this.data = data;
    this.urls = new Map();
    const find = (selector) => root.querySelector(selector);
    this.controls = Object.fromEntries(
      ["play", "back", "forward", "speed", "loop", "mask", "swap", "scrubber", "clock"].map((name) => [name, find(`.${name}`)]),
    );
    const both = (selector) => [find(`${selector}.left`), find(`${selector}.right`)];
    this.choices = both("select.choice");
    this.names = both(".name");
    const sides = both(".side");
    this.painters = sides.map((side) => new MaskPainter(side.querySelector("canvas"), data.rows, data.cols));
    this.pair = new VideoPair(sides.map((side) => side.querySelector("video")), data.frames, data.fps);
    this.divider = new Divider(find(".picture"), find(".divider"));
    this.divider.describe = () => `, left: ${this.side(0).label}, right: ${this.side(1).label}`;
    this.bindControls();
    this.bindGraph(find(".plot"));
    document.addEventListener("keydown", (event) => this.key(event));
  }

  /** What is chosen on a side. */
  side(index) {
    return this.data.sides[this.choices[index].value];
  }

  async begin() {
    for (const choice of this.choices) {
      choice.append(...this.data.sides.map(({ label }, index) => new Option(label, String(index))));
    }
    await this.choose(...this.data.views.dense);
    this.root.dataset.ready = "";
  }

  /** Shows two of the sides. */
  async choose(left, right) {
    [left, right].forEach((value, index) => {
      this.choices[index].value = String(value);
      this.names[index].textContent = this.side(index).label;
    });
    for (const button of this.root.querySelectorAll("[data-view]")) {
      const [a, b] = this.data.views[button.dataset.view];
      button.setAttribute("aria-pressed", String(a === Number(left) && b === Number(right)));
    }
    this.divider.set(this.divider.percent);
    await Promise.all([0, 1].map((index) => this.pair.load(index, this.url(this.side(index).video))));
    this.show();
  }

  /** Address of a video: made when it is first chosen, from the base64 text in the page. */
  url(index) {
    if (!this.urls.has(index)) {
      const text = atob(document.getElementById(`video-${index}`).textContent);
      const bytes = Uint8Array.from(text, (letter) => letter.charCodeAt(0));
      this.urls.set(index, URL.createObjectURL(new Blob([bytes], { type: "video/mp4" })));
    }
    return this.urls.get(index);
  }

  /** The mask for a side: its own, else that of the other side, else the first. */
  maskOf(index) {
    return this.data.masks[this.side(index).mask ?? this.side(1 - index).mask ?? 0];
  }

  /** Brings masks, clock, scrubber and graph to the frame that is shown. */
  show() {
    const { data, pair, controls } = this;
    this.painters.forEach((painter, index) => {
      const { grey } = this.side(index);
      const mask = this.maskOf(index);
      const runs = mask && (grey || controls.mask.checked) ? mask.runs[data.latent_of[pair.shown[index]]] : null;
      painter.paint(runs, grey ? GREY : SHADE);
    });
    const { frame } = pair;
    const seconds = (frame / data.fps).toFixed(2);
    controls.clock.textContent = `frame ${frame} of ${data.frames - 1}, ${seconds} s`;
    controls.scrubber.value = String(frame);
    controls.scrubber.setAttribute("aria-valuetext", `frame ${frame}, ${seconds} s`);
    this.playhead.style.left = `${(100 * (frame + 0.5)) / data.frames}%`;
    this.kept.forEach((output, index) => {
      output.textContent = `${Math.round(100 * data.masks[index].kept[data.latent_of[frame]])} %`;
    });
    this.root.dataset.frame = String(frame);
  }

  bindControls() {
    const { controls, pair } = this;
    pair.addEventListener("frame", () => this.show());
    pair.addEventListener("state", () => {
      controls.play.textContent = pair.playing ? "Pause" : "Play";
    });
    controls.play.addEventListener("click", () => this.toggle());
    controls.back.addEventListener("click", () => this.step(-1));
    controls.forward.addEventListener("click", () => this.step(1));
    controls.scrubber.addEventListener("input", () => pair.seek(Number(controls.scrubber.value)));
    controls.speed.addEventListener("change", () => pair.setRate(Number(controls.speed.value)));
    controls.loop.addEventListener("change", () => {
      pair.repeat = controls.loop.checked;
    });
    controls.mask.addEventListener("change", () => this.show());
    controls.swap.addEventListener("click", () => this.swap());
    for (const choice of this.choices) {
      choice.addEventListener("change", () => this.choose(this.choices[0].value, this.choices[1].value));
    }
    for (const button of this.root.querySelectorAll("[data-view]")) {
      button.addEventListener("click", () => this.choose(...this.data.views[button.dataset.view]));
    }
  }

  bindGraph(plot) {
    this.playhead = plot.querySelector(".playhead");
    this.kept = [...this.root.querySelectorAll(".legend output")];
    const seek = (event) => {
      const { left, width } = plot.getBoundingClientRect();
      this.pair.seek(Math.floor((this.data.frames * (event.clientX - left)) / width));
    };
    plot.addEventListener("pointerdown", (event) => {
      plot.setPointerCapture(event.pointerId);
      seek(event);
    });
    plot.addEventListener("pointermove", (event) => {
      if (plot.hasPointerCapture(event.pointerId)) seek(event);
    });
  }

  toggle() {
    return this.pair.playing ? this.pair.pause() : this.pair.play();
  }

  async step(frames) {
    await this.pair.pause();
    await this.pair.seek(this.pair.wanted + frames);
  }

  swap() {
    this.divider.set(100 - this.divider.percent);
    return this.choose(this.choices[1].value, this.choices[0].value);
  }

  key(event) {
    if (event.ctrlKey || event.altKey || event.metaKey) return;
    const { target } = event;
    // these use arrows or space themselves
    if (target.closest("select, .scroll, pre")) return;
    if (event.key === " " && target.closest("button, summary, input[type=checkbox], a")) return;
    const { controls, pair, data } = this;
    const far = event.shiftKey ? 10 : 1;
    const actions = {
      " ": () => this.toggle(),
      ArrowLeft: () => this.step(-far),
      ArrowRight: () => this.step(far),
      Home: () => pair.seek(0),
      End: () => pair.seek(data.frames - 1),
      m: () => {
        controls.mask.checked = !controls.mask.checked;
        this.show();
      },
      s: () => this.swap(),
    };
    const action = actions[event.key];
    if (!action) return;
    event.preventDefault();
    action();
  }
}

const player = new Player(
  document.getElementById("player"),
  JSON.parse(document.getElementById("player-data").textContent),
);
await player.begin();
