/** The overview: what needs a person, what runs, what waits, and everything that there is. */

import { bdi, command, h, link, paint, span, state, svg } from './dom.js';
import { countText, dateText, numberText, rateText } from './format.js';
import { compareHref } from './keys.js';
import { hasWords, isNeedWanted, marker, more, needsSection, placeHref, runHref } from './needs.js';
import {
  bar,
  countEntries,
  countsNodes,
  duration,
  kindOf,
  opener,
  section,
  sparkline,
  time,
  wordOf,
} from './pieces.js';
import { table } from './table.js';

const LOOKED = 'wk-looked';
const RECORDING = [
  'import watchkeeper as wk',
  'with wk.start_run("out", pipeline="sft") as run:',
  '    run.log(step, loss=loss)',
].join('\n');
const SAME_LOOK_MS = 300000;
const LOUD = ['failed', 'unknown', 'running', 'warning'];
const NEWS = ['failed', 'died', 'unknown', 'done', 'finished'];

export function renderOverview(root, answer, context) {
  const before = lastLook(answer.data);
  const draw = () => drawOverview(root, answer, context, before);
  for (const name of ['patch', 'filter', 'resize', 'marks']) context.on(name, draw);
  const remember = () => rememberLook(answer.data, before, context);
  context.on('leave', remember);
  context.on('hide', remember);
  draw();
}

function drawOverview(root, answer, context, before) {
  const { data } = answer;
  const name = data.name || 'overview';
  context.setCrumbs([{ text: name, href: '/' }]);
  context.isReading = data.reading.done < data.reading.total;
  sessionStorage.setItem(
    'wk-places',
    JSON.stringify(data.places.map(({ id, kind }) => placeHref(id, kind))),
  );
  const list = context.isPhone ? context.query.get('show') : '';
  if (!data.places.length && !data.needs.length && !context.isReading)
    paint(root, emptyNodes(data));
  else if (list) paint(root, listNodes(list, data, context));
  else paint(root, leadNodes(data, context, before), sectionsOf(data, context));
}

// ── heading

function leadNodes(data, context, before) {
  if (context.isReading) return readingNodes(data);
  const counts = workCounts(data.counts);
  const entries = countEntries(counts);
  const isFirst = ([word]) => LOUD.includes(kindOf(word));
  const loud = entries.filter(isFirst);
  const isSplit = context.isPhone && loud.length > 0;
  const heading = isSplit ? Object.fromEntries(loud) : counts;
  const rest = Object.fromEntries(entries.filter((entry) => !isFirst(entry)));
  const second = isSplit
    ? plainCounts(rest)
    : [whatThereIs(data), ' ', newsNodes(data, before, context)];
  return h(
    'div',
    { class: 'lead', 'data-key': 'lead' },
    h('h1', { tabindex: -1, 'aria-live': 'polite' }, countsNodes(heading)),
    h('p', { class: 'second' }, second),
  );
}

/** Jobs that are done and runs that finished are one number where there are both. */
function workCounts(counts) {
  if (!counts.done || !counts.finished) return counts;
  const { finished, ...others } = counts;
  return { ...others, done: counts.done + finished };
}

function plainCounts(counts) {
  return countEntries(counts)
    .map(([word, count]) => `${numberText(count, 0)} ${wordOf(word)}`)
    .join(', ');
}

function whatThereIs({ experiments, recorded }) {
  const counted = [
    experiments ? countText(experiments, 'experiment') : '',
    recorded ? countText(recorded, 'recorded run') : '',
  ];
  const words = counted.filter(Boolean).join(' and ');
  return words ? `${words}.` : '';
}

/** What is new since this browser last showed the page, by the counts then. */
function newsNodes(data, before, context) {
  if (!before) return null;
  const at = dateText(before.at, context.now(), context.zone);
  const news = NEWS.map((word) => [word, (data.counts[word] ?? 0) - (before.counts[word] ?? 0)]);
  const fresh = news
    .filter(([, count]) => count > 0)
    .map(([word, count]) => `${numberText(count, 0)} ${word}`);
  return `Since you last looked, at ${at}: ${fresh.join(', ') || 'nothing new'}.`;
}

/** The look before this one. What was remembered a moment ago is still the same look. */
function lastLook(data) {
  const looked = JSON.parse(localStorage.getItem(`${LOOKED}:${data.name}`) ?? 'null');
  return looked && Date.now() - looked.at < SAME_LOOK_MS ? looked.before : looked;
}

function rememberLook(data, before, context) {
  if (context.store.isStatic) return;
  const kept = before && { at: before.at, counts: before.counts };
  const look = { at: Date.now(), counts: data.counts, before: kept };
  localStorage.setItem(`${LOOKED}:${data.name}`, JSON.stringify(look));
}

