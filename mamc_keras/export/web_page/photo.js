// Photos cut and shrunk as mamc_keras.lite.photo does it: the model must see
// the same pixels in the browser as in training.

/** The largest centred part of the shape height : width. */
export function cropOf(bitmap, [height, width], crop) {
  const [oldHeight, oldWidth] = [bitmap.height, bitmap.width];
  if (!crop) return { top: 0, left: 0, height: oldHeight, width: oldWidth };
  const f = Math.fround; // Whole pixels the way Keras rounds them.
  const fit = (a, b, c, most) =>
    Math.min(Math.max(Math.trunc(f(f(a * b) / f(c))), 1), most);
  const newHeight = fit(oldWidth, height, width, oldHeight);
  const newWidth = fit(oldHeight, width, height, oldWidth);
  return {
    top: Math.floor((oldHeight - newHeight) / 2),
    left: Math.floor((oldWidth - newWidth) / 2),
    height: newHeight,
    width: newWidth,
  };
}

/** For each new pixel the old ones under a triangle, and their weights. */
function triangles(oldSize, size) {
  const step = oldSize / size;
  const radius = Math.max(step, 1); // Antialiased when it shrinks.
  return Array.from({ length: size }, (_, i) => {
    const centre = (i + 0.5) * step;
    const first = Math.max(Math.ceil(centre - radius - 0.5), 0);
    const last = Math.min(Math.floor(centre + radius - 0.5), oldSize - 1);
    const weights = [];
    for (let k = first; k <= last; k++) {
      weights.push(Math.max(1 - Math.abs(k + 0.5 - centre) / radius, 0));
    }
    const total = weights.reduce((a, b) => a + b, 0);
    return { first, weights: weights.map((w) => w / total) };
  });
}

/** The pixels of a bitmap's crop, RGB, in the model's size. */
export function shrink(bitmap, crop, [height, width]) {
  const columns = triangles(crop.width, width);
  const rows = triangles(crop.height, height);
  const most = Math.max(...rows.map((row) => row.weights.length));
  // One new row at a time: phones give no canvas for a whole large photo.
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [crop.width, most];
  const context = canvas.getContext("2d", { willReadFrequently: true });
  // This array rounds halves to even and clips, as NumPy's rint and clip.
  const pixels = new Uint8ClampedArray(height * width * 3);
  const sums = new Float32Array(crop.width * 3);
  rows.forEach(({ first, weights }, y) => {
    const n = weights.length;
    const [w, top] = [crop.width, crop.top + first];
    context.clearRect(0, 0, w, most);
    context.drawImage(bitmap, crop.left, top, w, n, 0, 0, w, n);
    const old = context.getImageData(0, 0, w, n).data;
    sums.fill(0);
    for (let k = 0, o = 0; k < n; k++) {
      for (let s = 0; s < sums.length; s += 3, o += 4) {
        sums[s] += weights[k] * old[o];
        sums[s + 1] += weights[k] * old[o + 1];
        sums[s + 2] += weights[k] * old[o + 2];
      }
    }
    columns.forEach(({ first, weights }, x) => {
      for (let c = 0; c < 3; c++) {
        let sum = 0;
        for (let k = 0; k < weights.length; k++) {
          sum += weights[k] * sums[(first + k) * 3 + c];
        }
        pixels[(y * width + x) * 3 + c] = sum;
      }
    });
  });
  return new Uint8Array(pixels.buffer);
}
