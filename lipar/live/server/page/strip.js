// The strip under each picture: two rows of 16 cells, black 0 or white 1, first bit top left. 24 bits are milliseconds of
// `performance.now()`, 8 bits a check, so that latency is read from the pixels that are shown and not estimated.

const CELLS = 16;
const ROWS = 2;
const WRAPS = 2 ** 24; // milliseconds, 4.7 hours
const CHECK = 0xa5;

const check = (stamp) => ((stamp >> 16) ^ (stamp >> 8) ^ stamp ^ CHECK) & 0xff;

const cellOf = (bit, width, height) => ({
  x: ((bit % CELLS) * width) / CELLS,
  y: (Math.floor(bit / CELLS) * height) / ROWS,
  width: width / CELLS,
  height: height / ROWS,
});

/** Draws a time below a picture, `top` pixels from the upper edge of the canvas. */
export function writeStrip(context, width, top, height, time) {
  const stamp = Math.round(time) % WRAPS;
  const bits = [stamp >> 16, stamp >> 8, stamp, check(stamp)].flatMap((byte) =>
    Array.from({ length: 8 }, (_, index) => (byte >> (7 - index)) & 1),
  );
  context.fillStyle = "#000000";
  context.fillRect(0, top, width, height);
  context.fillStyle = "#ffffff";
  bits.forEach((bit, index) => {
    const cell = cellOf(index, width, height);
    if (bit) context.fillRect(cell.x, top + cell.y, cell.width, cell.height);
  });
}

/** The stamp in the pixels of a strip (ImageData), or null where there is none or it is damaged. */
export function readStrip({ data, width, height }) {
  let first = 0;
  let last = 0;
  for (let bit = 0; bit < CELLS * ROWS; bit += 1) {
    const value = brightness(data, width, cellOf(bit, width, height)) > 127 ? 1 : 0;
    if (bit < 24) first = (first << 1) | value;
    else last = (last << 1) | value;
  }
  return check(first) === last ? first : null;
}

/** Mean green value in the middle of a cell: its edges are blurred by the codec. */
function brightness(data, width, cell) {
  let sum = 0;
  let count = 0;
  for (let y = Math.floor(cell.y + cell.height / 4); y < cell.y + (3 * cell.height) / 4; y += 1) {
    for (let x = Math.floor(cell.x + cell.width / 4); x < cell.x + (3 * cell.width) / 4; x += 1) {
      sum += data[4 * (y * width + x) + 1];
      count += 1;
    }
  }
  return sum / count;
}

/** Milliseconds from a stamp to a time. */
export const since = (stamp, time) => (((Math.round(time) - stamp) % WRAPS) + WRAPS) % WRAPS;