function readingNodes({ reading: { done, total } }) {
  return h(
    'div',
    { class: 'lead', 'data-key': 'lead' },
    h('h1', { tabindex: -1 }, `${numberText(done, 0)} of ${countText(total, 'journal')} read`),
    h('div', { class: 'wide' }, bar(done, total)),
    h(
      'p',
      { class: 'second' },
      'Worst first among those read; the order may still change. ',
      'An index is kept in this machine’s cache: the next time is quick.',
    ),
  );
}

function emptyNodes(data) {
  const looked = data.looked_into
    ? `${countText(data.looked_into, 'folder')} below ${data.name} looked through: `
    : '';
  return [
    h(
      'div',
      { class: 'lead', 'data-key': 'lead' },
      h('h1', { tabindex: -1 }, 'Nothing recorded here yet'),
      h(
        'p',
        { class: 'second' },
        bdi(looked),
        'no ',
        h('code', null, '.watchkeeper'),
        ', no summary, no run log.',
      ),
    ),
    section('record', 'Record a run', {}, h('pre', { class: 'block' }, command(RECORDING))),
    section(
      'exec',
      'Or any command',
      {},
      h('pre', { class: 'block' }, command('wk exec -- python train.py')),
      h('p', { class: 'second' }, 'This page shows it within 2 s of its first row.'),
    ),
  ];
}

// ── sections

function sectionsOf(data, context) {
  const filter = context.query.get('q') ?? '';
  const needs = data.needs.filter((need) => isNeedWanted(need, filter));
  const running = data.running.filter((row) =>
    hasWords(filter, row.key, row.experiment, row.health, row.why, 'running'),
  );
  const waiting = data.waiting.filter((row) =>
    hasWords(filter, row.line, row.reason, row.experiment, 'waiting'),
  );
  const places = data.places.filter((place) => isPlaceWanted(place, filter));
  const left = filter ? {} : (data.more ?? {});
  const parts = [
    needsSection(needs, context, {
      count: counted(needs.length, left.needs, context),
      left: left.needs,
    }),
    runningSection(running, left.running, context),
    context.isPhone ? null : waitingSection(waiting),
    context.isPhone ? openers(data, waiting) : placesSection(places, left.places, context),
  ];
  if (parts.some((part) => part)) return parts;
  return h(
    'p',
    { class: 'none', 'data-key': 'none' },
    'Nothing here has the words ',
    bdi(filter),
    '.',
  );
}

function isPlaceWanted(place, filter) {
  const best = place.best ? [place.best.metric, place.best.run] : [];
  return hasWords(
    filter,
    place.name,
    place.what,
    Object.keys(place.counts).map(wordOf),
    place.tags,
    place.note,
    best,
  );
}

function counted(shown, left, context) {
  const count = numberText(shown + (left ?? 0), 0);
  return context.isReading ? `at least ${count}` : count;
}

function runningSection(rows, left, context) {
  if (!rows.length && !context.isReading) return null;
  const count = counted(rows.length, left, context);
  const options = context.isPhone ? { right: 'ends in' } : { count };
  const body = context.isPhone ? rows.map((row) => runningBlock(row)) : runningTable(rows, context);
  return section(
    'running',
    'Running',
    options,
    body,
    context.isReading ? skeleton() : null,
    more(left, 'run'),
  );
}

/** Grey bars where rows will be. */
function skeleton() {
  const bars = [1, 2, 3].map(() => h('div', null, h('i'), h('i'), h('i')));
  return h('div', { class: 'skeleton', 'aria-hidden': 'true' }, bars);
}

function runningTable(rows, context) {
  const columns = [
    { name: 'run', label: 'Run', cell: (row) => runNodes(row, context) },
    { name: 'health', label: 'Health', cell: healthNode },
    { name: 'step', label: 'Step', cell: ({ progress }) => stepNodes(progress, ' / ') },
    {
      name: 'loss',
      label: 'Loss',
      kind: 'number',
      cell: ({ progress }) => numberText(progress.loss, lossDecimals(rows)),
    },
    { name: 'spark', hint: 'Loss so far', cell: (row) => sparkline(row.spark) },
    { name: 'rate', label: 'Rate', kind: 'number', cell: ({ progress }) => rateNodes(progress) },
    {
      name: 'ends',
      label: 'Ends in',
      kind: 'number',
      cell: ({ progress }) => duration(progress.eta_s),
    },
    { name: 'limit', label: 'Limit in', kind: 'number', cell: limitNodes },
    {
      name: 'evidence',
      label: 'Last evidence',
      kind: 'number',
      cell: (row) => evidenceNodes(row, context),
    },
  ];
  return table(columns, rows, {
    label: 'Running',
    name: 'running',
    keyOf: (row) => row.id || row.key,
    rowAttributes: markable,
  });
}

