'use strict';

/** A command cannot run as it was asked to. The message is all that the user sees. */
class UsageError extends Error {
  usage = true;
}

module.exports = { UsageError };
