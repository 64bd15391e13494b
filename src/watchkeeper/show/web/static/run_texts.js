/** What a run wrote: its examples, its logs, and its run log. */

import { bdi, cleanText, h, span, state } from './dom.js';
import { clockText, columnDecimals, numberText } from './format.js';
import { duration, kindOf, section, tabs, time } from './pieces.js';
import { table } from './table.js';

const EXAMPLES_A_PAGE = 12;
const TAIL_LINES = 200;
const LOG_NAMES = ['run.log', 'stdout', 'stderr'];
const RUN_LOG = 'run-log';

/** The texts of the run in `page` {context, data, address, repaint()}. */
export function createRunTexts(page) {
  const texts = { page, examples: null, isNoMatch: false, open: null, log: null, runLog: null };
  texts.logName = LOG_NAMES.find((name) => fileOf(page, name)?.size) ?? LOG_NAMES.find((name) => fileOf(page, name));
  askExamples(texts);
  askText(texts, 'log', texts.logName);
  if (fileOf(page, RUN_LOG)) askText(texts, 'runLog', RUN_LOG);
  return texts;
}

function fileOf(page, name) {
  return page.data.texts.find((text) => text.name === name);
}

async function askExamples(texts, before) {
  const { page } = texts;
  if (!page.data.examples) return;
  const query = new URLSearchParams({ limit: EXAMPLES_A_PAGE });
  if (before != null) query.set('before', before);
  if (texts.isNoMatch) query.set('match', 'no');
  const answer = await page.context.store.get(`${page.address}/examples?${query}`).catch(() => null);
  if (!answer) return;
  const earlier = before == null ? [] : texts.examples.rows;
  texts.examples = { ...answer.data, rows: [...earlier, ...answer.data.rows] };
  page.repaint();
}

async function askText(texts, field, name) {
  if (!name) return;
  const { page } = texts;
  const address = `text/${page.address.slice('run/'.length)}/${encodeURIComponent(name)}`;
  const answer = await page.context.store.get(`${address}?tail=${TAIL_LINES}`).catch(() => null);
  if (!answer) return;
  texts[field] = { name, ...answer.data };
  page.repaint();
  if (field === 'log') followTextLog(true);
}

/** The query of the text on screen; "" for none. */
export function followedText({ logName }) {
  return logName ? `text=${encodeURIComponent(logName)}` : '';
}

/** New lines of the log on screen. */
export function takeLines(texts, message) {
  const log = texts.log;
  if (!log || message.name !== log.name) return;
  if (message.offset !== log.next) {
    askText(texts, 'log', log.name);
    return;
  }
  log.lines = [...log.lines, ...message.lines].slice(-TAIL_LINES);
  log.next = message.next;
  const isAtEnd = logIsAtEnd();
  texts.page.repaint();
  followTextLog(isAtEnd);
}

/** What has changed in the run: more examples, another run log. */
export function refreshTexts(texts) {
  const { data } = texts.page;
  const runLog = fileOf(texts.page, RUN_LOG);
  if (data.examples !== texts.examples?.total && !texts.isNoMatch) askExamples(texts);
  if (runLog && runLog.size !== texts.runLog?.next) askText(texts, 'runLog', RUN_LOG);
}

function logBox() {
  return document.querySelector('#log .lines');
}

function logIsAtEnd() {
  const box = logBox();
  return !box || box.scrollHeight - box.scrollTop - box.clientHeight < 30;
}

/** Scroll to the newest line. */
export function followTextLog(isWanted = true) {
  const box = logBox();
  if (box && isWanted) box.scrollTop = box.scrollHeight;
}

// ── examples

export function examplesSection(texts) {
  const { data } = texts.page;
  const { examples, isNoMatch } = texts;
  if (!data.examples) return null;
  const missed = data.examples_matching == null ? null : data.examples - data.examples_matching;
  const choose = (value) => {
    texts.isNoMatch = value === 'no match';
    askExamples(texts);
  };
  const choices = [['all', 'all'], ['no match', `no match ${missed ?? ''}`.trim()]];
  const extra = missed == null ? null : tabs('Examples shown', choices, isNoMatch ? 'no match' : 'all', choose);
  const open = examples?.rows.find((row) => row.n === texts.open);
  return section(
    'examples',
    'Examples',
    { count: numberText(data.examples), extra },
    examples ? table(exampleColumns(texts), examples.rows, { name: 'examples', label: 'Examples', keyOf: (row) => row.n }) : null,
    open ? wholeExample(open) : null,
    examples?.before != null ? h('p', { class: 'more' }, textButton('earlier ones', () => askExamples(texts, examples.before))) : null,
  );
}