function lossDecimals(rows) {
  return rows.some(({ progress }) => Math.abs(progress.loss) < 0.1) ? 4 : 3;
}

/** A row that the keyboard finds, and marks where it is a run. */
function markable(row) {
  return { 'data-row': '', 'data-mark': row.id || null };
}

function runNodes(row, context) {
  const beside = row.attempt > 1 && !row.experiment ? `attempt ${row.attempt}` : row.experiment;
  return [
    row.id ? marker(row.id, row.key, context) : null,
    span('strong', link(runHref(row.id), row.key)),
    span('second', ' ', bdi(beside)),
  ];
}

function healthNode(row) {
  const node = state(kindOf(row.health), row.health);
  if (row.why) node.setAttribute('title', row.why);
  return node;
}

function stepNodes({ step, total }, between) {
  if (step == null) return null;
  const of = total ? span('third', `${between}${numberText(total, 0)}`) : null;
  return [bar(step, total), span(total ? 'beside' : '', numberText(step, 0), of)];
}

function rateNodes({ rate_per_s: rate }) {
  return rate == null ? null : [rateText(rate), span('unit', ' /s')];
}

function limitNodes({ progress, experiment }) {
  if (progress.limit_s == null) return experiment ? null : span('second', 'no limit');
  return span(progress.fits === false ? 'text-warning' : '', duration(progress.limit_s));
}

function evidenceNodes({ evidence }, context) {
  if (!evidence) return null;
  return span(
    'second',
    bdi(evidence.what),
    evidence.at ? [', ', time(evidence.at, context)] : null,
  );
}

/** A running run on a phone. */
function runningBlock(row) {
  const { progress } = row;
  const isLate = progress.fits === false;
  const health = kindOf(row.health) === 'running' ? null : healthNode(row);
  return h(
    'div',
    { class: 'live', 'data-key': row.id || row.key, 'data-row': '' },
    h(
      'p',
      { class: 'first' },
      span('', link(runHref(row.id), row.key), span('second', ' ', bdi(row.experiment))),
      span(isLate ? 'right text-warning' : 'right', duration(progress.eta_s)),
    ),
    bar(progress.step, progress.total),
    h(
      'p',
      { class: 'small' },
      health ?? stepWords(progress),
      span('right', sparkline(row.spark), span('last', numberText(progress.loss, 3))),
    ),
  );
}

function stepWords({ step, total }) {
  if (step == null) return '';
  return total
    ? `${numberText(step, 0)} of ${numberText(total, 0)}`
    : `step ${numberText(step, 0)}`;
}

function waitingSection(rows) {
  if (!rows.length) return null;
  const columns = [
    { name: 'what', cell: (row) => [state('waiting', ''), bdi(row.line)] },
    { name: 'cause', cell: (row) => span('second', bdi(reasonText(row))) },
    {
      name: 'do',
      hint: 'where',
      cell: (row) => link(placeHref(row.id, 'experiment'), row.experiment),
    },
    { name: 'when', kind: 'number', cell: () => null },
  ];
  const count = rows.reduce((sum, row) => sum + row.count, 0);
  const body = table(columns, rows, {
    label: 'Waiting',
    name: 'needs',
    rowAttributes: () => ({ 'data-row': '' }),
  });
  return section('waiting', 'Waiting', { count: numberText(count, 0) }, body);
}

function reasonText({ count, reason }) {
  return reason.startsWith('for ') ? `${count === 1 ? 'waits' : 'wait'} ${reason}` : reason;
}

// ── places

function placesSection(places, left, context) {
  if (!places.length) return null;
  const columns = [
    { name: 'name', label: 'Name', cell: (place) => placeNodes(place, context) },
    { name: 'jobs', label: 'Jobs', cell: strip },
    { name: 'words', hint: 'Counts', cell: placeWords },
    { name: 'best', label: 'Best figure', kind: 'number', cell: bestNodes },
    {
      name: 'of',
      label: 'Run',
      cell: (place) => (place.best ? span('second', bestRun(place)) : null),
    },
    {
      name: 'last',
      label: 'Last event',
      kind: 'number',
      cell: ({ last }) => span('second', time(last, context)),
    },
  ];
  const options = {
    label: 'Experiments and runs',
    name: 'places',
    keyOf: (place) => place.id,
    rowAttributes: placeMarkable,
  };
  const heading = { count: counted(places.length, left, context), right: 'worst first' };
  return section(
    'places',
    'Experiments and runs',
    heading,
    table(columns, places, options),
    more(left, 'place'),
  );
}

function placeMarkable(place) {
  return markable({ id: place.kind === 'run' ? place.id : '' });
}

