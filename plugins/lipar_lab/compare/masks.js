// Keep masks: from run lengths to a picture with one pixel for each token.

/** True at the pruned tokens of a frame; runs are alternately kept and pruned, kept first. */
function prunedTokens(runs, count) {
  const pruned = new Uint8Array(count);
  let start = 0;
  runs.forEach((length, index) => {
    if (index % 2) pruned.fill(1, start, start + length);
    start += length;
  });
  return pruned;
}

/** Paints pruned tokens over one of the two videos. */
class MaskPainter {
  constructor(canvas, rows, cols) {
    canvas.width = cols;
    canvas.height = rows;
    this.context = canvas.getContext("2d", { willReadFrequently: true });
    this.picture = this.context.createImageData(cols, rows);
  }

  /** Paints a colour (red, green, blue, opacity; 0..255) at the pruned tokens; without runs nothing is painted. */
  paint(runs, colour) {
    const { data, width, height } = this.picture;
    data.fill(0);
    if (runs) {
      prunedTokens(runs, width * height).forEach((pruned, token) => {
        if (pruned) data.set(colour, 4 * token);
      });
    }
    this.context.putImageData(this.picture, 0, 0);
  }
}
