/** What the overview and an experiment share: needs, filters, marks, what is left out. */

import { bdi, command, glyph, h, link, span } from './dom.js';
import { clockText, countText, dateText, dayText } from './format.js';
import { isMarked, toggleMark } from './keys.js';
import { duration, kindOf, section, time } from './pieces.js';
import { table } from './table.js';

const HOUR_MS = 3600000;

/** Whether a thing has all the words of the filter, in any of its texts. */
export function hasWords(filter, ...texts) {
  const whole = texts.flat(Infinity).join(' ').toLowerCase();
  return filter
    .toLowerCase()
    .split(/\s+/)
    .every((word) => whole.includes(word));
}

export function isNeedWanted(need, filter) {
  return hasWords(
    filter,
    need.line,
    need.cause,
    need.why,
    need.experiment,
    need.subject,
    need.keys,
  );
}

/** The page of a run, or of what has an id of another kind. */
export function runHref(id) {
  return id ? `/r/${pathOfId(id)}` : '';
}

export function placeHref(id, kind) {
  return kind === 'experiment' ? `/e/${pathOfId(id)}` : runHref(id);
}

/** The address of an id, each part escaped. */
export function pathOfId(id) {
  return id.split('/').map(encodeURIComponent).join('/');
}

/** What a piece of evidence says, with its source: a link to the file where the page can open it. */
export function sourceNodes(one, page, id, context) {
  const { text, at, source } = one;
  const isSaid = Boolean(source) && text.endsWith(source);
  const href = one.is_file ? `/api/1/file/${page}/${pathOfId(id)}?source=${encodeURIComponent(source)}` : '';
  const open = (words) => h('a', { class: 'source', href, target: '_blank', title: `Open ${source}` }, bdi(words));
  const name = source?.split('/').at(-1);
  const beside = href ? open(name) : h('span', { class: 'second', title: source }, bdi(name));
  return [
    isSaid && href ? open(text) : bdi(text),
    at ? [', ', time(at, context)] : null,
    source && !isSaid ? [' ', beside] : null,
  ];
}

/** The button that marks a run for the comparison, at the left of its row. */
export function marker(id, name, context) {
  const attributes = {
    type: 'button',
    class: 'marker',
    'aria-pressed': String(isMarked(id)),
    'aria-label': `Mark ${name}`,
    onclick: () => {
      toggleMark(id);
      context.marksChanged();
    },
  };
  return h('button', attributes, glyph(isMarked(id) ? 'marked' : 'unmarked'));
}

/** "12 more", where a list does not show all. */
export function more(count, noun) {
  return count ? h('p', { class: 'more' }, `${countText(count, `more ${noun}`)}`) : null;
}

/** The section of what needs a person; `isHere`: on the page of the experiment itself. */
export function needsSection(needs, context, { count, isHere, left }) {
  if (!needs.length) return null;
  const title = { count: count ?? needs.length };
  const body = context.isPhone
    ? needs.map((need) => needBlock(need, context, isHere))
    : needsTable(needs, context, isHere);
  return section('needs', 'Needs you', title, body, more(left, 'group'));
}

function needsTable(needs, context, isHere) {
  const columns = [
    { name: 'what', cell: (need) => whatNodes(need, isHere) },
    { name: 'cause', cell: (need) => causeNodes(need, isHere) },
    {
      name: 'do',
      hint: isHere ? 'what to type' : 'where',
      cell: (need) => subjectNodes(need, isHere, needs),
    },
    { name: 'when', kind: 'number', cell: (need) => whenNodes(need, context) },
  ];
  return table(columns, needs, {
    label: 'Needs you',
    name: isHere ? 'needs here' : 'needs',
    keyOf: needKey,
    rowAttributes: () => ({ 'data-row': '' }),
  });
}

function needKey(need) {
  return [need.kind, need.id, need.subject, need.cause].join(' ');
}

