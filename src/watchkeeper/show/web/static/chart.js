/**
 * Curves over one horizontal axis: panels below each other. uPlot keeps the scales, axes, cursor and
 * drag of a panel; bands, lines and marks are drawn here, since each line has an `x` of its own.
 */

import { bdi, cleanText, followPointer, h } from './dom.js';
import { clockText, dayText, numberText } from './format.js';

const PLOT_SCRIPT = '/static/vendor/uplot/uPlot.iife.min.js';
const MOST_MOUNTED = 6;
const FOOT = ' axis';
const LABEL_HEIGHT = 14;
const FONT_SIZE = 11;
const GUTTER = { left: 84, right: 44 };
const NARROW_GUTTER = { left: 4, right: 40 };
const NARROW_WIDTH = 560;
const NARROW_PAGE = matchMedia('(max-width: 63.99em)');
const NARROW_ROOT = 0.9375;
const WIDE_ROOT = 0.8125;
const DEFAULT_TEXT = 16;
const MOST_MARK_TEXT = 72;
const POINT_SPACE = 7;
const DASHES = [[], [6, 3], [1.5, 2], [7, 2.5, 1.5, 2.5]];
const MARK_TONES = { stall: 'warning', death: 'failed' };
const TEXT_TONES = { 'series-1': 'running', 'series-2': 'failed', 'series-3': 'done', 'series-4': 'unknown' };
const TIME_TICKS = [
  1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10800, 21600, 43200, 86400, 172800,
  604800, 2592000,
];
const STEP_TICKS = Array.from({ length: 12 }, (_, power) => [1, 2, 4, 5].map((first) => first * 10 ** power)).flat();

let plotReady = null;

/** Load uPlot, once. */
export function loadPlot() {
  if (globalThis.uPlot) return Promise.resolve();
  plotReady ??= new Promise((resolve, reject) => {
    const script = h('script', { src: PLOT_SCRIPT });
    script.addEventListener('load', resolve);
    script.addEventListener('error', () => reject(new Error('the script of the charts is missing')));
    document.head.append(script);
  });
  return plotReady;
}

/** The parts of a line between its gaps, each with lists of one length. */
export function partsOfLine(line) {
  const parts = [];
  let from = 0;
  for (let at = 0; at <= line.x.length; at += 1) {
    if (at < line.x.length && line.x[at] != null) continue;
    if (at > from) parts.push(partOf(line, from, at));
    from = at + 1;
  }
  return parts;
}

function partOf(line, from, to) {
  const names = ['x', 'min', 'max', 'smooth', 'n', 'other'];
  return Object.fromEntries(names.map((name) => [name, (line[name] ?? []).slice(from, to)]));
}

/** Index of the last of the ascending `xs` at or before `x`; -1: none. */
function indexBefore(xs, x) {
  let [low, high] = [0, xs.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (xs[middle] <= x) low = middle + 1;
    else high = middle;
  }
  return low - 1;
}

/** The column of a line nearest to `x`: {x, min, max, smooth, n, other}; null: none. */
export function columnNear(line, x) {
  let best = null;
  for (const part of line.parts ?? partsOfLine(line)) {
    const before = indexBefore(part.x, x);
    for (const at of [before, before + 1]) {
      if (at < 0 || at >= part.x.length) continue;
      if (!best || Math.abs(part.x[at] - x) < Math.abs(best.x - x)) best = columnOf(part, at);
    }
  }
  return best;
}

function columnOf(part, at) {
  return Object.fromEntries(Object.entries(part).map(([name, list]) => [name, list[at] ?? null]));
}

/** Ticks of a logarithmic scale: the denser, the shorter the range. */
export function logTicks(least, greatest) {
  const decades = Math.log10(greatest / least);
  const firsts = decades > 4 ? [1] : decades > 1.5 ? [1, 2, 5] : [1, 1.5, 2, 3, 4, 5, 7];
  const powers = [];
  for (let power = Math.floor(Math.log10(least)); 10 ** power <= greatest; power += 1) powers.push(power);
  const ticks = powers.flatMap((power) => firsts.map((first) => Number(`${first}e${power}`)));
  return ticks.filter((tick) => tick >= least && tick <= greatest);
}

/** A number on an axis: short, thousands as "18.5 k" where they would be long. */
export function tickText(value) {
  if (value == null) return '';
  const size = Math.abs(value);
  if (size >= 1e6) return `${shortText(value / 1e6)} M`;
  if (size >= 1e4) return `${shortText(value / 1e3)} k`;
  return shortText(value);
}

