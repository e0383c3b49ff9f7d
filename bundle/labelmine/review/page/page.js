// The page: which label is looked at, what is shown of it, and what is decided.

import { Editor } from "./editor.js";
import { encodeMasks, outline, readImage, readMasks } from "./masks.js";
import { getBlob, getJson, post, setReviewer } from "./server.js";
import { COLOURS, Viewer } from "./viewer.js";

const $ = (id) => document.getElementById(id);
const AHEAD = [1, 2, -1]; // places that are fetched before they are asked for
const WAIT = 1500; // ms after which a long task says that it is at work

const stage = new Viewer($("stage"));
const beside = new Viewer($("student"));
const S = { all: null, place: -1, case: null, editor: null, tool: "click", k: 0, cross: null, drag: null, busy: false };
const fetched = new Map();
let begun = 0; // when the label was first seen, without the time the page was hidden
let decidedLast = []; // places in the order they were decided here

const colour = (k) => COLOURS[k % COLOURS.length];
const path = (place, rest = "") => `/api/case/${place}${rest}`;
const percent = (value) => (value === null || value === undefined ? "unknown" : value.toFixed(2));

function say(text, wrong = false) {
  $("said").textContent = text;
  $("said").classList.toggle("wrong", wrong);
}

async function attempt(work) {
  if (S.busy) return;
  S.busy = true;
  const slow = setTimeout(() => say("working ..."), WAIT);
  try {
    await work();
  } catch (error) {
    say(error.message, true);
    if (error.status === 409) await load(S.place, true);
  } finally {
    clearTimeout(slow);
    S.busy = false;
  }
}

// --- which label ------------------------------------------------------------------------------------------------------

function fetchCase(place) {
  if (!fetched.has(place)) {
    const work = (async () => {
      const [about, image, label] = await Promise.all([
        getJson(path(place)), getBlob(path(place, "/image.png")), getBlob(path(place, "/label.png")),
      ]);
      const masks = await readMasks(label, S.all.classes.length);
      const own = about.decided === "corrected" ? await getBlob(path(place, "/decided.png")) : null;
      const decided = own && (await readMasks(own, S.all.classes.length));
      const shown = await readImage(image, about.deep);
      for (const mask of decided ?? masks) outline(mask, shown.width, shown.height); // so that showing it takes no time
      return { about, image: shown, masks, decided };
    })();
    work.catch(() => fetched.delete(place));
    fetched.set(place, work);
  }
  return fetched.get(place);
}

async function load(place, anew = false) {
  if (anew) fetched.delete(place);
  const started = performance.now();
  const { about, image, masks, decided } = await fetchCase(place);
  Object.assign(S, { place, case: about, drag: null, gold: null, student: null });
  S.all.decided[place] = about.decided;
  S.editor = new Editor(masks, image.width, image.height, about.prompts, S.all.exclusive);
  if (decided) S.editor.masks = decided.slice();
  S.cross = [image.width / 2, image.height / 2];
  if (!S.sized) $("brush-size").value = S.sized = Math.max(1, Math.round(Math.max(image.width, image.height) / 48));
  stage.fit();
  beside.fit();
  stage.setImage(image, about.low, about.high);
  showWindow();
  await showLayers();
  const shown = performance.now() - started;
  document.body.dataset.shownMs = shown.toFixed(1);
  document.body.dataset.place = place;
  $("latency").textContent = `shown in ${shown.toFixed(0)} ms`;
  describe();
  begun = performance.now();
  mark(place);
  for (const key of [...fetched.keys()]) if (Math.abs(key - place) > 4) fetched.delete(key);
  for (const step of AHEAD) {
    const other = neighbour(place, step);
    if (other !== null) fetchCase(other).catch(() => {});
  }
  if (S.all.teacher) post(path(place, "/prepare")).then(() => {
    const next = neighbour(place, 1);
    if (next !== null) return post(path(next, "/prepare"));
  }).catch(() => {});
}

const visible = () => S.all.cases.map((_, place) => place).filter(passes);

