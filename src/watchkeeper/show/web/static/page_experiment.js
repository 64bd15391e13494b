/** An experiment: what needs a person, the evaluations, the jobs over time, why, the log. */

import { bdi, glyph, h, link, paint, span, state, svg } from './dom.js';
import { agoText, columnDecimals, countText, durationText, numberText } from './format.js';
import { hasWords, isNeedWanted, marker, needsSection, runHref, sourceNodes } from './needs.js';
import {
  countEntries,
  countsNodes,
  duration,
  kindOf,
  opener,
  rootCrumbs,
  section,
  tabs,
  time,
  wordOf,
} from './pieces.js';
import { jobsTimeline, zoomJobs } from './timeline.js';

const RAMPS = {
  light: [
    [0xea, 0xf2, 0xf8],
    [0x0a, 0x5a, 0x94],
  ],
  dark: [
    [0x18, 0x24, 0x2f],
    [0x7f, 0xc3, 0xf2],
  ],
};
const MOST_RUNS_SHOWN = 200;
const WORDS = { 'to do': 'waits', running: 'runs', 'not needed': 'not needed' };

export function renderExperiment(root, answer, context) {
  const draw = () => drawExperiment(root, answer.data, context);
  for (const name of ['patch', 'filter', 'query', 'resize', 'marks']) context.on(name, draw);
  context.on('key', ({ key }) => zoomJobs(key, answer.data, context));
  draw();
}

function drawExperiment(root, data, context) {
  if (context.isDragging) return;
  context.setCrumbs([...rootCrumbs(data.id), { text: data.name, href: '' }]);
  context.neighbours = neighboursOf();
  const part = context.isPhone ? context.query.get('show') : '';
  const parts = {
    jobs: () => jobsSection(data, context),
    log: () => logSection(data, context),
    needs: () => needsPart(data, context),
  };
  paint(root, headingNodes(data, context), parts[part]?.() ?? partsOfPage(data, context));
  followLog(root);
}

/** The places before and after this one, in the order of the overview that was last seen. */
function neighboursOf() {
  const places = JSON.parse(sessionStorage.getItem('wk-places') ?? '[]');
  const at = places.indexOf(location.pathname);
  return [places[at - 1] ?? '', at < 0 ? '' : (places[at + 1] ?? '')];
}

function partsOfPage(data, context) {
  const filter = context.query.get('q') ?? '';
  const rowsOf = rowsByRun(data.rows);
  const runs = data.runs.filter((run) => isRunWanted(run, rowsOf(run), filter));
  if (!runs.length && data.runs.length)
    return h('p', { class: 'none' }, 'No run here has the words ', bdi(filter), '.');
  const shown = {
    ...data,
    runs: runs.slice(0, MOST_RUNS_SHOWN),
    rowsOf,
    left: runs.length - MOST_RUNS_SHOWN,
  };
  if (context.isPhone)
    return [needsPart(data, context), matrixSection(shown, context), openersOf(data)];
  return [
    needsPart(data, context),
    problemsSection(data),
    matrixSection(shown, context),
    jobsSection(shown, context),
    whySection(data),
    h(
      'div',
      { class: 'columns', 'data-key': 'columns' },
      evidenceSection(data, context),
      logSection(data, context),
    ),
  ];
}

/** The rows of a run: they are looked up for each cell, and there may be thousands. */
function rowsByRun(rows) {
  const byRun = new Map();
  for (const row of rows) if (!byRun.get(row.run)?.push(row)) byRun.set(row.run, [row]);
  return (run) => byRun.get(run.name) ?? [];
}

function isRunWanted(run, rows, filter) {
  const settings = Object.entries(run.settings).map(([name, value]) => `${name}=${value}`);
  const states = rows.map((row) => [wordOf(row.standing), row.state, row.why, row.cause, row.task]);
  return hasWords(filter, run.name, settings, states);
}

// ── heading

function headingNodes(data, context) {
  const entries = countEntries(data.counts);
  const [first] = entries;
  const isSplit = context.isPhone && entries.length > 1;
  const rest = entries.slice(1).map(([word, count]) => `${numberText(count, 0)} ${wordOf(word)}`);
  const problems = data.problems.length
    ? `, ${countText(data.problems.length, 'problem')} in its files`
    : '';
  const heading = countsNodes(isSplit ? Object.fromEntries([first]) : data.counts);
  return h(
    'div',
    { class: 'lead', 'data-key': 'lead' },
    h('h1', { tabindex: -1, 'aria-live': 'polite' }, bdi(data.name), ': ', heading, problems),
    isSplit ? h('p', { class: 'second' }, rest.join(', ')) : null,
    context.isPhone ? null : resultNodes(data, context),
    data.question && !context.isPhone ? h('p', { class: 'second' }, bdi(data.question)) : null,
  );
}