/** Three significant digits, however small. */
export function shortText(value) {
  if (typeof value !== 'number' || !Number.isFinite(value)) return numberText(value);
  if (value && Math.abs(value) < 0.001) return value.toExponential(2).replace(/\.?0*e/, 'e').replaceAll('-', '−');
  const short = Number(value.toPrecision(3));
  return numberText(short, (String(Math.abs(short)).split('.')[1] ?? '').length);
}

/** A chart of a page: its box, the readout above it, and the stack in the box. */
export function createChart(hooks, left) {
  const box = h('div', { class: 'chart', 'data-keep': '', 'data-key': 'chart', role: 'img', tabindex: 0 });
  const said = h('p', { class: 'readout', 'data-keep': '', 'data-key': 'said' });
  return { box, said, stack: createStack(box, hooks, left) };
}

/**
 * Panels in `root`, with `left` pixels for their names. `hooks`: onCursor(x, trace), where null is none; onRange(from, to), null for the
 * whole; onMount(panel), when a panel comes into sight. Answers {show, place, nudge, zoom, zoomBy, destroy}.
 *
 * `show({panels, axis})`: a panel is {id, label, height, kind: main | strip, traces, isLog, last,
 * unit}; a trace {name, title, label, tone, dash, hasPoints, isPale, last, lines}, `lines` as the server
 * gives them; the axis {kind: step | time, least, greatest, min, max, isWhole, zone, marks}: all that there is, and what is shown.
 */
function createStack(root, hooks, left = GUTTER.left) {
  const stack = { root, hooks, left, scale: 1, axis: null, panels: [], mounted: new Map(), x: null, key: `${Math.random()}` };
  const frame = h('div', { class: 'panels' });
  root.replaceChildren(frame);
  stack.frame = frame;
  stack.observer = new IntersectionObserver((entries) => watchSight(stack, entries), {
    rootMargin: '100px',
  });
  stack.resizer = new ResizeObserver(() => fit(stack));
  stack.resizer.observe(frame);
  frame.addEventListener('pointerdown', () => holdStill(stack));
  const redraw = () => remountAll(stack);
  const schemes = ['(prefers-color-scheme: dark)', '(forced-colors: active)'].map((one) => matchMedia(one));
  schemes.forEach((scheme) => scheme.addEventListener('change', redraw));
  return {
    show: (view) => showView(stack, view),
    place: (x) => placeCursor(stack, x),
    nudge: (pixels) => nudgeCursor(stack, pixels),
    zoom: (from, to) => zoomTo(stack, from, to),
    zoomBy: (factor) => zoomBy(stack, factor),
    destroy: () => {
      schemes.forEach((scheme) => scheme.removeEventListener('change', redraw));
      stack.observer.disconnect();
      stack.resizer.disconnect();
      for (const id of [...stack.mounted.keys()]) unmount(stack, id);
    },
  };
}

/** While a pointer is pressed on the chart its axis stays; what came meanwhile is shown after. */
function holdStill(stack) {
  stack.isHeld = true;
  followPointer(() => undefined, () => {
    stack.isHeld = false;
    // After uPlot has read the range that was dragged over.
    setTimeout(() => stack.late && showView(stack, stack.late));
  });
}

function showView(stack, view) {
  stack.late = stack.isHeld ? view : null;
  if (stack.isHeld) return;
  const { panels, axis } = view;
  const foot = { id: FOOT, kind: 'foot', label: '', height: 34, traces: [] };
  stack.scale = textScale(stack);
  stack.panels = [...panels, foot].map((panel) => ({ ...panel, height: heightOf(stack, panel), traces: panel.traces.map(readTrace) }));
  stack.axis = { ...axis };
  stretchForLabels(stack);
  layPanels(stack);
  for (const panel of stack.panels) refreshPanel(stack, panel);
}

/** How large the reader's text is, over what the style asks for: 2 at 200 %. On paper it stays as it was on screen. */
function textScale({ scale }) {
  if (matchMedia('print').matches) return scale;
  const root = parseFloat(getComputedStyle(document.documentElement).fontSize);
  return root / DEFAULT_TEXT / (NARROW_PAGE.matches ? NARROW_ROOT : WIDE_ROOT);
}

/** Beside a strip, and below the axis, stand words: they grow with the text. */
function heightOf({ scale }, panel) {
  return panel.kind === 'main' ? panel.height : Math.round(panel.height * scale);
}

