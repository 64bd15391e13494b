/** Many runs compared: settings to figures, where a range on an axis chooses the rows below. */

import { shortText } from './chart.js';
import { bdi, cleanText, followPointer, h, paint, span, svg } from './dom.js';
import { decimalsOf, numberText } from './format.js';
import { atTabs, curveControls, curveOf, runLink, swatch } from './page_compare.js';
import { section, sparkline, tabs } from './pieces.js';
import { table } from './table.js';

const WIDE = 1344;
const HIGH = 300;
const EDGE = { side: 70, top: 30, bottom: 14 };
const FAN = 10;
const LOG_FROM = 50;
const MOST_PLACES = 6;
const MOST_SETTINGS = 5;
const MOST_FIGURES = 2;
const MOST_FIGURE_COLUMNS = 4;

/** What a page of many runs remembers: the order of its rows, and the plot. */
export function prepareSweep(page) {
  page.order = null;
  page.plot = h('div', { 'data-keep': '', 'data-key': 'plot' });
  page.plot.addEventListener('pointerdown', (event) => choosePlace(page, event));
}

// ── axes

/** An axis per setting that differs and per figure: {name, values, isFigure, better, at(value)}. */
function axesOfSweep({ data, context }) {
  const settings = data.differs.filter((row) => row.kind === 'setting').map((row) => axisOf(row.key, row.values.map(asNumber), null));
  const figures = data.figures.map((row) => axisOf(row.metric, row.values, row));
  const all = [...settings, ...figures];
  const asked = context.query.get('axes')?.split(',').map(decodeURIComponent);
  if (asked) return asked.map((name) => all.find((axis) => axis.name === name)).filter(Boolean);
  return [...settings.slice(0, MOST_SETTINGS), ...figures.slice(0, MOST_FIGURES).reverse()];
}

function asNumber(value) {
  const number = Number(value);
  return value == null || value === '' || Number.isNaN(number) ? value : number;
}

/** Few values stand evenly, in order; many on a scale, logarithmic over a wide range. `inUnits` and `asShare` are of the ends of a range:
 * a value of the scale for a share of the axis, and back. */
function axisOf(name, values, figure) {
  const known = values.filter((value) => value != null);
  const isNumeric = known.every((value) => Number.isFinite(value));
  const places = [...new Set(known)].sort((one, other) => (isNumeric ? one - other : String(one).localeCompare(String(other))));
  const axis = { name, values, isFigure: Boolean(figure), better: figure?.better ?? '', best: figure?.is_best };
  if (!isNumeric || (!figure && places.length <= MOST_PLACES)) {
    const same = (share) => share;
    return { ...axis, places, ticks: places, at: (value) => placeOfValue(places, value), inUnits: same, asShare: same };
  }
  const [least, greatest] = [places[0], places.at(-1)];
  const isLog = least > 0 && greatest / least > LOG_FROM;
  const bend = isLog ? Math.log10 : (value) => value;
  const span = bend(greatest) - bend(least) || 1;
  const share = (value) => (bend(value) - bend(least)) / span;
  const flip = (part) => (axis.better === 'less' ? 1 - part : part);
  const at = (value) => flip(share(value));
  const unbend = isLog ? (power) => 10 ** power : (value) => value;
  const inUnits = (part) => unbend(bend(least) + flip(part) * span);
  return { ...axis, isLog, places: null, ticks: ticksBetween(least, greatest, isLog), at, inUnits, asShare: at };
}

function placeOfValue(places, value) {
  return places.length > 1 ? places.indexOf(value) / (places.length - 1) : 0.5;
}

