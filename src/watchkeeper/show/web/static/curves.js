/** The curves of a run: which metrics, over which axis, and what they say under the cursor. */

import { columnAt, createChart, loadPlot, readTrace, shortText, takeChartKey, wholeButton } from './chart.js';
import { bdi, h, paint, span } from './dom.js';
import { clockText, durationText, numberText, signedText } from './format.js';
import { applyColumns } from './patch.js';
import { section, tabs } from './pieces.js';
import { table } from './table.js';

const MOST_CHARTS = 6;
const MOST_LISTED = 200;
const MOST_TABLE_ROWS = 200;
const MAIN_HEIGHT = 350;
const PHONE_HEIGHT = 220;
const STRIP_HEIGHT = 46;
const MOST_COLUMNS = 2000;
const MOST_FOLLOWED = 24;
const MOST_SAID = 12;
const STRIP_TONES = ['series-1', 'series-3', 'series-4', 'series-2'];
const MACHINE = 'machine: ';
const TELEMETRY_MS = 15000;

/** Curves of the run in `page` {context, data, address, repaint()}, with what they have fetched. */
export function createRunCurves(page) {
  const curves = { page, lines: new Map(), strips: [], key: '', seen: new Set(), x: null, isListed: false };
  curves.needle = '';
  const hooks = {
    onCursor: (x) => sayAt(curves, x),
    onRange: (from, to) => page.context.setQuery({ from, to }),
    onMount: (panel) => wantPanel(curves, panel),
  };
  Object.assign(curves, createChart(hooks));
  loadPlot().then(() => drawCurves(curves));
  askTelemetry(curves);
  return curves;
}

/** Ask for what was measured of the machine since the last answer; the first time, for all of it. */
async function askTelemetry(curves) {
  const { page, strips } = curves;
  curves.measuredAt = Date.now();
  const last = Math.max(0, ...strips.map((strip) => strip.x.at(-1) ?? 0));
  const query = last ? `?after=${last}` : '';
  const answer = await page.context.store.get(`${page.address}/telemetry${query}`).catch(() => null);
  if (!answer || strips !== curves.strips) return;
  curves.strips = joinStrips(strips, answer.data.strips);
  drawCurves(curves);
  page.repaint();
}

/** The strips with what was measured since. */
export function joinStrips(known, fresh) {
  return fresh.map((strip) => {
    const before = known.find((one) => one.name === strip.name) ?? { x: [], step: [], value: [] };
    const joined = ['x', 'step', 'value'].map((name) => [name, [...before[name], ...strip[name]]]);
    return { ...strip, ...Object.fromEntries(joined) };
  });
}

/** While the run is under way its machine is measured too. */
export function followTelemetry(curves) {
  const isDue = Date.now() - curves.measuredAt >= TELEMETRY_MS;
  if (isDue && curves.page.data.standing === 'running') askTelemetry(curves);
}

function viewOf(curves) {
  const { query } = curves.page.context;
  const number = (name) => (query.get(name) ? Number(query.get(name)) : null);
  return {
    kind: query.get('x') === 'time' ? 'time' : 'step',
    isLog: query.get('y') === 'log',
    isTable: query.get('view') === 'table',
    smoothing: query.get('s'),
    from: number('from'),
    to: number('to'),
    names: chosenNames(curves, query.get('m')),
  };
}

/** The metrics shown: those of the address or, without one, losses, gap, and some more. */
function chosenNames({ page, strips }, asked) {
  if (asked != null) return asked.split(',').filter(Boolean).map(decodeURIComponent);
  const { metrics } = page.data;
  const main = metrics.filter((metric) => metric.role !== 'other');
  const rest = metrics.filter((metric) => metric.role === 'other');
  const busy = strips.find((strip) => /gpu.*busy/i.test(strip.name)) ?? strips[0];
  const room = MOST_CHARTS - 2 - (main.length > 2 ? 1 : 0);
  const names = [...main, ...rest.slice(0, room - 1)].map((metric) => metric.name);
  return busy ? [...names, MACHINE + busy.name] : names;
}

/** Losses share the first panel; each other metric has a strip. */
function panelPlan(curves, view) {
  const known = new Map(curves.page.data.metrics.map((metric) => [metric.name, metric]));
  const shown = view.names.map((name) => known.get(name)).filter(Boolean);
  const losses = shown.filter((metric) => metric.role.endsWith('loss'));
  const first = losses.length ? losses : shown.slice(0, 1);
  const others = shown.filter((metric) => !first.includes(metric));
  const machine = curves.strips.filter((strip) => view.names.includes(MACHINE + strip.name));
  return { first, others, machine };
}