/** A trace whose lines are read into their parts, once. */
export function readTrace(trace) {
  const lines = trace.lines.map((line) => ({ ...line, parts: partsOfLine(line) }));
  return { ...trace, lines };
}

function layPanels(stack) {
  const wanted = new Set(stack.panels.map((panel) => panel.id));
  for (const element of [...stack.frame.children]) {
    if (wanted.has(element.dataset.id)) continue;
    unmount(stack, element.dataset.id);
    stack.observer.unobserve(element);
    element.remove();
  }
  stack.panels.forEach((panel, index) => {
    const element = elementOf(stack, panel.id) ?? newElement(stack, panel);
    if (stack.frame.children[index] !== element) {
      stack.frame.insertBefore(element, stack.frame.children[index] ?? null);
    }
    element.style.height = `${panel.height}px`;
    const last = panel.kind === 'strip' && panel.last ? bdi(panel.last, 'panel-last') : '';
    element.querySelector('.panel-words').replaceChildren(bdi(panel.label, 'panel-label'), last);
    element.title = cleanText(panel.kind === 'strip' ? panel.label : '');
  });
}

function elementOf(stack, id) {
  return [...stack.frame.children].find((element) => element.dataset.id === id);
}

function newElement(stack, panel) {
  const words = h('div', { class: 'panel-words', 'aria-hidden': 'true' });
  const element = h('div', { class: `panel panel-${panel.kind}`, 'data-id': panel.id }, words);
  stack.observer.observe(element);
  return element;
}

function watchSight(stack, entries) {
  for (const { target, isIntersecting } of entries) {
    target.toggleAttribute('data-seen', isIntersecting);
    const panel = stack.panels.find((one) => one.id === target.dataset.id);
    if (!panel || !isIntersecting || stack.mounted.has(panel.id)) continue;
    stack.hooks.onMount?.(panel);
    mount(stack, panel);
  }
  const unseen = [...stack.mounted.keys()].filter((id) => id !== FOOT && !elementOf(stack, id)?.hasAttribute('data-seen'));
  const excess = stack.mounted.size - MOST_MOUNTED - 1;
  for (const id of unseen.slice(0, Math.max(0, excess))) unmount(stack, id);
}

function refreshPanel(stack, panel) {
  const held = stack.mounted.get(panel.id);
  if (!held) {
    if (panel.kind === 'foot') mount(stack, panel);
    return;
  }
  const isSame = held.panel.isLog === panel.isLog && held.panel.height === panel.height && held.inks.scale === stack.scale;
  if (!isSame || held.kind !== stack.axis.kind) {
    unmount(stack, panel.id);
    mount(stack, panel);
    return;
  }
  held.panel = panel;
  held.plot.setData(dataOf(stack.axis), true);
}

function dataOf(axis) {
  return [[axis.min, axis.max], [1, 2]];
}

function mount(stack, panel) {
  const element = elementOf(stack, panel.id);
  if (!globalThis.uPlot || !element) return;
  const held = { panel, kind: stack.axis.kind, inks: currentInks(stack) };
  held.plot = new globalThis.uPlot(plotOptions(stack, held), dataOf(stack.axis), element);
  listenToTouch(stack, held.plot);
  stack.mounted.set(panel.id, held);
}

function unmount(stack, id) {
  stack.mounted.get(id)?.plot.destroy();
  stack.mounted.delete(id);
}

function remountAll(stack) {
  for (const panel of stack.panels.filter((one) => stack.mounted.has(one.id))) {
    unmount(stack, panel.id);
    mount(stack, panel);
  }
}

function fit(stack) {
  if (stack.axis) stretchForLabels(stack);
  for (const { plot, panel } of stack.mounted.values()) {
    const width = stack.frame.clientWidth;
    if (!width || width === plot.width) continue;
    plot.setSize({ width, height: panel.height });
    plot.setData(dataOf(stack.axis), true);
  }
}

/** The colours of the style by their names, those of the system where it forces its own; and the font. */
function currentInks({ scale, frame }) {
  const known = new Map();
  const probe = h('i', { hidden: true });
  const read = (name) => {
    frame.append(probe);
    probe.style.forcedColorAdjust = 'none';
    probe.style.color = `var(--${name})`;
    known.set(name, getComputedStyle(probe).color);
    probe.remove();
  };
  const of = (name) => {
    if (!known.has(name)) read(name);
    return known.get(name);
  };
  const family = getComputedStyle(document.body).fontFamily;
  return { of, scale, fontOf: (ratio) => `${FONT_SIZE * scale * ratio}px ${family}` };
}

