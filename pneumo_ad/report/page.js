// The linked report: a range of scores, brushed or typed, lights the frames of the windows that lie in it.
// Whatever the content holds is put on the page as text or as an attribute of an element made here, never as markup.
"use strict";

const content = JSON.parse(document.getElementById("content").textContent);
const [axisLow, axisHigh] = content.edges;
const step = 10 ** (Math.floor(Math.log10(axisHigh - axisLow)) - 3); // a four-digit scale is as fine as a mouse gets
const digits = Math.max(0, -Math.round(Math.log10(step)));
const terms = content.words; // of the field, for what the pictures show
const byId = (id) => document.getElementById(id);
const range = { low: null, high: null }; // null: open on that side; both null: nothing is chosen

// ---- what the page holds --------------------------------------------------------------------------------------------

function bytes(text) {
  return Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0)).buffer;
}

const grids = content.grids.map(([top, left, side]) => ({
  top: new Uint16Array(bytes(top)), left: new Uint16Array(bytes(left)), side,
}));
const radiographs = content.radiographs.map((one, number) => ({
  ...one, number, grid: grids[one.grid], scores: new Float32Array(bytes(one.scores)),
  groups: new Uint8Array(bytes(one.groups)), lit: 0, near: false,
}));
const windows = radiographs.reduce((sum, one) => sum + one.scores.length, 0);

function element(tag, properties = {}, ...children) {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children);
  return made;
}

function path(name) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", "path");
  made.setAttribute("class", name);
  return made;
}

function drawing(width, height, ...children) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  made.setAttribute("viewBox", `0 0 ${width} ${height}`);
  made.setAttribute("preserveAspectRatio", "none");
  made.setAttribute("aria-hidden", "true");
  made.append(...children);
  return made;
}

const count = (number, one, many = `${one}s`) => `${number.toLocaleString("en")} ${number === 1 ? one : many}`;
const countImages = (number) => count(number, terms.image, terms.images);
const short = (value) => Number(value.toPrecision(4)).toString();
const round = (value) => Number((Math.round(value / step) * step).toFixed(digits));

// ---- a card for each radiograph ---------------------------------------------------------------------------------------

const LAID_OVER = "anomaly map"; // the radiograph shows through it; other pictures take its place
const MASK_CLASSES = content.maskClasses;

// A letter that turns the direction of writing, or none at all, would let one name pass for another: it is spelt out.
const plain = (name) => name.replace(/[\p{Cc}\p{Cf}\u2028\u2029]/gu, (letter) => `⟨U+${letter.codePointAt(0).toString(16).toUpperCase().padStart(4, "0")}⟩`);

function card(one) {
  one.base = element("img", { alt: "", decoding: "async", className: "base" });
  one.over = element("img", { alt: "", decoding: "async", className: "over", hidden: true });
  one.masks_drawn = Object.entries(one.masks).map(([name, shape]) => {
    const drawn = path(MASK_CLASSES[name] ?? "field");
    drawn.setAttribute("d", shape);
    drawn.dataset.layer = name;
    return drawn;
  });
  one.frames = path("frames");
  const stage = element("div", { className: "stage" }, one.base, one.over,
    drawing(one.width, one.height, ...one.masks_drawn, one.frames));
  stage.style.aspectRatio = one.aspect;
  one.litWords = element("span", { className: "lit" });
  const name = element("bdi", { textContent: plain(one.name), id: `name-${one.number}` });
  const caption = element("figcaption", {}, name);
  const facts = [];
  if (one.label) facts.push(one.label);
  if (one.score !== null) facts.push(`${content.scoreName} ${short(one.score)}`);
  if (one.p !== null) facts.push(`p = ${Number(one.p.toPrecision(2))} among ${content.normals === null ? "" : `${content.normals} `}${content.whose}`);
  if (one.anomalous !== null) facts.push(one.anomalous ? "called anomalous" : "not called anomalous");
  caption.append(element("span", { textContent: facts.join(" · ") }));
  if (one.predicted) {
    const kinds = content.kinds.map((name, i) => `${one.predicted[i]} ${name}`);
    caption.append(element("small", { textContent: `windows, each by itself: ${kinds.join(", ")}` }));
  }
  caption.append(...one.remarks.map((remark) => element("small", { textContent: remark })), one.litWords);
  one.figure = element("figure", { tabIndex: -1 }, stage, caption);
  one.figure.setAttribute("aria-labelledby", `name-${one.number}`);
  one.item = element("li", {}, one.figure);
  one.item.dataset.number = one.number;
  return one.item;
}

