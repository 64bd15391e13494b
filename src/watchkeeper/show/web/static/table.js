/** Tables: one description for every page. */

import { h, span } from './dom.js';

/**
 * A table. `columns`: [{name, label, kind: 'number' | 'text', width, cell(row), sort}], where
 * `cell` gives what stands in it and `sort`, for a column that can sort, the value to sort by.
 * `options`: label, keyOf(row), rowAttributes(row), order {name, isDown}, reorder(order).
 */
export function table(columns, rows, options) {
  const { label, keyOf, rowAttributes, order, reorder } = options;
  const isHeadless = columns.every((column) => !column.label);
  const head = columns.map((column) => headOf(column, order, reorder));
  const body = sortedRows(rows, columns, order).map((row) =>
    h(
      'tr',
      { 'data-key': keyOf?.(row), ...rowAttributes?.(row) },
      columns.map((column, index) => cellOf(column, row, index)),
    ),
  );
  return h(
    'table',
    { 'aria-label': label, class: options.name },
    h('thead', { class: isHeadless ? 'unseen' : null }, h('tr', null, head)),
    h('tbody', null, body),
  );
}

function classOf(column) {
  return [column.kind === 'number' ? 'number' : '', column.name ? `col-${column.name}` : '']
    .filter(Boolean)
    .join(' ');
}

function cellOf(column, row, index) {
  const tag = index === 0 ? 'th' : 'td';
  return h(tag, { class: classOf(column), scope: index === 0 ? 'row' : null }, column.cell(row));
}

function headOf(column, order, reorder) {
  const text = column.label || span('unseen', column.hint ?? column.name);
  const attributes = { scope: 'col', class: classOf(column) };
  if (!column.sort || !reorder) return h('th', attributes, text);
  const isThis = order?.name === column.name;
  const direction = isThis ? (order.isDown ? 'descending' : 'ascending') : 'none';
  const next = { name: column.name, isDown: isThis ? !order.isDown : false };
  const button = h('button', { type: 'button', onclick: () => reorder(next) }, text);
  return h('th', { ...attributes, 'aria-sort': direction }, button);
}

/** The rows in order; what is not known comes last, either way. */
function sortedRows(rows, columns, order) {
  const column = columns.find((one) => one.name === order?.name);
  if (!column?.sort) return rows;
  const sign = order.isDown ? -1 : 1;
  return [...rows].sort((one, other) => compareValues(column.sort(one), column.sort(other), sign));
}

function compareValues(one, other, sign) {
  if (one == null || other == null) return (one == null) - (other == null);
  if (typeof one === 'number' && typeof other === 'number') return sign * (one - other);
  return sign * String(one).localeCompare(String(other), 'en', { numeric: true });
}