function gutterOf({ frame, left, scale }) {
  const gutter = frame.clientWidth < NARROW_WIDTH ? NARROW_GUTTER : { ...GUTTER, left };
  return { left: gutter.left * scale, right: gutter.right * scale };
}

// ── what uPlot is asked for

function plotOptions(stack, held) {
  const { panel, inks } = held;
  const gutter = gutterOf(stack);
  const isFoot = panel.kind === 'foot';
  const isMain = panel.kind === 'main';
  return {
    width: stack.frame.clientWidth,
    height: panel.height,
    legend: { show: false },
    padding: [isMain ? 4 : 0, isMain ? 0 : gutter.right, 0, gutter.left],
    scales: {
      x: { time: false, range: () => [stack.axis.min, stack.axis.max] },
      y: { distr: panel.isLog ? 3 : 1, range: () => valueRange(held.panel, stack.axis) },
    },
    axes: [isFoot ? footAxis(stack, inks) : { show: false }, isMain ? valueAxis(held, gutter) : { show: false }],
    series: [{}, { paths: () => null, points: { show: false } }],
    cursor: cursorOptions(stack),
    hooks: {
      draw: [(plot) => drawPanel(stack, held, plot)],
      setCursor: [(plot) => followCursor(stack, plot)],
      setSelect: [(plot) => selectRange(stack, plot)],
    },
  };
}

function axisStyle(inks) {
  return { font: inks.fontOf(1), stroke: inks.of('second'), ticks: { show: false }, border: { show: false } };
}

function footAxis(stack, inks) {
  const { kind, zone } = stack.axis;
  const isTime = kind === 'time';
  return {
    ...axisStyle(inks),
    size: 24 * inks.scale,
    gap: 6,
    space: (isTime ? 90 : 110) * inks.scale,
    incrs: isTime ? TIME_TICKS : STEP_TICKS,
    grid: { show: false },
    values: (_plot, ticks, _axis, _space, step) => {
      const word = isTime ? (tick) => tickTime(tick * 1000, step, zone) : (tick) => numberText(tick);
      return ticks.map((tick) => (tick > stack.axis.end ? '' : word(tick)));
    },
  };
}

function tickTime(at, step, zone) {
  const clock = clockText(at, zone, step < 60);
  if (step < 86400 && clock !== '00:00') return clock;
  return dayText(at, at + 7 * 86400000, zone);
}

function valueAxis(held, gutter) {
  const { panel, inks } = held;
  const ticks = panel.isLog ? { splits: (_plot, _axis, least, greatest) => logTicks(least, greatest) } : {};
  return {
    ...axisStyle(inks),
    ...ticks,
    side: 1,
    size: gutter.right,
    gap: gutter.right,
    align: 2,
    space: 36 * inks.scale,
    grid: { stroke: inks.of('rule'), width: 1 },
    filter: (_plot, splits) => splits,
    values: (_plot, splits) => splits.map((tick) => (hasRows(held.panel) ? tickText(tick) : '')),
  };
}

function hasRows({ traces }) {
  return traces.some((trace) => trace.lines.some((line) => line.parts.length));
}

function cursorOptions(stack) {
  return {
    x: true,
    y: false,
    points: { show: false },
    drag: { x: true, y: false, setScale: false, dist: 4 },
    sync: { key: stack.key, scales: ['x', null] },
    bind: { dblclick: () => () => zoomTo(stack, null, null) },
  };
}

/** The least and greatest value in sight, with some room. */
function valueRange(panel, axis) {
  let [least, greatest] = [Infinity, -Infinity];
  for (const value of valuesInSight(panel, axis)) {
    if (value < least) least = value;
    if (value > greatest) greatest = value;
  }
  if (least > greatest) return [1, 2];
  if (panel.isLog) return logRange(least, greatest);
  const room = (greatest - least) * 0.06 || Math.abs(greatest) * 0.1 || 1;
  return [least - room, greatest + room];
}

function logRange(least, greatest) {
  const room = (greatest / least) ** 0.05;
  return room > 1.0001 ? [least / room, greatest * room] : [least / 1.5, greatest * 1.5];
}

function* valuesInSight(panel, axis) {
  for (const trace of panel.traces) {
    for (const part of trace.lines.flatMap((line) => line.parts)) {
      for (let at = 0; at < part.x.length; at += 1) {
        if (part.x[at] < axis.min || part.x[at] > axis.max) continue;
        const values = trace.hasPoints ? [part.smooth[at]] : [part.min[at], part.max[at], part.smooth[at]];
        yield* values.filter((value) => value != null && (!panel.isLog || value > 0));
      }
    }
  }
}