function ticksBetween(least, greatest, isLog) {
  if (least === greatest) return [least];
  const step = 10 ** Math.floor(Math.log10((greatest - least) / 2));
  const unit = [5, 2, 1].map((factor) => factor * step).find((one) => (greatest - least) / one >= 3) ?? step;
  const even = [];
  for (let tick = Math.ceil(least / unit) * unit; tick <= greatest; tick += unit) even.push(Number(tick.toPrecision(6)));
  if (!isLog && greatest / least < 8) return even;
  const firsts = [-6, -5, -4, -3, -2, -1, 0, 1, 2, 3, 4, 5].flatMap((power) => [1, 2, 5].map((first) => Number(`${first}e${power}`)));
  return isLog ? firsts.filter((tick) => tick >= least && tick <= greatest) : even;
}

/** Where a value lies on an axis, from 0 at the bottom to 1 at the top; null: nowhere. */
function axisShare(axis, index) {
  const value = axis.values[index];
  return value == null ? null : axis.at(value);
}

// ── what is chosen

/** The ranges in the address: name of the axis → its two ends, in the axis' own units. */
function rangesOf({ context }) {
  const texts = context.query.get('ranges')?.split(',') ?? [];
  const ranges = texts.map((text) => text.split(':')).map(([name, ...ends]) => [decodeURIComponent(name), ends.map(Number)]);
  return new Map(ranges.filter(([, ends]) => ends.length === 2 && ends.every(Number.isFinite)));
}

/** The range chosen on an axis, as shares of it, the lower first; null: none. */
function brushOf(page, axis) {
  const ends = rangesOf(page).get(axis.name);
  return ends ? ends.map(axis.asShare).sort((one, other) => one - other) : null;
}

/** A range chooses; a click takes the choice back. `changes`: [axis, one end, the other]. */
function setBrushes(page, ...changes) {
  const ranges = rangesOf(page);
  for (const [axis, ...ends] of changes) {
    if (Math.abs(ends[0] - ends[1]) < 0.02) ranges.delete(axis.name);
    else ranges.set(axis.name, ends.map(axis.inUnits));
  }
  const textOf = (end) => Number(end.toPrecision(6));
  page.context.setQuery({ ranges: [...ranges].map(([name, ends]) => [encodeURIComponent(name), ...ends.map(textOf)].join(':')).join(',') });
}

/** The runs within all ranges chosen, and with all words of the filter, the best first. */
export function chosenRuns(page) {
  const first = page.data.figures[0];
  const sign = { more: -1, less: 1 }[first?.better] ?? 0;
  const rank = (index) => (first?.values[index] == null ? Number.MAX_VALUE : sign * first.values[index]);
  const indexes = chosenIndexes(page).sort((one, other) => rank(one) - rank(other));
  return indexes.map((index) => page.data.runs[index]);
}

function chosenIndexes(page) {
  const brushed = axesOfSweep(page).map((axis) => [axis, brushOf(page, axis)]).filter(([, brush]) => brush);
  const words = (page.context.query.get('q') ?? '').toLowerCase().split(/\s+/).filter(Boolean);
  const isWithin = (index, axis, [low, high]) => {
    const share = axisShare(axis, index);
    return share != null && share >= low - 0.02 && share <= high + 0.02;
  };
  const fits = (_run, index) => brushed.every(([axis, brush]) => isWithin(index, axis, brush)) && words.every((word) => textOfRun(page, index).includes(word));
  return page.data.runs.map((run, index) => (fits(run, index) ? index : -1)).filter((index) => index >= 0);
}

function textOfRun({ data }, index) {
  const settings = data.differs.map((row) => `${row.key}=${row.values[index]}`);
  return [data.runs[index].name, data.runs[index].state, ...settings].join(' ').toLowerCase();
}

/** The best of some runs by the first figure; -1 where none is known to be. */
export function bestOf(page, indexes) {
  const first = page.data.figures[0];
  if (!first?.better) return -1;
  const sign = first.better === 'more' ? -1 : 1;
  const known = indexes.filter((index) => first.values[index] != null);
  return known.sort((one, other) => sign * (first.values[one] - first.values[other]))[0] ?? -1;
}

