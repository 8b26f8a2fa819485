'use strict';

// express-session's Store alone. The whole of express-session is being loaded when it asks for its memory store, and has no Store yet.

const { join } = require('node:path');

const { expressSession } = JSON.parse(process.env.SUITE);
if (!expressSession) throw Object.assign(new Error('this suite has no express-session'), { code: 'MODULE_NOT_FOUND' });

exports.Store = require(join(expressSession, 'session', 'store.js'));
