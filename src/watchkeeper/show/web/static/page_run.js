/** The page of a run: what it does, its curves, and what it left behind. */

import { createRunCurves, curvesSection, drawCurves, followedSeries, followTelemetry, metricLabel, takeBeat, takeColumns, takeCurvesKey } from './curves.js';
import { bdi, command, glyph, h, link, paint, span, state } from './dom.js';
import { clockText, countText, durationText, numberText, rateText, sizeParts } from './format.js';
import { compareHref } from './keys.js';
import { pathOfId, placeHref, runHref, sourceNodes } from './needs.js';
import { bar, duration, kindOf, rootCrumbs, section, time, unit, wordOf } from './pieces.js';
import { createRunTexts, examplesSection, followedText, followTextLog, textLogSection, refreshTexts, runLogSection, stagesSection, takeLines } from './run_texts.js';
import { table } from './table.js';

const NEWEST_CHECKPOINTS = 5;
const UNHEALTHY = ['stalled', 'silent', 'failing', 'slow'];

export function renderRun(root, answer, context) {
  const page = { root, context, data: answer.data, isWhole: false };
  page.address = `run/${pathOfId(context.place.id)}`;
  page.repaint = () => drawRun(page);
  page.follow = () => followRun(page);
  placeRun(page);
  page.curves = createRunCurves(page);
  page.texts = createRunTexts(page);
  drawRun(page);
  drawCurves(page.curves);
  page.follow();
  context.on('patch', (data) => takeRun(page, data));
  context.on('columns', (message) => takeColumns(page.curves, message));
  context.on('beat', (message) => takeBeat(page.curves, message));
  context.on('beat', () => followTelemetry(page.curves));
  context.on('lines', (message) => takeLines(page.texts, message));
  context.on('query', () => redrawRun(page));
  context.on('resize', () => redrawRun(page));
  context.on('key', (event) => takeRunKey(page, event));
  context.on('leave', () => page.curves.stack.destroy());
}

function takeRun(page, data) {
  followTelemetry(page.curves);
  page.data = data;
  redrawRun(page);
  refreshTexts(page.texts);
}

/** Listen to the curves on screen, and to the log. */
function followRun(page) {
  const query = [page.curves && followedSeries(page.curves), page.texts && followedText(page.texts)].filter(Boolean).join('&');
  if (query === page.followed) return;
  page.followed = query;
  page.context.listen(query);
}

function redrawRun(page) {
  drawRun(page);
  drawCurves(page.curves);
}

function takeRunKey(page, event) {
  if (event.key !== 'f') return takeCurvesKey(page.curves, event);
  followTextLog();
  return true;
}

function placeRun({ context, data }) {
  const crumbs = rootCrumbs(data.experiment_id || data.id);
  if (data.experiment) crumbs.push({ text: data.experiment, href: placeHref(data.experiment_id, 'experiment') });
  context.setCrumbs([...crumbs, { text: data.name }]);
  context.neighbours = data.neighbours.map(runHref);
}

function drawRun(page) {
  const { context } = page;
  const made = [foldable(context, page, 'Examples', examplesSection(page.texts)), stagesSection(page)].filter(Boolean);
  const said = [foldable(context, page, 'Log', textLogSection(page.texts)), foldable(context, page, 'Run log', runLogSection(page.texts))].filter(Boolean);
  const [left, right] = made.length ? [made, said] : [said.slice(0, 1), said.slice(1)];
  const below = [h('div', { 'data-key': 'left' }, left), h('div', { 'data-key': 'right' }, right)];
  const side = [
    foldable(context, page, 'Attempts', attemptsSection(page)),
    runEvidence(page),
    foldable(context, page, 'Checkpoints', checkpointsSection(page)),
    foldable(context, page, 'Settings', settingsSection(page)),
  ];
  paint(
    page.root,
    leadOfRun(page),
    runProblems(page),
    failureSection(page),
    h('div', { class: 'run-grid', 'data-key': 'grid' }, curvesSection(page.curves), h('aside', { 'aria-label': 'About this run' }, side)),
    h('div', { class: 'run-below', 'data-key': 'below' }, below),
  );
}

/** On a phone what is secondary is a row with its summary, which opens. */
function foldable(context, page, title, body) {
  if (!body || !context.isPhone) return body;
  const summary = SUMMARIES[title](page.data);
  return h(
    'details',
    { 'data-key': `fold-${title}` },
    h('summary', { class: 'opener' }, bdi(title), span('right', bdi(summary), span('chevron', ' ›'))),
    body,
  );
}

