// The .tflite file in LiteRT.js, and what the page must know of it.
import { loadLiteRt, loadAndCompile, Tensor } from "./litert/index.js";

async function json(path) {
  const answer = await fetch(path);
  if (!answer.ok) throw new Error(`${path} is missing (${answer.status})`);
  return answer.json();
}

export async function loadModel() {
  const [settings, labels] = await Promise.all([
    json("mamc.json"),
    json("labels.json"),
    loadLiteRt("litert/wasm/"),
  ]);
  const network = await loadAndCompile("model.tflite", {
    accelerator: "wasm",
  });
  const byPrototype = settings.unknown?.score === "prototype";
  const prototypes = byPrototype ? await json("prototypes.json") : null;
  const shape = [1, ...settings.image_size, 3];

  async function run(signature, pixels) {
    const input = new Tensor(pixels, shape);
    const [output] = await network.run(signature, [input]);
    const values = Float32Array.from(await output.data());
    const dimensions = Array.from(output.type.layout.dimensions);
    input.delete(); // Its memory is not JavaScript's.
    output.delete();
    return { values, dimensions };
  }

  /** Does a photo perhaps show none of the classes? */
  async function isUnknown(pixels, probabilities) {
    const { score, threshold } = settings.unknown ?? {};
    if (score === "max_probability") {
      // The threshold is of the softmax before the temperature.
      const powers = probabilities.map((p) => p ** settings.temperature);
      return Math.max(...powers) / powers.reduce((a, b) => a + b) < threshold;
    }
    if (!prototypes) return false;
    const { values, dimensions } = await run("embed", pixels);
    const vector = unitVector(values, dimensions[2]);
    const dot = (a) => a.reduce((sum, x, i) => sum + x * vector[i], 0);
    return Math.max(...prototypes.map(dot)) < threshold;
  }

  return { settings, labels, run, isUnknown };
}

/** Each branch of length 1, then all of them. */
function unitVector(values, size) {
  const branches = values.length / size;
  const vector = new Float32Array(values.length);
  for (let p = 0; p < branches; p++) {
    const branch = values.subarray(p * size, (p + 1) * size);
    const length = Math.max(Math.hypot(...branch), 1e-12);
    branch.forEach((x, i) => {
      vector[p * size + i] = x / length / Math.sqrt(branches);
    });
  }
  return vector;
}
