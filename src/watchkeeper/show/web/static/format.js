/** Numbers, durations and times as people read them. Pure: what depends on the time takes it. */

const MINUS = '\u2212';
const MINUTE = 60;
const HOUR = 3600;
const DAY = 86400;
const LEAST_SHOWN = 0.0001;
const MOST_SHOWN = 1e15;
const FORMATTERS = new Map();

/** How many decimals a metric has: four below 1, else four significant digits; never more than it
 * was recorded with. */
export function decimalsOf(value) {
  const size = Math.abs(value);
  if (!Number.isFinite(size) || isOdd(size)) return 0;
  const recorded = (String(size).split('.')[1] ?? '').length;
  const wanted = size < 1 ? 4 : Math.max(0, 4 - String(Math.floor(size)).length);
  return Math.min(recorded, wanted);
}

/** The decimals that a column of metrics has: those of the value that needs most. */
export function columnDecimals(values) {
  const numbers = values.filter((value) => typeof value === 'number');
  return Math.max(0, ...numbers.map(decimalsOf));
}

function isOdd(size) {
  return (size > 0 && size < LEAST_SHOWN) || size >= MOST_SHOWN;
}

/** A number; "" for one that is not known, and NaN or infinities by their names. */
export function numberText(value, decimals) {
  if (value == null) return '';
  if (typeof value !== 'number' || !Number.isFinite(value)) return String(value);
  const size = Math.abs(value);
  const digits = isOdd(size) ? oddText(size) : groupedText(size, decimals ?? decimalsOf(size));
  return value < 0 ? MINUS + digits : digits;
}

function oddText(size) {
  return size.toExponential(1).replace('.0e', 'e').replace('e-', `e${MINUS}`).replace('e+', 'e');
}

function groupedText(size, decimals) {
  const [whole, part] = size.toFixed(decimals).split('.');
  const grouped = whole.replace(/\B(?=(\d{3})+$)/g, ',');
  return part ? `${grouped}.${part}` : grouped;
}

/** A difference, with its sign. */
export function signedText(value, decimals) {
  const text = numberText(value, decimals);
  return value > 0 ? `+${text}` : text;
}

/** Steps per second: three significant digits, two decimals at most. */
export function rateText(value) {
  if (value == null) return '';
  if (value > 0 && value < 0.01) return numberText(Number(value.toPrecision(2)), 4);
  return numberText(value, value < 10 ? 2 : value < 100 ? 1 : 0);
}

/** Bytes, as [number, unit]. */
export function sizeParts(bytes) {
  const units = ['B', 'kB', 'MB', 'GB', 'TB', 'PB'];
  const power = bytes > 0 ? Math.min(5, Math.floor(Math.log10(bytes) / 3)) : 0;
  const value = bytes / 1000 ** power;
  return [numberText(value, power && value < 100 ? 1 : 0), units[power]];
}

/** A duration as one or two [number, unit]; [] where it is not known. */
export function durationParts(seconds) {
  if (seconds == null || !Number.isFinite(seconds)) return [];
  if (seconds < 0) return durationParts(0);
  if (seconds < 9.95) return [[numberText(seconds, seconds ? 1 : 0), 's']];
  if (seconds < 99.5) return [[String(Math.round(seconds)), 's']];
  const minutes = Math.round(seconds / MINUTE);
  if (minutes < 60) return [[String(minutes), 'min']];
  if (minutes < 1440) return twoParts(minutes, 60, 'h', 'min');
  return twoParts(Math.round(minutes / 60), 24, 'd', 'h');
}

function twoParts(count, per, big, small) {
  const rest = count % per;
  const first = [numberText(Math.floor(count / per), 0), big];
  return rest ? [first, [String(rest), small]] : [first];
}

export function durationText(seconds) {
  return durationParts(seconds).flat().join(' ');
}

/** "6 runs", "1 run": `many` where the plural is not the noun with an s. */
export function countText(count, noun, many) {
  return `${numberText(count, 0)} ${count === 1 ? noun : (many ?? `${noun}s`)}`;
}

function formatterOf(zone, options) {
  const key = zone + JSON.stringify(options);
  if (!FORMATTERS.has(key)) FORMATTERS.set(key, newFormatter(zone, options));
  return FORMATTERS.get(key);
}

/** A zone that this browser does not know is shown as UTC, and says so where the zone is shown. */
function newFormatter(zone, options) {
  const base = { hourCycle: 'h23', ...options };
  try {
    return new Intl.DateTimeFormat('en-GB', { ...base, timeZone: zone || 'UTC' });
  } catch {
    return new Intl.DateTimeFormat('en-GB', { ...base, timeZone: 'UTC' });
  }
}

function partsOf(at, zone, options) {
  const parts = formatterOf(zone, options).formatToParts(at);
  return Object.fromEntries(parts.map((part) => [part.type, part.value]));
}

/** The clock: "07:38", with seconds where they matter. */
export function clockText(at, zone, withSeconds) {
  const part = partsOf(at, zone, { hour: '2-digit', minute: '2-digit', second: '2-digit' });
  return withSeconds ? `${part.hour}:${part.minute}:${part.second}` : `${part.hour}:${part.minute}`;
}

/** The day of a time: "" for today, "yesterday", "25 Nov", with the year where it is another. */
export function dayText(at, now, zone) {
  const day = partsOf(at, zone, { year: 'numeric', month: 'short', day: 'numeric' });
  const today = partsOf(now, zone, { year: 'numeric', month: 'short', day: 'numeric' });
  const before = partsOf(now - DAY * 1000, zone, {
    year: 'numeric',
    month: 'short',
    day: 'numeric',
  });
  const isSame = (one) => one.day === day.day && one.month === day.month && one.year === day.year;
  if (isSame(today)) return '';
  if (isSame(before)) return 'yesterday';
  return day.year === today.year
    ? `${day.day} ${day.month}`
    : `${day.day} ${day.month} ${day.year}`;
}

/** "05:33", "yesterday 17:45", "25 Nov". */
export function dateText(at, now, zone) {
  const day = dayText(at, now, zone);
  if (!day) return clockText(at, zone);
  return day === 'yesterday' ? `${day} ${clockText(at, zone)}` : day;
}

/** "4 s ago", "44 min ago" up to an hour, then the clock or the date. */
export function agoText(at, now, zone) {
  const seconds = Math.round((now - at) / 1000);
  if (seconds < -1 || seconds >= HOUR) return dateText(at, now, zone);
  if (seconds < MINUTE) return `${Math.max(0, seconds)} s ago`;
  return `${Math.floor(seconds / MINUTE)} min ago`;
}

/** The exact time in ISO with its offset, and the zone's name. */
export function exactText(at, zone) {
  const part = partsOf(at, zone, {
    year: 'numeric',
    month: '2-digit',
    day: '2-digit',
    hour: '2-digit',
    minute: '2-digit',
    second: '2-digit',
    timeZoneName: 'longOffset',
  });
  const offset = part.timeZoneName.replace('GMT', '') || '+00:00';
  const clock = `${part.hour}:${part.minute}:${part.second}`;
  return `${part.year}-${part.month}-${part.day}T${clock}${offset} ${zone || 'UTC'}`;
}
