/** The shell: addresses, the header, the state of the link, and the page in between. */

import { bdi, command, h, paint, span } from './dom.js';
import { agoText, clockText, durationText } from './format.js';
import { bindKeys, clearMarks, compareHref, markedIds } from './keys.js';
import { renderCompare } from './page_compare.js';
import { renderExperiment } from './page_experiment.js';
import { renderOverview } from './page_overview.js';
import { renderRun } from './page_run.js';
import { applyPatch } from './patch.js';
import { refreshTimes } from './pieces.js';
import { Store } from './store.js';

const PAGES = { overview: renderOverview, e: renderExperiment, r: renderRun, c: renderCompare };
const KINDS_IN_API = { e: 'experiment', r: 'run' };
const COMPARED = ['r', 'base', 'm', 'at'];
const PATIENCE_MS = 250;
const PHONE = matchMedia('(max-width: 63.99em)');

const store = new Store();
const main = document.getElementById('main');
let visit = null;

/** Which page an address is, and which answer it needs; null for none. */
function placeOf(url) {
  const [, kind, ...rest] = url.pathname.split('/');
  const id = rest.join('/');
  if (KINDS_IN_API[kind] && id)
    return { kind, id: decodeURIComponent(id), api: `${KINDS_IN_API[kind]}/${id}` };
  if (kind === 'c') return { kind, id: '', api: comparisonOf(url.searchParams) };
  return { kind: 'overview', id: '', api: 'overview' };
}

function comparisonOf(query) {
  const asked = new URLSearchParams([...query].filter(([name]) => COMPARED.includes(name)));
  return asked.has('r') ? `compare?${asked}` : null;
}

/**
 * What a page gets beside its answer. It is made anew for each visit, and what it listens to ends
 * with the visit.
 */
class Context {
  #handlers = {};

  constructor(place) {
    this.place = place;
    this.store = store;
    this.zone = 'UTC';
    this.neighbours = ['', ''];
    this.parent = place.kind === 'overview' ? '' : '/';
  }

  get query() {
    return new URLSearchParams(location.search);
  }

  get isPhone() {
    return PHONE.matches && !this.isPrinted;
  }

  now() {
    return store.now();
  }

  navigate(href) {
    go(href);
  }

  /** Change the view's state in the address; null takes a name out. `isNew`: Back undoes it. */
  setQuery(changes, isNew = false) {
    const query = this.query;
    for (const [name, value] of Object.entries(changes)) {
      if (value == null || value === '') query.delete(name);
      else query.set(name, value);
    }
    const text = query.toString();
    const href = location.pathname + (text ? `?${text}` : '') + location.hash;
    if (isNew) history.pushState(null, '', href);
    else history.replaceState(history.state, '', href);
    this.emit('query');
  }

  /** Set a name in the address to a value, or take it out where it has that value. */
  flipQuery(name, value, more) {
    this.setQuery({ [name]: this.query.get(name) === value ? null : value, ...more });
  }

  marksChanged() {
    marksChanged();
  }

  /** Follow what the page shows besides its answer: `query` names it, see `show/web/feeds.py`. */
  listen(query) {
    this.scope = this.place.api + (query ? `?${query}` : '');
    if (this.receive) store.listen(this.scope, this.receive);
  }

