// What comes back: source left, result right, below them the time at which the source was taken.

import { Rate, watchFrames } from "./frames.js";
import { readStrip, since } from "./strip.js";

const LATENCIES = 15; // pictures whose median is shown
const FORGET = 60_000; // milliseconds; a larger latency is a damaged strip

const median = (values) => [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)] ?? null;

/** Events: `fresh` when an edited picture is shown that was not there before. */
export class Picture extends EventTarget {
  constructor(video, [source, result], [width, height], strip) {
    super();
    Object.assign(this, { video, width, height, strip, stamp: null, latencies: [], rate: new Rate() });
    this.contexts = [source, result].map((canvas) => {
      Object.assign(canvas, { width, height });
      return canvas.getContext("2d", { alpha: false });
    });
    this.result = result;
    // its own canvas in main memory: reading pixels of the large ones would wait for the graphics processor
    this.strips = new OffscreenCanvas(width, strip).getContext("2d", { alpha: false, willReadFrequently: true });
    watchFrames(video, (time) => this.draw(time));
  }

  draw(time) {
    const { video, width, height, strip, contexts } = this;
    const { videoWidth, videoHeight } = video;
    if (!videoWidth) return;
    const half = videoWidth / 2;
    const top = (videoHeight * height) / (height + strip);
    const stamp = this.read(half, top, videoHeight - top);
    // the server's picture before the first edited one is empty
    if (stamp === null && this.stamp === null) return;
    contexts.forEach((context, side) => context.drawImage(video, side * half, 0, half, top, 0, 0, width, height));
    if (stamp === null || stamp === this.stamp) return;
    this.stamp = stamp;
    this.measure(since(stamp, time));
    this.rate.count();
    this.dispatchEvent(new Event("fresh"));
  }

  read(half, top, rows) {
    this.strips.drawImage(this.video, 0, top, half, rows, 0, 0, this.width, this.strip);
    return readStrip(this.strips.getImageData(0, 0, this.width, this.strip));
  }

  measure(latency) {
    if (latency > FORGET) return;
    this.latencies.push(latency);
    if (this.latencies.length > LATENCIES) this.latencies.shift();
  }

  /** Milliseconds from source to screen, or null. */
  get latency() {
    return median(this.latencies);
  }

  /** Shows the source as it is sent, until there are edited pictures. */
  preview(canvas) {
    if (this.stamp !== null) return;
    this.contexts[0].drawImage(canvas, 0, 0);
  }

  /** The pictures of a call that ended say nothing about the next one. */
  forget() {
    this.stamp = null;
    this.latencies = [];
    this.rate = new Rate();
  }

  /** The result as PNG. */
  png() {
    return new Promise((resolve) => this.result.toBlob(resolve, "image/png"));
  }
}