const SUMMARIES = {
  Attempts: ({ attempts }) => [numberText(attempts.length), lastFailure(attempts)].filter(Boolean).join(', '),
  Checkpoints: ({ checkpoints }) => `${checkpoints.filter((one) => one.is_whole).length} whole, step ${numberText(checkpoints[0].step)}`,
  Examples: ({ examples }) => numberText(examples),
  Settings: ({ settings }) => numberText(Object.keys(settings).length),
  'Run log': ({ texts }) => texts.find((text) => text.name === 'run-log').path.split('/').at(-1),
  Log: ({ standing }) => (standing === 'running' ? 'follows' : 'ended'),
};

function lastFailure(attempts) {
  const last = attempts.filter((one) => one.standing === 'failed').at(-1);
  return last ? plainWord(last.end, last.standing) : '';
}

// ── the head

function leadOfRun(page) {
  const { data } = page;
  return h(
    'div',
    { class: 'lead', 'data-key': 'lead' },
    h('h1', null, bdi(data.name), ': ', stateWords(data), bdi(restOfHeading(data))),
    h('p', { class: 'run-facts' }, factsOf(page).map((fact) => fact && h('span', null, fact))),
    data.reading ? h('p', { class: 'second' }, bdi(data.reading)) : null,
  );
}

function stateWords(data) {
  const isUnwell = data.standing === 'running' && UNHEALTHY.includes(data.health);
  const name = `text-${kindOf(isUnwell ? data.health : data.standing)}`;
  return h('span', { class: name, 'aria-live': 'polite' }, bdi(isUnwell ? data.health : plainWord(data.state, data.standing)));
}

/** A scheduler's own word says less than ours. */
function plainWord(word, standing) {
  return /^[A-Z_]+$/.test(word) ? wordOf(standing) : word;
}

function restOfHeading({ progress, failure }) {
  if (failure?.why) return `, ${failure.why}`;
  if (progress.step == null) return '';
  const total = progress.total ? ` of ${numberText(progress.total)}` : '';
  return `, step ${numberText(progress.step)}${total}`;
}

function factsOf(page) {
  const { data } = page;
  const { progress } = data;
  const kind = kindOf(data.standing);
  const isRunning = data.standing === 'running';
  return [
    bar(progress.step, progress.total, kind),
    ...(isRunning ? endFacts(page) : pastFacts(page)),
    isRunning && progress.rate_per_s != null ? unit(rateText(progress.rate_per_s), 'steps/s') : null,
    bestFact(data),
    isRunning ? limitFact(progress) : null,
    UNHEALTHY.includes(data.health) && data.health_why ? bdi(data.health_why) : null,
  ];
}

function endFacts({ data: { progress }, context }) {
  if (progress.eta_s == null) return [];
  const end = context.now() + progress.eta_s * 1000;
  return [['ends in ', h('b', null, durationText(progress.eta_s)), `, at ${clockText(end, context.zone)}`]];
}

function pastFacts({ data, context }) {
  if (!data.ended) return [];
  const took = data.started ? (Date.parse(data.ended) - Date.parse(data.started)) / 1000 : null;
  return [took == null ? null : ['took ', duration(took)], ['ended ', time(data.ended, context)]];
}

function bestFact({ best, metrics }) {
  if (!best) return null;
  const metric = metrics.find((one) => one.name === best.metric);
  const place = best.step == null ? null : span('third', ` at ${numberText(best.step)}`);
  return ['best ', bdi(metric ? metricLabel(metric) : best.metric), ' ', h('b', null, numberText(best.value)), place];
}

function limitFact({ limit_s: limit, fits }) {
  if (limit == null) return span('third', 'no time limit');
  const words = ['limit in ', duration(limit)];
  return fits === false ? span('text-warning', glyph('warning', 'warning'), words, ', before it ends') : words;
}

function runProblems({ data }) {
  if (!data.problems.length) return null;
  const rows = data.problems.map((one) => h('li', null, glyph('warning'), bdi(`${one.where}: ${one.message}`), ' ', span('second', bdi(one.hint ?? ''))));
  return section('problems', 'Problems in files', { count: data.problems.length }, h('ul', { class: 'plain' }, rows));
}

function failureSection({ data }) {
  const { failure } = data;
  if (!failure) return null;
  const { step, total } = data.progress;
  const place = step == null ? '' : `At step ${numberText(step)}${total ? ` of ${numberText(total)}` : ''}. `;
  const blocks = failure.blocks ? `Blocks ${countText(failure.blocks, 'job')}.` : '';
  const trace = failure.traceback.length ? failure.traceback : [failure.cause].filter(Boolean);
  const lines = trace.map((line, index) => h('div', { class: index === trace.length - 1 ? 'text-failed' : null }, bdi(line)));
  const exits = data.evidence.filter((one) => ['exit', 'death'].includes(one.what));
  return h(
    'section',
    { class: 'failure', 'aria-label': 'Why it failed', 'data-key': 'failure' },
    place + blocks ? h('p', null, place + blocks) : null,
    lines.length ? h('pre', { class: 'trace' }, lines) : null,
    h(
      'dl',
      { class: 'pairs ruled' },
      exits.length ? pair('evidence', exits.map((one) => h('p', null, bdi(one.text)))) : null,
      failure.retry ? pair('retry', bdi(failure.retry)) : null,
      failure.command ? pair('do', command(failure.command)) : null,
    ),
  );
}

