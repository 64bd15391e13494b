/** The comparison of runs: in what they differ, and what came of it. */

import { createChart, loadPlot, shortText, takeChartKey, wholeButton } from './chart.js';
import { chartTable } from './curves.js';
import { bdi, cleanText, h, paint, span, svg } from './dom.js';
import { countText, decimalsOf, numberText, signedText } from './format.js';
import { pathOfId, runHref } from './needs.js';
import { section, tabs } from './pieces.js';
import { bestOf, choiceSection, chosenRuns, drawPlot, figuresOfRows, prepareSweep } from './sweep.js';

const MOST_COLUMNS_OF_RUNS = 6;
const MOST_CURVES = 20;
const MOST_TABS = 4;
const MOST_SAME = 6;
const CHART_HEIGHT = 250;
const RUN_TONES = ['series-1', 'series-2', 'series-3', 'series-4'];
const SWATCHES = ['', '6 3', '1.5 2', '7 2.5 1.5 2.5'];
const ALL_SAME = ['data', 'machine', 'environment', 'code'];

export function renderCompare(root, answer, context) {
  context.setCrumbs([{ text: 'compare' }]);
  if (!answer) {
    paint(root, h('div', { class: 'lead' }, h('h1', null, 'Nothing to compare yet'), howToMark()));
    return;
  }
  const page = { root, context, data: answer.data, api: context.place.api, open: new Set(), curves: new Map(), asked: new Set(), come: new Set(), bare: new Set(), diff: 0 };
  const hooks = {
    onCursor: (x, trace) => pickCurve(page, x, trace),
    onRange: (from, to) => context.setQuery({ from, to }),
  };
  Object.assign(page, createChart(hooks, 16));
  page.repaint = () => drawCompare(page);
  prepareSweep(page);
  drawCompare(page);
  context.on('patch', (data) => takeComparison(page, data));
  context.on('query', () => takeCompareQuery(page));
  context.on('filter', () => drawCompare(page));
  context.on('resize', () => drawCompare(page));
  context.on('key', (event) => takeCompareKey(page, event));
  context.on('leave', () => page.stack.destroy());
  loadPlot().then(() => drawCompare(page));
}

function howToMark() {
  const key = (name) => h('kbd', null, name);
  return h('p', { class: 'second' }, 'Mark runs with ', key('x'), ' on a row, then press ', key('c'), '.');
}

/** The lines on screen stay until newer ones have come. */
function takeComparison(page, data) {
  page.data = data;
  page.asked.clear();
  page.come.clear();
  page.bare.clear();
  drawCompare(page);
}

/** Another base or another step is another answer. */
async function takeCompareQuery(page) {
  const { query } = page.context;
  const asked = new URLSearchParams([...query].filter(([name]) => ['r', 'base', 'at'].includes(name)));
  const api = `compare?${asked}`;
  drawCompare(page);
  if (api === page.api) return;
  page.api = api;
  const answer = await page.context.store.get(api).catch((error) => ({ error }));
  if (page.api !== api) return;
  page.error = answer.error?.message ?? '';
  if (answer.data) takeComparison(page, answer.data);
  else drawCompare(page);
}

function takeCompareKey(page, event) {
  if (!hasCurves(page)) return false;
  if (event.key === 'y') page.context.flipQuery('y', 'log');
  else if (event.key === 't') flipTable(page);
  else return takeChartKey(page.stack, event);
  return true;
}

/** Whether the curves are on screen, drawn or as a table: many runs begin with another view. */
function hasCurves(page) {
  return curvedMetrics(page).length > 0 && (!isByRows(page) || ['curves', 'table'].includes(viewOfCompare(page)));
}

function viewOfCompare({ context }) {
  return context.query.get('view');
}

function flipTable(page) {
  const drawn = isByRows(page) ? 'curves' : null;
  page.context.setQuery({ view: viewOfCompare(page) === 'table' ? drawn : 'table' });
}

function isByRows({ data }) {
  return data.runs.length > MOST_COLUMNS_OF_RUNS;
}

function drawCompare(page) {
  const { data, error } = page;
  paint(
    page.root,
    h('div', { class: 'lead', 'data-key': 'lead' }, h('h1', null, bdi(data.heading)), sameSentence(page)),
    error ? h('p', { class: 'text-failed', 'data-key': 'error' }, bdi(error)) : null,
    ...(isByRows(page) ? rowsOfCompare(page) : columnsOfCompare(page)),
  );
  drawPlot(page);
  drawCompareCurves(page);
}

