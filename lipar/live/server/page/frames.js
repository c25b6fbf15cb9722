// Calls back for each frame that a video shows. Only ever the newest one: what the page is too slow for is not queued.

/** Calls `presented(time, metadata)` with the time at which a frame is, or is about to be, on the screen. */
export function watchFrames(video, presented) {
  if ("requestVideoFrameCallback" in HTMLVideoElement.prototype) {
    const next = (now, metadata) => {
      video.requestVideoFrameCallback(next);
      presented(metadata.expectedDisplayTime ?? now, metadata);
    };
    video.requestVideoFrameCallback(next);
    return;
  }
  let last = -1;
  const poll = (now) => {
    requestAnimationFrame(poll);
    // live streams count on, so that an equal time is the same frame
    if (video.readyState < HTMLMediaElement.HAVE_CURRENT_DATA || video.currentTime === last) return;
    last = video.currentTime;
    presented(now, {});
  };
  requestAnimationFrame(poll);
}

/** Events a second over the last seconds. */
export class Rate {
  constructor(seconds = 3) {
    this.span = 1000 * seconds;
    this.times = [];
  }

  count(time = performance.now()) {
    this.times.push(time);
    this.forget(time);
  }

  forget(time) {
    while (this.times.length && this.times[0] < time - this.span) this.times.shift();
  }

  /** Null before there are two events. */
  get perSecond() {
    this.forget(performance.now());
    if (this.times.length < 2) return null;
    return (1000 * (this.times.length - 1)) / (this.times.at(-1) - this.times[0]);
  }
}