export function choiceSection(page, curves) {
  const { context } = page;
  const asked = context.query.get('view') ?? 'parallel';
  const view = asked === 'table' ? 'curves' : asked;
  const choose = (value) => context.setQuery({ view: value === 'parallel' ? null : value });
  const views = tabs('View', ['parallel', 'scatter', 'curves'].map((name) => [name, name]), view, choose);
  const hints = { parallel: 'drag on an axis to choose, drag its name to move it', scatter: 'drag to choose', curves: 'step' };
  const extra = [views, view === 'curves' ? curveControls(page) : null, view === 'scatter' ? scatterAxes(page) : null];
  return section('choice', 'Settings to figures', { extra, right: hints[view] }, curves ?? page.plot);
}

/** Draw the plot, unless a drag on it is under way. What has not changed stays on screen. */
export function drawPlot(page) {
  if (page.isDragging || !page.plot.isConnected) return;
  paint(page.plot, isScatter(page) ? scatterPlot(page) : parallelPlot(page));
}

function isScatter({ context }) {
  return context.query.get('view') === 'scatter';
}

function choosePlace(page, event) {
  const plot = event.target.closest('svg');
  if (!plot) return;
  if (isScatter(page)) chooseArea(page, plot, event);
  else beginBrush(page, plot, event);
}

// ── parallel axes

function parallelPlot(page) {
  const axes = axesOfSweep(page);
  const chosen = new Set(chosenIndexes(page));
  const best = bestOf(page, [...chosen]);
  const order = page.data.runs.map((_run, index) => index);
  order.sort((one, other) => rankOfLine(one, chosen, best) - rankOfLine(other, chosen, best));
  const lines = order.map((index) =>
    svg('path', { d: pathOfRun(page, axes, index), class: `sweep-line ${classOfRun(index, chosen, best)}` }, svg('title', null, cleanText(page.data.runs[index].name))),
  );
  const label = `Settings to figures: ${chosen.size} of ${page.data.runs.length} runs chosen`;
  const plot = svg('svg', { class: 'parallel', viewBox: `0 0 ${WIDE} ${HIGH}`, role: 'img', 'aria-label': label }, lines, axes.map((axis, at) => parallelAxis(page, axes, axis, at)));
  return plot;
}

function rankOfLine(index, chosen, best) {
  return index === best ? 2 : Number(chosen.has(index));
}

function classOfRun(index, chosen, best) {
  if (index === best) return 'best';
  return chosen.has(index) ? 'chosen' : 'left-out';
}

function xOfAxis(axes, at) {
  return axes.length > 1 ? EDGE.side + (at * (WIDE - 2 * EDGE.side - 50)) / (axes.length - 1) : WIDE / 2;
}

function yOfShare(share) {
  return HIGH - EDGE.bottom - share * (HIGH - EDGE.top - EDGE.bottom - 8);
}

function pathOfRun(page, axes, index) {
  const fan = (index / Math.max(1, page.data.runs.length - 1) - 0.5) * FAN;
  const points = axes.map((axis, at) => {
    const share = axisShare(axis, index);
    return share == null ? null : [xOfAxis(axes, at), yOfShare(share) + (axis.places ? fan : 0)];
  });
  return points.map((point, at) => (point ? joinTo(points[at - 1], point) : '')).join('');
}

function joinTo(before, [x, y]) {
  if (!before) return `M${x.toFixed(1)} ${y.toFixed(1)}`;
  const middle = ((before[0] + x) / 2).toFixed(1);
  return `C${middle} ${before[1].toFixed(1)} ${middle} ${y.toFixed(1)} ${x.toFixed(1)} ${y.toFixed(1)}`;
}

