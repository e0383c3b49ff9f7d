// Draws an image with outlines on a canvas; zoom, pan and window are its own.

import { outline } from "./masks.js";

// Okabe and Ito's colours, which colour-blind people tell apart; the number stands beside each object, too.
export const COLOURS = ["#ffd60a", "#56b4e9", "#e69f00", "#009e73", "#cc79a7", "#f0e442", "#0072b2", "#d55e00", "#ffffff"];

export class Viewer {
  constructor(canvas) {
    this.canvas = canvas;
    this.context = canvas.getContext("2d");
    this.image = null;
    this.layers = [];
    this.marks = [];
    this.show = { fill: false, opacity: 0.35 };
    this.zoom = 1;
    this.pan = [0, 0];
    new ResizeObserver(() => this.draw()).observe(canvas);
  }

  setImage(image, low, high) {
    const other = !this.image || this.image.width !== image.width || this.image.height !== image.height;
    this.image = image;
    this.pixels = new OffscreenCanvas(image.width, image.height);
    if (other) this.fit();
    this.setWindow(low, high);
  }

  // Shades between low and high, both in [0, 1] of all levels that the file has.
  setWindow(low, high) {
    this.window = [low, high];
    if (!this.image) return;
    const { width, height, deep, data, plain } = this.image;
    const context = this.pixels.getContext("2d");
    if (plain && low === 0 && high === 1) {
      context.putImageData(plain, 0, 0);
      this.draw();
      return;
    }
    const shown = context.createImageData(width, height);
    const levels = deep ? 65535 : 255;
    const shade = new Uint8ClampedArray(levels + 1);
    for (let v = 0; v <= levels; v++) shade[v] = (255 * (v / levels - low)) / Math.max(high - low, 1e-6);
    for (let i = 0; i < width * height; i++) {
      for (let c = 0; c < 3; c++) shown.data[4 * i + c] = shade[deep ? data[i] : data[4 * i + c]];
      shown.data[4 * i + 3] = 255;
    }
    context.putImageData(shown, 0, 0);
    this.draw();
  }

  // Layers: { masks, colour(k), dashed, filled }; their outlines are found once.
  setLayers(layers) {
    const { width, height } = this.image;
    this.layers = layers.map((layer) => ({
      ...layer,
      paths: layer.masks.map((mask) => outline(mask, width, height)),
      tops: layer.masks.map((mask) => mask.indexOf(1)), // the topmost pixel, where the number of the class stands
    }));
    this.draw();
  }

  setMarks(marks) {
    this.marks = marks;
    this.draw();
  }

  fit() {
    this.zoom = 1;
    this.pan = [0, 0];
  }

  // Zoom so that a place of the canvas (CSS pixels) stays where it is.
  zoomBy(factor, place) {
    const [x, y] = this.toImage(...place);
    this.zoom = Math.min(Math.max(this.zoom * factor, 1), 40);
    const { scale, left, top } = this.frame();
    const ratio = this.ratio();
    this.pan = [this.pan[0] + place[0] * ratio - (left + x * scale), this.pan[1] + place[1] * ratio - (top + y * scale)];
    if (this.zoom === 1) this.pan = [0, 0];
    this.draw();
  }

  ratio() {
    return this.canvas.width / Math.max(this.canvas.clientWidth, 1);
  }

  frame() {
    const { width, height } = this.image;
    const scale = Math.min(this.canvas.width / width, this.canvas.height / height) * this.zoom;
    const left = (this.canvas.width - width * scale) / 2 + this.pan[0];
    const top = (this.canvas.height - height * scale) / 2 + this.pan[1];
    return { scale, left, top };
  }

  // From CSS pixels of the canvas to pixels of the image, and back.
  toImage(x, y) {
    const { scale, left, top } = this.frame();
    return [(x * this.ratio() - left) / scale, (y * this.ratio() - top) / scale];
  }

  toCanvas(x, y) {
    const { scale, left, top } = this.frame();
    return [(left + x * scale) / this.ratio(), (top + y * scale) / this.ratio()];
  }

  draw() {
    const { canvas, context } = this;
    const dense = window.devicePixelRatio || 1;
    const [wide, high] = [Math.round(canvas.clientWidth * dense), Math.round(canvas.clientHeight * dense)];
    if (canvas.width !== wide || canvas.height !== high) [canvas.width, canvas.height] = [wide, high];
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.clearRect(0, 0, canvas.width, canvas.height);
    if (!this.image) return;
    const { scale, left, top } = this.frame();
    context.setTransform(scale, 0, 0, scale, left, top);
    context.imageSmoothingEnabled = scale < 4;
    context.drawImage(this.pixels, 0, 0);
    const unit = dense / scale;
    for (const layer of this.layers) this.drawLayer(layer, unit);
    for (const mark of this.marks) this.drawMark(mark, unit);
  }

  drawLayer(layer, unit) {
    const { context } = this;
    layer.paths.forEach((path, k) => {
      context.setLineDash(layer.dashed ? [6 * unit, 4 * unit] : []);
      context.lineJoin = "round";
      context.strokeStyle = "rgba(0, 0, 0, 0.75)";
      context.lineWidth = 4 * unit;
      context.stroke(path);
      context.strokeStyle = layer.colour(k);
      context.lineWidth = 2 * unit;
      context.stroke(path);
      if (layer.filled && this.show.fill) {
        context.globalAlpha = this.show.opacity;
        context.fillStyle = layer.colour(k);
        context.fill(path, "evenodd");
        context.globalAlpha = 1;
      }
    });
    context.setLineDash([]);
    if (layer.paths.length > 1) layer.tops.forEach((at, k) => at >= 0 && this.drawNumber(k, at, layer.colour(k), unit));
  }

  drawNumber(k, at, colour, unit) {
    const { context } = this;
    const place = [at % this.image.width, Math.floor(at / this.image.width) - 4 * unit];
    context.font = `bold ${16 * unit}px sans-serif`;
    context.lineWidth = 3 * unit;
    context.strokeStyle = "#000000";
    context.fillStyle = colour;
    context.strokeText(String(k + 1), ...place);
    context.fillText(String(k + 1), ...place);
  }

  // Marks: { box } , { point, positive }, { cross }, { disc, radius }; plus and minus tell points apart without colour.
  drawMark(mark, unit) {
    const { context } = this;
    context.lineWidth = 2 * unit;
    context.strokeStyle = mark.faint ? "#bfe3ff" : "#ffffff";
    context.setLineDash(mark.faint ? [3 * unit, 3 * unit] : []);
    if (mark.box) {
      const [x0, y0, x1, y1] = mark.box;
      context.strokeRect(x0, y0, x1 - x0, y1 - y0);
    }
    context.setLineDash([]);
    if (mark.disc) {
      context.beginPath();
      context.arc(...mark.disc, mark.radius, 0, 7);
      context.stroke();
    }
    if (mark.cross) this.plus(mark.cross, 9 * unit, true);
    if (mark.point) {
      context.beginPath();
      context.arc(...mark.point, 8 * unit, 0, 7);
      context.fillStyle = mark.positive ? "#005f3c" : "#8c1d18";
      context.fill();
      context.stroke();
      this.plus(mark.point, 4.5 * unit, mark.positive);
    }
  }

  plus([x, y], arm, upright) {
    const { context } = this;
    context.beginPath();
    context.moveTo(x - arm, y);
    context.lineTo(x + arm, y);
    if (upright) {
      context.moveTo(x, y - arm);
      context.lineTo(x, y + arm);
    }
    context.stroke();
  }
}