  /** Listen: patch (data), columns, lines, beat, link, query, key (event), filter, marks, resize,
   * hide, leave. */
  on(name, handler) {
    (this.#handlers[name] ??= []).push(handler);
  }

  /** Returns whether one of those who listen has taken it. */
  emit(name, message) {
    return (this.#handlers[name] ?? []).map((handler) => handler(message)).includes(true);
  }

  /** The way here: [{text, href}]; the last is this page. */
  setCrumbs(crumbs) {
    drawCrumbs(crumbs);
    this.parent = crumbs.at(-2)?.href ?? (this.place.kind === 'overview' ? '' : '/');
    document.title = `${crumbs.at(-1).text} · Watchkeeper`;
  }
}

function drawCrumbs(crumbs) {
  const parts = [{ text: 'Watchkeeper', href: '/' }, ...crumbs];
  const items = parts.map(({ text, href }, index) => {
    const isHere = index === parts.length - 1;
    const inner = isHere ? bdi(text) : h('a', { href }, bdi(text));
    const isBack = index > 0 && index === parts.length - 2;
    const name = isBack ? 'back' : isHere && parts.length === 2 ? 'only' : null;
    return h('li', { class: name, 'aria-current': isHere ? 'page' : null }, inner);
  });
  paint(document.getElementById('crumbs'), h('ol', null, items));
}

/** Go to an address within the pages. */
function go(href) {
  history.replaceState({ top: scrollY }, '');
  history.pushState(null, '', href);
  show();
}

async function show() {
  visit?.emit('leave');
  store.leave();
  const place = placeOf(new URL(location.href));
  const context = new Context(place);
  visit = context;
  document.body.dataset.page = place.kind;
  document.getElementById('filter').value = context.query.get('q') ?? '';
  drawNavigation(place);
  drawMarks();
  await fill(context);
  if (visit !== context) return;
  scrollTo(0, history.state?.top ?? 0);
  document.getElementById(location.hash.slice(1))?.scrollIntoView();
}

async function fill(context) {
  const { place } = context;
  const slow = setTimeout(() => visit === context && showWaiting(context), PATIENCE_MS);
  try {
    const answer = place.api ? await store.get(place.api) : null;
    clearTimeout(slow);
    if (visit !== context) return;
    context.zone = answer?.data?.zone ?? 'UTC';
    main.replaceChildren();
    PAGES[place.kind](main, answer, context);
    context.receive = (name, message) => receive(context, answer, name, message);
    if (place.api) store.listen(context.scope ?? place.api, context.receive);
  } catch (error) {
    if (visit === context) showMissing(context, error);
  }
  clearTimeout(slow);
  drawLink();
}

/** What is shown where an answer takes its time. */
function showWaiting({ place }) {
  drawCrumbs(
    place.id
      .split('/')
      .filter(Boolean)
      .map((text) => ({ text, href: '/' })),
  );
  const name = place.id.split('/').at(-1) || 'what is recorded';
  paint(
    main,
    h(
      'div',
      { class: 'lead' },
      h('h1', { class: 'third', tabindex: -1 }, 'Reading ', bdi(name), ' …'),
    ),
  );
}

function receive(context, answer, name, message) {
  if (visit !== context) return;
  if (name === 'again') renew(context, answer);
  if (name === 'beat' && message.rev && message.rev !== answer.rev) renew(context, answer);
  if (name === 'gone') context.gone ??= message;
  if (name === 'patch') patchAnswer(context, answer, message);
  else context.emit(name, message);
  drawLink();
}

/** A patch on another state than ours: the whole is asked for. Rows that it leaves out follow. */
function patchAnswer(context, answer, patch) {
  if (patch.rev === answer.rev) return;
  if (patch.from !== answer.rev) {
    renew(context, answer);
    return;
  }
  answer.data = applyPatch(answer.data, patch);
  answer.rev = patch.rev;
  context.gone = null;
  context.emit('patch', answer.data);
}

/** Ask for the whole answer; once at a time. */
async function renew(context, answer) {
  if (context.isRenewing) return;
  context.isRenewing = true;
  const fresh = await store.get(context.place.api).catch(() => null);
  context.isRenewing = false;
  if (!fresh || visit !== context) return;
  if (fresh.rev === answer.rev) return;
  Object.assign(answer, fresh);
  context.emit('patch', answer.data);
  drawLink();
}

/** What is shown where there is no answer: what failed, and what to type. */
function showMissing(context, error) {
  const isAway = error.status === 0;
  const hint = isAway
    ? h('p', null, 'Is ', command('wk serve'), ' still running, or the tunnel closed?')
    : h('p', null, bdi(error.hint || 'The overview has what there is.'));
  context.setCrumbs([{ text: context.place.id || 'overview', href: '' }]);
  paint(
    main,
    h(
      'div',
      { class: 'lead' },
      h('h1', { tabindex: -1 }, bdi(error.message)),
      hint,
      h('p', null, h('a', { href: '/' }, 'Overview')),
    ),
  );
  if (isAway) setTimeout(() => visit === context && show(), 5000);
  if (error.status == null) throw error;
}

function drawLink() {
  const element = document.getElementById('link');
  document.body.classList.toggle('stale', store.isStale);
  drawBanner();
  element.hidden = store.isStatic;
  element.textContent = store.isStale ? 'not live' : liveText();
}

function liveText() {
  if (visit?.isReading) return 'reading';
  const age = agoText(store.heardAt, store.now(), 'UTC');
  return visit?.isPhone ? `live, ${age}` : `live · ${age}`;
}

function drawBanner() {
  const banner = document.getElementById('banner');
  const gone = visit?.gone;
  banner.hidden = !store.isStale && !gone;
  if (banner.hidden) return;
  if (gone && !store.isStale) {
    const at = clockText(Date.parse(gone.at), visit.zone);
    paint(
      banner,
      h('p', null, h('b', null, `Gone since ${at}.`), ' What follows is the last that was read.'),
      h('p', { class: 'why' }, bdi(gone.message)),
    );
    return;
  }
  const silence = durationText(Math.floor((store.clock() - store.heardAt) / 1000));
  const wait = Math.max(0, Math.ceil((store.retryAt - store.clock()) / 1000));
  paint(
    banner,
    h(
      'p',
      null,
      h('b', null, `No news for ${silence}.`),
      ` What follows is of ${clockText(store.heardAt, visit.zone)}.`,
    ),
    h('p', { class: 'again' }, store.retryAt ? `trying again in ${wait} s` : 'trying again'),
    h(
      'p',
      { class: 'why' },
      'Is ',
      command('wk serve'),
      ' still running, or the tunnel closed? The same in the terminal: ',
      command('wk ls'),
    ),
  );
}

/** The bar at the bottom of a phone. */
function drawNavigation({ kind }) {
  const list = new URLSearchParams(location.search).get('show');
  const places = [
    ['/', 'Overview', kind === 'overview' && list !== 'experiments' && list !== 'runs'],
    ['/?show=experiments', 'Experiments', kind === 'e' || list === 'experiments'],
    ['/?show=runs', 'Runs', kind === 'r' || list === 'runs'],
    [markedIds().length > 1 ? compareHref(markedIds()) : '/c', 'Compare', kind === 'c'],
  ];
  const links = places.map(([href, text, isHere]) =>
    h('a', { href, 'aria-current': isHere ? 'page' : null }, text),
  );
  paint(document.getElementById('pages'), links);
}

function drawMarks() {
  const count = markedIds().length;
  const element = document.getElementById('marks');
  element.hidden = !count;
  const compare =
    count > 1 ? h('a', { href: compareHref(markedIds()) }, 'Compare') : 'mark one more to compare';
  const clear = h(
    'button',
    {
      type: 'button',
      onclick: () => {
        clearMarks();
        marksChanged();
      },
    },
    'Clear',
  );
  paint(element, span('count', `${count} marked`), compare, clear);
}

function marksChanged() {
  drawMarks();
  drawNavigation(visit.place);
  visit.emit('marks');
}

function follow(event) {
  const anchor = event.target.closest('a[href]');
  const isPlain = event.button === 0 && !event.ctrlKey && !event.metaKey && !event.shiftKey;
  if (!anchor || !isPlain || anchor.origin !== location.origin || anchor.target) return;
  if (anchor.pathname.startsWith('/api/') || anchor.pathname.startsWith('/static/')) return;
  const isHere = anchor.pathname === location.pathname && anchor.search === location.search;
  if (isHere && anchor.hash) return;
  event.preventDefault();
  go(anchor.href);
}

function boot() {
  const filter = document.getElementById('filter');
  filter.oninput = () => {
    visit?.setQuery({ q: filter.value });
    visit?.emit('filter', filter.value);
  };
  filter.addEventListener('keydown', (event) => event.key === 'Escape' && filter.blur());
  document.addEventListener('click', follow);
  addEventListener('popstate', () => show());
  addEventListener('beforeprint', () => reshape(true));
  addEventListener('afterprint', () => reshape(false));
  // Paper is narrow too: what is being printed stays as it is.
  PHONE.addEventListener('change', () => visit?.emit('resize'));
  addEventListener('resize', () => visit?.emit('resize'));
  addEventListener('pagehide', () => visit?.emit('hide'));
  bindKeys({
    navigate: go,
    up: () => visit?.parent && go(visit.parent),
    neighbour: (side) => visit?.neighbours[side] && go(visit.neighbours[side]),
    filter: () => filter.focus(),
    pageKey: (event) => visit?.emit('key', event),
    marksChanged,
  });
  setInterval(tick, 1000);
  show();
}

function reshape(isPrinted) {
  if (visit) visit.isPrinted = isPrinted;
  visit?.emit('resize');
}

function tick() {
  store.tick();
  drawLink();
  if (visit) refreshTimes(main, visit);
}

boot();