function parallelAxis(page, axes, axis, at) {
  const x = xOfAxis(axes, at);
  const isLast = at === axes.length - 1;
  const brush = brushOf(page, axis);
  const ticks = axis.ticks.map((tick) =>
    svg('text', { x: isLast ? x + 8 : x - 8, y: yOfShare(axis.at(tick)) + 4, class: isLast ? 'tick' : 'tick before' }, tickWord(tick)),
  );
  const name = svg('text', { x, y: 12, class: 'axis-name', 'data-axis': at }, cleanText(axis.name));
  const range = brush
    ? [
        svg('rect', { class: 'brush', x: x - 7, width: 14, y: yOfShare(brush[1]), height: yOfShare(brush[0]) - yOfShare(brush[1]) }),
        svg('text', { class: 'brush-words', x: isLast ? x + 44 : x + 12, y: yOfShare(brush[0]) + 4 }, brushWords(axis, brush)),
      ]
    : null;
  const line = svg('path', { d: `M${x} ${EDGE.top}V${HIGH - EDGE.bottom + 6}`, class: 'axis-line' });
  const target = svg('rect', { class: 'axis-target', 'data-key': 'target', 'data-axis': at, 'data-brush': '', x: x - 14, width: 28, y: EDGE.top - 8, height: HIGH - EDGE.top });
  return svg('g', null, line, ticks, name, range, target);
}

function tickWord(tick) {
  return typeof tick === 'number' ? numberText(tick) : cleanText(tick).slice(0, 14);
}

/** "below 0.25", "0.1 to 0.25": the values at the ends of what is chosen. */
function brushWords(axis, [low, high]) {
  const inside = axis.values.filter((value) => value != null && axis.at(value) >= low - 0.02 && axis.at(value) <= high + 0.02);
  if (!inside.length) return 'none';
  if (typeof inside[0] !== 'number') return [...new Set(inside)].slice(0, 3).map(tickWord).join(', ');
  const least = inside.reduce((one, other) => Math.min(one, other));
  const greatest = inside.reduce((one, other) => Math.max(one, other));
  if (axis.isFigure && high >= 1) return axis.better === 'less' ? `below ${shortText(greatest)}` : `above ${shortText(least)}`;
  return least === greatest ? tickWord(least) : `${shortText(least)} to ${shortText(greatest)}`;
}

/** Follow the pointer from where it is pressed: `move(x, y)` in the plot, then `end(x, y)`. */
function dragInPlot(page, event, plot, move, end) {
  event.preventDefault();
  page.isDragging = true;
  const place = (one) => {
    const box = plot.getBoundingClientRect();
    const [, , wide, high] = plot.getAttribute('viewBox').split(' ').map(Number);
    return [((one.clientX - box.left) / box.width) * wide, ((one.clientY - box.top) / box.height) * high];
  };
  const finish = (one) => {
    page.isDragging = false;
    if (one) end(...place(one));
    else page.repaint();
  };
  followPointer((one) => move(...place(one)), finish);
  return place(event);
}

function beginBrush(page, plot, event) {
  const axes = axesOfSweep(page);
  const at = event.target.dataset?.axis;
  if (at == null) return;
  const axis = axes[at];
  if (event.target.dataset.brush == null) {
    moveAxis(page, axes, Number(at), event, plot);
    return;
  }
  const shape = svg('rect', { class: 'brush', x: xOfAxis(axes, Number(at)) - 7, width: 14, y: 0, height: 0 });
  plot.append(shape);
  const [, start] = dragInPlot(page, event, plot, (_x, y) => stretch(shape, start, y), (_x, y) => setBrushes(page, [axis, shareAtY(start), shareAtY(y)]));
}

function stretch(shape, start, y) {
  shape.setAttribute('y', Math.min(start, y));
  shape.setAttribute('height', Math.abs(start - y));
}

function shareAtY(y) {
  return (HIGH - EDGE.bottom - y) / (HIGH - EDGE.top - EDGE.bottom - 8);
}

