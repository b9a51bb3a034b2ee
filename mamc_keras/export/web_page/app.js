// Drop, choose, photograph or paste a photo; the rest is in the modules.
import { loadModel } from "./model.js";
import { cropOf, shrink } from "./photo.js";
import { showClasses, showMaps, showTop, showUnknown } from "./show.js";

const $ = (id) => document.getElementById(id);
const say = (text) => ($("status").textContent = text);
let model;
let newest = 0; // A second photo may come while the first is looked at.
let queue = Promise.resolve();

async function look(file, number) {
  if (number !== newest) return;
  say("Looking…");
  let bitmap;
  try {
    // Upright as EXIF says; colours as stored, which is how Pillow reads them.
    bitmap = await createImageBitmap(file, {
      imageOrientation: "from-image",
      colorSpaceConversion: "none",
      premultiplyAlpha: "none",
    });
  } catch {
    say("This file is no photo that the browser can read. Try JPEG or PNG.");
    return;
  }
  const { settings, labels } = model;
  const started = performance.now();
  const crop = cropOf(bitmap, settings.image_size, settings.crop_to_aspect_ratio);
  const pixels = shrink(bitmap, crop, settings.image_size);
  const { values } = await model.run("classify", pixels);
  const seen = performance.now();
  const unknown = await model.isUnknown(pixels, values);
  const maps = await model.run("attend", pixels);
  if (number === newest) {
    showUnknown(unknown);
    showTop(values, labels);
    showMaps(bitmap, crop, maps);
    say(`Answered in ${Math.round(seen - started)} ms on this device.`);
    document.body.dataset.done = number;
  }
  bitmap.close();
}

function take(files) {
  const file = [...(files ?? [])].find((f) => f.type.startsWith("image/"));
  if (!model) return;
  if (!file) {
    say("That was no photo. Choose an image file, JPEG or PNG.");
    return;
  }
  const number = ++newest;
  queue = queue
    .then(() => look(file, number))
    .catch((error) => {
      console.error(error);
      say(`The photo could not be looked at (${error.message}).`);
    });
}

function listen() {
  for (const id of ["file", "camera"]) {
    $(id).disabled = false;
    $(id).addEventListener("change", (event) => {
      take(event.target.files);
      event.target.value = ""; // The same file again is an event too.
    });
  }
  addEventListener("paste", (event) => take(event.clipboardData.files));
  addEventListener("dragover", (event) => {
    event.preventDefault();
    $("drop").classList.add("over");
  });
  addEventListener("dragleave", (event) => {
    if (!event.relatedTarget) $("drop").classList.remove("over");
  });
  addEventListener("drop", (event) => {
    event.preventDefault();
    $("drop").classList.remove("over");
    take(event.dataTransfer.files);
  });
}

/** Keeps what this browser just loaded, so that the page opens offline. */
async function keep() {
  if (!("serviceWorker" in navigator)) return;
  try {
    await navigator.serviceWorker.register("offline.js");
    const loaded = performance.getEntriesByType("resource");
    const own = loaded.map((entry) => entry.name);
    const cache = await caches.open("mamc");
    await cache.addAll([...new Set([location.href.split("#")[0], ...own])]);
    document.body.dataset.offline = "ready";
  } catch {
    // Private windows and full disks: the page works, but only online.
  }
}

try {
  model = await loadModel();
  showClasses(model.labels);
  $("intro").textContent =
    `Knows ${model.labels.length} classes. Your photo is looked at in this ` +
    "browser and sent nowhere.";
  listen();
  say("Ready.");
  document.body.dataset.ready = "yes";
  keep();
} catch (error) {
  console.error(error);
  say(`The model could not be loaded (${error.message}).`);
}