/** Room at the right for the names at the ends of the lines, where the whole run is in sight. */
function stretchForLabels(stack) {
  const { axis, frame } = stack;
  const gutter = gutterOf(stack);
  const width = frame.clientWidth - gutter.left - gutter.right;
  axis.end ??= axis.max;
  axis.max = axis.end;
  if (!axis.isWhole || width < 200) return;
  const pen = document.createElement('canvas').getContext('2d');
  pen.font = `600 ${currentInks(stack).fontOf(1)}`;
  const main = stack.panels.find((panel) => panel.kind === 'main');
  for (const trace of (main?.traces ?? []).filter((one) => one.label)) {
    const end = lastColumn(trace)?.x ?? axis.min;
    const room = Math.min(width / 2, pen.measureText(endText(trace, axis)).width + 10);
    axis.max = Math.max(axis.max, axis.min + ((end - axis.min) * width) / (width - room));
  }
}

/** Its last value is said where that is in sight. */
function endText(trace, axis) {
  return cleanText(`${trace.label} ${(axis.isWhole && trace.last) || ''}`.trim());
}

function lastColumn(trace, axis) {
  let last = null;
  for (const part of trace.lines.filter((line) => !line.superseded).flatMap((line) => line.parts)) {
    const at = axis ? indexBefore(part.x, axis.max) : part.x.length - 1;
    if (at >= 0 && (!last || part.x[at] >= last.x)) last = columnOf(part, at);
  }
  return last;
}

// ── the cursor

function leadPlot(stack) {
  const panel = stack.panels.find((one) => stack.mounted.has(one.id));
  return panel ? stack.mounted.get(panel.id) : null;
}

function followCursor(stack, plot) {
  const lead = leadPlot(stack);
  if (lead?.plot !== plot) return;
  const { left, top } = plot.cursor;
  stack.x = left == null || left < 0 ? null : plot.posToVal(left, 'x');
  showPoints(lead, stack.x);
  const trace = stack.x == null ? null : nearestTrace(lead, stack.x, top);
  stack.hooks.onCursor(stack.x, trace);
}

function showPoints({ plot, panel, inks }, x) {
  plot.over.querySelectorAll('.cursor-point').forEach((point) => point.remove());
  if (x == null || panel.traces.length > 6) return;
  for (const trace of panel.traces) {
    const column = columnAt(trace, x);
    if (column?.smooth == null) continue;
    const point = h('i', { class: 'cursor-point' });
    point.style.left = `${plot.valToPos(column.x, 'x')}px`;
    point.style.top = `${plot.valToPos(column.smooth, 'y')}px`;
    point.style.borderColor = inks.of(trace.tone);
    plot.over.append(point);
  }
}

/** The column of a trace at `x`: of the rows that count, and of the newest attempt there. */
export function columnAt(trace, x) {
  const lines = trace.lines.filter((line) => !line.superseded && line.x.length);
  const columns = lines.map((line) => columnNear(line, x)).filter(Boolean);
  return columns.reduce((best, one) => (!best || Math.abs(one.x - x) <= Math.abs(best.x - x) ? one : best), null);
}

function nearestTrace({ plot, panel }, x, top) {
  const places = panel.traces.map((trace) => {
    const value = columnAt(trace, x)?.smooth;
    return [value == null ? Infinity : Math.abs(plot.valToPos(value, 'y') - top), trace];
  });
  return places.sort((one, other) => one[0] - other[0])[0]?.[1] ?? null;
}

function placeCursor(stack, x) {
  const lead = leadPlot(stack);
  if (!lead) return;
  const left = x == null ? -10 : lead.plot.valToPos(x, 'x');
  lead.plot.setCursor({ left, top: lead.plot.over.clientHeight / 2 }, true, true);
}

function nudgeCursor(stack, pixels) {
  const plot = leadPlot(stack)?.plot;
  if (!plot) return;
  const wide = plot.over.clientWidth;
  const left = stack.x == null ? wide : plot.valToPos(stack.x, 'x');
  placeCursor(stack, plot.posToVal(Math.min(wide, Math.max(0, left + pixels)), 'x'));
}

function selectRange(stack, plot) {
  const { left, width } = plot.select;
  if (width < 4) return;
  const range = [plot.posToVal(left, 'x'), plot.posToVal(left + width, 'x')];
  plot.setSelect({ left: 0, width: 0 }, false);
  if (leadPlot(stack)?.plot === plot) zoomTo(stack, ...range);
}