function moveAxis(page, axes, at, event, plot) {
  dragInPlot(page, event, plot, () => undefined, (x) => {
    const rest = axes.filter((_axis, index) => index !== at);
    const to = rest.filter((_axis, index) => xOfAxis(axes, index < at ? index : index + 1) < x).length;
    rest.splice(to, 0, axes[at]);
    page.context.setQuery({ axes: rest.map((axis) => encodeURIComponent(axis.name)).join(',') });
  });
}

// ── scatter

function scatterChoice(page) {
  const axes = axesOfSweep(page);
  const { query } = page.context;
  const pick = (name, standard) => axes.find((axis) => axis.name === query.get(name)) ?? standard;
  return [pick('sx', axes[0]), pick('sy', axes.at(-1)), axes];
}

function scatterAxes(page) {
  const [across, up, axes] = scatterChoice(page);
  const list = (label, name, chosen) =>
    h(
      'select',
      { 'aria-label': label, onchange: (event) => page.context.setQuery({ [name]: event.target.value }) },
      axes.map((axis) => h('option', { value: axis.name, selected: axis === chosen }, cleanText(axis.name))),
    );
  return [list('Across', 'sx', across), list('Up', 'sy', up)];
}

function scatterPlot(page) {
  const [across, up] = scatterChoice(page);
  const chosen = new Set(chosenIndexes(page));
  const best = bestOf(page, [...chosen]);
  const points = page.data.runs.map((run, index) => {
    const [x, y] = [axisShare(across, index), axisShare(up, index)];
    if (x == null || y == null) return null;
    return svg('circle', { cx: xInScatter(x), cy: yOfShare(y), r: 4, class: `point ${classOfRun(index, chosen, best)}` }, svg('title', null, cleanText(run.name)));
  });
  const acrossTicks = across.ticks.map((tick) => svg('text', { x: xInScatter(across.at(tick)), y: HIGH + 14, class: 'tick middle' }, tickWord(tick)));
  const upTicks = up.ticks.map((tick) => [
    svg('path', { class: 'grid-line', d: `M${EDGE.side} ${yOfShare(up.at(tick))}H${WIDE - EDGE.side}` }),
    svg('text', { x: EDGE.side - 8, y: yOfShare(up.at(tick)) + 4, class: 'tick before' }, tickWord(tick)),
  ]);
  const label = `${cleanText(up.name)} over ${cleanText(across.name)} of ${page.data.runs.length} runs`;
  const plot = svg('svg', { class: 'scatter', viewBox: `0 0 ${WIDE} ${HIGH + 24}`, role: 'img', 'aria-label': label }, upTicks, acrossTicks, points);
  return plot;
}

function xInScatter(share) {
  return EDGE.side + 10 + share * (WIDE - 2 * EDGE.side - 20);
}

function chooseArea(page, plot, event) {
  const [across, up] = scatterChoice(page);
  const shape = svg('rect', { class: 'brush', x: 0, y: 0, width: 0, height: 0 });
  plot.append(shape);
  const shareAtX = (x) => (x - EDGE.side - 10) / (WIDE - 2 * EDGE.side - 20);
  const draw = (x, y) => {
    stretch(shape, start[1], y);
    shape.setAttribute('x', Math.min(start[0], x));
    shape.setAttribute('width', Math.abs(start[0] - x));
  };
  const start = dragInPlot(page, event, plot, draw, (x, y) => {
    setBrushes(page, [across, shareAtX(start[0]), shareAtX(x)], [up, shareAtY(start[1]), shareAtY(y)]);
  });
}

// ── rows

