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

/** Events a second over the last seconds: of a slow model there are few. */
export class Rate {
  constructor(seconds = 10) {
    this.span = 1000 * seconds;
    this.begin = null;
    this.times = [];
  }

  count(time = performance.now()) {
    this.begin ??= time;
    this.times.push(time);
    this.forget(time);
  }

  forget(time) {
    while (this.times.length && this.times[0] < time - this.span) this.times.shift();
  }

  /** Null before there is a second of events. */
  get perSecond() {
    const now = performance.now();
    this.forget(now);
    const age = this.begin === null ? 0 : Math.min(now - this.begin, this.span);
    return age < 1000 ? null : (1000 * this.times.length) / age;
  }
}