function neighbour(place, step) {
  const places = visible();
  const at = places.findIndex((other) => other >= place);
  const index = (at < 0 ? places.length : at) + (places[at] === place || step < 0 ? step : step - 1);
  return places[index] ?? null;
}

function go(step) {
  return attempt(async () => {
    const place = neighbour(S.place, step);
    if (place === null) say(step > 0 ? "That was the last label." : "This is the first label.");
    else await load(place);
  });
}

async function goOn() {
  const open = visible().filter((place) => !S.all.decided[place]);
  const place = open.find((other) => other > S.place) ?? open[0];
  if (place === undefined) say("All labels shown are decided.");
  else await load(place);
}

// --- what is shown ----------------------------------------------------------------------------------------------------

async function showLayers() {
  const layers = [];
  if ($("show-label").checked) layers.push({ masks: S.editor.masks, colour, filled: true });
  if ($("show-gold").checked && S.case.gold) {
    if (!S.gold) {
      const blob = await getBlob(path(S.place, "/gold.png"));
      S.gold = blob && (await readMasks(blob, S.all.classes.length));
    }
    if (S.gold) layers.push({ masks: S.gold, colour: () => "#ffffff", dashed: true });
  }
  stage.show = { fill: $("show-fill").checked, opacity: $("opacity").value / 100 };
  stage.setLayers(layers);
  showMarks();
  await showStudent();
}

async function showStudent() {
  $("student-pane").hidden = !$("show-student").checked;
  if (!$("show-student").checked) return;
  const place = S.place;
  if (!S.student) S.student = await readMasks(await getBlob(path(place, "/student.png")), S.all.classes.length);
  if (place !== S.place) return;
  beside.setImage(stage.image, ...stage.window);
  beside.show = stage.show;
  beside.setLayers([{ masks: S.student, colour, filled: true, dashed: true }]);
  $("student-pane").dataset.place = place;
}

function showMarks() {
  const marks = [];
  const object = S.editor.object;
  if ($("show-prompts").checked) {
    for (const row of [...(S.editor.edited ? [] : S.editor.asked), ...S.editor.prompts]) marks.push(...marksOf(row, true));
    if (object) marks.push(...marksOf(object.prompt, false));
  }
  if (S.drag?.box) marks.push({ box: S.drag.box });
  if (S.drag?.corner) marks.push({ cross: S.drag.corner });
  if (document.activeElement === $("stage") && S.keyboard) marks.push({ cross: S.cross });
  if (S.hover && (S.tool === "brush" || S.tool === "eraser")) marks.push({ disc: S.hover, radius: radius() });
  stage.setMarks(marks);
}

const marksOf = (row, faint) => [
  ...(row.box ? [{ box: row.box, faint }] : []),
  ...row.points.map((point, n) => ({ point, positive: row.point_labels[n] === 1 })),
];

function describe() {
  const about = S.case;
  $("name").textContent = about.id;
  const rows = [
    ["rank", `${S.place + 1} of ${S.all.cases.length}`],
    ["expected Dice", percent(about.expected)],
    ["label", about.used ? "trained the student" : "left out"],
    ["because", about.reason],
    ["drawn by", about.source],
    ["student agrees", percent(about.agreement)],
    ...(about.group ? [["group", about.group]] : []),
    ...(about.volume ? [["slice", String(about.frame)]] : []),
    ["size", `${about.width} x ${about.height}`],
    ["you said", about.decided || "nothing yet"],
  ];
  $("about").replaceChildren(...rows.flatMap(([name, value]) => {
    const [dt, dd] = [document.createElement("dt"), document.createElement("dd")];
    dt.textContent = name;
    dd.textContent = value;
    return [dt, dd];
  }));
  $("gold-label").hidden = !about.gold;
  showButtons();
}

function showButtons() {
  const edited = S.editor.edited;
  $("accept").firstChild.textContent = edited ? "Save correction " : "Accept ";
  $("caption").textContent = edited ? "label, corrected" : "label";
  for (const button of document.querySelectorAll("[data-tool]")) {
    const wanted = ["click", "box"].includes(button.dataset.tool);
    button.disabled = wanted && !S.all.teacher;
    button.setAttribute("aria-pressed", String(button.dataset.tool === S.tool));
  }
  for (const button of $("classes").children) button.setAttribute("aria-checked", String(Number(button.dataset.k) === S.k));
}