function textButton(text, act) {
  return h('button', { type: 'button', class: 'textual', onclick: act }, text);
}

function exampleColumns(texts) {
  const figure = Object.keys(texts.examples.rows[0]?.figures ?? {})[0];
  const decimals = columnDecimals(texts.examples.rows.map((row) => row.figures[figure]));
  const words = (name) => ({ name, label: name[0].toUpperCase() + name.slice(1), cell: (row) => bdi(row[name], 'mono') });
  const step = (row) =>
    h('button', { type: 'button', class: 'textual', 'aria-expanded': String(texts.open === row.n), onclick: () => openExample(texts, row.n) }, numberText(row.step ?? row.n));
  const columns = [
    { name: 'step', label: 'Step', kind: 'number', cell: step },
    words('prompt'),
    words('golden'),
    words('output'),
    { name: 'match', label: 'Match', cell: (row) => matchWord(row.match) },
  ];
  if (figure) columns.push({ name: 'figure', label: bdi(figure), kind: 'number', cell: (row) => numberText(row.figures[figure], decimals) });
  return columns;
}

function matchWord(match) {
  if (match == null) return span('third', 'not compared');
  return match ? state('done', 'match') : state('failed', 'no match');
}

function openExample(texts, n) {
  texts.open = texts.open === n ? null : n;
  texts.page.repaint();
}

function wholeExample(row) {
  const entries = [['prompt', row.prompt], ['golden', row.golden], ['output', row.output], ...Object.entries(row.figures)];
  return h('dl', { class: 'whole' }, entries.map(([name, text]) => [h('dt', null, bdi(name)), h('dd', { class: 'mono' }, bdi(text ?? ''))]));
}

// ── logs

export function textLogSection(texts) {
  const { page, log } = texts;
  const names = LOG_NAMES.filter((name) => fileOf(page, name));
  if (!names.length) return null;
  const choose = (name) => {
    texts.logName = name;
    askText(texts, 'log', name);
    page.follow();
  };
  const changed = fileOf(page, texts.logName)?.changed;
  const right = changed ? ['follows; last line ', time(changed, page.context)] : null;
  return section(
    'log',
    'Log',
    { extra: tabs('Log shown', names.map((name) => [name, name]), texts.logName, choose), right },
    log ? logLines(page, log) : null,
  );
}

function logLines(page, log) {
  const isParsed = log.lines.some((line) => line.at);
  const lines = log.lines.map((line) => h('div', { class: lineClass(line) }, isParsed ? parsedLine(page, line) : bdi(line.text)));
  const dropped = log.dropped || log.offset ? h('p', { class: 'third' }, 'Earlier lines are in the file.') : null;
  const empty = log.lines.length ? null : h('p', { class: 'second' }, 'It is empty.');
  return h('div', { class: isParsed ? 'lines parsed' : 'lines', tabindex: 0, role: 'region', 'aria-label': 'Lines of the log' }, dropped, lines, empty);
}

function lineClass(line) {
  return { ERROR: 'text-failed', CRITICAL: 'text-failed', WARNING: 'text-warning' }[line.level];
}

function parsedLine(page, line) {
  const clock = line.at ? clockText(Date.parse(line.at), page.context.zone) : '';
  return [span('third', clock), line.step ? bdi(line.step) : span('third', '-'), bdi(line.text)];
}

// ── the run log, as Markdown

export function runLogSection(texts) {
  const { page, runLog } = texts;
  const file = fileOf(page, RUN_LOG);
  if (!file || !runLog) return null;
  const name = file.path.split('/').at(-1);
  return section('run-log', 'Run log', { extra: span('second', bdi(name)) }, h('div', { class: 'markdown', tabindex: -1 }, markdownNodes(runLog.lines)));
}

