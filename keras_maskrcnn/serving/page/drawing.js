// Draws objects over their picture. Lengths on the screen are in CSS pixels times `unit`, the
// canvas pixels of one.

const PALETTE = [
  "#ff5646", "#28a0ff", "#ffc814", "#32d26e", "#be6eff",
  "#00d7d7", "#ff8714", "#ff69b4", "#aae63c", "#697dff",
];
const FILL = 0.42;
const FAINT = 0.2;
// Longest side of the canvas: enough for a large screen, and small pictures get crisp letters.
const LONGEST = 1600;
const LARGEST_SCALE = 4;

/** A colour for each object: neighbours in the list never share one. */
export function colorOf(index) {
  if (index < PALETTE.length) return PALETTE[index];
  return `hsl(${(index * 137.508) % 360} ${[75, 90, 55][index % 3]}% ${[64, 72, 80][index % 3]}%)`;
}

/** Lengths of the runs outside and inside an object in turn, from COCO's compressed text. */
export function runLengths(text) {
  const runs = [];
  let at = 0;
  while (at < text.length) {
    let value = 0;
    let bits = 0;
    let code;
    do {
      code = text.charCodeAt(at++) - 48;
      value += (code & 31) * 2 ** bits;
      bits += 5;
    } while (code & 32);
    // The highest bit of the last group is the sign.
    if (code & 16) value -= 2 ** bits;
    if (runs.length > 2) value += runs[runs.length - 2];
    runs.push(value);
  }
  return runs;
}

/** Canvas pixels for one pixel of the picture. */
export function canvasScale(width, height) {
  return Math.min(LONGEST / Math.max(width, height), LARGEST_SCALE);
}

/**
 * The object's mask within its box, sampled at the canvas' resolution.
 *
 * Runs go down the columns of the picture, one column after the other.
 */
function rasterize(mask, scale) {
  const [height] = mask.size;
  const runs = runLengths(mask.counts);
  const spans = [];
  let position = 0;
  runs.forEach((length, i) => {
    if (i % 2 && length) spans.push([position, position + length]);
    position += length;
  });
  if (!spans.length) return null;
  const firstColumn = Math.floor(spans[0][0] / height);
  const lastColumn = Math.floor((spans[spans.length - 1][1] - 1) / height);
  const left = Math.floor(firstColumn * scale);
  const width = Math.ceil((lastColumn + 1) * scale) - left;
  const canvasHeight = Math.ceil(height * scale);
  const inside = new Uint8Array(width * canvasHeight);
  let next = 0;
  for (let x = 0; x < width; x++) {
    const column = Math.floor((left + x + 0.5) / scale);
    const [start, end] = [column * height, (column + 1) * height];
    while (next < spans.length && spans[next][1] <= start) next++;
    for (let i = next; i < spans.length && spans[i][0] < end; i++) {
      const top = Math.round((Math.max(spans[i][0], start) - start) * scale);
      const bottom = Math.round((Math.min(spans[i][1], end) - start) * scale);
      for (let y = top; y < bottom; y++) inside[y * width + x] = 1;
    }
  }
  return { left, width, height: canvasHeight, inside };
}

/** The mask as a picture of its own: filled, with a line along its edge. */
function paintMask(mask, color, scale, line) {
  const raster = rasterize(mask, scale);
  if (!raster) return null;
  const { left, width, height, inside } = raster;
  let top = height;
  let bottom = 0;
  for (let y = 0; y < height; y++) {
    if (inside.subarray(y * width, (y + 1) * width).includes(1)) {
      top = Math.min(top, y);
      bottom = y + 1;
    }
  }
  const layer = document.createElement("canvas");
  layer.width = width;
  layer.height = bottom - top;
  const context = layer.getContext("2d");
  context.fillStyle = color;
  context.fillRect(0, 0, 1, 1);
  const [red, green, blue] = context.getImageData(0, 0, 1, 1).data;
  const image = context.createImageData(layer.width, layer.height);
  const isInside = (x, y) => x >= 0 && y >= 0 && x < width && y < height && inside[y * width + x];
  for (let y = top; y < bottom; y++) {
    for (let x = 0; x < width; x++) {
      if (!inside[y * width + x]) continue;
      const core =
        isInside(x - line, y) && isInside(x + line, y) && isInside(x, y - line) && isInside(x, y + line);
      image.data.set([red, green, blue, core ? 255 * FILL : 255], 4 * ((y - top) * width + x));
    }
  }
  context.putImageData(image, 0, 0);
  return { layer, left, top };
}