/** Of one that has ended: the best figure, the valid files, how long it took. */
function resultNodes({ best, valid, started, ended }, context) {
  if (!ended) return null;
  const [first] = best;
  const took = durationText((Date.parse(ended) - Date.parse(started)) / 1000);
  return h(
    'p',
    null,
    first
      ? [
          'Best ',
          bdi(first.metric),
          ` ${numberText(first.value)} (`,
          link(runHref(first.id), first.run),
          epochText(first),
          '); ',
        ]
      : null,
    valid ? `${valid.good} of ${countText(valid.total, 'file')} valid; ` : null,
    took ? `${took}, ` : null,
    'ended ',
    time(ended, context, 'date'),
    '.',
  );
}

function epochText({ epoch }) {
  return epoch == null ? '' : `, epoch ${epoch}`;
}

function needsPart(data, context) {
  const needs = data.needs.filter((need) => isNeedWanted(need, context.query.get('q') ?? ''));
  const isCut = context.isPhone && context.query.get('show') !== 'needs' && needs.length > 1;
  const shown = isCut ? needs.slice(0, 1) : needs;
  return [
    needsSection(shown, context, { count: needs.length, isHere: true }),
    isCut
      ? h(
          'section',
          { class: 'openers', 'data-key': 'more' },
          opener('?show=needs', '', `${needs.length - 1} more`),
        )
      : null,
  ];
}

function problemsSection({ problems }) {
  if (!problems.length) return null;
  const lines = problems
    .slice(0, 20)
    .map(({ where, message, hint }) =>
      h(
        'p',
        { class: 'problem' },
        glyph('warning'),
        h('code', null, bdi(where)),
        ' ',
        bdi(message),
        ' ',
        span('second', bdi(hint)),
      ),
    );
  return section('problems', 'Files', { count: problems.length }, lines);
}

// ── the matrix

function matrixSection(data, context) {
  if (!data.runs.length) return null;
  const metric =
    data.metrics.find(({ name }) => name === context.query.get('m')) ?? data.metrics[0];
  const choices = data.metrics.map(({ name }) => [name, name]);
  const choose = (name) => context.setQuery({ m: name });
  const names = choices.length ? tabs('Metric', choices, metric.name, choose) : null;
  if (context.isPhone) return phoneMatrix(data, metric, context);
  const decimals = columnDecimals(figuresOf(data, metric));
  return section(
    'evaluations',
    data.tasks.length ? 'Evaluations' : 'Runs',
    { extra: [names, metric ? legend(metric, decimals) : null] },
    h(
      'div',
      { class: 'scroller', tabindex: 0, role: 'region', 'aria-label': 'Evaluations' },
      matrix(data, metric, decimals, context),
    ),
    leftOut(data),
  );
}

function leftOut({ left }) {
  return left > 0
    ? h('p', { class: 'more' }, `${countText(left, 'more run')}; the filter chooses them`)
    : null;
}

function figuresOf({ rows, metrics }, metric) {
  return metric
    ? rows
        .map((row) => row.metrics[metric.name])
        .filter((value) => value != null)
        .concat(metrics.length ? [] : [0])
    : [];
}

/** The scale: the strong end is the better one. */
function legend({ least, greatest, better }, decimals) {
  if (least == null) return null;
  const [weak, strong] = better === 'less' ? [greatest, least] : [least, greatest];
  const stops = ['weak', 'strong'].map((end, index) => svg('stop', { offset: index, class: end }));
  return span(
    'legend',
    numberText(weak, decimals),
    svg(
      'svg',
      { class: 'ramp', 'aria-hidden': 'true' },
      svg('linearGradient', { id: 'ramp' }, stops),
      svg('rect', { width: '100%', height: '100%', fill: 'url(#ramp)' }),
    ),
    numberText(strong, decimals),
  );
}

