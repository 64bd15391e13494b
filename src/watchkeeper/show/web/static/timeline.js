/** Jobs over time: a band per run, its jobs in lanes; thin while queued, a bar while running. */

import { cleanText, followPointer, h, svg } from './dom.js';
import { clockText, dayText } from './format.js';
import { kindOf } from './pieces.js';

const [LANE, BAR, PAD, LABELS, AXIS] = [16, 13, 6, 224, 24];
const MOST_RUNS = 60;
const LETTER = 6.3;
const SECOND = 1000;
const STEPS = [
  1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10800, 21600, 43200, 86400, 172800,
  604800,
];

/** The timeline of an experiment's jobs, for the width of the page. */
export function jobsTimeline(data, context) {
  const width = Math.max(320, document.getElementById('main').clientWidth);
  const labels = context.isPhone ? 104 : LABELS;
  const scale = scaleOf(data, context, labels, width);
  const bands = bandsOf(data);
  let y = 0;
  const drawn = bands.shown.map((band) => {
    const node = bandNode(band, y, scale, width);
    y += PAD + band.lanes.length * LANE;
    return node;
  });
  const now = scale.isOpen ? nowNode(scale, y) : null;
  const figure = svg(
    'svg',
    {
      class: 'timeline',
      width,
      height: y + AXIS,
      viewBox: `0 0 ${width} ${y + AXIS}`,
      role: 'img',
      'aria-label': labelOf(data, bands),
    },
    gridNodes(scale, y, context, now),
    drawn,
    now,
  );
  figure.onpointerdown = (event) => dragZoom(event, scale, context);
  figure.ondblclick = () => context.setQuery({ from: null, to: null });
  const left = bands.left
    ? h('p', { class: 'more' }, `${bands.left} more runs; the filter chooses them`)
    : null;
  return h('div', { class: 'scroller', 'data-key': `timeline ${width}` }, figure, left);
}

const ZOOMS = { '+': 0.5, '=': 0.5, '-': 2, 0: Infinity };

/** Zoom by a key: in, out, or to the whole. Returns whether it is such a key. */
export function zoomJobs(key, data, context) {
  const factor = ZOOMS[key];
  if (!factor || !data.jobs.length) return false;
  const whole = scaleOf(
    data,
    { ...context, query: new URLSearchParams(), now: () => context.now() },
    0,
    1,
  );
  const part = scaleOf(data, context, 0, 1);
  const half = ((part.to - part.from) / 2) * factor;
  const middle = (part.from + part.to) / 2;
  const [from, to] = [Math.round(middle - half), Math.round(middle + half)];
  const isWhole = !(from > whole.from || to < whole.to);
  context.setQuery(
    isWhole
      ? { from: null, to: null }
      : { from: Math.max(from, whole.from), to: Math.min(to, whole.to) },
  );
  return true;
}

function labelOf(data, { shown }) {
  const failed = data.jobs.filter(({ standing }) => standing === 'failed').length;
  return `${data.jobs.length} jobs of ${shown.length} runs over time, ${failed} failed`;
}

function millis(iso) {
  return iso ? Date.parse(iso) : null;
}

/** Times to pixels. `isOpen`: something has not ended, so that the axis reaches the present. */
function scaleOf(data, context, labels, width) {
  const isOpen = data.jobs.some((job) => !job.ended);
  const begins = data.jobs
    .map((job) => millis(job.queued ?? job.started))
    .filter((at) => at != null);
  const ends = data.jobs.map((job) => millis(job.ended)).filter((at) => at != null);
  const now = context.now();
  const from = Number(context.query.get('from')) || Math.min(...begins);
  const to = Number(context.query.get('to')) || (isOpen ? now : Math.max(...ends));
  const room = isOpen ? 40 : 2;
  const perMs = (width - labels - room) / Math.max(SECOND, to - from);
  const xOf = (at) => labels + (at - from) * perMs;
  const atOf = (x) => Math.round(from + (x - labels) / perMs);
  return { from, to, now, isOpen, labels, width, perMs, xOf, atOf };
}

/** The runs with their jobs packed into lanes: those that failed first where they are too many. */
function bandsOf(data) {
  const runs = new Map(data.runs.map((run) => [run.name, []]));
  for (const job of data.jobs) runs.get(job.run)?.push(job);
  const bands = [...runs]
    .filter(([, jobs]) => jobs.length)
    .map(([name, jobs]) => ({ name, lanes: lanesOf(jobs), jobs }));
  const hasFailed = (band) => band.jobs.some(({ standing }) => standing === 'failed');
  if (bands.length <= MOST_RUNS) return { shown: bands, left: 0 };
  const sorted = [...bands].sort((one, other) => hasFailed(other) - hasFailed(one));
  return { shown: sorted.slice(0, MOST_RUNS), left: bands.length - MOST_RUNS };
}

/** Each job into the first lane that is free when it begins to run. */
function lanesOf(jobs) {
  const lanes = [];
  const begin = (job) => millis(job.started) ?? Infinity;
  for (const job of [...jobs].sort((one, other) => begin(one) - begin(other))) {
    const lane = lanes.find((one) => one.until <= begin(job)) ?? { until: -Infinity, jobs: [] };
    if (!lane.jobs.length) lanes.push(lane);
    lane.jobs.push({ ...job, after: lane.until });
    lane.until = millis(job.ended) ?? Infinity;
  }
  return lanes;
}