/** Draws the picture and the given objects; `chosen`, if any, stands out. */
export function draw(canvas, picture, objects, chosen) {
  const context = canvas.getContext("2d");
  const scale = canvas.width / picture.width;
  const unit = canvas.width / (canvas.getBoundingClientRect().width || canvas.width);
  context.imageSmoothingQuality = "high";
  context.drawImage(picture.bitmap, 0, 0, canvas.width, canvas.height);
  const area = ({ box: [x1, y1, x2, y2] }) => (x2 - x1) * (y2 - y1);
  const bySize = [...objects].sort((a, b) => area(b) - area(a));
  const strength = (object) => (chosen && object !== chosen ? FAINT : 1);
  for (const object of bySize) {
    if (!object.mask) continue;
    if (object.painted === undefined) {
      const line = Math.max(1, Math.round(1.5 * unit));
      object.painted = paintMask(object.mask, object.color, scale, line);
    }
    if (!object.painted) continue;
    context.globalAlpha = strength(object);
    context.drawImage(object.painted.layer, object.painted.left, object.painted.top);
  }
  for (const object of bySize) {
    const [x1, y1, x2, y2] = object.box.map((value) => value * scale);
    context.globalAlpha = strength(object);
    context.strokeStyle = object.color;
    context.lineWidth = (object === chosen ? 3 : 1.5) * unit;
    context.strokeRect(x1, y1, x2 - x1, y2 - y1);
    drawKeypoints(context, object, scale, unit);
  }
  const taken = [];
  for (const object of chosen ? [chosen] : objects) drawLabel(context, object, scale, unit, taken);
  context.globalAlpha = 1;
}

function drawKeypoints(context, object, scale, unit) {
  context.fillStyle = object.color;
  for (const [x, y] of object.keypoints ?? []) {
    context.beginPath();
    context.arc(x * scale, y * scale, 3 * unit, 0, 2 * Math.PI);
    context.fill();
  }
}

/** Puts the name where it covers no other name, if there is such a place beside the box. */
function drawLabel(context, object, scale, unit, taken) {
  const { width: canvasWidth, height: canvasHeight } = context.canvas;
  const [x1, y1, x2, y2] = object.box.map((value) => value * scale);
  const text = `${object.name} ${object.score.toFixed(2)}`;
  context.globalAlpha = 1;
  context.font = `600 ${12 * unit}px system-ui, "DejaVu Sans", sans-serif`;
  const width = context.measureText(text).width + 8 * unit;
  const height = 18 * unit;
  const places = [
    [x1, y1 - height], [x1, y1], [x2 - width, y1 - height], [x1, y2], [x1, y2 - height],
    [x2 - width, y2],
  ].map(([x, y]) => [
    Math.min(Math.max(x, 0), Math.max(canvasWidth - width, 0)),
    Math.min(Math.max(y, 0), canvasHeight - height),
  ]);
  const isFree = ([x, y]) =>
    taken.every(([a, b, w]) => x + width <= a || a + w <= x || y + height <= b || b + height <= y);
  const [x, y] = places.find(isFree) ?? places[0];
  taken.push([x, y, width]);
  context.fillStyle = object.color;
  context.fillRect(x, y, width, height);
  context.fillStyle = "#10131a";
  context.textBaseline = "middle";
  context.fillText(text, x + 4 * unit, y + height / 2 + 0.5 * unit);
}