const refresh = () => showLayers().catch((error) => say(error.message, true));

function changed() {
  showButtons();
  return showLayers();
}

// --- window and zoom --------------------------------------------------------------------------------------------------

function showWindow() {
  const [low, high] = stage.window;
  $("level").value = Math.round(500 * (low + high));
  $("width").value = Math.round(1000 * (high - low));
}

function moveWindow(level, width) {
  const span = Math.max(width, 0.002);
  stage.setWindow(level - span / 2, level + span / 2);
  if (!$("student-pane").hidden) beside.setWindow(...stage.window);
  showWindow();
}

function nudgeWindow(level, width) {
  const [low, high] = stage.window;
  moveWindow((low + high) / 2 + level, (high - low) * width);
}

function resetWindow() {
  moveWindow((S.case.low + S.case.high) / 2, S.case.high - S.case.low);
}

const middle = () => [$("stage").clientWidth / 2, $("stage").clientHeight / 2];

// --- correcting -------------------------------------------------------------------------------------------------------

const radius = () => Number($("brush-size").value);

function ask(prompt) {
  return attempt(async () => {
    const started = performance.now();
    let answer;
    try {
      answer = await post(path(S.place, "/ask"), prompt);
    } catch (error) {
      S.editor.undo();
      throw error;
    }
    S.editor.answer((await readMasks(await answer.blob(), 1))[0]);
    await changed();
    const whole = (performance.now() - started) / 1000;
    const [encode, decode] = ["x-encode-seconds", "x-decode-seconds"].map((name) => Number(answer.headers.get(name)));
    document.body.dataset.answerMs = (1000 * whole).toFixed(0);
    $("latency").textContent =
      `${S.all.teacher} answered in ${whole.toFixed(2)} s (embedding ${encode.toFixed(2)}, answer ${decode.toFixed(2)})`;
    say(`The teacher expects an IoU of ${Number(answer.headers.get("x-predicted-iou")).toFixed(2)}.`);
  });
}

function click(x, y, positive) {
  if (S.busy || !inside(x, y)) return undefined;
  S.editor.remember(positive ? "click" : "negative click");
  const prompt = S.editor.click(S.k, x, y, positive);
  if (prompt) return ask(prompt);
  S.editor.undo();
  say("A negative point says what of an object is not meant: put it inside the label, or draw a box first.");
  return undefined;
}

function askBox(from, to) {
  if (S.busy) return undefined;
  const { width, height } = stage.image;
  const held = ([x, y]) => [Math.min(Math.max(x, 0), width), Math.min(Math.max(y, 0), height)];
  const [[ax, ay], [bx, by]] = [held(from), held(to)];
  const box = [Math.min(ax, bx), Math.min(ay, by), Math.max(ax, bx), Math.max(ay, by)];
  if (box[2] - box[0] < 2 || box[3] - box[1] < 2) return showMarks();
  S.editor.remember("box");
  return ask(S.editor.box(S.k, box));
}

const inside = (x, y) => x >= 0 && y >= 0 && x < stage.image.width && y < stage.image.height;

function tidy(how) {
  return attempt(async () => {
    const { width, height } = S.editor;
    const mask = await encodeMasks([S.editor.masks[S.k]], width, height);
    const answer = await post(path(S.place, "/tidy"), { how, mask });
    S.editor.replace(S.k, (await readMasks(await answer.blob(), 1))[0], how);
    await changed();
    say(how === "fill" ? "Holes are filled." : "The outline is smoother.");
  });
}

function clear() {
  S.editor.replace(S.k, new Uint8Array(S.editor.masks[S.k].length), "clear");
  return changed();
}

function undo() {
  if (!S.editor.undo()) return undoDecision();
  say("Undone.");
  return changed();
}

