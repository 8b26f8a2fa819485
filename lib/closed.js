'use strict';

/**
 * A property of stores and envelopes: whether they refuse calls. The metrics of another copy of this
 * package find it, too.
 */
exports.IS_CLOSED = Symbol.for('connect-dynamodb-kms.isClosed');
