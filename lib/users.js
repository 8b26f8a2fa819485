'use strict';

// Whose a session is, for the option `users`.

const { failure } = require('./errors.js');
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
  if (typeof (/** @type {any} */ (value)?.then) === 'function') return 'a promise';
  if (value === null || value === undefined) return String(value);
  // Such as an ObjectId of MongoDB, or a whole user.
  if (typeof value === 'object')
    return "an object: name the id in it ('passport.user.id'), or give the id's text (session.userId?.toString())";
  return `a value of the type ${typeof value}`;
}

/** Says whose a session is. */
class Users {
  #idOf;

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
    if (id === undefined || id === null || id === false) return false;
    const text = textOf(id);
    if (text !== undefined) return text;
    throw failure(
      'ERR_CONFIG',
      `users.idOf must give a string, a whole number, or undefined for a session without a user, not ${kindOf(id)}`,
    );
  }

  /**
   * A user id that a caller gave.
   * @param {unknown} id
   * @returns {string}
   */
  check(id) {
    const text = textOf(id);
    if (text === undefined)
      throw failure('ERR_CONFIG', `a user id must be a string or a whole number, as users.idOf gives it, not ${kindOf(id)}`);
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