function setTool(tool) {
  if (["click", "box"].includes(tool) && !S.all.teacher) return;
  S.tool = tool;
  S.drag = null;
  S.editor.finish();
  showButtons();
  showMarks();
}

function setClass(k) {
  if (k >= S.all.classes.length) return;
  S.k = k;
  S.editor.finish();
  showButtons();
}

function newObject() {
  S.editor.finish();
  showMarks();
  say("The next click or box is about another object.");
}

// --- deciding ---------------------------------------------------------------------------------------------------------

function decide(verdict) {
  return attempt(async () => {
    const { editor, place } = S;
    editor.finish();
    const corrected = verdict === "accepted" && editor.edited;
    const said = {
      verdict: corrected ? "corrected" : verdict,
      seconds: (performance.now() - begun) / 1000,
      prompts: corrected ? editor.prompts : [],
      tools: corrected ? editor.tools : {},
      steps: corrected ? editor.done : [],
      label_sha256: S.case.label_sha256,
      seen: S.case.seen,
    };
    if (corrected) said.mask = await encodeMasks(editor.masks, editor.width, editor.height);
    const answer = await (await post(path(place, "/decide"), said)).json();
    S.all.decided[place] = answer.verdict;
    decidedLast.push(place);
    fetched.delete(place);
    showProgress(answer);
    showThumbnail(place);
    say(corrected ? `Corrected; the label had a Dice of ${percent(answer.dice)}.` : `${S.case.id}: ${answer.verdict}.`);
    await goOn();
  });
}

function undoDecision() {
  return attempt(async () => {
    const place = decidedLast.pop() ?? (S.all.decided[S.place] ? S.place : undefined);
    if (place === undefined) return say("Nothing to undo.");
    fetched.delete(place);
    const { about } = await fetchCase(place);
    if (about.decided) {
      const said = { verdict: "undone", seconds: 0, label_sha256: about.label_sha256, seen: about.seen };
      const answer = await (await post(path(place, "/decide"), said)).json();
      S.all.decided[place] = "";
      showProgress(answer);
    }
    showThumbnail(place);
    await load(place, true);
    return say("The decision is taken back.");
  });
}

function showProgress(facts) {
  Object.assign(S.all, facts, { decided: S.all.decided });
  const total = S.all.cases.length;
  const done = S.all.decided.filter(Boolean).length;
  const { accepted = 0, corrected = 0, rejected = 0 } = S.all.counts;
  $("progress").value = done / Math.max(total, 1);
  $("progress-text").textContent =
    `${done} of ${total}: ${accepted} accepted, ${corrected} corrected, ${rejected} rejected; ${S.all.by_anyone} by anyone`;
  const { n, same, dice } = S.all.agreement;
  $("agreement").textContent = n ? `Two reviewers agreed on ${same} of ${n} (Dice ${percent(dice)}).` : "";
  const mean = (values) => values.reduce((sum, value) => sum + value, 0) / Math.max(values.length, 1);
  const open = S.all.cases.filter((_, place) => !S.all.decided[place]);
  if (!S.all.seconds || !open.length) {
    $("worth").textContent = `Expected Dice of all labels: ${percent(mean(S.all.cases.map((one) => one.expected)))}.`;
    return;
  }
  const hour = Math.min(Math.floor(3600 / Math.max(S.all.seconds, 0.5)), open.length);
  const gain = open.slice(0, hour).reduce((sum, one) => sum + 1 - one.expected, 0) / total;
  const right = (place) => ["accepted", "corrected"].includes(S.all.decided[place]);
  const now = mean(S.all.cases.map((one, place) => (right(place) ? 1 : one.expected)));
  $("worth").textContent =
    `You take ${S.all.seconds.toFixed(1)} s a label. An hour is worth ${hour} labels: expected Dice of all labels ` +
    `from ${percent(now)} to ${percent(Math.min(now + gain, 1))}, if each is put right.`;
}

// --- the strip --------------------------------------------------------------------------------------------------------