function matrix(data, metric, decimals, context) {
  const hasLoss = data.rows.some((row) => row.train_loss != null);
  const losses = columnDecimals(data.rows.map((row) => row.train_loss));
  const wide = hasLoss ? 3 : 2;
  const groups = data.tasks.map((task) =>
    h('th', { class: 'group', colspan: epochsOf(task).length, scope: 'colgroup' }, bdi(task.name)),
  );
  const epochs = data.tasks.flatMap((task) =>
    epochsOf(task).map((epoch, index) =>
      h(
        'th',
        { class: index ? 'number' : 'number group', scope: 'col' },
        epoch == null ? '' : `epoch ${epoch}`,
      ),
    ),
  );
  const settings = data.settings.map((name) =>
    h('th', { class: 'number setting', scope: 'col' }, bdi(name)),
  );
  const head = [
    h(
      'tr',
      null,
      h('td', { colspan: 1 + data.settings.length }),
      h('th', { class: 'state-col', colspan: wide, scope: 'colgroup' }, 'training'),
      groups,
    ),
    h(
      'tr',
      null,
      h('th', { scope: 'col' }, 'Run'),
      settings,
      h('th', { class: 'state-col', scope: 'col' }, 'State'),
      hasLoss ? h('th', { class: 'number', scope: 'col' }, 'train_loss') : null,
      h('th', { class: 'number', scope: 'col' }, 'Time'),
      epochs,
    ),
  ];
  const rows = data.runs.map((run) =>
    matrixRow(run, { data, metric, decimals, losses, hasLoss, wide, context }),
  );
  return h(
    'table',
    { class: 'matrix', 'aria-label': `Runs by ${metric?.name ?? 'state'}` },
    h('thead', null, head),
    h('tbody', null, rows),
  );
}

function epochsOf({ epochs }) {
  return epochs.length ? epochs : [null];
}

function matrixRow(run, shape) {
  const { data, context } = shape;
  const rows = data.rowsOf(run);
  const training = rows.find((row) => row.phase !== 'evaluation' && !row.task);
  const settings = data.settings.map((name) =>
    h('td', { class: 'number' }, bdi(run.settings[name] ?? '')),
  );
  const cells = data.tasks.flatMap((task) => taskCells(task, rows, shape));
  const id = run.control ? '' : run.id;
  return h(
    'tr',
    { 'data-key': run.name, 'data-row': '', 'data-mark': id || null },
    h(
      'th',
      { scope: 'row', class: 'strong' },
      id ? marker(id, run.name, context) : null,
      link(runHref(run.id), run.name),
    ),
    settings,
    trainingCells(run, training, shape),
    cells,
  );
}

function trainingCells(run, training, { hasLoss, losses, wide }) {
  if (!training || training.standing === 'not needed')
    return h(
      'td',
      { class: 'state-col', colspan: wide },
      state('unneeded', run.control ? 'control run; it is not trained' : ''),
    );
  const [kind, words] = trainingWords(training);
  const node = state(kind, words);
  node.setAttribute('title', [words, training.cause].filter(Boolean).join(': '));
  return [
    h('td', { class: 'state-col' }, node),
    hasLoss ? h('td', { class: 'number' }, numberText(training.train_loss, losses)) : null,
    h('td', { class: 'number' }, duration(training.elapsed_s)),
  ];
}

function trainingWords({ standing, why, health, progress }) {
  if (standing !== 'running') {
    const words = WORDS[standing] ?? standing;
    return [kindOf(standing), standing === 'failed' && why ? `${words}, ${why}` : words];
  }
  const kind = health ? kindOf(health) : 'running';
  const share = progress.total
    ? `, ${Math.min(99, Math.round((100 * progress.step) / progress.total))} %`
    : '';
  return [kind, (kind === 'running' ? 'running' : health) + share];
}

/** The cells of a task: one per epoch, or one over all of them where the result has no epoch. */
function taskCells(task, rows, shape) {
  const epochs = epochsOf(task);
  const mine = rows.filter((row) => row.task === task.name);
  const whole = mine.find((row) => row.epoch == null);
  if (whole && mine.length === 1) return cell(whole, shape, 'group', epochs.length);
  return epochs.map((epoch, index) =>
    cell(
      mine.find((row) => row.epoch === epoch),
      shape,
      index ? '' : 'group',
      1,
    ),
  );
}