// Pictures and frames are made for what is on the screen or about to be.
function show(one) {
  one.near = true;
  if (!one.base.src) one.base.src = one.picture;
  const chosen = one.pictures[state.picture];
  one.over.hidden = !chosen;
  one.over.classList.toggle("tint", state.picture === LAID_OVER);
  if (chosen && one.over.src !== chosen) one.over.src = chosen;
  drawFrames(one);
}

function drawFrames(one) {
  const shape = one.lit ? outline(one) : "";
  if (one.frames.getAttribute("d") !== shape) one.frames.setAttribute("d", shape);
}

// Windows that touch have one frame: every edge between a pixel that a lit window covers and one that none does.
function outline(one) {
  const { width, height, grid: { top, left, side } } = one;
  const across = width + 2; // a pixel that nothing covers all around
  const covers = new Int32Array(across * (height + 2));
  for (let i = 0; i < one.scores.length; i++) {
    if (!lies(one.scores[i])) continue;
    const first = (top[i] + 1) * across + left[i] + 1, below = first + side * across;
    covers[first]++;
    covers[first + side]--;
    covers[below]--;
    covers[below + side]++;
  }
  for (let i = 1; i < covers.length; i++) if (i % across) covers[i] += covers[i - 1];
  for (let i = across; i < covers.length; i++) covers[i] += covers[i - across];
  let shape = "";
  const run = (lines, length, apart, along, word) => {
    for (let line = 0; line <= lines; line++) {
      for (let at = 1, start = 0; at <= length + 1; at++) {
        const here = line * apart + at * along;
        const edge = at <= length && (covers[here] > 0) !== (covers[here + apart] > 0);
        if (edge && !start) start = at;
        if (!edge && start) {
          shape += word(line, start - 1, at - 1);
          start = 0;
        }
      }
    }
  };
  run(height, width, across, 1, (y, from, to) => `M${from} ${y}H${to}`);
  run(width, height, 1, across, (x, from, to) => `M${x} ${from}V${to}`);
  return shape;
}

const watcher = new IntersectionObserver((entries) => {
  for (const entry of entries) {
    const one = radiographs[entry.target.dataset.number];
    if (entry.isIntersecting) show(one);
    else one.near = false;
  }
}, { rootMargin: "300px" });

// ---- the range --------------------------------------------------------------------------------------------------------

const chosen = () => range.low !== null || range.high !== null;
let bounds = [Infinity, -Infinity];
const lies = (score) => score >= bounds[0] && score <= bounds[1];

function inWords() {
  if (range.low === null) return `at or below ${range.high}`;
  if (range.high === null) return `at or above ${range.low}`;
  return `in ${range.low}–${range.high}`;
}

