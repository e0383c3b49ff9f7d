// The mask in work: strokes, answers of the teacher, and the way back.

import { boxOf, component, disc, same, union, without } from "./masks.js";

const DEEP_ENOUGH = 50; // steps that can be undone

export class Editor {
  constructor(label, width, height, prompts, exclusive) {
    Object.assign(this, { label, width, height, exclusive });
    this.asked = prompts; // by the student, when the label was made
    this.masks = label.slice(); // no mask is changed before `remember` has put a copy into its place
    this.steps = [];
    this.tools = {};
    this.prompts = []; // of finished objects
    this.done = []; // what stands of it, step by step, so that the mask can be made again
    this.finish();
  }

  get edited() {
    return !same(this.masks, this.label);
  }

  // The next click or box is about another object.
  finish() {
    if (this.object && this.object.answered) this.prompts.push(this.object.prompt);
    this.object = null;
  }

  remember(tool) {
    this.tools[tool] = (this.tools[tool] || 0) + 1;
    const { object, prompts } = this;
    this.steps.push({
      masks: this.masks,
      prompts: prompts.slice(),
      done: this.done.slice(),
      object: object && { ...object, prompt: structuredClone(object.prompt) },
    });
    this.masks = this.masks.map((mask) => mask.slice());
    if (this.steps.length > DEEP_ENOUGH) this.steps.shift();
  }

  undo() {
    const step = this.steps.pop();
    if (!step) return false;
    Object.assign(this, step);
    return true;
  }

  set(k, mask) {
    this.masks[k] = mask;
    if (this.exclusive) this.masks = this.masks.map((other, j) => (j === k ? other : without(other, mask)));
  }

  replace(k, mask, tool) {
    this.remember(tool);
    this.finish();
    this.set(k, mask);
    this.done.push({ tool, class: k });
  }

  // A stroke begins; its points are not kept, only what it leaves.
  paint(k, tool) {
    this.remember(tool);
    this.done.push({ tool, class: k });
  }

  stroke(k, x, y, radius, value) {
    disc(this.masks[k], this.width, this.height, x, y, radius, value);
    if (this.exclusive && value) {
      this.masks.forEach((mask, j) => j !== k && disc(mask, this.width, this.height, x, y, radius, 0));
    }
  }

  // What to ask after a click; null where a negative point has no object to be about.
  click(k, x, y, positive) {
    this.begin(k, [x, y], positive);
    if (!this.object) return null;
    this.object.prompt.points.push([x, y]);
    this.object.prompt.point_labels.push(positive ? 1 : 0);
    return this.object.prompt;
  }

  // What to ask after a box: the parts of the mask that lie mostly inside of it are asked for anew.
  box(k, box) {
    this.finish();
    const [x0, y0, x1, y1] = box.map(Math.round);
    let base = this.masks[k].slice();
    const done = new Uint8Array(base.length);
    for (let y = y0; y < y1; y++) {
      for (let x = x0; x < x1; x++) {
        const at = y * this.width + x;
        if (done[at] || !this.masks[k][at]) continue;
        const part = component(this.masks[k], this.width, this.height, x, y);
        part.forEach((value, i) => value && (done[i] = 1));
        if (this.insideShare(part, [x0, y0, x1, y1]) > 0.5) base = without(base, part);
      }
    }
    this.object = { k, base, prompt: { class: k, box, points: [], point_labels: [] }, answered: false };
    return this.object.prompt;
  }

  insideShare(part, [x0, y0, x1, y1]) {
    let [inside, all] = [0, 0];
    part.forEach((value, at) => {
      if (!value) return;
      const [x, y] = [at % this.width, Math.floor(at / this.width)];
      all++;
      inside += x >= x0 && x < x1 && y >= y0 && y < y1;
    });
    return inside / all;
  }

  begin(k, [x, y], positive) {
    if (this.object && this.object.k === k) return;
    this.finish();
    const mask = this.masks[k];
    const part = component(mask, this.width, this.height, Math.floor(x), Math.floor(y));
    if (!part && !positive) return;
    const prompt = { class: k, points: [], point_labels: [] };
    // "Not this" about a part of the label goes on with what the student had asked there.
    if (!positive) Object.assign(prompt, structuredClone(this.askedAt(k, x, y)) || { box: boxOf(part, this.width) });
    this.object = { k, base: part ? without(mask, part) : mask.slice(), prompt, at: [x, y], answered: false };
  }

  askedAt(k, x, y) {
    const inside = ({ box }) => box && x >= box[0] && x < box[2] && y >= box[1] && y < box[3];
    return this.asked.find((row) => row.class === k && inside(row));
  }

  answer(mask) {
    const { k, prompt, at, answered } = this.object;
    this.done.push({ tool: at ? "click" : "box", ...structuredClone(prompt), class: k, at, continues: answered });
    this.object.answered = true;
    this.set(this.object.k, union(this.object.base, mask));
  }
}