function rowsOfCompare(page) {
  const curves = hasCurves(page) ? chartOfCompare(page) : null;
  return [choiceSection(page, curves), figuresOfRows(page), codeSection(page)];
}

function columnsOfCompare(page) {
  return [
    section('differs', 'Differs', { count: page.data.differs.length, right: 'grey: as in the base; bold: the best' }, columnsTable(page)),
    h('div', { class: 'compare-below', 'data-key': 'below' }, codeSection(page), curvesOfCompare(page)),
  ];
}

/** What is the same in all, in one sentence; the whole of it by a button. */
function sameSentence(page) {
  const entries = Object.entries(page.data.same);
  if (!entries.length) return null;
  const isOpen = page.open.has('same');
  const settings = entries.filter(([name]) => !ALL_SAME.includes(name));
  const others = entries.filter(([name]) => ALL_SAME.includes(name)).map(([name]) => name);
  const named = settings.slice(0, MOST_SAME).map(([name, value]) => `${name} ${value}`);
  const more = settings.length - named.length;
  const first = named.join(', ') + (more > 0 ? ` and ${numberText(more)} more` : '');
  const words = [first, others.join(', ')].filter(Boolean).join('; ');
  return [
    h('p', { class: 'second' }, 'The same in all: ', bdi(words), '. ', foldButton(page, 'same', isOpen ? 'Hide' : 'Show')),
    isOpen ? h('dl', { class: 'same' }, entries.map(([name, value]) => h('div', null, h('dt', null, bdi(name)), h('dd', null, bdi(value))))) : null,
  ];
}

function foldButton(page, name, text) {
  const flip = () => {
    if (!page.open.delete(name)) page.open.add(name);
    drawCompare(page);
  };
  return h('button', { type: 'button', class: 'textual folding', 'aria-expanded': String(page.open.has(name)), onclick: flip }, bdi(text));
}

// ── columns

function columnsTable(page) {
  const { data } = page;
  const heads = data.runs.map((run, index) => h('th', { scope: 'col', class: 'number' }, swatch(index), runLink(run)));
  return h(
    'table',
    { class: 'versus', 'aria-label': 'How the runs differ' },
    h('thead', null, h('tr', null, h('th', { scope: 'col' }, span('unseen', 'What')), heads)),
    h('tbody', null, data.differs.flatMap((row) => differenceRows(page, row))),
    h('tbody', null, figureHead(page), data.figures.map((row) => figureRow(row, page))),
  );
}

/** The line of a run as it is drawn: the colour and the dash. */
export function swatch(index, tone) {
  const name = tone ?? RUN_TONES[index % RUN_TONES.length];
  const line = svg('path', { d: 'M0 4H15', 'stroke-dasharray': SWATCHES[index % SWATCHES.length] });
  return svg('svg', { class: `swatch ${name}`, viewBox: '0 0 15 8', 'aria-hidden': 'true' }, line);
}

export function runLink(run) {
  return h('a', { href: runHref(run.id) }, bdi(run.name));
}

function differenceRows(page, row) {
  const cells = row.values.map((value, index) => {
    const isGrey = value == null || (row.is_base[index] && page.data.runs[index].id !== page.data.base);
    const key = `${row.key} ${index}`;
    const text = value ?? 'not set';
    const content = row.details[index]?.length ? foldButton(page, key, text) : bdi(text);
    const name = ['number', isGrey ? 'third' : '', row.kind === 'code' ? 'mono' : ''].join(' ');
    return h('td', { class: name }, content);
  });
  const line = h('tr', { 'data-key': row.key }, h('th', { scope: 'row' }, bdi(row.key)), cells);
  const open = row.values.map((_value, index) => index).filter((index) => page.open.has(`${row.key} ${index}`));
  return [line, ...open.map((index) => detailsRow(page, row, index))];
}

function detailsRow(page, row, index) {
  const lines = row.details[index].map((line) => h('li', null, bdi(line)));
  const name = bdi(page.data.runs[index].name);
  return h('tr', null, h('td', { class: 'details', colspan: row.values.length + 1 }, h('p', { class: 'second' }, name), h('ul', { class: 'mono' }, lines)));
}

function figureHead(page) {
  const { data, context } = page;
  const cells = data.runs.map((run) => {
    if (run.id === data.base) return h('td', { class: 'number second' }, 'base');
    const choose = () => context.setQuery({ base: run.id });
    return h('td', { class: 'number' }, h('button', { type: 'button', class: 'textual rebase', onclick: choose }, 'make it the base'));
  });
  return h('tr', { class: 'figure-head' }, h('th', { scope: 'row' }, h('h2', null, 'Figures'), atTabs(page)), cells);
}