function panelsOfRun(curves, view) {
  const { first, others, machine } = panelPlan(curves, view);
  const main = {
    id: 'main',
    kind: 'main',
    label: first.every((metric) => metric.role.endsWith('loss')) ? 'loss' : (first[0]?.name ?? ''),
    height: curves.page.context.isPhone ? PHONE_HEIGHT : MAIN_HEIGHT,
    isLog: view.isLog,
    traces: first.map((metric, index) => mainTrace(curves, metric, index)),
  };
  const tones = [...STRIP_TONES];
  const strips = others.map((metric) => {
    const tone = metric.role === 'gap' ? 'second' : takeTone(tones);
    return stripOf(metric.name, metric.name, tone, linesOfMetric(curves, metric.name), metricText(metric));
  });
  const meters = machine.map((strip) =>
    stripOf(MACHINE + strip.name, strip.name, 'series-4', [lineOfStrip(strip, view.kind)], meterText(strip, strip.last)),
  );
  return first.length ? [main, ...strips, ...meters] : meters;
}

function takeTone(tones) {
  const tone = tones.shift();
  tones.push(tone);
  return tone;
}

function mainTrace(curves, metric, index) {
  const isVal = metric.role === 'val loss';
  return {
    name: metric.name,
    label: metricLabel(metric),
    tone: isVal ? 'series-2' : STRIP_TONES[index % STRIP_TONES.length],
    hasPoints: isVal,
    isBandless: isVal,
    last: shortText(metric.last),
    lines: linesOfMetric(curves, metric.name),
  };
}

/** What a metric is called beside its line. */
export function metricLabel(metric) {
  return { 'train loss': 'train', 'val loss': 'val' }[metric.role] ?? metric.name;
}

function stripOf(id, label, tone, lines, last) {
  const trace = { name: id, label: '', tone, lines, isBandOnly: true };
  return { id, kind: 'strip', label, height: STRIP_HEIGHT, isLog: false, last, traces: [trace] };
}

function metricText(metric) {
  return metric.role === 'gap' ? signedText(metric.last) : numberText(metric.last);
}

function meterText(strip, value) {
  return value == null ? '' : `${shortText(value)} ${strip.unit}`;
}

function linesOfMetric({ lines }, name) {
  return lines.get(name) ?? [];
}

/** A figure of the machine as a line; on steps, those rows that have one. */
function lineOfStrip(strip, kind) {
  const xs = kind === 'time' ? strip.x : strip.step;
  const kept = strip.value.map((_value, at) => at).filter((at) => xs[at] != null);
  kept.sort((one, other) => xs[one] - xs[other]);
  const pick = (list) => kept.map((at) => list[at]);
  const value = pick(strip.value);
  const other = pick(kind === 'time' ? strip.step : strip.x);
  return { metric: strip.name, attempt: 0, superseded: false, x: pick(xs), min: value, max: value, smooth: value, n: [], bad: [], other };
}

// ── the axis

function axisOfRun(curves, view) {
  const { data, context } = curves.page;
  const [least, greatest] = view.kind === 'time' ? timeRange(data, context) : stepRange(data);
  const marks = data.marks.flatMap((mark) => chartMarks(mark, view.kind));
  return {
    kind: view.kind,
    zone: context.zone,
    least,
    greatest,
    min: view.from ?? least,
    max: view.to ?? greatest,
    isWhole: view.from == null && view.to == null,
    marks: view.kind === 'time' ? [...pauses(data), ...marks] : marks,
  };
}

function timeRange(data, context) {
  const from = seconds(data.started) ?? 0;
  const to = seconds(data.ended) ?? context.now() / 1000;
  return [from, Math.max(to, from + 1)];
}

function stepRange(data) {
  const steps = data.metrics.map((metric) => metric.last_step).filter((step) => step != null);
  const marked = data.marks.map((mark) => mark.step ?? 0);
  const last = [...steps, ...marked].reduce((most, step) => Math.max(most, step), data.progress.step ?? 1);
  const isUnderWay = data.standing === 'running' && data.progress.total;
  return [0, isUnderWay ? Math.max(last, data.progress.total) : last];
}