// Every way of choosing a range ends here: brush, numbers, buttons, Esc.
function choose(low, high, by) {
  range.low = low;
  range.high = high;
  // Scores are single precision; so must be what they are compared with.
  bounds = chosen() ? [Math.fround(low ?? -Infinity), Math.fround(high ?? Infinity)] : [Infinity, -Infinity];
  const ofGroups = new Array(content.groups.length).fill(0);
  let lit = 0, images = 0;
  for (const one of radiographs) {
    one.lit = 0;
    if (chosen()) {
      for (let i = 0; i < one.scores.length; i++) {
        if (lies(one.scores[i])) {
          one.lit++;
          ofGroups[one.groups[i]]++;
        }
      }
    }
    lit += one.lit;
    images += one.lit > 0;
    one.litWords.textContent = chosen() ? `${one.lit} of ${count(one.scores.length, "window")} lit` : "";
    if (one.near) drawFrames(one);
  }
  if (by !== "numbers") {
    byId("low").value = low ?? "";
    byId("high").value = high ?? "";
  }
  if (by !== "brush") moveBrush();
  byId("clear").disabled = !chosen();
  const parts = content.groups.map((name, i) => [ofGroups[i], name]).filter(([number]) => number);
  const told = chosen()
    ? `${count(lit, "window")} of ${countImages(images)} lie ${inWords()} ${content.unit}` +
      (parts.length > 1 ? `: ${parts.map(([number, name]) => `${number.toLocaleString("en")} ${name}`).join(", ")}.` : ".")
    : `Nothing is chosen; ${count(windows, "window")} of ${countImages(radiographs.length)} are here.`;
  byId("counts").textContent = told;
  document.body.dataset.lit = lit;
  settled(told);
}

let waiting = 0;
function settled(told) { // said and sorted once the hand rests
  clearTimeout(waiting);
  waiting = setTimeout(() => {
    byId("announced").textContent = told;
    if (state.order === "lit") arrange();
  }, 300);
}

// ---- the histogram ----------------------------------------------------------------------------------------------------

let view = null;
let moving = false; // the brush is being moved by this script, not by a hand

async function moveBrush() {
  if (!view) return;
  const scale = view.scale("x");
  const ends = chosen() ? [scale(Math.max(range.low ?? axisLow, axisLow)), scale(Math.min(range.high ?? axisHigh, axisHigh))] : [];
  moving = true;
  await view.signal("brush_x", ends).runAsync();
  moving = false;
}

async function drawChart() {
  const made = await window.vegaEmbed("#chart", content.chart, {
    mode: "vega-lite", renderer: "svg", actions: false, tooltip: false, defaultStyle: false,
    ast: true, // Vega's own interpreter instead of `eval`, which the page's policy forbids
  });
  view = made.view;
  view.addSignalListener("brush", (_, value) => {
    if (moving) return;
    if (!value.start) return choose(null, null, "brush");
    const [low, high] = value.start.map(round);
    // The last bar holds all above it.
    choose(low, value.start[1] >= axisHigh - step / 2 && content.beyond ? null : high, "brush");
  });
  let width = byId("chart").clientWidth;
  new ResizeObserver(() => {
    if (byId("chart").clientWidth === width) return;
    width = byId("chart").clientWidth;
    window.dispatchEvent(new Event("resize"));
    requestAnimationFrame(moveBrush); // its place is held in pixels
  }).observe(byId("chart"));
  moveBrush();
}

function explain() {
  const lines = ["Each row is scaled to its own highest bar."];
  if (content.beyond) lines.push(`The last bar holds all ${content.beyond.toLocaleString("en")} above ${short(axisHigh)}.`);
  if (content.thresholds) {
    const [low, high] = content.thresholds.map(short);
    lines.push(high === undefined
      ? `Dashed: the threshold ${low}, fitted on validation. Above the line: ${terms.anomaly}.`
      : `Dashed: the thresholds ${low} and ${high}, fitted on validation. Below the first line: ${terms.healthy}; between the lines: ${terms.anomaly}; above the second: outside.`);
    lines.push(`They tell each window by itself; whole ${terms.images} are called anomalous by their own score among ${content.whose}.`);
    const ends = [null, ...content.thresholds.map(round), null];
    content.kinds.forEach((name, i) => {
      const button = element("button", { type: "button", textContent: `as ${name}` });
      button.addEventListener("click", () => choose(ends[i], ends[i + 1], "button"));
      byId("presets").append(button);
    });
  } else if (content.kinds.length) {
    lines.push("Each window is told by itself, as the kind that the net finds likeliest in it.");
  }
  byId("beyond").textContent = lines.join(" ");
  byId("range-unit").textContent = content.unit;
}