function passes(place) {
  const one = S.all.cases[place];
  const [decision, used] = [$("f-decision").value, $("f-used").value];
  return (
    (!decision || (decision === "open" ? !S.all.decided[place] : S.all.decided[place] === decision)) &&
    (!used || (used === "used") === one.used) &&
    (!$("f-source").value || one.source === $("f-source").value) &&
    (!$("f-group").value || one.group === $("f-group").value) &&
    one.expected <= Number($("f-expected").value || 1) &&
    fits(place) &&
    (one.agreement ?? 0) <= Number($("f-agreement").value || 1)
  );
}

// Sizes are known once they were asked for, as all labels are read for them; one that cannot be read passes.
function fits(place) {
  const size = S.sizes?.[place];
  const [smallest, largest] = [Number($("f-smallest").value || 0), Number($("f-largest").value || 100)];
  return size === undefined || size === null || (size >= smallest && size <= largest);
}

function filterBySize() {
  return attempt(async () => {
    if (!S.sizes) S.sizes = await getJson("/api/sizes");
    filter();
  });
}

function buildStrip() {
  $("strip").replaceChildren(...S.all.cases.map((one, place) => {
    const [li, button, img, text] = ["li", "button", "img", "span"].map((name) => document.createElement(name));
    button.type = "button";
    img.loading = "lazy";
    img.alt = "";
    img.src = path(place, "/thumbnail.jpg");
    button.append(img, text);
    button.addEventListener("click", () => attempt(() => load(place)));
    li.append(button);
    return li;
  }));
  S.all.cases.forEach((_, place) => showThumbnail(place));
  for (const [id, key] of [["f-source", "source"], ["f-group", "group"]]) {
    const names = [...new Set(S.all.cases.map((one) => one[key]).filter(Boolean))].sort();
    $(id).append(...names.map((name) => new Option(name, name)));
    if (id === "f-group") $("f-group-label").hidden = !names.length;
  }
  filter();
}

function showThumbnail(place) {
  const one = S.all.cases[place];
  const button = $("strip").children[place].firstChild;
  button.lastChild.textContent = `${place + 1}. ${percent(one.expected)} ${S.all.decided[place] || "open"} ${one.id}`;
}

function filter() {
  let count = 0;
  [...$("strip").children].forEach((li, place) => {
    li.hidden = !passes(place);
    count += !li.hidden;
  });
  $("shown").textContent = `(${count} of ${S.all.cases.length} shown)`;
}

function mark(place) {
  [...$("strip").children].forEach((li, other) => li.firstChild.setAttribute("aria-current", String(other === place)));
  const li = $("strip").children[place];
  $("strip").scrollTo({ left: li.offsetLeft - $("strip").offsetLeft - $("strip").clientWidth / 2 });
}

// --- pointer and keys -------------------------------------------------------------------------------------------------

const placeOf = (event) => stage.toImage(event.offsetX, event.offsetY);

function pointerDown(event) {
  if (!S.editor) return;
  S.keyboard = false;
  $("stage").setPointerCapture(event.pointerId);
  const at = placeOf(event);
  if (event.button === 2) S.drag = { window: [event.offsetX, event.offsetY], from: stage.window };
  else if (event.button === 1) S.drag = { pan: [event.offsetX, event.offsetY] };
  else if (S.tool === "box") S.drag = { start: at, box: [...at, ...at] };
  else if (S.tool === "click") S.drag = { click: at, positive: !(event.shiftKey || event.altKey) };
  else beginStroke(at);
  event.preventDefault();
  $("stage").focus({ preventScroll: true });
}

function beginStroke(at) {
  S.editor.paint(S.k, S.tool);
  S.editor.finish();
  S.drag = { stroke: at };
  paint(at);
}

function paint(at) {
  const from = S.drag.stroke;
  const steps = Math.max(Math.ceil(Math.hypot(at[0] - from[0], at[1] - from[1]) / Math.max(radius() / 2, 0.5)), 1);
  for (let n = 1; n <= steps; n++) {
    const [x, y] = [from[0] + ((at[0] - from[0]) * n) / steps, from[1] + ((at[1] - from[1]) * n) / steps];
    S.editor.stroke(S.k, x, y, radius(), S.tool === "brush" ? 1 : 0);
  }
  S.drag.stroke = at;
  if (!S.painting) S.painting = requestAnimationFrame(() => {
    S.painting = 0;
    changed();
  });
}