function seconds(iso) {
  return iso ? Date.parse(iso) / 1000 : null;
}

/** Stalls are bands over time, and lines over steps; a death has a line over time only. */
function chartMarks(mark, kind) {
  const x = kind === 'time' ? seconds(mark.at) : mark.step;
  if (x == null || mark.kind === 'end') return [];
  if (mark.kind === 'death' && kind === 'step') return [];
  if (mark.kind !== 'stall') return [{ kind: mark.kind, x, words: mark.kind === 'checkpoint' ? '' : mark.text }];
  const words = `stalled ${durationText(mark.duration_s)}`.trim();
  const until = kind === 'time' && mark.duration_s ? x + mark.duration_s : null;
  return [{ kind: 'stall', x, until, words }];
}

/** Between two attempts nothing ran. */
function pauses(data) {
  return data.attempts.slice(1).flatMap((attempt, index) => {
    const [x, until] = [seconds(data.attempts[index].ended), seconds(attempt.started)];
    return x != null && until > x ? [{ kind: 'pause', x, until }] : [];
  });
}

// ── what is fetched

/** What the lines are of: other than this, they are asked for anew. */
function keyOfView(view) {
  return [view.kind, view.from, view.to, view.smoothing].join(' ');
}

function wantPanel(curves, panel) {
  curves.seen.add(panel.id);
  askSoon(curves);
}

function askSoon(curves) {
  clearTimeout(curves.timer);
  curves.timer = setTimeout(() => askSeries(curves), 0);
}

/** Ask for the lines of those panels in sight that have none. */
async function askSeries(curves) {
  const view = viewOf(curves);
  const key = keyOfView(view);
  const wanted = wantedNames(curves, view);
  const names = wanted.filter((name) => curves.got?.get(name) !== key);
  if (!names.length || curves.pending === key + names) return;
  curves.pending = key + names;
  const query = seriesQuery(curves, view, names);
  const answer = await curves.page.context.store.get(`${curves.page.address}/series?${query}`).catch((error) => ({ error }));
  if (curves.pending === key + names) curves.pending = '';
  if (key !== keyOfView(viewOf(curves))) return;
  curves.error = answer.error?.message ?? '';
  if (answer.data) keepSeries(curves, names, key, answer.data);
  if (answer.data && names.length === wanted.length) curves.rev = answer.rev;
  curves.page.follow();
  drawCurves(curves);
  curves.page.repaint();
}

/** The metrics of the first panels, and of those in sight. */
function wantedNames(curves, view) {
  const { first, others } = panelPlan(curves, view);
  const isWanted = (metric, index) => index < MOST_CHARTS - 1 || curves.seen.has(metric.name);
  const inSight = others.filter(isWanted).slice(-MOST_FOLLOWED);
  return [...first, ...inSight].map((metric) => metric.name);
}

function seriesQuery(curves, view, names) {
  const query = new URLSearchParams(names.map((name) => ['m', name]));
  query.set('x', view.kind);
  query.set('width', Math.min(MOST_COLUMNS, Math.max(200, curves.box.clientWidth - 128)));
  for (const [name, value] of [['from', view.from], ['to', view.to], ['s', view.smoothing]]) {
    if (value != null) query.set(name, value);
  }
  return query;
}

function keepSeries(curves, names, key, series) {
  curves.got ??= new Map();
  for (const name of names) {
    curves.lines.set(name, series.lines.filter((line) => line.metric === name));
    curves.got.set(name, key);
  }
  curves.smoothing = series.smoothing;
  curves.isWhole = series.is_whole;
}

/** The query of the lines on screen; "" where there are none to follow. */
export function followedSeries(curves) {
  const names = wantedNames(curves, viewOf(curves));
  return names.length ? String(seriesQuery(curves, viewOf(curves), names)) : '';
}

/** New columns of lines on screen. What does not fit those that we have is asked for anew. */
export function takeColumns(curves, message) {
  if (message.from !== curves.rev) {
    askAnew(curves);
    return;
  }
  curves.rev = message.rev;
  for (const added of message.lines) addColumns(curves, added);
  drawCurves(curves);
}

function addColumns(curves, added) {
  const lines = linesOfMetric(curves, added.metric);
  const known = lines.find((line) => line.attempt === added.attempt && line.superseded === added.superseded);
  const fresh = known ? applyColumns(known, added) : added;
  curves.lines.set(added.metric, known ? lines.map((line) => (line === known ? fresh : line)) : [...lines, fresh]);
}