function connectRange() {
  byId("chart").setAttribute("role", "img");
  byId("chart").setAttribute("aria-label", `Histogram of ${content.scoreName}; the two fields below choose a range as the mouse does`);
  for (const id of ["low", "high"]) {
    Object.assign(byId(id), { step, min: Math.min(0, round(axisLow)) });
    byId(id).addEventListener("input", () => {
      const [low, high] = ["low", "high"].map((end) => (byId(end).value === "" ? null : byId(end).valueAsNumber));
      choose(low, high, "numbers");
    });
  }
  byId("clear").addEventListener("click", () => choose(null, null, "button"));
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape") choose(null, null, "key");
  });
  for (const form of document.forms) form.addEventListener("submit", (event) => event.preventDefault());
}

// ---- layers -----------------------------------------------------------------------------------------------------------

const PLAIN = terms.image; // the picture without another over it
const state = { picture: PLAIN, order: "high", label: "", decision: "", blend: {} };

function toggle(type, name, words, checked, changed, sample) {
  const input = element("input", { type, name, value: words, checked });
  input.addEventListener("change", () => changed(input.checked));
  return element("label", {}, input, ...(sample ? [sample] : []), words);
}

function connectLayers() {
  const names = (kind) => [...new Set(radiographs.flatMap((one) => Object.keys(one[kind])))];
  if (names("pictures").includes(LAID_OVER)) state.picture = LAID_OVER;
  for (const name of [PLAIN, ...names("pictures")]) {
    byId("pictures").append(toggle("radio", "picture", name, name === state.picture, () => {
      state.picture = name;
      radiographs.filter((one) => one.near).forEach(show);
      showView();
    }));
  }
  byId("blend").addEventListener("input", () => {
    state.blend[state.picture] = byId("blend").valueAsNumber;
    blend();
  });
  byId("marked").textContent = content.marked;
  byId("to-panel").addEventListener("click", () => {
    byId("panel-title").scrollIntoView();
    byId("panel-title").focus({ preventScroll: true });
  });
  showView();
  byId("pictures").hidden = names("pictures").length === 0;
  for (const name of ["red frames", ...names("masks")]) {
    const kind = name === "red frames" ? "frames" : MASK_CLASSES[name] ?? "field";
    const sample = drawing(32, 16, path(kind));
    sample.firstChild.setAttribute("d", kind === "frames" ? "M8 2h14v12h-14z" : "M1 12C10 0 20 0 31 12");
    byId("masks").append(toggle("checkbox", "mask", name, kind !== "field", (on) => layerShown(name, on), sample));
    layerShown(name, kind !== "field");
  }
}

function layerShown(name, on) {
  for (const one of radiographs) {
    const drawn = name === "red frames" ? [one.frames] : one.masks_drawn.filter((mask) => mask.dataset.layer === name);
    for (const mask of drawn) mask.style.display = on ? "" : "none";
  }
}

// The slider goes from the radiograph to the chosen picture. A map is laid over the radiograph, which fades beyond the middle.
function blend() {
  const share = (state.blend[state.picture] ?? (state.picture === LAID_OVER ? 25 : 100)) / 100;
  const over = state.picture === LAID_OVER ? Math.min(1, 2 * share) : share;
  const base = state.picture === LAID_OVER ? Math.min(1, 2 - 2 * share) : 1;
  byId("cards").style.setProperty("--over", over);
  byId("cards").style.setProperty("--base", state.picture === PLAIN ? 1 : base);
  byId("blend").value = 100 * share;
  byId("blend").setAttribute("aria-valuetext", `${Math.round(100 * share)} % ${state.picture}`);
}

// On a narrow screen the radiographs come first.
if (window.matchMedia("(max-width: 60rem)").matches) byId("options").open = false;
window.addEventListener("beforeprint", () => { byId("options").open = true; });