/** Which figures: the last, the best, or those at a step. */
export function atTabs(page) {
  const { context } = page;
  const at = context.query.get('at') ?? 'last';
  const isStep = !['last', 'best'].includes(at);
  const choose = (value) => {
    page.isAtStep = value === 'step';
    if (value !== 'step') context.setQuery({ at: value === 'last' ? null : value });
    else drawCompare(page);
  };
  const chosen = isStep || page.isAtStep ? 'step' : at;
  const field = h('input', {
    type: 'number',
    class: 'at-step',
    'aria-label': 'Step of the figures',
    value: isStep ? at : '',
    onchange: (event) => context.setQuery({ at: event.target.value || null }),
  });
  return [tabs('Figures shown', [['last', 'last'], ['best', 'best'], ['step', 'at step']], chosen, choose), chosen === 'step' ? field : null];
}

function figureRow(row, page) {
  const decimals = Math.max(...row.values.map((value) => (value == null ? 0 : decimalsOf(value))));
  const cells = row.values.map((value, index) => {
    const delta = row.deltas[index];
    const isBase = page.data.runs[index].id === page.data.base;
    const difference = delta == null || isBase ? null : span('third delta', signedText(delta, decimals));
    const text = value == null ? span('third', 'none') : numberText(value, decimals);
    return h('td', { class: 'number' }, difference, row.is_best[index] ? h('b', null, text) : text);
  });
  return h('tr', { 'data-key': `figure ${row.metric}` }, h('th', { scope: 'row' }, bdi(row.metric)), cells);
}

// ── the code

function codeSection(page) {
  const { diffs } = page.data;
  if (!diffs.length) return null;
  const diff = diffs[page.diff] ?? diffs[0];
  const choose = (index) => {
    page.diff = index;
    drawCompare(page);
  };
  const names = diffs.map((one, index) => [index, one.what]);
  const lines = diff.lines.map((line) => h('div', { class: classOfDiff(line) }, cleanText(line) || ' '));
  return section(
    'code',
    'Code',
    { extra: tabs('Difference shown', names, diffs.indexOf(diff), choose) },
    diff.note ? h('p', { class: 'second' }, bdi(diff.note)) : null,
    h('pre', { class: 'diff', tabindex: 0, role: 'region', 'aria-label': 'Difference of the code' }, lines),
    diff.left_out ? h('p', { class: 'second' }, `${countText(diff.left_out, 'line')} more`) : null,
  );
}

function classOfDiff(line) {
  if (/^(\+\+\+|---|@@|diff |index )/.test(line)) return 'third';
  return { '+': 'text-done', '-': 'text-failed' }[line[0]];
}

// ── curves

function metricOfCurves(page) {
  const asked = page.context.query.get('m');
  const metrics = curvedMetrics(page);
  return metrics.includes(asked) ? asked : metrics[0];
}

/** The metrics that may have curves: results, which have a task and a metric, come last. */
function curvedMetrics({ data, bare }) {
  const isResult = (name) => name.includes(' ');
  const metrics = data.metrics.filter((name) => !bare.has(name));
  return [...metrics.filter((name) => !isResult(name)), ...metrics.filter(isResult)];
}

function isLogScale(page) {
  return page.context.query.get('y') === 'log';
}

function setScale(page, value) {
  page.context.setQuery({ y: value === 'linear' ? null : value });
}

function curvesOfCompare(page) {
  if (!curvedMetrics(page).length) return null;
  const right = page.context.query.has('from') ? wholeButton(page.stack) : 'step';
  return section('curves', 'Curves', { extra: curveControls(page), right }, ...chartOfCompare(page));
}

/** Which metric is drawn, and on which scale. */
export function curveControls(page) {
  const metrics = curvedMetrics(page);
  const chosen = metricOfCurves(page);
  const choose = (name) => page.context.setQuery({ m: name });
  const named = metrics.slice(0, MOST_TABS);
  const options = metrics.map((name) => h('option', { value: name, selected: name === chosen }, cleanText(name)));
  const list = h('select', { 'aria-label': 'Metric', onchange: (event) => choose(event.target.value) }, options);
  return [
    metrics.length > MOST_TABS ? list : tabs('Metric', named.map((name) => [name, name]), chosen, choose),
    tabs('Scale', [['linear', 'linear'], ['log', 'log']], isLogScale(page) ? 'log' : 'linear', (value) => setScale(page, value)),
  ];
}