/** The first word of a stream says which state it continues. */
export function takeBeat(curves, message) {
  if (!message.series || message.series === curves.rev) return;
  curves.rev = message.series;
  askAnew(curves);
}

function askAnew(curves) {
  curves.got?.clear();
  askSoon(curves);
}

// ── what is drawn

export function drawCurves(curves) {
  const view = viewOf(curves);
  curves.box.setAttribute('aria-label', curves.page.data.reading || 'Curves of this run');
  curves.panels = panelsOfRun(curves, view);
  curves.axis = axisOfRun(curves, view);
  curves.box.hidden = view.isTable;
  if (globalThis.uPlot && !view.isTable) curves.stack.show({ panels: curves.panels, axis: curves.axis });
  sayAt(curves, curves.x);
  askSoon(curves);
}

export function curvesSection(curves) {
  const { data } = curves.page;
  const view = viewOf(curves);
  if (!data.metrics.length && !curves.strips.length) return noMetrics(data);
  const right = view.from == null ? 'drag to zoom' : wholeButton(curves.stack);
  return section(
    'curves',
    'Curves',
    { extra: controls(curves, view), right },
    curves.isListed ? metricList(curves, view) : null,
    curves.said,
    curves.error ? h('p', { class: 'text-failed' }, bdi(`The curves could not be read: ${curves.error}`)) : null,
    curves.isWhole === false ? h('p', { class: 'second' }, 'The last rows; the others are being read.') : null,
    curves.box,
    view.isTable && curves.panels ? curvesTable(curves) : null,
  );
}

function noMetrics(data) {
  const figures = Object.entries(data.results);
  const none = h('p', { class: 'second' }, 'No rows of metrics were recorded.');
  if (!figures.length) return section('curves', 'Curves', {}, none);
  const rows = figures.map(([name, value]) => [h('dt', null, bdi(name)), h('dd', null, numberText(value))]);
  return section('results', 'Results', {}, h('dl', { class: 'pairs' }, rows));
}

function controls(curves, view) {
  const { context, data } = curves.page;
  const set = (name, standard) => (value) => context.setQuery({ [name]: value === standard ? null : value });
  const setAxis = (value) => context.setQuery({ x: value === 'step' ? null : value, from: null, to: null });
  const total = data.metrics.length;
  const shown = view.names.filter((name) => data.metrics.some((metric) => metric.name === name)).length;
  return [
    tabs('Axis', [['step', 'step'], ['time', 'time']], view.kind, setAxis),
    tabs('Scale', [['linear', 'linear'], ['log', 'log']], view.isLog ? 'log' : 'linear', set('y', 'linear')),
    smoothingField(curves, view),
    h(
      'button',
      { type: 'button', class: 'textual', 'aria-expanded': String(curves.isListed), onclick: () => toggleList(curves) },
      `${numberText(shown)} of ${numberText(total)} metrics`,
    ),
  ];
}

function smoothingField(curves, view) {
  const field = h('input', {
    type: 'number',
    min: 0,
    max: 0.999,
    step: 'any',
    'aria-label': 'Smoothing, 0 to 0.999',
    value: view.smoothing ?? numberText(curves.smoothing),
    onchange: (event) => setSmoothing(curves, event.target),
    onkeydown: (event) => stepSmoothing(event),
  });
  return h('label', { class: 'smoothing' }, 'smoothing ', field);
}

/** The arrows halve or double how far the smoothing is from 1. */
function stepSmoothing(event) {
  const factor = { ArrowUp: 0.5, ArrowDown: 2 }[event.key];
  if (!factor) return;
  event.preventDefault();
  event.target.value = Number(Math.min(0.999, Math.max(0, 1 - (1 - event.target.value) * factor)).toFixed(3));
  event.target.onchange(event);
}

function setSmoothing(curves, field) {
  const value = Math.min(0.999, Math.max(0, Number(field.value) || 0));
  curves.page.context.setQuery({ s: field.value === '' ? null : value });
}

function toggleList(curves) {
  curves.isListed = !curves.isListed;
  curves.page.repaint();
  if (curves.isListed) document.getElementById('metric-filter')?.focus();
}

