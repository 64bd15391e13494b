// How a page's data takes in what the server sends. `show/web/patches.py` says what a patch is.

function identityOf(row, by) {
  return by.map((field) => String(row[field])).join("/");
}

function patchedList(rows, name, patch) {
  const by = patch.by[name];
  const known = new Map(rows.map((row) => [identityOf(row, by), row]));
  for (const id of patch.drop[name] ?? []) known.delete(id);
  for (const row of patch.set[name] ?? []) known.set(identityOf(row, by), row);
  const order = patch.order[name];
  if (!order) return [...known.values()];
  return order.filter((id) => known.has(id)).map((id) => known.get(id));
}

/** The data after a patch. Rows that did not change stay the same objects. */
export function applyPatch(data, patch) {
  const next = { ...data, ...patch.fields };
  for (const name of Object.keys(patch.by)) next[name] = patchedList(data[name] ?? [], name, patch);
  return next;
}

/** A line of a chart after a `columns` event: from column `start` on it is the new one. */
export function applyColumns(line, added) {
  const next = { ...line, ...added };
  for (const name of ["x", "min", "max", "smooth", "n", "other"])
    next[name] = line[name].slice(0, added.start).concat(added[name]);
  delete next.start;
  return next;
}
