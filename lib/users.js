'use strict';

// Whose a session is, for the option `users`.

const { failure } = require('./errors.js');
const { isUnwantedPromise } = require('./mutation.js');
const { isPlainObject, reading } = require('./options.js');

/**
 * @typedef {import('../index.js').SessionData} SessionData
 * @typedef {(session: any) => unknown} IdOf
 */

/** What a message says about `idOf`. */
const ID_OF =
  "users.idOf must be a function that gives the id of a session's user, or the path to it, such as 'user.id' or 'passport.user'";

/**
 * The option without `idOf`, which the native side does not know, and `idOf` as a function.
 * @param {unknown} users
 * @returns {{ rest: unknown, idOf: IdOf | undefined }}
 */
function readUsers(users) {
  if (!isPlainObject(users)) return { rest: users, idOf: undefined };
  const { idOf, ...rest } = reading('an option of users', () => ({ .../** @type {any} */ (users) }));
  if (typeof idOf === 'function') return { rest, idOf };
  if (typeof idOf !== 'string' || idOf === '' || idOf.split('.').includes('')) throw failure('ERR_CONFIG', ID_OF);
  return { rest, idOf: atPath(idOf.split('.')) };
}

/**
 * @param {string[]} path
 * @returns {IdOf}
 */
function atPath(path) {
  return (session) => path.reduce((value, name) => (value === null || value === undefined ? undefined : value[name]), session);
}

/** What `String(id)` gives of an id that is missing, or of an object without text of its own. */
const MISTAKES = ['undefined', 'null', '[object Object]'];

/**
 * A user id as text; `undefined` for what is none.
 * @param {unknown} id
 */
function textOf(id) {
  // All sessions without a user would be sessions of one user.
  if (typeof id === 'string') return id !== '' && id.isWellFormed() && !MISTAKES.includes(id) ? id : undefined;
  return Number.isSafeInteger(id) || typeof id === 'bigint' ? String(id) : undefined;
}

/**
 * What a message says about a value that is no user id, without the value.
 * @param {unknown} value
 */
function kindOf(value) {
  if (value === '') return 'an empty string';
  if (typeof value === 'string')
    return MISTAKES.includes(value)
      ? `the text '${value}', which String(id) gives of a missing id`
      : 'a string with lone surrogates';
  if (typeof value === 'number') return 'a number that is not whole or not exact';
  if (isUnwantedPromise(value)) return 'a promise';
  if (value === null || value === undefined) return `${value} (is somebody signed in?)`;
  if (typeof value === 'object') return 'an object';
  return `a value of the type ${typeof value}`;
}

/** What to do about an object, such as an ObjectId of MongoDB or a whole user. */
const OF_OBJECTS = "; name the id in it ('passport.user.id'), or give the id's text (session.userId?.toString())";

/** The log's line if `idOf` seems to look in the wrong place. */
const NEVER_A_USER =
  'users.idOf has given no user yet, for any session that this process saved or touched; if some of them have one, idOf looks in the wrong place, and ' +
  'sessionsOf and destroyAllOf do not see these sessions';

/** Says whose a session is. */
class Users {
  #idOf;
  /** Whether sessions with a user, and without one, were seen. */
  #seen = { user: false, nobody: false };
  #warned = false;

  /** @param {IdOf} idOf */
  constructor(idOf) {
    this.#idOf = idOf;
  }

  /**
   * The id of the session's user; `false` if it has none.
   * @param {SessionData} session
   * @returns {string | false}
   */
  of(session) {
    let id;
    try {
      id = this.#idOf(session);
    } catch (cause) {
      const hint =
        "it must give undefined for a session without a user, and use properties alone, since sessionsOf and update give it plain objects: (session) => session.user?.id, or 'user.id'";
      throw failure('ERR_CONFIG', `users.idOf threw; ${hint}; see cause`, cause);
    }
    // `session.user && session.user.id` gives false where the user is false.
    if (id === undefined || id === null || id === false) {
      this.#seen.nobody = true;
      return false;
    }
    const text = textOf(id);
    this.#seen.user = true;
    if (text !== undefined) return text;
    const kind = kindOf(id);
    throw failure(
      'ERR_CONFIG',
      `users.idOf must give a string, a whole number, or undefined for a session without a user, not ${kind}${kind === 'an object' ? OF_OBJECTS : ''}`,
    );
  }

  /**
   * A user id that a caller gave, of whom all sessions are wanted.
   * @param {unknown} id
   * @param {import('./log.js').Log} log is warned once if `idOf` has never given a user.
   * @returns {string}
   */
  check(id, log) {
    const text = textOf(id);
    if (text === undefined)
      throw failure('ERR_CONFIG', `a user id must be a string or a whole number, as users.idOf gives it, not ${kindOf(id)}`);
    if (this.#seen.nobody && !this.#seen.user && !this.#warned) {
      this.#warned = true;
      log.warn(NEVER_A_USER, { event: 'noUserYet' });
    }
    return text;
  }
}

/**
 * @param {Users | undefined} users
 * @returns {Users}
 */
function needUsers(users) {
  if (users) return users;
  throw failure('ERR_CONFIG', 'this needs the option users, by which the store knows whose its sessions are');
}

exports.Users = Users;
exports.needUsers = needUsers;
exports.readUsers = readUsers;