/** The metrics by the first part of their names, with a filter. */
function metricList(curves, view) {
  const machine = curves.strips.map((strip) => MACHINE + strip.name);
  const names = [...curves.page.data.metrics.map((metric) => metric.name), ...machine];
  const fitting = names.filter((name) => name.toLowerCase().includes(curves.needle.toLowerCase()));
  const groups = Object.groupBy(fitting.slice(0, MOST_LISTED), prefixOf);
  const field = h('input', {
    id: 'metric-filter',
    type: 'search',
    placeholder: 'Filter metrics',
    'aria-label': 'Filter metrics',
    oninput: (event) => {
      curves.needle = event.target.value;
      curves.page.repaint();
    },
  });
  const more = fitting.length - MOST_LISTED;
  return h(
    'div',
    { class: 'metric-list' },
    h('div', { class: 'metric-tools' }, field, allButton(curves, view, fitting), standardButton(curves)),
    Object.entries(groups).map(([prefix, members]) =>
      h('fieldset', { 'data-key': prefix }, h('legend', null, bdi(prefix)), members.map((name) => metricBox(curves, view, name))),
    ),
    more > 0 ? h('p', { class: 'second' }, `${numberText(more)} more: narrow the filter`) : null,
  );
}

function prefixOf(name) {
  if (name.startsWith(MACHINE)) return 'machine';
  const parts = name.split(/[/.]/);
  return parts.length > 1 ? parts[0] : 'metrics';
}

function allButton(curves, view, fitting) {
  const names = [...new Set([...view.names, ...fitting.slice(0, MOST_LISTED)])];
  return h('button', { type: 'button', class: 'textual', onclick: () => chooseNames(curves, names) }, 'show these');
}

function standardButton(curves) {
  return h('button', { type: 'button', class: 'textual', onclick: () => curves.page.context.setQuery({ m: null }) }, 'as at first');
}

function metricBox(curves, view, name) {
  const box = h('input', {
    type: 'checkbox',
    onchange: (event) => {
      const rest = view.names.filter((one) => one !== name);
      chooseNames(curves, event.target.checked ? [...rest, name] : rest);
    },
  });
  box.checked = view.names.includes(name);
  if (box.checked) box.setAttribute('checked', '');
  return h('label', { 'data-key': name }, box, bdi(name.replace(MACHINE, '')));
}

function chooseNames(curves, names) {
  curves.page.context.setQuery({ m: names.map((name) => encodeURIComponent(name)).join(',') });
}

// ── the readout

/** The figures at `x` or, where it is null, the last ones. */
function sayAt(curves, x) {
  curves.x = x;
  if (!curves.panels) return;
  const view = viewOf(curves);
  const entries = (x == null ? lastEntries(curves) : entriesAt(curves, view, x)).slice(0, MOST_SAID);
  paint(curves.said, entries.map(([name, value, tone]) => span('', bdi(name), ' ', h('b', { class: tone }, bdi(value)))));
}

function lastEntries(curves) {
  const { data, context } = curves.page;
  const step = data.evidence.find((one) => one.what === 'step');
  const entries = [['step', numberText(data.progress.step)]];
  if (step?.at) entries.push(['at', clockText(Date.parse(step.at), context.zone, true)]);
  const metrics = new Map(data.metrics.map((metric) => [metric.name, metric]));
  for (const trace of curves.panels.flatMap((panel) => panel.traces)) {
    const metric = metrics.get(trace.name);
    entries.push(...(metric ? lastOfMetric(metric, trace, data) : lastOfMeter(curves, trace)));
  }
  return entries.filter(([, value]) => value);
}

function lastOfMetric(metric, trace, data) {
  const isOld = metric.role === 'val loss' && metric.last_step != null && metric.last_step !== data.progress.step;
  const value = metric.role === 'gap' ? signedText(metric.last) : numberText(metric.last);
  const entries = [[metricLabel(metric), isOld ? `${value} at ${numberText(metric.last_step)}` : value, toneClass(trace)]];
  const smooth = trace.lines.filter((line) => !line.superseded).at(-1)?.smooth.findLast((one) => one != null);
  if (metric.role === 'train loss' && smooth != null) entries.push(['smoothed', smoothText(smooth), toneClass(trace)]);
  return entries;
}

/** Four significant digits: a smoothed value was never recorded. */
function smoothText(value) {
  return numberText(Number(value.toPrecision(4)));
}