function showView() {
  byId("view").hidden = state.picture === PLAIN;
  byId("blend-to").textContent = state.picture;
  byId("blend").setAttribute("aria-label", `From ${PLAIN} to ${state.picture}`);
  blend();
  const scale = content.maps[state.picture];
  byId("scale").replaceChildren();
  if (!scale) return;
  const bar = element("div", { className: "bar" });
  bar.style.background = `linear-gradient(to right, ${content.stops.join(", ")})`;
  const ends = element("div", { className: "ends" },
    element("span", { textContent: `≤ ${Number(scale.low.toPrecision(3))}` }), element("span", { textContent: scale.unit }),
    element("span", { textContent: `≥ ${Number(scale.high.toPrecision(3))}` }));
  byId("scale").append(bar, ends);
}

// ---- order, filters, keys ---------------------------------------------------------------------------------------------

const last = (value) => (value === null ? -Infinity : value); // without a score: at the end
const ORDERS = {
  high: ["highest score first", (a, b) => last(b.score) - last(a.score) || a.number - b.number],
  low: ["lowest score first", (a, b) => (a.score ?? Infinity) - (b.score ?? Infinity) || a.number - b.number],
  lit: ["most lit windows first", (a, b) => b.lit - a.lit || a.number - b.number],
  name: ["by name", (a, b) => a.name.localeCompare(b.name, "en", { numeric: true })],
};

let arranged = [];

function arrange() {
  const wanted = (one) => (!state.label || one.label === state.label) &&
    (!state.decision || one.anomalous === { anomalous: true, not: false, undecided: null }[state.decision]);
  const focused = document.activeElement;
  const order = [...radiographs].sort(ORDERS[state.order][1]);
  byId("cards").append(...order.map((one) => one.item));
  for (const one of order) one.item.hidden = !wanted(one);
  arranged = order.filter(wanted);
  for (const one of radiographs) one.figure.tabIndex = -1;
  const first = arranged.find((one) => one.figure === focused) ?? arranged[0];
  if (first) first.figure.tabIndex = 0;
  if (first?.figure === focused) focused.focus({ preventScroll: true });
  byId("shown").textContent = `${arranged.length} of ${countImages(radiographs.length)}`;
}

function connectBrowsing() {
  const choices = (id, entries) => {
    for (const [value, words] of entries) byId(id).append(element("option", { value, textContent: words }));
    byId(id).addEventListener("change", () => {
      state[id] = byId(id).value;
      arrange();
    });
  };
  choices("order", Object.entries(ORDERS).map(([key, [words]]) => [key, words]));
  const labels = [...new Set(radiographs.map((one) => one.label))].filter(Boolean).sort();
  choices("label", [["", "all"], ...labels.map((label) => [label, label])]);
  choices("decision", [["", "all"], ["anomalous", "called anomalous"], ["not", "not called anomalous"], ["undecided", "undecided"]]);
  byId("decision-label").hidden = radiographs.every((one) => one.anomalous === null);
  byId("size").addEventListener("change", () => { byId("cards").className = byId("size").value; });
  byId("cards").addEventListener("keydown", goOn);
  byId("cards").addEventListener("focusin", (event) => {
    for (const one of radiographs) one.figure.tabIndex = one.figure === event.target ? 0 : -1;
  });
}

function goOn(event) {
  const here = arranged.findIndex((one) => one.figure === event.target);
  if (here < 0) return;
  const top = arranged[here].item.offsetTop;
  const columns = arranged.filter((one) => one.item.offsetTop === top).length;
  const there = {
    ArrowRight: here + 1, ArrowLeft: here - 1, ArrowDown: here + columns, ArrowUp: here - columns,
    Home: 0, End: arranged.length - 1,
  }[event.key];
  if (there === undefined || !arranged[there]) return;
  event.preventDefault();
  arranged[there].figure.focus();
}

// ---- all of it --------------------------------------------------------------------------------------------------------

byId("cards").append(...radiographs.map(card));
connectRange();
connectLayers();
connectBrowsing();
explain();
arrange();
choose(null, null, "start");
radiographs.forEach((one) => watcher.observe(one.item));
window.addEventListener("beforeprint", () => radiographs.forEach(show));
drawChart().then(() => { document.body.dataset.ready = "yes"; });