/** One finger moves the cursor, two choose the range between them. */
function listenToTouch(stack, plot) {
  const placesOf = (event) => {
    const { left } = plot.over.getBoundingClientRect();
    return [...event.touches].map((touch) => touch.clientX - left).sort((one, other) => one - other);
  };
  let start = null;
  let now = null;
  const move = (event) => {
    const places = placesOf(event);
    if (places.length === 1 && !start) plot.setCursor({ left: places[0], top: 0 }, true, true);
    if (places.length !== 2) return;
    event.preventDefault();
    start ??= places.map((place) => plot.posToVal(place, 'x'));
    now = places;
  };
  plot.over.addEventListener('touchstart', move, { passive: false });
  plot.over.addEventListener('touchmove', move, { passive: false });
  plot.over.addEventListener('touchend', () => {
    if (start && now) pinchRange(stack, plot, start, now);
    [start, now] = [null, null];
  });
}

function pinchRange(stack, plot, start, now) {
  const wide = plot.over.clientWidth;
  const perPixel = (start[1] - start[0]) / Math.max(20, now[1] - now[0]);
  const from = start[0] - now[0] * perPixel;
  zoomTo(stack, from, from + wide * perPixel);
}

// ── zoom

/** Show `from` to `to`, as far as there is something; null is the whole. */
function zoomTo(stack, from, to) {
  if (!stack.axis) return;
  const { kind, least, greatest } = stack.axis;
  const digits = kind === 'time' ? 1 : Math.max(0, Math.ceil(2 - Math.log10(to - from || 1)));
  const [begin, end] = [Math.max(from, least), Math.min(to, greatest)];
  placeCursor(stack, null);
  if (from == null || (from <= least && to >= greatest)) stack.hooks.onRange(null, null);
  else if (begin < end) stack.hooks.onRange(Number(begin.toFixed(digits)), Number(end.toFixed(digits)));
}

/** Show less or more around the cursor or, without one, the middle. */
function zoomBy(stack, factor) {
  if (!stack.axis) return;
  const { min, end } = stack.axis;
  const middle = stack.x ?? (min + end) / 2;
  zoomTo(stack, middle - (middle - min) * factor, middle + (end - middle) * factor);
}

const KEYS = {
  ArrowLeft: (stack, event) => stack.nudge(event.shiftKey ? -10 : -1),
  ArrowRight: (stack, event) => stack.nudge(event.shiftKey ? 10 : 1),
  '+': (stack) => stack.zoomBy(0.5),
  '=': (stack) => stack.zoomBy(0.5),
  '-': (stack) => stack.zoomBy(2),
  0: (stack) => stack.zoom(null, null),
};

/** A key that moves the cursor or zooms; whether it was one. */
export function takeChartKey(stack, event) {
  KEYS[event.key]?.(stack, event);
  return event.key in KEYS;
}

/** The button that shows the whole again. */
export function wholeButton(stack) {
  return h('button', { type: 'button', class: 'textual', onclick: () => stack.zoom(null, null) }, 'whole run');
}

// ── drawing

function drawPanel(stack, held, plot) {
  const { ctx: pen, bbox } = plot;
  const ratio = devicePixelRatio;
  const { panel, inks } = held;
  const brush = { plot, pen, ratio, inks, panel, axis: stack.axis };
  pen.save();
  pen.beginPath();
  pen.rect(bbox.left, bbox.top, bbox.width, bbox.height);
  pen.clip();
  pen.lineJoin = 'round';
  for (const mark of stack.axis.marks) drawMarkBand(brush, mark);
  for (const trace of panel.traces) drawTrace(brush, trace);
  for (const mark of stack.axis.marks) drawMarkLine(brush, mark);
  for (const trace of panel.traces) drawBad(brush, trace);
  pen.restore();
  if (panel.kind === 'main') drawWords(brush);
  if (panel.kind === 'foot') drawCheckpoints(brush);
}

function placeX({ plot }, x) {
  return plot.valToPos(x, 'x', true);
}

function drawMarkBand(brush, mark) {
  if (mark.until == null) return;
  const { pen, plot, inks } = brush;
  const from = placeX(brush, mark.x);
  pen.globalAlpha = mark.kind === 'stall' ? 0.22 : 1;
  pen.fillStyle = inks.of(mark.kind === 'stall' ? 'warning-mark' : 'wash');
  pen.fillRect(from, plot.bbox.top, placeX(brush, mark.until) - from, plot.bbox.height);
  pen.globalAlpha = 1;
}

