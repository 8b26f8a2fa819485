'use strict';

const { within } = require('./channels.js');

/**
 * The calls `set` and `touch`, with what follows from them. What need not wait is not waited for:
 * frameworks and the guards behind them rest on answers at once.
 */
class SaveCalls {
  #calls;
  #saves;

  /**
   * @param {import('./calls.js').Calls} calls
   * @param {import('./saves.js').Saves} saves
   */
  constructor(calls, saves) {
    this.#calls = calls;
    this.#saves = saves;
  }

  /**
   * Saves or touches a session.
   * @param {'set' | 'touch'} operation
   * @param {string} sid
   * @param {import('../index.js').SessionData} session
   * @param {unknown[]} callbacks the caller's callback first, if it gave one.
   * @returns {Promise<void> | undefined}
   */
  run(operation, sid, session, callbacks) {
    return this.#calls.make(operation, (call) => this.#begin(call, operation, sid, session), callbacks, sid);
  }

  /**
   * @param {import('./call.js').Call} call
   * @param {'set' | 'touch'} operation
   * @param {string} sid
   * @param {import('../index.js').SessionData} session
   */
  #begin(call, operation, sid, session) {
    /** @type {import('./saves.js').Save} */
    let save;
    try {
      save = this.#saves.prepare(operation, sid, session);
    } catch (error) {
      return this.#calls.admit(() => Promise.reject(error));
    }
    const { callback } = call;
    if (callback) {
      if (!this.#calls.isClosed && this.#isDoneAtOnce(call, save)) return undefined;
      const replaced = operation === 'set' ? this.#saves.replaced(save) : undefined;
      if (replaced) {
        call.callback = (/** @type {unknown} */ error) => {
          callback(error, undefined);
          if (!error && replaced.isReplaced()) within(call.message, () => this.#endReplaced(replaced.sid));
        };
      }
    }
    return this.#calls.admit(() => this.#saves.send(save, call));
  }

  /**
   * Whether the caller need not wait; what the save has to do is done or begun then.
   * @param {import('./call.js').Call} call
   * @param {import('./saves.js').Save} save
   */
  #isDoneAtOnce(call, save) {
    switch (this.#saves.outlook(save)) {
      case 'extend':
        call.outcome = this.#moveEnd(save);
        return true;
      case 'gone':
        call.outcome = 'gone';
        this.#saves.count('gone');
        return true;
      case 'settled':
        call.outcome = 'unchanged';
        this.#saves.count('unchanged');
        return true;
      default:
        return false;
    }
  }

  /**
   * Moves the end of a session whose caller was answered already; not while AWS does not keep up,
   * since the next request moves it as well.
   * @param {import('./saves.js').Save} save
   * @returns {import('./call.js').Outcome}
   */
  #moveEnd(save) {
    if (this.#calls.isFull) {
      this.#saves.count('unchanged');
      return 'unchanged';
    }
    this.#calls.runInBackground('touch', 'touch after an answer', save.sid, () => this.#saves.moveEnd(save));
    return 'extended';
  }

  /**
   * Removes the session from before a login, when the framework has put another in its place.
   * @param {string} sid
   */
  #endReplaced(sid) {
    this.#calls.runInBackground('destroy', 'destroy of a replaced session', sid, () => this.#saves.remove(sid));
  }
}

exports.SaveCalls = SaveCalls;
