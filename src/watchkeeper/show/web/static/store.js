/**
 * What the server says, and whether it is still heard. `get` fetches an answer; `listen` follows
 * what changes in it. After 30 s without a word the link is stale, and is tried again after 1, 2,
 * 4 … 30 s. A hidden tab hears nothing and asks anew when it is seen again.
 */

const LONGEST_SILENCE_MS = 30000;
const LONGEST_PAUSE_S = 30;
const EVENTS = ['patch', 'columns', 'lines', 'beat', 'gone'];

/** Why an answer is missing: the status, what the server says, and what to do. */
class AnswerError extends Error {
  constructor(status, message, hint) {
    super(message);
    this.status = status;
    this.hint = hint ?? '';
  }
}

export class Store {
  #stream = null;
  #scope = '';
  #handle = null;
  #pause = 1;
  #retry = 0;
  #skew = 0;
  #embedded = embeddedAnswers();

  constructor() {
    /** When the server was last heard, in its own time; when it is tried again, 0: it is not. */
    this.heardAt = this.clock();
    this.retryAt = 0;
    this.isStale = false;
    document.addEventListener('visibilitychange', () => this.#follow());
  }

  /** Whether the answers lie in the page itself: a report has no server. */
  get isStatic() {
    return this.#embedded !== null;
  }

  /** The server's time, in milliseconds since 1970. */
  clock() {
    return Date.now() + this.#skew;
  }

  /** The time that figures on screen are true of: it stops while the link is stale. */
  now() {
    return this.isStale || this.isStatic ? this.heardAt : this.clock();
  }

  /**
   * The envelope of an answer: `data` is the page's object.
   * Throws AnswerError where the server refuses; its status is 0 where nobody answers.
   */
  async get(path) {
    if (this.isStatic) return this.#fromPage(path);
    const response = await fetch(`/api/1/${path}`).catch(() => null);
    if (!response) throw new AnswerError(0, 'The server does not answer');
    const said = Date.parse(response.headers.get('Date') ?? '');
    if (Math.abs(said - Date.now()) > 2000) this.#skew = said - Date.now();
    const envelope = await response.json().catch(() => null);
    if (!response.ok || !envelope) throw refusalOf(response, envelope);
    this.#mark();
    return envelope;
  }

  #fromPage(path) {
    const envelope = this.#embedded[decodeURIComponent(path)];
    if (!envelope) throw new AnswerError(404, 'This report does not have that page');
    this.heardAt = Date.parse(envelope.made ?? '') || this.heardAt;
    return envelope;
  }

  /** Follow a scope, in place of the one before. `handle(name, message)`: patch, columns, lines,
   * gone, beat; `again` when the whole answer must be asked for; `link` when it breaks or is
   * back. */
  listen(scope, handle) {
    this.#scope = scope;
    this.#handle = handle;
    this.#pause = 1;
    this.#open();
  }

  leave() {
    this.#scope = '';
    this.#close();
  }

  /** To be called each second. */
  tick() {
    if (!this.#stream && !this.retryAt) return;
    const isSilent = this.clock() - this.heardAt > LONGEST_SILENCE_MS;
    if (isSilent && !this.isStale) {
      this.isStale = true;
      this.#lose();
    }
  }

  #follow() {
    if (document.hidden) {
      this.#close();
      return;
    }
    if (this.#scope) this.#restart();
  }

  #open() {
    this.#close();
    if (this.isStatic || document.hidden || !this.#scope) return;
    const stream = new EventSource(`/api/1/events?scope=${encodeURIComponent(this.#scope)}`);
    this.#stream = stream;
    stream.onerror = () => this.#lose();
    for (const name of EVENTS) {
      stream.addEventListener(name, (event) => this.#receive(name, event.data));
    }
  }

  #receive(name, text) {
    this.#pause = 1;
    this.#mark();
    this.#handle?.(name, text ? JSON.parse(text) : {});
  }

  /** The server was heard just now. */
  #mark() {
    const wasStale = this.isStale;
    this.heardAt = this.clock();
    this.isStale = false;
    if (wasStale) this.#handle?.('link');
  }

  #lose() {
    this.#close();
    this.retryAt = this.clock() + this.#pause * 1000;
    this.#retry = setTimeout(() => this.#restart(), this.#pause * 1000);
    this.#pause = Math.min(LONGEST_PAUSE_S, this.#pause * 2);
    this.#handle?.('link');
  }

  /** What was missed is asked for whole. */
  #restart() {
    const pause = this.#pause;
    this.#open();
    this.#pause = pause;
    this.#handle?.('again');
  }

  #close() {
    clearTimeout(this.#retry);
    this.retryAt = 0;
    this.#stream?.close();
    this.#stream = null;
  }
}

function refusalOf(response, envelope) {
  const problem = envelope?.problems?.[0];
  const message = problem?.message ?? envelope?.summary ?? `The server answered ${response.status}`;
  return new AnswerError(response.status, message, problem?.hint);
}

/** The answers that a report carries, by path; null where a server has them. */
function embeddedAnswers() {
  const element = document.getElementById('answers');
  return element ? JSON.parse(element.textContent) : null;
}