function chartOfCompare(page) {
  const isTable = viewOfCompare(page) === 'table';
  const count = drawnRuns(page).length;
  const more = (isByRows(page) ? chosenRuns(page).length : page.data.runs.length) - count;
  page.box.setAttribute('aria-label', `${metricOfCurves(page)} of ${countText(count, 'run')} over their steps`);
  page.box.hidden = page.said.hidden = isTable;
  const rows = isTable ? curvesAsTable(page) : null;
  return [page.said, page.box, rows, more > 0 ? h('p', { class: 'second' }, `${countText(more, 'run')} more: choose fewer to see them`) : null];
}

function curvesAsTable(page) {
  const traces = tracesOfRuns(page);
  return chartTable(traces, traces, { kind: 'step' });
}

function tracesOfRuns(page) {
  const metric = metricOfCurves(page);
  return drawnRuns(page).map((run, index) => curveTrace(page, run, index, metric));
}

function drawnRuns(page) {
  const runs = isByRows(page) ? chosenRuns(page) : page.data.runs;
  return runs.slice(0, MOST_CURVES);
}

/** The lines of a metric of a run; [] until they have come. */
export function curveOf(page, id, metric) {
  const key = `${metric} ${id}`;
  if (!page.asked.has(key)) {
    page.asked.add(key);
    askCurve(page, id, metric, key);
  }
  return page.curves.get(key) ?? [];
}

async function askCurve(page, id, metric, key) {
  const query = new URLSearchParams({ m: metric, x: 'step', width: 600 });
  const answer = await page.context.store.get(`run/${pathOfId(id)}/series?${query}`).catch(() => null);
  page.curves.set(key, answer?.data?.lines ?? page.curves.get(key) ?? []);
  page.come.add(key);
  noteBare(page, metric);
  clearTimeout(page.timer);
  page.timer = setTimeout(() => drawCompare(page), 50);
}

/** A metric of which no run drawn has rows is no choice. */
function noteBare(page, metric) {
  const keys = drawnRuns(page).map((run) => `${metric} ${run.id}`);
  if (keys.every((key) => page.come.has(key) && !page.curves.get(key).length)) page.bare.add(metric);
}

function drawCompareCurves(page) {
  const metric = metricOfCurves(page);
  if (!page.box.isConnected || page.box.hidden || !globalThis.uPlot || !metric) return;
  const { query } = page.context;
  const traces = tracesOfRuns(page);
  const xs = traces.flatMap((trace) => trace.lines.flatMap((line) => line.x)).filter((x) => x != null);
  const panel = { id: 'main', kind: 'main', label: '', height: CHART_HEIGHT, isLog: isLogScale(page), traces };
  const isWhole = !query.has('from');
  const least = xs.reduce((one, x) => Math.min(one, x), 0);
  const greatest = xs.reduce((one, x) => Math.max(one, x), 1);
  const min = isWhole ? least : Number(query.get('from'));
  const max = isWhole ? greatest : Number(query.get('to'));
  page.stack.show({ panels: [panel], axis: { kind: 'step', least, greatest, min, max, isWhole, zone: page.context.zone, marks: [] } });
}

function curveTrace(page, run, index, metric) {
  const lines = curveOf(page, run.id, metric).filter((line) => line.metric === metric);
  const last = lines.filter((line) => !line.superseded).at(-1)?.smooth.findLast((value) => value != null);
  const isMany = drawnRuns(page).length > MOST_COLUMNS_OF_RUNS;
  const isBest = isMany && page.data.runs[bestOf(page, [...page.data.runs.keys()])]?.id === run.id;
  const isLoud = isBest || page.loud === run.id;
  return {
    name: run.id,
    title: run.name,
    label: !isMany || isLoud ? run.name : '',
    tone: isMany ? (isBest ? 'series-2' : 'series-1') : RUN_TONES[index % RUN_TONES.length],
    dash: isMany ? 0 : index % SWATCHES.length,
    isBandless: true,
    isPale: isMany && !isLoud,
    isLoud: isMany && isLoud,
    last: last == null ? '' : shortText(last),
    lines,
  };
}

/** Where there are many curves, the one at the cursor stands out. */
function pickCurve(page, x, trace) {
  const runs = drawnRuns(page);
  const loud = trace && runs.length > MOST_COLUMNS_OF_RUNS ? trace.name : null;
  const words = x == null || !trace ? '' : `step ${numberText(Math.round(x))}, ${runs.find((run) => run.id === trace.name)?.name ?? ''}`;
  paint(page.said, bdi(words));
  if (loud === (page.loud ?? null)) return;
  page.loud = loud;
  drawCompareCurves(page);
}
