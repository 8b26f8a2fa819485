'use strict';

/**
 * What a function changed in a JSON object: by property, either the value before and after, where
 * `undefined` is none, or the changes inside an object that both have.
 * @typedef {Map<string, { before: unknown, after: unknown } | Changes>} Changes
 */

/**
 * @param {unknown} value
 * @returns {value is Record<string, unknown>}
 */
function isObject(value) {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/**
 * @param {unknown} one
 * @param {unknown} other
 */
function isSame(one, other) {
  return one === other || JSON.stringify(one) === JSON.stringify(other);
}

/**
 * `__proto__` may be a property of a JSON object.
 * @param {Record<string, unknown>} object
 * @param {string} name
 */
function propertyOf(object, name) {
  return Object.hasOwn(object, name) ? object[name] : undefined;
}

/**
 * What makes `after` of `before`. Arrays count as one value.
 * @param {Record<string, unknown>} before
 * @param {Record<string, unknown>} after
 * @returns {Changes}
 */
function changesBetween(before, after) {
  /** @type {Changes} */
  const changes = new Map();
  for (const name of new Set([...Object.keys(before), ...Object.keys(after)])) {
    const [one, other] = [propertyOf(before, name), propertyOf(after, name)];
    if (isObject(one) && isObject(other)) {
      const inner = changesBetween(one, other);
      if (inner.size > 0) changes.set(name, inner);
    } else if (!isSame(one, other)) {
      changes.set(name, { before: one, after: other });
    }
  }
  return changes;
}

/**
 * Makes the same changes in another state of the object. Changes inside an object that somebody else
 * has removed are left out.
 * @param {Changes} changes
 * @param {Record<string, unknown>} object
 */
function applyChanges(changes, object) {
  for (const [name, change] of changes) {
    if (change instanceof Map) {
      const inner = propertyOf(object, name);
      if (isObject(inner)) applyChanges(change, inner);
    } else if (change.after === undefined) {
      Reflect.deleteProperty(object, name);
    } else {
      const value = structuredClone(change.after);
      Object.defineProperty(object, name, { value, writable: true, enumerable: true, configurable: true });
    }
  }
}

/**
 * Whether nobody else has changed what the changes are about.
 * @param {Changes} changes
 * @param {Record<string, unknown>} object
 * @returns {boolean}
 */
function areUntouched(changes, object) {
  return [...changes].every(([name, change]) => {
    const value = propertyOf(object, name);
    return change instanceof Map ? isObject(value) && areUntouched(change, value) : isSame(change.before, value);
  });
}

module.exports = { applyChanges, areUntouched, changesBetween };