/** Markdown as elements: headings, lists, tables, paragraphs. What is not one of those is text. */
function markdownNodes(lines) {
  const nodes = [];
  for (const group of groupedLines(lines)) nodes.push(markdownNode(group));
  return nodes;
}

function groupedLines(lines) {
  const groups = [];
  let isFenced = false;
  for (const line of lines) {
    const isFence = /^\s*```/.test(line.text);
    const kind = isFenced || isFence ? 'code' : kindOfLine(line.text);
    if (isFence) isFenced = !isFenced;
    if (kind === 'nothing') groups.push(null);
    else joinLine(groups, { kind, isPerson: line.is_person, texts: isFence ? [] : [line.text] });
  }
  return groups.filter(Boolean);
}

function kindOfLine(text) {
  if (!text.trim() || /^<!--.*-->$/.test(text.trim())) return 'nothing';
  if (/^#{1,6} /.test(text)) return 'heading';
  if (/^\s*\|/.test(text)) return 'table';
  return /^\s*([-*+]|\d+\.) /.test(text) ? 'list' : 'paragraph';
}

function joinLine(groups, group) {
  const last = groups.at(-1);
  const joins = last && last.kind === group.kind && last.isPerson === group.isPerson && group.kind !== 'heading';
  if (joins) last.texts.push(...group.texts);
  else groups.push(group);
}

const MARKDOWN = {
  heading: ({ texts: [text] }) => h(`h${Math.min(6, text.indexOf(' ') + 2)}`, null, inlineNodes(text.replace(/^#+ /, ''))),
  table: ({ texts }) => markdownTable(texts),
  list: ({ texts }) => h('ul', null, texts.map((text) => h('li', null, inlineNodes(text.replace(/^\s*([-*+]|\d+\.) /, ''))))),
  code: ({ texts }) => h('pre', null, cleanText(texts.join('\n'))),
  paragraph: ({ texts }) => texts.map((text) => h('p', null, inlineNodes(text))),
};

function markdownNode(group) {
  return h('div', { class: group.isPerson ? 'person' : null }, MARKDOWN[group.kind](group));
}

function markdownTable(texts) {
  const rows = texts.filter((text) => !/^[\s|:-]+$/.test(text)).map((text) => text.trim().replace(/^\||\|$/g, '').split('|'));
  return h('table', null, rows.map((cells, index) => h('tr', null, cells.map((cell) => h(index ? 'td' : 'th', null, inlineNodes(cell.trim()))))));
}

/** Bold, code, and links with their host; everything else is text. */
function inlineNodes(text) {
  const pieces = text.split(/(\*\*[^*]+\*\*|`[^`]+`|\[[^\]]*\]\(https?:\/\/[^\s)]+\))/);
  return pieces.filter(Boolean).map((piece) => {
    if (/^\*\*.+\*\*$/.test(piece)) return h('b', null, bdi(piece.slice(2, -2)));
    if (/^`.+`$/.test(piece)) return h('code', null, bdi(piece.slice(1, -1)));
    const link = /^\[([^\]]*)\]\((https?:\/\/[^\s)]+)\)$/.exec(piece);
    return link ? outsideLink(link[1], link[2]) : bdi(piece);
  });
}

function outsideLink(text, href) {
  const host = URL.canParse(href) ? new URL(href).host : '';
  if (!host) return bdi(text);
  return h('a', { href, rel: 'noreferrer noopener', target: '_blank' }, bdi(text), span('third', ` (${host})`));
}

// ── stages

export function stagesSection({ data }) {
  if (!data.stages.length) return null;
  const columns = [
    { name: 'name', label: 'Step', cell: (row) => bdi(row.name) },
    { name: 'state', label: 'State', cell: (row) => state(kindOf(row.standing), row.state) },
    { name: 'in', label: 'Rows in', kind: 'number', cell: (row) => numberText(row.rows_in) },
    { name: 'out', label: 'Rows out', kind: 'number', cell: (row) => numberText(row.rows_out) },
    { name: 'time', label: 'Time', kind: 'number', cell: (row) => duration(row.elapsed_s) },
  ];
  const stages = table(columns, data.stages, { name: 'stages', label: 'Steps', keyOf: (row) => row.name });
  return section('stages', 'Steps', { count: data.stages.length }, stages);
}