function cell(row, { metric, decimals, context }, name, colspan) {
  const value = row && metric ? row.metrics[metric.name] : null;
  const attributes = { class: `cell ${name}`, colspan: colspan > 1 ? colspan : null };
  if (value != null) {
    const share = shareOf(value, metric);
    const text = link(runHref(row.id), numberText(value, decimals));
    return h(
      'td',
      { ...attributes, class: `${attributes.class} ${inksOf(share)}` },
      heat(share),
      text,
    );
  }
  if (!row) return h('td', attributes);
  const kind = kindOf(row.standing);
  const word = WORDS[row.standing] ?? row.standing;
  const text = context.isPhone
    ? glyph(kind, word)
    : [glyph(kind), span(kind === 'failed' ? 'text-failed' : 'second', bdi(word))];
  return h(
    'td',
    { ...attributes, title: row.cause || row.why || null },
    row.id ? h('a', { href: runHref(row.id), class: 'bare' }, text) : text,
  );
}

/** Where a figure stands on its scale: 1 is the better end. */
function shareOf(value, { least, greatest, better }) {
  const share = greatest > least ? (value - least) / (greatest - least) : 0.5;
  return better === 'less' ? 1 - share : share;
}

/** The strong colour laid over the weak one, as much as the share says. */
function heat(share) {
  const whole = { width: '100%', height: '100%' };
  return svg(
    'svg',
    { class: 'heat', 'aria-hidden': 'true' },
    svg('rect', { class: 'weak', ...whole }),
    svg('rect', { class: 'strong', 'fill-opacity': share.toFixed(3), ...whole }),
  );
}

/** White or black ink in each theme, whichever has more contrast. */
function inksOf(share) {
  return Object.entries(RAMPS)
    .map(([theme, [weak, strong]]) => {
      const [red, green, blue] = weak
        .map((from, index) => from + share * (strong[index] - from))
        .map(linear);
      const light = 0.2126 * red + 0.7152 * green + 0.0722 * blue;
      return `${theme}-${1.05 / (light + 0.05) > (light + 0.05) / 0.05 ? 'white' : 'black'}`;
    })
    .join(' ');
}

function linear(value) {
  const part = value / 255;
  return part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
}

/** On a phone: a column per task, the epoch by a switch. */
function phoneMatrix(data, metric, context) {
  const epochs = [...new Set(data.tasks.flatMap((task) => task.epochs))].sort(
    (one, other) => one - other,
  );
  const chosen = context.query.get('epoch') ?? String(epochs.at(-1) ?? 'best');
  const choices =
    epochs.length > 1
      ? [...epochs.slice(-3).map((epoch) => [String(epoch), `epoch ${epoch}`]), ['best', 'best']]
      : [];
  const names = data.metrics.map(({ name }) => name);
  const options = names.map((name) =>
    h('option', { value: name, selected: name === metric.name }, titleOf(name)),
  );
  const onchange = (event) => context.setQuery({ m: event.target.value });
  const title = metric ? titleOf(metric.name) : 'Runs';
  const decimals = columnDecimals(figuresOf(data, metric));
  const shape = { data, metric, decimals, context };
  const head = data.tasks.map(({ name }) =>
    h('th', { class: 'number', scope: 'col', title: name }, bdi(shortName(name))),
  );
  const rows = data.runs.map((run) => {
    const mine = data.rowsOf(run);
    const training = mine.find((row) => !row.task);
    const [kind, word] = training ? trainingWords(training) : ['unneeded', 'control run'];
    const cells = data.tasks.map((task) =>
      cell(
        chosenRow(
          mine.filter((row) => row.task === task.name),
          chosen,
          metric,
        ),
        shape,
        '',
        1,
      ),
    );
    return h(
      'tr',
      { 'data-key': run.name, 'data-row': '' },
      h('th', { scope: 'row' }, glyph(kind, word), link(runHref(run.id), run.name)),
      cells,
    );
  });
  const heading =
    names.length > 1 ? h('select', { 'aria-label': 'Metric', onchange }, options) : title;
  return section(
    'evaluations',
    heading,
    {
      extra: choices.length
        ? tabs('Epoch', choices, chosen, (epoch) => context.setQuery({ epoch }))
        : null,
    },
    h(
      'div',
      { class: 'scroller', tabindex: 0, role: 'region', 'aria-label': 'Evaluations' },
      h(
        'table',
        { class: 'matrix phone', 'aria-label': `Runs by ${title}` },
        h('thead', null, h('tr', null, h('th', { scope: 'col' }, 'Run'), head)),
        h('tbody', null, rows),
      ),
    ),
    leftOut(data),
  );
}

function titleOf(name) {
  return name[0].toUpperCase() + name.slice(1);
}