function needKind(need) {
  const kind = kindOf(need.kind);
  return kind === 'unknown' && need.kind !== 'unknown' ? 'warning' : kind;
}

function whatNodes(need, isHere) {
  const kind = needKind(need);
  const isAbout = need.kind === 'unwatched' && !isHere;
  const line =
    need.line[0].toUpperCase() + need.line.slice(1) + (isAbout ? ` ${need.experiment}` : '');
  const blocked = need.blocks
    ? span('second', `, and blocks ${countText(need.blocks, 'job')}`)
    : null;
  return [glyph(kind), span(`strong text-${kind}`, bdi(line)), blocked];
}

function causeNodes(need, isHere) {
  const cause = need.cause ? h('code', { title: need.cause }, bdi(need.cause)) : null;
  const why = need.why
    ? h(
        'span',
        { class: cause ? 'second' : null, title: need.why },
        cause ? ' ' : '',
        bdi(need.why),
      )
    : null;
  const isAsked = need.kind === 'unwatched' && !isHere && need.command;
  return [cause, why, isAsked ? ['. ', command(need.command)] : null];
}

/** Whom it is about, as a link to its page. */
function subjectLink(need) {
  const isOne = need.ids.length === 1;
  const href = isOne ? runHref(need.ids[0]) : placeHref(need.id, need.experiment && 'experiment');
  return need.subject ? link(href, need.subject) : link(href, need.experiment || need.folder);
}

/** On the page of the experiment what to type, once; elsewhere whom it is about. */
function subjectNodes(need, isHere, needs = []) {
  const isFirst = needs.find((one) => one.command === need.command) === need;
  if (isHere && isFirst && need.command && need.kind !== 'late') return command(need.command);
  if (isHere) return subjectLink(need);
  const name = need.subject && need.experiment && need.experiment !== need.subject;
  return [name ? [bdi(need.experiment), ': '] : null, subjectLink(need)];
}

function whenNodes(need, context) {
  if (!need.last) return null;
  if (need.kind === 'late') return span('second', 'limit at ', time(need.last, context, 'date'));
  if (need.kind === 'unwatched') {
    const silence = (context.now() - Date.parse(need.last)) / 1000;
    return span('text-warning', 'for ', duration(silence));
  }
  return rangeNodes(need, context);
}

/** "05:53 to 06:05"; one age where it is one time, or less than an hour ago. */
function rangeNodes({ first, last }, context) {
  const [from, to, now] = [Date.parse(first ?? last), Date.parse(last), context.now()];
  const isNow = now - from < HOUR_MS;
  const isOne = dateText(from, now, context.zone) === dateText(to, now, context.zone);
  if (isNow || isOne) return span('second', time(last, context));
  const isOneDay = dayText(from, now, context.zone) === dayText(to, now, context.zone);
  const end = isOneDay ? time(last, context, 'clock') : time(last, context, 'date');
  return span('second', time(first, context, 'date'), ' to ', end);
}

/** A need on a phone: three lines at most. */
function needBlock(need, context, isHere) {
  const line = h(
    'p',
    { class: 'first' },
    whatNodes({ ...need, blocks: 0 }, isHere),
    span('right', phoneWhen(need, context)),
  );
  const blocks = need.blocks ? `, blocks ${countText(need.blocks, 'job')}` : '';
  const subject = [subjectNodes({ ...need, command: '' }, isHere), blocks];
  const cause = need.cause.replace(/^\w+(Error|Exception): /, '');
  const rest = need.cause
    ? [h('p', null, causeNodes({ ...need, cause }, true)), h('p', { class: 'second' }, subject)]
    : h('p', { class: 'second' }, subject, ': ', bdi(need.why));
  return h('div', { class: 'need', 'data-key': needKey(need), 'data-row': '' }, line, rest);
}

function phoneWhen(need, context) {
  if (!need.last) return null;
  if (need.kind === 'unwatched') return duration((context.now() - Date.parse(need.last)) / 1000);
  return clockText(Date.parse(need.last), context.zone);
}
