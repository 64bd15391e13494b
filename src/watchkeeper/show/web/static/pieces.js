/** Small pieces that every page shows: durations, times, bars, tabs, and the words of states. */

import { bdi, glyph, h, span, svg } from './dom.js';
import { agoText, clockText, dateText, durationParts, exactText, numberText } from './format.js';

const KINDS = {
  done: 'done finished completed valid whole',
  running: 'running advancing starting',
  failed: 'failed died invalid lost failing dead crashed killed gone',
  blocked: 'blocked',
  warning: 'interrupted stalled silent late unhealthy unwatched damaged',
  waiting: 'waiting queued pending',
  unneeded: 'control',
};
const KIND_BY_WORD = new Map(
  Object.entries(KINDS).flatMap(([kind, words]) => words.split(' ').map((word) => [word, kind])),
);
KIND_BY_WORD.set('to do', 'waiting').set('not needed', 'unneeded').set('will not fit', 'warning');

/** The kind of a standing, a health or a state: which glyph and colour it has. */
export function kindOf(word) {
  const small = String(word ?? '').toLowerCase();
  return KIND_BY_WORD.get(small) ?? KIND_BY_WORD.get(small.split(/[ ,:]/)[0]) ?? 'unknown';
}

/** What a count of a standing is called: what is to do waits. */
export function wordOf(standing) {
  return standing === 'to do' ? 'waiting' : standing;
}

/** The counts worth saying: what is not needed is no work. */
export function countEntries(counts) {
  return Object.entries(counts).filter(([standing, count]) => count && standing !== 'not needed');
}

/** "7 failed, 6 blocked": in colour is what needs a person or, unless `isPlain`, what is all. */
export function countsNodes(counts, isPlain) {
  const entries = countEntries(counts);
  return entries.flatMap(([standing, count], index) => {
    const kind = kindOf(standing);
    const isLoud =
      ['failed', 'unknown', 'warning'].includes(kind) || (!isPlain && entries.length === 1);
    const text = `${numberText(count, 0)} ${wordOf(standing)}`;
    return [index ? ', ' : '', isLoud ? span(`text-${kind}`, bdi(text)) : bdi(text)];
  });
}

/** A number with its unit in grey. */
export function unit(number, name) {
  return [number, span('unit', ` ${name}`)];
}

/** "16 h 4 min", the units in grey. */
export function duration(seconds) {
  return durationParts(seconds).flatMap(([number, name], index) => [
    index ? ' ' : '',
    ...unit(number, name),
  ]);
}

const TIME_TEXTS = {
  ago: agoText,
  date: dateText,
  clock: (at, _now, zone) => clockText(at, zone),
  seconds: (at, _now, zone) => clockText(at, zone, true),
};

/** A time, with the exact one as its title. `form`: ago, date, clock or seconds. */
export function time(iso, context, form = 'ago') {
  if (!iso) return null;
  const at = Date.parse(iso);
  const attributes = { datetime: iso, title: exactText(at, context.zone), 'data-form': form };
  return h('time', attributes, TIME_TEXTS[form](at, context.now(), context.zone));
}

/** Let every time on screen that counts say its age anew. */
export function refreshTimes(root, context) {
  for (const element of root.querySelectorAll('time[data-form=ago]')) {
    const text = agoText(Date.parse(element.dateTime), context.now(), context.zone);
    if (element.textContent !== text) element.textContent = text;
  }
}

/** A bar of `value` in `total`; nothing where one of them is not known. */
export function bar(value, total, kind = 'running') {
  if (value == null || !total) return null;
  const share = Math.max(0, Math.min(1, value / total)) * 100;
  return svg(
    'svg',
    { class: 'bar', 'aria-hidden': 'true' },
    svg('rect', { class: 'track', width: '100%', height: '100%' }),
    svg('rect', { class: `fill mark-${kind}`, width: `${share.toFixed(2)}%`, height: '100%' }),
  );
}

/** A line through up to 48 values, with a point at the last. */
export function sparkline(values) {
  const numbers = values.filter((value) => Number.isFinite(value));
  if (!numbers.length) return null;
  const [wide, high, edge] = [92, 20, 3];
  const least = Math.min(...numbers);
  const range = Math.max(...numbers) - least || 1;
  const xOf = (index) =>
    (numbers.length > 1 ? (index / (numbers.length - 1)) * (wide - 2 * edge) : 0) + 1;
  const yOf = (value) => high - edge - ((value - least) / range) * (high - 2 * edge);
  const points = numbers.map((value, index) => `${xOf(index).toFixed(1)},${yOf(value).toFixed(1)}`);
  const [x, y] = points.at(-1).split(',');
  return svg(
    'svg',
    { class: 'spark', viewBox: `0 0 ${wide} ${high}`, 'aria-hidden': 'true' },
    svg('polyline', { points: points.join(' ') }),
    svg('circle', { cx: x, cy: y, r: 2 }),
  );
}

/** A section: a rule, a heading with a count, what stands at its right, and its body. */
export function section(id, title, { count, extra, right }, ...body) {
  return h(
    'section',
    { id, 'data-key': id, 'aria-labelledby': `${id}-title` },
    h(
      'div',
      { class: 'head' },
      h('h2', { id: `${id}-title` }, title),
      count == null ? null : span('count', String(count)),
      extra,
      right ? span('right', right) : null,
    ),
    ...body,
  );
}

/** Choices of which one holds; `choose` gets the value of another. */
export function tabs(label, choices, chosen, choose) {
  const buttons = choices.map(([value, text]) =>
    h(
      'button',
      {
        type: 'button',
        'data-key': String(value),
        'aria-pressed': String(value === chosen),
        onclick: () => choose(value),
      },
      bdi(text),
    ),
  );
  return h('div', { class: 'tabs', role: 'group', 'aria-label': label }, buttons);
}

/** A row of a phone that opens something: summary at the right, and a sign that it opens. */
export function opener(href, kind, text, summary) {
  return h(
    'a',
    { class: 'opener', href, 'data-row': '' },
    kind ? glyph(kind) : null,
    bdi(text),
    span('right', summary ? bdi(summary) : null, span('chevron', ' ›')),
  );
}

/** The way up to what has this id: the folder that was asked for, unless it is that itself. */
export function rootCrumbs(id) {
  const parts = id.split('/');
  return parts.length > 1 ? [{ text: parts[0], href: '/' }] : [];
}