function drawMarkLine(brush, mark) {
  if (mark.until != null || mark.kind === 'checkpoint') return;
  const { pen, plot, inks, ratio } = brush;
  const x = Math.round(placeX(brush, mark.x)) + 0.5;
  const isAttempt = mark.kind === 'attempt' || mark.kind === 'requeue';
  pen.strokeStyle = inks.of(isAttempt ? 'second' : `${markTone(mark)}-mark`);
  pen.lineWidth = ratio;
  pen.setLineDash(isAttempt ? [1.5 * ratio, 2.5 * ratio] : []);
  pen.beginPath();
  pen.moveTo(x, plot.bbox.top);
  pen.lineTo(x, plot.bbox.top + plot.bbox.height);
  pen.stroke();
  pen.setLineDash([]);
}

function markTone(mark) {
  return MARK_TONES[mark.kind] ?? 'waiting';
}

function drawTrace(brush, trace) {
  const sorted = [...trace.lines].sort((one, other) => other.superseded - one.superseded);
  for (const line of sorted) {
    const tone = line.superseded ? 'third' : trace.tone;
    for (const part of line.parts) {
      if (!trace.isBandless) drawBand(brush, part, tone, trace);
      if (trace.isBandOnly && part.min.some((value, at) => value !== part.max[at])) continue;
      drawLine(brush, part, tone, line.superseded ? [3, 3] : DASHES[trace.dash ?? 0], trace);
      if (trace.hasPoints || part.x.length === 1) drawPoints(brush, part, tone);
    }
  }
}

function traceOut(brush, part, values, isFirst, backwards) {
  const { pen, plot } = brush;
  const count = part.x.length;
  for (let step = 0; step < count; step += 1) {
    const at = backwards ? count - 1 - step : step;
    if (values[at] == null) continue;
    const x = placeX(brush, part.x[at]);
    const y = plot.valToPos(values[at], 'y', true);
    if (!Number.isFinite(y)) continue;
    if (isFirst) pen.moveTo(x, y);
    else pen.lineTo(x, y);
    isFirst = false;
  }
}

/** From the least to the greatest of each column: the raw rows, pale. */
function drawBand(brush, part, tone, trace) {
  const { pen, inks, ratio } = brush;
  pen.globalAlpha = trace.isBandOnly ? 0.5 : 0.26;
  pen.strokeStyle = inks.of(tone);
  pen.fillStyle = pen.strokeStyle;
  pen.lineWidth = ratio * 0.75;
  pen.beginPath();
  traceOut(brush, part, part.max, true, false);
  traceOut(brush, part, part.min, false, true);
  pen.closePath();
  pen.fill();
  pen.stroke();
  pen.globalAlpha = 1;
}

function drawLine(brush, part, tone, dash, trace) {
  const { pen, inks, ratio } = brush;
  pen.globalAlpha = trace.isPale ? 0.25 : 1;
  pen.strokeStyle = inks.of(tone);
  pen.lineWidth = ratio * (trace.isLoud ? 2.5 : 1.5);
  pen.setLineDash(dash.map((length) => length * ratio));
  pen.beginPath();
  traceOut(brush, part, part.smooth, true, false);
  pen.stroke();
  pen.setLineDash([]);
  pen.globalAlpha = 1;
}

/** Points, where there is room between them. */
function drawPoints(brush, part, tone) {
  const { pen, plot, inks, ratio } = brush;
  const span = placeX(brush, part.x.at(-1)) - placeX(brush, part.x[0]);
  if (part.x.length > 1 && span / (part.x.length - 1) < POINT_SPACE * ratio) return;
  pen.strokeStyle = inks.of(tone);
  pen.fillStyle = inks.of('background');
  pen.lineWidth = 1.25 * ratio;
  part.x.forEach((x, at) => {
    if (part.smooth[at] == null) return;
    pen.beginPath();
    pen.arc(placeX(brush, x), plot.valToPos(part.smooth[at], 'y', true), 2.25 * ratio, 0, 7);
    pen.fill();
    pen.stroke();
  });
}

/** NaN and infinities: ticks at the top edge. */
function drawBad(brush, trace) {
  const { pen, plot, inks, ratio } = brush;
  pen.strokeStyle = inks.of('failed-mark');
  pen.lineWidth = 1.5 * ratio;
  pen.beginPath();
  for (const x of trace.lines.flatMap((line) => line.bad)) {
    pen.moveTo(placeX(brush, x), plot.bbox.top);
    pen.lineTo(placeX(brush, x), plot.bbox.top + 7 * ratio);
  }
  pen.stroke();
}