function bandNode(band, top, scale, width) {
  const lanes = band.lanes.map((lane, index) =>
    lane.jobs.map((job) => jobNodes(job, top + PAD - 1 + index * LANE, scale)),
  );
  const name = cleanText(band.name);
  const room = Math.floor((scale.labels - 16) / 7.4);
  const short = name.length > room ? `${name.slice(0, room - 1)}…` : name;
  const title = svg('title', null, name);
  return svg(
    'g',
    { 'data-key': band.name },
    svg('line', { class: 'rule', x1: 0, x2: width, y1: top + 0.5, y2: top + 0.5 }),
    svg('text', { x: 0, y: top + PAD + 10 }, title, short),
    lanes,
  );
}

function jobNodes(job, y, scale) {
  const started = millis(job.started);
  const until = millis(job.ended) ?? scale.now;
  const queued = Math.max(millis(job.queued) ?? started ?? until, job.after);
  const parts = [queuedNode(queued, started ?? until, y, scale)];
  if (started != null) parts.push(barNodes(job, started, until, y, scale));
  return parts;
}

function queuedNode(from, to, y, scale) {
  const [x1, x2] = [clamp(scale.xOf(from), scale), clamp(scale.xOf(to), scale)];
  if (x2 - x1 < 2) return null;
  return svg('line', { class: 'queued', x1, x2: x2 - 1, y1: y + BAR / 2, y2: y + BAR / 2 });
}

function clamp(x, { labels, width }) {
  return Math.min(width, Math.max(labels, x));
}

function barNodes(job, started, until, y, scale) {
  const [x, end] = [clamp(scale.xOf(started), scale), clamp(scale.xOf(until), scale)];
  if (end <= scale.labels || x >= scale.width) return null;
  const wide = Math.max(2, end - x - 1);
  const kind = kindOf(job.standing);
  const title = svg('title', null, cleanText(`${job.key}: ${job.state || job.standing}`));
  const label = job.attempt > 1 ? `${job.attempt} · ${job.label}` : job.label;
  const isFailed = kind === 'failed';
  const fits = label.length * LETTER + 10 + (isFailed ? 12 : 0) < wide;
  const short = job.attempt > 1 && wide > 12 ? String(job.attempt) : '';
  const text = fits ? label : short;
  return svg(
    'g',
    { class: `job mark-${kind}` },
    title,
    svg('rect', { class: 'body', x, y, width: wide, height: BAR }),
    text ? svg('text', { x: x + 5, y: y + 10 }, cleanText(text)) : null,
    isFailed ? cross(x + wide - Math.min(wide / 2, 7), y + BAR / 2) : null,
  );
}

function cross(x, y) {
  return svg('path', { class: 'cross', d: `M${x - 3} ${y - 3}l6 6m0-6l-6 6` });
}

function nowNode(scale, bottom) {
  const x = scale.xOf(scale.now);
  if (x > scale.width) return null;
  return svg(
    'g',
    { class: 'now' },
    svg('line', { x1: x, x2: x, y1: 0, y2: bottom }),
    svg('text', { x: x + 4, y: bottom + 16 }, 'now'),
  );
}

/** Lines at round times, as many as there is room for. */
function gridNodes(scale, bottom, context, now) {
  const most = (scale.width - scale.labels) / 140;
  const step =
    (STEPS.find((one) => (scale.to - scale.from) / SECOND / one < most) ?? STEPS.at(-1)) * SECOND;
  const ticks = [];
  for (let at = Math.ceil(scale.from / step) * step; at <= scale.to; at += step) ticks.push(at);
  return ticks.map((at) => {
    const x = Math.round(scale.xOf(at)) + 0.5;
    const isHidden = now && scale.xOf(scale.now) - x < 34;
    const day = step >= 43200 * SECOND ? `${dayText(at, context.now(), context.zone)} ` : '';
    const text = day + clockText(at, context.zone, step < 60 * SECOND);
    return svg(
      'g',
      { class: 'tick' },
      svg('line', { x1: x, x2: x, y1: 0, y2: bottom }),
      isHidden ? null : svg('text', { x, y: bottom + 16, 'text-anchor': 'middle' }, text),
    );
  });
}

/** Drag over the axis to see that part; the page that is drawn again shows it. */
function dragZoom(event, scale, context) {
  const figure = event.currentTarget;
  const left = figure.getBoundingClientRect().left;
  const begin = event.clientX - left;
  if (event.button || event.pointerType === 'touch' || begin < scale.labels) return;
  const mark = svg('rect', { class: 'brush', y: 0, height: '100%' });
  figure.append(mark);
  context.isDragging = true;
  const span = (move) => [begin, move.clientX - left].sort((one, other) => one - other);
  const stretch = (move) => {
    const [from, to] = span(move);
    mark.setAttribute('x', from);
    mark.setAttribute('width', to - from);
  };
  followPointer(stretch, (end) => {
    context.isDragging = false;
    const [from, to] = end ? span(end) : [0, 0];
    const range = { from: scale.atOf(Math.max(scale.labels, from)), to: scale.atOf(to) };
    context.setQuery(to - from > 8 ? range : {});
  });
}