function hrefOf(place) {
  if (place.kind !== 'runs') return placeHref(place.id, place.kind);
  return compareHref(place.ids ?? []);
}

function placeNodes(place, context) {
  const mark = place.kind === 'run' ? marker(place.id, place.name, context) : null;
  return [
    mark,
    span('strong', link(hrefOf(place), place.name)),
    span('second', ' ', bdi(place.what)),
  ];
}

/** The counts as a strip, the worst first; of a single run, its steps. */
function strip(place) {
  if (place.step != null && place.total_steps)
    return bar(place.step, place.total_steps, kindOf(Object.keys(place.counts)[0]));
  const entries = countEntries(place.counts);
  const total = entries.reduce((sum, [, count]) => sum + count, 0);
  let from = 0;
  const parts = entries.map(([word, count]) => {
    const width = (count / total) * 100;
    const kind = kindOf(word);
    const part = svg('rect', {
      class: `part mark-${kind}`,
      x: `${from.toFixed(2)}%`,
      width: `${width.toFixed(2)}%`,
      height: '100%',
    });
    from += width;
    return part;
  });
  return svg('svg', { class: 'bar strip', 'aria-hidden': 'true' }, parts);
}

function placeWords(place) {
  if (place.step == null) return countsNodes(place.counts, true);
  const [word] = Object.keys(place.counts);
  return [
    bdi(word),
    `, step ${stepWords({ step: place.step, total: place.total_steps }).replace('step ', '')}`,
  ];
}

function bestNodes({ best }) {
  return best
    ? span('figure', span('second', bdi(best.metric)), ' ', span('', numberText(best.value)))
    : null;
}

function bestRun({ best, name }) {
  const where = best.epoch == null ? null : `epoch ${best.epoch}`;
  const step = best.step == null ? null : `step ${numberText(best.step, 0)}`;
  return bdi([best.run === name ? '' : best.run, where ?? step].filter(Boolean).join(', '));
}

// ── phone

function openers(data, waiting) {
  const count = waiting.reduce((sum, row) => sum + row.count, 0);
  const words =
    waiting.length === 1 && waiting[0].reason.startsWith('for ') ? reasonText(waiting[0]) : 'wait';
  const done = (data.counts.done ?? 0) + (data.counts.finished ?? 0);
  const places = data.places.filter((place) => place.counts.done || place.counts.finished).length;
  return h(
    'section',
    { class: 'openers', 'data-key': 'openers' },
    count ? opener('/?show=waiting', 'waiting', `${numberText(count, 0)} ${words}`) : null,
    done
      ? opener(
          '/?show=places',
          'done',
          `${numberText(done, 0)} done, in ${countText(places, 'place')}`,
        )
      : null,
  );
}

const LISTS = {
  experiments: ['Experiments', (place) => place.kind === 'experiment'],
  runs: ['Runs', (place) => place.kind !== 'experiment'],
  places: ['Experiments and runs', () => true],
};

/** A list of the phone: places, or what waits. */
function listNodes(list, data, context) {
  const [title, isIn] = LISTS[list] ?? ['Waiting', () => false];
  const places = data.places.filter(isIn);
  const running = list === 'runs' ? data.running.filter((row) => row.experiment) : [];
  const rows = places.map((place) => {
    const kind = kindOf(Object.keys(place.counts)[0]);
    return phoneRow(
      place.kind === 'run' ? place.id : '',
      place.name,
      context,
      opener(hrefOf(place), kind, place.name, summaryOf(place)),
    );
  });
  const live = running.map((row) =>
    phoneRow(
      row.id,
      row.key,
      context,
      opener(runHref(row.id), kindOf(row.health), row.key, row.experiment),
    ),
  );
  const waiting = data.waiting.map((row) =>
    h(
      'div',
      { class: 'need' },
      h('p', { class: 'first' }, state('waiting', row.line)),
      h('p', { class: 'second' }, bdi(row.experiment), ': ', bdi(reasonText(row))),
    ),
  );
  context.setCrumbs([
    { text: data.name, href: '/' },
    { text: title, href: '' },
  ]);
  return [
    h('div', { class: 'lead', 'data-key': 'lead' }, h('h1', { tabindex: -1 }, title)),
    h(
      'section',
      { class: 'openers', 'data-key': list },
      live,
      rows,
      list === 'waiting' ? waiting : null,
    ),
  ];
}

function phoneRow(id, name, context, row) {
  return h('div', { class: 'pick' }, id ? marker(id, name, context) : null, row);
}

function summaryOf(place) {
  if (place.step != null) return stepWords({ step: place.step, total: place.total_steps });
  return plainCounts(Object.fromEntries(Object.entries(place.counts).slice(0, 2)));
}