function lastOfMeter(curves, trace) {
  const strip = curves.strips.find((one) => MACHINE + one.name === trace.name);
  return strip ? [[strip.name, meterText(strip, strip.last)]] : [];
}

function toneClass(trace) {
  return { 'series-1': 'text-running', 'series-2': 'text-failed' }[trace.label && trace.tone];
}

function entriesAt(curves, view, x) {
  const traces = curves.panels.flatMap((panel) => panel.traces);
  const columns = traces.map((trace) => [trace, columnAt(trace, x)]);
  const lead = columns.find(([, column]) => column)?.[1];
  const entries = placeEntries(curves, view, lead?.x ?? x, lead?.other);
  for (const [trace, column] of columns) if (column) entries.push(...entriesOfColumn(curves, trace, column, lead));
  return entries.filter(([, value]) => value);
}

function placeEntries(curves, view, x, other) {
  const [step, at] = view.kind === 'time' ? [other, x] : [Math.round(x), other];
  const clock = at == null ? '' : clockText(at * 1000, curves.page.context.zone, true);
  return [['step', numberText(step)], ['at', clock]];
}

function entriesOfColumn(curves, trace, column, lead) {
  const metric = curves.page.data.metrics.find((one) => one.name === trace.name);
  if (!metric) {
    const strip = curves.strips.find((one) => MACHINE + one.name === trace.name);
    return [[strip.name, meterText(strip, column.smooth)]];
  }
  if (metric.role === 'gap') return [[metric.name, signedText(column.smooth)]];
  const step = curves.axis.kind === 'time' ? column.other : column.x;
  const isElsewhere = metric.role === 'val loss' && column !== lead && step != null;
  const where = isElsewhere ? ` at ${numberText(step)}` : '';
  const entries = [[metricLabel(metric), rangeText(column) + where, toneClass(trace)]];
  if (metric.role === 'train loss') entries.push(['smoothed', smoothText(column.smooth), toneClass(trace)]);
  return entries;
}

/** One row as it is, several as the range that they span. */
function rangeText({ min, max }) {
  const [least, greatest] = [numberText(min), numberText(max)];
  return least === greatest ? least : `${least} to ${greatest}`;
}

// ── the table in place of the chart

function curvesTable(curves) {
  const traces = curves.panels.flatMap((panel) => panel.traces);
  return chartTable(traces, curves.panels[0].traces, curves.axis);
}

/** A table of traces: a row for each place where one of those that lead has a value, 200 at most. */
export function chartTable(traces, leads, { kind, zone }) {
  const lines = leads.flatMap((trace) => trace.lines).filter((line) => !line.superseded);
  const places = [...new Set(lines.flatMap((line) => line.x))].filter((x) => x != null).sort((one, other) => one - other);
  const step = Math.max(1, Math.ceil(places.length / MOST_TABLE_ROWS));
  const shown = places.filter((x, index) => index % step === 0 || index === places.length - 1);
  const first = kind === 'time' ? (x) => clockText(x * 1000, zone, true) : (x) => numberText(x);
  const columns = [{ name: 'x', label: kind, kind: 'number', cell: first }, ...traces.map(readTrace).map(traceColumn)];
  const note = step > 1 ? h('p', { class: 'second' }, `One of ${numberText(step)} columns of the chart.`) : null;
  return h('div', { class: 'scroll', tabindex: 0, role: 'region', 'aria-label': 'Table of the curves' }, table(columns, shown, { label: 'Curves', keyOf: String }), note);
}

function traceColumn(trace, index) {
  const label = bdi(trace.title ?? trace.name.replace(MACHINE, ''));
  return { name: `m${index}`, label, kind: 'number', cell: (x) => tableText(columnAt(trace, x), x) };
}

/** What a column has at `x` itself: a value beside it is not shown. */
function tableText(column, x) {
  return column?.x === x ? rangeText(column) : '';
}

// ── keys

const RUN_KEYS = {
  s: ({ page }) => page.context.flipQuery('x', 'time', { from: null, to: null }),
  y: ({ page }) => page.context.flipQuery('y', 'log'),
  t: ({ page }) => page.context.flipQuery('view', 'table'),
  m: toggleList,
};

/** A key of the curves; whether it was one. */
export function takeCurvesKey(curves, event) {
  if (takeChartKey(curves.stack, event)) return true;
  RUN_KEYS[event.key]?.(curves);
  return event.key in RUN_KEYS;
}
