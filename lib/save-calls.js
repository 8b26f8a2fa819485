'use strict';

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
    let save;
    try {
      save = this.#saves.prepare(operation, sid, session);
    } catch (error) {
      return this.#calls.run(operation, () => Promise.reject(error), callbacks, sid);
    }
    const [callback] = callbacks;
    if (typeof callback !== 'function') return this.#send(save, callbacks);
    if (!this.#calls.isClosed && this.#doneAtOnce(save)) {
      this.#calls.callBack(callback, null, undefined);
      return undefined;
    }
    const replaced = operation === 'set' ? this.#saves.replaced(save) : undefined;
    if (replaced === undefined) return this.#send(save, callbacks);
    /** @param {unknown} error */
    const answer = (error) => {
      callback(error, undefined);
      if (!error && replaced.isReplaced()) this.#endReplaced(replaced.sid);
    };
    return this.#send(save, [answer]);
  }

  /**
   * @param {import('./saves.js').Save} save
   * @param {unknown[]} callbacks
   */
  #send(save, callbacks) {
    return this.#calls.run(save.operation, () => this.#saves.send(save), callbacks, save.sid);
  }

  /**
   * Whether the caller need not wait; what the save has to do is done or begun then.
   * @param {import('./saves.js').Save} save
   */
  #doneAtOnce(save) {
    switch (this.#saves.outlook(save)) {
      case 'extend':
        this.#moveEnd(save);
        return true;
      case 'gone':
        this.#saves.count('gone');
        return true;
      case 'settled':
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
   */
  #moveEnd(save) {
    if (this.#calls.isFull) this.#saves.count('unchanged');
    else this.#calls.runInBackground('touch', 'touch after an answer', save.sid, () => this.#saves.moveEnd(save));
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