function shortName(name) {
  return name.length > 9 ? `${name.slice(0, 7)}.` : name;
}

/** The result of an epoch, or the best; a control's holds for every epoch. */
function chosenRow(rows, chosen, metric) {
  if (chosen !== 'best')
    return (
      rows.find((row) => String(row.epoch) === chosen) ?? rows.find((row) => row.epoch == null)
    );
  const known = rows.filter((row) => metric && row.metrics[metric.name] != null);
  const sorted = known.sort(
    (one, other) =>
      shareOf(other.metrics[metric.name], metric) - shareOf(one.metrics[metric.name], metric),
  );
  return sorted[0] ?? rows.at(-1);
}

function openersOf(data) {
  return h(
    'section',
    { class: 'openers', 'data-key': 'openers' },
    opener('?show=jobs', '', 'Jobs over time', numberText(data.jobs.length, 0)),
    opener('?show=log', '', 'Log', countText(data.actions, 'action')),
  );
}

// ── below

function jobsSection(data, context) {
  if (!data.jobs.length) return null;
  const took = data.ended
    ? `, ${durationText((Date.parse(data.ended) - Date.parse(data.started)) / 1000)}`
    : '';
  const jobs = new Set(data.jobs.map(({ key }) => key)).size;
  const reset = () => context.setQuery({ from: null, to: null });
  const whole = context.query.has('from')
    ? h('button', { type: 'button', class: 'link', onclick: reset }, 'whole time')
    : null;
  const slots = data.slots ? ` on ${countText(data.slots, 'slot')}` : '';
  return section(
    'jobs',
    'Jobs',
    {
      count: `${numberText(jobs, 0)}${slots}${took}`,
      right: [whole, 'thin: queued   bar: running'],
    },
    jobsTimeline(data, context),
  );
}

function whySection({ decisions }) {
  if (!decisions.length) return null;
  const lines = decisions.map(({ count, action, reason, keys }) => [
    h('dt', null, bdi(action)),
    h('dd', { title: keys.join(', ') }, `${numberText(count, 0)}: `, bdi(reason)),
  ]);
  return section('why', 'Why', {}, h('dl', { class: 'terms' }, lines));
}

function evidenceSection({ id, counts, evidence, watcher, zone }, context) {
  const isOver = !counts.running && !counts.waiting;
  const lines = evidence.map((one) => [
    h('dt', null, bdi(one.what)),
    h('dd', null, sourceNodes(one, 'experiment', id, context)),
  ]);
  const watched = evidence.some(({ what }) => what === 'watched')
    ? null
    : watcherLine(watcher, isOver, context, zone);
  return section('evidence', 'Evidence', {}, h('dl', { class: 'terms' }, lines, watched));
}

function watcherLine({ process, host, alive, since }, isOver, context, zone) {
  if (process == null && since == null) return null;
  if (isOver && !alive) return [h('dt', null, 'watched'), h('dd', null, 'to the end; nothing is under way')];
  const who = `process ${process} on ${host}`;
  const when = since ? agoText(Date.parse(since), context.now(), zone) : '';
  const text = alive
    ? `by ${who}`
    : alive == null
      ? `by ${who}, which cannot be seen from here`
      : `by nobody; last by ${who}, ${when}`;
  return [h('dt', null, 'watched'), h('dd', null, bdi(text))];
}

/** What was done, the newest last; whom it was done to leads to its page. */
function logSection({ log, actions, rows }, context) {
  const pages = new Map(rows.map((row) => [row.key, runHref(row.id)]));
  const lines = log.map(({ at, action, subject, text }) =>
    h(
      'div',
      { class: 'line' },
      span('third', time(at, context, 'seconds')),
      span('', bdi(action)),
      subject ? [span('', link(pages.get(subject), subject)), span('', bdi(text))] : span('rest', bdi(text)),
    ),
  );
  const body = h(
    'div',
    { class: 'log mono', tabindex: 0, role: 'log', 'aria-label': 'Log', 'aria-live': 'off' },
    lines,
  );
  return section('log', 'Log', { count: countText(actions, 'action') }, body);
}

/** The log stays at its end, unless the reader has scrolled up in it. */
function followLog(root) {
  const log = root.querySelector('.log');
  if (!log) return;
  log.onscroll = () => (log.isHeld = log.scrollHeight - log.scrollTop - log.clientHeight > 40);
  if (!log.isHeld) log.scrollTop = log.scrollHeight;
}
