// The read-outs: figures of the server, and those that are measured on the page.

import { Graph } from "./graph.js";

const decimals = (value, digits) => (value === null || value === undefined ? "–" : value.toFixed(digits));
const duration = (seconds) => (seconds < 1 ? `${Math.round(1000 * seconds)} ms` : `${seconds.toPrecision(3)} s`);
const bytes = (value) => (value < 1e9 ? `${Math.round(value / 1e6)} MB` : `${(value / 1e9).toFixed(2)} GB`);

export class Figures {
  constructor(root) {
    const all = [...root.querySelectorAll("[data-figure]")];
    this.places = Object.fromEntries(all.map((place) => [place.dataset.figure, place]));
    this.graph = new Graph(root.querySelector("#graph"));
    this.stages = root.querySelector("#stages tbody");
    this.rows = new Map();
    this.block = null;
  }

  put(name, text) {
    const place = this.places[name];
    if (place.textContent !== text) place.textContent = text;
  }

  /** What the server says after a block. */
  show(stats) {
    this.put("fps_in", decimals(stats.fps_in, 1));
    this.put("fps_out", decimals(stats.fps_out, 1));
    for (const name of ["skipped", "dropped_blocks"]) this.put(name, String(stats[name] ?? 0));
    this.put("block", String(stats.block ?? "–"));
    this.put("memory", stats.memory_bytes ? bytes(stats.memory_bytes) : "–");
    this.put("device_memory", stats.device_bytes ? `${bytes(stats.device_bytes)} on the device` : "of the server");
    if (stats.block === this.block) return;
    this.block = stats.block;
    if (typeof stats.kept_fraction === "number") {
      this.put("kept", `${Math.round(100 * stats.kept_fraction)} %`);
      this.graph.add(stats.kept_fraction);
    }
    this.showStages(stats.stages ?? {});
  }

  /** What is measured on the page; `latency` in milliseconds. */
  measure({ latency, shown }) {
    this.put("latency", latency === null ? "–" : duration(latency / 1000));
    this.put("fps_shown", decimals(shown, 1));
  }

  showStages(stages) {
    const whole = Object.values(stages).reduce((sum, seconds) => sum + seconds, 0);
    this.put("seconds", whole ? duration(whole) : "");
    const names = Object.keys(stages);
    if (names.join() !== [...this.rows.keys()].join()) this.arrange(names);
    for (const [name, seconds] of Object.entries(stages)) {
      const { bar, time } = this.rows.get(name);
      bar.style.setProperty("--part", `${(100 * seconds) / (whole || 1)}%`);
      time.textContent = duration(seconds);
    }
  }

  /** A row for each stage, in their order; not every block has every stage. */
  arrange(names) {
    this.rows = new Map(names.map((name) => [name, this.rows.get(name) ?? makeRow(name)]));
    this.stages.replaceChildren(...[...this.rows.values()].map(({ row }) => row));
  }

  /** Figures of a call that ended. */
  clear() {
    for (const name of ["latency", "fps_in", "fps_out", "fps_shown", "block", "kept", "memory"]) this.put(name, "–");
    this.block = null;
    this.graph.clear();
    this.showStages({});
  }
}

function makeRow(name) {
  const row = document.createElement("tr");
  const head = document.createElement("th");
  head.scope = "row";
  head.textContent = name;
  row.append(head);
  const bar = document.createElement("span");
  bar.className = "bar-part";
  row.insertCell().append(bar);
  const time = row.insertCell();
  time.className = "number";
  return { row, bar, time };
}