function pointerMove(event) {
  if (!S.editor) return;
  const at = placeOf(event);
  S.hover = at;
  if (S.drag?.stroke) paint(at);
  else if (S.drag?.box) S.drag.box = [Math.min(at[0], S.drag.start[0]), Math.min(at[1], S.drag.start[1]), Math.max(at[0], S.drag.start[0]), Math.max(at[1], S.drag.start[1])];
  else if (S.drag?.window) {
    const [low, high] = S.drag.from;
    const [dx, dy] = [event.offsetX - S.drag.window[0], event.offsetY - S.drag.window[1]];
    moveWindow((low + high) / 2 + dy / 500, (high - low) * Math.exp(dx / 200));
  } else if (S.drag?.pan) {
    stage.pan = [stage.pan[0] + (event.offsetX - S.drag.pan[0]) * stage.ratio(), stage.pan[1] + (event.offsetY - S.drag.pan[1]) * stage.ratio()];
    S.drag.pan = [event.offsetX, event.offsetY];
  }
  showMarks();
}

function pointerUp(event) {
  const drag = S.drag;
  S.drag = null;
  if (drag?.click) click(...drag.click, drag.positive);
  else if (drag?.box) askBox(drag.start, placeOf(event));
  else if (S.editor) showMarks();
}

function wheel(event) {
  event.preventDefault();
  if (S.case?.volume && !event.ctrlKey) return slice(Math.sign(event.deltaY));
  stage.zoomBy(Math.exp(-event.deltaY / 400), [event.offsetX, event.offsetY]);
  return undefined;
}

// The next slice of the same volume that has a label.
function slice(step) {
  const own = S.all.cases.map((one, place) => ({ ...one, place })).filter((one) => one.volume === S.case.volume);
  own.sort((a, b) => a.frame - b.frame);
  const other = own[own.findIndex((one) => one.place === S.place) + step];
  return other && attempt(() => load(other.place));
}

const STEPS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

function stageKey(event) {
  if (STEPS[event.key]) {
    const far = event.shiftKey ? 10 : 1;
    const { width, height } = stage.image;
    S.keyboard = true;
    S.cross = [
      Math.min(Math.max(S.cross[0] + far * STEPS[event.key][0], 0), width - 1),
      Math.min(Math.max(S.cross[1] + far * STEPS[event.key][1], 0), height - 1),
    ];
    showMarks();
  } else if (event.key === " ") useTool();
  else if (event.key === "x" && S.tool === "click") click(...S.cross, false);
  else return false;
  return true;
}

function useTool() {
  S.keyboard = true;
  if (S.tool === "click") return click(...S.cross, true);
  if (S.tool === "box") {
    const corner = S.drag?.corner;
    S.drag = corner ? null : { corner: S.cross };
    return corner ? askBox(corner, S.cross) : showMarks();
  }
  beginStroke(S.cross);
  S.drag = null;
  return undefined;
}

const toggle = (id) => () => {
  $(id).checked = !$(id).checked;
  return refresh();
};

const KEYS = {
  a: () => decide("accepted"), r: () => decide("rejected"), n: () => go(1), p: () => go(-1), z: undo,
  c: () => setTool("click"), b: () => setTool("box"), d: () => setTool("brush"), e: () => setTool("eraser"),
  Enter: newObject, m: () => tidy("smooth"), h: () => tidy("fill"), k: clear,
  l: toggle("show-label"), f: toggle("show-fill"), o: toggle("show-prompts"), g: toggle("show-gold"), s: toggle("show-student"),
  "+": () => stage.zoomBy(1.25, middle()), "-": () => stage.zoomBy(0.8, middle()), 0: () => (stage.fit(), stage.draw()),
  "[": () => nudgeWindow(0.03, 1), "]": () => nudgeWindow(-0.03, 1), ",": () => nudgeWindow(0, 0.9), ".": () => nudgeWindow(0, 1.1),
  w: resetWindow, "?": () => $("help").showModal(),
};