function drawCheckpoints(brush) {
  const { pen, plot, inks, ratio } = brush;
  const base = plot.bbox.top + 7 * ratio;
  const size = 3.5 * ratio;
  pen.fillStyle = inks.of('second');
  for (const mark of brush.axis.marks) {
    const x = placeX(brush, mark.x);
    if (mark.kind !== 'checkpoint' || x < plot.bbox.left || x > plot.bbox.left + plot.bbox.width) continue;
    pen.beginPath();
    pen.moveTo(x - size, base);
    pen.lineTo(x + size, base);
    pen.lineTo(x, base - 1.7 * size);
    pen.fill();
  }
  pen.strokeStyle = inks.of('rule');
  pen.lineWidth = ratio;
  pen.beginPath();
  pen.moveTo(0, base + 0.5);
  pen.lineTo(plot.bbox.left + plot.bbox.width, base + 0.5);
  pen.stroke();
}

// ── words on the chart

function drawWords(brush) {
  const { pen, ratio, inks } = brush;
  const taken = [];
  pen.save();
  pen.textBaseline = 'middle';
  pen.textAlign = 'left';
  pen.font = `600 ${inks.fontOf(ratio)}`;
  drawEnds(brush, taken);
  pen.font = inks.fontOf(ratio);
  for (const mark of brush.axis.marks) if (mark.words) drawMarkWords(brush, mark, taken);
  pen.restore();
}

/** The name of each line at its end, apart from each other. */
function drawEnds(brush, taken) {
  const { pen, plot, inks, ratio, panel, axis } = brush;
  const ends = panel.traces.filter((trace) => trace.label).map((trace) => endOf(brush, trace, axis));
  const shown = ends.filter(Boolean).sort((one, other) => one.y - other.y);
  spread(shown, LABEL_HEIGHT * inks.scale * ratio, plot.bbox.top + plot.bbox.height);
  for (const { trace, x, y } of shown) {
    const text = endText(trace, axis);
    const wide = pen.measureText(text).width;
    const edge = plot.bbox.left + plot.bbox.width;
    const left = Math.min(x + 6 * ratio, edge - wide);
    taken.push({ left, right: left + wide, y });
    pen.lineWidth = 4 * ratio;
    pen.strokeStyle = inks.of('background');
    pen.strokeText(text, left, y);
    pen.fillStyle = inks.of(TEXT_TONES[trace.tone] ?? 'second');
    pen.fillText(text, left, y);
  }
}

function endOf(brush, trace, axis) {
  const column = lastColumn(trace, axis);
  if (column?.smooth == null || column.x < axis.min) return null;
  const y = brush.plot.valToPos(column.smooth, 'y', true);
  return Number.isFinite(y) ? { trace, x: placeX(brush, column.x), y } : null;
}

function spread(places, gap, bottom) {
  for (let at = 1; at < places.length; at += 1) {
    places[at].y = Math.max(places[at].y, places[at - 1].y + gap);
  }
  let least = bottom - gap / 2;
  for (const place of [...places].reverse()) {
    place.y = Math.min(place.y, least);
    least = place.y - gap;
  }
}

/** The words of a mark: right of it or, where there is no room, left; in the first free row. */
function drawMarkWords(brush, mark, taken) {
  const { pen, plot, inks, ratio } = brush;
  const x = placeX(brush, mark.x);
  const { left: from, width } = plot.bbox;
  if (x < from || x > from + width) return;
  const text = shortened(cleanText(mark.words));
  const wide = pen.measureText(text).width;
  const right = x + 5 * ratio;
  const before = x - 5 * ratio - wide;
  const sides = (mark.kind === 'death' ? [before, right] : [right, before]).filter((one) => one >= from && one + wide <= from + width);
  for (let row = 0; row < 4; row += 1) {
    const y = plot.bbox.top + (7 + row * 17) * inks.scale * ratio;
    const left = sides.find((one) => isFree(taken, one, one + wide, y, LABEL_HEIGHT * inks.scale * ratio));
    if (left == null) continue;
    taken.push({ left, right: left + wide, y });
    pen.fillStyle = inks.of(markTone(mark));
    pen.fillText(text, left, y);
    return;
  }
}

function isFree(taken, left, right, y, height) {
  return taken.every((one) => right < one.left || left > one.right || Math.abs(one.y - y) >= height);
}

function shortened(text) {
  return text.length > MOST_MARK_TEXT ? `${text.slice(0, MOST_MARK_TEXT - 1)}…` : text;
}
