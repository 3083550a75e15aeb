import { canvasScale, colorOf, draw } from "./drawing.js";

const byId = (id) => document.getElementById(id);
const canvas = byId("canvas");
const slider = byId("score");
const list = byId("objects");

// The picture on show, `{bitmap, width, height, name}`, and what was found in it, best first.
let picture = null;
let objects = [];
// One object that stands out: what the pointer or the keyboard is on, or else what was clicked.
let pointed = null;
let kept = null;
let pending = null;

function setState(state, status) {
  document.body.dataset.state = state;
  byId("stage").setAttribute("aria-busy", String(state === "busy"));
  if (status !== undefined) byId("status").textContent = status;
}

function showError(message) {
  clear();
  const title = document.createElement("strong");
  title.textContent = "That did not work";
  byId("error").replaceChildren(title, message[0].toUpperCase() + message.slice(1));
  setState("error", "No objects to show.");
}

function clear() {
  picture?.bitmap.close();
  picture = null;
  objects = [];
  pointed = kept = null;
  canvas.hidden = true;
  list.replaceChildren();
}

/** Sends one picture to the server and shows what it found. */
async function open(file) {
  pending?.abort();
  const request = (pending = new AbortController());
  clear();
  setState("busy", `Finding objects in ${file.name}.`);
  // The picture is shown while the server works; where the browser cannot, the server's word counts.
  const preview = createImageBitmap(file).catch(() => null);
  const shown = preview.then((bitmap) => {
    if (bitmap && request === pending) show(bitmap, bitmap.width, bitmap.height, file.name);
    return bitmap;
  });
  let response;
  let answer;
  try {
    response = await fetch("detect", { method: "POST", body: file, signal: request.signal });
    answer = await response.json();
  } catch (error) {
    if (request === pending) {
      showError(response ? `The server's answer makes no sense (${error}).` : "The server cannot be reached.");
    }
    return;
  }
  const bitmap = await shown;
  if (request !== pending) return;
  if (!response.ok) return showError(answer.error ?? `Status ${response.status}`);
  if (!bitmap) return showError("this browser cannot show the picture, though the server read it.");
  // The server turns pictures as EXIF says, as browsers do: its boxes are in the picture as shown.
  show(bitmap, answer.width, answer.height, file.name);
  objects = answer.detections.map((object, i) => ({ ...object, color: colorOf(i) }));
  setState("done");
  update();
}

function show(bitmap, width, height, name) {
  picture = { bitmap, width, height, name };
  const scale = canvasScale(width, height);
  canvas.width = Math.max(1, Math.round(width * scale));
  canvas.height = Math.max(1, Math.round(height * scale));
  canvas.hidden = false;
  redraw([]);
}

function selected() {
  const least = Number(slider.value);
  return objects.filter((object) => object.score >= least);
}

/** Everything that depends on the slider. */
function update() {
  slider.setAttribute("aria-valuetext", Number(slider.value).toFixed(2));
  byId("score-value").textContent = Number(slider.value).toFixed(2);
  if (document.body.dataset.state !== "done") return;
  const chosen = selected();
  if (!chosen.includes(kept)) kept = null;
  pointed = null;
  list.replaceChildren(...chosen.map(toItem));
  const count = chosen.length === 1 ? "1 object" : `${chosen.length} objects`;
  const rest = objects.length - chosen.length;
  const below = rest ? `, ${rest} more below the score` : "";
  byId("status").textContent = `${count} in ${picture.name}${below}.`;
  redraw(chosen);
}

function toItem(object) {
  const part = (className, text) => {
    const span = document.createElement("span");
    span.className = className;
    span.textContent = text;
    return span;
  };
  const button = document.createElement("button");
  button.type = "button";
  button.setAttribute("aria-pressed", String(object === kept));
  const swatch = part("swatch", "");
  swatch.style.background = object.color;
  button.append(swatch, part("name", object.name), part("value", object.score.toFixed(2)));
  const point = (target) => () => {
    pointed = target;
    redraw(selected());
  };
  button.addEventListener("pointerenter", point(object));
  button.addEventListener("pointerleave", point(null));
  button.addEventListener("focus", point(object));
  button.addEventListener("blur", point(null));
  button.addEventListener("click", () => {
    kept = kept === object ? null : object;
    for (const other of list.querySelectorAll("button")) {
      other.setAttribute("aria-pressed", String(other === button && kept !== null));
    }
    redraw(selected());
  });
  const item = document.createElement("li");
  item.append(button);
  return item;
}

function redraw(chosen) {
  if (!picture) return;
  draw(canvas, picture, chosen, pointed ?? kept);
  canvas.dataset.drawn = chosen.length;
  const names = chosen.map((object) => object.name).join(", ");
  canvas.setAttribute("aria-label", `${picture.name}${names ? `, with ${names}` : ""}`);
}

async function describeModel() {
  const response = await fetch("model");
  const model = await response.json();
  const classes = model.class_names.length;
  const kinds = classes === 1 ? "1 class" : `${classes} classes`;
  byId("model").textContent = `${model.name}, version ${model.version}: ${kinds}`;
  byId("model").title = model.class_names.join(", ");
  document.title = `${model.name}: Mask R-CNN`;
  const megabytes = Math.floor(model.max_body / 1e5) / 10;
  const megapixels = Math.floor(model.max_pixels / 1e5) / 10;
  const formats = Object.keys(model.page_formats);
  const last = formats.pop();
  byId("file").accept = Object.values(model.page_formats).join();
  byId("limits").textContent =
    `${formats.join(", ")} or ${last}, up to ${megabytes} MB and ${megapixels} megapixels`;
}

byId("file").addEventListener("change", (event) => {
  if (event.target.files.length) open(event.target.files[0]);
  // So that choosing the same file again is a change, too.
  event.target.value = "";
});
slider.addEventListener("input", update);
addEventListener("paste", (event) => {
  if (event.clipboardData.files.length) open(event.clipboardData.files[0]);
});
addEventListener("dragover", (event) => {
  event.preventDefault();
  document.body.dataset.dropping = "";
});
addEventListener("dragleave", (event) => {
  if (!event.relatedTarget) delete document.body.dataset.dropping;
});
addEventListener("drop", (event) => {
  event.preventDefault();
  delete document.body.dataset.dropping;
  const [file] = event.dataTransfer.files;
  if (file) open(file);
  else showError("what was dropped is no file.");
});
new ResizeObserver(() => redraw(document.body.dataset.state === "done" ? selected() : [])).observe(
  canvas,
);
describeModel().catch(() => showError("The server cannot be reached."));