function pair(name, value) {
  return [h('dt', null, bdi(name)), h('dd', null, value)];
}

// ── the side column

function attemptsSection({ data, context }) {
  const { attempts } = data;
  if (!attempts.length) return null;
  const columns = [
    { name: 'n', label: '', hint: 'Attempt', cell: (row) => [glyph(kindOf(row.standing)), row.is_requeue ? 'requeue' : numberText(row.n)] },
    { name: 'span', label: '', hint: 'Time', cell: (row) => attemptSpan(row, context) },
    { name: 'last', label: '', hint: 'Last step', kind: 'number', cell: (row) => numberText(row.last_step) },
    { name: 'end', label: '', hint: 'End', kind: 'number', cell: (row) => attemptEnd(row, data) },
  ];
  const rows = table(columns, attempts, { name: 'attempts', label: 'Attempts' });
  return section('attempts', 'Attempts', { count: attempts.length }, rows);
}

function attemptSpan(row, context) {
  const from = row.from_step ? [' from ', numberText(row.from_step)] : null;
  if (!row.ended) return [time(row.started, context, 'clock'), from];
  return [time(row.started, context, 'clock'), ' to ', time(row.ended, context, 'clock')];
}

function attemptEnd(row, data) {
  const word = plainWord(row.end, row.standing) || data.health || row.standing;
  return span(`text-${kindOf(row.standing)}`, bdi(word));
}

function runEvidence({ data, context }) {
  const rows = data.evidence.map((one) => pair(one.what, sourceNodes(one, 'run', data.id, context)));
  const training = data.training_id ? pair('model of', link(runHref(data.training_id), data.training_id.split('/').at(-1))) : null;
  const trace = data.trace ? pair('trace', command(data.trace)) : null;
  if (!rows.length && !trace) return null;
  return section('evidence', 'Evidence', {}, h('dl', { class: 'pairs' }, rows, training, trace));
}

function checkpointsSection(page) {
  const { data, context, isWhole } = page;
  const { checkpoints } = data;
  if (!checkpoints.length) return null;
  const columns = [
    { name: 'step', label: 'Step', kind: 'number', cell: (row) => numberText(row.step) },
    { name: 'size', label: 'Size', kind: 'number', cell: (row) => (row.size == null ? '' : unit(...sizeParts(row.size))) },
    { name: 'files', label: 'Files', cell: filesOf },
    { name: 'passport', label: 'Passport', cell: (row) => (row.passport ? bdi(row.passport) : span('third', 'none')) },
    { name: 'saved', label: 'Saved', kind: 'number', cell: (row) => time(row.saved, context, 'date') },
  ];
  const shown = isWhole ? checkpoints : checkpoints.slice(0, NEWEST_CHECKPOINTS);
  const rows = table(columns, shown, { name: 'checkpoints', label: 'Checkpoints', keyOf: (row) => row.path });
  return section('checkpoints', 'Checkpoints', { count: checkpoints.length }, rows, moreCheckpoints(page));
}

function filesOf(row) {
  if (row.is_whole == null) return state('unknown', 'not known');
  return row.is_whole ? span('', glyph('done'), 'whole') : state('failed', row.missing || 'not whole');
}

function moreCheckpoints(page) {
  const rest = page.data.checkpoints.length - NEWEST_CHECKPOINTS;
  if (rest <= 0) return null;
  const flip = () => {
    page.isWhole = !page.isWhole;
    drawRun(page);
  };
  const button = h('button', { type: 'button', class: 'textual', onclick: flip }, page.isWhole ? 'the newest five' : `${rest} more`);
  return h('p', { class: 'more' }, button, ', newest first');
}

function settingsSection({ data }) {
  const entries = [...Object.entries(data.settings), ...Object.entries(data.code)];
  if (!entries.length) return null;
  const compare = h('a', { href: compareHref([data.id]) }, 'compare');
  const rows = entries.map(([name, value]) => h('div', null, pair(name, bdi(value))));
  const count = Object.keys(data.settings).length;
  return section('settings', 'Settings', { count, right: compare }, h('dl', { class: 'settings' }, rows));
}
