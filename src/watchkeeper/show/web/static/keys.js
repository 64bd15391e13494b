/** The keyboard: rows, marks, places, and the page's own keys. */

import { h, paint } from './dom.js';

const MARKS = 'wk-marks';
const HELP = [
  ['/', 'filter'],
  ['j k', 'next and previous row'],
  ['Enter', 'open the row'],
  ['Backspace', 'up'],
  ['x', 'mark the row'],
  ['c', 'compare what is marked'],
  ['[ ]', 'previous and next neighbour'],
  ['g o', 'overview'],
  ['g e', 'examples'],
  ['g l', 'log'],
  ['g r', 'run log'],
  ['← →', 'cursor; with Shift ten'],
  ['+ − 0', 'zoom in, out, whole'],
  ['s', 'steps or time'],
  ['y', 'scale'],
  ['m', 'metrics'],
  ['t', 'table for chart'],
  ['f', 'follow'],
  ['?', 'this help'],
];
const SECTIONS = { e: 'examples', l: 'log', r: 'run-log' };

/** The ids of the runs marked in this tab, in the order in which they were marked. */
export function markedIds() {
  return JSON.parse(sessionStorage.getItem(MARKS) ?? '[]');
}

export function isMarked(id) {
  return markedIds().includes(id);
}

export function toggleMark(id) {
  const marks = markedIds();
  const rest = marks.filter((one) => one !== id);
  const next = rest.length === marks.length ? [...marks, id] : rest;
  sessionStorage.setItem(MARKS, JSON.stringify(next));
}

export function clearMarks() {
  sessionStorage.removeItem(MARKS);
}

/** The address of the comparison of some runs. */
export function compareHref(ids) {
  return `/c?${new URLSearchParams(ids.map((id) => ['r', id]))}`;
}

/** Listen to keys. `app`: navigate, up, neighbour, filter, pageKey, marksChanged. */
export function bindKeys(app) {
  let isAfterG = false;
  const actions = {
    '/': () => app.filter(),
    j: () => moveRow(1),
    k: () => moveRow(-1),
    x: () => markRow(app),
    c: () => compareMarked(app),
    '[': () => app.neighbour(0),
    ']': () => app.neighbour(1),
    Backspace: () => app.up(),
    '?': () => showHelp(),
    g: () => (isAfterG = true),
  };
  document.addEventListener('keydown', (event) => {
    if (isForOthers(event)) return;
    const wasAfterG = isAfterG;
    isAfterG = false;
    if (wasAfterG && goTo(event.key, app)) event.preventDefault();
    else if (app.pageKey(event)) event.preventDefault();
    else if (actions[event.key]) {
      event.preventDefault();
      actions[event.key]();
    }
  });
}

/** Keys in a field, in the help, or with Ctrl, Alt or Meta are not ours. */
function isForOthers(event) {
  if (event.defaultPrevented || event.ctrlKey || event.altKey || event.metaKey) return true;
  return (
    event.target.matches('input, select, textarea') ||
    Boolean(document.querySelector('dialog[open]'))
  );
}

function goTo(key, app) {
  if (key === 'o') app.navigate('/');
  const target = document.getElementById(SECTIONS[key]);
  if (target) location.hash = target.id;
  target?.focus();
  return key === 'o' || Boolean(target);
}

function rowsOnScreen() {
  return [...document.querySelectorAll('main [data-row]')].filter((row) => row.offsetParent);
}

function rowInFocus() {
  return document.activeElement?.closest('[data-row]');
}

function moveRow(by) {
  const rows = rowsOnScreen();
  const at = rows.indexOf(rowInFocus());
  const next = rows[at < 0 ? (by > 0 ? 0 : rows.length - 1) : at + by];
  const target = next?.matches('a') ? next : next?.querySelector('a, .command');
  target?.focus();
  next?.scrollIntoView({ block: 'nearest' });
}

function markRow(app) {
  const id = rowInFocus()?.dataset.mark;
  if (!id) return;
  toggleMark(id);
  app.marksChanged();
}

function compareMarked(app) {
  if (markedIds().length > 1) app.navigate(compareHref(markedIds()));
}

function showHelp() {
  const dialog = document.getElementById('help');
  const rows = HELP.map(([keys, what]) => [
    h(
      'dt',
      null,
      keys.split(' ').map((key) => h('kbd', null, key)),
    ),
    h('dd', null, what),
  ]);
  const close = h('button', { type: 'button', onclick: () => dialog.close() }, 'Close');
  paint(dialog, h('h2', { id: 'help-title' }, 'Keys'), h('dl', null, rows), close);
  dialog.showModal();
}
