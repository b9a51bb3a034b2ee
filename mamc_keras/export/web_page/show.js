// Answers and attention on the page. Names of classes are text, never HTML.
const $ = (id) => document.getElementById(id);
const SIDE = 448; // pixels of a picture's longer side

/** "00.Golden-Delicious" is for folders, "Golden Delicious" for people. */
export function readable(name) {
  return name.replace(/^\d+[._-]+/, "").replace(/[_-]+/g, " ") || name;
}

function element(tag, text, name) {
  const made = document.createElement(tag);
  if (text) made.textContent = text;
  if (name) made.className = name;
  return made;
}

export function percent(p) {
  if (p < 0.001) return "< 0.1 %";
  return p > 0.999 ? "> 99.9 %" : `${(100 * p).toFixed(1)} %`;
}

export function showTop(probabilities, labels) {
  const order = labels.map((_, i) => i);
  order.sort((a, b) => probabilities[b] - probabilities[a] || a - b);
  const best = order.slice(0, 5);
  $("answer").textContent =
    `${readable(labels[best[0]])}, ${percent(probabilities[best[0]])}`;
  $("top").replaceChildren(
    ...best.map((i) => {
      const row = element("li");
      const line = element("div", "", "line");
      line.append(
        element("span", readable(labels[i])),
        element("span", percent(probabilities[i]), "number"),
      );
      const bar = element("div", "", "bar");
      bar.append(element("div"));
      bar.firstChild.style.width = `${100 * probabilities[i]}%`;
      row.append(line, bar);
      row.dataset.name = labels[i];
      row.dataset.probability = probabilities[i];
      return row;
    }),
  );
  $("result").hidden = false;
}

export function showUnknown(unknown) {
  $("unknown").hidden = !unknown;
  $("unknown").textContent = unknown
    ? "Perhaps none of these: the photo is unlike those the model has seen."
    : "";
}

export function showClasses(labels) {
  const list = $("classes");
  list.querySelector("summary").textContent =
    `All ${labels.length} classes that it knows`;
  list.querySelector("ul").replaceChildren(
    ...labels.map((name) => element("li", readable(name))),
  );
}

/** The photo under one heat map for each branch. */
export function showMaps(bitmap, crop, { values, dimensions }) {
  const [, branches, height, width] = dimensions;
  const figures = [];
  for (let p = 0; p < branches; p++) {
    const size = height * width;
    const map = values.subarray(p * size, (p + 1) * size);
    const canvas = element("canvas");
    const scale = SIDE / Math.max(crop.height, crop.width);
    canvas.width = Math.max(Math.round(crop.width * scale), 1);
    canvas.height = Math.max(Math.round(crop.height * scale), 1);
    canvas.setAttribute("role", "img");
    canvas.setAttribute("aria-label", whereText(map, p, height, width));
    const context = canvas.getContext("2d");
    context.imageSmoothingQuality = "high";
    const { left, top } = crop;
    const all = [0, 0, canvas.width, canvas.height];
    context.drawImage(bitmap, left, top, crop.width, crop.height, ...all);
    context.drawImage(heat(map, height, width), ...all);
    const figure = element("figure");
    figure.append(canvas, element("figcaption", `Branch ${p + 1}`));
    figures.push(figure);
  }
  $("maps").replaceChildren(...figures);
}

/** A small picture of a map: dark where it is cold, clear where it is hot. */
function heat(map, height, width) {
  const canvas = element("canvas");
  [canvas.width, canvas.height] = [width, height];
  const context = canvas.getContext("2d");
  const image = context.createImageData(width, height);
  const low = Math.min(...map);
  const range = Math.max(...map) - low || 1;
  map.forEach((value, i) => {
    const t = (value - low) / range;
    const alpha = 255 * (0.62 - 0.3 * t);
    image.data.set([30 + 225 * t, 20 + 130 * t * t, 80 * (1 - t), alpha], 4 * i);
  });
  context.putImageData(image, 0, 0);
  return canvas;
}

function whereText(map, p, height, width) {
  const peak = map.indexOf(Math.max(...map));
  const third = (x, n, names) => names[Math.floor((3 * x) / n)];
  const row = Math.floor(peak / width);
  const down = third(row, height, ["top", "middle", "bottom"]);
  const across = third(peak % width, width, ["left", "centre", "right"]);
  return `Photo with the heat map of branch ${p + 1}, hottest at the ${down} ${across}`;
}
