/**
 * Elements of a page. Recorded text enters by textContent inside <bdi>, and in no other way. A page
 * is drawn as fresh elements, which `paint` merges into those on screen: focus, selection and the
 * place of scrolling survive.
 */

const SVG_SPACE = 'http://www.w3.org/2000/svg';
const MOST_CHARACTERS = 4000;
const HANDLERS = ['onclick', 'oninput', 'onchange', 'onkeydown', 'onpointerdown', 'ondblclick'];
const ESCAPES = /\u001b(?:\[[0-?]*[ -/]*[@-~]|\][^\u0007\u001b]*(?:\u0007|\u001b\\)?)/g;
const CONTROLS = '\\u0000-\\u0008\\u000b-\\u001f\\u007f-\\u009f';
const FORMATS = '\\u00ad\\u061c\\u200b-\\u200f\\u2028-\\u202e\\u2060-\\u206f\\ufeff';
const UNSEEN = new RegExp(`[${CONTROLS}${FORMATS}]`, 'g');

/** Recorded text, harmless: colour codes dropped, control and bidirectional characters as signs. */
export function cleanText(text) {
  const whole = String(text).replace(ESCAPES, '').replace(UNSEEN, signOf);
  return whole.length > MOST_CHARACTERS ? `${whole.slice(0, MOST_CHARACTERS)} …` : whole;
}

function signOf(character) {
  const code = character.codePointAt(0);
  if (code < 32) return String.fromCodePoint(0x2400 + code);
  return `‹U+${code.toString(16).toUpperCase().padStart(4, '0')}›`;
}

/** An HTML element. Attributes that are null or false are left out; children may be nested. */
export function h(tag, attributes, ...children) {
  return filled(document.createElement(tag), attributes, children);
}

/** The same for SVG. */
export function svg(tag, attributes, ...children) {
  return filled(document.createElementNS(SVG_SPACE, tag), attributes, children);
}

function filled(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes ?? {})) {
    if (HANDLERS.includes(name)) element[name] = value;
    else if (value != null && value !== false)
      element.setAttribute(name, value === true ? '' : value);
  }
  for (const child of children.flat(Infinity)) {
    if (child != null && child !== false) element.append(child);
  }
  return element;
}

/** Recorded text as an element. */
export function bdi(text, name) {
  return h('bdi', { class: name }, cleanText(text));
}

export function span(name, ...children) {
  return h('span', { class: name }, ...children);
}

/** A link within the pages, or plain text where there is no address. */
export function link(href, text, attributes) {
  return href ? h('a', { href, ...attributes }, bdi(text)) : bdi(text);
}

const SHAPES = {
  done: [['path', { d: 'M1.5 6.4 4.6 9.4 10.5 2.6', class: 'stroke' }]],
  running: [['path', { d: 'M3 2.2 10 6 3 9.8Z', class: 'fill' }]],
  failed: [['path', { d: 'M2.4 2.4 9.6 9.6M9.6 2.4 2.4 9.6', class: 'stroke' }]],
  blocked: [
    ['circle', { cx: 6, cy: 6, r: 4.5, class: 'stroke' }],
    ['path', { d: 'M3 9 9 3', class: 'stroke' }],
  ],
  warning: [['path', { d: 'M6 1 11.6 11H.4Z', class: 'fill' }]],
  unknown: [
    ['path', { d: 'M3.6 4.2C3.6 1.2 8.6 1.2 8.6 4.2 8.6 6 6 6 6 8M6 9.6V11', class: 'stroke' }],
  ],
  waiting: [['circle', { cx: 6, cy: 6, r: 4, class: 'stroke' }]],
  marked: [['path', { d: 'M1.5 1.5H10.5V10.5H1.5ZM3 6.2 5.2 8.4 9 3.8', class: 'stroke' }]],
  unmarked: [['path', { d: 'M1.5 1.5H10.5V10.5H1.5Z', class: 'stroke' }]],
  unneeded: [['path', { d: 'M2.5 6H9.5', class: 'stroke' }]],
};

/** The glyph of a kind. `word`: what it says where no word stands beside it. */
export function glyph(kind, word) {
  const role = word ? { role: 'img', 'aria-label': word } : { 'aria-hidden': 'true' };
  const shapes = (SHAPES[kind] ?? SHAPES.unknown).map(([tag, attributes]) => svg(tag, attributes));
  return svg('svg', { class: `glyph mark-${kind}`, viewBox: '0 0 12 12', ...role }, shapes);
}

/** Glyph and word, in the colour of the kind. */
export function state(kind, text) {
  return span(`state text-${kind}`, glyph(kind), bdi(text));
}

/** A command to copy: a click selects it and, where the browser lets us, copies it. */
export function command(text) {
  return h(
    'code',
    {
      class: 'command',
      tabindex: 0,
      role: 'button',
      title: 'Copy',
      onclick: (event) => copyText(event.currentTarget),
      onkeydown: (event) => {
        if (event.key !== 'Enter' && event.key !== ' ') return;
        event.preventDefault();
        event.stopPropagation();
        copyText(event.currentTarget);
      },
    },
    bdi(text),
  );
}

async function copyText(element) {
  getSelection().selectAllChildren(element);
  await navigator.clipboard?.writeText(element.textContent).catch(() => undefined);
  element.classList.add('copied');
  setTimeout(() => element.classList.remove('copied'), 1500);
}

/** Follow a pointer that was pressed: `move(event)`, then `end(event)`; null where the browser takes
 * the pointer away. */
export function followPointer(move, end) {
  const over = new AbortController();
  const finish = (event) => {
    over.abort();
    end(event.type === 'pointerup' ? event : null);
  };
  addEventListener('pointermove', move, { signal: over.signal });
  for (const name of ['pointerup', 'pointercancel'])
    addEventListener(name, finish, { signal: over.signal });
}

/** Make the children of `root` equal to those given, keeping each element that can stay. */
export function paint(root, ...children) {
  const fresh = h('div', null, ...children);
  mergeChildren(root, fresh);
}

function mergeChildren(old, fresh) {
  let at = old.firstChild;
  for (const child of [...fresh.childNodes]) {
    const match = matchOf(at, child);
    if (!match) {
      old.insertBefore(child, at);
      continue;
    }
    if (match === at) at = at.nextSibling;
    else old.insertBefore(match, at);
    mergeNode(match, child);
  }
  while (at) {
    const next = at.nextSibling;
    at.remove();
    at = next;
  }
}

/** The first node from `at` on that can become `child`: the one there, or one by its key. */
function matchOf(at, child) {
  const key = keyOf(child);
  if (!key) return at && !keyOf(at) && at.nodeName === child.nodeName ? at : null;
  for (let node = at; node; node = node.nextSibling) {
    if (keyOf(node) === key && node.nodeName === child.nodeName) return node;
  }
  return null;
}

function keyOf(node) {
  return node.dataset?.key ?? '';
}

/** What carries `data-keep` draws itself: nothing in it is touched. */
function mergeNode(old, fresh) {
  if (old.nodeType !== Node.ELEMENT_NODE) {
    if (old.data !== fresh.data) old.data = fresh.data;
    return;
  }
  if (fresh.dataset.keep != null) return;
  for (const { name } of [...old.attributes]) {
    if (!fresh.hasAttribute(name) && name !== 'open') old.removeAttribute(name);
  }
  for (const { name, value } of fresh.attributes) {
    if (old.getAttribute(name) !== value) old.setAttribute(name, value);
  }
  for (const name of HANDLERS) old[name] = fresh[name];
  mergeChildren(old, fresh);
}
