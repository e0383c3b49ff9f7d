// Masks as arrays of 0 and 1, one Uint8Array of width * height per class.

async function pixels(blob) {
  const bitmap = await createImageBitmap(blob, { colorSpaceConversion: "none", premultiplyAlpha: "none" });
  const canvas = new OffscreenCanvas(bitmap.width, bitmap.height);
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.drawImage(bitmap, 0, 0);
  return context.getImageData(0, 0, bitmap.width, bitmap.height);
}

// Levels of an image as it is shown: RGB of 8 bits, or one grey channel of 16.
export async function readImage(blob, deep) {
  const plain = await pixels(blob);
  const { data, width, height } = plain;
  if (!deep) return { width, height, deep, data, plain };
  const grey = new Uint16Array(width * height);
  for (let i = 0; i < grey.length; i++) grey[i] = data[4 * i] * 256 + data[4 * i + 1];
  return { width, height, deep, data: grey };
}

export async function readMasks(blob, classes) {
  const { data, width, height } = await pixels(blob);
  const size = (width * height) / classes;
  return Array.from({ length: classes }, (_, k) => {
    const mask = new Uint8Array(size);
    for (let i = 0; i < size; i++) mask[i] = data[4 * (k * size + i)] > 127 ? 1 : 0;
    return mask;
  });
}

// The PNG (class below class) of masks, as base64.
export async function encodeMasks(masks, width, height) {
  const canvas = new OffscreenCanvas(width, height * masks.length);
  const context = canvas.getContext("2d");
  const image = context.createImageData(width, height * masks.length);
  masks.forEach((mask, k) => {
    for (let i = 0; i < mask.length; i++) {
      const at = 4 * (k * mask.length + i);
      image.data[at] = image.data[at + 1] = image.data[at + 2] = mask[i] ? 255 : 0;
      image.data[at + 3] = 255;
    }
  });
  context.putImageData(image, 0, 0);
  const bytes = new Uint8Array(await (await canvas.convertToBlob({ type: "image/png" })).arrayBuffer());
  let text = "";
  for (let i = 0; i < bytes.length; i += 32768) text += String.fromCharCode(...bytes.subarray(i, i + 32768));
  return btoa(text);
}

const outlines = new WeakMap();

// Outlines as closed lines around the pixels of a mask, so that they stay sharp and thin at any zoom; found once.
export function outline(mask, width, height) {
  if (!outlines.has(mask)) outlines.set(mask, traced(mask, width, height));
  return outlines.get(mask);
}

function traced(mask, width, height) {
  const next = new Map();
  const on = (x, y) => x >= 0 && y >= 0 && x < width && y < height && mask[y * width + x];
  const edge = (x0, y0, x1, y1) => {
    const from = y0 * (width + 1) + x0;
    const to = y1 * (width + 1) + x1;
    if (next.has(from)) next.get(from).push(to);
    else next.set(from, [to]);
  };
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      if (!mask[y * width + x]) continue;
      if (!on(x, y - 1)) edge(x, y, x + 1, y);
      if (!on(x + 1, y)) edge(x + 1, y, x + 1, y + 1);
      if (!on(x, y + 1)) edge(x + 1, y + 1, x, y + 1);
      if (!on(x - 1, y)) edge(x, y + 1, x, y);
    }
  }
  const path = new Path2D();
  while (next.size) {
    const start = next.keys().next().value;
    let at = start;
    path.moveTo(at % (width + 1), Math.floor(at / (width + 1)));
    do {
      const ways = next.get(at);
      const to = ways.pop();
      if (!ways.length) next.delete(at);
      at = to;
      path.lineTo(at % (width + 1), Math.floor(at / (width + 1)));
    } while (at !== start && next.has(at));
    path.closePath();
  }
  return path;
}

// The connected part (8-neighbourhood) of a mask around a pixel; null where the pixel is not in it.
export function component(mask, width, height, x, y) {
  if (x < 0 || y < 0 || x >= width || y >= height || !mask[y * width + x]) return null;
  const part = new Uint8Array(mask.length);
  const open = [y * width + x];
  part[open[0]] = 1;
  while (open.length) {
    const at = open.pop();
    const [px, py] = [at % width, Math.floor(at / width)];
    for (let qy = Math.max(py - 1, 0); qy <= Math.min(py + 1, height - 1); qy++) {
      for (let qx = Math.max(px - 1, 0); qx <= Math.min(px + 1, width - 1); qx++) {
        const to = qy * width + qx;
        if (mask[to] && !part[to]) {
          part[to] = 1;
          open.push(to);
        }
      }
    }
  }
  return part;
}

// x0, y0, x1, y1 around a mask, with exclusive ends.
export function boxOf(mask, width) {
  let [x0, y0, x1, y1] = [Infinity, Infinity, 0, 0];
  mask.forEach((value, at) => {
    if (!value) return;
    const [x, y] = [at % width, Math.floor(at / width)];
    x0 = Math.min(x0, x);
    y0 = Math.min(y0, y);
    x1 = Math.max(x1, x + 1);
    y1 = Math.max(y1, y + 1);
  });
  return [x0, y0, x1, y1];
}

// Paint a disc, or wipe it out.
export function disc(mask, width, height, x, y, radius, value) {
  outlines.delete(mask);
  for (let py = Math.max(Math.floor(y - radius), 0); py <= Math.min(Math.ceil(y + radius), height - 1); py++) {
    for (let px = Math.max(Math.floor(x - radius), 0); px <= Math.min(Math.ceil(x + radius), width - 1); px++) {
      if ((px + 0.5 - x) ** 2 + (py + 0.5 - y) ** 2 <= radius ** 2) mask[py * width + px] = value;
    }
  }
}

export const without = (mask, part) => mask.map((value, at) => (part[at] ? 0 : value));
export const union = (mask, part) => mask.map((value, at) => (value || part[at] ? 1 : 0));
export const same = (a, b) => a.every((mask, k) => mask.every((value, at) => value === b[k][at]));