function key(event) {
  const typing = event.target.matches("input:not([type=checkbox], [type=range]), select");
  if (typing || event.ctrlKey || event.metaKey || $("help").open || !S.editor) return;
  const onButton = event.target.matches("button, summary, input") && ["Enter", " "].includes(event.key);
  if (onButton || (event.target.matches("input[type=range]") && event.key.startsWith("Arrow"))) return;
  const name = event.key.length === 1 ? event.key.toLowerCase() : event.key;
  if (document.activeElement === $("stage") && stageKey(event)) event.preventDefault();
  else if (/^[1-9]$/.test(name)) setClass(Number(name) - 1);
  else if (KEYS[name]) {
    event.preventDefault();
    KEYS[name]();
  }
}

// --- beginning --------------------------------------------------------------------------------------------------------

function buildClasses() {
  $("classes").hidden = S.all.classes.length < 2;
  $("classes").replaceChildren(...S.all.classes.map((name, k) => {
    const [button, swatch] = [document.createElement("button"), document.createElement("span")];
    button.type = "button";
    button.dataset.k = k;
    button.setAttribute("role", "radio");
    swatch.className = "swatch";
    swatch.style.background = colour(k);
    button.append(swatch, ` ${k + 1} ${name}`);
    button.addEventListener("click", () => setClass(k));
    return button;
  }));
}

function wire() {
  const on = (id, event, work) => $(id).addEventListener(event, work);
  for (const [id, name] of Object.entries({
    accept: "a", reject: "r", next: "n", previous: "p", undo: "z", object: "Enter", smooth: "m", "fill-holes": "h", clear: "k",
    "zoom-in": "+", "zoom-out": "-", "zoom-fit": "0", "window-reset": "w", "help-open": "?",
  })) on(id, "click", () => KEYS[name]());
  for (const button of document.querySelectorAll("[data-tool]")) button.addEventListener("click", () => setTool(button.dataset.tool));
  for (const id of ["show-label", "show-fill", "show-prompts", "show-gold", "show-student"]) on(id, "change", refresh);
  on("opacity", "input", refresh);
  for (const id of ["level", "width"]) on(id, "input", () => moveWindow($("level").value / 1000, $("width").value / 1000));
  for (const id of ["f-decision", "f-used", "f-source", "f-group", "f-expected", "f-agreement"]) on(id, "input", filter);
  for (const id of ["f-smallest", "f-largest"]) on(id, "input", filterBySize);
  on("stage", "pointerdown", pointerDown);
  on("stage", "pointermove", pointerMove);
  on("stage", "pointerup", pointerUp);
  on("stage", "pointerleave", () => { S.hover = null; if (S.editor) showMarks(); });
  on("stage", "blur", () => S.editor && showMarks());
  on("stage", "focus", () => S.editor && showMarks());
  on("stage", "contextmenu", (event) => event.preventDefault());
  $("stage").addEventListener("wheel", wheel, { passive: false });
  on("reviewer", "change", () => {
    localStorage.setItem("labelmine-reviewer", $("reviewer").value);
    location.reload();
  });
  document.addEventListener("keydown", key);
  let hidden = 0;
  document.addEventListener("visibilitychange", () => {
    if (document.hidden) hidden = performance.now();
    else begun += performance.now() - hidden;
  });
}

async function begin() {
  $("reviewer").value = localStorage.getItem("labelmine-reviewer") || "reviewer";
  setReviewer($("reviewer").value);
  S.all = await getJson("/api/overview");
  if (!S.all.teacher) S.tool = "brush";
  buildClasses();
  buildStrip();
  showProgress({});
  wire();
  if (!S.all.cases.length) return say("This run has no label to review.");
  const first = S.all.decided.findIndex((verdict) => !verdict);
  await load(Math.max(first, 0));
  document.body.dataset.ready = "true";
  return undefined;
}

begin().catch((error) => say(error.message, true));