export function figuresOfRows(page) {
  const { data, context } = page;
  const indexes = chosenIndexes(page);
  const first = data.figures[0];
  page.order ??= first ? { name: `f ${first.metric}`, isDown: first.better === 'more' } : null;
  const reorder = (order) => {
    page.order = order;
    page.repaint();
  };
  const columns = rowColumns(page, indexes);
  const count = `${numberText(indexes.length)} of ${numberText(data.runs.length)} chosen`;
  const all = rangesOf(page).size ? h('button', { type: 'button', class: 'textual folding', onclick: () => context.setQuery({ ranges: null }) }, 'all') : null;
  const csv = h('button', { type: 'button', class: 'textual folding', onclick: () => saveRows(page, indexes) }, 'CSV');
  const options = { name: 'sweep', label: 'Figures', keyOf: (index) => data.runs[index].id, order: page.order, reorder, rowAttributes: (index) => ({ 'data-row': '', 'data-mark': data.runs[index].id }) };
  const shown = context.isPhone ? columns.filter((column) => column.isMain) : columns;
  return section('figures', 'Figures', { count, extra: [all, atTabs(page)], right: csv }, table(shown, indexes, options));
}

function rowColumns(page, indexes) {
  const { data } = page;
  const best = bestOf(page, [...indexes]);
  const tone = (index) => (index === best ? 'series-2' : 'series-1');
  const run = { name: 'run', label: 'Run', isMain: true, cell: (index) => [swatch(0, tone(index)), runLink(data.runs[index])], sort: (index) => data.runs[index].name };
  const settings = data.differs.filter((row) => row.kind === 'setting').slice(0, MOST_SETTINGS).map((row) => settingColumn(row));
  const [first, ...rest] = data.figures.slice(0, MOST_FIGURE_COLUMNS).map((row) => figureColumn(row));
  if (!first) return [run, ...settings];
  const spark = { name: 'spark', label: '', hint: 'Curve', cell: (index) => sparkOf(page, index, tone(index)) };
  const at = { name: 'at', label: 'at', kind: 'number', cell: (index) => span('third', numberText(data.figures[0].at[index])) };
  return [run, ...settings, { ...first, isMain: true }, spark, at, ...rest];
}

function settingColumn(row) {
  const cell = (index) => (row.values[index] == null ? span('third', 'not set') : bdi(row.values[index]));
  return { name: `s ${row.key}`, label: bdi(row.key), kind: 'number', cell, sort: (index) => asNumber(row.values[index]) };
}

function figureColumn(row) {
  const decimals = Math.max(0, ...row.values.map((value) => (value == null ? 0 : decimalsOf(value))));
  const cell = (index) => {
    const text = numberText(row.values[index], decimals);
    return row.is_best[index] ? h('b', null, text) : text;
  };
  return { name: `f ${row.metric}`, label: bdi(row.metric), kind: 'number', cell, sort: (index) => row.values[index] };
}

/** The curve of the first figure, as far as it is recorded. */
function sparkOf(page, index, tone) {
  const metric = page.data.figures[0].metric;
  if (page.bare.has(metric)) return null;
  const lines = curveOf(page, page.data.runs[index].id, metric).filter((line) => !line.superseded);
  const values = lines.flatMap((line) => line.smooth).filter((value) => value != null);
  const every = Math.max(1, Math.ceil(values.length / 48));
  return span(tone, sparkline(values.filter((_value, at) => at % every === 0)));
}

function saveRows({ data }, indexes) {
  const names = ['run', 'id', ...data.differs.map((row) => row.key), ...data.figures.map((row) => row.metric)];
  const rows = indexes.map((index) => [
    data.runs[index].name,
    data.runs[index].id,
    ...data.differs.map((row) => row.values[index]),
    ...data.figures.map((row) => row.values[index]),
  ]);
  const text = [names, ...rows].map((cells) => cells.map(csvCell).join(',')).join('\r\n');
  const href = URL.createObjectURL(new Blob([text], { type: 'text/csv' }));
  h('a', { href, download: 'comparison.csv' }).click();
  setTimeout(() => URL.revokeObjectURL(href), 1000);
}

/** A cell that no spreadsheet takes for a formula. */
function csvCell(value) {
  const text = String(value ?? '');
  const isFormula = typeof value !== 'number' && /^[=+@\t-]/.test(text);
  return `"${(isFormula ? `'${text}` : text).replaceAll('"', '""')}"`;
}
