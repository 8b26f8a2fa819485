'use strict';

// `infrastructure/iam-policy.json`: the one list of the IAM actions that the store needs.

const policy = require('../../infrastructure/iam-policy.json');

/**
 * @typedef {object} Statement
 * @property {string} Sid
 * @property {string} Effect
 * @property {string[]} Action
 * @property {string | string[]} Resource
 * @property {Record<string, Record<string, string | string[]>>} [Condition]
 */

/** @type {{ Version: string, Statement: Statement[] }} */
const POLICY = policy;

/** The actions, each with the statement that it is in. */
const actionsOf = () => POLICY.Statement.flatMap(({ Sid: sid, Action }) => Action.map((action) => ({ sid, action })));

module.exports = { POLICY, actionsOf };
