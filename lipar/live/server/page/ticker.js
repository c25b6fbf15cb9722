// A worker that ticks: timers of a page that is not in sight are slowed down to one a second, those of a worker are not.

const MILLISECONDS = 33;

setInterval(() => postMessage(null), MILLISECONDS);
